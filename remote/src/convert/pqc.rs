//! Mechanisms of FIPS 203 to 205.

use libkmss::error::{Error, Result};
use libkmss::mechanism::{Hedge, PqcInput, PqcMechanism, PqcSignature};

use super::{Numbered, parameter, required};
use crate::proto::{self, NoParameters, pqc_mechanism, pqc_signature};

impl From<&PqcMechanism> for proto::PqcMechanism {
    fn from(mechanism: &PqcMechanism) -> Self {
        use pqc_mechanism::Kind;
        let kind = match mechanism {
            PqcMechanism::MlKem => Kind::MlKem(NoParameters {}),
            PqcMechanism::MlDsa(signature) => Kind::MlDsa(signature.into()),
            PqcMechanism::SlhDsa(signature) => Kind::SlhDsa(signature.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::PqcMechanism> for PqcMechanism {
    type Error = Error;

    fn try_from(mechanism: proto::PqcMechanism) -> Result<Self> {
        use pqc_mechanism::Kind;
        Ok(match required(mechanism.kind)? {
            Kind::MlKem(NoParameters {}) => Self::MlKem,
            Kind::MlDsa(signature) => Self::MlDsa(signature.try_into()?),
            Kind::SlhDsa(signature) => Self::SlhDsa(signature.try_into()?),
        })
    }
}

impl From<&PqcSignature> for proto::PqcSignature {
    fn from(signature: &PqcSignature) -> Self {
        use pqc_signature::Input;
        use proto::pqc_signature::Hedge as Wire;
        let input = match signature.input {
            PqcInput::Message => Input::Message(NoParameters {}),
            PqcInput::Hashed(hash) => Input::Hashed(hash.number()),
            PqcInput::Digest(hash) => Input::Digest(hash.number()),
        };
        let hedge = match signature.hedge {
            Hedge::Preferred => Wire::Unspecified,
            Hedge::Required => Wire::Required,
            Hedge::Deterministic => Wire::Deterministic,
        };
        Self { input: Some(input), hedge: hedge.into(), context: signature.context().to_vec() }
    }
}

impl TryFrom<proto::PqcSignature> for PqcSignature {
    type Error = Error;

    fn try_from(signature: proto::PqcSignature) -> Result<Self> {
        use pqc_signature::Input;
        use proto::pqc_signature::Hedge as Wire;
        let input = match required(signature.input)? {
            Input::Message(NoParameters {}) => PqcInput::Message,
            Input::Hashed(hash) => PqcInput::Hashed(Numbered::of(hash)?),
            Input::Digest(hash) => PqcInput::Digest(Numbered::of(hash)?),
        };
        let hedge = match Wire::try_from(signature.hedge) {
            Ok(Wire::Unspecified) => Hedge::Preferred,
            Ok(Wire::Required) => Hedge::Required,
            Ok(Wire::Deterministic) => Hedge::Deterministic,
            Err(_) => return Err(parameter("the hedging of the signature is not known")),
        };
        Self::new(input, hedge, signature.context)
    }
}
