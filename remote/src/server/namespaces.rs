//! Namespaces, their PINs and users: for administrators, and for the security officer of each.

use libkmss::auth::CredentialState;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::Action;
use libkmss::kms::{Holder, Kms, MaterialSeal};
use libkmss::settings::Settings;
use libkmss::tenant::{BackendId, Namespace};

use super::admin::secret;
use super::bridge::Way;
use super::call::{Asked, Call, argument};
use super::host::full_name;
use crate::proto::{self, change_namespace_request::Change};

/// The user whom nobody has to add.
const USER: &str = "user";

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

const fn pin_state(state: CredentialState) -> proto::PinState {
    proto::PinState { set: state.initialized, failures: state.failures, attempts_left: state.remaining }
}

fn state(kms: &Kms, namespace: &Namespace) -> Result<proto::NamespaceState> {
    let pin = |holder: Holder<'_>| kms.credential_state(namespace, holder).map(|state| Some(pin_state(state)));
    let user = |name: String| {
        let (roles, pin) = (kms.user_roles(namespace, &name)?, pin(Holder::User(&name))?);
        Ok(proto::NamespaceUser { name, roles, pin })
    };
    Ok(proto::NamespaceState {
        position: namespace.ordinal,
        pinless: namespace.settings.pinless,
        officer: pin(Holder::Officer)?,
        user: pin(Holder::User(USER))?,
        users: kms.users(namespace)?.into_iter().map(user).collect::<Result<_>>()?,
        material_seal: kms.material_seal(namespace)?.to_string(),
    })
}

impl Call for proto::ListAllNamespacesRequest {
    type Answer = proto::ListAllNamespacesResponse;
    const METHOD: &'static str = "ListAllNamespaces";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListAllNamespacesResponse> {
        asked.admin()?;
        let all = asked.host.kms.namespaces()?;
        let states = all.iter().map(|namespace| state(&asked.host.kms, namespace)).collect::<Result<_>>()?;
        Ok(proto::ListAllNamespacesResponse { namespaces: all.iter().map(Into::into).collect(), states })
    }
}

impl Call for proto::CreateNamespaceRequest {
    type Answer = proto::CreateNamespaceResponse;
    const METHOD: &'static str = "CreateNamespace";
    const WAY: Way = Way::Home;
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::CreateNamespaceResponse> {
        asked.admin()?;
        let (officer_pin, user_pin) = (secret(self.officer_pin)?, self.user_pin.map(secret).transpose()?);
        let mut settings =
            Settings { separate_wrap_and_decrypt: self.separate_wrap_and_decrypt, ..Settings::default() };
        if !self.profile.is_empty() {
            settings.profile = self.profile.parse()?;
        }
        if !self.forbid.is_empty() {
            settings.forbid = self.forbid.parse()?;
        }
        settings.pinless = user_pin.is_none();
        let name = full_name(&self.name);
        let name = name.strip_prefix("default/").filter(|name| !name.is_empty() && !name.contains('/'));
        let name = name.ok_or_else(|| argument("a namespace is made in the tenant `default`"))?;
        let kms = &asked.host.kms;
        if kms.namespaces()?.iter().any(|known| known.to_string() == *full_name(name)) {
            return Err(Error::new(ErrorKind::AlreadyExists, "there is a namespace of this name"));
        }
        let backend = some(self.backend).map_or_else(BackendId::soft, |name| BackendId(name.into()));
        let seal: MaterialSeal = some(self.seal).map_or(Ok(MaterialSeal::InMemory), |seal| seal.parse())?;
        // Both PINs at once: nobody could finish what is half made.
        let pins = (&officer_pin, user_pin.as_ref());
        let namespace = kms.initialize_sealed(Some(&asked.caller), name, pins, (settings, backend), &seal)?;
        Ok(proto::CreateNamespaceResponse { namespace: Some((&namespace).into()) })
    }
}

impl Call for proto::RemoveNamespaceRequest {
    type Answer = proto::RemoveNamespaceResponse;
    const METHOD: &'static str = "RemoveNamespace";
    const PIN: bool = true;
    const WAY: Way = Way::Home;
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RemoveNamespaceResponse> {
        asked.admin()?;
        let namespace = asked.named(&self.namespace)?;
        let (visitor, pin) = (asked.visitor(&namespace)?, secret(self.officer_pin)?);
        let left = asked.try_pin(&visitor, || asked.host.kms.remove(&visitor, &pin))?;
        for key in &left {
            tracing::warn!(hsm = %key.hsm, key = %key.key, "the key that sealed the material of a removed token is still in the HSM");
        }
        Ok(proto::RemoveNamespaceResponse { left_in_device: left.into_iter().map(Into::into).collect() })
    }
}

impl Call for proto::ChangeNamespaceRequest {
    type Answer = proto::ChangeNamespaceResponse;
    const METHOD: &'static str = "ChangeNamespace";
    const PIN: bool = true;

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ChangeNamespaceResponse> {
        let kms = &asked.host.kms;
        let namespace = Namespace::clone(&asked.caller.namespace);
        let change = self.change.ok_or_else(|| argument("it is not said what to change"))?;
        if let Change::Pin(change) = change {
            let (old, new) = (secret(change.old_pin)?, secret(change.new_pin)?);
            let holder = if change.user.is_empty() { Holder::Officer } else { Holder::User(&change.user) };
            // Wrong attempts would lock the server out of the namespace.
            if asked.host.logs_in_as(&namespace, &change.user) {
                if self.officer_pin.is_empty() {
                    let why = "kmssd itself works with this PIN: the security officer sets it (`--reset`)";
                    return asked.refuse(Action::SetPin, why);
                }
                drop(asked.logged_in(&asked.caller, self.officer_pin)?);
            }
            asked.try_pin(&asked.caller, || kms.change_pin(&asked.caller, holder, &old, &new))?;
            return Ok(proto::ChangeNamespaceResponse { namespace: Some((&namespace).into()) });
        }
        if let Change::Backend(backend) = change {
            // Whether a backend may be changed depends on all objects that there are.
            let namespace = kms.make_keys_in(&asked.officer(self.officer_pin)?, &BackendId(backend.into()))?;
            return Ok(proto::ChangeNamespaceResponse { namespace: Some((&namespace).into()) });
        }
        let officer = asked.logged_in(&asked.caller, self.officer_pin)?;
        let mut namespace = namespace;
        match change {
            Change::Pin(_) | Change::Backend(_) => {}
            Change::Reset(user) => {
                if user.user != USER && !kms.users(&namespace)?.contains(&user.user) {
                    return Err(Error::new(ErrorKind::NotFound, "there is no such user"));
                }
                kms.set_user_pin(&officer, &user.user, &secret(user.pin)?)?;
            }
            Change::AddUser(user) => kms.add_user(&officer, &user.user, &secret(user.pin)?)?,
            Change::RemoveUser(user) => kms.remove_user(&officer, &user)?,
            Change::UnlockUser(user) => kms.unlock_user(&officer, &user)?,
            Change::Roles(user) => kms.set_user_roles(&officer, &user.user, &user.roles)?,
            Change::Settings(wanted) => {
                let settings = Settings {
                    profile: wanted.profile.parse()?,
                    forbid: wanted.forbid.parse()?,
                    separate_wrap_and_decrypt: wanted.separate_wrap_and_decrypt,
                    pinless: namespace.settings.pinless,
                };
                if !namespace.settings.differences(&settings).is_empty() {
                    namespace = kms.configure(&officer, settings)?;
                }
            }
        }
        Ok(proto::ChangeNamespaceResponse { namespace: Some((&namespace).into()) })
    }
}
