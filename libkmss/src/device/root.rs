//! Root keys that only a device can open: a key that never leaves it encrypts them, and what it encrypted lies in the home.
//!
//! One call of the device when the home is opened, none after that: what the root key wraps is unwrapped in memory.

use std::sync::Arc;

use cryptoki::object::Attribute;

use super::way::{WAYS, Way, destroy, find_made};
use super::{Device, Effort, Trouble, Use};
use crate::config::HsmConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::NONCE_LEN;

/// How the labels of keys that open homes begin.
pub const ROOT_KEYS: &str = "kmss-root-";

/// A root key that a device encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRoot {
    /// The serial number of the token, for people who look for it.
    pub serial: String,
    /// The label of the key in it, which is its identifier, too.
    pub key: String,
    /// How the root key is encrypted: `aes-gcm`, `rsa-oaep-sha256` or `rsa-oaep-sha1`.
    pub mechanism: String,
    /// What the device made of the root key.
    pub wrapped: Vec<u8>,
}

/// Makes a key called `label` in the device, and has it encrypt `root`. It is proved that [`open_root`] opens what comes of it.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] where the device is not there or offers no way.
pub fn hold_root(config: &HsmConfig, random: &dyn Random, label: &str, root: &Secret) -> Result<HeldRoot> {
    let device = Device::new(config);
    let serial = device.entered()?.serial.clone();
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce)?;
    let mut last = None;
    for way in WAYS {
        let held = match hold_by(&device, way, (&nonce, label, root)) {
            Ok(None) => continue,
            Ok(Some(wrapped)) => {
                let mechanism = way.name().to_owned();
                Ok(HeldRoot { serial: serial.clone(), key: label.to_owned(), mechanism, wrapped })
            }
            Err(trouble) => Err(trouble.into_error(&config.name, Use::Other)),
        };
        // By the same search, in sessions of its own: what is found now is found when the home is opened.
        let proved = held.and_then(|held| {
            if open_root(config, &held)? == *root {
                return Ok(held);
            }
            let why = format!("the HSM `{}` does not decrypt what it encrypted", config.name);
            Err(Error::new(ErrorKind::BackendUnavailable, why))
        });
        match proved {
            Ok(held) => {
                device.close();
                return Ok(held);
            }
            Err(error) => {
                // What was made for it is of no use.
                if let Err(error) = forget_root(config, label) {
                    tracing::warn!(hsm = %config.name, key = %label, %error, "a key of no use stays in the HSM");
                }
                last = Some(error);
            }
        }
    }
    device.close();
    Err(last.unwrap_or_else(|| {
        let why = format!("the HSM `{}` offers neither AES-GCM nor RSA-OAEP, which a root key needs", config.name);
        Error::new(ErrorKind::BackendUnavailable, why)
    }))
}

/// What the device made of `root` in this way; `None` where it does not offer that.
fn hold_by(
    device: &Arc<Device>,
    way: Way,
    (nonce, label, root): (&[u8; NONCE_LEN], &str, &Secret),
) -> Result<Option<Vec<u8>>, Trouble> {
    if !way.make(device, label)? {
        return Ok(None);
    }
    let (whole, nonce, label, root) = (Arc::clone(device), *nonce, label.to_owned(), root.clone());
    let encrypted = device.call(Effort::Usual, move |lent| {
        let key = find_made(&whole, lent, way.encrypts(), &label)?;
        way.encrypt(lent, key, (&nonce, label.as_bytes(), &root))
    });
    encrypted.map(Some)
}

/// The root key that the device holds.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] where it is not there; [`ErrorKind::Damaged`] for what it cannot open.
pub fn open_root(config: &HsmConfig, held: &HeldRoot) -> Result<Secret> {
    let damaged = || Error::new(ErrorKind::Damaged, "the seal header names a root key in an impossible form");
    let way = Way::named(&held.mechanism).ok_or_else(damaged)?;
    let device = Device::new(config);
    let (whole, held, name) = (Arc::clone(&device), held.clone(), config.name.clone());
    let opened = device.call(Effort::Usual, move |lent| {
        let template = || vec![Attribute::Class(way.class()), Attribute::Id(held.key.as_bytes().to_vec())];
        let Some(key) = whole.find_one(lent, held.key.as_bytes(), template)? else {
            let why = format!(
                "the key `{}` that opens this home is not in the HSM `{}` (its token was {}): restore it there, or restore \
                 the home and its seal from a backup",
                held.key, name, held.serial
            );
            return Err(Error::new(ErrorKind::BackendUnavailable, why).into());
        };
        way.decrypt(lent, key, (held.key.as_bytes(), &held.wrapped))
    });
    // The backend has sessions of its own; these are not needed again.
    device.close();
    opened.map_err(|trouble| {
        let cause = trouble.into_error(&config.name, Use::Other);
        let kind = match cause.kind() {
            ErrorKind::HomeUnsafe | ErrorKind::Damaged => cause.kind(),
            _ => ErrorKind::BackendUnavailable,
        };
        Error::new(kind, format!("the root key of the home is in an HSM: {}", cause.message())).with_source(cause)
    })
}

/// Destroys what is called `label` in the device; how many objects that were.
///
/// # Errors
/// As [`open_root`].
pub fn forget_root(config: &HsmConfig, label: &str) -> Result<usize> {
    let device = Device::new(config);
    let gone = destroy(&device, label);
    device.close();
    gone.map_err(|trouble| trouble.into_error(&config.name, Use::Other))
}
