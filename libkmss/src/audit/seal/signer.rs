//! The private key of an epoch, in memory.

use audit_proof::key::SM2_IDENTITY;
use audit_proof::{Algorithm, Checkpoint, Note, NoteSignature, ProofError, VerifierKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use sm2::dsa::signature::Signer as _;
use sm2::elliptic_curve::sec1::ToSec1Point as _;

use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::Suite;

/// Length of a private key in bytes, of both algorithms.
const SECRET_LEN: usize = 32;
/// Draws until a random number is an SM2 private key; all but 2⁻³² of them are.
const DRAWS: usize = 8;

/// How keys of homes of this suite sign.
pub(super) const fn algorithm(suite: Suite) -> Algorithm {
    match suite {
        Suite::Nist => Algorithm::Ed25519,
        Suite::Gm => Algorithm::Sm2,
    }
}

/// A key that signs checkpoints.
pub(super) struct Signer {
    public: VerifierKey,
    secret: Secret,
}

impl Signer {
    /// A fresh key for the log `origin`.
    pub(super) fn generate(suite: Suite, origin: &str, random: &dyn Random) -> Result<Self> {
        for _ in 0..DRAWS {
            let secret = Secret::filled(SECRET_LEN, |b| random.fill(b))?;
            if let Ok(key) = Self::new(suite, origin, secret) {
                return Ok(key);
            }
        }
        Err(Error::new(ErrorKind::BackendUnavailable, "the random source fails to make an audit key"))
    }

    /// The key whose secret this is.
    pub(super) fn new(suite: Suite, origin: &str, secret: Secret) -> Result<Self> {
        let algorithm = algorithm(suite);
        let point = match algorithm {
            Algorithm::Sm2 => sm2(&secret)?.public_key().to_sec1_point(false).as_bytes().to_vec(),
            Algorithm::Ed25519 | Algorithm::Cosignature => ed25519(&secret)?.public_key().as_ref().to_vec(),
        };
        let public = VerifierKey::new(origin, algorithm, &point).map_err(unfit)?;
        Ok(Self { public, secret })
    }

    pub(super) const fn public(&self) -> &VerifierKey {
        &self.public
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Signs a checkpoint.
    pub(super) fn sign(&self, checkpoint: &Checkpoint) -> Result<Note> {
        let mut note = Note::new(checkpoint.text()).map_err(unfit)?;
        let message = note.text().as_bytes();
        let failed = || Error::new(ErrorKind::Internal, "the checkpoint could not be signed");
        let signature = match self.public.algorithm() {
            Algorithm::Sm2 => {
                let key = sm2::dsa::SigningKey::new(SM2_IDENTITY, &sm2(&self.secret)?).map_err(|_| failed())?;
                let signature: sm2::dsa::Signature = key.try_sign(message).map_err(|_| failed())?;
                signature.to_vec()
            }
            Algorithm::Ed25519 | Algorithm::Cosignature => {
                ed25519(&self.secret)?.try_sign(message).map_err(|_| failed())?.as_ref().to_vec()
            }
        };
        note.add(NoteSignature { name: self.public.name().to_owned(), id: self.public.id(), signature });
        Ok(note)
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}

fn ed25519(secret: &Secret) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(secret.expose()).map_err(|_| damaged())
}

fn sm2(secret: &Secret) -> Result<sm2::SecretKey> {
    sm2::SecretKey::from_slice(secret.expose()).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::new(ErrorKind::Damaged, "the audit's private key is damaged")
}

fn unfit(error: ProofError) -> Error {
    Error::new(ErrorKind::Arguments, "the name of the audit log does not do: use letters, digits and `-_./`")
        .with_source(error)
}
