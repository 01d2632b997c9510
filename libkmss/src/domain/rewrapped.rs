//! What became of records that were to be sealed anew.

use crate::store::Commit;

/// What one walk over records did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Records that were looked at.
    pub seen: u64,
    /// Records that were sealed anew.
    pub anew: u64,
    /// Records that somebody changed at the same moment; they are met again at the next walk.
    pub met: u64,
    /// What did not open, and stays as it is: objects by their identity, other records by their key in the store.
    pub damaged: Vec<String>,
}

impl Rewrapped {
    /// Counts a record that was to be written anew.
    pub(crate) const fn count(&mut self, commit: &Commit) {
        match commit {
            Commit::Committed(_) => self.anew += 1,
            Commit::Conflict => self.met += 1,
        }
    }

    /// Whether there was nothing to do, and nobody in the way.
    pub(crate) const fn is_settled(&self) -> bool {
        self.anew == 0 && self.met == 0
    }

    /// Adds what another walk did.
    pub(crate) fn add(&mut self, other: Self) {
        self.seen += other.seen;
        self.anew += other.anew;
        self.met += other.met;
        self.damaged.extend(other.damaged);
    }
}
