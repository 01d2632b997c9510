//! What is served: the home, its namespaces, and who may use them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::config::Config;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{Action, AuditMode, BackendId, KeyClass, KeyVersion, Object, Opener};
use libkmss::kms::Kms;
use libkmss::secret::Secret;
use libkmss::tenant::Namespace;
use zeroize::Zeroizing;

use super::call::{Call, Named};
use super::config::NamespaceConfig;
use super::peer::Connection;
use crate::convert;
use crate::proto;

/// The user that a PIN is the one of, where nothing else is said.
const USER: &str = "user";
/// Longest PIN file in bytes.
const LONGEST_PIN: usize = 4096;

/// The home, open, and what of it is served.
pub(super) struct Host {
    pub(super) kms: Kms,
    pub(super) config: Config,
    served: HashMap<String, Served>,
}

/// A namespace that is served.
struct Served {
    config: NamespaceConfig,
    opened: RwLock<Opened>,
    /// One thread opens it anew.
    opening: Mutex<()>,
}

/// A namespace as it was when it was opened.
#[derive(Clone)]
struct Opened {
    /// The server in it, with what its PIN unlocks.
    base: Caller,
    /// Counts openings.
    edition: u64,
    /// The store's generation at which it was found to be the same namespace still.
    generation: u64,
}

/// The lane of backends that nobody knows, where nobody else is.
fn elsewhere() -> BackendId {
    BackendId("".into())
}

/// Somebody who is not to use a namespace that they asked for.
struct KeptOut {
    /// Whoever it is, in that namespace.
    caller: Caller,
    edition: u64,
    /// What they hear.
    answer: Error,
}

impl Host {
    /// Opens every namespace of `served`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for one that is not there, [`ErrorKind::Config`] for a PIN that cannot be read, and those of the
    /// login.
    pub(super) fn open(kms: Kms, config: Config, served: &[NamespaceConfig]) -> Result<Self> {
        let mut all = HashMap::new();
        for wanted in served {
            let opened = open(&kms, wanted, 1)?;
            let name = opened.base.namespace.to_string();
            let served = Served { config: wanted.clone(), opened: RwLock::new(opened), opening: Mutex::new(()) };
            if all.insert(name, served).is_some() {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("[[server.namespace]] names `{}` twice", wanted.name),
                ));
            }
        }
        Ok(Self { kms, config, served: all })
    }

    /// The caller that is at the other end of `connection`, in `namespace`, with the request `call` for `method`. Whoever is
    /// kept out is recorded.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a namespace that is not served, or not to it; [`ErrorKind::Denied`] for a peer without a name.
    pub(super) fn caller(
        &self,
        connection: &Connection,
        namespace: &str,
        call: Option<[u8; 16]>,
        method: &str,
    ) -> Result<Caller> {
        let caller = self.introduced(connection, namespace)?.map_err(|out| {
            // Once on each connection: nobody fills the disk by asking. What is not to be used is not there, though the audit
            // may be away.
            if connection.is_kept_out(out.caller.namespace.to_string(), out.edition) {
                let why = "it is not among the `principals` of the namespace";
                drop(self.kms.refuse::<()>(&out.caller, Action::Find, method, Error::new(ErrorKind::Denied, why)));
            }
            out.answer
        })?;
        Ok(match call {
            Some(id) => caller.calling(id),
            None => caller,
        })
    }

    /// As [`Self::caller`], for whoever did not ask for the namespace: nothing is recorded.
    pub(super) fn known(&self, connection: &Connection, namespace: &str) -> Result<Caller> {
        self.introduced(connection, namespace)?.map_err(|out| out.answer)
    }

    fn introduced(
        &self,
        connection: &Connection,
        namespace: &str,
    ) -> Result<std::result::Result<Caller, Box<KeptOut>>> {
        let whole = full_name(namespace);
        let served = self.served.get(&*whole).ok_or_else(|| absent(namespace))?;
        let Opened { base, edition, .. } = served.current(self)?;
        if let Some(caller) = connection.caller(&whole, edition) {
            return Ok(Ok(caller));
        }
        let introduce = |principal| base.introduce(Arc::new(principal), connection.number, self.kms.now());
        let out = |principal, answer| Ok(Err(Box::new(KeptOut { caller: introduce(principal), edition, answer })));
        let principal = match connection.peer.principal(&self.config, &base.namespace.name) {
            Ok(principal) => principal,
            Err(answer) => return out(connection.peer.unnamed(), answer),
        };
        let allowed = &served.config.principals;
        if !allowed.is_empty() && !allowed.contains(&principal.name) {
            return out(principal, absent(namespace));
        }
        let caller = introduce(principal);
        connection.remember(&whole, edition, caller.clone());
        Ok(Ok(caller))
    }

    /// The namespaces that are served.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.served.keys()
    }

    /// The server itself in a namespace that it serves.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; those of opening it anew.
    pub(super) fn own(&self, namespace: &str) -> Result<Caller> {
        let served = self.served.get(&*full_name(namespace)).ok_or_else(|| absent(namespace))?;
        served.current(self).map(|opened| opened.base)
    }

    /// The caller at the other end of `connection`, beyond namespaces: for what administrators do, which looks at who it is.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for a peer without a name.
    pub(super) fn beyond(&self, connection: &Connection, call: Option<[u8; 16]>, method: &str) -> Result<Caller> {
        let base = self.kms.administrator(None)?;
        let introduce = |principal| base.introduce(Arc::new(principal), connection.number, self.kms.now());
        let caller = match connection.peer.principal(&self.config, "*") {
            Ok(principal) => introduce(principal),
            Err(answer) => {
                if connection.is_kept_out(String::new(), 0) {
                    let why = Error::new(ErrorKind::Denied, answer.message().to_owned());
                    drop(self.kms.refuse::<()>(&introduce(connection.peer.unnamed()), Action::Find, method, why));
                }
                return Err(answer);
            }
        };
        Ok(match call {
            Some(id) => caller.calling(id),
            None => caller,
        })
    }

    /// Whether a use of `key` (or of none) needs nothing but memory and a record: its caller is known, and its key is one of the
    /// software engine whose records need not be on the disk.
    pub(super) fn is_near(&self, connection: &Connection, namespace: &str, key: Option<&proto::KeyRef>) -> bool {
        let whole = full_name(namespace);
        let known = self.served.get(&*whole).and_then(|served| {
            let opened = served.opened.read().unwrap_or_else(PoisonError::into_inner);
            let current = opened.generation == self.kms.generation();
            connection.caller(&whole, opened.edition).filter(|_| current)
        });
        // What is kept elsewhere is looked at there.
        let Some(caller) = known.filter(|caller| caller.namespace.backend == BackendId::soft()) else { return false };
        key.is_none_or(|key| {
            let object = convert::object_id(&key.id).and_then(|id| self.kms.object(&caller, id));
            object.is_ok_and(|object| {
                object.key().is_some_and(|key| {
                    let soft = |version: &KeyVersion| version.backend == BackendId::soft();
                    key.audit == AuditMode::Normal
                        && key.primary().is_ok_and(soft)
                        && self.kms.opener(&caller, &object) == Some(Opener::Memory)
                })
            })
        })
    }

    /// Whether `caller` may try PINs of its namespace; `None` where that is not served, so that nobody could name officers.
    pub(super) fn may_try_pins(&self, caller: &Caller) -> Option<bool> {
        let officers = &self.served.get(&caller.namespace.to_string())?.config.officers;
        Some(officers.is_empty() || officers.contains(&caller.principal.name))
    }

    /// Whether the server itself logs in to `namespace` with the PIN of `user`.
    pub(super) fn logs_in_as(&self, namespace: &Namespace, user: &str) -> bool {
        user == USER && self.served.get(&namespace.to_string()).is_some_and(|served| served.config.has_pin())
    }

    /// Whether a namespace of this name is served, to whomever.
    pub(super) fn serves(&self, namespace: &str) -> bool {
        self.served.contains_key(&*full_name(namespace))
    }

    /// The backend that does `call`, as far as it is known here: it may take as long as that does.
    pub(super) fn backend<C: Call>(&self, call: &C) -> BackendId {
        if let Some(draft) = call.draft().filter(|draft| !draft.backend.is_empty()) {
            return BackendId(draft.backend.clone().into());
        }
        let soft = BackendId::soft();
        let Some(base) = self.base(call.namespace()) else { return soft };
        // Any device among those that it may ask.
        let asked = || [self.lane_of(call.namespace(), call.key()), self.lane_of_named(&base, &call.named())];
        let makes = || C::MAKES.then(|| self.kms.sealing_device(&base)).flatten();
        asked()
            .into_iter()
            .chain(makes().map(|device| BackendId(device.into())))
            .find(|lane| *lane != soft)
            .unwrap_or(soft)
    }

    /// The lane of a namespace's round by itself: for what is due.
    pub(super) fn lane_of_round(&self, namespace: &str) -> BackendId {
        self.base(namespace).map_or_else(elsewhere, |base| self.lane_of_named(&base, &Named::Any))
    }

    /// The server itself in `namespace`, as it was last opened.
    fn base(&self, namespace: &str) -> Option<Caller> {
        let served = self.served.get(&*full_name(namespace))?;
        Some(served.opened.read().unwrap_or_else(PoisonError::into_inner).base.clone())
    }

    /// Whoever is asked for a use of `key`, or of a namespace's keys: the backend, or the device that has to open it first.
    pub(super) fn lane_of(&self, namespace: &str, key: Option<&proto::KeyRef>) -> BackendId {
        let backend = self.backend_of(namespace, key);
        let object = || {
            let (base, id) = (self.base(namespace)?, convert::object_id(&key?.id).ok()?);
            let object = self.kms.object(&base, id).ok()?;
            Some(self.lane_of_object(&base, &object))
        };
        (backend == BackendId::soft()).then(object).flatten().unwrap_or(backend)
    }

    /// The same of a key that is named otherwise.
    fn lane_of_named(&self, base: &Caller, named: &Named<'_>) -> BackendId {
        let backend = base.namespace.backend.clone();
        if backend != BackendId::soft() {
            return backend;
        }
        let object = match named {
            Named::Nothing => return backend,
            Named::Any => {
                return self.kms.sealing_device(base).map_or_else(elsewhere, |device| BackendId(device.into()));
            }
            Named::Object(id) => self.kms.object(base, *id).ok(),
            Named::Business(id) => self.kms.business_key(base, *id).ok(),
            Named::Name(name) => [KeyClass::Secret, KeyClass::Private, KeyClass::Public]
                .into_iter()
                .find_map(|class| self.kms.key(base, name, class).ok().flatten()),
        };
        // What is not there is asked of nobody.
        object.map_or(backend, |object| self.lane_of_object(base, &object))
    }

    fn lane_of_object(&self, base: &Caller, object: &Object) -> BackendId {
        let kept = object.key().and_then(|key| key.primary().ok()).map(|version| version.backend.clone());
        match (kept, self.kms.opener(base, object)) {
            (Some(backend), _) if backend != BackendId::soft() => backend,
            (_, Some(Opener::Memory)) => BackendId::soft(),
            (_, Some(Opener::Device(device))) => BackendId(device.into()),
            // Another process rotated the domain key: it may be in a device from then on.
            (_, None) => self.kms.sealing_device(base).map_or_else(elsewhere, |device| BackendId(device.into())),
        }
    }

    /// The backend of a namespace's keys, or of `key`.
    pub(super) fn backend_of(&self, namespace: &str, key: Option<&proto::KeyRef>) -> BackendId {
        let Some(base) = self.base(namespace) else { return BackendId::soft() };
        let backend = base.namespace.backend.clone();
        if backend != BackendId::soft() {
            return backend;
        }
        // A draft may have named another one.
        let found = key.and_then(|key| {
            let object = self.kms.object(&base, convert::object_id(&key.id).ok()?).ok()?;
            object.key().and_then(|key| key.primary().ok().map(|version| version.backend.clone()))
        });
        found.unwrap_or(backend)
    }

    /// The namespaces that are served to `connection`.
    pub(super) fn namespaces(&self, connection: &Connection) -> Result<Vec<Namespace>> {
        let mut all = Vec::new();
        for name in self.served.keys() {
            match self.known(connection, name) {
                Ok(caller) => all.push(Namespace::clone(&caller.namespace)),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        all.sort_by(|a, b| (&a.tenant, &a.name).cmp(&(&b.tenant, &b.name)));
        Ok(all)
    }
}

impl Served {
    /// The namespace as it is now: where it was made anew, it is opened anew.
    fn current(&self, host: &Host) -> Result<Opened> {
        let generation = host.kms.generation();
        let known = self.opened.read().unwrap_or_else(PoisonError::into_inner).clone();
        if known.generation == generation && generation.is_multiple_of(2) {
            return Ok(known);
        }
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let namespace = find(&host.kms, &self.config.name)?;
        let current = if namespace == *known.base.namespace {
            Opened { generation, ..known }
        } else {
            open(&host.kms, &self.config, known.edition + 1)?
        };
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = current.clone();
        Ok(current)
    }
}

fn open(kms: &Kms, wanted: &NamespaceConfig, edition: u64) -> Result<Opened> {
    let generation = kms.generation();
    let namespace = find(kms, &wanted.name)?;
    let mut base = kms.enter(&namespace, 0)?;
    if let Some(pin) = pin(wanted)? {
        base = kms.login(&base, &Credential::UserPin { name: USER, pin: &pin })?;
    }
    Ok(Opened { base, edition, generation })
}

fn find(kms: &Kms, name: &str) -> Result<Namespace> {
    let whole = full_name(name);
    let mut found = kms.namespaces()?.into_iter().filter(|namespace| namespace.to_string() == *whole);
    match (found.next(), found.next()) {
        (Some(namespace), None) => Ok(namespace),
        (None, _) => Err(absent(name)),
        _ => Err(Error::new(ErrorKind::Conflict, format!("several namespaces are called `{}`", name.escape_debug()))),
    }
}

/// `tenant/name`.
pub(super) fn full_name(name: &str) -> std::borrow::Cow<'_, str> {
    if name.contains('/') { name.into() } else { format!("{}/{name}", Namespace::DEFAULT_TENANT).into() }
}

fn absent(name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    Error::new(ErrorKind::NotFound, format!("no namespace `{}` is served here", shown.escape_debug()))
}

fn pin(of: &NamespaceConfig) -> Result<Option<Secret>> {
    let unset = |name: &str| Error::new(ErrorKind::Config, format!("`{name}`, which is to hold a PIN, is not set"));
    if let Some(name) = &of.pin_env {
        return std::env::var(name).map(|pin| Some(Secret::new(pin.into_bytes()))).map_err(|_| unset(name));
    }
    let file = match (&of.pin_file, &of.pin_credential) {
        (Some(file), _) => file.clone(),
        (None, Some(name)) if !name.contains('/') => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| unset("CREDENTIALS_DIRECTORY"))?;
            PathBuf::from(folder).join(name)
        }
        (None, Some(_)) => return Err(Error::new(ErrorKind::Config, "`pin_credential` is a name, not a path")),
        (None, None) => return Ok(None),
    };
    read_pin(&file).map(Some)
}

fn read_pin(file: &Path) -> Result<Secret> {
    let unreadable =
        |e| Error::new(ErrorKind::Config, format!("cannot read the PIN in `{}`", file.display())).with_source(e);
    let content = Zeroizing::new(fs::read(file).map_err(unreadable)?);
    let end = content.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    match content.get(..end) {
        Some(pin) if (1..=LONGEST_PIN).contains(&pin.len()) => Ok(Secret::copy_of(pin)),
        _ => Err(Error::new(ErrorKind::Config, format!("`{}` holds no PIN", file.display()))),
    }
}
