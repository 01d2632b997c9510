//! Where a server is: `unix:/path`, `http://host:port`, `https://host:port`.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use libkmss::error::{Error, ErrorKind, Result};
use libkmss::os::{Lock, Rank};

/// How long a resolved name is taken for granted.
const RESOLVED: Duration = Duration::from_secs(30);

/// One address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A Unix socket: no encryption; the server asks the kernel who is there.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// Name or address of the host.
        host: String,
        /// The port.
        port: u16,
        /// Whether TLS is spoken.
        tls: bool,
    },
}

impl Address {
    /// Reads an address.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bad = |what: &str| {
            let why = format!("`{text}` {what}: write unix:/path, https://host:port or, on loopback, http://host:port");
            Error::new(ErrorKind::Config, why)
        };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(bad("is no absolute path")) };
        }
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(bad("is no address of a server")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| bad("has no port"))?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(bad("names no host"));
        }
        let port = port.parse().map_err(|_| bad("has no port"))?;
        if !tls && !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) && host != "localhost" {
            return Err(bad("would be spoken to without encryption"));
        }
        Ok(Self::Tcp { host: host.to_owned(), port, tls })
    }

    /// What HTTP/2 calls the server.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { tls, .. } => write!(f, "{}://{}", if *tls { "https" } else { "http" }, self.authority()),
        }
    }
}

/// The addresses of a host's name, as they were a moment ago.
pub(super) struct Names(Lock<Option<(Duration, Vec<SocketAddr>)>>);

impl Names {
    pub(super) fn new() -> Self {
        Self(Lock::new(Rank::Cache, None))
    }

    /// Resolves on the calling thread, as no other way leaves the host process without a new thread. How long that takes at
    /// most is for the host's resolver to say (resolv.conf(5)), so an answer is kept for a while.
    pub(super) fn resolve(&self, host: &str, port: u16, now: Duration) -> std::io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![(ip, port).into()]);
        }
        if let Some((at, known)) = &*self.0.lock()
            && now.saturating_sub(*at) < RESOLVED
        {
            return Ok(known.clone());
        }
        let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
        if found.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
        }
        *self.0.lock() = Some((now, found.clone()));
        Ok(found)
    }

    /// Forgets what was resolved: nobody answered there.
    pub(super) fn forget(&self) {
        drop(self.0.lock().take());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in
            ["unix:/run/kmss/kmssd.sock", "https://kms.example:8443", "http://127.0.0.1:50051", "https://[::1]:1"]
        {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Address::parse("unix:///run/x").unwrap(), Address::Unix("/run/x".into()));
    }

    #[test]
    fn nothing_is_sent_in_clear_over_a_network() {
        for text in
            ["http://kms.example:80", "http://10.0.0.1:80", "kms.example:80", "unix:relative", "https://kms.example"]
        {
            assert_eq!(Address::parse(text).unwrap_err().kind(), ErrorKind::Config, "{text}");
        }
    }

    #[test]
    fn an_address_in_numbers_needs_no_resolver() {
        let found = Names::new().resolve("::1", 7, Duration::ZERO).unwrap();
        assert_eq!(found, ["[::1]:7".parse().unwrap()]);
    }
}
