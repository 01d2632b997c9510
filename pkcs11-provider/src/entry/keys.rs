//! Key management functions (PKCS#11 3.2, 5.18).

use std::borrow::Cow;

use cryptoki_sys::*;
use libkmss::backend::Verb;
use libkmss::key::Object;
use libkmss::operation::{Chosen, DrawRandom};

use crate::deriving::{self, Call};
use crate::making::{self, Wrapped};
use crate::module;
use crate::module::session::SessionView;
use crate::nonce::{Generator, Nonces};
use crate::raw::mechanism::Companions;
use crate::raw::message::{self, MessageParameter};
use crate::raw::pointers::{self, Output};
use crate::raw::template::u64_of;
use crate::raw::wrapping::WrapParameter;
use crate::raw::{mechanism, template};
use crate::rv::{Result, Rv};

/// Longest wrapped key: an RSA-8192 private key with room to spare.
const MAX_WRAPPED: CK_ULONG = 1 << 16;

/// C_GenerateKey (5.18.1).
pub(crate) unsafe fn generate(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's mechanism, template and place for the handle, as PKCS#11 describes them.
    let (how, template, key) = unsafe {
        (parsed(&view, mechanism, Verb::Generate, None)?, template::read(attributes, count)?, pointers::reference(key)?)
    };
    *key = making::generate(&view, &how, &template)?;
    Ok(())
}

/// C_GenerateKeyPair (5.18.2).
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn generate_pair(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public: *mut CK_ATTRIBUTE,
    public_count: CK_ULONG,
    private: *mut CK_ATTRIBUTE,
    private_count: CK_ULONG,
    public_key: *mut CK_OBJECT_HANDLE,
    private_key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's mechanism and templates.
    let (how, public, private) = unsafe {
        let how = parsed(&view, mechanism, Verb::Generate, None)?;
        (how, template::read(public, public_count)?, template::read(private, private_count)?)
    };
    if public_key == private_key {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    // SAFETY: the caller's places for two handles, which are not the same.
    let (public_key, private_key) = unsafe { (pointers::reference(public_key)?, pointers::reference(private_key)?) };
    (*public_key, *private_key) = making::generate_pair(&view, &how, &public, &private)?;
    Ok(())
}

/// C_WrapKey (5.18.3). A NULL buffer asks for the length; of private keys the answer may be more than is needed then.
pub(crate) unsafe fn wrap(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    wrapping: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    wrapped: *mut CK_BYTE,
    wrapped_len: *mut CK_ULONG,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's buffer.
    let mut output = unsafe { Output::new(wrapped, wrapped_len) }?;
    let (mut used, asks) = (None, output.is_query());
    let parse = |key: &Object| {
        // SAFETY: the caller's mechanism.
        let Some(parameter) = unsafe { wrapping_parameter(&view, mechanism, CKF_WRAP, key) }? else {
            // SAFETY: as above.
            return Ok((unsafe { parsed(&view, mechanism, Verb::Wrap, Some(key)) }?, 0));
        };
        let nonce = nonce(&view, parameter.generator()?, parameter.nonce(), asks)?;
        let how = parameter.mechanism(nonce.clone());
        used = Some((parameter, nonce));
        // SAFETY: the parameter was read through it.
        let number = u64_of(unsafe { pointers::reference(mechanism) }?.mechanism);
        Ok((Chosen { mechanism: how, number: Some(number) }, 0))
    };
    let wrapped = making::wrap(&view, parse, wrapping, key, room(&output))?;
    deliver(&mut output, &wrapped)?;
    if let (Wrapped::Key(_), Some((mut parameter, nonce))) = (wrapped, used) {
        parameter.tell_nonce(&nonce);
    }
    Ok(())
}

/// The parameter of C_WrapKey or C_UnwrapKey that says how the nonce comes about; `None` where it is another.
///
/// # Safety
/// `mechanism` is NULL or valid, with its parameter and the buffers it names.
unsafe fn wrapping_parameter(
    view: &SessionView,
    mechanism: *mut CK_MECHANISM,
    flag: CK_FLAGS,
    key: &Object,
) -> Result<Option<WrapParameter>> {
    // SAFETY: the contract of this function.
    let raw = unsafe { pointers::reference(mechanism) }?;
    if !WrapParameter::may_be(raw.ulParameterLen) {
        return Ok(None);
    }
    let shape = mechanism::parse_messages(raw, flag, key.key(), view.profile())?;
    // SAFETY: as above.
    unsafe { WrapParameter::read(shape, raw.pParameter, raw.ulParameterLen) }
}

/// The nonce of one wrapping. Where only the length is asked for, what the caller's memory holds is as good as another.
fn nonce(view: &SessionView, generator: Generator, given: Vec<u8>, asks: bool) -> Result<Vec<u8>> {
    if !generator.stands_alone() {
        return Err(Rv(CKR_MECHANISM_PARAM_INVALID));
    }
    if asks {
        return Ok(given);
    }
    let random = |out: &mut [u8]| Ok(view.kms.perform(&view.caller, DrawRandom { out })?);
    Nonces::default().next(generator, given, random)
}

/// C_WrapKeyAuthenticated (5.18.6): the tag goes where the mechanism's message parameter says.
///
/// # Safety
/// `mechanism` is NULL or valid, with its parameter and the buffers it names; `aad` is NULL or valid for `aad_len` bytes,
/// `wrapped_len` NULL or valid, `wrapped` NULL or valid for `*wrapped_len` bytes.
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn wrap_authenticated(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    wrapping: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    aad: *mut CK_BYTE,
    aad_len: CK_ULONG,
    wrapped: *mut CK_BYTE,
    wrapped_len: *mut CK_ULONG,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the contract of this function.
    let (mechanism, mut output, aad) = unsafe {
        let output = Output::new(wrapped, wrapped_len)?;
        (pointers::reference(mechanism)?, output, message::associated_data(aad, aad_len)?)
    };
    let (mut used, asks) = (None, output.is_query());
    let parse = |key: &Object| {
        // SAFETY: the contract of this function.
        let parameter = unsafe { authenticated(&view, mechanism, CKF_MESSAGE_ENCRYPT, key) }?;
        let nonce = nonce(&view, parameter.generator()?, parameter.nonce(), asks)?;
        let how = parameter.mechanism(nonce.clone(), aad, true)?;
        let how = Chosen { mechanism: how, number: Some(u64_of(mechanism.mechanism)) };
        let tag_len = parameter.tag_len();
        used = Some((parameter, nonce));
        Ok((how, tag_len))
    };
    let wrapped = making::wrap(&view, parse, wrapping, key, room(&output))?;
    let (mut parameter, nonce) = used.ok_or(Rv(CKR_GENERAL_ERROR))?;
    // The core puts the tag behind the key; here it lies apart.
    let (text, tag) = match wrapped {
        Wrapped::Key(mut joined) => {
            let tag = joined.split_off(joined.len().saturating_sub(parameter.tag_len()));
            (Wrapped::Key(joined), tag)
        }
        Wrapped::Length(len) => (Wrapped::Length(len.saturating_sub(parameter.tag_len())), Vec::new()),
    };
    deliver(&mut output, &text)?;
    if let Wrapped::Key(_) = text {
        parameter.tell_nonce(&nonce);
        parameter.tell_tag(&tag);
    }
    Ok(())
}

/// C_UnwrapKeyAuthenticated (5.18.7).
///
/// # Safety
/// As [`wrap_authenticated`]; `wrapped` is NULL or valid for `wrapped_len` bytes, `attributes` for `count` attributes, `key`
/// NULL or valid for writes.
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn unwrap_authenticated(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    unwrapping: CK_OBJECT_HANDLE,
    wrapped: *mut CK_BYTE,
    wrapped_len: CK_ULONG,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    aad: *mut CK_BYTE,
    aad_len: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let view = module::view(session)?;
    if wrapped_len > MAX_WRAPPED || wrapped_len == 0 {
        return Err(Rv(CKR_WRAPPED_KEY_LEN_RANGE));
    }
    // SAFETY: the contract of this function.
    let (mechanism, wrapped, aad, template, place) = unsafe {
        let wrapped = pointers::slice(wrapped.cast_const(), wrapped_len)?;
        let aad = message::associated_data(aad, aad_len)?;
        (pointers::reference(mechanism)?, wrapped, aad, template::read(attributes, count)?, pointers::reference(key)?)
    };
    let parse = |key: &Object| {
        // SAFETY: the contract of this function.
        let parameter = unsafe { authenticated(&view, mechanism, CKF_MESSAGE_DECRYPT, key) }?;
        let how = parameter.mechanism(parameter.nonce(), aad, true)?;
        let joined = [wrapped, &parameter.tag()].concat();
        Ok((Chosen { mechanism: how, number: Some(u64_of(mechanism.mechanism)) }, Cow::Owned(joined)))
    };
    *place = making::unwrap(&view, parse, unwrapping, template)?;
    Ok(())
}

/// The message parameter of a wrapping mechanism that fits `key`.
///
/// # Safety
/// As [`wrap_authenticated`].
unsafe fn authenticated(
    view: &SessionView,
    mechanism: &CK_MECHANISM,
    flag: CK_FLAGS,
    key: &Object,
) -> Result<MessageParameter> {
    let shape = mechanism::parse_messages(mechanism, flag, key.key(), view.profile())?;
    // SAFETY: the contract of this function.
    unsafe { MessageParameter::read(shape, mechanism.pParameter, mechanism.ulParameterLen) }
}

/// Bytes of room for a wrapped key; `None` where only the length is asked for.
const fn room(output: &Output<'_>) -> Option<usize> {
    if output.is_query() { None } else { Some(output.capacity()) }
}

/// Gives a wrapped key out, or tells its length.
fn deliver(output: &mut Output<'_>, wrapped: &Wrapped) -> Result<()> {
    let fits = match wrapped {
        Wrapped::Key(wrapped) => output.put(wrapped) || output.is_query(),
        Wrapped::Length(len) => {
            output.tell(*len);
            output.is_query()
        }
    };
    if fits { Ok(()) } else { Err(Rv(CKR_BUFFER_TOO_SMALL)) }
}

/// C_UnwrapKey (5.18.4).
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn unwrap(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    unwrapping: CK_OBJECT_HANDLE,
    wrapped: *mut CK_BYTE,
    wrapped_len: CK_ULONG,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let view = module::view(session)?;
    if wrapped_len > MAX_WRAPPED || wrapped_len == 0 {
        return Err(Rv(CKR_WRAPPED_KEY_LEN_RANGE));
    }
    // SAFETY: the caller's wrapped key, template and place for the handle, as PKCS#11 describes them.
    let (wrapped, template, key) = unsafe {
        let wrapped = pointers::slice(wrapped.cast_const(), wrapped_len)?;
        (wrapped, template::read(attributes, count)?, pointers::reference(key)?)
    };
    let parse = |key: &Object| {
        // SAFETY: the caller's mechanism.
        let Some(parameter) = unsafe { wrapping_parameter(&view, mechanism, CKF_UNWRAP, key) }? else {
            // SAFETY: as above.
            return Ok((unsafe { parsed(&view, mechanism, Verb::Unwrap, Some(key)) }?, Cow::Borrowed(wrapped)));
        };
        // SAFETY: the parameter was read through it.
        let number = u64_of(unsafe { pointers::reference(mechanism) }?.mechanism);
        let how = Chosen { mechanism: parameter.mechanism(parameter.nonce()), number: Some(number) };
        Ok((how, Cow::Borrowed(wrapped)))
    };
    *key = making::unwrap(&view, parse, unwrapping, template)?;
    Ok(())
}

/// C_DeriveKey (5.18.5).
pub(crate) unsafe fn derive(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    base: CK_OBJECT_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's template, and mechanism with all that it names, as PKCS#11 describes them.
    let (template, companions) = unsafe {
        (template::read(attributes, count)?, Companions::of(pointers::reference(mechanism)?, view.profile())?)
    };
    // Where the parameter takes all handles, this one "should be a NULL_PTR" (6.40.6).
    if (key.is_null() || !key.is_aligned()) && !companions.returns_all_keys() {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    // SAFETY: the caller's mechanism.
    let parse = |key: &Object| unsafe { parsed(&view, mechanism, Verb::Derive, Some(key)) };
    let mut call = Call { template, others: &companions.others, additional: &companions.additional, blamed: None };
    let derived = deriving::derive(&view, parse, base, &mut call);
    if let Some(index) = call.blamed {
        // SAFETY: as above.
        unsafe { companions.blame(index) };
    }
    let derived = derived?;
    if companions.returns_all_keys() {
        // SAFETY: as above.
        unsafe { companions.give(&derived.handles, &derived.public) };
    } else if let Some((first, more)) = derived.handles.split_first() {
        // SAFETY: as above, and the caller's place for a handle, which is not NULL.
        unsafe {
            pointers::write(key, *first)?;
            companions.give(more, &derived.public);
        }
    }
    Ok(())
}

/// # Safety
/// `mechanism` is NULL or as [`mechanism::parse`] needs it.
pub(super) unsafe fn parsed(
    view: &SessionView,
    mechanism: *mut CK_MECHANISM,
    verb: Verb,
    key: Option<&Object>,
) -> Result<Chosen> {
    // SAFETY: the contract of this function.
    unsafe { mechanism::parse(pointers::reference(mechanism)?, verb, key.and_then(Object::key), view.profile()) }
}
