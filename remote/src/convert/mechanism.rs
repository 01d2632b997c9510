//! Mechanisms.

use libkmss::error::{Error, Result};
use libkmss::mechanism::{DhMechanism, Mechanism};

use super::{Numbered, parameter, required, unknown};
use crate::proto::{self, dh_mechanism, mechanism::Kind};

/// Longest public value of Diffie-Hellman in bytes: that of the largest group.
const MAX_DH: usize = 1024;

impl From<&Mechanism> for proto::Mechanism {
    fn from(mechanism: &Mechanism) -> Self {
        let kind = match mechanism {
            Mechanism::Generate(key_type) => Kind::Generate(key_type.number()),
            Mechanism::Digest(hash) => Kind::Digest(hash.number()),
            Mechanism::Rsa(rsa) => Kind::Rsa(rsa.into()),
            Mechanism::Ec(ec) => Kind::Ec(ec.into()),
            Mechanism::Sm2(sm2) => Kind::Sm2(sm2.into()),
            Mechanism::Cipher(cipher, mode) => Kind::Cipher((*cipher, mode).into()),
            Mechanism::ChaCha20Poly1305(parameters) => Kind::Chacha20Poly1305(parameters.into()),
            Mechanism::Mac(mac) => Kind::Mac(mac.into()),
            Mechanism::Kdf(kdf) => Kind::Kdf(kdf.into()),
            Mechanism::Dh(DhMechanism::Derive { public }) => {
                Kind::Dh(proto::DhMechanism { kind: Some(dh_mechanism::Kind::DerivePublic(public.clone())) })
            }
            Mechanism::Tls(tls) => Kind::Tls(tls.into()),
            Mechanism::Pqc(pqc) => Kind::Pqc(pqc.into()),
            Mechanism::Ff1(ff1) => Kind::Ff1(ff1.into()),
            Mechanism::Hd(hd) => Kind::Hd(hd.into()),
            Mechanism::Native(native) => Kind::Native(native.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::Mechanism> for Mechanism {
    type Error = Error;

    fn try_from(mechanism: proto::Mechanism) -> Result<Self> {
        let kind = mechanism.kind.ok_or_else(|| unknown("the mechanism is missing, or one that is not known here"))?;
        Ok(match kind {
            Kind::Generate(key_type) => Self::Generate(Numbered::of(key_type)?),
            Kind::Digest(hash) => Self::Digest(Numbered::of(hash)?),
            Kind::Rsa(rsa) => Self::Rsa(rsa.try_into()?),
            Kind::Ec(ec) => Self::Ec(ec.try_into()?),
            Kind::Sm2(sm2) => Self::Sm2(sm2.try_into()?),
            Kind::Cipher(cipher) => {
                let (cipher, mode) = cipher.try_into()?;
                Self::Cipher(cipher, mode)
            }
            Kind::Chacha20Poly1305(parameters) => Self::ChaCha20Poly1305(parameters.try_into()?),
            Kind::Mac(mac) => Self::Mac(mac.try_into()?),
            Kind::Kdf(kdf) => Self::Kdf(kdf.try_into()?),
            Kind::Dh(dh) => match required(dh.kind)? {
                dh_mechanism::Kind::DerivePublic(public) if public.len() <= MAX_DH => {
                    Self::Dh(DhMechanism::Derive { public })
                }
                dh_mechanism::Kind::DerivePublic(_) => return Err(parameter("the public value is too long")),
            },
            Kind::Tls(tls) => Self::Tls(tls.try_into()?),
            Kind::Pqc(pqc) => Self::Pqc(pqc.try_into()?),
            Kind::Ff1(ff1) => Self::Ff1(ff1.try_into()?),
            Kind::Hd(hd) => Self::Hd(hd.try_into()?),
            Kind::Native(native) => Self::Native(native.try_into()?),
        })
    }
}
