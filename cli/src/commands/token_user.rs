//! `kmss token user` and `kmss token unlock`: several users of one token, each with a PIN of their own.

use serde_json::json;

use super::token::{confirm, pin_json, pin_words};
use crate::args::{NewPinArgs, TokenUserCommand};
use crate::context::Context;
use crate::output::{self, Failure};
use crate::pin::{self, Source};
use crate::site::{Order, User};

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
    let tokens = context.existing_tokens()?;
    let (token, so_pin) = (tokens.token(label)?.namespace, context.so_pin(label)?);
    let what = format!("PIN of user `{}`", output::plain(user));
    let source = Source {
        what: &what,
        env: new_pin.new_pin_env.as_deref(),
        file: new_pin.new_pin_file.as_deref(),
        default_env: "KMSS_NEW_PIN",
    };
    tokens.order(&token, &so_pin, &Order::Add(user, &pin::new(&source)?))?;
    if context.global.json {
        return output::json(&json!({ "token": label, "added": user }));
    }
    output::line(&format!("Added user `{}` to token `{label}`.", output::plain(user)))?;
    output::line("Programs log in by that name through C_LoginUser; the objects are the same for every user.")
}

fn remove(context: &Context, label: &str, user: &str, yes: bool) -> Result<(), Failure> {
    confirm(yes, &format!("Take user `{}` away from token `{label}`? Objects stay.", output::plain(user)))?;
    order(context, label, &Order::Remove(user))?;
    if context.global.json {
        return output::json(&json!({ "token": label, "removed": user }));
    }
    output::line(&format!("Removed user `{}` from token `{label}`.", output::plain(user)))
}

fn roles(context: &Context, label: &str, user: &str, roles: &[String]) -> Result<(), Failure> {
    order(context, label, &Order::Roles(user, roles))?;
    if context.global.json {
        return output::json(&json!({ "token": label, "user": user, "roles": roles }));
    }
    let what = if roles.is_empty() { "no roles".to_owned() } else { format!("the roles {}", roles.join(", ")) };
    output::line(&format!("User `{}` of token `{label}` has {what} from the next login on.", output::plain(user)))
}

fn list(context: &Context, label: &str) -> Result<(), Failure> {
    let token = context.existing_tokens()?.token(label)?;
    if token.officer.is_none() {
        return Err("the server tells its administrators alone who has a PIN".into());
    }
    if context.global.json {
        let describe = |user: &User| json!({ "user": user.name, "roles": user.roles, "pin": pin_json(user.pin) });
        return output::json(&token.users.iter().map(describe).collect::<Vec<_>>());
    }
    let row = |user: &User| [output::plain(&user.name), user.roles.join(", "), pin_words(user.pin)];
    let rows = token.users.iter().map(row).collect();
    output::table(["USER", "ROLES", "PIN"], rows, "No user has a PIN.")
}

/// Runs `kmss token unlock`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn unlock(context: &Context, label: &str, user: &str) -> Result<(), Failure> {
    order(context, label, &Order::Unlock(user))?;
    if context.global.json {
        return output::json(&json!({ "token": label, "unlocked": user }));
    }
    output::line(&format!(
        "User `{}` of token `{label}` may try again; PIN and objects are untouched.",
        output::plain(user)
    ))
}

/// Does what the security officer of a token orders.
fn order(context: &Context, label: &str, order: &Order<'_>) -> Result<(), Failure> {
    let tokens = context.existing_tokens()?;
    let token = tokens.token(label)?.namespace;
    tokens.order(&token, &context.so_pin(label)?, order)
}
