//! Tokens: a namespace with the login that all sessions of the application share, and its object handles.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::*;
use libkmss::auth::Credential;
use libkmss::caller::{Caller, Login};
use libkmss::kms::Kms;
use libkmss::os::{Lock, Rank};
use libkmss::permit::Confirmation;
use libkmss::secret::Secret;
use libkmss::tenant::Namespace;

use crate::module::handles::ObjectTable;
use crate::rv::{Result, Rv};

/// An initialised token.
pub(crate) struct Token {
    /// The hall.
    pub(crate) kms: Arc<Kms>,
    /// Its slot: the namespace's ordinal.
    pub(crate) slot: CK_SLOT_ID,
    /// Handles of its objects.
    pub(crate) objects: ObjectTable,
    state: Lock<State>,
    logins: AtomicU64,
    /// Moves whenever the callers of the state do, after they did.
    version: AtomicU64,
}

struct State {
    namespace: Arc<Namespace>,
    /// Nobody in particular.
    public: Caller,
    /// Who is logged in.
    current: Caller,
    read_only: u64,
    read_write: u64,
}

/// Numbers of sessions on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionCount {
    pub(crate) all: u64,
    pub(crate) read_write: u64,
}

/// Who logs in.
#[derive(Clone, Copy)]
pub(crate) enum User<'a> {
    /// A user; the default user is [`DEFAULT_USER`].
    Named(&'a str),
    /// The security officer.
    SecurityOfficer,
}

/// The user of C_Login.
pub(crate) const DEFAULT_USER: &str = "user";

impl Token {
    /// The token of `namespace`, nobody logged in.
    pub(crate) fn new(kms: Arc<Kms>, namespace: Namespace) -> Result<Self> {
        let public = kms.enter(&namespace, 0)?;
        let slot = CK_SLOT_ID::from(namespace.ordinal);
        let state =
            State { namespace: Arc::new(namespace), current: public.clone(), public, read_only: 0, read_write: 0 };
        let (objects, state) = (ObjectTable::new(), Lock::new(Rank::DoorTable, state));
        Ok(Self { kms, slot, objects, state, logins: AtomicU64::new(0), version: AtomicU64::new(0) })
    }

    /// The namespace as it was when the slots were last looked at.
    pub(crate) fn namespace(&self) -> Arc<Namespace> {
        Arc::clone(&self.state.lock().namespace)
    }

    /// Takes in what may change of a namespace that stays the same; false where it is another one now.
    pub(crate) fn follow(&self, namespace: &Namespace) -> bool {
        let mut state = self.state.lock();
        let known = &state.namespace;
        if (known.id, known.incarnation) != (namespace.id, namespace.incarnation) {
            return false;
        }
        if **known != *namespace {
            let newest = Arc::new(namespace.clone());
            state.public = state.public.with(|parts| parts.namespace = Arc::clone(&newest));
            state.current = state.current.with(|parts| parts.namespace = Arc::clone(&newest));
            state.namespace = newest;
            self.version.fetch_add(1, Ordering::Release);
        }
        true
    }

    /// Who asks, for a call in `session`.
    pub(crate) fn caller(&self, session: CK_SESSION_HANDLE) -> Caller {
        let current = self.state.lock().current.clone();
        current.with(|parts| parts.session = session)
    }

    /// A number that moves with every login and logout.
    pub(crate) fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// A number that moves with everything that changes who asks.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Numbers of the application's sessions.
    pub(crate) fn sessions(&self) -> SessionCount {
        let state = self.state.lock();
        SessionCount { all: state.read_only + state.read_write, read_write: state.read_write }
    }

    /// Counts a new session. `CKR_SESSION_READ_WRITE_SO_EXISTS` for read-only ones beside a security officer.
    pub(crate) fn open(&self, read_write: bool) -> Result<()> {
        let mut state = self.state.lock();
        if read_write {
            state.read_write += 1;
        } else if state.current.login == Login::SecurityOfficer {
            return Err(Rv(CKR_SESSION_READ_WRITE_SO_EXISTS));
        } else {
            state.read_only += 1;
        }
        Ok(())
    }

    /// Counts a session that ended, with its objects. The last one takes the login with it (PKCS#11 3.2, 5.6.2).
    pub(crate) fn close(&self, session: CK_SESSION_HANDLE, read_write: bool) {
        let ended = self.objects.end_session(session);
        let last = {
            let mut state = self.state.lock();
            let count = if read_write { &mut state.read_write } else { &mut state.read_only };
            *count = count.saturating_sub(1);
            state.read_only + state.read_write == 0
        };
        drop(ended);
        if last {
            // Whether the record of it can be written or not: the login is gone.
            let _ = self.logout();
        }
    }

    /// Logs in (PKCS#11 3.2, 5.6.8). The PIN is checked without a lock: that takes tens of milliseconds.
    pub(crate) fn login(&self, session: CK_SESSION_HANDLE, user: User<'_>, pin: &Secret) -> Result<()> {
        let caller = self.caller(session);
        self.state.lock().check_login(user)?;
        let credential = match user {
            User::Named(name) => Credential::UserPin { name, pin },
            User::SecurityOfficer => Credential::OfficerPin(pin),
        };
        let authenticated = self.kms.login(&caller, &credential)?;
        let mut state = self.state.lock();
        // Another thread may have been faster, or closed the last session.
        state.check_login(user)?;
        if state.read_only + state.read_write == 0 {
            return Err(Rv(CKR_SESSION_HANDLE_INVALID));
        }
        let previous = std::mem::replace(&mut state.current, authenticated);
        self.logins.fetch_add(1, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
        drop(state);
        drop(previous);
        Ok(())
    }

    /// Checks the PIN of whoever is logged in, for one operation (CKU_CONTEXT_SPECIFIC).
    pub(crate) fn confirm(&self, session: CK_SESSION_HANDLE, pin: &Secret) -> Result<Confirmation> {
        Ok(self.kms.confirm(&self.caller(session), pin)?)
    }

    /// Whether users have no PIN.
    pub(crate) fn is_pinless(&self) -> bool {
        self.state.lock().namespace.settings.pinless
    }

    /// Logs out (PKCS#11 3.2, 5.6.10): handles of private objects die, private session objects with them.
    ///
    /// The login is gone even where an error says that the record of it could not be written.
    pub(crate) fn logout(&self) -> Result<()> {
        let previous = {
            let mut state = self.state.lock();
            if state.current.login == Login::None {
                return Err(Rv(CKR_USER_NOT_LOGGED_IN));
            }
            let public = state.public.clone();
            let previous = std::mem::replace(&mut state.current, public);
            self.logins.fetch_add(1, Ordering::Relaxed);
            self.version.fetch_add(1, Ordering::Release);
            previous
        };
        drop(self.objects.forget_private());
        self.kms.logout(&previous)?;
        Ok(())
    }
}

impl State {
    fn check_login(&self, user: User<'_>) -> Result<()> {
        match (&self.current.login, user) {
            (Login::None, User::SecurityOfficer) if self.read_only > 0 => Err(Rv(CKR_SESSION_READ_ONLY_EXISTS)),
            (Login::None, _) => Ok(()),
            (Login::SecurityOfficer, User::SecurityOfficer) => Err(Rv(CKR_USER_ALREADY_LOGGED_IN)),
            (Login::User(now), User::Named(name)) if **now == *name => Err(Rv(CKR_USER_ALREADY_LOGGED_IN)),
            _ => Err(Rv(CKR_USER_ANOTHER_ALREADY_LOGGED_IN)),
        }
    }
}
