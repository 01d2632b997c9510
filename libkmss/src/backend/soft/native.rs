//! Our own ciphertext format (docs/ciphertext.md): the key of each message is derived from the key by a function that devices
//! compute too (SP 800-108 in counter mode over CMAC); what follows from that is computed here, wherever the key is.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::awslc::{Aead, AeadKind, Hmac, in_vault};
use super::buffer::{Transform, Whole, front};
use super::keys::SecretKey;
use super::mac::MacOperation;
use super::rng::Generator;
use super::{sm4, wrong_key};
use crate::backend::{Ciphering, Signing};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{
    BlockCipher, EncryptionContext, Hash, KeyType, MacMechanism, Native, NativeAlgorithm, NativeHeader, undecipherable,
};
use crate::permit::Granted;
use crate::random::Random;
use crate::secret::{Secret, wipe_stack};
use crate::suite::Suite;
use crate::tenant::ObjectId;
use std::sync::Arc;

/// Length of an AES key in bytes.
const AES_256: usize = 32;
/// Length of what the pseudorandom function makes in bytes, and of a commitment.
const ROOT: usize = 32;
/// The label of the derivation, and the zero byte behind it (SP 800-108, 4.1).
const LABEL: &[u8; 15] = b"kmss/1 message\0";
/// The info of the expansion.
const INFO: &[u8] = b"kmss/1 key and commitment";
/// What an expansion leaves on the stack, at most.
const LEFT: usize = 1 << 10;
/// The nonce: a key encrypts one message, or derives it from that.
const NONCE: [u8; 12] = [0; 12];

/// What makes a MAC of its first argument with a key, of the length of the second.
pub(in crate::backend) type Prf = Box<dyn Fn(&[u8], &mut [u8]) -> Result<()> + Send>;

/// The MAC that keys of messages are derived by, of those that a device may compute.
pub(in crate::backend) const fn mac(algorithm: NativeAlgorithm) -> Option<MacMechanism> {
    match algorithm.key_type() {
        KeyType::Aes => Some(MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 }),
        KeyType::Sm4 => Some(MacMechanism::Cmac { cipher: BlockCipher::Sm4, len: 16 }),
        _ => None,
    }
}

/// Refuses a key that the algorithm is not for: another type, or an AES key of less than 256 bits.
pub(in crate::backend) fn check(algorithm: NativeAlgorithm, key_type: KeyType, bytes: usize) -> Result<()> {
    match key_type {
        other if other != algorithm.key_type() => Err(wrong_key()),
        KeyType::Aes if bytes != AES_256 => {
            Err(Error::new(ErrorKind::KeySize, "our own format takes AES keys of 256 bits"))
        }
        _ => Ok(()),
    }
}

/// Starts an encryption or decryption with a key of this engine.
pub(super) fn start(
    key: &Arc<SecretKey>,
    granted: Granted<'_>,
    native: &Native,
    encrypt: bool,
) -> Result<Box<dyn Ciphering>> {
    check(native.algorithm, key.key_type, key.value.len())?;
    let key = Arc::clone(key);
    let prf: Prf = match mac(native.algorithm) {
        Some(mechanism) => Box::new(move |data, out| {
            let mut mac = MacOperation::new(&key, &mechanism)?;
            Signing::update(&mut mac, data)?;
            Signing::finish(&mut mac, out).map(|_| ())
        }),
        None => Box::new(move |data, out| {
            let mut mac = in_vault(|| Hmac::new(Hash::Sha256, key.value.expose()))?;
            mac.update(data)?;
            mac.finish(out)?;
            Ok(())
        }),
    };
    Ok(with(prf, granted, native, encrypt))
}

/// An encryption or decryption with a key that `prf` uses.
pub(in crate::backend) fn with(prf: Prf, granted: Granted<'_>, native: &Native, encrypt: bool) -> Box<dyn Ciphering> {
    let (key, version) = (granted.object.id, granted.version.number);
    let Native { algorithm, context } = native.clone();
    Box::new(Whole::new(Message { prf, key, version, algorithm, context, encrypt }))
}

/// One message: everything but its text.
struct Message {
    prf: Prf,
    key: ObjectId,
    version: u32,
    algorithm: NativeAlgorithm,
    context: EncryptionContext,
    encrypt: bool,
}

/// What is derived for one message.
struct Derived {
    /// The key first, then the commitment.
    bytes: Secret,
}

impl Derived {
    fn parts(&self) -> Result<(&[u8], &[u8; ROOT])> {
        let missing = || Error::new(ErrorKind::Internal, "too little was derived for a message");
        self.bytes.expose().split_last_chunk().ok_or_else(missing)
    }
}

impl Message {
    /// Derives what belongs to a header.
    fn derive(&self, header: &[u8; NativeHeader::LEN]) -> Result<Derived> {
        let fixed = NativeHeader::derivation(header);
        let mut input = Vec::with_capacity(1 + LABEL.len() + fixed.len() + 4);
        for part in [&[0], LABEL.as_slice(), fixed, &(ROOT as u32 * 8).to_be_bytes()] {
            input.extend_from_slice(part);
        }
        let round = mac(self.algorithm).map_or(ROOT, |mac| mac.len());
        let root = Secret::filled(ROOT, |root| {
            root.chunks_mut(round).try_for_each(|part| {
                input.first_mut().into_iter().for_each(|counter| *counter += 1);
                (self.prf)(&input, part)
            })
        })?;
        let (suite, len) = match self.algorithm {
            NativeAlgorithm::Sm4Gcm => (Suite::Gm, 16),
            NativeAlgorithm::DeterministicAesSiv => (Suite::Nist, 2 * AES_256),
            _ => (Suite::Nist, AES_256),
        };
        let bytes = suite.expand(&root, INFO, len + ROOT);
        wipe_stack::<LEFT>();
        let bytes = bytes?;
        Ok(Derived { bytes })
    }

    /// What is authenticated beside the text.
    fn associated(&self, header: &[u8; NativeHeader::LEN]) -> Vec<u8> {
        let mut data = Vec::with_capacity(header.len() + self.context.encoded_len());
        data.extend_from_slice(header);
        self.context.encode(&mut data);
        data
    }

    fn seal(&self, plaintext: &[u8], out: &mut [u8]) -> Result<()> {
        let mut salt = [0; 16];
        if !self.algorithm.is_deterministic() {
            Generator.fill(&mut salt)?;
        }
        let Self { algorithm, key, version, .. } = *self;
        let mut header = NativeHeader { algorithm, key, version, salt, commitment: [0; ROOT] };
        let derived = self.derive(&header.bytes())?;
        let (key, commitment) = derived.parts()?;
        header.commitment = *commitment;
        let header = header.bytes();
        let associated = self.associated(&header);
        let (front, body) = out.split_first_chunk_mut::<{ NativeHeader::LEN }>().ok_or_else(broken)?;
        *front = header;
        if algorithm.is_deterministic() {
            let (tag, text) = body.split_at_mut_checked(NativeHeader::TAG).ok_or_else(broken)?;
            text.copy_from_slice(plaintext);
            let made = siv(key)?.encrypt_inout_detached([&associated], text.into()).map_err(|_| broken())?;
            tag.copy_from_slice(&made);
            return Ok(());
        }
        let (text, tag) = body.split_at_mut_checked(plaintext.len()).ok_or_else(broken)?;
        match algorithm {
            NativeAlgorithm::Sm4Gcm => sm4::gcm_seal(key, &NONCE, &associated, plaintext, text, tag),
            _ => Ok(aead(algorithm, key)?.seal(&NONCE, &associated, plaintext, text, tag)?),
        }
    }

    fn open(&self, ciphertext: &[u8], out: &mut [u8]) -> Result<()> {
        let (header, body) = NativeHeader::parse(ciphertext)?;
        if (header.key, header.version, header.algorithm) != (self.key, self.version, self.algorithm) {
            return Err(undecipherable());
        }
        let bytes = header.bytes();
        let derived = self.derive(&bytes)?;
        let (key, commitment) = derived.parts()?;
        let committed = commitment.ct_eq(&header.commitment);
        let associated = self.associated(&bytes);
        // Whatever is wrong, the same is computed.
        let opened = self.open_body(key, &associated, body, out);
        if bool::from(committed) && opened.is_ok() {
            return Ok(());
        }
        out.zeroize();
        Err(undecipherable())
    }

    fn open_body(&self, key: &[u8], associated: &[u8], body: &[u8], out: &mut [u8]) -> Result<()> {
        if self.algorithm.is_deterministic() {
            let (tag, text) = body.split_at_checked(NativeHeader::TAG).ok_or_else(undecipherable)?;
            let tag = tag.try_into().map_err(|_| undecipherable())?;
            out.copy_from_slice(text);
            let opened = siv(key)?.decrypt_inout_detached([associated], out.into(), tag);
            return opened.map_err(|_| undecipherable());
        }
        let (text, tag) = body.split_at_checked(out.len()).ok_or_else(undecipherable)?;
        match self.algorithm {
            NativeAlgorithm::Sm4Gcm => sm4::gcm_open(key, &NONCE, associated, text, tag, out),
            _ => Ok(aead(self.algorithm, key)?.open(&NONCE, associated, text, tag, out)?),
        }
    }
}

fn aead(algorithm: NativeAlgorithm, key: &[u8]) -> Result<Aead> {
    let kind = match algorithm {
        NativeAlgorithm::Aes256Gcm => AeadKind::AesGcm,
        _ => AeadKind::ChaCha20Poly1305,
    };
    Ok(in_vault(|| Aead::new(kind, key, NativeHeader::TAG))?)
}

fn siv(key: &[u8]) -> Result<Aes256Siv> {
    Aes256Siv::new_from_slice(key).map_err(|_| broken())
}

impl Transform for Message {
    fn limit(&self) -> (usize, ErrorKind) {
        match self.encrypt {
            true => (Native::MAX, ErrorKind::DataLength),
            false => (Native::MAX + NativeHeader::OVERHEAD, ErrorKind::EncryptedDataInvalid),
        }
    }

    fn output_len(&self, input: usize) -> usize {
        match self.encrypt {
            true => input.saturating_add(NativeHeader::OVERHEAD),
            false => input.saturating_sub(NativeHeader::OVERHEAD),
        }
    }

    fn run(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let len = self.output_len(input.len());
        let out = front(out, len)?;
        if self.encrypt {
            self.seal(input, out)?
        } else {
            self.open(input, out)?
        }
        Ok(len)
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Internal, "a message does not have the place that it takes")
}
