//! `kmss policy trust`: whose bundles are taken.

use std::path::Path;

use libkmss::key::KeyComponents;
use libkmss::policy::Scope;
use libkmss::policy::bundle::PublisherKey;
use libkmss::policy::registry::LOCAL;
use libkmss::secret::Secret;
use serde_json::json;

use super::list;
use crate::args::{ScopeArgs, TrustCommand};
use crate::context::Context;
use crate::material::{self, Item};
use crate::output::{self, Failure};

/// Runs `kmss policy trust`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: &TrustCommand) -> Result<(), Failure> {
    match command {
        TrustCommand::Add { name, file: None, .. } if name == LOCAL => allow_local(context),
        TrustCommand::Add { file: None, .. } => Err("name the file with the publisher's public key".into()),
        TrustCommand::Add { name, file: Some(file), scope } => add(context, name, file, scope),
        TrustCommand::List => show(context),
        TrustCommand::Remove { name, scope } => remove(context, name, scope),
    }
}

fn add(context: &Context, name: &str, file: &Path, wanted: &ScopeArgs) -> Result<(), Failure> {
    let key = public_key(file)?;
    let id = key.id()?.to_string();
    let scope = wanted.required()?;
    let algorithm = key.algorithm().name();
    context.policies()?.trust(&scope, name, Some(key))?;
    if context.global.json {
        let mut value = json!({ "name": name, "publisher": id, "algorithm": algorithm });
        list::merge(&mut value, list::scope_json(&scope));
        return output::json(&value);
    }
    let scope = output::plain(&scope.to_string());
    output::line(&format!("Bundles of `{name}` ({algorithm}, {id}) are taken for {scope} and what lies within."))
}

fn allow_local(context: &Context) -> Result<(), Failure> {
    context.policies()?.trust(&Scope::Platform, LOCAL, None)?;
    if context.global.json {
        return output::json(&json!({ "name": LOCAL, "scope": "platform" }));
    }
    output::line("This home signs itself what is applied without a signature.")
}

fn show(context: &Context) -> Result<(), Failure> {
    let anchors = context.policies()?.publishers()?;
    if context.global.json {
        let mut values = Vec::new();
        for anchor in &anchors {
            let mut value = json!({
                "name": anchor.name,
                "publisher": anchor.identity,
                "algorithm": anchor.algorithm,
                "added": anchor.added,
                "added_by": anchor.added_by,
            });
            list::merge(&mut value, list::scope_json(&anchor.scope));
            values.push(value);
        }
        return output::json(&values);
    }
    let mut rows = Vec::new();
    for anchor in &anchors {
        rows.push([
            output::plain(&anchor.name),
            output::plain(&anchor.scope.to_string()),
            output::plain(&anchor.algorithm),
            anchor.identity.clone(),
            output::time(anchor.added.0),
            output::plain(&anchor.added_by),
        ]);
    }
    output::table(["PUBLISHER", "FOR", "KEY", "IDENTITY", "ADDED (UTC)", "BY"], rows, "Nobody's bundles are taken yet.")
}

fn remove(context: &Context, name: &str, wanted: &ScopeArgs) -> Result<(), Failure> {
    let scope = match wanted.named() {
        None if name == LOCAL => Scope::Platform,
        _ => wanted.required()?,
    };
    context.policies()?.distrust(&scope, name)?;
    if context.global.json {
        return output::json(&json!({ "name": name, "scope": scope.to_string(), "removed": true }));
    }
    if name == LOCAL {
        return output::line("This home takes signed bundles only.");
    }
    output::line(&format!(
        "Bundles of `{}` are no longer taken for {}.",
        output::plain(name),
        output::plain(&scope.to_string())
    ))
}

/// The public key in a file, or the public half of a private one.
fn public_key(file: &Path) -> Result<PublisherKey, Failure> {
    let nobody = || -> Result<Secret, Failure> { Err("the file is encrypted: a public key is enough".into()) };
    let found = material::parse(&material::read(file)?, &nobody)?;
    let keys: Vec<KeyComponents> = found
        .into_iter()
        .filter_map(|incoming| match incoming.item {
            Item::Key(key) => Some(key),
            Item::Untyped(_) | Item::Certificate(_) => None,
        })
        .collect();
    match keys.as_slice() {
        [key] => Ok(PublisherKey::from_components(key)?),
        _ => Err(format!("`{}` does not hold one key", file.display()).into()),
    }
}
