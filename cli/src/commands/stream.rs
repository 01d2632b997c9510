//! What commands read and write that are used in pipes.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use libkmss::mechanism::{MAGIC, Native, NativeHeader};
use zeroize::Zeroizing;

use crate::args::{InputArgs, OutputArgs};
use crate::output::{self, Failure};

/// Longest ciphertext that is read in bytes: Base64, with line feeds.
const LONGEST: usize = (Native::MAX + NativeHeader::OVERHEAD) * 3 / 2;

/// Everything that comes in, at most `most` bytes; what is longer is refused with `why`.
///
/// # Errors
/// It cannot be read, or is longer.
pub(super) fn read(input: &InputArgs, most: usize, why: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    read_from(input.file.as_deref(), most, why)
}

/// As [`read`], from this file; from standard input where it is none, or `-`.
///
/// # Errors
/// As [`read`].
pub(super) fn read_from(file: Option<&Path>, most: usize, why: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut source = source(file)?;
    let mut part = Zeroizing::new([0_u8; 1 << 14]);
    let mut whole = Zeroizing::new(Vec::new());
    loop {
        let len = source.read(&mut *part).map_err(|e| format!("cannot read what comes in: {e}"))?;
        let Some(read) = part.get(..len).filter(|read| !read.is_empty()) else { return Ok(whole) };
        if whole.len() + len > most {
            return Err(why.into());
        }
        if whole.len() + len > whole.capacity() {
            // Growing in place would leave a copy behind.
            let mut larger = Zeroizing::new(Vec::with_capacity((2 * whole.capacity()).max(1 << 16).min(most)));
            larger.extend_from_slice(&whole);
            whole = larger;
        }
        whole.extend_from_slice(read);
    }
}

/// Where it comes from: this file, or standard input where it is none, or `-`.
///
/// # Errors
/// It cannot be opened.
pub(super) fn source(file: Option<&Path>) -> Result<Box<dyn Read>, Failure> {
    let named = file.filter(|file| file.as_os_str() != "-");
    let source: Box<dyn Read> = match named {
        Some(file) => Box::new(File::open(file).map_err(|e| format!("cannot read `{}`: {e}", file.display()))?),
        None => Box::new(std::io::stdin().lock()),
    };
    Ok(source)
}

/// A ciphertext that comes in, as bytes or as Base64.
///
/// # Errors
/// As [`read`].
pub(super) fn read_ciphertext(input: &InputArgs) -> Result<Vec<u8>, Failure> {
    let bytes = read(input, LONGEST, "what comes in is no message of ours: it is too long")?;
    if bytes.starts_with(&MAGIC) {
        return Ok(bytes.to_vec());
    }
    let text: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = std::str::from_utf8(&text).ok().and_then(|text| Base64::decode_vec(text).ok());
    Ok(decoded.unwrap_or_else(|| bytes.to_vec()))
}

/// Writes what came of it.
///
/// # Errors
/// It cannot be written, or is for no terminal.
pub(super) fn write(to: &OutputArgs, bytes: &[u8], is_text: bool) -> Result<(), Failure> {
    let encoded = Zeroizing::new(if to.base64 { format!("{}\n", Base64::encode_string(bytes)) } else { String::new() });
    let bytes = if to.base64 { encoded.as_bytes() } else { bytes };
    let Some(path) = &to.out else {
        if !to.base64 && !is_text && std::io::stdout().is_terminal() {
            return Err("this is nothing for a terminal: say --base64 or --out FILE".into());
        }
        return output::bytes(bytes);
    };
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = written.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|e| format!("cannot write `{}`: {e}", path.display()).into())
}

/// Base64 for JSON.
pub(super) fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}
