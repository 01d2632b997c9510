//! A server that has too much to do: whoever was told so asks again in the order of coming, not all at once and all the time.
//!
//! As many calls as were under way go on being under way: each that ends gives its turn to whoever is first in the line. Now and
//! then the first asks though none ended, for there may be room again. Others who come meanwhile get in line, and ask out of
//! turn once after a moment: what they want the server may have time for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::os::{Bell, Hooks, Lock, Rank};

/// How long whoever comes later waits before asking out of turn.
pub(super) const MOMENT: Duration = Duration::from_millis(20);
/// How long to wait where every address has just failed, or has too much to do.
const BREATH: Duration = Duration::from_millis(10);
/// How often that doubles from round to round.
const DOUBLINGS: u32 = 4;

/// Those who wait for a server that has too much to do.
pub(super) struct Line {
    clock: Arc<dyn Clock>,
    seats: Lock<Seats>,
    /// How many they are: looked at with each call.
    len: Arc<AtomicUsize>,
    /// Counts those who came.
    came: AtomicU64,
    /// How often the first asked since a call was answered.
    rounds: AtomicU32,
}

/// In the order of coming.
#[derive(Default)]
struct Seats {
    seats: VecDeque<Arc<Seat>>,
    len: Arc<AtomicUsize>,
}

/// A call that waits.
#[derive(Default)]
struct Seat {
    number: u64,
    /// Whether it has its turn.
    called: AtomicBool,
    bell: Bell,
}

impl Seats {
    /// After a change: how many there are, and the first hears that it is.
    fn settle(&self) -> Option<Arc<Seat>> {
        self.len.store(self.seats.len(), Ordering::Relaxed);
        self.seats.front().map(Arc::clone)
    }

    /// A forked child has none of these threads.
    fn abandon(&mut self) {
        self.seats.clear();
        self.len.store(0, Ordering::Relaxed);
    }
}

/// A seat that is taken; left whatever happens.
struct Taken<'a> {
    line: &'a Line,
    seat: Arc<Seat>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut seats = self.line.seats.lock();
        let was_first = seats.seats.front().is_some_and(|first| Arc::ptr_eq(first, &self.seat));
        seats.seats.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        let first = seats.settle().filter(|_| was_first);
        drop(seats);
        ring(first);
    }
}

fn ring(seat: Option<Arc<Seat>>) {
    if let Some(seat) = seat {
        seat.bell.ring();
    }
}

impl Line {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let len = Arc::<AtomicUsize>::default();
        let seats = Seats { seats: VecDeque::new(), len: Arc::clone(&len) };
        let hooks = Hooks { child: Seats::abandon, ..Hooks::default() };
        let seats = Lock::with_hooks(Rank::Cache, seats, hooks);
        Self { clock, seats, len, came: AtomicU64::new(0), rounds: AtomicU32::new(0) }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }

    /// Waits for a turn, until `until` at most. `number` says when whoever waits came, and is given the first time.
    pub(super) fn wait(&self, number: &mut Option<u64>, until: Duration) {
        let number = *number.get_or_insert_with(|| self.came.fetch_add(1, Ordering::Relaxed));
        let taken = self.sit(number);
        let mut first_since = None;
        loop {
            let now = self.clock.monotonic();
            if now >= until || taken.seat.called.load(Ordering::Acquire) {
                return;
            }
            let mut left = until.saturating_sub(now);
            if self.is_first(&taken.seat) {
                let since = *first_since.get_or_insert(now);
                let breath = breath(self.rounds.load(Ordering::Relaxed), number);
                let Some(rest) = since.saturating_add(breath).checked_sub(now).filter(|rest| !rest.is_zero()) else {
                    self.rounds.fetch_add(1, Ordering::Relaxed);
                    return;
                };
                left = left.min(rest);
            }
            taken.seat.bell.wait(left);
        }
    }

    /// A call ended that the server had time for: its turn is the first one's.
    pub(super) fn pass(&self) {
        if self.is_empty() {
            return;
        }
        self.rounds.store(0, Ordering::Relaxed);
        let mut seats = self.seats.lock();
        let next = seats.seats.pop_front();
        let first = seats.settle();
        drop(seats);
        if let Some(next) = &next {
            next.called.store(true, Ordering::Release);
        }
        ring(next);
        ring(first);
    }

    fn sit(&self, number: u64) -> Taken<'_> {
        let seat = Arc::new(Seat { number, ..Seat::default() });
        let mut seats = self.seats.lock();
        if seats.seats.is_empty() {
            self.rounds.store(0, Ordering::Relaxed);
        }
        // Whoever had a turn that came to nothing is where they were.
        let at = seats.seats.partition_point(|before| before.number < number);
        seats.seats.insert(at, Arc::clone(&seat));
        seats.settle();
        drop(seats);
        Taken { line: self, seat }
    }

    fn is_first(&self, seat: &Arc<Seat>) -> bool {
        self.seats.lock().seats.front().is_some_and(|first| Arc::ptr_eq(first, seat))
    }
}

/// How long to wait before another round: longer with each, and not as long as others who wait, that they do not all come at
/// once to a server that has too much to do.
pub(super) fn breath(rounds: u32, turn: u64) -> Duration {
    let whole = BREATH.saturating_mul(1 << rounds.min(DOUBLINGS));
    // From half of it to all of it, by the turn: neighbours are far apart.
    let part = u32::try_from(turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60).unwrap_or_default();
    whole / 2 + whole / 32 * part
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use libkmss::clock::SystemClock;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn line() -> Line {
        Line::new(Arc::new(SystemClock::default()))
    }

    #[test]
    fn turns_go_by_the_order_of_coming_also_to_whoever_had_one_for_nothing() {
        let line = line();
        let _taken = [5, 7, 3, 6].map(|number| line.sit(number));
        let order: Vec<u64> = line.seats.lock().seats.iter().map(|seat| seat.number).collect();
        assert_eq!(order, [3, 5, 6, 7]);
        let (mut one, mut other) = (None, None);
        let now = line.clock.monotonic();
        line.wait(&mut one, now);
        line.wait(&mut other, now);
        line.wait(&mut one, now);
        assert_eq!((one, other), (Some(0), Some(1)), "whoever waits again came when they came");
    }

    #[test]
    fn a_turn_that_is_passed_goes_to_the_first() {
        let line = line();
        let (one, two) = (line.sit(1), line.sit(2));
        line.pass();
        assert!(one.seat.called.load(Ordering::Relaxed) && !two.seat.called.load(Ordering::Relaxed));
        assert!(two.seat.bell.wait(Duration::ZERO), "the next one hears that it is first");
        drop(one);
        assert_eq!(line.len.load(Ordering::Relaxed), 1);
        line.pass();
        assert!(two.seat.called.load(Ordering::Relaxed) && line.is_empty());
        line.pass();
    }

    #[test]
    fn the_first_asks_by_themselves_after_a_while_and_nobody_waits_beyond_their_time() {
        let line = line();
        let first = line.sit(0);
        let until = line.clock.monotonic().saturating_add(Duration::from_millis(5));
        line.wait(&mut Some(1), until);
        assert!(line.clock.monotonic() >= until, "somebody is before it");
        drop(first);
        (0..3).for_each(|_| line.wait(&mut None, LONG));
        assert!(line.is_empty());
    }

    #[test]
    fn breaths_grow_to_a_limit_and_differ() {
        let of = |rounds| (0..16).map(move |turn| breath(rounds, turn));
        assert!(of(0).all(|breath| breath >= BREATH / 2 && breath <= BREATH));
        assert!(of(60).all(|breath| breath >= BREATH * 8 && breath <= BREATH * 16));
        assert!(of(3).collect::<std::collections::BTreeSet<_>>().len() > 8);
    }
}
