//! Keys that come to exist in the device: made, brought in, unwrapped, derived.

use std::sync::Arc;

use cryptoki::mechanism::Mechanism as Theirs;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

use super::HsmBackend;
use super::attributes::{self, Read, ec_params, new_key, public_of, wipe};
use super::locator::Locator;
use super::mechanism::{For, adapted, check, unsupported, with};
use super::place::{Place, SessionKey, stored};
use crate::device::{Lent, Trouble, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Expected, HeldKey, KeyClass, KeyComponents, KeySpec, Material, PublicComponents, Storage};
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
        let mechanism = match key_type {
            KeyType::Aes if !matches!(len, 16 | 24 | 32) => {
                return Err(Error::new(ErrorKind::KeySize, "AES keys have 128, 192 or 256 bits"));
            }
            KeyType::Aes => Theirs::AesKeyGen,
            generic if generic.is_generic() => Theirs::GenericSecretKeyGen,
            _ => return Err(unsupported()),
        };
        let new = permit.new_object()?;
        let mut template = new_key(new, KeyClass::Secret, *key_type, &new.id.0, self.label_limit()?)?;
        template.push(value_len(*len)?);
        let expected = Expected { key_type: *key_type, len: Some(*len) };
        self.secret(permit, new, expected, Use::Other, |lent| {
            lent.ask(|session| session.generate_key(&mechanism, &template))
        })
    }

    pub(super) fn make_pair(&self, permit: &Permit, spec: &KeySpec) -> Result<(Material, Material)> {
        let (mechanism, of_kind) = match spec {
            KeySpec::Rsa { bits, .. } if !RSA_BITS.contains(bits) => {
                return Err(Error::new(ErrorKind::KeySize, "RSA keys have 1024 to 8192 bits"));
            }
            KeySpec::Rsa { bits, exponent } => {
                let bits = Attribute::ModulusBits(u64::from(*bits).into());
                (Theirs::RsaPkcsKeyPairGen, vec![bits, Attribute::PublicExponent(exponent.clone())])
            }
            KeySpec::Ec(curve) => {
                self.check_curve(*curve)?;
                let mechanism = match curve.key_type() {
                    KeyType::Ec => Theirs::EccKeyPairGen,
                    KeyType::EcEdwards => Theirs::EccEdwardsKeyPairGen,
                    KeyType::EcMontgomery => Theirs::EccMontgomeryKeyPairGen,
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
        let private_template = new_key(private, KeyClass::Private, key_type, &id, self.label_limit()?)?;
        // Where one half is stored both are, so that the device finds the one by the other.
        let public = NewObject { storage: private.storage, name: private.name.clone(), ..public.clone() };
        let mut public_template = new_key(&public, KeyClass::Public, key_type, &id, self.label_limit()?)?;
        public_template.extend(of_kind);
        let made = self.call(Use::Other, |lent| {
            let halves = lent.ask(|s| s.generate_key_pair(&mechanism, &public_template, &private_template))?;
            let public = Read::of(lent, halves.0, public_of(key_type))?;
            Ok((
                halves,
                public,
                lent.entered().serial.clone(),
                SessionKey::new(&self.device, lent, halves.1, Vec::new()),
            ))
        });
        let ((theirs, ours), read, serial, held) = made?;
        let components = read.public(key_type)?;
        let described = self.software.import(permit, &KeyComponents::Public(components))?;
        if private.storage == Storage::Ephemeral {
            let held = HeldKey::new(epoch(), Arc::new(held));
            return Ok((Material { held, ..described.clone() }, described));
        }
        held.keep();
        let at = |class| Locator::new(class, &serial, &id, None);
        let (private, public) = (at(KeyClass::Private)?, at(KeyClass::Public)?);
        self.call(Use::Other, |lent| {
            self.device.remember(lent, &private.bytes, ours);
            self.device.remember(lent, &public.bytes, theirs);
            Ok(())
        })?;
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
        let mut template = new_key(new, class, components.key_type(), &new.id.0, self.label_limit()?)?;
        template.extend(of_key);
        let made = if class == KeyClass::Secret {
            let expected = Expected { key_type: components.key_type(), len: None };
            self.secret(permit, new, expected, Use::Other, |lent| lent.ask(|session| session.create_object(&template)))
        } else {
            self.private(new, |lent| lent.ask(|session| session.create_object(&template)), |_| Ok(described.clone()))
        };
        wipe(template);
        let made = made?;
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
        let template = new_key(new, class, expected.key_type, &new.id.0, self.label_limit()?)?;
        check(mechanism, &self.device.entered()?.quirks)?;
        with(mechanism, unwrapping.key.key_type, For::Keys, |theirs| {
            let unwrap = |lent: &Lent| {
                let key = place.handle(&self.device, lent)?;
                lent.ask(|session| session.unwrap_key(theirs, key, wrapped, &template))
            };
            if class == KeyClass::Secret {
                let implied = implied_len(mechanism, wrapped, expected.key_type);
                self.secret_of(permit, new, (expected, implied), Use::Unwrap, unwrap)
            } else {
                self.private(new, unwrap, |read| self.describe(permit, expected.key_type, read))
            }
        })
    }

    pub(super) fn agree(&self, permit: &Permit, mechanism: &Mechanism, expected: Expected) -> Result<Material> {
        let new = permit.new_object()?;
        let len = natural_len(permit, mechanism, expected.len)?;
        let mut template = new_key(new, KeyClass::Secret, expected.key_type, &new.id.0, self.label_limit()?)?;
        template.push(value_len(len)?);
        let expected = Expected { len: Some(len), ..expected };
        let base = permit.key()?;
        let place = Place::of(base)?;
        self.check_peer(permit, mechanism)?;
        let mechanism = adapted(mechanism, &self.device.entered()?.quirks)?;
        with(&mechanism, base.key.key_type, For::Derivation, |theirs| {
            self.secret(permit, new, expected, Use::Other, |lent| {
                let key = place.handle(&self.device, lent)?;
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
        let mechanism = adapted(mechanism, &self.device.entered()?.quirks)?;
        with(&mechanism, base.key.key_type, For::Derivation, |theirs| {
            self.call(Use::Other, |lent| {
                let key = place.handle(&self.device, lent)?;
                let made = lent.ask(|session| session.derive_key(theirs, key, &template))?;
                give_out(lent, made)
            })
        })
    }

    /// Refuses a curve that the device is known to lack.
    fn check_curve(&self, curve: Curve) -> Result<()> {
        if self.device.entered()?.quirks.knows(curve) {
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

    /// Longest label that the device takes, where that is known.
    fn label_limit(&self) -> Result<Option<usize>> {
        Ok(self.device.entered()?.quirks.label_bytes)
    }

    /// A new secret key, made by `make`: stored, or of this process alone.
    fn secret(
        &self,
        permit: &Permit,
        new: &NewObject,
        expected: Expected,
        used: Use,
        make: impl Fn(&Lent) -> Result<ObjectHandle, Trouble>,
    ) -> Result<Material> {
        self.secret_of(permit, new, (expected, None), used, make)
    }

    /// As [`Self::secret`], with the length that it is known to have where the device does not tell.
    fn secret_of(
        &self,
        permit: &Permit,
        new: &NewObject,
        (expected, implied): (Expected, Option<usize>),
        used: Use,
        make: impl Fn(&Lent) -> Result<ObjectHandle, Trouble>,
    ) -> Result<Material> {
        let Expected { key_type, len } = expected;
        if new.storage == Storage::Ephemeral {
            return self.session_secret(permit, new, (expected, implied), used, make);
        }
        let (handle, serial) = self.call(used, |lent| Ok((make(lent)?, lent.entered().serial.clone())))?;
        let locator = Locator::new(KeyClass::Secret, &serial, &new.id.0, None)?;
        let described = self.call(Use::Other, |lent| {
            self.device.remember(lent, &locator.bytes, handle);
            describe_secret(lent, handle)
        });
        let (check_value, found) = described?;
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
        used: Use,
        make: impl Fn(&Lent) -> Result<ObjectHandle, Trouble>,
    ) -> Result<Material> {
        let Expected { key_type, len } = expected;
        let readable = new.protection.extractable && !new.protection.sensitive;
        let made = self.call(used, |lent| {
            let handle = make(lent)?;
            if readable {
                return give_out(lent, handle).map(Made::Value);
            }
            let (check_value, found) = describe_secret(lent, handle)?;
            Ok(Made::Held(Arc::new(SessionKey::new(&self.device, lent, handle, check_value)), found))
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
        make: impl Fn(&Lent) -> Result<ObjectHandle, Trouble>,
        describe: impl Fn(&Read) -> Result<Material>,
    ) -> Result<Material> {
        let made = self.call(Use::Unwrap, |lent| {
            let handle = make(lent)?;
            let read = Read::of(lent, handle, attributes::PUBLIC)?;
            Ok((handle, read, lent.entered().serial.clone(), SessionKey::new(&self.device, lent, handle, Vec::new())))
        });
        let (handle, read, serial, held) = made?;
        let described = describe(&read)?;
        if new.storage == Storage::Ephemeral {
            return Ok(Material { locator: Vec::new(), held: HeldKey::new(epoch(), Arc::new(held)), ..described });
        }
        held.keep();
        let locator = Locator::new(KeyClass::Private, &serial, &new.id.0, None)?;
        self.call(Use::Other, |lent| {
            self.device.remember(lent, &locator.bytes, handle);
            Ok(())
        })?;
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
        self.call(Use::Other, |lent| {
            let Some(handle) = stored(&self.device, lent, locator)? else { return Ok(()) };
            lent.ask(|session| session.destroy_object(handle))?;
            self.device.forget(&locator.bytes);
            Ok(())
        })
    }
}

/// Takes the value of a session object out, and destroys it.
fn give_out(lent: &Lent, handle: ObjectHandle) -> Result<Secret, Trouble> {
    let read = Read::of(lent, handle, &[AttributeType::Value]);
    let _ = lent.ask(|session| session.destroy_object(handle));
    let value = read?.into_value();
    Ok(value.ok_or_else(|| Error::new(ErrorKind::KeyUnextractable, "the HSM does not give the value out"))?)
}

/// Check value and length of a secret key.
fn describe_secret(lent: &Lent, handle: ObjectHandle) -> Result<(Vec<u8>, Option<usize>), Trouble> {
    let read = Read::of(lent, handle, &[AttributeType::CheckValue, AttributeType::ValueLen])?;
    // SoftHSM2 says of what it unwrapped that it has no length.
    Ok((read.check_value(), read.value_len().filter(|len| *len > 0)))
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

fn bits_of(len: Option<usize>) -> u32 {
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
