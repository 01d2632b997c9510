//! Who is at the other end of a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use libkmss::caller::{Caller, Principal};
use libkmss::config::Config;
use libkmss::error::Result;
use libkmss::principal::ProcessIdentity;

/// What is known of a peer before it asks for anything.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// It showed a certificate with these names, the ones that count first.
    Certificate {
        /// `URI:…`, `DNS:…`, `email:…`.
        names: Vec<String>,
        /// Its address.
        source: String,
    },
    /// It is a process of this host.
    Process(ProcessIdentity),
}

impl Peer {
    /// Who it is in the namespace `name`.
    pub(super) fn principal(&self, config: &Config, name: &str) -> Result<Principal> {
        match self {
            Self::Certificate { names, source } => config.principal_of_certificate(names, source, name),
            Self::Process(process) => config.principal(process, name),
        }
    }
}

impl Peer {
    /// Whoever shows no name that could be a principal's, for the audit alone.
    pub(super) fn unnamed(&self) -> Principal {
        let source = match self {
            Self::Certificate { source, .. } => source.clone(),
            Self::Process(_) => String::new(),
        };
        Principal { source, ..Principal::new("unnamed".to_owned(), Vec::new()) }
    }

    /// How it showed who it is.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Certificate { .. } => "certificate",
            Self::Process(_) => "process",
        }
    }

    /// Whose it is, where it has a share of something: a user's programs have one together, since whoever runs one can run
    /// others.
    fn owner(&self) -> String {
        match self {
            Self::Certificate { .. } => self.identity(),
            Self::Process(process) => format!("uid {}", process.uid),
        }
    }

    /// Tells it from every other peer, on whatever connection it comes.
    fn identity(&self) -> String {
        match self {
            // A name may hold any character.
            Self::Certificate { names, .. } => names.iter().map(|name| format!("{}:{name}", name.len())).collect(),
            // Everything that rules for principals look at.
            Self::Process(process) => {
                format!("uid {} gid {} {}", process.uid, process.gid, process.executable.display())
            }
        }
    }
}

/// One connection: its peer, and the callers that it is in each namespace.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: Peer,
    /// For the audit.
    pub(super) number: u64,
    identity: Arc<str>,
    owner: Arc<str>,
    callers: Mutex<HashMap<String, (u64, Caller)>>,
    /// Where it was kept out, as of which opening.
    kept_out: Mutex<HashMap<String, u64>>,
}

impl Connection {
    pub(super) fn new(peer: Peer, number: u64) -> Arc<Self> {
        let (identity, owner) = (peer.identity().into(), peer.owner().into());
        Arc::new(Self { peer, number, identity, owner, callers: Mutex::default(), kept_out: Mutex::default() })
    }

    /// Under which its requests are remembered: the same on a new connection.
    pub(super) fn name_for_requests(&self) -> Arc<str> {
        Arc::clone(&self.identity)
    }

    /// Under which its shares of the server are counted.
    pub(super) const fn owner(&self) -> &Arc<str> {
        &self.owner
    }

    /// The caller that it is in `namespace`, as of the opening `edition` of that namespace.
    pub(super) fn caller(&self, namespace: &str, edition: u64) -> Option<Caller> {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.get(namespace).filter(|(known, _)| *known == edition).map(|(_, caller)| caller.clone())
    }

    pub(super) fn remember(&self, namespace: &str, edition: u64, caller: Caller) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned(), (edition, caller));
    }

    /// Notes that it is kept out of `namespace`; whether that is new, as of the opening `edition`.
    pub(super) fn is_kept_out(&self, namespace: String, edition: u64) -> bool {
        let mut known = self.kept_out.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(namespace, edition) != Some(edition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_that_rules_tell_apart_have_memories_of_their_own() {
        let process = |gid| Peer::Process(ProcessIdentity::of_peer(7, gid, std::process::id())).identity();
        assert_ne!(process(1), process(2));
        let shown = |names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            Peer::Certificate { names, source: String::new() }.identity()
        };
        assert_ne!(shown(&["URI:a", "DNS:b"]), shown(&["URI:a\nDNS:b"]));
        assert_ne!(shown(&["URI:a", "DNS:b"]), shown(&["URI:aDNS:b"]));
        assert_eq!(shown(&["URI:a"]), shown(&["URI:a"]));
    }
}
