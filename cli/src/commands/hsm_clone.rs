//! `kmss hsm clone`: the keys of a token that lack a replica in a group of HSMs.

use std::process::ExitCode;
use std::sync::Arc;

use libkmss::backend::Replication;
use libkmss::key::Object;
use libkmss::operation::{ObjectRef, Replicate};
use serde_json::{Value, json};

use super::hsm::each_key;
use crate::args::CloneArgs;
use crate::context::Context;
use crate::output::{self, Failure, plain};

/// Exit code where a key lacks a replica still.
const IN_PART: u8 = 4;
/// So many keys are gone through between two words about it.
const EACH: usize = 100;

/// A key and where it is; or why that is not known.
struct Row {
    name: String,
    told: Result<Replication, String>,
}

/// Goes through the keys of the token. Each is written down when it has its replicas, so that another run goes on where this
/// one ended.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, args: &CloneArgs) -> Result<ExitCode, Failure> {
    if !context.config()?.hsm_groups.iter().any(|group| group.name == args.group) {
        return Err(format!("no group `{}` is configured; `kmss hsm list` shows which are", args.group).into());
    }
    let (kms, caller) = context.user(&args.token.token)?;
    let mut wanted: Vec<Arc<Object>> = Vec::new();
    each_key(&kms, &caller, |object| {
        let here =
            |object: &Object| object.key().is_some_and(|key| key.versions.iter().any(|v| v.backend.0 == args.group));
        wanted.extend(here(object).then(|| Arc::clone(object)));
    })?;
    let mut rows = Vec::new();
    let (all, mut lacking) = (wanted.len(), 0_usize);
    for (done, object) in wanted.iter().enumerate() {
        if done > 0 && done % EACH == 0 {
            output::progress(&format!("{done} of {all} keys"));
        }
        let name = object.key().map_or_else(String::new, |key| key.name.clone());
        let ask = |make| kms.perform(&caller, Replicate { key: ObjectRef::from(object), make });
        let told = match ask(false) {
            Ok(None) => continue,
            Ok(Some(told)) if args.dry_run || told.lacking.is_empty() => Ok(told),
            Ok(Some(_)) => ask(true).map(Option::unwrap_or_default).map_err(|e| e.sentence()),
            Err(e) => Err(e.sentence()),
        };
        lacking += usize::from(told.as_ref().map_or(true, |told| !told.lacking.is_empty()));
        rows.push(Row { name, told });
    }
    kms.close()?;
    report(context, args, &rows)?;
    Ok(if lacking == 0 { ExitCode::SUCCESS } else { ExitCode::from(IN_PART) })
}

fn report(context: &Context, args: &CloneArgs, rows: &[Row]) -> Result<(), Failure> {
    if context.global.json {
        return output::json(&rows.iter().map(value).collect::<Vec<_>>());
    }
    let line = |Row { name, told }: &Row| match told {
        Ok(told) => {
            let lacking: Vec<_> = told.lacking.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            [plain(name), plain(&told.present.join(" ")), plain(&told.made.join(" ")), plain(&lacking.join("; "))]
        }
        Err(why) => [plain(name), "?".to_owned(), String::new(), plain(why)],
    };
    let complete = |row: &&Row| row.told.as_ref().is_ok_and(|told| told.lacking.is_empty() && told.made.is_empty());
    let shown: Vec<_> = rows.iter().filter(|row| !complete(row)).map(line).collect();
    let whole = rows.iter().filter(complete).count();
    output::table(["KEY", "IN", "BROUGHT TO", "LACKING IN"], shown, "No key lacks a replica.")?;
    output::line(&format!("{whole} of {} keys were in every member of `{}`", rows.len(), plain(&args.group)))
}

fn value(Row { name, told }: &Row) -> Value {
    match told {
        Ok(told) => {
            let lacking: Vec<_> = told.lacking.iter().map(|(hsm, why)| json!({ "hsm": hsm, "reason": why })).collect();
            json!({ "key": name, "in": told.present, "brought_to": told.made, "lacking": lacking })
        }
        Err(why) => json!({ "key": name, "error": why }),
    }
}
