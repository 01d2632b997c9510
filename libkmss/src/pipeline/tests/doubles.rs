//! Doubles that write down what is asked of them, and fail when told to.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::audit::{AuditEvent, AuditSink, AuditSummary, Outcome};
use crate::caller::Caller;
use crate::clock::{Clock, Moment, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Alteration};
use crate::permit::Subject;
use crate::policy::{Decision, Obligation, PolicyEngine, PolicyRequest, QuorumRequest, RuleRate};
use crate::quota::{Demand, Limit, QuotaLedger, Refusal, Reservation};
use crate::store::{Batch, Change, Commit, Entry, MemoryStore, Revision, Store, StoreKey};

/// What happened, in order.
#[derive(Default)]
pub(super) struct Journal(Mutex<Vec<String>>);

impl Journal {
    pub(super) fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub(super) fn clear(&self) {
        drop(self.take());
    }
}

/// A policy that denies some actions, and has obligations for the rest.
pub(super) struct Judge {
    journal: Arc<Journal>,
    denied: Mutex<HashSet<&'static str>>,
    /// The name of keys that it allows nothing on.
    pub(super) dreads: Mutex<Option<&'static str>>,
    obligations: Mutex<Vec<Obligation>>,
    /// The lengths it was told, latest last.
    pub(super) lengths: Mutex<Vec<Option<u64>>>,
    /// Whether it has nothing to say.
    pub(super) silent: AtomicBool,
    /// Whether approvals are there.
    pub(super) approves: AtomicBool,
    /// The time for which approvals were asked last.
    pub(super) asked_at: AtomicU64,
    /// The least data that it allows.
    pub(super) least: AtomicU64,
    /// For which time what it says holds.
    pub(super) holds: Mutex<Option<Range<Timestamp>>>,
}

impl Judge {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        let (denied, obligations, lengths) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self {
            journal,
            denied,
            dreads: Mutex::default(),
            obligations,
            lengths,
            silent: AtomicBool::default(),
            approves: AtomicBool::default(),
            asked_at: AtomicU64::default(),
            least: AtomicU64::default(),
            holds: Mutex::default(),
        }
    }

    pub(super) fn deny(&self, action: Action) {
        self.denied.lock().unwrap().insert(action.name());
    }

    pub(super) fn oblige(&self, obligations: &[Obligation]) {
        *self.obligations.lock().unwrap() = obligations.to_vec();
    }
}

impl PolicyEngine for Judge {
    fn is_silent(&self, _: &Caller, _: u64) -> bool {
        let silent = self.silent.load(Ordering::SeqCst);
        if silent {
            self.journal.note("policy is silent".into());
        }
        silent
    }

    fn decide(&self, request: &PolicyRequest<'_>) -> Decision {
        let name = match request.subject {
            Subject::Object(object) => object.key().map_or("document", |key| &key.name),
            Subject::New(new) => &new.name,
            Subject::Namespace => "namespace",
        };
        self.journal.note(format!("policy {} {name}", request.action.name()));
        self.lengths.lock().unwrap().push(request.data_len);
        let least = self.least.load(Ordering::SeqCst);
        let short = least > 0 && request.data_len.is_none_or(|len| len < least);
        let dreaded = self.dreads.lock().unwrap().is_some_and(|dreads| dreads == name);
        if short || dreaded || self.denied.lock().unwrap().contains(request.action.name()) {
            return Decision::Deny {
                rule: Some("rule-no".into()),
                reason: "the rule says no".into(),
                notes: Vec::new(),
            };
        }
        let mut obligations = self.obligations.lock().unwrap().clone();
        let rates = obligations.extract_if(.., |o| matches!(o, Obligation::RateLimit { .. })).filter_map(|o| match o {
            Obligation::RateLimit { count, seconds } => Some(RuleRate { rule: "rule-yes".into(), count, seconds }),
            _ => None,
        });
        let rates = rates.collect();
        Decision::Allow { rule: Some("rule-yes".into()), obligations, rates, notes: Vec::new() }
    }

    fn holds(&self, _: &Caller) -> Option<Range<Timestamp>> {
        self.holds.lock().unwrap().clone()
    }

    fn asks_length(&self, _: &Caller) -> bool {
        self.least.load(Ordering::SeqCst) > 0
    }

    fn for_lengths(&self, request: &PolicyRequest<'_>, _: bool) -> Vec<Decision> {
        let length = self.least.load(Ordering::SeqCst);
        vec![self.decide(&PolicyRequest { data_len: Some(length), ..*request })]
    }

    fn approve(&self, quorums: &[QuorumRequest<'_>], data: Option<[u8; 32]>) -> Result<Vec<String>> {
        let data =
            data.map_or("nothing".to_owned(), |digest| digest.iter().take(4).map(|b| format!("{b:02x}")).collect());
        let actions: Vec<&str> = quorums.iter().map(|quorum| quorum.request.action.name()).collect();
        quorums.iter().for_each(|quorum| self.asked_at.store(quorum.request.time.0, Ordering::SeqCst));
        self.journal.note(format!("approve {} of {data}", actions.join(" and ")));
        if self.approves.load(Ordering::SeqCst) {
            return Ok(vec!["user:alice".to_owned()]);
        }
        Err(Error::new(ErrorKind::Denied, "nobody approved it"))
    }
}

/// A ledger with so many operations left.
pub(super) struct Budget {
    journal: Arc<Journal>,
    pub(super) left: Arc<AtomicI64>,
    /// The rates it was told.
    pub(super) limits: Mutex<Vec<Limit>>,
    /// The most bytes of one operation.
    pub(super) most: Arc<AtomicU64>,
    /// What the audit is to hear of the next reservation.
    pub(super) notice: Mutex<Option<&'static str>>,
    /// Whom it blocks, by the name of the block.
    pub(super) blocked: Mutex<Option<&'static str>>,
}

struct Held {
    journal: Arc<Journal>,
    left: Arc<AtomicI64>,
    most: Arc<AtomicU64>,
    notice: Option<&'static str>,
    settled: bool,
}

impl Budget {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            left: Arc::new(AtomicI64::new(100)),
            limits: Mutex::default(),
            most: Arc::new(AtomicU64::new(u64::MAX)),
            notice: Mutex::default(),
            blocked: Mutex::default(),
        }
    }
}

impl QuotaLedger for Budget {
    fn admit(&self, _: &Demand<'_>) -> Result<(), Refusal> {
        match *self.blocked.lock().unwrap() {
            Some(name) => Err(Refusal {
                rule: Some(format!("block:{name}").into()),
                error: Error::new(ErrorKind::Blocked, "an operator said no"),
                notices: Vec::new(),
            }),
            None => Ok(()),
        }
    }

    fn reserve(&self, demand: &Demand<'_>) -> Result<Option<Box<dyn Reservation>>, Refusal> {
        self.journal.note(format!("reserve {}", demand.action.name()));
        self.limits.lock().unwrap().extend_from_slice(demand.limits);
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.left.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::QuotaExceeded, "nothing is left").into());
        }
        let (journal, left, most) = (Arc::clone(&self.journal), Arc::clone(&self.left), Arc::clone(&self.most));
        let notice = self.notice.lock().unwrap().take();
        Ok(Some(Box::new(Held { journal, left, most, notice, settled: false })))
    }
}

impl Reservation for Held {
    fn extend(&mut self, bytes: u64, _: Timestamp) -> Result<(), Refusal> {
        if bytes > self.most.load(Ordering::SeqCst) {
            let error = Error::new(ErrorKind::QuotaExceeded, "too many bytes");
            return Err(Refusal { rule: Some("quota:bytes".into()), error, notices: Vec::new() });
        }
        Ok(())
    }

    fn notices(&mut self) -> Vec<String> {
        self.notice.take().map(|name| format!("quota-near:{name}")).into_iter().collect()
    }

    fn settle(mut self: Box<Self>, bytes: u64) {
        self.settled = true;
        self.journal.note(format!("settle {bytes}"));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.settled {
            self.left.fetch_add(1, Ordering::SeqCst);
            self.journal.note("return".into());
        }
    }
}

/// A record as it reached the audit.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) action: Action,
    pub(super) outcome: Outcome,
    pub(super) reason: String,
    pub(super) rule: String,
    pub(super) tags: Vec<String>,
    pub(super) duties: Vec<String>,
    pub(super) changes: Vec<Alteration>,
    pub(super) request: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) mechanism: Option<String>,
    pub(super) name: String,
    pub(super) also: Option<String>,
}

/// Which outcomes cannot be recorded.
type Trouble = fn(Outcome) -> bool;

/// An audit that may be out of order for some outcomes.
pub(super) struct Log {
    journal: Arc<Journal>,
    notes: Mutex<Vec<Noted>>,
    fails: Mutex<Option<Trouble>>,
    summaries: Mutex<Vec<String>>,
    /// Whether each use of a session key is to be an event.
    pub(super) each: AtomicBool,
    /// Of how many of several records it does not say what became of them.
    pub(super) silent_on: AtomicUsize,
}

impl Log {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            notes: Mutex::default(),
            fails: Mutex::default(),
            summaries: Mutex::default(),
            each: AtomicBool::new(false),
            silent_on: AtomicUsize::new(0),
        }
    }

    /// The summaries so far, each as one line.
    pub(super) fn summaries(&self) -> Vec<String> {
        self.summaries.lock().unwrap().clone()
    }

    pub(super) fn notes(&self) -> Vec<Noted> {
        self.notes.lock().unwrap().clone()
    }

    pub(super) fn fail(&self, when: Trouble) {
        *self.fails.lock().unwrap() = Some(when);
    }
}

fn name_of(subject: &Subject) -> String {
    match subject {
        Subject::Object(object) => object.key().map_or_else(String::new, |key| key.name.clone()),
        Subject::New(new) => format!("new {}", new.name),
        Subject::Namespace => String::new(),
    }
}

impl AuditSink for Log {
    fn wants(&self, _: Action, _: Outcome, _: &[String]) -> bool {
        true
    }

    fn record(&self, event: &AuditEvent<'_>) -> Result<()> {
        let word = match event.outcome {
            Outcome::Denied(_) => "denied".to_owned(),
            Outcome::Failed(_) => "failed".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        self.journal.note(format!("audit {} {word}", event.action.name()));
        if self.fails.lock().unwrap().is_some_and(|fails| fails(event.outcome)) {
            return Err(Error::new(ErrorKind::AuditUnavailable, "no space is left in the double"));
        }
        self.notes.lock().unwrap().push(Noted {
            action: event.action,
            outcome: event.outcome,
            reason: event.reason.to_owned(),
            rule: event.rule.to_owned(),
            tags: event.tags.to_vec(),
            duties: event.duties.to_vec(),
            changes: event.changes.to_vec(),
            request: event.request,
            bytes: event.data_len,
            mechanism: event.mechanism.map(str::to_owned),
            name: name_of(event.subject),
            also: event.also.map(name_of),
        });
        Ok(())
    }

    fn record_each(&self, events: &[AuditEvent<'_>]) -> Vec<Result<()>> {
        let told = events.len().saturating_sub(self.silent_on.load(Ordering::SeqCst));
        events.iter().take(told).map(|event| self.record(event)).collect()
    }

    fn summarizes(&self) -> bool {
        !self.each.load(Ordering::SeqCst)
    }

    fn summarize(&self, summary: &AuditSummary<'_>) -> Result<()> {
        self.journal.note("audit summary".into());
        if self.fails.lock().unwrap().is_some_and(|fails| fails(Outcome::Success)) {
            return Err(Error::new(ErrorKind::AuditUnavailable, "no space is left in the double"));
        }
        let uses = summary.uses.iter().map(|one| {
            let (mechanism, outcome) = (one.mechanism.unwrap_or_default(), format!("{:?}", one.outcome).to_lowercase());
            format!("{} {} {mechanism} {outcome} {} bytes", one.count, one.action.name(), one.bytes)
        });
        let ended = summary.ended.then(|| "ended".to_owned());
        let line = uses.chain(ended).collect::<Vec<_>>().join(", ");
        self.summaries.lock().unwrap().push(format!("{} {}: {line}", summary.principal, summary.login.name()));
        Ok(())
    }
}

/// A clock that is set by hand. Starts at noon of 2024-02-29.
pub(super) struct Watch {
    pub(super) wall: AtomicU64,
    pub(super) ticks: AtomicU64,
    /// How late the rough clock is.
    pub(super) late: AtomicU64,
}

impl Default for Watch {
    fn default() -> Self {
        Self { wall: AtomicU64::new(1_709_208_000_000), ticks: AtomicU64::new(0), late: AtomicU64::new(0) }
    }
}

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.ticks.load(Ordering::SeqCst))
    }

    fn rough(&self) -> Moment {
        self.begun()
    }

    fn begun(&self) -> Moment {
        let late = self.late.load(Ordering::SeqCst);
        Moment { wall: Timestamp(self.now().0 - late), monotonic: self.monotonic() }
    }
}

/// A store that writes commits down and can run out of space.
pub(super) struct Shelf {
    journal: Arc<Journal>,
    inner: MemoryStore,
    pub(super) full: AtomicBool,
    pub(super) odd: AtomicBool,
}

impl Shelf {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        let (full, odd) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { journal, inner: MemoryStore::default(), full, odd }
    }
}

impl Store for Shelf {
    fn get_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Entry>>> {
        self.inner.get_many(keys)
    }

    fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>> {
        self.inner.scan(prefix, after, limit)
    }

    fn commit(&self, batch: &Batch) -> Result<Commit> {
        self.journal.note("commit".into());
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Storage, "no space left"));
        }
        self.inner.commit(batch)
    }

    fn commit_each(&self, batches: &[Batch]) -> Result<Vec<Commit>> {
        match batches {
            [batch] => Ok(vec![self.commit(batch)?]),
            _ => {
                self.journal.note(format!("commit {}", batches.len()));
                if self.full.load(Ordering::SeqCst) {
                    return Err(Error::new(ErrorKind::Storage, "no space left"));
                }
                self.inner.commit_each(batches)
            }
        }
    }

    fn changes(&self, since: Revision, limit: usize) -> Result<Vec<Change>> {
        self.inner.changes(since, limit)
    }

    fn wait(&self, since: Revision, timeout: Duration) -> Result<Revision> {
        self.inner.wait(since, timeout)
    }

    fn generation(&self) -> u64 {
        self.inner.generation() + u64::from(self.odd.load(Ordering::SeqCst))
    }
}
