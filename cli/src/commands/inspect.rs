//! `kmss inspect`: what a ciphertext says of itself, as JSON and in the words of `kmss_inspect` of the C interface. None of it is proven.

use std::io::Read as _;

use base64ct::{Base64, Encoding as _};
use libkmss::compat;
use libkmss::envelope::file::{FileHeader, MAGIC};
use libkmss::mechanism::NativeHeader;
use serde_json::{Value, json};

use super::stream::source;
use crate::args::InputArgs;
use crate::output::{self, Failure};

/// What is read at most in bytes: one more than the longest text of the compatible formats ([`compat::MAX_TEXT`]). Our messages
/// and what a sealed file begins with are shorter.
const MOST: u64 = (512 << 10) + 1;

/// Runs `kmss inspect`.
///
/// # Errors
/// It is nothing that we know.
pub(super) fn run(input: &InputArgs) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let read = source(input.file.as_deref())?.take(MOST).read_to_end(&mut bytes);
    read.map_err(|e| format!("cannot read what comes in: {e}"))?;
    output::json(&said(&bytes)?)
}

fn said(bytes: &[u8]) -> Result<Value, Failure> {
    if bytes.starts_with(&MAGIC) {
        return sealed_file(bytes);
    }
    let text: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = std::str::from_utf8(&text).ok().and_then(|text| Base64::decode_vec(text).ok());
    let forms = [Some(bytes), decoded.as_deref()].into_iter().flatten();
    let known = forms.filter(|_| bytes.len() <= compat::MAX_TEXT).find_map(message);
    known.ok_or_else(|| "this is no ciphertext of ours: it does not say what it is".into())
}

/// What a message in our own format says, or one in the compatible formats.
fn message(bytes: &[u8]) -> Option<Value> {
    match NativeHeader::parse(bytes) {
        Ok((header, body)) => Some(native(&header, body.len())),
        Err(_) => serde_json::to_value(compat::inspect(bytes).ok()?).ok(),
    }
}

fn native(header: &NativeHeader, body: usize) -> Value {
    json!({
        "format": "native",
        "format_version": 1,
        "algorithm": header.algorithm.label(),
        "deterministic": header.algorithm.is_deterministic(),
        "key_id": header.key.to_string(),
        "key_version": header.version,
        "salt": output::hex(&header.salt),
        "commitment": output::hex(&header.commitment),
        "plaintext_bytes": body.saturating_sub(NativeHeader::TAG),
    })
}

fn sealed_file(mut bytes: &[u8]) -> Result<Value, Failure> {
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
