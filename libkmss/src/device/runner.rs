//! Whose threads call a device: those that ask, or, in a process that may start some, those of a [`Runner`]. What hangs in a
//! vendor's module cannot be ended from outside, but on a thread of its own nobody has to wait for it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use once_cell::race::OnceBox;

use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::os::{beside_forks, epoch};

/// How much longer than a call a login may take: a module that is loaded first connects to its device.
const ENTERING: u32 = 5;
/// How much longer than a call the making of a pair may take: an RSA key is searched for.
const MAKING: u32 = 30;
/// What a device must do at least to be taken for alive, in bytes for each millisecond.
const PACE: u64 = 1 << 10;

/// Something to be run on a thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// Threads for the calls of devices, in a process that may start threads.
pub trait Runner: Send + Sync {
    /// Has `job` run at once, on a thread that it may keep for good. No device has more of them than its `max_sessions`.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`](crate::error::ErrorKind::Memory) where there is no thread; `job` is dropped then.
    fn run(&self, job: Job) -> Result<()>;

    /// Nobody waits any more for a call of the HSM `device`.
    fn gave_up(&self, device: &str);

    /// A call of the HSM `device` that nobody waits for is back. Threads tell as they come: of one call this may be heard before
    /// [`gave_up`](Runner::gave_up).
    fn came_back(&self, device: &str);
}

static RUNNER: OnceBox<(u32, Arc<dyn Runner>)> = OnceBox::new();

/// From now on all devices of this process are called on threads of `runner`. The first one counts.
pub fn run_devices_with(runner: Arc<dyn Runner>) {
    let _ = RUNNER.set(Box::new((epoch(), runner)));
}

/// The runner of this process; a forked child has none of its parent's threads.
pub(super) fn runner() -> Option<&'static Arc<dyn Runner>> {
    RUNNER.get().filter(|(process, _)| *process == epoch()).map(|(_, runner)| runner)
}

/// What a device is asked to do, as far as it matters for how long that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Something with a key.
    Usual,
    /// Something with so many bytes of data.
    Data(usize),
}

impl Effort {
    /// How long one call of the module may take for it where the usual one has `deadline`.
    pub(super) fn patience(self, deadline: Duration) -> Duration {
        match self {
            Self::Usual => deadline,
            // Whoever sends much data must not make a device look dead.
            Self::Data(len) => deadline.saturating_add(Duration::from_millis(len as u64 / PACE)),
        }
    }
}

/// What whoever waits sees of a call on another thread.
pub(super) struct Progress {
    clock: SystemClock,
    /// How long a usual call of the module may take, and how long one for what is asked.
    deadline: Duration,
    patience: Duration,
    /// Until when the module may take for what it does now, in microseconds of the clock; 0 while it is not in the module.
    until: AtomicU64,
    /// How long that is, in milliseconds.
    allowed: AtomicU64,
    /// Whether the module has answered anything.
    answered: AtomicBool,
}

impl Progress {
    pub(super) fn new(deadline: Duration, effort: Effort) -> Self {
        let patience = effort.patience(deadline);
        let (until, allowed, answered) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        Self { clock: SystemClock::default(), deadline, patience, until, allowed, answered }
    }

    /// How long the module may take still; `None` while the call is not in the module.
    pub(super) fn left(&self) -> Option<Duration> {
        let until = self.until.load(Ordering::Acquire);
        (until != 0).then(|| Duration::from_micros(until).saturating_sub(self.clock.monotonic()))
    }

    /// How long the module may take for what it does now.
    pub(super) fn allowed(&self) -> Duration {
        Duration::from_millis(self.allowed.load(Ordering::Acquire))
    }

    /// Whether the module has answered anything.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// Runs `f` so that what it does in the module is seen here.
    pub(super) fn watch<R>(self: &Arc<Self>, f: impl FnOnce() -> R) -> R {
        let _watched = Watched(CURRENT.replace(Some(Arc::clone(self))));
        f()
    }

    fn within<R>(&self, allowed: Duration, f: impl FnOnce() -> R) -> R {
        self.allowed.store(u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
        let until = self.clock.monotonic().saturating_add(allowed);
        let until = u64::try_from(until.as_micros()).unwrap_or(u64::MAX);
        let before = self.until.swap(until.max(1), Ordering::AcqRel);
        let result = beside_forks(f);
        self.answered.store(true, Ordering::Release);
        self.until.store(before, Ordering::Release);
        result
    }
}

thread_local! {
    /// The call that this thread runs for somebody else.
    static CURRENT: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

/// Sets what was there before in its place again.
struct Watched(Option<Arc<Progress>>);

impl Drop for Watched {
    fn drop(&mut self) {
        let before = self.0.take();
        let _ = CURRENT.try_with(|current| current.replace(before));
    }
}

/// Runs `f`, which is one call of a vendor's module.
pub(super) fn in_module<R>(f: impl FnOnce() -> R) -> R {
    within(|progress| progress.deadline, f)
}

/// Runs `f`, which is one call of a vendor's module for what is asked of the device, with all its data.
pub(super) fn asking<R>(f: impl FnOnce() -> R) -> R {
    within(|progress| progress.patience, f)
}

/// Runs `f`, which is one call of a vendor's module that makes a pair.
pub(super) fn making<R>(f: impl FnOnce() -> R) -> R {
    within(|progress| progress.deadline.saturating_mul(MAKING), f)
}

/// Runs `f`, which loads and initializes a module and logs in.
pub(super) fn entering<R>(f: impl FnOnce() -> R) -> R {
    within(|progress| progress.deadline.saturating_mul(ENTERING), f)
}

fn within<R>(allowed: impl FnOnce(&Progress) -> Duration, f: impl FnOnce() -> R) -> R {
    match CURRENT.try_with(|current| current.borrow().clone()).ok().flatten() {
        Some(progress) => progress.within(allowed(&progress), f),
        None => beside_forks(f),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_data_may_take_longer() {
        let deadline = Duration::from_secs(2);
        assert_eq!(Effort::Usual.patience(deadline), deadline);
        assert_eq!(Effort::Data(0).patience(deadline), deadline);
        assert_eq!(Effort::Data(64 << 20).patience(deadline), Duration::from_millis(2_000 + (64 << 10)));
    }

    #[test]
    fn only_the_time_in_the_module_counts() {
        let progress = Arc::new(Progress::new(Duration::from_secs(100), Effort::Usual));
        assert_eq!((progress.left(), progress.is_answered()), (None, false));
        progress.watch(|| {
            in_module(|| {
                assert!(progress.left().is_some_and(|left| left <= Duration::from_secs(100)));
                entering(|| assert!(progress.left().is_some_and(|left| left > Duration::from_secs(400))));
                assert!(progress.left().is_some_and(|left| left <= Duration::from_secs(100)));
            });
            assert_eq!((progress.left(), progress.is_answered()), (None, true));
        });
        in_module(|| assert_eq!(progress.left(), None));
    }

    #[test]
    fn a_call_for_much_data_has_no_longer_for_a_login() {
        let progress = Arc::new(Progress::new(Duration::from_secs(1), Effort::Data(64 << 20)));
        let allowed = |what: fn(&mut dyn FnMut())| {
            let mut seen = Duration::ZERO;
            progress.watch(|| what(&mut || seen = progress.allowed()));
            seen.as_secs()
        };
        assert_eq!(allowed(|f| in_module(f)), 1);
        assert_eq!(allowed(|f| entering(f)), 5);
        assert_eq!(allowed(|f| making(f)), 30);
        assert_eq!(allowed(|f| asking(f)), 66);
    }
}
