//! Keys on secp256k1 (SEC 2, 2.4.1) by RustCrypto's `k256`, which signs several times faster than aws-lc on this curve.

use std::sync::Arc;

use k256::ecdsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use k256::elliptic_curve::Generate;
use k256::pkcs8::EncodePrivateKey;
use k256::{PublicKey, ecdh};
use zeroize::Zeroizing;

use super::rng::CryptoRng;
use super::signature::{Input, Scheme, SignatureOperation, invalid};
use super::{parameter, wrong_key};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Curve, Hash, LedgerDigest};
use crate::secret::Secret;

/// Length of a scalar and of a coordinate.
const HALF: usize = 32;

/// A public key on secp256k1, perhaps with its private key.
pub(super) struct K256Key {
    secret: Option<SigningKey>,
    public: VerifyingKey,
}

impl K256Key {
    pub(super) fn generate() -> Result<Self> {
        SigningKey::try_generate_from_rng(&mut CryptoRng)
            .map(Self::from_secret)
            .map_err(|e| Error::new(ErrorKind::BackendUnavailable, "no secp256k1 key could be made").with_source(e))
    }

    pub(super) fn from_scalar(scalar: &Secret) -> Result<Self> {
        let bad = |_| Error::new(ErrorKind::AttributeValue, "the scalar is not a private key on secp256k1");
        SigningKey::from_slice(scalar.expose()).map(Self::from_secret).map_err(bad)
    }

    /// From an encoded point (SEC 1, 2.3.3), compressed or not, which must be on the curve.
    pub(super) fn from_point(point: &[u8]) -> Result<Self> {
        let bad = |_| Error::new(ErrorKind::AttributeValue, "the point is not on secp256k1");
        VerifyingKey::from_sec1_bytes(point).map(|public| Self { secret: None, public }).map_err(bad)
    }

    fn from_secret(secret: SigningKey) -> Self {
        Self { public: *secret.verifying_key(), secret: Some(secret) }
    }

    pub(super) fn point(&self) -> Vec<u8> {
        self.public.to_sec1_point(false).as_bytes().to_vec()
    }

    pub(super) fn scalar(&self) -> Result<Secret> {
        Ok(Secret::copy_of(Zeroizing::new(<[u8; HALF]>::from(self.secret()?.to_bytes())).as_slice()))
    }

    pub(super) fn to_pkcs8(&self) -> Result<Secret> {
        let der = self.secret()?.to_pkcs8_der();
        let der = der.map_err(|_| Error::new(ErrorKind::Internal, "a secp256k1 key could not be encoded"))?;
        Ok(Secret::copy_of(der.as_bytes()))
    }

    pub(super) const fn is_private(&self) -> bool {
        self.secret.is_some()
    }

    fn secret(&self) -> Result<&SigningKey> {
        self.secret.as_ref().ok_or_else(wrong_key)
    }

    /// The x coordinate shared with the owner of `peer`, a point as [`Self::from_point`] takes it.
    pub(super) fn agree(&self, peer: &[u8]) -> Result<Secret> {
        let bad = |_| parameter("the other side's public point is not on the key's curve");
        let secret = self.secret()?;
        let peer = PublicKey::from_sec1_bytes(peer).map_err(bad)?;
        let shared = ecdh::diffie_hellman(secret.as_nonzero_scalar(), peer.as_affine());
        Ok(Secret::copy_of(shared.raw_secret_bytes()))
    }
}

/// Starts an ECDSA signature (`private`) or a verification.
pub(super) fn signature(
    key: Arc<K256Key>,
    hash: Option<Hash>,
    private: bool,
) -> Result<SignatureOperation<Arc<K256Key>>> {
    if private && !key.is_private() {
        return Err(wrong_key());
    }
    let input = match hash {
        Some(hash) => Input::hashed(hash),
        None => Input::leading(Curve::Secp256k1.field_len()),
    };
    Ok(SignatureOperation::new(key, input))
}

impl Scheme for Arc<K256Key> {
    fn len(&self) -> usize {
        2 * HALF
    }

    /// The nonce is RFC 6979's with random bytes mixed in (3.6): neither a bad generator nor a fault alone betrays the key.
    fn sign(&self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        let failed = |_| Error::new(ErrorKind::Internal, "the secp256k1 signature failed");
        let signature: Signature =
            self.secret()?.sign_prehash_with_rng(&mut CryptoRng, &prehash(data)).map_err(failed)?;
        out.copy_from_slice(&signature.to_bytes());
        Ok(out.len())
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        // The crate takes the lower of s and n − s alone, as Bitcoin does; to FIPS 186-5 both are right.
        let signature = Signature::from_slice(signature).map_err(|_| invalid())?.normalize_s();
        self.public.verify_prehash(&prehash(data), &signature).map_err(|_| invalid())
    }
}

/// A key that signs as ledgers take it.
pub(super) struct Ledger {
    key: Arc<K256Key>,
    recoverable: bool,
}

/// Starts a signature for a ledger (`private`) or a verification of one.
pub(super) fn for_ledger(
    key: Arc<K256Key>,
    digest: LedgerDigest,
    recoverable: bool,
    private: bool,
) -> Result<SignatureOperation<Ledger>> {
    if private && !key.is_private() {
        return Err(wrong_key());
    }
    let input = match digest {
        LedgerDigest::Keccak256 => Input::Keccak(Box::default()),
        LedgerDigest::Sha256 => Input::hashed(Hash::Sha256),
        LedgerDigest::Ready => Input::kept(HALF),
    };
    Ok(SignatureOperation::new(Ledger { key, recoverable }, input))
}

impl Scheme for Ledger {
    fn len(&self) -> usize {
        2 * HALF + usize::from(self.recoverable)
    }

    /// As without a ledger; the crate takes the lower s on this curve, and turns v with it.
    fn sign(&self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        let failed = |_| Error::new(ErrorKind::Internal, "the secp256k1 signature failed");
        let digest = whole(data)?;
        let made = self.key.secret()?.sign_prehash_recoverable_with_rng(&mut CryptoRng, digest).map_err(failed)?;
        let (signature, v): (Signature, RecoveryId) = made;
        let bytes = signature.to_bytes();
        let all = bytes.iter().copied().chain(self.recoverable.then_some(v.to_byte()));
        out.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        Ok(out.len())
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        let digest = whole(data)?;
        let (halves, v) = signature.split_at_checked(2 * HALF).ok_or_else(invalid)?;
        let signature = Signature::from_slice(halves).map_err(|_| invalid())?;
        if signature.normalize_s() != signature {
            return Err(invalid());
        }
        self.key.public.verify_prehash(digest, &signature).map_err(|_| invalid())?;
        let Some(v) = v.first() else { return Ok(()) };
        let v = RecoveryId::from_byte(*v).ok_or_else(invalid)?;
        match VerifyingKey::recover_from_prehash(digest, &signature, v) {
            Ok(key) if key == self.key.public => Ok(()),
            _ => Err(invalid()),
        }
    }
}

fn whole(digest: &[u8]) -> Result<&[u8]> {
    if digest.len() == HALF {
        return Ok(digest);
    }
    Err(Error::new(ErrorKind::DataLength, "a digest that is signed for a ledger has 32 bytes"))
}

/// The leading bits of a hash, as many as the order has; a shorter one as the same number (FIPS 186-5, 6.4.1).
fn prehash(data: &[u8]) -> [u8; HALF] {
    let mut number = [0; HALF];
    let data = data.get(..HALF).unwrap_or(data);
    if let Some(tail) = number.get_mut(HALF - data.len()..) {
        tail.copy_from_slice(data);
    }
    number
}
