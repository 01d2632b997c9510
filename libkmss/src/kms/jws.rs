//! JSON Web Tokens: signing and verifying them with versions of keys, and the set of those that verify (docs/jwt.md).

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};

use super::Kms;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::jose::{
    Compact, Content, JWT, Jws, JwsAlgorithm, Wanted, context_of, describe, key_id, signing_input, unsigned,
    version_of_key_id, with_life,
};
use crate::key::{Action, Key, KeyClass, KeyState, Object, PublicComponents};
use crate::operation::{ObjectRef, SignJws, VerifyJws};

/// A token that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedJws {
    /// The token, in the compact serialization.
    pub token: String,
    /// What the version that signed it is called (`kid`).
    pub kid: String,
    /// The algorithm.
    pub algorithm: JwsAlgorithm,
}

/// A token that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedJws {
    /// What it holds.
    pub payload: Vec<u8>,
    /// What the version that verified it is called.
    pub kid: String,
    /// The algorithm.
    pub algorithm: JwsAlgorithm,
}

impl Kms {
    /// Signs a token with the private key `key`. Its header names the version (`kid`), so that it verifies after rotations, too.
    ///
    /// # Errors
    /// Those of signing, of [`JwsAlgorithm::of_key`], [`with_life`] and [`signing_input`].
    pub fn sign_jws(&self, caller: &Caller, key: &Arc<Object>, how: &Jws, content: Content<'_>) -> Result<SignedJws> {
        let known = key_of(key)?;
        let algorithm = JwsAlgorithm::of_key(&known.primary()?.public, how.algorithm)?;
        let kid = key_id(known);
        let (payload, context, typ) = match content {
            Content::Claims(claims, life) => {
                let (written, members) = with_life(claims, life, self.now())?;
                (written, context_of(&members), Some(how.typ.as_deref().unwrap_or(JWT)))
            }
            Content::Bytes(bytes) => (bytes.to_vec(), Vec::new(), how.typ.as_deref()),
        };
        let input = signing_input(algorithm, &kid, typ, &payload)?;
        let operation = SignJws { key: ObjectRef::from(key), algorithm, context };
        let signature = self.begin(caller, operation)?.finish(input.as_bytes(), |running| {
            let mut made = vec![0; running.signature_len()];
            running.update(input.as_bytes())?;
            let len = running.finish(&mut made)?;
            made.truncate(len);
            Ok(made)
        })?;
        let token = format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature));
        Ok(SignedJws { token, kid, algorithm })
    }

    /// Verifies a token with the version of `key` that its header names, or with `key`'s primary where it names none, and holds what is
    /// in it against what is wanted. Keys and algorithms that the token names otherwise count for nothing. What is wrong with a token is
    /// recorded as a verification that failed.
    ///
    /// # Errors
    /// [`ErrorKind::SignatureInvalid`] and [`ErrorKind::SignatureLength`] for what was not signed by a version of `key`;
    /// [`ErrorKind::DataInvalid`] for claims that are not as they are wanted; [`ErrorKind::KeyState`] where the version verifies nothing
    /// any more, or is compromised; those of verifying and of [`JwsAlgorithm::of_key`].
    pub fn verify_jws(
        &self,
        caller: &Caller,
        key: &Arc<Object>,
        how: &Jws,
        wanted: &Wanted,
        token: &str,
    ) -> Result<VerifiedJws> {
        let primary = self.primary_public(caller, key)?;
        let known = key_of(&primary)?;
        let parsed = Compact::parse(token);
        let named = parsed.as_ref().ok().and_then(|parsed| parsed.kid.as_deref());
        let version = match named {
            Some(kid) => version_of_key_id(kid, known.base_name(), known.version_number()),
            None => Some(known.version_number()),
        };
        let found = match version {
            Some(version) => self.public_version(caller, &primary, version)?,
            None => None,
        };
        // A token of none of its versions is refused, and recorded, as one of the primary.
        let missing = found.is_none();
        let object = found.unwrap_or_else(|| Arc::clone(&primary));
        let known = key_of(&object)?;
        let algorithm = JwsAlgorithm::of_key(&known.primary()?.public, how.algorithm)?;
        let input = parsed.as_ref().map(|parsed| parsed.input).unwrap_or_default().as_bytes();
        let mut verifying = self.begin(caller, VerifyJws { key: ObjectRef::from(&object), algorithm })?;
        let payload = verifying.finish(input, |running| {
            let parsed = parsed?;
            if missing {
                return Err(unsigned("it was signed by another key, or by a version that is not there"));
            }
            // Other signatures of a compromised key may be old, and still be looked at; a token speaks for now.
            if !is_trusted(known, self.now()) {
                return Err(Error::new(
                    ErrorKind::KeyState,
                    "the key is compromised: whoever has it signs tokens by it",
                ));
            }
            parsed.check(algorithm, how.typ.as_deref(), wanted)?;
            running.update(input)?;
            running.finish(&parsed.signature)?;
            if let Wanted::Claims(expected) = wanted {
                expected.check(&parsed.payload, self.now())?;
            }
            Ok(parsed.payload)
        })?;
        Ok(VerifiedJws { payload, kid: key_id(known), algorithm })
    }

    /// The set (RFC 7517, 5) of all versions of `keys` that verify now, the one that was made ahead included: whoever verifies knows it
    /// before it signs. `algorithm` is that of RSA keys.
    ///
    /// # Errors
    /// Those of [`JwsAlgorithm::of_key`], and of the store.
    pub fn jwks(&self, caller: &Caller, keys: &[Arc<Object>], algorithm: Option<JwsAlgorithm>) -> Result<Value> {
        let mut members = Vec::new();
        for key in keys {
            let primary = self.primary_public(caller, key)?;
            for version in 1..=key_of(&primary)?.newest_number() {
                let Some(object) = self.public_version(caller, &primary, version)? else { continue };
                let key = key_of(&object)?;
                let now = self.now();
                let verifies = key.usage.allows(Action::Verify) && key.check_state(Action::Verify, now).is_ok();
                if !verifies || !is_trusted(key, now) {
                    continue;
                }
                let public = &key.primary()?.public;
                let asked = algorithm.filter(|_| matches!(public, PublicComponents::Rsa { .. }));
                let mut member = describe(public)?;
                let algorithm = JwsAlgorithm::of_key(public, asked)?;
                for (name, value) in [("kid", key_id(key).as_str()), ("alg", algorithm.name()), ("use", "sig")] {
                    member.insert(name.to_owned(), value.into());
                }
                members.push(Value::Object(member));
            }
        }
        Ok(json!({ "keys": members }))
    }

    /// The public half of the version that has the name of `key`, of which this may be any half and version.
    fn primary_public(&self, caller: &Caller, key: &Arc<Object>) -> Result<Arc<Object>> {
        let name = key_of(key)?.base_name();
        self.key(caller, name, KeyClass::Public)?.ok_or_else(|| {
            let why = format!("the public half of `{name}` is not there, and nothing is verified without it");
            Error::new(ErrorKind::NotFound, why)
        })
    }

    /// The public half of one version.
    fn public_version(&self, caller: &Caller, primary: &Arc<Object>, version: u32) -> Result<Option<Arc<Object>>> {
        let known = key_of(primary)?;
        if version == known.version_number() {
            return Ok(Some(Arc::clone(primary)));
        }
        self.key(caller, &format!("{}@{version}", known.base_name()), KeyClass::Public)
    }
}

/// Whether what the key signs is believed: nobody else has it, as far as that is known.
fn is_trusted(key: &Key, now: Timestamp) -> bool {
    key.state_at(now) != KeyState::Compromised
}

fn key_of(object: &Object) -> Result<&Key> {
    object.key().ok_or_else(|| Error::new(ErrorKind::KeyType, "tokens are signed by keys"))
}
