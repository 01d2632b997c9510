//! Objects on a server. It knows who we are; of PINs it takes the security officer's alone.

mod many;

use std::sync::Arc;

use libkmss::catalog::{Facet, ObjectKind, Tombstone};
use libkmss::clock::Timestamp;
use libkmss::error::ErrorKind;
use libkmss::jose::{Content, Jws, JwsAlgorithm, Life, Wanted};
use libkmss::key::{KeyClass, KeyComponents, KeySpec, Object, Purpose, Storage, Transition};
use libkmss::kms::{Doomed, DueRotation, Kms, SignedJws, VerifiedJws};
use libkmss::mechanism::{EncryptionContext, HdDerivation, KeyType, Mechanism, Native};
use libkmss::operation::{Chosen, Draft, Turn};
use libkmss::secret::Secret;
use libkmss::tenant::{Namespace, ObjectId};
use remote::client::{Client, ClientError};
use remote::convert;
use remote::proto::{self, get_object_request::Which, import_document_request as document};
use serde_json::Value;
use zeroize::Zeroizing;

use super::wire::{asked, class_number, each, kind_number, paged};
use super::{DataKeyMade, DataPairMade, Deed, Done, Made, Names, Objects, Seen, Taken, Vaulted, batch, grouped};
use crate::context;
use crate::output::Failure;

/// Objects that are asked for at a time.
const PAGE: u32 = 500;
/// Calls that are sent at a time.
const BATCH: usize = 256;
/// Bytes that are sent at a time: servers take 4 MiB where nothing else is set, with everything around.
const BATCH_BYTES: usize = 3 << 20;

/// The objects of a namespace that a server serves to us.
pub(super) struct ServerObjects<'a> {
    pub(super) server: &'a Client,
    namespace: Namespace,
    officer_pin: Option<String>,
}

/// The namespaces that a server serves to us.
///
/// # Errors
/// Those of the server.
pub(crate) fn namespaces(server: &Client) -> Result<Vec<Namespace>, Failure> {
    let served = server.ask(proto::ListNamespacesRequest {})?.namespaces;
    served.into_iter().map(|one| Ok(convert::namespace(one)?)).collect()
}

impl<'a> ServerObjects<'a> {
    /// Those of the namespace called `token`.
    ///
    /// # Errors
    /// It is not served, or not to us.
    pub(super) fn open(server: &'a Client, token: &str) -> Result<Self, Failure> {
        let namespace = context::named(namespaces(server)?, token)?;
        Ok(Self { server, namespace, officer_pin: None })
    }

    /// The same, for the security officer.
    ///
    /// # Errors
    /// The PIN is no text.
    pub(super) fn managed(self, pin: &Secret) -> Result<Self, Failure> {
        Ok(Self { officer_pin: Some(text(pin)?), ..self })
    }

    fn place(&self) -> String {
        self.namespace.to_string()
    }

    pub(super) fn reference(&self, object: &Object) -> Option<proto::KeyRef> {
        Some(proto::KeyRef { namespace: self.place(), id: object.id.0.to_vec(), version: 0 })
    }

    fn pin(&self) -> String {
        self.officer_pin.clone().unwrap_or_default()
    }

    pub(super) fn object(&self, object: Option<proto::Object>) -> Result<Arc<Object>, Failure> {
        let object = object.ok_or("the server's answer holds no object")?;
        Ok(Arc::new(convert::object_of_server(object, self.namespace.id)?))
    }
}

/// A PIN as the contract has it.
///
/// # Errors
/// It is not UTF-8.
pub(crate) fn text(pin: &Secret) -> Result<String, Failure> {
    Ok(std::str::from_utf8(pin.expose()).map_err(|_| "a server takes PINs in UTF-8 only")?.to_owned())
}

impl Objects for ServerObjects<'_> {
    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn now(&self) -> Result<Timestamp, Failure> {
        Ok(Timestamp(self.server.ask(proto::GetServerInfoRequest {})?.now_ms))
    }

    fn draft(&self) -> Result<Draft, Failure> {
        Ok(Draft::new(ObjectId(self.server.fresh_id()?), Storage::Stored))
    }

    fn key(&self, name: &str, class: KeyClass) -> Result<Option<Arc<Object>>, Failure> {
        let (namespace, name, class) = (self.place(), name.to_owned(), class_number(class).into());
        let which = Which::Name(proto::KeyName { namespace, name, class });
        match self.server.ask(proto::GetObjectRequest { which: Some(which) }) {
            Ok(answer) => Ok(Some(self.object(answer.object)?)),
            Err(e @ ClientError::Refused { .. }) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn having(&self, kind: ObjectKind, facets: &[(Facet, Vec<u8>)]) -> Result<Vec<Arc<Object>>, Failure> {
        let mut wanted = proto::ListObjectsRequest {
            namespace: self.place(),
            kind: kind_number(kind).into(),
            page_size: PAGE,
            ..proto::ListObjectsRequest::default()
        };
        for (facet, value) in facets {
            let text = String::from_utf8_lossy(value).into_owned();
            match facet {
                Facet::Owner => wanted.owner = Some(text),
                Facet::Service => wanted.service = Some(text),
                Facet::Tag => wanted.tags.push(text),
                Facet::Purpose => {
                    wanted.purpose = Purpose::from_name(&text).map(|one| convert::purpose_number(Some(one)))
                }
                Facet::Deletion | Facet::Rotation => return Err("a server is not asked for that".into()),
            }
        }
        paged(|page_token| {
            let page = self.server.ask(proto::ListObjectsRequest { page_token, ..wanted.clone() })?;
            Ok((each(page.objects, |object| self.object(Some(object))), page.next_page_token))
        })
        .whole()
    }

    fn generate_pair(&self, spec: KeySpec, private: Draft, public: Draft) -> Result<Arc<Object>, Failure> {
        let request = proto::GenerateKeyPairRequest {
            namespace: self.place(),
            spec: Some((&spec).into()),
            private: Some(asked(&private)),
            public: Some(asked(&public)),
            request_id: Vec::new(),
        };
        self.object(self.server.ask(request)?.private)
    }

    fn generate_secret(&self, spec: KeySpec, draft: Draft) -> Result<Arc<Object>, Failure> {
        let (spec, draft) = (Some((&spec).into()), Some(asked(&draft)));
        let request = proto::GenerateKeyRequest { namespace: self.place(), spec, draft, request_id: Vec::new() };
        self.object(self.server.ask(request)?.key)
    }

    fn most_at_once(&self) -> usize {
        Kms::BATCH_ITEMS
    }

    fn generate_each(&self, spec: &KeySpec, drafts: Vec<(Draft, Option<Draft>)>) -> Result<Vec<Made>, Failure> {
        self.make_each(spec, drafts)
    }

    fn taken(&self, names: &Names<'_>) -> Result<Option<Taken>, Failure> {
        self.taken_there(names)
    }

    fn is_kept(&self, name: &str) -> Result<bool, Failure> {
        let (namespace, name) = (self.place(), name.to_owned());
        let wanted = proto::ListTombstonesRequest { namespace, name, ..Default::default() };
        Ok(!self.server.ask(wanted)?.tombstones.is_empty())
    }

    fn derive_child(
        &self,
        seed: &Arc<Object>,
        how: HdDerivation,
        private: Draft,
        public: Draft,
    ) -> Result<Arc<Object>, Failure> {
        let request = proto::DeriveChildRequest {
            seed: self.reference(seed),
            derivation: Some((&how).into()),
            private: Some(asked(&private)),
            public: Some(asked(&public)),
            request_id: Vec::new(),
        };
        self.object(self.server.ask(request)?.private)
    }

    fn import(&self, components: KeyComponents, draft: Draft) -> Result<Arc<Object>, Failure> {
        let (components, draft) = (Some((&components).into()), Some(asked(&draft)));
        let request = proto::ImportKeyRequest { namespace: self.place(), components, draft, request_id: Vec::new() };
        self.object(self.server.ask(request)?.key)
    }

    fn unwrap(
        &self,
        with: &Arc<Object>,
        how: &Chosen,
        wrapped: &[u8],
        key_type: KeyType,
        draft: Draft,
    ) -> Result<Arc<Object>, Failure> {
        let outcome = Some(proto::new_key::Outcome::Kept(asked(&draft)));
        let request = proto::UnwrapRequest {
            unwrapping: self.reference(with),
            mechanism: Some((&how.mechanism).into()),
            wrapped: wrapped.to_vec(),
            key: Some(proto::NewKey { key_type: convert::key_type_number(key_type), len: None, outcome }),
            request_id: Vec::new(),
        };
        self.kept(self.server.ask(request)?.key)
    }

    fn wrap(&self, with: &Arc<Object>, how: &Chosen, key: &Arc<Object>) -> Result<Vec<u8>, Failure> {
        let request = proto::WrapRequest {
            wrapping: self.reference(with),
            key: self.reference(key),
            mechanism: Some((&how.mechanism).into()),
            request_id: Vec::new(),
        };
        Ok(self.server.ask(request)?.wrapped)
    }

    fn export(&self, key: &Arc<Object>) -> Result<KeyComponents, Failure> {
        let answer = self.server.ask(proto::ExportKeyRequest { key: self.reference(key), request_id: Vec::new() })?;
        Ok(answer.components.ok_or("the server's answer holds no key")?.try_into()?)
    }

    fn import_certificate(&self, der: &[u8], draft: Draft) -> Result<Arc<Object>, Failure> {
        let request = proto::ImportDocumentRequest {
            namespace: self.place(),
            draft: Some(asked(&draft)),
            request_id: Vec::new(),
            body: Some(document::Body::Certificate(der.to_vec())),
        };
        self.object(self.server.ask(request)?.object)
    }

    fn update(&self, current: &Arc<Object>, wanted: Object) -> Result<(), Failure> {
        let object = self.reference(current);
        self.server.ask(proto::UpdateObjectRequest { object, ..convert::change_of(current, &wanted) })?;
        Ok(())
    }

    fn rename(&self, key: &Arc<Object>, name: &str) -> Result<(), Failure> {
        let (key, name) = (self.reference(key), name.to_owned());
        self.server.ask(proto::RenameKeyRequest { key, name, request_id: Vec::new() })?;
        Ok(())
    }

    fn destroy(&self, object: &Arc<Object>) -> Result<(), Failure> {
        let object = self.reference(object);
        self.server.ask(proto::DestroyObjectRequest { object, request_id: Vec::new() })?;
        Ok(())
    }

    fn sign(&self, key: &Arc<Object>, mechanism: &Mechanism, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let request = proto::SignRequest {
            key: self.reference(key),
            mechanism: Some(mechanism.into()),
            data: message.to_vec(),
            request_id: Vec::new(),
            recoverable: false,
        };
        Ok(self.server.ask(request)?.signature)
    }

    fn crypt_each(
        &self,
        key: &Arc<Object>,
        mechanism: &Mechanism,
        encrypt: bool,
        values: &[&[u8]],
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
        let mechanism = proto::Mechanism::from(mechanism);
        let mut made = Vec::with_capacity(values.len());
        for part in values.chunks(BATCH) {
            let call = |value: &&[u8]| batch::crypt_call(self.reference(key), mechanism.clone(), encrypt, value);
            let calls = part.iter().map(call).collect();
            batch::take_crypted(
                self.server.ask(proto::BatchRequest { calls })?.results,
                part.len(),
                encrypt,
                &mut made,
            )?;
        }
        Ok(made)
    }

    fn tokenize(&self, key: &Arc<Object>, how: &Vaulted, values: &[&[u8]]) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
        let mut made = Vec::with_capacity(values.len());
        for part in values.chunks(BATCH) {
            let request = proto::TokenizeRequest {
                key: self.reference(key),
                cipher: convert::block_cipher_number(how.cipher),
                format: how.format.to_string(),
                values: part.iter().map(|value| value.to_vec()).collect(),
                life_seconds: how.life,
                request_id: Vec::new(),
            };
            batch::take_tokens(self.server.ask(request)?.results, part.len(), &mut made)?;
        }
        Ok(made)
    }

    fn detokenize(
        &self,
        key: &Arc<Object>,
        how: &Vaulted,
        masked: bool,
        tokens: &[&[u8]],
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
        let mut made = Vec::with_capacity(tokens.len());
        for part in tokens.chunks(BATCH) {
            let request = proto::DetokenizeRequest {
                key: self.reference(key),
                cipher: convert::block_cipher_number(how.cipher),
                format: how.format.to_string(),
                tokens: part.iter().map(|token| token.to_vec()).collect(),
                masked,
                request_id: Vec::new(),
            };
            batch::take_tokens(self.server.ask(request)?.results, part.len(), &mut made)?;
        }
        Ok(made)
    }

    fn verify(
        &self,
        key: &Arc<Object>,
        mechanism: &Mechanism,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Failure> {
        let request = proto::VerifyRequest {
            key: self.reference(key),
            mechanism: Some(mechanism.into()),
            data: message.to_vec(),
            signature: signature.to_vec(),
            request_id: Vec::new(),
        };
        match self.server.ask(request) {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::SignatureInvalid | ErrorKind::SignatureLength) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn batch(&self, deeds: Vec<Deed>) -> Result<Vec<Result<Done, Failure>>, Failure> {
        let mut done = Vec::with_capacity(deeds.len());
        for group in grouped(&deeds, BATCH, BATCH_BYTES) {
            let calls = group.iter().map(|deed| batch::call(deed, |key| self.reference(key), self.place())).collect();
            let results = self.server.ask(proto::BatchRequest { calls })?.results;
            if results.len() != group.len() {
                return Err("the server answered another number of requests than it was asked".into());
            }
            done.extend(group.iter().zip(results).map(|(deed, result)| batch::outcome(deed, result)));
        }
        Ok(done)
    }

    fn sign_jws(&self, key: &Arc<Object>, how: &Jws, content: Content<'_>) -> Result<SignedJws, Failure> {
        use proto::sign_jws_request::Content as Given;
        let (content, life) = match content {
            Content::Claims(claims, life) => (Given::Claims(claims.to_vec()), life),
            Content::Bytes(bytes) => (Given::Payload(bytes.to_vec()), Life::Stated),
        };
        let request = proto::SignJwsRequest {
            key: self.reference(key),
            algorithm: how.algorithm.map_or(0, convert::jws_algorithm_number),
            r#type: how.typ.clone().unwrap_or_default(),
            content: Some(content),
            life_seconds: if let Life::Seconds(seconds) = life { Some(seconds) } else { None },
            endless: life == Life::Endless,
            request_id: Vec::new(),
        };
        let signed = self.server.ask(request)?;
        let algorithm = convert::jws_algorithm(signed.algorithm)?.ok_or("the server does not say how it signed")?;
        Ok(SignedJws { token: signed.token, kid: signed.kid, algorithm })
    }

    fn verify_jws(&self, key: &Arc<Object>, how: &Jws, wanted: &Wanted, token: &str) -> Result<VerifiedJws, Failure> {
        let any = proto::VerifyJwsRequest {
            key: self.reference(key),
            algorithm: how.algorithm.map_or(0, convert::jws_algorithm_number),
            r#type: how.typ.clone().unwrap_or_default(),
            token: token.to_owned(),
            any_payload: true,
            ..Default::default()
        };
        let request = match wanted {
            Wanted::Bytes => any,
            Wanted::Claims(expected) => proto::VerifyJwsRequest {
                any_payload: false,
                issuer: expected.issuer.clone(),
                audience: expected.audience.clone(),
                leeway_seconds: expected.leeway,
                endless: expected.endless,
                ..any
            },
        };
        let verified = self.server.ask(request)?;
        let algorithm = convert::jws_algorithm(verified.algorithm)?.ok_or("the server does not say how it verified")?;
        Ok(VerifiedJws { payload: verified.payload, kid: verified.kid, algorithm })
    }

    fn jwks(&self, keys: &[Arc<Object>], algorithm: Option<JwsAlgorithm>) -> Result<Value, Failure> {
        let keys = keys.iter().filter_map(|key| self.reference(key)).collect();
        let algorithm = algorithm.map_or(0, convert::jws_algorithm_number);
        Ok(serde_json::from_str(&self.server.ask(proto::GetJwksRequest { keys, algorithm })?.jwks)?)
    }

    fn encrypt_message(&self, key: &Arc<Object>, native: Native, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        let request = proto::EncryptMessageRequest {
            key: self.reference(key),
            algorithm: convert::native_algorithm_number(native.algorithm),
            context: convert::context_entries(&native.context),
            plaintext: plaintext.to_vec(),
            request_id: Vec::new(),
        };
        Ok(self.server.ask(request)?.ciphertext)
    }

    fn decrypt_message(&self, ciphertext: &[u8], context: EncryptionContext) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let request = proto::DecryptMessageRequest {
            namespace: self.place(),
            ciphertext: ciphertext.to_vec(),
            context: convert::context_entries(&context),
            request_id: Vec::new(),
        };
        Ok(Zeroizing::new(self.server.ask(request)?.plaintext))
    }

    fn reencrypt_message(
        &self,
        ciphertext: &[u8],
        context: EncryptionContext,
        (key, native): (&Arc<Object>, Native),
    ) -> Result<Vec<u8>, Failure> {
        let request = proto::ReencryptMessageRequest {
            ciphertext: ciphertext.to_vec(),
            context: convert::context_entries(&context),
            key: self.reference(key),
            algorithm: convert::native_algorithm_number(native.algorithm),
            new_context: convert::context_entries(&native.context),
            request_id: Vec::new(),
        };
        Ok(self.server.ask(request)?.ciphertext)
    }

    fn data_key(&self, key: &Arc<Object>, native: Native, len: usize, shown: bool) -> Result<DataKeyMade, Failure> {
        let request = proto::GenerateDataKeyRequest {
            key: self.reference(key),
            algorithm: convert::native_algorithm_number(native.algorithm),
            context: convert::context_entries(&native.context),
            len: u32::try_from(len).unwrap_or(u32::MAX),
            without_plaintext: !shown,
            request_id: Vec::new(),
        };
        let made = self.server.ask(request)?;
        let plaintext = shown.then(|| Zeroizing::new(made.plaintext));
        Ok(DataKeyMade { plaintext, ciphertext: made.ciphertext })
    }

    fn data_key_pair(
        &self,
        key: &Arc<Object>,
        native: Native,
        spec: KeySpec,
        shown: bool,
    ) -> Result<DataPairMade, Failure> {
        let request = proto::GenerateDataKeyPairRequest {
            key: self.reference(key),
            algorithm: convert::native_algorithm_number(native.algorithm),
            context: convert::context_entries(&native.context),
            spec: Some((&spec).into()),
            without_plaintext: !shown,
            request_id: Vec::new(),
        };
        let made = self.server.ask(request)?;
        let private = shown.then(|| Zeroizing::new(made.private_key));
        Ok(DataPairMade { public: made.public_key, private, ciphertext: made.ciphertext })
    }

    fn change_life(&self, key: &Arc<Object>, transition: &Transition) -> Result<Vec<Arc<Object>>, Failure> {
        let request = proto::ChangeKeyLifeRequest {
            key: self.reference(key),
            transition: Some(transition.into()),
            officer_pin: self.pin(),
            request_id: Vec::new(),
        };
        self.server.ask(request)?.keys.into_iter().map(|key| self.object(Some(key))).collect()
    }

    fn destroy_due(&self, dry_run: bool) -> Seen<Doomed> {
        let (namespace, page_size) = (self.place(), PAGE);
        let wanted = proto::DestroyDueKeysRequest { namespace, dry_run, page_size, ..Default::default() };
        paged(|page_token| {
            let page = self.server.ask(proto::DestroyDueKeysRequest { page_token, ..wanted.clone() })?;
            Ok((each(page.keys, |key| Ok(convert::doomed(key)?)), page.next_page_token))
        })
    }

    fn tombstones(&self) -> Result<Vec<Tombstone>, Failure> {
        let (namespace, page_size) = (self.place(), PAGE);
        let wanted = proto::ListTombstonesRequest { namespace, page_size, ..Default::default() };
        paged(|page_token| {
            let page = self.server.ask(proto::ListTombstonesRequest { page_token, ..wanted.clone() })?;
            Ok((each(page.tombstones, |stone| Ok(convert::tombstone(stone)?)), page.next_page_token))
        })
        .whole()
    }

    fn release_name(&self, name: &str) -> Result<(), Failure> {
        let (namespace, name, officer_pin) = (self.place(), name.to_owned(), self.pin());
        self.server.ask(proto::ReleaseKeyNameRequest { namespace, name, officer_pin, request_id: Vec::new() })?;
        Ok(())
    }

    fn rotate(&self, name: &str, turn: Turn) -> Result<Vec<Arc<Object>>, Failure> {
        let (ahead, at_ms) = match turn {
            Turn::Now => (false, None),
            Turn::Later(at) => (true, at.map(|at| at.0)),
        };
        let (namespace, name) = (self.place(), name.to_owned());
        let request = proto::RotateKeyRequest { namespace, name, ahead, at_ms, request_id: Vec::new() };
        self.server.ask(request)?.made.into_iter().map(|key| self.object(Some(key))).collect()
    }

    fn activate(&self, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
        let (namespace, name) = (self.place(), name.to_owned());
        let request = proto::ActivateKeyRequest { namespace, name, request_id: Vec::new() };
        self.server.ask(request)?.made.into_iter().map(|key| self.object(Some(key))).collect()
    }

    fn versions(&self, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
        let request = proto::ListVersionsRequest { namespace: self.place(), name: name.to_owned() };
        self.server.ask(request)?.keys.into_iter().map(|key| self.object(Some(key))).collect()
    }

    fn rotate_due(&self, only: Option<&str>, dry_run: bool) -> Seen<DueRotation> {
        let (namespace, name) = (self.place(), only.unwrap_or_default().to_owned());
        let wanted = proto::RotateDueKeysRequest { namespace, name, dry_run, page_size: PAGE, ..Default::default() };
        paged(|page_token| {
            let page = self.server.ask(proto::RotateDueKeysRequest { page_token, ..wanted.clone() })?;
            Ok((each(page.keys, |key| Ok(convert::due_rotation(key)?)), page.next_page_token))
        })
    }

    fn set_alias(&self, alias: &str, to: Option<&str>) -> Result<(), Failure> {
        let (namespace, alias, name) = (self.place(), alias.to_owned(), to.unwrap_or_default().to_owned());
        self.server.ask(proto::SetAliasRequest { namespace, alias, name, request_id: Vec::new() })?;
        Ok(())
    }

    fn grant(&self, name: &str, service: &str, granted: bool) -> Result<Vec<Arc<Object>>, Failure> {
        let request = proto::GrantKeyRequest {
            namespace: self.place(),
            name: name.to_owned(),
            service: service.to_owned(),
            revoke: !granted,
            officer_pin: self.pin(),
            request_id: Vec::new(),
        };
        self.server.ask(request)?.keys.into_iter().map(|key| self.object(Some(key))).collect()
    }

    fn preferred_type(&self) -> Result<Option<String>, Failure> {
        let preferred = self.server.ask(proto::ListKeyRulesRequest { namespace: self.place() })?.preferred;
        Ok((!preferred.is_empty()).then_some(preferred))
    }

    fn close(&self) -> Result<(), Failure> {
        Ok(())
    }
}
