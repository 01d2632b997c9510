//! Keys that live in a device and wrap key material there: the device is asked for every wrapping and every unwrapping.
//!
//! AES-GCM takes the material itself. RSA-OAEP takes little more than a key: there a fresh key of the suite encrypts the material,
//! and the device wraps that one.

use std::sync::Arc;

use cryptoki::object::{Attribute, ObjectHandle};

use super::way::{WAYS, Way, destroy, find_made};
use super::{Device, Effort, Lent, Trouble, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::{Aead, NONCE_LEN, Suite, TAG_LEN};

/// How the labels of keys begin that wrap key material.
pub const WRAPPING_KEYS: &str = "kmss-domain-";
/// Bytes of what is wrapped to prove that the device unwraps it.
const PROBE: usize = 32;

/// A key in a device that wraps key material, by what finds it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WrappingKey {
    /// The name of the device in the configuration.
    pub hsm: String,
    /// The serial number of the token, for people who look for it.
    pub serial: String,
    /// The label of the key in it, which is its identifier, too.
    pub key: String,
    /// How it encrypts: `aes-gcm`, `rsa-oaep-sha256` or `rsa-oaep-sha1`.
    pub mechanism: String,
}

/// Makes a key called `label` in `device`. It is proved that the device unwraps what it wraps.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] where the device is not there or offers no way.
pub fn make_wrapping_key(device: &Arc<Device>, random: &dyn Random, suite: Suite, label: &str) -> Result<WrappingKey> {
    let serial = device.entered()?.serial.clone();
    let probe = Secret::filled(PROBE, |b| random.fill(b))?;
    let mut last = None;
    for way in WAYS {
        match way.make(device, label) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(trouble) => {
                last = Some(unavailable(trouble.into_error(device.name(), Use::Other)));
                forget_logged(device, label);
                continue;
            }
        }
        let (hsm, mechanism) = (device.name().to_owned(), way.name().to_owned());
        let made = WrappingKey { hsm, serial: serial.clone(), key: label.to_owned(), mechanism };
        let again = wrap(device, &made, (random, suite), label.as_bytes(), &probe)
            .and_then(|wrapped| unwrap(device, &made, suite, label.as_bytes(), &wrapped));
        match again {
            Ok(opened) if opened == probe => return Ok(made),
            Ok(_) => {
                let why = format!("the HSM `{}` does not decrypt what it encrypted", device.name());
                last = Some(Error::new(ErrorKind::BackendUnavailable, why));
            }
            Err(error) => last = Some(error),
        }
        forget_logged(device, label);
    }
    Err(last.unwrap_or_else(|| {
        let why = format!("the HSM `{}` offers neither AES-GCM nor RSA-OAEP, of which it needs one", device.name());
        Error::new(ErrorKind::BackendUnavailable, why)
    }))
}

/// Has `device` wrap `plain` with `key`, bound to `context`.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] whatever the device says.
pub fn wrap(
    device: &Arc<Device>,
    key: &WrappingKey,
    (random, suite): (&dyn Random, Suite),
    context: &[u8],
    plain: &Secret,
) -> Result<Vec<u8>> {
    let way = way_of(key)?;
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce)?;
    let by_device = |what: &Secret| {
        let (whole, key, context, what) = (Arc::clone(device), key.clone(), context.to_vec(), what.clone());
        let asked = device.call(Effort::Data(what.expose().len()), move |lent| {
            let handle = if way.encrypts() == way.class() {
                find(&whole, lent, way, &key)?
            } else {
                find_made(&whole, lent, way.encrypts(), &key.key)?
            };
            way.encrypt(lent, handle, (&nonce, &context, &what))
        });
        asked.map_err(|trouble| unavailable(trouble.into_error(device.name(), Use::Other)))
    };
    match way {
        Way::AesGcm => by_device(plain),
        Way::Oaep(..) => {
            let content = Secret::filled(suite.aead_key_len(), |b| random.fill(b))?;
            let wrapped = by_device(&content)?;
            // Anybody may put a public key into a device: it is the right one where the private one opens what it encrypted.
            if open_by_device(device, key, way, (context, &wrapped))? != content {
                let why = format!("the HSM `{}` does not decrypt what it encrypted", device.name());
                return Err(Error::new(ErrorKind::BackendUnavailable, why));
            }
            let len = u16::try_from(wrapped.len())
                .map_err(|_| Error::new(ErrorKind::BackendUnavailable, "the HSM's ciphertext is too long"))?;
            let mut out = Vec::with_capacity(2 + wrapped.len() + NONCE_LEN + plain.len() + TAG_LEN);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&wrapped);
            out.extend_from_slice(&nonce);
            // The key is used once.
            Aead::new(suite, &content)?.seal(&nonce, context, plain.expose(), &mut out)?;
            Ok(out)
        }
    }
}

/// Has `device` unwrap what [`wrap`] made.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] where the device or its key is not there, or does not open it; [`ErrorKind::Damaged`] for
/// what is no wrapping.
pub fn unwrap(device: &Arc<Device>, key: &WrappingKey, suite: Suite, context: &[u8], wrapped: &[u8]) -> Result<Secret> {
    let way = way_of(key)?;
    match way {
        Way::AesGcm => open_by_device(device, key, way, (context, wrapped)),
        Way::Oaep(..) => {
            let damaged = || Error::new(ErrorKind::Damaged, "wrapped key material is too short");
            let (len, rest) = wrapped.split_first_chunk().ok_or_else(damaged)?;
            let (by, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into()).ok_or_else(damaged)?;
            let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
            Aead::new(suite, &open_by_device(device, key, way, (context, by))?)?.open(nonce, context, body)
        }
    }
}

fn open_by_device(
    device: &Arc<Device>,
    key: &WrappingKey,
    way: Way,
    (context, wrapped): (&[u8], &[u8]),
) -> Result<Secret> {
    let (whole, key, context, wrapped) = (Arc::clone(device), key.clone(), context.to_vec(), wrapped.to_vec());
    let asked = device.call(Effort::Data(wrapped.len()), move |lent| {
        way.decrypt(lent, find(&whole, lent, way, &key)?, (&context, &wrapped))
    });
    asked.map_err(|trouble| unavailable(trouble.into_error(device.name(), Use::Other)))
}

/// Destroys `key`, unless somebody did so before.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] where the device is not there, refuses, or is another than the key was made in.
pub fn forget_wrapping_key(device: &Arc<Device>, key: &WrappingKey) -> Result<()> {
    let count = destroy(device, &key.key);
    let count = count.map_err(|trouble| unavailable(trouble.into_error(device.name(), Use::Other)))?;
    if count == 0 && device.entered()?.serial != key.serial {
        let why =
            format!("the key `{}` is in the token {}, which is not that of the HSM `{}`", key.key, key.serial, key.hsm);
        return Err(Error::new(ErrorKind::BackendUnavailable, why));
    }
    Ok(())
}

/// The key that decrypts.
fn find(device: &Device, lent: &Lent, way: Way, key: &WrappingKey) -> Result<ObjectHandle, Trouble> {
    let template = || vec![Attribute::Class(way.class()), Attribute::Id(key.key.as_bytes().to_vec())];
    let found = device.find_one(lent, key.key.as_bytes(), template)?;
    found.ok_or_else(|| missing(device, key).into())
}

fn missing(device: &Device, key: &WrappingKey) -> Error {
    let why = format!(
        "the key `{}` that opens key material is not in the HSM `{}` (its token was {}): restore it there",
        key.key,
        device.name(),
        key.serial
    );
    Error::new(ErrorKind::BackendUnavailable, why)
}

fn way_of(key: &WrappingKey) -> Result<Way> {
    Way::named(&key.mechanism)
        .ok_or_else(|| Error::new(ErrorKind::Damaged, "a domain key names a key of an HSM in an impossible form"))
}

fn forget_logged(device: &Arc<Device>, label: &str) {
    if let Err(error) = destroy(device, label).map_err(|trouble| trouble.into_error(device.name(), Use::Other)) {
        tracing::warn!(hsm = %device.name(), key = %label, %error, "a key of no use stays in the HSM");
    }
}

/// Whatever the device says of a wrapping, it is the device that does not do it, never the caller's request.
fn unavailable(cause: Error) -> Error {
    match cause.kind() {
        ErrorKind::BackendUnavailable | ErrorKind::HomeUnsafe | ErrorKind::Damaged => cause,
        _ => {
            let why = format!("key material is sealed by an HSM: {}", cause.message());
            Error::new(ErrorKind::BackendUnavailable, why).with_source(cause)
        }
    }
}
