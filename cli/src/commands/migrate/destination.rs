//! Our token: what is there already, and how the rest comes in.

use std::collections::BTreeMap;
use std::sync::Arc;

use cryptoki::object::ObjectHandle;
use libkmss::caller::Caller;
use libkmss::catalog::Query;
use libkmss::key::{Body, KeyClass, KeyComponents, Object, Protection, PublicComponents, Storage, Usage};
use libkmss::kms::Kms;
use libkmss::mechanism::{BlockCipher, CipherMode, KeyType, Mechanism};
use libkmss::operation::{Draft, DrawRandom, Expected, Find, Import, ImportDocument, ObjectRef, Unwrap};
use libkmss::secret::Secret;

use super::Outcome;
use super::found::{Found, Kind};
use super::source::Source;
use crate::objects::parts_in;
use crate::output::Failure;

/// Length of the key that keys travel under, in bytes.
const TRANSPORT_LEN: usize = 32;
/// Most objects of one label and CKA_ID that are compared.
const ALIKE: usize = 64;

/// Where the objects go.
pub(super) struct Destination<'a> {
    kms: &'a Kms,
    caller: &'a Caller,
    source: &'a Source,
    dry_run: bool,
    /// The key that keys travel under: theirs and ours.
    transport: Option<(ObjectHandle, Arc<Object>)>,
    /// Names of private keys by CKA_ID and label, which their public halves share.
    names: BTreeMap<(Vec<u8>, Vec<u8>), String>,
}

impl<'a> Destination<'a> {
    pub(super) const fn new(kms: &'a Kms, caller: &'a Caller, source: &'a Source, dry_run: bool) -> Self {
        Self { kms, caller, source, dry_run, transport: None, names: BTreeMap::new() }
    }

    /// Takes one object over, unless it is there.
    ///
    /// # Errors
    /// What the one or the other token says.
    pub(super) fn take(&mut self, found: &Found, all: &[Found]) -> Result<Outcome, Failure> {
        let Some(kind) = found.kind.find() else {
            return Ok(Outcome::Refused("objects of this class are not offered".to_owned()));
        };
        let public = public_of(found, all);
        let query = Query {
            label: Some(found.label.clone()),
            identifier: Some(found.identifier.clone()),
            kind: Some(kind),
            ..Query::default()
        };
        for there in self.kms.perform(self.caller, Find { query: &query, after: None, limit: ALIKE })? {
            let ours = self.kms.object(self.caller, there.id)?;
            if is_same(found, public, &ours) {
                if let Some(key) = ours.key().filter(|k| k.class == KeyClass::Private) {
                    self.names.insert((found.identifier.clone(), found.label.clone()), key.name.clone());
                }
                return Ok(Outcome::Present);
            }
        }
        match found.kind {
            Kind::Key(class, key_type) => self.key(found, class, key_type),
            Kind::Certificate => self.document(found, Body::Certificate { value: found.value.clone() }),
            _ => self.document(found, Body::Data { value: found.value.clone().into() }),
        }
    }

    fn key(&mut self, found: &Found, class: KeyClass, key_type: Option<KeyType>) -> Result<Outcome, Failure> {
        let Some(key_type) = key_type else {
            return Ok(Outcome::Refused("keys of this type are not offered".to_owned()));
        };
        if class != KeyClass::Public && !found.protection.extractable {
            let reason =
                "it is not extractable: it cannot leave the other token; make a new key, or restore its backup";
            return Ok(Outcome::Refused(reason.to_owned()));
        }
        let allowed = match &found.allowed {
            Ok(allowed) => allowed.clone(),
            Err(reason) => return Ok(Outcome::Refused(reason.clone())),
        };
        if self.dry_run {
            return Ok(Outcome::Possible);
        }
        let mut draft = self.draft(found)?;
        draft.name = self.name(found, class)?;
        draft.usage = found.usage;
        draft.allowed_mechanisms = allowed;
        (draft.start, draft.end) = (found.start, found.end);
        let made = if class == KeyClass::Public {
            let components = KeyComponents::Public(found.public.clone());
            self.kms.perform(self.caller, Import { components, draft })?
        } else {
            draft.protection = found.protection;
            self.unwrap(found, key_type, draft)?
        };
        let name = made.key().map_or_else(String::new, |key| key.name.clone());
        if class == KeyClass::Private {
            self.names.insert((found.identifier.clone(), found.label.clone()), name.clone());
        }
        Ok(Outcome::Taken(name))
    }

    fn document(&self, found: &Found, body: Body) -> Result<Outcome, Failure> {
        if self.dry_run {
            return Ok(Outcome::Possible);
        }
        let draft = self.draft(found)?;
        self.kms.perform(self.caller, ImportDocument { body, draft })?;
        Ok(Outcome::Taken(found.label_text()))
    }

    fn draft(&self, found: &Found) -> Result<Draft, Failure> {
        let mut draft = self.kms.draft(Storage::Stored)?;
        draft.label.clone_from(&found.label);
        draft.identifier.clone_from(&found.identifier);
        draft.private = found.private;
        draft.modifiable = found.modifiable;
        draft.copyable = found.copyable;
        draft.destroyable = found.destroyable;
        draft.attributes = found.attributes.iter().map(|(n, value)| (*n, value.clone().into())).collect();
        Ok(draft)
    }

    /// A name that is free; of a public half, that of its private half.
    fn name(&self, found: &Found, class: KeyClass) -> Result<String, Failure> {
        if class == KeyClass::Public
            && let Some(name) = self.names.get(&(found.identifier.clone(), found.label.clone()))
        {
            return Ok(name.clone());
        }
        let label = found.label_text();
        let base = if label.is_empty() { format!("key-{}", crate::output::hex(&found.identifier)) } else { label };
        for number in 1_u32.. {
            let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
            if parts_in(self.kms, self.caller, &name)?.is_empty() {
                return Ok(name);
            }
        }
        Err("every name is taken".into())
    }

    fn unwrap(&mut self, found: &Found, key_type: KeyType, draft: Draft) -> Result<Arc<Object>, Failure> {
        let (theirs, ours) = self.transport()?;
        let wrapped = match self.source.wrap(theirs, found) {
            Ok(wrapped) => wrapped,
            Err(refused) => {
                let Some(components) = self.source.scalar(found)? else { return Err(refused) };
                return Ok(self.kms.perform(self.caller, Import { components, draft })?);
            }
        };
        Ok(self.kms.perform(
            self.caller,
            Unwrap {
                unwrapping: ObjectRef::from(&ours),
                how: Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad).into(),
                wrapped: wrapped.into(),
                expected: Expected { key_type, len: None },
                draft,
            },
        )?)
    }

    /// A fresh AES key that both tokens know, for this run only.
    fn transport(&mut self) -> Result<(ObjectHandle, Arc<Object>), Failure> {
        if let Some(known) = &self.transport {
            return Ok(known.clone());
        }
        let value = Secret::filled(TRANSPORT_LEN, |out| self.kms.perform(self.caller, DrawRandom { out }))?;
        let theirs = self.source.wrapping_key(value.expose())?;
        let mut draft = self.kms.draft(Storage::Ephemeral)?;
        draft.usage = Usage { unwrap: true, ..Usage::default() };
        draft.protection = Protection { sensitive: true, ..Protection::default() };
        let components = KeyComponents::Secret { key_type: KeyType::Aes, value };
        let ours = self.kms.perform(self.caller, Import { components, draft })?;
        Ok(self.transport.insert((theirs, ours)).clone())
    }
}

/// The public part of a key; of an EC private key that of its public half.
fn public_of<'a>(found: &'a Found, all: &'a [Found]) -> &'a PublicComponents {
    let complete = |public: &PublicComponents| match public {
        PublicComponents::Ec { point, .. } => !point.is_empty(),
        other => *other != PublicComponents::None,
    };
    if complete(&found.public) {
        return &found.public;
    }
    let partner = all.iter().find(|f| {
        matches!(f.kind, Kind::Key(KeyClass::Public, _))
            && f.identifier == found.identifier
            && f.label == found.label
            && complete(&f.public)
    });
    partner.map_or(&found.public, |partner| &partner.public)
}

/// Whether `ours`, which has the same label, identifier and kind, is the same object.
fn is_same(found: &Found, public: &PublicComponents, ours: &Object) -> bool {
    match (&ours.body, found.kind) {
        (Body::Certificate { value }, _) => *value == found.value,
        (Body::Data { value }, _) => **value == found.value,
        (Body::Key(key), Kind::Key(_, key_type)) => {
            let Ok(version) = key.primary() else { return false };
            if Some(key.key_type) != key_type {
                return false;
            }
            match public {
                PublicComponents::None => {
                    let bits = found.len.map(|len| len * 8);
                    let check_value = version.check_value();
                    let known = !found.check_value.is_empty() && !check_value.is_empty();
                    bits.is_none_or(|bits| bits == version.bits as usize)
                        && (!known || *found.check_value == *check_value)
                }
                PublicComponents::Ec { curve, point } if point.is_empty() => {
                    matches!(&version.public, PublicComponents::Ec { curve: ours, .. } if ours == curve)
                }
                other => *other == version.public,
            }
        }
        _ => false,
    }
}
