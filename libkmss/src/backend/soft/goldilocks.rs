//! Ed448 (RFC 8032, 5.2) and X448 (RFC 7748, 5) by RustCrypto's `ed448-goldilocks` and `x448`.

use std::sync::Arc;

use ed448_goldilocks::shake::Shake256;
use ed448_goldilocks::shake::digest::{ExtendableOutput, Update, XofReader};
use ed448_goldilocks::{CompressedEdwardsY, EdwardsScalarBytes, PreHash, Signature, SigningKey, VerifyingKey};
use k256::pkcs8::der::asn1::OctetStringRef;
use k256::pkcs8::der::{Decode, Encode};
use k256::pkcs8::spki::AlgorithmIdentifier;
use k256::pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::edwards::{MAX_MESSAGE, Variant};
use super::signature::{Input, Scheme, SignatureOperation, invalid};
use super::{parameter, wrong_key};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::Curve;
use crate::secret::Secret;

/// Length of a seed and of a public key of Ed448.
const ED: usize = 57;
/// Length of a private and of a public value of X448.
const X: usize = 56;
/// Length of the prehash of Ed448ph (RFC 8032, 5.2).
const PREHASH: usize = 64;

/// An Ed448 key.
pub(super) struct Ed448Key {
    pair: Option<SigningKey>,
    public: VerifyingKey,
}

impl Ed448Key {
    pub(super) fn from_seed(seed: &Secret) -> Result<Self> {
        let seed = Zeroizing::new(sized::<ED>(seed.expose())?);
        let mut bytes = EdwardsScalarBytes::from(*seed);
        let pair = SigningKey::from(&bytes);
        zeroize::Zeroize::zeroize(bytes.as_mut_slice());
        Ok(Self { public: pair.verifying_key(), pair: Some(pair) })
    }

    pub(super) fn from_public(public: &[u8]) -> Result<Self> {
        let bad = || Error::new(ErrorKind::AttributeValue, "these bytes are not a public key of Ed448");
        let bytes = sized::<ED>(public)?;
        let public = VerifyingKey::from_bytes(&bytes).ok().filter(|_| is_canonical(&bytes)).ok_or_else(bad)?;
        Ok(Self { pair: None, public })
    }

    pub(super) fn public(&self) -> Vec<u8> {
        self.public.as_bytes().to_vec()
    }

    pub(super) fn seed(&self) -> Result<Secret> {
        Ok(Secret::copy_of(self.pair()?.as_bytes()))
    }

    pub(super) const fn is_private(&self) -> bool {
        self.pair.is_some()
    }

    fn pair(&self) -> Result<&SigningKey> {
        self.pair.as_ref().ok_or_else(wrong_key)
    }
}

/// An Ed448 key with the variant of the scheme.
pub(super) struct Ed448 {
    key: Arc<Ed448Key>,
    variant: Variant,
}

/// Starts a signature (`private`) or a verification.
pub(super) fn signature(key: Arc<Ed448Key>, variant: Variant, private: bool) -> Result<SignatureOperation<Ed448>> {
    if private && !key.is_private() {
        return Err(wrong_key());
    }
    let input = if variant.prehash { Input::Shake(Box::default()) } else { Input::kept(MAX_MESSAGE) };
    Ok(SignatureOperation::new(Ed448 { key, variant }, input))
}

impl Scheme for Ed448 {
    fn len(&self) -> usize {
        2 * ED
    }

    fn sign(&self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        let (pair, context) = (self.key.pair()?, self.variant.context.as_slice());
        let signature = if self.variant.prehash {
            pair.sign_prehashed(Some(context), Ready(data))
        } else {
            pair.sign_ctx(context, data)
        };
        let signature = signature.map_err(|_| Error::new(ErrorKind::Internal, "the Ed448 signature failed"))?;
        out.copy_from_slice(&signature.to_bytes());
        Ok(out.len())
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        let (key, context) = (self.key.public, self.variant.context.as_slice());
        let signature = Signature::from_slice(signature).map_err(|_| invalid())?;
        if !is_canonical(signature.r_bytes()) {
            return Err(invalid());
        }
        if self.variant.prehash {
            key.verify_prehashed(&signature, Some(context), Ready(data))
        } else {
            key.verify_ctx(&signature, context, data)
        }
        .map_err(|_| invalid())
    }
}

/// Whether a point is encoded as RFC 8032, 5.2.2 and 5.2.3 say. The crate ignores the unused bits of the last byte, and
/// values not below p.
fn is_canonical(point: &[u8; ED]) -> bool {
    let decoded = CompressedEdwardsY(*point).decompress().into_option();
    decoded.is_some_and(|decoded| decoded.compress().as_bytes() == point)
}

/// A prehash that was computed before.
struct Ready<'a>(&'a [u8]);

impl PreHash for Ready<'_> {
    fn fill_bytes(&mut self, out: &mut [u8]) {
        for (to, from) in out.iter_mut().zip(self.0) {
            *to = *from;
        }
    }
}

/// The prehash of Ed448ph while the message comes in.
#[derive(Default)]
pub(super) struct Shake(Shake256);

impl Shake {
    pub(super) fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    pub(super) fn finish(&mut self) -> [u8; PREHASH] {
        let mut out = [0; PREHASH];
        std::mem::take(&mut self.0).finalize_xof().read(&mut out);
        out
    }
}

/// An X448 key.
pub(super) struct X448Key {
    private: Option<Secret>,
    public: [u8; X],
}

impl X448Key {
    pub(super) fn from_private(private: &Secret) -> Result<Self> {
        let scalar = Zeroizing::new(sized::<X>(private.expose())?);
        let public = x448::x448_unchecked(*scalar, x448::X448_BASEPOINT_BYTES);
        Ok(Self { private: Some(private.clone()), public })
    }

    pub(super) fn from_public(public: &[u8]) -> Result<Self> {
        Ok(Self { private: None, public: sized(public)? })
    }

    pub(super) fn public(&self) -> Vec<u8> {
        self.public.to_vec()
    }

    pub(super) fn private(&self) -> Result<&Secret> {
        self.private.as_ref().ok_or_else(wrong_key)
    }

    pub(super) const fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The shared secret with the owner of `peer`; fails where it is all zero (RFC 7748, 6.2).
    pub(super) fn agree(&self, peer: &[u8]) -> Result<Secret> {
        let bad = || parameter("the other side's public value is not acceptable");
        let scalar = Zeroizing::new(sized::<X>(self.private()?.expose())?);
        let peer = peer.try_into().map_err(|_| bad())?;
        let shared = Zeroizing::new(x448::x448_unchecked(*scalar, peer));
        if shared.ct_eq(&[0; X]).into() { Err(bad()) } else { Ok(Secret::copy_of(shared.as_slice())) }
    }
}

/// A seed of Ed448 or X448 as PKCS #8 (RFC 8410, section 7).
pub(super) fn seed_to_pkcs8(curve: Curve, seed: &Secret) -> Result<Secret> {
    let failed = || Error::new(ErrorKind::Internal, "a private key could not be encoded");
    let oid = ObjectIdentifier::new(curve.oid()).map_err(|_| failed())?;
    let inner = OctetStringRef::new(seed.expose()).and_then(|seed| seed.to_der()).map(Zeroizing::new);
    let inner = inner.map_err(|_| failed())?;
    let algorithm = AlgorithmIdentifier { oid, parameters: None };
    let info = OctetStringRef::new(&inner).map(|key| PrivateKeyInfoRef::new(algorithm, key));
    let der = info.and_then(|info| info.to_der()).map(Zeroizing::new).map_err(|_| failed())?;
    Ok(Secret::copy_of(&der))
}

/// The curve and seed of a PKCS #8 structure of Ed448 or X448 and nothing behind it; `None` for anything else.
pub(super) fn seed_from_pkcs8(der: &[u8]) -> Option<(Curve, Secret)> {
    let info = PrivateKeyInfoRef::from_der(der).ok()?;
    let named = |curve: &Curve| ObjectIdentifier::new(curve.oid()).is_ok_and(|oid| oid == info.algorithm.oid);
    let curve = [Curve::Ed448, Curve::X448].into_iter().find(named)?;
    let seed = <&OctetStringRef>::from_der(info.private_key.as_bytes()).ok()?.as_bytes();
    let whole = info.algorithm.parameters.is_none() && seed.len() == curve.field_len();
    whole.then(|| (curve, Secret::copy_of(seed)))
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::new(ErrorKind::AttributeValue, "the key does not have the length of its curve"))
}
