//! The `openssl` command as an independent judge of what the module computes, and as a client through its engine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::built;
use crate::home::{Home, PIN};
use crate::program::{Program, Said};

/// Debian's PKCS#11 engine.
pub const ENGINE: &str = "/usr/lib/x86_64-linux-gnu/engines-3/pkcs11.so";

/// A folder of files for one conversation with plain `openssl` (no engine, no configuration).
pub struct Judge {
    folder: tempfile::TempDir,
}

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}

impl Judge {
    /// An empty folder.
    ///
    /// # Panics
    /// Where no folder can be made.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder can be made") }
    }

    /// Writes a file.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn file(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join(name), bytes).expect("the folder is ours");
    }

    /// Reads a file that `openssl` wrote.
    ///
    /// # Panics
    /// Where it cannot be read.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).expect("openssl wrote it")
    }

    /// `openssl` with the words of `line`, in the folder.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn run(&self, line: &str) -> Said {
        Program::new("openssl").env("OPENSSL_CONF", "/dev/null").within(self.folder.path()).words(line).run()
    }

    /// The same, asking for success.
    ///
    /// # Panics
    /// With what `openssl` said, where it did not succeed.
    #[track_caller]
    pub fn succeed(&self, line: &str) -> Said {
        let said = self.run(line);
        assert!(said.success(), "{said}");
        said
    }
}

/// A client of the module through the engine, with its configuration in `home`.
pub struct Engine<'h> {
    home: &'h Home,
    configuration: PathBuf,
}

impl<'h> Engine<'h> {
    /// Writes the configuration.
    ///
    /// # Panics
    /// Where it cannot be written.
    #[must_use]
    pub fn new(home: &'h Home) -> Self {
        let configuration = home.file("openssl.cnf");
        fs::write(&configuration, configuration_text(&built::module())).expect("the folder is ours");
        Self { home, configuration }
    }

    /// `openssl` with the engine's configuration; `{e}` stands for the engine's options.
    #[must_use]
    pub fn openssl(&self, line: &str) -> Program {
        let line = line.replace("{e}", "-engine pkcs11 -keyform engine");
        self.home.program("openssl").env("OPENSSL_CONF", &self.configuration).words(&line)
    }

    /// Where the configuration lies.
    #[must_use]
    pub fn configuration(&self) -> &Path {
        &self.configuration
    }
}

/// The engine's configuration for `module`.
#[must_use]
pub fn configuration_text(module: &Path) -> String {
    let module = module.display();
    format!(
        "openssl_conf = o\n[o]\nengines = e\n[e]\npkcs11 = p\n[p]\nengine_id = pkcs11\ndynamic_path = {ENGINE}\n\
         MODULE_PATH = {module}\nPIN = {PIN}\ninit = 0\n[req]\ndistinguished_name = dn\n[dn]\n"
    )
}

/// The URI of a private key.
#[must_use]
pub fn key_uri(token: &str, object: &str) -> String {
    format!("pkcs11:token={token};object={object};type=private")
}
