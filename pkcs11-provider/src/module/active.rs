//! Operations under way in a session.

use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::{CK_OBJECT_HANDLE, CKR_USER_NOT_LOGGED_IN};
use libkmss::backend::{Ciphering, Digesting, Signing, Verifying};
use libkmss::mechanism::Hash;
use libkmss::permit::Confirmation;
use libkmss::pipeline::Unfinished;
use zeroize::Zeroizing;

use crate::module::process::{CipherMessages, Process, SignMessages, VerifyMessages};
use crate::module::session::SessionView;
use crate::rv::{Result, Rv};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Numbers operations in the order in which they are begun.
pub(crate) fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

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
    /// The order in which operations were begun that wait for their user.
    begun: u64,
    /// The login it was begun under; `None` where it needs none.
    logins: Option<u64>,
    /// The handle under which its key was named, where the next operation may follow it.
    pub(crate) key: CK_OBJECT_HANDLE,
}

impl<R> Ongoing<R> {
    /// An operation that uses a key, private or not.
    pub(crate) fn with_key(unfinished: Unfinished<R>, view: &SessionView, private: bool) -> Self {
        let logins = private.then_some(view.logins);
        // Only what waits for its user is asked for its order; a number for everything would be one that all threads write.
        let begun = if unfinished.takes_confirmation() { next() } else { 0 };
        let (two_halves, hash) = (None, None);
        Self { unfinished, parts: false, held: None, held_from: 0, two_halves, hash, begun, logins, key: 0 }
    }

    /// A digest; it survives logins and logouts.
    pub(crate) fn digest(unfinished: Unfinished<R>, hash: Hash) -> Self {
        let (two_halves, hash, begun) = (None, Some(hash), 0);
        Self { unfinished, parts: false, held: None, held_from: 0, two_halves, hash, begun, logins: None, key: 0 }
    }

    /// Whether it goes on under the login numbered `logins`: not where it uses a private key of an earlier one.
    pub(crate) fn survives(&self, logins: u64) -> bool {
        self.logins.is_none_or(|mine| mine == logins)
    }

    /// Fails where the user must still log in for this operation (CKA_ALWAYS_AUTHENTICATE). The core would refuse it, too.
    pub(crate) fn check_unlocked(&self) -> Result<()> {
        if self.unfinished.awaits_confirmation() { Err(Rv(CKR_USER_NOT_LOGGED_IN)) } else { Ok(()) }
    }

    /// Confirms it, where its user just authenticated for it.
    pub(crate) fn confirmed(mut self, confirmation: Option<Confirmation>) -> Result<Self> {
        if let Some(confirmation) = confirmation {
            self.unfinished.confirm(confirmation)?;
        }
        Ok(self)
    }

    /// Ends it at the caller's wish.
    pub(crate) fn cancel(self) -> Result<()> {
        Ok(self.unfinished.cancel()?)
    }
}

/// What a context-specific login may confirm.
pub(crate) trait Confirmable {
    /// When it was begun, where it waits for its user.
    fn waiting_since(&self) -> Option<u64>;

    /// Takes the confirmation.
    fn confirm(&mut self, confirmation: Confirmation) -> Result<()>;
}

impl<R> Confirmable for Ongoing<R> {
    fn waiting_since(&self) -> Option<u64> {
        self.unfinished.takes_confirmation().then_some(self.begun)
    }

    fn confirm(&mut self, confirmation: Confirmation) -> Result<()> {
        Ok(self.unfinished.confirm(confirmation)?)
    }
}

/// What is in a slot, if it waits for a confirmation.
fn waits<C: Confirmable>(slot: &mut Option<Box<C>>) -> Option<&mut dyn Confirmable> {
    let operation: &mut C = slot.as_deref_mut()?;
    operation.waiting_since().is_some().then_some(operation as &mut dyn Confirmable)
}

/// What may be under way in a session: one of each kind, which is what dual functions need.
#[derive(Default)]
pub(crate) struct Operations {
    pub(crate) encrypt: Option<Box<Ongoing<Box<dyn Ciphering>>>>,
    pub(crate) decrypt: Option<Box<Ongoing<Box<dyn Ciphering>>>>,
    pub(crate) digest: Option<Box<Ongoing<Box<dyn Digesting>>>>,
    pub(crate) sign: Option<Box<Ongoing<Box<dyn Signing>>>>,
    pub(crate) sign_recover: Option<Box<Ongoing<Box<dyn Signing>>>>,
    pub(crate) verify: Option<Box<Ongoing<Box<dyn Verifying>>>>,
    pub(crate) verify_recover: Option<Box<Ongoing<Box<dyn Ciphering>>>>,
    /// Of C_VerifySignatureInit, with the signature held.
    pub(crate) verify_signature: Option<Box<Ongoing<Box<dyn Verifying>>>>,
    pub(crate) encrypt_messages: Option<Box<CipherMessages>>,
    pub(crate) decrypt_messages: Option<Box<CipherMessages>>,
    pub(crate) sign_messages: Option<Box<SignMessages>>,
    pub(crate) verify_messages: Option<Box<VerifyMessages>>,
}

impl Operations {
    /// Confirms the operation that waits for a context-specific login, or the next message of a process: of several, the
    /// one that was begun last.
    pub(crate) fn confirm(&mut self, confirmation: Confirmation) -> Result<()> {
        let waiting: [Option<&mut dyn Confirmable>; 11] = [
            waits(&mut self.encrypt),
            waits(&mut self.decrypt),
            waits(&mut self.sign),
            waits(&mut self.sign_recover),
            waits(&mut self.verify),
            waits(&mut self.verify_recover),
            waits(&mut self.verify_signature),
            waits(&mut self.encrypt_messages),
            waits(&mut self.decrypt_messages),
            waits(&mut self.sign_messages),
            waits(&mut self.verify_messages),
        ];
        let last = waiting.into_iter().flatten().max_by_key(|operation| operation.waiting_since());
        // Where nothing waits, the PIN was right all the same.
        last.map_or(Ok(()), |operation| operation.confirm(confirmation))
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
            one(self.sign_recover),
            one(self.verify),
            one(self.verify_recover),
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
            || self.sign_recover.is_some()
            || self.verify.is_some()
            || self.verify_recover.is_some()
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
            sign_recover: one(&mut self.sign_recover, logins),
            verify: one(&mut self.verify, logins),
            verify_recover: one(&mut self.verify_recover, logins),
            verify_signature: one(&mut self.verify_signature, logins),
            encrypt_messages: process(&mut self.encrypt_messages, logins),
            decrypt_messages: process(&mut self.decrypt_messages, logins),
            sign_messages: process(&mut self.sign_messages, logins),
            verify_messages: process(&mut self.verify_messages, logins),
        }
    }
}
