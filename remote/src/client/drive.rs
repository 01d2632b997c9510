//! The callers of one connection drive it themselves: one of them waits for the socket, for all.
//!
//! No runtime, no descriptor but the socket, no thread. What HTTP/2 has to do is one task. Whoever has something to send lets
//! it go on, and the leader does when something came in: it wakes those whose answers that were, and leads until its own is
//! there. Nothing is held while somebody waits, so that others hand in their calls meanwhile
//! (docs/adr/0048-callers-share-connections.md).
//!
//! The locks are the standard library's: a forked child never comes here ([`super::pool`]).

use std::cell::Cell;
use std::future::Future;
use std::os::fd::AsFd as _;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::os::{Bell, wait_until_ready};

use super::wire::Socket;

/// The task of a connection: everything that comes and goes passes it.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long the leader waits for the socket at a time. It hears what comes in at once; that another caller found no room to write
/// and has gone, after this.
const GLANCE: Duration = Duration::from_millis(100);

/// The deadline passed.
#[derive(Debug)]
pub(super) struct TimedOut;

/// Remembers that the task can go on.
struct Woken(AtomicBool);

impl Woken {
    fn take(&self) -> bool {
        self.0.load(Ordering::Acquire) && self.0.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs `future`, which waits for nothing but `socket`, until it is done or the monotonic time `until` has come.
pub(super) fn alone<T>(
    socket: &Socket,
    clock: &dyn Clock,
    future: impl Future<Output = T>,
    until: Duration,
) -> Result<T, TimedOut> {
    let mut future = pin!(future);
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    loop {
        while woken.take() {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return Ok(done);
            }
        }
        let left = left(clock, until)?;
        // A descriptor that cannot be waited for has failed, which the future finds out.
        let _ = wait_until_ready(socket.as_fd(), socket.wants_to_write(), left);
        socket.may_be_read();
        woken.wake_by_ref();
    }
}

fn left(clock: &dyn Clock, until: Duration) -> Result<Duration, TimedOut> {
    until.checked_sub(clock.monotonic()).filter(|left| !left.is_zero()).ok_or(TimedOut)
}

/// A thread in a call.
#[derive(Default)]
struct Caller {
    /// Whether its call can go on.
    called: AtomicBool,
    /// Whether it leads. Set by whoever gives the lead to it.
    leads: AtomicBool,
    bell: Bell,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.called.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
    }
}

/// Who does what.
#[derive(Default)]
struct Desk {
    /// Whether somebody leads, or is about to.
    led: bool,
    /// Those who sleep, or have just been called.
    parked: Vec<Arc<Caller>>,
}

/// Gives the lead on at the end of a call, also where it panics: whoever waits for it would wait to their deadline.
struct Leaving<'a> {
    driver: &'a Driver,
    caller: &'a Arc<Caller>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.driver.leave(self.caller);
    }
}

/// Ends the connection where its task does, or panics.
struct Ending<'a>(&'a Driver);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
        // Whoever waits for the socket hears of it.
        self.0.socket.shut_down();
    }
}

/// The task of one connection, and the socket that it waits for.
pub(super) struct Driver {
    /// None once it ended.
    task: Mutex<Option<Task>>,
    ended: AtomicBool,
    woken: Arc<Woken>,
    waker: Waker,
    desk: Mutex<Desk>,
    socket: Arc<Socket>,
    clock: Arc<dyn Clock>,
}

impl Driver {
    pub(super) fn new(task: Task, socket: Arc<Socket>, clock: Arc<dyn Clock>) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let (task, desk) = (Mutex::new(Some(task)), Mutex::default());
        // A server that did not like what it was shown has said so by now, and takes nothing.
        socket.may_be_read();
        Self { task, ended: AtomicBool::new(false), woken, waker, desk, socket, clock }
    }

    /// Whether the connection ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Runs `future`, a call over this connection, until it is done or the monotonic time `until` has come, which may move
    /// meanwhile.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>, until: &Cell<Duration>) -> Result<T, TimedOut> {
        let caller = Arc::new(Caller { called: AtomicBool::new(true), ..Caller::default() });
        let leaving = Leaving { driver: self, caller: &caller };
        let outcome = self.wait_for(&caller, future, until);
        // What its end left to be sent goes out: that it was given up, or that there is room again.
        self.advance();
        drop(leaving);
        outcome
    }

    fn wait_for<T>(
        &self,
        caller: &Arc<Caller>,
        future: impl Future<Output = T>,
        until: &Cell<Duration>,
    ) -> Result<T, TimedOut> {
        let mut future = pin!(future);
        let waker = Waker::from(Arc::clone(caller));
        let mut context = Context::from_waker(&waker);
        loop {
            if caller.called.swap(false, Ordering::AcqRel) {
                if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                    return Ok(done);
                }
                self.advance();
                continue;
            }
            let left = left(&*self.clock, until.get())?;
            let (leads, write) = (self.leads(caller), self.socket.wants_to_write());
            if leads || write {
                let _ = wait_until_ready(self.socket.as_fd(), write, left.min(GLANCE));
                self.resume(leads);
            } else {
                caller.bell.wait(left);
            }
        }
    }

    /// Lets the task notice what happened while nobody called: a closed connection, a ping, a farewell.
    pub(super) fn settle(&self) {
        // As the leader, for a moment: where there is one, it has noticed.
        let caller = Arc::new(Caller::default());
        if self.leads(&caller) {
            self.resume(true);
        }
        self.leave(&caller);
    }

    /// Whether `caller` leads, from now on where nobody does. Who does not is parked.
    fn leads(&self, caller: &Arc<Caller>) -> bool {
        if caller.leads.load(Ordering::Acquire) {
            return true;
        }
        let mut desk = self.desk();
        if !desk.led {
            desk.led = true;
            caller.leads.store(true, Ordering::Relaxed);
            desk.parked.retain(|parked| !Arc::ptr_eq(parked, caller));
            return true;
        }
        // The lead may have been given to it meanwhile, which rang.
        if !caller.leads.load(Ordering::Relaxed) && !desk.parked.iter().any(|parked| Arc::ptr_eq(parked, caller)) {
            desk.parked.push(Arc::clone(caller));
        }
        false
    }

    /// The end of a call: whoever led gives the lead to somebody who waits.
    fn leave(&self, caller: &Arc<Caller>) {
        let mut desk = self.desk();
        desk.parked.retain(|parked| !Arc::ptr_eq(parked, caller));
        if !caller.leads.load(Ordering::Relaxed) {
            return;
        }
        // Whoever was called comes by himself, and leads where it goes on waiting and nobody does.
        let next = desk.parked.iter().rposition(|parked| !parked.called.load(Ordering::Acquire));
        let next = next.map(|at| desk.parked.swap_remove(at));
        desk.led = next.is_some();
        if let Some(next) = &next {
            next.leads.store(true, Ordering::Release);
        }
        drop(desk);
        if let Some(next) = next {
            next.bell.ring();
        }
    }

    /// Lets the task go on where it can. Where another thread has it just now, that one does.
    fn advance(&self) {
        loop {
            // Whoever let go of the task looks whether it can go on, and whoever finds it taken said before that it can: one of
            // the two sees the other.
            fence(Ordering::SeqCst);
            if !self.woken.0.load(Ordering::Acquire) {
                return;
            }
            let mut task = match self.task.try_lock() {
                Ok(task) => task,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            self.turn(&mut task);
        }
    }

    /// Lets the task try the socket: to write what found no room, and to read where `reads` says so. Only the leader reads: it
    /// must not wait for what somebody else has read already.
    fn resume(&self, reads: bool) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if reads {
            self.socket.may_be_read();
        }
        self.woken.wake_by_ref();
        self.turn(&mut task);
        if reads {
            self.socket.was_read();
        }
        drop(task);
        self.advance();
    }

    fn turn(&self, task: &mut Option<Task>) {
        let mut context = Context::from_waker(&self.waker);
        while self.woken.take() {
            let ending = Ending(self);
            // Taken out, so that what panics is not polled again.
            if let Some(mut running) = task.take()
                && running.as_mut().poll(&mut context).is_pending()
            {
                *task = Some(running);
                std::mem::forget(ending);
            }
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
