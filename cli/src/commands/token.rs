//! `kmss token`: making, showing and destroying tokens, and their PINs.

use std::io::{IsTerminal as _, Write as _};

use libkmss::auth::CredentialState;
use libkmss::kms::MaterialSeal;
use libkmss::settings::Settings;
use libkmss::tenant::{BackendId, Namespace};
use serde_json::{Value, json};

use super::{token_profile, token_user};
use crate::args::TokenCommand;
use crate::context::Context;
use crate::output::{self, Failure};
use crate::pin::{self, Source};
use crate::site::{Order, Token};

/// Longest label PKCS#11 can show, in bytes (PKCS#11 3.2, CK_TOKEN_INFO).
const LABEL_MAX: usize = 32;

/// Runs `kmss token`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Init { label, no_pin, backend, seal, settings } => {
            let settings = settings.applied(Settings { pinless: no_pin, ..Settings::default() })?;
            init(context, &label, (settings, BackendId(backend.into())), &seal)
        }
        TokenCommand::List => list(context),
        TokenCommand::Show { label } => show(context, &label),
        TokenCommand::Delete { label, yes } => delete(context, &label, yes),
        TokenCommand::SetPin { label, so, reset, user, new_pin } => {
            let source = Source {
                what: if so { "SO PIN" } else { "user PIN" },
                env: new_pin.new_pin_env.as_deref(),
                file: new_pin.new_pin_file.as_deref(),
                default_env: "KMSS_NEW_PIN",
            };
            set_pin(context, &label, (!so).then_some(user.as_str()), reset, &source)
        }
        TokenCommand::Unlock { label, user } => token_user::unlock(context, &label, &user),
        TokenCommand::User(command) => token_user::run(context, command),
        TokenCommand::Backend { label, backend } => rebase(context, &label, &BackendId(backend.into())),
        TokenCommand::Profile { label, settings } => token_profile::run(context, &label, &settings),
    }
}

fn init(
    context: &Context,
    label: &str,
    (settings, backend): (Settings, BackendId),
    seal: &MaterialSeal,
) -> Result<(), Failure> {
    if label.is_empty() || label.len() > LABEL_MAX {
        return Err(format!("a token label has 1 to {LABEL_MAX} bytes").into());
    }
    let tokens = context.founded_tokens()?;
    if tokens.all()?.iter().any(|known| known.namespace.name == label) {
        return Err(format!("a token labelled `{label}` exists already").into());
    }
    let so_pin = pin::new(&context.so_source("SO PIN"))?;
    let user_pin = if settings.pinless { None } else { Some(pin::new(&context.user_source("user PIN"))?) };
    let made = tokens.make(label, (settings, backend, seal), &so_pin, user_pin.as_ref())?;
    let token = tokens.token(&made.to_string())?;
    if context.global.json {
        return output::json(&describe(&token));
    }
    let namespace = &token.namespace;
    output::line(&format!("Made token `{label}` in slot {}, serial {}.", namespace.ordinal, serial(namespace)))?;
    if context.server().is_some() {
        return output::line("The server serves it once a [[server.namespace]] of its configuration names it.");
    }
    output::line(&format!("Next: `kmss key generate NAME --token {label} --type rsa:2048`."))
}

fn list(context: &Context) -> Result<(), Failure> {
    let tokens = context.tokens()?.map_or_else(|| Ok(Vec::new()), |tokens| tokens.all())?;
    if context.global.json {
        return output::json(&tokens.iter().map(describe).collect::<Vec<_>>());
    }
    let mut rows = Vec::new();
    for token in &tokens {
        let n = &token.namespace;
        let so = token.officer.map_or_else(unknown, pin_words);
        let backend = output::plain(&n.backend.0);
        rows.push([n.ordinal.to_string(), output::plain(&n.name), serial(n), backend, user_words(token), so]);
    }
    output::table(
        ["SLOT", "LABEL", "SERIAL", "BACKEND", "USER PIN", "SO PIN"],
        rows,
        "No tokens yet; make one with `kmss token init LABEL`.",
    )
}

fn show(context: &Context, label: &str) -> Result<(), Failure> {
    let token = context.existing_tokens()?.token(label)?;
    if context.global.json {
        return output::json(&describe(&token));
    }
    let (user, so) = (user_words(&token), token.officer.map_or_else(unknown, pin_words));
    let namespace = &token.namespace;
    for (name, value) in [
        ("Label", output::plain(&namespace.name)),
        ("Slot", namespace.ordinal.to_string()),
        ("Serial", serial(namespace)),
        ("Id", namespace.id.to_string()),
        ("Tenant", output::plain(&namespace.tenant)),
        ("Keys made by", output::plain(&namespace.backend.0)),
        ("Key material", token.material_seal.as_ref().map_or_else(unknown, |seal| format!("sealed {seal}"))),
        ("User PIN", user),
        ("SO PIN", so),
        ("Vendor", namespace.settings.profile.to_string()),
        ("Forbidden", namespace.settings.forbid.to_string()),
        ("Policy", if namespace.policy_required { "required" } else { "none" }.to_owned()),
    ] {
        output::line(&format!("{name:<12} {value}"))?;
    }
    Ok(())
}

fn rebase(context: &Context, label: &str, backend: &BackendId) -> Result<(), Failure> {
    let tokens = context.existing_tokens()?;
    let namespace = tokens.token(label)?.namespace;
    tokens.order(&namespace, &context.so_pin(label)?, &Order::Backend(backend))?;
    if context.global.json {
        return output::json(&describe(&context.existing_tokens()?.token(label)?));
    }
    let place = output::plain(&backend.0);
    output::line(&format!(
        "New keys of token `{label}` are made in `{place}`; those that it has stay where they are."
    ))?;
    output::line(&format!("`kmss key move --all --token {label} --to {place}` moves them."))
}

fn delete(context: &Context, label: &str, yes: bool) -> Result<(), Failure> {
    let tokens = context.existing_tokens()?;
    let namespace = tokens.token(label)?.namespace;
    confirm(yes, &format!("Destroy token `{label}` with every key in it, for good?"))?;
    let left = tokens.remove(&namespace, &context.so_pin(label)?)?;
    if context.global.json {
        return output::json(&json!({ "deleted": label, "left_in_device": left }));
    }
    for key in &left {
        let (key, hsm) = (output::plain(&key.key), output::plain(&key.hsm));
        output::line(&format!(
            "The key `{key}`, which sealed its key material, is still in the HSM `{hsm}`: destroy it with the vendor's tool."
        ))?;
    }
    output::line(&format!("Destroyed token `{label}` with all its objects."))
}

/// Sets the PIN of `user`, or of the security officer where there is none.
fn set_pin(
    context: &Context,
    label: &str,
    user: Option<&str>,
    reset: bool,
    source: &Source<'_>,
) -> Result<(), Failure> {
    let tokens = context.existing_tokens()?;
    let token = tokens.token(label)?;
    let namespace = &token.namespace;
    match user {
        Some(user) if reset => {
            let so_pin = context.so_pin(label)?;
            if !token.users.iter().any(|known| known.name == user) && user != "user" && token.officer.is_some() {
                return Err(format!("token `{label}` has no such user; add one with `kmss token user add`").into());
            }
            tokens.order(namespace, &so_pin, &Order::Reset(user, &pin::new(source)?))?;
        }
        Some(user) => {
            let old = context.user_pin(label)?;
            tokens.change_pin(namespace, Some(user), &old, &pin::new(source)?)?;
        }
        None => {
            let old = context.so_pin(label)?;
            tokens.change_pin(namespace, None, &old, &pin::new(source)?)?;
        }
    }
    if context.global.json {
        return output::json(&json!({ "token": label, "changed": source.what }));
    }
    output::line(&format!("Set the {} of token `{label}`; its objects are untouched.", source.what))
}

/// Asks before something that cannot be undone.
///
/// # Errors
/// The answer is no, or nobody can answer.
pub(super) fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err("this cannot be undone; say --yes to do it without being asked".into());
    }
    write!(std::io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err("nothing was changed".into()) }
}

fn describe(token: &Token) -> Value {
    let namespace = &token.namespace;
    json!({
        "label": namespace.name,
        "slot": namespace.ordinal,
        "serial": serial(namespace),
        "id": namespace.id,
        "tenant": namespace.tenant,
        "user_pin": token.user.map(pin_json),
        "so_pin": token.officer.map(pin_json),
        "policy_required": namespace.policy_required,
        "users": token.users.iter().map(|user| &user.name).collect::<Vec<_>>(),
        "backend": namespace.backend.0,
        "material_seal": token.material_seal.as_ref().map(ToString::to_string),
        "settings": token_profile::describe(&namespace.settings),
    })
}

/// What is said of a PIN of which a server says nothing.
fn unknown() -> String {
    "not told".to_owned()
}

pub(super) fn pin_json(state: CredentialState) -> Value {
    json!({ "set": state.initialized, "failures": state.failures, "attempts_left": state.remaining })
}

pub(super) fn pin_words(state: CredentialState) -> String {
    match state {
        CredentialState { initialized: false, .. } => "not set".to_owned(),
        CredentialState { remaining: 0, .. } => "locked".to_owned(),
        CredentialState { failures: 0, .. } => "set".to_owned(),
        CredentialState { failures, remaining, .. } => format!("set, {failures} wrong, {remaining} left"),
    }
}

fn user_words(token: &Token) -> String {
    if token.namespace.settings.pinless { "not needed".to_owned() } else { token.user.map_or_else(unknown, pin_words) }
}

/// The serial number that PKCS#11 programs see.
pub(super) fn serial(namespace: &Namespace) -> String {
    namespace.id.to_string().split_at(16).0.to_owned()
}
