//! The module: initialised or not, its slots, its sessions. One per process, for good; C_Finalize empties it.
//!
//! Opening a home may run an HSM's module, which takes as long as it takes, forks, or calls this one: no lock is held then.
//!
//! Fork: every lock here is taken around a fork, so a child finds the state whole. A child that calls C_Initialize starts
//! clean; one that goes on without it keeps slots, logins, sessions and objects, and loses the operations under way.

pub(crate) mod active;
pub(crate) mod handles;
pub(crate) mod process;
pub(crate) mod search;
pub(crate) mod session;
pub(crate) mod special;
pub(crate) mod token;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cryptoki_sys::*;
use libkmss::config::Config;
use libkmss::kms::Kms;
use libkmss::os::{Lock, Rank};
use once_cell::race::OnceBox;

use crate::guard;
use crate::module::handles::NumberMap;
use crate::module::session::{Known, Session, SessionView};
use crate::module::token::Token;
use crate::rv::{Result, Rv};

const SHARDS: usize = 16;
/// How often who waits for another thread that opens a home looks.
const NAP: Duration = Duration::from_millis(1);
/// How often slots are read anew where other threads do the same.
const ATTEMPTS: u32 = 16;

static MODULE: OnceBox<Module> = OnceBox::new();

/// Numbers of sessions are never used twice, not even after C_Finalize.
static NEXT_SESSION: AtomicU64 = AtomicU64::new(1);

/// Slots as they were read are numbered, so that nobody takes older ones for newer.
static NEXT_READING: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// Whether this thread opens a home: what calls here from within is an HSM's module that has this one as its own.
    static OPENS: Cell<bool> = const { Cell::new(false) };
}

struct Module {
    door: Lock<Door>,
    sessions: [Lock<NumberMap<CK_SESSION_HANDLE, Session>>; SHARDS],
}

/// Whether the module is initialised.
enum Door {
    Closed,
    /// A thread of the process with this fork epoch is about to.
    Opening(u32),
    Open(Box<Slots>),
}

/// What C_Initialize makes. The slots are the initialised tokens and one spare, uninitialised slot.
struct Slots {
    /// The process that called C_Initialize, by fork epoch.
    epoch: u32,
    config: Config,
    /// Absent as long as there is no home.
    kms: Option<Arc<Kms>>,
    tokens: BTreeMap<CK_SLOT_ID, Arc<Token>>,
    /// The ordinal of the next namespace.
    spare: CK_SLOT_ID,
    /// Store generation at the last look.
    generation: u64,
    /// The number of that look.
    reading: u64,
}

/// What the slots are read anew with, and what comes of it.
struct Reading {
    config: Config,
    kms: Option<Arc<Kms>>,
    tokens: BTreeMap<CK_SLOT_ID, Arc<Token>>,
    spare: CK_SLOT_ID,
    generation: u64,
    /// The number of the look before.
    after: u64,
}

/// A thread that opens a home.
struct Opens;

/// What is in a slot.
pub(crate) enum Slot {
    /// An initialised token.
    Token(Arc<Token>),
    /// The spare slot: a token that waits for C_InitToken.
    Spare,
}

fn module() -> &'static Module {
    MODULE.get_or_init(|| {
        let shard = |_| Lock::new(Rank::DoorShard, NumberMap::default());
        Box::new(Module { door: Lock::new(Rank::Door, Door::Closed), sessions: std::array::from_fn(shard) })
    })
}

impl Module {
    fn shard(&self, session: CK_SESSION_HANDLE) -> &Lock<NumberMap<CK_SESSION_HANDLE, Session>> {
        let [first, ..] = &self.sessions;
        self.sessions.get(usize::try_from(session).unwrap_or(0) % SHARDS).unwrap_or(first)
    }

    fn sessions_where(&self, wanted: impl Fn(&Session) -> bool) -> Vec<(CK_SESSION_HANDLE, Session)> {
        let mut found = Vec::new();
        for shard in &self.sessions {
            found.extend(shard.lock().extract_if(|_, session| wanted(session)));
        }
        found
    }

    /// Runs `f` on the slots as the store has them now.
    fn with_slots<T>(&self, look: Look, f: impl FnOnce(&mut Slots) -> Result<T>) -> Result<T> {
        let mut gone = Vec::new();
        let result = {
            let mut door = self.door.lock();
            for _ in 0..ATTEMPTS {
                let Some(reading) = door.slots()?.stale(look) else { break };
                drop(door);
                let reading = reading.read();
                door = self.door.lock();
                if door.slots()?.take(reading?, &mut gone) {
                    break;
                }
            }
            f(door.slots()?)
        };
        for token in gone {
            end_sessions(&token);
        }
        result
    }
}

impl Door {
    fn slots(&mut self) -> Result<&mut Slots> {
        match self {
            Self::Open(slots) => Ok(slots),
            Self::Closed | Self::Opening(_) => Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)),
        }
    }
}

impl Opens {
    /// Not within itself.
    fn begin() -> Result<Self> {
        if OPENS.replace(true) {
            return Err(Rv(CKR_FUNCTION_FAILED));
        }
        Ok(Self)
    }
}

impl Drop for Opens {
    fn drop(&mut self) {
        OPENS.set(false);
    }
}

/// How closely to look at the store for slots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Only where the store's generation moved.
    Glance,
    /// In any case: C_GetSlotList, which also notices a home that another process made.
    Read,
}

impl Slots {
    /// What they are to be read anew with, where that is necessary.
    fn stale(&self, look: Look) -> Option<Reading> {
        let generation = match &self.kms {
            None if look == Look::Glance => return None,
            None => 1,
            Some(kms) => kms.generation(),
        };
        // An odd generation says that a commit is under way: look again.
        if look == Look::Glance && generation == self.generation && generation.is_multiple_of(2) {
            return None;
        }
        let (config, kms, tokens) = (self.config.clone(), self.kms.clone(), self.tokens.clone());
        Some(Reading { config, kms, tokens, spare: self.spare, generation, after: self.reading })
    }

    /// Takes in what was read, unless another thread was faster. Tokens that were removed or made anew by somebody else go to
    /// `gone`.
    fn take(&mut self, reading: Reading, gone: &mut Vec<Arc<Token>>) -> bool {
        if reading.after != self.reading {
            return false;
        }
        let Reading { kms, tokens, spare, generation, .. } = reading;
        let before = std::mem::replace(&mut self.tokens, tokens);
        let stays = |token: &Arc<Token>| self.tokens.values().any(|other| Arc::ptr_eq(other, token));
        gone.extend(before.into_values().filter(|token| !stays(token)));
        (self.kms, self.spare, self.generation) = (kms, spare, generation);
        self.reading = NEXT_READING.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn slot(&self, id: CK_SLOT_ID) -> Result<Slot> {
        match self.tokens.get(&id) {
            Some(token) => Ok(Slot::Token(Arc::clone(token))),
            None if id == self.spare => Ok(Slot::Spare),
            None => Err(Rv(CKR_SLOT_ID_INVALID)),
        }
    }
}

impl Reading {
    /// Reads the slots anew, and opens the home where somebody made one.
    fn read(mut self) -> Result<Self> {
        let _opens = Opens::begin()?;
        if self.kms.is_none() {
            self.kms = Kms::open_with(&self.config, remote::client::backends(&self.config)?)?.map(Arc::new);
            self.generation = 1;
        }
        let Some(kms) = &self.kms else { return Ok(self) };
        self.generation = kms.generation();
        let mut tokens = BTreeMap::new();
        for namespace in kms.namespaces()? {
            let slot = CK_SLOT_ID::from(namespace.ordinal);
            let token = match self.tokens.remove(&slot) {
                Some(token) if token.follow(&namespace) => token,
                _ => Arc::new(Token::new(Arc::clone(kms), namespace)?),
            };
            tokens.insert(slot, token);
        }
        self.spare = CK_SLOT_ID::from(kms.next_ordinal()?);
        self.tokens = tokens;
        Ok(self)
    }
}

/// Initialises the module (PKCS#11 3.2, 5.4.1).
///
/// `CKR_CRYPTOKI_ALREADY_INITIALIZED`, unless this process was forked from the one that initialised it. A configuration
/// that cannot be used, or an unsafe home, is `CKR_GENERAL_ERROR` with a line on standard error that names the cause.
pub(crate) fn initialize() -> Result<()> {
    guard::install_panic_hook();
    let (module, epoch) = (module(), libkmss::os::epoch());
    let _opens = Opens::begin()?;
    let inherited = loop {
        let mut door = module.door.lock();
        match &*door {
            Door::Open(slots) if slots.epoch == epoch => return Err(Rv(CKR_CRYPTOKI_ALREADY_INITIALIZED)),
            // A second thread that initialises gets its answer when there is something to use.
            Door::Opening(of) if *of == epoch => {}
            _ => break std::mem::replace(&mut *door, Door::Opening(epoch)),
        }
        drop(door);
        std::thread::sleep(NAP);
    };
    let opening = Opening { module, epoch };
    // What was inherited is the parent's: nothing of it is recorded or closed here.
    drop(module.sessions_where(|_| true));
    drop(inherited);
    let opened =
        Config::load().and_then(|config| Ok((Kms::open_with(&config, remote::client::backends(&config)?)?, config)));
    let (kms, config) = opened.map_err(|error| {
        complain(&error);
        Rv(CKR_GENERAL_ERROR)
    })?;
    let (kms, reading) = (kms.map(Arc::new), NEXT_READING.fetch_add(1, Ordering::Relaxed));
    opening.end(Slots { epoch, config, kms, tokens: BTreeMap::new(), spare: 0, generation: 1, reading })
}

/// C_Initialize under way; where it fails, the module is as before.
struct Opening {
    module: &'static Module,
    epoch: u32,
}

impl Opening {
    /// Lets everybody in, unless the process was forked by what was called.
    fn end(self, slots: Slots) -> Result<()> {
        let mut door = self.module.door.lock();
        let ours = libkmss::os::epoch() == self.epoch && matches!(&*door, Door::Opening(of) if *of == self.epoch);
        if ours {
            *door = Door::Open(Box::new(slots));
        }
        drop(door);
        if ours { Ok(()) } else { Err(Rv(CKR_GENERAL_ERROR)) }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut door = self.module.door.lock();
        if matches!(&*door, Door::Opening(of) if *of == self.epoch) {
            *door = Door::Closed;
        }
    }
}

fn complain(error: &libkmss::error::Error) {
    let mut line = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    guard::complain(&line);
}

/// Ends everything (PKCS#11 3.2, 5.4.2).
pub(crate) fn finalize() -> Result<()> {
    let module = module();
    let slots = {
        let mut door = module.door.lock();
        match std::mem::replace(&mut *door, Door::Closed) {
            Door::Open(slots) => slots,
            other => {
                *door = other;
                return Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED));
            }
        }
    };
    drop(module.sessions_where(|_| true));
    for token in slots.tokens.values() {
        // Nobody logged in is fine here.
        let _ = token.logout();
        // Session objects report their last uses while the segment is open.
        drop(token.objects.clear());
    }
    if let Some(Err(error)) = slots.kms.as_ref().map(|kms| kms.close()) {
        // The segment stays open as after a crash and nothing is lost; the module is finalised all the same.
        complain(&error);
    }
    Ok(())
}

/// Fails where the module is not initialised.
pub(crate) fn check_initialized() -> Result<()> {
    module().door.lock().slots().map(drop)
}

/// All slot ids, the spare one last (PKCS#11 3.2, 5.5.1).
pub(crate) fn slot_ids() -> Result<Vec<CK_SLOT_ID>> {
    module().with_slots(Look::Read, |slots| {
        let ids = slots.tokens.keys().copied();
        Ok(ids.chain([slots.spare]).collect())
    })
}

/// What is in slot `id`.
pub(crate) fn slot(id: CK_SLOT_ID) -> Result<Slot> {
    module().with_slots(Look::Glance, |slots| slots.slot(id))
}

/// The hall, making the home where there is none yet: for C_InitToken.
pub(crate) fn kms_for_new_token() -> Result<Arc<Kms>> {
    let (kms, config) = module().with_slots(Look::Read, |slots| Ok((slots.kms.clone(), slots.config.clone())))?;
    if let Some(kms) = kms {
        return Ok(kms);
    }
    let made = {
        let _opens = Opens::begin()?;
        Arc::new(Kms::create_with(&config, None, remote::client::backends(&config)?)?)
    };
    // Where another thread was faster, it is that one's that all use.
    module().with_slots(Look::Glance, |slots| {
        let kms = Arc::clone(slots.kms.get_or_insert(made));
        // Who read them meanwhile saw no home.
        (slots.generation, slots.reading) = (1, NEXT_READING.fetch_add(1, Ordering::Relaxed));
        Ok(kms)
    })
}

/// Takes in tokens that were just made, or made anew.
pub(crate) fn look_again() -> Result<()> {
    module().with_slots(Look::Read, |_| Ok(()))
}

/// Opens a session (PKCS#11 3.2, 5.6.1). The slots stay locked until it is in its place: C_Finalize, or a token made anew,
/// comes before it or takes it along.
pub(crate) fn open_session(slot: CK_SLOT_ID, read_write: bool) -> Result<CK_SESSION_HANDLE> {
    let module = module();
    module.with_slots(Look::Glance, |slots| {
        let token = match slots.slot(slot)? {
            Slot::Token(token) => token,
            Slot::Spare => return Err(Rv(CKR_TOKEN_NOT_RECOGNIZED)),
        };
        token.open(read_write)?;
        let handle = NEXT_SESSION.fetch_add(1, Ordering::Relaxed);
        module.shard(handle).lock().insert(handle, Session::new(token, read_write));
        Ok(handle)
    })
}

/// Closes a session, with its operations and objects (PKCS#11 3.2, 5.6.2).
pub(crate) fn close_session(handle: CK_SESSION_HANDLE) -> Result<()> {
    let closed = module().shard(handle).lock().remove(&handle);
    end_session(handle, closed.ok_or_else(no_session)?);
    Ok(())
}

/// Closes all sessions on a slot (PKCS#11 3.2, 5.6.3).
pub(crate) fn close_all_sessions(slot: CK_SLOT_ID) -> Result<()> {
    if let Slot::Token(token) = self::slot(slot)? {
        end_sessions(&token);
    }
    Ok(())
}

fn end_sessions(token: &Token) {
    for (handle, session) in module().sessions_where(|s| std::ptr::eq(&raw const *s.token, token)) {
        end_session(handle, session);
    }
}

/// Runs without a lock: ending operations writes audit records.
fn end_session(handle: CK_SESSION_HANDLE, session: Session) {
    let (token, read_write) = (Arc::clone(&session.token), session.read_write);
    drop(session);
    token.close(handle, read_write);
}

/// Ends the operations that used private keys of a login that is over.
pub(crate) fn purge(token: &Token) {
    let logins = token.logins();
    let mut ended = Vec::new();
    for shard in &module().sessions {
        for session in shard.lock().values_mut().filter(|s| std::ptr::eq(&raw const *s.token, token)) {
            session.find = None;
            session.forget_caller();
            ended.push(session.operations.purge(logins));
        }
    }
}

/// Runs `f` on a session, under its shard's lock: short, and without calls into the hall.
pub(crate) fn with_session<T>(handle: CK_SESSION_HANDLE, f: impl FnOnce(&mut Session) -> T) -> Result<T> {
    let mut shard = module().shard(handle).lock();
    let Some(session) = shard.get_mut(&handle) else {
        drop(shard);
        return Err(no_session());
    };
    session.settle_after_fork();
    Ok(f(session))
}

/// A session as one call sees it. No lock is held afterwards.
pub(crate) fn view(handle: CK_SESSION_HANDLE) -> Result<SessionView> {
    view_where(handle, |_| Ok(()))
}

/// As [`view`] where `check`, under the shard's lock, finds nothing against it.
pub(crate) fn view_where(
    handle: CK_SESSION_HANDLE,
    check: impl FnOnce(&mut Session) -> Result<()>,
) -> Result<SessionView> {
    let (known, read_write) =
        with_session(handle, |s| check(s).map(|()| (s.known().ok_or_else(|| Arc::clone(&s.token)), s.read_write)))??;
    let known = match known {
        Ok(known) => known,
        Err(token) => {
            let known = Arc::new(Known::of(token, handle));
            with_session(handle, |s| s.keep_known(&known))?;
            known
        }
    };
    Ok(SessionView { known, handle, read_write })
}

fn no_session() -> Rv {
    check_initialized().err().unwrap_or(Rv(CKR_SESSION_HANDLE_INVALID))
}
