//! How a record looks in the store: a header in clear, and the content sealed to its path and header.
//!
//! ```text
//! format (1) ‖ domain (1) ‖ version of the domain key (4, big-endian) ‖ edition (8, big-endian) ‖ nonce ‖ ciphertext
//! ```
//! The associated data are the path, a zero byte and the header. So a record opens only where it was written, as what
//! it was written, and under the key it names.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::key::{DomainKey, DomainVersion};
use crate::random::Random;
use crate::store::StoreKey;

/// The format written today.
const FORMAT: u8 = 1;
const HEADER_LEN: usize = 14;

/// Which of the domain keys sealed a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    /// The namespace's public domain key.
    Public,
    /// The namespace's private domain key.
    Private,
    /// The domain key of the home.
    Home,
}

impl Domain {
    const fn number(self) -> u8 {
        match self {
            Self::Public => 0,
            Self::Private => 1,
            Self::Home => 2,
        }
    }
}

/// What a record says of itself; not proven until it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) domain: Domain,
    pub(super) key_version: u32,
    pub(super) edition: u64,
}

impl Header {
    fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let key_version = self.key_version.to_be_bytes();
        let edition = self.edition.to_be_bytes();
        let fields = [FORMAT, self.domain.number()].into_iter().chain(key_version).chain(edition);
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Header and the rest.
    pub(super) fn parse(record: &[u8]) -> Result<(Self, &[u8])> {
        let damaged = || Error::new(ErrorKind::Damaged, "a record has a damaged header");
        let (header, sealed) = record.split_first_chunk::<HEADER_LEN>().ok_or_else(damaged)?;
        let [format, domain, v0, v1, v2, v3, edition @ ..] = *header;
        match format {
            FORMAT => {}
            0 => return Err(damaged()),
            _ => return Err(Error::new(ErrorKind::TooNew, "a record has a newer format: install the newer kmss")),
        }
        let domain = match domain {
            0 => Domain::Public,
            1 => Domain::Private,
            2 => Domain::Home,
            _ => return Err(damaged()),
        };
        let key_version = u32::from_be_bytes([v0, v1, v2, v3]);
        Ok((Self { domain, key_version, edition: u64::from_be_bytes(edition) }, sealed))
    }
}

/// Encodes `content` (CBOR, RFC 8949) and seals it for `path`. `size` is a guess at its length in bytes.
pub(super) fn seal<T: Serialize>(
    (key, domain): (&DomainVersion, Domain),
    random: &dyn Random,
    path: &StoreKey,
    edition: u64,
    (content, size): (&T, usize),
) -> Result<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(size));
    ciborium::into_writer(content, &mut *plain)
        .map_err(|e| Error::new(ErrorKind::Internal, "a record cannot be encoded").with_source(e.to_string()))?;
    let header = Header { domain, key_version: key.number(), edition }.encode();
    let sealed = key.seal_record(random, &context(path, &header), &plain)?;
    Ok([header.as_slice(), &sealed].concat())
}

/// Opens a record that was read from `path`.
pub(super) fn open<T: DeserializeOwned>(key: &DomainKey, path: &StoreKey, record: &[u8]) -> Result<(Header, T)> {
    let (header, sealed) = Header::parse(record)?;
    let plain = key.version(header.key_version)?.open_record(&context(path, &header.encode()), sealed)?;
    let mut rest = plain.expose();
    let content = ciborium::from_reader(&mut rest).map_err(|_| {
        // The cause would quote what the record holds.
        Error::new(ErrorKind::Damaged, "a record does not hold what it should")
    })?;
    if !rest.is_empty() {
        return Err(Error::new(ErrorKind::Damaged, "a record holds more than it should"));
    }
    Ok((header, content))
}

fn context(path: &StoreKey, header: &[u8; HEADER_LEN]) -> Vec<u8> {
    [path.as_str().as_bytes(), &[0], header].concat()
}
