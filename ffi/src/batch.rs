//! Many uses of keys in one call, each with a result of its own.
#![expect(unsafe_code, reason = "an entry point of the C interface")]

use std::borrow::Cow;

use libkmss::error::{Error, ErrorKind};
use libkmss::kms::{BatchItem, BatchOutcome, Kms};
use libkmss::mechanism::{EncryptionContext, Mechanism, Native};
use libkmss::operation::ObjectRef;
use zeroize::Zeroizing;

use crate::algorithm::Signature;
use crate::boundary::{Versioned, bytes, context, enter, kmss_pair, options};
use crate::error::{ERRORS, Said, kmss_error};
use crate::failure::Failure;
use crate::key::{KEYS, kmss_key};
use crate::mac::mac_of;
use crate::message::native;
use crate::out::Out;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::sign::{asks_each_time, check_digest, kmss_sign_options, wish};
use crate::status::kmss_status;

/// What is done with an item of a batch. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_batch_action = u32;

/// Signs `data`, as `kmss_sign`; `algorithm` is a `kmss_algorithm`.
pub const KMSS_BATCH_SIGN: kmss_batch_action = 1;
/// Verifies `signature` of `data`, as `kmss_verify`.
pub const KMSS_BATCH_VERIFY: kmss_batch_action = 2;
/// Computes the MAC of `data`, as `kmss_mac`; `algorithm` is a `kmss_mac_algorithm`.
pub const KMSS_BATCH_MAC: kmss_batch_action = 3;
/// Checks the MAC `signature` of `data`, as `kmss_verify_mac`.
pub const KMSS_BATCH_VERIFY_MAC: kmss_batch_action = 4;
/// Encrypts the message `data`, as `kmss_encrypt`; `algorithm` is a `kmss_message_algorithm`.
pub const KMSS_BATCH_ENCRYPT: kmss_batch_action = 5;
/// Decrypts the message `data`, as `kmss_decrypt`; `key` and `algorithm` are NULL and 0, since the message names its key.
pub const KMSS_BATCH_DECRYPT: kmss_batch_action = 6;

/// Most items of a batch.
pub const KMSS_BATCH_ITEMS: usize = 256;
/// Most bytes of `data` and `signature` of all items of a batch together.
pub const KMSS_BATCH_BYTES: usize = 67_108_864;

const _: () = assert!(KMSS_BATCH_ITEMS == Kms::BATCH_ITEMS && KMSS_BATCH_BYTES == Kms::BATCH_BYTES);

/// One of several uses of keys. Set all of it to zero, then `size` to `sizeof(kmss_batch_item)`, in each item of an array.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_batch_item {
    /// Size of this struct in bytes: the same in all items, which stand so far apart.
    pub size: usize,
    /// What is done (KMSS_BATCH_…).
    pub action: kmss_batch_action,
    /// How, in the numbers that go with the action.
    pub algorithm: u32,
    /// The key.
    pub key: *mut kmss_key,
    /// Signing and verifying: what is said beside the algorithm, or NULL.
    pub sign_options: *const kmss_sign_options,
    /// Encrypting and decrypting: the context.
    pub context: *const kmss_pair,
    /// How many pairs it has.
    pub context_len: usize,
    /// The message, its digest, or the ciphertext.
    pub data: *const u8,
    /// Its length in bytes.
    pub data_len: usize,
    /// Verifying: the signature or MAC.
    pub signature: *const u8,
    /// Its length in bytes.
    pub signature_len: usize,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_batch_item {}

/// What came of an item. This struct has no size of its own, and stays as it is.
#[repr(C)]
pub struct kmss_batch_result {
    /// What the call for this item alone would have returned.
    pub status: kmss_status,
    /// Why it failed, which `kmss_error_free` frees; NULL where it did not.
    pub error: *mut kmss_error,
    /// The signature, MAC, ciphertext or plaintext, which `kmss_free` wipes and frees; NULL where there is none.
    pub out: *mut u8,
    /// Its length in bytes.
    pub out_len: usize,
}

/// Does `items_len` things in one call, at most KMSS_BATCH_ITEMS, one after the other and in this order. Each is decided, counted and
/// recorded by itself, and one that fails is in nobody's way: `results` has room for as many results, and each says what became of the
/// item in the same place. Free their `out` and `error`.
///
/// KMSS_OK: all was tried; look at every `status`. KMSS_INVALID_ARGUMENT for too many items or a wrong array, KMSS_INVALID_DATA for too
/// many bytes, KMSS_INVALID_HANDLE for the session: nothing was done. What is not needed for an action is NULL and 0.
///
/// # Safety
/// `items` points to `items_len` structs, each with what its action needs as the call for that alone does; `results` points to as many
/// writable structs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_batch(
    session: *mut kmss_session,
    items: *const kmss_batch_item,
    items_len: usize,
    results: *mut kmss_batch_result,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        unsafe { emptied(results, items_len) }?;
        // SAFETY: as above.
        let given = unsafe { all_of(items, items_len) }?;
        // SAFETY: as above.
        let deeds: Vec<Result<Deed<'_>, Failure>> =
            given.iter().map(|item| unsafe { Deed::of(&session, item) }).collect();
        let ready: Vec<BatchItem<'_>> = deeds.iter().flatten().map(Deed::item).collect();
        let mut done = session.kms.batch(&session.caller, &ready)?.into_iter();
        drop(ready);
        for (place, deed) in deeds.into_iter().enumerate() {
            let made = deed.and_then(|deed| deed.made(done.next().ok_or_else(lost)??));
            // SAFETY: `results` has room for all items.
            unsafe { told(results.wrapping_add(place), made) };
        }
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn lost() -> Failure {
    Error::new(ErrorKind::Internal, "the result of an item was lost").into()
}

/// Empties results.
///
/// # Safety
/// `results` is NULL or points to `len` writable structs.
unsafe fn emptied(results: *mut kmss_batch_result, len: usize) -> Result<(), Failure> {
    if len > KMSS_BATCH_ITEMS {
        return Err(Failure::argument("a batch has at most KMSS_BATCH_ITEMS items"));
    }
    if len > 0 && (results.is_null() || !results.is_aligned()) {
        return Err(Failure::argument("results is NULL"));
    }
    // Whoever does not look at what the call returned takes nothing here for done.
    let undone = kmss_status::KMSS_INVALID_ARGUMENT;
    // SAFETY: not NULL, and writable by the contract above.
    (0..len).for_each(|place| unsafe { results.wrapping_add(place).write(result(undone)) });
    Ok(())
}

const fn result(status: kmss_status) -> kmss_batch_result {
    kmss_batch_result { status, error: std::ptr::null_mut(), out: std::ptr::null_mut(), out_len: 0 }
}

/// The items of an array whose elements are as far apart as the first one is large.
///
/// # Safety
/// `items` is NULL or points to `len` structs that begin with their size and have as many readable bytes.
unsafe fn all_of(items: *const kmss_batch_item, len: usize) -> Result<Vec<kmss_batch_item>, Failure> {
    let (mut all, mut at) = (Vec::with_capacity(len), items.cast::<u8>());
    if len > 0 && items.is_null() {
        return Err(Failure::argument("items is NULL"));
    }
    for _ in 0..len {
        // SAFETY: it begins with its size; nothing is presumed of its alignment.
        let size = unsafe { at.cast::<usize>().read_unaligned() };
        if all.first().is_some_and(|first: &kmss_batch_item| first.size != size) {
            return Err(Failure::argument("all items of a batch have the same size: sizeof(kmss_batch_item)"));
        }
        // SAFETY: it has as many bytes as it says.
        let item = unsafe { options(at.cast::<kmss_batch_item>(), "kmss_batch_item") }?;
        at = at.wrapping_add(item.size);
        all.push(item);
    }
    Ok(all)
}

/// Writes what came of an item.
///
/// # Safety
/// `to` points to a writable struct.
unsafe fn told(to: *mut kmss_batch_result, made: Result<Made, Failure>) {
    let mut said = result(kmss_status::KMSS_OK);
    let (out, out_len) = (&raw mut said.out, &raw mut said.out_len);
    // SAFETY: both are ours, and live as long as the result is written to them.
    let put = |made: Made| made.map_or(Ok(()), |made| unsafe { Out::memory(out, out_len) }?.put(&made));
    if let Err(failure) = made.and_then(put) {
        said.status = failure.status;
        said.error = ERRORS.insert(Said::from(failure));
    }
    // SAFETY: the caller's promise.
    unsafe { to.write(said) };
}

/// What an item gives out, where it does.
type Made = Option<Zeroizing<Vec<u8>>>;

/// An item that can be done.
enum Deed<'a> {
    Sign { key: ObjectRef, how: Signature, input: Cow<'a, [u8]> },
    Verify { key: ObjectRef, how: Signature, input: Cow<'a, [u8]>, signature: Vec<u8> },
    Mac { key: ObjectRef, how: Mechanism, data: &'a [u8] },
    VerifyMac { key: ObjectRef, how: Mechanism, data: &'a [u8], mac: &'a [u8] },
    Encrypt { key: ObjectRef, native: Native, plaintext: &'a [u8] },
    Decrypt { ciphertext: &'a [u8], context: EncryptionContext },
}

impl<'a> Deed<'a> {
    /// # Safety
    /// `given` is what C callers promise of it; what is returned lives no longer than that.
    unsafe fn of(session: &LoggedIn, given: &kmss_batch_item) -> Result<Self, Failure> {
        check(given)?;
        // SAFETY: passed on.
        let (data, signature) = unsafe {
            (bytes(given.data, given.data_len, "data")?, bytes(given.signature, given.signature_len, "signature")?)
        };
        // SAFETY: passed on.
        let (context, wish) = unsafe { (context(given.context, given.context_len)?, wish(given.sign_options)?) };
        let algorithm = given.algorithm;
        if given.action == KMSS_BATCH_DECRYPT {
            return Ok(Self::Decrypt { ciphertext: data, context });
        }
        let found = KEYS.find(given.key)?;
        let key = ObjectRef::clone(&found.object);
        if given.action == KMSS_BATCH_ENCRYPT {
            return Ok(Self::Encrypt { key, native: native(&found, algorithm, context)?, plaintext: data });
        }
        if given.action == KMSS_BATCH_VERIFY_MAC {
            return Ok(Self::VerifyMac { key, how: Mechanism::Mac(mac_of(algorithm)?), data, mac: signature });
        }
        let object = found.now(session)?;
        let makes = [KMSS_BATCH_SIGN, KMSS_BATCH_MAC].contains(&given.action);
        if makes && object.key().is_some_and(|key| key.protection.always_authenticate) {
            return Err(asks_each_time());
        }
        if given.action == KMSS_BATCH_MAC {
            return Ok(Self::Mac { key, how: Mechanism::Mac(mac_of(algorithm)?), data });
        }
        let how = Signature::of(&object, algorithm, &wish)?;
        check_digest(algorithm, &wish, data)?;
        let input = how.input(data);
        if makes {
            return Ok(Self::Sign { key, how, input });
        }
        let signature = how.read(signature)?;
        Ok(Self::Verify { key, how, input, signature })
    }

    fn item(&self) -> BatchItem<'_> {
        match self {
            Self::Sign { key, how, input } => {
                BatchItem::Sign { key: key.clone(), how: how.mechanism.clone().into(), message: input }
            }
            Self::Verify { key, how, input, signature } => {
                let how = how.mechanism.clone().into();
                BatchItem::Verify { key: key.clone(), how, message: input, signature }
            }
            Self::Mac { key, how, data } => {
                BatchItem::Sign { key: key.clone(), how: how.clone().into(), message: data }
            }
            Self::VerifyMac { key, how, data, mac } => {
                BatchItem::Verify { key: key.clone(), how: how.clone().into(), message: data, signature: mac }
            }
            Self::Encrypt { key, native, plaintext } => {
                BatchItem::EncryptMessage { key: key.clone(), native: native.clone(), plaintext }
            }
            Self::Decrypt { ciphertext, context } => BatchItem::DecryptMessage { ciphertext, context: context.clone() },
        }
    }

    /// What the item gives out, of what came of it.
    fn made(self, outcome: BatchOutcome) -> Result<Made, Failure> {
        Ok(match (self, outcome) {
            (Self::Sign { how, .. }, BatchOutcome::Signature(raw)) => Some(Zeroizing::new(how.shown(raw)?)),
            (_, BatchOutcome::Signature(made) | BatchOutcome::Ciphertext(made)) => Some(Zeroizing::new(made)),
            (_, BatchOutcome::Plaintext(made)) => Some(made),
            (_, BatchOutcome::Holds) => None,
        })
    }
}

/// Refuses what an action has nothing to do with.
fn check(given: &kmss_batch_item) -> Result<(), Failure> {
    let action = given.action;
    if !(KMSS_BATCH_SIGN..=KMSS_BATCH_DECRYPT).contains(&action) {
        return Err(Failure::argument("action is none of KMSS_BATCH_…"));
    }
    let (signs, verifies) = (action <= KMSS_BATCH_VERIFY, [KMSS_BATCH_VERIFY, KMSS_BATCH_VERIFY_MAC].contains(&action));
    let (is_message, decrypts) = (action >= KMSS_BATCH_ENCRYPT, action == KMSS_BATCH_DECRYPT);
    let beside = (!signs && !given.sign_options.is_null())
        || (!verifies && given.signature_len != 0)
        || (!is_message && given.context_len != 0)
        || (decrypts && (!given.key.is_null() || given.algorithm != 0));
    if beside {
        return Err(Failure::argument("an item says what its action has nothing to do with"));
    }
    Ok(())
}
