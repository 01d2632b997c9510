//! Keys in a real SoftHSM2, through the hall: what they do, what becomes of them when the device loses its sessions, and that
//! their secrets stay there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod adoption;
mod keys;
mod losses;
mod owners;
mod sessions;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::config::{
    AuditConfig, Config, Explanation, HomeSource, HsmConfig, PinConfig, PinSource, PolicyConfig, StoreConfig,
};
use libkmss::error::{ErrorKind, Result};
use libkmss::key::{BackendId, KeyClass, KeySpec, Object, Protection, Storage, Usage};
use libkmss::kms::Kms;
use libkmss::mechanism::Mechanism;
use libkmss::operation::{Draft, GeneratePair, GenerateSecret, ObjectRef, Sign, Verify};
use libkmss::secret::Secret;
use libkmss::settings::Settings;
use libkmss::suite::Suite;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const HSM_PIN: &str = "hsm-1234";
const PIN: &[u8] = b"user-1234";
/// So many tokens are made before the module is loaded: one for each test.
const TOKENS: usize = 40;

/// One SoftHSM2 for the process, with many tokens; the tests take turns, because some of them take it down.
struct World {
    folder: tempfile::TempDir,
    next: AtomicUsize,
    turn: Mutex<()>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (tokens, conf) = (folder.path().join("tokens"), folder.path().join("softhsm2.conf"));
        std::fs::create_dir(&tokens).unwrap();
        std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
        #[expect(unsafe_code, reason = "the variable is set before anything reads it")]
        // SAFETY: nothing else runs yet that looks at the environment: every test begins here.
        unsafe {
            std::env::set_var("SOFTHSM2_CONF", &conf);
        }
        for number in 0..TOKENS {
            let made = Command::new("softhsm2-util")
                .args(["--init-token", "--free", "--so-pin", "so-5678", "--pin", HSM_PIN, "--label"])
                .arg(format!("t{number}"))
                .stdout(Stdio::null())
                .status();
            assert!(made.expect("softhsm2 is installed by `cargo xtask setup`").success());
        }
        World { folder, next: AtomicUsize::new(0), turn: Mutex::new(()) }
    })
}

/// A home with a namespace whose keys live in a token of its own.
struct Vault {
    kms: Kms,
    caller: Caller,
    label: String,
    config: Config,
    _folder: tempfile::TempDir,
    // INVARIANT: the last field, so that the next test begins when all of this is gone.
    _turn: MutexGuard<'static, ()>,
}

impl Vault {
    fn new() -> Self {
        Self::with(|_| ())
    }

    /// One whose HSM is configured by `change`.
    fn with(change: impl FnOnce(&mut HsmConfig)) -> Self {
        let world = world();
        let turn = world.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let label = format!("t{}", world.next.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let mut hsm = hsm(&label);
        let config = config(folder.path(), hsm.clone());
        let kms = Kms::create(&config, None).unwrap();
        let backend = BackendId("vault".into());
        let officer = Secret::copy_of(b"so-12345");
        let namespace = kms.initialize_with(None, "flat", &officer, (Settings::default(), backend)).unwrap();
        let enter = |credential: &Credential<'_>| kms.login(&kms.enter(&namespace, 1).unwrap(), credential).unwrap();
        kms.set_user_pin(&enter(&Credential::OfficerPin(&officer)), "user", &Secret::copy_of(PIN)).unwrap();
        change(&mut hsm);
        let config = Config { hsms: vec![hsm], ..config };
        drop(kms);
        let kms = Kms::open(&config).unwrap().unwrap();
        let public = kms.enter(&namespace, 1).unwrap();
        let caller = kms.login(&public, &Credential::UserPin { name: "user", pin: &Secret::copy_of(PIN) }).unwrap();
        Self { kms, caller, label, config, _folder: folder, _turn: turn }
    }

    fn draft(&self, storage: Storage, spec: &KeySpec, class: KeyClass) -> Draft {
        let mut draft = self.kms.draft(storage).unwrap();
        (draft.private, draft.name) = (class != KeyClass::Public, String::new());
        draft.usage = Usage::all_for(spec.key_type(), class);
        draft.protection = Protection { sensitive: class != KeyClass::Public, ..Protection::default() };
        draft
    }

    fn pair(&self, spec: KeySpec) -> (Arc<Object>, Arc<Object>) {
        let private = self.draft(Storage::Stored, &spec, KeyClass::Private);
        let public = self.draft(Storage::Stored, &spec, KeyClass::Public);
        self.kms.perform(&self.caller, GeneratePair { spec, private, public }).unwrap()
    }

    fn secret(&self, spec: KeySpec, change: impl FnOnce(&mut Draft)) -> Arc<Object> {
        let mut draft = self.draft(Storage::Stored, &spec, KeyClass::Secret);
        change(&mut draft);
        self.kms.perform(&self.caller, GenerateSecret { spec, draft }).unwrap()
    }

    fn sign(&self, key: &Arc<Object>, how: &Mechanism, parts: &[&[u8]]) -> Result<Vec<u8>> {
        let how = how.clone().into();
        let mut signing = self.kms.begin(&self.caller, Sign { key: ObjectRef::from(key), how })?;
        for part in parts {
            signing.update(part, |running| running.update(part))?;
        }
        signing.finish(&[], |running| {
            let mut out = vec![0; running.signature_len()];
            running.finish(&mut out)?;
            Ok(out)
        })
    }

    fn verify(&self, key: &Arc<Object>, how: &Mechanism, data: &[u8], signature: &[u8]) -> Result<()> {
        let how = how.clone().into();
        let mut verifying = self.kms.begin(&self.caller, Verify { key: ObjectRef::from(key), how })?;
        verifying.finish(data, |running| {
            running.update(data)?;
            running.finish(signature)
        })
    }

    /// The token's own folder.
    fn directory(&self) -> PathBuf {
        let tokens = world().folder.path().join("tokens");
        let holds = |path: &PathBuf| {
            std::fs::read(path.join("token.object")).is_ok_and(|bytes| {
                let mut label = self.label.clone().into_bytes();
                label.resize(32, b' ');
                bytes.windows(32).any(|window| window == label)
            })
        };
        std::fs::read_dir(tokens).unwrap().map(|entry| entry.unwrap().path()).find(holds).unwrap()
    }

    /// The module as somebody else in this process uses it.
    fn stranger(&self) -> (Pkcs11, Slot) {
        let library = Pkcs11::new(MODULE).unwrap();
        let _ = library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slot = library
            .get_slots_with_token()
            .unwrap()
            .into_iter()
            .find(|slot| library.get_token_info(*slot).is_ok_and(|info| info.label() == self.label))
            .unwrap();
        (library, slot)
    }

    /// A session of that somebody, who is logged in as we are.
    fn look(&self) -> Session {
        let (library, slot) = self.stranger();
        let session = library.open_rw_session(slot).unwrap();
        let _ = session.login(UserType::User, Some(&HSM_PIN.to_owned().into()));
        session
    }
}

/// Closes every session of this process, ours and others'.
fn close_all_sessions(slot: Slot) {
    #[expect(unsafe_code, reason = "the safe crate does not offer this call")]
    // SAFETY: the module is loaded and stays so; the functions have the types that the standard fixes.
    unsafe {
        let library = cryptoki_sys::Pkcs11::new(MODULE).unwrap();
        let mut list = std::ptr::null_mut();
        assert_eq!(library.C_GetFunctionList(&raw mut list), cryptoki_sys::CKR_OK);
        assert_eq!((*list).C_CloseAllSessions.unwrap()(slot.id()), cryptoki_sys::CKR_OK);
    }
}

fn hsm(label: &str) -> HsmConfig {
    HsmConfig {
        quirks: libkmss::config::Quirks::default(),
        name: "vault".to_owned(),
        module: MODULE.into(),
        token: Some(label.to_owned()),
        serial: None,
        slot: None,
        pin: Some(PinSource::Command(vec!["/bin/echo".to_owned(), HSM_PIN.to_owned()])),
        max_sessions: 8,
        deadline_ms: 5_000,
    }
}

fn config(dir: &Path, hsm: HsmConfig) -> Config {
    Config {
        home: dir.join("home"),
        suite: Suite::Nist,
        pin: PinConfig { max_attempts: 3, ..PinConfig::default() },
        store: StoreConfig::default(),
        audit: AuditConfig::default(),
        policy: PolicyConfig::default(),
        principals: Vec::new(),
        text: "".into(),
        quotas: Vec::new(),
        hsms: vec![hsm],
        hsm_groups: Vec::new(),
        remotes: Vec::new(),
        explanation: Explanation {
            environment_ignored: false,
            considered: Vec::new(),
            home: HomeSource::Caller,
            file_owner: None,
            rules_ignored: None,
        },
    }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}
