//! Key management functions (PKCS#11 3.2, 5.18).

use cryptoki_sys::*;
use libkmss::backend::Verb;
use libkmss::key::Object;
use libkmss::operation::Chosen;

use crate::making;
use crate::module;
use crate::module::session::SessionView;
use crate::raw::pointers::{self, Output};
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

/// C_WrapKey (5.18.3). A NULL buffer asks for the length, which is found by wrapping.
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
    // SAFETY: the caller's mechanism.
    let parse = |key: &Object| unsafe { parsed(&view, mechanism, Verb::Wrap, Some(key)) };
    let wrapped = making::wrap(&view, parse, wrapping, key)?;
    if output.put(&wrapped) || output.is_query() { Ok(()) } else { Err(Rv(CKR_BUFFER_TOO_SMALL)) }
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
    // SAFETY: the caller's mechanism.
    let parse = |key: &Object| unsafe { parsed(&view, mechanism, Verb::Unwrap, Some(key)) };
    *key = making::unwrap(&view, parse, unwrapping, wrapped, template)?;
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
    // SAFETY: the caller's template and place for the handle, as PKCS#11 describes them.
    let (template, key) = unsafe { (template::read(attributes, count)?, pointers::reference(key)?) };
    // SAFETY: the caller's mechanism.
    let parse = |key: &Object| unsafe { parsed(&view, mechanism, Verb::Derive, Some(key)) };
    *key = making::derive(&view, parse, base, template)?;
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
