//! The one crossing from asynchronous tasks to the core, which blocks.
//!
//! What is over in microseconds runs where it came in; everything else on a pool of threads with a bounded queue before it.
//! Where the queue is full, a call is refused at once (docs/adr/0038-a-server-of-its-own.md). What an HSM or another server
//! keeps has a lane of its own, so that nobody else waits behind a device that is slow
//! (docs/adr/0044-calls-of-hsms-that-hang.md).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::config::Config;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::BackendId;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Semaphore;

use super::config::ServerConfig;

/// Threads for what reads or seals everything there is: whoever asks for that waits for others who do, and nobody else does.
pub(super) const LONG: usize = 4;
/// Threads for those who follow the audit.
const FOLLOW: usize = 2;
/// Threads for what administrators do to the home: it may ask devices, and seal everything anew.
const HOME: usize = 4;
/// Threads for what does not cross here: files that are looked at, names that are resolved.
const BESIDE: usize = 8;

/// Where something crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Where its key is.
    Keys,
    /// Among what reads everything there is.
    Long,
    /// Among those who follow the audit: they look four times a second, and nobody waits for them.
    Follow,
    /// Among what administrators do to namespaces and domains, which no reader holds up.
    Home,
}

/// The crossing.
pub(super) struct Bridge {
    /// For everything that is done with keys of the software engine, and with none.
    usual: Lane,
    /// For backends that the configuration does not name.
    other: Lane,
    /// For what takes minutes, and as long as somebody takes to fetch it.
    long: Lane,
    follow: Lane,
    home: Lane,
    lanes: HashMap<String, Lane>,
    clock: Arc<dyn Clock>,
    /// Calls for which there was no place.
    refused: Counter,
}

/// So many threads, and a queue before them.
struct Lane {
    /// Places in the lane and in the queue before it.
    places: Arc<Semaphore>,
    threads: Arc<Semaphore>,
}

impl Lane {
    fn new(threads: usize, queue: u32) -> Self {
        let places = threads.saturating_add(number(queue));
        Self { places: Arc::new(Semaphore::new(places)), threads: Arc::new(Semaphore::new(threads)) }
    }
}

/// The backends that have lanes of their own, and how many threads.
fn lanes<'a>(config: &'a Config, server: &ServerConfig) -> impl Iterator<Item = (&'a String, usize)> {
    let blocking = number(server.blocking);
    let hsms = config.hsms.iter().map(|hsm| (&hsm.name, number(hsm.max_sessions)));
    // A group has as many as its members together.
    let groups = config.hsm_groups.iter().map(|group| {
        let members = config.hsms.iter().filter(|hsm| group.members.contains(&hsm.name));
        (&group.name, members.map(|hsm| number(hsm.max_sessions)).sum())
    });
    hsms.chain(groups).chain(config.remotes.iter().map(move |remote| (&remote.name, blocking)))
}

/// Threads that the runtime is to have for what blocks, so that no lane waits for another.
pub(super) fn threads(config: &Config, server: &ServerConfig) -> usize {
    let own: usize = lanes(config, server).map(|(_, threads)| threads).sum();
    BESIDE + LONG + FOLLOW + HOME + 2 * number(server.blocking) + own
}

impl Bridge {
    /// With the lanes that `config` and `server` ask for.
    pub(super) fn new(config: &Config, server: &ServerConfig, clock: Arc<dyn Clock>, refused: Counter) -> Self {
        let lane = || Lane::new(number(server.blocking), server.queue);
        let own = |(name, threads): (&String, usize)| (name.clone(), Lane::new(threads, server.queue));
        Self {
            usual: lane(),
            other: lane(),
            long: Lane::new(LONG, server.queue),
            follow: Lane::new(FOLLOW, server.queue),
            home: Lane::new(HOME, server.queue),
            lanes: lanes(config, server).map(own).collect(),
            clock,
            refused,
        }
    }

    /// Runs `work`, which is over in microseconds, here.
    pub(super) fn here<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        guarded(work)
    }

    /// Runs `work`, which uses keys of `backend`, on the pool, unless nobody waits for it any more when its turn comes.
    pub(super) async fn cross<T: Send + 'static>(
        &self,
        backend: &BackendId,
        deadline: Duration,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let lane = match self.lanes.get(&*backend.0) {
            Some(lane) => lane,
            None if *backend == BackendId::soft() => &self.usual,
            None => &self.other,
        };
        self.along(lane, deadline, work).await
    }

    /// Runs `work`, which may take minutes, where it is in the way of its like alone; it begins until `deadline`.
    pub(super) async fn cross_beside<T: Send + 'static>(
        &self,
        way: Way,
        deadline: Duration,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let lane = match way {
            Way::Keys => &self.usual,
            Way::Long => &self.long,
            Way::Follow => &self.follow,
            Way::Home => &self.home,
        };
        self.along(lane, deadline, work).await
    }

    async fn along<T: Send + 'static>(
        &self,
        lane: &Lane,
        deadline: Duration,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Ok(place) = Arc::clone(&lane.places).try_acquire_owned() else {
            self.refused.inc();
            return Err(Error::new(ErrorKind::Busy, "the server has more to do than it can: try again, or elsewhere"));
        };
        let late =
            || Err(Error::new(ErrorKind::Busy, "the deadline passed before the call had its turn: nothing was done"));
        let left = deadline.saturating_sub(self.clock.monotonic());
        let turn = tokio::time::timeout(left, Arc::clone(&lane.threads).acquire_owned());
        let Ok(Ok(thread)) = turn.await else { return late() };
        let clock = Arc::clone(&self.clock);
        let crossed = tokio::task::spawn_blocking(move || {
            let _held = (place, thread);
            if clock.monotonic() >= deadline {
                return late();
            }
            guarded(work)
        });
        crossed.await.unwrap_or_else(|_| Err(broken()))
    }
}

fn number(of: u32) -> usize {
    usize::try_from(of).unwrap_or(usize::MAX >> 8)
}

fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(broken()))
}

fn broken() -> Error {
    Error::new(ErrorKind::Internal, "the call broke off: this is a bug of the server")
}
