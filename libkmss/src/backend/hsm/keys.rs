//! Keys that come to exist in the device: made, brought in, unwrapped, derived.

use std::sync::Arc;

use cryptoki::mechanism::Mechanism as Theirs;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

use super::HsmBackend;
use super::attributes::{self, Read, ec_params, new_key, public_of};
use super::locator::Locator;
use super::mechanism::{For, adapted, check, unsupported, with};
use super::place::{Place, SessionKey, stored};
use crate::device::{Device, Lent, Trouble, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{
    Expected, HeldKey, KeyClass, KeyComponents, KeySpec, Material, Protection, PublicComponents, Storage,
};
use crate::mechanism::{CipherMode, Curve, EcMechanism, KdfMechanism, KeyType, Mechanism};
use crate::os::epoch;
use crate::permit::{NewObject, Permit};
use crate::secret::Secret;

/// Sizes of RSA moduli that the software engine verifies with: no other key is to be left in a device.
const RSA_BITS: std::ops::RangeInclusive<u32> = 1024..=8192;

/// What became of a secret key that was made.
enum Made {
    /// It is in its session.
    Held(Arc<SessionKey>, Option<usize>),
    /// It was given out, as its draft allows.
    Value(Secret),
}

impl HsmBackend {
    pub(super) fn make_secret(&self, permit: &Permit, spec: &KeySpec) -> Result<Material> {
        let KeySpec::Secret { key_type, len } = spec else {
            return Err(Error::new(ErrorKind::Internal, "a pair is not made as a secret key"));
        };
        let mechanism: fn() -> Theirs<'static> = match key_type {
            KeyType::Aes if !matches!(len, 16 | 24 | 32) => {
                return Err(Error::new(ErrorKind::KeySize, "AES keys have 128, 192 or 256 bits"));
            }
            KeyType::Aes => || Theirs::AesKeyGen,
            generic if generic.is_generic() => || Theirs::GenericSecretKeyGen,
            _ => return Err(unsupported()),
        };
        let new = permit.new_object()?;
        let mut template = self.template(new, KeyClass::Secret, *key_type)?;
        template.push(value_len(*len)?);
        let expected = Expected { key_type: *key_type, len: Some(*len) };
        self.secret(permit, new, expected, (Use::Other, &[]), move |_, lent| {
            lent.ask(|session| session.generate_key(&mechanism(), &template))
        })
    }

    pub(super) fn make_pair(&self, permit: &Permit, spec: &KeySpec) -> Result<(Material, Material)> {
        let (mechanism, of_kind): (fn() -> Theirs<'static>, _) = match spec {
            KeySpec::Rsa { bits, .. } if !RSA_BITS.contains(bits) => {
                return Err(Error::new(ErrorKind::KeySize, "RSA keys have 1024 to 8192 bits"));
            }
            KeySpec::Rsa { bits, exponent } => {
                let bits = Attribute::ModulusBits(u64::from(*bits).into());
                (|| Theirs::RsaPkcsKeyPairGen, vec![bits, Attribute::PublicExponent(exponent.clone())])
            }
            KeySpec::Ec(curve) => {
                self.check_curve(*curve)?;
                let mechanism: fn() -> Theirs<'static> = match curve.key_type() {
                    KeyType::Ec => || Theirs::EccKeyPairGen,
                    KeyType::EcEdwards => || Theirs::EccEdwardsKeyPairGen,
                    KeyType::EcMontgomery => || Theirs::EccMontgomeryKeyPairGen,
                    _ => return Err(unsupported()),
                };
                (mechanism, vec![Attribute::EcParams(ec_params(*curve)?)])
            }
            _ => return Err(unsupported()),
        };
        let mut made = permit.new_objects();
        let (Some(private), Some(public)) = (made.next(), made.next()) else {
            return Err(Error::new(ErrorKind::Internal, "the permit makes no pair"));
        };
        let (key_type, id) = (spec.key_type(), private.id.0);
        let private_template = self.template(private, KeyClass::Private, key_type)?;
        // Where one half is stored both are, so that the device finds the one by the other.
        let public = NewObject { storage: private.storage, name: private.name.clone(), ..public.clone() };
        let mut public_template = new_key(&public, KeyClass::Public, key_type, &id, self.label_limit()?)?;
        public_template.extend(of_kind);
        let stored = private.storage == Storage::Stored;
        let made = self.call(Use::Other, &[], move |device, lent| {
            // Nothing behind it may fail in a way that has it done again.
            let at = |class| Locator::new(class, &lent.entered().serial, &id, None);
            let (private, public) = (at(KeyClass::Private)?, at(KeyClass::Public)?);
            let (theirs, ours) =
                lent.make_pair(|s| s.generate_key_pair(&mechanism(), &public_template, &private_template))?;
            let held = |handle| SessionKey::new(device, lent, handle, Vec::new());
            let halves = (held(ours), held(theirs));
            let read = Read::of_new(lent, theirs, public_of(key_type));
            Ok((private, public, read, halves))
        });
        // One that comes when nobody waits for it any more is destroyed again, and so is the public half of a session's pair:
        // nothing asks for it.
        let (private, public, read, (held, half)) = made?;
        let components = read.public(key_type)?;
        let described = self.software.import(permit, &KeyComponents::Public(components))?;
        if !stored {
            let held = HeldKey::new(epoch(), Arc::new(held));
            return Ok((Material { held, ..described.clone() }, described));
        }
        held.keep(&private.bytes);
        half.keep(&public.bytes);
        Ok((Material { locator: private.bytes, ..described.clone() }, Material { locator: public.bytes, ..described }))
    }

    pub(super) fn bring(&self, permit: &Permit, components: &KeyComponents) -> Result<Material> {
        if matches!(components, KeyComponents::Public(_)) {
            return self.software.import(permit, components);
        }
        if let KeyComponents::EcPrivate { curve, .. } = components {
            self.check_curve(*curve)?;
        }
        // The software engine knows what makes a key, what follows from it, and completes nothing that would be kept.
        let described = self.software.import(permit, components)?;
        let new = permit.new_object()?;
        let (class, of_key) = attributes::components(components)?;
        let all = self.template(new, class, components.key_type())?;
        let template = of_key.with(all);
        let made = if class == KeyClass::Secret {
            let expected = Expected { key_type: components.key_type(), len: None };
            self.secret(permit, new, expected, (Use::Other, &[]), move |_, lent| {
                lent.ask(|session| session.create_object(&template))
            })?
        } else {
            let create = move |_: &Arc<Device>, lent: &Lent| lent.ask(|session| session.create_object(&template));
            self.private(new, (Use::Other, &[]), create, |_| Ok(described.clone()))?
        };
        Ok(Material { locator: made.locator, held: made.held, ..described })
    }

    pub(super) fn open(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        wrapped: &[u8],
        expected: Expected,
    ) -> Result<Material> {
        let unwrapping = permit.key()?;
        let place = Place::of(unwrapping)?;
        if matches!(place, Place::Here) {
            return self.with_software(permit, |software| {
                software.unwrap(permit, mechanism, wrapped, expected.key_type, expected.len)
            });
        }
        let new = permit.new_object()?;
        let class = if expected.key_type.is_asymmetric() { KeyClass::Private } else { KeyClass::Secret };
        let template = self.template(new, class, expected.key_type)?;
        check(mechanism, &self.route.entered(&[&place])?.quirks)?;
        let implied = implied_len(mechanism, wrapped, expected.key_type);
        let (key, mechanism, wrapped) = (place.clone(), mechanism.clone(), wrapped.to_vec());
        let unwrapping = unwrapping.key.key_type;
        let unwrap = move |device: &Arc<Device>, lent: &Lent| {
            with(&mechanism, unwrapping, For::Keys, |theirs| {
                let key = key.handle(device, lent)?;
                lent.ask(|session| session.unwrap_key(theirs, key, &wrapped, &template))
            })
        };
        let places = [&place];
        let at = (Use::Unwrap, places.as_slice());
        if class == KeyClass::Secret {
            self.secret_of(permit, new, (expected, implied), at, unwrap)
        } else {
            self.private(new, at, unwrap, |read| self.describe(permit, expected.key_type, read))
        }
    }

    pub(super) fn agree(&self, permit: &Permit, mechanism: &Mechanism, expected: Expected) -> Result<Material> {
        let new = permit.new_object()?;
        let len = natural_len(permit, mechanism, expected.len)?;
        let mut template = self.template(new, KeyClass::Secret, expected.key_type)?;
        template.push(value_len(len)?);
        let expected = Expected { len: Some(len), ..expected };
        let base = permit.key()?;
        let place = Place::of(base)?;
        self.check_peer(permit, mechanism)?;
        let mechanism = adapted(mechanism, &self.route.entered(&[&place])?.quirks)?.into_owned();
        let (wanted, key_type) = (place.clone(), base.key.key_type);
        self.secret(permit, new, expected, (Use::Other, &[&place]), move |device, lent| {
            with(&mechanism, key_type, For::Derivation, |theirs| {
                let key = wanted.handle(device, lent)?;
                lent.ask(|session| session.derive_key(theirs, key, &template))
            })
        })
    }

    pub(super) fn agree_data(&self, permit: &Permit, mechanism: &Mechanism, len: Option<usize>) -> Result<Secret> {
        let len = natural_len(permit, mechanism, len)?;
        let template = [
            Attribute::Class(cryptoki::object::ObjectClass::SECRET_KEY),
            Attribute::KeyType(cryptoki::object::KeyType::GENERIC_SECRET),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            value_len(len)?,
        ];
        let base = permit.key()?;
        let place = Place::of(base)?;
        self.check_peer(permit, mechanism)?;
        let mechanism = adapted(mechanism, &self.route.entered(&[&place])?.quirks)?.into_owned();
        let (wanted, key_type) = (place.clone(), base.key.key_type);
        self.call(Use::Other, &[&place], move |device, lent| {
            with(&mechanism, key_type, For::Derivation, |theirs| {
                let key = wanted.handle(device, lent)?;
                let made = lent.ask(|session| session.derive_key(theirs, key, &template))?;
                give_out(lent, made)
            })
        })
    }

    /// Refuses a curve that the device is known to lack.
    fn check_curve(&self, curve: Curve) -> Result<()> {
        if self.route.entered(&[])?.quirks.knows(curve) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::CurveUnsupported, "the HSM does not know the curve"))
    }

    /// Refuses an agreement with what is no point of the curve: not every device looks, and those that do say anything.
    fn check_peer(&self, permit: &Permit, mechanism: &Mechanism) -> Result<()> {
        let (Mechanism::Ec(EcMechanism::Ecdh { public, .. }), PublicComponents::Ec { curve, .. }) =
            (mechanism, &permit.key()?.version.public)
        else {
            return Ok(());
        };
        let peer = PublicComponents::Ec { curve: *curve, point: public.clone() };
        let known = self.software.import(permit, &KeyComponents::Public(peer));
        known.map(drop).map_err(|e| {
            Error::new(ErrorKind::MechanismParameter, "the other side's point is not on the curve").with_source(e)
        })
    }

    /// What a new object gets here. Where it is to be carried to other devices it is extractable until it was.
    fn template(&self, new: &NewObject, class: KeyClass, key_type: KeyType) -> Result<Vec<Attribute>> {
        let limit = self.label_limit()?;
        if !self.carried || new.storage != Storage::Stored {
            return new_key(new, class, key_type, &new.id.0, limit);
        }
        let Protection { sensitive, extractable, .. } = new.protection;
        let protection = Protection { sensitive: sensitive || !extractable, extractable: true, ..new.protection };
        new_key(&NewObject { protection, ..new.clone() }, class, key_type, &new.id.0, limit)
    }

    /// Longest label that the device takes, where that is known.
    fn label_limit(&self) -> Result<Option<usize>> {
        Ok(self.route.entered(&[])?.quirks.label_bytes)
    }

    /// A new secret key, made by `make`: stored, or of this process alone.
    fn secret(
        &self,
        permit: &Permit,
        new: &NewObject,
        expected: Expected,
        used: (Use, &[&Place]),
        make: impl Fn(&Arc<Device>, &Lent) -> Result<ObjectHandle, Trouble> + Send + Sync + 'static,
    ) -> Result<Material> {
        self.secret_of(permit, new, (expected, None), used, make)
    }

    /// As [`Self::secret`], with the length that it is known to have where the device does not tell.
    fn secret_of(
        &self,
        permit: &Permit,
        new: &NewObject,
        (expected, implied): (Expected, Option<usize>),
        used: (Use, &[&Place]),
        make: impl Fn(&Arc<Device>, &Lent) -> Result<ObjectHandle, Trouble> + Send + Sync + 'static,
    ) -> Result<Material> {
        let Expected { key_type, len } = expected;
        if new.storage == Storage::Ephemeral {
            return self.session_secret(permit, new, (expected, implied), used, make);
        }
        let id = new.id.0;
        let (locator, made) = self.call(used.0, used.1, move |device, lent| {
            let locator = Locator::new(KeyClass::Secret, &lent.entered().serial, &id, None)?;
            let handle = make(device, lent)?;
            Ok((locator, SessionKey::new(device, lent, handle, Vec::new())))
        })?;
        // One that comes when nobody waits for it any more is destroyed again.
        made.keep(&locator.bytes);
        // The device may have been entered anew since: the handle is looked up.
        let wanted = locator.clone();
        let described = self.call(Use::Other, &[], move |device, lent| {
            let gone = || Error::new(ErrorKind::BackendUnavailable, "the HSM does not hold the key that it made");
            describe_secret(lent, stored(device, lent, &wanted)?.ok_or_else(gone)?)
        });
        // What is not described is not recorded.
        let (check_value, found) = described.inspect_err(|_| drop(self.remove(&locator)))?;
        let found = found.or(implied);
        if let (Some(wanted), Some(found)) = (len, found)
            && wanted != found
        {
            self.remove(&locator)?;
            return Err(Error::new(ErrorKind::WrappedKeyLength, "the key does not have the length that is expected"));
        }
        let bits = bits_of(len.or(found));
        Ok(Material { key_type, locator: locator.bytes, bits, check_value, ..nothing(key_type) })
    }

    /// A secret key of this process: in its session of the device, or, where its draft has it readable anyway, here, where
    /// the software engine goes on with it.
    fn session_secret(
        &self,
        permit: &Permit,
        new: &NewObject,
        (expected, implied): (Expected, Option<usize>),
        used: (Use, &[&Place]),
        make: impl Fn(&Arc<Device>, &Lent) -> Result<ObjectHandle, Trouble> + Send + Sync + 'static,
    ) -> Result<Material> {
        let Expected { key_type, len } = expected;
        let readable = new.protection.extractable && !new.protection.sensitive;
        let made = self.call(used.0, used.1, move |device, lent| {
            let handle = make(device, lent)?;
            if readable {
                return give_out(lent, handle).map(Made::Value);
            }
            let (check_value, found) = described_by(&Read::of_new(lent, handle, OF_SECRET));
            Ok(Made::Held(Arc::new(SessionKey::new(device, lent, handle, check_value)), found))
        })?;
        let fits = |found: Option<usize>| match (len, found) {
            (Some(wanted), Some(found)) if wanted != found => {
                Err(Error::new(ErrorKind::WrappedKeyLength, "the key does not have the length that is expected"))
            }
            _ => Ok(()),
        };
        match made {
            Made::Value(value) => {
                fits(Some(value.len()))?;
                self.software.import(permit, &KeyComponents::Secret { key_type, value })
            }
            Made::Held(held, found) => {
                let found = found.or(implied);
                fits(found)?;
                let bits = bits_of(len.or(found));
                Ok(Material { key_type, bits, held: HeldKey::new(epoch(), held), ..nothing(key_type) })
            }
        }
    }

    /// A new private key, made by `make` and described by `describe`.
    fn private(
        &self,
        new: &NewObject,
        used: (Use, &[&Place]),
        make: impl Fn(&Arc<Device>, &Lent) -> Result<ObjectHandle, Trouble> + Send + Sync + 'static,
        describe: impl Fn(&Read) -> Result<Material>,
    ) -> Result<Material> {
        let (stored, id) = (new.storage == Storage::Stored, new.id.0);
        let made = self.call(used.0, used.1, move |device, lent| {
            let locator = Locator::new(KeyClass::Private, &lent.entered().serial, &id, None)?;
            let handle = make(device, lent)?;
            let read = Read::of_new(lent, handle, attributes::PUBLIC);
            Ok((locator, read, SessionKey::new(device, lent, handle, Vec::new())))
        });
        let (locator, read, held) = made?;
        let described = describe(&read)?;
        if !stored {
            return Ok(Material { locator: Vec::new(), held: HeldKey::new(epoch(), Arc::new(held)), ..described });
        }
        held.keep(&locator.bytes);
        Ok(Material { locator: locator.bytes, held: HeldKey::default(), ..described })
    }

    /// What may be known of a private key, from what the device tells of it.
    pub(super) fn describe(&self, permit: &Permit, key_type: KeyType, read: &Read) -> Result<Material> {
        let public = read.public(key_type)?;
        match &public {
            PublicComponents::Ec { curve, point } if point.is_empty() => {
                Ok(Material { key_type, bits: curve.bits(), public: public.clone(), ..nothing(key_type) })
            }
            _ => self.software.import(permit, &KeyComponents::Public(public)),
        }
    }

    /// Destroys a stored object, if it is there.
    pub(super) fn remove(&self, locator: &Locator) -> Result<()> {
        let wanted = locator.clone();
        self.call(Use::Other, &[], move |device, lent| {
            let Some(handle) = stored(device, lent, &wanted)? else { return Ok(()) };
            lent.ask(|session| session.destroy_object(handle))?;
            device.forget(&wanted.bytes);
            Ok(())
        })
    }
}

/// Takes the value of a session object out, and destroys it.
fn give_out(lent: &Lent, handle: ObjectHandle) -> Result<Secret, Trouble> {
    let read = Read::of_new(lent, handle, &[AttributeType::Value]);
    let _ = lent.ask(|session| session.destroy_object(handle));
    let value = read.into_value();
    Ok(value.ok_or_else(|| Error::new(ErrorKind::KeyUnextractable, "the HSM does not give the value out"))?)
}

/// What is read of a secret key.
const OF_SECRET: &[AttributeType] = &[AttributeType::CheckValue, AttributeType::ValueLen];

/// Check value and length of a secret key.
fn describe_secret(lent: &Lent, handle: ObjectHandle) -> Result<(Vec<u8>, Option<usize>), Trouble> {
    Ok(described_by(&Read::of(lent, handle, OF_SECRET)?))
}

fn described_by(read: &Read) -> (Vec<u8>, Option<usize>) {
    // SoftHSM2 says of what it unwrapped that it has no length.
    (read.check_value(), read.value_len().filter(|len| *len > 0))
}

/// How long a wrapped key is, where that follows from its length wrapped: SoftHSM2 does not tell of keys that came so.
fn implied_len(mechanism: &Mechanism, wrapped: &[u8], key_type: KeyType) -> Option<usize> {
    let unwrapped = wrapped.len().checked_sub(8)?;
    match mechanism {
        Mechanism::Cipher(_, CipherMode::KeyWrap { .. }) => Some(unwrapped),
        // Lengths of AES keys are multiples of what is filled up to.
        Mechanism::Cipher(_, CipherMode::KeyWrapPad) if key_type == KeyType::Aes => Some(unwrapped),
        _ => None,
    }
}

/// How long what the mechanism derives is where nobody says.
fn natural_len(permit: &Permit, mechanism: &Mechanism, len: Option<usize>) -> Result<usize> {
    if let Some(len) = len {
        return Ok(len);
    }
    match (mechanism, &permit.key()?.version.public) {
        (Mechanism::Ec(EcMechanism::Ecdh { .. }), PublicComponents::Ec { curve, .. }) => Ok(curve.field_len()),
        (Mechanism::Kdf(KdfMechanism::EncryptData { data, .. }), _) => Ok(data.len()),
        _ => Err(Error::new(ErrorKind::TemplateIncomplete, "say how long the derived key is to be")),
    }
}

fn value_len(len: usize) -> Result<Attribute> {
    let len = u64::try_from(len).map_err(|_| Error::new(ErrorKind::KeySize, "the key is too long"))?;
    Ok(Attribute::ValueLen(len.into()))
}

pub(super) fn bits_of(len: Option<usize>) -> u32 {
    len.and_then(|len| u32::try_from(len.saturating_mul(8)).ok()).unwrap_or_default()
}

/// What is known of a key of which nothing is known but its type.
pub(super) fn nothing(key_type: KeyType) -> Material {
    Material {
        key_type,
        locator: Vec::new(),
        bits: 0,
        public: PublicComponents::None,
        check_value: Vec::new(),
        held: HeldKey::default(),
    }
}
