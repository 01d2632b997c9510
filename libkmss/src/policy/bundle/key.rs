//! The keys of publishers: Ed25519 (RFC 8032), and SM2 with SM3 (GB/T 32918.2).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sm2::dsa::signature::{Signer as _, Verifier as _};
use sm2::elliptic_curve::sec1::ToSec1Point as _;

use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyComponents, PublicComponents};
use crate::mechanism::{Curve, Sm2Mechanism};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::Suite;

/// Length of a signature in bytes, of both algorithms.
pub(crate) const SIGNATURE_LEN: usize = 64;
/// Length of a private key in bytes, of both algorithms.
const SECRET_LEN: usize = 32;
/// Draws until a random number is an SM2 private key; all but 2⁻³² of them are.
const DRAWS: usize = 8;

/// How a publisher signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublisherAlgorithm {
    /// Ed25519.
    Ed25519,
    /// SM2 with SM3 and the default identity, as r ‖ s.
    Sm2,
}

impl PublisherAlgorithm {
    /// The word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Sm2 => "sm2",
        }
    }

    const fn curve(self) -> Curve {
        match self {
            Self::Ed25519 => Curve::Ed25519,
            Self::Sm2 => Curve::Sm2,
        }
    }

    const fn point_len(self) -> usize {
        match self {
            Self::Ed25519 => 32,
            Self::Sm2 => 65,
        }
    }
}

/// Identity of a publisher's key: SHA-256 of its SubjectPublicKeyInfo.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for KeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::new(ErrorKind::Arguments, "the identity of a publisher is 64 hex digits");
        let mut id = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(id))
    }
}

impl serde::Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(self.0.as_slice(), s)
    }
}

impl<'de> serde::Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes: serde_bytes::ByteArray<32> = serde::Deserialize::deserialize(d)?;
        Ok(Self(bytes.into_array()))
    }
}

/// The public key of a publisher; its point was checked.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct PublisherKey {
    algorithm: PublisherAlgorithm,
    #[serde(with = "serde_bytes")]
    point: Vec<u8>,
}

/// A public key as it is stored.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    algorithm: PublisherAlgorithm,
    #[serde(with = "serde_bytes")]
    point: Vec<u8>,
}

impl TryFrom<Unchecked> for PublisherKey {
    type Error = Error;

    fn try_from(key: Unchecked) -> Result<Self> {
        Self::new(key.algorithm, key.point)
    }
}

impl PublisherKey {
    fn new(algorithm: PublisherAlgorithm, point: Vec<u8>) -> Result<Self> {
        let on_curve = algorithm == PublisherAlgorithm::Ed25519 || sm2::PublicKey::from_sec1_bytes(&point).is_ok();
        if point.len() != algorithm.point_len() || !on_curve {
            return Err(Error::new(ErrorKind::Arguments, "the public key is damaged"));
        }
        Ok(Self { algorithm, point })
    }

    /// The public half of `components`, whether they are public or private.
    ///
    /// # Errors
    /// [`ErrorKind::KeyType`] for anything but Ed25519 and SM2.
    pub fn from_components(components: &KeyComponents) -> Result<Self> {
        match components {
            KeyComponents::Public(PublicComponents::Ec { curve, point }) => {
                Self::new(algorithm_of(*curve)?, point.clone())
            }
            KeyComponents::EcPrivate { .. } => Ok(PublisherSecret::from_components(components)?.public()?),
            _ => Err(other_type()),
        }
    }

    /// The public part of a key that is kept elsewhere.
    ///
    /// # Errors
    /// As [`Self::from_components`].
    pub fn from_public(public: &PublicComponents) -> Result<Self> {
        Self::from_components(&KeyComponents::Public(public.clone()))
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> PublisherAlgorithm {
        self.algorithm
    }

    /// The key itself.
    #[must_use]
    pub fn components(&self) -> PublicComponents {
        PublicComponents::Ec { curve: self.algorithm.curve(), point: self.point.clone() }
    }

    /// Its SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) in DER.
    ///
    /// # Errors
    /// None in practice.
    pub fn spki(&self) -> Result<Vec<u8>> {
        self.components().spki().ok_or_else(|| Error::new(ErrorKind::Internal, "the public key has no encoding"))
    }

    /// Its identity.
    ///
    /// # Errors
    /// None in practice.
    pub fn id(&self) -> Result<KeyId> {
        Ok(KeyId(sha256(&self.spki()?)))
    }

    /// Whether it signed `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            PublisherAlgorithm::Ed25519 => {
                UnparsedPublicKey::new(&ED25519, &self.point).verify(message, signature).is_ok()
            }
            PublisherAlgorithm::Sm2 => {
                let key = identity().and_then(|id| sm2::dsa::VerifyingKey::from_sec1_bytes(id, &self.point).ok());
                let signature = sm2::dsa::Signature::from_slice(signature).ok();
                key.zip(signature).is_some_and(|(key, signature)| key.verify(message, &signature).is_ok())
            }
        }
    }
}

/// The private key of a publisher, outside any token.
#[derive(Debug)]
pub struct PublisherSecret {
    algorithm: PublisherAlgorithm,
    secret: Secret,
}

impl PublisherSecret {
    /// From the key of a file.
    ///
    /// # Errors
    /// [`ErrorKind::KeyType`] for anything but private Ed25519 and SM2 keys, [`ErrorKind::Arguments`] for a damaged one.
    pub fn from_components(components: &KeyComponents) -> Result<Self> {
        let KeyComponents::EcPrivate { curve, scalar } = components else { return Err(other_type()) };
        Self::new(algorithm_of(*curve)?, scalar.clone())
    }

    pub(crate) fn new(algorithm: PublisherAlgorithm, secret: Secret) -> Result<Self> {
        let key = Self { algorithm, secret };
        key.public()?;
        Ok(key)
    }

    /// A fresh key for a home of `suite`.
    pub(crate) fn generate(suite: Suite, random: &dyn Random) -> Result<Self> {
        let algorithm = match suite {
            Suite::Nist => PublisherAlgorithm::Ed25519,
            Suite::Gm => PublisherAlgorithm::Sm2,
        };
        for _ in 0..DRAWS {
            let secret = Secret::filled(SECRET_LEN, |b| random.fill(b))?;
            if let Ok(key) = Self::new(algorithm, secret) {
                return Ok(key);
            }
        }
        Err(Error::new(ErrorKind::BackendUnavailable, "the random source fails to make a key"))
    }

    pub(crate) const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Its public half.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where the bytes are no private key.
    pub fn public(&self) -> Result<PublisherKey> {
        let point = match self.algorithm {
            PublisherAlgorithm::Ed25519 => self.ed25519()?.public_key().as_ref().to_vec(),
            PublisherAlgorithm::Sm2 => self.sm2()?.public_key().to_sec1_point(false).as_bytes().to_vec(),
        };
        PublisherKey::new(self.algorithm, point)
    }

    /// Signs `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let failed = || Error::new(ErrorKind::Internal, "the signature could not be made");
        match self.algorithm {
            PublisherAlgorithm::Ed25519 => {
                Ok(self.ed25519()?.try_sign(message).map_err(|_| failed())?.as_ref().to_vec())
            }
            PublisherAlgorithm::Sm2 => {
                let id = identity().ok_or_else(failed)?;
                let key = sm2::dsa::SigningKey::new(id, &self.sm2()?).map_err(|_| failed())?;
                Ok(key.try_sign(message).map_err(|_| failed())?.to_vec())
            }
        }
    }

    fn ed25519(&self) -> Result<Ed25519KeyPair> {
        Ed25519KeyPair::from_seed_unchecked(self.secret.expose()).map_err(|_| damaged())
    }

    fn sm2(&self) -> Result<sm2::SecretKey> {
        sm2::SecretKey::from_slice(self.secret.expose()).map_err(|_| damaged())
    }
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// The signer's identity that enters SM2 digests (GM/T 0009, 10).
fn identity() -> Option<&'static str> {
    std::str::from_utf8(Sm2Mechanism::DEFAULT_ID).ok()
}

fn algorithm_of(curve: Curve) -> Result<PublisherAlgorithm> {
    match curve {
        Curve::Ed25519 => Ok(PublisherAlgorithm::Ed25519),
        Curve::Sm2 => Ok(PublisherAlgorithm::Sm2),
        _ => Err(other_type()),
    }
}

fn other_type() -> Error {
    Error::new(ErrorKind::KeyType, "bundles are signed with Ed25519 or SM2 keys")
}

fn damaged() -> Error {
    Error::new(ErrorKind::Arguments, "the private key is damaged")
}
