//! Short sections in code of others that takes locks which `fork` would leave locked: a fork waits until nobody is in one.

use super::lock::{Guard, Lock, Rank};
use super::pool::home;

/// So many threads are inside without waiting for each other.
const DOORS: usize = 8;

/// Keeps forks out, and threads apart as little as it can.
pub struct Gate {
    doors: [Lock<()>; DOORS],
}

impl Gate {
    /// A gate whose sections rank among the locks as `rank` says.
    #[must_use]
    pub fn new(rank: Rank) -> Self {
        Self { doors: std::array::from_fn(|_| Lock::new(rank, ())) }
    }

    /// No fork happens until the returned value is dropped.
    pub fn enter(&self) -> Guard<'_, ()> {
        let [first, ..] = &self.doors;
        self.doors.get(home() % DOORS).unwrap_or(first).lock()
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate(..)")
    }
}
