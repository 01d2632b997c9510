//! Who a caller is: logging in and out, confirming, and PINs.

use std::any::Any;
use std::sync::Arc;

use super::{DEFAULT_USER, Kms};
use crate::auth::{Authenticator, Credential, CredentialState, Holder};
use crate::caller::{Caller, Login, Principal};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, DomainKey, Keyring};
use crate::permit::Confirmation;
use crate::secret::Secret;
use crate::tenant::Namespace;

impl Kms {
    /// The caller after authentication.
    ///
    /// # Errors
    /// [`ErrorKind::PinIncorrect`], [`ErrorKind::PinLocked`], [`ErrorKind::PinNotInitialized`].
    pub fn login(&self, caller: &Caller, credential: &Credential<'_>) -> Result<Caller> {
        self.pipeline.around(Some(caller), Action::Login, || {
            self.may_try(caller, matches!(credential, Credential::OfficerPin(_)))?;
            let authenticated = self.auth.authenticate(&caller.namespace, credential)?;
            let officer = authenticated.rewrap.map(|token| token as Arc<dyn Any + Send + Sync>);
            let known = with_keys(caller, authenticated.login, authenticated.private, officer);
            let known = known.with(|parts| parts.authenticated = self.now());
            Ok(match &known.login {
                Login::User(name) if **name != *DEFAULT_USER => {
                    // With the namespace, so that nobody is taken for a user of the operating system.
                    let name = format!("user:{name}@{}", caller.namespace);
                    let roles = authenticated.roles;
                    let principal = Principal { name, roles, ..Principal::clone(&caller.principal) };
                    let known = known.with(|parts| parts.principal = Arc::new(principal));
                    self.unblocked(&known)?;
                    known
                }
                _ => known,
            })
        })
    }

    /// The caller as security officer who manages private objects (and never uses them: the pipeline refuses).
    ///
    /// # Errors
    /// As [`Self::login`].
    pub fn administer(&self, caller: &Caller, officer_pin: &Secret) -> Result<Caller> {
        self.pipeline.around(Some(caller), Action::Login, || {
            self.may_try(caller, true)?;
            let private = self.auth.administer(&caller.namespace, officer_pin)?;
            Ok(with_keys(caller, Login::SecurityOfficer, Some(private), None))
        })
    }

    /// The caller without authentication. What private objects left in memory is forgotten.
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`].
    pub fn logout(&self, caller: &Caller) -> Result<Caller> {
        self.catalog().forget_private(caller.namespace.id);
        self.pipeline.around(Some(caller), Action::Logout, || {
            Ok(with_keys(caller, Login::None, self.unasked(&caller.namespace)?, None))
        })
    }

    /// Checks the credential of the user whom `caller` is logged in as, for one operation with a key that asks for it
    /// each time: [`Unfinished::confirm`](crate::pipeline::Unfinished::confirm) takes the proof.
    ///
    /// # Errors
    /// As [`Self::login`]; [`ErrorKind::NotLoggedIn`] where nobody is.
    pub fn confirm(&self, caller: &Caller, pin: &Secret) -> Result<Confirmation> {
        let credential = match &caller.login {
            Login::None if !caller.uses_private() => {
                return Err(Error::new(ErrorKind::NotLoggedIn, "nobody is logged in who could confirm an operation"));
            }
            Login::None => Credential::UserPin { name: DEFAULT_USER, pin },
            Login::User(name) => Credential::UserPin { name, pin },
            Login::SecurityOfficer => Credential::OfficerPin(pin),
        };
        self.pipeline.around(Some(caller), Action::Login, || {
            self.may_try(caller, matches!(credential, Credential::OfficerPin(_)))?;
            let _ = self.auth.authenticate(&caller.namespace, &credential)?;
            Ok(Confirmation::of(caller))
        })
    }

    /// Changes a PIN by showing the old one.
    ///
    /// # Errors
    /// [`ErrorKind::PinIncorrect`], [`ErrorKind::PinLocked`], [`ErrorKind::PinInvalid`].
    pub fn change_pin(&self, caller: &Caller, holder: Holder<'_>, old: &Secret, new: &Secret) -> Result<()> {
        self.pipeline.around(Some(caller), Action::SetPin, || {
            self.may_try(caller, matches!(holder, Holder::Officer))?;
            self.auth.change_pin(&caller.namespace, holder, old, new)
        })
    }

    /// What may be known of a credential without showing it.
    ///
    /// # Errors
    /// Those of the store.
    pub fn credential_state(&self, namespace: &Namespace, holder: Holder<'_>) -> Result<CredentialState> {
        self.auth.state(namespace, holder)
    }

    /// The private domain key, where nobody is asked for a PIN.
    pub(super) fn unasked(&self, namespace: &Namespace) -> Result<Option<Arc<DomainKey>>> {
        namespace.settings.pinless.then(|| self.auth.open_private_domain_key(namespace)).transpose()
    }
}

/// `caller` with other keys.
pub(super) fn with_keys(
    caller: &Caller,
    login: Login,
    private: Option<Arc<DomainKey>>,
    officer: Option<Arc<dyn Any + Send + Sync>>,
) -> Caller {
    let ring = &caller.keyring;
    let keyring = Arc::new(Keyring {
        public: Arc::clone(&ring.public),
        private,
        ephemeral: Arc::clone(&ring.ephemeral),
        officer,
    });
    caller.with(|parts| {
        parts.login = login;
        parts.keyring = keyring;
    })
}
