//! `kmss token user` and `kmss token unlock`: several users of one token, each with a PIN of their own.

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::kms::{Holder, Kms};
use serde_json::json;

use super::token::{confirm, pin_json, pin_words};
use crate::args::{NewPinArgs, TokenUserCommand};
use crate::context::{Context, find_token};
use crate::output::{self, Failure};
use crate::pin::{self, Source};

/// Runs `kmss token user`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: TokenUserCommand) -> Result<(), Failure> {
    match command {
        TokenUserCommand::Add { label, user, new_pin } => add(context, &label, &user, &new_pin),
        TokenUserCommand::Remove { label, user, yes } => remove(context, &label, &user, yes),
        TokenUserCommand::Roles { label, user, roles: wanted } => roles(context, &label, &user, &wanted),
        TokenUserCommand::List { label } => list(context, &label),
    }
}

fn add(context: &Context, label: &str, user: &str, new_pin: &NewPinArgs) -> Result<(), Failure> {
    let (kms, officer) = officer(context, label)?;
    let what = format!("PIN of user `{}`", output::plain(user));
    let source = Source {
        what: &what,
        env: new_pin.new_pin_env.as_deref(),
        file: new_pin.new_pin_file.as_deref(),
        default_env: "KMSS_NEW_PIN",
    };
    kms.add_user(&officer, user, &pin::new(&source)?)?;
    kms.close()?;
    if context.global.json {
        return output::json(&json!({ "token": label, "added": user }));
    }
    output::line(&format!("Added user `{}` to token `{label}`.", output::plain(user)))?;
    output::line("Programs log in by that name through C_LoginUser; the objects are the same for every user.")
}

fn remove(context: &Context, label: &str, user: &str, yes: bool) -> Result<(), Failure> {
    confirm(yes, &format!("Take user `{}` away from token `{label}`? Objects stay.", output::plain(user)))?;
    let (kms, officer) = officer(context, label)?;
    kms.remove_user(&officer, user)?;
    kms.close()?;
    if context.global.json {
        return output::json(&json!({ "token": label, "removed": user }));
    }
    output::line(&format!("Removed user `{}` from token `{label}`.", output::plain(user)))
}

fn roles(context: &Context, label: &str, user: &str, roles: &[String]) -> Result<(), Failure> {
    let (kms, officer) = officer(context, label)?;
    kms.set_user_roles(&officer, user, roles)?;
    kms.close()?;
    if context.global.json {
        return output::json(&json!({ "token": label, "user": user, "roles": roles }));
    }
    let what = if roles.is_empty() { "no roles".to_owned() } else { format!("the roles {}", roles.join(", ")) };
    output::line(&format!("User `{}` of token `{label}` has {what} from the next login on.", output::plain(user)))
}

fn list(context: &Context, label: &str) -> Result<(), Failure> {
    let kms = context.kms()?;
    let namespace = find_token(&kms, label)?;
    let users = kms.users(&namespace)?;
    if context.global.json {
        let describe = |name: &String| {
            let state = kms.credential_state(&namespace, Holder::User(name))?;
            let roles = kms.user_roles(&namespace, name)?;
            Ok(json!({ "user": name, "roles": roles, "pin": pin_json(state) }))
        };
        return output::json(&users.iter().map(describe).collect::<Result<Vec<_>, Failure>>()?);
    }
    let mut rows = Vec::new();
    for name in &users {
        let pin = pin_words(kms.credential_state(&namespace, Holder::User(name))?);
        rows.push([output::plain(name), kms.user_roles(&namespace, name)?.join(", "), pin]);
    }
    output::table(["USER", "ROLES", "PIN"], rows, "No user has a PIN.")
}

/// Runs `kmss token unlock`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn unlock(context: &Context, label: &str, user: &str) -> Result<(), Failure> {
    let (kms, officer) = officer(context, label)?;
    kms.unlock_user(&officer, user)?;
    kms.close()?;
    if context.global.json {
        return output::json(&json!({ "token": label, "unlocked": user }));
    }
    output::line(&format!(
        "User `{}` of token `{label}` may try again; PIN and objects are untouched.",
        output::plain(user)
    ))
}

/// The home and the token's security officer, logged in.
///
/// # Errors
/// No such token, wrong PIN, locked PIN.
pub(super) fn officer(context: &Context, label: &str) -> Result<(Kms, Caller), Failure> {
    let kms = context.kms()?;
    let namespace = find_token(&kms, label)?;
    let caller = kms.enter(&namespace, 0)?;
    let officer = kms.login(&caller, &Credential::OfficerPin(&context.so_pin(label)?))?;
    Ok((kms, officer))
}
