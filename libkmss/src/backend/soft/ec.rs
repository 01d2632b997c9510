//! ECDSA (FIPS 186-5) on the NIST curves, and key agreement on all (SP 800-56A, RFC 7748).

use std::sync::Arc;

use super::awslc::EcKey;
use super::keys::Parsed;
use super::signature::{Input, Scheme, SignatureOperation, invalid};
use super::{parameter, wrong_key};
use crate::error::Result;
use crate::mechanism::Hash;
use crate::secret::Secret;

/// An EC key as ECDSA uses it.
pub(super) struct Ecdsa(Arc<EcKey>);

/// Starts a signature (`private`) or a verification.
pub(super) fn signature(key: Arc<EcKey>, hash: Option<Hash>, private: bool) -> Result<SignatureOperation<Ecdsa>> {
    if private && !key.is_private() {
        return Err(wrong_key());
    }
    let input = match hash {
        Some(hash) => Input::hashed(hash),
        // FIPS 186-5, 6.4.1: of a longer hash the leading bits count, as many as the order has.
        None => Input::leading(key.curve().field_len()),
    };
    Ok(SignatureOperation::new(Ecdsa(key), input))
}

impl Scheme for Ecdsa {
    fn len(&self) -> usize {
        2 * self.0.curve().field_len()
    }

    fn sign(&self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        Ok(self.0.sign(data, out)?)
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        self.0.verify(data, signature).map_err(|_| invalid())
    }
}

/// The secret shared with the owner of `peer`, a point as [`crate::mechanism::Curve::point_len`] describes it (on Weierstrass curves it may
/// be compressed).
pub(super) fn agreed(key: &Parsed, peer: &[u8]) -> Result<Secret> {
    match key {
        Parsed::Ec(key) if key.is_private() => {
            key.agree(peer).map_err(|_| parameter("the other side's public point is not on the key's curve"))
        }
        Parsed::K256(key) => key.agree(peer),
        Parsed::X(key) => key.agree(peer),
        Parsed::X448(key) => key.agree(peer),
        _ => Err(wrong_key()),
    }
}
