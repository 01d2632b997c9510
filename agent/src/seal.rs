//! The thread that seals: what was recorded becomes part of the signed log within a second or so, and its checkpoints go to
//! the anchors.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use libkmss::audit::seal::SealOptions;
use libkmss::clock::{Clock as _, SystemClock};
use libkmss::config::AgentSections;
use libkmss::error::ErrorKind;
use libkmss::kms::Kms;

use crate::error::told;
use crate::forward::say;
use crate::status::Board;
use crate::stop::Stop;

/// Most records that one checkpoint adds.
const RECORDS: usize = 10_000;
/// How often old segments are looked at.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// Segments that are compressed, or removed, before the next sealing.
const SEGMENTS: usize = 2;

/// Seals the audit of a home.
pub(crate) struct Sealing {
    config: AgentSections,
    kms: Arc<Kms>,
    board: Board,
    every: Duration,
    /// What went wrong, and was said already.
    said: BTreeSet<String>,
    clock: SystemClock,
    /// When old segments are looked at again, by the monotonic clock.
    keep_due: Duration,
}

impl Sealing {
    /// `None` where the configuration leaves it to others.
    pub(crate) fn new(config: &AgentSections, kms: &Arc<Kms>, board: &Board) -> Option<Self> {
        let seconds = config.agent.seal_s;
        let every = Duration::from_secs(u64::from(seconds));
        let (config, kms, board) = (config.clone(), Arc::clone(kms), board.clone());
        let (said, clock, keep_due) = (BTreeSet::new(), SystemClock::default(), Duration::ZERO);
        (seconds > 0).then_some(Self { config, kms, board, every, said, clock, keep_due })
    }

    /// Seals until `stop`.
    pub(crate) fn run(&mut self, stop: &Stop) {
        loop {
            let more = self.step();
            if stop.is_raised() || (!more && stop.wait(self.every)) {
                return;
            }
        }
    }

    /// Seals all there is.
    pub(crate) fn catch_up(&mut self) {
        while self.step() {}
    }

    /// Signs one checkpoint where there is anything new, and brings it to the anchors for which it is time; says whether there is
    /// more to seal.
    fn step(&mut self) -> bool {
        let mut wrong = BTreeSet::new();
        let options = SealOptions { limit: RECORDS, ..SealOptions::default() };
        let more = match self.kms.seal_audit(&options) {
            Ok(sealed) => {
                let of = |segment: &dyn std::fmt::Display, finding: &dyn std::fmt::Display| {
                    format!("segment {segment}: {finding}; it is not sealed any further")
                };
                wrong.extend(sealed.contradictions.iter().map(|bad| of(&bad.segment, &bad.finding)));
                if !sealed.checkpoint.is_empty() {
                    for anchor in audit_anchor::tell_all(&self.kms, &self.config.anchors, false) {
                        wrong.extend(anchor.size.err().map(|e| format!("anchor `{}`: {}", anchor.name, told(&e))));
                    }
                }
                sealed.more && !sealed.busy
            }
            Err(e) => {
                wrong.insert(told(&e));
                false
            }
        };
        wrong.extend(self.keep());
        for new in wrong.difference(&self.said) {
            say("seal", new);
            self.board.change(|status| status.last_error = Some(new.clone()));
            self.board.announce();
        }
        self.said = wrong;
        more
    }

    /// Compresses and removes what the configuration says, a little at a time; what went wrong.
    fn keep(&mut self) -> Option<String> {
        let now = self.clock.monotonic();
        if now < self.keep_due {
            return None;
        }
        self.keep_due = now.saturating_add(KEEP_EVERY);
        match self.kms.keep_audit(SEGMENTS) {
            Ok(kept) => {
                let compressed = kept.compressed.map_or(0, |done| done.segments);
                let removed = kept.pruned.map_or(0, |done| done.segments.len() as u64);
                if compressed + removed >= SEGMENTS as u64 {
                    // There may be more.
                    self.keep_due = Duration::ZERO;
                }
                None
            }
            // Somebody does it by hand.
            Err(e) if e.kind() == ErrorKind::Busy => None,
            Err(e) => Some(format!("old segments: {}", told(&e))),
        }
    }
}
