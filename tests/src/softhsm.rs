//! SoftHSM2 as the HSM behind KMSS, in a folder of its own.

use std::fs;
use std::path::PathBuf;

use crate::built;
use crate::home::{Home, PIN};
use crate::program::{Program, Said, needs, needs_file};

/// Debian's module.
pub const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// The user's PIN in the HSM.
pub const HSM_PIN: &str = "hsm-1234";
/// What the HSM is called, and the label of its token.
pub const HSM: &str = "vault";

/// What SoftHSM2 knows of its tokens; their keys are in files of their own.
pub struct Tokens(Vec<(PathBuf, Vec<u8>)>);

impl Tokens {
    /// Puts back what a kill in the middle of a login left broken.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn restore(&self) {
        for (file, content) in &self.0 {
            if fs::read(file).ok().as_ref() != Some(content) {
                fs::write(file, content).expect("the HSM is ours");
            }
        }
    }
}

/// A home whose configuration names an HSM.
pub struct Vault {
    /// The home.
    pub home: Home,
}

impl Vault {
    /// One with an initialised HSM, and a token of KMSS whose keys live in it where `label` names one.
    ///
    /// # Panics
    /// Where SoftHSM2 is not installed.
    #[must_use]
    pub fn new(label: &str) -> Self {
        needs(&["softhsm2-util", "pkcs11-tool"]);
        needs_file(SOFTHSM);
        let vault = Self { home: Home::new() };
        let home = &vault.home;
        fs::create_dir(home.file("tokens")).expect("a folder can be made");
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", home.file("tokens").display());
        fs::write(home.file("softhsm2.conf"), text).expect("the folder is ours");
        let init = home.program("softhsm2-util").words("--init-token --free --so-pin so-5678 --label").arg(HSM);
        init.args(["--pin", HSM_PIN]).succeed();
        vault.configure("");
        if !label.is_empty() {
            home.kmss("token init --backend").args([HSM, label]).succeed();
        }
        vault
    }

    /// Writes the configuration, with `more` in the table of the HSM.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn configure(&self, more: &str) {
        let folder = self.home.path();
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("it is ours");
        let pin = self.home.file("hsm.pin");
        fs::write(&pin, HSM_PIN).expect("the folder is ours");
        fs::set_permissions(&pin, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
        let pin =
            if more.contains("pin =") { String::new() } else { format!("pin = {{ file = \"{}\" }}\n", pin.display()) };
        let text = format!("[[hsm]]\nname = \"{HSM}\"\nmodule = \"{SOFTHSM}\"\ntoken = \"{HSM}\"\n{pin}{more}\n");
        let file = folder.join("kmss.toml");
        fs::write(&file, text).expect("the home is ours");
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    }

    /// What SoftHSM2 knows of its tokens now. It rewrites that at every login, and not in one step: a kill in the middle breaks the
    /// HSM itself, as it breaks no real one.
    ///
    /// # Panics
    /// Where it cannot be read.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        let folders = fs::read_dir(self.home.file("tokens")).expect("the HSM is ours");
        let files = folders.map(|folder| folder.expect("the HSM is ours").path().join("token.object"));
        Tokens(files.map(|file| (file.clone(), fs::read(file).expect("the HSM is ours"))).collect())
    }

    /// `pkcs11-tool` on the HSM itself.
    ///
    /// # Panics
    /// Where it fails.
    pub fn inside(&self, words: &str) -> Said {
        let tool = self.home.program("pkcs11-tool").args(["--module", SOFTHSM, "--token-label", HSM, "--login"]);
        tool.args(["--pin", HSM_PIN]).words(words).succeed()
    }

    /// `pkcs11-tool` on KMSS.
    #[must_use]
    pub fn outside(&self, label: &str, words: &str) -> Program {
        let tool = self.home.program("pkcs11-tool").arg("--module").arg(built::module());
        tool.words("--login --pin").arg(PIN).args(["--token-label", label]).words(words)
    }
}
