//! Devices: tokens of PKCS#11 modules, reached through the vendor's module in this process.
//!
//! A [`Device`] is one token of an `[[hsm]]`: it finds the slot, opens sessions and logs in, lends sessions one caller at a
//! time, remembers object handles, and starts all over where the device, or somebody else in this process, made them void.
//! It knows no permits and no records: the backend for keys and the seal for root keys both stand on it.

mod fault;
mod gate;
mod handles;
mod module;
mod path;
mod pin;
mod quirks;
mod root;
mod runner;
mod sessions;
mod standing;
mod survey;
mod way;
mod wrapping;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::MechanismType;
use cryptoki::session::UserType;
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;

pub use self::fault::{Failure, Fault, Trouble, Use};
use self::gate::Gate;
use self::module::Module;
pub use self::quirks::{Identity, Quirks, known};
pub use self::root::{HeldRoot, ROOT_KEYS, forget_root, hold_root, open_root};
pub use self::runner::{Effort, Job, Runner, run_devices_with};
pub use self::sessions::Lent;
use self::sessions::State;
pub use self::standing::Standing;
use self::standing::{Patience, Unlent};
pub use self::survey::{SeenToken, survey};
pub use self::wrapping::{WRAPPING_KEYS, WrappingKey, forget_wrapping_key, make_wrapping_key, unwrap, wrap};
use crate::clock::{Clock, SystemClock};
use crate::config::HsmConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Lock, Rank};
use crate::secret::Secret;

/// One token of a module. Making it costs nothing: the module is loaded at first use.
pub struct Device {
    config: HsmConfig,
    clock: SystemClock,
    state: Lock<State>,
    gate: Lock<Gate>,
}

/// What is known of a token once it was entered.
pub struct Entered {
    library: Pkcs11,
    slot: Slot,
    /// Its serial number.
    pub serial: String,
    /// Its label.
    pub label: String,
    /// What it offers, sorted.
    mechanisms: Vec<u64>,
    /// Who it says it is.
    pub identity: Identity,
    /// What is peculiar to it, by the table of devices and the configuration.
    pub quirks: Quirks,
    /// Whether sessions may change it.
    writable: bool,
    /// Whether it knows users.
    login: bool,
}

impl Entered {
    /// Whether it offers a mechanism.
    #[must_use]
    pub fn offers(&self, mechanism: MechanismType) -> bool {
        self.mechanisms.binary_search(&*mechanism).is_ok() && self.quirks.means(*mechanism)
    }
}

/// Why a device was not entered.
enum Denied {
    /// It may go better in a moment.
    Again(Error),
    /// Another try makes it worse: the PIN is at fault.
    Final(Error),
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        if error.kind() == ErrorKind::BackendUnavailable { Self::Again(error) } else { Self::Final(error) }
    }
}

/// A session that is lent; whoever panics with it leaves it in an unknown state.
struct Loan<'a> {
    device: &'a Device,
    lent: Option<Lent>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.device.discard(lent);
        }
    }
}

/// What comes of entering: the first session, logged in.
struct Entrance {
    module: Module,
    entered: Entered,
    session: cryptoki::session::Session,
    /// The PIN that was right.
    pin: Option<Secret>,
}

impl Device {
    /// The device of a configuration.
    #[must_use]
    pub fn new(config: &HsmConfig) -> Arc<Self> {
        Arc::new(Self {
            config: config.clone(),
            clock: SystemClock::default(),
            state: Lock::new(Rank::Device, State::new(crate::os::epoch())),
            gate: Lock::new(Rank::Device, Gate::default()),
        })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What is known of the token; enters it where nobody did yet.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`], [`ErrorKind::HomeUnsafe`] for a module that others can write.
    pub fn entered(self: &Arc<Self>) -> Result<Arc<Entered>> {
        if let Some(entered) = self.known() {
            return Ok(entered);
        }
        let entered = self.call(Effort::Usual, |lent| Ok(Arc::clone(lent.entered())));
        entered.map_err(|trouble| trouble.into_error(self.name(), Use::Other))
    }

    /// Runs `f` with a session of the logged-in user, and again with another where the first was found void before it did
    /// anything. Nobody else uses the session meanwhile, and no lock of ours is held.
    ///
    /// Where the process has a [`Runner`], `f` runs on one of its threads, and is given up where it hangs in the module: what it
    /// yields after that is dropped.
    ///
    /// # Errors
    /// Those of `f`; [`ErrorKind::BackendUnavailable`] while the device cannot be reached, where all sessions are in use
    /// until the deadline, and where the module hangs.
    pub fn call<R: Send + 'static>(
        self: &Arc<Self>,
        effort: Effort,
        f: impl FnMut(&Lent) -> Result<R, Trouble> + Send + 'static,
    ) -> Result<R, Trouble> {
        self.run(Patience::of(self), effort, f).map_err(|failure| match failure {
            Failure::Busy => Unlent::Busy.into_error(self).into(),
            Failure::Refused(error) => error.into(),
            Failure::Told(trouble) => trouble,
        })
    }

    /// As [`Self::call`], for callers that have somewhere else to go: nobody waits for a session, for a thread or for another
    /// thread's login, and only where `patient` is a device that does not open tried again a moment later. The module may take
    /// as long as if the device's deadline were `within`, where that is shorter.
    ///
    /// # Errors
    /// What it failed at, and whether `f` was run.
    pub fn attempt<R: Send + 'static>(
        self: &Arc<Self>,
        (patient, within): (bool, Duration),
        effort: Effort,
        f: impl FnMut(&Lent) -> Result<R, Trouble> + Send + 'static,
    ) -> Result<R, Failure> {
        let within = within.min(self.deadline());
        self.run(Patience { longest: Duration::ZERO, again: patient, within }, effort, f)
    }

    fn run<R: Send + 'static>(
        self: &Arc<Self>,
        patience: Patience,
        effort: Effort,
        f: impl FnMut(&Lent) -> Result<R, Trouble> + Send + 'static,
    ) -> Result<R, Failure> {
        match runner::runner() {
            Some(runner) => self.call_there(&**runner, (patience, effort), f),
            None => self.lent(patience, f),
        }
    }

    /// Runs `f` on this thread.
    fn lent<R>(&self, patience: Patience, mut f: impl FnMut(&Lent) -> Result<R, Trouble>) -> Result<R, Failure> {
        let mut told: Option<Trouble> = None;
        loop {
            let lent = match (self.lend(patience), told.take()) {
                (Ok(lent), before) => {
                    told = before;
                    lent
                }
                (Err(Unlent::Busy), None) => return Err(Failure::Busy),
                (Err(Unlent::Busy), Some(before)) => return Err(Failure::Told(before)),
                (Err(Unlent::Failed(error)), None) => return Err(Failure::Refused(error)),
                (Err(Unlent::Failed(error)), Some(_)) => return Err(Failure::Told(error.into())),
            };
            let mut loan = Loan { device: self, lent: Some(lent) };
            let asked = loan.lent.as_ref().map(&mut f);
            let (Some(lent), Some(asked)) = (loan.lent.take(), asked) else {
                let nobody = Error::new(ErrorKind::Internal, "a session was lent to nobody");
                return Err(Failure::Told(nobody.into()));
            };
            let trouble = match asked {
                Ok(result) => {
                    self.put_back(lent);
                    return Ok(result);
                }
                Err(trouble) => trouble,
            };
            let fault = match trouble.fault() {
                // The objects went, or the login did: only the device knows.
                Fault::Object if !lent.is_logged_in() => Fault::Login,
                fault => fault,
            };
            match fault {
                Fault::Request => self.put_back(lent),
                Fault::Object => {
                    self.forget_handles();
                    self.put_back(lent);
                }
                Fault::Call => self.discard(lent),
                Fault::Login => drop(self.lose(lent)),
                Fault::Device => {
                    // Told once of each entrance, however many threads hear it.
                    if self.lose(lent) {
                        self.trip(trouble.sentence());
                    }
                }
            }
            if told.is_some() || !fault.is_void() {
                return Err(Failure::Told(trouble));
            }
            tracing::warn!(device = %self.config.name, reason = %trouble.sentence(), "the HSM is asked once more");
            told = Some(trouble);
        }
    }

    /// Loads the module, finds the slot, opens the first session and logs in. No lock is held: all this may take long.
    fn enter(&self, pin: Option<&Secret>) -> Result<Entrance, Denied> {
        let module = Module::load(&self.config.module)?;
        let library = module.library().clone();
        let (slot, info) = self.find(&library)?;
        let session = match library.open_rw_session_no_drop(slot) {
            Err(e) if fault::is_read_only(&e) => library.open_ro_session_no_drop(slot),
            opened => opened,
        };
        let session = session.map_err(|e| self.refused("opens no session", &e))?;
        let learnt =
            self.log_in(&module, (&session, &info), pin).and_then(|used| Ok((used, self.learn(library, slot, &info)?)));
        match learnt {
            Ok((pin, entered)) => Ok(Entrance { module, entered, session, pin }),
            Err(e) => {
                let _ = session.close();
                Err(e)
            }
        }
    }

    /// What is to be known of a token.
    fn learn(&self, library: Pkcs11, slot: Slot, info: &TokenInfo) -> Result<Entered> {
        let list = library.get_mechanism_list(slot).map_err(|e| self.refused("does not say what it offers", &e))?;
        let mut mechanisms: Vec<u64> = list.into_iter().map(u64::from).collect();
        mechanisms.sort_unstable();
        let (serial, label) = (info.serial_number().to_owned(), info.label().to_owned());
        let identity = Identity::of(&library, info);
        let quirks = known(&identity)?.1.with(&self.config.quirks);
        let (writable, login) = (!info.write_protected(), info.login_required());
        Ok(Entered { library, slot, serial, label, mechanisms, identity, quirks, writable, login })
    }

    /// The slot that the configuration chooses.
    fn find(&self, library: &Pkcs11) -> Result<(Slot, TokenInfo)> {
        let wanted = &self.config;
        let slots = library.get_slots_with_token().map_err(|e| self.refused("names no slots", &e))?;
        let mut seen = Vec::new();
        for slot in slots {
            if wanted.slot.is_some_and(|number| number != slot.id()) {
                continue;
            }
            let info = match library.get_token_info(slot) {
                Ok(info) => info,
                Err(e) if wanted.slot.is_some() => return Err(self.refused("does not describe its token", &e)),
                Err(_) => continue,
            };
            let fits = wanted.token.as_ref().is_none_or(|label| label == info.label())
                && wanted.serial.as_ref().is_none_or(|serial| serial == info.serial_number());
            if fits && info.token_initialized() {
                return Ok((slot, info));
            }
            if info.token_initialized() {
                seen.push(format!("`{}` (serial {}, slot {})", info.label(), info.serial_number(), slot.id()));
            }
        }
        let seen = if seen.is_empty() { "none that is initialized".to_owned() } else { seen.join(", ") };
        let why = format!(
            "the HSM `{}` has no such token: correct `token`, `serial` or `slot`, or put it in; there is {seen}",
            wanted.name
        );
        Err(Error::new(ErrorKind::BackendUnavailable, why))
    }

    /// Logs in, unless somebody in this process did; returns the PIN that was right. One that was refused is not shown again by
    /// this process, whichever part of it asks.
    fn log_in(
        &self,
        module: &Module,
        (session, info): (&cryptoki::session::Session, &TokenInfo),
        known: Option<&Secret>,
    ) -> Result<Option<Secret>, Denied> {
        if !info.login_required() {
            return Ok(None);
        }
        let never = |why: String| Err(Denied::Final(Error::new(ErrorKind::BackendUnavailable, why)));
        let (name, serial) = (&self.config.name, info.serial_number());
        if info.user_pin_locked() {
            return never(format!("the PIN of the HSM `{name}` is locked: unlock it with the vendor's tool"));
        }
        if info.user_pin_final_try() {
            return never(format!(
                "the HSM `{name}` grants its PIN one more attempt, which is not taken: correct the PIN, then log in once \
                 with the vendor's tool"
            ));
        }
        let fresh = match (&self.config.pin, known) {
            (Some(source), _) => match pin::read(source) {
                Ok(pin) => Some(pin),
                // A worker may have lost the right to read what its master read.
                Err(_) if known.is_some() => known.cloned(),
                Err(e) => return Err(Denied::Final(e)),
            },
            (None, _) => None,
        };
        if fresh.as_ref().is_some_and(|pin| module.has_refused(serial, pin)) {
            return never(format!(
                "the HSM `{name}` has refused this PIN already, and it is not tried twice: correct its source"
            ));
        }
        let outcome = match &fresh {
            Some(pin) => session.login_with_raw(UserType::User, &RawAuthPin::new(Box::new(pin.expose().to_vec()))),
            None if info.protected_authentication_path() => session.login(UserType::User, None),
            None => {
                return never(format!("the HSM `{name}` wants a PIN: say where it comes from with `pin`"));
            }
        };
        match outcome {
            Ok(()) => {
                module.note_refusal(serial, None);
                Ok(fresh)
            }
            // Nobody looked at the PIN.
            Err(e) if fault::is_logged_in_already(&e) => Ok(fresh),
            Err(e) if fault::is_pin(&e) => {
                module.note_refusal(serial, fresh);
                Err(Denied::Final(self.refused("refuses the login", &e)))
            }
            Err(e) => Err(self.refused("refuses the login", &e).into()),
        }
    }

    /// An error of the device before it did anything for anybody.
    fn refused(&self, what: &str, cause: &cryptoki::error::Error) -> Error {
        let why = format!("the HSM `{}` {what}: {}", self.config.name, fault::words(cause));
        Error::new(ErrorKind::BackendUnavailable, why)
    }

    fn deadline(&self) -> Duration {
        Duration::from_millis(u64::from(self.config.deadline_ms))
    }

    fn now(&self) -> Duration {
        self.clock.monotonic()
    }
}

/// The devices of a configuration, each made once: everything in this process shares their sessions and logins.
#[derive(Debug, Default)]
pub struct Devices(Vec<Arc<Device>>);

impl Devices {
    /// Those of `hsms`. None is looked at yet.
    #[must_use]
    pub fn new(hsms: &[HsmConfig]) -> Self {
        Self(hsms.iter().map(Device::new).collect())
    }

    /// All of them, in the order of the configuration.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Device>> {
        self.0.iter()
    }

    /// The one that the configuration calls `name`.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`] where there is none.
    pub fn find(&self, name: &str) -> Result<&Arc<Device>> {
        self.0.iter().find(|device| device.name() == name).ok_or_else(|| {
            let why =
                format!("the HSM `{name}`, which opens key material, is not described: add it as [[hsm]] to kmss.toml");
            Error::new(ErrorKind::BackendUnavailable, why)
        })
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.config.name)
    }
}
