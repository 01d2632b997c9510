//! Budgets that last: counters in the store, of which each process leases some ahead.
//!
//! ```text
//! quota/used/<quota>/<budget>/<kind>      day, what is used or leased, and whose budget it is
//! quota/used/key/<namespace>/<key>/<kind> the same of a key that is rotated after so many uses or bytes
//! ```
//! A process takes what it needs out of its lease, in memory, and leases more by one conditional commit. What it leased is
//! used up for everybody else, so that no limit is ever exceeded; what is left of the lease when it is killed is lost, and given
//! back when it ends cleanly. A lease grows while it is used up quickly, from 1, and is never more than a hundredth of what is
//! left. A forked child leases for itself.
//!
//! Uses of keys are counted in the same way ([`Meters::meter_of_key`]). Where their number is no bound, counting goes on beyond it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::CountedKey;
use super::rule::{DAY, Instance, Kind, Quota};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::os::{Lock, Rank, epoch};
use crate::random::Random;
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Entry, Op, Store, StoreKey};
use crate::tenant::{NamespaceId, ObjectId};

pub(super) const USED: &str = "quota/used/";
/// Most budgets that a process keeps leases of.
const KEPT: usize = 4096;
/// Leases that are given up at once where there are too many.
const GIVEN_UP: usize = 64;
/// A lease is at most this part of what is left.
const SHARE: u64 = 100;
/// A lease that lasted less is followed by one twice as large.
const QUICK: Duration = Duration::from_millis(200);
/// One that lasted longer is followed by one half as large.
const SLOW: Duration = Duration::from_secs(2);
/// How long, at first and at most, and how often a thread waits for the one that leases.
const NAP: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(2));
const NAPS: u32 = 10_000;
/// How often a commit that somebody else was faster with is tried again.
const ATTEMPTS: u32 = 256;

/// A counter as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Counter {
    /// The day of UTC since 1970 that it is of; 0 where it is of none.
    pub(super) day: u64,
    /// What is used, or leased by processes.
    pub(super) used: u64,
    /// Whose it is, for people.
    pub(super) of: String,
}

/// The counters of a home as one process sees them.
pub(super) struct Meters {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    home: Arc<DomainKey>,
    clock: Arc<dyn Clock>,
    known: Lock<HashMap<MeterName, Arc<Meter>>>,
}

/// Which counter.
#[derive(Clone, PartialEq, Eq, Hash)]
enum MeterName {
    /// Serial number, place and name of the quota, the budget, and its kind.
    Budget(u64, String, String, Kind),
    /// Of a key.
    Key(NamespaceId, ObjectId, Kind),
}

/// How much a counter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Never more than this.
    pub(super) limit: u64,
    /// What the sizes of leases follow.
    pub(super) goal: u64,
}

impl Bounds {
    /// Where the goal is a limit.
    pub(super) const fn at_most(limit: u64) -> Self {
        Self { limit, goal: limit }
    }

    /// Where counting goes on beyond the goal.
    pub(super) const fn about(goal: u64) -> Self {
        Self { limit: u64::MAX, goal }
    }

    /// How much may be leased ahead where `used` is used.
    fn share(self, used: u64) -> u64 {
        // What is no limit need not be met exactly at its end.
        let of = if self.limit == self.goal { self.limit.saturating_sub(used) } else { self.goal };
        (of / SHARE).max(1)
    }
}

/// One counter.
pub(super) struct Meter {
    path: StoreKey,
    kind: Kind,
    of: String,
    lease: Lock<Lease>,
}

/// What a process has leased of a counter.
#[derive(Clone, Copy)]
struct Lease {
    /// Forks before the process.
    epoch: u32,
    day: u64,
    left: u64,
    /// How much is leased next.
    size: u64,
    /// When it was last leased, by the monotonic clock.
    at: Duration,
    /// A thread leases more.
    busy: bool,
}

/// Leases more, alone in its process: the lock is not held meanwhile, for a fork would wait for other processes then. What it
/// holds goes into the lease when it is dropped.
struct Leasing<'a> {
    meter: &'a Meter,
    held: u64,
    day: u64,
    size: u64,
    at: Duration,
}

impl Lease {
    const fn new(epoch: u32, day: u64) -> Self {
        Self { epoch, day, left: 0, size: 1, at: Duration::ZERO, busy: false }
    }

    /// As it is on `day`, in this process.
    fn renew(&mut self, day: u64) {
        if self.epoch != epoch() {
            *self = Self::new(epoch(), day);
        }
        // A clock that was set back does not bring a day back.
        if self.day < day {
            (self.day, self.left) = (day, 0);
        }
    }
}

impl Drop for Leasing<'_> {
    fn drop(&mut self) {
        let mut lease = self.meter.lease.lock();
        lease.renew(self.day);
        if lease.day == self.day {
            lease.left = lease.left.saturating_add(self.held);
        }
        (lease.size, lease.at, lease.busy) = (self.size, self.at, false);
    }
}

/// What came of taking from a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Took {
    /// It was there: of this day, and whether four fifths of it are used with that.
    Some { day: u64, near: bool },
    /// It is used up, on this day.
    None { day: u64 },
}

impl Meters {
    pub(super) fn new(
        store: Arc<dyn Store>,
        random: Arc<dyn Random>,
        home: Arc<DomainKey>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, random, home, clock, known: Lock::new(Rank::Cache, HashMap::new()) }
    }

    /// The counter of `kind` of the budget `instance` of `quota`.
    pub(super) fn meter(&self, quota: &Quota, instance: &Instance, kind: Kind) -> Result<Arc<Meter>> {
        let place = quota.scope.namespace.map_or_else(String::new, |id| id.to_string());
        let name = MeterName::Budget(quota.serial, format!("{place}\0{}", quota.name), instance.name.clone(), kind);
        self.known_or(name, || {
            let budget = self.home.index_term("quota budget", instance.name.as_bytes())?;
            let path = StoreKey::new(format!("{}{}/{}", folder(&self.home, quota)?, hex(&budget), kind.name()))?;
            Ok((path, kind, instance.shown.clone()))
        })
    }

    /// The counter of `kind` of what the key protected.
    pub(super) fn meter_of_key(&self, key: &CountedKey<'_>, kind: Kind) -> Result<Arc<Meter>> {
        self.known_or(MeterName::Key(key.namespace, key.id, kind), || {
            Ok((StoreKey::new(key_path(key.namespace, key.id, kind))?, kind, key.name.to_owned()))
        })
    }

    fn known_or(&self, name: MeterName, make: impl FnOnce() -> Result<(StoreKey, Kind, String)>) -> Result<Arc<Meter>> {
        if let Some(known) = self.known.lock().get(&name) {
            return Ok(Arc::clone(known));
        }
        let (path, kind, of) = make()?;
        let lease = Lock::new(Rank::Cache, Lease::new(epoch(), 0));
        let meter = Arc::new(Meter { path, kind, of, lease });
        let mut given_up = Vec::new();
        let found = {
            let mut known = self.known.lock();
            if known.len() >= KEPT {
                let idle =
                    known.iter().filter(|(_, meter)| Arc::strong_count(meter) == 1).map(|(name, _)| name.clone());
                let idle: Vec<_> = idle.take(GIVEN_UP).collect();
                given_up.extend(idle.iter().filter_map(|name| known.remove(name)));
            }
            Arc::clone(known.entry(name).or_insert(meter))
        };
        given_up.iter().for_each(|meter| self.give_up(meter));
        Ok(found)
    }

    /// Takes `n` out of a counter.
    pub(super) fn take(&self, meter: &Meter, n: u64, bounds: Bounds, now: Timestamp) -> Result<Took> {
        let day = if meter.kind.is_daily() { now.0 / DAY } else { 0 };
        let mut nap = NAP.0;
        for _ in 0..NAPS {
            let leasing = {
                let mut lease = meter.lease.lock();
                lease.renew(day);
                if let Some(left) = lease.left.checked_sub(n) {
                    lease.left = left;
                    return Ok(Took::Some { day: lease.day, near: false });
                }
                let free = !std::mem::replace(&mut lease.busy, true);
                free.then(|| {
                    let Lease { day, size, at, .. } = *lease;
                    Leasing { meter, held: std::mem::take(&mut lease.left), day, size, at }
                })
            };
            if let Some(leasing) = leasing {
                return self.lease(leasing, n, bounds);
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(NAP.1);
        }
        Err(Error::new(ErrorKind::Busy, "another thread leases of this quota all the time: try again"))
    }

    /// Leases what is missing, and as much more as seems fit.
    fn lease(&self, mut leasing: Leasing<'_>, n: u64, bounds: Bounds) -> Result<Took> {
        let meter = leasing.meter;
        // Without the commits: where these take long, it is all the more worth while to lease much.
        let lasted = self.clock.monotonic().saturating_sub(leasing.at);
        let size = if lasted < QUICK {
            leasing.size.saturating_mul(2)
        } else if lasted > SLOW {
            (leasing.size / 2).max(1)
        } else {
            leasing.size
        };
        for _ in 0..ATTEMPTS {
            let (counter, condition) = self.read(&meter.path)?;
            let mut counter = counter.unwrap_or_else(|| Counter { of: meter.of.clone(), ..Counter::default() });
            if counter.day > leasing.day {
                // Another process has seen a later day.
                (leasing.day, leasing.held) = (counter.day, 0);
            } else if counter.day < leasing.day {
                (counter.day, counter.used) = (leasing.day, 0);
            }
            let missing = n.saturating_sub(leasing.held);
            let free = bounds.limit.saturating_sub(counter.used);
            if missing > free {
                return Ok(Took::None { day: leasing.day });
            }
            let share = bounds.share(counter.used);
            let taken = size.min(share).min(free).max(missing);
            let before = counter.used;
            counter.used = before.saturating_add(taken);
            if self.write(&meter.path, &counter, condition)? {
                // The size of bytes follows from what one operation takes.
                (leasing.size, leasing.at) = (size.max(missing).min(share), self.clock.monotonic());
                leasing.held = leasing.held.saturating_add(taken).saturating_sub(n);
                let near = is_near(counter.used, bounds.limit) && !is_near(before, bounds.limit);
                return Ok(Took::Some { day: leasing.day, near });
            }
        }
        Err(Error::new(ErrorKind::Busy, "too many processes lease of one quota at the same time: try again"))
    }

    /// Puts back what was taken on `day` and not used.
    pub(super) fn put_back(meter: &Meter, n: u64, day: u64) {
        let mut lease = meter.lease.lock();
        if lease.epoch == epoch() && lease.day == day {
            lease.left = lease.left.saturating_add(n);
        }
    }

    /// Gives everything back that this process leased and did not use.
    pub(super) fn close(&self) {
        let all: Vec<Arc<Meter>> = self.known.lock().values().cloned().collect();
        all.iter().for_each(|meter| self.give_up(meter));
    }

    /// Gives a lease back. Where that fails it is lost, as at the end of a process that is killed.
    fn give_up(&self, meter: &Meter) {
        let (day, left) = {
            let mut lease = meter.lease.lock();
            let left = if lease.epoch == epoch() { std::mem::take(&mut lease.left) } else { 0 };
            (lease.day, left)
        };
        for _ in 0..if left == 0 { 0 } else { ATTEMPTS } {
            let Ok((Some(mut counter), condition)) = self.read(&meter.path) else { return };
            if counter.day != day {
                return;
            }
            counter.used = counter.used.saturating_sub(left);
            if !matches!(self.write(&meter.path, &counter, condition), Ok(false)) {
                return;
            }
        }
    }

    fn read(&self, path: &StoreKey) -> Result<(Option<Counter>, Condition)> {
        Ok(match self.store.get(path)? {
            Some(Entry { value, version }) => {
                (Some(sealed::open_value(&self.home, path, &value)?), Condition::Version(path.clone(), version))
            }
            None => (None, Condition::Absent(path.clone())),
        })
    }

    fn write(&self, path: &StoreKey, counter: &Counter, condition: Condition) -> Result<bool> {
        let value = sealed::seal_value(&self.home, &*self.random, path, counter)?;
        let ops = vec![Op::Put(path.clone(), value)];
        let batch = Batch { conditions: vec![condition], ops, invalidates: false };
        Ok(matches!(self.store.commit(&batch)?, Commit::Committed(_)))
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters(..)")
    }
}

/// Where the counters of a quota are.
pub(super) fn folder(home: &DomainKey, quota: &Quota) -> Result<String> {
    let place = quota.scope.namespace.map_or_else(String::new, |id| id.to_string());
    let name = format!("{place}\0{}\0{}", quota.name, quota.serial);
    Ok(format!("{USED}{}/", hex(&home.index_term("quota", name.as_bytes())?)))
}

/// Where the counters of the keys of a namespace are.
pub(super) fn folder_of_keys(namespace: NamespaceId) -> String {
    format!("{USED}key/{namespace}/")
}

/// Where a counter of a key is.
pub(super) fn key_path(namespace: NamespaceId, key: ObjectId, kind: Kind) -> String {
    format!("{}{key}/{}", folder_of_keys(namespace), kind.name())
}

/// Half of a term: enough to tell budgets apart.
pub(super) fn hex(term: &[u8; 32]) -> String {
    let (half, _) = term.split_at(16);
    half.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

/// Whether four fifths of `limit` are used.
const fn is_near(used: u64, limit: u64) -> bool {
    used as u128 * 5 >= limit as u128 * 4
}
