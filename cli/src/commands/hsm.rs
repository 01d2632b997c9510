//! `kmss hsm …`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use libkmss::backend::Foreign;
use libkmss::caller::Caller;
use libkmss::catalog::{ObjectKind, Query};
use libkmss::config::{HsmConfig, HsmGroupConfig, Routing};
use libkmss::device::{Device, SeenToken, survey};
use libkmss::key::{KeyClass, Object, Storage};
use libkmss::kms::Kms;
use libkmss::operation::{Adopt, Find, Survey, is_left_by};
use libkmss::tenant::{BackendId, ObjectId};
use report::class_name;
use serde_json::{Value, json};

use super::{hsm_clone, hsm_probe};
use crate::args::{AdoptArgs, HsmCommand};
use crate::context::Context;
use crate::objects::parts_in;
use crate::output::{self, Failure, hex, plain};

/// Exit code where something could not be adopted.
const IN_PART: u8 = 4;
/// How many records are read at once.
const PAGE: usize = 256;

/// Runs a `kmss hsm` command.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: HsmCommand) -> Result<ExitCode, Failure> {
    match command {
        HsmCommand::List => list(context),
        HsmCommand::Keys { hsm, token } => keys(context, &hsm, &token.token),
        HsmCommand::Adopt(args) => adopt(context, &args),
        HsmCommand::Clone(args) => hsm_clone::run(context, &args),
        HsmCommand::Probe(args) => hsm_probe::run(&context.global, &args),
    }
}

/// What an HSM of the configuration says of itself.
pub(super) struct State {
    pub(super) tokens: Result<Vec<SeenToken>, String>,
    /// Whether it was entered: its serial number.
    pub(super) entered: Result<String, String>,
}

/// Looks at an HSM, and logs in to it.
pub(super) fn look(config: &HsmConfig) -> State {
    let said = |e: libkmss::error::Error| e.sentence();
    State {
        tokens: survey(&config.module).map_err(said),
        entered: Device::new(config).entered().map(|entered| entered.serial.clone()).map_err(said),
    }
}

fn list(context: &Context) -> Result<ExitCode, Failure> {
    let all: Vec<_> = context.config()?.hsms.iter().map(|config| (config, look(config))).collect();
    let fine = all.iter().all(|(_, state)| state.entered.is_ok());
    let code = if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if context.global.json {
        let groups = &context.config()?.hsm_groups;
        let rows: Vec<_> = all.iter().map(|(config, state)| state_json(groups, config, state)).collect();
        output::json(&rows)?;
        return Ok(code);
    }
    let mut rows = Vec::new();
    for (config, state) in &all {
        let found = match &state.tokens {
            Ok(tokens) => tokens.iter().map(|token| token_row(config, state, token)).collect(),
            Err(why) => vec![row(config, ["-", "-", "-"], why)],
        };
        rows.extend(if found.is_empty() {
            vec![row(config, ["-", "-", "-"], "the module has no tokens")]
        } else {
            found
        });
    }
    output::table(
        ["HSM", "SLOT", "TOKEN", "SERIAL", "STATE"],
        rows,
        "No HSM is configured: docs/hsm.md says how to name one with `[[hsm]]`.",
    )?;
    for (config, state) in &all {
        if let Err(why) = &state.entered {
            output::line(&format!("{}: {}", plain(&config.name), plain(why)))?;
        }
    }
    for group in &context.config()?.hsm_groups {
        output::line(&health(group, &all))?;
    }
    Ok(code)
}

/// A group and how many of its members can be used.
fn health(group: &HsmGroupConfig, all: &[(&HsmConfig, State)]) -> String {
    let usable = |name: &String| all.iter().any(|(config, state)| config.name == *name && state.entered.is_ok());
    let members: Vec<_> = group
        .members
        .iter()
        .map(|name| format!("{} {}", plain(name), if usable(name) { "can be used" } else { "CANNOT BE USED" }))
        .collect();
    let routing = match group.routing {
        Routing::Priority => "the first that can be used",
        Routing::Balanced => "the one with least to do",
    };
    format!(
        "group {}, calls go to {routing}: {}; `kmss hsm clone {} --dry-run` tells which keys lack a replica",
        plain(&group.name),
        members.join(", "),
        plain(&group.name)
    )
}

fn row(config: &HsmConfig, [slot, token, serial]: [&str; 3], state: &str) -> [String; 5] {
    [plain(&config.name), slot.to_owned(), plain(token), plain(serial), plain(state)]
}

fn token_row(config: &HsmConfig, state: &State, token: &SeenToken) -> [String; 5] {
    let chosen = state.entered.as_ref().is_ok_and(|serial| *serial == token.serial);
    let words = if chosen {
        "in use"
    } else if !token.initialized {
        "not initialized"
    } else if token.locked {
        "PIN locked"
    } else {
        "another"
    };
    row(config, [&token.slot.to_string(), &token.label, &token.serial], words)
}

fn state_json(groups: &[HsmGroupConfig], config: &HsmConfig, state: &State) -> Value {
    let group = groups.iter().find(|group| group.members.contains(&config.name));
    let token = |token: &SeenToken| {
        json!({
            "slot": token.slot,
            "label": token.label,
            "serial": token.serial,
            "model": token.model,
            "initialized": token.initialized,
            "login_required": token.login_required,
            "pin_locked": token.locked,
            "pin_low": token.low,
            "sessions": token.sessions,
            "in_use": state.entered.as_ref().is_ok_and(|serial| *serial == token.serial),
        })
    };
    json!({
        "name": config.name,
        "group": group.map(|group| &group.name),
        "module": config.module.display().to_string(),
        "tokens": state.tokens.as_ref().map(|all| all.iter().map(token).collect::<Vec<_>>()).unwrap_or_default(),
        "usable": state.entered.is_ok(),
        "reason": state.entered.as_ref().err().or(state.tokens.as_ref().err()),
    })
}

/// Whether a key was adopted, or why not.
enum Outcome {
    Adopted(String),
    Present(String),
    Possible,
    Refused(String),
}

impl Outcome {
    const fn words(&self) -> (&'static str, &String) {
        static NOTHING: String = String::new();
        match self {
            Self::Adopted(name) => ("adopted", name),
            Self::Present(name) => ("there already", name),
            Self::Possible => ("can be adopted", &NOTHING),
            Self::Refused(why) => ("NOT ADOPTED", why),
        }
    }
}

fn keys(context: &Context, hsm: &str, token: &str) -> Result<ExitCode, Failure> {
    let (kms, caller) = context.user(token)?;
    let backend = named(context, hsm)?;
    let known = known(&kms, &caller, &backend)?;
    let all = kms.perform(&caller, Survey { backend })?;
    let rows: Vec<_> = all.into_iter().map(|foreign| (foreign.clone(), standing(&known, &foreign))).collect();
    kms.close()?;
    report(context, &rows)?;
    Ok(ExitCode::SUCCESS)
}

fn adopt(context: &Context, args: &AdoptArgs) -> Result<ExitCode, Failure> {
    let (kms, caller) = context.user(&args.token.token)?;
    let backend = named(context, &args.hsm)?;
    let wanted = |foreign: &&Foreign| {
        let id = args.id.as_ref().is_none_or(|id| id.eq_ignore_ascii_case(&hex(&foreign.identifier)));
        id && args.label.as_ref().is_none_or(|label| label.as_bytes() == foreign.label)
    };
    let mut all = kms.perform(&caller, Survey { backend: backend.clone() })?;
    let known = known(&kms, &caller, &backend)?;
    // A public half takes the name of its private half.
    all.sort_by_key(|foreign| foreign.class == KeyClass::Public);
    let mut names: Vec<(Vec<u8>, String)> = Vec::new();
    let mut rows = Vec::new();
    for foreign in all.iter().filter(wanted) {
        let mut outcome = standing(&known, foreign);
        if matches!(outcome, Outcome::Possible) && !args.dry_run {
            let taken = take(&kms, &caller, args, &backend, foreign, &names);
            outcome = taken.map_or_else(|e| Outcome::Refused(e.to_string()), Outcome::Adopted);
        }
        if let (Outcome::Adopted(name) | Outcome::Present(name), KeyClass::Private) = (&outcome, foreign.class) {
            names.push((foreign.identifier.clone(), name.clone()));
        }
        rows.push((foreign.clone(), outcome));
    }
    kms.close()?;
    if rows.is_empty() {
        return Err(format!("the HSM `{}` holds no such key; `kmss hsm keys` shows what it holds", args.hsm).into());
    }
    let refused = rows.iter().any(|(_, outcome)| matches!(outcome, Outcome::Refused(_)));
    report(context, &rows)?;
    Ok(if refused { ExitCode::from(IN_PART) } else { ExitCode::SUCCESS })
}

fn named(context: &Context, hsm: &str) -> Result<BackendId, Failure> {
    let config = context.config()?;
    let groups = config.hsm_groups.iter().map(|group| &group.name);
    if config.hsms.iter().map(|config| &config.name).chain(groups).any(|name| name == hsm) {
        return Ok(BackendId(hsm.to_owned().into()));
    }
    Err(format!("no HSM or group `{hsm}` is configured; `kmss hsm list` shows which are").into())
}

/// What the token knows of an HSM.
#[derive(Default)]
struct Known {
    /// The names of its keys.
    keys: BTreeMap<ObjectId, String>,
    /// Those that were moved away and are not destroyed there yet.
    left: BTreeMap<Vec<u8>, String>,
}

fn known(kms: &Kms, caller: &Caller, backend: &BackendId) -> Result<Known, Failure> {
    let mut known = Known::default();
    each_key(kms, caller, |object| {
        let Some(key) = object.key() else { return };
        known.keys.insert(object.id, key.name.clone());
        let left = key.left.iter().filter(|left| left.backend == *backend);
        known.left.extend(left.map(|left| (left.locator.clone(), key.name.clone())));
    })?;
    Ok(known)
}

/// What an HSM holds, or each member of a group by itself, so that what was left there is known. A member that does not say
/// holds nothing up.
pub(super) fn survey_of(
    context: &Context,
    kms: &Kms,
    caller: &Caller,
    backend: &BackendId,
) -> Result<Vec<Foreign>, Failure> {
    let config = context.config()?;
    if config.hsms.iter().any(|hsm| *hsm.name == *backend.0) {
        return Ok(kms.perform(caller, Survey { backend: backend.clone() })?);
    }
    let group = config.hsm_groups.iter().find(|group| *group.name == *backend.0);
    let members = group.map(|group| group.members.as_slice()).unwrap_or_default();
    let each = members.iter().map(|member| kms.perform(caller, Survey { backend: BackendId(member.clone().into()) }));
    Ok(each.filter_map(Result::ok).flatten().collect())
}

/// What attempts that did not come to their end left of the key `id`, among what is `there`.
pub(super) fn remains(there: &[Foreign], id: ObjectId) -> Vec<Vec<u8>> {
    let of_it = |foreign: &&Foreign| foreign.owner.is_none() && is_left_by(&foreign.identifier, id);
    there.iter().filter(of_it).map(|foreign| foreign.material.locator.clone()).collect()
}

/// Calls `f` with every key of the token.
pub(super) fn each_key(kms: &Kms, caller: &Caller, mut f: impl FnMut(&Arc<Object>)) -> Result<(), Failure> {
    for class in [KeyClass::Private, KeyClass::Secret, KeyClass::Public] {
        let query = Query { kind: Some(ObjectKind::Key(class)), ..Query::default() };
        let mut after = None;
        loop {
            let page = kms.perform(caller, Find { query: &query, after, limit: PAGE })?;
            for there in &page {
                f(&kms.object(caller, there.id)?);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id),
                _ => break,
            }
        }
    }
    Ok(())
}

/// Whether the token has a record of the key, or could have one.
fn standing(known: &Known, foreign: &Foreign) -> Outcome {
    if let Some(name) = known.left.get(&foreign.material.locator) {
        let why = format!("`{name}` was moved away from here: `kmss key move` it again, and this is destroyed");
        return Outcome::Refused(why);
    }
    match (foreign.owner.and_then(|owner| known.keys.get(&owner)), &foreign.refusal) {
        (Some(name), _) => Outcome::Present(name.clone()),
        (None, Some(why)) => Outcome::Refused(why.clone()),
        (None, None) => Outcome::Possible,
    }
}

fn take(
    kms: &Kms,
    caller: &Caller,
    args: &AdoptArgs,
    backend: &BackendId,
    foreign: &Foreign,
    names: &[(Vec<u8>, String)],
) -> Result<String, Failure> {
    let mut draft = kms.draft(Storage::Stored)?;
    draft.private = foreign.class != KeyClass::Public;
    draft.label.clone_from(&foreign.label);
    draft.identifier.clone_from(&foreign.identifier);
    (draft.usage, draft.protection) = (foreign.usage, foreign.protection);
    let half = names.iter().find(|(id, _)| *id == foreign.identifier && foreign.class == KeyClass::Public);
    draft.name = match (half, &args.name) {
        (Some((_, name)), _) => name.clone(),
        (None, Some(name)) => name.clone(),
        (None, None) => free_name(kms, caller, foreign)?,
    };
    draft.exact = args.name.is_some();
    let locator = foreign.material.locator.clone();
    let made = kms.perform(caller, Adopt { backend: backend.clone(), locator, draft })?;
    Ok(made.key().map_or_else(String::new, |key| key.name.clone()))
}

/// A name that no key has.
fn free_name(kms: &Kms, caller: &Caller, foreign: &Foreign) -> Result<String, Failure> {
    let label = String::from_utf8_lossy(&foreign.label).into_owned();
    let base = if label.is_empty() { format!("key-{}", hex(&foreign.identifier)) } else { label };
    for number in 1_u32.. {
        let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        if parts_in(kms, caller, &name)?.is_empty() {
            return Ok(name);
        }
    }
    Err("every name is taken".into())
}

fn report(context: &Context, rows: &[(Foreign, Outcome)]) -> Result<(), Failure> {
    if context.global.json {
        let json = |(foreign, outcome): &(Foreign, Outcome)| {
            let (outcome, detail) = outcome.words();
            json!({
                "label": String::from_utf8_lossy(&foreign.label),
                "cka_id": hex(&foreign.identifier),
                "class": class_name(foreign.class),
                "type": foreign.material.key_type.name(),
                "bits": foreign.material.bits,
                "extractable": foreign.protection.extractable,
                "sensitive": foreign.protection.sensitive,
                "outcome": outcome,
                "detail": detail,
            })
        };
        return output::json(&rows.iter().map(json).collect::<Vec<_>>());
    }
    let line = |(foreign, outcome): &(Foreign, Outcome)| {
        let (words, detail) = outcome.words();
        [
            plain(&String::from_utf8_lossy(&foreign.label)),
            hex(&foreign.identifier),
            class_name(foreign.class).to_owned(),
            format!("{} {}", foreign.material.key_type.name(), foreign.material.bits),
            words.to_owned(),
            plain(detail),
        ]
    };
    output::table(
        ["LABEL", "CKA_ID", "CLASS", "TYPE", "OUTCOME", "NAME OR REASON"],
        rows.iter().map(line).collect(),
        "The HSM holds no keys.",
    )
}
