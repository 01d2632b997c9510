//! Mechanisms as typed values: what the doors parse into, what policies and the audit name, what backends compute.
//!
//! A `Mechanism` is complete and well-formed in itself (lengths, ranges, combinations of its parameters). Whether a key
//! fits it and whether a backend offers it is decided later.

mod cipher;
mod dh;
mod ec;
mod fpe;
mod hash;
mod hd;
mod kdf;
mod mac;
mod native;
mod nonce;
mod pqc;
mod rsa;
mod sm;
mod tls;

pub use cipher::{BlockCipher, Ccm, ChaCha20Poly1305, CipherMode, Ctr, Gcm, Segment};
pub use dh::{DhGroup, DhMechanism};
pub use ec::{Curve, EcMechanism, EcdhKdf, LedgerDigest};
pub use fpe::{Ff1, Format, Template};
pub use hash::Hash;
pub use hd::{HdDerivation, HdPath};
pub use kdf::{Heritage, Hkdf, HkdfSalt, Kbkdf, KbkdfInput, KbkdfMode, KdfMechanism, NumberFormat, Pbkdf2};
pub use mac::MacMechanism;
pub use native::{EncryptionContext, MAGIC, MarkedContext, Native, NativeAlgorithm, NativeHeader, undecipherable};
pub use nonce::Nonce;
pub use pqc::{Hedge, MlDsaSet, MlKemSet, PqcHash, PqcInput, PqcMechanism, PqcSet, PqcSignature, SlhDsaSet};
pub use rsa::{Oaep, Pss, RsaMechanism};
pub use sm::Sm2Mechanism;
pub use tls::{MasterBinding, Randoms, TlsMechanism};

/// One algorithm with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Key (pair) generation for a key type; sizes and curves are in the key's specification.
    Generate(KeyType),
    /// A message digest.
    Digest(Hash),
    /// RSA signatures and encryption (RFC 8017).
    Rsa(RsaMechanism),
    /// Signatures and key agreement on elliptic curves.
    Ec(EcMechanism),
    /// SM2 signatures and encryption (GB/T 32918).
    Sm2(Sm2Mechanism),
    /// A block cipher in a mode of operation, key wrapping included.
    Cipher(BlockCipher, CipherMode),
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305(ChaCha20Poly1305),
    /// A message authentication code.
    Mac(MacMechanism),
    /// Key derivation from a secret key.
    Kdf(KdfMechanism),
    /// Diffie-Hellman over a prime field (SP 800-56A).
    Dh(DhMechanism),
    /// The key schedule of TLS 1.2 (RFC 5246).
    Tls(TlsMechanism),
    /// Post-quantum signatures and key encapsulation (FIPS 203 to 205).
    Pqc(PqcMechanism),
    /// Format-preserving encryption (SP 800-38G).
    Ff1(Ff1),
    /// A pair that follows from a seed and a path.
    Hd(HdDerivation),
    /// Encryption in our own format, whose ciphertexts say of themselves what they are.
    Native(Native),
}

impl Mechanism {
    /// The standard's name without prefix (`RSA_PKCS`, `SHA256_RSA_PKCS_PSS`, `AES_GCM`), as audit and policies show it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Generate(t) => t.generation_name(),
            Self::Digest(h) => h.name(),
            Self::Rsa(m) => m.name(),
            Self::Ec(m) => m.name(),
            Self::Sm2(m) => m.name(),
            Self::Cipher(c, m) => m.name(*c),
            Self::ChaCha20Poly1305(_) => "CHACHA20_POLY1305",
            Self::Mac(m) => m.name(),
            Self::Kdf(m) => m.name(),
            Self::Dh(m) => m.name(),
            Self::Tls(m) => m.name(),
            Self::Pqc(m) => m.name(),
            Self::Ff1(m) => m.name(),
            Self::Hd(m) => m.name(),
            Self::Native(m) => m.algorithm.name(),
        }
    }

    /// Whether it differs from `other` at most in nonces and in data that comes with a message: what is decided of one
    /// holds for the other.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cipher(mine, mode), Self::Cipher(theirs, other)) => mine == theirs && mode.is_like(other),
            (Self::ChaCha20Poly1305(_), Self::ChaCha20Poly1305(_)) => true,
            _ => self == other,
        }
    }

    /// What a key derived by this mechanism takes over of the protection of the keys that it comes from.
    #[must_use]
    pub const fn heritage(&self) -> Heritage {
        match self {
            Self::Kdf(m) => m.heritage(),
            Self::Tls(m) => m.heritage(),
            _ => Heritage::History,
        }
    }
}

/// Type of a key, as fine as mechanisms distinguish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyType {
    /// RSA, any modulus size.
    Rsa,
    /// A Weierstrass curve ([`Curve::P256`] and so on).
    Ec,
    /// Ed25519 or Ed448 (RFC 8032).
    EcEdwards,
    /// X25519 or X448 (RFC 7748).
    EcMontgomery,
    /// SM2 (GB/T 32918).
    Sm2,
    /// Diffie-Hellman in a named group ([`DhGroup`]).
    Dh,
    /// ML-DSA (FIPS 204).
    MlDsa,
    /// ML-KEM (FIPS 203).
    MlKem,
    /// SLH-DSA (FIPS 205).
    SlhDsa,
    /// AES, 128, 192 or 256 bits.
    Aes,
    /// Two AES keys for XTS (SP 800-38E), 256 or 512 bits together.
    AesXts,
    /// ChaCha20 (RFC 8439), 256 bits.
    ChaCha20,
    /// SM4 (GB/T 32907), 128 bits.
    Sm4,
    /// A secret of any length without an algorithm of its own.
    GenericSecret,
    /// A secret for HMAC with one hash.
    Hmac(Hash),
    /// A secret for HKDF.
    Hkdf,
}

impl KeyType {
    /// Every type; of the types of HMAC keys, which share a name, one.
    pub const ALL: [Self; 16] = [
        Self::Rsa,
        Self::Ec,
        Self::EcEdwards,
        Self::EcMontgomery,
        Self::Sm2,
        Self::Dh,
        Self::MlDsa,
        Self::MlKem,
        Self::SlhDsa,
        Self::Aes,
        Self::AesXts,
        Self::ChaCha20,
        Self::Sm4,
        Self::GenericSecret,
        Self::Hmac(Hash::Sha256),
        Self::Hkdf,
    ];

    /// Whether keys of this type come in pairs.
    #[must_use]
    pub const fn is_asymmetric(self) -> bool {
        matches!(
            self,
            Self::Rsa
                | Self::Ec
                | Self::EcEdwards
                | Self::EcMontgomery
                | Self::Sm2
                | Self::Dh
                | Self::MlDsa
                | Self::MlKem
                | Self::SlhDsa
        )
    }

    /// Whether this is a secret used by MACs and key derivation (generic, HMAC or HKDF).
    #[must_use]
    pub const fn is_generic(self) -> bool {
        matches!(self, Self::GenericSecret | Self::Hmac(_) | Self::Hkdf)
    }

    /// Short name for people, audit and policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::Ec => "EC",
            Self::EcEdwards => "Edwards",
            Self::EcMontgomery => "Montgomery",
            Self::Sm2 => "SM2",
            Self::Dh => "DH",
            Self::MlDsa => "ML-DSA",
            Self::MlKem => "ML-KEM",
            Self::SlhDsa => "SLH-DSA",
            Self::Aes => "AES",
            Self::AesXts => "AES-XTS",
            Self::ChaCha20 => "ChaCha20",
            Self::Sm4 => "SM4",
            Self::GenericSecret => "generic",
            Self::Hmac(_) => "HMAC",
            Self::Hkdf => "HKDF",
        }
    }

    const fn generation_name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA_PKCS_KEY_PAIR_GEN",
            Self::Ec => "EC_KEY_PAIR_GEN",
            Self::EcEdwards => "EC_EDWARDS_KEY_PAIR_GEN",
            Self::EcMontgomery => "EC_MONTGOMERY_KEY_PAIR_GEN",
            Self::Sm2 => "SM2_KEY_PAIR_GEN",
            Self::Dh => "DH_PKCS_KEY_PAIR_GEN",
            Self::MlDsa => "ML_DSA_KEY_PAIR_GEN",
            Self::MlKem => "ML_KEM_KEY_PAIR_GEN",
            Self::SlhDsa => "SLH_DSA_KEY_PAIR_GEN",
            Self::Aes => "AES_KEY_GEN",
            Self::AesXts => "AES_XTS_KEY_GEN",
            Self::ChaCha20 => "CHACHA20_KEY_GEN",
            Self::Sm4 => "SM4_KEY_GEN",
            Self::GenericSecret => "GENERIC_SECRET_KEY_GEN",
            Self::Hmac(_) => "HMAC_KEY_GEN",
            Self::Hkdf => "HKDF_KEY_GEN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_those_of_their_parts() {
        for hash in Hash::ALL {
            let name = |mechanism: Mechanism| mechanism.name();
            let pss = Pss { hash, mgf: hash, salt_len: 0 };
            let h = hash.name();
            assert_eq!(name(Mechanism::Rsa(RsaMechanism::PkcsHash(hash))), format!("{h}_RSA_PKCS"));
            assert_eq!(name(Mechanism::Rsa(RsaMechanism::Pss { pss, message: true })), format!("{h}_RSA_PKCS_PSS"));
            assert_eq!(name(Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) })), format!("ECDSA_{h}"));
            assert_eq!(name(Mechanism::Mac(MacMechanism::Hmac { hash, len: 1 })), format!("{h}_HMAC"));
        }
        for cipher in [BlockCipher::Aes, BlockCipher::Sm4] {
            let modes = [
                (CipherMode::Ecb, "ECB"),
                (CipherMode::Cbc { iv: [0; 16] }, "CBC"),
                (CipherMode::CbcPad { iv: [0; 16] }, "CBC_PAD"),
                (CipherMode::CbcCs1 { iv: [0; 16] }, "CTS"),
                (CipherMode::Ctr(Ctr { counter_bits: 128, block: [0; 16] }), "CTR"),
                (CipherMode::Ofb { iv: [0; 16] }, "OFB"),
                (CipherMode::Cfb { segment: Segment::Byte, iv: [0; 16] }, "CFB8"),
                (CipherMode::Cfb { segment: Segment::Block, iv: [0; 16] }, "CFB128"),
                (CipherMode::Ccm(Ccm { nonce: vec![0; 7], aad: Vec::new(), tag_len: 16, data_len: None }), "CCM"),
                (CipherMode::Xts { tweak: [0; 16] }, "XTS"),
                (CipherMode::Gcm(Gcm { iv: vec![0].into(), aad: Vec::new(), tag_len: 16 }), "GCM"),
                (CipherMode::KeyWrap { iv: [0; 8] }, "KEY_WRAP"),
                (CipherMode::KeyWrapPad, "KEY_WRAP_KWP"),
            ];
            for (mode, word) in modes {
                assert_eq!(Mechanism::Cipher(cipher, mode).name(), format!("{}_{word}", cipher.name()));
            }
            let cmac = Mechanism::Mac(MacMechanism::Cmac { cipher, len: 16 });
            assert_eq!(cmac.name(), format!("{}_CMAC", cipher.name()));
        }
    }
}
