//! Members of groups of HSMs: tokens of one SoftHSM2, each behind a copy of its own of the module that fails on command, so that
//! each can be killed alone. Only for tests that are a program of their own: the process is told of SoftHSM2 by a variable.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libkmss::config::{HsmConfig, PinSource, Quirks};
use tempfile::TempDir;

use crate::built;
use crate::program::{needs, needs_file};

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const HSM_PIN: &str = "hsm-1234";
/// So many tokens are made before the module is loaded: two for each test, and more.
const TOKENS: usize = 40;
/// One SoftHSM2 for the process.
pub struct World {
    /// Where its tokens are, and its `softhsm2.conf`.
    pub folder: TempDir,
    next: AtomicUsize,
    turn: Mutex<()>,
}

/// That one.
///
/// # Panics
/// Where it cannot be made.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        needs(&["softhsm2-util", "openssl"]);
        needs_file(SOFTHSM);
        let folder = tempfile::Builder::new().prefix("kmss-groups-").tempdir().expect("it is ours");
        let (tokens, conf) = (folder.path().join("tokens"), folder.path().join("softhsm2.conf"));
        fs::create_dir(&tokens).expect("it is ours");
        fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()))
            .expect("it is ours");
        #[allow(unsafe_code, reason = "a variable is how SoftHSM2 is told where its tokens are")]
        // SAFETY: every test begins here, and nothing has read variables yet that runs beside it.
        unsafe {
            std::env::set_var("SOFTHSM2_CONF", &conf);
        }
        for number in 0..TOKENS {
            let words = ["--init-token", "--free", "--so-pin", "so-5678", "--pin", HSM_PIN, "--label"];
            tool(&words, &format!("t{number:02}"));
        }
        World { folder, next: AtomicUsize::new(0), turn: Mutex::new(()) }
    })
}

/// `softhsm2-util`, with a last word.
fn tool(words: &[&str], last: &str) {
    let made = Command::new("softhsm2-util").args(words).arg(last).output().expect("it is ours");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A member: a token, and a copy of the module that fails on command before it.
pub struct Member {
    folder: TempDir,
    /// The label of its token.
    pub label: String,
}

impl Default for Member {
    fn default() -> Self {
        Self::new()
    }
}

impl Member {
    /// One with a token that nobody has.
    ///
    /// # Panics
    /// Where a file cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let label = format!("t{:02}", world().next.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix("kmss-member-").tempdir().expect("it is ours");
        let built = built::target().join("debug/libfaulty_module.so");
        fs::copy(&built, folder.path().join("libfaulty_module.so"))
            .unwrap_or_else(|e| panic!("`{}` was not built: {e}", built.display()));
        fs::write(folder.path().join("faulty.module"), SOFTHSM).expect("it is ours");
        let pin = folder.path().join("pin");
        fs::write(&pin, HSM_PIN).expect("it is ours");
        fs::set_permissions(&pin, fs::Permissions::from_mode(0o600)).expect("it is ours");
        Self { folder, label }
    }

    /// A file beside the module.
    ///
    /// # Panics
    /// Where a file cannot be written.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Commands the module; nothing takes all commands back.
    ///
    /// # Panics
    /// Where a file cannot be written.
    pub fn command(&self, lines: &str) {
        // In one step: a module that reads it meanwhile sees the old or the new one.
        fs::write(self.file("faulty.next"), lines).expect("it is ours");
        fs::rename(self.file("faulty.next"), self.file("faulty.control")).expect("it is ours");
    }

    /// Has it fail at everything.
    ///
    /// # Panics
    /// Where a file cannot be written.
    pub fn kill(&self) {
        self.command("* CKR_DEVICE_ERROR");
    }

    /// Takes all commands back.
    ///
    /// # Panics
    /// Where a file cannot be written.
    pub fn revive(&self) {
        self.command("");
    }

    /// How often a function was called since [`Self::note_calls`].
    ///
    /// # Panics
    /// Where nothing was noted.
    #[must_use]
    pub fn calls(&self, function: &str) -> usize {
        fs::read_to_string(self.file("faulty.calls"))
            .expect("it is ours")
            .lines()
            .filter(|line| *line == function)
            .count()
    }

    /// Lets the module note calls from here on.
    ///
    /// # Panics
    /// Where a file cannot be written.
    pub fn note_calls(&self) {
        fs::write(self.file("faulty.calls"), "").expect("it is ours");
    }

    /// An HSM of this name.
    ///
    /// # Panics
    /// Where a file cannot be written.
    #[must_use]
    pub fn config(&self, name: &str) -> HsmConfig {
        HsmConfig {
            name: name.to_owned(),
            module: self.file("libfaulty_module.so"),
            token: Some(self.label.clone()),
            serial: None,
            slot: None,
            pin: Some(PinSource::File(self.file("pin"))),
            max_sessions: 16,
            deadline_ms: 5_000,
            quirks: Quirks::default(),
        }
    }

    /// Puts a private key with this CKA_ID into the token, past KMSS.
    ///
    /// # Panics
    /// Where that fails.
    pub fn import(&self, pem: &str, id: &str) {
        let words = ["--import", pem, "--force", "--token", &self.label, "--label", "tls", "--pin", HSM_PIN, "--id"];
        tool(&words, id);
    }
}

impl World {
    /// Waits until this test may use it: some take the module down.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
