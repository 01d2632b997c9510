//! Which rule decides on what an audit record tells of, and why.

use std::ops::ControlFlow;

use super::{Candidate, ContextKeys, Judgement, PastRequest, Writer, judge};
use crate::audit::{Entry, Filter, SegmentId};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::kms::Kms;

/// Fewest digits of a hash that name a record.
const DIGITS: usize = 8;

/// One decision that a record tells of, made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The record, `SEGMENT:SEQ`.
    pub record: String,
    /// When it was decided then.
    pub time: Timestamp,
    /// Who asked.
    pub principal: String,
    /// The word of the action.
    pub action: String,
    /// The key's name and those of the keys it is a copy of; one, empty, where there was no key.
    pub names: Vec<String>,
    /// The mechanism.
    pub mechanism: Option<String>,
    /// The tenant.
    pub tenant: String,
    /// The namespace's name.
    pub namespace: String,
    /// What was decided then.
    pub then: Then,
    /// What is decided now.
    pub now: Now,
    /// Whether the policies are those that decided then; `None` where that is not known, or another policy is asked.
    pub same_policies: Option<bool>,
    /// The rules that did not decide, where their text is known.
    pub others: Vec<OtherRule>,
}

/// A decision of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Then {
    /// Whether it was allowed, as far as policies are concerned.
    pub allowed: bool,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Names the policies that decided, in hex.
    pub policies: Option<String>,
}

/// The same decision, made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// Whether it is allowed; `None` where that depends on what the record does not say.
    pub allowed: Option<bool>,
    /// The rule that decides.
    pub rule: Option<String>,
    /// Its sentence, where the policy's text is known.
    pub text: Option<String>,
    /// Its line in that text.
    pub line: Option<u32>,
    /// Why.
    pub reason: String,
    /// What it depends on and the record does not say.
    pub not_recorded: Vec<String>,
}

/// A rule that did not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRule {
    /// What its policy is called.
    pub policy: String,
    /// Its line.
    pub line: u32,
    /// Its sentence.
    pub rule: String,
    /// Why it did not.
    pub why: String,
}

impl Kms {
    /// Every decision that a record tells of, made again by the policies in force today, or by `candidate` alone. The record is
    /// named `SEGMENT:SEQ`, or by at least eight digits of its hash: then the whole trail is read, for as long as `go_on` says
    /// so. Nothing comes of it where that ends early.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for what names no record, or several, or one that policies have no say in;
    /// [`ErrorKind::NotFound`] for a record, a token or policies that are not there; those of the store.
    pub fn explain_record(
        &self,
        name: &str,
        candidate: Option<&Candidate>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Explanation>> {
        let Some((entry, writer)) = self.find_record(name, go_on)? else { return Ok(Vec::new()) };
        let cut = || Error::new(ErrorKind::Arguments, "too much of this record was cut off to ask a policy");
        let requests = PastRequest::all_of(&entry, &writer).ok_or_else(cut)?;
        if requests.is_empty() {
            return Err(Error::new(
                ErrorKind::Arguments,
                "policies have no say in what this record tells of; of an operation, its last record is asked",
            ));
        }
        let contexts = self.context_keys()?;
        requests.iter().map(|request| self.explain_request(request, candidate, &contexts)).collect()
    }

    fn explain_request(
        &self,
        request: &PastRequest,
        candidate: Option<&Candidate>,
        contexts: &ContextKeys,
    ) -> Result<Explanation> {
        let names: Vec<&str> = request.names().collect();
        let missing = |why: String| Error::new(ErrorKind::NotFound, why);
        let (policies, same) = match candidate {
            Some(_) => (Vec::new(), None),
            None => {
                let (all, gone) = (self.namespaces()?, &request.namespace);
                let found = all.iter().find(|n| n.tenant == request.tenant && n.name == request.namespace);
                let namespace = found.ok_or_else(|| {
                    missing(format!("there is no token `{gone}` any more: name a policy with --policy"))
                })?;
                let none =
                    || missing(format!("no policy was ever in force for token `{gone}`: its keys' attributes decide"));
                let now = self.policy_digest(namespace)?.ok_or_else(none)?;
                (self.policies_asked(namespace, &names)?, request.set.as_ref().map(|then| *then == now))
            }
        };
        let asked: Vec<&Candidate> = candidate.into_iter().chain(&policies).collect();
        let judged = judge(&asked, request, contexts.of(request));
        let name = names.first().copied().unwrap_or_default();
        let others = asked.iter().flat_map(|one| {
            let rules = one.others(request, name).into_iter();
            rules.map(|(line, rule, why)| OtherRule { policy: one.title.clone(), line, rule, why })
        });
        Ok(Explanation::new(request, judged, same, others.collect()))
    }

    /// The record of this name, and the process that wrote it.
    fn find_record(&self, name: &str, go_on: &mut dyn FnMut() -> bool) -> Result<Option<(Entry, Writer)>> {
        let tail = self.audit_tail(Filter::default());
        let mut search = Search { found: Vec::new(), segment: None, writer: Writer::default() };
        let mut ended = false;
        let mut look = |entry: &Entry, is: &dyn Fn(&Entry) -> bool| {
            search.look(entry, is);
            ended = !go_on();
            // A third one would say nothing new.
            if ended || search.found.len() > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        if let Some((segment, seq)) = name.split_once(':') {
            let segment: SegmentId = segment.parse().map_err(|_| no_name(name))?;
            let seq: u64 = seq.parse().map_err(|_| no_name(name))?;
            // One segment is all there is to look at, whether or not that was enough.
            let _ = tail.visit_segment_while(&segment, &mut |entry| look(entry, &|one| one.record.seq == seq))?;
        } else {
            let digits = name.to_ascii_lowercase();
            if digits.len() < DIGITS || digits.len() > 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(no_name(name));
            }
            let is = |entry: &Entry| hash(entry).is_some_and(|hash| hash.starts_with(&digits));
            tail.visit_while(&mut |entry| look(entry, &is))?;
        }
        let mut found = search.found;
        match (found.pop(), found.is_empty()) {
            _ if ended => Ok(None),
            (Some(one), true) => Ok(Some(one)),
            (None, _) => Err(Error::new(ErrorKind::NotFound, format!("there is no record `{name}`"))),
            (Some(_), false) => Err(Error::new(ErrorKind::Arguments, format!("several records are called `{name}`"))),
        }
    }
}

/// What was found of the records of a name.
struct Search {
    found: Vec<(Entry, Writer)>,
    /// The segment that is read, and who writes it.
    segment: Option<SegmentId>,
    writer: Writer,
}

impl Search {
    fn look(&mut self, entry: &Entry, is: &dyn Fn(&Entry) -> bool) {
        if self.segment.as_ref() != Some(&entry.segment) {
            (self.segment, self.writer) = (Some(entry.segment.clone()), Writer::default());
        }
        self.writer.learn(&entry.record);
        if is(entry) {
            self.found.push((entry.clone(), self.writer.clone()));
        }
    }
}

fn hash(entry: &Entry) -> Option<&str> {
    entry.raw.rsplit_once(",\"h\":\"").map(|(_, hash)| hash)
}

fn no_name(name: &str) -> Error {
    let name: String = name.chars().take(128).collect();
    let name = name.escape_debug();
    let how = format!(
        "`{name}` names no record: write SEGMENT:SEQ as `kmss audit tail --ids` does, or at least {DIGITS} digits of its hash"
    );
    Error::new(ErrorKind::Arguments, how)
}

impl Explanation {
    fn new(request: &PastRequest, judged: Judgement, same_policies: Option<bool>, others: Vec<OtherRule>) -> Self {
        let not_recorded = judged.open.iter().map(|gap| gap.name().to_owned()).collect();
        let Judgement { allowed, rule, text, line, reason, .. } = judged;
        Self {
            record: format!("{}:{}", request.segment, request.seq),
            time: request.time,
            principal: request.principal.clone(),
            action: request.action.name().to_owned(),
            names: request.names().map(str::to_owned).collect(),
            mechanism: request.mechanism.clone(),
            tenant: request.tenant.clone(),
            namespace: request.namespace.clone(),
            then: Then {
                allowed: request.allowed,
                rule: request.rule.clone(),
                reason: request.reason.clone(),
                policies: request.set.clone(),
            },
            now: Now { allowed, rule, text, line, reason, not_recorded },
            same_policies,
            others,
        }
    }
}
