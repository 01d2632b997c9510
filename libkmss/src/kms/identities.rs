//! Identities of what lives in this process alone.

use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::race::OnceBox;

use crate::error::Result;
use crate::os::epoch;
use crate::random::Random;
use crate::tenant::ObjectId;

/// Identities that are never used twice: a random beginning, drawn once for each process, from which it counts on.
///
/// Nobody is admitted because he knows an identity, so they may be told from each other; what is stored is numbered by time
/// and chance ([`ObjectId::fresh`]). A forked child draws a beginning of its own.
#[derive(Default)]
pub(super) struct Identities(OnceBox<Series>);

struct Series {
    epoch: u32,
    start: u128,
    given: AtomicU64,
    /// That of the processes forked from here.
    next: Identities,
}

impl Identities {
    /// The next one.
    ///
    /// # Errors
    /// The random source fails.
    pub(super) fn next(&self, random: &dyn Random) -> Result<ObjectId> {
        let mut place = self;
        loop {
            let series = place.0.get_or_try_init(|| Series::drawn(random))?;
            if series.epoch == epoch() {
                let number = series.given.fetch_add(1, Ordering::Relaxed);
                return Ok(ObjectId(series.start.wrapping_add(u128::from(number)).to_be_bytes()));
            }
            place = &series.next;
        }
    }
}

impl Series {
    fn drawn(random: &dyn Random) -> Result<Box<Self>> {
        let mut start = [0; size_of::<u128>()];
        random.fill(&mut start)?;
        let (start, given) = (u128::from_be_bytes(start), AtomicU64::new(0));
        Ok(Box::new(Self { epoch: epoch(), start, given, next: Identities::default() }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::{Error, ErrorKind};

    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, out: &mut [u8]) -> Result<()> {
            out.fill(self.0);
            Ok(())
        }
    }

    struct Failing;

    impl Random for Failing {
        fn fill(&self, _: &mut [u8]) -> Result<()> {
            Err(Error::new(ErrorKind::BackendUnavailable, "failed"))
        }
    }

    #[test]
    fn identities_differ_and_begin_where_chance_put_them() {
        let identities = Identities::default();
        let mut last = [0xff; 16];
        assert_eq!(identities.next(&Fixed(0xff)).unwrap().0, last);
        // One draw is enough for a process, and there is always a next one.
        last = [0; 16];
        assert_eq!(identities.next(&Failing).unwrap().0, last);
        last[15] = 1;
        assert_eq!(identities.next(&Failing).unwrap().0, last);
        assert_ne!(Identities::default().next(&Fixed(7)).unwrap(), Identities::default().next(&Fixed(8)).unwrap());
    }

    #[test]
    fn without_chance_there_is_no_identity() {
        assert!(Identities::default().next(&Failing).is_err());
    }
}
