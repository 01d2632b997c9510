//! What the rules remember, in a file: how far they read, and what they saw. All of it is bounded.

use std::collections::BTreeMap;
use std::path::Path;

use libkmss::audit::{Cursor, Position, replace_file};
use libkmss::clock::Timestamp;
use libkmss::os::FileMode;
use serde::{Deserialize, Serialize};

use super::baseline::Baseline;
use crate::error::AgentError;

/// Version of the file.
const VERSION: u32 = 1;
/// Most causes of one rule that are remembered.
const MOST: usize = 10_000;
/// Most pairs of key and principal that are remembered.
const MOST_PAIRS: usize = 100_000;
/// Most names of records that are kept with a count.
const EVIDENCE: usize = 8;

/// Everything that outlives the process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    v: u32,
    /// Read up to here.
    segments: BTreeMap<String, Position>,
    /// Of each rule.
    rules: BTreeMap<String, Recollection>,
    /// The day of the last look for what expires.
    pub(super) looked_for_expiry: Option<u64>,
    /// When the audit was verified last.
    pub(super) verified: Option<Timestamp>,
}

/// What one rule remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Recollection {
    /// The first record it saw.
    pub(super) started: Option<Timestamp>,
    /// How much is usual.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) baselines: BTreeMap<String, Baseline>,
    /// What happened lately.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) lately: BTreeMap<String, Lately>,
    /// What was seen before, and when last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) seen: BTreeMap<String, Timestamp>,
    /// What was raised, and when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) raised: BTreeMap<String, Timestamp>,
}

/// What happened lately, one after the other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lately {
    /// When.
    times: Vec<Timestamp>,
    /// The names of the last records.
    evidence: Vec<String>,
}

impl Lately {
    /// Adds one; gives how many there were within `window` milliseconds, and the names of some.
    pub(super) fn add(&mut self, time: Timestamp, id: String, window: u64, most: usize) -> (usize, Vec<String>) {
        self.times.retain(|at| time.0.saturating_sub(at.0) < window);
        self.times.push(time);
        let over = self.times.len().saturating_sub(most);
        self.times.drain(..over);
        self.evidence.push(id);
        let over = self.evidence.len().saturating_sub(EVIDENCE.min(self.times.len()));
        self.evidence.drain(..over);
        (self.times.len(), self.evidence.clone())
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn newest(&self) -> Timestamp {
        self.times.last().copied().unwrap_or_default()
    }
}

impl Recollection {
    /// Whether the rule still only learns at `now`; the first record is what it learns from.
    pub(super) fn learns(&mut self, now: Timestamp, hours: u32) -> bool {
        let started = *self.started.get_or_insert(now);
        now.0.saturating_sub(started.0) < u64::from(hours) * 3_600_000
    }

    /// Whether `cause` was not raised within `dedupe` milliseconds before `now`; it counts as raised from then on.
    pub(super) fn is_new(&mut self, cause: &str, now: Timestamp, dedupe: u64) -> bool {
        let known = self.raised.get(cause).is_some_and(|at| now.0.abs_diff(at.0) < dedupe);
        if !known {
            self.raised.insert(cause.to_owned(), now);
            forget_oldest(&mut self.raised, MOST, |at| *at);
        }
        !known
    }

    /// What happened lately for `cause`.
    pub(super) fn lately(&mut self, cause: &str) -> &mut Lately {
        if !self.lately.contains_key(cause) {
            forget_oldest(&mut self.lately, MOST - 1, Lately::newest);
        }
        self.lately.entry(cause.to_owned()).or_default()
    }

    /// The baseline of `cause`.
    pub(super) fn baseline(&mut self, cause: &str) -> &mut Baseline {
        if !self.baselines.contains_key(cause) {
            forget_oldest(&mut self.baselines, MOST - 1, Baseline::newest);
        }
        self.baselines.entry(cause.to_owned()).or_default()
    }

    /// Whether `pair` is seen for the first time.
    pub(super) fn meets(&mut self, pair: String, now: Timestamp) -> bool {
        let new = self.seen.insert(pair, now).is_none();
        forget_oldest(&mut self.seen, MOST_PAIRS, |at| *at);
        new
    }
}

/// Leaves room in a map: a tenth goes at once, so that this is seldom.
fn forget_oldest<V>(map: &mut BTreeMap<String, V>, most: usize, time: impl Fn(&V) -> Timestamp) {
    if map.len() <= most {
        return;
    }
    let mut times: Vec<Timestamp> = map.values().map(&time).collect();
    times.sort_unstable();
    let limit = times.get(map.len() - most + most / 10).copied().unwrap_or_default();
    map.retain(|_, value| time(value) > limit);
}

impl Memory {
    /// What the file says; nothing where there is none, or where it makes no sense (then rules learn anew).
    pub(super) fn load(path: &Path) -> (Self, bool) {
        match std::fs::read(path) {
            Ok(text) => match serde_json::from_slice::<Self>(&text) {
                Ok(memory) if memory.v == VERSION => (memory, true),
                _ => (Self::default(), false),
            },
            Err(e) => (Self::default(), e.kind() == std::io::ErrorKind::NotFound),
        }
    }

    /// Where reading goes on.
    pub(super) fn cursor(&self) -> Cursor {
        let parsed = self.segments.iter().filter_map(|(id, position)| Some((id.parse().ok()?, *position)));
        Cursor { segments: parsed.collect() }
    }

    /// Writes it down, with how far was read.
    pub(super) fn store(&mut self, path: &Path, mode: FileMode, cursor: &Cursor) -> Result<(), AgentError> {
        self.v = VERSION;
        self.segments = cursor.segments.iter().map(|(id, position)| (id.to_string(), *position)).collect();
        let failed = |source| AgentError::File { what: "write", path: path.to_owned(), source };
        let text = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        replace_file(path, mode, &text).map_err(failed)
    }

    /// What a rule remembers.
    pub(super) fn of(&mut self, rule: &str) -> &mut Recollection {
        self.rules.entry(rule.to_owned()).or_default()
    }

    /// Forgets rules that are no more.
    pub(super) fn keep(&mut self, rules: &[&str]) {
        self.rules.retain(|name, _| rules.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_happened_lately_is_what_happened_within_the_window() {
        let mut lately = Lately::default();
        assert_eq!(lately.add(Timestamp(0), "a".into(), 1000, 10).0, 1);
        assert_eq!(lately.add(Timestamp(999), "b".into(), 1000, 10).0, 2);
        assert_eq!(lately.add(Timestamp(1000), "c".into(), 1000, 10), (2, vec!["b".into(), "c".into()]));
        assert_eq!(lately.add(Timestamp(1001), "d".into(), 1000, 2).0, 2, "no more are kept than are asked for");
    }

    #[test]
    fn memories_are_bounded_and_the_oldest_goes_first() {
        let mut recollection = Recollection::default();
        for n in 0..(MOST as u64 + 50) {
            assert!(recollection.is_new(&format!("c{n}"), Timestamp(n * 10), 5));
        }
        assert!(recollection.raised.len() <= MOST);
        assert!(!recollection.is_new(&format!("c{}", MOST + 49), Timestamp(MOST as u64 * 10 + 492), 5));
        assert!(!recollection.raised.contains_key("c0"));
    }

    #[test]
    fn a_file_that_makes_no_sense_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alarms.json");
        assert!(Memory::load(&path).1, "none is fine");
        std::fs::write(&path, "{").unwrap();
        assert!(!Memory::load(&path).1);
    }
}
