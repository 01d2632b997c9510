//! Making keys, certificates and data: generated, imported, copied, unwrapped, derived, agreed on.

use std::sync::Arc;

use libkmss::error::{Error, Result};
use libkmss::key::{Body, Key, KeyClass, KeyComponents, KeySpec, Object, Protection, Storage, Usage};
use libkmss::kms::Kms;
use libkmss::operation::{
    Copy, Decapsulate, Derive, Draft, Encapsulate, Expected, Export, GeneratePair, GenerateSecret, Import,
    ImportDocument, Make, ObjectRef, Unwrap,
};

use super::call::{Asked, Call, argument};
use super::crypto::{chosen, others};
use crate::convert;
use crate::proto::{self, new_key};

fn absent() -> Error {
    argument("it is not said what key to make")
}

impl Call for proto::GenerateKeyRequest {
    type Answer = proto::GenerateKeyResponse;
    const METHOD: &'static str = "GenerateKey";
    const MAKES: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn draft(&self) -> Option<&proto::Draft> {
        self.draft.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GenerateKeyResponse> {
        if let Some(key) = asked.made_before(0)? {
            return Ok(proto::GenerateKeyResponse { key: Some(key) });
        }
        let spec: KeySpec = self.spec.ok_or_else(absent)?.try_into()?;
        if !matches!(spec, KeySpec::Secret { .. }) {
            return Err(argument("what comes in pairs is made by GenerateKeyPair"));
        }
        let draft = self.draft.unwrap_or_default();
        let draft = convert::key_draft(asked.stored(0)?, draft, spec.key_type(), KeyClass::Secret)?;
        let key = asked.host.kms.perform(&asked.caller, GenerateSecret { spec, draft })?;
        Ok(proto::GenerateKeyResponse { key: Some(key.as_ref().into()) })
    }
}

impl Call for proto::GenerateKeysRequest {
    type Answer = proto::GenerateKeysResponse;
    const METHOD: &'static str = "GenerateKeys";
    const MAKES: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn draft(&self) -> Option<&proto::Draft> {
        self.drafts.first()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GenerateKeysResponse> {
        use proto::generated_key::Result as End;
        let spec: KeySpec = self.spec.ok_or_else(absent)?.try_into()?;
        if !matches!(spec, KeySpec::Secret { .. }) {
            return Err(argument("what comes in pairs is made by GenerateKeyPair"));
        }
        if self.drafts.len() > Kms::BATCH_ITEMS {
            return Err(argument("at most 256 keys are made by one call"));
        }
        // The lane of the call is the backend's.
        if self.drafts.iter().any(|draft| self.drafts.first().is_some_and(|first| first.backend != draft.backend)) {
            return Err(argument(
                "the keys of one call are made by one backend: all drafts name the same one, or none",
            ));
        }
        let failed = |e: &Error| End::Error(super::batch::error(e, Vec::new()));
        let mut operations = Vec::with_capacity(self.drafts.len());
        let mut ends: Vec<Option<End>> = Vec::with_capacity(self.drafts.len());
        for (index, draft) in (0..=u8::MAX).zip(self.drafts) {
            // One that cannot be made is in nobody's way.
            let drafted = |empty| convert::key_draft(empty, draft, spec.key_type(), KeyClass::Secret);
            ends.push(match asked.made_before(index) {
                Ok(Some(made)) => Some(End::Key(made)),
                Ok(None) => match asked.stored(index).and_then(drafted) {
                    Ok(draft) => {
                        operations.push(GenerateSecret { spec: spec.clone(), draft });
                        None
                    }
                    Err(e) => Some(failed(&e)),
                },
                Err(e) => Some(failed(&e)),
            });
        }
        let made = asked.host.kms.make_each(&asked.caller, operations)?;
        let mut made = made.into_iter().map(|one| match one {
            Ok(key) => End::Key(key.as_ref().into()),
            Err(e) => failed(&e),
        });
        let keys = ends.into_iter().map(|end| proto::GeneratedKey { result: end.or_else(|| made.next()) });
        Ok(proto::GenerateKeysResponse { keys: keys.collect() })
    }
}

impl Call for proto::GenerateKeyPairRequest {
    type Answer = proto::GenerateKeyPairResponse;
    const METHOD: &'static str = "GenerateKeyPair";
    const MAKES: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn draft(&self) -> Option<&proto::Draft> {
        self.private.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GenerateKeyPairResponse> {
        if let (Some(private), Some(public)) = (asked.made_before(0)?, asked.made_before(1)?) {
            return Ok(proto::GenerateKeyPairResponse { private: Some(private), public: Some(public) });
        }
        let spec: KeySpec = self.spec.ok_or_else(absent)?.try_into()?;
        if matches!(spec, KeySpec::Secret { .. }) {
            return Err(argument("a secret key is made by GenerateKey"));
        }
        let draft = |index, asked_for: Option<proto::Draft>, class| {
            convert::key_draft(asked.stored(index)?, asked_for.unwrap_or_default(), spec.key_type(), class)
        };
        let private = draft(0, self.private, KeyClass::Private)?;
        let public = draft(1, self.public, KeyClass::Public)?;
        let (private, public) = asked.host.kms.perform(&asked.caller, GeneratePair { spec, private, public })?;
        Ok(proto::GenerateKeyPairResponse {
            private: Some(private.as_ref().into()),
            public: Some(public.as_ref().into()),
        })
    }
}

impl Call for proto::ImportKeyRequest {
    type Answer = proto::ImportKeyResponse;
    const METHOD: &'static str = "ImportKey";
    const MAKES: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn draft(&self) -> Option<&proto::Draft> {
        self.draft.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ImportKeyResponse> {
        if let Some(key) = asked.made_before(0)? {
            return Ok(proto::ImportKeyResponse { key: Some(key) });
        }
        let components: KeyComponents = self.components.ok_or_else(absent)?.try_into()?;
        let class = match &components {
            KeyComponents::Secret { .. } => KeyClass::Secret,
            KeyComponents::Public(_) => KeyClass::Public,
            _ => KeyClass::Private,
        };
        let draft = self.draft.unwrap_or_default();
        let draft = convert::key_draft(asked.stored(0)?, draft, components.key_type(), class)?;
        let key = asked.host.kms.perform(&asked.caller, Import { components, draft })?;
        Ok(proto::ImportKeyResponse { key: Some(key.as_ref().into()) })
    }
}

impl Call for proto::ImportDocumentRequest {
    type Answer = proto::ImportDocumentResponse;
    const METHOD: &'static str = "ImportDocument";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ImportDocumentResponse> {
        use proto::import_document_request::Body as Wire;
        if let Some(object) = asked.made_before(0)? {
            return Ok(proto::ImportDocumentResponse { object: Some(object) });
        }
        let body = match self.body {
            Some(Wire::Certificate(value)) => Body::Certificate { value },
            Some(Wire::Data(value)) => Body::Data { value: value.into() },
            None => return Err(argument("there is neither a certificate nor data")),
        };
        let draft = convert::document_draft(asked.stored(0)?, self.draft.unwrap_or_default())?;
        let object = asked.host.kms.perform(&asked.caller, ImportDocument { body, draft })?;
        Ok(proto::ImportDocumentResponse { object: Some(object.as_ref().into()) })
    }
}

impl Call for proto::CopyObjectRequest {
    type Answer = proto::CopyObjectResponse;
    const METHOD: &'static str = "CopyObject";
    const MAKES: bool = true;

    fn key(&self) -> Option<&proto::KeyRef> {
        self.source.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::CopyObjectResponse> {
        if let Some(object) = asked.made_before(0)? {
            return Ok(proto::CopyObjectResponse { object: Some(object) });
        }
        let source = asked.object(self.source.as_ref())?;
        let ObjectRef::Stored(id) = &source else { return Err(argument("it is not said what to copy")) };
        let original = asked.host.kms.object(&asked.caller, *id)?;
        let wanted = as_source(self.draft.unwrap_or_default(), &original);
        let empty = asked.stored(0)?;
        let draft = match original.key() {
            Some(key) => convert::key_draft(empty, wanted, key.key_type, key.class)?,
            None => convert::document_draft(empty, wanted)?,
        };
        let object = asked.host.kms.perform(&asked.caller, Copy { source, draft })?;
        Ok(proto::CopyObjectResponse { object: Some(object.as_ref().into()) })
    }
}

/// What is absent in `draft` as it is in `source`.
fn as_source(draft: proto::Draft, source: &Object) -> proto::Draft {
    let like: proto::Object = source.into();
    let key: Option<&Key> = source.key();
    let listed = |given: Vec<u64>| match key {
        Some(key) if given.is_empty() => key.allowed_mechanisms.clone(),
        _ => given,
    };
    let filled = |given: Vec<u8>, known: Vec<u8>| if given.is_empty() { known } else { given };
    proto::Draft {
        private: draft.private.or(Some(like.private)),
        modifiable: draft.modifiable.or(Some(like.modifiable)),
        copyable: draft.copyable.or(Some(like.copyable)),
        destroyable: draft.destroyable.or(Some(like.destroyable)),
        label: filled(draft.label, like.label),
        identifier: filled(draft.identifier, like.identifier),
        attributes: if draft.attributes.is_empty() { like.attributes } else { draft.attributes },
        usage: draft.usage.or_else(|| key.map(|key| (&key.usage).into())),
        protection: draft.protection.or_else(|| key.map(|key| (&key.protection).into())),
        allowed_mechanisms: listed(draft.allowed_mechanisms),
        ..draft
    }
}

/// A key that is to be kept, or made to be given out.
struct Planned {
    expected: Expected,
    draft: Draft,
    released: bool,
}

fn planned(asked: &Asked<'_>, index: u8, key: Option<proto::NewKey>) -> Result<Planned> {
    let key = key.ok_or_else(absent)?;
    let expected = Expected::try_from(&key)?;
    let class = if expected.key_type.is_asymmetric() { KeyClass::Private } else { KeyClass::Secret };
    match key.outcome.ok_or_else(|| argument("it is not said whether the key is kept or released"))? {
        new_key::Outcome::Kept(draft) => {
            let draft = convert::key_draft(asked.stored(index)?, draft, expected.key_type, class)?;
            Ok(Planned { expected, draft, released: false })
        }
        new_key::Outcome::Released(proto::Release {}) => {
            let open = Protection { extractable: true, ..Protection::default() };
            let empty = asked.host.kms.draft(Storage::Ephemeral)?;
            Ok(Planned {
                expected,
                draft: Draft { protection: open, usage: Usage::default(), ..empty },
                released: true,
            })
        }
    }
}

/// What the caller gets of a key that was made.
fn made(asked: &Asked<'_>, key: Arc<Object>, released: bool) -> Result<proto::MadeKey> {
    use proto::made_key::Outcome;
    let outcome = if released {
        let key = ObjectRef::Ephemeral(key);
        Outcome::Released((&asked.host.kms.perform(&asked.caller, Export { key })?).into())
    } else {
        Outcome::Kept(key.as_ref().into())
    };
    Ok(proto::MadeKey { outcome: Some(outcome) })
}

/// What an earlier call with the same id made and kept.
fn kept_before(asked: &Asked<'_>, index: u8, key: Option<&proto::NewKey>) -> Result<Option<proto::MadeKey>> {
    match key.and_then(|key| key.outcome.as_ref()) {
        Some(new_key::Outcome::Kept(_)) => Ok(asked
            .made_before(index)?
            .map(|object| proto::MadeKey { outcome: Some(proto::made_key::Outcome::Kept(object)) })),
        _ => Ok(None),
    }
}

impl Call for proto::MakeKeyRequest {
    type Answer = proto::MakeKeyResponse;
    const METHOD: &'static str = "MakeKey";
    const MAKES: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::MakeKeyResponse> {
        if let Some(key) = kept_before(asked, 0, self.key.as_ref())? {
            return Ok(proto::MakeKeyResponse { key: Some(key) });
        }
        let Planned { expected, draft, released } = planned(asked, 0, self.key)?;
        let how = chosen(self.mechanism)?;
        let key = asked.host.kms.perform(&asked.caller, Make { how, expected, draft })?;
        Ok(proto::MakeKeyResponse { key: Some(made(asked, key, released)?) })
    }
}

impl Call for proto::UnwrapRequest {
    type Answer = proto::UnwrapResponse;
    const METHOD: &'static str = "Unwrap";
    const MAKES: bool = true;

    fn key(&self) -> Option<&proto::KeyRef> {
        self.unwrapping.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::UnwrapResponse> {
        if let Some(key) = kept_before(asked, 0, self.key.as_ref())? {
            return Ok(proto::UnwrapResponse { key: Some(key) });
        }
        let unwrapping = asked.object(self.unwrapping.as_ref())?;
        let Planned { expected, draft, released } = planned(asked, 0, self.key)?;
        let (how, wrapped) = (chosen(self.mechanism)?, self.wrapped.into());
        let operation = Unwrap { unwrapping, how, wrapped, expected, draft };
        let key = asked.host.kms.perform(&asked.caller, operation)?;
        Ok(proto::UnwrapResponse { key: Some(made(asked, key, released)?) })
    }
}

impl Call for proto::DeriveRequest {
    type Answer = proto::DeriveResponse;
    const METHOD: &'static str = "Derive";
    const MAKES: bool = true;

    fn key(&self) -> Option<&proto::KeyRef> {
        self.base.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DeriveResponse> {
        if !(1..=8).contains(&self.keys.len()) {
            return Err(argument("a derivation makes 1 to 8 keys"));
        }
        let before = self.keys.iter().zip(0..).map(|(key, index)| kept_before(asked, index, Some(key)));
        if let Some(keys) = before.collect::<Result<Option<Vec<_>>>>()? {
            return Ok(proto::DeriveResponse { keys, public: Vec::new() });
        }
        let base = asked.object(self.base.as_ref())?;
        let others = others(asked, &self.others)?;
        let how = chosen(self.mechanism)?;
        let plans: Vec<Planned> =
            self.keys.into_iter().zip(0..).map(|(key, at)| planned(asked, at, Some(key))).collect::<Result<_>>()?;
        let released = plans.iter().filter(|plan| plan.released).count();
        if released != 0 && released != plans.len() {
            return Err(argument("all keys of a derivation are kept, or all are released"));
        }
        let keys = plans.into_iter().map(|plan| (plan.expected, plan.draft)).collect();
        let derived = asked.host.kms.perform(&asked.caller, Derive { base, others, how, keys })?;
        let keys = derived.keys.into_iter().map(|key| made(asked, key, released != 0)).collect::<Result<_>>()?;
        Ok(proto::DeriveResponse { keys, public: derived.public })
    }
}

impl Call for proto::EncapsulateRequest {
    type Answer = proto::EncapsulateResponse;
    const METHOD: &'static str = "Encapsulate";
    const MAKES: bool = true;

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::EncapsulateResponse> {
        let key = asked.object(self.key.as_ref())?;
        let Planned { expected, draft, released } = planned(asked, 0, self.new_key)?;
        let how = chosen(self.mechanism)?;
        let operation = Encapsulate { key, how, expected, draft };
        let (key, ciphertext) = asked.host.kms.perform(&asked.caller, operation)?;
        Ok(proto::EncapsulateResponse { key: Some(made(asked, key, released)?), ciphertext })
    }
}

impl Call for proto::DecapsulateRequest {
    type Answer = proto::DecapsulateResponse;
    const METHOD: &'static str = "Decapsulate";
    const MAKES: bool = true;

    fn key(&self) -> Option<&proto::KeyRef> {
        self.key.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DecapsulateResponse> {
        if let Some(key) = kept_before(asked, 0, self.new_key.as_ref())? {
            return Ok(proto::DecapsulateResponse { key: Some(key) });
        }
        let key = asked.object(self.key.as_ref())?;
        let Planned { expected, draft, released } = planned(asked, 0, self.new_key)?;
        let (how, ciphertext) = (chosen(self.mechanism)?, self.ciphertext);
        let operation = Decapsulate { key, how, ciphertext, expected, draft };
        let key = asked.host.kms.perform(&asked.caller, operation)?;
        Ok(proto::DecapsulateResponse { key: Some(made(asked, key, released)?) })
    }
}
