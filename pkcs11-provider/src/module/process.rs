//! Processes of messages (PKCS#11 3.2, 5.9, 5.11, 5.14 and 5.16): a key and a mechanism stay chosen, and each message is
//! an operation of its own, with its own decision and its own record.

use std::sync::Arc;

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CK_SESSION_HANDLE, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_OPERATION_ACTIVE,
    CKR_OPERATION_NOT_INITIALIZED, CKR_USER_NOT_LOGGED_IN,
};
use libkmss::backend::{Ciphering, Signing, Verifying};
use libkmss::key::{Action, Object};
use libkmss::operation::Chosen;
use libkmss::permit::Confirmation;

use crate::mechanisms::Shape;
use crate::module;
use crate::module::active::{self, Confirmable, Ongoing, Operations};
use crate::module::session::SessionView;
use crate::nonce::Nonces;
use crate::rv::{Result, Rv};

/// Encryption or decryption of messages.
pub(crate) type CipherMessages = Process<Box<dyn Ciphering>, Aead>;
/// Signing of messages. The mechanisms take all their parameters at the beginning.
pub(crate) type SignMessages = Process<Box<dyn Signing>, Chosen>;
/// Verifying of messages.
pub(crate) type VerifyMessages = Process<Box<dyn Verifying>, Chosen>;

/// A cipher, a direction, and the nonces so far.
pub(crate) struct Aead {
    /// The mechanism's number.
    pub(crate) number: CK_MECHANISM_TYPE,
    /// What it computes.
    pub(crate) shape: Shape,
    /// Whether messages are encrypted.
    pub(crate) encrypt: bool,
    /// The nonces that were made.
    pub(crate) nonces: Nonces,
}

/// What stays chosen from message to message, and the message under way.
pub(crate) struct Process<R, S> {
    /// The key.
    pub(crate) key: Arc<Object>,
    /// How: what a kind of process keeps besides the key.
    pub(crate) how: S,
    /// The message that was begun and not ended.
    pub(crate) message: Option<Ongoing<R>>,
    /// The login for the next message, which a key may want for each (CKA_ALWAYS_AUTHENTICATE).
    confirmation: Option<Confirmation>,
    /// Whether a message was refused for want of such a login, which policies may ask for as well.
    asked: bool,
    begun: u64,
    logins: Option<u64>,
}

impl<R, S> Process<R, S> {
    /// A process with `key`, which must allow `action`. Each message is decided on its own all the same.
    pub(crate) fn new(view: &SessionView, key: Arc<Object>, action: Action, how: S) -> Result<Self> {
        if !key.key().is_some_and(|k| k.usage.allows(action)) {
            return Err(Rv(CKR_KEY_FUNCTION_NOT_PERMITTED));
        }
        let logins = key.private.then_some(view.logins);
        Ok(Self { key, how, message: None, confirmation: None, asked: false, begun: active::next(), logins })
    }

    /// Whether it goes on under the login numbered `logins`.
    pub(crate) fn survives(&self, logins: u64) -> bool {
        self.logins.is_none_or(|mine| mine == logins)
    }

    /// Fails where a message is under way.
    pub(crate) const fn check_idle(&self) -> Result<()> {
        if self.message.is_some() { Err(Rv(CKR_OPERATION_ACTIVE)) } else { Ok(()) }
    }

    /// Takes the login that a key with CKA_ALWAYS_AUTHENTICATE wants for each message.
    pub(crate) fn enter(&mut self) -> Result<Option<Confirmation>> {
        match self.confirmation.take() {
            None if asks(&self.key) => Err(Rv(CKR_USER_NOT_LOGGED_IN)),
            confirmation => Ok(confirmation),
        }
    }

    /// The message under way, out of its place: it ends unless it is put back.
    pub(crate) fn resume(&mut self) -> Result<Ongoing<R>> {
        self.message.take().ok_or(Rv(CKR_OPERATION_NOT_INITIALIZED))
    }

    /// Ends the process and what is under way in it.
    pub(crate) fn end(self) -> Result<()> {
        self.message.map_or(Ok(()), Ongoing::cancel)
    }
}

impl<R, S> Confirmable for Process<R, S> {
    fn waiting_since(&self) -> Option<u64> {
        ((self.asked || asks(&self.key)) && self.confirmation.is_none()).then_some(self.begun)
    }

    fn confirm(&mut self, confirmation: Confirmation) -> Result<()> {
        self.confirmation = Some(confirmation);
        Ok(())
    }
}

fn asks(key: &Object) -> bool {
    key.key().is_some_and(|k| k.protection.always_authenticate)
}

/// Where a kind of process has its place in a session.
pub(crate) type Place<R, S> = fn(&mut Operations) -> &mut Option<Box<Process<R, S>>>;

/// Begins a process where none of its kind is under way; `make` is called without a lock.
pub(crate) fn begin<R, S>(
    session: CK_SESSION_HANDLE,
    place: Place<R, S>,
    make: impl FnOnce(&SessionView) -> Result<Process<R, S>>,
) -> Result<()> {
    let view = module::view_where(session, |s| match place(&mut s.operations) {
        Some(_) => Err(Rv(CKR_OPERATION_ACTIVE)),
        None => Ok(()),
    })?;
    put(session, place, Box::new(make(&view)?))
}

/// Ends a process: C_Message…Final, or a C_Message…Init with a NULL mechanism.
pub(crate) fn end<R, S>(session: CK_SESSION_HANDLE, place: Place<R, S>) -> Result<()> {
    take(session, place)?.1.end()
}

/// Runs one call of a process. The process goes on whatever becomes of the message: only the message ends with an error.
pub(crate) fn run<R, S>(
    session: CK_SESSION_HANDLE,
    place: Place<R, S>,
    call: impl FnOnce(&SessionView, &mut Process<R, S>) -> Result<()>,
) -> Result<()> {
    let (view, mut process) = take(session, place)?;
    let result = call(&view, &mut process);
    process.asked |= matches!(result, Err(Rv(CKR_USER_NOT_LOGGED_IN)));
    put(session, place, process)?;
    result
}

type Found<R, S> = (SessionView, Box<Process<R, S>>);

fn take<R, S>(session: CK_SESSION_HANDLE, place: Place<R, S>) -> Result<Found<R, S>> {
    let mut found = None;
    let view = module::view_where(session, |s| {
        found = place(&mut s.operations).take();
        Ok(())
    })?;
    match found {
        Some(process) if process.survives(view.logins) => Ok((view, process)),
        _ => Err(Rv(CKR_OPERATION_NOT_INITIALIZED)),
    }
}

fn put<R, S>(session: CK_SESSION_HANDLE, place: Place<R, S>, process: Box<Process<R, S>>) -> Result<()> {
    let mut rest = Some(process);
    module::with_session(session, |s| {
        let slot = place(&mut s.operations);
        if slot.is_none() {
            *slot = rest.take();
        }
    })?;
    // One that found no place is dropped here, without the lock.
    if rest.is_none() { Ok(()) } else { Err(Rv(CKR_OPERATION_ACTIVE)) }
}
