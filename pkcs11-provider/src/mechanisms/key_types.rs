//! Key types: numbers of PKCS#11 and types of the core.

use cryptoki_sys::{
    CK_KEY_TYPE, CKK_AES, CKK_AES_XTS, CKK_CHACHA20, CKK_DH, CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY,
    CKK_GENERIC_SECRET, CKK_HKDF, CKK_ML_DSA, CKK_ML_KEM, CKK_RSA, CKK_SHA_1_HMAC, CKK_SHA3_224_HMAC,
    CKK_SHA3_256_HMAC, CKK_SHA3_384_HMAC, CKK_SHA3_512_HMAC, CKK_SHA224_HMAC, CKK_SHA256_HMAC, CKK_SHA384_HMAC,
    CKK_SHA512_224_HMAC, CKK_SHA512_256_HMAC, CKK_SHA512_HMAC, CKK_SLH_DSA,
};
use libkmss::mechanism::{Hash, KeyType};

use super::vendor::{CKK_SM2, CKK_SM3_HMAC, CKK_SM4, Profile};

const TABLE: [(CK_KEY_TYPE, KeyType); 26] = [
    (CKK_RSA, KeyType::Rsa),
    (CKK_EC, KeyType::Ec),
    (CKK_EC_EDWARDS, KeyType::EcEdwards),
    (CKK_EC_MONTGOMERY, KeyType::EcMontgomery),
    (CKK_SM2, KeyType::Sm2),
    (CKK_DH, KeyType::Dh),
    (CKK_ML_DSA, KeyType::MlDsa),
    (CKK_ML_KEM, KeyType::MlKem),
    (CKK_SLH_DSA, KeyType::SlhDsa),
    (CKK_AES, KeyType::Aes),
    (CKK_AES_XTS, KeyType::AesXts),
    (CKK_CHACHA20, KeyType::ChaCha20),
    (CKK_SM4, KeyType::Sm4),
    (CKK_GENERIC_SECRET, KeyType::GenericSecret),
    (CKK_HKDF, KeyType::Hkdf),
    (CKK_SHA_1_HMAC, KeyType::Hmac(Hash::Sha1)),
    (CKK_SHA224_HMAC, KeyType::Hmac(Hash::Sha224)),
    (CKK_SHA256_HMAC, KeyType::Hmac(Hash::Sha256)),
    (CKK_SHA384_HMAC, KeyType::Hmac(Hash::Sha384)),
    (CKK_SHA512_HMAC, KeyType::Hmac(Hash::Sha512)),
    (CKK_SHA512_224_HMAC, KeyType::Hmac(Hash::Sha512_224)),
    (CKK_SHA512_256_HMAC, KeyType::Hmac(Hash::Sha512_256)),
    (CKK_SHA3_224_HMAC, KeyType::Hmac(Hash::Sha3_224)),
    (CKK_SHA3_256_HMAC, KeyType::Hmac(Hash::Sha3_256)),
    (CKK_SHA3_384_HMAC, KeyType::Hmac(Hash::Sha3_384)),
    (CKK_SHA3_512_HMAC, KeyType::Hmac(Hash::Sha3_512)),
];

impl Profile {
    /// The core's type for a CKK number; `None` for types that are not offered.
    pub(crate) fn key_type(self, number: CK_KEY_TYPE) -> Option<KeyType> {
        let number = self.canonical_key(number)?;
        if number == CKK_SM3_HMAC {
            return Some(KeyType::Hmac(Hash::Sm3));
        }
        TABLE.iter().find(|(n, _)| *n == number).map(|(_, t)| *t)
    }

    /// The CKK number of a type.
    pub(crate) fn key_type_number(self, key_type: KeyType) -> CK_KEY_TYPE {
        self.key_number(TABLE.iter().find(|(_, t)| *t == key_type).map_or(CKK_SM3_HMAC, |(n, _)| *n))
    }
}

#[cfg(test)]
mod tests {
    use libkmss::settings::VendorProfile;

    use super::*;

    #[test]
    fn every_key_type_survives_the_way_to_its_number_and_back() {
        for profile in VendorProfile::ALL.map(Profile::of) {
            for kind in TABLE.into_iter().map(|(_, kind)| kind).chain([KeyType::Hmac(Hash::Sm3)]) {
                assert_eq!(profile.key_type(profile.key_type_number(kind)), Some(kind));
            }
            assert_eq!(profile.key_type(0x7777), None);
        }
    }
}
