//! kmssd in a process of its own, and homes whose tokens have their keys there.

use std::fs;
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::built;
use crate::home::Home;
use crate::program::{Program, Running};

/// A home with the token `web`, served on a Unix socket.
pub struct Kmssd {
    /// The server's home.
    pub home: Home,
    running: Option<Running>,
    socket: PathBuf,
}

impl Kmssd {
    /// A running one.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start() -> Self {
        let home = Home::with_token("web");
        let socket = home.file("kmssd.sock");
        // Whoever can reach the folder may come: who it is, the kernel says.
        let config = format!("[server]\nunix = \"{}\"\nunix_mode = \"0666\"\n\n{SERVED}", socket.display());
        fs::write(home.path().join("kmss.toml"), config).expect("the home is ours");
        let mut server = Self { home, running: None, socket };
        server.run();
        server
    }

    /// One whose token `web` has its keys on the server `behind`.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn agent(behind: &Self) -> Self {
        let home = client(&[behind.uri()], "");
        let socket = home.file("agent.sock");
        let path = home.path().join("kmss.toml");
        let config = fs::read_to_string(&path).expect("the home is ours");
        fs::write(path, format!("{config}\n[server]\nunix = \"{}\"\n\n{SERVED}", socket.display())).expect("as before");
        let mut server = Self { home, running: None, socket };
        server.run();
        server
    }

    /// Starts it, where it does not run.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn run(&mut self) {
        let program = Program::new(built::server()).envs(&self.home.variables());
        let mut running = program.keep_running();
        let socket = self.socket.clone();
        running.wait_until("listening", || UnixStream::connect(&socket).is_ok());
        self.running = Some(running);
    }

    /// Kills it, as the kernel would.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.signal(libc::SIGKILL);
            let _ = running.wait_end();
        }
    }

    /// Its address.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("unix:{}", self.socket.display())
    }
}

/// What of a home is served.
const SERVED: &str = "[[server.namespace]]\nname = \"web\"\npin_env = \"KMSS_PIN\"\n";

/// A home with a token `web`, whose keys are on the server at `uris`; `more` is said of the server in its configuration.
///
/// # Panics
/// Where it cannot be made.
#[must_use]
pub fn client(uris: &[String], more: &str) -> Home {
    client_with("web", uris, more)
}

/// As [`client`], with a token of another name.
///
/// # Panics
/// As [`client`].
#[must_use]
pub fn client_with(token: &str, uris: &[String], more: &str) -> Home {
    let home = Home::new();
    home.kmss("home init").succeed();
    keep_there(&home, token, uris, more);
    home
}

/// Makes a token in `home`, which there is, with its keys on the server at `uris`.
///
/// # Panics
/// As [`client`].
pub fn keep_there(home: &Home, token: &str, uris: &[String], more: &str) {
    let config = format!("[[remote]]\nname = \"prod\"\nuris = {uris:?}\n{more}\n");
    fs::write(home.path().join("kmss.toml"), config).expect("the home is ours");
    home.kmss("token init").args([token, "--backend", "prod"]).succeed();
}

/// Where the keys of a token are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// In the home that the program opens.
    Here,
    /// On a kmssd, which the home's token has for its backend.
    OnAServer,
}

/// A home with a token, and the server that goes with it where the keys are there.
pub struct Kept {
    home: Home,
    server: Option<Kmssd>,
}

impl Kept {
    /// A home with the token `label`.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[must_use]
    pub fn with_token(label: &str, keys: Keys) -> Self {
        match keys {
            Keys::Here => Self { home: Home::with_token(label), server: None },
            Keys::OnAServer => {
                let server = Kmssd::start();
                // Patience, because all tests run at once; a namespace, because programs call their token as they like.
                let home = client_with(label, &[server.uri()], "deadline_ms = 60000\nnamespace = \"web\"");
                Self { home, server: Some(server) }
            }
        }
    }

    /// Asks for audits that are whole, and for signatures of the server's own where the keys are there.
    ///
    /// # Panics
    /// With what `kmss audit verify` said, or where the server did nothing.
    #[track_caller]
    pub fn audits_are_whole(&self) {
        if built::stand_in() {
            return;
        }
        self.home.audit_is_whole();
        let Some(server) = &self.server else { return };
        server.home.audit_is_whole();
        let used = |record: &serde_json::Value| record["action"] == "sign" && record["outcome"] == "success";
        assert!(server.home.audit(10_000).iter().any(used), "the server signed nothing");
    }
}

impl Deref for Kept {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

/// Makes two tests of each function: with its keys here, and with its keys on a server. `home(Keys)`, which the file has, makes
/// what the function is given.
#[macro_export]
macro_rules! wherever_the_keys_are {
    ($($test:ident),+ $(,)?) => {
        mod with_its_keys_here {
            $(#[test]
            fn $test() {
                super::$test(&super::home($crate::remote::Keys::Here));
            })+
        }
        mod with_its_keys_on_a_server {
            $(#[test]
            fn $test() {
                if !$crate::built::only_kmss("a server") {
                    super::$test(&super::home($crate::remote::Keys::OnAServer));
                }
            })+
        }
    };
}
