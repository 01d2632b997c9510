//! The thread that watches: it reads the audit, asks the rules, records what they say and sees to what is to be done.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use libkmss::audit::{AuditFollower, AuditNote, Irregularity, Verdict};
use libkmss::clock::{Clock, Timestamp};
use libkmss::config::{AgentSections, AlarmCondition};
use libkmss::kms::Kms;

use super::expiry::endings;
use super::measure::{Core, Restrainer, shown};
use super::memory::Memory;
use super::raised::Raised;
use super::rules::Rule;
use crate::error::{AgentError, told};
use crate::forward::{noticed, say};
use crate::home::{ALARMS, AgentHome};
use crate::status::Board;
use crate::stop::Stop;

/// The file of what the rules remember.
const FILE: &str = "alarms.json";
/// Records read at once.
const RECORDS: usize = 1_000;
/// Bytes read at once.
const BYTES: usize = 4 << 20;
/// How often the memory is stored while nothing is raised.
const STORE_EVERY: Duration = Duration::from_secs(5);
/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// Watches the audit of a home.
pub(crate) struct Watcher {
    rules: Vec<Rule>,
    memory: Memory,
    follower: AuditFollower,
    path: PathBuf,
    home: AgentHome,
    kms: Arc<Kms>,
    restrainer: Box<dyn Restrainer>,
    board: Board,
    clock: Arc<dyn Clock>,
    poll: Duration,
    verify_every: Option<Duration>,
    /// Raised, and not recorded yet.
    waiting: Vec<Raised>,
    stored: Duration,
    changed: bool,
    /// Both clocks at the last look.
    clocks: Option<(Timestamp, Duration)>,
}

impl Watcher {
    pub(crate) fn new(
        config: &AgentSections,
        kms: &Arc<Kms>,
        home: &AgentHome,
        board: &Board,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, AgentError> {
        let path = home.file(FILE);
        let (mut memory, whole) = Memory::load(&path);
        if !whole {
            say("alarms", "what they remembered cannot be read; they learn anew");
        }
        let names: Vec<&str> = config.alarms.iter().map(|rule| rule.name.as_str()).collect();
        memory.keep(&names);
        let settings = config.agent;
        let verify_every =
            (settings.verify_hours > 0).then(|| Duration::from_secs(u64::from(settings.verify_hours) * 3600));
        let this = Self {
            rules: config.alarms.iter().map(Rule::of).collect(),
            follower: AuditFollower::new(home.audit().to_owned(), memory.cursor()),
            memory,
            path,
            home: home.clone(),
            kms: Arc::clone(kms),
            restrainer: Box::new(Core(Arc::clone(kms))),
            board: board.clone(),
            clock: Arc::clone(clock),
            poll: Duration::from_millis(u64::from(settings.poll_ms)),
            verify_every,
            waiting: Vec::new(),
            stored: clock.monotonic(),
            changed: false,
            clocks: None,
        };
        if this.rules.is_empty() {
            // Nothing waits for rules that are no more.
            let _ = std::fs::remove_file(home.cursor(ALARMS));
        }
        Ok(this)
    }

    /// Watches until `stop`.
    pub(crate) fn run(&mut self, stop: &Stop) {
        loop {
            let more = self.step();
            if !more && stop.wait(self.poll) {
                break;
            }
            if stop.is_raised() {
                break;
            }
        }
        self.store();
    }

    /// Reads all there is.
    pub(crate) fn catch_up(&mut self) {
        while self.step() {}
        self.store();
    }

    /// One look; says whether there is more to read.
    fn step(&mut self) -> bool {
        if self.rules.is_empty() {
            return false;
        }
        let mut raised = Vec::new();
        let more = match self.follower.read(RECORDS, BYTES) {
            Ok(stretch) => {
                for followed in &stretch.records {
                    for rule in &self.rules {
                        raised.extend(rule.see(followed, self.memory.of(&rule.config.name)));
                    }
                }
                for irregularity in &stretch.irregularities {
                    raised.extend(self.gap(irregularity));
                }
                self.changed |= !stretch.records.is_empty();
                stretch.more
            }
            Err(e) => {
                self.failed(&told(&e));
                false
            }
        };
        raised.extend(self.look_at_clocks());
        raised.extend(self.look_for_expiry());
        raised.extend(self.verify());
        self.waiting.extend(raised);
        self.record();
        if self.changed && self.clock.monotonic().saturating_sub(self.stored) >= STORE_EVERY {
            self.store();
        }
        more
    }

    /// Puts alarms into the audit, and does what they ask for. What cannot be recorded waits.
    fn record(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let any = !waiting.is_empty();
        for raised in waiting {
            let measure = raised.measure.map(shown).unwrap_or_default();
            if let Err(e) = self.kms.note(&AuditNote::Alarm(&raised.record(&measure))) {
                self.failed(&told(&e));
                self.waiting.push(raised);
                continue;
            }
            self.board.change(|status| status.alarms = status.alarms.saturating_add(1));
            if let Some(measure) = raised.measure {
                // Recorded by the core, with its outcome.
                if let Err(e) = self.restrainer.restrain(&raised, measure) {
                    self.failed(&format!("alarm `{}`: {}: {}", raised.rule, shown(measure), told(&e)));
                }
            }
        }
        if any {
            self.board.announce();
            self.store();
        }
    }

    fn gap(&mut self, irregularity: &Irregularity) -> Vec<Raised> {
        let now = self.clock.now();
        let cause = match irregularity {
            Irregularity::Vanished(segment)
            | Irregularity::Changed(segment)
            | Irregularity::NoRecord(segment)
            | Irregularity::OutOfOrder { segment, .. } => segment.to_string(),
        };
        self.gaps(&cause, &noticed(irregularity), now)
    }

    fn gaps(&mut self, cause: &str, reason: &str, now: Timestamp) -> Vec<Raised> {
        let mut raised = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.config.when == AlarmCondition::AuditGap) {
            raised.extend(rule.notice(cause, reason.to_owned(), now, self.memory.of(&rule.config.name)));
        }
        raised
    }

    /// The wall clock must go as far as the one that never goes back.
    fn look_at_clocks(&mut self) -> Vec<Raised> {
        let now = (self.clock.now(), self.clock.monotonic());
        let Some(before) = self.clocks.replace(now) else { return Vec::new() };
        let passed = u64::try_from(now.1.saturating_sub(before.1).as_millis()).unwrap_or(u64::MAX);
        let back = before.0.0.saturating_add(passed).saturating_sub(now.0.0);
        let mut raised = Vec::new();
        for rule in &self.rules {
            if let AlarmCondition::ClockBack { tolerance_s } = rule.config.when
                && back > u64::from(tolerance_s) * 1000
            {
                let reason = format!("the clock of this host was set back by {back} ms");
                // Each time is one of its own.
                let cause = format!("clock {}", before.0.0);
                raised.extend(rule.notice(&cause, reason, now.0, self.memory.of(&rule.config.name)));
            }
        }
        raised
    }

    /// Once a day.
    fn look_for_expiry(&mut self) -> Vec<Raised> {
        let now = self.clock.now();
        let day = now.0 / DAY;
        let asks = |rule: &Rule| matches!(rule.config.when, AlarmCondition::Expiry { .. });
        if self.memory.looked_for_expiry == Some(day) || !self.rules.iter().any(asks) {
            return Vec::new();
        }
        let found = match endings(&self.kms) {
            Ok(found) => found,
            Err(e) => {
                self.failed(&format!("what expires cannot be looked for: {}", told(&e)));
                Vec::new()
            }
        };
        self.memory.looked_for_expiry = Some(day);
        self.changed = true;
        let mut raised = Vec::new();
        for rule in &self.rules {
            let AlarmCondition::Expiry { days } = rule.config.when else { continue };
            for one in &found {
                let Some(reason) = one.told(now, days) else { continue };
                let about = one.about.clone();
                let cause = about.object.as_ref().map(|(_, id, _)| id.clone()).unwrap_or_default();
                let said = rule.notice(&cause, reason, now, self.memory.of(&rule.config.name));
                raised.extend(said.map(|said| Raised { about, ..said }));
            }
        }
        raised
    }

    /// From time to time: what a reader notices on the way is not all that can be wrong.
    fn verify(&mut self) -> Vec<Raised> {
        let now = self.clock.now();
        let Some(every) = self.verify_every else { return Vec::new() };
        let asks = self.rules.iter().any(|rule| rule.config.when == AlarmCondition::AuditGap);
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        if !asks || self.memory.verified.is_some_and(|at| now.0.abs_diff(at.0) < every) {
            return Vec::new();
        }
        self.memory.verified = Some(now);
        self.changed = true;
        let report = self.kms.verify_audit(&mut |_| ());
        let what = match report.verdict {
            Verdict::Whole => return Vec::new(),
            Verdict::Tampered => "tampered with",
            Verdict::Unverified => "not to be verified in full",
        };
        let findings = report.findings.iter().map(ToString::to_string);
        let findings =
            findings.chain(report.errors.iter().cloned()).chain(report.segments.iter().flat_map(|segment| {
                let found = segment.findings.iter().map(move |one| format!("segment {}: {one}", segment.segment));
                found.chain(segment.error.iter().cloned())
            }));
        let first = findings.take(3).collect::<Vec<_>>().join("; ");
        self.gaps(&format!("verify {what}"), &format!("the audit trail is {what}: {first}"), now)
    }

    fn failed(&self, why: &str) {
        let new = self.board.change(|status| {
            let new = status.last_error.as_deref() != Some(why);
            status.last_error = Some(why.to_owned());
            new
        });
        if new {
            say("alarms", why);
        }
    }

    fn store(&mut self) {
        self.stored = self.clock.monotonic();
        if self.rules.is_empty() {
            return;
        }
        let cursor = self.follower.cursor().clone();
        let stored = self.memory.store(&self.path, self.home.mode(), &cursor);
        // Beside those of destinations, for whoever removes old segments.
        let stored = stored.and_then(|()| Ok(cursor.store(&self.home.cursor(ALARMS), self.home.mode())?));
        match stored {
            Ok(()) => self.changed = false,
            Err(e) => self.failed(&told(&e)),
        }
    }
}
