//! Key encapsulation (PKCS#11 3.2, 5.18.8 and 5.18.9).

use cryptoki_sys::*;
use libkmss::backend::Verb;
use libkmss::key::Object;

use super::keys::parsed;
use crate::making;
use crate::module;
use crate::raw::pointers::{self, Output};
use crate::raw::template;
use crate::rv::{Result, Rv};

/// Longest ciphertext; those of ML-KEM-1024 have 1568 bytes.
const MAX_CIPHERTEXT: CK_ULONG = 1 << 16;

/// C_EncapsulateKey (5.18.8). A NULL buffer asks for the length; nothing is made then, nor where the buffer is too small.
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn encapsulate(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public_key: CK_OBJECT_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    ciphertext: *mut CK_BYTE,
    ciphertext_len: *mut CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's buffer.
    let mut output = unsafe { Output::new(ciphertext, ciphertext_len) }?;
    // SAFETY: the caller's mechanism.
    let parse = |key: &Object| unsafe { parsed(&view, mechanism, Verb::Encapsulate, Some(key)) };
    let len = making::ciphertext_len(&view, parse, public_key)?;
    if output.is_query() {
        output.tell(len);
        return Ok(());
    }
    if output.capacity() < len {
        output.tell(len);
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    }
    // SAFETY: the caller's template and place for the handle, as PKCS#11 describes them.
    let (template, key) = unsafe { (template::read(attributes, count)?, pointers::reference(key)?) };
    let (made, handle) = making::encapsulate(&view, parse, public_key, template)?;
    if !output.put(&made) {
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    }
    *key = handle;
    Ok(())
}

/// C_DecapsulateKey (5.18.9).
#[expect(clippy::too_many_arguments, reason = "the standard's")]
pub(crate) unsafe fn decapsulate(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    private_key: CK_OBJECT_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    ciphertext: *mut CK_BYTE,
    ciphertext_len: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let view = module::view(session)?;
    if ciphertext_len > MAX_CIPHERTEXT || ciphertext_len == 0 {
        return Err(Rv(CKR_WRAPPED_KEY_LEN_RANGE));
    }
    // SAFETY: the caller's ciphertext, template and place for the handle, as PKCS#11 describes them.
    let (ciphertext, template, key) = unsafe {
        let ciphertext = pointers::slice(ciphertext.cast_const(), ciphertext_len)?;
        (ciphertext, template::read(attributes, count)?, pointers::reference(key)?)
    };
    // SAFETY: the caller's mechanism.
    let parse = |key: &Object| unsafe { parsed(&view, mechanism, Verb::Decapsulate, Some(key)) };
    *key = making::decapsulate(&view, parse, private_key, ciphertext, template)?;
    Ok(())
}
