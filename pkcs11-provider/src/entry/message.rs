//! Message-based functions (PKCS#11 3.2, 5.9, 5.11, 5.14 and 5.16).

use std::ffi::c_void;

use cryptoki_sys::*;
use libkmss::backend::{Signing, Verb, Verifying};
use libkmss::key::Action;
use libkmss::operation::Chosen;

use crate::cipher::Cipher;
use crate::module::process::{self as messages, Aead, CipherMessages, Place, Process};
use crate::nonce::Nonces;
use crate::raw::mechanism::{parse, parse_messages};
use crate::raw::message::{MessageParameter, associated_data};
use crate::raw::pointers::{Input, Output, reference, slice};
use crate::rv::{Result, Rv};

const ENCRYPT: Place<Cipher, Aead> = |operations| &mut operations.encrypt_messages;
const DECRYPT: Place<Cipher, Aead> = |operations| &mut operations.decrypt_messages;
const SIGN: Place<Box<dyn Signing>, Chosen> = |operations| &mut operations.sign_messages;
const VERIFY: Place<Box<dyn Verifying>, Chosen> = |operations| &mut operations.verify_messages;

/// C_MessageEncryptInit (5.9.1). A NULL mechanism cancels.
///
/// # Safety
/// `mechanism` is NULL or a valid mechanism.
pub(crate) unsafe fn encrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { cipher_init(session, mechanism, key, true) }
}

/// C_EncryptMessage (5.9.2).
///
/// # Safety
/// `parameter` is NULL or the mechanism's message parameter, with the buffers it names; the other pointers are NULL or
/// valid for their lengths, `out_len` for reads and writes.
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn encrypt(
    session: CK_SESSION_HANDLE,
    parameter: *mut c_void,
    parameter_len: CK_ULONG,
    aad: *mut CK_BYTE,
    aad_len: CK_ULONG,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { whole(session, ENCRYPT, (parameter, parameter_len), (aad, aad_len), (data, data_len), (out, out_len)) }
}

/// C_EncryptMessageBegin (5.9.3).
///
/// # Safety
/// As [`encrypt`].
pub(crate) unsafe fn encrypt_begin(
    session: CK_SESSION_HANDLE,
    parameter: *mut c_void,
    parameter_len: CK_ULONG,
    aad: *mut CK_BYTE,
    aad_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { begin(session, ENCRYPT, (parameter, parameter_len), (aad, aad_len)) }
}

/// C_EncryptMessageNext (5.9.4).
///
/// # Safety
/// As [`encrypt`].
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn encrypt_next(
    session: CK_SESSION_HANDLE,
    parameter: *mut c_void,
    parameter_len: CK_ULONG,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
    flags: CK_FLAGS,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { next(session, ENCRYPT, (parameter, parameter_len), (part, part_len), (out, out_len), flags) }
}

/// C_MessageEncryptFinal (5.9.5).
///
/// # Safety
/// None.
pub(crate) unsafe fn encrypt_final(session: CK_SESSION_HANDLE) -> Result<()> {
    messages::end(session, ENCRYPT)
}

/// C_MessageDecryptInit (5.11.1). A NULL mechanism cancels.
///
/// # Safety
/// As [`encrypt_init`].
pub(crate) unsafe fn decrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { cipher_init(session, mechanism, key, false) }
}

/// C_DecryptMessage (5.11.2).
///
/// # Safety
/// As [`encrypt`].
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn decrypt(
    session: CK_SESSION_HANDLE,
    parameter: *mut c_void,
    parameter_len: CK_ULONG,
    aad: *mut CK_BYTE,
    aad_len: CK_ULONG,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { whole(session, DECRYPT, (parameter, parameter_len), (aad, aad_len), (data, data_len), (out, out_len)) }
}

/// C_DecryptMessageBegin (5.11.3).
///
/// # Safety
/// As [`encrypt`].
pub(crate) unsafe fn decrypt_begin(
    session: CK_SESSION_HANDLE,
    parameter: *mut c_void,
    parameter_len: CK_ULONG,
    aad: *mut CK_BYTE,
    aad_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { begin(session, DECRYPT, (parameter, parameter_len), (aad, aad_len)) }
}

/// C_DecryptMessageNext (5.11.4). All plaintext comes with the last part, when the tag was checked.
///
/// # Safety
/// As [`encrypt`].
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn decrypt_next(
    session: CK_SESSION_HANDLE,
    parameter: *mut c_void,
    parameter_len: CK_ULONG,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
    flags: CK_FLAGS,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { next(session, DECRYPT, (parameter, parameter_len), (part, part_len), (out, out_len), flags) }
}

/// C_MessageDecryptFinal (5.11.5).
///
/// # Safety
/// None.
pub(crate) unsafe fn decrypt_final(session: CK_SESSION_HANDLE) -> Result<()> {
    messages::end(session, DECRYPT)
}

/// C_MessageSignInit (5.14.1). A NULL mechanism cancels.
///
/// # Safety
/// `mechanism` is NULL or a valid mechanism.
pub(crate) unsafe fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { mac_init(session, SIGN, mechanism, key, Verb::Sign) }
}

/// C_SignMessage (5.14.2).
///
/// # Safety
/// `data` is NULL or valid for `data_len` bytes, `out_len` NULL or valid, `out` NULL or valid for `*out_len` bytes.
pub(crate) unsafe fn sign(
    session: CK_SESSION_HANDLE,
    _parameter: *mut c_void,
    parameter_len: CK_ULONG,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    messages::run(session, SIGN, |view, process| {
        no_parameter(parameter_len)?;
        // SAFETY: the contract of this function.
        let out = unsafe { Output::new(out, out_len) }?;
        // SAFETY: the contract of this function.
        let data = unsafe { Input::beside(data, data_len, &out) }?;
        process.whole(view, &data, out)
    })
}

/// C_SignMessageBegin (5.14.3).
///
/// # Safety
/// None.
pub(crate) unsafe fn sign_begin(
    session: CK_SESSION_HANDLE,
    _parameter: *mut c_void,
    parameter_len: CK_ULONG,
) -> Result<()> {
    messages::run(session, SIGN, |view, process| {
        no_parameter(parameter_len)?;
        process.begin(view)
    })
}

/// C_SignMessageNext (5.14.4). A NULL `out_len` says that more parts follow.
///
/// # Safety
/// As [`sign`].
pub(crate) unsafe fn sign_next(
    session: CK_SESSION_HANDLE,
    _parameter: *mut c_void,
    parameter_len: CK_ULONG,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    messages::run(session, SIGN, |_, process| {
        no_parameter(parameter_len)?;
        if out_len.is_null() {
            // SAFETY: the contract of this function.
            return process.next(unsafe { slice(data, data_len) }?, None);
        }
        // SAFETY: the contract of this function.
        let out = unsafe { Output::new(out, out_len) }?;
        // SAFETY: the contract of this function.
        let data = unsafe { Input::beside(data, data_len, &out) }?;
        process.next(&data, Some(out))
    })
}

/// C_MessageSignFinal (5.14.5).
///
/// # Safety
/// None.
pub(crate) unsafe fn sign_final(session: CK_SESSION_HANDLE) -> Result<()> {
    messages::end(session, SIGN)
}

/// C_MessageVerifyInit (5.16.1). A NULL mechanism cancels.
///
/// # Safety
/// As [`sign_init`].
pub(crate) unsafe fn verify_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { mac_init(session, VERIFY, mechanism, key, Verb::Verify) }
}

/// C_VerifyMessage (5.16.2).
///
/// # Safety
/// `data` is NULL or valid for `data_len` bytes, `signature` for `signature_len`.
pub(crate) unsafe fn verify(
    session: CK_SESSION_HANDLE,
    _parameter: *mut c_void,
    parameter_len: CK_ULONG,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    messages::run(session, VERIFY, |view, process| {
        no_parameter(parameter_len)?;
        // SAFETY: the contract of this function.
        let (data, signature) = unsafe { (slice(data, data_len)?, slice(signature, signature_len)?) };
        process.whole(view, data, signature)
    })
}

/// C_VerifyMessageBegin (5.16.3).
///
/// # Safety
/// None.
pub(crate) unsafe fn verify_begin(
    session: CK_SESSION_HANDLE,
    _parameter: *mut c_void,
    parameter_len: CK_ULONG,
) -> Result<()> {
    messages::run(session, VERIFY, |view, process| {
        no_parameter(parameter_len)?;
        process.begin(view)
    })
}

/// C_VerifyMessageNext (5.16.4). A NULL signature says that more parts follow.
///
/// # Safety
/// As [`verify`].
pub(crate) unsafe fn verify_next(
    session: CK_SESSION_HANDLE,
    _parameter: *mut c_void,
    parameter_len: CK_ULONG,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    messages::run(session, VERIFY, |_, process| {
        no_parameter(parameter_len)?;
        // SAFETY: the contract of this function.
        let data = unsafe { slice(data, data_len) }?;
        if signature.is_null() {
            return process.next(data, None);
        }
        // SAFETY: the contract of this function.
        process.next(data, Some(unsafe { slice(signature, signature_len) }?))
    })
}

/// C_MessageVerifyFinal (5.16.5).
///
/// # Safety
/// None.
pub(crate) unsafe fn verify_final(session: CK_SESSION_HANDLE) -> Result<()> {
    messages::end(session, VERIFY)
}

/// # Safety
/// `mechanism` is NULL or a valid mechanism.
unsafe fn cipher_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    encrypt: bool,
) -> Result<()> {
    let place = if encrypt { ENCRYPT } else { DECRYPT };
    if mechanism.is_null() {
        return messages::end(session, place);
    }
    // SAFETY: the contract of this function.
    let mechanism = unsafe { reference(mechanism) }?;
    messages::begin(session, place, |view| {
        let key = view.token.objects.resolve_key(key, view)?;
        let flag = if encrypt { CKF_MESSAGE_ENCRYPT } else { CKF_MESSAGE_DECRYPT };
        let shape = parse_messages(mechanism, flag, key.key(), view.profile())?;
        let action = if encrypt { Action::Encrypt } else { Action::Decrypt };
        let how = Aead { number: mechanism.mechanism, shape, encrypt, nonces: Nonces::default() };
        Process::new(view, key, action, how)
    })
}

/// # Safety
/// `mechanism` is NULL or a valid mechanism.
unsafe fn mac_init<R>(
    session: CK_SESSION_HANDLE,
    place: Place<R, Chosen>,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    verb: Verb,
) -> Result<()> {
    if mechanism.is_null() {
        return messages::end(session, place);
    }
    // SAFETY: the contract of this function.
    let mechanism = unsafe { reference(mechanism) }?;
    messages::begin(session, place, |view| {
        let key = view.token.objects.resolve_key(key, view)?;
        let (flag, action) = match verb {
            Verb::Sign => (CKF_MESSAGE_SIGN, Action::Sign),
            _ => (CKF_MESSAGE_VERIFY, Action::Verify),
        };
        parse_messages(mechanism, flag, key.key(), view.profile())?;
        // SAFETY: the mechanism is valid by the contract of this function.
        let how = unsafe { parse(mechanism, verb, key.key(), view.profile()) }?;
        Process::new(view, key, action, how)
    })
}

/// The mechanisms that sign take nothing from message to message.
const fn no_parameter(len: CK_ULONG) -> Result<()> {
    if len == 0 { Ok(()) } else { Err(Rv(CKR_MECHANISM_PARAM_INVALID)) }
}

type Bytes = (*mut CK_BYTE, CK_ULONG);
type Parameter = (*mut c_void, CK_ULONG);
type Room = (*mut CK_BYTE, *mut CK_ULONG);

/// # Safety
/// As [`encrypt`].
unsafe fn whole(
    session: CK_SESSION_HANDLE,
    place: Place<Cipher, Aead>,
    parameter: Parameter,
    aad: Bytes,
    data: Bytes,
    out: Room,
) -> Result<()> {
    messages::run(session, place, |view, process| {
        // SAFETY: the contract of this function.
        let parameter = unsafe { read(process, parameter) }?;
        // SAFETY: the contract of this function.
        let (aad, out) = unsafe { (associated_data(aad.0, aad.1)?, Output::new(out.0, out.1)?) };
        // SAFETY: the contract of this function.
        let data = unsafe { Input::beside(data.0, data.1, &out) }?;
        process.whole(view, parameter, aad, &data, out)
    })
}

/// # Safety
/// As [`encrypt`].
unsafe fn begin(
    session: CK_SESSION_HANDLE,
    place: Place<Cipher, Aead>,
    parameter: Parameter,
    aad: Bytes,
) -> Result<()> {
    messages::run(session, place, |view, process| {
        // SAFETY: the contract of this function.
        let (parameter, aad) = unsafe { (read(process, parameter)?, associated_data(aad.0, aad.1)?) };
        process.begin(view, parameter, aad)
    })
}

/// # Safety
/// As [`encrypt`].
unsafe fn next(
    session: CK_SESSION_HANDLE,
    place: Place<Cipher, Aead>,
    parameter: Parameter,
    part: Bytes,
    out: Room,
    flags: CK_FLAGS,
) -> Result<()> {
    messages::run(session, place, |_, process| {
        // SAFETY: the contract of this function.
        let (parameter, out) = unsafe { (read(process, parameter)?, Output::new(out.0, out.1)?) };
        // SAFETY: the contract of this function.
        let part = unsafe { Input::beside(part.0, part.1, &out) }?;
        process.next(parameter, &part, out, flags & CKF_END_OF_MESSAGE != 0)
    })
}

/// # Safety
/// As [`encrypt`].
unsafe fn read(process: &CipherMessages, parameter: Parameter) -> Result<MessageParameter> {
    // SAFETY: the contract of this function.
    unsafe { MessageParameter::read(process.how.shape, parameter.0, parameter.1) }
}
