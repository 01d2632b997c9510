//! `kmss compat` against a server.

use libkmss::key::KeyClass;
use libkmss::kms::{UserKey, UserKeyKind};
use remote::client::Client;
use remote::proto::{self, encrypt_compat_request::Key};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::output::Failure;

/// A token of a server.
pub(super) struct There<'a> {
    server: &'a Client,
    context: &'a Context,
    token: &'a str,
}

impl<'a> There<'a> {
    /// The token, where the command works against a server.
    pub(super) fn of(context: &'a Context, token: &'a str) -> Option<Self> {
        context.server().map(|server| Self { server, context, token })
    }

    /// Makes a user key: its id and its ciphertext.
    ///
    /// # Errors
    /// Those of the server.
    pub(super) fn make(
        &self,
        name: &str,
        kind: UserKeyKind,
        application: String,
    ) -> Result<(Vec<u8>, String), Failure> {
        let (namespace, id) = self.business(name)?;
        let business = Some(proto::KeyRef { namespace, id, version: 0 });
        let request = proto::MakeUserKeyRequest { business, kind: number(kind), application, request_id: Vec::new() };
        let key = self.server.ask(request)?.key.ok_or("the server's answer holds no key")?;
        Ok((key.id, key.ciphertext))
    }

    /// Encrypts under a user key, or under the business key of this name.
    ///
    /// # Errors
    /// Those of the server.
    pub(super) fn encrypt(
        &self,
        key: Result<&UserKey, &str>,
        application: Option<String>,
        iv_number: u32,
        plaintext: &[u8],
    ) -> Result<String, Failure> {
        let (namespace, key) = match key {
            Ok(user) => (self.namespace()?, Key::User(written(user)?)),
            Err(name) => {
                let (namespace, id) = self.business(name)?;
                (namespace, Key::Business(id))
            }
        };
        let request = proto::EncryptCompatRequest {
            namespace,
            key: Some(key),
            short: application.is_none(),
            application: application.unwrap_or_default(),
            iv_number,
            plaintext: plaintext.to_vec(),
            request_id: Vec::new(),
        };
        Ok(self.server.ask(request)?.ciphertext)
    }

    /// Decrypts.
    ///
    /// # Errors
    /// Those of the server.
    pub(super) fn decrypt(&self, ciphertext: &[u8], user: Option<&UserKey>) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let (namespace, user) = (self.namespace()?, user.map(written).transpose()?);
        let ciphertext = ciphertext.to_vec();
        let request = proto::DecryptCompatRequest { namespace, ciphertext, user, request_id: Vec::new() };
        Ok(Zeroizing::new(self.server.ask(request)?.plaintext))
    }

    /// The MAC under a user key.
    ///
    /// # Errors
    /// Those of the server.
    pub(super) fn mac(&self, user: &UserKey, kind: UserKeyKind, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let (namespace, user, data) = (self.namespace()?, Some(written(user)?), data.to_vec());
        let request = proto::MacCompatRequest { namespace, user, kind: number(kind), data, request_id: Vec::new() };
        Ok(self.server.ask(request)?.mac)
    }

    fn namespace(&self) -> Result<String, Failure> {
        Ok(self.context.objects(self.token)?.namespace().to_string())
    }

    /// The namespace, and the identity of a key in it.
    fn business(&self, name: &str) -> Result<(String, Vec<u8>), Failure> {
        let objects = self.context.objects(self.token)?;
        let key = objects.key(name, KeyClass::Secret)?.ok_or_else(|| format!("no secret key is named `{name}`"))?;
        Ok((objects.namespace().to_string(), key.id.0.to_vec()))
    }
}

fn written(user: &UserKey) -> Result<proto::UserKey, Failure> {
    Ok(proto::UserKey { id: user.id.to_vec(), ciphertext: user.wrapped.to_text()? })
}

fn number(kind: UserKeyKind) -> i32 {
    match kind {
        UserKeyKind::Sm4 => proto::UserKeyKind::Sm4,
        UserKeyKind::HmacSm3 => proto::UserKeyKind::HmacSm3,
        UserKeyKind::HmacSha256 => proto::UserKeyKind::HmacSha256,
    }
    .into()
}
