//! What the registry says is in force, loaded: each bundle once for a process, whatever else changes in the store.

use std::collections::HashMap;
use std::sync::Arc;

use once_cell::race::OnceBox;

use super::bundle::{Bundle, interface_of};
use super::host::{Cache, Host, LoadError, Origin, Policy, Trust};
use super::registry::{Entries, Entry, InForce, PolicyRole, Registry};
use super::{Applied, ContextKey, PolicySet, PolicySource, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::home::Home;
use crate::key::DomainKey;
use crate::os::{Lock, Rank};
use crate::secret::Secret;
use crate::tenant::{Namespace, NamespaceId};

/// Most sets and most modules that are kept.
const KEPT: usize = 128;

/// Loads what a [`Registry`] holds.
pub struct RegistrySource {
    registry: Arc<Registry>,
    home: Home,
    /// Authenticates compiled code that is kept in the home.
    key: [u8; 32],
    /// The keys that mark the values of encryption contexts come from it.
    contexts: Secret,
    trust: Trust,
    host: OnceBox<Host>,
    modules: Lock<HashMap<[u8; 32], Arc<Policy>>>,
    sets: Lock<HashMap<NamespaceId, Known>>,
}

/// A set, and what it was made of.
struct Known {
    edition: u64,
    incarnation: u32,
    /// The namespace's own word that it requires policies.
    required: bool,
    set: Arc<PolicySet>,
}

impl RegistrySource {
    /// A source for `registry`, which keeps compiled code in `home`. `key` is the home's domain key.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(registry: Arc<Registry>, home: Home, key: &DomainKey, trust: Trust) -> Result<Self> {
        let contexts = Secret::copy_of(&key.index_term("policy contexts", b"marks values in audit records")?);
        let key = key.index_term("policy code", b"authenticates compiled modules")?;
        let (modules, sets) = (Lock::new(Rank::Cache, HashMap::new()), Lock::new(Rank::Cache, HashMap::new()));
        Ok(Self { registry, home, key, contexts, trust, host: OnceBox::new(), modules, sets })
    }

    /// The key that marks the values of encryption contexts in the records of `namespace`.
    ///
    /// # Errors
    /// None in practice.
    pub fn context_key(&self, namespace: &Namespace) -> Result<ContextKey> {
        ContextKey::new(&self.contexts, namespace.id)
    }

    fn make(&self, entries: &Entries, namespace: &Namespace) -> Result<PolicySet> {
        let digest = entries.digest(namespace);
        let mut set = PolicySet::new(entries.requires(namespace), digest, self.context_key(namespace)?);
        for entry in entries.concerning(namespace) {
            for role in [PolicyRole::Active, PolicyRole::Shadow] {
                let Some(bundle) = entry.in_role(role) else { continue };
                match self.applied(entry, bundle, &mut set) {
                    Ok(applied) => set.add(key_of(entry), role, applied),
                    // What only watches keeps nobody from working.
                    Err(error) if role == PolicyRole::Shadow => {
                        set.note(format!("shadow policy {} cannot be asked: {}", entry.name, error.sentence()));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(set)
    }

    /// Refuses a bundle whose module would not load, before it is in force. Leaves its compiled code for the first
    /// decision.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] with the reason.
    pub fn check(&self, bundle: &Bundle<'_>) -> Result<()> {
        let says = bundle.manifest().terms.abi;
        let speaks = interface_of(bundle.module());
        if speaks != Some(says) {
            let why = format!("the bundle says that its module speaks {says}, which it does not");
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        match self.module(bundle) {
            Ok(_) => Ok(()),
            Err(e) => Err(Error::new(ErrorKind::Arguments, "the module cannot be used as a policy").with_source(e)),
        }
    }

    /// What guests of this home run on.
    ///
    /// # Errors
    /// As [`Host::new`].
    pub fn host(&self) -> Result<&Host, LoadError> {
        self.host.get_or_try_init(|| Host::new(self.trust).map(Box::new))
    }

    fn module(&self, bundle: &Bundle<'_>) -> Result<Policy, LoadError> {
        let host = self.host()?;
        bundle.load(host, Some(&Cache::new(&self.home, &self.key)))
    }

    fn applied(&self, entry: &Entry, bundle: &InForce, set: &mut PolicySet) -> Result<Applied> {
        let policy = self.policy(entry, bundle, set)?;
        let terms = &bundle.manifest.terms;
        Ok(Applied { title: entry.title().into(), valid: (terms.not_before, terms.not_after), policy })
    }

    fn policy(&self, entry: &Entry, bundle: &InForce, set: &mut PolicySet) -> Result<Arc<Policy>> {
        if let Some(known) = self.modules.lock().get(&bundle.digest) {
            return Ok(Arc::clone(known));
        }
        let bytes = self.registry.load(bundle)?;
        let read = Bundle::parse(&bytes)
            .map_err(|e| Error::new(ErrorKind::Damaged, "an applied policy cannot be read").with_source(e))?;
        let policy = Arc::new(self.module(&read).map_err(|e| {
            let why = format!("the policy {} cannot be loaded", entry.name);
            Error::new(ErrorKind::Denied, why).with_source(e)
        })?);
        if let Origin::Replaced(fault) = policy.origin() {
            set.note(format!("compiled code of policy {} was made anew: {fault}", entry.name));
        }
        let mut modules = self.modules.lock();
        if modules.len() >= KEPT {
            modules.clear();
        }
        modules.insert(bundle.digest, Arc::clone(&policy));
        Ok(policy)
    }
}

impl PolicySource for RegistrySource {
    fn load(&self, namespace: &Namespace) -> Result<Arc<PolicySet>> {
        let entries = self.registry.current()?;
        let (edition, incarnation, required) = (entries.edition, namespace.incarnation, namespace.policy_required);
        if let Some(known) = self.sets.lock().get(&namespace.id)
            && (known.edition, known.incarnation, known.required) == (edition, incarnation, required)
        {
            return Ok(Arc::clone(&known.set));
        }
        // Without the lock: modules are compiled here.
        let set = Arc::new(self.make(&entries, namespace)?);
        let mut sets = self.sets.lock();
        if sets.len() >= KEPT {
            sets.clear();
        }
        sets.insert(namespace.id, Known { edition, incarnation, required, set: Arc::clone(&set) });
        Ok(set)
    }
}

impl std::fmt::Debug for RegistrySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistrySource").field("trust", &self.trust).finish_non_exhaustive()
    }
}

fn key_of(entry: &Entry) -> Option<&str> {
    match &entry.scope {
        Scope::Key { key, .. } => Some(key),
        _ => None,
    }
}
