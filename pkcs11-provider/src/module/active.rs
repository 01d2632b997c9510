//! Operations under way in a session.

use cryptoki_sys::CKR_USER_NOT_LOGGED_IN;
use libkmss::backend::{Ciphering, Digesting, Signing, Verifying};
use libkmss::key::Object;
use libkmss::mechanism::Hash;
use libkmss::pipeline::Unfinished;
use zeroize::Zeroizing;

use crate::module::process::{CipherMessages, Process, SignMessages, VerifyMessages};
use crate::module::session::SessionView;
use crate::rv::{Result, Rv};

/// An operation that its caller may go on with.
pub(crate) struct Ongoing<R> {
    /// The operation in the hall.
    pub(crate) unfinished: Unfinished<R>,
    /// Whether a part was processed: it is a multi-part operation then.
    pub(crate) parts: bool,
    /// A result that did not fit its buffer, or the signature that C_VerifySignatureInit took.
    pub(crate) held: Option<Zeroizing<Vec<u8>>>,
    /// The length of the input that a result held was computed from: what its record says, whatever is passed later.
    pub(crate) held_from: usize,
    /// Full length of the signature to verify, where a shorter one of two halves stands for it (ECDSA).
    pub(crate) two_halves: Option<usize>,
    /// The hash of a digest, so that its state can be saved.
    pub(crate) hash: Option<Hash>,
    /// Whether the key still waits for its user to log in for this operation (CKA_ALWAYS_AUTHENTICATE).
    pub(crate) locked: bool,
    /// The login it was begun under; `None` where it needs none.
    logins: Option<u64>,
}

impl<R> Ongoing<R> {
    /// An operation that uses `key`.
    pub(crate) fn with_key(unfinished: Unfinished<R>, view: &SessionView, key: &Object) -> Self {
        let locked = key.key().is_some_and(|k| k.protection.always_authenticate);
        let logins = key.private.then_some(view.logins);
        Self { unfinished, parts: false, held: None, held_from: 0, two_halves: None, hash: None, locked, logins }
    }

    /// A digest; it survives logins and logouts.
    pub(crate) const fn digest(unfinished: Unfinished<R>, hash: Hash) -> Self {
        Self {
            unfinished,
            parts: false,
            held: None,
            held_from: 0,
            two_halves: None,
            hash: Some(hash),
            locked: false,
            logins: None,
        }
    }

    /// Whether it goes on under the login numbered `logins`: not where it uses a private key of an earlier one.
    pub(crate) fn survives(&self, logins: u64) -> bool {
        self.logins.is_none_or(|mine| mine == logins)
    }

    /// Fails where the user must still log in for this operation.
    pub(crate) const fn check_unlocked(&self) -> Result<()> {
        if self.locked { Err(Rv(CKR_USER_NOT_LOGGED_IN)) } else { Ok(()) }
    }

    /// Ends it at the caller's wish.
    pub(crate) fn cancel(self) -> Result<()> {
        Ok(self.unfinished.cancel()?)
    }
}

/// What may be under way in a session: one of each kind, which is what dual functions need.
#[derive(Default)]
pub(crate) struct Operations {
    pub(crate) encrypt: Option<Box<Ongoing<Box<dyn Ciphering>>>>,
    pub(crate) decrypt: Option<Box<Ongoing<Box<dyn Ciphering>>>>,
    pub(crate) digest: Option<Box<Ongoing<Box<dyn Digesting>>>>,
    pub(crate) sign: Option<Box<Ongoing<Box<dyn Signing>>>>,
    pub(crate) verify: Option<Box<Ongoing<Box<dyn Verifying>>>>,
    /// Of C_VerifySignatureInit, with the signature held.
    pub(crate) verify_signature: Option<Box<Ongoing<Box<dyn Verifying>>>>,
    pub(crate) encrypt_messages: Option<Box<CipherMessages>>,
    pub(crate) decrypt_messages: Option<Box<CipherMessages>>,
    pub(crate) sign_messages: Option<Box<SignMessages>>,
    pub(crate) verify_messages: Option<Box<VerifyMessages>>,
}

impl Operations {
    /// Unlocks what waits for a context-specific login.
    pub(crate) fn unlock(&mut self) {
        fn one<R>(slot: &mut Option<Box<Ongoing<R>>>) {
            if let Some(operation) = slot {
                operation.locked = false;
            }
        }
        one(&mut self.encrypt);
        one(&mut self.decrypt);
        one(&mut self.sign);
        one(&mut self.verify);
        one(&mut self.verify_signature);
        fn process<R, S>(slot: &mut Option<Box<Process<R, S>>>) {
            if let Some(process) = slot {
                process.locked = false;
            }
        }
        process(&mut self.encrypt_messages);
        process(&mut self.decrypt_messages);
        process(&mut self.sign_messages);
        process(&mut self.verify_messages);
    }

    /// Ends all at the caller's wish; the first error.
    pub(crate) fn cancel(self) -> Result<()> {
        fn one<R>(slot: Option<Box<Ongoing<R>>>) -> Result<()> {
            slot.map_or(Ok(()), |operation| operation.cancel())
        }
        fn process<R, S>(slot: Option<Box<Process<R, S>>>) -> Result<()> {
            slot.map_or(Ok(()), |process| process.end())
        }
        [
            one(self.encrypt),
            one(self.decrypt),
            one(self.digest),
            one(self.sign),
            one(self.verify),
            one(self.verify_signature),
            process(self.encrypt_messages),
            process(self.decrypt_messages),
            process(self.sign_messages),
            process(self.verify_messages),
        ]
        .into_iter()
        .collect()
    }

    /// Whether anything with a key is under way.
    pub(crate) const fn has_keyed(&self) -> bool {
        self.encrypt.is_some()
            || self.decrypt.is_some()
            || self.sign.is_some()
            || self.verify.is_some()
            || self.verify_signature.is_some()
            || self.encrypt_messages.is_some()
            || self.decrypt_messages.is_some()
            || self.sign_messages.is_some()
            || self.verify_messages.is_some()
    }

    /// Takes out what does not survive the login numbered `logins`.
    pub(crate) fn purge(&mut self, logins: u64) -> Self {
        fn one<R>(slot: &mut Option<Box<Ongoing<R>>>, logins: u64) -> Option<Box<Ongoing<R>>> {
            if slot.as_ref().is_some_and(|o| !o.survives(logins)) { slot.take() } else { None }
        }
        fn process<R, S>(slot: &mut Option<Box<Process<R, S>>>, logins: u64) -> Option<Box<Process<R, S>>> {
            if slot.as_ref().is_some_and(|p| !p.survives(logins)) { slot.take() } else { None }
        }
        Self {
            encrypt: one(&mut self.encrypt, logins),
            decrypt: one(&mut self.decrypt, logins),
            digest: None,
            sign: one(&mut self.sign, logins),
            verify: one(&mut self.verify, logins),
            verify_signature: one(&mut self.verify_signature, logins),
            encrypt_messages: process(&mut self.encrypt_messages, logins),
            decrypt_messages: process(&mut self.decrypt_messages, logins),
            sign_messages: process(&mut self.sign_messages, logins),
            verify_messages: process(&mut self.verify_messages, logins),
        }
    }
}
