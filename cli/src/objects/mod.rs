//! The objects of one token, wherever they are: in a home, or on a server.

mod agree;
mod batch;
mod home;
mod names;
mod server;
mod wire;

use std::sync::Arc;

use libkmss::catalog::{Facet, ObjectKind, Tombstone};
use libkmss::clock::Timestamp;
use libkmss::jose::{Content, Jws, JwsAlgorithm, Wanted};
use libkmss::key::{KeyClass, KeyComponents, KeySpec, Object, Transition};
use libkmss::kms::{Doomed, DueRotation, SignedJws, VerifiedJws};
use libkmss::mechanism::{BlockCipher, EncryptionContext, Format, HdDerivation, KeyType, Mechanism, Native};
use libkmss::operation::{Chosen, Draft, Turn};
use libkmss::tenant::Namespace;
use remote::client::ClientError;
use serde_json::Value;
use zeroize::Zeroizing;

pub(crate) use self::agree::Agree;
use self::home::HomeObjects;
pub(crate) use self::home::{all_in, parts_in, versions_in};
pub(crate) use self::names::{Names, Taken};
use self::server::ServerObjects;
pub(crate) use self::server::{namespaces, text};
pub(crate) use self::wire::Seen;
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

/// What came of one of many keys.
pub(crate) type Made = Result<Arc<Object>, Failure>;

/// The objects of a token, for whoever has logged in. Every error is the home's or the server's own.
pub(crate) trait Objects: Agree {
    /// The token.
    fn namespace(&self) -> &Namespace;

    /// The time there.
    fn now(&self) -> Result<Timestamp, Failure>;

    /// A draft of a stored object, with an identity of its own.
    fn draft(&self) -> Result<Draft, Failure>;

    /// The key of this name and class.
    fn key(&self, name: &str, class: KeyClass) -> Result<Option<Arc<Object>>, Failure>;

    /// Every stored object of a kind.
    fn all(&self, kind: ObjectKind) -> Result<Vec<Arc<Object>>, Failure> {
        self.having(kind, &[])
    }

    /// Those that have all of these.
    fn having(&self, kind: ObjectKind, facets: &[(Facet, Vec<u8>)]) -> Result<Vec<Arc<Object>>, Failure>;

    /// Makes a pair; its private half.
    fn generate_pair(&self, spec: KeySpec, private: Draft, public: Draft) -> Result<Arc<Object>, Failure>;

    /// Makes a secret key.
    fn generate_secret(&self, spec: KeySpec, draft: Draft) -> Result<Arc<Object>, Failure>;

    /// How many keys [`Self::generate_each`] makes at once at most.
    fn most_at_once(&self) -> usize;

    /// Makes many keys of one type, each of one draft or, where it is a pair, of two; each with a result of its own: the secret key or
    /// the private half.
    fn generate_each(&self, spec: &KeySpec, drafts: Vec<(Draft, Option<Draft>)>) -> Result<Vec<Made>, Failure>;

    /// One of `names` that no new key can have, where there is one among those that can be seen here.
    fn taken(&self, names: &Names<'_>) -> Result<Option<Taken>, Failure>;

    /// Whether a destroyed key keeps this name.
    fn is_kept(&self, name: &str) -> Result<bool, Failure>;

    /// Makes the pair at a path of a seed; its private half.
    fn derive_child(
        &self,
        seed: &Arc<Object>,
        how: HdDerivation,
        private: Draft,
        public: Draft,
    ) -> Result<Arc<Object>, Failure>;

    /// Brings in a key.
    fn import(&self, components: KeyComponents, draft: Draft) -> Result<Arc<Object>, Failure>;

    /// Unwraps a key under another.
    fn unwrap(
        &self,
        with: &Arc<Object>,
        how: &Chosen,
        wrapped: &[u8],
        key_type: KeyType,
        draft: Draft,
    ) -> Result<Arc<Object>, Failure>;

    /// Wraps a key under another.
    fn wrap(&self, with: &Arc<Object>, how: &Chosen, key: &Arc<Object>) -> Result<Vec<u8>, Failure>;

    /// A key in clear, where it may be read.
    fn export(&self, key: &Arc<Object>) -> Result<KeyComponents, Failure>;

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

    /// Encrypts or decrypts each of `values` there. The first that cannot be is the error, with its line.
    fn crypt_each(
        &self,
        key: &Arc<Object>,
        mechanism: &Mechanism,
        encrypt: bool,
        values: &[&[u8]],
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure>;

    /// Random tokens of values, from the vault there. The first that cannot be is the error, with its line.
    fn tokenize(&self, key: &Arc<Object>, how: &Vaulted, values: &[&[u8]]) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure>;

    /// The values of such tokens, or the parts that many may see.
    fn detokenize(
        &self,
        key: &Arc<Object>,
        how: &Vaulted,
        masked: bool,
        tokens: &[&[u8]],
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure>;

    /// Changes the life of a key, in both its halves whichever is named (by the security officer).
    fn change_life(&self, key: &Arc<Object>, transition: &Transition) -> Result<Vec<Arc<Object>>, Failure>;

    /// Destroys the keys that are due, or says which are; where it ends before, what was done until then.
    fn destroy_due(&self, dry_run: bool) -> Seen<Doomed>;

    /// What is known of destroyed keys.
    fn tombstones(&self) -> Result<Vec<Tombstone>, Failure>;

    /// Lets the name of a destroyed key be used again (by the security officer).
    fn release_name(&self, name: &str) -> Result<(), Failure>;

    /// Makes a new version of a key; its halves.
    fn rotate(&self, name: &str, turn: Turn) -> Result<Vec<Arc<Object>>, Failure>;

    /// Gives the name of a key to the version that was made ahead; its halves.
    fn activate(&self, name: &str) -> Result<Vec<Arc<Object>>, Failure>;

    /// All versions of a key, the oldest first.
    fn versions(&self, name: &str) -> Result<Vec<Arc<Object>>, Failure>;

    /// Does what is due about the rotation of one key or of all, or says what that is; where it ends before, what was done until
    /// then.
    fn rotate_due(&self, only: Option<&str>, dry_run: bool) -> Seen<DueRotation>;

    /// Grants a key to another service than its own, or does so no more; its halves.
    fn grant(&self, name: &str, service: &str, granted: bool) -> Result<Vec<Arc<Object>>, Failure>;

    /// What a rule prefers to be made here.
    fn preferred_type(&self) -> Result<Option<String>, Failure>;

    /// Gives an alias to a key, or takes it away.
    fn set_alias(&self, alias: &str, to: Option<&str>) -> Result<(), Failure>;

    /// Whether a signature or MAC of a message holds.
    fn verify(
        &self,
        key: &Arc<Object>,
        mechanism: &Mechanism,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Failure>;

    /// Does many things, each with a result of its own, in the same order.
    fn batch(&self, deeds: Vec<Deed>) -> Result<Vec<Result<Done, Failure>>, Failure>;

    /// Signs a JSON Web Token with a private key.
    fn sign_jws(&self, key: &Arc<Object>, how: &Jws, content: Content<'_>) -> Result<SignedJws, Failure>;

    /// Verifies a JSON Web Token with a version of a key.
    fn verify_jws(&self, key: &Arc<Object>, how: &Jws, wanted: &Wanted, token: &str) -> Result<VerifiedJws, Failure>;

    /// The JSON Web Key Set of all versions of keys that verify.
    fn jwks(&self, keys: &[Arc<Object>], algorithm: Option<JwsAlgorithm>) -> Result<Value, Failure>;

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

/// As [`Objects::taken`], by a look for each name.
fn each_looked_for(objects: &dyn Objects, names: &Names<'_>) -> Result<Option<Taken>, Failure> {
    for name in names.all() {
        for class in [KeyClass::Private, KeyClass::Secret, KeyClass::Public] {
            if objects.key(&name, class)?.is_some() {
                return Ok(Some(Taken::ByKey(name)));
            }
        }
        if objects.is_kept(&name)? {
            return Ok(Some(Taken::ByDestroyed(name)));
        }
    }
    Ok(None)
}

/// Whether what failed may have been done all the same, where that is said.
pub(crate) fn doubt(error: &Failure) -> Option<bool> {
    match error.downcast_ref() {
        Some(ClientError::Silent { doubtful, .. } | ClientError::Refused { doubtful, .. }) => Some(*doubtful),
        // What a home refuses is not done.
        None => error.is::<libkmss::error::Error>().then_some(false),
    }
}

/// How values and tokens of the vault look, and what seals them.
pub(crate) struct Vaulted {
    /// The cipher of the key.
    pub cipher: BlockCipher,
    /// The format of both.
    pub format: Format,
    /// Seconds for which a new token stands for its value.
    pub life: Option<u64>,
}

/// One of many things that are done at once.
pub(crate) enum Deed {
    /// A signature or MAC is made.
    Sign { key: Arc<Object>, mechanism: Mechanism, message: Zeroizing<Vec<u8>> },
    /// A signature is verified.
    Verify { key: Arc<Object>, mechanism: Mechanism, message: Zeroizing<Vec<u8>>, signature: Vec<u8> },
    /// A message is encrypted in our own format.
    Encrypt { key: Arc<Object>, native: Native, plaintext: Zeroizing<Vec<u8>> },
    /// A message is decrypted.
    Decrypt { ciphertext: Vec<u8>, context: EncryptionContext },
}

/// What came of one.
pub(crate) enum Done {
    /// The signature or MAC.
    Signature(Vec<u8>),
    /// Whether the signature holds.
    Holds(bool),
    /// The ciphertext.
    Ciphertext(Vec<u8>),
    /// The plaintext.
    Plaintext(Zeroizing<Vec<u8>>),
}

impl Deed {
    /// Bytes that it takes along.
    fn len(&self) -> usize {
        match self {
            Self::Sign { message, .. } => message.len(),
            Self::Verify { message, signature, .. } => message.len() + signature.len(),
            Self::Encrypt { plaintext, .. } => plaintext.len(),
            Self::Decrypt { ciphertext, .. } => ciphertext.len(),
        }
    }
}

/// Groups of deeds, each of at most `items` and, where there are several in it, of at most `bytes`.
fn grouped(deeds: &[Deed], items: usize, bytes: usize) -> Vec<&[Deed]> {
    let (mut groups, mut rest) = (Vec::new(), deeds);
    while !rest.is_empty() {
        let (mut count, mut sum) = (0, 0_usize);
        for deed in rest.iter().take(items) {
            sum = sum.saturating_add(deed.len());
            if count > 0 && sum > bytes {
                break;
            }
            count += 1;
        }
        let (group, others) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        groups.push(group);
        rest = others;
    }
    groups
}

/// What went wrong with one value of many.
fn in_line(line: usize, why: impl std::fmt::Display) -> Failure {
    format!("line {}: {why}", line + 1).into()
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
