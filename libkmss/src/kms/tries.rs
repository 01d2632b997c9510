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

/// What failed of late, with the edition of the object and the reason.
pub(super) struct Tries(Lock<HashMap<ObjectId, Failure>>);

struct Failure {
    edition: u64,
    pause: Duration,
    until: Duration,
    why: String,
}

impl Default for Tries {
    fn default() -> Self {
        Self(Lock::new(Rank::Cache, HashMap::new()))
    }
}

impl Tries {
    /// Why a step on this edition of an object failed, as long as it is not to be tried again; `now` is monotonic.
    pub(super) fn resting(&self, (id, edition): (ObjectId, u64), now: Duration) -> Option<String> {
        let tries = self.0.lock();
        let failure = tries.get(&id).filter(|failure| failure.edition == edition && now < failure.until)?;
        Some(failure.why.clone())
    }

    /// Takes note of what became of a step.
    pub(super) fn note(&self, (id, edition): (ObjectId, u64), failed: Option<&str>, now: Duration) {
        let mut tries = self.0.lock();
        let Some(why) = failed else {
            tries.remove(&id);
            return;
        };
        let former = tries.get(&id).filter(|failure| failure.edition == edition);
        let pause = former.map_or(PAUSES.0, |failure| failure.pause.saturating_mul(2).min(PAUSES.1));
        if tries.len() >= MOST && !tries.contains_key(&id) {
            tries.retain(|_, failure| now < failure.until);
        }
        if tries.len() < MOST || tries.contains_key(&id) {
            let failure = Failure { edition, pause, until: now.saturating_add(pause), why: why.to_owned() };
            tries.insert(id, failure);
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
            tries.note((id, 3), Some("no"), now);
            assert_eq!(tries.resting((id, 3), now).as_deref(), Some("no"));
            assert!(tries.resting((id, 4), now).is_none(), "it was changed");
            now += Duration::from_mins(minutes);
            assert!(tries.resting((id, 3), now).is_none());
        }
        tries.note((id, 4), Some("no"), now);
        assert!(tries.resting((id, 4), now + Duration::from_mins(1)).is_none());
        tries.note((id, 4), None, now);
        assert!(tries.resting((id, 4), now).is_none());
    }
}
