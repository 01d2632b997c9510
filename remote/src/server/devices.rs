//! Threads for calls of HSMs: a call that hangs in a vendor's module keeps one of them, and nobody waits for it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use libkmss::device::{Job, Runner};
use libkmss::error::{Error, ErrorKind, Result};

use super::metrics::Metrics;

/// How long a thread waits for more to do.
const REST: Duration = Duration::from_secs(10);

/// Threads that are made when they are needed. How many there can be follows from the `max_sessions` of the HSMs.
pub(super) struct Threads {
    pool: Arc<Pool>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Pool {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that wait for a job.
    idle: usize,
}

impl Threads {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { pool: Arc::default(), metrics }
    }
}

impl Runner for Threads {
    fn run(&self, job: Job) -> Result<()> {
        let mut state = self.pool.locked();
        if state.idle <= state.jobs.len() {
            let pool = Arc::clone(&self.pool);
            let made = thread::Builder::new().name("kmssd-hsm".to_owned()).spawn(move || pool.work());
            made.map_err(|e| Error::new(ErrorKind::Memory, "no thread can be made for an HSM").with_source(e))?;
        }
        state.jobs.push_back(job);
        drop(state);
        self.pool.more.notify_one();
        Ok(())
    }

    fn gave_up(&self, device: &str) {
        self.metrics.gave_up(device);
    }

    fn came_back(&self, device: &str) {
        self.metrics.came_back(device);
    }
}

impl Pool {
    fn work(&self) {
        let mut state = self.locked();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // Whoever waits for it hears that it broke off.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.locked();
                continue;
            }
            state.idle += 1;
            let (again, rest) = self.more.wait_timeout(state, REST).unwrap_or_else(PoisonError::into_inner);
            state = again;
            state.idle -= 1;
            if rest.timed_out() && state.jobs.is_empty() {
                return;
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_job_that_hangs_or_panics_holds_up_no_other() {
        let threads = Threads::new(Arc::new(Metrics::new()));
        let (release, hangs) = channel::<()>();
        threads.run(Box::new(move || hangs.recv().unwrap_or_default())).unwrap();
        threads.run(Box::new(|| panic!("a test"))).unwrap();
        let (done, told) = channel();
        for number in 0..20 {
            let done = done.clone();
            threads.run(Box::new(move || done.send(number).unwrap())).unwrap();
        }
        let mut seen: Vec<u32> = (0..20).map(|_| told.recv_timeout(Duration::from_secs(30)).unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
        drop(release);
    }
}
