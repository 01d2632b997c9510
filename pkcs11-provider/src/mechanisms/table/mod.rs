//! The table of mechanisms, one file for each family.

use cryptoki_sys::{self as c, CK_FLAGS, CK_MECHANISM_TYPE};

use super::{Row, Shape};

/// Signatures and MACs, of messages one after the other too.
const SIGNATURE: CK_FLAGS =
    c::CKF_SIGN | c::CKF_VERIFY | c::CKF_MESSAGE_SIGN | c::CKF_MESSAGE_VERIFY | c::CKF_MULTI_MESSAGE;
/// A MAC with a nonce, which does for one message only.
const MAC_ONCE: CK_FLAGS = c::CKF_SIGN | c::CKF_VERIFY;
/// Authenticated encryption, of messages one after the other too.
const AEAD: CK_FLAGS = CIPHER | WRAPPING | c::CKF_MESSAGE_ENCRYPT | c::CKF_MESSAGE_DECRYPT | c::CKF_MULTI_MESSAGE;
const RECOVERY: CK_FLAGS = c::CKF_SIGN_RECOVER | c::CKF_VERIFY_RECOVER;
const CIPHER: CK_FLAGS = c::CKF_ENCRYPT | c::CKF_DECRYPT;
const WRAPPING: CK_FLAGS = c::CKF_WRAP | c::CKF_UNWRAP;
const ENCAPSULATION: CK_FLAGS = c::CKF_ENCAPSULATE | c::CKF_DECAPSULATE;
const PAIR: CK_FLAGS = c::CKF_GENERATE_KEY_PAIR;
/// What is said of Weierstrass curves: prime fields, parameters by OID, uncompressed points.
const CURVE: CK_FLAGS = c::CKF_EC_F_P | c::CKF_EC_OID | c::CKF_EC_UNCOMPRESS;
/// What is said of Edwards and Montgomery curves: parameters by OID or by name.
const NAMED: CK_FLAGS = c::CKF_EC_F_P | c::CKF_EC_OID | c::CKF_EC_CURVENAME;
const NO_KEY: Sizes = (0, 0);
const RSA_MAKE: Sizes = (2048, 8192);
/// What verifies takes smaller keys than what signs.
const RSA: Sizes = (1024, 8192);
const EC: Sizes = (256, 521);
const ECDH: Sizes = (255, 521);
const EDWARDS: Sizes = (255, 448);
const SM2: Sizes = (256, 256);
const AES: Sizes = (16, 32);
const XTS: Sizes = (64, 64);
const CHACHA: Sizes = (32, 32);
const SM4: Sizes = (16, 16);
/// Generic, HMAC and HKDF keys: 1 byte to 64 KiB.
const SECRET: Sizes = (1, 65_536);

type Sizes = (u32, u32);

const fn line(name: &'static str, number: CK_MECHANISM_TYPE, (min, max): Sizes, flags: CK_FLAGS, shape: Shape) -> Row {
    Row { name, number, min, max, flags, shape }
}

/// A line of the table: the constant of the mechanism, key sizes, flags, and what it computes.
macro_rules! row {
    ($module:ident::$name:ident, $sizes:expr, $flags:expr, $shape:expr) => {
        line(stringify!($name), $module::$name, $sizes, $flags, $shape)
    };
}

mod aes;
mod chacha;
mod dh;
mod ec;
mod hash;
mod kdf;
mod pqc;
mod rsa;
mod sm;
mod tls;

/// The families, under the names of their tables in docs/mechanisms.md.
pub(super) static FAMILIES: &[(&str, &[Row])] = &[
    ("rsa", rsa::ROWS),
    ("ec", ec::ROWS),
    ("aes", aes::ROWS),
    ("chacha", chacha::ROWS),
    ("hash", hash::ROWS),
    ("kdf", kdf::ROWS),
    ("dh", dh::ROWS),
    ("tls", tls::ROWS),
    ("sm", sm::ROWS),
    ("pqc", pqc::ROWS),
];

/// Every mechanism this module offers.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    FAMILIES.iter().flat_map(|(_, rows)| *rows)
}
