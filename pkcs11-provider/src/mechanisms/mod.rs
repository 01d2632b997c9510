//! The mechanisms this module offers: one table for C_GetMechanismList, C_GetMechanismInfo and for parsing.

#[cfg(test)]
mod documentation;
mod key_types;
mod table;
mod vendor;

pub(crate) use key_types::{key_type, key_type_number};

use cryptoki_sys::{
    CK_FLAGS, CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CKF_DECAPSULATE, CKF_DECRYPT, CKF_DERIVE, CKF_DIGEST,
    CKF_ENCAPSULATE, CKF_ENCRYPT, CKF_GENERATE, CKF_GENERATE_KEY_PAIR, CKF_SIGN, CKF_SIGN_RECOVER, CKF_UNWRAP,
    CKF_VERIFY, CKF_VERIFY_RECOVER, CKF_WRAP, CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EDDSA, CKM_SHA_1, CKM_SHA3_224,
    CKM_SHA3_256, CKM_SHA3_384, CKM_SHA3_512, CKM_SHA224, CKM_SHA256, CKM_SHA384, CKM_SHA512, CKM_SHA512_224,
    CKM_SHA512_256,
};
use libkmss::backend::Verb;
use libkmss::mechanism::{BlockCipher, Hash, KeyType};

/// The flags that offer a verb in CK_MECHANISM_INFO (PKCS#11 3.2, section 3.5).
const fn flags(verb: Verb) -> CK_FLAGS {
    match verb {
        Verb::Encrypt => CKF_ENCRYPT,
        Verb::Decrypt => CKF_DECRYPT,
        Verb::Digest => CKF_DIGEST,
        Verb::Sign => CKF_SIGN,
        Verb::SignRecover => CKF_SIGN_RECOVER,
        Verb::Verify => CKF_VERIFY,
        Verb::VerifyRecover => CKF_VERIFY_RECOVER,
        Verb::Wrap => CKF_WRAP,
        Verb::Unwrap => CKF_UNWRAP,
        Verb::Derive => CKF_DERIVE,
        Verb::Encapsulate => CKF_ENCAPSULATE,
        Verb::Decapsulate => CKF_DECAPSULATE,
        Verb::Generate => CKF_GENERATE | CKF_GENERATE_KEY_PAIR,
    }
}

/// What a mechanism computes, and so which parameters it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Generation of keys of a type.
    Generate(KeyType),
    /// A digest.
    Digest(Hash),
    /// RSA PKCS #1 v1.5 without a hash.
    RsaPkcs,
    /// Raw RSA.
    RsaX509,
    /// RSA PKCS #1 v1.5 with a hash.
    RsaPkcsHash(Hash),
    /// RSA-PSS, over a ready digest where the hash is absent.
    Pss(Option<Hash>),
    /// RSA-OAEP.
    Oaep,
    /// Wrapping under an AES key that RSA-OAEP encrypts.
    RsaAesKeyWrap,
    /// ECDSA, over a ready digest where the hash is absent.
    Ecdsa(Option<Hash>),
    /// Ed25519 and Ed448.
    EdDsa,
    /// ECDH.
    Ecdh,
    /// Wrapping under an AES key that ECDH agrees on.
    EcdhAesKeyWrap,
    /// HKDF.
    Hkdf,
    /// SM2 over a ready digest.
    Sm2Digest,
    /// SM2 with SM3 and Z.
    Sm2Message,
    /// SM2 encryption.
    Sm2Encrypt,
    /// A block cipher in a mode.
    Cipher(BlockCipher, Mode),
    /// HMAC.
    Hmac(Hash, Length),
    /// CMAC with AES.
    Cmac(Length),
}

impl Shape {
    /// Whether keys of this type go with the mechanism. Digests and generation use no key.
    pub(crate) const fn takes(self, key_type: KeyType) -> bool {
        match self {
            Self::Generate(_) | Self::Digest(_) => true,
            Self::RsaPkcs | Self::RsaX509 | Self::RsaPkcsHash(_) | Self::Pss(_) | Self::Oaep | Self::RsaAesKeyWrap => {
                matches!(key_type, KeyType::Rsa)
            }
            Self::Ecdsa(_) => matches!(key_type, KeyType::Ec),
            Self::EdDsa => matches!(key_type, KeyType::EcEdwards),
            Self::Ecdh | Self::EcdhAesKeyWrap => matches!(key_type, KeyType::Ec | KeyType::EcMontgomery),
            Self::Sm2Digest | Self::Sm2Message | Self::Sm2Encrypt => matches!(key_type, KeyType::Sm2),
            Self::Cipher(BlockCipher::Aes, _) | Self::Cmac(_) => matches!(key_type, KeyType::Aes),
            Self::Cipher(BlockCipher::Sm4, _) => matches!(key_type, KeyType::Sm4),
            // Which secrets fit which hash is the core's to say.
            Self::Hmac(..) | Self::Hkdf => !key_type.is_asymmetric(),
        }
    }
}

/// Whether a MAC has its full length or one given by the parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// The full length.
    Full,
    /// CK_MAC_GENERAL_PARAMS.
    General,
}

/// A mode of operation, still without parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Ecb,
    Cbc,
    CbcPad,
    Ctr,
    Gcm,
    KeyWrap,
    KeyWrapPad,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The constant that names it.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by what writes docs/mechanisms.md"))]
    name: &'static str,
    number: CK_MECHANISM_TYPE,
    min: u32,
    max: u32,
    flags: CK_FLAGS,
    /// What it computes.
    pub(crate) shape: Shape,
}

impl Row {
    /// Whether the mechanism is offered for `verb`.
    pub(crate) const fn offers(&self, verb: Verb) -> bool {
        self.flags & flags(verb) != 0
    }
}

/// The numbers of all mechanisms, for C_GetMechanismList.
pub(crate) fn list() -> impl Iterator<Item = CK_MECHANISM_TYPE> {
    table::rows().map(|row| row.number)
}

/// Key sizes and flags of a mechanism, for C_GetMechanismInfo; `None` for one that is not offered.
pub(crate) fn info(number: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_INFO> {
    let row = row(number)?;
    Some(CK_MECHANISM_INFO { ulMinKeySize: row.min.into(), ulMaxKeySize: row.max.into(), flags: row.flags })
}

/// The table's line for a mechanism that is wanted for `verb`; `None` where it is not offered for that.
///
/// CKM_EDDSA stands for the generation of Edwards keys, too: GnuTLS 3.7 asks for them by that number.
pub(crate) fn offer(number: CK_MECHANISM_TYPE, verb: Verb) -> Option<&'static Row> {
    let number = if number == CKM_EDDSA && verb == Verb::Generate { CKM_EC_EDWARDS_KEY_PAIR_GEN } else { number };
    row(number).filter(|r| r.offers(verb))
}

/// The table's line for a mechanism.
pub(crate) fn row(number: CK_MECHANISM_TYPE) -> Option<&'static Row> {
    table::rows().find(|r| r.number == number)
}

/// The mechanism that generates keys of a type.
pub(crate) fn generation(key_type: KeyType) -> Option<CK_MECHANISM_TYPE> {
    table::rows().find(|r| r.shape == Shape::Generate(key_type)).map(|r| r.number)
}

/// The hash that a digest mechanism's number names, as parameters of PSS, OAEP and HKDF do.
pub(crate) const fn hash(number: CK_MECHANISM_TYPE) -> Option<Hash> {
    Some(match number {
        CKM_SHA_1 => Hash::Sha1,
        CKM_SHA224 => Hash::Sha224,
        CKM_SHA256 => Hash::Sha256,
        CKM_SHA384 => Hash::Sha384,
        CKM_SHA512 => Hash::Sha512,
        CKM_SHA512_224 => Hash::Sha512_224,
        CKM_SHA512_256 => Hash::Sha512_256,
        CKM_SHA3_224 => Hash::Sha3_224,
        CKM_SHA3_256 => Hash::Sha3_256,
        CKM_SHA3_384 => Hash::Sha3_384,
        CKM_SHA3_512 => Hash::Sha3_512,
        vendor::CKM_SM3 => Hash::Sm3,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cryptoki_sys::{CKM_AES_GCM, CKM_RSA_PKCS, CKM_RSA_PKCS_KEY_PAIR_GEN};

    #[test]
    fn every_number_is_listed_once_and_has_flags_and_sizes_in_order() {
        let mut seen = std::collections::BTreeSet::new();
        for number in list() {
            assert!(seen.insert(number), "{number:#x} twice");
            let info = info(number).unwrap();
            assert!(info.flags != 0 && info.ulMinKeySize <= info.ulMaxKeySize, "{number:#x}");
        }
        assert_eq!(list().count(), table::rows().count());
    }

    #[test]
    fn a_row_offers_exactly_the_verbs_of_its_flags() {
        let rsa = row(CKM_RSA_PKCS).unwrap();
        assert!(rsa.offers(Verb::Sign) && rsa.offers(Verb::Unwrap) && !rsa.offers(Verb::Derive));
        let generate = row(CKM_RSA_PKCS_KEY_PAIR_GEN).unwrap();
        assert!(generate.offers(Verb::Generate) && !generate.offers(Verb::Sign));
        assert!(!row(CKM_AES_GCM).unwrap().offers(Verb::Sign));
        assert!(row(0x7FFF_FFFF).is_none() && info(0x7FFF_FFFF).is_none());
    }

    #[test]
    fn every_hash_has_a_number_that_leads_back_to_it() {
        let named = list().filter_map(hash).collect::<Vec<_>>();
        assert_eq!(named.len(), Hash::ALL.len());
    }
}
