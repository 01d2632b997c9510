//! A private key in a token, as rcgen signs with it.

use std::cell::OnceCell;
use std::sync::Arc;

use libkmss::key::{Object, PublicComponents};
use libkmss::mechanism::{Curve, EcMechanism, Hash, Mechanism, RsaMechanism};
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::UintRef;

use crate::objects::Objects;
use crate::output::Failure;

/// A signing key that stays where it is.
pub(super) struct TokenKey<'a> {
    objects: &'a dyn Objects,
    object: &'a Arc<Object>,
    public: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
    mechanism: Mechanism,
    /// Why the token refused: rcgen's error has no room for it.
    refusal: OnceCell<String>,
}

impl<'a> TokenKey<'a> {
    /// The private key `object`.
    ///
    /// # Errors
    /// X.509 signatures by its type are not offered.
    pub(super) fn new(objects: &'a dyn Objects, object: &'a Arc<Object>) -> Result<Self, Failure> {
        let version = object.key().ok_or("the object is no key")?.primary()?;
        let hashed = |hash| Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) });
        let (algorithm, mechanism, public) = match &version.public {
            PublicComponents::Rsa { modulus, exponent } => {
                let rsa = Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha256));
                (&rcgen::PKCS_RSA_SHA256, rsa, rsa_public_key(modulus, exponent)?)
            }
            PublicComponents::Ec { curve: Curve::P256, point } => {
                (&rcgen::PKCS_ECDSA_P256_SHA256, hashed(Hash::Sha256), point.clone())
            }
            PublicComponents::Ec { curve: Curve::P384, point } => {
                (&rcgen::PKCS_ECDSA_P384_SHA384, hashed(Hash::Sha384), point.clone())
            }
            PublicComponents::Ec { curve: Curve::P521, point } => {
                (&rcgen::PKCS_ECDSA_P521_SHA512, hashed(Hash::Sha512), point.clone())
            }
            PublicComponents::Ec { curve: Curve::Ed25519, point } => {
                (&rcgen::PKCS_ED25519, Mechanism::Ec(EcMechanism::PURE_EDDSA), point.clone())
            }
            PublicComponents::Ec { curve, .. } => {
                return Err(format!("certificates for {} keys are not offered", curve.name()).into());
            }
            PublicComponents::Dh { .. } | PublicComponents::Pqc { .. } => {
                let kind = object.key().map_or("these", |key| key.key_type.name());
                return Err(format!("certificates for {kind} keys are not offered").into());
            }
            PublicComponents::None => return Err("a secret key cannot sign certificates".into()),
        };
        Ok(Self { objects, object, public, algorithm, mechanism, refusal: OnceCell::new() })
    }
}

impl TokenKey<'_> {
    /// What to say where rcgen failed with this key.
    pub(super) fn failure(&self, error: rcgen::Error) -> Failure {
        self.refusal.get().map_or_else(|| error.into(), |refusal| refusal.as_str().into())
    }
}

impl PublicKeyData for TokenKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for TokenKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let remote = |e: &dyn std::fmt::Display| {
            let _ = self.refusal.set(format!("the token refused to sign: {e}"));
            rcgen::Error::RemoteKeyError
        };
        let raw = self.objects.sign(self.object, &self.mechanism, message).map_err(|e| remote(&e))?;
        match &self.mechanism {
            Mechanism::Ec(EcMechanism::Ecdsa { .. }) => ecdsa_der(&raw).map_err(|e| remote(&e)),
            _ => Ok(raw),
        }
    }
}

/// RSAPublicKey (RFC 8017, A.1.1).
fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, Failure> {
    Ok(integers(modulus, exponent)?)
}

/// ECDSA-Sig-Value (RFC 3279, 2.2.3) of r ‖ s, which SM2 shares.
///
/// # Errors
/// The halves are no integers.
pub(super) fn ecdsa_der(raw: &[u8]) -> x509_cert::der::Result<Vec<u8>> {
    let (r, s) = raw.split_at(raw.len() / 2);
    integers(r, s)
}

fn integers(a: &[u8], b: &[u8]) -> x509_cert::der::Result<Vec<u8>> {
    vec![UintRef::new(a)?, UintRef::new(b)?].to_der()
}
