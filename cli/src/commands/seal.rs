//! `kmss seal`: the root key of a home, and who holds it.

use libkmss::seal::RootInfo;
use serde_json::json;

use crate::args::SealCommand;
use crate::context::Context;
use crate::output::{self, Failure};

/// Runs `kmss seal`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: SealCommand) -> Result<(), Failure> {
    match command {
        SealCommand::Status => {
            let status = context.seal_status()?;
            if context.global.json {
                return output::json(&json!({ "seal": status }));
            }
            if let Some(root) = &status.root {
                output::line(&format!("Root key {} (suite {}).", words(root), status.suite))?;
            }
            match &status.next {
                Some(next) => {
                    let holder = &next.holder;
                    output::line(&format!("A migration is under way to {}.", words(next)))?;
                    output::line(&format!("`kmss seal migrate --to {holder}` finishes it; until then both are needed."))
                }
                None => Ok(()),
            }
        }
        SealCommand::Migrate { to: None, .. } => {
            let kms = context.kms()?;
            let left = kms.abandon_seal()?;
            kms.close()?;
            if context.global.json {
                return output::json(&json!({ "abandoned": { "left_in_device": left } }));
            }
            output::line("The migration is given up. The root key is the one that it was.")?;
            told(left.as_deref(), "")
        }
        SealCommand::Migrate { to: Some(to), .. } => {
            let kms = context.kms()?;
            let report = kms.migrate_seal(&to, &mut |_| ())?;
            kms.close()?;
            if context.global.json {
                return output::json(&json!({ "migrated": report }));
            }
            let (now, records) = (report.root.as_ref().map(words).unwrap_or_default(), report.records);
            output::line(&format!("The root key is now {now}; {records} records were wrapped anew."))?;
            told(
                report.left_in_device.as_deref(),
                "The old root key is erased. Backups of the home from before still need it.",
            )
        }
    }
}

/// Says which key is left in an HSM, or else `otherwise`.
fn told(left: Option<&str>, otherwise: &str) -> Result<(), Failure> {
    match left {
        Some(key) => {
            let key = output::plain(key);
            output::line(&format!(
                "The key `{key}` could not be destroyed in the HSM: destroy it with the vendor's tool."
            ))
        }
        None if otherwise.is_empty() => Ok(()),
        None => output::line(otherwise),
    }
}

fn words(root: &RootInfo) -> String {
    let serial = root.serial.as_ref().map(|serial| format!(", serial {}", output::plain(serial))).unwrap_or_default();
    format!("{} in {}{serial}", root.key_id, output::plain(&root.holder))
}
