//! The connections to one address: a few that all threads share, and none of them a forked child's.

use std::cell::Cell;
use std::mem;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libkmss::os::{Bell, Hooks, Lock, Rank, close_forgotten};

use super::channel::Channel;
use super::connection::{Connection, Place, Trouble};

/// Calls at a time over each connection until there is another, as long as there may be.
const SHARE: u32 = 16;
/// How long no further connection is tried where one was not to be had.
const PAUSE: Duration = Duration::from_secs(1);

/// At most so many connections.
pub(super) struct Pool {
    place: Place,
    most: usize,
    open: Lock<Open>,
}

/// A connection and the calls over it.
struct Shared {
    connection: Arc<Connection>,
    calls: u32,
}

#[derive(Default)]
struct Open {
    /// Those that calls get.
    fit: Vec<Shared>,
    /// Those that get no more calls, and go with the last that they have.
    done: Vec<Shared>,
    /// The sockets of all.
    sockets: Vec<RawFd>,
    /// Whether somebody connects.
    connecting: bool,
    /// Those who wait for that.
    waiting: Vec<Arc<Waiting>>,
    /// Monotonic time until which no further connection is tried.
    enough_until: Duration,
}

/// A call that waits until somebody else has connected.
#[derive(Default)]
struct Waiting {
    bell: Bell,
    failed: Mutex<Option<String>>,
}

/// Where a call gets its connection.
enum Way {
    /// This one.
    Over(Arc<Connection>),
    /// It makes one; beside others, or the first.
    Connect { beside: bool },
    /// Somebody makes one.
    Wait(Arc<Waiting>),
}

impl Open {
    /// In a forked child: the sockets are closed, so that the server sees the parent's end when the parent ends; all else is
    /// forgotten, for dropping it would speak to the server in the parent's name.
    fn abandon(&mut self) {
        let parents = mem::take(self);
        parents.sockets.iter().copied().for_each(close_forgotten);
        mem::forget(parents);
    }

    /// Parts with connections that are not fit any more.
    fn sort_out(&mut self, edition: u64) {
        let (fit, unfit): (Vec<_>, Vec<_>) =
            mem::take(&mut self.fit).into_iter().partition(|shared| shared.connection.is_fit(edition));
        self.fit = fit;
        self.done.extend(unfit);
        self.close_unused();
    }

    /// Closes what gets no more calls and has none. No longer ours to close before somebody else's file can have the number;
    /// and no fork in between.
    fn close_unused(&mut self) {
        let (unused, done): (Vec<Shared>, _) = mem::take(&mut self.done).into_iter().partition(|one| one.calls == 0);
        self.done = done;
        for one in unused {
            self.sockets.retain(|number| *number != one.connection.number());
            drop(one);
        }
    }

    fn way(&mut self, most: usize, edition: u64, now: Duration) -> Way {
        if self.fit.iter().any(|shared| !shared.connection.is_fit(edition)) {
            self.sort_out(edition);
        }
        // The first of those with least to do: what few callers need, few connections give. One that nobody used just now is
        // looked at first, under the lock, which takes microseconds: of those who come together nobody gets one that was closed.
        while let Some(idle) = self.fit.iter().min_by_key(|shared| shared.calls).filter(|shared| shared.calls == 0) {
            idle.connection.settle();
            if idle.connection.is_fit(edition) {
                break;
            }
            self.sort_out(edition);
        }
        let open = self.fit.len();
        let may_connect = !self.connecting && open < most && (open == 0 || now >= self.enough_until);
        match self.fit.iter_mut().min_by_key(|shared| shared.calls) {
            Some(shared) if shared.calls < SHARE || !may_connect => {
                shared.calls += 1;
                Way::Over(Arc::clone(&shared.connection))
            }
            _ if may_connect => {
                self.connecting = true;
                Way::Connect { beside: open > 0 }
            }
            _ => {
                let waiting = Arc::new(Waiting::default());
                self.waiting.push(Arc::clone(&waiting));
                Way::Wait(waiting)
            }
        }
    }

    /// A call over `connection` ended.
    fn leave(&mut self, connection: &Arc<Connection>) {
        let of = |shared: &&mut Shared| Arc::ptr_eq(&shared.connection, connection);
        if let Some(shared) = self.fit.iter_mut().find(of) {
            shared.calls = shared.calls.saturating_sub(1);
        } else if let Some(shared) = self.done.iter_mut().find(of) {
            shared.calls = shared.calls.saturating_sub(1);
            if shared.calls == 0 {
                self.close_unused();
            }
        }
    }
}

impl Pool {
    /// At most `most` connections to `place`.
    pub(super) fn new(place: Place, most: u32) -> Self {
        let hooks = Hooks { child: Open::abandon, ..Hooks::default() };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { place, most, open: Lock::with_hooks(Rank::Cache, Open::default(), hooks) }
    }

    /// Whom the connections are to.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Makes one call on a connection that is fit for it. `connect_until` bounds the making of a new one; `until` may move while
    /// the answer comes.
    pub(super) fn call<T, F>(
        &self,
        (connect_until, until): (Duration, &Cell<Duration>),
        ask: impl FnOnce(Channel) -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let connection = self.connection(connect_until, until.get())?;
        // Left whatever becomes of the call.
        let leaving = Leaving { pool: self, connection: Some(connection) };
        let Some(connection) = &leaving.connection else {
            return Err(Trouble::Unreachable("there is no connection".to_owned()));
        };
        let mut result = connection.call(until, ask);
        if let Err(Trouble::Broken { again, .. }) = &mut result
            && !connection.has_answered()
        {
            // One that never answered anything: the server has as many as it takes, and answers over the others.
            let mut open = self.open.lock();
            if open.fit.iter().any(|shared| shared.connection.has_answered()) {
                open.enough_until = self.place.clock.monotonic().saturating_add(PAUSE);
                *again = true;
            }
        }
        result
    }

    fn leave(&self, connection: Arc<Connection>) {
        if connection.is_ours() {
            let mut open = self.open.lock();
            open.leave(&connection);
            drop(connection);
        } else {
            // Its socket was closed when this process began.
            mem::forget(connection);
        }
    }

    fn connection(&self, connect_until: Duration, until: Duration) -> Result<Arc<Connection>, Trouble> {
        let clock = &*self.place.clock;
        loop {
            let (edition, now) = (self.place.edition(), clock.monotonic());
            let way = self.open.lock().way(self.most, edition, now);
            match way {
                Way::Over(connection) => return Ok(connection),
                Way::Connect { beside: false } => return self.connect(connect_until),
                Way::Connect { beside: true } => {
                    // Where that fails or takes its time, those that there are do.
                    let share = connect_until.saturating_sub(now) / 4;
                    if let Ok(connection) = self.connect(now.saturating_add(share)) {
                        return Ok(connection);
                    }
                    self.open.lock().enough_until = clock.monotonic().saturating_add(PAUSE);
                }
                Way::Wait(waiting) => {
                    let rang = waiting.bell.wait(until.saturating_sub(now));
                    if let Some(why) = waiting.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                        return Err(Trouble::Unreachable(why));
                    }
                    if !rang {
                        self.open.lock().waiting.retain(|one| !Arc::ptr_eq(one, &waiting));
                        if clock.monotonic() >= until {
                            let why = "nobody could connect to it until the deadline";
                            return Err(Trouble::Unreachable(why.to_owned()));
                        }
                    }
                }
            }
        }
    }

    /// Connects, and tells those who wait for it.
    fn connect(&self, until: Duration) -> Result<Arc<Connection>, Trouble> {
        let broken_off = Err("connecting to it broke off".to_owned());
        let mut connecting = Connecting { pool: self, epoch: libkmss::os::epoch(), made: broken_off };
        let made = self.place.connect(until).map(Arc::new);
        connecting.made = match &made {
            Ok(connection) => Ok(Arc::clone(connection)),
            Err(Trouble::Unreachable(why)) => Err(why.clone()),
            Err(trouble) => Err(trouble.to_string()),
        };
        drop(connecting);
        made
    }
}

/// A call over a connection, which leaves it in the end, also where it panics.
struct Leaving<'a> {
    pool: &'a Pool,
    connection: Option<Arc<Connection>>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.leave(connection);
        }
    }
}

/// Connecting, for others too.
struct Connecting<'a> {
    pool: &'a Pool,
    epoch: u32,
    made: Result<Arc<Connection>, String>,
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        let mut open = self.pool.open.lock();
        if self.epoch != libkmss::os::epoch() {
            // A child that was forked meanwhile begins anew.
            return;
        }
        open.connecting = false;
        if let Ok(connection) = &self.made {
            open.sockets.push(connection.number());
            open.fit.push(Shared { connection: Arc::clone(connection), calls: 1 });
        }
        let waiting = mem::take(&mut open.waiting);
        drop(open);
        for one in waiting {
            if let Err(why) = &self.made {
                *one.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
            }
            one.bell.ring();
        }
    }
}
