//! The sessions of a device: lent to one caller at a time, bounded, logged in once, and forgotten where they went void.

use std::sync::Arc;
use std::time::Duration;

use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, SessionState};

use super::fault::{self, Trouble};
use super::handles::Handles;
use super::module::Module;
use super::{Device, Entered, Entrance};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{beside_forks, epoch};
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
    idle: Vec<Session>,
    /// Sessions that are open, lent ones included.
    open: u32,
    handles: Handles,
    trip: Option<Trip>,
    /// The PIN that was right; a worker may not be able to read it again.
    pin: Option<Secret>,
    /// The PIN that was wrong: one more attempt could lock it.
    refused: Option<Secret>,
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
    Enter(Option<Secret>, Option<Secret>),
    Wait,
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
            handles: Handles::default(),
            trip: None,
            pin: None,
            refused: None,
        }
    }

    /// Forgets what belongs to an ancestor of this process. Sessions are closed by nobody here: dropping them does nothing.
    fn own(&mut self) {
        if self.epoch != epoch() {
            let (entrance, pin, refused) = (self.entrance, self.pin.take(), self.refused.take());
            *self = Self { entrance: entrance + 1, pin, refused, ..Self::new(epoch()) };
        }
    }

    /// Makes everything of this entrance void.
    fn leave(&mut self) {
        self.entrance += 1;
        self.inside = None;
        self.idle.clear();
        self.open = 0;
        self.handles.clear();
    }
}

/// A session lent to one caller.
pub struct Lent {
    session: Session,
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

    /// Asks the device something. Nothing of ours is locked meanwhile.
    ///
    /// # Errors
    /// What the device says.
    pub fn ask<R>(&self, f: impl FnOnce(&Session) -> cryptoki::error::Result<R>) -> Result<R, Trouble> {
        Ok(beside_forks(|| f(&self.session)).map_err(|cause| fault::meant(cause, &self.entered.quirks))?)
    }

    /// Whether the device still knows who is logged in.
    pub(super) fn is_logged_in(&self) -> bool {
        if !self.entered.login {
            return true;
        }
        let state = beside_forks(|| self.session.get_session_info()).map(|info| info.session_state());
        matches!(state, Ok(SessionState::RoUser | SessionState::RwUser))
    }
}

impl Device {
    /// A session of the logged-in user, as soon as there is one.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`].
    pub(super) fn lend(&self) -> Result<Lent> {
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
                Step::Enter(pin, refused) => return self.enter_first(pin, refused),
                Step::Wait => {}
            }
            let now = self.now();
            if now.saturating_sub(*began.get_or_insert(now)) >= self.deadline() {
                let why = format!(
                    "all sessions of the HSM `{}` were in use, or its login took longer than {} ms: raise `max_sessions` or \
                     `deadline_ms`",
                    self.name(),
                    self.deadline().as_millis()
                );
                return Err(Error::new(ErrorKind::BackendUnavailable, why));
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(longest);
        }
    }

    /// What is known of the token, where it is entered.
    pub(super) fn known(&self) -> Option<Arc<Entered>> {
        let mut state = self.state.lock();
        state.own();
        state.inside.clone()
    }

    fn step(&self) -> Result<Step> {
        let mut state = self.state.lock();
        state.own();
        if let Some(entered) = state.inside.clone() {
            let entrance = state.entrance;
            if let Some(session) = state.idle.pop() {
                return Ok(Step::Use(Lent { session, entered, epoch: state.epoch, entrance }));
            }
            // What a device has for everybody together is not one process's alone.
            let shared = entered.quirks.sessions.map_or(u32::MAX, |all| (all / 2).max(1));
            if state.open < self.config.max_sessions.min(shared) {
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
        Ok(Step::Enter(state.pin.clone(), state.refused.clone()))
    }

    /// Enters for everybody.
    fn enter_first(&self, pin: Option<Secret>, mut refused: Option<Secret>) -> Result<Lent> {
        let process = epoch();
        let wrong = refused.clone();
        let mut pauses = AGAIN.iter();
        let outcome = loop {
            match beside_forks(|| self.enter(pin.as_ref(), &mut refused)) {
                Err(e) if e.kind() == ErrorKind::BackendUnavailable && refused == wrong && epoch() == process => {
                    match pauses.next() {
                        Some(pause) => std::thread::sleep((*pause).min(self.deadline())),
                        None => break Err(e),
                    }
                }
                entered => break entered,
            }
        };
        let mut state = self.state.lock();
        if state.epoch != process {
            // Forked by what it called: the child is another process.
            state.own();
            return Err(Error::new(ErrorKind::BackendUnavailable, "the process was forked while it opened an HSM"));
        }
        state.entering = false;
        state.refused = refused;
        match outcome {
            Ok(Entrance { module, entered, session, pin }) => {
                state.leave();
                let before = state.module.replace(module);
                let (entered, entrance) = (Arc::new(entered), state.entrance);
                state.inside = Some(Arc::clone(&entered));
                state.open = 1;
                state.trip = None;
                state.pin = pin;
                drop(state);
                drop(before);
                Ok(Lent { session, entered, epoch: process, entrance })
            }
            Err(e) => {
                drop(state);
                self.trip(e.sentence());
                Err(e)
            }
        }
    }

    /// Another session, which is logged in as all others are; `None` where the device has no more.
    fn open_another(&self, entered: Arc<Entered>, entrance: u64) -> Result<Option<Lent>> {
        let (library, slot, process) = (&entered.library, entered.slot, epoch());
        let opened = beside_forks(|| {
            if entered.writable { library.open_rw_session_no_drop(slot) } else { library.open_ro_session_no_drop(slot) }
        });
        let cause = match opened {
            Ok(session) => return Ok(Some(Lent { session, entered, epoch: process, entrance })),
            Err(cause) => cause,
        };
        let mut state = self.state.lock();
        state.own();
        if state.entrance != entrance {
            return Ok(None);
        }
        state.open = state.open.saturating_sub(1);
        if fault::is_full(&cause) && state.open > 0 {
            return Ok(None);
        }
        state.leave();
        let trouble = Trouble::Device(cause);
        if trouble.fault().is_void() {
            // Entered anew by whoever is next.
            return Ok(None);
        }
        drop(state);
        self.trip(trouble.sentence());
        Err(trouble.into_error(self.name(), super::Use::Other))
    }

    /// Takes a session back.
    pub(super) fn put_back(&self, lent: Lent) {
        let mut state = self.state.lock();
        if state.epoch == lent.epoch && epoch() == lent.epoch && state.entrance == lent.entrance {
            state.idle.push(lent.session);
        }
    }

    /// Closes a session of which nobody knows what it is in the midst of.
    pub(super) fn discard(&self, lent: Lent) {
        let Lent { session, epoch: process, entrance, .. } = lent;
        let last = {
            let mut state = self.state.lock();
            if process != epoch() || state.epoch != process || state.entrance != entrance {
                return;
            }
            state.open = state.open.saturating_sub(1);
            state.open == 0
        };
        // The login ends with the last session, and with it every handle of a private object.
        if last {
            self.state.lock().leave();
        }
        let _ = beside_forks(|| session.close());
    }

    /// Makes void what belongs to the entrance of `lent`, unless somebody did.
    pub(super) fn lose(&self, lent: Lent) {
        // Where only the login was lost the sessions are there still, and would count. Others are nobody's to close: their
        // numbers may be another's by now.
        let alive = lent.ask(Session::get_session_info).is_ok();
        let mut state = self.state.lock();
        state.own();
        if state.epoch != lent.epoch || state.entrance != lent.entrance {
            return;
        }
        let mut idle = std::mem::take(&mut state.idle);
        state.leave();
        drop(state);
        tracing::warn!(device = %self.config.name, "the HSM lost its sessions or its login: it is entered anew");
        idle.push(lent.session);
        if alive {
            close_all(idle);
        }
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
        self.remember(lent, name, handle);
        Ok(Some(handle))
    }

    /// Remembers the handle of an object that was just made.
    pub fn remember(&self, lent: &Lent, name: &[u8], handle: ObjectHandle) {
        let mut state = self.state.lock();
        if state.entrance == lent.entrance && state.epoch == lent.epoch {
            state.handles.put(name, handle);
        }
    }

    /// Forgets the handle of an object that is gone.
    pub fn forget(&self, name: &[u8]) {
        self.state.lock().handles.remove(name);
    }

    /// Destroys an object of a session, if the entrance it was made in still holds. Nobody waits for a session to do it.
    pub fn drop_object(&self, entrance: u64, handle: ObjectHandle) {
        let lent = {
            let mut state = self.state.lock();
            state.own();
            match (state.inside.clone(), state.entrance == entrance) {
                (Some(entered), true) => {
                    let epoch = state.epoch;
                    state.idle.pop().map(|session| Lent { session, entered, epoch, entrance })
                }
                _ => None,
            }
        };
        // Where all sessions are in use it goes with its session.
        if let Some(lent) = lent {
            let _ = lent.ask(|session| session.destroy_object(handle));
            self.put_back(lent);
        }
    }

    /// Closes all sessions. The device is entered anew by whoever uses it next.
    pub fn close(&self) {
        let (idle, module) = {
            let mut state = self.state.lock();
            state.own();
            let idle = std::mem::take(&mut state.idle);
            state.leave();
            (idle, state.module.take())
        };
        close_all(idle);
        drop(module);
    }
}

fn close_all(sessions: Vec<Session>) {
    for session in sessions {
        let _ = beside_forks(|| session.close());
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.close();
    }
}
