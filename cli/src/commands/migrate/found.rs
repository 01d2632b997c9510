//! One object of the other token, as typed values.

use std::collections::BTreeMap;

use cryptoki::object::{Attribute, KeyType as TheirType, ObjectHandle};
use libkmss::catalog::ObjectKind;
use libkmss::key::{Date, KeyClass, Protection, PublicComponents, Usage};
use libkmss::mechanism::{Curve, Hash, KeyType};
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{ObjectIdentifier, PrintableStringRef};

/// One object of it.
pub(super) struct Found {
    pub(super) handle: ObjectHandle,
    pub(super) kind: Kind,
    pub(super) label: Vec<u8>,
    pub(super) identifier: Vec<u8>,
    pub(super) private: bool,
    pub(super) modifiable: bool,
    pub(super) copyable: bool,
    pub(super) destroyable: bool,
    pub(super) usage: Usage,
    pub(super) protection: Protection,
    pub(super) start: Option<Date>,
    pub(super) end: Option<Date>,
    pub(super) public: PublicComponents,
    /// Length of a secret key in bytes.
    pub(super) len: Option<usize>,
    pub(super) check_value: Vec<u8>,
    /// Numbers of the only mechanisms allowed; `Err` where they cannot be read.
    pub(super) allowed: Result<Vec<u64>, String>,
    /// Attributes that a door keeps as they are, by number.
    pub(super) attributes: BTreeMap<u64, Vec<u8>>,
    /// The value of a certificate or data object.
    pub(super) value: Vec<u8>,
}

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A key; its type where we have one for it.
    Key(KeyClass, Option<KeyType>),
    /// An X.509 certificate.
    Certificate,
    /// Data.
    Data,
    /// Anything else.
    Other,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Key(KeyClass::Private, _) => "private",
            Self::Key(KeyClass::Public, _) => "public",
            Self::Key(KeyClass::Secret, _) => "secret",
            Self::Certificate => "certificate",
            Self::Data => "data",
            Self::Other => "other",
        }
    }

    /// As our catalogue finds it.
    pub(super) const fn find(self) -> Option<ObjectKind> {
        match self {
            Self::Key(class, _) => Some(ObjectKind::Key(class)),
            Self::Certificate => Some(ObjectKind::Certificate),
            Self::Data => Some(ObjectKind::Data),
            Self::Other => None,
        }
    }
}

impl Found {
    pub(super) fn new(handle: ObjectHandle) -> Self {
        Self {
            handle,
            kind: Kind::Other,
            label: Vec::new(),
            identifier: Vec::new(),
            private: true,
            modifiable: true,
            copyable: true,
            destroyable: true,
            usage: Usage::default(),
            protection: Protection { sensitive: true, ..Protection::default() },
            start: None,
            end: None,
            public: PublicComponents::None,
            len: None,
            check_value: Vec::new(),
            allowed: Ok(Vec::new()),
            attributes: BTreeMap::new(),
            value: Vec::new(),
        }
    }

    /// Takes in an attribute that needs no other.
    pub(super) fn set(&mut self, attribute: Attribute) {
        let number = attribute.attribute_type().into();
        match attribute {
            Attribute::Label(value) => self.label = value,
            Attribute::Id(value) => self.identifier = value,
            Attribute::Private(value) => self.private = value,
            Attribute::Modifiable(value) => self.modifiable = value,
            Attribute::Copyable(value) => self.copyable = value,
            Attribute::Destroyable(value) => self.destroyable = value,
            Attribute::Sensitive(value) => self.protection.sensitive = value,
            Attribute::Extractable(value) => self.protection.extractable = value,
            Attribute::WrapWithTrusted(value) => self.protection.wrap_with_trusted = value,
            Attribute::AlwaysAuthenticate(value) => self.protection.always_authenticate = value,
            Attribute::Encrypt(value) => self.usage.encrypt = value,
            Attribute::Decrypt(value) => self.usage.decrypt = value,
            Attribute::Sign(value) => self.usage.sign = value,
            Attribute::SignRecover(value) => self.usage.sign_recover = value,
            Attribute::Verify(value) => self.usage.verify = value,
            Attribute::VerifyRecover(value) => self.usage.verify_recover = value,
            Attribute::Wrap(value) => self.usage.wrap = value,
            Attribute::Unwrap(value) => self.usage.unwrap = value,
            Attribute::Derive(value) => self.usage.derive = value,
            Attribute::StartDate(value) => self.start = date(&value),
            Attribute::EndDate(value) => self.end = date(&value),
            Attribute::ValueLen(value) => self.len = usize::try_from(*value).ok(),
            Attribute::CheckValue(value) => self.check_value = value,
            Attribute::Application(value) | Attribute::ObjectId(value) | Attribute::Subject(value)
                if !value.is_empty() =>
            {
                self.attributes.insert(number, value);
            }
            _ => {}
        }
    }

    /// The label, for people.
    pub(super) fn label_text(&self) -> String {
        String::from_utf8_lossy(&self.label).into_owned()
    }

    /// Type and size, for people.
    pub(super) fn type_text(&self) -> String {
        match (&self.kind, &self.public) {
            (Kind::Key(..), PublicComponents::Ec { curve, .. }) => curve.name().to_owned(),
            (Kind::Key(_, Some(key_type)), PublicComponents::Rsa { modulus, .. }) => {
                format!("{} {}", key_type.name(), modulus.len() * 8)
            }
            (Kind::Key(_, Some(key_type)), _) => match self.len {
                Some(len) => format!("{} {}", key_type.name(), len * 8),
                None => key_type.name().to_owned(),
            },
            (Kind::Key(_, None), _) => "unknown".to_owned(),
            _ => String::new(),
        }
    }
}

pub(super) fn our_type(theirs: TheirType) -> Option<KeyType> {
    Some(match theirs {
        TheirType::RSA => KeyType::Rsa,
        TheirType::EC => KeyType::Ec,
        TheirType::EC_EDWARDS => KeyType::EcEdwards,
        TheirType::EC_MONTGOMERY => KeyType::EcMontgomery,
        TheirType::AES => KeyType::Aes,
        TheirType::GENERIC_SECRET => KeyType::GenericSecret,
        TheirType::SHA_1_HMAC => KeyType::Hmac(Hash::Sha1),
        _ => return None,
    })
}

/// The curve of CKA_EC_PARAMS: an OID, or for Edwards and Montgomery curves a name.
pub(super) fn curve(parameters: &[u8]) -> Option<Curve> {
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

fn date(date: &cryptoki::types::Date) -> Option<Date> {
    Date::parse(&[date.year.as_slice(), &date.month, &date.day].concat()).ok()
}

/// Without leading zeros.
pub(super) fn significant(integer: &[u8]) -> Vec<u8> {
    integer.iter().copied().skip_while(|b| *b == 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_known_by_oid_and_by_name() {
        assert_eq!(curve(&[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7]), Some(Curve::P256));
        assert_eq!(curve(b"\x13\x0cedwards25519"), Some(Curve::Ed25519));
        assert_eq!(curve(b"\x13\x05other"), None);
        assert_eq!(curve(&[]), None);
    }
}
