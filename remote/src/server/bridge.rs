//! The one crossing from asynchronous tasks to the core, which blocks.
//!
//! What is over in microseconds runs where it came in; everything else on a pool of threads with a bounded queue before it.
//! Where the queue is full, a call is refused at once (docs/adr/0038-a-server-of-its-own.md).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::error::{Error, ErrorKind, Result};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Semaphore;

/// The crossing.
pub(super) struct Bridge {
    /// Places on the pool and in the queue before it.
    places: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    /// Calls for which there was no place.
    refused: Counter,
}

impl Bridge {
    /// With `threads` that the runtime has for it, and `queue` calls that may wait for one.
    pub(super) fn new(threads: u32, queue: u32, clock: Arc<dyn Clock>, refused: Counter) -> Self {
        let places = usize::try_from(u64::from(threads) + u64::from(queue)).unwrap_or(usize::MAX >> 4);
        Self { places: Arc::new(Semaphore::new(places)), clock, refused }
    }

    /// Runs `work`, which is over in microseconds, here.
    pub(super) fn here<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        guarded(work)
    }

    /// Runs `work` on the pool, unless nobody waits for it any more when its turn comes.
    pub(super) async fn cross<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.refused.inc();
            return Err(Error::new(ErrorKind::Busy, "the server has more to do than it can: try again, or elsewhere"));
        };
        let clock = Arc::clone(&self.clock);
        let crossed = tokio::task::spawn_blocking(move || {
            let _place = place;
            if clock.monotonic() >= deadline {
                return Err(Error::new(
                    ErrorKind::Busy,
                    "the deadline passed before the call had its turn: nothing was done",
                ));
            }
            guarded(work)
        });
        crossed.await.unwrap_or_else(|_| Err(broken()))
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(broken()))
}

fn broken() -> Error {
    Error::new(ErrorKind::Internal, "the call broke off: this is a bug of the server")
}
