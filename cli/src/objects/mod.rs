//! The objects of one token, wherever they are: in a home, or on a server.

mod home;
mod server;

use std::sync::Arc;

use libkmss::catalog::ObjectKind;
use libkmss::clock::Timestamp;
use libkmss::key::{AuditMode, KeyClass, KeyComponents, KeySpec, KeyState, Object};
use libkmss::mechanism::{EncryptionContext, Mechanism, Native};
use libkmss::operation::Draft;
use libkmss::tenant::Namespace;
use zeroize::Zeroizing;

use self::home::HomeObjects;
pub(crate) use self::home::{all_in, parts_in};
use self::server::ServerObjects;
pub(crate) use self::server::{namespaces, text};
use crate::context::Context;
use crate::output::Failure;

/// A data key that was made.
pub(crate) struct DataKeyMade {
    /// The key, where it was to be shown.
    pub(crate) plaintext: Option<Zeroizing<Vec<u8>>>,
    /// The same encrypted.
    pub(crate) ciphertext: Vec<u8>,
}

/// A pair of data keys that was made.
pub(crate) struct DataPairMade {
    /// SubjectPublicKeyInfo.
    pub(crate) public: Vec<u8>,
    /// PKCS #8, where it was to be shown.
    pub(crate) private: Option<Zeroizing<Vec<u8>>>,
    /// The private half encrypted.
    pub(crate) ciphertext: Vec<u8>,
}

/// The objects of a token, for whoever has logged in. Every error is the home's or the server's own.
pub(crate) trait Objects {
    /// The token.
    fn namespace(&self) -> &Namespace;

    /// The time there.
    fn now(&self) -> Result<Timestamp, Failure>;

    /// A draft of a stored object, with an identity of its own.
    fn draft(&self) -> Result<Draft, Failure>;

    /// The key of this name and class.
    fn key(&self, name: &str, class: KeyClass) -> Result<Option<Arc<Object>>, Failure>;

    /// Every stored object of a kind.
    fn all(&self, kind: ObjectKind) -> Result<Vec<Arc<Object>>, Failure>;

    /// Makes a pair; its private half.
    fn generate_pair(&self, spec: KeySpec, private: Draft, public: Draft) -> Result<Arc<Object>, Failure>;

    /// Makes a secret key.
    fn generate_secret(&self, spec: KeySpec, draft: Draft) -> Result<Arc<Object>, Failure>;

    /// Brings in a key.
    fn import(&self, components: KeyComponents, draft: Draft) -> Result<Arc<Object>, Failure>;

    /// Brings in a certificate (DER).
    fn import_certificate(&self, der: &[u8], draft: Draft) -> Result<Arc<Object>, Failure>;

    /// Makes of `current` what `wanted` is.
    fn update(&self, current: &Arc<Object>, wanted: Object) -> Result<(), Failure>;

    /// Gives a key another name, both halves of a pair.
    fn rename(&self, key: &Arc<Object>, name: &str) -> Result<(), Failure>;

    /// Destroys an object.
    fn destroy(&self, object: &Arc<Object>) -> Result<(), Failure>;

    /// Signs a message there.
    fn sign(&self, key: &Arc<Object>, mechanism: &Mechanism, message: &[u8]) -> Result<Vec<u8>, Failure>;

    /// Changes the state of a key (by the security officer).
    fn set_state(&self, key: &Arc<Object>, state: KeyState) -> Result<(), Failure>;

    /// Gives a key these tags (by the security officer).
    fn set_tags(&self, key: &Arc<Object>, tags: &[String]) -> Result<(), Failure>;

    /// Says how the records of a key's uses are kept (by the security officer).
    fn set_audit(&self, key: &Arc<Object>, mode: AuditMode) -> Result<(), Failure>;

    /// Whether a signature or MAC of a message holds.
    fn verify(
        &self,
        key: &Arc<Object>,
        mechanism: &Mechanism,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Failure>;

    /// Encrypts a message in our own format.
    fn encrypt_message(&self, key: &Arc<Object>, native: Native, plaintext: &[u8]) -> Result<Vec<u8>, Failure>;

    /// Decrypts a message with the key that it names.
    fn decrypt_message(&self, ciphertext: &[u8], context: EncryptionContext) -> Result<Zeroizing<Vec<u8>>, Failure>;

    /// Encrypts a message anew, whose plaintext stays there.
    fn reencrypt_message(
        &self,
        ciphertext: &[u8],
        context: EncryptionContext,
        to: (&Arc<Object>, Native),
    ) -> Result<Vec<u8>, Failure>;

    /// Makes a data key of `len` bytes.
    fn data_key(&self, key: &Arc<Object>, native: Native, len: usize, shown: bool) -> Result<DataKeyMade, Failure>;

    /// Makes a pair of data keys.
    fn data_key_pair(
        &self,
        key: &Arc<Object>,
        native: Native,
        spec: KeySpec,
        shown: bool,
    ) -> Result<DataPairMade, Failure>;

    /// Ends what was begun.
    fn close(&self) -> Result<(), Failure>;
}

impl Context {
    /// The objects of a token, for its user; a server decides by who we are, and takes no PIN for them.
    ///
    /// # Errors
    /// No such token, wrong PIN, locked PIN.
    pub(crate) fn objects(&self, token: &str) -> Result<Box<dyn Objects + '_>, Failure> {
        Ok(match self.server() {
            None => Box::new(HomeObjects::new(self.user(token)?)),
            Some(server) => Box::new(ServerObjects::open(server, token)?),
        })
    }

    /// The objects of a token, for its security officer.
    ///
    /// # Errors
    /// As [`Self::objects`].
    pub(crate) fn managed_objects(&self, token: &str) -> Result<Box<dyn Objects + '_>, Failure> {
        Ok(match self.server() {
            None => Box::new(HomeObjects::new(self.officer(token)?)),
            Some(server) => Box::new(ServerObjects::open(server, token)?.managed(&self.so_pin(token)?)?),
        })
    }
}
