//! Ed25519 (RFC 8032) and X25519 (RFC 7748).

use std::sync::Arc;

use super::awslc::{Ed25519Key, Ed25519Variant, ed25519_verify, x25519_agree, x25519_public};
use super::signature::{Input, Scheme, SignatureOperation, invalid};
use super::{parameter, wrong_key};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{EcMechanism, Hash};
use crate::secret::Secret;

/// Longest message of the pure schemes in bytes: they read it twice, so that it is kept.
pub(super) const MAX_MESSAGE: usize = 1 << 28;

/// Which of the schemes of RFC 8032 is wanted.
pub(super) struct Variant {
    pub(super) prehash: bool,
    pub(super) context: Vec<u8>,
}

impl Variant {
    /// Checked parameters.
    pub(super) fn new(prehash: bool, context: &[u8]) -> Result<Self> {
        if context.len() > EcMechanism::MAX_CONTEXT {
            return Err(parameter("the context of EdDSA has at most 255 bytes"));
        }
        Ok(Self { prehash, context: context.to_vec() })
    }
}

/// An Ed25519 key.
pub(super) struct EdKey {
    pub(super) pair: Option<Ed25519Key>,
    pub(super) public: [u8; 32],
}

impl EdKey {
    pub(super) fn from_seed(seed: &Secret) -> Result<Self> {
        let pair = Ed25519Key::from_seed(bytes32(seed.expose())?);
        Ok(Self { public: *pair.public(), pair: Some(pair) })
    }

    pub(super) fn from_public(public: &[u8]) -> Result<Self> {
        Ok(Self { pair: None, public: *bytes32(public)? })
    }
}

/// An Ed25519 key with the variant of the scheme.
pub(super) struct Ed25519 {
    key: Arc<EdKey>,
    variant: Variant,
}

/// Starts a signature (`private`) or a verification.
pub(super) fn signature(key: Arc<EdKey>, variant: Variant, private: bool) -> Result<SignatureOperation<Ed25519>> {
    if private && key.pair.is_none() {
        return Err(wrong_key());
    }
    let input = if variant.prehash { Input::hashed(Hash::Sha512) } else { Input::kept(MAX_MESSAGE) };
    Ok(SignatureOperation::new(Ed25519 { key, variant }, input))
}

impl Ed25519 {
    /// Ed25519ctx with an empty context is not Ed25519 (RFC 8032, 5.1); whoever names none means the latter.
    fn variant(&self) -> Ed25519Variant<'_> {
        match (self.variant.prehash, self.variant.context.as_slice()) {
            (true, context) => Ed25519Variant::Prehashed(context),
            (false, []) => Ed25519Variant::Pure,
            (false, context) => Ed25519Variant::Context(context),
        }
    }
}

impl Scheme for Ed25519 {
    fn len(&self) -> usize {
        64
    }

    fn sign(&self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        let signature = self.key.pair.as_ref().ok_or_else(wrong_key)?.sign(self.variant(), data)?;
        out.copy_from_slice(&signature);
        Ok(signature.len())
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        let signature = signature.try_into().map_err(|_| invalid())?;
        ed25519_verify(&self.key.public, self.variant(), data, signature).map_err(|_| invalid())
    }
}

/// An X25519 key.
pub(super) struct XKey {
    pub(super) private: Option<Secret>,
    pub(super) public: [u8; 32],
}

impl XKey {
    pub(super) fn from_private(private: &Secret) -> Result<Self> {
        let public = x25519_public(bytes32(private.expose())?);
        Ok(Self { private: Some(private.clone()), public })
    }

    pub(super) fn from_public(public: &[u8]) -> Result<Self> {
        Ok(Self { private: None, public: *bytes32(public)? })
    }

    /// The shared secret with the owner of `peer`.
    pub(super) fn agree(&self, peer: &[u8]) -> Result<Secret> {
        let private = self.private.as_ref().ok_or_else(wrong_key)?;
        let bad = || parameter("the other side's public value is not acceptable");
        let peer = peer.try_into().map_err(|_| bad())?;
        x25519_agree(bytes32(private.expose())?, peer).map_err(|_| bad())
    }
}

fn bytes32(bytes: &[u8]) -> Result<&[u8; 32]> {
    bytes.try_into().map_err(|_| Error::new(ErrorKind::AttributeValue, "the key does not have 32 bytes"))
}
