//! Mechanisms of RSA, elliptic curves and SM2.

use libkmss::error::{Error, Result};
use libkmss::mechanism::{EcMechanism, EcdhKdf, HdDerivation, Oaep, Pss, RsaMechanism, Sm2Mechanism};

use super::{Numbered, hash, parameter, required, size, small};
use crate::proto::{self, NoParameters, ec_mechanism, ecdh_kdf, rsa_mechanism, sm2_mechanism};

/// Longest salt of PSS in bytes: no modulus that is offered takes a longer one.
const MAX_SALT: usize = 2048;
/// Longest public point in bytes: that of the largest curve, in any encoding.
const MAX_POINT: usize = 256;
/// Longest identity of SM2 in bytes: its length in bits takes two bytes (GB/T 32918.2, 5.5).
const MAX_ID: usize = 8191;

impl From<&RsaMechanism> for proto::RsaMechanism {
    fn from(mechanism: &RsaMechanism) -> Self {
        use rsa_mechanism::Kind;
        let kind = match mechanism {
            RsaMechanism::Pkcs => Kind::Pkcs1(proto::RsaPkcs1 { hash: proto::Hash::Unspecified.into() }),
            RsaMechanism::PkcsHash(hash) => Kind::Pkcs1(proto::RsaPkcs1 { hash: hash.number() }),
            RsaMechanism::X509 => Kind::Raw(NoParameters {}),
            RsaMechanism::Pss { pss, message } => Kind::Pss(proto::RsaPss {
                hash: pss.hash.number(),
                mgf: pss.mgf.number(),
                salt_len: small(pss.salt_len),
                message: *message,
            }),
            RsaMechanism::Oaep(oaep) => Kind::Oaep(oaep.into()),
            RsaMechanism::AesKeyWrap { oaep, aes_len } => {
                Kind::AesKeyWrap(proto::RsaAesKeyWrap { oaep: Some(oaep.into()), aes_len: small(*aes_len) })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::RsaMechanism> for RsaMechanism {
    type Error = Error;

    fn try_from(mechanism: proto::RsaMechanism) -> Result<Self> {
        use rsa_mechanism::Kind;
        Ok(match required(mechanism.kind)? {
            Kind::Pkcs1(pkcs1) => hash(pkcs1.hash)?.map_or(Self::Pkcs, Self::PkcsHash),
            Kind::Raw(NoParameters {}) => Self::X509,
            Kind::Pss(pss) if size(pss.salt_len) <= MAX_SALT => Self::Pss {
                pss: Pss { hash: Numbered::of(pss.hash)?, mgf: Numbered::of(pss.mgf)?, salt_len: size(pss.salt_len) },
                message: pss.message,
            },
            Kind::Pss(_) => return Err(parameter("the salt of PSS is too long")),
            Kind::Oaep(oaep) => Self::Oaep(oaep.try_into()?),
            Kind::AesKeyWrap(wrap) => {
                Self::AesKeyWrap { oaep: required(wrap.oaep)?.try_into()?, aes_len: aes_len(wrap.aes_len)? }
            }
        })
    }
}

impl From<&Oaep> for proto::RsaOaep {
    fn from(oaep: &Oaep) -> Self {
        Self { hash: oaep.hash.number(), mgf: oaep.mgf.number(), label: oaep.label.clone() }
    }
}

impl TryFrom<proto::RsaOaep> for Oaep {
    type Error = Error;

    fn try_from(oaep: proto::RsaOaep) -> Result<Self> {
        Ok(Self { hash: Numbered::of(oaep.hash)?, mgf: Numbered::of(oaep.mgf)?, label: oaep.label })
    }
}

impl From<&EcMechanism> for proto::EcMechanism {
    fn from(mechanism: &EcMechanism) -> Self {
        use ec_mechanism::Kind;
        let kind = match mechanism {
            EcMechanism::Ecdsa { hash } => {
                let none = proto::Hash::Unspecified.into();
                Kind::Ecdsa(proto::Ecdsa { hash: hash.map_or(none, Numbered::number) })
            }
            EcMechanism::EcdsaLedger { digest, recoverable } => {
                Kind::EcdsaLedger(proto::EcdsaLedger { digest: digest.number(), recoverable: *recoverable })
            }
            EcMechanism::EdDsa { prehash, context } => {
                Kind::Eddsa(proto::EdDsa { prehash: *prehash, context: context.clone() })
            }
            EcMechanism::Ecdh { kdf, public, shared_info } => Kind::Ecdh(proto::Ecdh {
                kdf: Some((*kdf).into()),
                public: public.clone(),
                shared_info: shared_info.clone(),
            }),
            EcMechanism::AesKeyWrap { kdf, shared_info, aes_len } => Kind::AesKeyWrap(proto::EcAesKeyWrap {
                kdf: Some((*kdf).into()),
                shared_info: shared_info.clone(),
                aes_len: small(*aes_len),
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::EcMechanism> for EcMechanism {
    type Error = Error;

    fn try_from(mechanism: proto::EcMechanism) -> Result<Self> {
        use ec_mechanism::Kind;
        Ok(match required(mechanism.kind)? {
            Kind::Ecdsa(ecdsa) => Self::Ecdsa { hash: hash(ecdsa.hash)? },
            Kind::EcdsaLedger(ledger) => {
                Self::EcdsaLedger { digest: Numbered::of(ledger.digest)?, recoverable: ledger.recoverable }
            }
            Kind::Eddsa(eddsa) if eddsa.context.len() <= Self::MAX_CONTEXT => {
                Self::EdDsa { prehash: eddsa.prehash, context: eddsa.context }
            }
            Kind::Eddsa(_) => return Err(parameter("a context string has at most 255 bytes")),
            Kind::Ecdh(ecdh) if ecdh.public.len() <= MAX_POINT => {
                Self::Ecdh { kdf: required(ecdh.kdf)?.try_into()?, public: ecdh.public, shared_info: ecdh.shared_info }
            }
            Kind::Ecdh(_) => return Err(parameter("the public point is too long")),
            Kind::AesKeyWrap(wrap) => Self::AesKeyWrap {
                kdf: required(wrap.kdf)?.try_into()?,
                shared_info: wrap.shared_info,
                aes_len: aes_len(wrap.aes_len)?,
            },
        })
    }
}

impl From<EcdhKdf> for proto::EcdhKdf {
    fn from(kdf: EcdhKdf) -> Self {
        use ecdh_kdf::Kind;
        let kind = match kdf {
            EcdhKdf::Null => Kind::Null(NoParameters {}),
            EcdhKdf::X963(hash) => Kind::X963(hash.number()),
            EcdhKdf::Concatenation(hash) => Kind::Concatenation(hash.number()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::EcdhKdf> for EcdhKdf {
    type Error = Error;

    fn try_from(kdf: proto::EcdhKdf) -> Result<Self> {
        use ecdh_kdf::Kind;
        Ok(match required(kdf.kind)? {
            Kind::Null(NoParameters {}) => Self::Null,
            Kind::X963(hash) => Self::X963(Numbered::of(hash)?),
            Kind::Concatenation(hash) => Self::Concatenation(Numbered::of(hash)?),
        })
    }
}

fn aes_len(len: u32) -> Result<usize> {
    match len {
        16 | 24 | 32 => Ok(size(len)),
        _ => Err(parameter("an AES key has 16, 24 or 32 bytes")),
    }
}

impl From<&Sm2Mechanism> for proto::Sm2Mechanism {
    fn from(mechanism: &Sm2Mechanism) -> Self {
        use sm2_mechanism::Kind;
        let kind = match mechanism {
            Sm2Mechanism::SignDigest => Kind::SignDigest(NoParameters {}),
            Sm2Mechanism::SignSm3 { id } => Kind::SignSm3Id(id.clone()),
            Sm2Mechanism::SignSm3Der { id } => Kind::SignSm3DerId(id.clone()),
            Sm2Mechanism::Encrypt => Kind::Encrypt(NoParameters {}),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::Sm2Mechanism> for Sm2Mechanism {
    type Error = Error;

    fn try_from(mechanism: proto::Sm2Mechanism) -> Result<Self> {
        use sm2_mechanism::Kind;
        let checked = |id: Vec<u8>| {
            if id.len() <= MAX_ID { Ok(id) } else { Err(parameter("the identity of the signer is too long")) }
        };
        Ok(match required(mechanism.kind)? {
            Kind::SignDigest(NoParameters {}) => Self::SignDigest,
            Kind::SignSm3Id(id) => Self::SignSm3 { id: checked(id)? },
            Kind::SignSm3DerId(id) => Self::SignSm3Der { id: checked(id)? },
            Kind::Encrypt(NoParameters {}) => Self::Encrypt,
        })
    }
}

/// Longest path as text in bytes: the most steps, of the most digits.
const MAX_PATH: usize = 4096;

impl From<&HdDerivation> for proto::HdDerivation {
    fn from(how: &HdDerivation) -> Self {
        Self { curve: how.curve().number(), path: how.path().to_string() }
    }
}

impl TryFrom<proto::HdDerivation> for HdDerivation {
    type Error = Error;

    fn try_from(how: proto::HdDerivation) -> Result<Self> {
        if how.path.len() > MAX_PATH {
            return Err(parameter("the path is too long"));
        }
        Self::new(Numbered::of(how.curve)?, how.path.parse()?)
    }
}
