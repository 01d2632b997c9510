//! What the security officer does: users and their PINs, and the settings of a namespace.

use std::sync::Arc;

use super::Kms;
use crate::auth::RewrapToken;
use crate::caller::{Caller, Login};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Object};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::store::Batch;
use crate::tenant::{BackendId, Namespace};

impl Kms {
    /// Gives `user` a PIN; every object stays. `officer` came from [`Self::login`] as security officer.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] for anybody else, [`ErrorKind::PinInvalid`].
    pub fn set_user_pin(&self, officer: &Caller, user: &str, pin: &Secret) -> Result<()> {
        self.manage_user(officer, "set", user, |rewrap| self.auth.set_user_pin(&officer.namespace, rewrap, user, pin))
    }

    /// Makes the user `user` with a PIN; one more way to the same private objects.
    ///
    /// # Errors
    /// As [`Self::set_user_pin`]; [`ErrorKind::AlreadyExists`].
    pub fn add_user(&self, officer: &Caller, user: &str, pin: &Secret) -> Result<()> {
        if self.users(&officer.namespace)?.iter().any(|known| known == user) {
            let why = format!("there is a user `{}` already", user.escape_debug());
            return Err(Error::new(ErrorKind::AlreadyExists, why));
        }
        self.manage_user(officer, "add", user, |rewrap| self.auth.set_user_pin(&officer.namespace, rewrap, user, pin))
    }

    /// Takes the user `user` away; every object stays. Who is logged in already stays so until they log out.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown user, [`ErrorKind::NotLoggedIn`] for anybody but the security officer.
    pub fn remove_user(&self, officer: &Caller, user: &str) -> Result<()> {
        self.manage_user(officer, "remove", user, |rewrap| self.auth.remove_user(&officer.namespace, rewrap, user))
    }

    /// Lets `user` try again after too many wrong PINs; the PIN and every object stay.
    ///
    /// # Errors
    /// As [`Self::remove_user`].
    pub fn unlock_user(&self, officer: &Caller, user: &str) -> Result<()> {
        self.manage_user(officer, "unlock", user, |rewrap| self.auth.unlock(&officer.namespace, rewrap, user))
    }

    /// The names of the users of a namespace, in order.
    ///
    /// # Errors
    /// Those of the store.
    pub fn users(&self, namespace: &Namespace) -> Result<Vec<String>> {
        self.auth.users(namespace)
    }

    /// Gives `user` these roles and no others, for policies and approvals; they hold from the user's next login on.
    ///
    /// # Errors
    /// As [`Self::remove_user`]; [`ErrorKind::Arguments`] for what is no name of a role, or for two roles that exclude each
    /// other.
    pub fn set_user_roles(&self, officer: &Caller, user: &str, roles: &[String]) -> Result<()> {
        let words = |roles: &[String]| roles.iter().map(|r| r.escape_debug().to_string()).collect::<Vec<_>>().join(" ");
        let before = self.user_roles(&officer.namespace, user).unwrap_or_default();
        let verb = format!("roles [{}] -> [{}] for", words(&before), words(roles));
        self.manage_user(officer, &verb, user, |rewrap| self.auth.set_roles(&officer.namespace, rewrap, user, roles))
    }

    /// The roles of `user`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown user; those of the store.
    pub fn user_roles(&self, namespace: &Namespace, user: &str) -> Result<Vec<String>> {
        self.auth.roles(namespace, user)
    }

    fn manage_user(
        &self,
        officer: &Caller,
        verb: &str,
        user: &str,
        f: impl FnOnce(&RewrapToken) -> Result<()>,
    ) -> Result<()> {
        let tags = vec![format!("{verb} user {}", user.escape_debug())];
        self.pipeline.around_tagged(Some(officer), Action::SetPin, tags, || {
            let rewrap = officer.keyring.officer.as_ref().and_then(|any| any.downcast_ref::<RewrapToken>());
            f(rewrap.ok_or_else(|| {
                Error::new(ErrorKind::NotLoggedIn, "only the security officer, logged in, manages users and their PINs")
            })?)
        })
    }

    /// Gives the namespace of `officer`, who is logged in as its security officer, other settings. Recorded with what
    /// changes; what they forbid is refused from the next operation on, in every process.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] for anybody else, [`ErrorKind::Arguments`] for a change of what is fixed,
    /// [`ErrorKind::Conflict`] when the namespace was changed meanwhile.
    pub fn configure(&self, officer: &Caller, settings: Settings) -> Result<Namespace> {
        let known = &officer.namespace;
        let tags = known.settings.differences(&settings);
        self.pipeline.around_tagged(Some(officer), Action::ChangeState, tags, || {
            if officer.login != Login::SecurityOfficer {
                return Err(Error::new(
                    ErrorKind::NotLoggedIn,
                    "only the security officer, logged in, changes settings",
                ));
            }
            if known.settings.pinless != settings.pinless {
                let why = "whether a namespace works without PINs is settled when it is made";
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            let next = Namespace { settings, ..Namespace::clone(known) };
            self.catalog().put_namespace(Some(known), &next, Batch::default())?;
            Ok(next)
        })
    }

    /// Has `backend` make the keys of the namespace of `officer`, who is logged in as its security officer, that name no other;
    /// keys that are there stay where they are. It holds from the next key on, in every process.
    ///
    /// # Errors
    /// As [`Self::configure`]; [`ErrorKind::BackendUnavailable`] for a backend that is not configured or not there,
    /// [`ErrorKind::Unsupported`] to and from servers, which keep all keys of a namespace or none.
    pub fn make_keys_in(&self, officer: &Caller, backend: &BackendId) -> Result<Namespace> {
        let known = &officer.namespace;
        let tags = vec![format!("backend {} -> {}", known.backend.0.escape_debug(), backend.0.escape_debug())];
        self.pipeline.around_tagged(Some(officer), Action::ChangeState, tags, || {
            if officer.login != Login::SecurityOfficer {
                let why = "only the security officer, logged in, says where keys are made";
                return Err(Error::new(ErrorKind::NotLoggedIn, why));
            }
            self.pipeline.hall.check_mixed(officer, backend)?;
            self.pipeline.hall.backend(backend)?.ready()?;
            let next = Namespace { backend: backend.clone(), ..Namespace::clone(known) };
            self.catalog().put_namespace(Some(known), &next, Batch::default())?;
            Ok(next)
        })
    }

    /// Whether [`Move`](crate::operation::Move) of these halves of a key to `to` would change anything, as far as that is known
    /// without asking a device or a policy.
    ///
    /// # Errors
    /// Why the key cannot be moved there.
    pub fn would_move(&self, caller: &Caller, halves: &[Arc<Object>], to: &BackendId) -> Result<bool> {
        self.pipeline.hall.would_move(caller, halves, to)
    }

    /// The settings of a namespace as they are now.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn settings(&self, namespace: &Namespace) -> Result<Settings> {
        self.catalog().settings(namespace)
    }
}
