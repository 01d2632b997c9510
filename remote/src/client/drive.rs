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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
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

/// How long the first who leaves sending to others waits for them.
const MOMENT: Duration = Duration::from_millis(1);

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

/// Processors that this process may use, as it was when somebody asked first. No lock: a child may be forked meanwhile.
fn processors() -> usize {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            let found = std::thread::available_parallelism().map_or(1, usize::from);
            KNOWN.store(found, Ordering::Relaxed);
            found
        }
        known => known,
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
    /// Whether it leads. Changed at the desk.
    leads: AtomicBool,
    /// Whether it is among [`Desk::parked`]. Changed at the desk.
    parked: AtomicBool,
    bell: Bell,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.called.swap(true, Ordering::AcqRel) && !Gathering::notes() {
            self.bell.ring();
        }
    }
}

thread_local! {
    /// Where this thread lets a task or a call go on: whether somebody was called meanwhile.
    static GATHERED: Cell<Option<bool>> = const { Cell::new(None) };
}

/// As long as it lives, those whom this thread calls are noted, and rung for in the end, also where it panics: until then it holds
/// locks that they would run into.
struct Gathering<'a>(&'a Driver);

impl<'a> Gathering<'a> {
    fn begin(driver: &'a Driver) -> Self {
        GATHERED.set(Some(false));
        Self(driver)
    }

    /// Notes that somebody was called, where this thread gathers.
    fn notes() -> bool {
        let gathers = GATHERED.get().is_some();
        if gathers {
            GATHERED.set(Some(true));
        }
        gathers
    }
}

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        if GATHERED.take() == Some(true) {
            let called = self.0.desk().called();
            called.iter().for_each(|caller| caller.bell.ring());
        }
    }
}

/// Who does what.
#[derive(Default)]
struct Desk {
    /// Whether somebody leads, or is about to.
    led: bool,
    /// How many are in a call and neither wait for the socket nor are parked: they come by here before they sleep or go.
    awake: usize,
    /// Whether somebody left sending to others since something was sent.
    left: bool,
    /// Those who sleep, or have just been called.
    parked: Vec<Arc<Caller>>,
}

impl Desk {
    /// Takes out those who were called.
    fn called(&mut self) -> Vec<Arc<Caller>> {
        let called: Vec<_> = self.parked.extract_if(.., |parked| parked.called.load(Ordering::Acquire)).collect();
        called.iter().for_each(|caller| caller.parked.store(false, Ordering::Release));
        self.awake += called.len();
        called
    }

    /// Takes `caller` out, where nobody else did.
    fn rouse(&mut self, caller: &Arc<Caller>) {
        if caller.parked.swap(false, Ordering::AcqRel) {
            self.parked.retain(|parked| !Arc::ptr_eq(parked, caller));
            self.awake += 1;
        }
    }

    /// Gives the lead to somebody who sleeps. Whoever was called comes by himself.
    fn give(&mut self) -> Option<Arc<Caller>> {
        let next = self.parked.iter().rposition(|parked| !parked.called.load(Ordering::Acquire))?;
        let next = self.parked.swap_remove(next);
        next.parked.store(false, Ordering::Release);
        next.leads.store(true, Ordering::Release);
        (self.led, self.awake) = (true, self.awake + 1);
        Some(next)
    }
}

/// What a caller does whose call cannot go on.
enum Rest {
    /// It can: it was called.
    None,
    /// It waits for the socket, for all.
    Leads,
    /// It sends what there is, and sleeps.
    Parks,
    /// It sleeps: others who are awake send what it has. The first who does looks after a moment whether they did.
    Leaves { first: bool },
}

/// The end of a call, also where it panics: whoever waits for it would wait to their deadline.
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
    processors: usize,
}

impl Driver {
    pub(super) fn new(task: Task, socket: Arc<Socket>, clock: Arc<dyn Clock>) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let (task, desk) = (Mutex::new(Some(task)), Mutex::default());
        // A server that did not like what it was shown has said so by now, and takes nothing.
        socket.may_be_read();
        Self { task, ended: AtomicBool::new(false), woken, waker, desk, socket, clock, processors: processors() }
    }

    /// Whether the connection ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Runs `future`, a call over this connection, until it is done or the monotonic time `until` has come, which may move
    /// meanwhile.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>, until: &Cell<Duration>) -> Result<T, TimedOut> {
        let caller = Arc::new(Caller { called: AtomicBool::new(true), ..Caller::default() });
        self.desk().awake += 1;
        let _leaving = Leaving { driver: self, caller: &caller };
        self.wait_for(&caller, future, until)
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
        let mut patient = true;
        loop {
            if caller.called.swap(false, Ordering::AcqRel) {
                let gathering = Gathering::begin(self);
                let polled = future.as_mut().poll(&mut context);
                drop(gathering);
                if let Poll::Ready(done) = polled {
                    return Ok(done);
                }
                patient = true;
                continue;
            }
            let left = left(&*self.clock, until.get())?;
            match self.rest(caller, patient) {
                Rest::None => {}
                Rest::Leads => {
                    self.advance();
                    let _ = wait_until_ready(self.socket.as_fd(), self.socket.wants_to_write(), left.min(GLANCE));
                    self.desk().awake += 1;
                    self.resume(true);
                }
                Rest::Leaves { first } => patient = self.sleep(caller, left.min(if first { MOMENT } else { GLANCE })),
                Rest::Parks => {
                    self.advance();
                    if self.socket.wants_to_write() {
                        let _ = wait_until_ready(self.socket.as_fd(), true, left.min(GLANCE));
                        self.desk().rouse(caller);
                        self.resume(false);
                    } else {
                        patient = self.sleep(caller, left.min(GLANCE));
                    }
                }
            }
        }
    }

    /// Lets the task notice what happened while nobody called: a closed connection, a ping, a farewell.
    pub(super) fn settle(&self) {
        // As the leader, for a moment: where there is one, it has noticed.
        let caller = Arc::new(Caller::default());
        let mut desk = self.desk();
        if desk.led {
            return;
        }
        (desk.led, desk.awake) = (true, desk.awake + 1);
        caller.leads.store(true, Ordering::Relaxed);
        drop(desk);
        let _leaving = Leaving { driver: self, caller: &caller };
        self.resume(true);
    }

    /// What `caller` does until it is called. It leads from now on where nobody does, and is not awake any more.
    ///
    /// Where more others are awake than there are processors, some of them run only when this one sleeps: then they send what it
    /// has with what they have, and the last of them leads, so that a system call is for many and not for each. Whoever is not
    /// `patient` does not wait for that.
    fn rest(&self, caller: &Arc<Caller>, patient: bool) -> Rest {
        let mut desk = self.desk();
        if caller.called.load(Ordering::Acquire) {
            return Rest::None;
        }
        desk.awake = desk.awake.saturating_sub(1);
        let leaves = patient && desk.awake >= self.processors;
        if caller.leads.load(Ordering::Relaxed) || !desk.led && !leaves {
            (desk.led, desk.left) = (true, false);
            caller.leads.store(true, Ordering::Relaxed);
            return Rest::Leads;
        }
        caller.parked.store(true, Ordering::Relaxed);
        desk.parked.push(Arc::clone(caller));
        let left = std::mem::replace(&mut desk.left, leaves);
        if leaves { Rest::Leaves { first: !left } } else { Rest::Parks }
    }

    /// Sleeps until `caller` is called or leads, `most` at longest; whether it is.
    fn sleep(&self, caller: &Arc<Caller>, most: Duration) -> bool {
        caller.bell.wait(most);
        // Whoever called it has taken it out, mostly.
        if caller.parked.load(Ordering::Acquire) {
            self.desk().rouse(caller);
        }
        caller.called.load(Ordering::Acquire) || caller.leads.load(Ordering::Acquire)
    }

    /// The end of a call: what it left to be sent goes out, that it was given up or that there is room again, and the lead goes to
    /// somebody who waits, unless others are awake who come by and see to it.
    fn leave(&self, caller: &Arc<Caller>) {
        let mut desk = self.desk();
        desk.awake = desk.awake.saturating_sub(1);
        if caller.leads.load(Ordering::Relaxed) {
            desk.led = false;
        }
        let next = if desk.awake == 0 && !desk.led { desk.give() } else { None };
        let leaves = desk.awake >= self.processors;
        desk.left &= leaves;
        drop(desk);
        if !leaves {
            self.advance();
        }
        if let Some(next) = next {
            next.bell.ring();
        }
    }

    /// Lets the task go on where it can. Where another thread has it just now, that one does.
    fn advance(&self) {
        if !self.woken.0.load(Ordering::Acquire) {
            return;
        }
        let _gathering = Gathering::begin(self);
        self.go_on();
    }

    /// As [`Self::advance`]. Whoever calls this gathers.
    fn go_on(&self) {
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
        let _gathering = Gathering::begin(self);
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
        self.go_on();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{HashMap, HashSet};
    use std::future::poll_fn;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use libkmss::clock::SystemClock;
    use socket2::Domain;
    use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

    use super::super::wire::Wire;
    use super::*;

    /// What calls and the task have between them, under a lock that both take: bytes, each a call's.
    #[derive(Default)]
    struct Post {
        out: Vec<u8>,
        came: HashSet<u8>,
        waiting: HashMap<u8, Waker>,
        task: Option<Waker>,
        writes: usize,
    }

    fn task(mut wire: Wire, post: Arc<Mutex<Post>>) -> Task {
        Box::pin(poll_fn(move |context| {
            let mut post = post.lock().unwrap();
            post.task = Some(context.waker().clone());
            let mut room = [0; 64];
            loop {
                let mut into = ReadBuf::new(&mut room);
                match Pin::new(&mut wire).poll_read(context, &mut into) {
                    Poll::Ready(Ok(())) if !into.filled().is_empty() => {
                        for byte in into.filled() {
                            post.came.insert(*byte);
                            post.waiting.remove(byte).into_iter().for_each(Waker::wake);
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            let out = std::mem::take(&mut post.out);
            if !out.is_empty() {
                post.writes += 1;
                let Poll::Ready(Ok(sent)) = Pin::new(&mut wire).poll_write(context, &out) else {
                    return Poll::Ready(());
                };
                assert_eq!(sent, out.len());
            }
            Poll::Pending
        }))
    }

    async fn ask(post: &Mutex<Post>, byte: u8) {
        let mut asked = false;
        poll_fn(|context| {
            let mut post = post.lock().unwrap();
            if post.came.remove(&byte) {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut asked, true) {
                post.out.push(byte);
                post.task.iter().for_each(Waker::wake_by_ref);
            }
            post.waiting.insert(byte, context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// A driver that believes in so many processors, over a connection to somebody who sends everything back.
    fn driver(processors: usize) -> (Driver, Arc<Mutex<Post>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let (clock, socket) = (Arc::new(SystemClock::default()), Arc::new(Socket::new(Domain::UNIX).unwrap()));
        socket.connect_to_path(&path, Duration::MAX, &*clock).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 64];
            while let Ok(read @ 1..) = far.read(&mut bytes) {
                far.write_all(bytes.get(..read).unwrap()).unwrap();
            }
        });
        let post = Arc::<Mutex<Post>>::default();
        let task = task(Wire(Arc::clone(&socket)), Arc::clone(&post));
        let mut driver = Driver::new(task, socket, clock);
        driver.processors = processors;
        (driver, post)
    }

    fn soon(driver: &Driver) -> Cell<Duration> {
        Cell::new(driver.clock.monotonic() + Duration::from_secs(120))
    }

    #[test]
    fn every_caller_gets_its_answer_whether_they_share_a_processor_or_have_one_each() {
        for processors in [1, 2, 64] {
            let (driver, post) = driver(processors);
            std::thread::scope(|s| {
                for caller in 0..16 {
                    let (driver, post) = (&driver, &post);
                    s.spawn(move || {
                        (0..200).for_each(|_| driver.run(ask(post, caller), &soon(driver)).unwrap());
                    });
                }
            });
            let desk = driver.desk();
            assert_eq!((desk.awake, desk.led, desk.parked.len()), (0, false, 0));
        }
    }

    #[test]
    fn what_was_left_to_others_who_do_not_come_is_sent_all_the_same() {
        let (driver, post) = driver(0);
        driver.run(ask(&post, 1), &soon(&driver)).unwrap();
        assert_eq!(post.lock().unwrap().writes, 1);
    }

    #[test]
    fn a_call_that_panics_or_is_given_up_leaves_the_others_their_answers() {
        let (driver, post) = driver(1);
        std::thread::scope(|s| {
            let broken = s.spawn(|| driver.run(poll_fn(|_| -> Poll<()> { unreachable!("it breaks") }), &soon(&driver)));
            let late = s.spawn(|| driver.run(std::future::pending::<()>(), &Cell::new(driver.clock.monotonic())));
            (2..10).for_each(|caller| driver.run(ask(&post, caller), &soon(&driver)).unwrap());
            assert!(broken.join().is_err() && late.join().unwrap().is_err());
        });
        assert_eq!(driver.desk().awake, 0);
    }
}
