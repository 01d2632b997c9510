//! A home as a door sees it: made, filled, shared, and told of by its audit trail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod backup;
mod batch;
mod compat;
mod messages;
mod namespaces;
mod objects;
mod pins;
mod policies;
mod settings;
mod trail;

use std::path::Path;
use std::sync::Arc;

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::config::{AuditConfig, Config, Explanation, HomeSource, PinConfig, PolicyConfig, StoreConfig};
use libkmss::error::{ErrorKind, Result};
use libkmss::key::{KeyClass, KeySpec, Object, Storage, Usage};
use libkmss::kms::Kms;
use libkmss::mechanism::{BlockCipher, KeyType, MacMechanism, Mechanism};
use libkmss::operation::{Chosen, Draft, GenerateSecret, ObjectRef, Sign};
use libkmss::secret::Secret;
use libkmss::suite::Suite;
use libkmss::tenant::Namespace;

const SO_PIN: &[u8] = b"so-12345";
const PIN: &[u8] = b"user-1234";

const SUITES: [Suite; 2] = [Suite::Nist, Suite::Gm];

/// A home with one namespace and one user.
struct Flat {
    dir: tempfile::TempDir,
    config: Config,
    kms: Kms,
    namespace: Namespace,
}

impl Flat {
    fn new(suite: Suite) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), suite);
        let kms = Kms::create(&config, None).unwrap();
        let namespace = kms.initialize(None, "flat", &pin(SO_PIN)).unwrap();
        let flat = Self { dir, config, kms, namespace };
        flat.kms.set_user_pin(&flat.officer(), "user", &pin(PIN)).unwrap();
        flat
    }

    fn public(&self) -> Caller {
        self.kms.enter(&self.namespace, 1).unwrap()
    }

    fn try_login(&self, bytes: &[u8]) -> Result<Caller> {
        self.kms.login(&self.public(), &Credential::UserPin { name: "user", pin: &pin(bytes) })
    }

    fn user(&self) -> Caller {
        self.try_login(PIN).unwrap()
    }

    fn officer(&self) -> Caller {
        self.kms.login(&self.public(), &Credential::OfficerPin(&pin(SO_PIN))).unwrap()
    }

    /// The same home, as another process would open it.
    fn another(&self) -> Kms {
        Kms::open(&self.config).unwrap().unwrap()
    }

    fn aes(&self, caller: &Caller, storage: Storage, label: &str) -> Arc<Object> {
        let spec = KeySpec::Secret { key_type: KeyType::Aes, len: 32 };
        self.kms.perform(caller, GenerateSecret { spec, draft: self.draft(storage, label) }).unwrap()
    }

    fn draft(&self, storage: Storage, label: &str) -> Draft {
        let mut draft = self.kms.draft(storage).unwrap();
        (draft.private, draft.label) = (true, label.into());
        draft.usage = Usage::all_for(KeyType::Aes, KeyClass::Secret);
        draft.protection.extractable = true;
        draft
    }
}

fn config(dir: &Path, suite: Suite) -> Config {
    Config {
        home: dir.join("home"),
        suite,
        pin: PinConfig { max_attempts: 3, ..PinConfig::default() },
        store: StoreConfig::default(),
        audit: AuditConfig::default(),
        policy: PolicyConfig::default(),
        principals: Vec::new(),
        quotas: Vec::new(),
        hsms: Vec::new(),
        hsm_groups: Vec::new(),
        remotes: Vec::new(),
        explanation: Explanation {
            environment_ignored: false,
            considered: Vec::new(),
            home: HomeSource::Caller,
            file_owner: None,
            rules_ignored: None,
        },
        text: "".into(),
    }
}

fn pin(bytes: &[u8]) -> Secret {
    Secret::copy_of(bytes)
}

fn cmac() -> Chosen {
    Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 }).into()
}

fn sign(kms: &Kms, caller: &Caller, key: &Arc<Object>, data: &[u8]) -> Result<Vec<u8>> {
    let mut signing = kms.begin(caller, Sign { key: ObjectRef::from(key), how: cmac() })?;
    signing.finish(data, |running| {
        running.update(data)?;
        let mut out = vec![0; running.signature_len()];
        running.finish(&mut out)?;
        Ok(out)
    })
}

fn name(object: &Object) -> &str {
    &object.key().unwrap().name
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

/// What puts a key that has no other half into a state.
fn turned(key: &Arc<Object>, state: libkmss::key::KeyState) -> libkmss::operation::ChangeLife {
    let transition = libkmss::key::Transition::into_state(state).unwrap();
    libkmss::operation::ChangeLife { key: ObjectRef::from(key), other: None, transition }
}
