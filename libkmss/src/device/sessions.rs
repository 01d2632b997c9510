//! The sessions of a device: lent to one caller at a time, bounded, logged in once, and forgotten where they went void.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, SessionState};

use super::fault::{self, Trouble};
use super::handles::Handles;
use super::module::Module;
use super::runner::{asking, entering, in_module, making, runner};
use super::standing::{Patience, Standing, Unlent};
use super::{Denied, Device, Entered, Entrance};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{epoch, is_leaving};
use crate::secret::Secret;

/// How long who waits sleeps at first, and at most.
const NAPS: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(2)];
/// How long who enters waits before trying once more: while another process logs in, SoftHSM2 writes its token's file, and
/// has no token meanwhile.
const AGAIN: [Duration; 2] = [Duration::from_millis(30), Duration::from_millis(90)];
/// How long a device that failed is left alone at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// What is known of a device. It belongs to one process: a forked child starts anew, and calls nothing of its parent's.
pub(super) struct State {
    /// The process that all this belongs to.
    epoch: u32,
    /// Grows with each entrance: sessions and handles of another one are void.
    entrance: u64,
    inside: Option<Arc<Entered>>,
    /// The module stays in use while the device is entered anew.
    module: Option<Module>,
    /// A thread enters; others wait for it.
    entering: bool,
    /// The last one in is the first one out: the others may rest.
    idle: Vec<Numbered>,
    /// Sessions that are open, lent ones included.
    open: u32,
    /// The number of the session that was opened last.
    last: u64,
    /// The numbers of those that were not closed since: with a session go the objects that were made in it.
    live: BTreeSet<u64>,
    /// An entrance that is over and whose sessions are open still, so that whoever has one closes it.
    still_open: Option<u64>,
    /// Objects that nobody knows any more, and that there was no session to destroy with; each with the number of its session.
    doomed: Vec<(u64, ObjectHandle)>,
    handles: Handles,
    trip: Option<Trip>,
    /// The PIN that was right; a worker may not be able to read it again.
    pin: Option<Secret>,
}

/// A session with a number of ours: those of the device come again.
struct Numbered {
    session: Session,
    number: u64,
}

/// A device that failed.
struct Trip {
    until: Duration,
    pause: Duration,
    why: String,
}

/// What the next step of a caller is.
enum Step {
    Use(Lent),
    Open(Arc<Entered>, u64),
    Enter(Option<Secret>),
    Wait,
}

/// The thread that enters. Whatever becomes of it, the next one may.
struct Entering<'a>(&'a Device);

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if state.epoch == epoch() {
            state.entering = false;
        }
    }
}

impl State {
    pub(super) fn new(epoch: u32) -> Self {
        Self {
            epoch,
            entrance: 0,
            inside: None,
            module: None,
            entering: false,
            idle: Vec::new(),
            open: 0,
            last: 0,
            live: BTreeSet::new(),
            still_open: None,
            doomed: Vec::new(),
            handles: Handles::default(),
            trip: None,
            pin: None,
        }
    }

    /// Forgets what belongs to an ancestor of this process. Sessions are closed by nobody here: dropping them does nothing.
    fn own(&mut self) {
        if self.epoch != epoch() {
            let (entrance, last, pin) = (self.entrance, self.last, self.pin.take());
            *self = Self { entrance: entrance + 1, last, pin, ..Self::new(epoch()) };
        }
    }

    /// Makes everything of this entrance void. `alive` says whether its sessions are open still; what idles is returned then,
    /// to be closed.
    fn leave(&mut self, alive: bool) -> Vec<Numbered> {
        self.still_open = alive.then_some(self.entrance);
        self.entrance += 1;
        self.inside = None;
        self.open = 0;
        self.live.clear();
        self.doomed.clear();
        self.handles.clear();
        let idle = std::mem::take(&mut self.idle);
        if alive { idle } else { Vec::new() }
    }

    /// The number of a session that was just opened.
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.live.insert(self.last);
        self.last
    }

    /// Whether `lent` belongs to what is there now.
    fn has(&self, lent: &Lent) -> bool {
        self.epoch == lent.epoch && epoch() == lent.epoch && self.entrance == lent.entrance
    }

    /// Whether `lent` is open though its entrance is over.
    fn left(&self, lent: &Lent) -> bool {
        self.epoch == lent.epoch && epoch() == lent.epoch && self.still_open == Some(lent.entrance)
    }
}

/// A session lent to one caller.
pub struct Lent {
    session: Session,
    number: u64,
    entered: Arc<Entered>,
    epoch: u32,
    entrance: u64,
}

impl Lent {
    /// What is known of the token.
    #[must_use]
    pub const fn entered(&self) -> &Arc<Entered> {
        &self.entered
    }

    /// Which entrance the session belongs to: objects that are not stored live no longer than that.
    #[must_use]
    pub const fn entrance(&self) -> u64 {
        self.entrance
    }

    /// The session's number: objects that are not stored live no longer than the session that they were made in.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Asks the device something. Nothing of ours is locked meanwhile.
    ///
    /// # Errors
    /// What the device says.
    pub fn ask<R>(&self, f: impl FnOnce(&Session) -> cryptoki::error::Result<R>) -> Result<R, Trouble> {
        Ok(asking(|| f(&self.session)).map_err(|cause| fault::meant(cause, &self.entered.quirks))?)
    }

    /// As [`Self::ask`], to make a pair: that may take many times as long.
    ///
    /// # Errors
    /// What the device says.
    pub fn make_pair<R>(&self, f: impl FnOnce(&Session) -> cryptoki::error::Result<R>) -> Result<R, Trouble> {
        Ok(making(|| f(&self.session))?)
    }

    /// Whether the device still knows who is logged in.
    pub(super) fn is_logged_in(&self) -> bool {
        if !self.entered.login {
            return true;
        }
        let state = in_module(|| self.session.get_session_info()).map(|info| info.session_state());
        matches!(state, Ok(SessionState::RoUser | SessionState::RwUser))
    }
}

impl Device {
    /// A session of the logged-in user, as soon as there is one.
    pub(super) fn lend(&self, patience: Patience) -> Result<Lent, Unlent> {
        let mut began = None;
        let [mut nap, longest] = NAPS;
        loop {
            match self.step()? {
                Step::Use(lent) => return Ok(lent),
                Step::Open(entered, entrance) => {
                    if let Some(lent) = self.open_another(entered, entrance)? {
                        return Ok(lent);
                    }
                }
                Step::Enter(pin) => return Ok(self.enter_first(pin, patience.again)?),
                Step::Wait => {}
            }
            let now = self.now();
            if now.saturating_sub(*began.get_or_insert(now)) >= patience.longest {
                return Err(Unlent::Busy);
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(longest);
        }
    }

    /// How it stands. Costs two locks, and asks the device nothing.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if let Some(why) = self.is_left_alone() {
            return Standing::Resting(why);
        }
        let mut state = self.state.lock();
        state.own();
        if let Some(entered) = &state.inside {
            let idle = u32::try_from(state.idle.len()).unwrap_or(u32::MAX);
            let free = idle > 0 || state.open < self.most(entered);
            return Standing::Ready { calls: state.open.saturating_sub(idle), free };
        }
        match &state.trip {
            _ if state.entering => Standing::Opening,
            Some(trip) if trip.until > self.now() => Standing::Resting(trip.why.clone()),
            _ => Standing::Closed,
        }
    }

    /// Most sessions that are opened. What a device has for everybody together is not one process's alone.
    fn most(&self, entered: &Entered) -> u32 {
        self.config.max_sessions.min(entered.quirks.sessions.map_or(u32::MAX, |all| (all / 2).max(1)))
    }

    /// What is known of the token, where it is entered.
    #[must_use]
    pub fn known(&self) -> Option<Arc<Entered>> {
        let mut state = self.state.lock();
        state.own();
        state.inside.clone()
    }

    fn step(&self) -> Result<Step> {
        let mut state = self.state.lock();
        state.own();
        if let Some(entered) = state.inside.clone() {
            let entrance = state.entrance;
            if let Some(Numbered { session, number }) = state.idle.pop() {
                return Ok(Step::Use(Lent { session, number, entered, epoch: state.epoch, entrance }));
            }
            if state.open < self.most(&entered) {
                state.open += 1;
                return Ok(Step::Open(entered, entrance));
            }
            return Ok(Step::Wait);
        }
        if state.entering {
            return Ok(Step::Wait);
        }
        if let Some(trip) = &state.trip
            && let Some(left) = trip.until.checked_sub(self.now()).filter(|left| !left.is_zero())
        {
            let why = format!(
                "the HSM `{}` failed and is left alone for {} ms more: {}",
                self.config.name,
                left.as_millis(),
                trip.why
            );
            return Err(Error::new(ErrorKind::BackendUnavailable, why));
        }
        state.entering = true;
        Ok(Step::Enter(state.pin.clone()))
    }

    /// Enters for everybody.
    fn enter_first(&self, pin: Option<Secret>, again: bool) -> Result<Lent> {
        let process = epoch();
        let first = Entering(self);
        let mut pauses = AGAIN.iter();
        let outcome = loop {
            match entering(|| self.enter(pin.as_ref())) {
                Err(Denied::Again(e)) if again && epoch() == process => match pauses.next() {
                    Some(pause) => std::thread::sleep((*pause).min(self.deadline())),
                    None => break Err(e),
                },
                Err(Denied::Again(e) | Denied::Final(e)) => break Err(e),
                Ok(entered) => break Ok(entered),
            }
        };
        let mut state = self.state.lock();
        if state.epoch != process || epoch() != process {
            // Forked by what it called: the child is another process.
            state.own();
            return Err(Error::new(ErrorKind::BackendUnavailable, "the process was forked while it opened an HSM"));
        }
        let entered = match outcome {
            Ok(entered) => entered,
            Err(e) => {
                drop(state);
                drop(first);
                self.trip(e.sentence());
                return Err(e);
            }
        };
        let Entrance { module, entered, session, pin } = entered;
        state.entrance += 1;
        let before = state.module.replace(module);
        let (entered, entrance) = (Arc::new(entered), state.entrance);
        state.inside = Some(Arc::clone(&entered));
        state.open = 1;
        state.trip = None;
        state.pin = pin;
        let number = state.number();
        drop(state);
        drop(first);
        drop(before);
        Ok(Lent { session, number, entered, epoch: process, entrance })
    }

    /// Another session, which is logged in as all others are; `None` where the device has no more.
    fn open_another(&self, entered: Arc<Entered>, entrance: u64) -> Result<Option<Lent>> {
        let (library, slot, process) = (&entered.library, entered.slot, epoch());
        let opened = in_module(|| {
            if entered.writable { library.open_rw_session_no_drop(slot) } else { library.open_ro_session_no_drop(slot) }
        });
        let mut state = self.state.lock();
        state.own();
        let cause = match opened {
            Ok(session) if state.entrance == entrance => {
                let number = state.number();
                return Ok(Some(Lent { session, number, entered, epoch: process, entrance }));
            }
            Ok(session) => {
                // Left meanwhile: nobody counts it.
                let close = state.epoch == process && epoch() == process && state.still_open == Some(entrance);
                drop(state);
                close_all(if close { vec![session] } else { Vec::new() });
                return Ok(None);
            }
            Err(cause) => cause,
        };
        if state.entrance != entrance {
            return Ok(None);
        }
        state.open = state.open.saturating_sub(1);
        if fault::is_full(&cause) && state.open > 0 {
            return Ok(None);
        }
        let trouble = Trouble::Device(cause);
        let void = trouble.fault().is_void();
        let idle = state.leave(!void);
        drop(state);
        close_all(sessions(idle));
        if void {
            // Entered anew by whoever is next.
            return Ok(None);
        }
        self.trip(trouble.sentence());
        Err(trouble.into_error(self.name(), super::Use::Other))
    }

    /// Takes a session back.
    pub(super) fn put_back(&self, lent: Lent) {
        loop {
            let handle = {
                let mut state = self.state.lock();
                if !state.has(&lent) {
                    let close = state.left(&lent);
                    drop(state);
                    close_all(if close { vec![lent.session] } else { Vec::new() });
                    return;
                }
                // One at a time: what goes with a session that somebody closes meanwhile must not be asked for any more.
                let Some((_, handle)) = state.doomed.pop() else {
                    state.idle.push(Numbered { session: lent.session, number: lent.number });
                    return;
                };
                handle
            };
            let _ = lent.ask(|session| session.destroy_object(handle));
        }
    }

    /// Destroys what nobody knows any more, where a session rests to do it with.
    pub(super) fn sweep(&self) {
        let lent = {
            let mut state = self.state.lock();
            state.own();
            let Some(entered) = state.inside.clone().filter(|_| !state.doomed.is_empty()) else { return };
            let Some(Numbered { session, number }) = state.idle.pop() else { return };
            Lent { session, number, entered, epoch: state.epoch, entrance: state.entrance }
        };
        self.put_back(lent);
    }

    /// Closes a session of which nobody knows what it is in the midst of.
    pub(super) fn discard(&self, lent: Lent) {
        let mut idle = Vec::new();
        {
            let mut state = self.state.lock();
            if state.has(&lent) {
                state.open = state.open.saturating_sub(1);
                // What was made in it goes with it, before a new object can have the same handle.
                state.live.remove(&lent.number);
                state.doomed.retain(|(number, _)| *number != lent.number);
                if state.open == 0 {
                    // The login ends with the last session, and with it every handle of a private object.
                    idle = state.leave(true);
                }
            } else if !state.left(&lent) {
                return;
            }
        }
        idle.push(Numbered { session: lent.session, number: lent.number });
        close_all(sessions(idle));
    }

    /// Makes void what belongs to the entrance of `lent`. Returns whether nobody had done so before.
    pub(super) fn lose(&self, lent: Lent) -> bool {
        // Where only the login was lost the sessions are there still, and would count. Others are nobody's to close: their
        // numbers may be another's by now.
        let alive = lent.ask(Session::get_session_info).is_ok();
        let mut state = self.state.lock();
        state.own();
        let first = state.has(&lent);
        let mut idle = if first { state.leave(alive) } else { Vec::new() };
        let left = state.left(&lent);
        if left && !alive {
            state.still_open = None;
        }
        drop(state);
        if first {
            tracing::warn!(device = %self.config.name, "the HSM lost its sessions or its login: it is entered anew");
        }
        if left && alive {
            idle.push(Numbered { session: lent.session, number: lent.number });
            close_all(sessions(idle));
        }
        first
    }

    /// Whether the session of this number, of this entrance, is open still.
    pub fn is_live(&self, entrance: u64, number: u64) -> bool {
        let state = self.state.lock();
        state.epoch == epoch() && state.entrance == entrance && state.live.contains(&number)
    }

    /// Leaves the device alone for a while.
    pub(super) fn trip(&self, why: String) {
        let now = self.now();
        let mut state = self.state.lock();
        let [first, longest] = PAUSES;
        let pause = state.trip.as_ref().map_or(first, |trip| (trip.pause * 2).min(longest));
        tracing::warn!(device = %self.config.name, reason = %why, "the HSM is left alone for a while");
        state.trip = Some(Trip { until: now + pause, pause, why });
    }

    pub(super) fn forget_handles(&self) {
        self.state.lock().handles.clear();
    }

    /// The one object that `template` matches, remembered under `name`; `None` where there is none. The template is made only
    /// where it is looked for.
    ///
    /// # Errors
    /// What the device says; [`ErrorKind::Damaged`] where it has several.
    pub fn find_one(
        &self,
        lent: &Lent,
        name: &[u8],
        template: impl FnOnce() -> Vec<Attribute>,
    ) -> Result<Option<ObjectHandle>, Trouble> {
        {
            let state = self.state.lock();
            if state.entrance == lent.entrance
                && let Some(handle) = state.handles.get(name)
            {
                return Ok(Some(handle));
            }
        }
        let template = template();
        let found = lent.ask(|session| session.find_objects(&template))?;
        let handle = match found.as_slice() {
            [handle] => *handle,
            // Whoever is not logged in sees no private objects.
            [] if !lent.is_logged_in() => {
                let function = cryptoki::context::Function::FindObjects;
                return Err(cryptoki::error::Error::Pkcs11(cryptoki::error::RvError::UserNotLoggedIn, function).into());
            }
            [] => return Ok(None),
            _ => {
                let why = format!("the HSM `{}` has several objects of one CKA_ID and class", self.name());
                return Err(Error::new(ErrorKind::Damaged, why).into());
            }
        };
        self.remember((lent.entrance, lent.epoch), name, handle);
        Ok(Some(handle))
    }

    /// Remembers the handle of an object, which holds for this entrance in this process.
    pub fn remember(&self, (entrance, epoch): (u64, u32), name: &[u8], handle: ObjectHandle) {
        let mut state = self.state.lock();
        if state.entrance == entrance && state.epoch == epoch {
            state.handles.put(name, handle);
        }
    }

    /// Forgets the handle of an object that is gone.
    pub fn forget(&self, name: &[u8]) {
        self.state.lock().handles.remove(name);
    }

    /// Destroys an object of the session `number`, if that is open still. Nobody waits for a session to do it: where all are in
    /// use, whoever gives one back does it.
    pub fn drop_object(&self, entrance: u64, number: u64, handle: ObjectHandle) {
        if is_leaving() {
            return;
        }
        let lent = {
            let mut state = self.state.lock();
            state.own();
            if state.entrance != entrance || !state.live.contains(&number) {
                return;
            }
            let Some(entered) = state.inside.clone() else { return };
            let epoch = state.epoch;
            // With a runner, whoever drops it is nobody whose thread may hang.
            let Some(with) = state.idle.pop_if(|_| runner().is_none()) else {
                state.doomed.push((number, handle));
                return;
            };
            Lent { session: with.session, number: with.number, entered, epoch, entrance }
        };
        let _ = lent.ask(|session| session.destroy_object(handle));
        self.put_back(lent);
    }

    /// Closes all sessions. The device is entered anew by whoever uses it next.
    pub fn close(&self) {
        if runner().is_some() && self.hangs() {
            // A module is not taken down beneath a call. What comes back last closes what there is.
            return;
        }
        let (idle, module) = {
            let mut state = self.state.lock();
            state.own();
            let idle = state.leave(true);
            // The module may be taken down now, and what is lent still would be another's number then.
            state.still_open = None;
            (idle, state.module.take())
        };
        let close = move || {
            close_all(sessions(idle));
            drop(module);
        };
        match runner() {
            Some(runner) => self.close_there(&**runner, close),
            None => close(),
        }
    }
}

fn sessions(idle: Vec<Numbered>) -> Vec<Session> {
    idle.into_iter().map(|numbered| numbered.session).collect()
}

fn close_all(sessions: Vec<Session>) {
    for session in sessions {
        // While the process ends, what the module stands on may be gone.
        if !is_leaving() {
            let _ = in_module(|| session.close());
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.close();
    }
}
