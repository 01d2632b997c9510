//! Token buckets over all processes of the host: so many operations a second, and a burst of some at once.
//!
//! A bucket is one number, the time at which it will be full again, in nanoseconds (the generic cell rate algorithm, ITU-T
//! I.371 annex A). Taking moves it on by what one operation costs, in one step that no end of a process can tear.

use std::sync::atomic::Ordering;

use super::{RateName, Rates, WINDOW_BITS};
use crate::clock::Timestamp;
use crate::error::Result;

/// Where other names have the length of their window.
pub(super) const KIND: u32 = (1 << WINDOW_BITS) - 1;
/// How long a full bucket keeps its place, in nanoseconds: who takes from it at that moment must not lose it.
const KEPT: u64 = 10_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// How much a bucket gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Operations a second, at least 1.
    pub per_second: u32,
    /// Operations at once, at least 1.
    pub burst: u32,
}

/// What came of taking one operation out of a bucket.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub enum Drawn {
    /// It was there.
    Some(Draw),
    /// The bucket is empty for so many milliseconds.
    Empty(u64),
}

/// One operation out of a bucket, which can be [put back](Rates::put_back).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Draw {
    /// Where in the table the bucket is.
    at: usize,
    /// Whose place that was.
    name: u64,
    cost: u64,
}

impl Rates {
    /// Takes one operation out of a bucket. In any time of T seconds it gives at most `burst + T * per_second`; a clock that is
    /// set back finds it empty.
    ///
    /// # Errors
    /// As [`Rates::take`].
    pub fn draw(&self, name: RateName<'_>, bucket: Bucket, now: Timestamp) -> Result<Drawn> {
        let cost = SECOND.div_ceil(u64::from(bucket.per_second.max(1)));
        let depth = cost.saturating_mul(u64::from(bucket.burst.max(1)));
        let at = now.0.saturating_mul(1_000_000);
        let latest = at.saturating_add(depth);
        loop {
            let place = self.place_of(name, KIND, now)?;
            let Some(number) = place.parts.first() else { continue };
            let full = number.load(Ordering::Acquire);
            let next = full.max(at).saturating_add(cost);
            if full > latest {
                // The clock was set back, or the bucket made smaller.
                let _ = number.compare_exchange(full, latest, Ordering::AcqRel, Ordering::Acquire);
                continue;
            }
            if next > latest {
                return Ok(Drawn::Empty((next - latest).div_ceil(1_000_000)));
            }
            let moved = number.compare_exchange(full, next, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if moved && place.is_kept() {
                return Ok(Drawn::Some(Draw { at: place.at, name: place.name, cost }));
            }
        }
    }

    /// Puts back what was not used.
    pub fn put_back(&self, draw: Draw) {
        let Some(table) = self.table.get() else { return };
        let (owner, number) = (table.numbers().get(draw.at), table.numbers().get(draw.at + 1));
        let (Some(owner), Some(number)) = (owner, number) else { return };
        if owner.load(Ordering::Acquire) == draw.name {
            // The closure never refuses, so there is no error to look at.
            let _ =
                number.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full| Some(full.saturating_sub(draw.cost)));
        }
    }
}

/// Whether the place of this name holds a bucket.
pub(super) const fn is_bucket(name: u64) -> bool {
    name & ((1 << WINDOW_BITS) - 1) == KIND as u64
}

/// Whether a bucket with this number is not to be given to somebody else.
pub(super) const fn is_in_use(full: u64, now: Timestamp) -> bool {
    full.saturating_add(KEPT) > now.0.saturating_mul(1_000_000)
}
