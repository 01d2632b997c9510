//! A ledger on a store in memory, with callers and keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::super::*;
use crate::caller::{CallerParts, Login, Principal};
use crate::clock::SystemClock;
use crate::error::Result;
use crate::key::{AuditMode, Body, DomainKey, Key, KeyClass, KeyState, Keyring, Object, Protection, Storage, Usage};
use crate::mechanism::KeyType;
use crate::os::FileMode;
use crate::permit::Subject;
use crate::random::Random;
use crate::rates::Rates;
use crate::settings::Settings;
use crate::store::{MemoryStore, Store};
use crate::suite::Suite;
use crate::tenant::{Namespace, NamespaceId, ObjectId};

/// 2026-11-22T13:00:00Z.
pub(super) const NOW: Timestamp = Timestamp(1_795_352_400_000);

struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.iter_mut().for_each(|b| *b = self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

pub(super) struct House {
    pub(super) store: Arc<MemoryStore>,
    pub(super) book: Arc<Book>,
    pub(super) ledger: HostLedger,
    random: Arc<Counting>,
    home: Arc<DomainKey>,
    rates: Arc<Rates>,
    _folder: tempfile::TempDir,
}

impl House {
    pub(super) fn new() -> Self {
        Self::with(Vec::new())
    }

    /// One whose configuration has quotas.
    pub(super) fn with(configured: Vec<Quota>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::default());
        let random = Arc::new(Counting(AtomicU8::new(1)));
        let home = Arc::new(DomainKey::ephemeral(Suite::Nist, &*random).unwrap());
        let mode = FileMode::of_home(folder.path()).unwrap();
        let rates = Arc::new(Rates::new(folder.path().join("rates"), mode, Arc::clone(&random) as _));
        let book =
            Arc::new(Book::new(Arc::clone(&store) as _, Arc::clone(&random) as _, Arc::clone(&home), configured));
        let ledger = HostLedger::new(Arc::clone(&rates), Arc::clone(&book), Arc::new(SystemClock::default()));
        Self { store, book, ledger, random, home, rates, _folder: folder }
    }

    /// Book and ledger of another process of the host.
    pub(super) fn other(&self) -> (Arc<Book>, HostLedger) {
        let random = Arc::clone(&self.random) as _;
        let book = Arc::new(Book::new(Arc::clone(&self.store) as _, random, Arc::clone(&self.home), Vec::new()));
        (Arc::clone(&book), HostLedger::new(Arc::clone(&self.rates), book, Arc::new(SystemClock::default())))
    }

    pub(super) fn caller(&self, name: &str, namespace: u8, login: Login) -> Caller {
        let namespace = Namespace {
            id: NamespaceId([namespace; 16]),
            tenant: "acme".into(),
            name: format!("token{namespace}"),
            ordinal: 0,
            incarnation: 1,
            policy_required: false,
            settings: Settings::default(),
            backend: crate::tenant::BackendId::soft(),
        };
        let fresh = || Arc::clone(&self.home);
        Caller::from(CallerParts {
            principal: Arc::new(Principal::new(name, Vec::new())),
            namespace: Arc::new(namespace),
            login,
            keyring: Arc::new(Keyring { public: fresh(), private: None, ephemeral: fresh(), officer: None }),
            session: 1,
            authenticated: Timestamp(0),
        })
    }

    pub(super) fn alice(&self) -> Caller {
        self.caller("user:alice", 7, Login::None)
    }

    pub(super) fn generation(&self) -> u64 {
        self.store.generation()
    }
}

/// Subjects of a use of the key of this name, which is a copy of `copy_of`.
pub(super) fn key(name: &str, copy_of: &[&str]) -> Subjects {
    let key = Key {
        name: name.to_owned(),
        origin: String::new(),
        class: KeyClass::Secret,
        key_type: KeyType::Aes,
        usage: Usage::default(),
        protection: Protection::default(),
        state: KeyState::Active,
        allowed_mechanisms: Vec::new(),
        copy_of: copy_of.iter().map(|&name| name.to_owned()).collect(),
        tags: Vec::new(),
        start: None,
        end: None,
        audit: AuditMode::Normal,
        left: Vec::new(),
        lifecycle: crate::key::Lifecycle::default(),
        metadata: crate::key::Metadata::default(),
        primary: 1,
        versions: Vec::new(),
    };
    let object = Object {
        id: ObjectId([9; 16]),
        namespace: NamespaceId([7; 16]),
        private: false,
        modifiable: true,
        copyable: true,
        destroyable: true,
        label: Vec::new(),
        identifier: Vec::new(),
        attributes: Default::default(),
        body: Body::Key(Box::new(key)),
        created: Timestamp(0),
        edition: 1,
        storage: Storage::Stored,
        revision: 0,
        uses: Default::default(),
    };
    Subjects { subject: Subject::Object(Arc::new(object)), ..Subjects::NAMESPACE }
}

pub(super) const fn demand<'a>(caller: &'a Caller, action: Action, subjects: &'a Subjects) -> Demand<'a> {
    Demand { caller, action, subjects, bytes: None, limits: &[], counted: &[], time: NOW, again: false }
}
