//! Messages in our own format, and data keys.

use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::KeySpec;
use libkmss::mechanism::{Native, NativeAlgorithm, NativeHeader};
use libkmss::operation::{DecryptMessage, EncryptMessage, GenerateDataKey, GenerateDataKeyPair, ObjectRef};
use zeroize::Zeroizing;

use super::call::{Asked, Call, Named};
use crate::convert;
use crate::proto;

/// Most bytes that are worked on where they came in.
const QUICK: usize = 16 << 10;

/// The key that is to encrypt, and how: as it is asked for, or as is usual for its type.
fn target(asked: &Asked<'_>, key: Option<&proto::KeyRef>, algorithm: i32) -> Result<(ObjectRef, NativeAlgorithm)> {
    let key = asked.object(key)?;
    if let Some(algorithm) = convert::native_algorithm(algorithm)? {
        return Ok((key, algorithm));
    }
    let ObjectRef::Stored(id) = &key else { return Err(unfit()) };
    let object = asked.host.kms.object(&asked.caller, *id)?;
    let usual = object.key().and_then(|key| NativeAlgorithm::usual(key.key_type));
    Ok((key, usual.ok_or_else(unfit)?))
}

/// The key that a message names: its header is in clear.
fn inside(ciphertext: &[u8]) -> Named<'static> {
    NativeHeader::parse(ciphertext).map_or(Named::Nothing, |(header, _)| Named::Object(header.key))
}

fn unfit() -> Error {
    Error::new(ErrorKind::KeyType, "messages are encrypted under AES, SM4 and ChaCha20 keys")
}

impl Call for proto::EncryptMessageRequest {
    type Answer = proto::EncryptMessageResponse;
    const METHOD: &'static str = "EncryptMessage";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn is_quick(&self) -> bool {
        self.plaintext.len() <= QUICK
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::EncryptMessageResponse> {
        let plaintext = Zeroizing::new(self.plaintext);
        let (key, algorithm) = target(asked, self.key.as_ref(), self.algorithm)?;
        let context = convert::encryption_context(self.context)?;
        let operation = EncryptMessage::new(key, algorithm, context, &plaintext);
        Ok(proto::EncryptMessageResponse { ciphertext: asked.host.kms.perform(&asked.caller, operation)? })
    }
}

impl Call for proto::DecryptMessageRequest {
    type Answer = proto::DecryptMessageResponse;
    const METHOD: &'static str = "DecryptMessage";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn named(&self) -> Named<'_> {
        inside(&self.ciphertext)
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DecryptMessageResponse> {
        let operation = DecryptMessage::new(&self.ciphertext, convert::encryption_context(self.context)?);
        let mut plaintext = asked.host.kms.perform(&asked.caller, operation)?;
        Ok(proto::DecryptMessageResponse { plaintext: std::mem::take(&mut *plaintext) })
    }
}

impl Call for proto::ReencryptMessageRequest {
    type Answer = proto::ReencryptMessageResponse;
    const METHOD: &'static str = "ReencryptMessage";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn named(&self) -> Named<'_> {
        inside(&self.ciphertext)
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ReencryptMessageResponse> {
        let (key, algorithm) = target(asked, self.key.as_ref(), self.algorithm)?;
        let context = convert::encryption_context(self.context)?;
        let wanted = Native { algorithm, context: convert::encryption_context(self.new_context)? };
        let (kms, caller) = (&asked.host.kms, &asked.caller);
        let ciphertext = kms.reencrypt_message(caller, &self.ciphertext, context, (key, wanted))?;
        Ok(proto::ReencryptMessageResponse { ciphertext })
    }
}

impl Call for proto::GenerateDataKeyRequest {
    type Answer = proto::GenerateDataKeyResponse;
    const METHOD: &'static str = "GenerateDataKey";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn is_quick(&self) -> bool {
        true
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GenerateDataKeyResponse> {
        let (key, algorithm) = target(asked, self.key.as_ref(), self.algorithm)?;
        let context = convert::encryption_context(self.context)?;
        let len = match self.len {
            0 => GenerateDataKey::USUAL,
            len => usize::try_from(len).unwrap_or(usize::MAX),
        };
        let made = asked.host.kms.perform(&asked.caller, GenerateDataKey::new(key, algorithm, context, len))?;
        let plaintext = if self.without_plaintext { Vec::new() } else { made.plaintext.expose().to_vec() };
        Ok(proto::GenerateDataKeyResponse { plaintext, ciphertext: made.ciphertext })
    }
}

impl Call for proto::GenerateDataKeyPairRequest {
    type Answer = proto::GenerateDataKeyPairResponse;
    const METHOD: &'static str = "GenerateDataKeyPair";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GenerateDataKeyPairResponse> {
        let (key, algorithm) = target(asked, self.key.as_ref(), self.algorithm)?;
        let context = convert::encryption_context(self.context)?;
        let unsaid = || Error::new(ErrorKind::Arguments, "it is not said which pair");
        let spec: KeySpec = self.spec.ok_or_else(unsaid)?.try_into()?;
        let operation = GenerateDataKeyPair::new(key, algorithm, context, spec);
        let made = asked.host.kms.perform(&asked.caller, operation)?;
        let private_key = if self.without_plaintext { Vec::new() } else { made.private.expose().to_vec() };
        Ok(proto::GenerateDataKeyPairResponse { public_key: made.public, private_key, ciphertext: made.ciphertext })
    }
}
