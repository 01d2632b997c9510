//! Data keys: keys for whoever encrypts or signs on its own, given out in clear and encrypted under a key of ours. Nothing of them
//! is kept here.

use super::message::{chosen, sealed};
use super::{Chosen, Hall, ObjectRef, Operation, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, KeySpec, weakness_of_spec};
use crate::mechanism::{EncryptionContext, NativeAlgorithm};
use crate::permit::Permit;
use crate::secret::Secret;

/// What records of pairs say, and under which name policies are told of their type.
const TAG: &str = "data-key-pair";

/// Makes a data key.
#[derive(Debug)]
pub struct GenerateDataKey {
    key: ObjectRef,
    how: Chosen,
    len: usize,
}

/// A data key.
#[derive(Debug)]
pub struct DataKey {
    /// The key itself.
    pub plaintext: Secret,
    /// The same in our own format, to be kept beside what it encrypts.
    pub ciphertext: Vec<u8>,
}

impl GenerateDataKey {
    /// The usual length in bytes.
    pub const USUAL: usize = 32;
    /// The shortest and the longest.
    const LENGTHS: std::ops::RangeInclusive<usize> = 16..=1024;

    /// A data key of `len` bytes, 16 to 1024, encrypted under `key` with `context`.
    #[must_use]
    pub fn new(key: ObjectRef, algorithm: NativeAlgorithm, context: EncryptionContext, len: usize) -> Self {
        Self { key, how: chosen(algorithm, context), len }
    }
}

impl Operation for GenerateDataKey {
    type Running = DataKey;

    fn request(&self) -> Request {
        Request {
            data_len: Some(self.len as u64),
            part_of: Some("data-key"),
            ..self.how.request(Action::Encrypt, &self.key)
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<DataKey> {
        if !Self::LENGTHS.contains(&self.len) {
            return Err(Error::new(ErrorKind::KeySize, "a data key has 16 to 1024 bytes"));
        }
        let random = hall.software()?.entropy();
        let plaintext = Secret::filled(self.len, |out| random.fill(out))?;
        let ciphertext = sealed(hall, permit, &self.how.mechanism, plaintext.expose())?;
        Ok(DataKey { plaintext, ciphertext })
    }
}

/// Makes a pair for whoever uses its private half on its own.
#[derive(Debug)]
pub struct GenerateDataKeyPair {
    key: ObjectRef,
    how: Chosen,
    spec: KeySpec,
}

/// A pair of data keys.
#[derive(Debug)]
pub struct DataKeyPair {
    /// The public half: SubjectPublicKeyInfo, DER.
    pub public: Vec<u8>,
    /// The private half: PKCS #8, DER.
    pub private: Secret,
    /// The private half in our own format.
    pub ciphertext: Vec<u8>,
}

impl GenerateDataKeyPair {
    /// The longest modulus of RSA in bits: whoever may encrypt asks for pairs, and longer ones take minutes.
    const LONGEST_RSA: u32 = 4096;

    /// A pair whose private half is encrypted under `key` with `context`.
    #[must_use]
    pub fn new(key: ObjectRef, algorithm: NativeAlgorithm, context: EncryptionContext, spec: KeySpec) -> Self {
        Self { key, how: chosen(algorithm, context), spec }
    }
}

impl Operation for GenerateDataKeyPair {
    type Running = DataKeyPair;

    fn request(&self) -> Request {
        let request = self.how.request(Action::Encrypt, &self.key);
        // Policies decide on what is made, too; what the ciphertext is bound to is the caller's context alone.
        let context = request.context.with_told(TAG, self.spec.text());
        Request { context, part_of: Some(TAG), ..request }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<DataKeyPair> {
        // It is no key of the namespace, and made by its rules all the same.
        let settings = hall.catalog.settings_for(permit.caller())?;
        super::forbidden(weakness_of_spec(settings.forbid, &self.spec))?;
        if matches!(&self.spec, KeySpec::Rsa { bits, .. } if *bits > Self::LONGEST_RSA) {
            return Err(Error::new(ErrorKind::KeySize, "a pair of data keys of RSA has at most 4096 bits"));
        }
        let (private, public) = hall.software()?.release_pair(permit, &self.spec)?;
        let unknown =
            || Error::new(ErrorKind::Unsupported, "no standard says how the public half of such a pair is encoded");
        let public = public.spki().ok_or_else(unknown)?;
        let ciphertext = sealed(hall, permit, &self.how.mechanism, private.expose())?;
        Ok(DataKeyPair { public, private, ciphertext })
    }
}
