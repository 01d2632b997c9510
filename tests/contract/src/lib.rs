//! What every backend must do, as named behaviours that run over any of them through the public [`Kms`](libkmss::kms::Kms):
//! the tests run them over each backend of the house, and `kmss hsm probe` over the module of a stranger.
//!
//! A backend need not offer everything, but what it does not offer it says so, by an error of kind `MechanismUnsupported`,
//! `CurveUnsupported` or `Unsupported`; what it offers gives results that the software engine agrees with. Digests and random
//! bytes are not here: the software engine computes them for every namespace.

mod behaviour;
mod bench;
mod concurrency;
mod curves;
mod derivation;
mod errors;
pub mod faulty;
mod keys;
mod limits;
mod macs;
mod messages;
mod pqc;
mod rsa;
mod side;
mod signing;
mod sm;
mod symmetric;
mod vectors;
mod verdict;
mod wrapping;

use std::time::Duration;

use libkmss::clock::{Clock as _, SystemClock};

pub use self::behaviour::{Behaviour, Group, Outcome, Report};
pub use self::bench::Bench;
pub use self::side::{Pair, Side};
pub use self::verdict::{Check, Refusal, Verdict};

/// How long a backend that does not answer is left alone.
const PAUSE: Duration = Duration::from_millis(400);
/// How often at most.
const WAITS: u32 = 10;

/// Every behaviour, in the order in which they run: what keys there are goes first.
#[must_use]
pub fn suite() -> Vec<Behaviour> {
    let parts = [
        keys::behaviours(),
        rsa::behaviours(),
        curves::behaviours(),
        symmetric::behaviours(),
        macs::behaviours(),
        messages::behaviours(),
        derivation::behaviours(),
        wrapping::behaviours(),
        pqc::behaviours(),
        sm::behaviours(),
        errors::behaviours(),
        limits::behaviours(),
        concurrency::behaviours(),
        vectors::behaviours(),
    ];
    parts.into_iter().flatten().collect()
}

/// Tries every behaviour that `wanted` accepts, telling `each` as they end, and removes the keys that were made.
///
/// # Errors
/// The keys could not be removed: the backend still holds some.
pub fn run(
    bench: &Bench<'_>,
    wanted: impl Fn(&Behaviour) -> bool,
    mut each: impl FnMut(&Report),
) -> Result<Vec<Report>, Refusal> {
    let clock = SystemClock::default();
    let mut reports = Vec::new();
    let mut waits = WAITS;
    for behaviour in suite().into_iter().filter(|behaviour| wanted(behaviour)) {
        let start = clock.monotonic();
        let outcome = match (behaviour.trial)(bench) {
            Ok(()) => Outcome::Passed,
            Err(Verdict::NotOffered(why)) => Outcome::NotOffered(why),
            Err(Verdict::Failed(why)) => Outcome::Failed(why),
            Err(Verdict::Unavailable(why)) => {
                // A device that failed is left alone for a while: what comes next is not to be blamed for that.
                if let Some(left) = waits.checked_sub(1) {
                    waits = left;
                    std::thread::sleep(PAUSE);
                }
                Outcome::Failed(why)
            }
        };
        let took = clock.monotonic().saturating_sub(start);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let report = Report { group: behaviour.group, name: behaviour.name, outcome, milliseconds };
        each(&report);
        reports.push(report);
    }
    bench.clear()?;
    Ok(reports)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_behaviour_has_a_name_of_its_own_and_every_group_has_some() {
        let suite = suite();
        let names: HashSet<&str> = suite.iter().map(|behaviour| behaviour.name.as_str()).collect();
        assert_eq!(names.len(), suite.len());
        for group in Group::ALL {
            assert!(suite.iter().any(|behaviour| behaviour.group == group), "{} is empty", group.name());
        }
    }
}
