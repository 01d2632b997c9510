//! Block ciphers and their modes (FIPS 197, GB/T 32907, SP 800-38A to F), and ChaCha20-Poly1305 (RFC 8439).

use super::Nonce;

/// A block cipher with 128-bit blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockCipher {
    /// AES (FIPS 197).
    Aes,
    /// SM4 (GB/T 32907).
    Sm4,
}

impl BlockCipher {
    /// Block length in bytes.
    pub const BLOCK: usize = 16;

    /// The standard's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes => "AES",
            Self::Sm4 => "SM4",
        }
    }
}

/// A mode of operation with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CipherMode {
    /// Electronic codebook, whole blocks only.
    Ecb,
    /// Cipher block chaining, whole blocks only.
    Cbc {
        /// Initialisation vector.
        iv: [u8; 16],
    },
    /// Cipher block chaining with PKCS #7 padding.
    CbcPad {
        /// Initialisation vector.
        iv: [u8; 16],
    },
    /// Cipher block chaining with ciphertext stealing, variant CS1 (SP 800-38A addendum): any length from one block on.
    CbcCs1 {
        /// Initialisation vector.
        iv: [u8; 16],
    },
    /// Counter mode.
    Ctr(Ctr),
    /// Output feedback.
    Ofb {
        /// Initialisation vector.
        iv: [u8; 16],
    },
    /// Cipher feedback.
    Cfb {
        /// How much is fed back at a time.
        segment: Segment,
        /// Initialisation vector.
        iv: [u8; 16],
    },
    /// Galois/Counter Mode (SP 800-38D).
    Gcm(Gcm),
    /// Counter with CBC-MAC (SP 800-38C).
    Ccm(Ccm),
    /// XTS (SP 800-38E) with a key of its own type: one data unit, 16 bytes to 16 MiB.
    Xts {
        /// Number of the data unit, little-endian.
        tweak: [u8; 16],
    },
    /// AES key wrap (SP 800-38F KW, RFC 3394); input is a multiple of 8 bytes, at least 16.
    KeyWrap {
        /// The initial value, `A6…A6` by default.
        iv: [u8; 8],
    },
    /// AES key wrap with padding (SP 800-38F KWP, RFC 5649).
    KeyWrapPad,
}

/// Parameters of counter mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ctr {
    /// Width of the counter in bits, 1 to 128: the low-order bits of the block that count.
    pub counter_bits: u32,
    /// First counter block.
    pub block: [u8; 16],
}

/// Parameters of GCM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gcm {
    /// Initialisation vector, 1 to 256 bytes.
    pub iv: Nonce,
    /// Additional authenticated data.
    pub aad: Vec<u8>,
    /// Tag length in bytes: 4, 8, or 12 to 16.
    pub tag_len: usize,
}

/// Segments of cipher feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// One bit.
    Bit,
    /// Eight bits.
    Byte,
    /// A whole block.
    Block,
}

/// Parameters of CCM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ccm {
    /// Nonce, 7 to 13 bytes; the shorter it is, the longer a message may be.
    pub nonce: Vec<u8>,
    /// Additional authenticated data.
    pub aad: Vec<u8>,
    /// Tag length in bytes: 4, 6, 8, 10, 12, 14 or 16.
    pub tag_len: usize,
    /// Length of the plaintext in bytes where the caller announced it: another one is refused.
    pub data_len: Option<u64>,
}

/// Parameters of ChaCha20-Poly1305 (RFC 8439, 2.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaCha20Poly1305 {
    /// Nonce.
    pub nonce: [u8; 12],
    /// Additional authenticated data.
    pub aad: Vec<u8>,
}

impl CipherMode {
    /// Whether it differs from `other` at most in nonces and additional data.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cbc { .. }, Self::Cbc { .. }) | (Self::CbcPad { .. }, Self::CbcPad { .. }) => true,
            (Self::Ctr(mine), Self::Ctr(theirs)) => mine.counter_bits == theirs.counter_bits,
            (Self::Gcm(mine), Self::Gcm(theirs)) => mine.tag_len == theirs.tag_len,
            (Self::Ccm(mine), Self::Ccm(theirs)) => mine.tag_len == theirs.tag_len,
            _ => self == other,
        }
    }

    pub(super) const fn name(&self, cipher: BlockCipher) -> &'static str {
        match (cipher, self) {
            (BlockCipher::Aes, Self::Ecb) => "AES_ECB",
            (BlockCipher::Aes, Self::Cbc { .. }) => "AES_CBC",
            (BlockCipher::Aes, Self::CbcPad { .. }) => "AES_CBC_PAD",
            (BlockCipher::Aes, Self::CbcCs1 { .. }) => "AES_CTS",
            (BlockCipher::Aes, Self::Ctr(_)) => "AES_CTR",
            (BlockCipher::Aes, Self::Ofb { .. }) => "AES_OFB",
            (BlockCipher::Aes, Self::Cfb { segment: Segment::Bit, .. }) => "AES_CFB1",
            (BlockCipher::Aes, Self::Cfb { segment: Segment::Byte, .. }) => "AES_CFB8",
            (BlockCipher::Aes, Self::Cfb { segment: Segment::Block, .. }) => "AES_CFB128",
            (BlockCipher::Aes, Self::Gcm(_)) => "AES_GCM",
            (BlockCipher::Aes, Self::Ccm(_)) => "AES_CCM",
            (BlockCipher::Aes, Self::Xts { .. }) => "AES_XTS",
            (BlockCipher::Aes, Self::KeyWrap { .. }) => "AES_KEY_WRAP",
            (BlockCipher::Aes, Self::KeyWrapPad) => "AES_KEY_WRAP_KWP",
            (BlockCipher::Sm4, Self::Ecb) => "SM4_ECB",
            (BlockCipher::Sm4, Self::Cbc { .. }) => "SM4_CBC",
            (BlockCipher::Sm4, Self::CbcPad { .. }) => "SM4_CBC_PAD",
            (BlockCipher::Sm4, Self::CbcCs1 { .. }) => "SM4_CTS",
            (BlockCipher::Sm4, Self::Ctr(_)) => "SM4_CTR",
            (BlockCipher::Sm4, Self::Ofb { .. }) => "SM4_OFB",
            (BlockCipher::Sm4, Self::Cfb { segment: Segment::Bit, .. }) => "SM4_CFB1",
            (BlockCipher::Sm4, Self::Cfb { segment: Segment::Byte, .. }) => "SM4_CFB8",
            (BlockCipher::Sm4, Self::Cfb { segment: Segment::Block, .. }) => "SM4_CFB128",
            (BlockCipher::Sm4, Self::Gcm(_)) => "SM4_GCM",
            (BlockCipher::Sm4, Self::Ccm(_)) => "SM4_CCM",
            (BlockCipher::Sm4, Self::Xts { .. }) => "SM4_XTS",
            (BlockCipher::Sm4, Self::KeyWrap { .. }) => "SM4_KEY_WRAP",
            (BlockCipher::Sm4, Self::KeyWrapPad) => "SM4_KEY_WRAP_KWP",
        }
    }
}
