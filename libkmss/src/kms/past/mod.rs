//! Policies and the past: which rule of the policies in force decides on a recorded request, and whose decisions a candidate
//! would change.

mod candidate;
mod explain;
mod replay;
mod request;

use std::collections::HashMap;
use std::ops::ControlFlow;

pub use self::candidate::{Candidate, Judgement, judge};
pub use self::explain::{Explanation, Now, OtherRule, Then};
pub use self::replay::{Change, Replay, Replayed};
pub use self::request::{PastKey, PastRequest, Writer};
use super::Kms;
use crate::audit::Filter;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::host::Host;
use crate::policy::{ContextKey, Scope, hex};
use crate::tenant::Namespace;

/// The keys that marked the values of encryption contexts, by tenant and namespace.
#[derive(Debug, Default)]
pub struct ContextKeys(HashMap<(String, String), ContextKey>);

impl ContextKeys {
    /// The one of a request's namespace; none where that is gone.
    #[must_use]
    pub fn of(&self, request: &PastRequest) -> Option<&ContextKey> {
        self.0.get(&(request.tenant.clone(), request.namespace.clone()))
    }
}

impl Kms {
    /// The policy in `bytes` (a bundle, a module, or text of the policy language), to be asked about the past.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where it is none.
    pub fn candidate(&self, title: &str, bytes: &[u8]) -> Result<Candidate> {
        Candidate::load(title, bytes, self.guests()?)
    }

    /// The policies in force in `namespace` that speak of keys with one of `names`, widest scope first.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`], those of the store.
    pub fn policies_asked(&self, namespace: &Namespace, names: &[&str]) -> Result<Vec<Candidate>> {
        let (entries, host) = (self.registry.current()?, self.guests()?);
        let mut found = Vec::new();
        for entry in entries.concerning(namespace) {
            if matches!(&entry.scope, Scope::Key { key, .. } if !names.contains(&key.as_str())) {
                continue;
            }
            if let Some(bundle) = &entry.active {
                found.push(Candidate::load(&entry.title(), &self.registry.load(bundle)?, host)?);
            }
        }
        Ok(found)
    }

    /// What names the policies in force in `namespace`, as records say it; `None` where none ever was.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`], those of the store.
    pub fn policy_digest(&self, namespace: &Namespace) -> Result<Option<String>> {
        let entries = self.registry.current()?;
        Ok(entries.requires(namespace).then(|| hex(&entries.digest(namespace))))
    }

    /// The keys that marked the values of encryption contexts in records.
    ///
    /// # Errors
    /// Those of the store.
    pub fn context_keys(&self) -> Result<ContextKeys> {
        let mut keys = HashMap::new();
        for namespace in self.namespaces()? {
            let key = self.modules.context_key(&namespace)?;
            keys.insert((namespace.tenant, namespace.name), key);
        }
        Ok(ContextKeys(keys))
    }

    /// What `candidate`, asked alone, would have decided otherwise of all that was decided within a time (its end not included),
    /// in one namespace or in all. `go_on` hears how many bytes were read of how many, after every record; where it says no,
    /// what comes back is not all.
    ///
    /// # Errors
    /// Those of the store and of reading the audit.
    pub fn replay_past(
        &self,
        candidate: &Candidate,
        namespace: Option<&Namespace>,
        within: (Timestamp, Timestamp),
        go_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Replayed> {
        let contexts = self.context_keys()?;
        let wanted = Filter { namespace: namespace.map(ToString::to_string), events_only: true, ..Filter::default() };
        let tail = self.audit_tail(Filter::default());
        let (mut read, size) = (0_u64, tail.size()?);
        let mut replay = Replay::new(candidate, &contexts, within);
        tail.visit_while(&mut |entry| {
            replay.take(entry, wanted.matches(&entry.record));
            // With the line feed.
            read = read.saturating_add(entry.raw.len() as u64 + 1);
            if go_on(read, size.max(read)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(replay.finish())
    }

    fn guests(&self) -> Result<&Host> {
        self.modules.host().map_err(|e| Error::new(ErrorKind::Internal, "policies cannot be asked here").with_source(e))
    }
}

#[cfg(test)]
mod tests;
