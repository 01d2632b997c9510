//! What is asked for of a new object.

use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{Date, KeyClass, Protection, Usage};
use libkmss::mechanism::KeyType;
use libkmss::operation::{Draft, Expected};
use libkmss::tenant::BackendId;
use serde_bytes::ByteBuf;

use super::{Numbered, object_id, size};
use crate::proto;

/// Longest label, name, identifier or attribute in bytes.
const MAX_VALUE: usize = 1 << 16;
/// Most attributes, and most allowed mechanisms.
const MAX_COUNT: usize = 256;

/// Fills `empty` from what is asked for of a key; what is absent takes the defaults that the contract names.
///
/// # Errors
/// [`ErrorKind::AttributeValue`] for what is too large, and dates that are none.
pub fn key_draft(empty: Draft, asked: proto::Draft, key_type: KeyType, class: KeyClass) -> Result<Draft> {
    let private = asked.private.unwrap_or(class != KeyClass::Public);
    let usage = asked.usage.as_ref().map_or_else(|| Usage::all_for(key_type, class), Usage::from);
    let hidden = Protection { sensitive: class != KeyClass::Public, ..Protection::default() };
    let protection = asked.protection.as_ref().map_or(hidden, protection);
    if asked.allowed_mechanisms.len() > MAX_COUNT {
        return Err(too_much());
    }
    let allowed_mechanisms = asked.allowed_mechanisms.clone();
    let (start, end) = (date(&asked.start)?, date(&asked.end)?);
    let pre_active = asked.pre_active;
    let draft = Draft { private, usage, protection, allowed_mechanisms, pre_active, start, end, ..empty };
    common(draft, asked)
}

/// Fills `empty` from what is asked for of a certificate or of data.
///
/// # Errors
/// As [`key_draft`].
pub fn document_draft(empty: Draft, asked: proto::Draft) -> Result<Draft> {
    let private = asked.private.unwrap_or(false);
    common(Draft { private, ..empty }, asked)
}

fn common(draft: Draft, asked: proto::Draft) -> Result<Draft> {
    let values = asked.attributes.values().map(Vec::len);
    let longest = values.chain([asked.label.len(), asked.identifier.len(), asked.name.len()]).max();
    if longest.is_some_and(|len| len > MAX_VALUE) || asked.attributes.len() > MAX_COUNT {
        return Err(too_much());
    }
    Ok(Draft {
        id: if asked.id.is_empty() { draft.id } else { object_id(&asked.id)? },
        modifiable: asked.modifiable.unwrap_or(true),
        copyable: asked.copyable.unwrap_or(true),
        destroyable: asked.destroyable.unwrap_or(true),
        label: asked.label,
        identifier: asked.identifier,
        attributes: asked.attributes.into_iter().map(|(number, value)| (number, ByteBuf::from(value))).collect(),
        name: asked.name,
        exact: asked.exact_name,
        backend: (!asked.backend.is_empty()).then(|| BackendId(asked.backend.into())),
        ..draft
    })
}

impl From<&Draft> for proto::Draft {
    fn from(draft: &Draft) -> Self {
        Self {
            id: draft.id.0.to_vec(),
            private: Some(draft.private),
            modifiable: Some(draft.modifiable),
            copyable: Some(draft.copyable),
            destroyable: Some(draft.destroyable),
            label: draft.label.clone(),
            identifier: draft.identifier.clone(),
            attributes: draft.attributes.iter().map(|(number, value)| (*number, value.to_vec())).collect(),
            name: draft.name.clone(),
            usage: Some((&draft.usage).into()),
            protection: Some((&draft.protection).into()),
            allowed_mechanisms: draft.allowed_mechanisms.clone(),
            pre_active: draft.pre_active,
            exact_name: draft.exact,
            start: digits(draft.start),
            end: digits(draft.end),
            backend: String::new(),
        }
    }
}

impl TryFrom<&proto::NewKey> for Expected {
    type Error = Error;

    fn try_from(key: &proto::NewKey) -> Result<Self> {
        Ok(Self { key_type: Numbered::of(key.key_type)?, len: key.len.map(size) })
    }
}

impl From<&Usage> for proto::Usage {
    fn from(usage: &Usage) -> Self {
        Self {
            encrypt: usage.encrypt,
            decrypt: usage.decrypt,
            sign: usage.sign,
            sign_recover: usage.sign_recover,
            verify: usage.verify,
            verify_recover: usage.verify_recover,
            wrap: usage.wrap,
            unwrap: usage.unwrap,
            derive: usage.derive,
            encapsulate: usage.encapsulate,
            decapsulate: usage.decapsulate,
        }
    }
}

impl From<&proto::Usage> for Usage {
    fn from(usage: &proto::Usage) -> Self {
        Self {
            encrypt: usage.encrypt,
            decrypt: usage.decrypt,
            sign: usage.sign,
            sign_recover: usage.sign_recover,
            verify: usage.verify,
            verify_recover: usage.verify_recover,
            wrap: usage.wrap,
            unwrap: usage.unwrap,
            derive: usage.derive,
            encapsulate: usage.encapsulate,
            decapsulate: usage.decapsulate,
        }
    }
}

impl From<&Protection> for proto::Protection {
    fn from(protection: &Protection) -> Self {
        Self {
            sensitive: protection.sensitive,
            extractable: protection.extractable,
            always_sensitive: protection.always_sensitive,
            never_extractable: protection.never_extractable,
            local: protection.local,
            trusted: protection.trusted,
            wrap_with_trusted: protection.wrap_with_trusted,
            always_authenticate: protection.always_authenticate,
        }
    }
}

/// Protection as a message has it, history included.
pub(super) const fn protection(protection: &proto::Protection) -> Protection {
    Protection {
        sensitive: protection.sensitive,
        extractable: protection.extractable,
        always_sensitive: protection.always_sensitive,
        never_extractable: protection.never_extractable,
        local: protection.local,
        trusted: protection.trusted,
        wrap_with_trusted: protection.wrap_with_trusted,
        always_authenticate: protection.always_authenticate,
    }
}

/// The day of `YYYYMMDD`; none for nothing.
pub(super) fn date(digits: &str) -> Result<Option<Date>> {
    if digits.is_empty() { Ok(None) } else { Date::parse(digits.as_bytes()).map(Some) }
}

pub(super) fn digits(date: Option<Date>) -> String {
    date.map(|date| String::from_utf8_lossy(&date.0).into_owned()).unwrap_or_default()
}

fn too_much() -> Error {
    Error::new(ErrorKind::AttributeValue, "the attributes of the object are too many, or too long")
}
