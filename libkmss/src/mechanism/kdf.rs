//! Key derivation from secret keys and from passwords (RFC 5869, SP 800-108, RFC 8018; PKCS#11 3.2, 6.43; data encrypted
//! under a key).

use super::{BlockCipher, Hash, MacMechanism};
use crate::secret::Secret;

/// A key-derivation function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KdfMechanism {
    /// HKDF into a key.
    Hkdf(Hkdf),
    /// HKDF into data that everybody may read.
    HkdfData(Hkdf),
    /// One of the functions of SP 800-108.
    Kbkdf(Kbkdf),
    /// PBKDF2 (RFC 8018, 5.2), which makes a key of a password.
    Pbkdf2(Pbkdf2),
    /// The base key's bytes, then those of a second key.
    ConcatenateKey,
    /// The base key's bytes, then data.
    AppendData(Secret),
    /// Data, then the base key's bytes.
    PrependData(Secret),
    /// Each byte of the base key combined with one of the data, as far as both reach.
    Xor(Secret),
    /// Bits of the base key from this one on (0 is the first byte's highest), around its end where it is reached.
    Extract {
        /// The first bit.
        first_bit: u64,
    },
    /// The new key is data, encrypted under the base key.
    EncryptData {
        /// The cipher.
        cipher: BlockCipher,
        /// Initialisation vector of CBC; absent in ECB.
        iv: Option<[u8; 16]>,
        /// Whole blocks.
        data: Vec<u8>,
    },
    /// The public half of a private key.
    PublicKey,
}

/// HKDF (RFC 5869); at least one of `extract` and `expand` is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hkdf {
    /// The hash.
    pub hash: Hash,
    /// Whether to extract.
    pub extract: bool,
    /// Whether to expand.
    pub expand: bool,
    /// Salt of the extraction.
    pub salt: HkdfSalt,
    /// Info of the expansion.
    pub info: Vec<u8>,
}

/// Salt of HKDF-Extract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HkdfSalt {
    /// A string of zeros of the hash's length.
    Zeros,
    /// Public bytes.
    Bytes(Vec<u8>),
    /// The first of the other keys of the derivation.
    Key,
}

/// A function of SP 800-108.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kbkdf {
    /// Counter, feedback or double pipeline.
    pub mode: KbkdfMode,
    /// The pseudorandom function, with its full length.
    pub prf: MacMechanism,
    /// What the pseudorandom function is fed with, in this order.
    pub input: Vec<KbkdfInput>,
}

impl Kbkdf {
    /// Counter mode with HMAC, a counter of 32 bits in front of `fixed`: label, zero byte and context, as a rule (SP 800-108, 4.1).
    #[must_use]
    pub fn counter(hash: Hash, fixed: Vec<u8>) -> Self {
        let prf = MacMechanism::Hmac { hash, len: hash.len() };
        let number = NumberFormat { little_endian: false, len: 4 };
        Self { mode: KbkdfMode::Counter, prf, input: vec![KbkdfInput::Counter(number), KbkdfInput::Bytes(fixed)] }
    }
}

/// How one round of a [`Kbkdf`] follows from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KbkdfMode {
    /// SP 800-108, 4.1.
    Counter,
    /// SP 800-108, 4.2.
    Feedback {
        /// What stands for the round before the first; may be empty.
        iv: Vec<u8>,
    },
    /// SP 800-108, 4.3.
    DoublePipeline,
}

/// A piece of what a [`Kbkdf`] feeds its pseudorandom function with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KbkdfInput {
    /// The result of the round before, or A(i) of the double pipeline.
    Previous,
    /// The number of the round, from 1 on.
    Counter(NumberFormat),
    /// The length in bits of all that is derived.
    Length {
        /// Whether whole rounds are counted, or just the bytes that keys take.
        of_rounds: bool,
        /// How it is written.
        format: NumberFormat,
    },
    /// Label, context, separator or whatever the protocol says.
    Bytes(Vec<u8>),
    /// The bytes of the other key with this index.
    Key(usize),
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberFormat {
    /// Lowest byte first.
    pub little_endian: bool,
    /// How many bytes, 1 to 8.
    pub len: usize,
}

/// Parameters of PBKDF2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pbkdf2 {
    /// The hash of its HMAC.
    pub hash: Hash,
    /// The password.
    pub password: Secret,
    /// The salt.
    pub salt: Vec<u8>,
    /// The number of iterations.
    pub iterations: u32,
}

impl KdfMechanism {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::EncryptData { cipher: BlockCipher::Aes, iv: None, .. } => "AES_ECB_ENCRYPT_DATA",
            Self::EncryptData { cipher: BlockCipher::Aes, iv: Some(_), .. } => "AES_CBC_ENCRYPT_DATA",
            Self::EncryptData { cipher: BlockCipher::Sm4, iv: None, .. } => "SM4_ECB_ENCRYPT_DATA",
            Self::EncryptData { cipher: BlockCipher::Sm4, iv: Some(_), .. } => "SM4_CBC_ENCRYPT_DATA",
            Self::Hkdf(_) => "HKDF_DERIVE",
            Self::HkdfData(_) => "HKDF_DATA",
            Self::Kbkdf(Kbkdf { mode: KbkdfMode::Counter, .. }) => "SP800_108_COUNTER_KDF",
            Self::Kbkdf(Kbkdf { mode: KbkdfMode::Feedback { .. }, .. }) => "SP800_108_FEEDBACK_KDF",
            Self::Kbkdf(Kbkdf { mode: KbkdfMode::DoublePipeline, .. }) => "SP800_108_DOUBLE_PIPELINE_KDF",
            Self::Pbkdf2(_) => "PKCS5_PBKD2",
            Self::ConcatenateKey => "CONCATENATE_BASE_AND_KEY",
            Self::AppendData(_) => "CONCATENATE_BASE_AND_DATA",
            Self::PrependData(_) => "CONCATENATE_DATA_AND_BASE",
            Self::Xor(_) => "XOR_BASE_AND_DATA",
            Self::Extract { .. } => "EXTRACT_KEY_FROM_KEY",
            Self::PublicKey => "PUB_KEY_FROM_PRIV_KEY",
        }
    }

    /// See [`super::Mechanism::heritage`].
    pub(super) const fn heritage(&self) -> Heritage {
        match self {
            Self::Hkdf(_) | Self::HkdfData(_) | Self::Kbkdf(_) | Self::Pbkdf2(_) | Self::PublicKey => Heritage::History,
            Self::EncryptData { .. } => Heritage::History,
            Self::ConcatenateKey | Self::AppendData(_) | Self::PrependData(_) | Self::Xor(_) | Self::Extract { .. } => {
                Heritage::AtLeast
            }
        }
    }
}

/// What a derived key takes over of the protection of the keys that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heritage {
    /// Its history only: it can be less protected than its base, which does not follow from it.
    History,
    /// At least the protection of each, because their bytes are in it.
    AtLeast,
    /// Exactly that of its base.
    Same,
}
