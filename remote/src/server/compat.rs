//! Business keys and user keys in the formats of other products.

use std::sync::Arc;

use libkmss::compat::{Application, Business, Message};
use libkmss::error::Result;
use libkmss::key::Object;
use libkmss::kms::{BusinessForm, UserKey, UserKeyKind};
use zeroize::Zeroizing;

use super::call::{Asked, Call, Named, argument};
use crate::convert;
use crate::proto::{self, encrypt_compat_request};

/// Bytes of a text that is read where it came in, to see which key it names.
const QUICK: usize = 16 << 10;

impl Call for proto::MakeUserKeyRequest {
    type Answer = proto::MakeUserKeyResponse;
    const METHOD: &'static str = "MakeUserKey";

    fn key(&self) -> Option<&proto::KeyRef> {
        self.business.as_ref()
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::MakeUserKeyResponse> {
        let business = self.business.as_ref().map(|key| key.id.as_slice()).unwrap_or_default();
        let (business, application) = (object(asked, business)?, Application::parse(&self.application)?);
        let made = asked.host.kms.make_user_key(&asked.caller, &business, kind(self.kind)?, application)?;
        let key = proto::UserKey { id: made.id.to_vec(), ciphertext: made.wrapped.to_text()? };
        Ok(proto::MakeUserKeyResponse { key: Some(key) })
    }
}

impl Call for proto::EncryptCompatRequest {
    type Answer = proto::EncryptCompatResponse;
    const METHOD: &'static str = "EncryptCompat";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn named(&self) -> Named<'_> {
        match &self.key {
            Some(encrypt_compat_request::Key::Business(id)) => {
                convert::object_id(id).map_or(Named::Nothing, Named::Object)
            }
            Some(encrypt_compat_request::Key::User(user)) => wrapped_in(Some(user)),
            None => Named::Nothing,
        }
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::EncryptCompatResponse> {
        use encrypt_compat_request::Key;
        let plaintext = Zeroizing::new(self.plaintext);
        let application = match (self.short, self.application.as_str()) {
            (false, "") => return Err(argument("the application is missing; `short` asks for the form without one")),
            (true, "") => None,
            (true, _) => return Err(argument("the short form names no application")),
            (false, application) => Some(Application::parse(application)?),
        };
        let (kms, caller) = (&asked.host.kms, &asked.caller);
        let ciphertext = match self.key {
            Some(Key::Business(id)) => {
                let form = application.map_or(BusinessForm::Short(self.iv_number), BusinessForm::Long);
                kms.encrypt_business(caller, &object(asked, &id)?, form, &plaintext)?
            }
            Some(Key::User(user)) => kms.encrypt_user(caller, &user_key(Some(user))?, application, &plaintext)?,
            None => return Err(argument("it is not said which key")),
        };
        Ok(proto::EncryptCompatResponse { ciphertext })
    }
}

impl Call for proto::DecryptCompatRequest {
    type Answer = proto::DecryptCompatResponse;
    const METHOD: &'static str = "DecryptCompat";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn named(&self) -> Named<'_> {
        inside(&self.ciphertext, self.user.as_ref())
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::DecryptCompatResponse> {
        let user = self.user.map(|user| user_key(Some(user))).transpose()?;
        let mut plaintext = asked.host.kms.decrypt_compat(&asked.caller, &self.ciphertext, user.as_ref())?;
        Ok(proto::DecryptCompatResponse { plaintext: std::mem::take(&mut *plaintext) })
    }
}

impl Call for proto::MacCompatRequest {
    type Answer = proto::MacCompatResponse;
    const METHOD: &'static str = "MacCompat";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn named(&self) -> Named<'_> {
        wrapped_in(self.user.as_ref())
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::MacCompatResponse> {
        let (user, kind) = (user_key(self.user)?, kind(self.kind)?);
        Ok(proto::MacCompatResponse { mac: asked.host.kms.mac_user(&asked.caller, &user, kind, &self.data)? })
    }
}

/// The business key that a user key is wrapped under.
fn wrapped_in(user: Option<&proto::UserKey>) -> Named<'static> {
    let Some(text) = user.map(|user| user.ciphertext.as_bytes()) else { return Named::Nothing };
    if text.len() > QUICK {
        return Named::Any;
    }
    Business::parse(text).map_or(Named::Nothing, |wrapped| Named::Business(wrapped.key))
}

/// The business key that a ciphertext names, itself or by its user key.
fn inside(ciphertext: &[u8], user: Option<&proto::UserKey>) -> Named<'static> {
    if ciphertext.len() > QUICK {
        return Named::Any;
    }
    match Message::parse(ciphertext) {
        Ok(Message::Business(business)) => Named::Business(business.key),
        Ok(Message::Short { key, .. }) => Named::Business(key.to_be_bytes()),
        Ok(Message::User { long: Some((_, wrapped)), .. }) => Named::Business(wrapped.key),
        Ok(Message::User { long: None, .. }) => wrapped_in(user),
        Err(_) => Named::Nothing,
    }
}

fn object(asked: &Asked<'_>, id: &[u8]) -> Result<Arc<Object>> {
    asked.host.kms.object(&asked.caller, convert::object_id(id)?)
}

fn user_key(key: Option<proto::UserKey>) -> Result<UserKey> {
    let key = key.ok_or_else(|| argument("the user key is missing"))?;
    let id = key.id.try_into().map_err(|_| argument("the id of a user key has 16 bytes"))?;
    Ok(UserKey { id, wrapped: Business::parse(key.ciphertext.as_bytes())? })
}

fn kind(number: i32) -> Result<UserKeyKind> {
    match proto::UserKeyKind::try_from(number) {
        Ok(proto::UserKeyKind::Sm4) => Ok(UserKeyKind::Sm4),
        Ok(proto::UserKeyKind::HmacSm3) => Ok(UserKeyKind::HmacSm3),
        Ok(proto::UserKeyKind::HmacSha256) => Ok(UserKeyKind::HmacSha256),
        _ => Err(argument("it is not said what the user key is for")),
    }
}
