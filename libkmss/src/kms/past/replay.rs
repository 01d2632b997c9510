//! A candidate's decisions on all requests of the past, held against those that were made.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Candidate, ContextKeys, PastRequest, Writer, judge};
use crate::audit::{Entry, SegmentId};
use crate::clock::Timestamp;
use crate::policy::Obligation;

/// Most groups of changes that are kept; others are only counted.
const GROUPS: usize = 10_000;

/// What a candidate would have changed.
#[derive(Debug)]
pub struct Replay<'a> {
    candidates: [&'a Candidate; 1],
    contexts: &'a ContextKeys,
    /// From when on, and until when (not including it), records count.
    within: (Timestamp, Timestamp),
    /// The process that writes, by segment; they are read one after the other.
    writer: (Option<SegmentId>, Writer),
    changes: BTreeMap<Group, Change>,
    counted: Replayed,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Decisions that it was asked for.
    pub asked: u64,
    /// Decisions that would be the same.
    pub same: u64,
    /// Decisions that would be others.
    pub changed: u64,
    /// Decisions that depend on what records do not say.
    pub undecided: u64,
    /// How many depend on which part of the request; one may depend on several.
    pub lacking: BTreeMap<String, u64>,
    /// The first record that could not be decided.
    pub undecided_example: Option<String>,
    /// Records of which too much was cut off.
    pub unreadable: u64,
    /// Allowed decisions with duties that are not tried again, by duty.
    pub duties: BTreeMap<String, u64>,
    /// What would change, the most frequent first.
    pub changes: Vec<Change>,
    /// Changes beyond those that are kept.
    pub more: u64,
}

type Group = (String, String, &'static str, String, String, bool, Option<String>);

/// One kind of changed decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Who asked.
    pub principal: String,
    /// What was done.
    pub action: String,
    /// The tenant.
    pub tenant: String,
    /// The namespace.
    pub namespace: String,
    /// The key's name; empty where there is no key.
    pub key: String,
    /// `allow` or `deny`, as it was decided then.
    pub then: String,
    /// The same, as the candidate decides.
    pub now: String,
    /// The candidate's rule.
    pub rule: Option<String>,
    /// Why it decides so.
    pub reason: String,
    /// How many decisions.
    pub count: u64,
    /// One of their records, `SEGMENT:SEQ`.
    pub example: String,
    /// When the first and the last of them were.
    pub first: Timestamp,
    /// See `first`.
    pub last: Timestamp,
}

impl<'a> Replay<'a> {
    /// Nothing tried yet.
    #[must_use]
    pub fn new(candidate: &'a Candidate, contexts: &'a ContextKeys, within: (Timestamp, Timestamp)) -> Self {
        Self {
            candidates: [candidate],
            contexts,
            within,
            writer: (None, Writer::default()),
            changes: BTreeMap::new(),
            counted: Replayed::default(),
        }
    }

    /// Tries what one record tells of. All records of a segment must come, in their order; `wanted` are tried.
    pub fn take(&mut self, entry: &Entry, wanted: bool) {
        let (segment, writer) = &mut self.writer;
        if segment.as_ref() != Some(&entry.segment) {
            (*segment, *writer) = (Some(entry.segment.clone()), Writer::default());
        }
        writer.learn(&entry.record);
        let (from, until) = self.within;
        if !wanted || entry.record.time < from || entry.record.time >= until {
            return;
        }
        match PastRequest::all_of(entry, &self.writer.1) {
            None => self.counted.unreadable += 1,
            Some(requests) => requests.iter().for_each(|request| self.ask(request)),
        }
    }

    /// What came of it.
    #[must_use]
    pub fn finish(self) -> Replayed {
        let mut changes: Vec<Change> = self.changes.into_values().collect();
        changes.sort_by_key(|change| std::cmp::Reverse(change.count));
        Replayed { changes, ..self.counted }
    }

    fn ask(&mut self, request: &PastRequest) {
        let count = request.count;
        self.counted.asked += count;
        let judged = judge(&self.candidates, request, self.contexts.of(request));
        let place = || format!("{}:{}", request.segment, request.seq);
        let Some(allowed) = judged.allowed else {
            self.counted.undecided += count;
            for gap in judged.open {
                *self.counted.lacking.entry(gap.name().to_owned()).or_default() += count;
            }
            self.counted.undecided_example.get_or_insert_with(place);
            return;
        };
        for duty in judged.obligations.iter().filter_map(duty) {
            *self.counted.duties.entry(duty.to_owned()).or_default() += count;
        }
        if allowed == request.allowed {
            self.counted.same += count;
            return;
        }
        self.counted.changed += count;
        let key = request.names().next().unwrap_or_default().to_owned();
        let (principal, action) = (request.principal.clone(), request.action.name());
        let (tenant, namespace) = (request.tenant.clone(), request.namespace.clone());
        let group =
            (principal.clone(), tenant.clone(), action, namespace.clone(), key.clone(), allowed, judged.rule.clone());
        if self.changes.len() >= GROUPS && !self.changes.contains_key(&group) {
            self.counted.more += count;
            return;
        }
        let change = self.changes.entry(group).or_insert_with(|| Change {
            principal,
            action: action.to_owned(),
            tenant,
            namespace,
            key,
            then: word(request.allowed).to_owned(),
            now: word(allowed).to_owned(),
            rule: judged.rule,
            reason: judged.reason,
            count: 0,
            example: place(),
            first: request.time,
            last: request.time,
        });
        change.count += count;
        change.first = change.first.min(request.time);
        change.last = change.last.max(request.time);
    }
}

/// `allow` or `deny`.
const fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

/// What is not tried again.
const fn duty(obligation: &Obligation) -> Option<&'static str> {
    match obligation {
        Obligation::RateLimit { .. } => Some("rate"),
        Obligation::StepUp => Some("mfa"),
        Obligation::Quorum { .. } => Some("approvals"),
        Obligation::SessionExpiry(_) => Some("session expiry"),
        Obligation::Mask(_) => Some("mask"),
        Obligation::AuditTag(_) | Obligation::Notify(_) | Obligation::MaximumData(_) => None,
    }
}
