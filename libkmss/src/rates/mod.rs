//! Rates over all processes of the host: counts in shared memory, exact in the direction that is safe.
//!
//! A window is cut into `PARTS` parts. One more part than fits is summed, so that every window of that length, wherever
//! it begins, holds at most what was admitted: a limit is never exceeded, and reached up to a sixteenth of the window
//! early. The counts of one window live in one place of a table that is found by hash; a place whose window has passed is
//! free for the next.

mod bucket;

pub use bucket::{Bucket, Draw, Drawn};

use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use once_cell::race::OnceBox;
use siphasher::sip::SipHasher24;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::os::{FileMode, SharedNumbers};
use crate::random::Random;

/// Parts of a window.
const PARTS: u64 = 16;
/// Numbers of a place: its name and the parts.
const PLACE: usize = 1 + PARTS as usize + 1;
/// Places of the table.
const PLACES: usize = 4096;
/// Places that one name may be in.
const REACH: usize = 16;
/// Numbers before the places: the key of the hash.
const HEADER: usize = 2;
/// Numbers of the whole table.
const NUMBERS: usize = HEADER + PLACES * PLACE;
/// Longest window in seconds: a day.
pub const LONGEST_WINDOW: u32 = 86_400;
/// Bits of a place's name that hold its window in seconds; the others are a hash.
const WINDOW_BITS: u32 = 17;
/// How many counts may pass before one makes sure that the file was not deleted.
const CHECK_EVERY: u32 = 256;

/// What is counted together: the parts of its name. Order and number of parts count.
#[derive(Clone, Copy, Debug)]
pub struct RateName<'a>(pub &'a [&'a [u8]]);

/// The counters of a home. The file is made at the first count.
pub struct Rates {
    path: PathBuf,
    mode: FileMode,
    random: Arc<dyn Random>,
    table: OnceBox<SharedNumbers<NUMBERS>>,
    looks: AtomicU32,
    /// The file was deleted: others may count in another one by now.
    lost: AtomicBool,
}

impl Rates {
    /// Counters in the file at `path`.
    #[must_use]
    pub const fn new(path: PathBuf, mode: FileMode, random: Arc<dyn Random>) -> Self {
        Self { path, mode, random, table: OnceBox::new(), looks: AtomicU32::new(0), lost: AtomicBool::new(false) }
    }

    /// Counts one more within the last `seconds` (1 to [`LONGEST_WINDOW`]), if that makes at most `limit`; `None` where it
    /// would be more.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`] where there is no room to count; those of the shared file.
    pub fn take(&self, name: RateName<'_>, seconds: u32, limit: u32, now: Timestamp) -> Result<Option<Taken>> {
        let (place, taken) = self.add(name, seconds, now)?;
        if place.sum(now) > u64::from(limit) {
            self.give_back(taken);
            return Ok(None);
        }
        Ok(Some(taken))
    }

    /// Uncounts what did not happen.
    pub fn give_back(&self, taken: Taken) {
        let Some(part) = self.table.get().and_then(|table| table.numbers().get(taken.part)) else { return };
        let _ = part.fetch_update(Ordering::AcqRel, Ordering::Acquire, |value| {
            let counted = upper(value) == taken.stretch && value & u64::from(u32::MAX) > 0;
            counted.then(|| value - 1)
        });
    }

    /// Counts one more and says how many were counted within the last `seconds`, this one included; never too few.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn count(&self, name: RateName<'_>, seconds: u32, now: Timestamp) -> Result<u32> {
        let (place, _) = self.add(name, seconds, now)?;
        Ok(u32::try_from(place.sum(now)).unwrap_or(u32::MAX))
    }

    /// How many were counted within the last `seconds`; never too few.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn counted(&self, name: RateName<'_>, seconds: u32, now: Timestamp) -> Result<u32> {
        Ok(u32::try_from(self.place(name, seconds, now)?.sum(now)).unwrap_or(u32::MAX))
    }

    fn add(&self, name: RateName<'_>, seconds: u32, now: Timestamp) -> Result<(Place<'_>, Taken)> {
        loop {
            let place = self.place(name, seconds, now)?;
            let taken = place.add(now);
            // A place without counts is free for everybody: it may have gone to another name before this count was in it.
            if place.is_kept() {
                return Ok((place, taken));
            }
        }
    }

    fn place(&self, name: RateName<'_>, seconds: u32, now: Timestamp) -> Result<Place<'_>> {
        self.place_of(name, seconds.clamp(1, LONGEST_WINDOW), now)
    }

    /// The place for what is counted under `name`, as `kind` (the length of its window, or [`bucket::KIND`]).
    fn place_of(&self, name: RateName<'_>, kind: u32, now: Timestamp) -> Result<Place<'_>> {
        let table = self.table()?;
        let (header, places) = table.numbers().split_at_checked(HEADER).unwrap_or_default();
        let hash = hash(header, name);
        let name = hash << WINDOW_BITS | u64::from(kind);
        let start = usize::try_from(hash % PLACES as u64).unwrap_or(0);
        let reach = (0..REACH).filter_map(|step| {
            let at = (start + step) % PLACES * PLACE;
            places.get(at..at + PLACE).and_then(|numbers| Place::of(numbers, name, HEADER + at))
        });
        // It may have a place behind one that has become free since.
        let (mut known, mut free) = (reach.clone(), reach);
        let found = known.find(Place::is_kept).or_else(|| free.find(|place| place.claim(now)));
        found.ok_or_else(|| Error::new(ErrorKind::QuotaExceeded, "too many rates are counted at once for one more"))
    }

    fn table(&self) -> Result<&SharedNumbers<NUMBERS>> {
        let table = self.table.get_or_try_init(|| {
            let mut key = [0; HEADER * 8];
            self.random.fill(&mut key)?;
            let key: Vec<u64> = key.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
            SharedNumbers::open(&self.path, self.mode, &key).map(Box::new)
        })?;
        if self.looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECK_EVERY) && table.is_deleted() {
            self.lost.store(true, Ordering::Relaxed);
        }
        if self.lost.load(Ordering::Relaxed) {
            let what = "the file of rates was deleted while in use: restart every process that uses this home";
            return Err(Error::new(ErrorKind::HomeUnsafe, what));
        }
        Ok(table)
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Keyed, so that nobody chooses what is counted with what.
fn hash(key: &[AtomicU64], name: RateName<'_>) -> u64 {
    let key = |at| key.get(at).map_or(0, |number: &AtomicU64| number.load(Ordering::Relaxed));
    let mut hasher = SipHasher24::new_with_keys(key(0), key(1));
    for part in name.0 {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}

/// One place. A part is the number of its stretch of time (upper half) and a count (lower half). Whoever takes a place over
/// leaves the old counts: their stretches have passed.
#[derive(Clone, Copy)]
struct Place<'a> {
    owner: &'a AtomicU64,
    parts: &'a [AtomicU64],
    /// Whose place it is to be. Never 0: the window is in it.
    name: u64,
    /// Where in the table it begins.
    at: usize,
}

impl<'a> Place<'a> {
    fn of(numbers: &'a [AtomicU64], name: u64, at: usize) -> Option<Self> {
        let (owner, parts) = numbers.split_first()?;
        Some(Self { owner, parts, name, at })
    }

    /// Whether this is the place of its name, taking it over where it is free.
    fn claim(&self, now: Timestamp) -> bool {
        let owner = self.owner.load(Ordering::Acquire);
        if owner == self.name {
            return true;
        }
        let first = self.parts.first().map_or(0, |part| part.load(Ordering::Acquire));
        let in_use = match owner {
            0 => false,
            _ if bucket::is_bucket(owner) => bucket::is_in_use(first, now),
            _ => self.sum_of(stretch(now, owner)) > 0,
        };
        if in_use {
            return false;
        }
        match self.owner.compare_exchange(owner, self.name, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // Counts and buckets do not read each other's numbers; whoever was faster has written its own.
                if let Some(part) = self.parts.first()
                    && bucket::is_bucket(owner) != bucket::is_bucket(self.name)
                {
                    let _ = part.compare_exchange(first, 0, Ordering::AcqRel, Ordering::Acquire);
                }
                true
            }
            Err(found) => found == self.name,
        }
    }

    fn is_kept(&self) -> bool {
        self.owner.load(Ordering::Acquire) == self.name
    }

    fn add(&self, now: Timestamp) -> Taken {
        let stretch = stretch(now, self.name);
        let index = usize::try_from(u64::from(stretch) % (PARTS + 1)).unwrap_or(0);
        if let Some(part) = self.parts.get(index) {
            // The closure never refuses, so there is no error to look at.
            let _ = part.fetch_update(Ordering::AcqRel, Ordering::Acquire, |value| Some(add_to(value, stretch)));
        }
        Taken { part: self.at + 1 + index, stretch }
    }

    fn sum(&self, now: Timestamp) -> u64 {
        self.sum_of(stretch(now, self.name))
    }

    fn sum_of(&self, stretch: u32) -> u64 {
        let counts = self.parts.iter().map(|part| {
            let value = part.load(Ordering::Acquire);
            // A clock that was set back leaves stretches of the future, which count too.
            let age = stretch.wrapping_sub(upper(value));
            let near = u64::from(age) <= PARTS || u64::from(age.wrapping_neg()) <= PARTS;
            if near { value & u64::from(u32::MAX) } else { 0 }
        });
        counts.sum()
    }
}

/// One count, which can be [given back](Rates::give_back).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Taken {
    /// Where in the table it is counted.
    part: usize,
    stretch: u32,
}

/// The number of the stretch of time that `now` is in, for the window in a place's name.
fn stretch(now: Timestamp, name: u64) -> u32 {
    let seconds = name & ((1 << WINDOW_BITS) - 1);
    let width = (seconds * 1000).div_ceil(PARTS).max(1);
    // The lower half suffices to tell stretches apart: the rest is decades.
    u32::try_from((now.0 / width) & u64::from(u32::MAX)).unwrap_or(0)
}

fn upper(value: u64) -> u32 {
    u32::try_from(value >> 32).unwrap_or(0)
}

fn add_to(value: u64, stretch: u32) -> u64 {
    let fresh = u64::from(stretch) << 32;
    if upper(value) != stretch {
        return fresh | 1;
    }
    if value & u64::from(u32::MAX) == u64::from(u32::MAX) { value } else { value + 1 }
}

#[cfg(test)]
mod tests;
