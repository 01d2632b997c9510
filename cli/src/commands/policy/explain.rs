//! `kmss policy explain`: which rule decides on what an audit record tells of, and why.

use std::path::PathBuf;

use libkmss::kms::past::Explanation;
use serde_json::Value;

use super::ask::Ask;
use super::{content, offline};
use crate::args::ExplainArgs;
use crate::context::Context;
use crate::output::{self, Failure};
use crate::site::Offer;

/// Runs `kmss policy explain`.
///
/// # Errors
/// There is no such record, or nothing in it that policies decide; the policy cannot be read.
pub(super) fn run(context: &Context, args: &ExplainArgs) -> Result<(), Failure> {
    if let (Some(ask), Some(policy)) = (Ask::of(&args.request)?, &args.policy) {
        return offline::explain(context, &ask, args, policy);
    }
    let read = |file: &PathBuf| Ok::<_, Failure>((file.display().to_string(), content::read(file)?));
    let candidate = args.policy.as_ref().map(read).transpose()?;
    let offer = candidate.as_ref().map(|(title, content)| Offer { title, content });
    let all = context.past()?.explain(args.record.as_deref().unwrap_or_default(), offer)?;
    if !context.global.json {
        return all.iter().try_for_each(tell);
    }
    let all: Vec<Value> = all.iter().map(report::json::explanation).collect();
    match all.as_slice() {
        [one] => output::json(one),
        all => output::json(&all),
    }
}

fn tell(said: &Explanation) -> Result<(), Failure> {
    let plain = output::plain;
    let key = said.names.iter().find(|name| !name.is_empty()).map(|name| format!(" key {}", plain(name)));
    let mechanism = said.mechanism.as_ref().map(|name| format!(" by {}", plain(name)));
    output::line(&format!(
        "{}  {} {}{}{} in {}/{}",
        output::time(said.time.0),
        plain(&said.principal),
        plain(&said.action),
        key.unwrap_or_default(),
        mechanism.unwrap_or_default(),
        plain(&said.tenant),
        plain(&said.namespace),
    ))?;
    let why = |word: &str, rule: Option<&String>, reason: &str| {
        let rule = rule.map(|rule| format!(" by {}", plain(rule))).unwrap_or_default();
        let reason = if reason.is_empty() { String::new() } else { format!(": {}", plain(reason)) };
        format!("{word}{rule}{reason}")
    };
    let (then, now) = (&said.then, &said.now);
    let reason = then.reason.as_deref().filter(|_| !then.allowed).unwrap_or_default();
    output::line(&format!("then  {}", why(word(then.allowed), then.rule.as_ref(), reason)))?;
    let decided = now.allowed.map_or("not known", word);
    output::line(&format!("now   {}", why(decided, now.rule.as_ref(), &now.reason)))?;
    if let Some(text) = &now.text {
        output::line(&format!("      {}", plain(text)))?;
    }
    match said.same_policies {
        Some(true) => output::line("      the policies are the ones that decided then")?,
        Some(false) => output::line("      the policies were changed since then")?,
        None => {}
    }
    said.others.iter().try_for_each(|one| {
        let (policy, rule, why) = (plain(&one.policy), plain(&one.rule), plain(&one.why));
        output::line(&format!("{policy} line {}: {rule} ({why})", one.line))
    })
}

const fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}
