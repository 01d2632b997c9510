//! Messages in our own format (docs/ciphertext.md): ciphertexts that say of themselves which key they need, authenticated together
//! with what the caller says of the data.

use zeroize::Zeroizing;

use super::{Chosen, Hall, ObjectRef, Operation, Request, Target};
use crate::error::{Error, ErrorClass, ErrorKind, Result};
use crate::key::{Action, Storage};
use crate::mechanism::{EncryptionContext, Mechanism, Native, NativeAlgorithm, NativeHeader, undecipherable};
use crate::permit::{Permit, Subject};

/// Encrypts a message; yields the ciphertext.
#[derive(Debug)]
pub struct EncryptMessage<'a> {
    key: ObjectRef,
    how: Chosen,
    plaintext: &'a [u8],
    part_of: Option<&'static str>,
}

impl<'a> EncryptMessage<'a> {
    /// Encrypts `plaintext`, at most [`Native::MAX`] bytes, under `key`. `context` is needed again to decrypt it.
    #[must_use]
    pub fn new(key: ObjectRef, algorithm: NativeAlgorithm, context: EncryptionContext, plaintext: &'a [u8]) -> Self {
        Self { key, how: chosen(algorithm, context), plaintext, part_of: None }
    }

    /// The same as part of something that its record is to name.
    #[must_use]
    pub(crate) fn part_of(self, what: &'static str) -> Self {
        Self { part_of: Some(what), ..self }
    }
}

impl Operation for EncryptMessage<'_> {
    type Running = Vec<u8>;

    fn request(&self) -> Request {
        Request {
            data_len: Some(self.plaintext.len() as u64),
            part_of: self.part_of,
            ..self.how.request(Action::Encrypt, &self.key)
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<u8>> {
        if self.plaintext.len() > Native::MAX {
            let why = "a message has at most 64 KiB: encrypt what is longer under a data key";
            return Err(Error::new(ErrorKind::DataLength, why));
        }
        sealed(hall, permit, &self.how.mechanism, self.plaintext)
    }
}

/// Decrypts a message; yields the plaintext. The key is the one that the ciphertext names.
///
/// Whatever is wrong with a ciphertext or its context is [`ErrorKind::EncryptedDataInvalid`]; what names no key of the namespace
/// is [`ErrorKind::NotFound`], as for any key that the caller may not know of.
#[derive(Debug)]
pub struct DecryptMessage<'a> {
    /// The key and how; nothing where the ciphertext does not say.
    named: Option<(ObjectRef, Chosen)>,
    ciphertext: &'a [u8],
    part_of: Option<&'static str>,
}

impl<'a> DecryptMessage<'a> {
    /// Decrypts `ciphertext`, which was encrypted with `context`.
    #[must_use]
    pub fn new(ciphertext: &'a [u8], context: EncryptionContext) -> Self {
        // What cannot be read is refused where every other failure is, so that it is recorded.
        let header = NativeHeader::parse(ciphertext).ok();
        let named = header.map(|(header, _)| (ObjectRef::Stored(header.key), chosen(header.algorithm, context)));
        Self { named, ciphertext, part_of: None }
    }

    /// The same as part of something that its record is to name.
    #[must_use]
    pub(crate) fn part_of(self, what: &'static str) -> Self {
        Self { part_of: Some(what), ..self }
    }
}

impl Operation for DecryptMessage<'_> {
    type Running = Zeroizing<Vec<u8>>;

    fn request(&self) -> Request {
        let (data_len, part_of) = (Some(self.ciphertext.len() as u64), self.part_of);
        match &self.named {
            Some((key, how)) => Request { data_len, part_of, ..how.request(Action::Decrypt, key) },
            None => Request { data_len, part_of, ..Request::new(Action::Decrypt, Target::Namespace) },
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Zeroizing<Vec<u8>>> {
        let (_, how) = self.named.ok_or_else(undecipherable)?;
        opened(hall, permit, &how.mechanism, self.ciphertext)
    }
}

pub(super) fn chosen(algorithm: NativeAlgorithm, context: EncryptionContext) -> Chosen {
    let native = Native { algorithm, context };
    Chosen { number: Some(native.number()), mechanism: Mechanism::Native(native) }
}

/// The ciphertext of `plaintext` under the permit's key.
pub(super) fn sealed(hall: &Hall, permit: &Permit, mechanism: &Mechanism, plaintext: &[u8]) -> Result<Vec<u8>> {
    if permit.key()?.object.storage == Storage::Ephemeral {
        let why = "a message names its key, and a session key is found by nobody later: use one of the token";
        return Err(Error::new(ErrorKind::Unsupported, why));
    }
    let mut running = hall.backend_of(permit)?.encrypt(permit, mechanism)?;
    let mut ciphertext = vec![0; running.finish_len(plaintext.len())];
    let len = running.finish(plaintext, &mut ciphertext)?;
    ciphertext.truncate(len);
    Ok(ciphertext)
}

/// What is in a ciphertext.
fn opened(hall: &Hall, permit: &Permit, mechanism: &Mechanism, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    if !matches!(permit.subject(), Subject::Object(object) if object.key().is_some()) {
        return Err(undecipherable());
    }
    let decrypt = || {
        let mut running = hall.backend_of(permit)?.decrypt(permit, mechanism)?;
        let mut plaintext = Zeroizing::new(vec![0; running.finish_len(ciphertext.len())]);
        let len = running.finish(ciphertext, &mut plaintext)?;
        plaintext.truncate(len);
        Ok(plaintext)
    };
    decrypt().map_err(|error: Error| match (error.kind(), error.kind().class()) {
        // What a device cannot do is nothing that the ciphertext says.
        (ErrorKind::MechanismUnsupported | ErrorKind::KeyUsage, _) => error,
        (_, ErrorClass::Request) => undecipherable(),
        _ => error,
    })
}
