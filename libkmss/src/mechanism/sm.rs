//! SM2 mechanisms (GB/T 32918.2 and .4).

/// SM2 signatures and encryption. Signatures are r ‖ s (64 bytes); ciphertext is C1 ‖ C3 ‖ C2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sm2Mechanism {
    /// Signs a ready 32-byte digest `e`.
    SignDigest,
    /// Signs SM3(Z ‖ message).
    SignSm3 {
        /// The signer's identity that enters Z; `1234567812345678` where the standard's default is meant.
        id: Vec<u8>,
    },
    /// As [`Self::SignSm3`], with signatures as DER (GM/T 0009, 7.3: SEQUENCE of r and s), at most 72 bytes.
    SignSm3Der {
        /// The signer's identity.
        id: Vec<u8>,
    },
    /// Public-key encryption with the SM3 KDF.
    Encrypt,
}

impl Sm2Mechanism {
    /// The default identity of GB/T 35276.
    pub const DEFAULT_ID: &'static [u8] = b"1234567812345678";

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::SignDigest => "SM2",
            Self::SignSm3 { .. } => "SM3_SM2",
            Self::SignSm3Der { .. } => "SM3_SM2_DER",
            Self::Encrypt => "SM2_ENCRYPT",
        }
    }
}
