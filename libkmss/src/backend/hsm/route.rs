//! Which device a call goes to: the one there is, or one of a group. A call goes to another member of a group where the one
//! it went to cannot be used, within one deadline, and only where asking twice does no harm: whoever makes what is stored
//! chooses a member first, and stays with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::place::Place;
use crate::clock::{Clock, SystemClock};
use crate::config::{HsmGroupConfig, Routing};
use crate::device::{Device, Effort, Entered, Failure, Fault, Lent, Standing, Trouble, Use};
use crate::error::{Error, ErrorKind, Result};

/// How long who finds all members busy sleeps at first, and at most.
const NAPS: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(2)];
/// As long as this every member may take, however short the group's deadline is.
const SHORTEST: Duration = Duration::from_millis(100);
/// So often in succession a member fails at what another one does, before it is asked last.
const DOUBTS: u32 = 3;
/// How long it is asked last: a second more each time, up to so many.
const SECONDS: u32 = 10;

/// The devices that calls go to.
#[derive(Clone)]
pub(super) enum Route {
    /// The only one.
    One(Arc<Device>),
    /// Those of a group.
    Several(Arc<Members>),
}

/// The members of a group, in the order of the configuration.
pub(super) struct Members {
    name: String,
    routing: Routing,
    deadline: Duration,
    clock: SystemClock,
    all: Vec<Member>,
    /// Where those begin that have the same to do.
    turn: AtomicUsize,
}

struct Member {
    device: Arc<Device>,
    /// How often in succession it failed at what another member did.
    failed: AtomicU32,
    /// Until when it is asked last, in milliseconds of the group's clock.
    doubted_until: AtomicU64,
}

/// What became of a call at one member.
enum Tried<R> {
    Done(R),
    /// Nothing was asked of it, and a moment later may be better.
    Busy,
    /// It failed, and another member may do it.
    Next(Error, bool),
    /// Any member would say so.
    Final(Error),
}

impl Members {
    pub(super) fn new(config: &HsmGroupConfig, devices: Vec<Arc<Device>>) -> Self {
        let member = |device| Member { device, failed: AtomicU32::new(0), doubted_until: AtomicU64::new(0) };
        Self {
            name: config.name.clone(),
            routing: config.routing,
            deadline: Duration::from_millis(u64::from(config.deadline_ms)),
            clock: SystemClock::default(),
            all: devices.into_iter().map(member).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Runs `f` at the first member that takes it, of those that hold what is `at`.
    fn call<R: Send + 'static>(
        &self,
        (used, effort): (Use, Effort),
        at: &[&Place],
        f: impl Fn(&Arc<Device>, &Lent) -> Result<R, Trouble> + Send + Sync + 'static,
    ) -> Result<R> {
        // One that hangs in a member is given up, and may still be run there while another member runs it.
        let f = Arc::new(f);
        let until = self.clock.monotonic() + self.deadline;
        let [mut nap, longest] = NAPS;
        let mut failures: Vec<(usize, Error)> = Vec::new();
        // Those whose session was used: another member that does it shows that it is theirs to fail.
        let mut blamed = Vec::new();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        loop {
            let mut busy = false;
            let order = self.order(at, turn);
            for place in order.iter().copied() {
                let late = self.clock.monotonic() >= until;
                let Some(member) = self.all.get(place).filter(|_| !late) else { continue };
                if failures.iter().any(|(failed, _)| *failed == place) {
                    continue;
                }
                match self.try_at(member, (used, effort), &f, failures.len() + 1 >= order.len()) {
                    Tried::Done(result) => {
                        self.settle(place, &blamed);
                        return Ok(result);
                    }
                    Tried::Busy => busy = true,
                    Tried::Final(error) => return Err(error),
                    Tried::Next(error, asked) => {
                        tracing::warn!(group = %self.name, member = %member.device.name(), reason = %error.sentence(),
                            "the next member of the group is asked");
                        failures.push((place, error));
                        blamed.extend(asked.then_some(place));
                    }
                }
            }
            if !busy || self.clock.monotonic() >= until {
                return Err(self.nobody(busy, failures));
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(longest);
        }
    }

    fn try_at<R: Send + 'static>(
        &self,
        member: &Member,
        (used, effort): (Use, Effort),
        f: &Arc<impl Fn(&Arc<Device>, &Lent) -> Result<R, Trouble> + Send + Sync + 'static>,
        last: bool,
    ) -> Tried<R> {
        let device = &member.device;
        match device.standing() {
            Standing::Opening | Standing::Ready { free: false, .. } => return Tried::Busy,
            Standing::Resting(why) => {
                let why = format!("the HSM `{}` failed and is left alone for a while: {why}", device.name());
                return Tried::Next(Error::new(ErrorKind::BackendUnavailable, why), false);
            }
            Standing::Ready { .. } | Standing::Closed => {}
        }
        // Where others are there nobody waits for one that does not open at once.
        let alone = !self.all.iter().any(|other| matches!(other.device.standing(), Standing::Ready { .. }));
        // One that hangs leaves the next one time to do it. That is a part of the whole deadline, never of what is left of it:
        // whoever has waited must not make a member look dead.
        let within = if last { self.deadline.max(SHORTEST) } else { (self.deadline / 2).max(SHORTEST) };
        let (whole, f) = (Arc::clone(device), Arc::clone(f));
        match device.attempt((alone, within), effort, move |lent| f(&whole, lent)) {
            Ok(result) => Tried::Done(result),
            Err(Failure::Busy) => Tried::Busy,
            Err(Failure::Refused(error)) => Tried::Next(error, false),
            Err(Failure::Told(trouble)) => {
                // What failed on the way into it is the device's, whatever it is called.
                let call = trouble.fault() == Fault::Call;
                let error = trouble.into_error(device.name(), used);
                // What is wrong with one replica is not wrong with the others.
                if matches!(error.kind(), ErrorKind::BackendUnavailable | ErrorKind::Memory | ErrorKind::Damaged) {
                    Tried::Next(error, call)
                } else {
                    Tried::Final(error)
                }
            }
        }
    }

    /// The members in the order in which they are asked, of those that may hold what is `at`. Of several with as much to do
    /// the one whose `turn` it is comes first.
    fn order(&self, at: &[&Place], turn: usize) -> Vec<usize> {
        let now = self.now();
        let rank = |place: usize, member: &Member| {
            let standing = member.device.standing();
            let away = matches!(standing, Standing::Opening | Standing::Resting(_));
            let doubted = member.doubted_until.load(Ordering::Relaxed) > now;
            match (self.routing, standing) {
                (Routing::Priority, _) => (away, doubted, 0, place),
                (Routing::Balanced, standing) => {
                    let calls = if let Standing::Ready { calls, .. } = standing { calls } else { 0 };
                    (away, doubted, calls, place.wrapping_add(turn) % self.all.len().max(1))
                }
            }
        };
        let mut known = Vec::with_capacity(self.all.len());
        for (place, member) in self.all.iter().enumerate() {
            let entered = member.device.known();
            if at.iter().all(|key| key.may_be_in(&member.device, entered.as_deref())) {
                known.push((rank(place, member), place));
            }
        }
        known.sort_unstable();
        known.into_iter().map(|(_, place)| place).collect()
    }

    /// Remembers who did it, and who failed at it.
    fn settle(&self, done: usize, blamed: &[usize]) {
        if let Some(member) = self.all.get(done)
            && member.failed.load(Ordering::Relaxed) != 0
        {
            member.failed.store(0, Ordering::Relaxed);
        }
        for member in blamed.iter().filter_map(|place| self.all.get(*place)) {
            let failed = member.failed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if failed >= DOUBTS {
                let seconds = u64::from((failed - DOUBTS + 1).min(SECONDS));
                member.doubted_until.store(self.now() + seconds * 1_000, Ordering::Relaxed);
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    /// Why no member did it.
    fn nobody(&self, busy: bool, failures: Vec<(usize, Error)>) -> Error {
        let mut why: Vec<String> = failures.iter().map(|(_, error)| error.sentence()).collect();
        if busy {
            why.push(format!("others had no session within {} ms", self.deadline.as_millis()));
        }
        if why.is_empty() {
            why.push("none of those that can be reached holds the key: `kmss hsm clone` gives it to them".to_owned());
        }
        let name = &self.name;
        let why = format!("no member of the HSM group `{name}` does it: {}", why.join("; "));
        Error::new(ErrorKind::BackendUnavailable, why)
    }
}

impl Route {
    /// Runs `f` with a session of a device that holds what is `at`; with several, perhaps at more than one of them.
    ///
    /// # Errors
    /// Those of `f`, as the core knows them; [`ErrorKind::BackendUnavailable`] where no device can be used in time.
    pub(super) fn call<R: Send + 'static>(
        &self,
        used: Use,
        effort: Effort,
        at: &[&Place],
        f: impl Fn(&Arc<Device>, &Lent) -> Result<R, Trouble> + Send + Sync + 'static,
    ) -> Result<R> {
        match self {
            Self::One(device) => {
                let whole = Arc::clone(device);
                let asked = device.call(effort, move |lent| f(&whole, lent));
                asked.map_err(|trouble| trouble.into_error(device.name(), used))
            }
            Self::Several(members) => members.call((used, effort), at, f),
        }
    }

    /// What is known of a device that holds what is `at`.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`] where none can be entered.
    pub(super) fn entered(&self, at: &[&Place]) -> Result<Arc<Entered>> {
        match self {
            Self::One(device) => device.entered(),
            Self::Several(members) => {
                let known = members.order(at, 0).into_iter().find_map(|place| members.all.get(place)?.device.known());
                let enter = || members.call((Use::Other, Effort::Usual), at, |_, lent| Ok(Arc::clone(lent.entered())));
                known.map_or_else(enter, Ok)
            }
        }
    }
}
