//! Attributes of objects in the device: what new ones get, and what is read of those that are there.

use cryptoki::object::{Attribute, AttributeType, KeyType as Theirs, ObjectClass, ObjectHandle};
use der::asn1::{ObjectIdentifier, OctetStringRef, PrintableStringRef};
use der::{Decode, Encode};

use super::mechanism::unsupported;
use crate::device::{Lent, Trouble};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyClass, KeyComponents, Protection, PublicComponents, Storage, Usage};
use crate::mechanism::{Curve, KeyType};
use crate::permit::NewObject;
use crate::secret::Secret;

/// Longest label that a device is given.
const LABEL: usize = 64;

/// The device's name for a key type. HMAC and HKDF keys are generic secrets there, which every device knows.
pub(super) fn their_type(key_type: KeyType) -> Result<Theirs> {
    Ok(match key_type {
        KeyType::Rsa => Theirs::RSA,
        KeyType::Ec => Theirs::EC,
        KeyType::EcEdwards => Theirs::EC_EDWARDS,
        KeyType::EcMontgomery => Theirs::EC_MONTGOMERY,
        KeyType::Aes => Theirs::AES,
        generic if generic.is_generic() => Theirs::GENERIC_SECRET,
        _ => return Err(unsupported()),
    })
}

/// Our name for theirs.
pub(super) fn our_type(theirs: Theirs) -> Option<KeyType> {
    use crate::mechanism::Hash;
    Some(match theirs {
        Theirs::RSA => KeyType::Rsa,
        Theirs::EC => KeyType::Ec,
        Theirs::EC_EDWARDS => KeyType::EcEdwards,
        Theirs::EC_MONTGOMERY => KeyType::EcMontgomery,
        Theirs::AES => KeyType::Aes,
        // The crate takes the HMAC types of SHA-2 for each other; what such a key does the device knows.
        Theirs::GENERIC_SECRET | Theirs::SHA256_HMAC => KeyType::GenericSecret,
        Theirs::SHA_1_HMAC => KeyType::Hmac(Hash::Sha1),
        _ => return None,
    })
}

/// What every new object gets: where it lives, what people know it by, and what it is for.
///
/// A key whose value may be read has it read here only; in the device it is sensitive unless the draft says that it is neither
/// that nor unextractable.
pub(super) fn new_key(
    new: &NewObject,
    class: KeyClass,
    key_type: KeyType,
    id: &[u8],
    longest: Option<usize>,
) -> Result<Vec<Attribute>> {
    let Usage { encrypt, decrypt, sign, verify, wrap, unwrap, derive, .. } = new.usage;
    let stored = new.storage == Storage::Stored;
    let label: Vec<u8> = new.name.bytes().take(longest.unwrap_or(LABEL).min(LABEL)).collect();
    let mut template = vec![
        Attribute::KeyType(their_type(key_type)?),
        Attribute::Token(stored),
        Attribute::Id(id.to_vec()),
        Attribute::Label(label),
    ];
    match class {
        KeyClass::Public => {
            template.push(Attribute::Class(ObjectClass::PUBLIC_KEY));
            template.push(Attribute::Private(false));
            template.push(Attribute::Verify(verify));
            if key_type == KeyType::Rsa {
                template.extend([Attribute::Encrypt(encrypt), Attribute::Wrap(wrap)]);
            }
        }
        KeyClass::Private | KeyClass::Secret => {
            let Protection { sensitive, extractable, wrap_with_trusted, .. } = new.protection;
            template.push(Attribute::Private(true));
            template.push(Attribute::Sensitive(sensitive || !extractable));
            template.push(Attribute::Extractable(extractable));
            template.extend(wrap_with_trusted.then_some(Attribute::WrapWithTrusted(true)));
            template.extend([Attribute::Sign(sign), Attribute::Derive(derive)]);
            template.extend([Attribute::Decrypt(decrypt), Attribute::Unwrap(unwrap)]);
            if class == KeyClass::Private {
                template.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
            } else {
                template.push(Attribute::Class(ObjectClass::SECRET_KEY));
                template.extend([Attribute::Verify(verify), Attribute::Encrypt(encrypt), Attribute::Wrap(wrap)]);
            }
        }
    }
    Ok(template)
}

/// CKA_EC_PARAMS of a curve: its OID.
pub(super) fn ec_params(curve: Curve) -> Result<Vec<u8>> {
    ObjectIdentifier::new(curve.oid()).ok().and_then(|oid| oid.to_der().ok()).ok_or_else(unsupported)
}

/// The curve of CKA_EC_PARAMS: an OID, or for Edwards and Montgomery curves a name.
fn curve(parameters: &[u8]) -> Option<Curve> {
    if let Ok(oid) = ObjectIdentifier::from_der(parameters) {
        return Curve::ALL.into_iter().find(|curve| ObjectIdentifier::new(curve.oid()).is_ok_and(|of| of == oid));
    }
    match PrintableStringRef::from_der(parameters).ok()?.as_str() {
        "edwards25519" => Some(Curve::Ed25519),
        "edwards448" => Some(Curve::Ed448),
        "curve25519" => Some(Curve::X25519),
        "curve448" => Some(Curve::X448),
        _ => None,
    }
}

/// A point as we hold it: devices give it bare, or in an OCTET STRING as the standard says.
fn point(curve: Curve, given: &[u8]) -> Option<Vec<u8>> {
    let len = curve.point_len();
    let bare = if given.len() == len { given } else { <&OctetStringRef>::from_der(given).ok()?.as_bytes() };
    (bare.len() == len).then(|| bare.to_vec())
}

/// What is read of an object.
#[derive(Default)]
pub(super) struct Read(Vec<Attribute>);

impl Read {
    /// Those of `wanted` that the device gives out.
    pub(super) fn of(lent: &Lent, handle: ObjectHandle, wanted: &[AttributeType]) -> Result<Self, Trouble> {
        let whole = lent.ask(|session| session.get_attributes(handle, wanted));
        if let Ok(all) = whole {
            return Ok(Self(all));
        }
        // Some devices refuse a list for one attribute in it, and some give what the crate cannot read.
        let one = |wanted: &AttributeType| {
            lent.ask(|session| session.get_attributes(handle, std::slice::from_ref(wanted))).unwrap_or_default()
        };
        Ok(Self(wanted.iter().flat_map(one).collect()))
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter()
    }

    fn bytes(&self, wanted: AttributeType) -> Option<&[u8]> {
        self.0.iter().find(|attribute| attribute.attribute_type() == wanted).and_then(|attribute| match attribute {
            Attribute::Modulus(bytes)
            | Attribute::PublicExponent(bytes)
            | Attribute::EcParams(bytes)
            | Attribute::EcPoint(bytes)
            | Attribute::Value(bytes)
            | Attribute::CheckValue(bytes)
            | Attribute::Id(bytes)
            | Attribute::Label(bytes) => Some(bytes.as_slice()),
            _ => None,
        })
    }

    pub(super) fn id(&self) -> &[u8] {
        self.bytes(AttributeType::Id).unwrap_or_default()
    }

    pub(super) fn label(&self) -> &[u8] {
        self.bytes(AttributeType::Label).unwrap_or_default()
    }

    pub(super) fn check_value(&self) -> Vec<u8> {
        self.bytes(AttributeType::CheckValue).filter(|value| value.len() == 3).unwrap_or_default().to_vec()
    }

    pub(super) fn value_len(&self) -> Option<usize> {
        self.0.iter().find_map(|attribute| match attribute {
            // No device has keys without bytes: it does not know.
            Attribute::ValueLen(len) => usize::try_from(**len).ok().filter(|len| *len > 0),
            _ => None,
        })
    }

    /// The value, of which no copy stays behind.
    pub(super) fn into_value(self) -> Option<Secret> {
        let value = self.bytes(AttributeType::Value).filter(|value| !value.is_empty()).map(Secret::copy_of);
        wipe(self.0);
        value
    }

    pub(super) fn class(&self) -> Option<KeyClass> {
        self.0.iter().find_map(|attribute| match attribute {
            Attribute::Class(ObjectClass::SECRET_KEY) => Some(KeyClass::Secret),
            Attribute::Class(ObjectClass::PRIVATE_KEY) => Some(KeyClass::Private),
            Attribute::Class(ObjectClass::PUBLIC_KEY) => Some(KeyClass::Public),
            _ => None,
        })
    }

    pub(super) fn key_type(&self) -> Option<KeyType> {
        self.0.iter().find_map(|attribute| match attribute {
            Attribute::KeyType(theirs) => our_type(*theirs),
            _ => None,
        })
    }

    /// The public part of a key of this type; a point that the device does not tell is empty.
    pub(super) fn public(&self, key_type: KeyType) -> Result<PublicComponents> {
        let silent = || Error::new(ErrorKind::BackendUnavailable, "the HSM does not tell the public part of the key");
        match key_type {
            KeyType::Rsa => {
                let modulus = significant(self.bytes(AttributeType::Modulus).ok_or_else(silent)?);
                let exponent = significant(self.bytes(AttributeType::PublicExponent).ok_or_else(silent)?);
                Ok(PublicComponents::Rsa { modulus, exponent })
            }
            KeyType::Ec | KeyType::EcEdwards | KeyType::EcMontgomery => {
                let parameters = self.bytes(AttributeType::EcParams).ok_or_else(silent)?;
                let unknown = || Error::new(ErrorKind::CurveUnsupported, "the key in the HSM is on an unknown curve");
                let curve = curve(parameters).ok_or_else(unknown)?;
                let point =
                    self.bytes(AttributeType::EcPoint).and_then(|given| point(curve, given)).unwrap_or_default();
                Ok(PublicComponents::Ec { curve, point })
            }
            _ => Ok(PublicComponents::None),
        }
    }
}

/// What is read of a public part.
pub(super) const PUBLIC: &[AttributeType] =
    &[AttributeType::Modulus, AttributeType::PublicExponent, AttributeType::EcParams, AttributeType::EcPoint];

/// The same, of a key of one type: devices dislike to be asked for what a type does not have.
pub(super) fn public_of(key_type: KeyType) -> &'static [AttributeType] {
    match (key_type, PUBLIC.split_at_checked(2)) {
        (KeyType::Rsa, Some((rsa, _))) => rsa,
        (_, Some((_, ec))) => ec,
        (_, None) => PUBLIC,
    }
}

/// Without leading zeros.
fn significant(integer: &[u8]) -> Vec<u8> {
    integer.iter().copied().skip_while(|b| *b == 0).collect()
}

/// The components of a key that comes in, as the device takes them.
pub(super) fn components(components: &KeyComponents) -> Result<(KeyClass, Vec<Attribute>)> {
    Ok(match components {
        KeyComponents::Secret { value, .. } => (KeyClass::Secret, vec![Attribute::Value(value.expose().to_vec())]),
        KeyComponents::EcPrivate { curve, scalar } => (
            KeyClass::Private,
            vec![Attribute::EcParams(ec_params(*curve)?), Attribute::Value(scalar.expose().to_vec())],
        ),
        KeyComponents::RsaPrivate {
            modulus,
            exponent,
            private_exponent,
            prime_1,
            prime_2,
            exponent_1,
            exponent_2,
            coefficient,
        } => {
            let mut numbers = vec![
                Attribute::Modulus(modulus.clone()),
                Attribute::PublicExponent(exponent.clone()),
                Attribute::PrivateExponent(private_exponent.expose().to_vec()),
            ];
            let rest = [prime_1, prime_2, exponent_1, exponent_2, coefficient];
            if rest.iter().all(|number| !number.is_empty()) {
                numbers.push(Attribute::Prime1(prime_1.expose().to_vec()));
                numbers.push(Attribute::Prime2(prime_2.expose().to_vec()));
                numbers.push(Attribute::Exponent1(exponent_1.expose().to_vec()));
                numbers.push(Attribute::Exponent2(exponent_2.expose().to_vec()));
                numbers.push(Attribute::Coefficient(coefficient.expose().to_vec()));
            }
            (KeyClass::Private, numbers)
        }
        KeyComponents::DhPrivate { .. } | KeyComponents::PqcPrivate { .. } | KeyComponents::Public(_) => {
            return Err(unsupported());
        }
    })
}

/// Wipes what a template held of a key.
pub(super) fn wipe(template: Vec<Attribute>) {
    use zeroize::Zeroize;
    for attribute in template {
        match attribute {
            Attribute::Value(mut bytes)
            | Attribute::PrivateExponent(mut bytes)
            | Attribute::Prime1(mut bytes)
            | Attribute::Prime2(mut bytes)
            | Attribute::Exponent1(mut bytes)
            | Attribute::Exponent2(mut bytes)
            | Attribute::Coefficient(mut bytes) => bytes.zeroize(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_point_is_read_bare_and_in_an_octet_string() {
        for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Ed25519] {
            let bare: Vec<u8> = std::iter::once(4).chain(std::iter::repeat(9)).take(curve.point_len()).collect();
            let wrapped = OctetStringRef::new(&bare).unwrap().to_der().unwrap();
            assert_eq!(point(curve, &bare).unwrap(), bare);
            assert_eq!(point(curve, &wrapped).unwrap(), bare);
            assert_eq!(point(curve, &wrapped[..wrapped.len() - 1]), None);
        }
    }

    #[test]
    fn curves_are_known_by_oid_and_by_name() {
        assert_eq!(curve(&ec_params(Curve::P384).unwrap()), Some(Curve::P384));
        assert_eq!(curve(b"\x13\x0cedwards25519"), Some(Curve::Ed25519));
        assert_eq!(curve(b"\x13\x05other"), None);
        assert_eq!(curve(&[]), None);
    }
}
