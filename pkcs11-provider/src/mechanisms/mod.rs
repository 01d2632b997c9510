//! The mechanisms this module offers: one table for C_GetMechanismList, C_GetMechanismInfo and for parsing.

#[cfg(test)]
mod documentation;
mod key_types;
mod sample;
mod table;
mod vendor;

pub(crate) use vendor::Profile;

use cryptoki_sys::{
    CK_FLAGS, CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CKF_DECAPSULATE, CKF_DECRYPT, CKF_DERIVE, CKF_DIGEST,
    CKF_ENCAPSULATE, CKF_ENCRYPT, CKF_GENERATE, CKF_GENERATE_KEY_PAIR, CKF_MESSAGE_DECRYPT, CKF_MESSAGE_ENCRYPT,
    CKF_MESSAGE_SIGN, CKF_MESSAGE_VERIFY, CKF_SIGN, CKF_SIGN_RECOVER, CKF_UNWRAP, CKF_VERIFY, CKF_VERIFY_RECOVER,
    CKF_WRAP, CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EDDSA, CKM_SHA_1, CKM_SHA3_224, CKM_SHA3_256, CKM_SHA3_384,
    CKM_SHA3_512, CKM_SHA224, CKM_SHA256, CKM_SHA384, CKM_SHA512, CKM_SHA512_224, CKM_SHA512_256,
};
use libkmss::backend::Verb;
use libkmss::key::{Action, SHORTEST_RSA, weakness_of_use};
use libkmss::mechanism::{BlockCipher, Hash, KeyType, PqcHash, Segment};
use libkmss::settings::{Weakness, Weaknesses};

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
    /// HKDF, into a key or into data.
    Hkdf(Into),
    /// A function of SP 800-108.
    Kbkdf(Rounds),
    /// PBKDF2.
    Pbkdf2,
    /// Concatenation and its kin.
    Splice(Splice),
    /// The public half of a private key.
    PublicKey,
    /// Diffie-Hellman over a prime field.
    Dh,
    /// A step of the key schedule of TLS 1.2.
    Tls(Tls),
    /// SM2 over a ready digest.
    Sm2Digest,
    /// SM2 with SM3 and Z.
    Sm2Message,
    /// The same with signatures as DER.
    Sm2MessageDer,
    /// SM2 encryption.
    Sm2Encrypt,
    /// A block cipher in a mode.
    Cipher(BlockCipher, Mode),
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
    /// A key from data encrypted with AES, chained or not.
    EncryptData {
        /// Whether in CBC mode.
        chained: bool,
    },
    /// HMAC.
    Hmac(Hash, Length),
    /// CMAC with AES.
    Cmac(Length),
    /// ML-DSA.
    MlDsa(Given),
    /// ML-KEM.
    MlKem,
    /// SLH-DSA.
    SlhDsa(Given),
    /// GMAC with AES.
    Gmac,
}

impl Shape {
    /// Whether keys of this type go with the mechanism. Digests and generation use no key.
    pub(crate) const fn takes(self, key_type: KeyType) -> bool {
        match self {
            Self::Generate(_) | Self::Digest(_) | Self::Pbkdf2 => true,
            Self::PublicKey => key_type.is_asymmetric(),
            Self::Dh => matches!(key_type, KeyType::Dh),
            Self::RsaPkcs | Self::RsaX509 | Self::RsaPkcsHash(_) | Self::Pss(_) | Self::Oaep | Self::RsaAesKeyWrap => {
                matches!(key_type, KeyType::Rsa)
            }
            Self::Ecdsa(_) => matches!(key_type, KeyType::Ec),
            Self::EdDsa => matches!(key_type, KeyType::EcEdwards),
            Self::Ecdh | Self::EcdhAesKeyWrap => matches!(key_type, KeyType::Ec | KeyType::EcMontgomery),
            Self::Sm2Digest | Self::Sm2Message | Self::Sm2MessageDer | Self::Sm2Encrypt => {
                matches!(key_type, KeyType::Sm2)
            }
            Self::Cipher(BlockCipher::Aes, Mode::Xts) => matches!(key_type, KeyType::AesXts),
            Self::Cipher(BlockCipher::Aes, _) | Self::EncryptData { .. } | Self::Cmac(_) | Self::Gmac => {
                matches!(key_type, KeyType::Aes)
            }
            Self::ChaCha20Poly1305 => matches!(key_type, KeyType::ChaCha20),
            Self::Cipher(BlockCipher::Sm4, _) => matches!(key_type, KeyType::Sm4),
            Self::MlDsa(_) => matches!(key_type, KeyType::MlDsa),
            Self::MlKem => matches!(key_type, KeyType::MlKem),
            Self::SlhDsa(_) => matches!(key_type, KeyType::SlhDsa),
            // Which secrets fit which hash is the core's to say.
            Self::Hmac(..) | Self::Hkdf(_) | Self::Kbkdf(_) | Self::Splice(_) | Self::Tls(_) => {
                !key_type.is_asymmetric()
            }
        }
    }
}

/// What a post-quantum signature is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// The message.
    Message,
    /// The message, to be hashed first.
    Hashed(PqcHash),
    /// The hash of the message; the parameter says which.
    Digest,
}

/// Every verb with the core's action.
const VERBS: [(Verb, Action); 13] = [
    (Verb::Encrypt, Action::Encrypt),
    (Verb::Decrypt, Action::Decrypt),
    (Verb::Digest, Action::Digest),
    (Verb::Sign, Action::Sign),
    (Verb::SignRecover, Action::Sign),
    (Verb::Verify, Action::Verify),
    (Verb::VerifyRecover, Action::Verify),
    (Verb::Wrap, Action::Wrap),
    (Verb::Unwrap, Action::Unwrap),
    (Verb::Derive, Action::Derive),
    (Verb::Encapsulate, Action::Encapsulate),
    (Verb::Decapsulate, Action::Decapsulate),
    (Verb::Generate, Action::Generate),
];

/// The flags that offer a verb for messages.
const fn message_flags(verb: Verb) -> CK_FLAGS {
    match verb {
        Verb::Encrypt => CKF_MESSAGE_ENCRYPT,
        Verb::Decrypt => CKF_MESSAGE_DECRYPT,
        Verb::Sign => CKF_MESSAGE_SIGN,
        Verb::Verify => CKF_MESSAGE_VERIFY,
        _ => 0,
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

/// What HKDF makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Into {
    Key,
    Data,
}

/// How the rounds of SP 800-108 follow from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounds {
    Counter,
    Feedback,
    DoublePipeline,
}

/// The mechanisms of PKCS#11 3.2, 6.43 that cut keys and put them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Splice {
    Key,
    Append,
    Prepend,
    Xor,
    Extract,
}

/// The steps of the key schedule of TLS 1.2; `versioned` where the premaster secret begins with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    Premaster,
    Master { versioned: bool },
    ExtendedMaster { versioned: bool },
    KeyBlock { with_ivs: bool },
    Export,
    Finished,
}

/// A mode of operation, still without parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Ecb,
    Cbc,
    CbcPad,
    CbcCs1,
    Ctr,
    Ofb,
    Cfb(Segment),
    Gcm,
    Ccm,
    Xts,
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
    /// Whether RSA keys are all that it takes or makes.
    const fn is_rsa(&self) -> bool {
        matches!(self.shape, Shape::Generate(KeyType::Rsa))
            || (self.shape.takes(KeyType::Rsa) && !self.shape.takes(KeyType::Aes))
    }

    /// The table's number, which keys and records know it by.
    pub(crate) const fn number(&self) -> CK_MECHANISM_TYPE {
        self.number
    }

    /// Whether the mechanism is offered for `verb`.
    pub(crate) const fn offers(&self, verb: Verb) -> bool {
        self.offers_flags(flags(verb))
    }

    /// Whether one of these flags is among the mechanism's.
    pub(crate) const fn offers_flags(&self, flags: CK_FLAGS) -> bool {
        self.flags & flags != 0
    }
}

impl Profile {
    /// The numbers of all mechanisms, for C_GetMechanismList.
    pub(crate) fn list(self) -> impl Iterator<Item = CK_MECHANISM_TYPE> {
        table::rows().filter_map(move |row| self.admitted(row)).map(move |row| self.number(row.number))
    }

    /// Key sizes and flags of a mechanism, for C_GetMechanismInfo; `None` for one that is not offered.
    pub(crate) fn info(self, number: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_INFO> {
        let row = self.row(number)?;
        Some(CK_MECHANISM_INFO { ulMinKeySize: row.min.into(), ulMaxKeySize: row.max.into(), flags: row.flags })
    }

    /// The table's line for a mechanism.
    pub(crate) fn row(self, number: CK_MECHANISM_TYPE) -> Option<Row> {
        let number = self.canonical(number)?;
        self.admitted(table::rows().find(|r| r.number == number)?)
    }

    /// A line of the table without what the token's settings forbid; `None` where nothing is left of it.
    fn admitted(self, row: &Row) -> Option<Row> {
        if self.forbid == Weaknesses::NONE {
            return Some(*row);
        }
        let mut row = *row;
        let sample = row.shape.sample();
        let forbidden = |action| match &sample {
            Some(mechanism) => weakness_of_use(self.forbid, action, mechanism).is_some(),
            None => self.forbid.contains(Weakness::Unapproved),
        };
        for (verb, action) in VERBS {
            if forbidden(action) {
                row.flags &= !(flags(verb) | message_flags(verb));
            }
        }
        if self.forbid.contains(Weakness::ShortRsa) && row.is_rsa() {
            row.min = row.min.max(SHORTEST_RSA);
        }
        VERBS.iter().any(|(verb, _)| row.offers(*verb)).then_some(row)
    }

    /// The table's line for a mechanism that is wanted for `verb`; `None` where it is not offered for that.
    ///
    /// CKM_EDDSA stands for the generation of Edwards keys, too: GnuTLS 3.7 asks for them by that number.
    pub(crate) fn offer(self, number: CK_MECHANISM_TYPE, verb: Verb) -> Option<Row> {
        let number = if number == CKM_EDDSA && verb == Verb::Generate { CKM_EC_EDWARDS_KEY_PAIR_GEN } else { number };
        self.row(number).filter(|r| r.offers(verb))
    }

    /// The mechanism that generates keys of a type.
    pub(crate) fn generation(self, key_type: KeyType) -> Option<CK_MECHANISM_TYPE> {
        table::rows().find(|r| r.shape == Shape::Generate(key_type)).map(|r| self.number(r.number))
    }

    /// The hash that a digest mechanism's number names, as parameters of PSS, OAEP and HKDF do.
    pub(crate) fn hash(self, number: CK_MECHANISM_TYPE) -> Option<Hash> {
        hash(self.canonical(number)?)
    }
}

/// The hash behind a number of the table.
const fn hash(number: CK_MECHANISM_TYPE) -> Option<Hash> {
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
    use libkmss::settings::{Settings, VendorProfile};

    use cryptoki_sys::*;

    fn profiles() -> impl Iterator<Item = Profile> {
        VendorProfile::ALL.into_iter().map(Profile::of)
    }

    #[test]
    fn every_number_is_listed_once_and_has_flags_and_sizes_in_order() {
        for profile in profiles() {
            let mut seen = std::collections::BTreeSet::new();
            for number in profile.list() {
                assert!(seen.insert(number), "{number:#x} twice");
                let info = profile.info(number).unwrap();
                assert!(info.flags != 0 && info.ulMinKeySize <= info.ulMaxKeySize, "{number:#x}");
            }
            assert_eq!(profile.list().count(), table::rows().count());
        }
    }

    #[test]
    fn a_row_offers_exactly_the_verbs_of_its_flags() {
        let luna = Profile::default();
        let rsa = luna.row(CKM_RSA_PKCS).unwrap();
        assert!(rsa.offers(Verb::Sign) && rsa.offers(Verb::Unwrap) && !rsa.offers(Verb::Derive));
        let generate = luna.row(CKM_RSA_PKCS_KEY_PAIR_GEN).unwrap();
        assert!(generate.offers(Verb::Generate) && !generate.offers(Verb::Sign));
        assert!(!luna.row(CKM_AES_GCM).unwrap().offers(Verb::Sign));
        assert!(luna.row(0x7FFF_FFFF).is_none() && luna.info(0x7FFF_FFFF).is_none());
    }

    #[test]
    fn every_hash_has_a_number_that_leads_back_to_it() {
        for profile in profiles() {
            assert_eq!(profile.list().filter_map(|number| profile.hash(number)).count(), Hash::ALL.len());
        }
    }

    #[test]
    fn what_is_forbidden_is_not_offered() {
        let forbidding =
            |forbid: &str| Profile::for_settings(&Settings { forbid: forbid.parse().unwrap(), ..Settings::default() });
        let strict = forbidding("sha1-signatures,pkcs1-encryption,ecb,raw-rsa,short-rsa");
        let sha1 = strict.row(CKM_SHA1_RSA_PKCS).unwrap();
        assert!(sha1.offers(Verb::Verify) && !sha1.offers(Verb::Sign));
        let pkcs = strict.row(CKM_RSA_PKCS).unwrap();
        assert!(pkcs.offers(Verb::Sign) && !pkcs.offers(Verb::Decrypt) && !pkcs.offers(Verb::Unwrap));
        assert_eq!(strict.info(CKM_RSA_PKCS).unwrap().ulMinKeySize, 2048);
        for gone in [CKM_AES_ECB, CKM_RSA_X_509, vendor::CKM_SM4_ECB] {
            assert!(strict.row(gone).is_none() && !strict.list().any(|number| number == gone), "{gone:#x}");
        }
        let fips = forbidding("fips");
        for gone in [vendor::CKM_SM3, vendor::CKM_SM2, vendor::CKM_SM4_GCM, vendor::CKM_SM3_HMAC] {
            assert!(fips.row(gone).is_none(), "{gone:#x}");
        }
        for kept in [CKM_AES_GCM, CKM_ECDSA, CKM_EDDSA, CKM_SHA256_HMAC, CKM_RSA_PKCS_OAEP, CKM_HKDF_DERIVE, CKM_ML_DSA]
        {
            assert!(fips.row(kept).is_some(), "{kept:#x}");
        }
        assert!(!fips.row(CKM_AES_CBC).unwrap().offers(Verb::Wrap));
    }

    #[test]
    fn a_profile_answers_to_its_own_numbers_only() {
        let (luna, sansec) = (Profile::of(VendorProfile::Luna), Profile::of(VendorProfile::Sansec));
        let sm3 = Shape::Digest(Hash::Sm3);
        assert_eq!(luna.row(0x8000_0B01).unwrap().shape, sm3);
        assert!(luna.row(0x8000_9001).is_none());
        assert_eq!(sansec.row(0x8000_9001).unwrap().shape, sm3);
        assert!(sansec.row(0x8000_0B01).is_none() && sansec.hash(0x8000_0B01).is_none());
        assert_eq!(sansec.row(0x8000_8101).unwrap().shape, Shape::Sm2MessageDer);
    }
}
