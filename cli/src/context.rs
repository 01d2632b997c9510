//! What every command needs: the configuration and the open home, or the server; a token, its PINs.

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::config::Config;
use libkmss::kms::Kms;
use libkmss::secret::Secret;
use libkmss::tenant::Namespace;
use remote::client::Client;

use crate::args::Global;
use crate::output::Failure;
use crate::pin::{self, Source};

/// Options of one run, and what it works on.
pub(crate) struct Context {
    /// The options.
    pub global: Global,
    site: Site,
}

/// What a command works on. A command never has both: what was written for a home cannot reach one where a server is meant.
enum Site {
    Home(Box<Config>),
    Server(Client),
}

/// The configuration that counts for a home.
///
/// # Errors
/// It cannot be used.
pub(crate) fn configuration(global: &Global) -> Result<Config, Failure> {
    Ok(match &global.home {
        Some(home) => Config::load()?.at(std::path::absolute(home)?),
        None => Config::load()?,
    })
}

/// Opens the home of a configuration, where there is one.
///
/// # Errors
/// It cannot be used.
pub(crate) fn open(config: &Config) -> Result<Option<Kms>, libkmss::error::Error> {
    Kms::open_with(config, remote::client::backends(config)?)
}

impl Context {
    /// On a home: loads the configuration.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub(crate) fn new(global: Global) -> Result<Self, Failure> {
        let site = Site::Home(Box::new(configuration(&global)?));
        Ok(Self { global, site })
    }

    /// Against a server: no configuration is read, and no home is looked for.
    pub(crate) fn against(global: Global, server: Client) -> Self {
        Self { global, site: Site::Server(server) }
    }

    /// The server, where the command works against one.
    pub(crate) fn server(&self) -> Option<&Client> {
        match &self.site {
            Site::Home(_) => None,
            Site::Server(server) => Some(server),
        }
    }

    /// The configuration of the home.
    ///
    /// # Errors
    /// The command works against a server.
    pub(crate) fn config(&self) -> Result<&Config, Failure> {
        match &self.site {
            Site::Home(config) => Ok(config),
            Site::Server(_) => Err("this works on the home itself: run it on the server's host".into()),
        }
    }

    /// Opens the home.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub(crate) fn kms(&self) -> Result<Kms, Failure> {
        let home = &self.config()?.home;
        self.home()?.ok_or_else(|| {
            format!("there is no home at `{}`; make a token with `kmss token init LABEL`", home.display()).into()
        })
    }

    /// Opens the home where there is one.
    ///
    /// # Errors
    /// It cannot be used.
    pub(crate) fn home(&self) -> Result<Option<Kms>, Failure> {
        Ok(open(self.config()?)?)
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
    named(kms.namespaces()?, label)
}

/// The one of `namespaces` with this label, or of this `tenant/label`.
///
/// # Errors
/// As [`find_token`].
pub(crate) fn named(namespaces: Vec<Namespace>, label: &str) -> Result<Namespace, Failure> {
    let mut found = namespaces.into_iter().filter(|n| n.name == label || n.to_string() == label);
    match (found.next(), found.next()) {
        (Some(namespace), None) => Ok(namespace),
        (None, _) => Err(format!("no token is labelled `{label}`; `kmss token list` shows what there is").into()),
        (Some(_), Some(_)) => Err(format!("several tokens are labelled `{label}`; rename one first").into()),
    }
}
