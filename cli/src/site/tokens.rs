//! Tokens, their PINs and users, of a home or of a server.

use libkmss::auth::{Credential, CredentialState};
use libkmss::caller::Caller;
use libkmss::device::WrappingKey;
use libkmss::error::ErrorKind;
use libkmss::kms::{Holder, Kms, MaterialSeal};
use libkmss::secret::Secret;
use libkmss::settings::Settings;
use libkmss::tenant::{BackendId, Namespace};
use remote::client::{Client, ClientError};
use remote::proto::change_namespace_request::Change;
use remote::{convert, proto};

use super::wire::some;
use crate::context::{self, Context, find_token};
use crate::objects::{namespaces, text};
use crate::output::Failure;

/// A token, with what is known of its PINs: nothing, where a server tells it to administrators alone.
pub(crate) struct Token {
    /// The token.
    pub namespace: Namespace,
    /// The PIN of the user called `user`.
    pub user: Option<CredentialState>,
    /// The security officer's.
    pub officer: Option<CredentialState>,
    /// Who has a PIN.
    pub users: Vec<User>,
    /// What seals its key material, where that is known.
    pub material_seal: Option<MaterialSeal>,
}

/// Somebody with a PIN.
pub(crate) struct User {
    /// Its name.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its PIN.
    pub pin: CredentialState,
}

/// What a security officer does to a token.
pub(crate) enum Order<'a> {
    /// A new PIN for a user, who may be locked out.
    Reset(&'a str, &'a Secret),
    /// Another user.
    Add(&'a str, &'a Secret),
    /// A user less.
    Remove(&'a str),
    /// Wrong attempts of a user are forgotten.
    Unlock(&'a str),
    /// These roles and no others.
    Roles(&'a str, &'a [String]),
    /// Other settings.
    Settings(Settings),
    /// Another backend that makes its keys from now on.
    Backend(&'a BackendId),
}

/// Tokens.
pub(crate) trait Tokens {
    /// All that may be seen.
    fn all(&self) -> Result<Vec<Token>, Failure>;

    /// Makes one.
    fn make(
        &self,
        label: &str,
        made: (Settings, BackendId, &MaterialSeal),
        so_pin: &Secret,
        user_pin: Option<&Secret>,
    ) -> Result<Namespace, Failure>;

    /// Destroys one with all that is in it; keys that sealed its material and are left in HSMs.
    fn remove(&self, token: &Namespace, so_pin: &Secret) -> Result<Vec<WrappingKey>, Failure>;

    /// Changes a PIN of a user, or of the security officer, for whoever knows it.
    fn change_pin(&self, token: &Namespace, user: Option<&str>, old: &Secret, new: &Secret) -> Result<(), Failure>;

    /// What the security officer orders.
    fn order(&self, token: &Namespace, so_pin: &Secret, order: &Order<'_>) -> Result<(), Failure>;

    /// The token with this label.
    fn token(&self, label: &str) -> Result<Token, Failure>;
}

impl Context {
    /// The tokens; `None` where there is no home yet.
    pub(crate) fn tokens(&self) -> Result<Option<Box<dyn Tokens + '_>>, Failure> {
        Ok(match self.server() {
            None => self.home()?.map(|kms| -> Box<dyn Tokens> { Box::new(HomeTokens(kms)) }),
            Some(server) => Some(Box::new(ServerTokens(server))),
        })
    }

    /// The tokens of a home or server that there is.
    pub(crate) fn existing_tokens(&self) -> Result<Box<dyn Tokens + '_>, Failure> {
        Ok(match self.server() {
            None => Box::new(HomeTokens(self.kms()?)),
            Some(server) => Box::new(ServerTokens(server)),
        })
    }

    /// The tokens, of a home that is made where there is none.
    pub(crate) fn founded_tokens(&self) -> Result<Box<dyn Tokens + '_>, Failure> {
        if let Some(tokens) = self.tokens()? {
            return Ok(tokens);
        }
        let config = self.config()?;
        Ok(Box::new(HomeTokens(Kms::create_with(config, None, remote::client::backends(config)?)?)))
    }
}

/// Those of a home.
struct HomeTokens(Kms);

impl HomeTokens {
    fn known(&self, namespace: Namespace) -> Result<Token, Failure> {
        let kms = &self.0;
        let state = |holder: Holder<'_>| kms.credential_state(&namespace, holder);
        let user = |name: String| {
            let (roles, pin) = (kms.user_roles(&namespace, &name)?, state(Holder::User(&name))?);
            Ok(User { name, roles, pin })
        };
        let users = kms.users(&namespace)?.into_iter().map(user).collect::<Result<_, Failure>>()?;
        let (user, officer) = (Some(state(Holder::User("user"))?), Some(state(Holder::Officer)?));
        let material_seal = Some(kms.material_seal(&namespace)?);
        Ok(Token { user, officer, users, material_seal, namespace })
    }

    fn officer(&self, token: &Namespace, so_pin: &Secret) -> Result<Caller, Failure> {
        Ok(self.0.login(&self.0.enter(token, 0)?, &Credential::OfficerPin(so_pin))?)
    }
}

impl Tokens for HomeTokens {
    fn all(&self) -> Result<Vec<Token>, Failure> {
        self.0.namespaces()?.into_iter().map(|namespace| self.known(namespace)).collect()
    }

    fn token(&self, label: &str) -> Result<Token, Failure> {
        self.known(find_token(&self.0, label)?)
    }

    fn make(
        &self,
        label: &str,
        made: (Settings, BackendId, &MaterialSeal),
        so_pin: &Secret,
        user_pin: Option<&Secret>,
    ) -> Result<Namespace, Failure> {
        let (settings, backend, seal) = made;
        let namespace = self.0.initialize_sealed(None, label, (so_pin, None), (settings, backend), seal)?;
        if let Some(user_pin) = user_pin {
            self.0.set_user_pin(&self.officer(&namespace, so_pin)?, "user", user_pin)?;
        }
        self.0.close()?;
        Ok(namespace)
    }

    fn remove(&self, token: &Namespace, so_pin: &Secret) -> Result<Vec<WrappingKey>, Failure> {
        let left = self.0.remove(&self.0.enter(token, 0)?, so_pin)?;
        self.0.close()?;
        Ok(left)
    }

    fn change_pin(&self, token: &Namespace, user: Option<&str>, old: &Secret, new: &Secret) -> Result<(), Failure> {
        let holder = user.map_or(Holder::Officer, Holder::User);
        self.0.change_pin(&self.0.enter(token, 0)?, holder, old, new)?;
        Ok(self.0.close()?)
    }

    fn order(&self, token: &Namespace, so_pin: &Secret, order: &Order<'_>) -> Result<(), Failure> {
        let kms = &self.0;
        if let Order::Backend(backend) = *order {
            // Whether it may be changed depends on all objects that there are.
            kms.make_keys_in(&kms.administer(&kms.enter(token, 0)?, so_pin)?, backend)?;
            return Ok(kms.close()?);
        }
        let officer = self.officer(token, so_pin)?;
        match *order {
            Order::Backend(_) => {}
            Order::Reset(user, pin) => kms.set_user_pin(&officer, user, pin)?,
            Order::Add(user, pin) => kms.add_user(&officer, user, pin)?,
            Order::Remove(user) => kms.remove_user(&officer, user)?,
            Order::Unlock(user) => kms.unlock_user(&officer, user)?,
            Order::Roles(user, roles) => kms.set_user_roles(&officer, user, roles)?,
            Order::Settings(settings) if token.settings.differences(&settings).is_empty() => {}
            Order::Settings(settings) => drop(kms.configure(&officer, settings)?),
        }
        Ok(kms.close()?)
    }
}

/// Those of a server.
struct ServerTokens<'a>(&'a Client);

impl ServerTokens<'_> {
    fn change(&self, token: &Namespace, officer_pin: String, change: Change) -> Result<(), Failure> {
        self.0.ask(proto::ChangeNamespaceRequest {
            namespace: token.to_string(),
            officer_pin,
            change: Some(change),
            request_id: Vec::new(),
        })?;
        Ok(())
    }
}

fn credential(pin: proto::PinState) -> CredentialState {
    CredentialState { initialized: pin.set, failures: pin.failures, remaining: pin.attempts_left }
}

impl Tokens for ServerTokens<'_> {
    fn all(&self) -> Result<Vec<Token>, Failure> {
        let answer = match self.0.ask(proto::ListAllNamespacesRequest {}) {
            Ok(answer) => answer,
            // Who is no administrator sees what is served to it, and nothing of PINs.
            Err(e @ ClientError::Refused { .. }) if e.kind() == ErrorKind::Denied => {
                let token =
                    |namespace| Token { namespace, user: None, officer: None, users: Vec::new(), material_seal: None };
                return Ok(namespaces(self.0)?.into_iter().map(token).collect());
            }
            Err(e) => return Err(e.into()),
        };
        let user = |user: proto::NamespaceUser| User {
            name: user.name,
            roles: user.roles,
            pin: credential(user.pin.unwrap_or_default()),
        };
        let token = |(namespace, state): (proto::Namespace, proto::NamespaceState)| {
            let mut namespace = convert::namespace(namespace)?;
            namespace.ordinal = state.position;
            namespace.settings.pinless = state.pinless;
            let (user_pin, officer) = (state.user.map(credential), state.officer.map(credential));
            let users = state.users.into_iter().map(user).collect();
            let material_seal = some(state.material_seal).map(|seal| seal.parse::<MaterialSeal>()).transpose()?;
            Ok(Token { namespace, user: user_pin, officer, users, material_seal })
        };
        answer.namespaces.into_iter().zip(answer.states).map(token).collect()
    }

    fn token(&self, label: &str) -> Result<Token, Failure> {
        let mut all = self.all()?;
        let found = context::named(all.iter().map(|token| token.namespace.clone()).collect(), label)?;
        let place = all.iter().position(|token| token.namespace.id == found.id).ok_or("the token is gone")?;
        Ok(all.swap_remove(place))
    }

    fn make(
        &self,
        label: &str,
        (settings, backend, seal): (Settings, BackendId, &MaterialSeal),
        so_pin: &Secret,
        user_pin: Option<&Secret>,
    ) -> Result<Namespace, Failure> {
        let made = self.0.ask(proto::CreateNamespaceRequest {
            name: label.to_owned(),
            officer_pin: text(so_pin)?,
            user_pin: user_pin.map(text).transpose()?,
            profile: settings.profile.to_string(),
            forbid: settings.forbid.to_string(),
            separate_wrap_and_decrypt: settings.separate_wrap_and_decrypt,
            backend: backend.0.into_owned(),
            seal: seal.to_string(),
            request_id: Vec::new(),
        })?;
        Ok(convert::namespace(made.namespace.ok_or("the server does not say what it made")?)?)
    }

    fn remove(&self, token: &Namespace, so_pin: &Secret) -> Result<Vec<WrappingKey>, Failure> {
        let (namespace, officer_pin) = (token.to_string(), text(so_pin)?);
        let removed = self.0.ask(proto::RemoveNamespaceRequest { namespace, officer_pin, request_id: Vec::new() })?;
        Ok(removed.left_in_device.into_iter().map(Into::into).collect())
    }

    fn change_pin(&self, token: &Namespace, user: Option<&str>, old: &Secret, new: &Secret) -> Result<(), Failure> {
        let user = user.unwrap_or_default().to_owned();
        let change = proto::PinChange { user, old_pin: text(old)?, new_pin: text(new)? };
        self.change(token, String::new(), Change::Pin(change))
    }

    fn order(&self, token: &Namespace, so_pin: &Secret, order: &Order<'_>) -> Result<(), Failure> {
        let with_pin = |user: &str, pin| Ok::<_, Failure>(proto::UserPin { user: user.to_owned(), pin: text(pin)? });
        let change = match *order {
            Order::Reset(user, pin) => Change::Reset(with_pin(user, pin)?),
            Order::Add(user, pin) => Change::AddUser(with_pin(user, pin)?),
            Order::Remove(user) => Change::RemoveUser(user.to_owned()),
            Order::Unlock(user) => Change::UnlockUser(user.to_owned()),
            Order::Roles(user, roles) => {
                Change::Roles(proto::UserRoles { user: user.to_owned(), roles: roles.to_vec() })
            }
            Order::Backend(backend) => Change::Backend(backend.0.clone().into_owned()),
            Order::Settings(settings) => Change::Settings(proto::NamespaceSettings {
                profile: settings.profile.to_string(),
                forbid: settings.forbid.to_string(),
                separate_wrap_and_decrypt: settings.separate_wrap_and_decrypt,
            }),
        };
        self.change(token, text(so_pin)?, change)
    }
}
