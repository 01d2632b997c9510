//! Namespaces: which there are, and how they are made, made anew and removed.

use std::sync::Arc;

use super::{ATTEMPTS, Kms, MaterialSeal};
use crate::auth::{Authenticator as _, Credential};
use crate::caller::Caller;
use crate::device::WrappingKey;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::tenant::{BackendId, Namespace, NamespaceId};

impl Kms {
    /// All namespaces, in the order of their ordinals.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.catalog().namespaces()
    }

    /// The ordinal that the next namespace will get.
    ///
    /// # Errors
    /// Those of the store.
    pub fn next_ordinal(&self) -> Result<u32> {
        self.catalog().next_ordinal()
    }

    /// Makes a namespace, or makes `existing` anew: its objects are destroyed, its users are gone, its id and ordinal stay.
    /// For `existing`, `officer_pin` must be its security officer's PIN, which stays.
    ///
    /// # Errors
    /// [`ErrorKind::PinInvalid`], [`ErrorKind::PinIncorrect`], [`ErrorKind::PinLocked`], [`ErrorKind::Conflict`].
    pub fn initialize(&self, existing: Option<&Namespace>, name: &str, officer_pin: &Secret) -> Result<Namespace> {
        let (settings, backend) = existing.map(|n| (n.settings, n.backend.clone())).unwrap_or_default();
        self.initialize_with(existing, name, officer_pin, (settings, backend))
    }

    /// As [`Self::initialize_with`], a new namespace whose key material is sealed as `seal` says. With `by` it is that
    /// caller's deed, in whatever namespace that is, and not the process's. With `user_pin` the default user has that PIN from the
    /// beginning.
    ///
    /// # Errors
    /// As [`Self::initialize`]; [`ErrorKind::BackendUnavailable`] where the device is not there that is to seal it,
    /// [`ErrorKind::Arguments`] where another backend than the software engine makes the keys.
    pub fn initialize_sealed(
        &self,
        by: Option<&Caller>,
        name: &str,
        (officer_pin, user_pin): (&Secret, Option<&Secret>),
        (settings, backend): (Settings, BackendId),
        seal: &MaterialSeal,
    ) -> Result<Namespace> {
        self.establish((None, by), name, (officer_pin, user_pin), (settings, backend), seal)
    }

    /// As [`Self::initialize`] with settings and the backend that makes its keys; otherwise a new namespace has the defaults,
    /// and one made anew keeps its own. Its key material is sealed in memory, or, of one made anew, as it was.
    ///
    /// # Errors
    /// As [`Self::initialize`]; [`ErrorKind::BackendUnavailable`] for a backend that is not configured.
    pub fn initialize_with(
        &self,
        existing: Option<&Namespace>,
        name: &str,
        officer_pin: &Secret,
        (settings, backend): (Settings, BackendId),
    ) -> Result<Namespace> {
        let seal = existing.map_or(Ok(MaterialSeal::InMemory), |namespace| self.material_seal(namespace))?;
        self.establish((existing, None), name, (officer_pin, None), (settings, backend), &seal)
    }

    fn establish(
        &self,
        (existing, by): (Option<&Namespace>, Option<&Caller>),
        name: &str,
        (officer_pin, user_pin): (&Secret, Option<&Secret>),
        (settings, backend): (Settings, BackendId),
        seal: &MaterialSeal,
    ) -> Result<Namespace> {
        self.pipeline.hall.backend(&backend)?.ready()?;
        let planned = match existing {
            Some(namespace) => namespace.clone(),
            None => Namespace { settings, backend: backend.clone(), ..self.plan(name)? },
        };
        let as_made = Namespace { backend: backend.clone(), ..planned.clone() };
        self.require_material(&as_made, seal, existing.is_none())?;
        let caller = match existing {
            Some(namespace) => self.enter(namespace, 0)?,
            None => self.founder(&planned, by)?,
        };
        let made = self.pipeline.around(Some(&caller), Action::Initialize, || match existing {
            Some(namespace) => {
                let _ = self.auth.authenticate(namespace, &Credential::OfficerPin(officer_pin))?;
                self.with_wrapping_key(seal, |key| {
                    self.renew(namespace, name, officer_pin, (settings, backend), key.cloned())
                })
            }
            None => self.with_wrapping_key(seal, |key| self.add(planned, (officer_pin, user_pin), key)),
        })?;
        if existing.is_some()
            && let Err(error) = self.destroy_over(&caller, &made)
        {
            tracing::warn!(namespace = %made.id, %error, "old keys in HSMs were not looked at");
        }
        Ok(made)
    }

    fn plan(&self, name: &str) -> Result<Namespace> {
        Ok(Namespace {
            id: NamespaceId(self.fresh_id()?),
            tenant: Namespace::DEFAULT_TENANT.to_owned(),
            name: name.to_owned(),
            ordinal: self.catalog().next_ordinal()?,
            incarnation: 1,
            policy_required: false,
            settings: Settings::default(),
            backend: BackendId::soft(),
        })
    }

    /// Whoever is about to make a namespace, for the audit: there is no key yet that it could hold.
    fn founder(&self, planned: &Namespace, by: Option<&Caller>) -> Result<Caller> {
        match by {
            Some(by) => Ok(by.with(|parts| parts.namespace = Arc::new(planned.clone()))),
            None => self.caller(planned, Arc::clone(&self.ephemeral), 0),
        }
    }

    fn add(
        &self,
        planned: Namespace,
        pins: (&Secret, Option<&Secret>),
        device: Option<&WrappingKey>,
    ) -> Result<Namespace> {
        let mut namespace = planned;
        let mut attempt = 0;
        loop {
            let credentials = self.auth.prepare_initialize(&namespace, pins, (device.cloned(), Vec::new()))?;
            attempt += 1;
            match self.catalog().put_namespace(None, &namespace, credentials) {
                Err(e) if e.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => {
                    namespace.ordinal = self.catalog().next_ordinal()?;
                }
                done => return done.map(|()| namespace),
            }
        }
    }

    fn renew(
        &self,
        namespace: &Namespace,
        name: &str,
        officer_pin: &Secret,
        (settings, backend): (Settings, BackendId),
        device: Option<WrappingKey>,
    ) -> Result<Namespace> {
        let over = self.auth.device_keys(namespace)?;
        let next = Namespace {
            name: name.to_owned(),
            incarnation: namespace.incarnation.saturating_add(1),
            policy_required: false,
            settings,
            backend,
            ..namespace.clone()
        };
        let credentials = self.auth.prepare_initialize(&next, (officer_pin, None), (device, over.clone()))?;
        // Rotated since they were looked at: a key of the last version would be forgotten.
        if self.auth.device_keys(namespace)? != over {
            return Err(Error::new(ErrorKind::Conflict, "the domain key was rotated meanwhile: try again"));
        }
        self.catalog().renew(namespace, &next, credentials)?;
        self.retire_policies(namespace.id, Some(next.incarnation));
        // Identities are never given again: what is left of them misleads nobody.
        let _ = self.book.forget_keys(namespace.id);
        Ok(next)
    }

    /// Removes the namespace of `caller` with everything in it. Returns the keys in HSMs that sealed its key material and could
    /// not be destroyed.
    ///
    /// # Errors
    /// As [`Self::initialize`].
    pub fn remove(&self, caller: &Caller, officer_pin: &Secret) -> Result<Vec<WrappingKey>> {
        let namespace = &*caller.namespace;
        self.pipeline.around(Some(caller), Action::Destroy, || {
            self.may_try(caller, true)?;
            let _ = self.auth.authenticate(namespace, &Credential::OfficerPin(officer_pin))?;
            let mut attempt = 0;
            let keys = loop {
                // In this order: a rotation after it has the commit fail, so that no key is forgotten.
                let batch = self.auth.prepare_remove(namespace)?;
                let keys = self.auth.device_keys(namespace)?;
                attempt += 1;
                match self.catalog().remove_namespace(namespace, batch) {
                    Err(e) if e.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => {}
                    removed => break removed.map(|()| keys)?,
                }
            };
            self.retire_policies(namespace.id, None);
            let _ = self.book.forget_keys(namespace.id);
            Ok(self.destroy_keys(&keys))
        })
    }
}
