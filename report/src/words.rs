//! Keys in words.

use libkmss::audit::{Record, RecordObject, decode_text};
use libkmss::key::{Key, KeyClass, PublicComponents, Usage};
use libkmss::mechanism::KeyType;

/// `secret`, `private` or `public`.
#[must_use]
pub const fn class_name(class: KeyClass) -> &'static str {
    match class {
        KeyClass::Secret => "secret",
        KeyClass::Private => "private",
        KeyClass::Public => "public",
    }
}

/// The uses by their names.
#[must_use]
pub fn uses(usage: &Usage) -> Vec<&'static str> {
    [
        (usage.encrypt, "encrypt"),
        (usage.decrypt, "decrypt"),
        (usage.sign, "sign"),
        (usage.verify, "verify"),
        (usage.wrap, "wrap"),
        (usage.unwrap, "unwrap"),
        (usage.derive, "derive"),
        (usage.encapsulate, "encapsulate"),
        (usage.decapsulate, "decapsulate"),
    ]
    .into_iter()
    .filter_map(|(has, name)| has.then_some(name))
    .collect()
}

/// What a key is, for people: `RSA 2048`, `EC P-256`, `AES 256`.
#[must_use]
pub fn describe(key: &Key) -> String {
    let Ok(version) = key.primary() else { return key.key_type.name().to_owned() };
    match &version.public {
        PublicComponents::Ec { curve, .. } if key.key_type == KeyType::Ec => format!("EC {}", curve.name()),
        PublicComponents::Ec { curve, .. } => curve.name().to_owned(),
        PublicComponents::Pqc { set, .. } => set.name().to_owned(),
        PublicComponents::Dh { group, .. } => format!("DH {}", group.name()),
        _ => format!("{} {}", key.key_type.name(), version.bits),
    }
}

/// What text may hold that a terminal would obey, made visible.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The text that audit text stands for; what is no UTF-8 is shown as such.
pub(crate) fn lossy(text: &str) -> String {
    String::from_utf8_lossy(&decode_text(text).0).into_owned()
}

/// A field of audit text.
pub(crate) fn text(field: &Option<String>) -> String {
    field.as_deref().map(lossy).unwrap_or_default()
}

/// `tenant/namespace` of a record.
pub(crate) fn token(record: &Record) -> String {
    match (&record.tenant, &record.namespace) {
        (None, None) => String::new(),
        (tenant, namespace) => format!("{}/{}", text(tenant), text(namespace)),
    }
}

/// What a record calls an object.
pub(crate) fn name(object: &RecordObject) -> String {
    let names = [&object.name, &object.origin, &object.label];
    names.into_iter().map(text).find(|name| !name.is_empty()).unwrap_or_default()
}
