//! RSA mechanisms (RFC 8017).

use std::borrow::Cow;

use super::Hash;

/// RSA signatures and encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RsaMechanism {
    /// PKCS #1 v1.5. Signing pads the data as it is given (a DER DigestInfo, by the caller); encryption is RSAES.
    Pkcs,
    /// Raw modular exponentiation, input left-padded with zeros to the modulus length.
    X509,
    /// RSASSA-PKCS1-v1_5 that hashes the message itself.
    PkcsHash(Hash),
    /// RSASSA-PSS. With `message` false the data is the ready hash, of `pss.hash`'s length.
    Pss {
        /// Parameters of the encoding.
        pss: Pss,
        /// Whether the mechanism hashes the message itself, with `pss.hash`.
        message: bool,
    },
    /// RSAES-OAEP.
    Oaep(Oaep),
}

/// Parameters of EMSA-PSS (RFC 8017, 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pss {
    /// Hash of the message.
    pub hash: Hash,
    /// Hash of MGF1.
    pub mgf: Hash,
    /// Salt length in bytes.
    pub salt_len: usize,
}

/// Parameters of RSAES-OAEP (RFC 8017, 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oaep {
    /// Hash of the label.
    pub hash: Hash,
    /// Hash of MGF1.
    pub mgf: Hash,
    /// The label, empty by default.
    pub label: Vec<u8>,
}

impl RsaMechanism {
    pub(super) fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Pkcs => "RSA_PKCS".into(),
            Self::X509 => "RSA_X_509".into(),
            Self::PkcsHash(h) => format!("{}_RSA_PKCS", h.name()).into(),
            Self::Pss { message: false, .. } => "RSA_PKCS_PSS".into(),
            Self::Pss { pss, message: true } => format!("{}_RSA_PKCS_PSS", pss.hash.name()).into(),
            Self::Oaep(_) => "RSA_PKCS_OAEP".into(),
        }
    }
}
