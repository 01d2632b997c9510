//! When to end: a signal, or whoever runs the agent.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

/// How long a wait goes on after it was asked to end.
const SLICE: Duration = Duration::from_millis(50);

/// A flag that is raised once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// One that SIGTERM and SIGINT raise.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Waits for `time`, or until it is raised; says whether it is.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let mut left = time;
        while !self.is_raised() && !left.is_zero() {
            let slice = left.min(SLICE);
            std::thread::sleep(slice);
            left = left.saturating_sub(slice);
        }
        self.is_raised()
    }
}
