//! The cipher suite of a home: which AEAD, MAC, hash and KDF seal its store, index and audit.
//!
//! `nist` is AES-256-GCM, HMAC-SHA-256 and SHA-256; `gm` is SM4-GCM, HMAC-SM3 and SM3. The seal header names it.

use std::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::{U12, U32};
use aes_gcm::{Aes256Gcm, AesGcm, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use sm3::Sm3;
use sm4::Sm4;

use crate::error::{Error, ErrorKind, Result};
use crate::os::Kept;
use crate::secret::{Secret, wipe_stack};

type Sm4Gcm = AesGcm<Sm4, U12>;

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// AES-256-GCM, HMAC-SHA-256, SHA-256.
    Nist,
    /// SM4-GCM, HMAC-SM3, SM3.
    Gm,
}

/// Length of a suite's hash and MAC in bytes (both suites).
pub const HASH_LEN: usize = 32;
/// Length of an AEAD nonce in bytes (both suites).
pub const NONCE_LEN: usize = 12;
/// Length of an AEAD tag in bytes (both suites).
pub const TAG_LEN: usize = 16;

impl Suite {
    /// The name in configuration and headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nist => "nist",
            Self::Gm => "gm",
        }
    }

    /// Length of an AEAD key in bytes.
    #[must_use]
    pub const fn aead_key_len(self) -> usize {
        match self {
            Self::Nist => 32,
            Self::Gm => 16,
        }
    }

    /// Hash of the concatenation of `parts`.
    #[must_use]
    pub fn hash(self, parts: &[&[u8]]) -> [u8; HASH_LEN] {
        let mut hasher = self.hasher();
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finish()
    }

    /// A hash of bytes that come in parts.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        match self {
            Self::Nist => Hasher::Nist(Sha256::new()),
            Self::Gm => Hasher::Gm(Sm3::new()),
        }
    }

    /// HMAC under `key` of the concatenation of `parts`.
    ///
    /// # Errors
    /// None in practice: HMAC takes keys of any length.
    pub fn mac(self, key: &Secret, parts: &[&[u8]]) -> Result<[u8; HASH_LEN]> {
        Ok(Keyed::new(self, key)?.mac(parts))
    }

    /// HKDF-Expand (RFC 5869, 2.3) of the uniformly random `key`; `info` separates uses.
    ///
    /// # Errors
    /// `key` shorter than the hash or `len` above 255 hashes.
    pub fn expand(self, key: &Secret, info: &[u8], len: usize) -> Result<Secret> {
        let bad = || Error::new(ErrorKind::Internal, "hkdf refused its key or length");
        Secret::filled(len, |out| match self {
            Self::Nist => {
                Hkdf::<Sha256>::from_prk(key.expose()).map_err(|_| bad())?.expand(info, out).map_err(|_| bad())
            }
            Self::Gm => Hkdf::<Sm3>::from_prk(key.expose()).map_err(|_| bad())?.expand(info, out).map_err(|_| bad()),
        })
    }
}

/// HMAC with its key taken in.
#[derive(Clone)]
enum Keyed {
    Nist(Hmac<Sha256>),
    Gm(Hmac<Sm3>),
}

impl Keyed {
    fn new(suite: Suite, key: &Secret) -> Result<Self> {
        let refused = |e| Error::new(ErrorKind::Internal, "hmac refused its key").with_source(e);
        Ok(match suite {
            Suite::Nist => Self::Nist(Hmac::new_from_slice(key.expose()).map_err(refused)?),
            Suite::Gm => Self::Gm(Hmac::new_from_slice(key.expose()).map_err(refused)?),
        })
    }

    fn mac(self, parts: &[&[u8]]) -> [u8; HASH_LEN] {
        fn run(mut mac: impl Mac<OutputSize = U32>, parts: &[&[u8]]) -> [u8; HASH_LEN] {
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().into()
        }
        match self {
            Self::Nist(mac) => run(mac, parts),
            Self::Gm(mac) => run(mac, parts),
        }
    }
}

/// A key of a suite's HMAC for many messages: it is taken in once.
pub struct MacKey(Kept<Keyed>);

impl MacKey {
    /// Takes `key` in.
    ///
    /// # Errors
    /// None in practice: HMAC takes keys of any length.
    pub fn new(suite: Suite, key: &Secret) -> Result<Self> {
        let keyed = Kept::new(Keyed::new(suite, key)?);
        wipe_stack::<{ 2 * size_of::<Keyed>() }>();
        Ok(Self(keyed))
    }

    /// HMAC of the concatenation of `parts`.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; HASH_LEN] {
        self.0.clone().mac(parts)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// A hash under way. A clone goes on from where it was made.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Nist(Sha256),
    /// SM3.
    Gm(Sm3),
}

impl Hasher {
    /// Bytes that the hash of either suite takes in at a time.
    pub const BLOCK: usize = 64;

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Nist(hash) => hash.update(bytes),
            Self::Gm(hash) => hash.update(bytes),
        }
    }

    /// The hash of everything taken in.
    #[must_use]
    pub fn finish(self) -> [u8; HASH_LEN] {
        match self {
            Self::Nist(hash) => hash.finalize().into(),
            Self::Gm(hash) => hash.finalize().into(),
        }
    }
}

/// An AEAD key ready for use; wiped on drop.
#[expect(clippy::large_enum_variant, reason = "few live at a time and boxing would add a pointer chase per record")]
pub enum Aead {
    /// AES-256-GCM.
    Aes(Aes256Gcm),
    /// SM4-GCM.
    Sm4(Sm4Gcm),
}

impl Aead {
    /// Expands the key schedule. `key` has [`Suite::aead_key_len`] bytes.
    ///
    /// # Errors
    /// A key of another length.
    pub fn new(suite: Suite, key: &Secret) -> Result<Self> {
        let bad = |_| Error::new(ErrorKind::Internal, "the aead key has a wrong length");
        Ok(match suite {
            Suite::Nist => Self::Aes(Aes256Gcm::new_from_slice(key.expose()).map_err(bad)?),
            Suite::Gm => Self::Sm4(Sm4Gcm::new_from_slice(key.expose()).map_err(bad)?),
        })
    }

    /// Appends ciphertext and tag of `plaintext` to `out`. A nonce must never be used twice under one key.
    ///
    /// # Errors
    /// Plaintext beyond the AEAD's limit.
    pub fn seal(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.extend_from_slice(plaintext);
        let body = out.get_mut(start..).unwrap_or_default();
        let tag = match self {
            Self::Aes(c) => c.encrypt_inout_detached(nonce.into(), aad, body.into()),
            Self::Sm4(c) => c.encrypt_inout_detached(nonce.into(), aad, body.into()),
        }
        .map_err(|_| Error::new(ErrorKind::Internal, "the record is too large to seal"))?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// The plaintext of `sealed` (ciphertext ‖ tag).
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when the tag does not match.
    pub fn open(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], sealed: &[u8]) -> Result<Secret> {
        let damaged = || Error::new(ErrorKind::Damaged, "a sealed record does not open");
        let (body, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or_else(damaged)?;
        Secret::filled(body.len(), |out| {
            out.copy_from_slice(body);
            match self {
                Self::Aes(c) => c.decrypt_inout_detached(nonce.into(), aad, out.into(), tag.into()),
                Self::Sm4(c) => c.decrypt_inout_detached(nonce.into(), aad, out.into(), tag.into()),
            }
            .map_err(|_| damaged())
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_suites_open_what_they_sealed_and_refuse_other_associated_data() {
        for suite in [Suite::Nist, Suite::Gm] {
            let aead = Aead::new(suite, &Secret::copy_of(&vec![7; suite.aead_key_len()])).unwrap();
            let mut sealed = Vec::new();
            aead.seal(&[1; NONCE_LEN], b"path", b"record", &mut sealed).unwrap();
            assert_eq!(aead.open(&[1; NONCE_LEN], b"path", &sealed).unwrap().expose(), b"record");
            assert_eq!(aead.open(&[1; NONCE_LEN], b"other", &sealed).unwrap_err().kind(), ErrorKind::Damaged);
        }
    }

    #[test]
    fn a_key_taken_in_once_makes_the_macs_of_one_taken_in_each_time() {
        let key = Secret::copy_of(b"Jefe");
        for suite in [Suite::Nist, Suite::Gm] {
            let once = MacKey::new(suite, &key).unwrap();
            let all: [&[&[u8]]; 3] = [&[b"what do ya want ", b"for nothing?"], &[], &[&[1; 200]]];
            for parts in all {
                assert_eq!(once.mac(parts), suite.mac(&key, parts).unwrap());
            }
        }
        // RFC 4231, 4.3.
        let mac = Suite::Nist.mac(&key, &[b"what do ya want for nothing?"]).unwrap();
        assert_eq!(mac[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }

    #[test]
    fn the_suites_do_not_share_hashes() {
        assert_ne!(Suite::Nist.hash(&[b"abc"]), Suite::Gm.hash(&[b"abc"]));
        assert_eq!(Suite::Gm.hash(&[b"a", b"bc"])[..4], [0x66, 0xc7, 0xf0, 0xf4]);
    }
}
