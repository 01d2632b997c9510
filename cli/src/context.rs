//! What every command needs: the configuration, the open home, a token, its PINs.

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::config::Config;
use libkmss::kms::Kms;
use libkmss::secret::Secret;
use libkmss::tenant::Namespace;

use crate::args::Global;
use crate::output::Failure;
use crate::pin::{self, Source};

/// Options and configuration of one run.
pub(crate) struct Context {
    /// The options.
    pub global: Global,
    /// The configuration.
    pub config: Config,
}

impl Context {
    /// Loads the configuration.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub(crate) fn new(global: Global) -> Result<Self, Failure> {
        let config = match &global.home {
            Some(home) => Config::load()?.at(std::path::absolute(home)?),
            None => Config::load()?,
        };
        Ok(Self { global, config })
    }

    /// Opens the home.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub(crate) fn kms(&self) -> Result<Kms, Failure> {
        self.home()?.ok_or_else(|| {
            format!("there is no home at `{}`; make a token with `kmss token init LABEL`", self.config.home.display())
                .into()
        })
    }

    /// Opens the home where there is one.
    ///
    /// # Errors
    /// It cannot be used.
    pub(crate) fn home(&self) -> Result<Option<Kms>, libkmss::error::Error> {
        Kms::open_with(&self.config, remote::client::backends(&self.config)?)
    }

    /// The user's PIN.
    ///
    /// # Errors
    /// See [`pin::existing`].
    pub(crate) fn user_pin(&self, token: &str) -> Result<Secret, Failure> {
        pin::existing(&self.user_source(&format!("user PIN of `{token}`")))
    }

    /// The SO's PIN.
    ///
    /// # Errors
    /// See [`pin::existing`].
    pub(crate) fn so_pin(&self, token: &str) -> Result<Secret, Failure> {
        pin::existing(&self.so_source(&format!("SO PIN of `{token}`")))
    }

    /// Where the user's PIN comes from.
    pub(crate) fn user_source<'a>(&'a self, what: &'a str) -> Source<'a> {
        Source {
            what,
            env: self.global.pin_env.as_deref(),
            file: self.global.pin_file.as_deref(),
            default_env: "KMSS_PIN",
        }
    }

    /// Where the SO's PIN comes from.
    pub(crate) fn so_source<'a>(&'a self, what: &'a str) -> Source<'a> {
        Source {
            what,
            env: self.global.so_pin_env.as_deref(),
            file: self.global.so_pin_file.as_deref(),
            default_env: "KMSS_SO_PIN",
        }
    }

    /// The home and a caller logged in to the token as its user.
    ///
    /// # Errors
    /// No such token, wrong PIN, locked PIN.
    pub(crate) fn user(&self, token: &str) -> Result<(Kms, Caller), Failure> {
        let kms = self.kms()?;
        let namespace = find_token(&kms, token)?;
        let caller = kms.enter(&namespace, 0)?;
        if namespace.settings.pinless {
            return Ok((kms, caller));
        }
        let pin = self.user_pin(token)?;
        let caller = kms.login(&caller, &Credential::UserPin { name: "user", pin: &pin })?;
        Ok((kms, caller))
    }

    /// The home and a caller who manages the token's objects as its security officer.
    ///
    /// # Errors
    /// No such token, wrong PIN, locked PIN.
    pub(crate) fn officer(&self, token: &str) -> Result<(Kms, Caller), Failure> {
        let kms = self.kms()?;
        let namespace = find_token(&kms, token)?;
        let caller = kms.enter(&namespace, 0)?;
        let caller = kms.administer(&caller, &self.so_pin(token)?)?;
        Ok((kms, caller))
    }
}

/// The token with this label.
///
/// # Errors
/// None, or several (PKCS#11 programs may give one label twice).
pub(crate) fn find_token(kms: &Kms, label: &str) -> Result<Namespace, Failure> {
    let mut found = kms.namespaces()?.into_iter().filter(|n| n.name == label);
    match (found.next(), found.next()) {
        (Some(namespace), None) => Ok(namespace),
        (None, _) => Err(format!("no token is labelled `{label}`; `kmss token list` shows what there is").into()),
        (Some(_), Some(_)) => Err(format!("several tokens are labelled `{label}`; rename one first").into()),
    }
}
