//! Enumerations: one table for each, read in both directions.

use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{AuditMode, KeyClass, KeyState, RevocationReason};
use libkmss::mechanism::{
    BlockCipher, Curve, DhGroup, Hash, KeyType, LedgerDigest, MlDsaSet, MlKemSet, PqcHash, PqcSet, Segment, SlhDsaSet,
};

use super::Numbered;
use crate::proto;

/// The table of one enumeration: `unknown` is the kind of error for numbers that are not in it.
macro_rules! table {
    ($core:ty, $wire:ty, $kind:ident, $what:literal, { $($name:ident = $($variant:tt)::+ $(($($inner:tt)+))?,)+ }) => {
        impl Numbered for $core {
            fn of(number: i32) -> Result<Self> {
                match <$wire>::try_from(number) {
                    $(Ok(<$wire>::$name) => Ok($($variant)::+ $(($($inner)+))?),)+
                    _ => Err(Error::new(ErrorKind::$kind, $what)),
                }
            }

            #[allow(unreachable_patterns, reason = "some of the core's enumerations may grow, others may not")]
            fn number(self) -> i32 {
                match self {
                    $($($variant)::+ $(($($inner)+))? => <$wire>::$name.into(),)+
                    _ => <$wire>::Unspecified.into(),
                }
            }
        }
    };
}

table!(Hash, proto::Hash, MechanismParameter, "a hash of the mechanism is missing or not known", {
    Sha1 = Hash::Sha1,
    Sha224 = Hash::Sha224,
    Sha256 = Hash::Sha256,
    Sha384 = Hash::Sha384,
    Sha512 = Hash::Sha512,
    Sha512224 = Hash::Sha512_224,
    Sha512256 = Hash::Sha512_256,
    Sha3224 = Hash::Sha3_224,
    Sha3256 = Hash::Sha3_256,
    Sha3384 = Hash::Sha3_384,
    Sha3512 = Hash::Sha3_512,
    Sm3 = Hash::Sm3,
});

table!(PqcHash, proto::PqcHash, MechanismParameter, "a hash of the mechanism is missing or not known", {
    Sha224 = PqcHash::Sha224,
    Sha256 = PqcHash::Sha256,
    Sha384 = PqcHash::Sha384,
    Sha512 = PqcHash::Sha512,
    Sha512224 = PqcHash::Sha512_224,
    Sha512256 = PqcHash::Sha512_256,
    Sha3224 = PqcHash::Sha3_224,
    Sha3256 = PqcHash::Sha3_256,
    Sha3384 = PqcHash::Sha3_384,
    Sha3512 = PqcHash::Sha3_512,
    Shake128 = PqcHash::Shake128,
    Shake256 = PqcHash::Shake256,
});

table!(KeyType, proto::KeyType, KeyType, "the type of the key is missing or not known", {
    Rsa = KeyType::Rsa,
    Ec = KeyType::Ec,
    EcEdwards = KeyType::EcEdwards,
    EcMontgomery = KeyType::EcMontgomery,
    Sm2 = KeyType::Sm2,
    Dh = KeyType::Dh,
    MlDsa = KeyType::MlDsa,
    MlKem = KeyType::MlKem,
    SlhDsa = KeyType::SlhDsa,
    Aes = KeyType::Aes,
    AesXts = KeyType::AesXts,
    Chacha20 = KeyType::ChaCha20,
    Sm4 = KeyType::Sm4,
    GenericSecret = KeyType::GenericSecret,
    Hkdf = KeyType::Hkdf,
    HmacSha1 = KeyType::Hmac(Hash::Sha1),
    HmacSha224 = KeyType::Hmac(Hash::Sha224),
    HmacSha256 = KeyType::Hmac(Hash::Sha256),
    HmacSha384 = KeyType::Hmac(Hash::Sha384),
    HmacSha512 = KeyType::Hmac(Hash::Sha512),
    HmacSha512224 = KeyType::Hmac(Hash::Sha512_224),
    HmacSha512256 = KeyType::Hmac(Hash::Sha512_256),
    HmacSha3224 = KeyType::Hmac(Hash::Sha3_224),
    HmacSha3256 = KeyType::Hmac(Hash::Sha3_256),
    HmacSha3384 = KeyType::Hmac(Hash::Sha3_384),
    HmacSha3512 = KeyType::Hmac(Hash::Sha3_512),
    HmacSm3 = KeyType::Hmac(Hash::Sm3),
});

table!(Curve, proto::Curve, CurveUnsupported, "the curve is missing or not known", {
    P256 = Curve::P256,
    P384 = Curve::P384,
    P521 = Curve::P521,
    Secp256k1 = Curve::Secp256k1,
    Ed25519 = Curve::Ed25519,
    X25519 = Curve::X25519,
    Ed448 = Curve::Ed448,
    X448 = Curve::X448,
    Sm2 = Curve::Sm2,
});

table!(LedgerDigest, proto::LedgerDigest, MechanismParameter, "the digest is missing or not known", {
    Keccak256 = LedgerDigest::Keccak256,
    Sha256 = LedgerDigest::Sha256,
    Ready = LedgerDigest::Ready,
});

table!(DhGroup, proto::DhGroup, CurveUnsupported, "the group is missing or not known", {
    Ffdhe2048 = DhGroup::Ffdhe2048,
    Ffdhe3072 = DhGroup::Ffdhe3072,
    Ffdhe4096 = DhGroup::Ffdhe4096,
    Ffdhe6144 = DhGroup::Ffdhe6144,
    Ffdhe8192 = DhGroup::Ffdhe8192,
    Modp2048 = DhGroup::Modp2048,
    Modp3072 = DhGroup::Modp3072,
    Modp4096 = DhGroup::Modp4096,
    Modp6144 = DhGroup::Modp6144,
    Modp8192 = DhGroup::Modp8192,
});

table!(PqcSet, proto::PqcSet, CurveUnsupported, "the parameter set is missing or not known", {
    MlDsa44 = PqcSet::MlDsa(MlDsaSet::MlDsa44),
    MlDsa65 = PqcSet::MlDsa(MlDsaSet::MlDsa65),
    MlDsa87 = PqcSet::MlDsa(MlDsaSet::MlDsa87),
    MlKem512 = PqcSet::MlKem(MlKemSet::MlKem512),
    MlKem768 = PqcSet::MlKem(MlKemSet::MlKem768),
    MlKem1024 = PqcSet::MlKem(MlKemSet::MlKem1024),
    SlhDsaSha2128s = PqcSet::SlhDsa(SlhDsaSet::Sha2_128s),
    SlhDsaShake128s = PqcSet::SlhDsa(SlhDsaSet::Shake128s),
    SlhDsaSha2128f = PqcSet::SlhDsa(SlhDsaSet::Sha2_128f),
    SlhDsaShake128f = PqcSet::SlhDsa(SlhDsaSet::Shake128f),
    SlhDsaSha2192s = PqcSet::SlhDsa(SlhDsaSet::Sha2_192s),
    SlhDsaShake192s = PqcSet::SlhDsa(SlhDsaSet::Shake192s),
    SlhDsaSha2192f = PqcSet::SlhDsa(SlhDsaSet::Sha2_192f),
    SlhDsaShake192f = PqcSet::SlhDsa(SlhDsaSet::Shake192f),
    SlhDsaSha2256s = PqcSet::SlhDsa(SlhDsaSet::Sha2_256s),
    SlhDsaShake256s = PqcSet::SlhDsa(SlhDsaSet::Shake256s),
    SlhDsaSha2256f = PqcSet::SlhDsa(SlhDsaSet::Sha2_256f),
    SlhDsaShake256f = PqcSet::SlhDsa(SlhDsaSet::Shake256f),
});

table!(BlockCipher, proto::BlockCipher, MechanismUnsupported, "the cipher is missing or not known", {
    Aes = BlockCipher::Aes,
    Sm4 = BlockCipher::Sm4,
});

table!(Segment, proto::cfb::Segment, MechanismParameter, "the segment of CFB is missing or not known", {
    Bit = Segment::Bit,
    Byte = Segment::Byte,
    Block = Segment::Block,
});

table!(KeyClass, proto::KeyClass, Arguments, "the class of the key is missing or not known", {
    Secret = KeyClass::Secret,
    Private = KeyClass::Private,
    Public = KeyClass::Public,
});

table!(KeyState, proto::KeyState, Arguments, "the state of the key is missing or not known", {
    PreActive = KeyState::PreActive,
    Active = KeyState::Active,
    Suspended = KeyState::Suspended,
    Deactivated = KeyState::Deactivated,
    Compromised = KeyState::Compromised,
    PendingDeletion = KeyState::PendingDeletion,
    Destroyed = KeyState::Destroyed,
});

table!(RevocationReason, proto::RevocationReason, Arguments, "the reason of the revocation is not known", {
    Unspecified = RevocationReason::Unspecified,
    KeyCompromise = RevocationReason::KeyCompromise,
    CaCompromise = RevocationReason::CaCompromise,
    AffiliationChanged = RevocationReason::AffiliationChanged,
    Superseded = RevocationReason::Superseded,
    CessationOfOperation = RevocationReason::CessationOfOperation,
    CertificateHold = RevocationReason::CertificateHold,
    PrivilegeWithdrawn = RevocationReason::PrivilegeWithdrawn,
    AaCompromise = RevocationReason::AaCompromise,
});

table!(AuditMode, proto::AuditMode, Arguments, "the audit mode is missing or not known", {
    Normal = AuditMode::Normal,
    Sync = AuditMode::Sync,
});
