//! The connections to one address: a few, used by one thread at a time each, and none of them a forked child's.

use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::os::{Hooks, Lock, Rank, Turnstile, close_forgotten};

use super::connection::{Channel, Connection, Place, Trouble};

/// At most so many connections, idle ones last in first out.
pub(super) struct Pool {
    place: Place,
    places: Arc<Turnstile>,
    idle: Lock<Idle>,
}

struct Idle {
    connections: Vec<Connection>,
    /// The sockets of all connections, those in use among them.
    open: Vec<RawFd>,
    places: Arc<Turnstile>,
    most: u32,
}

impl Idle {
    /// In a forked child: the sockets are closed, so that the server sees the parent's end when the parent ends; all else is
    /// forgotten, for dropping it would speak to the server in the parent's name.
    fn abandon(&mut self) {
        std::mem::forget(std::mem::take(&mut self.connections));
        self.open.drain(..).for_each(close_forgotten);
        self.places.reset(self.most);
    }
}

impl Pool {
    /// At most `most` connections to `place`.
    pub(super) fn new(place: Place, most: u32) -> Self {
        let places = Arc::new(Turnstile::new(most));
        let idle = Idle { connections: Vec::new(), open: Vec::new(), places: Arc::clone(&places), most };
        let hooks = Hooks { child: Idle::abandon, ..Hooks::default() };
        Self { place, places, idle: Lock::with_hooks(Rank::Cache, idle, hooks) }
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
        let clock: &dyn Clock = &*self.place.clock;
        if !self.places.enter(until.get().saturating_sub(clock.monotonic())) {
            return Err(Trouble::Unreachable("all connections to it were in use until the deadline".to_owned()));
        }
        let epoch = libkmss::os::epoch();
        let result = self.connection(connect_until).and_then(|mut connection| {
            let result = connection.call(until, ask);
            match &result {
                Ok(_) | Err(Trouble::Refused(_)) => self.put_back(connection),
                Err(_) => self.close(connection),
            }
            result
        });
        // A child has all its places from the beginning.
        if epoch == libkmss::os::epoch() {
            self.places.leave();
        }
        result
    }

    fn connection(&self, until: Duration) -> Result<Connection, Trouble> {
        let edition = self.place.edition();
        loop {
            let taken = self.idle.lock().connections.pop();
            let Some(mut connection) = taken else { break };
            if connection.is_fit(edition) {
                return Ok(connection);
            }
            self.close(connection);
        }
        let connection = self.place.connect(until)?;
        self.idle.lock().open.push(connection.number());
        Ok(connection)
    }

    fn put_back(&self, connection: Connection) {
        if connection.is_ours() {
            self.idle.lock().connections.push(connection);
        } else {
            std::mem::forget(connection);
        }
    }

    fn close(&self, connection: Connection) {
        if !connection.is_ours() {
            // Its socket was closed when this process began.
            std::mem::forget(connection);
            return;
        }
        // No longer ours to close before somebody else's file can have the number; and no fork in between.
        let mut idle = self.idle.lock();
        idle.open.retain(|number| *number != connection.number());
        drop(connection);
    }
}
