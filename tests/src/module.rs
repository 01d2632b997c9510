//! Modules of other makers with a token in a folder of their own, as HSMs behind KMSS; and the one that fails on command.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use libkmss::config::{HsmConfig, PinSource, Quirks};
use tempfile::TempDir;

use crate::built;
use crate::program::{Program, Said};

/// Debian's SoftHSM2.
pub const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// The user's PIN in the token.
pub const HSM_PIN: &str = "hsm-1234";
/// The officer's.
const HSM_SO_PIN: &str = "hsm-so-5678";
/// The token's label.
pub const HSM_LABEL: &str = "contract";

/// A module with an initialised token.
pub struct Module {
    folder: TempDir,
    /// What is loaded.
    pub path: PathBuf,
    /// What leads it to its token.
    pub variables: Vec<(OsString, OsString)>,
}

impl Module {
    /// SoftHSM2.
    ///
    /// # Panics
    /// Where it is not installed.
    #[must_use]
    pub fn softhsm() -> Self {
        let folder = folder();
        let (tokens, config) = (folder.path().join("tokens"), folder.path().join("softhsm2.conf"));
        fs::create_dir(&tokens).expect("a folder can be made");
        fs::write(&config, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()))
            .expect("the folder is ours");
        let module = Self { folder, path: SOFTHSM.into(), variables: vec![("SOFTHSM2_CONF".into(), config.into())] };
        let tool = Program::new("softhsm2-util").envs(&module.variables).words("--init-token --free --label");
        tool.args([HSM_LABEL, "--pin", HSM_PIN, "--so-pin", HSM_SO_PIN]).succeed();
        module
    }

    /// Kryoptic, as `cargo xtask setup` compiled it; `None`, said aloud, where it could not.
    ///
    /// # Panics
    /// Where setup has not run.
    #[must_use]
    pub fn kryoptic() -> Option<Self> {
        let path = built::clients("kryoptic")?.join("libkryoptic_pkcs11.so");
        let folder = folder();
        let config = folder.path().join("kryoptic.conf");
        let store = folder.path().join("token.sql");
        let text = format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", store.display());
        fs::write(&config, text).expect("the folder is ours");
        let module = Self { folder, path, variables: vec![("KRYOPTIC_CONF".into(), config.into())] };
        let tool = || module.tool().args(["--slot-index", "0", "--so-pin", HSM_SO_PIN]);
        tool().args(["--init-token", "--label", HSM_LABEL]).succeed();
        tool().args(["--login", "--login-type", "so", "--init-pin", "--new-pin", HSM_PIN]).succeed();
        Some(module)
    }

    /// The same token behind a module of its own that fails on command.
    ///
    /// # Panics
    /// Where that module was not built.
    #[must_use]
    pub fn faulty(self) -> Self {
        let path = self.folder.path().join("libfaulty_module.so");
        let built = built::target().join("debug/libfaulty_module.so");
        fs::copy(&built, &path).unwrap_or_else(|e| panic!("`{}` was not built: {e}", built.display()));
        let real = self.path.to_str().expect("a path that is text");
        fs::write(self.folder.path().join("faulty.module"), real).expect("the folder is ours");
        Self { path, ..self }
    }

    /// Commands the faulty module; nothing takes all commands back.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn command(&self, lines: &str) {
        fs::write(self.file("faulty.control"), lines).expect("the folder is ours");
    }

    /// Lets the faulty module note calls from here on.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn note_calls(&self) {
        fs::write(self.file("faulty.calls"), "").expect("the folder is ours");
    }

    /// How often a function was called since.
    ///
    /// # Panics
    /// Where nothing was noted.
    #[must_use]
    pub fn calls(&self, function: &str) -> usize {
        let calls = fs::read_to_string(self.file("faulty.calls")).expect("calls were noted");
        calls.lines().filter(|line| *line == function).count()
    }

    /// A file beside the token.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An HSM of this name, for a configuration in this process.
    ///
    /// # Panics
    /// Where the PIN cannot be written down.
    #[must_use]
    pub fn config(&self, name: &str) -> HsmConfig {
        let pin = self.file("pin");
        fs::write(&pin, HSM_PIN).expect("the folder is ours");
        fs::set_permissions(&pin, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        HsmConfig {
            name: name.to_owned(),
            module: self.path.clone(),
            token: Some(HSM_LABEL.to_owned()),
            serial: None,
            slot: None,
            pin: Some(PinSource::File(pin)),
            max_sessions: 16,
            deadline_ms: 10_000,
            quirks: Quirks::default(),
        }
    }

    /// `kmss hsm probe` on it.
    #[must_use]
    pub fn probe(&self, words: &str) -> Program {
        self.probe_with(HSM_PIN, words)
    }

    /// The same with another PIN; none where it is empty.
    #[must_use]
    pub fn probe_with(&self, pin: &str, words: &str) -> Program {
        let probe =
            Program::new(built::command()).envs(&self.variables).words("hsm probe").arg(&self.path).words(words);
        if pin.is_empty() { probe } else { probe.env("KMSS_PIN", pin) }
    }

    /// What was put into the token, as `pkcs11-tool` lists it; what a module shows of itself there has no name in the tool.
    ///
    /// # Panics
    /// Where the tool fails.
    #[must_use]
    pub fn objects(&self) -> String {
        let tool = self.tool().args(["--token-label", HSM_LABEL, "--login", "--pin", HSM_PIN, "--list-objects"]);
        let listed = tool.succeed().text();
        listed.lines().filter(|line| !line.starts_with("Object ")).collect::<Vec<_>>().join("\n").trim().to_owned()
    }

    fn tool(&self) -> Program {
        Program::new("pkcs11-tool").envs(&self.variables).arg("--module").arg(&self.path)
    }

    /// Leads this very process to the token, for backends that run in it. Only for tests that are a program of their own.
    ///
    /// # Panics
    /// Never.
    #[allow(unsafe_code, reason = "variables of the process are how these modules are told where their tokens are")]
    pub fn lead_here(&self) {
        for (name, value) in &self.variables {
            // SAFETY: called first thing by a test that is alone in its program, before any thread reads variables.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("kmss-module-").tempdir().expect("a folder can be made")
}

/// Standard error of a program, for tests that look for words in it.
impl Said {
    /// Its standard error as text.
    #[must_use]
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}
