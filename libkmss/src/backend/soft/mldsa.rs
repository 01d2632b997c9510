//! ML-DSA (FIPS 204): hedged signatures and verification by aws-lc, signatures without randomness by RustCrypto, which
//! aws-lc does not offer.
//!
//! Messages are never kept. What is signed is the representative μ, a hash that begins with the public key's (FIPS 204,
//! algorithm 7, line 6) and grows with every part.

use std::sync::Arc;

use ml_dsa::{ExpandedSigningKey, ExpandedSigningKeyBytes, MlDsaParams};
use zeroize::Zeroizing;

use super::awslc::{MlDsa, Xof};
use super::buffer::front;
use super::prehash::{Prehash, not_a_digest};
use super::signature::invalid;
use super::wrong_key;
use crate::backend::{Signing, Verifying};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Hedge, MlDsaSet, PqcInput, PqcSignature};
use crate::secret::Secret;

/// An ML-DSA key.
pub(super) struct MlDsaKey {
    pub(super) set: MlDsaSet,
    /// What the private key was expanded from, where that is known.
    pub(super) seed: Option<Secret>,
    pub(super) public: Vec<u8>,
    pub(super) is_private: bool,
    key: MlDsa,
    /// The hash of the public key.
    tr: [u8; 64],
}

impl MlDsaKey {
    pub(super) fn from_seed(set: MlDsaSet, seed: &Secret) -> Result<Self> {
        if seed.len() != MlDsaSet::SEED {
            return Err(bad("an ML-DSA seed has 32 bytes"));
        }
        Self::new(set, MlDsa::from_private(set, seed.expose())?, Some(seed.clone()), true)
    }

    pub(super) fn from_expanded(set: MlDsaSet, key: &Secret) -> Result<Self> {
        if key.len() != set.private_len() {
            return Err(bad("the private key does not have the length of its parameter set"));
        }
        let key = MlDsa::from_private(set, key.expose()).map_err(|_| bad("this is no ML-DSA private key"))?;
        Self::new(set, key, None, true)
    }

    pub(super) fn from_public(set: MlDsaSet, key: &[u8]) -> Result<Self> {
        if key.len() != set.public_len() {
            return Err(bad("the public key does not have the length of its parameter set"));
        }
        let key = MlDsa::from_public(set, key).map_err(|_| bad("this is no ML-DSA public key"))?;
        Self::new(set, key, None, false)
    }

    fn new(set: MlDsaSet, key: MlDsa, seed: Option<Secret>, is_private: bool) -> Result<Self> {
        let public = key.public()?;
        let mut tr = [0; 64];
        let mut xof = Xof::shake256()?;
        xof.update(&public)?;
        xof.finish(&mut tr)?;
        Ok(Self { set, seed, public, is_private, key, tr })
    }

    pub(super) fn expanded(&self) -> Result<Secret> {
        if self.is_private { Ok(self.key.expanded()?) } else { Err(wrong_key()) }
    }

    fn sign(&self, mu: &[u8; 64], hedge: Hedge, out: &mut [u8]) -> Result<()> {
        if hedge != Hedge::Deterministic {
            return Ok(self.key.sign(mu, out)?);
        }
        let key = self.expanded()?;
        match self.set {
            MlDsaSet::MlDsa44 => deterministic::<ml_dsa::MlDsa44>(&key, mu, out),
            MlDsaSet::MlDsa65 => deterministic::<ml_dsa::MlDsa65>(&key, mu, out),
            MlDsaSet::MlDsa87 => deterministic::<ml_dsa::MlDsa87>(&key, mu, out),
        }
    }
}

/// A signature without randomness.
fn deterministic<P: MlDsaParams>(key: &Secret, mu: &[u8; 64], out: &mut [u8]) -> Result<()> {
    let broken = || Error::new(ErrorKind::Internal, "a private key or signature has a wrong length");
    let encoded = <&ExpandedSigningKeyBytes<P>>::try_from(key.expose()).map_err(|_| broken())?;
    // The crate warns of malformed keys. This one went through aws-lc, which computed its public key and hash anew.
    #[expect(deprecated, reason = "of an imported key nothing else may be known")]
    let key = Box::new(ExpandedSigningKey::<P>::from_expanded(encoded));
    let signature = key.sign_mu_deterministic(&(*mu).into()).encode();
    if signature.len() != out.len() {
        return Err(broken());
    }
    out.copy_from_slice(&signature);
    Ok(())
}

/// Starts a signature (`private`) or a verification.
pub(super) fn signature(key: Arc<MlDsaKey>, how: &PqcSignature, private: bool) -> Result<MlDsaOperation> {
    if private && !key.is_private {
        return Err(wrong_key());
    }
    let mut mu = Xof::shake256()?;
    mu.update(&key.tr)?;
    mu.update(&how.prefix())?;
    let input = match how.input {
        PqcInput::Message => Input::Message,
        PqcInput::Hashed(hash) => Input::Hashed(Prehash::new(hash)?),
        PqcInput::Digest(hash) => Input::Digest { missing: hash.len() },
    };
    Ok(MlDsaOperation { key, hedge: how.hedge, mu, input })
}

/// What becomes of the data while it comes in.
enum Input {
    /// It goes into μ.
    Message,
    /// It is hashed first.
    Hashed(Prehash),
    /// It is a digest, goes into μ, and lacks so many bytes.
    Digest { missing: usize },
}

/// A signature or verification under way.
pub(super) struct MlDsaOperation {
    key: Arc<MlDsaKey>,
    hedge: Hedge,
    mu: Xof,
    input: Input,
}

impl MlDsaOperation {
    fn add(&mut self, data: &[u8]) -> Result<()> {
        match &mut self.input {
            Input::Message => {}
            Input::Hashed(hash) => return hash.update(data),
            Input::Digest { missing } => *missing = missing.checked_sub(data.len()).ok_or_else(not_a_digest)?,
        }
        Ok(self.mu.update(data)?)
    }

    fn representative(&mut self) -> Result<Zeroizing<[u8; 64]>> {
        match &mut self.input {
            Input::Message | Input::Digest { missing: 0 } => {}
            Input::Digest { .. } => return Err(not_a_digest()),
            Input::Hashed(hash) => self.mu.update(&hash.finish()?)?,
        }
        let mut mu = Zeroizing::new([0; 64]);
        self.mu.finish(&mut *mu)?;
        Ok(mu)
    }
}

impl Signing for MlDsaOperation {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn signature_len(&self) -> usize {
        self.key.set.signature_len()
    }

    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let len = self.key.set.signature_len();
        let out = front(out, len)?;
        let mu = self.representative()?;
        self.key.sign(&mu, self.hedge, out)?;
        Ok(len)
    }
}

impl Verifying for MlDsaOperation {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        if signature.len() != self.key.set.signature_len() {
            return Err(Error::new(ErrorKind::SignatureLength, "the signature has a wrong length"));
        }
        let mu = self.representative()?;
        self.key.key.verify(&mu, signature).map_err(|_| invalid())
    }
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::AttributeValue, message)
}
