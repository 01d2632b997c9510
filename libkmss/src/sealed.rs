//! How records of the home itself lie in the store: sealed under the home's domain key, each to its place.
//!
//! ```text
//! format (1) ‖ version of the domain key (4, big-endian) ‖ nonce ‖ ciphertext
//! ```
//! The associated data are the path, a zero byte and the header.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::key::{DomainKey, DomainVersion};
use crate::random::Random;
use crate::store::StoreKey;

/// The format written today.
const FORMAT: u8 = 1;
const HEADER_LEN: usize = 5;

/// Seals `plain` for `path`.
pub(crate) fn seal(key: &DomainKey, random: &dyn Random, path: &StoreKey, plain: &[u8]) -> Result<Vec<u8>> {
    seal_under(&*key.newest()?, random, path, plain)
}

fn seal_under(version: &DomainVersion, random: &dyn Random, path: &StoreKey, plain: &[u8]) -> Result<Vec<u8>> {
    let header = header(version.number());
    let sealed = version.seal_record(random, &context(path, &header), plain)?;
    Ok([header.as_slice(), &sealed].concat())
}

/// Opens what was read from `path`.
pub(crate) fn open(key: &DomainKey, path: &StoreKey, record: &[u8]) -> Result<crate::secret::Secret> {
    let (found, sealed) = record.split_first_chunk::<HEADER_LEN>().ok_or_else(|| damaged(path))?;
    let [format, version @ ..] = *found;
    if format > FORMAT {
        return Err(Error::new(ErrorKind::TooNew, "a sealed record has a newer format: install the newer kmss"));
    }
    if format != FORMAT {
        return Err(damaged(path));
    }
    let opened = key.version(u32::from_be_bytes(version)).and_then(|v| v.open_record(&context(path, found), sealed));
    opened.map_err(|e| if e.kind() == ErrorKind::Damaged { damaged(path).with_source(e) } else { e })
}

/// Encodes `content` (CBOR, RFC 8949) and seals it for `path`.
pub(crate) fn seal_value<T: Serialize>(
    key: &DomainKey,
    random: &dyn Random,
    path: &StoreKey,
    content: &T,
) -> Result<Vec<u8>> {
    seal_value_under(&*key.newest()?, random, path, content)
}

/// As [`seal_value`], under the version that sealed key material in the content.
pub(crate) fn seal_value_under<T: Serialize>(
    version: &DomainVersion,
    random: &dyn Random,
    path: &StoreKey,
    content: &T,
) -> Result<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(1024));
    ciborium::into_writer(content, &mut *plain)
        .map_err(|e| Error::new(ErrorKind::Internal, "a record cannot be encoded").with_source(e.to_string()))?;
    seal_under(version, random, path, &plain)
}

/// Opens and decodes what was read from `path`.
pub(crate) fn open_value<T: DeserializeOwned>(key: &DomainKey, path: &StoreKey, record: &[u8]) -> Result<T> {
    let plain = open(key, path, record)?;
    let mut rest = plain.expose();
    // The cause would quote what the record holds.
    let content = ciborium::from_reader(&mut rest).map_err(|_| damaged(path))?;
    if rest.is_empty() { Ok(content) } else { Err(damaged(path)) }
}

fn header(version: u32) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = version.to_be_bytes();
    [FORMAT, a, b, c, d]
}

fn context(path: &StoreKey, header: &[u8; HEADER_LEN]) -> Vec<u8> {
    [path.as_str().as_bytes(), &[0], header].concat()
}

pub(crate) fn damaged(path: &StoreKey) -> Error {
    let what = format!(
        "the record `{}` cannot be trusted: it was changed, moved or damaged; bring the home back from a backup",
        path.as_str()
    );
    Error::new(ErrorKind::Damaged, what)
}
