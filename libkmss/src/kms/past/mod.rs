//! Policies and the past: which rule of the policies in force decides on a recorded request, and whose decisions a candidate
//! would change.

mod candidate;
mod replay;
mod request;

use std::collections::HashMap;

pub use self::candidate::{Candidate, Judgement, judge};
pub use self::replay::{Change, Replay};
pub use self::request::{PastKey, PastRequest, Writer};
use super::Kms;
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

    fn guests(&self) -> Result<&Host> {
        self.modules.host().map_err(|e| Error::new(ErrorKind::Internal, "policies cannot be asked here").with_source(e))
    }
}

#[cfg(test)]
mod tests;
