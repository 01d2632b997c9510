//! Throw-away homes with tokens and keys in them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::built;
use crate::program::{Program, Said};

/// The user's PIN in every token of the tests.
pub const PIN: &str = "user-1234";
/// The security officer's PIN in every token of the tests.
pub const SO_PIN: &str = "officer-5678";

/// A folder that goes with the test, holding a home and whatever else the test writes.
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// An empty one: the home itself does not exist yet.
    ///
    /// # Panics
    /// Where no folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("kmss-test-").tempdir().expect("a folder can be made");
        // Other users' processes (nginx's workers) have to get through to the home.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        if built::stand_in() {
            fs::create_dir(folder.path().join("home")).expect("a folder can be made");
            let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", folder.path().join("home").display());
            fs::write(folder.path().join("softhsm2.conf"), text).expect("the folder is ours");
        }
        Self { folder }
    }

    /// One with an initialised token.
    ///
    /// # Panics
    /// Where the token cannot be made.
    #[must_use]
    pub fn with_token(label: &str) -> Self {
        let home = Self::new();
        home.init_token(label);
        home
    }

    /// The folder around the home, for what a test writes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file beside the home.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The home itself.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.file("home")
    }

    /// The variables that lead the module here.
    #[must_use]
    pub fn variables(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("KMSS_HOME".into(), self.path().into()),
            ("KMSS_PIN".into(), PIN.into()),
            ("KMSS_SO_PIN".into(), SO_PIN.into()),
            ("SOFTHSM2_CONF".into(), self.file("softhsm2.conf").into()),
        ]
    }

    /// The `kmss` command on this home.
    #[must_use]
    pub fn kmss(&self, words: &str) -> Program {
        Program::new(built::command()).envs(&self.variables()).words(words)
    }

    /// A program that finds this home.
    #[must_use]
    pub fn program(&self, program: &str) -> Program {
        Program::new(program).envs(&self.variables()).within(self.folder())
    }

    /// `pkcs11-tool` on the module under test, logged in where `label` names a token.
    #[must_use]
    pub fn pkcs11_tool(&self, label: &str, words: &str) -> Program {
        let tool = self.program("pkcs11-tool").arg("--module").arg(built::module());
        let tool =
            if label.is_empty() { tool } else { tool.words("--login --pin").arg(PIN).args(["--token-label", label]) };
        tool.words(words)
    }

    /// Initialises a token with both PINs.
    ///
    /// # Panics
    /// Where that fails.
    pub fn init_token(&self, label: &str) {
        if built::stand_in() {
            let tool = self.program("softhsm2-util").words("--init-token --free --label").arg(label);
            tool.args(["--pin", PIN, "--so-pin", SO_PIN]).succeed();
        } else {
            self.kmss("token init").arg(label).succeed();
        }
    }

    /// Makes a key (pair): `kind` is `rsa:2048`, `ec:p256` or `aes:256`, `id` in hex.
    ///
    /// # Panics
    /// Where that fails.
    pub fn generate(&self, token: &str, name: &str, kind: &str, id: &str) {
        if built::stand_in() {
            let kind = match kind {
                "ec:p256" => "EC:prime256v1",
                "ec:p384" => "EC:secp384r1",
                other => other,
            };
            let how = if kind.starts_with("aes") { "--keygen" } else { "--keypairgen" };
            let size = if kind == "aes:256" { "AES:32" } else { kind };
            self.pkcs11_tool(token, how).args(["--key-type", size, "--label", name, "--id", id]).succeed();
        } else {
            self.kmss("key generate").args([name, "--token", token, "--type", kind, "--id", id]).succeed();
        }
    }

    /// The last `n` records of the audit, as one JSON text a line.
    ///
    /// # Panics
    /// Where the audit cannot be read.
    #[must_use]
    pub fn audit(&self, n: usize) -> Vec<serde_json::Value> {
        let said = self.kmss(&format!("audit tail -n {n} --json")).succeed();
        json_items(&said)
    }

    /// Asks for an audit that is whole.
    ///
    /// # Panics
    /// With what `kmss audit verify` said, where it is not.
    #[track_caller]
    pub fn audit_is_whole(&self) {
        self.kmss("audit verify").succeed();
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

/// JSON as the command prints it: one array, one value, or one value a line.
///
/// # Panics
/// Where it is no JSON.
#[must_use]
pub fn json_items(said: &Said) -> Vec<serde_json::Value> {
    let mut items = Vec::new();
    for value in serde_json::Deserializer::from_str(&said.text()).into_iter::<serde_json::Value>() {
        match value.unwrap_or_else(|e| panic!("no JSON ({e}): {said}")) {
            serde_json::Value::Array(list) => items.extend(list),
            other => items.push(other),
        }
    }
    items
}
