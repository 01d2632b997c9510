//! The numbers of mechanisms, which keys may be restricted to.
//!
//! A caller does not say by which number it calls a mechanism: it could say any. The number is that of the standard for the
//! mechanism that is asked for; mechanisms without one can be used with keys only that are not restricted.

use libkmss::mechanism::Mechanism;

/// The standard's number of `mechanism` (PKCS#11 3.2, pkcs11t.h).
pub(super) fn number(mechanism: &Mechanism) -> Option<u64> {
    if let Mechanism::Native(native) = mechanism {
        return Some(native.number());
    }
    let place = NUMBERS.binary_search_by_key(&mechanism.name(), |(name, _)| name).ok()?;
    NUMBERS.get(place).map(|(_, number)| *number)
}

/// In the order of the names.
#[rustfmt::skip]
const NUMBERS: &[(&str, u64)] = &[
    ("AES_CBC", 0x1082),
    ("AES_CBC_ENCRYPT_DATA", 0x1105),
    ("AES_CBC_PAD", 0x1085),
    ("AES_CCM", 0x1088),
    ("AES_CFB1", 0x2108),
    ("AES_CFB128", 0x2107),
    ("AES_CFB8", 0x2106),
    ("AES_CMAC", 0x108a),
    ("AES_CTR", 0x1086),
    ("AES_CTS", 0x1089),
    ("AES_ECB", 0x1081),
    ("AES_ECB_ENCRYPT_DATA", 0x1104),
    ("AES_GCM", 0x1087),
    ("AES_GMAC", 0x108e),
    ("AES_KEY_WRAP", 0x2109),
    ("AES_KEY_WRAP_KWP", 0x210b),
    ("AES_OFB", 0x2104),
    ("AES_XTS", 0x1071),
    ("CHACHA20_POLY1305", 0x4021),
    ("CONCATENATE_BASE_AND_DATA", 0x362),
    ("CONCATENATE_BASE_AND_KEY", 0x360),
    ("CONCATENATE_DATA_AND_BASE", 0x363),
    ("DH_PKCS_DERIVE", 0x21),
    ("ECDH1_DERIVE", 0x1050),
    ("ECDH_AES_KEY_WRAP", 0x1053),
    ("ECDSA", 0x1041),
    ("ECDSA_SHA1", 0x1042),
    ("ECDSA_SHA224", 0x1043),
    ("ECDSA_SHA256", 0x1044),
    ("ECDSA_SHA384", 0x1045),
    ("ECDSA_SHA3_224", 0x1047),
    ("ECDSA_SHA3_256", 0x1048),
    ("ECDSA_SHA3_384", 0x1049),
    ("ECDSA_SHA3_512", 0x104a),
    ("ECDSA_SHA512", 0x1046),
    ("EDDSA", 0x1057),
    ("EXTRACT_KEY_FROM_KEY", 0x365),
    ("HASH_ML_DSA", 0x1f),
    ("HASH_ML_DSA_SHA224", 0x23),
    ("HASH_ML_DSA_SHA256", 0x24),
    ("HASH_ML_DSA_SHA384", 0x25),
    ("HASH_ML_DSA_SHA3_224", 0x27),
    ("HASH_ML_DSA_SHA3_256", 0x28),
    ("HASH_ML_DSA_SHA3_384", 0x29),
    ("HASH_ML_DSA_SHA3_512", 0x2a),
    ("HASH_ML_DSA_SHA512", 0x26),
    ("HASH_ML_DSA_SHAKE128", 0x2b),
    ("HASH_ML_DSA_SHAKE256", 0x2c),
    ("HASH_SLH_DSA", 0x34),
    ("HASH_SLH_DSA_SHA224", 0x36),
    ("HASH_SLH_DSA_SHA256", 0x37),
    ("HASH_SLH_DSA_SHA384", 0x38),
    ("HASH_SLH_DSA_SHA3_224", 0x3a),
    ("HASH_SLH_DSA_SHA3_256", 0x3b),
    ("HASH_SLH_DSA_SHA3_384", 0x3c),
    ("HASH_SLH_DSA_SHA3_512", 0x3d),
    ("HASH_SLH_DSA_SHA512", 0x39),
    ("HASH_SLH_DSA_SHAKE128", 0x3e),
    ("HASH_SLH_DSA_SHAKE256", 0x3f),
    ("HKDF_DATA", 0x402b),
    ("HKDF_DERIVE", 0x402a),
    ("ML_DSA", 0x1d),
    ("ML_KEM", 0x17),
    ("PKCS5_PBKD2", 0x3b0),
    ("PUB_KEY_FROM_PRIV_KEY", 0x403a),
    ("RSA_AES_KEY_WRAP", 0x1054),
    ("RSA_PKCS", 0x1),
    ("RSA_PKCS_OAEP", 0x9),
    ("RSA_PKCS_PSS", 0xd),
    ("RSA_X_509", 0x3),
    ("SHA1_HMAC", 0x221),
    ("SHA1_RSA_PKCS", 0x6),
    ("SHA1_RSA_PKCS_PSS", 0xe),
    ("SHA224", 0x255),
    ("SHA224_HMAC", 0x256),
    ("SHA224_RSA_PKCS", 0x46),
    ("SHA224_RSA_PKCS_PSS", 0x47),
    ("SHA256", 0x250),
    ("SHA256_HMAC", 0x251),
    ("SHA256_RSA_PKCS", 0x40),
    ("SHA256_RSA_PKCS_PSS", 0x43),
    ("SHA384", 0x260),
    ("SHA384_HMAC", 0x261),
    ("SHA384_RSA_PKCS", 0x41),
    ("SHA384_RSA_PKCS_PSS", 0x44),
    ("SHA3_224", 0x2b5),
    ("SHA3_224_HMAC", 0x2b6),
    ("SHA3_224_RSA_PKCS", 0x66),
    ("SHA3_224_RSA_PKCS_PSS", 0x67),
    ("SHA3_256", 0x2b0),
    ("SHA3_256_HMAC", 0x2b1),
    ("SHA3_256_RSA_PKCS", 0x60),
    ("SHA3_256_RSA_PKCS_PSS", 0x63),
    ("SHA3_384", 0x2c0),
    ("SHA3_384_HMAC", 0x2c1),
    ("SHA3_384_RSA_PKCS", 0x61),
    ("SHA3_384_RSA_PKCS_PSS", 0x64),
    ("SHA3_512", 0x2d0),
    ("SHA3_512_HMAC", 0x2d1),
    ("SHA3_512_RSA_PKCS", 0x62),
    ("SHA3_512_RSA_PKCS_PSS", 0x65),
    ("SHA512", 0x270),
    ("SHA512_224", 0x48),
    ("SHA512_224_HMAC", 0x49),
    ("SHA512_256", 0x4c),
    ("SHA512_256_HMAC", 0x4d),
    ("SHA512_HMAC", 0x271),
    ("SHA512_RSA_PKCS", 0x42),
    ("SHA512_RSA_PKCS_PSS", 0x45),
    ("SLH_DSA", 0x2e),
    ("SP800_108_COUNTER_KDF", 0x3ac),
    ("SP800_108_DOUBLE_PIPELINE_KDF", 0x3ae),
    ("SP800_108_FEEDBACK_KDF", 0x3ad),
    ("TLS12_EXTENDED_MASTER_KEY_DERIVE", 0x56),
    ("TLS12_EXTENDED_MASTER_KEY_DERIVE_DH", 0x57),
    ("TLS12_KEY_AND_MAC_DERIVE", 0x3e1),
    ("TLS12_KEY_SAFE_DERIVE", 0x3e3),
    ("TLS12_MASTER_KEY_DERIVE", 0x3e0),
    ("TLS12_MASTER_KEY_DERIVE_DH", 0x3e2),
    ("TLS_KDF", 0x3e5),
    ("TLS_MAC", 0x3e4),
    ("XOR_BASE_AND_DATA", 0x364),
];

#[cfg(test)]
mod tests {
    use libkmss::mechanism::{EcMechanism, Hash, Mechanism, RsaMechanism};

    use super::*;

    #[test]
    fn names_are_in_order_and_have_the_numbers_of_the_standard() {
        assert!(NUMBERS.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0)));
        assert_eq!(number(&Mechanism::Rsa(RsaMechanism::Pkcs)), Some(1));
        assert_eq!(number(&Mechanism::Ec(EcMechanism::Ecdsa { hash: None })), Some(0x1041));
        assert_eq!(number(&Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sm3) })), None);
    }
}
