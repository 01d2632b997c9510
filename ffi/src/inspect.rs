//! What a ciphertext says of itself.
#![expect(unsafe_code, reason = "an entry point of the C interface")]

use std::ffi::c_char;

use libkmss::compat;
use libkmss::envelope::file::{FileHeader, MAGIC};
use libkmss::error::{Error, ErrorKind};
use libkmss::mechanism::NativeHeader;
use serde_json::{Value, json};

use crate::boundary::{bytes, enter};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::out::put_text;
use crate::status::kmss_status;

/// Says what a ciphertext says of itself, as JSON: a message of `kmss_encrypt`, the beginning of a sealed file, or a ciphertext of
/// the compatible formats. Its `format` is `native`, `sealed-file`, `business-long`, `business-short`, `user-long` or
/// `user-short`; the other members follow from that. Needs no key and no session, and proves nothing.
///
/// `*json` is freed by `kmss_free`.
///
/// Errors: KMSS_INVALID_DATA for what is none of them.
///
/// # Safety
/// `ciphertext` points to `ciphertext_len` bytes; `json` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_inspect(
    ciphertext: *const u8,
    ciphertext_len: usize,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let ciphertext = unsafe { bytes(ciphertext, ciphertext_len, "ciphertext") }?;
        let said = said(ciphertext)?.to_string();
        // SAFETY: as above.
        unsafe { put_text(json, &said) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn said(ciphertext: &[u8]) -> Result<Value, Failure> {
    if ciphertext.starts_with(&MAGIC) {
        return file(ciphertext);
    }
    if let Ok((header, body)) = NativeHeader::parse(ciphertext) {
        return Ok(native(&header, body.len()));
    }
    let unknown = || Error::new(ErrorKind::DataInvalid, "this is no ciphertext of ours: it does not say what it is");
    let said = compat::inspect(ciphertext).map_err(|_| unknown())?;
    Ok(serde_json::to_value(said).map_err(|_| unknown())?)
}

fn native(header: &NativeHeader, body: usize) -> Value {
    json!({
        "format": "native",
        "format_version": 1,
        "algorithm": header.algorithm.label(),
        "deterministic": header.algorithm.is_deterministic(),
        "key_id": header.key.to_string(),
        "key_version": header.version,
        "salt": hex(&header.salt),
        "commitment": hex(&header.commitment),
        "plaintext_bytes": body.saturating_sub(NativeHeader::TAG),
    })
}

fn file(mut bytes: &[u8]) -> Result<Value, Failure> {
    let header = FileHeader::read(&mut bytes)?.header;
    let recipient = |one: &Vec<u8>| NativeHeader::parse(one).map_or(Value::Null, |(h, body)| native(&h, body.len()));
    Ok(json!({
        "format": "sealed-file",
        "format_version": 1,
        "algorithm": header.algorithm.label(),
        "chunk_bytes": header.chunk(),
        "recipients": header.recipients().iter().map(recipient).collect::<Vec<_>>(),
    }))
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
