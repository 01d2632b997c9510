//! `kmss key label` and `kmss key rename`.

use libkmss::key::Object;
use serde_json::json;

use super::key;
use crate::args::NamedKey;
use crate::context::Context;
use crate::output::{self, Failure};

/// Gives every part of a key another label.
///
/// # Errors
/// There is no such key, or it may not be modified.
pub(super) fn label(context: &Context, named: &NamedKey, label: &str) -> Result<(), Failure> {
    let objects = context.objects(&named.token.token)?;
    for part in key::require(&*objects, named)? {
        let object = Object { label: label.as_bytes().to_vec(), ..Object::clone(&part) };
        objects.update(&part, object)?;
    }
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "name": named.name, "label": label }));
    }
    output::line(&format!("Key `{}` is labelled `{}`; its name stays.", named.name, output::plain(label)))
}

/// Gives a key another name.
///
/// # Errors
/// There is no such key, or the name is taken.
pub(super) fn rename(context: &Context, named: &NamedKey, new_name: &str) -> Result<(), Failure> {
    if new_name.is_empty() {
        return Err("a name has at least one character".into());
    }
    let objects = context.objects(&named.token.token)?;
    let found = key::require(&*objects, named)?;
    let first = found.first().ok_or("the key is gone")?;
    objects.rename(first, new_name)?;
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "name": new_name, "former_name": named.name }));
    }
    output::line(&format!("Key `{}` is now named `{}`; its label stays.", named.name, output::plain(new_name)))
}
