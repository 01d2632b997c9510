//! Objects → attributes: what C_GetAttributeValue shows and C_FindObjects compares.

use std::cell::OnceCell;

use cryptoki_sys::{self as c, CK_ATTRIBUTE_TYPE, CK_ULONG, CK_UNAVAILABLE_INFORMATION, CKC_X_509};
use libkmss::key::{Body, Date, Key, KeyClass, KeyComponents, KeyVersion, Object, PublicComponents, Storage};
use libkmss::mechanism::DhGroup;
use libkmss::secret::Secret;

use super::certificate::Outline;
use super::curve;
use super::draft::usage_field;
use super::parameter_set;
use super::rules::{self, Class};
use crate::mechanisms::Profile;
use crate::raw::octet_string;
use crate::raw::template::{Answer, Template, u64_of};
use crate::rv::Result;

/// The attributes of one object.
pub(crate) struct Attributes<'a> {
    object: &'a Object,
    class: Class,
    profile: Profile,
}

impl<'a> Attributes<'a> {
    /// The attributes of `object`, under the numbers of its token.
    pub(crate) fn of(object: &'a Object, profile: Profile) -> Self {
        Self { object, class: Class::of(object), profile }
    }

    /// What may be told of an attribute without touching key material; [`Answer::Sensitive`] for key material.
    pub(crate) fn answer(&self, kind: CK_ATTRIBUTE_TYPE) -> Answer {
        if !rules::exists(kind, self.class) {
            return Answer::Unknown;
        }
        let object = self.object;
        match kind {
            c::CKA_CLASS => Answer::number(self.class.number()),
            c::CKA_TOKEN => Answer::flag(object.storage == Storage::Stored),
            c::CKA_PRIVATE => Answer::flag(object.private),
            c::CKA_MODIFIABLE => Answer::flag(object.modifiable),
            c::CKA_COPYABLE => Answer::flag(object.copyable),
            c::CKA_DESTROYABLE => Answer::flag(object.destroyable),
            c::CKA_LABEL => Answer::bytes(&object.label),
            c::CKA_ID => Answer::bytes(&object.identifier),
            c::CKA_UNIQUE_ID => Answer::bytes(object.id.to_string().as_bytes()),
            _ => match &object.body {
                Body::Data { value } if kind == c::CKA_VALUE => Answer::bytes(value),
                Body::Data { .. } => self.kept(kind),
                Body::Certificate { value } => self.certificate(kind, value),
                Body::Key(key) => match key.primary() {
                    Ok(version) => self.key(kind, key, version),
                    Err(_) => Answer::Unknown,
                },
            },
        }
    }

    /// As [`Self::answer`], with key material where the key gives it out; `export` reads it, once.
    ///
    /// # Errors
    /// Those of `export`.
    pub(crate) fn answer_with(
        &self,
        kind: CK_ATTRIBUTE_TYPE,
        exported: &OnceCell<Option<KeyComponents>>,
        export: impl FnOnce() -> Result<Option<KeyComponents>>,
    ) -> Result<Answer> {
        let answer = self.answer(kind);
        let readable = self.object.key().is_some_and(|k| !k.protection.sensitive && k.protection.extractable);
        if answer != Answer::Sensitive || !readable {
            return Ok(answer);
        }
        if exported.get().is_none() {
            let _ = exported.set(export()?);
        }
        let value = exported.get().and_then(Option::as_ref).and_then(|components| component(components, kind));
        Ok(value.map_or(Answer::Sensitive, |secret| Answer::bytes(secret.expose())))
    }

    /// An attribute that the core keeps for us, empty where it was never given.
    fn kept(&self, kind: CK_ATTRIBUTE_TYPE) -> Answer {
        Answer::bytes(self.object.attributes.get(&u64_of(kind)).map_or(&[], |v| v.as_slice()))
    }

    fn kept_or(&self, kind: CK_ATTRIBUTE_TYPE, default: impl FnOnce() -> Answer) -> Answer {
        if self.object.attributes.contains_key(&u64_of(kind)) { self.kept(kind) } else { default() }
    }

    fn certificate(&self, kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Answer {
        match kind {
            c::CKA_VALUE => Answer::bytes(value),
            c::CKA_CERTIFICATE_TYPE => Answer::number(CKC_X_509),
            c::CKA_TRUSTED => self.kept_or(kind, || Answer::flag(false)),
            c::CKA_CERTIFICATE_CATEGORY | c::CKA_JAVA_MIDP_SECURITY_DOMAIN => self.kept_or(kind, || Answer::number(0)),
            c::CKA_NAME_HASH_ALGORITHM => self.kept_or(kind, || Answer::number(c::CKM_SHA_1)),
            c::CKA_SUBJECT | c::CKA_ISSUER | c::CKA_SERIAL_NUMBER | c::CKA_PUBLIC_KEY_INFO => {
                self.kept_or(kind, || {
                    let outline = Outline::read(value);
                    Answer::bytes(outline.and_then(|o| o.field(kind)).unwrap_or_default())
                })
            }
            _ => self.kept(kind),
        }
    }

    fn key(&self, kind: CK_ATTRIBUTE_TYPE, key: &Key, version: &KeyVersion) -> Answer {
        let mut usage = key.usage;
        if let Some(flag) = usage_field(&mut usage, kind) {
            return Answer::flag(*flag);
        }
        let protection = &key.protection;
        match kind {
            c::CKA_KEY_TYPE => Answer::number(self.profile.key_type_number(key.key_type)),
            c::CKA_START_DATE => date(key.start),
            c::CKA_END_DATE => date(key.end),
            c::CKA_LOCAL => Answer::flag(protection.local),
            // Kept of keys that another mechanism than that of their type made.
            c::CKA_KEY_GEN_MECHANISM if protection.local => self.kept_or(kind, || {
                Answer::number(self.profile.generation(key.key_type).unwrap_or(CK_UNAVAILABLE_INFORMATION))
            }),
            c::CKA_KEY_GEN_MECHANISM => Answer::number(CK_UNAVAILABLE_INFORMATION),
            c::CKA_ALLOWED_MECHANISMS => allowed(&key.allowed_mechanisms, self.profile),
            c::CKA_SENSITIVE => Answer::flag(protection.sensitive),
            c::CKA_EXTRACTABLE => Answer::flag(protection.extractable),
            c::CKA_ALWAYS_SENSITIVE => Answer::flag(protection.always_sensitive),
            c::CKA_NEVER_EXTRACTABLE => Answer::flag(protection.never_extractable),
            c::CKA_TRUSTED => Answer::flag(protection.trusted),
            c::CKA_WRAP_WITH_TRUSTED => Answer::flag(protection.wrap_with_trusted),
            c::CKA_ALWAYS_AUTHENTICATE => Answer::flag(protection.always_authenticate),
            c::CKA_WRAP_TEMPLATE
            | c::CKA_UNWRAP_TEMPLATE
            | c::CKA_DERIVE_TEMPLATE
            | c::CKA_ENCAPSULATE_TEMPLATE
            | c::CKA_DECAPSULATE_TEMPLATE => {
                let kept = self.object.attributes.get(&u64_of(kind));
                Answer::Nested(kept.and_then(|bytes| Template::decode(bytes)).unwrap_or_default())
            }
            c::CKA_CHECK_VALUE => Answer::bytes(&version.check_value()),
            c::CKA_VALUE_LEN => Answer::number((version.bits / 8).into()),
            c::CKA_PUBLIC_KEY_INFO => Answer::bytes(&version.public.spki().unwrap_or_default()),
            c::CKA_MODULUS_BITS => Answer::number(version.bits.into()),
            c::CKA_MODULUS | c::CKA_PUBLIC_EXPONENT | c::CKA_EC_PARAMS | c::CKA_EC_POINT => {
                self.public(kind, &version.public)
            }
            c::CKA_PARAMETER_SET => self.public(kind, &version.public),
            c::CKA_VALUE if key.class == KeyClass::Public => self.public(kind, &version.public),
            c::CKA_PRIME | c::CKA_BASE => self.public(kind, &version.public),
            c::CKA_VALUE_BITS => self.kept_or(kind, || Answer::Unknown),
            c::CKA_SUBJECT | rules::CKA_NSS_DB => self.kept(kind),
            // What is left is CKA_VALUE, CKA_SEED and the private components of RSA.
            _ => Answer::Sensitive,
        }
    }

    fn public(&self, kind: CK_ATTRIBUTE_TYPE, public: &PublicComponents) -> Answer {
        match (public, kind) {
            (PublicComponents::Rsa { modulus, .. }, c::CKA_MODULUS) => Answer::bytes(modulus),
            (PublicComponents::Rsa { exponent, .. }, c::CKA_PUBLIC_EXPONENT) => Answer::bytes(exponent),
            (PublicComponents::Dh { group, .. }, c::CKA_PRIME) => Answer::bytes(group.prime()),
            (PublicComponents::Dh { .. }, c::CKA_BASE) => Answer::bytes(&[DhGroup::BASE]),
            (PublicComponents::Dh { value, .. }, c::CKA_VALUE) => Answer::bytes(value),
            // Given out in the form in which they came, so that callers find what they wrote.
            (PublicComponents::Ec { curve, .. }, c::CKA_EC_PARAMS) => {
                self.kept_or(kind, || Answer::bytes(&curve::params(*curve)))
            }
            (PublicComponents::Ec { point, .. }, c::CKA_EC_POINT) if !point.is_empty() => {
                Answer::bytes(&octet_string::wrapped(point))
            }
            (PublicComponents::Pqc { set, .. }, c::CKA_PARAMETER_SET) => Answer::number(parameter_set::number(*set)),
            (PublicComponents::Pqc { value, .. }, c::CKA_VALUE) => Answer::bytes(value),
            _ => Answer::Unknown,
        }
    }
}

/// How many bytes an object takes, roughly: all that can be read of it.
pub(crate) fn size(object: &Object) -> usize {
    // Numbers are equally long in every profile.
    let attributes = Attributes::of(object, Profile::default());
    let material = object.key().and_then(|k| k.primary().ok()).map_or(0, |v| match v.locator.len() {
        0 if !v.held.is_empty() => (v.bits / 8) as usize,
        sealed => sealed,
    });
    let visible = rules::all(attributes.class).map(|kind| match attributes.answer(kind) {
        Answer::Value(value) => value.len(),
        _ => 0,
    });
    material + visible.sum::<usize>()
}

fn component(components: &KeyComponents, kind: CK_ATTRIBUTE_TYPE) -> Option<&Secret> {
    match (components, kind) {
        (KeyComponents::Secret { value, .. }, c::CKA_VALUE) => Some(value),
        (KeyComponents::EcPrivate { scalar, .. }, c::CKA_VALUE) => Some(scalar),
        (KeyComponents::DhPrivate { value, .. }, c::CKA_VALUE) => Some(value),
        (KeyComponents::PqcPrivate { value, .. }, c::CKA_VALUE) => Some(value),
        (KeyComponents::PqcPrivate { seed, .. }, c::CKA_SEED) => Some(seed),
        (KeyComponents::RsaPrivate { private_exponent, .. }, c::CKA_PRIVATE_EXPONENT) => Some(private_exponent),
        (KeyComponents::RsaPrivate { prime_1, .. }, c::CKA_PRIME_1) => Some(prime_1),
        (KeyComponents::RsaPrivate { prime_2, .. }, c::CKA_PRIME_2) => Some(prime_2),
        (KeyComponents::RsaPrivate { exponent_1, .. }, c::CKA_EXPONENT_1) => Some(exponent_1),
        (KeyComponents::RsaPrivate { exponent_2, .. }, c::CKA_EXPONENT_2) => Some(exponent_2),
        (KeyComponents::RsaPrivate { coefficient, .. }, c::CKA_COEFFICIENT) => Some(coefficient),
        _ => None,
    }
}

fn date(date: Option<Date>) -> Answer {
    Answer::bytes(date.as_ref().map_or(&[], |d| d.0.as_slice()))
}

fn allowed(numbers: &[u64], profile: Profile) -> Answer {
    let known = numbers.iter().filter_map(|n| CK_ULONG::try_from(*n).ok());
    let native = known.flat_map(|n| profile.number(n).to_ne_bytes());
    Answer::bytes(&native.collect::<Vec<_>>())
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
