//! Session keys are counted: one record when the key is made, one with counts when it goes, and one at least for every
//! second of use in between.
//!
//! Counting takes no lock: a key has one list per process of the kinds of use it saw, and each kind an atomic number.
//! Whoever counts a second after the last record writes the next, before its own result leaves. So a process that is
//! killed loses at most what was counted within the second after a record. A forked child counts for itself: what its
//! parent counted is the parent's to report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use once_cell::race::OnceBox;

use super::{Pipeline, Trace};
use crate::audit::{AuditSink, AuditSummary, MAX_USES, Outcome, SummaryKey, SummaryUse};
use crate::caller::{Caller, CallerName, Login};
use crate::clock::{Clock, Moment, Timestamp};
use crate::error::Result;
use crate::key::{Action, AuditMode, Object, Storage};
use crate::os::epoch;
use crate::permit::{Subject, Subjects};

/// The longest time, in milliseconds, for which uses are only counted.
const EVERY: u64 = 1_000;

/// The uses of a session key; hangs on its object, and reports what is left when that goes.
pub(super) struct Tally {
    audit: Arc<dyn AuditSink>,
    clock: Arc<dyn Clock>,
    key: SummaryKey,
    maker: Arc<CallerName>,
    /// Those of the process that made the key.
    counts: Counts,
}

/// The counts of one process.
struct Counts {
    epoch: u32,
    /// When the last record was written, by the wall clock, in milliseconds.
    since: AtomicU64,
    /// The same by the monotonic clock.
    written: AtomicU64,
    ended: AtomicBool,
    uses: OnceBox<Use>,
    /// Those of the processes forked from here.
    next: OnceBox<Counts>,
}

/// How often one kind of use was seen since the last record.
struct Use {
    who: Arc<CallerName>,
    action: Action,
    mechanism: Option<&'static str>,
    outcome: Outcome,
    rule: Option<Arc<str>>,
    count: AtomicU64,
    bytes: AtomicU64,
    next: OnceBox<Use>,
}

/// What was taken out of the counts to be written.
struct Taken<'a> {
    entry: &'a Use,
    count: u64,
    bytes: u64,
}

impl Pipeline {
    /// From now on the uses of `object`, a session key just made, are counted.
    pub(super) fn tally(&self, caller: &Caller, made: Moment, object: &Object) {
        let Some(key) = object.key() else { return };
        if object.storage == Storage::Ephemeral && key.audit == AuditMode::Normal && self.audit.summarizes() {
            object.uses.put(|| Tally {
                audit: Arc::clone(&self.audit),
                clock: Arc::clone(&self.clock),
                key: SummaryKey::of(object, key),
                maker: Arc::clone(caller.name()),
                counts: Counts::since(made),
            });
        }
    }
}

/// The tally that counts an operation instead of a record: it uses session keys alone, and went as it should.
pub(super) fn counted<'a>(trace: &Trace, subjects: &'a Subjects, outcome: Outcome) -> Option<&'a Tally> {
    let usual = matches!(outcome, Outcome::Success | Outcome::Begun | Outcome::Abandoned);
    let uses = matches!(trace.action, Action::Sign | Action::Verify | Action::Encrypt | Action::Decrypt | Action::Wrap)
        || matches!(trace.action, Action::Tokenize | Action::Detokenize | Action::ReadMasked);
    let (Subject::Object(object), true) = (&subjects.subject, usual && uses && trace.tags.is_empty()) else {
        return None;
    };
    match &subjects.also {
        Some(Subject::Object(also)) if also.storage == Storage::Ephemeral => object.uses.get(),
        Some(_) => None,
        None => object.uses.get(),
    }
}

/// The tally of a session key that is destroyed, which is the last thing it counts.
pub(super) fn ended<'a>(trace: &Trace, subjects: &'a Subjects) -> Option<&'a Tally> {
    match (&subjects.subject, trace.action) {
        (Subject::Object(object), Action::Destroy) if trace.tags.is_empty() => object.uses.get(),
        _ => None,
    }
}

impl Tally {
    /// Counts one operation, and writes what was counted where the last record is old enough.
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`](crate::error::ErrorKind::AuditUnavailable): the operation must be refused, and was
    /// not counted.
    pub(super) fn count(&self, caller: &Caller, trace: &mut Trace, outcome: Outcome) -> Result<()> {
        let counts = self.counts();
        let entry = counts.add(caller, trace, outcome);
        let now = milliseconds(trace.looked.take().unwrap_or_else(|| self.clock.rough().monotonic));
        let last = counts.written.load(Ordering::Relaxed);
        if now.saturating_sub(last) < EVERY
            || counts.written.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Ok(());
        }
        self.write(counts, false).inspect_err(|_| {
            counts.written.store(last, Ordering::Relaxed);
            entry.take_back(trace);
        })
    }

    /// Counts the key's destruction and writes the last record.
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`](crate::error::ErrorKind::AuditUnavailable): the key was not destroyed.
    pub(super) fn end(&self, caller: &Caller, trace: &Trace) -> Result<()> {
        let counts = self.counts();
        if counts.has_any() {
            let entry = counts.add(caller, trace, Outcome::Success);
            self.write(counts, true).inspect_err(|_| entry.take_back(trace))?;
        } else {
            // Nothing was counted since the last record: this is all that there is to say.
            let since = Timestamp(counts.since.load(Ordering::Relaxed));
            let (Trace { action, mechanism, rule, bytes, .. }, outcome) = (trace, Outcome::Success);
            let rule = rule.as_deref().unwrap_or_default();
            let only = SummaryUse { action: *action, mechanism: *mechanism, outcome, rule, count: 1, bytes: *bytes };
            let who = (caller.principal.name.as_str(), &caller.login);
            self.summarize((self.clock.now(), since), who, &[only], true)?;
        }
        counts.ended.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The counts of this process.
    fn counts(&self) -> &Counts {
        let mut counts = &self.counts;
        while counts.epoch != epoch() {
            counts = counts.next.get_or_init(|| Box::new(Counts::since(self.clock.rough())));
        }
        counts
    }

    /// Writes everything counted since the last record: one record for each principal, nearly always one.
    fn write(&self, counts: &Counts, ended: bool) -> Result<()> {
        let time = self.clock.now();
        let since = Timestamp(counts.since.load(Ordering::Relaxed));
        let mut left = counts.take();
        let mut first = true;
        while let Some(who) =
            left.first().map_or_else(|| (first && ended).then_some(&self.maker), |t| Some(&t.entry.who))
        {
            let (mut now, mut later): (Vec<Taken<'_>>, Vec<Taken<'_>>) =
                left.into_iter().partition(|t| t.entry.who.is_same(who));
            later.extend(now.drain(MAX_USES.min(now.len())..));
            let uses: Vec<SummaryUse<'_>> = now.iter().map(Taken::summary).collect();
            let name = (who.principal.name.as_str(), &who.login);
            let recorded = self.summarize((time, since), name, &uses, ended && later.is_empty());
            if recorded.is_err() {
                now.iter().chain(&later).for_each(Taken::give_back);
                return recorded;
            }
            (left, first) = (later, false);
        }
        counts.since.store(time.0, Ordering::Relaxed);
        Ok(())
    }
}

impl Tally {
    fn summarize(
        &self,
        (time, since): (Timestamp, Timestamp),
        (principal, login): (&str, &Login),
        uses: &[SummaryUse<'_>],
        ended: bool,
    ) -> Result<()> {
        let (namespace, key) = (&*self.maker.namespace, &self.key);
        self.audit.summarize(&AuditSummary { time, since, principal, login, namespace, key, uses, ended })
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        for counts in std::iter::successors(Some(&self.counts), |counts| counts.next.get()) {
            if counts.epoch == epoch() && (!counts.ended.load(Ordering::Relaxed) || counts.has_any()) {
                // Nobody is left to be told of a failure; the sink counts it among what it lost.
                let _ = self.write(counts, true);
            }
        }
    }
}

impl Counts {
    fn since(moment: Moment) -> Self {
        Self {
            epoch: epoch(),
            since: AtomicU64::new(moment.wall.0),
            written: AtomicU64::new(milliseconds(moment.monotonic)),
            ended: AtomicBool::new(false),
            uses: OnceBox::new(),
            next: OnceBox::new(),
        }
    }

    /// Counts what `trace` did.
    fn add(&self, caller: &Caller, trace: &Trace, outcome: Outcome) -> &Use {
        let entry = self.entry(caller, trace, outcome);
        // The bytes first: whoever takes the count for a record takes them along.
        entry.bytes.fetch_add(trace.bytes, Ordering::Relaxed);
        entry.count.fetch_add(1, Ordering::Release);
        entry
    }

    /// The number for what `trace` did.
    fn entry(&self, caller: &Caller, trace: &Trace, outcome: Outcome) -> &Use {
        let mut place = &self.uses;
        loop {
            let entry = place.get_or_init(|| {
                Box::new(Use {
                    who: Arc::clone(caller.name()),
                    action: trace.action,
                    mechanism: trace.mechanism,
                    outcome,
                    rule: trace.rule.clone(),
                    count: AtomicU64::new(0),
                    bytes: AtomicU64::new(0),
                    next: OnceBox::new(),
                })
            });
            if (entry.action, entry.outcome) == (trace.action, outcome)
                && same(entry.mechanism, trace.mechanism)
                && entry.rule == trace.rule
                && entry.who.is_same(caller.name())
            {
                return entry;
            }
            place = &entry.next;
        }
    }

    fn uses(&self) -> impl Iterator<Item = &Use> {
        std::iter::successors(self.uses.get(), |entry| entry.next.get())
    }

    fn has_any(&self) -> bool {
        self.uses().any(|entry| entry.count.load(Ordering::Relaxed) > 0)
    }

    fn take(&self) -> Vec<Taken<'_>> {
        let taken = self.uses().map(|entry| Taken {
            entry,
            count: entry.count.swap(0, Ordering::Acquire),
            bytes: entry.bytes.swap(0, Ordering::Relaxed),
        });
        taken.filter(|t| t.count > 0 || t.bytes > 0).collect()
    }
}

impl Use {
    /// Takes back what was counted of `trace` and could not be written.
    fn take_back(&self, trace: &Trace) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(trace.bytes, Ordering::Relaxed);
    }
}

impl Taken<'_> {
    fn summary(&self) -> SummaryUse<'_> {
        let Use { action, mechanism, outcome, rule, .. } = self.entry;
        let (action, mechanism, outcome) = (*action, *mechanism, *outcome);
        let rule = rule.as_deref().unwrap_or_default();
        SummaryUse { action, mechanism, outcome, rule, count: self.count, bytes: self.bytes }
    }

    fn give_back(&self) {
        self.entry.bytes.fetch_add(self.bytes, Ordering::Relaxed);
        self.entry.count.fetch_add(self.count, Ordering::Release);
    }
}

/// Whether two names are the same; nearly always they are one constant.
fn same(one: Option<&'static str>, other: Option<&'static str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => std::ptr::eq(one, other) || one == other,
        (one, other) => one == other,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
