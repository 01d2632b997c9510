//! The clocks themselves, and the clocks as of the last timer tick, which cost a few nanoseconds.

use std::mem::MaybeUninit;
use std::time::Duration;

/// The wall clock and the monotonic clock, some milliseconds late; `None` where the system has no such clocks.
#[must_use]
pub fn rough_clocks() -> Option<(Duration, Duration)> {
    Some((rough_wall()?, look_at(libc::CLOCK_MONOTONIC_COARSE)?))
}

/// The wall clock alone.
#[must_use]
pub fn rough_wall() -> Option<Duration> {
    look_at(libc::CLOCK_REALTIME_COARSE)
}

/// The monotonic clock, exactly.
#[must_use]
pub fn exact_monotonic() -> Option<Duration> {
    look_at(libc::CLOCK_MONOTONIC)
}

/// The wall clock, exactly; `None` before 1970.
#[must_use]
pub fn exact_wall() -> Option<Duration> {
    look_at(libc::CLOCK_REALTIME)
}

fn look_at(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the place is valid for writes.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: filled by the call that succeeded.
    let time = unsafe { time.assume_init() };
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}
