//! A store, a seal and a random source that can be made to fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config::PinConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::seal::Seal;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::store::{Batch, Change, Commit, Condition, Entry, Op, Revision, Store, StoreKey};
use crate::suite::{Aead, NONCE_LEN, Suite};
use crate::tenant::{Namespace, NamespaceId};

use super::super::PinAuthenticator;

pub(super) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        aws_lc_rs::rand::fill(out).map_err(|_| Error::new(ErrorKind::BackendUnavailable, "no random"))
    }
}

/// Commits that are left until the store fails; `u32::MAX` is never.
pub(super) struct TestStore {
    pub(super) state: Mutex<(BTreeMap<String, Entry>, u64)>,
    pub(super) commits_left: AtomicU32,
    pub(super) log: Mutex<Vec<Batch>>,
}

impl TestStore {
    fn new() -> Self {
        Self { state: Mutex::default(), commits_left: AtomicU32::new(u32::MAX), log: Mutex::default() }
    }

    pub(super) fn snapshot(&self) -> BTreeMap<String, Entry> {
        self.state.lock().unwrap().0.clone()
    }

    pub(super) fn put(&self, key: &str, value: Vec<u8>) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        let version = Revision(state.1);
        state.0.insert(key.to_owned(), Entry { value, version });
    }

    pub(super) fn restore(&self, snapshot: &BTreeMap<String, Entry>) {
        self.state.lock().unwrap().0 = snapshot.clone();
    }

    pub(super) fn commits(&self) -> usize {
        self.log.lock().unwrap().len()
    }
}

impl Store for TestStore {
    fn get_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Entry>>> {
        let state = self.state.lock().unwrap();
        Ok(keys.iter().map(|k| state.0.get(k.as_str()).cloned()).collect())
    }

    fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>> {
        let state = self.state.lock().unwrap();
        let later = |k: &str| after.is_none_or(|a| k > a.as_str());
        let found = state.0.iter().filter(|(k, _)| k.starts_with(prefix) && later(k)).take(limit);
        found.map(|(k, e)| Ok((StoreKey::new(k.clone())?, e.clone()))).collect()
    }

    fn commit(&self, batch: &Batch) -> Result<Commit> {
        let left = self.commits_left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(Error::new(ErrorKind::Storage, "no space left"));
        }
        let mut state = self.state.lock().unwrap();
        let holds = |condition: &Condition| match condition {
            Condition::Absent(key) => !state.0.contains_key(key.as_str()),
            Condition::Version(key, version) => state.0.get(key.as_str()).is_some_and(|e| e.version == *version),
        };
        if !batch.conditions.iter().all(holds) {
            return Ok(Commit::Conflict);
        }
        if left != u32::MAX {
            self.commits_left.store(left - 1, Ordering::SeqCst);
        }
        state.1 += 1;
        let version = Revision(state.1);
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => {
                    state.0.insert(key.as_str().to_owned(), Entry { value: value.clone(), version });
                }
                Op::Delete(key) => {
                    state.0.remove(key.as_str());
                }
            }
        }
        self.log.lock().unwrap().push(batch.clone());
        Ok(Commit::Committed(version))
    }

    fn changes(&self, _: Revision, _: usize) -> Result<Vec<Change>> {
        Ok(Vec::new())
    }

    fn wait(&self, _: Revision, _: Duration) -> Result<Revision> {
        Ok(Revision(self.state.lock().unwrap().1))
    }

    fn generation(&self) -> u64 {
        self.state.lock().unwrap().1 * 2
    }
}

/// A seal with a key of its own, that can go out of reach.
pub(super) struct TestSeal {
    suite: Suite,
    aead: Aead,
    pub(super) out: AtomicBool,
}

impl TestSeal {
    pub(super) fn new(suite: Suite) -> Self {
        let aead = Aead::new(suite, &Secret::copy_of(&vec![9; suite.aead_key_len()])).unwrap();
        Self { suite, aead, out: AtomicBool::new(false) }
    }

    fn reach(&self) -> Result<()> {
        if self.out.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::BackendUnavailable, "the holder of the root key does not answer"));
        }
        Ok(())
    }
}

impl Seal for TestSeal {
    fn suite(&self) -> Suite {
        self.suite
    }

    fn key_id(&self) -> &str {
        "test"
    }

    fn wrap(&self, context: &str, key: &Secret) -> Result<Vec<u8>> {
        self.reach()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom.fill(&mut nonce)?;
        let mut out = nonce.to_vec();
        self.aead.seal(&nonce, context.as_bytes(), key.expose(), &mut out)?;
        Ok(out)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Secret> {
        // The private keys only: the public one is needed before an attempt begins.
        if context.contains("private") {
            self.reach()?;
        }
        let (nonce, body) =
            wrapped.split_first_chunk().ok_or_else(|| Error::new(ErrorKind::Damaged, "a sealed key is too short"))?;
        self.aead.open(nonce, context.as_bytes(), body)
    }
}

/// An authenticator over doubles, with one initialised namespace.
pub(super) struct Bench {
    pub(super) store: Arc<TestStore>,
    pub(super) seal: Arc<TestSeal>,
    pub(super) auth: PinAuthenticator,
    pub(super) namespace: Namespace,
}

pub(super) const SO_PIN: &[u8] = b"so-pin-1234";
pub(super) const PIN: &[u8] = b"1234-user";

pub(super) fn pin(bytes: &[u8]) -> Secret {
    Secret::copy_of(bytes)
}

pub(super) fn namespace(id: u8) -> Namespace {
    Namespace {
        id: NamespaceId([id; 16]),
        tenant: "default".to_owned(),
        name: "web".to_owned(),
        ordinal: 0,
        incarnation: 1,
        policy_required: false,
        settings: Settings::default(),
        backend: crate::key::BackendId::soft(),
    }
}

impl Bench {
    pub(super) fn new(suite: Suite, settings: PinConfig) -> Self {
        let (store, seal) = (Arc::new(TestStore::new()), Arc::new(TestSeal::new(suite)));
        let auth = PinAuthenticator::new(store.clone(), seal.clone(), Arc::new(SystemRandom), settings);
        let namespace = namespace(1);
        auth.initialize(&namespace, &pin(SO_PIN)).unwrap();
        Self { store, seal, auth, namespace }
    }

    /// One with the default user's PIN set.
    pub(super) fn with_user() -> Self {
        Self::with_user_and(PinConfig::default())
    }

    pub(super) fn with_user_and(settings: PinConfig) -> Self {
        let bench = Self::new(Suite::Nist, settings);
        bench.give("user", PIN);
        bench
    }

    pub(super) fn give(&self, user: &str, new: &[u8]) {
        self.auth.set_user_pin(&self.namespace, &self.officer(), user, &pin(new)).unwrap();
    }
}
