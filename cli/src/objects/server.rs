//! Objects on a server. It knows who we are; of PINs it takes the security officer's alone.

use std::sync::Arc;

use libkmss::catalog::ObjectKind;
use libkmss::clock::Timestamp;
use libkmss::error::ErrorKind;
use libkmss::key::{AuditMode, KeyClass, KeyComponents, KeySpec, KeyState, Object, Storage};
use libkmss::mechanism::{EncryptionContext, Mechanism, Native};
use libkmss::operation::Draft;
use libkmss::secret::Secret;
use libkmss::tenant::{Namespace, ObjectId};
use remote::client::{Client, ClientError};
use remote::convert;
use remote::proto::{self, get_object_request::Which, import_document_request as document};
use zeroize::Zeroizing;

use super::{DataKeyMade, DataPairMade, Objects};
use crate::context;
use crate::output::Failure;

/// Objects that are asked for at a time.
const PAGE: u32 = 500;

/// The objects of a namespace that a server serves to us.
pub(super) struct ServerObjects<'a> {
    server: &'a Client,
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

    fn reference(&self, object: &Object) -> Option<proto::KeyRef> {
        Some(proto::KeyRef { namespace: self.place(), id: object.id.0.to_vec(), version: 0 })
    }

    fn pin(&self) -> String {
        self.officer_pin.clone().unwrap_or_default()
    }

    fn object(&self, object: Option<proto::Object>) -> Result<Arc<Object>, Failure> {
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

const fn class_number(class: KeyClass) -> proto::KeyClass {
    match class {
        KeyClass::Secret => proto::KeyClass::Secret,
        KeyClass::Private => proto::KeyClass::Private,
        KeyClass::Public => proto::KeyClass::Public,
    }
}

const fn kind_number(kind: ObjectKind) -> proto::ObjectKind {
    match kind {
        ObjectKind::Key(KeyClass::Secret) => proto::ObjectKind::SecretKey,
        ObjectKind::Key(KeyClass::Private) => proto::ObjectKind::PrivateKey,
        ObjectKind::Key(KeyClass::Public) => proto::ObjectKind::PublicKey,
        ObjectKind::Certificate => proto::ObjectKind::Certificate,
        ObjectKind::Data => proto::ObjectKind::Data,
    }
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

    fn all(&self, kind: ObjectKind) -> Result<Vec<Arc<Object>>, Failure> {
        let mut wanted = proto::ListObjectsRequest {
            namespace: self.place(),
            kind: kind_number(kind).into(),
            page_size: PAGE,
            ..proto::ListObjectsRequest::default()
        };
        let mut all = Vec::new();
        loop {
            let page = self.server.ask(wanted.clone())?;
            for object in page.objects {
                all.push(self.object(Some(object))?);
            }
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            wanted.page_token = page.next_page_token;
        }
    }

    fn generate_pair(&self, spec: KeySpec, private: Draft, public: Draft) -> Result<Arc<Object>, Failure> {
        let request = proto::GenerateKeyPairRequest {
            namespace: self.place(),
            spec: Some((&spec).into()),
            private: Some((&private).into()),
            public: Some((&public).into()),
            request_id: Vec::new(),
        };
        self.object(self.server.ask(request)?.private)
    }

    fn generate_secret(&self, spec: KeySpec, draft: Draft) -> Result<Arc<Object>, Failure> {
        let (spec, draft) = (Some((&spec).into()), Some((&draft).into()));
        let request = proto::GenerateKeyRequest { namespace: self.place(), spec, draft, request_id: Vec::new() };
        self.object(self.server.ask(request)?.key)
    }

    fn import(&self, components: KeyComponents, draft: Draft) -> Result<Arc<Object>, Failure> {
        let (components, draft) = (Some((&components).into()), Some((&draft).into()));
        let request = proto::ImportKeyRequest { namespace: self.place(), components, draft, request_id: Vec::new() };
        self.object(self.server.ask(request)?.key)
    }

    fn import_certificate(&self, der: &[u8], draft: Draft) -> Result<Arc<Object>, Failure> {
        let request = proto::ImportDocumentRequest {
            namespace: self.place(),
            draft: Some((&draft).into()),
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

    fn set_state(&self, key: &Arc<Object>, state: KeyState) -> Result<(), Failure> {
        let (key, state) = (self.reference(key), convert::key_state_number(state));
        let officer_pin = self.pin();
        self.server.ask(proto::ChangeKeyStateRequest { key, state, officer_pin, request_id: Vec::new() })?;
        Ok(())
    }

    fn set_tags(&self, key: &Arc<Object>, tags: &[String]) -> Result<(), Failure> {
        let (key, tags) = (self.reference(key), tags.to_vec());
        let officer_pin = self.pin();
        self.server.ask(proto::SetKeyTagsRequest { key, tags, officer_pin, request_id: Vec::new() })?;
        Ok(())
    }

    fn set_audit(&self, key: &Arc<Object>, mode: AuditMode) -> Result<(), Failure> {
        let (key, mode) = (self.reference(key), convert::audit_mode_number(mode));
        let officer_pin = self.pin();
        self.server.ask(proto::SetKeyAuditRequest { key, mode, officer_pin, request_id: Vec::new() })?;
        Ok(())
    }

    fn close(&self) -> Result<(), Failure> {
        Ok(())
    }
}
