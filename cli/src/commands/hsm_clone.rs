//! `kmss hsm clone`: the keys of a token that lack a replica in a group of HSMs.

use std::process::ExitCode;
use std::sync::Arc;

use libkmss::backend::Replication;
use libkmss::key::Object;
use libkmss::operation::{ObjectRef, Replicate};
use libkmss::tenant::BackendId;
use serde_json::{Value, json};

use super::hsm::{each_key, remains, survey_of};
use crate::args::CloneArgs;
use crate::context::Context;
use crate::output::{self, Failure, plain};

/// Exit code where a key lacks a replica still, or can still be taken out of an HSM.
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
    // What earlier attempts left in the members.
    let group = BackendId(args.group.clone().into());
    let there = if args.dry_run { Vec::new() } else { survey_of(context, &kms, &caller, &group)? };
    let (all, mut lacking) = (wanted.len(), 0_usize);
    for (done, object) in wanted.iter().enumerate() {
        if done > 0 && done % EACH == 0 {
            output::progress(&format!("{done} of {all} keys"));
        }
        let name = object.key().map_or_else(String::new, |key| key.name.clone());
        let ask = |make, remains| kms.perform(&caller, Replicate { key: ObjectRef::from(object), make, remains });
        let remains = remains(&there, object.id);
        let told = match ask(false, Vec::new()) {
            Ok(None) => continue,
            Ok(Some(told)) if args.dry_run || (is_whole(&told) && remains.is_empty()) => Ok(told),
            Ok(Some(_)) => ask(true, remains).map(Option::unwrap_or_default).map_err(|e| e.sentence()),
            Err(e) => Err(e.sentence()),
        };
        lacking += usize::from(told.as_ref().map_or(true, |told| !is_whole(told)));
        rows.push(Row { name, told });
    }
    kms.close()?;
    report(context, args, &rows)?;
    Ok(if lacking == 0 { ExitCode::SUCCESS } else { ExitCode::from(IN_PART) })
}

/// Whether every member has the key, and none lets out what does not go out.
fn is_whole(told: &Replication) -> bool {
    told.lacking.is_empty() && told.open.is_empty()
}

fn report(context: &Context, args: &CloneArgs, rows: &[Row]) -> Result<(), Failure> {
    if context.global.json {
        return output::json(&rows.iter().map(value).collect::<Vec<_>>());
    }
    let places = |told: &Result<Replication, String>| match told {
        Ok(told) => {
            let lacking: Vec<_> = told.lacking.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            [&told.present.join(" "), &told.made.join(" "), &lacking.join("; "), &told.open.join(" ")]
                .map(|it| plain(it))
        }
        Err(why) => ["?".to_owned(), String::new(), plain(why), String::new()],
    };
    let line = |Row { name, told }: &Row| {
        let [present, made, lacking, open] = places(told);
        [plain(name), present, made, lacking, open]
    };
    let complete = |row: &&Row| row.told.as_ref().is_ok_and(|told| is_whole(told) && told.made.is_empty());
    let shown: Vec<_> = rows.iter().filter(|row| !complete(row)).map(line).collect();
    let whole = rows.iter().filter(complete).count();
    output::table(["KEY", "IN", "BROUGHT TO", "LACKING IN", "EXTRACTABLE IN"], shown, "No key lacks a replica.")?;
    output::line(&format!("{whole} of {} keys were in every member of `{}`", rows.len(), plain(&args.group)))
}

fn value(Row { name, told }: &Row) -> Value {
    match told {
        Ok(told) => {
            let lacking: Vec<_> = told.lacking.iter().map(|(hsm, why)| json!({ "hsm": hsm, "reason": why })).collect();
            json!({ "key": name, "in": told.present, "brought_to": told.made, "lacking": lacking, "extractable_in": told.open })
        }
        Err(why) => json!({ "key": name, "error": why }),
    }
}
