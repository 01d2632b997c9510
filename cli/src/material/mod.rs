//! Keys and certificates as people keep them in files: what is in the file, whatever its format.
//!
//! The format is told from the content: a JWK is JSON, PEM says what it holds, DER is told by its structure.

mod asn1;
mod dh;
mod jwk;
mod pem;
mod pkcs12;
mod pqc;

use std::io::Read as _;
use std::path::Path;

use libkmss::key::{KeyComponents, Usage};
use libkmss::secret::Secret;
use zeroize::Zeroizing;

pub(crate) use self::jwk::{describe as to_jwk, describe_private as to_private_jwk};
use crate::output::Failure;

/// Largest file that is read.
const SIZE_MAX: u64 = 4 << 20;

/// One thing found in a file.
pub(crate) struct Incoming {
    /// What it is.
    pub item: Item,
    /// What the file calls it (JWK `kid`, PKCS #12 friendly name).
    pub name: Option<String>,
    /// The only uses the file allows (JWK `key_ops`).
    pub uses: Option<Usage>,
}

/// A key or a certificate.
pub(crate) enum Item {
    /// A key in clear.
    Key(KeyComponents),
    /// A secret whose type the file does not tell.
    Untyped(Secret),
    /// A certificate (DER).
    Certificate(Vec<u8>),
}

impl From<KeyComponents> for Incoming {
    fn from(key: KeyComponents) -> Self {
        Self { item: Item::Key(key), name: None, uses: None }
    }
}

/// Asks for the passphrase, where the file turns out to need one.
pub(crate) type Passphrase<'a> = dyn Fn() -> Result<Secret, Failure> + 'a;

/// Reads a file whole, into memory that is wiped.
///
/// # Errors
/// It cannot be read, or is larger than any key.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let cannot = |e: std::io::Error| format!("cannot read `{}`: {e}", path.display());
    let mut file = std::fs::File::open(path).map_err(cannot)?;
    let length = file.metadata().map_err(cannot)?.len();
    if length > SIZE_MAX {
        return Err(format!("`{}` is too large to be a key", path.display()).into());
    }
    // Room for all of it: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length)?.saturating_add(64)));
    file.by_ref().take(SIZE_MAX).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

/// Everything the bytes of a file hold, in their order.
///
/// # Errors
/// A sentence that says what is wrong with the file and what to do.
pub(crate) fn parse(bytes: &[u8], passphrase: &Passphrase<'_>) -> Result<Vec<Incoming>, Failure> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(vec![jwk::parse(bytes)?]);
    }
    if let Some(text) = std::str::from_utf8(bytes).ok().filter(|t| t.contains("-----BEGIN ")) {
        return pem::parse(text, passphrase);
    }
    if pkcs12::is_one(bytes) {
        return pkcs12::parse(bytes, &passphrase()?);
    }
    asn1::parse_any(bytes, passphrase)?.map(|found| vec![found]).ok_or_else(|| {
        "the file holds no key that can be told apart: PEM, PKCS #8, PKCS #1, SEC 1, PKCS #12 and JWK are read \
         (bare bytes of a secret key with --raw and --type)"
            .into()
    })
}
