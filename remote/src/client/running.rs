//! Operations under way: what comes in parts is held back here, and goes to the server when it is complete.

use std::sync::Arc;

use libkmss::backend::{Ciphering, Signing, Verifying};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{Key, PublicComponents};
use libkmss::mechanism::{CipherMode, Curve, EcMechanism, Mechanism, NativeHeader, PqcSet, Sm2Mechanism, TlsMechanism};
use libkmss::permit::Permit;
use zeroize::Zeroize as _;

use super::calls::Server;
use super::fleet::Patience;
use crate::proto;

/// Most bytes of one operation: what a server takes in a message where nothing else is set, and room for the rest of it.
pub(super) const MOST: usize = (4 << 20) - (64 << 10);

/// Bytes held back, wiped when they go.
#[derive(Default)]
struct Held(Vec<u8>);

impl Held {
    fn push(&mut self, data: &[u8]) -> Result<()> {
        let len = self.0.len().saturating_add(data.len());
        if len > MOST {
            let why = format!("a server's key takes at most {MOST} bytes at a time");
            return Err(Error::new(ErrorKind::DataLength, why));
        }
        if len > self.0.capacity() {
            let mut larger = Vec::with_capacity(len.max(2 * self.0.capacity()).min(MOST));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(data);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A key, a mechanism, and the data so far.
pub(super) struct Operation {
    server: Arc<Server>,
    key: proto::KeyRef,
    mechanism: proto::Mechanism,
    data: Held,
    request_id: Vec<u8>,
}

impl Operation {
    pub(super) fn new(server: &Arc<Server>, permit: &Permit, mechanism: &Mechanism) -> Result<Self> {
        Ok(Self {
            key: server.key(permit, permit.key()?),
            mechanism: mechanism.into(),
            data: Held::default(),
            request_id: server.request_id()?,
            server: Arc::clone(server),
        })
    }

    fn push(&mut self, data: &[u8]) -> Result<()> {
        self.data.push(data)
    }

    fn data(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.data.0)
    }
}

/// A signature or MAC under way.
pub(super) struct Signature {
    operation: Operation,
    recoverable: bool,
    len: usize,
}

impl Signature {
    pub(super) fn new(operation: Operation, key: &Key, mechanism: &Mechanism, recoverable: bool) -> Result<Self> {
        Ok(Self { operation, recoverable, len: signature_len(key, mechanism)? })
    }
}

impl Signing for Signature {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.operation.push(data)
    }

    fn signature_len(&self) -> usize {
        self.len
    }

    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let data = self.operation.data();
        let Operation { server, key, mechanism, request_id, .. } = &self.operation;
        let request = proto::SignRequest {
            key: Some(key.clone()),
            mechanism: Some(mechanism.clone()),
            data,
            request_id: request_id.clone(),
            recoverable: self.recoverable,
        };
        let answer = server.crypto(Patience::Use, &request, |mut crypto, r| async move { crypto.sign(r).await })?;
        write(out, &answer.signature)
    }
}

/// A verification under way.
pub(super) struct Verification(pub(super) Operation);

impl Verifying for Verification {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.0.push(data)
    }

    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        let data = self.0.data();
        let Operation { server, key, mechanism, request_id, .. } = &self.0;
        let request = proto::VerifyRequest {
            key: Some(key.clone()),
            mechanism: Some(mechanism.clone()),
            data,
            signature: signature.to_vec(),
            request_id: request_id.clone(),
        };
        server.crypto(Patience::Use, &request, |mut crypto, r| async move { crypto.verify(r).await }).map(drop)
    }
}

/// What a cipher does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
    Recover,
}

/// An encryption, decryption or recovery under way: everything comes at the end.
pub(super) struct Cipher {
    operation: Operation,
    direction: Direction,
    mechanism: Mechanism,
    /// Bytes of an RSA key's modulus, of any other key its size.
    size: usize,
}

impl Cipher {
    pub(super) fn encryption(operation: Operation, key: &Key, mechanism: &Mechanism) -> Result<Self> {
        Self::new(operation, Direction::Encrypt, key, mechanism)
    }

    pub(super) fn decryption(operation: Operation, key: &Key, mechanism: &Mechanism) -> Result<Self> {
        Self::new(operation, Direction::Decrypt, key, mechanism)
    }

    pub(super) fn recovery(operation: Operation, key: &Key, mechanism: &Mechanism) -> Result<Self> {
        Self::new(operation, Direction::Recover, key, mechanism)
    }

    fn new(operation: Operation, direction: Direction, key: &Key, mechanism: &Mechanism) -> Result<Self> {
        Ok(Self { operation, direction, mechanism: mechanism.clone(), size: size(key)? })
    }

    fn run(&mut self) -> Result<Vec<u8>> {
        let data = self.operation.data();
        let Operation { server, key, mechanism, request_id, .. } = &self.operation;
        let (key, mechanism, request_id) = (Some(key.clone()), Some(mechanism.clone()), request_id.clone());
        match self.direction {
            Direction::Encrypt => {
                let request = proto::EncryptRequest { key, mechanism, plaintext: data, request_id };
                let answer = server.crypto(Patience::Use, &request, |mut c, r| async move { c.encrypt(r).await })?;
                Ok(answer.ciphertext)
            }
            Direction::Decrypt => {
                let request = proto::DecryptRequest { key, mechanism, ciphertext: data, request_id };
                let answer = server.crypto(Patience::Use, &request, |mut c, r| async move { c.decrypt(r).await })?;
                Ok(answer.plaintext)
            }
            Direction::Recover => {
                let request = proto::RecoverRequest { key, mechanism, signature: data, request_id };
                let answer = server.crypto(Patience::Use, &request, |mut c, r| async move { c.recover(r).await })?;
                Ok(answer.data)
            }
        }
    }

    /// The longest output for `input` bytes, which is the length wherever the mode has only one.
    fn output_len(&self, input: usize) -> usize {
        const BLOCK: usize = 16;
        let encrypt = self.direction == Direction::Encrypt;
        match &self.mechanism {
            Mechanism::Rsa(_) => self.size,
            Mechanism::Sm2(_) if encrypt => input.saturating_add(97),
            Mechanism::Cipher(_, CipherMode::CbcPad { .. }) if encrypt => (input / BLOCK + 1).saturating_mul(BLOCK),
            Mechanism::Cipher(_, CipherMode::KeyWrap { .. } | CipherMode::KeyWrapPad) if encrypt => {
                input.div_ceil(8).saturating_mul(8).saturating_add(8)
            }
            Mechanism::Ff1(ff1) => ff1.format.longest(input),
            mechanism if encrypt => input.saturating_add(tag_len(mechanism)),
            mechanism => input.saturating_sub(tag_len(mechanism)),
        }
    }
}

/// Length of the tag of an authenticated mode.
const fn tag_len(mechanism: &Mechanism) -> usize {
    match mechanism {
        Mechanism::Cipher(_, CipherMode::Gcm(gcm)) => gcm.tag_len,
        Mechanism::Cipher(_, CipherMode::Ccm(ccm)) => ccm.tag_len,
        Mechanism::ChaCha20Poly1305(_) => 16,
        Mechanism::Native(_) => NativeHeader::OVERHEAD,
        _ => 0,
    }
}

impl Ciphering for Cipher {
    fn update_len(&self, _: usize) -> usize {
        0
    }

    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        self.operation.push(input).map(|()| 0)
    }

    fn finish_len(&self, input: usize) -> usize {
        self.output_len(self.operation.data.0.len().saturating_add(input))
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.operation.push(input)?;
        let mut output = self.run()?;
        let written = write(out, &output);
        output.zeroize();
        written
    }

    fn apart_len(&self, input: usize) -> usize {
        self.operation.data.0.len().saturating_add(input)
    }

    fn finish_apart(&mut self, input: &[u8], out: &mut [u8], tag: &mut [u8]) -> Result<usize> {
        match tag_len(&self.mechanism) {
            _ if matches!(self.mechanism, Mechanism::Native(_)) => {
                return Err(Error::new(ErrorKind::MechanismUnsupported, "the mechanism has no tag of its own"));
            }
            0 => return Err(Error::new(ErrorKind::MechanismUnsupported, "the mechanism has no tag")),
            len if len != tag.len() => {
                return Err(Error::new(
                    ErrorKind::MechanismParameter,
                    "the tag has another length than the mechanism says",
                ));
            }
            _ => {}
        }
        self.operation.push(input)?;
        if self.direction == Direction::Decrypt {
            self.operation.push(tag)?;
            let mut output = self.run()?;
            let written = write(out, &output);
            output.zeroize();
            return written;
        }
        let output = self.run()?;
        let (text, made) = output.split_at_checked(output.len().saturating_sub(tag.len())).ok_or_else(too_long)?;
        if made.len() != tag.len() {
            return Err(too_long());
        }
        tag.copy_from_slice(made);
        write(out, text)
    }
}

/// Writes what came to the front of `out`.
fn write(out: &mut [u8], what: &[u8]) -> Result<usize> {
    out.get_mut(..what.len()).ok_or_else(too_long)?.copy_from_slice(what);
    Ok(what.len())
}

fn too_long() -> Error {
    Error::new(ErrorKind::BackendUnavailable, "the server's answer has not the length that such an answer has")
}

/// Bytes of a key.
fn size(key: &Key) -> Result<usize> {
    Ok(usize::try_from(key.primary()?.bits).unwrap_or(usize::MAX).div_ceil(8))
}

/// Length of the signatures that a key makes by a mechanism.
fn signature_len(key: &Key, mechanism: &Mechanism) -> Result<usize> {
    Ok(match (mechanism, &key.primary()?.public) {
        (Mechanism::Mac(mac), _) => mac.len(),
        (Mechanism::Tls(TlsMechanism::Finished { len, .. }), _) => *len,
        (Mechanism::Rsa(_), _) => size(key)?,
        (Mechanism::Ec(EcMechanism::EdDsa { .. }), PublicComponents::Ec { curve: Curve::Ed448, .. }) => 114,
        (Mechanism::Ec(EcMechanism::EdDsa { .. }), _) => 64,
        (Mechanism::Ec(EcMechanism::EcdsaLedger { recoverable: true, .. }), PublicComponents::Ec { curve, .. }) => {
            2 * curve.field_len() + 1
        }
        (Mechanism::Ec(_), PublicComponents::Ec { curve, .. }) => 2 * curve.field_len(),
        (Mechanism::Sm2(Sm2Mechanism::SignSm3Der { .. }), _) => 72,
        (Mechanism::Sm2(_), _) => 64,
        (Mechanism::Pqc(_), PublicComponents::Pqc { set: PqcSet::MlDsa(set), .. }) => set.signature_len(),
        (Mechanism::Pqc(_), PublicComponents::Pqc { set: PqcSet::SlhDsa(set), .. }) => set.signature_len(),
        _ => return Err(Error::new(ErrorKind::KeyType, "the key does not fit the mechanism")),
    })
}
