//! Root keys that only a device can open: a key that never leaves it encrypts them, and what it encrypted lies in the home.
//!
//! One call of the device when the home is opened, none after that: what the root key wraps is unwrapped in memory.

use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::types::Ulong;

use super::{Device, Lent, Trouble, Use};
use crate::config::HsmConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::NONCE_LEN;

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

    fn is_offered(self, lent: &Lent) -> bool {
        let needed = match self {
            Self::AesGcm => [MechanismType::AES_GCM, MechanismType::AES_KEY_GEN],
            Self::Oaep(..) => [MechanismType::RSA_PKCS_OAEP, MechanismType::RSA_PKCS_KEY_PAIR_GEN],
        };
        needed.into_iter().all(|mechanism| lent.entered().offers(mechanism))
    }
}

/// Makes a key called `label` in the device, and has it encrypt `root`.
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
        let made = device.call(|lent| {
            if !way.is_offered(lent) {
                return Ok(None);
            }
            let (with, opens) = make(lent, way, label)?;
            let wrapped = encrypt(lent, way, with, (&nonce, label, root))?;
            let again = decrypt(lent, way, opens, (label, &wrapped))?;
            if again != *root {
                let why = format!("the HSM `{}` does not decrypt what it encrypted", config.name);
                return Err(Error::new(ErrorKind::BackendUnavailable, why).into());
            }
            Ok(Some(wrapped))
        });
        match made {
            Ok(Some(wrapped)) => {
                device.close();
                return Ok(HeldRoot { serial, key: label.to_owned(), mechanism: way.name().to_owned(), wrapped });
            }
            Ok(None) => {}
            Err(trouble) => {
                // What was made for it is of no use.
                let _ = forget_root(config, label);
                last = Some(trouble.into_error(&config.name, Use::Other));
            }
        }
    }
    device.close();
    Err(last.unwrap_or_else(|| {
        let why = format!("the HSM `{}` offers neither AES-GCM nor RSA-OAEP, which a root key needs", config.name);
        Error::new(ErrorKind::BackendUnavailable, why)
    }))
}

/// The root key that the device holds.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] where it is not there; [`ErrorKind::Damaged`] for what it cannot open.
pub fn open_root(config: &HsmConfig, held: &HeldRoot) -> Result<Secret> {
    let damaged = || Error::new(ErrorKind::Damaged, "the seal header names a root key in an impossible form");
    let way = WAYS.into_iter().find(|way| way.name() == held.mechanism).ok_or_else(damaged)?;
    let device = Device::new(config);
    let opened = device.call(|lent| {
        let template = || vec![Attribute::Class(way.class()), Attribute::Id(held.key.as_bytes().to_vec())];
        let Some(key) = device.find_one(lent, held.key.as_bytes(), template)? else {
            let why = format!(
                "the key `{}` that opens this home is not in the HSM `{}` (its token was {}): restore it there, or restore \
                 the home and its seal from a backup",
                held.key, config.name, held.serial
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

/// Destroys the key called `label` in the device.
///
/// # Errors
/// As [`open_root`].
pub fn forget_root(config: &HsmConfig, label: &str) -> Result<()> {
    let device = Device::new(config);
    let gone = device.call(|lent| {
        for handle in lent.ask(|session| session.find_objects(&[Attribute::Id(label.as_bytes().to_vec())]))? {
            lent.ask(|session| session.destroy_object(handle))?;
        }
        Ok(())
    });
    device.close();
    gone.map_err(|trouble| trouble.into_error(&config.name, Use::Other))
}

/// Makes a key; with which it encrypts, and with which it decrypts.
fn make(lent: &Lent, way: Way, label: &str) -> Result<(ObjectHandle, ObjectHandle), Trouble> {
    let named = || vec![Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(label.into())];
    let guarded = || [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false)];
    match way {
        Way::AesGcm => {
            let mut template = named();
            template.extend(guarded());
            template.extend([Attribute::Encrypt(true), Attribute::Decrypt(true)]);
            template.push(Attribute::ValueLen(ulong(AES_LEN)?));
            let key = lent.ask(|session| session.generate_key(&Mechanism::AesKeyGen, &template))?;
            Ok((key, key))
        }
        Way::Oaep(..) => {
            let mut public = named();
            public.extend([Attribute::Encrypt(true), Attribute::ModulusBits(ulong(RSA_BITS)?)]);
            public.push(Attribute::PublicExponent(vec![1, 0, 1]));
            let mut private = named();
            private.extend(guarded());
            private.push(Attribute::Decrypt(true));
            lent.ask(|session| session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private))
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
