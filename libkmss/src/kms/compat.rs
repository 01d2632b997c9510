//! Business keys and user keys in the wire formats of [`crate::compat`]: for compatibility alone.
//!
//! Nothing here computes: a user key is generated, wrapped and unwrapped as a session key by the same operations as every
//! other key, so that policies decide about the business key (`wrap`, `unwrap`, `encrypt`, `decrypt`), quotas count and the
//! audit has a record of each.

use std::borrow::Cow;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Kms;
use crate::backend::Ciphering;
use crate::caller::Caller;
use crate::catalog::{ObjectKind, Query};
use crate::compat::{Application, BLOCK, Business, Message, SM4_CBC, Sealed, business_iv, key_check, refused, user_iv};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, BackendId, Expected, KeyClass, KeySpec, Object, Storage, Usage};
use crate::mechanism::{BlockCipher, CipherMode, Hash, KeyType, MacMechanism, Mechanism};
use crate::operation::{
    Chosen, Decrypt, Destroy, Draft, Encrypt, GenerateSecret, ObjectRef, Operation, Sign, Unwrap, Wrap,
};
use crate::tenant::ObjectId;

/// Of so many keys with one id none is taken.
const SAME_ID: usize = 16;

/// What a user key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserKeyKind {
    /// Encrypting by SM4, 16 bytes.
    Sm4,
    /// MACs by HMAC with SM3, 32 bytes.
    HmacSm3,
    /// MACs by HMAC with SHA-256, 32 bytes.
    HmacSha256,
}

impl UserKeyKind {
    const fn key_type(self) -> KeyType {
        match self {
            Self::Sm4 => KeyType::Sm4,
            Self::HmacSm3 => KeyType::Hmac(Hash::Sm3),
            Self::HmacSha256 => KeyType::Hmac(Hash::Sha256),
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::Sm4 => 16,
            Self::HmacSm3 | Self::HmacSha256 => 32,
        }
    }
}

/// A user key, as its user keeps it. The id is not bound to the key: whoever keeps them keeps them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKey {
    /// Its id.
    pub id: [u8; 16],
    /// The key, wrapped under a business key.
    pub wrapped: Business,
}

impl Kms {
    /// Makes a user key, wrapped under the business key `business`. It is nowhere but in what is returned.
    ///
    /// # Errors
    /// Those of generating and wrapping; [`ErrorKind::KeyType`] where `business` is no business key: SM4, with a CKA_ID of 8
    /// bytes.
    pub fn make_user_key(
        &self,
        caller: &Caller,
        business: &Arc<Object>,
        kind: UserKeyKind,
        application: Application,
    ) -> Result<UserKey> {
        let spec = KeySpec::Secret { key_type: kind.key_type(), len: kind.len() };
        let key = self.perform(caller, GenerateSecret { spec, draft: self.user_draft(business, kind)? })?;
        let iv = self.fresh_id()?;
        let (wrapping, target, how) = (ObjectRef::from(business), ObjectRef::from(&key), cbc(iv, true));
        let wrapped = self.perform(caller, Wrap { wrapping, key: target, how });
        self.forget(caller, &key);
        let sealed = Sealed { algorithm: SM4_CBC, padded: true, ciphertext: wrapped?, iv };
        Ok(UserKey { id: self.fresh_id()?, wrapped: business_message(business, sealed, application)? })
    }

    /// Encrypts under a business key. Compatibility only: nothing authenticates the ciphertext, and with the number of a
    /// vector (the short form) equal plaintexts have equal ciphertexts.
    ///
    /// # Errors
    /// Those of encrypting; [`ErrorKind::KeyType`] as for [`Self::make_user_key`].
    pub fn encrypt_business(
        &self,
        caller: &Caller,
        business: &Arc<Object>,
        form: BusinessForm,
        plaintext: &[u8],
    ) -> Result<String> {
        let id = business_id(business)?;
        match form {
            BusinessForm::Long(application) => {
                let iv = self.fresh_id()?;
                let ciphertext = self.encrypted(caller, business, iv, plaintext)?;
                let sealed = Sealed { algorithm: SM4_CBC, padded: true, ciphertext, iv };
                business_message(business, sealed, application)?.to_text()
            }
            BusinessForm::Short(number) => {
                let (key, version) = (u64::from_be_bytes(id), version(business)?);
                let iv = business_iv(key, SM4_CBC, number);
                let ciphertext = self.encrypted(caller, business, iv, plaintext)?;
                Message::Short { key, version, iv: number, ciphertext }.to_text()
            }
        }
    }

    /// Encrypts under a user key, in the long form where an application is named. Compatibility only: nothing authenticates
    /// the ciphertext, and in the short form equal plaintexts have equal ciphertexts.
    ///
    /// # Errors
    /// Those of encrypting; that of [`refused`] where the user key cannot be unwrapped.
    pub fn encrypt_user(
        &self,
        caller: &Caller,
        user: &UserKey,
        long: Option<Application>,
        plaintext: &[u8],
    ) -> Result<String> {
        let iv = if long.is_some() { self.fresh_id()? } else { user_iv(&user.id, SM4_CBC) };
        let ciphertext = self
            .with_user_key(caller, &user.wrapped, UserKeyKind::Sm4, |key| self.encrypted(caller, key, iv, plaintext))?;
        let sealed = Sealed { algorithm: SM4_CBC, padded: true, ciphertext, iv };
        let long = long.map(|application| (application, Box::new(user.wrapped.clone())));
        Message::User { sealed, key: user.id, long }.to_text()
    }

    /// Decrypts a ciphertext of any form: the key is found from the ciphertext alone, but for the short form of user keys,
    /// which says only which it was.
    ///
    /// # Errors
    /// That of [`refused`] for everything that is wrong with the ciphertext, its key or its padding; [`ErrorKind::Arguments`]
    /// where the user key is missing; refusals of policies, quotas and states as they are.
    pub fn decrypt_compat(&self, caller: &Caller, text: &[u8], user: Option<&UserKey>) -> Result<Zeroizing<Vec<u8>>> {
        let (sealed, key) = match self.found(caller, text, user) {
            Ok(found) => found,
            // Nothing was asked of a key yet: the attempt is recorded all the same.
            Err(error) => return self.pipeline.around(Some(caller), Action::Decrypt, || Err(error)),
        };
        let decrypted = match &key {
            Sealing::Business(key) => self.decrypted(caller, key, &sealed),
            Sealing::User(wrapped) => {
                self.with_user_key(caller, wrapped, UserKeyKind::Sm4, |key| self.decrypted(caller, key, &sealed))
            }
        };
        decrypted.map_err(as_one)
    }

    /// The MAC of `data` under a user key for HMAC.
    ///
    /// # Errors
    /// Those of signing; that of [`refused`] where the user key cannot be unwrapped; [`ErrorKind::Arguments`] for a kind that
    /// makes no MACs.
    pub fn mac_user(&self, caller: &Caller, user: &UserKey, kind: UserKeyKind, data: &[u8]) -> Result<Vec<u8>> {
        let hash = match kind.key_type() {
            KeyType::Hmac(hash) => hash,
            _ => return Err(Error::new(ErrorKind::Arguments, "a user key for SM4 makes no MACs")),
        };
        self.with_user_key(caller, &user.wrapped, kind, |key| {
            let how = Mechanism::Mac(MacMechanism::Hmac { hash, len: hash.len() }).into();
            self.begin(caller, Sign { key: ObjectRef::from(key), how })?.finish(data, |running| {
                let mut mac = vec![0; running.signature_len()];
                running.update(data)?;
                let len = running.finish(&mut mac)?;
                mac.truncate(len);
                Ok(mac)
            })
        })
    }

    /// What is to be decrypted, and with what.
    fn found(&self, caller: &Caller, text: &[u8], user: Option<&UserKey>) -> Result<(Sealed, Sealing)> {
        let (sealed, key) = match Message::parse(text)? {
            Message::Business(Business { sealed, key, .. }) => {
                (sealed, Sealing::Business(self.business_key(caller, key)?))
            }
            Message::Short { key, version: of, iv, ciphertext } => {
                let object = self.business_key(caller, key.to_be_bytes())?;
                if version(&object)? != of {
                    return Err(refused());
                }
                let iv = business_iv(key, SM4_CBC, iv);
                (Sealed { algorithm: SM4_CBC, padded: true, ciphertext, iv }, Sealing::Business(object))
            }
            Message::User { sealed, key, long } => {
                if user.is_some_and(|user| user.id != key) {
                    return Err(refused());
                }
                let wrapped = match (long, user) {
                    (Some((_, wrapped)), _) => *wrapped,
                    (None, Some(user)) => user.wrapped.clone(),
                    (None, None) => {
                        let why = "a short ciphertext of a user key does not carry that key: hand it over with it";
                        return Err(Error::new(ErrorKind::Arguments, why));
                    }
                };
                (sealed, Sealing::User(Box::new(wrapped)))
            }
        };
        if sealed.algorithm == SM4_CBC { Ok((sealed, key)) } else { Err(refused()) }
    }

    /// The business key with this id. Nothing is asked of it, and nothing recorded.
    ///
    /// # Errors
    /// That of [`refused`] where there is none; [`ErrorKind::Arguments`] where several keys have the id that are not copies of one
    /// by their records, or more than are looked at: whoever may import keys would choose by the order of their identities, and a
    /// check of four bytes is soon found for another key; those of the store.
    pub fn business_key(&self, caller: &Caller, id: [u8; 8]) -> Result<Arc<Object>> {
        self.pipeline.follow(caller)?;
        let kind = Some(ObjectKind::Key(KeyClass::Secret));
        let query = Query { identifier: Some(id.to_vec()), kind, ..Query::default() };
        let found = self.catalog().find(caller, &query, None, SAME_ID)?;
        if found.len() >= SAME_ID {
            let why = format!("{SAME_ID} keys or more have this id: give all but one of them another CKA_ID");
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        let mut first: Option<Arc<Object>> = None;
        for found in found {
            let object = self.catalog().get(caller, found.id)?;
            if business_id(&object).is_err() {
                continue;
            }
            if first.as_ref().is_some_and(|first| first_of(first) != first_of(&object)) {
                let why = "different keys have this id, and nothing proves which the ciphertext is under: give all but one of \
                           them another CKA_ID";
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            first.get_or_insert(object);
        }
        first.ok_or_else(refused)
    }

    /// Does something with an unwrapped user key, which then is forgotten.
    fn with_user_key<T>(
        &self,
        caller: &Caller,
        wrapped: &Business,
        kind: UserKeyKind,
        f: impl FnOnce(&Arc<Object>) -> Result<T>,
    ) -> Result<T> {
        let Sealed { algorithm, padded, ciphertext, iv } = &wrapped.sealed;
        let business = self.business_key(caller, wrapped.key);
        let business = business.and_then(|key| if *algorithm == SM4_CBC { Ok(key) } else { Err(refused()) });
        let business = match business {
            Ok(business) => business,
            Err(error) => return self.pipeline.around(Some(caller), Action::Unwrap, || Err(error)),
        };
        let operation = Unwrap {
            unwrapping: ObjectRef::from(&business),
            how: cbc(*iv, *padded),
            wrapped: Cow::Borrowed(ciphertext),
            expected: Expected { key_type: kind.key_type(), len: Some(kind.len()) },
            draft: self.user_draft(&business, kind)?,
        };
        let key = self.perform(caller, operation).map_err(as_one)?;
        let done = f(&key);
        self.forget(caller, &key);
        done
    }

    /// A session key beside its business key, for one use.
    fn user_draft(&self, business: &Object, kind: UserKeyKind) -> Result<Draft> {
        let mut draft = self.draft(Storage::Ephemeral)?;
        let key = business.key().ok_or_else(no_business_key)?;
        draft.backend = Some(key.primary()?.backend.clone()).filter(|backend| *backend != BackendId::soft());
        // Policies of the business key hold for it.
        key.policy_name().clone_into(&mut draft.origin);
        let encrypts = kind == UserKeyKind::Sm4;
        let (encrypt, decrypt, sign) = (encrypts, encrypts, !encrypts);
        draft.usage = Usage { encrypt, decrypt, sign, ..Usage::default() };
        (draft.protection.sensitive, draft.protection.extractable) = (true, true);
        Ok(draft)
    }

    /// A device keeps session keys until it is told; the software engine's are gone with their last holder.
    fn forget(&self, caller: &Caller, key: &Arc<Object>) {
        let in_device = key.key().and_then(|key| key.primary().ok()).is_some_and(|v| v.backend != BackendId::soft());
        if in_device && let Err(error) = self.perform(caller, Destroy { object: ObjectRef::from(key) }) {
            tracing::warn!(%error, "a session key was left in its device");
        }
    }

    fn encrypted(&self, caller: &Caller, key: &Arc<Object>, iv: [u8; BLOCK], plaintext: &[u8]) -> Result<Vec<u8>> {
        let operation = Encrypt { key: ObjectRef::from(key), how: cbc(iv, true) };
        self.ciphered(caller, operation, plaintext).map(|mut made| std::mem::take(&mut *made))
    }

    fn decrypted(&self, caller: &Caller, key: &Arc<Object>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        let operation = Decrypt { key: ObjectRef::from(key), how: cbc(sealed.iv, sealed.padded) };
        self.ciphered(caller, operation, &sealed.ciphertext)
    }

    pub(super) fn ciphered<O>(&self, caller: &Caller, operation: O, input: &[u8]) -> Result<Zeroizing<Vec<u8>>>
    where
        O: Operation<Running = Box<dyn Ciphering>>,
    {
        self.begin(caller, operation)?.finish(input, |running| {
            let mut out = Zeroizing::new(vec![0; running.finish_len(input.len())]);
            let len = running.finish(input, &mut out)?;
            out.truncate(len);
            Ok(out)
        })
    }
}

/// The form of a ciphertext under a business key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusinessForm {
    /// Long, with a fresh vector, for this application.
    Long(Application),
    /// Short, under the vector with this number.
    Short(u32),
}

/// What a ciphertext is under.
enum Sealing {
    Business(Arc<Object>),
    User(Box<Business>),
}

fn cbc(iv: [u8; BLOCK], padded: bool) -> Chosen {
    let mode = if padded { CipherMode::CbcPad { iv } } else { CipherMode::Cbc { iv } };
    Mechanism::Cipher(BlockCipher::Sm4, mode).into()
}

/// The key that first had this one's material: itself, where it is no copy.
fn first_of(object: &Object) -> ObjectId {
    object.key().and_then(|key| key.lifecycle.material_of).unwrap_or(object.id)
}

/// The id of a business key.
fn business_id(object: &Object) -> Result<[u8; 8]> {
    let is_sm4 = object.key().is_some_and(|key| key.key_type == KeyType::Sm4);
    let id = object.identifier.as_slice().try_into().ok().filter(|_| is_sm4);
    id.ok_or_else(no_business_key)
}

fn no_business_key() -> Error {
    Error::new(ErrorKind::KeyType, "a business key is one of SM4 with a CKA_ID of 8 bytes (`--id` with 16 hex digits)")
}

/// The version of a key, counted from 0.
fn version(object: &Object) -> Result<u32> {
    Ok(object.key().ok_or_else(no_business_key)?.primary.saturating_sub(1))
}

fn check_of(object: &Object, id: [u8; 8]) -> Result<[u8; 4]> {
    let key = object.key().ok_or_else(no_business_key)?;
    Ok(key_check(&id, &key.primary()?.check_value()))
}

fn business_message(object: &Object, sealed: Sealed, application: Application) -> Result<Business> {
    let key = business_id(object)?;
    Ok(Business { sealed, key, check: check_of(object, key)?, application })
}

/// One error for all that is wrong with a ciphertext or its key; what others decided stays as it is.
fn as_one(error: Error) -> Error {
    match error.kind() {
        ErrorKind::EncryptedDataInvalid
        | ErrorKind::EncryptedDataLength
        | ErrorKind::WrappedKeyInvalid
        | ErrorKind::WrappedKeyLength
        | ErrorKind::KeyType
        | ErrorKind::NotFound => refused(),
        _ => error,
    }
}
