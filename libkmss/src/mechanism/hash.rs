//! Hash functions.

/// A hash function (FIPS 180-4, FIPS 202, GB/T 32905).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    #[serde(rename = "sha512-224")]
    Sha512_224,
    #[serde(rename = "sha512-256")]
    Sha512_256,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
    Sm3,
}

impl Hash {
    /// Every hash, for tables and tests.
    pub const ALL: [Self; 12] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha512_224,
        Self::Sha512_256,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
        Self::Sm3,
    ];

    /// Output length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the length of an output, which is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha512_224 | Self::Sha3_224 => 28,
            Self::Sha256 | Self::Sha512_256 | Self::Sha3_256 | Self::Sm3 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }

    /// The DER of a DigestInfo up to the digest (RFC 8017, 9.2, note 1).
    #[must_use]
    pub fn digest_info(self) -> Option<Vec<u8>> {
        let (oid, len): (&[u8], u8) = match self {
            Self::Sha1 => {
                return Some(vec![
                    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
                ]);
            }
            Self::Sha256 => (&[1], 32),
            Self::Sha384 => (&[2], 48),
            Self::Sha512 => (&[3], 64),
            Self::Sha224 => (&[4], 28),
            Self::Sha512_224 => (&[5], 28),
            Self::Sha512_256 => (&[6], 32),
            Self::Sha3_224 => (&[7], 28),
            Self::Sha3_256 => (&[8], 32),
            Self::Sha3_384 => (&[9], 48),
            Self::Sha3_512 => (&[10], 64),
            Self::Sm3 => return None,
        };
        // SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.2.x, NULL }, OCTET STRING }
        let mut der = vec![0x30, 0x11 + len, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
        der.extend_from_slice(oid);
        der.extend_from_slice(&[0x05, 0x00, 0x04, len]);
        Some(der)
    }

    /// The standard's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha224 => "SHA224",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
            Self::Sha512_224 => "SHA512_224",
            Self::Sha512_256 => "SHA512_256",
            Self::Sha3_224 => "SHA3_224",
            Self::Sha3_256 => "SHA3_256",
            Self::Sha3_384 => "SHA3_384",
            Self::Sha3_512 => "SHA3_512",
            Self::Sm3 => "SM3",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_digest_info_is_as_long_as_it_says() {
        for hash in Hash::ALL {
            let Some(der) = hash.digest_info() else { continue };
            assert_eq!(usize::from(der[1]) + 2, der.len() + hash.len(), "{}", hash.name());
            assert_eq!(usize::from(*der.last().unwrap()), hash.len());
        }
    }
}
