//! Sessions: which token they belong to, and what is under way in them.
//!
//! A session lives in a shard of the module. A thread that works on an operation takes it out of its session, computes
//! without a lock, and puts it back ([`Taken::keep`]). What another thread calls on the same session meanwhile finds no
//! operation (`CKR_OPERATION_NOT_INITIALIZED`); PKCS#11 3.2 (5.1) leaves two threads in one session undefined.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use cryptoki_sys::*;
use libkmss::backend::Digesting;
use libkmss::caller::{Caller, Login};
use libkmss::key::{Object, Storage};
use libkmss::kms::Kms;
use libkmss::pipeline::Precedent;

use crate::mechanisms::Profile;
use crate::module;
use crate::module::active::{Ongoing, Operations};
use crate::module::search::Search;
use crate::module::token::Token;
use crate::rv::{Result, Rv};

/// One session.
pub(crate) struct Session {
    /// The token it was opened on.
    pub(crate) token: Arc<Token>,
    /// Whether it is a read/write session.
    pub(crate) read_write: bool,
    /// Cryptographic operations under way.
    pub(crate) operations: Operations,
    /// The object search under way.
    pub(crate) find: Option<Search>,
    /// The last operation that ended with a result, for the next one like it, and the handle of its key.
    precedent: Option<(CK_OBJECT_HANDLE, Precedent)>,
    /// The last digest that ended with a result: protocols take turns in digesting and using keys.
    digest: Option<Precedent>,
    /// What the last call knew of this session.
    known: Option<Arc<Known>>,
    epoch: u32,
}

/// What does not change in a session as long as its token's state stands. Each session has its own: threads that work in
/// sessions of their own share no counter of references.
pub(crate) struct Known {
    /// The hall.
    pub(crate) kms: Arc<Kms>,
    /// The session's token.
    pub(crate) token: Arc<Token>,
    /// Who asks, logged in or not.
    pub(crate) caller: Caller,
    /// The number of the login that the caller comes from, or of an earlier one.
    pub(crate) logins: u64,
    version: u64,
}

impl Known {
    /// What is known of session `handle` on `token`.
    pub(crate) fn of(token: Arc<Token>, handle: CK_SESSION_HANDLE) -> Self {
        // Before the caller: what is begun under a login that ends meanwhile counts as begun under it. The version is
        // first of all, so that nothing older is kept under it.
        let version = token.version();
        let logins = token.logins();
        let caller = token.caller(handle);
        Self { kms: Arc::clone(&token.kms), token, caller, logins, version }
    }
}

impl Session {
    pub(crate) fn new(token: Arc<Token>, read_write: bool) -> Self {
        Self {
            token,
            read_write,
            operations: Operations::default(),
            find: None,
            precedent: None,
            digest: None,
            known: None,
            epoch: libkmss::os::epoch(),
        }
    }

    /// What is known of it, as long as the token's state stands.
    pub(crate) fn known(&self) -> Option<Arc<Known>> {
        self.known.as_ref().filter(|known| known.version == self.token.version()).map(Arc::clone)
    }

    /// Keeps what was just found out. Read before a login ended, it would keep that login's keys: then not.
    pub(crate) fn keep_known(&mut self, known: &Arc<Known>) {
        self.known = (known.version == self.token.version()).then(|| Arc::clone(known));
    }

    /// Forgets who asks, and the keys that come with that.
    pub(crate) fn forget_caller(&mut self) {
        (self.known, self.precedent, self.digest) = (None, None, None);
    }

    /// Keeps a precedent, unless its caller's login has ended meanwhile. `key` is the handle of its key; `None` for a digest.
    fn keep_precedent(&mut self, key: Option<CK_OBJECT_HANDLE>, precedent: Precedent) {
        let stands = self.known().is_some_and(|known| precedent.is_of(&known.caller));
        let precedent = stands.then_some(precedent);
        match key {
            Some(key) => self.precedent = precedent.map(|precedent| (key, precedent)),
            None => self.digest = precedent,
        }
    }

    /// Ends what was under way in the process that this one was forked from: it is the parent's to finish.
    pub(crate) fn settle_after_fork(&mut self) {
        let epoch = libkmss::os::epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.operations = Operations::default();
            (self.find, self.precedent, self.digest) = (None, None, None);
        }
    }
}

/// A session as one call sees it: everything that does not change during the call. No lock is held.
pub(crate) struct SessionView {
    pub(crate) known: Arc<Known>,
    /// The session's handle.
    pub(crate) handle: CK_SESSION_HANDLE,
    /// Whether it is a read/write session.
    pub(crate) read_write: bool,
}

impl Deref for SessionView {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.known
    }
}

impl SessionView {
    /// The numbers that the token goes by. What it forbids is left to the core, which sees a change at once.
    pub(crate) fn profile(&self) -> Profile {
        Profile::of(self.caller.namespace.settings.profile)
    }

    /// Whether private objects may be used: a user (not the security officer) is logged in, or the token asks for no login.
    pub(crate) fn is_user(&self) -> bool {
        self.caller.uses_private()
    }

    /// Whether an object with these properties may be created, changed or destroyed here (PKCS#11 3.2, 4.3 and 5.6.1).
    ///
    /// `CKR_SESSION_READ_ONLY` for token objects in a read-only session, `CKR_USER_NOT_LOGGED_IN` for private objects
    /// without a user.
    pub(crate) fn check_write(&self, storage: Storage, private: bool) -> Result<()> {
        if storage == Storage::Stored && !self.read_write {
            return Err(Rv(CKR_SESSION_READ_ONLY));
        }
        if private && !self.is_user() {
            return Err(Rv(CKR_USER_NOT_LOGGED_IN));
        }
        Ok(())
    }

    /// The state of the session (PKCS#11 3.2, 5.6.6).
    pub(crate) fn state(&self) -> CK_STATE {
        match (&self.caller.login, self.read_write) {
            (Login::None, false) => CKS_RO_PUBLIC_SESSION,
            (Login::None, true) => CKS_RW_PUBLIC_SESSION,
            (Login::User(_), false) => CKS_RO_USER_FUNCTIONS,
            (Login::User(_), true) => CKS_RW_USER_FUNCTIONS,
            (Login::SecurityOfficer, _) => CKS_RW_SO_FUNCTIONS,
        }
    }
}

/// Where a kind of operation has its place in a session.
pub(crate) type Place<R> = fn(&mut Operations) -> &mut Option<Box<Ongoing<R>>>;

/// An operation out of its session. Dropped, it has ended; [`Self::keep`] puts it back.
pub(crate) struct Taken<R> {
    operation: Box<Ongoing<R>>,
    session: CK_SESSION_HANDLE,
    place: Place<R>,
}

impl<R> Deref for Taken<R> {
    type Target = Ongoing<R>;

    fn deref(&self) -> &Ongoing<R> {
        &self.operation
    }
}

impl<R> DerefMut for Taken<R> {
    fn deref_mut(&mut self) -> &mut Ongoing<R> {
        &mut self.operation
    }
}

impl<R> Taken<R> {
    /// Puts the operation back: it goes on. Where its session was closed meanwhile it ends; where another thread began
    /// one of its kind, this one ends.
    pub(crate) fn keep(self) -> Result<()> {
        let Self { operation, session, place } = self;
        let mut rest = Some(operation);
        module::with_session(session, |s| {
            let slot = place(&mut s.operations);
            if slot.is_none() {
                *slot = rest.take();
            }
        })?;
        // An operation that found no place is dropped here, without the lock: that writes an audit record.
        match rest {
            None => Ok(()),
            Some(_) => Err(Rv(CKR_OPERATION_ACTIVE)),
        }
    }

    /// Ends the operation, whose result has been given out.
    pub(crate) fn done(self) {
        let Self { operation, session, .. } = self;
        let key = operation.hash.is_none().then_some(operation.key);
        if let Some(precedent) = operation.unfinished.precedent() {
            // Where the session was closed meanwhile, nothing follows.
            let _ = module::with_session(session, |s| s.keep_precedent(key, precedent));
        }
    }
}

/// Takes an operation out of its session.
///
/// `CKR_OPERATION_NOT_INITIALIZED` where there is none, or its user logged out.
pub(crate) fn take<R>(session: CK_SESSION_HANDLE, place: Place<R>) -> Result<Taken<R>> {
    let (operation, logins) = module::with_session(session, |s| (place(&mut s.operations).take(), s.token.logins()))?;
    match operation {
        Some(operation) if operation.survives(logins) => Ok(Taken { operation, session, place }),
        _ => Err(Rv(CKR_OPERATION_NOT_INITIALIZED)),
    }
}

/// Begins an operation: `make` is called without a lock, and only where none of its kind is under way.
pub(crate) fn begin<R>(
    session: CK_SESSION_HANDLE,
    place: Place<R>,
    make: impl FnOnce(&SessionView) -> Result<Ongoing<R>>,
) -> Result<()> {
    let view = module::view_where(session, |s| check_free(place, s))?;
    let operation = Box::new(make(&view)?);
    Taken { operation, session, place }.keep()
}

/// As [`begin`], with the key behind the handle `key`, and with the last operation of the session, which this one may be
/// like.
pub(crate) fn begin_after<R>(
    session: CK_SESSION_HANDLE,
    place: Place<R>,
    key: CK_OBJECT_HANDLE,
    make: impl FnOnce(&SessionView, Arc<Object>, Option<Precedent>) -> Result<Ongoing<R>>,
) -> Result<()> {
    let mut precedent = None;
    let view = module::view_where(session, |s| {
        check_free(place, s)?;
        precedent = s.precedent.take();
        Ok(())
    })?;
    let (object, precedent) = match precedent {
        Some((of, precedent)) if of == key => (view.kms.object_of(&precedent, &view.caller), Some(precedent)),
        other => (None, other.map(|(_, precedent)| precedent)),
    };
    let object = object.map_or_else(|| view.token.objects.resolve_key(key, &view), Ok)?;
    let mut operation = Box::new(make(&view, object, precedent)?);
    operation.key = key;
    Taken { operation, session, place }.keep()
}

/// As [`begin`] for a digest, with the session's last one, which this one may be like.
pub(crate) fn begin_digest(
    session: CK_SESSION_HANDLE,
    place: Place<Box<dyn Digesting>>,
    make: impl FnOnce(&SessionView, Option<Precedent>) -> Result<Ongoing<Box<dyn Digesting>>>,
) -> Result<()> {
    let mut precedent = None;
    let view = module::view_where(session, |s| {
        check_free(place, s)?;
        precedent = s.digest.take();
        Ok(())
    })?;
    let operation = Box::new(make(&view, precedent)?);
    Taken { operation, session, place }.keep()
}

fn check_free<R>(place: Place<R>, session: &mut Session) -> Result<()> {
    match place(&mut session.operations) {
        Some(_) => Err(Rv(CKR_OPERATION_ACTIVE)),
        None => Ok(()),
    }
}

/// Ends an operation at the caller's wish: an Init function with a NULL mechanism (PKCS#11 3.2, 5.8 and so on).
pub(crate) fn cancel<R>(session: CK_SESSION_HANDLE, place: Place<R>) -> Result<()> {
    let operation = module::with_session(session, |s| place(&mut s.operations).take())?;
    operation.ok_or(Rv(CKR_OPERATION_NOT_INITIALIZED))?.cancel()
}
