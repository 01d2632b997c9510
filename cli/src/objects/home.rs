//! Objects of a home.

use std::sync::Arc;

use libkmss::caller::Caller;
use libkmss::catalog::{Facet, ObjectKind, Query, Tombstone};
use libkmss::clock::Timestamp;
use libkmss::error::ErrorKind;
use libkmss::jose::{Content, Jws, JwsAlgorithm, Wanted};
use libkmss::key::{Body, KeyClass, KeyComponents, KeySpec, Object, Storage, Transition};
use libkmss::kms::{BatchItem, BatchOutcome, Doomed, DueRotation, Kms, SignedJws, VerifiedJws};
use libkmss::mechanism::{EncryptionContext, HdDerivation, KeyType, Mechanism, Native};
use libkmss::operation::{
    Chosen, Decrypt, DecryptMessage, DeriveChild, Destroy, Detokenize, Draft, Encrypt, EncryptMessage, Expected,
    Export, Find, GenerateDataKey, GenerateDataKeyPair, GeneratePair, GenerateSecret, Import, ImportDocument,
    ObjectRef, Operation, Rename, Sign, Tokenize, Turn, Unwrap, Update, Verify, Wrap,
};
use libkmss::tenant::{Namespace, ObjectId};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    DataKeyMade, DataPairMade, Deed, Done, Made, Names, Objects, Seen, Taken, Vaulted, each_looked_for, grouped,
    in_line,
};
use crate::output::Failure;

/// What is read, or done, at a time.
const PAGE: usize = 500;

/// The objects of a token of a home.
pub(super) struct HomeObjects {
    kms: Kms,
    caller: Caller,
}

impl HomeObjects {
    /// Those that this caller sees.
    pub(super) fn new((kms, caller): (Kms, Caller)) -> Self {
        Self { kms, caller }
    }

    /// Performs an operation for the caller.
    pub(super) fn perform<O: Operation>(&self, operation: O) -> Result<O::Running, Failure> {
        Ok(self.kms.perform(&self.caller, operation)?)
    }
}

impl Objects for HomeObjects {
    fn namespace(&self) -> &Namespace {
        &self.caller.namespace
    }

    fn now(&self) -> Result<Timestamp, Failure> {
        Ok(self.kms.now())
    }

    fn draft(&self) -> Result<Draft, Failure> {
        Ok(self.kms.draft(Storage::Stored)?)
    }

    fn key(&self, name: &str, class: KeyClass) -> Result<Option<Arc<Object>>, Failure> {
        Ok(self.kms.key(&self.caller, name, class)?)
    }

    fn having(&self, kind: ObjectKind, facets: &[(Facet, Vec<u8>)]) -> Result<Vec<Arc<Object>>, Failure> {
        let mut all = Vec::new();
        let query = Query { kind: Some(kind), facets: facets.to_vec(), ..Query::default() };
        found_in(&self.kms, &self.caller, &query, &mut all)?;
        Ok(all)
    }

    fn generate_pair(&self, spec: KeySpec, private: Draft, public: Draft) -> Result<Arc<Object>, Failure> {
        Ok(self.kms.perform(&self.caller, GeneratePair { spec, private, public })?.0)
    }

    fn generate_secret(&self, spec: KeySpec, draft: Draft) -> Result<Arc<Object>, Failure> {
        Ok(self.kms.perform(&self.caller, GenerateSecret { spec, draft })?)
    }

    fn most_at_once(&self) -> usize {
        Kms::MAKE_ITEMS
    }

    fn generate_each(&self, spec: &KeySpec, drafts: Vec<(Draft, Option<Draft>)>) -> Result<Vec<Made>, Failure> {
        let (mut secrets, mut pairs) = (Vec::new(), Vec::new());
        for (private, public) in drafts {
            match public {
                None => secrets.push(GenerateSecret { spec: spec.clone(), draft: private }),
                Some(public) => pairs.push(GeneratePair { spec: spec.clone(), private, public }),
            }
        }
        let secrets = self.kms.make_each(&self.caller, secrets)?.into_iter();
        let pairs = self.kms.make_each(&self.caller, pairs)?.into_iter().map(|made| Ok(made?.0));
        Ok(secrets.chain(pairs).map(|made| made.map_err(Failure::from)).collect())
    }

    fn taken(&self, names: &Names<'_>) -> Result<Option<Taken>, Failure> {
        each_looked_for(self, names)
    }

    fn is_kept(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.kms.tombstone_of(&self.caller, name)?.is_some())
    }

    fn derive_child(
        &self,
        seed: &Arc<Object>,
        how: HdDerivation,
        private: Draft,
        public: Draft,
    ) -> Result<Arc<Object>, Failure> {
        let seed = ObjectRef::from(seed);
        Ok(self.kms.perform(&self.caller, DeriveChild { seed, how, private, public })?.0)
    }

    fn import(&self, components: KeyComponents, draft: Draft) -> Result<Arc<Object>, Failure> {
        Ok(self.kms.perform(&self.caller, Import { components, draft })?)
    }

    fn unwrap(
        &self,
        with: &Arc<Object>,
        how: &Chosen,
        wrapped: &[u8],
        key_type: KeyType,
        draft: Draft,
    ) -> Result<Arc<Object>, Failure> {
        let (unwrapping, how) = (ObjectRef::from(with), how.clone());
        let expected = Expected { key_type, len: None };
        Ok(self.kms.perform(&self.caller, Unwrap { unwrapping, how, wrapped: wrapped.into(), expected, draft })?)
    }

    fn wrap(&self, with: &Arc<Object>, how: &Chosen, key: &Arc<Object>) -> Result<Vec<u8>, Failure> {
        let (wrapping, key) = (ObjectRef::from(with), ObjectRef::from(key));
        Ok(self.kms.perform(&self.caller, Wrap { wrapping, key, how: how.clone() })?)
    }

    fn export(&self, key: &Arc<Object>) -> Result<KeyComponents, Failure> {
        Ok(self.kms.perform(&self.caller, Export { key: ObjectRef::from(key) })?)
    }

    fn import_certificate(&self, der: &[u8], draft: Draft) -> Result<Arc<Object>, Failure> {
        let body = Body::Certificate { value: der.to_vec() };
        Ok(self.kms.perform(&self.caller, ImportDocument { body, draft })?)
    }

    fn update(&self, current: &Arc<Object>, wanted: Object) -> Result<(), Failure> {
        let update = Update { current: ObjectRef::from(current), object: wanted };
        self.kms.perform(&self.caller, update)?;
        Ok(())
    }

    fn rename(&self, key: &Arc<Object>, name: &str) -> Result<(), Failure> {
        self.kms.perform(&self.caller, Rename { key: ObjectRef::from(key), name: name.to_owned() })?;
        Ok(())
    }

    fn destroy(&self, object: &Arc<Object>) -> Result<(), Failure> {
        self.kms.perform(&self.caller, Destroy { object: ObjectRef::from(object) })?;
        Ok(())
    }

    fn sign(&self, key: &Arc<Object>, mechanism: &Mechanism, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let operation = Sign { key: ObjectRef::from(key), how: mechanism.clone().into() };
        let mut signing = self.kms.begin(&self.caller, operation)?;
        Ok(signing.finish(message, |running| {
            let mut signature = vec![0; running.signature_len()];
            running.update(message)?;
            let len = running.finish(&mut signature)?;
            signature.truncate(len);
            Ok(signature)
        })?)
    }

    fn crypt_each(
        &self,
        key: &Arc<Object>,
        mechanism: &Mechanism,
        encrypt: bool,
        values: &[&[u8]],
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
        let one = |value: &[u8]| {
            let (key, how) = (ObjectRef::from(key), Chosen::from(mechanism.clone()));
            let mut crypting = match encrypt {
                true => self.kms.begin(&self.caller, Encrypt { key, how })?,
                false => self.kms.begin(&self.caller, Decrypt { key, how })?,
            };
            crypting.finish(value, |running| {
                let mut made = Zeroizing::new(vec![0; running.finish_len(value.len())]);
                let len = running.finish(value, &mut made)?;
                made.truncate(len);
                Ok(made)
            })
        };
        values.iter().enumerate().map(|(line, value)| one(value).map_err(|e| in_line(line, e))).collect()
    }

    fn tokenize(&self, key: &Arc<Object>, how: &Vaulted, values: &[&[u8]]) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
        each(values, |value| {
            let Vaulted { cipher, format, life } = how;
            let (cipher, format, value) = (*cipher, format.clone(), Zeroizing::new(value.to_vec()));
            self.kms.perform(&self.caller, Tokenize { key: ObjectRef::from(key), cipher, format, value, life: *life })
        })
    }

    fn detokenize(
        &self,
        key: &Arc<Object>,
        how: &Vaulted,
        masked: bool,
        tokens: &[&[u8]],
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
        each(tokens, |token| {
            let (cipher, format, token) = (how.cipher, how.format.clone(), token.to_vec());
            let key = ObjectRef::from(key);
            self.kms.detokenize(&self.caller, Detokenize { key, cipher, format, token, masked })
        })
    }

    fn verify(
        &self,
        key: &Arc<Object>,
        mechanism: &Mechanism,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Failure> {
        let operation = Verify { key: ObjectRef::from(key), how: mechanism.clone().into() };
        let verified = self.kms.begin(&self.caller, operation)?.finish(message, |running| {
            running.update(message)?;
            running.finish(signature)
        });
        match verified {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::SignatureInvalid | ErrorKind::SignatureLength) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn batch(&self, deeds: Vec<Deed>) -> Result<Vec<Result<Done, Failure>>, Failure> {
        let mut done = Vec::with_capacity(deeds.len());
        for group in grouped(&deeds, Kms::BATCH_ITEMS, Kms::BATCH_BYTES) {
            let items: Vec<BatchItem<'_>> = group.iter().map(item).collect();
            done.extend(self.kms.batch(&self.caller, &items)?.into_iter().map(outcome));
        }
        Ok(done)
    }

    fn sign_jws(&self, key: &Arc<Object>, how: &Jws, content: Content<'_>) -> Result<SignedJws, Failure> {
        Ok(self.kms.sign_jws(&self.caller, key, how, content)?)
    }

    fn verify_jws(&self, key: &Arc<Object>, how: &Jws, wanted: &Wanted, token: &str) -> Result<VerifiedJws, Failure> {
        Ok(self.kms.verify_jws(&self.caller, key, how, wanted, token)?)
    }

    fn jwks(&self, keys: &[Arc<Object>], algorithm: Option<JwsAlgorithm>) -> Result<Value, Failure> {
        Ok(self.kms.jwks(&self.caller, keys, algorithm)?)
    }

    fn encrypt_message(&self, key: &Arc<Object>, native: Native, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        let Native { algorithm, context } = native;
        let operation = EncryptMessage::new(ObjectRef::from(key), algorithm, context, plaintext);
        Ok(self.kms.perform(&self.caller, operation)?)
    }

    fn decrypt_message(&self, ciphertext: &[u8], context: EncryptionContext) -> Result<Zeroizing<Vec<u8>>, Failure> {
        Ok(self.kms.perform(&self.caller, DecryptMessage::new(ciphertext, context))?)
    }

    fn reencrypt_message(
        &self,
        ciphertext: &[u8],
        context: EncryptionContext,
        (key, native): (&Arc<Object>, Native),
    ) -> Result<Vec<u8>, Failure> {
        let to = (ObjectRef::from(key), native);
        Ok(self.kms.reencrypt_message(&self.caller, ciphertext, context, to)?)
    }

    fn data_key(&self, key: &Arc<Object>, native: Native, len: usize, shown: bool) -> Result<DataKeyMade, Failure> {
        let Native { algorithm, context } = native;
        let operation = GenerateDataKey::new(ObjectRef::from(key), algorithm, context, len);
        let made = self.kms.perform(&self.caller, operation)?;
        let plaintext = shown.then(|| Zeroizing::new(made.plaintext.expose().to_vec()));
        Ok(DataKeyMade { plaintext, ciphertext: made.ciphertext })
    }

    fn data_key_pair(
        &self,
        key: &Arc<Object>,
        native: Native,
        spec: KeySpec,
        shown: bool,
    ) -> Result<DataPairMade, Failure> {
        let Native { algorithm, context } = native;
        let operation = GenerateDataKeyPair::new(ObjectRef::from(key), algorithm, context, spec);
        let made = self.kms.perform(&self.caller, operation)?;
        let private = shown.then(|| Zeroizing::new(made.private.expose().to_vec()));
        Ok(DataPairMade { public: made.public, private, ciphertext: made.ciphertext })
    }

    fn change_life(&self, key: &Arc<Object>, transition: &Transition) -> Result<Vec<Arc<Object>>, Failure> {
        Ok(self.kms.change_life(&self.caller, ObjectRef::from(key), transition)?)
    }

    fn destroy_due(&self, dry_run: bool) -> Seen<Doomed> {
        in_pages(|after| self.kms.destroy_due_after(&self.caller, dry_run, (after, PAGE)))
    }

    fn tombstones(&self) -> Result<Vec<Tombstone>, Failure> {
        let mut all: Vec<Tombstone> = Vec::new();
        loop {
            let page = self.kms.tombstones(&self.caller, all.last().map(|last| last.object), PAGE)?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    fn release_name(&self, name: &str) -> Result<(), Failure> {
        Ok(self.kms.release_name(&self.caller, name)?)
    }

    fn rotate(&self, name: &str, turn: Turn) -> Result<Vec<Arc<Object>>, Failure> {
        Ok(self.kms.rotate(&self.caller, name, turn)?.made)
    }

    fn activate(&self, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
        Ok(self.kms.activate(&self.caller, name)?.made)
    }

    fn versions(&self, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
        Ok(self.kms.versions(&self.caller, name)?)
    }

    fn rotate_due(&self, only: Option<&str>, dry_run: bool) -> Seen<DueRotation> {
        in_pages(|after| self.kms.rotate_due_after(&self.caller, (only, dry_run), (after, PAGE)))
    }

    fn set_alias(&self, alias: &str, to: Option<&str>) -> Result<(), Failure> {
        self.kms.set_alias(&self.caller, alias, to)?;
        Ok(())
    }

    fn grant(&self, name: &str, service: &str, granted: bool) -> Result<Vec<Arc<Object>>, Failure> {
        Ok(self.kms.grant(&self.caller, name, service, granted)?)
    }

    fn preferred_type(&self) -> Result<Option<String>, Failure> {
        Ok(self.kms.key_rules_for(&self.caller)?.1)
    }

    fn close(&self) -> Result<(), Failure> {
        Ok(self.kms.close()?)
    }
}

/// A deed as the core does it.
fn item(deed: &Deed) -> BatchItem<'_> {
    match deed {
        Deed::Sign { key, mechanism, message } => {
            BatchItem::Sign { key: ObjectRef::from(key), how: mechanism.clone().into(), message }
        }
        Deed::Verify { key, mechanism, message, signature } => {
            BatchItem::Verify { key: ObjectRef::from(key), how: mechanism.clone().into(), message, signature }
        }
        Deed::Encrypt { key, native, plaintext } => {
            BatchItem::EncryptMessage { key: ObjectRef::from(key), native: native.clone(), plaintext }
        }
        Deed::Decrypt { ciphertext, context } => BatchItem::DecryptMessage { ciphertext, context: context.clone() },
    }
}

/// What the core says of one.
fn outcome(done: libkmss::error::Result<BatchOutcome>) -> Result<Done, Failure> {
    match done {
        Ok(BatchOutcome::Signature(made)) => Ok(Done::Signature(made)),
        Ok(BatchOutcome::Holds) => Ok(Done::Holds(true)),
        Ok(BatchOutcome::Ciphertext(made)) => Ok(Done::Ciphertext(made)),
        Ok(BatchOutcome::Plaintext(made)) => Ok(Done::Plaintext(made)),
        Err(e) if matches!(e.kind(), ErrorKind::SignatureInvalid | ErrorKind::SignatureLength) => {
            Ok(Done::Holds(false))
        }
        Err(e) => Err(e.into()),
    }
}

/// What is due, page by page: `some` is told behind which object it goes on.
fn in_pages<T>(
    mut some: impl FnMut(Option<ObjectId>) -> libkmss::error::Result<(Vec<T>, Option<ObjectId>)>,
) -> Seen<T> {
    let (mut all, mut after) = (Vec::new(), None);
    let ended = loop {
        match some(after) {
            Ok((seen, next)) => {
                all.extend(seen);
                after = next;
                if after.is_none() {
                    break Ok(());
                }
            }
            Err(why) => break Err(why.into()),
        }
    };
    Seen { all, ended }
}

/// One text for each line.
fn each(
    lines: &[&[u8]],
    one: impl Fn(&[u8]) -> libkmss::error::Result<Zeroizing<String>>,
) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
    let made = |(line, value): (usize, &&[u8])| match one(value) {
        Ok(mut text) => Ok(Zeroizing::new(std::mem::take(&mut *text).into_bytes())),
        Err(error) => Err(in_line(line, error)),
    };
    lines.iter().enumerate().map(made).collect()
}

/// All parts of a key of a home: private and public half, or the secret key.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn parts_in(kms: &Kms, caller: &Caller, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
    let mut found = Vec::new();
    for class in [KeyClass::Private, KeyClass::Secret, KeyClass::Public] {
        found.extend(kms.key(caller, name, class)?);
    }
    Ok(found)
}

/// All parts of every version of a key of a home: the version that has the name first. The name of a version, `name@n`, has that
/// version alone, and so has a key that is not rotated.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn versions_in(kms: &Kms, caller: &Caller, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
    let mut found = parts_in(kms, caller, name)?;
    // What was asked for may be an alias: versions have the name.
    let primary = found.first().and_then(|first| first.key()).filter(|key| key.lifecycle.role.is_none());
    let Some((own, newest)) = primary.map(|key| (key.name.clone(), key.newest_number())) else { return Ok(found) };
    for number in 1..=newest {
        let mut parts = parts_in(kms, caller, &format!("{own}@{number}"))?;
        // A name of an older home may look like that of a version.
        parts.retain(|part| part.key().is_some_and(|key| key.lifecycle.role.is_some() && key.base_name() == own));
        found.extend(parts);
    }
    Ok(found)
}

/// Every stored object of a kind in a home.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn all_in(kms: &Kms, caller: &Caller, kind: ObjectKind, into: &mut Vec<Arc<Object>>) -> Result<(), Failure> {
    found_in(kms, caller, &Query { kind: Some(kind), ..Query::default() }, into)
}

fn found_in(kms: &Kms, caller: &Caller, query: &Query, into: &mut Vec<Arc<Object>>) -> Result<(), Failure> {
    const PAGE: usize = 256;
    let mut after = None;
    loop {
        let page = kms.perform(caller, Find { query, after, limit: PAGE })?;
        for found in &page {
            into.push(kms.object(caller, found.id)?);
        }
        after = page.last().map(|found| found.id);
        if page.len() < PAGE {
            return Ok(());
        }
    }
}
