//! One thread drives one connection: everything that HTTP/2 wants done runs inside the call that waits for it.
//!
//! No runtime, no descriptor but the socket, no thread: tasks are polled in turn, and where none can go on the thread waits
//! for the socket. So a forked child has nothing to stop but one descriptor ([`super::pool`]).

use std::cell::Cell;
use std::future::Future;
use std::os::fd::AsFd as _;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::os::wait_until_ready;

use super::wire::Socket;

/// A task of a connection.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Turns that an idle connection gets to notice what happened to it.
const TURNS: usize = 8;

/// The deadline passed.
#[derive(Debug)]
pub(super) struct TimedOut;

/// Remembers that something can go on.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Where HTTP/2 leaves new tasks. Only the thread that drives the connection comes here, and a forked child never does.
#[derive(Clone)]
pub(super) struct Spawner(Arc<Mutex<Vec<Task>>>);

impl Spawner {
    fn take(&self) -> Vec<Task> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, task: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(task));
    }
}

/// The tasks of one connection, and the socket they wait for.
pub(super) struct Driver {
    tasks: Vec<Task>,
    spawned: Spawner,
    socket: Arc<Socket>,
    woken: Arc<Woken>,
    waker: Waker,
    clock: Arc<dyn Clock>,
}

impl Driver {
    pub(super) fn new(socket: Arc<Socket>, clock: Arc<dyn Clock>) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let spawned = Spawner(Arc::new(Mutex::new(Vec::new())));
        Self { tasks: Vec::new(), spawned, socket, woken, waker, clock }
    }

    /// Where tasks of this connection are left.
    pub(super) fn spawner(&self) -> Spawner {
        self.spawned.clone()
    }

    /// Runs `future` with everything it depends on, until it is done or the monotonic time `until` has come, which may move
    /// meanwhile.
    pub(super) fn run<T>(&mut self, future: impl Future<Output = T>, until: &Cell<Duration>) -> Result<T, TimedOut> {
        let mut future = pin!(future);
        loop {
            let waker = self.waker.clone();
            let mut context = Context::from_waker(&waker);
            self.woken.0.store(false, Ordering::Release);
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                // What it left to be sent goes out now: nobody drives this connection until the next call.
                self.turn();
                return Ok(done);
            }
            self.turn();
            if self.woken.0.load(Ordering::Acquire) {
                continue;
            }
            let left =
                until.get().checked_sub(self.clock.monotonic()).filter(|left| !left.is_zero()).ok_or(TimedOut)?;
            // A descriptor that cannot be waited for has failed, which the tasks find out.
            let _ = wait_until_ready(self.socket.as_fd(), self.socket.wants_to_write(), left);
        }
    }

    /// Lets the tasks notice what happened while nobody drove them: a closed connection, a ping, a farewell.
    pub(super) fn settle(&mut self) {
        for _ in 0..TURNS {
            self.woken.0.store(false, Ordering::Release);
            self.turn();
            if !self.woken.0.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Polls every task once; those that are done go.
    fn turn(&mut self) {
        let mut context = Context::from_waker(&self.waker);
        self.tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        loop {
            let new = self.spawned.take();
            if new.is_empty() {
                return;
            }
            for mut task in new {
                if task.as_mut().poll(&mut context).is_pending() {
                    self.tasks.push(task);
                }
            }
        }
    }
}
