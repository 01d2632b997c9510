//! Thales Luna's numbers for the Chinese algorithms, which the standard has none for.

use cryptoki_sys::{CK_KEY_TYPE, CK_MECHANISM_TYPE};

/// SM4 keys.
pub const CKK_SM4: CK_KEY_TYPE = 0x8000_0015;
/// SM2 keys.
pub const CKK_SM2: CK_KEY_TYPE = 0x8000_0016;
/// The digest.
pub const SM3: CK_MECHANISM_TYPE = 0x8000_0B01;
/// HMAC with SM3.
pub const SM3_HMAC: CK_MECHANISM_TYPE = 0x8000_0B02;
/// SM4 keys of 16 bytes.
pub const SM4_KEY_GEN: CK_MECHANISM_TYPE = 0x8000_0B10;
/// Electronic codebook.
pub const SM4_ECB: CK_MECHANISM_TYPE = 0x8000_0B11;
/// Cipher block chaining.
pub const SM4_CBC: CK_MECHANISM_TYPE = 0x8000_0B12;
/// The same with padding.
pub const SM4_CBC_PAD: CK_MECHANISM_TYPE = 0x8000_0B13;
/// SM2 pairs.
pub const SM2_KEY_PAIR_GEN: CK_MECHANISM_TYPE = 0x8000_0B20;
/// SM2 signatures over a digest.
pub const SM2: CK_MECHANISM_TYPE = 0x8000_0B21;
/// SM2 signatures over a message.
pub const SM2_SM3: CK_MECHANISM_TYPE = 0x8000_0B22;
