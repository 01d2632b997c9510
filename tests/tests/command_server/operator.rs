//! Whoever uses the command against a server.

use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN, json_items};
use kmss_tests::program::Program;
use serde_json::Value;

use crate::kit::Kmssd;

/// Whoever runs the tests, as the server's Unix socket knows it.
pub(crate) fn myself() -> String {
    format!("[[principal]]\nname = \"user:me\"\nuid = {}\nroles = [\"auditor\"]\n", uid())
}

fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid()
}

/// `kmss` somewhere without a home, which it must not make.
pub(crate) struct Operator {
    /// Where it stands.
    pub(crate) folder: Home,
    server: Vec<String>,
}

impl Operator {
    /// Over the Unix socket, as whoever runs the tests.
    pub(crate) fn on_socket(server: &Kmssd) -> Self {
        Self::at(&format!("unix:{}", server.socket().display()))
    }

    /// To whoever is at `uri`.
    pub(crate) fn at(uri: &str) -> Self {
        Self { folder: Home::new(), server: vec!["--server".to_owned(), uri.to_owned()] }
    }

    /// Over TLS, by a certificate with these names.
    pub(crate) fn by_certificate(server: &Kmssd, names: &[&str]) -> Self {
        let folder = Home::new();
        let authority = server.authority.as_ref().expect("the server has TLS");
        let (certificate, key) = authority.issue(names, 0);
        let file = |name: &str, text: &str| {
            let path = folder.file(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (uri, ca) = (format!("https://localhost:{}", server.port()), file("ca.pem", &authority.pem()));
        let (certificate, key) = (file("me.pem", &certificate), file("me.key", &key));
        let words = ["--server", &uri, "--server-ca", &ca, "--server-cert", &certificate, "--server-key", &key];
        let server = words.map(str::to_owned).to_vec();
        Self { folder, server }
    }

    /// The command with these words.
    pub(crate) fn kmss(&self, words: &str) -> Program {
        let program = Program::new(built::command()).envs(&self.folder.variables()).within(self.folder.folder());
        program.env("KMSS_SO_PIN", SO_PIN).env("KMSS_PIN", PIN).args(&self.server).words(words)
    }

    /// The command with these words, whose output is taken slowly: `begun` says that some of it was, and the rest waits for `go`.
    pub(crate) fn slowly(&self, words: &str) -> Program {
        let reader = "head -c 100000 > /dev/null; touch begun; until [ -e go ]; do sleep 0.05; done; cat > /dev/null";
        let script = format!("set -o pipefail; \"$0\" \"$@\" | {{ {reader}; }}");
        let program = Program::new("bash").envs(&self.folder.variables()).within(self.folder.folder());
        program.arg("-c").arg(script).arg(built::command()).args(&self.server).words(words)
    }

    /// What it prints as JSON.
    pub(crate) fn json(&self, words: &str) -> Vec<Value> {
        json_items(&self.kmss(&format!("{words} --json")).succeed())
    }

    /// A file of this name there.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.file(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        assert!(!self.folder.path().exists() || std::thread::panicking(), "a home was made");
    }
}

/// Whoever runs the tests, as an administrator.
pub(crate) fn administrator() -> String {
    format!("{}\n[policy]\nadmins = [\"user:me\"]\n", myself())
}

/// A server whose administrator is whoever runs the tests, and an operator who is that.
pub(crate) fn administered() -> (Kmssd, Operator) {
    let server = Kmssd::start("", &administrator());
    let me = Operator::on_socket(&server);
    (server, me)
}

/// The same question on the home itself.
pub(crate) fn there(server: &Kmssd, words: &str) -> Vec<Value> {
    json_items(&server.home.kmss(&format!("{words} --json")).succeed())
}
