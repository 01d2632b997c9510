//! The connections to one address: a few that all threads share, and none of them a forked child's.

use std::cell::Cell;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libkmss::os::{Bell, Hooks, Lock, Rank, close_forgotten};
use socket2::Domain;

use super::channel::Channel;
use super::connection::{Connection, Place, Trouble};
use super::wire::Socket;

/// Calls at a time over each connection until there is another, as long as there may be.
const SHARE: u32 = 16;
/// How long no further connection is tried where one was not to be had, and how long at most where that goes on.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Whoever has waited for somebody else's connecting for this part of the time they have may connect themselves.
const PATIENCE: u32 = 4;

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
    /// The sockets of all, and of those that are not connected yet, each from its beginning to its end.
    sockets: Vec<Arc<Socket>>,
    /// Since when somebody connects, on the monotonic clock, and in which attempt: the last that was begun.
    connecting: Option<(Duration, u64)>,
    /// Counts attempts to connect.
    attempts: u64,
    /// Those who wait for the last one.
    waiting: Vec<Arc<Waiting>>,
    /// Monotonic time until which no further connection is tried, and how long that is.
    enough_until: Duration,
    pause: Duration,
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
    /// It makes one, in the attempt of this number; beside others, or the first.
    Connect { beside: bool, attempt: u64 },
    /// Somebody makes one, and is waited for no longer than this.
    Wait(Arc<Waiting>, Duration),
}

impl Open {
    /// In a forked child: the sockets are closed, so that the server sees the parent's end when the parent ends; all else is
    /// forgotten, for dropping it would speak to the server in the parent's name.
    fn abandon(&mut self) {
        let parents = mem::take(self);
        parents.sockets.iter().for_each(|socket| close_forgotten(socket.number()));
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

    /// Closes what gets no more calls and has none.
    fn close_unused(&mut self) {
        self.done.retain(|one| one.calls > 0);
        self.sweep();
    }

    /// Closes the sockets that nobody has any more: no longer ours to close before somebody else's file can have the number,
    /// and no fork in between.
    fn sweep(&mut self) {
        self.sockets.retain(|socket| Arc::strong_count(socket) > 1);
    }

    /// No further connection is tried for a while, which grows where the one after it was not to be had either.
    fn enough(&mut self, now: Duration) {
        if now < self.enough_until {
            return;
        }
        let in_a_row = now.saturating_sub(self.enough_until) < self.pause;
        self.pause = if in_a_row { self.pause.saturating_mul(2).min(LONGEST_PAUSE) } else { PAUSE };
        self.enough_until = now.saturating_add(self.pause);
    }

    fn way(&mut self, most: usize, edition: u64, now: Duration, patience: Duration) -> Way {
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
        // Where there is none yet, nobody is waited for who sits in a resolver.
        let waits = self.connecting.map_or(Duration::ZERO, |(since, _)| (since + patience).saturating_sub(now));
        let is_free = self.connecting.is_none() || open == 0 && waits.is_zero();
        let may_connect = is_free && open < most && (open == 0 || now >= self.enough_until);
        match self.fit.iter_mut().min_by_key(|shared| shared.calls) {
            Some(shared) if shared.calls < SHARE || !may_connect => {
                shared.calls += 1;
                Way::Over(Arc::clone(&shared.connection))
            }
            _ if may_connect => {
                self.attempts += 1;
                self.connecting = Some((now, self.attempts));
                Way::Connect { beside: open > 0, attempt: self.attempts }
            }
            _ => {
                let waiting = Arc::new(Waiting::default());
                self.waiting.push(Arc::clone(&waiting));
                Way::Wait(waiting, waits)
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
            return Err(Trouble::unreachable("there is no connection"));
        };
        let mut result = connection.call(until, ask);
        if let Err(Trouble::Broken { again, .. } | Trouble::Unreachable { again, .. }) = &mut result
            && !connection.has_answered()
        {
            // One that never answered anything: the server has as many as it takes, and answers over the others.
            let mut open = self.open.lock();
            if open.fit.iter().any(|shared| shared.connection.has_answered()) {
                open.enough(self.place.clock.monotonic());
                *again = true;
            }
        }
        result
    }

    fn leave(&self, connection: Arc<Connection>) {
        if connection.is_ours() {
            let mut open = self.open.lock();
            open.leave(&connection);
            if let Some(last) = Arc::into_inner(connection) {
                drop(last);
                open.sweep();
            }
        } else {
            // Its socket was closed when this process began.
            mem::forget(connection);
        }
    }

    fn connection(&self, connect_until: Duration, until: Duration) -> Result<Arc<Connection>, Trouble> {
        let clock = &*self.place.clock;
        let mut patience = None;
        loop {
            let (edition, now) = (self.place.edition(), clock.monotonic());
            let patience = *patience.get_or_insert_with(|| until.saturating_sub(now) / PATIENCE);
            let way = self.open.lock().way(self.most, edition, now, patience);
            match way {
                Way::Over(connection) => return Ok(connection),
                Way::Connect { beside: false, attempt } => return self.connect(attempt, connect_until),
                Way::Connect { beside: true, attempt } => {
                    // Where that fails or takes its time, those that there are do.
                    let share = connect_until.saturating_sub(now) / 4;
                    if let Ok(connection) = self.connect(attempt, now.saturating_add(share)) {
                        return Ok(connection);
                    }
                    self.open.lock().enough(clock.monotonic());
                }
                Way::Wait(waiting, most) => {
                    let rang = waiting.bell.wait(most.min(until.saturating_sub(now)));
                    if let Some(why) = waiting.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                        return Err(Trouble::Unreachable { why, again: true });
                    }
                    if !rang {
                        self.open.lock().waiting.retain(|one| !Arc::ptr_eq(one, &waiting));
                        if clock.monotonic() >= until {
                            let why = "nobody could connect to it until the deadline".to_owned();
                            return Err(Trouble::Unreachable { why, again: true });
                        }
                    }
                }
            }
        }
    }

    /// Connects, and tells those who wait for it.
    fn connect(&self, attempt: u64, until: Duration) -> Result<Arc<Connection>, Trouble> {
        let broken_off = Err("connecting to it broke off".to_owned());
        let mut connecting = Connecting { pool: self, epoch: libkmss::os::epoch(), attempt, made: broken_off };
        let made = self.place.connect(&|domain| self.socket(domain), until).map(Arc::new);
        connecting.made = match &made {
            Ok(connection) => Ok(Arc::clone(connection)),
            Err(Trouble::Unreachable { why, .. }) => Err(why.clone()),
            Err(trouble) => Err(trouble.to_string()),
        };
        drop(connecting);
        made
    }

    /// Makes a socket, which a child closes from then on whenever it is forked.
    fn socket(&self, domain: Domain) -> io::Result<Arc<Socket>> {
        let mut open = self.open.lock();
        let socket = Arc::new(Socket::new(domain)?);
        open.sockets.push(Arc::clone(&socket));
        Ok(socket)
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
    attempt: u64,
    made: Result<Arc<Connection>, String>,
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        let mut open = self.pool.open.lock();
        if self.epoch != libkmss::os::epoch() {
            // A child that was forked meanwhile begins anew.
            return;
        }
        let is_last = open.connecting.is_some_and(|(_, attempt)| attempt == self.attempt);
        if is_last {
            open.connecting = None;
        }
        if let Ok(connection) = &self.made {
            let shared = Shared { connection: Arc::clone(connection), calls: 1 };
            // Who did not want to wait for this one may have made another.
            let of = if open.fit.len() < self.pool.most { &mut open.fit } else { &mut open.done };
            of.push(shared);
        }
        // Also where it went well: other addresses of the same name may have been tried before.
        open.sweep();
        // What became of an attempt that somebody else did not wait for says nothing of theirs.
        if !is_last && self.made.is_err() {
            return;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;
    use std::net::{SocketAddr, TcpListener};
    use std::os::unix::net::UnixListener;

    use libkmss::clock::{Clock as _, SystemClock};

    use super::super::address::{Address, Names};
    use super::super::tls::{TlsFiles, TlsSource};
    use super::*;

    fn pool(uri: &str) -> Pool {
        let tls = Arc::new(TlsSource::new(TlsFiles { ca: None, certificate: None, key: None }));
        let (names, clock) = (Names::new(), Arc::new(SystemClock::default()));
        Pool::new(Place { address: Address::parse(uri).unwrap(), names, tls, clock }, 2)
    }

    fn later(seconds: u64) -> Duration {
        SystemClock::default().monotonic() + Duration::from_secs(seconds)
    }

    fn sockets(pool: &Pool) -> usize {
        pool.open.lock().sockets.len()
    }

    #[test]
    fn a_socket_is_closed_in_children_from_its_beginning_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pool = pool(&format!("http://{}", listener.local_addr().unwrap()));
        let socket = pool.socket(Domain::IPV4).unwrap();
        assert_eq!(sockets(&pool), 1, "before it is connected");
        let address: SocketAddr = listener.local_addr().unwrap();
        socket.connect_to(address, later(60), &SystemClock::default()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        pool.open.lock().sweep();
        assert_eq!(sockets(&pool), 1, "while somebody has it");
        drop(socket);
        pool.open.lock().sweep();
        assert_eq!((sockets(&pool), far.read(&mut [0]).unwrap()), (0, 0));
    }

    #[test]
    fn an_attempt_that_fails_leaves_no_socket_behind() {
        let nobody = pool("unix:/nonexistent/kmssd");
        assert!(nobody.connection(later(60), later(60)).is_err());
        assert_eq!((sockets(&nobody), nobody.open.lock().connecting), (0, None));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let pool = pool(&format!("unix:{}", path.display()));
        let connection = pool.connection(later(60), later(60)).unwrap();
        assert_eq!(sockets(&pool), 1);
        drop(listener);
        pool.leave(connection);
        assert_eq!((sockets(&pool), pool.open.lock().fit.len()), (1, 1), "one that is fit stays");
    }

    #[test]
    fn of_the_addresses_that_were_tried_before_one_that_answers_no_socket_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let pool = pool(&format!("unix:{}", path.display()));
        drop(pool.socket(Domain::IPV4).unwrap());
        assert_eq!(sockets(&pool), 1, "of the address that failed");
        let connection = pool.connection(later(60), later(60)).unwrap();
        assert_eq!(sockets(&pool), 1, "of the connection alone");
        pool.leave(connection);
    }

    #[test]
    fn whoever_has_waited_long_enough_for_anothers_connecting_connects_themselves_one_at_a_time() {
        let (patience, at) = (Duration::from_millis(500), |ms| Duration::from_secs(9) + Duration::from_millis(ms));
        let mut open = Open::default();
        assert!(matches!(open.way(2, 0, at(0), patience), Way::Connect { beside: false, attempt: 1 }));
        let Way::Wait(_, most) = open.way(2, 0, at(100), patience) else { unreachable!("somebody connects") };
        assert_eq!(most, Duration::from_millis(400));
        assert!(matches!(open.way(2, 0, at(500), patience), Way::Connect { beside: false, attempt: 2 }));
        assert!(matches!(open.way(2, 0, at(501), patience), Way::Wait(..)), "the others wait for that one");
    }

    #[test]
    fn one_attempt_that_fails_is_one_trouble_however_many_waited() {
        let pool = pool("unix:/nonexistent/kmssd");
        let now = later(0);
        let Way::Connect { attempt, .. } = pool.open.lock().way(2, 0, now, PAUSE) else { unreachable!("nobody does") };
        std::thread::scope(|s| {
            let waiting: Vec<_> = (0..8).map(|_| s.spawn(|| pool.connection(later(600), later(600)).err())).collect();
            while pool.open.lock().waiting.len() < 8 {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(matches!(pool.connect(attempt, now), Err(Trouble::Unreachable { again: false, .. })));
            for caller in waiting {
                assert!(matches!(caller.join().unwrap(), Some(Trouble::Unreachable { again: true, .. })));
            }
        });
    }

    #[test]
    fn what_becomes_of_an_attempt_that_was_not_waited_for_is_told_to_nobody() {
        let pool = pool("unix:/nonexistent/kmssd");
        let now = later(0);
        let attempt = |patience| match pool.open.lock().way(2, 0, now, patience) {
            Way::Connect { attempt, .. } => attempt,
            _ => unreachable!("nobody is waited for"),
        };
        let (slow, quick) = (attempt(Duration::ZERO), attempt(Duration::ZERO));
        let Way::Wait(waiting, _) = pool.open.lock().way(2, 0, now, Duration::from_secs(1)) else {
            unreachable!("somebody connects")
        };
        assert!(pool.connect(slow, now).is_err() && !waiting.bell.wait(Duration::ZERO));
        assert!(matches!(pool.connect(quick, now), Err(Trouble::Unreachable { again: false, .. })));
        assert!(waiting.bell.wait(Duration::ZERO));
        assert!(waiting.failed.lock().unwrap().is_some());
    }

    #[test]
    fn connections_that_are_not_to_be_had_are_tried_less_and_less() {
        let (mut open, mut now) = (Open::default(), Duration::from_secs(100));
        let mut pauses = Vec::new();
        for _ in 0..7 {
            open.enough(now);
            open.enough(now);
            pauses.push(open.enough_until.saturating_sub(now).as_secs());
            now = open.enough_until + Duration::from_millis(1);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        open.enough(now + Duration::from_secs(60));
        assert_eq!(open.pause, PAUSE, "after a while it begins anew");
    }
}
