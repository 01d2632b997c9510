//! The private domain key of a namespace that works without PINs: wrapped by the seal alone.
//!
//! Format (1) ‖ version (4, big-endian) ‖ wrapped secret. The record exists only where the namespace was made without
//! PINs, so that no change of its settings opens one that was made with them.

use super::domain::{Domain, other_format};
use super::{Private, credential};
use crate::error::{Error, ErrorKind, Result};
use crate::seal::Seal;
use crate::store::StoreKey;
use crate::tenant::Namespace;

/// Format of the record; its first byte.
const FORMAT: u8 = 1;

/// Where the record is.
pub(super) fn key(namespace: &Namespace, domain: &Domain) -> Result<StoreKey> {
    StoreKey::new(credential::prefix(namespace, domain) + "open")
}

/// The record.
pub(super) fn seal(seal: &dyn Seal, namespace: &Namespace, private: &Private) -> Result<Vec<u8>> {
    let mut record = vec![FORMAT];
    record.extend_from_slice(&private.version.to_be_bytes());
    record.extend_from_slice(&seal.wrap(&context(namespace, private.version), &private.secret)?);
    Ok(record)
}

/// What a record holds.
pub(super) fn open(seal: &dyn Seal, namespace: &Namespace, record: &[u8]) -> Result<Private> {
    let (format, rest) = record.split_first().ok_or_else(missing)?;
    let (version, wrapped) = rest.split_first_chunk().ok_or_else(missing)?;
    if *format != FORMAT {
        return Err(other_format(*format, FORMAT, "domain key"));
    }
    let version = u32::from_be_bytes(*version);
    Ok(Private { version, secret: seal.unwrap(&context(namespace, version), wrapped)? })
}

/// The error for a record that should be there.
pub(super) fn missing() -> Error {
    Error::new(ErrorKind::Damaged, "the namespace says that it works without PINs, and was not made so")
}

fn context(namespace: &Namespace, version: u32) -> String {
    format!("domain/{}/{}/{version}/private/open", namespace.id, namespace.incarnation)
}
