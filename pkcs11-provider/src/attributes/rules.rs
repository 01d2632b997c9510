//! Which attribute exists on which class, what its value looks like, and who may set it when (PKCS#11 3.2, section 4).

use cryptoki_sys::{
    self as c, CK_ATTRIBUTE_TYPE, CK_OBJECT_CLASS, CKO_CERTIFICATE, CKO_DATA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
    CKO_SECRET_KEY, CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID,
};
use libkmss::key::{Body, KeyClass, Object};
use libkmss::mechanism::KeyType;

use crate::raw::template::{self, Template};
use crate::rv::{Result, Rv};

/// Class of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// CKO_DATA.
    Data,
    /// CKO_CERTIFICATE, always X.509.
    Certificate,
    /// CKO_PUBLIC_KEY.
    Public(KeyType),
    /// CKO_PRIVATE_KEY.
    Private(KeyType),
    /// CKO_SECRET_KEY.
    Secret(KeyType),
}

impl Class {
    /// The class of an object.
    pub(crate) fn of(object: &Object) -> Self {
        match &object.body {
            Body::Data { .. } => Self::Data,
            Body::Certificate { .. } => Self::Certificate,
            Body::Key(key) => match key.class {
                KeyClass::Public => Self::Public(key.key_type),
                KeyClass::Private => Self::Private(key.key_type),
                KeyClass::Secret => Self::Secret(key.key_type),
            },
        }
    }

    /// The CKO number.
    pub(crate) const fn number(self) -> CK_OBJECT_CLASS {
        match self {
            Self::Data => CKO_DATA,
            Self::Certificate => CKO_CERTIFICATE,
            Self::Public(_) => CKO_PUBLIC_KEY,
            Self::Private(_) => CKO_PRIVATE_KEY,
            Self::Secret(_) => CKO_SECRET_KEY,
        }
    }

    /// The type, of keys.
    pub(crate) const fn key_type(self) -> Option<KeyType> {
        match self {
            Self::Public(t) | Self::Private(t) | Self::Secret(t) => Some(t),
            Self::Data | Self::Certificate => None,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Data => DATA,
            Self::Certificate => CERT,
            Self::Public(_) => PUBLIC,
            Self::Private(_) => PRIVATE,
            Self::Secret(_) => SECRET,
        }
    }
}

/// On what occasion a template is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// C_CreateObject.
    Create,
    /// C_GenerateKey and C_GenerateKeyPair.
    Generate,
    /// C_UnwrapKey.
    Unwrap,
    /// C_DeriveKey.
    Derive,
    /// C_CopyObject.
    Copy,
    /// C_SetAttributeValue.
    Set,
}

impl Occasion {
    const fn bit(self) -> u8 {
        match self {
            Self::Create => CREATE,
            Self::Generate => GENERATE,
            Self::Unwrap => UNWRAP,
            Self::Derive => DERIVE,
            Self::Copy => COPY,
            Self::Set => SET,
        }
    }
}

#[derive(Clone, Copy)]
enum Form {
    Flag,
    Number,
    Numbers,
    Date,
    Bytes,
}

struct Rule {
    kind: CK_ATTRIBUTE_TYPE,
    form: Form,
    classes: u8,
    /// Key types that have it; all where the attribute says nothing about the algorithm.
    family: Family,
    /// Occasions on which callers may give it.
    occasions: u8,
}

#[derive(Clone, Copy)]
enum Family {
    Any,
    Rsa,
    Curve,
    Dh,
    Pqc,
    /// ML-DSA and ML-KEM, whose private keys come of a seed.
    Seeded,
    /// All but RSA: private keys, secret keys and documents; of public keys those whose public part is one value.
    Value,
}

const DATA: u8 = 1;
const CERT: u8 = 2;
const PUBLIC: u8 = 4;
const PRIVATE: u8 = 8;
const SECRET: u8 = 16;
const PAIR: u8 = PUBLIC | PRIVATE;
const KEY: u8 = PAIR | SECRET;
const ALL: u8 = DATA | CERT | KEY;

const CREATE: u8 = 1;
const GENERATE: u8 = 2;
const UNWRAP: u8 = 4;
const DERIVE: u8 = 8;
const COPY: u8 = 16;
const SET: u8 = 32;
const NEVER: u8 = 0;
/// Whenever the object is made.
const MADE: u8 = CREATE | GENERATE | UNWRAP | DERIVE;
const ALWAYS: u8 = MADE | COPY | SET;

use Family::{Any, Curve, Dh, Pqc, Rsa, Seeded, Value};
use Form::{Bytes, Date, Flag, Number, Numbers};

const fn rule(kind: CK_ATTRIBUTE_TYPE, form: Form, classes: u8, family: Family, occasions: u8) -> Rule {
    Rule { kind, form, classes, family, occasions }
}

/// CKA_NSS_EMAIL, which NSS writes with certificates.
const CKA_NSS_EMAIL: CK_ATTRIBUTE_TYPE = c::CKA_VENDOR_DEFINED | 0x4E53_4352;

/// CKA_NSS_DB, which NSS writes with private keys that it imports.
pub(super) const CKA_NSS_DB: CK_ATTRIBUTE_TYPE = c::CKA_VENDOR_DEFINED | 0x55A0_DB00;

#[rustfmt::skip]
const RULES: [Rule; 72] = [
    // 4.4 storage objects
    rule(c::CKA_CLASS, Number, ALL, Any, MADE),
    rule(c::CKA_TOKEN, Flag, ALL, Any, MADE | COPY),
    rule(c::CKA_PRIVATE, Flag, ALL, Any, MADE | COPY),
    rule(c::CKA_MODIFIABLE, Flag, ALL, Any, MADE | COPY),
    rule(c::CKA_COPYABLE, Flag, ALL, Any, ALWAYS),
    rule(c::CKA_DESTROYABLE, Flag, ALL, Any, MADE | COPY),
    rule(c::CKA_LABEL, Bytes, ALL, Any, ALWAYS),
    rule(c::CKA_UNIQUE_ID, Bytes, ALL, Any, NEVER),
    // 4.5 data
    rule(c::CKA_APPLICATION, Bytes, DATA, Any, CREATE | DERIVE | COPY | SET),
    rule(c::CKA_OBJECT_ID, Bytes, DATA, Any, CREATE | DERIVE | COPY | SET),
    // 4.6 certificates
    rule(c::CKA_CERTIFICATE_TYPE, Number, CERT, Any, CREATE),
    rule(c::CKA_CERTIFICATE_CATEGORY, Number, CERT, Any, CREATE),
    rule(c::CKA_ISSUER, Bytes, CERT, Any, CREATE | COPY | SET),
    rule(c::CKA_SERIAL_NUMBER, Bytes, CERT, Any, CREATE | COPY | SET),
    rule(c::CKA_URL, Bytes, CERT, Any, CREATE),
    rule(c::CKA_HASH_OF_SUBJECT_PUBLIC_KEY, Bytes, CERT, Any, CREATE),
    rule(c::CKA_HASH_OF_ISSUER_PUBLIC_KEY, Bytes, CERT, Any, CREATE),
    rule(c::CKA_NAME_HASH_ALGORITHM, Number, CERT, Any, CREATE),
    rule(c::CKA_JAVA_MIDP_SECURITY_DOMAIN, Number, CERT, Any, CREATE),
    rule(CKA_NSS_EMAIL, Bytes, CERT, Any, CREATE),
    // 4.7 keys, and what certificates share with them
    rule(c::CKA_KEY_TYPE, Number, KEY, Any, MADE),
    rule(c::CKA_ID, Bytes, KEY | CERT, Any, ALWAYS),
    rule(c::CKA_SUBJECT, Bytes, PAIR | CERT, Any, ALWAYS),
    rule(c::CKA_START_DATE, Date, KEY | CERT, Any, ALWAYS),
    rule(c::CKA_END_DATE, Date, KEY | CERT, Any, ALWAYS),
    rule(c::CKA_LOCAL, Flag, KEY, Any, NEVER),
    rule(c::CKA_KEY_GEN_MECHANISM, Number, KEY, Any, NEVER),
    rule(c::CKA_ALLOWED_MECHANISMS, Numbers, KEY, Any, MADE | COPY),
    rule(c::CKA_TRUSTED, Flag, CERT | PUBLIC | SECRET, Any, ALWAYS),
    rule(c::CKA_CHECK_VALUE, Bytes, CERT | SECRET, Any, MADE),
    rule(c::CKA_PUBLIC_KEY_INFO, Bytes, PAIR | CERT, Any, CREATE | UNWRAP),
    rule(c::CKA_ENCRYPT, Flag, PUBLIC | SECRET, Any, ALWAYS),
    rule(c::CKA_VERIFY, Flag, PUBLIC | SECRET, Any, ALWAYS),
    rule(c::CKA_VERIFY_RECOVER, Flag, PUBLIC, Any, ALWAYS),
    rule(c::CKA_WRAP, Flag, PUBLIC | SECRET, Any, ALWAYS),
    rule(c::CKA_DECRYPT, Flag, PRIVATE | SECRET, Any, ALWAYS),
    rule(c::CKA_SIGN, Flag, PRIVATE | SECRET, Any, ALWAYS),
    rule(c::CKA_SIGN_RECOVER, Flag, PRIVATE, Any, ALWAYS),
    rule(c::CKA_UNWRAP, Flag, PRIVATE | SECRET, Any, ALWAYS),
    rule(c::CKA_DERIVE, Flag, KEY, Any, ALWAYS),
    rule(c::CKA_SENSITIVE, Flag, PRIVATE | SECRET, Any, ALWAYS),
    rule(c::CKA_EXTRACTABLE, Flag, PRIVATE | SECRET, Any, ALWAYS),
    rule(c::CKA_ALWAYS_SENSITIVE, Flag, PRIVATE | SECRET, Any, NEVER),
    rule(c::CKA_NEVER_EXTRACTABLE, Flag, PRIVATE | SECRET, Any, NEVER),
    rule(c::CKA_WRAP_WITH_TRUSTED, Flag, PRIVATE | SECRET, Any, ALWAYS),
    rule(c::CKA_ALWAYS_AUTHENTICATE, Flag, PRIVATE, Any, MADE | COPY),
    rule(c::CKA_WRAP_TEMPLATE, Bytes, PUBLIC | SECRET, Any, MADE | COPY),
    rule(c::CKA_UNWRAP_TEMPLATE, Bytes, PRIVATE | SECRET, Any, MADE | COPY),
    rule(c::CKA_DERIVE_TEMPLATE, Bytes, PRIVATE | SECRET, Any, MADE | COPY),
    rule(CKA_NSS_DB, Bytes, PAIR, Any, MADE | COPY),
    // 6 the algorithms' own; on private keys the public half may be given too, and is held against the key
    rule(c::CKA_VALUE, Bytes, ALL, Value, CREATE),
    rule(c::CKA_VALUE_LEN, Number, SECRET, Any, MADE),
    rule(c::CKA_MODULUS, Bytes, PAIR, Rsa, CREATE),
    rule(c::CKA_MODULUS_BITS, Number, PAIR, Rsa, CREATE | GENERATE),
    rule(c::CKA_PUBLIC_EXPONENT, Bytes, PAIR, Rsa, CREATE | GENERATE),
    rule(c::CKA_PRIVATE_EXPONENT, Bytes, PRIVATE, Rsa, CREATE),
    rule(c::CKA_PRIME_1, Bytes, PRIVATE, Rsa, CREATE),
    rule(c::CKA_PRIME_2, Bytes, PRIVATE, Rsa, CREATE),
    rule(c::CKA_EXPONENT_1, Bytes, PRIVATE, Rsa, CREATE),
    rule(c::CKA_EXPONENT_2, Bytes, PRIVATE, Rsa, CREATE),
    rule(c::CKA_COEFFICIENT, Bytes, PRIVATE, Rsa, CREATE),
    rule(c::CKA_EC_PARAMS, Bytes, PAIR, Curve, CREATE | GENERATE | UNWRAP),
    rule(c::CKA_EC_POINT, Bytes, PAIR, Curve, CREATE),
    rule(c::CKA_PRIME, Bytes, PAIR, Dh, CREATE | GENERATE),
    rule(c::CKA_BASE, Bytes, PAIR, Dh, CREATE | GENERATE),
    rule(c::CKA_VALUE_BITS, Number, PRIVATE, Dh, GENERATE),
    rule(c::CKA_PARAMETER_SET, Number, PAIR, Pqc, CREATE | GENERATE | UNWRAP),
    rule(c::CKA_SEED, Bytes, PRIVATE, Seeded, CREATE),
    // 3.2
    rule(c::CKA_ENCAPSULATE, Flag, PUBLIC, Any, ALWAYS),
    rule(c::CKA_DECAPSULATE, Flag, PRIVATE, Any, ALWAYS),
    rule(c::CKA_ENCAPSULATE_TEMPLATE, Bytes, PUBLIC, Any, MADE | COPY),
    rule(c::CKA_DECAPSULATE_TEMPLATE, Bytes, PRIVATE, Any, MADE | COPY),
];

/// The rules by their attributes' numbers, to be found by halves.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index that is not there")]
const SORTED: [(CK_ATTRIBUTE_TYPE, usize); RULES.len()] = {
    let mut sorted = [(0, 0); RULES.len()];
    let mut at = 0;
    while at < sorted.len() {
        // Into what is sorted so far, from behind.
        let mut place = at;
        while place > 0 && sorted[place - 1].0 > RULES[at].kind {
            sorted[place] = sorted[place - 1];
            place -= 1;
        }
        sorted[place] = (RULES[at].kind, at);
        at += 1;
    }
    sorted
};

fn find(kind: CK_ATTRIBUTE_TYPE, class: Class) -> Option<&'static Rule> {
    let at = SORTED.binary_search_by_key(&kind, |(kind, _)| *kind).ok()?;
    let rule = SORTED.get(at).and_then(|(_, at)| RULES.get(*at))?;
    (rule.classes & class.bit() != 0 && rule.family.has(class)).then_some(rule)
}

impl Family {
    const fn has(self, class: Class) -> bool {
        match (self, class) {
            (Any, _) | (Value, Class::Data | Class::Certificate | Class::Secret(_)) => true,
            (Rsa, Class::Public(t) | Class::Private(t)) => matches!(t, KeyType::Rsa),
            (Value, Class::Private(t)) => !matches!(t, KeyType::Rsa),
            (Value, Class::Public(t)) => is_one_value(t),
            (Curve, Class::Public(t) | Class::Private(t)) => {
                matches!(t, KeyType::Ec | KeyType::EcEdwards | KeyType::EcMontgomery | KeyType::Sm2)
            }
            (Dh, Class::Public(t) | Class::Private(t)) => matches!(t, KeyType::Dh),
            (Seeded, Class::Private(t)) => matches!(t, KeyType::MlDsa | KeyType::MlKem),
            (Pqc, Class::Public(t) | Class::Private(t)) => {
                matches!(t, KeyType::MlDsa | KeyType::MlKem | KeyType::SlhDsa)
            }
            _ => false,
        }
    }
}

/// Whether the public part of such keys is one value: CKA_VALUE.
const fn is_one_value(key_type: KeyType) -> bool {
    matches!(key_type, KeyType::Dh | KeyType::MlDsa | KeyType::MlKem | KeyType::SlhDsa)
}

/// Whether objects of this class have the attribute.
pub(crate) fn exists(kind: CK_ATTRIBUTE_TYPE, class: Class) -> bool {
    find(kind, class).is_some()
}

/// Every attribute that objects of this class have.
pub(crate) fn all(class: Class) -> impl Iterator<Item = CK_ATTRIBUTE_TYPE> {
    RULES.iter().filter(move |r| r.classes & class.bit() != 0 && r.family.has(class)).map(|r| r.kind)
}

/// Admits a template for an occasion: every attribute exists on the class, may be given now, and has a well-formed value.
///
/// # Errors
/// CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_VALUE_INVALID.
pub(crate) fn admit(template: &Template, class: Class, occasion: Occasion) -> Result<()> {
    for (kind, value) in template.iter() {
        let rule = find(kind, class).ok_or(Rv(CKR_ATTRIBUTE_TYPE_INVALID))?;
        if rule.occasions & occasion.bit() == 0 {
            return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
        }
        match rule.form {
            Flag => drop(template::flag(value)?),
            Number => drop(template::number(value)?),
            Numbers => drop(template::numbers(value)?),
            Date if matches!(value.len(), 0 | 8) => {}
            Date => return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
            Bytes => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki_sys::{CKA_DECRYPT, CKA_LABEL, CKA_LOCAL, CKA_MODULUS, CKA_SENSITIVE, CKA_VALUE};

    const RSA: Class = Class::Private(KeyType::Rsa);

    fn admitted(kind: CK_ATTRIBUTE_TYPE, value: &[u8], class: Class, occasion: Occasion) -> Result<()> {
        admit(&Template::of(&[(kind, value)]), class, occasion)
    }

    #[test]
    fn an_attribute_of_another_class_or_family_is_not_an_attribute() {
        let invalid = Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID));
        assert_eq!(admitted(CKA_DECRYPT, &[1], Class::Public(KeyType::Rsa), Occasion::Generate), invalid);
        assert_eq!(admitted(CKA_MODULUS, &[1], Class::Private(KeyType::Ec), Occasion::Create), invalid);
        assert_eq!(admitted(CKA_VALUE, &[1], RSA, Occasion::Create), invalid);
        assert_eq!(admitted(0x7777_7777, &[1], RSA, Occasion::Create), invalid);
        assert!(exists(CKA_VALUE, Class::Private(KeyType::Ec)) && !exists(CKA_VALUE, Class::Public(KeyType::Ec)));
    }

    #[test]
    fn what_the_token_alone_knows_is_read_only() {
        assert_eq!(admitted(CKA_LOCAL, &[1], RSA, Occasion::Create), Err(Rv(CKR_ATTRIBUTE_READ_ONLY)));
        assert_eq!(admitted(c::CKA_TOKEN, &[1], RSA, Occasion::Set), Err(Rv(CKR_ATTRIBUTE_READ_ONLY)));
        assert_eq!(admitted(CKA_LABEL, b"x", RSA, Occasion::Set), Ok(()));
    }

    #[test]
    fn flags_and_numbers_of_a_wrong_length_or_value_are_refused() {
        for value in [b"".as_slice(), &[2], &[0, 0], &[1, 0, 0, 0, 0, 0, 0, 0]] {
            let result = admitted(CKA_SENSITIVE, value, RSA, Occasion::Generate);
            assert_eq!(result, Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
        }
        for value in [b"".as_slice(), &[0; 4], &[0; 9]] {
            let result = admitted(c::CKA_CLASS, value, RSA, Occasion::Generate);
            assert_eq!(result, Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
        }
        let odd = admitted(c::CKA_ALLOWED_MECHANISMS, &[0; 12], RSA, Occasion::Generate);
        assert_eq!(odd, Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    }

    #[test]
    fn every_attribute_has_one_rule() {
        let mut seen = std::collections::BTreeSet::new();
        assert!(RULES.iter().all(|r| seen.insert(r.kind)));
    }
}
