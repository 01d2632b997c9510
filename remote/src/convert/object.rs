//! Objects as they are seen from outside.

use libkmss::clock::Timestamp;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{
    Attachment, Body, CachedKey, HeldKey, Key, KeyVersion, Object, Protection, PublicComponents, Storage, Usage,
};
use libkmss::settings::Settings;
use libkmss::tenant::{BackendId, Namespace, NamespaceId};
use serde_bytes::ByteBuf;

use super::components::public_key;
use super::draft::{date, digits, protection};
use super::{Numbered, argument, object_id};
use crate::proto::{self, object};

impl From<&Namespace> for proto::Namespace {
    fn from(namespace: &Namespace) -> Self {
        Self {
            id: namespace.id.0.to_vec(),
            tenant: namespace.tenant.clone(),
            name: namespace.name.clone(),
            incarnation: namespace.incarnation,
            policy_required: namespace.policy_required,
            backend: namespace.backend.0.to_string(),
            profile: namespace.settings.profile.to_string(),
            forbid: namespace.settings.forbid.to_string(),
            separate_wrap_and_decrypt: namespace.settings.separate_wrap_and_decrypt,
        }
    }
}

/// A namespace that a server told of. What only its own home knows (position, whether it works without PINs) has its default.
///
/// # Errors
/// [`ErrorKind::Arguments`] for what is no namespace, or has settings that are not known here.
pub fn namespace(namespace: proto::Namespace) -> Result<Namespace> {
    let id = namespace.id.as_slice().try_into().map_err(|_| argument("the identity of a namespace has 16 bytes"))?;
    let settings = Settings {
        profile: namespace.profile.parse()?,
        forbid: namespace.forbid.parse()?,
        separate_wrap_and_decrypt: namespace.separate_wrap_and_decrypt,
        pinless: false,
    };
    Ok(Namespace {
        id: NamespaceId(id),
        tenant: namespace.tenant,
        name: namespace.name,
        ordinal: 0,
        incarnation: namespace.incarnation,
        policy_required: namespace.policy_required,
        settings,
        backend: BackendId(namespace.backend.into()),
    })
}

impl From<&Object> for proto::Object {
    fn from(object: &Object) -> Self {
        let body = match &object.body {
            Body::Key(key) => object::Body::Key(key.as_ref().into()),
            Body::Certificate { value } => object::Body::Certificate(value.clone()),
            Body::Data { value } => object::Body::Data(value.to_vec()),
        };
        Self {
            id: object.id.0.to_vec(),
            private: object.private,
            modifiable: object.modifiable,
            copyable: object.copyable,
            destroyable: object.destroyable,
            label: object.label.clone(),
            identifier: object.identifier.clone(),
            attributes: object.attributes.iter().map(|(number, value)| (*number, value.to_vec())).collect(),
            body: Some(body),
            created_ms: object.created.0,
            edition: object.edition,
            revision: object.revision,
        }
    }
}

impl From<&Key> for proto::Key {
    fn from(key: &Key) -> Self {
        Self {
            name: key.name.clone(),
            class: key.class.number(),
            key_type: key.key_type.number(),
            usage: Some((&key.usage).into()),
            protection: Some((&key.protection).into()),
            state: key.state.number(),
            allowed_mechanisms: key.allowed_mechanisms.clone(),
            copy_of: key.copy_of.clone(),
            tags: key.tags.clone(),
            audit: key.audit.number(),
            start: digits(key.start),
            end: digits(key.end),
            primary: key.primary,
            versions: key.versions.iter().map(Into::into).collect(),
            metadata: (!key.metadata.is_empty()).then(|| (&key.metadata).into()),
            lifecycle: (!key.lifecycle.is_plain()).then(|| (&key.lifecycle).into()),
        }
    }
}

impl From<&KeyVersion> for proto::KeyVersion {
    fn from(version: &KeyVersion) -> Self {
        Self {
            number: version.number,
            created_ms: version.created.0,
            bits: version.bits,
            public: public_key(&version.public),
            check_value: version.check_value().into_owned(),
            backend: version.backend.0.to_string(),
        }
    }
}

/// An object that a server told of, for a client: stored there, in `namespace` here. Its versions name `backend`, and have what
/// `locator` gives for their numbers in the place of material.
///
/// # Errors
/// [`ErrorKind::Arguments`] for what is no object.
pub fn object(
    object: proto::Object,
    namespace: NamespaceId,
    backend: &BackendId,
    locator: impl Fn(u32) -> Vec<u8>,
) -> Result<Object> {
    let body = match object.body.ok_or_else(|| argument("an object has nothing in it that is known here"))? {
        object::Body::Key(key) => Body::Key(Box::new(self::key(key, backend, locator)?)),
        object::Body::Certificate(value) => Body::Certificate { value },
        object::Body::Data(value) => Body::Data { value: value.into() },
    };
    Ok(Object {
        id: object_id(&object.id)?,
        namespace,
        private: object.private,
        modifiable: object.modifiable,
        copyable: object.copyable,
        destroyable: object.destroyable,
        label: object.label,
        identifier: object.identifier,
        attributes: object.attributes.into_iter().map(|(number, value)| (number, ByteBuf::from(value))).collect(),
        body,
        created: Timestamp(object.created_ms),
        edition: object.edition,
        storage: Storage::Stored,
        revision: object.revision,
        uses: Attachment::default(),
    })
}

/// An object as its server has it, for whoever looks at it: versions of keys name the backend that has them there.
///
/// # Errors
/// [`ErrorKind::Arguments`] for what is no object.
pub fn object_of_server(object: proto::Object, namespace: NamespaceId) -> Result<Object> {
    let backends: Vec<String> = match &object.body {
        Some(object::Body::Key(key)) => key.versions.iter().map(|version| version.backend.clone()).collect(),
        _ => Vec::new(),
    };
    let mut object = self::object(object, namespace, &BackendId::soft(), |_| Vec::new())?;
    if let Body::Key(key) = &mut object.body {
        for (version, backend) in key.versions.iter_mut().zip(backends) {
            version.backend = BackendId(backend.into());
        }
    }
    Ok(object)
}

fn key(key: proto::Key, backend: &BackendId, locator: impl Fn(u32) -> Vec<u8>) -> Result<Key> {
    let version = |version: proto::KeyVersion| {
        Ok(KeyVersion {
            number: version.number,
            created: Timestamp(version.created_ms),
            backend: backend.clone(),
            locator: locator(version.number),
            bits: version.bits,
            public: version.public.map_or(Ok(PublicComponents::None), TryInto::try_into)?,
            check_value: version.check_value,
            held: HeldKey::default(),
            cache: CachedKey::default(),
        })
    };
    let key = Key {
        name: key.name,
        origin: String::new(),
        class: Numbered::of(key.class)?,
        key_type: Numbered::of(key.key_type)?,
        usage: key.usage.as_ref().map(Usage::from).unwrap_or_default(),
        protection: key.protection.as_ref().map_or_else(Protection::default, protection),
        state: Numbered::of(key.state)?,
        allowed_mechanisms: key.allowed_mechanisms,
        copy_of: key.copy_of,
        tags: key.tags,
        audit: Numbered::of(key.audit)?,
        left: Vec::new(),
        metadata: key.metadata.map(super::life::metadata).transpose()?.unwrap_or_default(),
        lifecycle: key.lifecycle.map(super::life::lifecycle).transpose()?.unwrap_or_default(),
        start: date(&key.start)?,
        end: date(&key.end)?,
        primary: key.primary,
        versions: key.versions.into_iter().map(version).collect::<Result<_>>()?,
    };
    match key.primary() {
        Ok(_) => Ok(key),
        Err(_) => Err(argument("a key has no version that new operations could use")),
    }
}

/// What an update changes, from how an object was to how it is to be.
#[must_use]
pub fn change_of(old: &Object, new: &Object) -> proto::UpdateObjectRequest {
    let changed = |old: &Vec<u8>, new: &Vec<u8>| (old != new).then(|| new.clone());
    let flag = |old: bool, new: bool| (old != new).then_some(new);
    let mut request = proto::UpdateObjectRequest {
        edition: old.edition,
        label: changed(&old.label, &new.label),
        identifier: changed(&old.identifier, &new.identifier),
        modifiable: flag(old.modifiable, new.modifiable),
        copyable: flag(old.copyable, new.copyable),
        destroyable: flag(old.destroyable, new.destroyable),
        ..proto::UpdateObjectRequest::default()
    };
    let differs = |(number, value): &(&u64, &ByteBuf)| old.attributes.get(*number) != Some(*value);
    request.set_attributes = new.attributes.iter().filter(differs).map(|(n, value)| (*n, value.to_vec())).collect();
    request.remove_attributes = old.attributes.keys().filter(|n| !new.attributes.contains_key(*n)).copied().collect();
    match (&old.body, &new.body) {
        (Body::Key(old), Body::Key(new)) => {
            request.usage = (old.usage != new.usage).then(|| (&new.usage).into());
            request.protection = (old.protection != new.protection).then(|| (&new.protection).into());
            request.start = (old.start != new.start).then(|| digits(new.start));
            request.end = (old.end != new.end).then(|| digits(new.end));
        }
        (Body::Data { value: old }, Body::Data { value: new }) if old != new => request.data = Some(new.to_vec()),
        _ => {}
    }
    request
}

/// `object` as `change` wants it.
///
/// # Errors
/// [`ErrorKind::Conflict`] where another edition was read; [`ErrorKind::AttributeReadOnly`] for what such an object does not
/// have; [`ErrorKind::AttributeValue`] for dates that are none.
pub fn updated(object: &Object, change: proto::UpdateObjectRequest) -> Result<Object> {
    if change.edition != 0 && change.edition != object.edition {
        return Err(Error::new(ErrorKind::Conflict, "the object was changed since it was read: read it again"));
    }
    let mut new = object.clone();
    new.label = change.label.unwrap_or(new.label);
    new.identifier = change.identifier.unwrap_or(new.identifier);
    new.modifiable = change.modifiable.unwrap_or(new.modifiable);
    new.copyable = change.copyable.unwrap_or(new.copyable);
    new.destroyable = change.destroyable.unwrap_or(new.destroyable);
    for number in change.remove_attributes {
        new.attributes.remove(&number);
    }
    new.attributes.extend(change.set_attributes.into_iter().map(|(number, value)| (number, ByteBuf::from(value))));
    let of_key =
        change.usage.is_some() || change.protection.is_some() || change.start.is_some() || change.end.is_some();
    match &mut new.body {
        Body::Key(key) if change.data.is_none() => {
            key.usage = change.usage.as_ref().map_or(key.usage, Usage::from);
            key.protection = change.protection.as_ref().map_or(key.protection, protection);
            key.start = change.start.as_deref().map_or(Ok(key.start), date)?;
            key.end = change.end.as_deref().map_or(Ok(key.end), date)?;
        }
        Body::Data { value } if !of_key => {
            if let Some(data) = change.data {
                *value = data.into();
            }
        }
        Body::Certificate { .. } if !of_key && change.data.is_none() => {}
        _ => {
            let why = "an object of its kind has none of what is to be changed";
            return Err(Error::new(ErrorKind::AttributeReadOnly, why));
        }
    }
    Ok(new)
}
