//! The one object a door talks to. The only file that names implementations.
#![allow(clippy::todo, unused, missing_docs)] // LOCAL STUB bodies until the wings land

use std::sync::Arc;

use crate::auth::{Credential, CredentialState};
use crate::caller::Caller;
use crate::catalog::Query;
use crate::error::Result;
use crate::key::{KeyClass, Object, Storage};
use crate::operation::{Draft, Operation};
use crate::pipeline::{Pipeline, Unfinished};
use crate::secret::Secret;
use crate::tenant::{Namespace, ObjectId};

/// Whose credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// A user; the default user is `user`.
    User(&'a str),
    /// The security officer.
    SecurityOfficer,
}

/// An open home.
pub struct Kms {
    pipeline: Arc<Pipeline>,
}

impl Kms {
    /// Opens the home that `config` names; `None` where there is none yet.
    pub fn open(config: &crate::config::Config) -> Result<Option<Self>> {
        todo!()
    }
    /// Opens the home, making it (0700, seal, store) where there is none.
    pub fn create(config: &crate::config::Config) -> Result<Self> {
        todo!()
    }
    /// All namespaces, in the order of their ordinals.
    pub fn namespaces(&self) -> Result<Vec<Namespace>> {
        todo!()
    }
    /// Makes a namespace, or makes `existing` anew: its objects are destroyed, its id and ordinal stay, its user PIN is unset.
    /// For `existing` the PIN must be its officer's PIN.
    pub fn initialize(&self, existing: Option<&Namespace>, name: &str, officer_pin: &Secret) -> Result<Namespace> {
        todo!()
    }
    /// Removes a namespace with all its objects.
    pub fn remove(&self, namespace: &Namespace, officer_pin: &Secret) -> Result<()> {
        todo!()
    }
    /// An unauthenticated caller: public keyring, principal by the configuration's rules, the door's session number for audit.
    pub fn enter(&self, namespace: &Namespace, session: u64) -> Result<Caller> {
        todo!()
    }
    /// The caller after authentication (audited). Errors PinIncorrect, PinLocked, PinNotInitialized.
    pub fn login(&self, caller: &Caller, credential: &Credential<'_>) -> Result<Caller> {
        todo!()
    }
    /// As `login` with the officer's PIN, with private objects visible for management (never for use).
    pub fn administer(&self, caller: &Caller, officer_pin: &Secret) -> Result<Caller> {
        todo!()
    }
    /// The caller without authentication; forgets cached private objects.
    pub fn logout(&self, caller: &Caller) -> Result<Caller> {
        todo!()
    }
    /// Sets or resets a user's PIN; `officer` is logged in as security officer. Keeps every object.
    pub fn set_user_pin(&self, officer: &Caller, user: &str, pin: &Secret) -> Result<()> {
        todo!()
    }
    /// Changes a PIN by showing the old one.
    pub fn change_pin(&self, caller: &Caller, holder: Holder<'_>, old: &Secret, new: &Secret) -> Result<()> {
        todo!()
    }
    /// What may be known of a credential.
    pub fn credential_state(&self, namespace: &Namespace, holder: Holder<'_>) -> Result<CredentialState> {
        todo!()
    }
    /// A draft with a fresh id.
    pub fn draft(&self, storage: Storage) -> Result<Draft> {
        todo!()
    }
    /// Begins an operation.
    pub fn begin<O: Operation>(&self, caller: &Caller, operation: O) -> Result<Unfinished<O::Running>> {
        self.pipeline.begin(caller, operation)
    }
    /// Performs a one-shot operation.
    pub fn perform<O: Operation>(&self, caller: &Caller, operation: O) -> Result<O::Running> {
        self.pipeline.perform(caller, operation)
    }
    /// A stored object as it is now (attributes only; no policy on looking).
    pub fn object(&self, caller: &Caller, id: ObjectId) -> Result<Arc<Object>> {
        todo!()
    }
    /// The key named `name` of that class.
    pub fn key(&self, caller: &Caller, name: &str, class: KeyClass) -> Result<Option<Arc<Object>>> {
        todo!()
    }
    /// Number that moves when anything cached may be stale.
    pub fn generation(&self) -> u64 {
        todo!()
    }
    /// Ends the audit segment cleanly and closes the store.
    pub fn close(&self) {
        todo!()
    }
}
