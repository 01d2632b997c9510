//! Steps that failed are not taken again every minute: each failure doubles the pause, up to an hour, and whatever changes the
//! key ends it. For those who look again and again; whoever asks for a step gets it tried.

use std::collections::HashMap;
use std::time::Duration;

use crate::os::{Lock, Rank};
use crate::tenant::ObjectId;

/// The first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));
/// Keys that are remembered. Those beyond are tried each time.
const MOST: usize = 10_000;

/// What failed of late.
pub(super) struct Tries(Lock<HashMap<ObjectId, Failure>>);

struct Failure {
    edition: u64,
    pause: Duration,
    until: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self(Lock::new(Rank::Cache, HashMap::new()))
    }
}

impl Tries {
    /// Whether a step on this edition of an object failed, and is not to be tried yet; `now` is monotonic.
    pub(super) fn is_resting(&self, (id, edition): (ObjectId, u64), now: Duration) -> bool {
        self.0.lock().get(&id).is_some_and(|failure| failure.edition == edition && now < failure.until)
    }

    /// Takes note of what became of a step.
    pub(super) fn note(&self, (id, edition): (ObjectId, u64), failed: bool, now: Duration) {
        let mut tries = self.0.lock();
        if !failed {
            tries.remove(&id);
            return;
        }
        let former = tries.get(&id).filter(|failure| failure.edition == edition);
        let pause = former.map_or(PAUSES.0, |failure| failure.pause.saturating_mul(2).min(PAUSES.1));
        if tries.len() >= MOST && !tries.contains_key(&id) {
            tries.retain(|_, failure| now < failure.until);
        }
        if tries.len() < MOST || tries.contains_key(&id) {
            tries.insert(id, Failure { edition, pause, until: now.saturating_add(pause) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_the_key_changes_or_the_step_is_taken() {
        let (tries, id) = (Tries::default(), ObjectId([1; 16]));
        let mut now = Duration::from_secs(5);
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            tries.note((id, 3), true, now);
            assert!(tries.is_resting((id, 3), now));
            assert!(!tries.is_resting((id, 4), now), "it was changed");
            now += Duration::from_mins(minutes);
            assert!(!tries.is_resting((id, 3), now));
        }
        tries.note((id, 4), true, now);
        assert!(tries.is_resting((id, 4), now) && !tries.is_resting((id, 4), now + Duration::from_mins(1)));
        tries.note((id, 4), false, now);
        assert!(!tries.is_resting((id, 4), now));
    }
}
