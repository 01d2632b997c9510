//! Keys that the device holds already: what they are, read and not touched.

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};

use super::HsmBackend;
use super::attributes::{self, Read, public_of};
use super::halves::{CHANCE, Half, belong, whole};
use super::keys::{bits_of, nothing};
use super::locator::{Locator, Replicas};
use super::place::{self, hex, stored};
use crate::backend::Foreign;
use crate::device::{Device, Lent, ROOT_KEYS, Trouble, Use, WRAPPING_KEYS};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyClass, Material, Protection, Usage};
use crate::mechanism::KeyType;
use crate::permit::Permit;

/// What is read of every key. Values are not among it.
const ATTRIBUTES: &[AttributeType] = &[
    AttributeType::Class,
    AttributeType::KeyType,
    AttributeType::Id,
    AttributeType::Label,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Sign,
    AttributeType::Verify,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::AlwaysSensitive,
    AttributeType::NeverExtractable,
    AttributeType::Local,
    AttributeType::WrapWithTrusted,
    AttributeType::AlwaysAuthenticate,
    AttributeType::CheckValue,
    AttributeType::ValueLen,
];

/// A key as the device described it.
struct Found {
    handle: ObjectHandle,
    read: Read,
    public: Read,
    class: KeyClass,
    key_type: Option<KeyType>,
    /// Of a public half: whether a private one with its identifier was shown to be its other half, where one is there.
    belongs: Option<bool>,
}

impl HsmBackend {
    /// Every stored key of the device, or the one at `locator`, of which it is shown then that its halves belong together.
    /// Those that cannot be used here say why.
    pub(super) fn adoptable(&self, permit: &Permit, replicas: Option<&Replicas>) -> Result<Vec<Foreign>> {
        let mut chance = [0; CHANCE];
        self.software.entropy().fill(&mut chance)?;
        let wanted = replicas.cloned();
        let (found, serial) = self.call(Use::Other, &[], move |device, lent| {
            let mut found = Vec::new();
            let locator = wanted.as_ref().map(|replicas| place::there(device, lent, replicas)).transpose()?;
            for handle in handles(device, lent, locator)? {
                found.extend(read(lent, handle)?);
            }
            if wanted.is_some() {
                show(lent, &mut found, &chance)?;
            }
            Ok((found, lent.entered().serial.clone()))
        })?;
        let wanted = |key: &&Found| replicas.is_none_or(|replicas| replicas.class == key.class);
        let described = found.iter().filter(wanted).map(|key| self.foreign_key(permit, key, &found, &serial));
        described.collect()
    }

    fn foreign_key(&self, permit: &Permit, key: &Found, all: &[Found], serial: &str) -> Result<Foreign> {
        let (id, label) = (key.read.id(), key.read.label());
        let like = |other: &&Found| other.class == key.class && other.read.id() == id;
        let alone = all.iter().filter(like).count() == 1;
        let labelled = all.iter().filter(like).filter(|other| other.read.label() == label).count() == 1;
        let locator = Locator::new(key.class, serial, id, (!alone).then_some(label))?;
        let key_type = key.key_type.unwrap_or(KeyType::GenericSecret);
        let (usage, protection) = attributes_of(&key.read);
        let mut foreign = Foreign {
            material: Material { locator: locator.bytes, ..nothing(key_type) },
            class: key.class,
            owner: None,
            label: label.to_vec(),
            identifier: id.to_vec(),
            usage,
            protection,
            refusal: None,
        };
        let refuse = |why: &str| Some(why.to_owned());
        foreign.refusal = if let Some(why) = opens(id).or_else(|| opens(label)) {
            refuse(why)
        } else if key.key_type.is_none() {
            refuse("keys of this type are not offered")
        } else if id.is_empty() && label.is_empty() {
            refuse("it has neither CKA_ID nor label: give it one with the vendor's tool")
        } else if !alone && !labelled {
            refuse("others have the same CKA_ID and label: give it another with the vendor's tool")
        } else if protection.always_authenticate {
            refuse("it asks for the HSM's PIN at each use")
        } else if key.belongs == Some(false) && key.class == KeyClass::Public {
            refuse("it is not the other half of the private key with its CKA_ID: somebody may have put it there")
        } else {
            None
        };
        if foreign.refusal.is_some() {
            return Ok(foreign);
        }
        let described = if key.class == KeyClass::Secret {
            let bits = bits_of(key.read.value_len());
            Ok(Material { bits, check_value: key.read.check_value(), ..nothing(key_type) })
        } else {
            self.describe_half(permit, key, key_type, all)
        };
        match described {
            Ok(described) => {
                let locator = std::mem::take(&mut foreign.material.locator);
                foreign.material = Material { locator, ..described };
            }
            Err(e) => foreign.refusal = Some(e.sentence()),
        }
        Ok(foreign)
    }

    /// Half of a pair: what the object itself does not tell of the public part, the other half does.
    fn describe_half(&self, permit: &Permit, key: &Found, key_type: KeyType, all: &[Found]) -> Result<Material> {
        if whole(&key.public, key_type).is_some() {
            return self.describe(permit, key_type, &key.public);
        }
        let other = all.iter().find(|other| {
            other.class == KeyClass::Public
                && other.key_type == key.key_type
                && other.read.id() == key.read.id()
                && other.belongs != Some(false)
                && whole(&other.public, key_type).is_some()
        });
        let silent = || {
            let why = format!(
                "the HSM does not tell its public half, and no public key with CKA_ID {} there is shown to be that",
                hex(key.read.id())
            );
            Error::new(ErrorKind::BackendUnavailable, why)
        };
        self.describe(permit, key_type, &other.ok_or_else(silent)?.public)
    }
}

/// The keys of the device, or those to look at for the one at `locator`.
fn handles(device: &Device, lent: &Lent, locator: Option<&Locator>) -> Result<Vec<ObjectHandle>, Trouble> {
    let Some(locator) = locator else {
        return lent.ask(|session| session.find_objects(&[Attribute::Token(true)]));
    };
    let mut handles: Vec<_> = stored(device, lent, locator)?.into_iter().collect();
    let other = match locator.class {
        // Its public half tells what the private one does not.
        KeyClass::Private => ObjectClass::PUBLIC_KEY,
        KeyClass::Public => ObjectClass::PRIVATE_KEY,
        KeyClass::Secret => return Ok(handles),
    };
    let halves = [Attribute::Class(other), Attribute::Token(true), Attribute::Id(locator.id.clone())];
    handles.extend(lent.ask(|session| session.find_objects(&halves))?);
    Ok(handles)
}

/// What a key opens that is called like this: whoever uses it has that.
fn opens(name: &[u8]) -> Option<&'static str> {
    let own = [(ROOT_KEYS, "it opens a home"), (WRAPPING_KEYS, "it opens key material of a home")];
    own.into_iter().find_map(|(own, what)| name.starts_with(own.as_bytes()).then_some(what))
}

/// Shows of each public half whether the private one with its identifier is its other half.
fn show(lent: &Lent, found: &mut [Found], chance: &[u8; CHANCE]) -> Result<(), Trouble> {
    let mut shown = Vec::new();
    for (at, public) in found.iter().enumerate().filter(|(_, key)| key.class == KeyClass::Public) {
        let Some(key_type) = public.key_type else { continue };
        for private in found.iter().filter(|key| key.class == KeyClass::Private && key.read.id() == public.read.id()) {
            let fits =
                private.key_type == Some(key_type) && belong(lent, (private.half(), public.half()), key_type, chance)?;
            shown.push((at, fits));
        }
    }
    for (at, fits) in shown {
        if let Some(public) = found.get_mut(at) {
            public.belongs = Some(fits || public.belongs == Some(true));
        }
    }
    Ok(())
}

impl Found {
    fn half(&self) -> Half<'_> {
        Half { handle: self.handle, public: &self.public, usage: attributes_of(&self.read).0 }
    }
}

/// A key; `None` for objects that are none.
fn read(lent: &Lent, handle: ObjectHandle) -> Result<Option<Found>, Trouble> {
    let read = Read::of(lent, handle, ATTRIBUTES)?;
    let Some(class) = read.class() else { return Ok(None) };
    let key_type = read.key_type();
    let wanted = key_type
        .filter(|_| class != KeyClass::Secret)
        .map_or(attributes::PUBLIC.get(..0), |key_type| Some(public_of(key_type)));
    let public = match wanted {
        Some(wanted) if !wanted.is_empty() => Read::of(lent, handle, wanted)?,
        _ => Read::default(),
    };
    Ok(Some(Found { handle, read, public, class, key_type, belongs: None }))
}

/// What the device lets it do, and how it protects it.
fn attributes_of(read: &Read) -> (Usage, Protection) {
    let (mut usage, mut protection) = (Usage::default(), Protection { sensitive: true, ..Protection::default() });
    for attribute in read.each() {
        match attribute {
            Attribute::Encrypt(value) => usage.encrypt = *value,
            Attribute::Decrypt(value) => usage.decrypt = *value,
            Attribute::Sign(value) => usage.sign = *value,
            Attribute::Verify(value) => usage.verify = *value,
            Attribute::Wrap(value) => usage.wrap = *value,
            Attribute::Unwrap(value) => usage.unwrap = *value,
            Attribute::Derive(value) => usage.derive = *value,
            Attribute::Sensitive(value) => protection.sensitive = *value,
            Attribute::Extractable(value) => protection.extractable = *value,
            Attribute::AlwaysSensitive(value) => protection.always_sensitive = *value,
            Attribute::NeverExtractable(value) => protection.never_extractable = *value,
            Attribute::Local(value) => protection.local = *value,
            Attribute::WrapWithTrusted(value) => protection.wrap_with_trusted = *value,
            Attribute::AlwaysAuthenticate(value) => protection.always_authenticate = *value,
            _ => {}
        }
    }
    (usage, protection)
}
