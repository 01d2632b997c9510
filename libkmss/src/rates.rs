//! Rates over all processes of the host: counts in shared memory, exact in the direction that is safe.
//!
//! A window is cut into `PARTS` parts. One more part than fits is summed, so that every window of that length, wherever
//! it begins, holds at most what was admitted: a limit is never exceeded, and reached up to a sixteenth of the window
//! early. The counts of one window live in one place of a table that is found by hash; a place whose window has passed is
//! free for the next.

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
        let table = self.table()?;
        let (header, places) = table.numbers().split_at_checked(HEADER).unwrap_or_default();
        let hash = hash(header, name);
        let name = hash << WINDOW_BITS | u64::from(seconds.clamp(1, LONGEST_WINDOW));
        let start = usize::try_from(hash % PLACES as u64).unwrap_or(0);
        for step in 0..REACH {
            let at = (start + step) % PLACES * PLACE;
            let Some(place) = places.get(at..at + PLACE).and_then(|numbers| Place::of(numbers, name, HEADER + at))
            else {
                continue;
            };
            if place.claim(now) {
                return Ok(place);
            }
        }
        Err(Error::new(ErrorKind::QuotaExceeded, "too many rates are counted at once for one more"))
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
        if owner != 0 && self.sum_of(stretch(now, owner)) > 0 {
            return false;
        }
        match self.owner.compare_exchange(owner, self.name, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::os::testing::{ended_well, fork};

    struct Fixed;

    impl Random for Fixed {
        fn fill(&self, out: &mut [u8]) -> Result<()> {
            out.fill(7);
            Ok(())
        }
    }

    fn rates(dir: &tempfile::TempDir) -> Rates {
        let mode = FileMode::of_home(dir.path()).unwrap();
        Rates::new(dir.path().join("rates"), mode, Arc::new(Fixed))
    }

    const A: RateName<'_> = RateName(&[b"user:a", b"sign"]);
    const B: RateName<'_> = RateName(&[b"user:a", b"signx"]);

    #[test]
    fn no_window_holds_more_than_its_limit_wherever_it_begins() {
        let dir = tempfile::tempdir().unwrap();
        let rates = rates(&dir);
        let mut admitted = Vec::new();
        for ms in (1_000_000..1_200_000).step_by(37) {
            if rates.take(A, 60, 100, Timestamp(ms)).unwrap().is_some() {
                admitted.push(ms);
            }
        }
        for (n, first) in admitted.iter().enumerate() {
            assert!(admitted.iter().skip(n).take_while(|ms| **ms < first + 60_000).count() <= 100);
        }
        assert!(admitted.len() >= 300, "{} were admitted", admitted.len());
    }

    #[test]
    fn names_are_counted_apart_and_what_is_given_back_can_be_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let rates = rates(&dir);
        let now = Timestamp(50_000);
        let taken = rates.take(A, 10, 1, now).unwrap().unwrap();
        assert!(rates.take(A, 10, 1, now).unwrap().is_none());
        assert!(rates.take(B, 10, 1, now).unwrap().is_some());
        assert!(rates.take(A, 20, 1, now).unwrap().is_some());
        rates.give_back(taken);
        assert!(rates.take(A, 10, 1, now).unwrap().is_some());
    }

    #[test]
    fn processes_share_one_budget() {
        let dir = tempfile::tempdir().unwrap();
        let rates = rates(&dir);
        let now = Timestamp(1_000);
        let worker = || (0..50).filter(|_| rates.take(A, 60, 60, now).unwrap().is_some()).count();
        assert!(ended_well(fork(|| worker() == 50)));
        assert_eq!(worker(), 10);
    }

    #[test]
    fn a_child_counts_that_was_forked_while_another_thread_opened_the_file() {
        /// Draws nothing until it is let.
        struct Slow(AtomicBool, AtomicBool);
        impl Random for Slow {
            fn fill(&self, _: &mut [u8]) -> Result<()> {
                self.0.store(true, Ordering::SeqCst);
                while !self.1.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
                Ok(())
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let slow = Arc::new(Slow(AtomicBool::new(false), AtomicBool::new(false)));
        let mode = FileMode::of_home(dir.path()).unwrap();
        let rates = Rates::new(dir.path().join("rates"), mode, Arc::clone(&slow) as _);
        let now = Timestamp(1_000);
        let ended = std::thread::scope(|s| {
            let opening = s.spawn(|| rates.count(A, 60, now).unwrap());
            while !slow.0.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            let child = fork(|| {
                slow.1.store(true, Ordering::SeqCst);
                rates.count(A, 60, now).is_ok_and(|count| count == 1)
            });
            let ended = ended_well(child);
            slow.1.store(true, Ordering::SeqCst);
            assert_eq!(opening.join().unwrap(), 2);
            ended
        });
        assert!(ended);
    }

    #[test]
    fn passed_windows_make_room_and_a_full_table_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let rates = rates(&dir);
        let names = 0..20 * PLACES as u64;
        let mut full = names.map(|n| rates.count(RateName(&[&n.to_ne_bytes()]), 1, Timestamp(1_000)));
        assert!(full.any(|counted| counted.is_err()));
        assert_eq!(rates.count(A, 1, Timestamp(60_000)).unwrap(), 1);
        assert_eq!(rates.count(A, 1, Timestamp(60_500)).unwrap(), 2);
        assert_eq!(rates.count(A, 1, Timestamp(62_000)).unwrap(), 1);
    }

    #[test]
    fn whoever_counts_in_a_deleted_file_stops_for_good_and_others_begin_anew() {
        let dir = tempfile::tempdir().unwrap();
        let old = rates(&dir);
        let now = Timestamp(1_000);
        assert_eq!(old.count(A, 60, now).unwrap(), 1);
        std::fs::remove_file(dir.path().join("rates")).unwrap();
        let noticed = (0..=CHECK_EVERY).find_map(|_| old.count(A, 60, now).err());
        assert_eq!(noticed.unwrap().kind(), ErrorKind::HomeUnsafe);
        assert!((0..2 * CHECK_EVERY).all(|_| old.take(A, 60, u32::MAX, now).is_err()));
        assert_eq!(rates(&dir).count(A, 60, now).unwrap(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_forgets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let rates = rates(&dir);
        assert!(rates.take(A, 60, 1, Timestamp(1_000_000)).unwrap().is_some());
        assert!(rates.take(A, 60, 1, Timestamp(960_000)).unwrap().is_none());
    }
}
