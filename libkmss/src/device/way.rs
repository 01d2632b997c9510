//! How a device encrypts what is ours: by a key that is made in it and never leaves it.

use std::sync::Arc;

use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::types::Ulong;

use super::{Device, Effort, Lent, Trouble};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::suite::NONCE_LEN;

/// Bits of an authentication tag.
const TAG_BITS: u64 = 128;
/// Bytes of an AES key.
const AES_LEN: u64 = 32;
/// Bits of an RSA key.
const RSA_BITS: u64 = 3072;

/// Objects that were just made. They are destroyed again where nobody waits any more for the call that made them.
struct Made {
    device: Arc<Device>,
    entrance: u64,
    session: u64,
    handles: Vec<ObjectHandle>,
}

impl Made {
    fn keep(mut self) {
        self.handles.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for handle in self.handles.drain(..) {
            self.device.drop_object(self.entrance, self.session, handle);
        }
    }
}

/// How a device encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// AES-256 in Galois/counter mode, with the nonce in front.
    AesGcm,
    /// RSA-OAEP (RFC 8017, 7.1) with this hash. It is bound to nothing, and takes little more than a key.
    Oaep(MechanismType, PkcsMgfType, &'static str),
}

/// All ways, the better first.
pub(super) const WAYS: [Way; 3] = [
    Way::AesGcm,
    Way::Oaep(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, "rsa-oaep-sha256"),
    Way::Oaep(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, "rsa-oaep-sha1"),
];

impl Way {
    /// The way of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        WAYS.into_iter().find(|way| way.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AesGcm => "aes-gcm",
            Self::Oaep(_, _, name) => name,
        }
    }

    /// The class of the key that decrypts.
    pub(super) const fn class(self) -> ObjectClass {
        match self {
            Self::AesGcm => ObjectClass::SECRET_KEY,
            Self::Oaep(..) => ObjectClass::PRIVATE_KEY,
        }
    }

    /// The class of the key that encrypts.
    pub(super) const fn encrypts(self) -> ObjectClass {
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

    /// Makes a key called `label`, whose identifier that is, too; whether the device offers this way.
    pub(super) fn make(self, device: &Arc<Device>, label: &str) -> Result<bool, Trouble> {
        let (whole, label) = (Arc::clone(device), label.to_owned());
        // A call of its own: what is done again must not make a second key.
        let made = device.call(Effort::Usual, move |lent| {
            if !self.is_offered(lent) {
                return Ok(None);
            }
            let handles = self.make_in(lent, &label)?;
            Ok(Some(Made { device: Arc::clone(&whole), entrance: lent.entrance(), session: lent.number(), handles }))
        })?;
        Ok(made.map(Made::keep).is_some())
    }

    fn make_in(self, lent: &Lent, label: &str) -> Result<Vec<ObjectHandle>, Trouble> {
        let named = || vec![Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(label.into())];
        let guarded = || [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false)];
        match self {
            Self::AesGcm => {
                let mut template = named();
                template.extend(guarded());
                template.extend([Attribute::Encrypt(true), Attribute::Decrypt(true)]);
                template.push(Attribute::ValueLen(ulong(AES_LEN)?));
                lent.ask(|session| session.generate_key(&Mechanism::AesKeyGen, &template)).map(|key| vec![key])
            }
            Self::Oaep(..) => {
                let mut public = named();
                public.extend([Attribute::Encrypt(true), Attribute::ModulusBits(ulong(RSA_BITS)?)]);
                public.push(Attribute::PublicExponent(vec![1, 0, 1]));
                let mut private = named();
                private.extend(guarded());
                private.push(Attribute::Decrypt(true));
                lent.make_pair(|session| session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private))
                    .map(|(public, private)| vec![public, private])
            }
        }
    }

    /// Encrypts `plain`, bound to `context` where the way binds.
    pub(super) fn encrypt(
        self,
        lent: &Lent,
        key: ObjectHandle,
        (nonce, context, plain): (&[u8; NONCE_LEN], &[u8], &Secret),
    ) -> Result<Vec<u8>, Trouble> {
        match self {
            Self::AesGcm => {
                // A device that chooses nonces itself writes its own over this one, which it wants to be zero.
                let mut iv = if lent.entered().quirks.takes_gcm_iv() { *nonce } else { [0; NONCE_LEN] };
                let sealed = {
                    let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, context, ulong(TAG_BITS)?)?);
                    lent.ask(|session| session.encrypt(&mechanism, key, plain.expose()))?
                };
                if iv == [0; NONCE_LEN] {
                    let why = "the HSM does not say with which nonce it encrypted";
                    return Err(Error::new(ErrorKind::BackendUnavailable, why).into());
                }
                Ok([iv.as_slice(), &sealed].concat())
            }
            Self::Oaep(hash, mgf, _) => {
                let mechanism = Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()));
                lent.ask(|session| session.encrypt(&mechanism, key, plain.expose()))
            }
        }
    }

    /// Decrypts what [`Self::encrypt`] made.
    pub(super) fn decrypt(
        self,
        lent: &Lent,
        key: ObjectHandle,
        (context, sealed): (&[u8], &[u8]),
    ) -> Result<Secret, Trouble> {
        let opened = match self {
            Self::AesGcm => {
                let too_short = || Error::new(ErrorKind::Damaged, "what the HSM encrypted is too short");
                let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(too_short)?;
                let mut iv = *nonce;
                let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, context, ulong(TAG_BITS)?)?);
                lent.ask(|session| session.decrypt(&mechanism, key, sealed))?
            }
            Self::Oaep(hash, mgf, _) => {
                let mechanism = Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()));
                lent.ask(|session| session.decrypt(&mechanism, key, sealed))?
            }
        };
        Ok(Secret::new(opened))
    }
}

/// The one key of this class that is called `label`, looked for anew: what is found now is found later.
pub(super) fn find_made(
    device: &Device,
    lent: &Lent,
    class: ObjectClass,
    label: &str,
) -> Result<ObjectHandle, Trouble> {
    let template = [Attribute::Class(class), Attribute::Token(true), Attribute::Id(label.as_bytes().to_vec())];
    match lent.ask(|session| session.find_objects(&template))?.as_slice() {
        [key] => Ok(*key),
        found => {
            let why = format!(
                "the HSM `{}` finds {} keys under the identifier of the one it made: it cannot hold such a key",
                device.name(),
                found.len()
            );
            Err(Error::new(ErrorKind::BackendUnavailable, why).into())
        }
    }
}

/// Destroys what is called `label` in the device; how many objects that were. One that does not keep identifiers may know it by
/// its label.
pub(super) fn destroy(device: &Arc<Device>, label: &str) -> Result<usize, Trouble> {
    let (mut count, label) = (0, label.to_owned());
    device.call(Effort::Usual, move |lent| {
        for name in [Attribute::Id(label.as_bytes().into()), Attribute::Label(label.as_bytes().into())] {
            for handle in lent.ask(|session| session.find_objects(&[Attribute::Token(true), name]))? {
                lent.ask(|session| session.destroy_object(handle))?;
                count += 1;
            }
        }
        Ok(count)
    })
}

fn ulong(number: u64) -> Result<Ulong, Trouble> {
    let number = core::ffi::c_ulong::try_from(number)
        .map_err(|e| Error::new(ErrorKind::Internal, "a number does not fit").with_source(e))?;
    Ok(number.into())
}
