//! `kmss migrate softhsm`: keys, certificates and data of another PKCS#11 token, read through its module.
//!
//! Keys that may leave the other token leave it wrapped under a key that lives for this run only; they are never in clear
//! outside the two tokens. What may not leave is named.

mod destination;
mod found;
mod source;

use std::process::ExitCode;

use serde_json::json;

use self::destination::Destination;
use self::found::Found;
use self::source::Source;
use crate::args::MigrateArgs;
use crate::context::Context;
use crate::output::{self, Failure};
use crate::pin;

/// Exit code where something could not be taken over.
const IN_PART: u8 = 4;

/// What became of one object.
enum Outcome {
    /// It is there now, under this name or label.
    Taken(String),
    /// It was there before.
    Present,
    /// It would be taken over.
    Possible,
    /// It cannot be taken over.
    Refused(String),
}

impl Outcome {
    const fn word(&self, dry_run: bool) -> &'static str {
        match self {
            Self::Taken(_) => "taken over",
            Self::Present => "there already",
            Self::Possible if dry_run => "would be taken over",
            Self::Possible => "possible",
            Self::Refused(_) => "NOT TAKEN OVER",
        }
    }

    fn detail(&self) -> &str {
        match self {
            Self::Taken(name) | Self::Refused(name) => name,
            Self::Present | Self::Possible => "",
        }
    }
}

/// Runs `kmss migrate softhsm`.
///
/// # Errors
/// One of the tokens cannot be opened.
pub(super) fn run(context: &Context, args: &MigrateArgs) -> Result<ExitCode, Failure> {
    let what = format!("user PIN of the other token `{}`", args.from);
    let pin = pin::existing(&pin::Source {
        what: &what,
        env: args.from_pin_env.as_deref(),
        file: args.from_pin_file.as_deref(),
        default_env: "KMSS_FROM_PIN",
    })?;
    let source = Source::open(&args.module, &args.from, &pin)?;
    let objects = source.objects()?;
    let (kms, caller) = context.user(&args.token.token)?;
    let mut destination = Destination::new(&kms, &caller, &source, args.dry_run);
    let mut rows = Vec::with_capacity(objects.len());
    for found in &objects {
        let outcome = match destination.take(found, &objects) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Refused(chain(error.as_ref())),
        };
        rows.push((found, outcome));
    }
    kms.close()?;
    report(context, args, &rows)?;
    let refused = rows.iter().any(|(_, outcome)| matches!(outcome, Outcome::Refused(_)));
    Ok(if refused { ExitCode::from(IN_PART) } else { ExitCode::SUCCESS })
}

fn report(context: &Context, args: &MigrateArgs, rows: &[(&Found, Outcome)]) -> Result<(), Failure> {
    if context.global.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(found, outcome)| {
                json!({
                    "label": found.label_text(),
                    "class": found.kind.name(),
                    "type": found.type_text(),
                    "cka_id": output::hex(&found.identifier),
                    "outcome": outcome.word(args.dry_run),
                    "detail": outcome.detail(),
                })
            })
            .collect();
        return output::json(&rows);
    }
    let row = |(found, outcome): &(&Found, Outcome)| {
        [
            output::plain(&found.label_text()),
            found.kind.name().to_owned(),
            found.type_text(),
            output::hex(&found.identifier),
            outcome.word(args.dry_run).to_owned(),
            output::plain(outcome.detail()),
        ]
    };
    output::table(
        ["LABEL", "CLASS", "TYPE", "CKA_ID", "OUTCOME", "NAME OR REASON"],
        rows.iter().map(row).collect(),
        "The other token is empty.",
    )?;
    let refused = rows.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Refused(_))).count();
    if refused > 0 {
        output::line(&format!(
            "{refused} of {} objects cannot be taken over; everything else can, and may be run again at any time.",
            rows.len()
        ))?;
    }
    Ok(())
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}
