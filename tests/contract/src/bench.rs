//! The bench: a home with a namespace of the backend under test and one of the software engine beside it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libkmss::catalog::{ObjectKind, Query};
use libkmss::error::{ErrorKind, Result as CoreResult};
use libkmss::key::{Expected, KeyClass, KeyComponents, KeySpec, Object, PublicComponents};
use libkmss::kms::Kms;
use libkmss::mechanism::{Hash, KeyType, MacMechanism, Mechanism};
use libkmss::operation::{Destroy, Find, ObjectRef};
use libkmss::secret::Secret;
use libkmss::settings::Settings;
use libkmss::tenant::{BackendId, ObjectId};

use crate::side::{Done, Guard, Pair, Side, words};
use crate::verdict::{Check, Refusal, Verdict, same};

/// Objects looked up at once.
const PAGE: usize = 64;
/// What both sides authenticate to compare secrets that cannot be read.
const PROBE: &[u8] = b"both sides hold the same secret";

/// What the trials work with.
pub struct Bench<'k> {
    /// The backend under test.
    pub tested: Side<'k>,
    /// The software engine.
    pub reference: Side<'k>,
    pairs: Mutex<HashMap<String, Pair>>,
    mirrors: Mutex<HashMap<ObjectId, Arc<Object>>>,
}

impl<'k> Bench<'k> {
    /// Makes two namespaces without PINs in `kms`, whose officer has `officer_pin`: `NAME` with keys of `backend`, and
    /// `NAME-soft`. The names and labels of all keys begin with `name`.
    ///
    /// # Errors
    /// No such backend; those of the store.
    pub fn new(kms: &'k Kms, backend: BackendId, name: &str, officer_pin: &Secret) -> CoreResult<Self> {
        let settings = Settings { pinless: true, ..Settings::default() };
        let tested = kms.initialize_with(None, name, officer_pin, (settings, backend))?;
        let soft = format!("{name}-soft");
        let reference = kms.initialize_with(None, &soft, officer_pin, (settings, BackendId::soft()))?;
        Ok(Self {
            tested: Side::new(kms, kms.enter(&tested, 1)?, false, name),
            reference: Side::new(kms, kms.enter(&reference, 2)?, true, name),
            pairs: Mutex::default(),
            mirrors: Mutex::default(),
        })
    }

    /// The pair of this kind that all trials share: made once, because RSA takes its time.
    pub(crate) fn pair(&self, spec: &KeySpec) -> Done<Pair> {
        let mut pairs = lock(&self.pairs);
        if let Some(pair) = pairs.get(&words(spec)) {
            return Ok(pair.clone());
        }
        let pair = self.tested.generate_pair(spec, Guard::Kept)?;
        pairs.insert(words(spec), pair.clone());
        Ok(pair)
    }

    /// The public half of `key` in the hands of the software engine.
    pub(crate) fn mirror(&self, key: &Arc<Object>) -> Result<Arc<Object>, Verdict> {
        if let Some(mirror) = lock(&self.mirrors).get(&key.id) {
            return Ok(Arc::clone(mirror));
        }
        let mirror = self.reference.import_public(public_of(key)?)?;
        lock(&self.mirrors).insert(key.id, Arc::clone(&mirror));
        Ok(mirror)
    }

    /// The same secret on both sides: (under test, reference).
    pub(crate) fn shared(&self, key_type: KeyType, value: &[u8]) -> Done<(Arc<Object>, Arc<Object>)> {
        let components = KeyComponents::Secret { key_type, value: Secret::copy_of(value) };
        let tested = self.tested.import(&components, Guard::Wrappable)?;
        Ok((tested, self.reference.import(&components, Guard::Open)?))
    }

    /// Fails unless the two are the same secret: read where they can be, otherwise by what each authenticates.
    pub(crate) fn same_secret(&self, what: &str, tested: &Arc<Object>, reference: &Arc<Object>) -> Check {
        let expected = self.reference.export(reference)?;
        match (self.tested.export(tested), &expected) {
            (Ok(KeyComponents::Secret { value, .. }), KeyComponents::Secret { value: other, .. }) => {
                // Test secrets, which may be told.
                return same(what, value.expose(), other.expose());
            }
            (Ok(other), _) => {
                return Err(Verdict::Failed(format!("{what}: a {} key came", other.key_type().name())));
            }
            (Err(refusal), _) if may_not_be_read(&refusal) => {}
            (Err(refusal), _) => return Err(refusal.into()),
        }
        let hmac = Mechanism::Mac(MacMechanism::Hmac { hash: Hash::Sha256, len: 32 });
        let mac = self.tested.sign(tested, &hmac, &[PROBE])?;
        same(what, &mac, &self.reference.sign(reference, &hmac, &[PROBE])?)
    }

    /// Destroys every key that the trials made. All are tried; the first refusal is told.
    pub(crate) fn clear(&self) -> Result<(), Refusal> {
        lock(&self.pairs).clear();
        lock(&self.mirrors).clear();
        let mut first = None;
        for side in [&self.tested, &self.reference] {
            for class in [KeyClass::Private, KeyClass::Public, KeyClass::Secret] {
                let query = Query { kind: Some(ObjectKind::Key(class)), ..Query::default() };
                let mut after = None;
                loop {
                    let find = Find { query: &query, after, limit: PAGE };
                    let found = side.told("find keys", side.kms().perform(side.caller(), find))?;
                    for one in &found {
                        let destroy = Destroy { object: ObjectRef::Stored(one.id) };
                        let gone = side.told("destroy a key", side.kms().perform(side.caller(), destroy));
                        first = first.or(gone.err().filter(|refusal| refusal.kind != ErrorKind::NotFound));
                    }
                    after = found.last().map(|one| one.id);
                    if found.len() < PAGE {
                        break;
                    }
                }
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// Whether the backend keeps what may be read to itself, as devices do.
pub(crate) const fn may_not_be_read(refusal: &Refusal) -> bool {
    matches!(refusal.kind, ErrorKind::KeyUnextractable | ErrorKind::AttributeSensitive | ErrorKind::Unsupported)
}

/// The public part of a key.
pub(crate) fn public_of(key: &Arc<Object>) -> Result<&PublicComponents, Verdict> {
    let primary = key.key().map(libkmss::key::Key::primary);
    match primary {
        Some(Ok(version)) => Ok(&version.public),
        _ => Err(Verdict::Failed("what was made is no key".to_owned())),
    }
}

/// A generic secret of this length.
pub(crate) const fn generic(len: usize) -> Expected {
    Expected { key_type: KeyType::GenericSecret, len: Some(len) }
}

/// A key of this type and length.
pub(crate) const fn secret(key_type: KeyType, len: usize) -> KeySpec {
    KeySpec::Secret { key_type, len }
}

/// An RSA pair with the usual exponent.
pub(crate) fn rsa(bits: u32) -> KeySpec {
    KeySpec::Rsa { bits, exponent: vec![1, 0, 1] }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
