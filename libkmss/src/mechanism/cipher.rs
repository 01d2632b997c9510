//! Block ciphers and their modes (FIPS 197, GB/T 32907, SP 800-38A/B/D/F).

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
    /// Counter mode.
    Ctr(Ctr),
    /// Galois/Counter Mode (SP 800-38D).
    Gcm(Gcm),
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
    pub iv: Vec<u8>,
    /// Additional authenticated data.
    pub aad: Vec<u8>,
    /// Tag length in bytes: 4, 8, or 12 to 16.
    pub tag_len: usize,
}

impl CipherMode {
    pub(super) const fn name(&self, cipher: BlockCipher) -> &'static str {
        match (cipher, self) {
            (BlockCipher::Aes, Self::Ecb) => "AES_ECB",
            (BlockCipher::Aes, Self::Cbc { .. }) => "AES_CBC",
            (BlockCipher::Aes, Self::CbcPad { .. }) => "AES_CBC_PAD",
            (BlockCipher::Aes, Self::Ctr(_)) => "AES_CTR",
            (BlockCipher::Aes, Self::Gcm(_)) => "AES_GCM",
            (BlockCipher::Aes, Self::KeyWrap { .. }) => "AES_KEY_WRAP",
            (BlockCipher::Aes, Self::KeyWrapPad) => "AES_KEY_WRAP_KWP",
            (BlockCipher::Sm4, Self::Ecb) => "SM4_ECB",
            (BlockCipher::Sm4, Self::Cbc { .. }) => "SM4_CBC",
            (BlockCipher::Sm4, Self::CbcPad { .. }) => "SM4_CBC_PAD",
            (BlockCipher::Sm4, Self::Ctr(_)) => "SM4_CTR",
            (BlockCipher::Sm4, Self::Gcm(_)) => "SM4_GCM",
            (BlockCipher::Sm4, Self::KeyWrap { .. }) => "SM4_KEY_WRAP",
            (BlockCipher::Sm4, Self::KeyWrapPad) => "SM4_KEY_WRAP_KWP",
        }
    }
}
