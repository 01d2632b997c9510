//! `kmss policy explain`: which rule decides on what an audit record tells of, and why.

use libkmss::audit::{AuditTail, Entry, Filter, SegmentId};
use libkmss::kms::Kms;
use libkmss::kms::past::{Candidate, Judgement, PastRequest, Writer, judge};
use serde_json::{Value, json};

use super::ask::Ask;
use super::{content, offline};
use crate::args::ExplainArgs;
use crate::context::Context;
use crate::output::{self, Failure};

/// Fewest digits of a hash that name a record.
const DIGITS: usize = 8;

/// Runs `kmss policy explain`.
///
/// # Errors
/// There is no such record, or nothing in it that policies decide; the policy cannot be read.
pub(super) fn run(context: &Context, args: &ExplainArgs) -> Result<(), Failure> {
    if let (Some(ask), Some(policy)) = (Ask::of(&args.request)?, &args.policy) {
        return offline::explain(context, &ask, args, policy);
    }
    let kms = context.kms()?;
    let (entry, writer) = find(context, args.record.as_deref().unwrap_or_default())?;
    let requests = PastRequest::all_of(&entry, &writer).ok_or("too much of this record was cut off to ask a policy")?;
    if requests.is_empty() {
        return Err(
            "policies have no say in what this record tells of; of an operation, its last record is asked".into()
        );
    }
    let candidate = match &args.policy {
        Some(file) => Some(kms.candidate(&file.display().to_string(), &content::read(file)?)?),
        None => None,
    };
    let mut all = Vec::new();
    for request in &requests {
        let explained = explain(&kms, request, candidate.as_ref())?;
        if context.global.json {
            all.push(explained.json(request));
        } else {
            explained.tell(request)?;
        }
    }
    match (context.global.json, all.as_slice()) {
        (false, _) => Ok(()),
        (true, [one]) => output::json(one),
        (true, all) => output::json(&all),
    }
}

/// The record of this name, and the process that wrote it.
fn find(context: &Context, name: &str) -> Result<(Entry, Writer), Failure> {
    let tail = AuditTail::new(Kms::audit_directory(context.config()?), Filter::default());
    let mut found = Vec::new();
    let mut current: (Option<SegmentId>, Writer) = (None, Writer::default());
    let mut look = |entry: &Entry, is: &dyn Fn(&Entry) -> bool| {
        if current.0.as_ref() != Some(&entry.segment) {
            current = (Some(entry.segment.clone()), Writer::default());
        }
        current.1.learn(&entry.record);
        if is(entry) && found.len() < 2 {
            found.push((entry.clone(), current.1.clone()));
        }
    };
    if let Some((segment, seq)) = name.split_once(':') {
        let segment: SegmentId = segment.parse().map_err(|_| no_name(name))?;
        let seq: u64 = seq.parse().map_err(|_| no_name(name))?;
        tail.visit_segment(&segment, &mut |entry| look(entry, &|entry| entry.record.seq == seq))?;
    } else {
        let digits = name.to_ascii_lowercase();
        if digits.len() < DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(no_name(name).into());
        }
        let is = |entry: &Entry| hash(entry).is_some_and(|hash| hash.starts_with(&digits));
        tail.visit(&mut |entry| look(entry, &is))?;
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(format!("there is no record `{name}`").into()),
        (Some(_), false) => Err(format!("several records are called `{name}`").into()),
    }
}

fn hash(entry: &Entry) -> Option<&str> {
    entry.raw.rsplit_once(",\"h\":\"").map(|(_, hash)| hash)
}

fn no_name(name: &str) -> String {
    let name = name.escape_debug();
    format!(
        "`{name}` names no record: write SEGMENT:SEQ as `kmss audit tail --ids` does, or at least {DIGITS} digits of its hash"
    )
}

/// Rules with their line, their sentence and what there is to say of them.
type Rules = Vec<(u32, String, String)>;

/// One decision, made again.
struct Explained {
    judged: Judgement,
    /// What each policy has to say beside the decision: its title, and its rules with line and reason.
    others: Vec<(String, Rules)>,
    /// Whether the policies are those that decided then; `None` where that is not known, or another policy is asked.
    same: Option<bool>,
}

fn explain(kms: &Kms, request: &PastRequest, candidate: Option<&Candidate>) -> Result<Explained, Failure> {
    let contexts = kms.context_keys()?;
    let names: Vec<&str> = request.names().collect();
    let (policies, same) = match candidate {
        Some(_) => (Vec::new(), None),
        None => {
            let namespaces = kms.namespaces()?;
            let namespace =
                namespaces.iter().find(|n| n.tenant == request.tenant && n.name == request.namespace).ok_or_else(
                    || format!("there is no token `{}` any more: name a policy with --policy", request.namespace),
                )?;
            let now = kms.policy_digest(namespace)?.ok_or_else(|| {
                format!("no policy was ever in force for token `{}`: its keys' attributes decide", namespace.name)
            })?;
            (kms.policies_asked(namespace, &names)?, request.set.as_ref().map(|then| *then == now))
        }
    };
    let asked: Vec<&Candidate> = candidate.into_iter().chain(&policies).collect();
    let judged = judge(&asked, request, contexts.of(request));
    let name = names.first().copied().unwrap_or_default();
    let others = asked.iter().map(|one| (one.title.clone(), one.others(request, name))).collect();
    Ok(Explained { judged, others, same })
}

impl Explained {
    fn tell(&self, request: &PastRequest) -> Result<(), Failure> {
        let plain = output::plain;
        let key = request.names().find(|name| !name.is_empty()).map(|name| format!(" key {}", plain(name)));
        let mechanism = request.mechanism.as_ref().map(|name| format!(" by {}", plain(name)));
        output::line(&format!(
            "{}  {} {}{}{} in {}/{}",
            output::time(request.time.0),
            plain(&request.principal),
            request.action.name(),
            key.unwrap_or_default(),
            mechanism.unwrap_or_default(),
            plain(&request.tenant),
            plain(&request.namespace),
        ))?;
        let why = |word: &str, rule: Option<&String>, reason: &str| {
            let rule = rule.map(|rule| format!(" by {}", plain(rule))).unwrap_or_default();
            let reason = if reason.is_empty() { String::new() } else { format!(": {}", plain(reason)) };
            format!("{word}{rule}{reason}")
        };
        let then = request.reason.as_deref().filter(|_| !request.allowed).unwrap_or_default();
        output::line(&format!("then  {}", why(word(request.allowed), request.rule.as_ref(), then)))?;
        let judged = &self.judged;
        let now = judged.allowed.map_or("not known", word);
        output::line(&format!("now   {}", why(now, judged.rule.as_ref(), &judged.reason)))?;
        if let Some(text) = &judged.text {
            output::line(&format!("      {}", plain(text)))?;
        }
        match self.same {
            Some(true) => output::line("      the policies are the ones that decided then")?,
            Some(false) => output::line("      the policies were changed since then")?,
            None => {}
        }
        for (title, others) in &self.others {
            for (line, text, reason) in others {
                output::line(&format!("{} line {line}: {} ({})", plain(title), plain(text), plain(reason)))?;
            }
        }
        Ok(())
    }

    fn json(&self, request: &PastRequest) -> Value {
        let judged = &self.judged;
        let others = self.others.iter().flat_map(|(title, rules)| {
            let each = rules.iter();
            each.map(move |(line, rule, why)| json!({ "policy": title, "line": line, "rule": rule, "why": why }))
        });
        json!({
            "record": format!("{}:{}", request.segment, request.seq),
            "principal": request.principal,
            "action": request.action.name(),
            "key": request.names().next(),
            "decision": judged.allowed.map(word),
            "rule": judged.rule,
            "line": judged.line,
            "text": judged.text,
            "reason": judged.reason,
            "not_recorded": judged.open.iter().map(|gap| gap.name()).collect::<Vec<_>>(),
            "then": {
                "decision": word(request.allowed),
                "rule": request.rule,
                "reason": request.reason,
                "policies": request.set,
            },
            "same_policies": self.same,
            "others": others.collect::<Vec<_>>(),
        })
    }
}

const fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}
