//! Uses of keys.

use libkmss::backend::{Ciphering, Signing};
use libkmss::caller::Caller;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{Body, Storage};
use libkmss::kms::Kms;
use libkmss::mechanism::{KdfMechanism, Mechanism};
use libkmss::operation::{
    Chosen, Decrypt, DeriveData, Encrypt, ObjectRef, Operation, Sign, SignRecover, Verify, VerifyRecover, Wrap,
};
use zeroize::Zeroizing;

use super::call::{Asked, Call, argument};
use crate::proto::{self, KeyRef};

/// Most bytes that are worked on where they came in.
const QUICK: usize = 16 << 10;
/// Most iterations of PBKDF2: seconds of work.
const MAX_ITERATIONS: u32 = 10_000_000;

/// The namespace of `key`.
pub(super) fn of(key: Option<&KeyRef>) -> &str {
    key.map(|key| key.namespace.as_str()).unwrap_or_default()
}

/// The mechanism of a call.
pub(super) fn chosen(mechanism: Option<proto::Mechanism>) -> Result<Chosen> {
    let mechanism: Mechanism = mechanism.ok_or_else(|| argument("it is not said by which mechanism"))?.try_into()?;
    if matches!(&mechanism, Mechanism::Kdf(KdfMechanism::Pbkdf2(m)) if m.iterations > MAX_ITERATIONS) {
        return Err(Error::new(ErrorKind::MechanismParameter, "PBKDF2 with so many iterations is not done here"));
    }
    let number = super::numbers::number(&mechanism);
    Ok(Chosen { mechanism, number })
}

/// Whether mechanisms like this are over in microseconds, whatever key they are used with.
fn is_quick(mechanism: Option<&proto::Mechanism>, len: usize) -> bool {
    use proto::mechanism::Kind;
    let kind = mechanism.and_then(|mechanism| mechanism.kind.as_ref());
    len <= QUICK
        && matches!(kind, Some(Kind::Ec(_) | Kind::Cipher(_) | Kind::Chacha20Poly1305(_) | Kind::Mac(_) | Kind::Ff1(_)))
}

impl Call for proto::SignRequest {
    type Answer = proto::SignResponse;
    const METHOD: &'static str = "Sign";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn is_quick(&self) -> bool {
        is_quick(self.mechanism.as_ref(), self.data.len())
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::SignResponse> {
        let (key, how) = (asked.object(self.key.as_ref())?, chosen(self.mechanism)?);
        let version = asked.version(&key);
        let (kms, caller) = (&asked.host.kms, &asked.caller);
        let signature = if self.recoverable {
            signed(kms, caller, SignRecover { key, how }, &self.data)?
        } else {
            signed(kms, caller, Sign { key, how }, &self.data)?
        };
        Ok(proto::SignResponse { signature, key_version: version })
    }
}

fn signed<O>(kms: &Kms, caller: &Caller, operation: O, data: &[u8]) -> Result<Vec<u8>>
where
    O: Operation<Running = Box<dyn Signing>>,
{
    kms.begin(caller, operation)?.finish(data, |running| {
        let mut made = vec![0; running.signature_len()];
        running.update(data)?;
        let len = running.finish(&mut made)?;
        made.truncate(len);
        Ok(made)
    })
}

impl Call for proto::VerifyRequest {
    type Answer = proto::VerifyResponse;
    const METHOD: &'static str = "Verify";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn is_quick(&self) -> bool {
        is_quick(self.mechanism.as_ref(), self.data.len())
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::VerifyResponse> {
        let (key, how) = (asked.object(self.key.as_ref())?, chosen(self.mechanism)?);
        let version = asked.version(&key);
        asked.host.kms.begin(&asked.caller, Verify { key, how })?.finish(&self.data, |running| {
            running.update(&self.data)?;
            running.finish(&self.signature)
        })?;
        Ok(proto::VerifyResponse { key_version: version })
    }
}

impl Call for proto::RecoverRequest {
    type Answer = proto::RecoverResponse;
    const METHOD: &'static str = "Recover";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RecoverResponse> {
        let (key, how) = (asked.object(self.key.as_ref())?, chosen(self.mechanism)?);
        let version = asked.version(&key);
        let data = ciphered(asked, VerifyRecover { key, how }, &self.signature)?;
        Ok(proto::RecoverResponse { data, key_version: version })
    }
}

impl Call for proto::EncryptRequest {
    type Answer = proto::EncryptResponse;
    const METHOD: &'static str = "Encrypt";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn is_quick(&self) -> bool {
        is_quick(self.mechanism.as_ref(), self.plaintext.len())
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::EncryptResponse> {
        let (key, how) = (asked.object(self.key.as_ref())?, chosen(self.mechanism)?);
        let version = asked.version(&key);
        let plaintext = Zeroizing::new(self.plaintext);
        let ciphertext = ciphered(asked, Encrypt { key, how }, &plaintext)?;
        Ok(proto::EncryptResponse { ciphertext, key_version: version })
    }
}

impl Call for proto::DecryptRequest {
    type Answer = proto::DecryptResponse;
    const METHOD: &'static str = "Decrypt";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn is_quick(&self) -> bool {
        is_quick(self.mechanism.as_ref(), self.ciphertext.len())
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DecryptResponse> {
        let (key, how) = (asked.object(self.key.as_ref())?, chosen(self.mechanism)?);
        let version = asked.version(&key);
        let plaintext = ciphered(asked, Decrypt { key, how }, &self.ciphertext)?;
        Ok(proto::DecryptResponse { plaintext, key_version: version })
    }
}

fn ciphered<O>(asked: &Asked<'_>, operation: O, input: &[u8]) -> Result<Vec<u8>>
where
    O: Operation<Running = Box<dyn Ciphering>>,
{
    asked.host.kms.begin(&asked.caller, operation)?.finish(input, |running| {
        let mut out = Zeroizing::new(vec![0; running.finish_len(input.len())]);
        let len = running.finish(input, &mut out)?;
        out.truncate(len);
        Ok(std::mem::take(&mut *out))
    })
}

impl Call for proto::WrapRequest {
    type Answer = proto::WrapResponse;
    const METHOD: &'static str = "Wrap";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.wrapping.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::WrapResponse> {
        let (wrapping, key) = (asked.object(self.wrapping.as_ref())?, asked.object(self.key.as_ref())?);
        let how = chosen(self.mechanism)?;
        let wrapped = asked.host.kms.perform(&asked.caller, Wrap { wrapping, key, how })?;
        Ok(proto::WrapResponse { wrapped })
    }
}

impl Call for proto::DeriveDataRequest {
    type Answer = proto::DeriveDataResponse;
    const METHOD: &'static str = "DeriveData";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.base.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DeriveDataResponse> {
        let base = asked.object(self.base.as_ref())?;
        let others = others(asked, &self.others)?;
        let len = self.len.map(|len| usize::try_from(len).unwrap_or(usize::MAX)).filter(|len| *len <= 1 << 20);
        if len.is_none() && self.len.is_some() {
            return Err(Error::new(ErrorKind::KeySize, "so much data is not derived"));
        }
        let (how, draft) = (chosen(self.mechanism)?, asked.host.kms.draft(Storage::Ephemeral)?);
        let object = asked.host.kms.perform(&asked.caller, DeriveData { base, others, how, len, draft })?;
        match &object.body {
            Body::Data { value } => Ok(proto::DeriveDataResponse { data: value.to_vec() }),
            _ => Err(Error::new(ErrorKind::Internal, "the data that was derived is none")),
        }
    }
}

/// The other keys of a derivation.
pub(super) fn others(asked: &Asked<'_>, keys: &[KeyRef]) -> Result<Vec<ObjectRef>> {
    if keys.len() > 8 {
        return Err(argument("a derivation takes at most 8 other keys"));
    }
    keys.iter().map(|key| asked.object(Some(key))).collect()
}
