//! The table of mechanisms.

use cryptoki_sys::{self as c, CK_FLAGS, CK_MECHANISM_TYPE};
use libkmss::mechanism::{BlockCipher, Hash, KeyType};

use super::vendor as v;
use super::{Length, Mode, Row, Shape};

const SIGNATURE: CK_FLAGS = c::CKF_SIGN | c::CKF_VERIFY;
const CIPHER: CK_FLAGS = c::CKF_ENCRYPT | c::CKF_DECRYPT;
const WRAPPING: CK_FLAGS = c::CKF_WRAP | c::CKF_UNWRAP;
const PAIR: CK_FLAGS = c::CKF_GENERATE_KEY_PAIR;
/// What is said of Weierstrass curves: prime fields, parameters by OID, uncompressed points.
const CURVE: CK_FLAGS = c::CKF_EC_F_P | c::CKF_EC_OID | c::CKF_EC_UNCOMPRESS;
/// What is said of Edwards and Montgomery curves: parameters by OID or by name.
const NAMED: CK_FLAGS = c::CKF_EC_F_P | c::CKF_EC_OID | c::CKF_EC_CURVENAME;

type Sizes = (u32, u32);
const NO_KEY: Sizes = (0, 0);
const RSA_MAKE: Sizes = (2048, 8192);
const RSA: Sizes = (1024, 8192);
const EC: Sizes = (256, 521);
const ECDH: Sizes = (255, 521);
const EDWARDS: Sizes = (255, 255);
const SM2: Sizes = (256, 256);
const AES: Sizes = (16, 32);
const SM4: Sizes = (16, 16);
/// Generic, HMAC and HKDF keys: 1 byte to 64 KiB.
const SECRET: Sizes = (1, 65_536);

const fn row(number: CK_MECHANISM_TYPE, (min, max): Sizes, flags: CK_FLAGS, shape: Shape) -> Row {
    Row { number, min, max, flags, shape }
}

const COUNT: usize = 103;

/// Every mechanism this module offers.
#[rustfmt::skip]
pub(super) static ROWS: [Row; COUNT] = [
    // RSA (PKCS#11 3.2, 6.1); sizes in bits.
    row(c::CKM_RSA_PKCS_KEY_PAIR_GEN, RSA_MAKE, PAIR, Shape::Generate(KeyType::Rsa)),
    row(c::CKM_RSA_PKCS, RSA, SIGNATURE | CIPHER | WRAPPING, Shape::RsaPkcs),
    row(c::CKM_RSA_X_509, RSA, SIGNATURE | CIPHER, Shape::RsaX509),
    row(c::CKM_RSA_PKCS_OAEP, RSA, CIPHER | WRAPPING, Shape::Oaep),
    row(c::CKM_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(None)),
    row(c::CKM_SHA1_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha1)),
    row(c::CKM_SHA224_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha224)),
    row(c::CKM_SHA256_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha256)),
    row(c::CKM_SHA384_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha384)),
    row(c::CKM_SHA512_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha512)),
    row(c::CKM_SHA3_224_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha3_224)),
    row(c::CKM_SHA3_256_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha3_256)),
    row(c::CKM_SHA3_384_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha3_384)),
    row(c::CKM_SHA3_512_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha3_512)),
    row(c::CKM_SHA1_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha1))),
    row(c::CKM_SHA224_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha224))),
    row(c::CKM_SHA256_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha256))),
    row(c::CKM_SHA384_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha384))),
    row(c::CKM_SHA512_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha512))),
    row(c::CKM_SHA3_224_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha3_224))),
    row(c::CKM_SHA3_256_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha3_256))),
    row(c::CKM_SHA3_384_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha3_384))),
    row(c::CKM_SHA3_512_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha3_512))),
    // Elliptic curves (PKCS#11 3.2, 6.3); sizes in bits of the field.
    row(c::CKM_EC_KEY_PAIR_GEN, EC, PAIR | CURVE, Shape::Generate(KeyType::Ec)),
    row(c::CKM_EC_EDWARDS_KEY_PAIR_GEN, EDWARDS, PAIR | NAMED, Shape::Generate(KeyType::EcEdwards)),
    row(c::CKM_EC_MONTGOMERY_KEY_PAIR_GEN, EDWARDS, PAIR | NAMED, Shape::Generate(KeyType::EcMontgomery)),
    row(c::CKM_ECDSA, EC, SIGNATURE | CURVE, Shape::Ecdsa(None)),
    row(c::CKM_ECDSA_SHA1, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha1))),
    row(c::CKM_ECDSA_SHA224, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha224))),
    row(c::CKM_ECDSA_SHA256, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha256))),
    row(c::CKM_ECDSA_SHA384, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha384))),
    row(c::CKM_ECDSA_SHA512, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha512))),
    row(c::CKM_ECDSA_SHA3_224, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha3_224))),
    row(c::CKM_ECDSA_SHA3_256, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha3_256))),
    row(c::CKM_ECDSA_SHA3_384, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha3_384))),
    row(c::CKM_ECDSA_SHA3_512, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha3_512))),
    row(c::CKM_EDDSA, EDWARDS, SIGNATURE | NAMED, Shape::EdDsa),
    row(c::CKM_ECDH1_DERIVE, ECDH, c::CKF_DERIVE | CURVE, Shape::Ecdh),
    row(c::CKM_ECDH1_COFACTOR_DERIVE, ECDH, c::CKF_DERIVE | CURVE, Shape::Ecdh),
    // AES (PKCS#11 3.2, 6.13); sizes in bytes.
    row(c::CKM_AES_KEY_GEN, AES, c::CKF_GENERATE, Shape::Generate(KeyType::Aes)),
    row(c::CKM_AES_ECB, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::Ecb)),
    row(c::CKM_AES_CBC, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::Cbc)),
    row(c::CKM_AES_CBC_PAD, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::CbcPad)),
    row(c::CKM_AES_CTR, AES, CIPHER, Shape::Cipher(BlockCipher::Aes, Mode::Ctr)),
    row(c::CKM_AES_GCM, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::Gcm)),
    row(c::CKM_AES_KEY_WRAP, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::KeyWrap)),
    row(c::CKM_AES_KEY_WRAP_PAD, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::KeyWrapPad)),
    row(c::CKM_AES_KEY_WRAP_KWP, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::KeyWrapPad)),
    row(c::CKM_AES_CMAC, AES, SIGNATURE, Shape::Cmac(Length::Full)),
    row(c::CKM_AES_CMAC_GENERAL, AES, SIGNATURE, Shape::Cmac(Length::General)),
    // Digests, HMAC and its keys (PKCS#11 3.2, 6.20 to 6.30); key sizes in bytes.
    row(c::CKM_SHA_1, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha1)),
    row(c::CKM_SHA224, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha224)),
    row(c::CKM_SHA256, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha256)),
    row(c::CKM_SHA384, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha384)),
    row(c::CKM_SHA512, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha512)),
    row(c::CKM_SHA3_224, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha3_224)),
    row(c::CKM_SHA3_256, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha3_256)),
    row(c::CKM_SHA3_384, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha3_384)),
    row(c::CKM_SHA3_512, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha3_512)),
    row(c::CKM_SHA_1_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha1, Length::Full)),
    row(c::CKM_SHA_1_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha1, Length::General)),
    row(c::CKM_SHA224_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha224, Length::Full)),
    row(c::CKM_SHA224_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha224, Length::General)),
    row(c::CKM_SHA256_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha256, Length::Full)),
    row(c::CKM_SHA256_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha256, Length::General)),
    row(c::CKM_SHA384_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha384, Length::Full)),
    row(c::CKM_SHA384_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha384, Length::General)),
    row(c::CKM_SHA512_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha512, Length::Full)),
    row(c::CKM_SHA512_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha512, Length::General)),
    row(c::CKM_SHA3_224_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_224, Length::Full)),
    row(c::CKM_SHA3_224_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_224, Length::General)),
    row(c::CKM_SHA3_256_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_256, Length::Full)),
    row(c::CKM_SHA3_256_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_256, Length::General)),
    row(c::CKM_SHA3_384_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_384, Length::Full)),
    row(c::CKM_SHA3_384_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_384, Length::General)),
    row(c::CKM_SHA3_512_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_512, Length::Full)),
    row(c::CKM_SHA3_512_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_512, Length::General)),
    row(c::CKM_SHA_1_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha1))),
    row(c::CKM_SHA224_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha224))),
    row(c::CKM_SHA256_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha256))),
    row(c::CKM_SHA384_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha384))),
    row(c::CKM_SHA512_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha512))),
    row(c::CKM_SHA3_224_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha3_224))),
    row(c::CKM_SHA3_256_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha3_256))),
    row(c::CKM_SHA3_384_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha3_384))),
    row(c::CKM_SHA3_512_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha3_512))),
    // Generic secrets (6.8, sizes in bits) and HKDF (6.62).
    row(c::CKM_GENERIC_SECRET_KEY_GEN, (8, 8 * SECRET.1), c::CKF_GENERATE, Shape::Generate(KeyType::GenericSecret)),
    row(c::CKM_HKDF_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hkdf)),
    row(c::CKM_HKDF_DERIVE, SECRET, c::CKF_DERIVE, Shape::Hkdf),
    // SM2, SM3, SM4 under vendor numbers; SM2 in bits, the others in bytes.
    row(v::CKM_SM2_KEY_PAIR_GEN, SM2, PAIR | CURVE, Shape::Generate(KeyType::Sm2)),
    row(v::CKM_SM2, SM2, SIGNATURE | CURVE, Shape::Sm2Digest),
    row(v::CKM_SM2_SM3, SM2, SIGNATURE | CURVE, Shape::Sm2Message),
    row(v::CKM_SM2_ENCRYPT, SM2, CIPHER | CURVE, Shape::Sm2Encrypt),
    row(v::CKM_SM3, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sm3)),
    row(v::CKM_SM3_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sm3, Length::Full)),
    row(v::CKM_SM3_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sm3, Length::General)),
    row(v::CKM_SM3_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sm3))),
    row(v::CKM_SM4_KEY_GEN, SM4, c::CKF_GENERATE, Shape::Generate(KeyType::Sm4)),
    row(v::CKM_SM4_ECB, SM4, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Sm4, Mode::Ecb)),
    row(v::CKM_SM4_CBC, SM4, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Sm4, Mode::Cbc)),
    row(v::CKM_SM4_CBC_PAD, SM4, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Sm4, Mode::CbcPad)),
    row(v::CKM_SM4_CTR, SM4, CIPHER, Shape::Cipher(BlockCipher::Sm4, Mode::Ctr)),
    row(v::CKM_SM4_GCM, SM4, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Sm4, Mode::Gcm)),
];
