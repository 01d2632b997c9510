//! Tests of the sentence every operation follows. Doubles of every seam write into one journal, which shows the order.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod again;
mod approvals;
mod blocks;
mod doubles;
mod effects;
mod encapsulation;
mod engine;
mod followed;
mod life;
mod precedents;
mod quotas;
mod refusals;
mod rotate;
mod rules;
mod running;
mod services;
mod sessions;
mod together;
mod tokens;

use std::sync::Arc;

use self::doubles::{Budget, Journal, Judge, Log, Noted, Shelf, Watch};
use self::engine::{Dice, Engine};
use super::*;
use crate::backend::Backend;
use crate::caller::{CallerParts, Login, Principal};
use crate::catalog::Catalog;
use crate::key::{DomainKey, KeyComponents, Keyring, Object, Storage, Usage};
use crate::mechanism::{BlockCipher, CipherMode, Ctr, KeyType, MacMechanism, Mechanism};
use crate::operation::{Chosen, Decrypt, Draft, Import, Sign};
use crate::rules::RuleBook;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::store::Batch;
use crate::suite::Suite;
use crate::tenant::{Namespace, NamespaceId};
use crate::vault::Vault;

/// A pipeline made of doubles, and callers of every kind.
struct House {
    pipeline: Arc<Pipeline>,
    journal: Arc<Journal>,
    policy: Arc<Judge>,
    quota: Arc<Budget>,
    audit: Arc<Log>,
    clock: Arc<Watch>,
    store: Arc<Shelf>,
    engine: Arc<Engine>,
    user: Caller,
    officer: Caller,
    public: Caller,
}

impl House {
    fn new() -> Self {
        let journal = Arc::new(Journal::default());
        let engine = Arc::new(Engine::new(Arc::clone(&journal)));
        let store = Arc::new(Shelf::new(Arc::clone(&journal)));
        let fresh = || Arc::new(DomainKey::ephemeral(Suite::Nist, engine.entropy()).unwrap());
        let random = Arc::new(Dice(Arc::clone(&engine)));
        let vault = Vault::new(Arc::clone(&store) as _, Arc::clone(&random) as _, fresh());
        let rules = Arc::new(RuleBook::new(Arc::clone(&store) as _, Arc::clone(&random) as _, fresh()));
        let catalog = Arc::new(Catalog::new(Arc::clone(&store) as _, random, fresh()));
        let namespace = Namespace {
            id: NamespaceId([7; 16]),
            tenant: "default".into(),
            name: "house".into(),
            ordinal: 0,
            incarnation: 1,
            policy_required: false,
            settings: Settings::default(),
            backend: crate::key::BackendId::soft(),
        };
        catalog.put_namespace(None, &namespace, Batch::default()).unwrap();
        let keyring = Keyring { public: fresh(), private: Some(fresh()), ephemeral: fresh(), officer: None };
        let user = Caller::from(CallerParts {
            principal: Arc::new(Principal::new("user:test", Vec::new())),
            namespace: Arc::new(namespace),
            login: Login::User("user".into()),
            keyring: Arc::new(keyring.clone()),
            session: 1,
            authenticated: crate::clock::Timestamp(0),
        });
        let officer = user.with(|parts| parts.login = Login::SecurityOfficer);
        let keyring = Arc::new(Keyring { private: None, ..keyring });
        let public = user.with(|parts| {
            parts.login = Login::None;
            parts.keyring = keyring;
        });
        let policy = Arc::new(Judge::new(Arc::clone(&journal)));
        let quota = Arc::new(Budget::new(Arc::clone(&journal)));
        let audit = Arc::new(Log::new(Arc::clone(&journal)));
        let clock = Arc::new(Watch::default());
        let pipeline = Arc::new(Pipeline {
            policy: Arc::clone(&policy) as _,
            quota: Arc::clone(&quota) as _,
            audit: Arc::clone(&audit) as _,
            clock: Arc::clone(&clock) as _,
            store: Arc::clone(&store) as _,
            hall: Hall { catalog, backends: vec![Arc::clone(&engine) as _], vault, rules },
        });
        Self { pipeline, journal, policy, quota, audit, clock, store, engine, user, officer, public }
    }

    /// A house with a key in it and an empty journal.
    fn with_key() -> (Self, Arc<Object>) {
        let house = Self::new();
        let key = house.key(|_| ());
        (house, key)
    }

    fn draft(&self, storage: Storage) -> Draft {
        let mut id = [0; 16];
        self.engine.entropy().fill(&mut id).unwrap();
        Draft::new(ObjectId(id), storage)
    }

    /// Imports an AES key that may do everything; then the journal starts anew.
    fn key(&self, change: impl FnOnce(&mut Draft)) -> Arc<Object> {
        let mut draft = self.draft(Storage::Stored);
        (draft.private, draft.label) = (true, b"web".to_vec());
        draft.usage = Usage { derive: true, ..Usage::all_for(KeyType::Aes, crate::key::KeyClass::Secret) };
        draft.protection.extractable = true;
        change(&mut draft);
        let key = self.pipeline.perform(&self.user, Import { components: secret(), draft }).unwrap();
        self.journal.clear();
        key
    }

    /// Moves the store's generation, whoever is blocked.
    fn key_of_officer(&self) {
        let blocked = self.quota.blocked.lock().unwrap().take();
        self.key(|_| ());
        *self.quota.blocked.lock().unwrap() = blocked;
    }

    fn sign(&self, caller: &Caller, key: &Arc<Object>) -> Result<Unfinished<Box<dyn crate::backend::Signing>>> {
        self.pipeline.begin(caller, Sign { key: ObjectRef::from(key), how: cmac() })
    }

    fn decrypt(&self, key: &Arc<Object>) -> Unfinished<Box<dyn crate::backend::Ciphering>> {
        self.pipeline.begin(&self.user, Decrypt { key: ObjectRef::from(key), how: ctr() }).unwrap()
    }

    /// Everything that happened since the last look, in order.
    fn happened(&self) -> Vec<String> {
        self.journal.take()
    }

    /// The newest record.
    fn last(&self) -> Noted {
        self.audit.notes().pop().unwrap()
    }

    fn disable(&self, key: &Arc<Object>) {
        let state = crate::key::KeyState::Deactivated;
        let change = turned(key, state);
        self.pipeline.perform(&self.officer, change).unwrap();
    }
}

fn secret() -> KeyComponents {
    KeyComponents::Secret { key_type: KeyType::Aes, value: Secret::copy_of(&[3; 32]) }
}

fn cmac() -> Chosen {
    let mechanism = Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 });
    Chosen { mechanism, number: Some(0x108A) }
}

fn ctr() -> Chosen {
    Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ctr(Ctr { counter_bits: 128, block: [0; 16] })).into()
}

fn key_wrap() -> Chosen {
    Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrap { iv: [0xA6; 8] }).into()
}

/// Feeds `data` and finishes a signature.
fn signed(signing: &mut Unfinished<Box<dyn crate::backend::Signing>>, data: &[u8]) -> Result<Vec<u8>> {
    signing.finish(data, |running| {
        running.update(data)?;
        let mut out = vec![0; running.signature_len()];
        let len = running.finish(&mut out)?;
        out.truncate(len);
        Ok(out)
    })
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

/// What puts a key that has no other half into a state.
fn turned(key: &Arc<Object>, state: crate::key::KeyState) -> crate::operation::ChangeLife {
    let transition = crate::key::Transition::into_state(state).unwrap();
    crate::operation::ChangeLife { key: ObjectRef::from(key), other: None, transition }
}
