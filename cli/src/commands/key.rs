//! `kmss key`: generating, listing, disabling and destroying keys.

use std::process::ExitCode;
use std::sync::Arc;

use libkmss::catalog::{Facet, ObjectKind};
use libkmss::clock::Timestamp;
use libkmss::key::{AuditMode, Key, KeyClass, KeySpec, KeyState, Object, Protection, Transition, Usage, service_name};
use libkmss::operation::Draft;
use libkmss::tenant::BackendId;
use report::{class_name, uses};
use serde_json::{Value, json};

use super::{key_derive, key_export, key_import, key_life, key_many, key_move, key_name, key_type, token};
use crate::args::{AuditModeArg, KeyCommand, NamedKey};
use crate::context::Context;
use crate::objects::{Names, Objects};
use crate::output::{self, Failure};

/// Runs `kmss key`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: KeyCommand) -> Result<ExitCode, Failure> {
    match command {
        KeyCommand::Move(args) => return key_move::run(context, &args),
        KeyCommand::Generate { name, token, key_type, id, extractable, backend, pre_active, count, from } => {
            let identifier = id.as_deref().map(parse_hex).transpose()?;
            let is_seed = key_type.as_ref().is_some_and(|text| text.eq_ignore_ascii_case(key_type::SEED));
            let backend = chosen(context, backend)?;
            let how = How { identifier, extractable, backend, pre_active, is_seed };
            match count {
                None => generate(context, &name, &token.token, key_type.as_deref(), &how),
                Some(count) => {
                    let names = Names { stem: &name, first: from, count };
                    key_many::generate(context, &names, &token.token, key_type.as_deref(), &how)
                }
            }
        }
        KeyCommand::Derive(args) => key_derive::run(context, &args),
        KeyCommand::Import(args) => key_import::run(context, &args),
        KeyCommand::ExportPublic { key, format, out } => key_export::run(context, &key, format, out.as_deref()),
        KeyCommand::List { token, owner, purpose, service, tags } => {
            let mut facets = facets(owner, purpose.as_deref(), tags)?;
            if let Some(service) = service {
                facets.push((Facet::Service, service_name(&service)?.into_bytes()));
            }
            list(context, &token.token, &facets)
        }
        KeyCommand::Show(key) => show(context, &key),
        KeyCommand::Label { key, label } => key_name::label(context, &key, &label),
        KeyCommand::Rename { key, new_name } => key_name::rename(context, &key, &new_name),
        KeyCommand::Tag { key, tags } => tag(context, &key, &tags),
        KeyCommand::Audit { key, mode } => audit(context, &key, mode),
        KeyCommand::Disable(key) => change_state(context, &key, KeyState::Deactivated),
        KeyCommand::Enable(key) => change_state(context, &key, KeyState::Active),
        KeyCommand::Destroy { key, yes } => destroy(context, &key, yes),
        KeyCommand::Life(command) => return key_life::run(context, command),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// What a new key gets beside name and type.
pub(super) struct How {
    identifier: Option<Vec<u8>>,
    extractable: bool,
    backend: Option<BackendId>,
    pre_active: bool,
    is_seed: bool,
}

fn generate(context: &Context, name: &str, token: &str, type_text: Option<&str>, how: &How) -> Result<(), Failure> {
    let objects = context.objects(token)?;
    let spec = wanted(&*objects, type_text)?;
    require_new(&*objects, name, token)?;
    let made = match how.drafts(&*objects, name, &spec)? {
        (private, Some(public)) => objects.generate_pair(spec, private, public)?,
        (secret, None) => objects.generate_secret(spec, secret)?,
    };
    objects.close()?;
    if context.global.json {
        return output::json(&describe(&made));
    }
    let key = made.key().ok_or("the new object is no key")?;
    output::line(&format!(
        "Generated {} key `{}` in token `{token}` (CKA_ID {}).",
        report::describe(key),
        output::plain(&key.name),
        output::hex(&made.identifier)
    ))
}

impl How {
    /// Drafts of a key called `name`: of the secret key or the private half, and of the public half.
    pub(super) fn drafts(
        &self,
        objects: &dyn Objects,
        name: &str,
        spec: &KeySpec,
    ) -> Result<(Draft, Option<Draft>), Failure> {
        let is_pair = spec.key_type().is_asymmetric();
        let mut draft = draft(objects, name, spec, if is_pair { KeyClass::Private } else { KeyClass::Secret })?;
        draft.protection = Protection { sensitive: true, extractable: self.extractable, ..Protection::default() };
        draft.private = true;
        if self.is_seed {
            draft.restrict_to_seed();
        }
        draft.pre_active = self.pre_active;
        draft.backend.clone_from(&self.backend);
        draft.identifier = self.identifier.clone().unwrap_or_else(|| draft.id.usual_identifier());
        if !is_pair {
            return Ok((draft, None));
        }
        let mut public = self::draft(objects, name, spec, KeyClass::Public)?;
        public.identifier.clone_from(&draft.identifier);
        public.pre_active = self.pre_active;
        Ok((draft, Some(public)))
    }
}

/// Refuses a name that a key has.
pub(super) fn require_new(objects: &dyn Objects, name: &str, token: &str) -> Result<(), Failure> {
    if parts(objects, name)?.is_empty() {
        return Ok(());
    }
    Err(format!("a key named `{name}` exists already in token `{token}`").into())
}

/// What to make: what is said, or what a rule prefers.
pub(super) fn wanted(objects: &dyn Objects, type_text: Option<&str>) -> Result<KeySpec, Failure> {
    match type_text {
        Some(text) => key_type::parse(text),
        None => preferred(objects),
    }
}

/// What a rule prefers to be made.
fn preferred(objects: &dyn Objects) -> Result<KeySpec, Failure> {
    match objects.preferred_type()? {
        Some(text) => key_type::parse(&text),
        None => Err("say what to make (--type): no rule of the token prefers anything".into()),
    }
}

/// The backend that is to keep a new key, where one is named.
///
/// # Errors
/// A server decides that itself.
pub(super) fn chosen(context: &Context, backend: Option<String>) -> Result<Option<BackendId>, Failure> {
    if backend.is_some() && context.server().is_some() {
        return Err("--backend is told to the home itself: run it on the server's host, without --server".into());
    }
    Ok(backend.map(|name| BackendId(name.into())))
}

pub(super) fn draft(objects: &dyn Objects, name: &str, spec: &KeySpec, class: KeyClass) -> Result<Draft, Failure> {
    let mut draft = objects.draft()?;
    name.clone_into(&mut draft.name);
    draft.exact = true;
    draft.label = name.as_bytes().to_vec();
    let usage = Usage::all_for(spec.key_type(), class);
    let apart = objects.namespace().settings.separate_wrap_and_decrypt;
    draft.usage = if apart { usage.without_wrap() } else { usage };
    Ok(draft)
}

/// What listed keys are to have.
fn facets(owner: Option<String>, purpose: Option<&str>, tags: Vec<String>) -> Result<Vec<(Facet, Vec<u8>)>, Failure> {
    let mut facets: Vec<_> = tags.into_iter().map(|tag| (Facet::Tag, tag.into_bytes())).collect();
    facets.extend(owner.map(|owner| (Facet::Owner, owner.into_bytes())));
    if let Some(purpose) = purpose {
        facets.push((Facet::Purpose, key_life::purpose(purpose)?.name().into()));
    }
    Ok(facets)
}

fn list(context: &Context, token: &str, facets: &[(Facet, Vec<u8>)]) -> Result<(), Failure> {
    let objects = context.objects(token)?;
    let mut keys = Vec::new();
    for kind in
        [ObjectKind::Key(KeyClass::Private), ObjectKind::Key(KeyClass::Secret), ObjectKind::Key(KeyClass::Public)]
    {
        keys.extend(objects.having(kind, facets)?);
    }
    // A pair is one line: its public half is shown only where it stands alone.
    let private: Vec<String> = names(&keys, KeyClass::Private);
    keys.retain(|o| o.key().is_some_and(|k| k.class != KeyClass::Public || !private.contains(&k.name)));
    keys.sort_by(|a, b| name_of(a).cmp(name_of(b)));
    let now = objects.now()?;
    objects.close()?;
    if context.global.json {
        return output::json(&keys.iter().map(|o| describe_at(o, Some(now))).collect::<Vec<_>>());
    }
    let row = |object: &Arc<Object>| {
        let key = object.key()?;
        Some([
            output::plain(&key.name),
            report::describe(key),
            class_name(key.class).to_owned(),
            key.state_word(now).to_owned(),
            output::plain(backend(key)),
            output::hex(&object.identifier),
            output::time(object.created.0),
        ])
    };
    output::table(
        ["NAME", "TYPE", "CLASS", "STATE", "BACKEND", "CKA_ID", "CREATED (UTC)"],
        keys.iter().filter_map(row).collect(),
        &format!("No keys yet; make one with `kmss key generate NAME --token {token} --type rsa:2048`."),
    )
}

fn show(context: &Context, named: &NamedKey) -> Result<(), Failure> {
    let objects = context.objects(&named.token.token)?;
    let (found, now) = (require(&*objects, named)?, objects.now()?);
    objects.close()?;
    if context.global.json {
        return output::json(&found.iter().map(|o| describe_at(o, Some(now))).collect::<Vec<_>>());
    }
    for object in &found {
        let Some(key) = object.key() else { continue };
        for (name, value) in [
            ("Name", output::plain(&key.name)),
            ("Label", output::plain(&String::from_utf8_lossy(&object.label))),
            ("Class", class_name(key.class).to_owned()),
            ("Type", report::describe(key)),
            ("State", key.state_word(now).to_owned()),
            ("Uses", uses(&key.usage).join(", ")),
            ("Sensitive", yes(key.protection.sensitive)),
            ("Extractable", yes(key.protection.extractable)),
            ("Made here", yes(key.protection.local)),
            ("Audit", key.audit.name().to_owned()),
            ("Backend", output::plain(backend(key))),
            ("CKA_ID", output::hex(&object.identifier)),
            ("Version", format!("{} of {}", key.primary, key.versions.len())),
            ("Created", output::time(object.created.0)),
            ("Unique id", object.id.to_string()),
        ] {
            output::line(&format!("{name:<12} {value}"))?;
        }
        for (name, value) in key_life::said(&key.metadata).into_iter().chain(key_life::lines(&key.lifecycle)) {
            output::line(&format!("{name:<12} {value}"))?;
        }
        output::line("")?;
    }
    Ok(())
}

fn change_state(context: &Context, named: &NamedKey, state: KeyState) -> Result<(), Failure> {
    let objects = context.managed_objects(&named.token.token)?;
    objects.change_life(first(&require(&*objects, named)?)?, &Transition::into_state(state)?)?;
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "name": named.name, "state": state.name() }));
    }
    output::line(&format!("Key `{}` is {}. Every process sees it from its next operation.", named.name, state.name()))
}

fn tag(context: &Context, named: &NamedKey, tags: &[String]) -> Result<(), Failure> {
    let objects = context.managed_objects(&named.token.token)?;
    objects.change_life(first(&require(&*objects, named)?)?, &Transition::Tag(tags.to_vec()))?;
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "name": named.name, "tags": tags }));
    }
    let what = if tags.is_empty() { "no tags".to_owned() } else { format!("the tags {}", tags.join(", ")) };
    output::line(&format!("Key `{}` has {what}. Every process sees it from its next operation.", named.name))
}

fn audit(context: &Context, named: &NamedKey, mode: AuditModeArg) -> Result<(), Failure> {
    let mode = match mode {
        AuditModeArg::Normal => AuditMode::Normal,
        AuditModeArg::Sync => AuditMode::Sync,
    };
    let objects = context.managed_objects(&named.token.token)?;
    objects.change_life(first(&require(&*objects, named)?)?, &Transition::Audit(mode))?;
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "name": named.name, "audit": mode.name() }));
    }
    let place = match mode {
        AuditMode::Normal => "in the kernel",
        AuditMode::Sync => "on the disk",
    };
    let name = &named.name;
    output::line(&format!("The record of each use of key `{name}` is {place} before the result is released."))
}

fn destroy(context: &Context, named: &NamedKey, yes: bool) -> Result<(), Failure> {
    let objects = context.objects(&named.token.token)?;
    let found = require(&*objects, named)?;
    let left = versions_beside(&*objects, &found)?;
    let stay =
        if left.is_empty() { String::new() } else { format!(" {} stay, and decrypt what they did.", left.join(", ")) };
    token::confirm(yes, &format!("Destroy key `{}`, for good?{stay}", named.name))?;
    for object in &found {
        objects.destroy(object)?;
    }
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "destroyed": named.name, "objects": found.len(), "left": left }));
    }
    output::line(&format!("Destroyed key `{}` ({} objects).{stay}", named.name, found.len()))
}

/// The names of other versions of a key that has the name.
fn versions_beside(objects: &dyn Objects, halves: &[Arc<Object>]) -> Result<Vec<String>, Failure> {
    let Some(key) = halves.first().and_then(|half| half.key()) else { return Ok(Vec::new()) };
    if key.lifecycle.role.is_some() || key.newest_number() == 1 {
        return Ok(Vec::new());
    }
    let versions = objects.versions(&key.name)?;
    let names = versions.iter().filter_map(|version| version.key()).map(|version| &version.name);
    Ok(names.filter(|name| **name != key.name).map(|name| output::plain(name)).collect())
}

/// All parts of a key: private and public half, or the secret key.
///
/// # Errors
/// The store cannot be read.
pub(super) fn parts(objects: &dyn Objects, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
    let mut found = Vec::new();
    for class in [KeyClass::Private, KeyClass::Secret, KeyClass::Public] {
        found.extend(objects.key(name, class)?);
    }
    Ok(found)
}

/// As [`parts`], of which there must be one.
///
/// # Errors
/// There is no such key.
pub(super) fn require(objects: &dyn Objects, named: &NamedKey) -> Result<Vec<Arc<Object>>, Failure> {
    some(parts(objects, &named.name)?, named)
}

/// The half that stands for a key.
///
/// # Errors
/// There is none.
pub(super) fn first(halves: &[Arc<Object>]) -> Result<&Arc<Object>, Failure> {
    halves.first().ok_or_else(|| "the key is gone".into())
}

/// `found`, unless there is nothing.
///
/// # Errors
/// There is nothing.
pub(super) fn some(found: Vec<Arc<Object>>, named: &NamedKey) -> Result<Vec<Arc<Object>>, Failure> {
    if found.is_empty() {
        let (name, token) = (&named.name, &named.token.token);
        return Err(
            format!("no key named `{name}` in token `{token}`; `kmss key list --token {token}` shows them").into()
        );
    }
    Ok(found)
}

fn names(objects: &[Arc<Object>], class: KeyClass) -> Vec<String> {
    objects.iter().filter_map(|o| o.key()).filter(|k| k.class == class).map(|k| k.name.clone()).collect()
}

fn name_of(object: &Arc<Object>) -> &str {
    object.key().map_or("", |k: &Key| k.name.as_str())
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// Which backend holds the version in use.
pub(super) fn backend(key: &Key) -> &str {
    key.primary().map_or("", |version| &version.backend.0)
}

/// A key as JSON, as it was made just now.
pub(super) fn describe(object: &Object) -> Value {
    describe_at(object, None)
}

/// A key as JSON, in the state that it is in at `now`.
fn describe_at(object: &Object, now: Option<Timestamp>) -> Value {
    report::json::key(object, now)
}

/// Bytes written in hex.
///
/// # Errors
/// Anything that is not pairs of hex digits.
pub(super) fn parse_hex(text: &str) -> Result<Vec<u8>, Failure> {
    let bad = || format!("`{text}` is not pairs of hex digits");
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(bad().into());
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok()).ok_or_else(|| bad().into())
        })
        .collect()
}
