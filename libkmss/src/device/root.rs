//! Root keys that only a device can open: a key that never leaves it encrypts them, and what it encrypted lies in the home.
//!
//! One call of the device when the home is opened, none after that: what the root key wraps is unwrapped in memory.

use std::sync::Arc;

use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::types::Ulong;

use super::{Device, Effort, Lent, Trouble, Use};
use crate::config::HsmConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::NONCE_LEN;

/// How the labels of keys that open homes begin.
pub const ROOT_KEYS: &str = "kmss-root-";
/// Bits of an authentication tag.
const TAG_BITS: u64 = 128;
/// Bytes of an AES key.
const AES_LEN: u64 = 32;
/// Bits of an RSA key.
const RSA_BITS: u64 = 3072;

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

/// How a device encrypts a root key, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// AES-256 in Galois/counter mode, with our nonce in front.
    AesGcm,
    /// RSA-OAEP (RFC 8017, 7.1) with this hash.
    Oaep(MechanismType, PkcsMgfType, &'static str),
}

const WAYS: [Way; 3] = [
    Way::AesGcm,
    Way::Oaep(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, "rsa-oaep-sha256"),
    Way::Oaep(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, "rsa-oaep-sha1"),
];

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::AesGcm => "aes-gcm",
            Self::Oaep(_, _, name) => name,
        }
    }

    const fn class(self) -> ObjectClass {
        match self {
            Self::AesGcm => ObjectClass::SECRET_KEY,
            Self::Oaep(..) => ObjectClass::PRIVATE_KEY,
        }
    }

    /// The class of the key that encrypts.
    const fn encrypts(self) -> ObjectClass {
        match self {
            Self::AesGcm => ObjectClass::SECRET_KEY,
            Self::Oaep(..) => ObjectClass::PUBLIC_KEY,
        }
    }

    fn is_offered(self, lent: &Lent) -> bool {
        let needed = match self {
            Self::AesGcm => [MechanismType::AES_GCM, MechanismType::AES_KEY_GEN],
            Self::Oaep(..) => [MechanismType::RSA_PKCS_OAEP, MechanismType::RSA_PKCS_KEY_PAIR_GEN],
        };
        needed.into_iter().all(|mechanism| lent.entered().offers(mechanism))
    }
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
    // A call of its own: what is done again must not make a second key.
    let called = label.to_owned();
    let made = device.call(Effort::Making, move |lent| {
        if way.is_offered(lent) { make(lent, way, &called).map(|()| true) } else { Ok(false) }
    })?;
    if !made {
        return Ok(None);
    }
    let (whole, nonce, label, root) = (Arc::clone(device), *nonce, label.to_owned(), root.clone());
    let encrypted = device.call(Effort::Usual, move |lent| {
        let key = find(&whole, lent, way.encrypts(), &label)?;
        encrypt(lent, way, key, (&nonce, &label, &root))
    });
    encrypted.map(Some)
}

/// The one key of this class that is called `label`.
fn find(device: &Device, lent: &Lent, class: ObjectClass, label: &str) -> Result<ObjectHandle, Trouble> {
    let template = [Attribute::Class(class), Attribute::Token(true), Attribute::Id(label.as_bytes().to_vec())];
    match lent.ask(|session| session.find_objects(&template))?.as_slice() {
        [key] => Ok(*key),
        found => {
            let why = format!(
                "the HSM `{}` finds {} keys under the identifier of the one it made: it cannot hold a root key",
                device.name(),
                found.len()
            );
            Err(Error::new(ErrorKind::BackendUnavailable, why).into())
        }
    }
}

/// The root key that the device holds.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] where it is not there; [`ErrorKind::Damaged`] for what it cannot open.
pub fn open_root(config: &HsmConfig, held: &HeldRoot) -> Result<Secret> {
    let damaged = || Error::new(ErrorKind::Damaged, "the seal header names a root key in an impossible form");
    let way = WAYS.into_iter().find(|way| way.name() == held.mechanism).ok_or_else(damaged)?;
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
        decrypt(lent, way, key, (&held.key, &held.wrapped))
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

/// Destroys what is called `label` in the device; how many objects that were. One that does not keep identifiers may know it by
/// its label.
///
/// # Errors
/// As [`open_root`].
pub fn forget_root(config: &HsmConfig, label: &str) -> Result<usize> {
    let device = Device::new(config);
    let mut count = 0;
    let label = label.to_owned();
    let gone = device.call(Effort::Usual, move |lent| {
        for name in [Attribute::Id(label.as_bytes().into()), Attribute::Label(label.as_bytes().into())] {
            for handle in lent.ask(|session| session.find_objects(&[Attribute::Token(true), name]))? {
                lent.ask(|session| session.destroy_object(handle))?;
                count += 1;
            }
        }
        Ok(count)
    });
    device.close();
    gone.map_err(|trouble| trouble.into_error(&config.name, Use::Other))
}

/// Makes a key.
fn make(lent: &Lent, way: Way, label: &str) -> Result<(), Trouble> {
    let named = || vec![Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(label.into())];
    let guarded = || [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false)];
    match way {
        Way::AesGcm => {
            let mut template = named();
            template.extend(guarded());
            template.extend([Attribute::Encrypt(true), Attribute::Decrypt(true)]);
            template.push(Attribute::ValueLen(ulong(AES_LEN)?));
            lent.ask(|session| session.generate_key(&Mechanism::AesKeyGen, &template)).map(drop)
        }
        Way::Oaep(..) => {
            let mut public = named();
            public.extend([Attribute::Encrypt(true), Attribute::ModulusBits(ulong(RSA_BITS)?)]);
            public.push(Attribute::PublicExponent(vec![1, 0, 1]));
            let mut private = named();
            private.extend(guarded());
            private.push(Attribute::Decrypt(true));
            lent.ask(|session| session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)).map(drop)
        }
    }
}

fn encrypt(
    lent: &Lent,
    way: Way,
    key: ObjectHandle,
    (nonce, label, root): (&[u8; NONCE_LEN], &str, &Secret),
) -> Result<Vec<u8>, Trouble> {
    match way {
        Way::AesGcm => {
            let mut iv = *nonce;
            let params = GcmParams::new(&mut iv, label.as_bytes(), ulong(TAG_BITS)?)?;
            let mechanism = Mechanism::AesGcm(params);
            let sealed = lent.ask(|session| session.encrypt(&mechanism, key, root.expose()))?;
            Ok([nonce.as_slice(), &sealed].concat())
        }
        Way::Oaep(hash, mgf, _) => {
            let mechanism = Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()));
            lent.ask(|session| session.encrypt(&mechanism, key, root.expose()))
        }
    }
}

fn decrypt(lent: &Lent, way: Way, key: ObjectHandle, (label, wrapped): (&str, &[u8])) -> Result<Secret, Trouble> {
    let opened = match way {
        Way::AesGcm => {
            let too_short = || Error::new(ErrorKind::Damaged, "the root key in the seal header is too short");
            let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_LEN>().ok_or_else(too_short)?;
            let mut iv = *nonce;
            let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, label.as_bytes(), ulong(TAG_BITS)?)?);
            lent.ask(|session| session.decrypt(&mechanism, key, sealed))?
        }
        Way::Oaep(hash, mgf, _) => {
            let mechanism = Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()));
            lent.ask(|session| session.decrypt(&mechanism, key, wrapped))?
        }
    };
    Ok(Secret::new(opened))
}

fn ulong(number: u64) -> Result<Ulong, Trouble> {
    let number = core::ffi::c_ulong::try_from(number)
        .map_err(|e| Error::new(ErrorKind::Internal, "a number does not fit").with_source(e))?;
    Ok(number.into())
}
