//! `[server]` of kmss.toml.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use libkmss::config::Config;
use libkmss::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer, de::Error as _};

/// What of the file is the server's.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    server: ServerConfig,
}

/// Settings of the server; docs/server.md says what they mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Addresses of TLS listeners.
    pub listen: Vec<SocketAddr>,
    /// Path of a Unix socket.
    pub unix: Option<PathBuf>,
    /// Its mode.
    #[serde(deserialize_with = "octal")]
    pub unix_mode: u32,
    /// Certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Authorities whose certificates clients show, PEM.
    pub client_ca: Vec<PathBuf>,
    /// Their revocation lists, PEM.
    pub client_crl: Vec<PathBuf>,
    /// How often the files are looked at, in seconds.
    pub reload_s: u32,
    /// Address of the metrics; loopback.
    pub metrics: Option<SocketAddr>,
    /// The collector of traces: `https://…`, or `http://…` on a loopback address.
    pub traces: Option<String>,
    /// Authorities of its certificate, PEM.
    pub traces_ca: Option<PathBuf>,
    /// Which part of the calls is traced whose callers do not say, 0 to 1.
    pub traces_ratio: f64,
    /// What is served.
    #[serde(rename = "namespace")]
    pub namespaces: Vec<NamespaceConfig>,
    /// Largest message in bytes.
    pub max_message_bytes: u32,
    /// Most bytes that one stream has in memory.
    pub max_stream_bytes: u32,
    /// Longest deadline of a call in milliseconds, and that of calls without one.
    pub max_deadline_ms: u32,
    /// Most connections, and most calls of one connection at a time.
    pub max_connections: u32,
    /// See [`Self::max_connections`].
    pub max_calls: u32,
    /// Most connections of one peer.
    pub max_peer_connections: u32,
    /// Most calls of one peer at a time that take longer, and streams.
    pub max_peer_calls: u32,
    /// Most bytes that streams have in memory together,
    pub max_held_bytes: u32,
    /// and those of one peer.
    pub max_peer_held_bytes: u32,
    /// How long a stream that encrypts or decrypts may take, in seconds.
    pub max_stream_s: u32,
    /// Threads that take calls; 0 for one for each processor.
    pub workers: u32,
    /// Threads for what takes longer.
    pub blocking: u32,
    /// Calls that wait for one of them.
    pub queue: u32,
    /// How long a request id is remembered, in seconds, and how many are.
    pub request_window_s: u32,
    /// See [`Self::request_window_s`].
    pub request_window: u32,
    /// How long calls may take to end when the server stops, in seconds.
    pub drain_s: u32,
    /// How often keys are looked for whose time has come, in seconds; 0 for never.
    pub lifecycle_s: u32,
}

/// A namespace that is served.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamespaceConfig {
    /// `name`, or `tenant/name`.
    pub name: String,
    /// Who may use it; everybody who is let in where nobody is named.
    pub principals: Vec<String>,
    /// Who may try the security officer's PIN, and users' PINs; whoever may use it where nobody is named.
    pub officers: Vec<String>,
    /// Where the user's PIN is: a variable,
    pub pin_env: Option<String>,
    /// a file,
    pub pin_file: Option<PathBuf>,
    /// or a credential of systemd.
    pub pin_credential: Option<String>,
}

impl NamespaceConfig {
    /// Whether it says where the user's PIN is.
    pub(super) const fn has_pin(&self) -> bool {
        self.pin_env.is_some() || self.pin_file.is_some() || self.pin_credential.is_some()
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            unix: None,
            unix_mode: 0o660,
            certificate: None,
            key: None,
            client_ca: Vec::new(),
            client_crl: Vec::new(),
            reload_s: 5,
            metrics: None,
            traces: None,
            traces_ca: None,
            traces_ratio: 1.0,
            namespaces: Vec::new(),
            max_message_bytes: 4 << 20,
            max_stream_bytes: 64 << 20,
            max_deadline_ms: 30_000,
            max_connections: 4096,
            max_calls: 256,
            max_peer_connections: 1024,
            max_peer_calls: 128,
            max_held_bytes: 1 << 30,
            max_peer_held_bytes: 256 << 20,
            max_stream_s: 3600,
            workers: 0,
            blocking: 16,
            queue: 256,
            request_window_s: 60,
            request_window: 100_000,
            drain_s: 20,
            lifecycle_s: 60,
        }
    }
}

impl ServerConfig {
    /// That of `config`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for what cannot be understood, or cannot work.
    pub fn of(config: &Config) -> Result<Self> {
        config.section::<File>()?.server.checked()
    }

    /// Refuses what cannot work.
    pub(super) fn checked(self) -> Result<Self> {
        let bad = |why: &str| Err(Error::new(ErrorKind::Config, format!("[server]: {why}")));
        if self.listen.is_empty() && self.unix.is_none() {
            return bad("neither `listen` nor `unix` says where to listen");
        }
        if !self.listen.is_empty() && (self.certificate.is_none() || self.key.is_none() || self.client_ca.is_empty()) {
            return bad("`listen` wants `certificate`, `key` and `client_ca`");
        }
        if self.namespaces.is_empty() {
            return bad("no [[server.namespace]] says what to serve");
        }
        let sources = |n: &NamespaceConfig| {
            usize::from(n.pin_env.is_some())
                + usize::from(n.pin_file.is_some())
                + usize::from(n.pin_credential.is_some())
        };
        if self.namespaces.iter().any(|n| n.name.is_empty() || sources(n) > 1) {
            return bad("a namespace has a name and at most one of `pin_env`, `pin_file` and `pin_credential`");
        }
        if self.metrics.is_some_and(|at| !at.ip().is_loopback()) {
            return bad("`metrics` is for a loopback address: it has no authentication");
        }
        if let Some(collector) = &self.traces {
            let known = collector.parse::<http::Uri>().ok().and_then(|uri| {
                let host = uri.host()?.trim_matches(['[', ']']);
                let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|at| at.is_loopback());
                Some((uri.scheme_str()?.to_owned(), loopback))
            });
            match known.as_ref().map(|(scheme, loopback)| (scheme.as_str(), *loopback)) {
                Some(("http", true)) => {}
                Some(("http", false)) => return bad("`traces` over http is for a loopback address: use https"),
                Some(("https", _)) if self.traces_ca.is_some() => {}
                Some(("https", _)) => return bad("`traces` over https wants `traces_ca`"),
                _ => return bad("`traces` is the address of a collector, such as \"http://127.0.0.1:4317\""),
            }
        }
        if !(0.0..=1.0).contains(&self.traces_ratio) {
            return bad("`traces_ratio` is between 0 and 1");
        }
        let relative = |path: &PathBuf| !path.is_absolute();
        let files = self.unix.iter().chain(&self.certificate).chain(&self.key).chain(&self.client_ca);
        if files.chain(&self.client_crl).chain(&self.traces_ca).any(relative) {
            return bad("paths are absolute");
        }
        let counts = [
            [self.max_connections, self.max_calls, self.max_peer_connections, self.max_peer_calls],
            [self.blocking, self.queue, self.reload_s, self.max_stream_s],
        ];
        let bounds = (1 << 12..=1 << 30).contains(&self.max_message_bytes)
            && (1 << 12..=1 << 30).contains(&self.max_stream_bytes)
            && (10..=600_000).contains(&self.max_deadline_ms)
            && self.max_held_bytes >= 1 << 12
            && self.max_peer_held_bytes >= 1 << 12
            && counts.as_flattened().iter().all(|n| (1..=1 << 20).contains(n))
            && self.workers <= 1024
            && self.blocking <= 1024
            && self.request_window <= 10_000_000;
        if !bounds {
            return bad("a limit is out of range: docs/server.md has the ranges");
        }
        Ok(self)
    }

    /// Longest deadline.
    pub(super) fn max_deadline(&self) -> Duration {
        Duration::from_millis(u64::from(self.max_deadline_ms))
    }
}

fn octal<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    let text = String::deserialize(d)?;
    let mode = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(&text), 8).ok();
    // A socket that everybody may write to is fine: who connects is looked at.
    mode.filter(|mode| *mode <= 0o777)
        .ok_or_else(|| D::Error::custom(format_args!("`{text}` is no mode: write \"0660\"")))
}
