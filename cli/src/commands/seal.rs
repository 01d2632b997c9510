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
    let kms = context.kms()?;
    match command {
        SealCommand::Status => {
            let status = kms.seal_status()?;
            kms.close()?;
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
        SealCommand::Migrate { to } => {
            let report = kms.migrate_seal(&to, &mut |_| ())?;
            kms.close()?;
            if context.global.json {
                return output::json(&json!({ "migrated": report }));
            }
            let (now, records) = (report.root.as_ref().map(words).unwrap_or_default(), report.records);
            output::line(&format!("The root key is now {now}; {records} records were wrapped anew."))?;
            output::line("The old root key is erased. Backups of the home from before still need it.")
        }
    }
}

fn words(root: &RootInfo) -> String {
    let serial = root.serial.as_ref().map(|serial| format!(", serial {}", output::plain(serial))).unwrap_or_default();
    format!("{} in {}{serial}", root.key_id, output::plain(&root.holder))
}
