//! `kmss hsm probe`: the contract of backends, run over the module of a vendor with throw-away keys in a throw-away home.

mod pin_file;
mod propose;
mod text;

use std::process::ExitCode;

use backend_contract::{Bench, Group, Outcome, Report};
use indicatif::{ProgressBar, ProgressStyle};
use libkmss::config::{Config, HsmConfig, Quirks};
use libkmss::device::{Device, Identity, SeenToken, known, survey};
use libkmss::key::Storage;
use libkmss::kms::Kms;
use libkmss::secret::Secret;
use libkmss::tenant::BackendId;
use serde_json::json;

use self::pin_file::PinFile;
use crate::args::{Global, HsmProbeArgs, ProbeGroup};
use crate::output::{self, Failure};
use crate::pin;

/// The device's name in the throw-away home.
const NAME: &str = "probed";
/// Sessions that the probe opens at most; small devices have no more for everybody.
const SESSIONS: u32 = 12;
/// How long a call waits for a session, in milliseconds.
const DEADLINE: u32 = 10_000;

/// What is known once the suite has run.
struct Probed<'a> {
    token: &'a SeenToken,
    /// Names of the entries of the table that the device is known by.
    known: Vec<String>,
    reports: Vec<Report>,
    proposed: Quirks,
    /// What could not be removed, and how the keys are called.
    left_behind: Option<String>,
    prefix: String,
    warnings: Vec<String>,
}

impl Probed<'_> {
    fn failures(&self) -> usize {
        self.reports.iter().filter(|report| matches!(report.outcome, Outcome::Failed(_))).count()
    }
}

/// Runs `kmss hsm probe`; exit code 1 where the device breaks the contract or keeps keys.
///
/// # Errors
/// The module cannot be used, has no such token, or the PIN is wrong.
pub(super) fn run(global: &Global, args: &HsmProbeArgs) -> Result<ExitCode, Failure> {
    let module = std::path::absolute(&args.module)?;
    let tokens = survey(&module)?;
    let token = choose(&tokens, args)?;
    let warnings = examine(token)?;
    let pin = if token.login_required { Some(read_pin(global, token)?) } else { None };
    let pin_file = pin.as_ref().map(PinFile::new).transpose()?;
    let folder = tempfile::Builder::new().prefix("kmss-probe-").tempdir()?;
    let hsm = HsmConfig {
        name: NAME.to_owned(),
        module,
        token: None,
        serial: None,
        slot: Some(token.slot),
        pin: pin_file.as_ref().map(PinFile::source),
        max_sessions: SESSIONS,
        deadline_ms: DEADLINE,
        quirks: Quirks::default(),
    };
    let mut config = Config::load()?.at(folder.path().join("home"));
    (config.hsms, config.hsm_groups) = (vec![hsm], Vec::new());
    // Nothing of the surroundings is part of a probe.
    (config.principals, config.quotas) = (Vec::new(), Vec::new());
    (config.policy, config.audit) = (Default::default(), Default::default());
    // A wrong PIN ends the probe here, after one attempt.
    let identity = Device::new(config.hsms.first().ok_or("no device is configured")?).entered()?.identity.clone();
    let kms = Kms::create(&config, None)?;
    let probed = probe(&kms, token, &identity, args, warnings)?;
    kms.close()?;
    if global.json {
        output::json(&value(&probed)?)?;
    } else {
        text::print(&probed, args.all)?;
    }
    let fine = probed.failures() == 0 && probed.left_behind.is_none();
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The token that is meant.
fn choose<'a>(tokens: &'a [SeenToken], args: &HsmProbeArgs) -> Result<&'a SeenToken, Failure> {
    let fits = |token: &&SeenToken| {
        token.initialized
            && args.slot.is_none_or(|slot| slot == token.slot)
            && args.label.as_ref().is_none_or(|label| *label == token.label)
    };
    let mut found = tokens.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(token), None) => Ok(token),
        (None, _) => Err(format!("the module has no such token; it has {}", listed(tokens)).into()),
        (Some(_), Some(_)) => Err(format!(
            "several tokens could be meant: choose one with --slot or --label; there is {}",
            listed(tokens)
        )
        .into()),
    }
}

fn listed(tokens: &[SeenToken]) -> String {
    let words = |token: &SeenToken| match token.initialized {
        true => format!("`{}` in slot {}", output::plain(&token.label), token.slot),
        false => format!("one that is not initialized in slot {}", token.slot),
    };
    if tokens.is_empty() { "none".to_owned() } else { tokens.iter().map(words).collect::<Vec<_>>().join(", ") }
}

/// What is to be said before anything is tried; refuses where an attempt could lock the PIN.
fn examine(token: &SeenToken) -> Result<Vec<String>, Failure> {
    if token.locked {
        return Err("the PIN of the token is locked: unlock it with the vendor's tool".into());
    }
    if token.low {
        let why = "a wrong PIN was tried on the token since somebody last logged in, and the probe does not risk another: log \
                   in once with the vendor's tool, then probe again";
        return Err(why.into());
    }
    let mut warnings = Vec::new();
    match token.sessions {
        Some(0) => {}
        Some(count) => warnings.push(format!(
            "{count} sessions of other programs are open on the token: whoever holds them can use every key in it, also those \
             that KMSS comes to manage; close them and change the PIN when you adopt it"
        )),
        None => warnings.push(
            "the device does not tell whether other programs have sessions on the token: change its PIN when you adopt it"
                .to_owned(),
        ),
    }
    Ok(warnings)
}

fn read_pin(global: &Global, token: &SeenToken) -> Result<Secret, Failure> {
    let what = format!("user PIN of the token `{}`", output::plain(&token.label));
    pin::existing(&pin::Source {
        what: &what,
        env: global.pin_env.as_deref(),
        file: global.pin_file.as_deref(),
        default_env: "KMSS_PIN",
    })
}

fn probe<'a>(
    kms: &Kms,
    token: &'a SeenToken,
    identity: &Identity,
    args: &HsmProbeArgs,
    warnings: Vec<String>,
) -> Result<Probed<'a>, Failure> {
    // Identifiers are drawn by chance, and serve for what nobody is to know or to meet again.
    let drawn = || kms.draft(Storage::Stored).map(|draft| draft.id.to_string());
    let prefix = format!("kmss-probe-{}", drawn()?.get(..4).unwrap_or_default());
    let bench = Bench::new(kms, BackendId(NAME.into()), &prefix, &Secret::new(drawn()?.into_bytes()))?;
    let wanted = |group: Group| args.only.is_empty() || args.only.iter().any(|only| group_of(*only) == group);
    let count = backend_contract::suite().iter().filter(|behaviour| wanted(behaviour.group)).count();
    let bar = ProgressBar::new(count as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    let mut reports = Vec::new();
    let ended = backend_contract::run(
        &bench,
        |behaviour| wanted(behaviour.group),
        |report| {
            bar.set_message(report.name.clone());
            bar.inc(1);
            reports.push(report.clone());
        },
    );
    bar.finish_and_clear();
    let left_behind = ended.err().map(|refusal| refusal.to_string());
    let (known, table) = known(identity)?;
    let proposed = propose::quirks(table, &reports);
    Ok(Probed { token, known, reports, proposed, left_behind, prefix, warnings })
}

const fn group_of(only: ProbeGroup) -> Group {
    match only {
        ProbeGroup::Keys => Group::Keys,
        ProbeGroup::Rsa => Group::Rsa,
        ProbeGroup::Curves => Group::Curves,
        ProbeGroup::Symmetric => Group::Symmetric,
        ProbeGroup::Macs => Group::Macs,
        ProbeGroup::Derivation => Group::Derivation,
        ProbeGroup::Wrapping => Group::Wrapping,
        ProbeGroup::PostQuantum => Group::PostQuantum,
        ProbeGroup::Sm => Group::Sm,
        ProbeGroup::Errors => Group::Errors,
        ProbeGroup::Limits => Group::Limits,
        ProbeGroup::Concurrency => Group::Concurrency,
    }
}

fn value(probed: &Probed<'_>) -> Result<serde_json::Value, Failure> {
    let token = probed.token;
    Ok(json!({
        "token": {
            "slot": token.slot,
            "label": token.label,
            "serial": token.serial,
            "model": token.model,
            "sessions": token.sessions,
        },
        "known_as": probed.known,
        "warnings": probed.warnings,
        "behaviours": probed.reports,
        "proposed_quirks": serde_json::to_value(&probed.proposed)?,
        "left_behind": probed.left_behind,
        "label_prefix": probed.prefix,
    }))
}
