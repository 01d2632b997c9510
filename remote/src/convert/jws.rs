//! JSON Web Signatures.

use libkmss::error::Result;
use libkmss::jose::JwsAlgorithm;

use super::parameter;
use crate::proto;

/// The number of an algorithm in messages.
#[must_use]
pub fn jws_algorithm_number(algorithm: JwsAlgorithm) -> i32 {
    let number = match algorithm {
        JwsAlgorithm::Rs256 => proto::JwsAlgorithm::Rs256,
        JwsAlgorithm::Rs384 => proto::JwsAlgorithm::Rs384,
        JwsAlgorithm::Rs512 => proto::JwsAlgorithm::Rs512,
        JwsAlgorithm::Ps256 => proto::JwsAlgorithm::Ps256,
        JwsAlgorithm::Ps384 => proto::JwsAlgorithm::Ps384,
        JwsAlgorithm::Ps512 => proto::JwsAlgorithm::Ps512,
        JwsAlgorithm::Es256 => proto::JwsAlgorithm::Es256,
        JwsAlgorithm::Es384 => proto::JwsAlgorithm::Es384,
        JwsAlgorithm::Es512 => proto::JwsAlgorithm::Es512,
        JwsAlgorithm::Es256K => proto::JwsAlgorithm::Es256k,
        JwsAlgorithm::EdDsa => proto::JwsAlgorithm::Eddsa,
    };
    number.into()
}

/// The algorithm of a number; `None` where the key's usual one is meant.
///
/// # Errors
/// [`MechanismParameter`](libkmss::error::ErrorKind::MechanismParameter) for one that is not known here.
pub fn jws_algorithm(number: i32) -> Result<Option<JwsAlgorithm>> {
    if number == proto::JwsAlgorithm::Unspecified as i32 {
        return Ok(None);
    }
    let known = JwsAlgorithm::ALL.into_iter().find(|algorithm| jws_algorithm_number(*algorithm) == number);
    known.map(Some).ok_or_else(|| parameter("the algorithm is not known here"))
}
