//! Encapsulating keys and decapsulating them.

use std::sync::Arc;

use super::{Chosen, Draft, Expected, Hall, ObjectRef, Operation, Request, Target, now};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, BackendId, Key, KeyClass, Material, Object, PublicComponents};
use crate::mechanism::{EcMechanism, EcdhKdf, Hash, KeyType, Mechanism, PqcMechanism, PqcSet};
use crate::permit::Permit;

/// Makes a secret key that the holder of a private key can make, too.
#[derive(Debug)]
pub struct Encapsulate {
    /// The public key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
    /// Type and length of the new key.
    pub expected: Expected,
    /// Its attributes.
    pub draft: Draft,
}

impl Encapsulate {
    /// How keys of this type encapsulate where nothing else is said: ML-KEM, or ECDH with a fresh key and the KDF of X9.63 with
    /// SHA-256.
    ///
    /// # Errors
    /// [`ErrorKind::KeyType`] for keys that do not.
    pub fn usual(key_type: KeyType) -> Result<Mechanism> {
        match key_type {
            KeyType::MlKem => Ok(Mechanism::Pqc(PqcMechanism::MlKem)),
            KeyType::Ec | KeyType::EcMontgomery => {
                let (kdf, public) = (EcdhKdf::X963(Hash::Sha256), Vec::new());
                Ok(Mechanism::Ec(EcMechanism::Ecdh { kdf, public, shared_info: Vec::new() }))
            }
            other => {
                let why = format!("keys of type {} encapsulate nothing", other.name());
                Err(Error::new(ErrorKind::KeyType, why))
            }
        }
    }

    /// The length in bytes of every ciphertext made by `mechanism` for `key`; `None` where they do not fit each other.
    #[must_use]
    pub fn ciphertext_len(mechanism: &Mechanism, key: &Key) -> Option<usize> {
        match (mechanism, &key.primary().ok()?.public) {
            (Mechanism::Pqc(PqcMechanism::MlKem), PublicComponents::Pqc { set: PqcSet::MlKem(set), .. }) => {
                Some(set.ciphertext_len())
            }
            (Mechanism::Ec(EcMechanism::Ecdh { .. }), PublicComponents::Ec { curve, .. }) => Some(curve.point_len()),
            _ => None,
        }
    }
}

impl Operation for Encapsulate {
    type Running = (Arc<Object>, Vec<u8>);

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Generate, Target::New(self.draft.subject()))),
            ..self.how.request(Action::Encapsulate, &self.key)
        }
    }

    /// Returns the new key and the ciphertext.
    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        self.draft.check(hall, permit, KeyClass::Secret)?;
        let backend = self.draft.maker_beside(hall, permit)?;
        let Expected { key_type, len } = self.expected;
        let (material, ciphertext) = backend.encapsulate(permit, &self.how.mechanism, key_type, len)?;
        Ok((keep(self.draft, hall, permit, backend.id(), material)?, ciphertext))
    }

    fn made((key, _): &Self::Running) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}

/// Makes the secret key of a ciphertext.
#[derive(Debug)]
pub struct Decapsulate {
    /// The private key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// Type and length of the new key.
    pub expected: Expected,
    /// Its attributes.
    pub draft: Draft,
}

impl Operation for Decapsulate {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Generate, Target::New(self.draft.subject()))),
            data_len: Some(self.ciphertext.len() as u64),
            ..self.how.request(Action::Decapsulate, &self.key)
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        self.draft.check(hall, permit, KeyClass::Secret)?;
        let backend = self.draft.maker_beside(hall, permit)?;
        let Expected { key_type, len } = self.expected;
        let material = backend.decapsulate(permit, &self.how.mechanism, &self.ciphertext, key_type, len)?;
        keep(self.draft, hall, permit, backend.id(), material)
    }

    fn made(key: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}

/// Keeps the new key. PKCS#11 3.2, 5.18.8 and 5.18.9: somebody else has it, too, so that its history counts for nothing.
fn keep(
    mut draft: Draft,
    hall: &Hall,
    permit: &Permit,
    backend: &BackendId,
    material: Material,
) -> Result<Arc<Object>> {
    let protection = draft.foreign();
    draft.comes_from(&[permit.key()?.key]);
    let namespace = permit.caller().namespace.id;
    let claims = draft.claims.clone();
    let key = draft.key(namespace, backend, KeyClass::Secret, protection, material, now(permit));
    claims.check(&key)?;
    hall.keep(permit, key)
}
