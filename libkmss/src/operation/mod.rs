//! Operations: one file per verb. Each says what it is about to do ([`Request`]) and, once permitted, does it.

mod adopt;
mod alias;
mod changes;
mod copy;
mod data_key;
mod derive;
mod derive_child;
mod destroy;
mod digest;
mod draft;
mod encapsulate;
mod encrypt;
mod export;
mod find;
mod generate;
mod grant;
mod import;
mod jws;
mod life;
mod make;
mod manage;
mod message;
mod random;
mod recover;
mod relocate;
mod replicate;
mod rotate;
mod sign;
mod unwrap;
mod vault;
mod wrap;

use std::sync::Arc;

pub use adopt::{Adopt, Survey};
pub use alias::SetAlias;
pub use changes::ListChanges;
pub use copy::Copy;
pub use data_key::{DataKey, DataKeyPair, GenerateDataKey, GenerateDataKeyPair};
pub use derive::{Derive, DeriveData, DerivePublic, Derived};
pub use derive_child::DeriveChild;
pub use destroy::{Destroy, DestroyLeft};
pub use digest::Digest;
pub use draft::{Claims, Draft};
pub use encapsulate::{Decapsulate, Encapsulate};
pub use encrypt::{Decrypt, Encrypt};
pub use export::Export;
pub use find::Find;
pub use generate::{GeneratePair, GenerateSecret};
pub use grant::Grant;
pub use import::{Import, ImportDocument};
pub use jws::{SignJws, VerifyJws};
pub use life::ChangeLife;
pub use make::Make;
pub use manage::{Rename, Update};
pub use message::{DecryptMessage, EncryptMessage};
pub use random::{DrawRandom, SeedRandom};
pub use recover::{SignRecover, VerifyRecover};
pub use relocate::{Move, Moved, is_left_by};
pub use replicate::Replicate;
pub(crate) use rotate::is_activable;
pub use rotate::{Activate, Rotate, Rotated, Turn};
pub use sign::{Sign, Verify};
pub use unwrap::Unwrap;
pub use vault::{Detokenize, Tokenize};
pub use wrap::{Wrap, WrappedLength, Wrapping, wrapped_length};

use crate::backend::{Backend, Custody};
use crate::caller::{Caller, Login};
use crate::catalog::{Catalog, Newcomers};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
pub use crate::key::Expected;
use crate::key::{
    Action, Alteration, BackendId, Body, DeviceObject, KeyClass, KeySpec, Object, Rotation, Storage, Usage,
    weakness_of_key,
};
use crate::mechanism::{EncryptionContext, Mechanism};
use crate::permit::{NewObject, Permit, Subject};
use crate::rules::{Made, RuleBook};
use crate::settings::{Settings, Weakness};
use crate::tenant::ObjectId;
use crate::vault::Vault;

/// A reference to an existing object, resolved anew by the pipeline at each use.
#[derive(Clone, Debug)]
pub enum ObjectRef {
    /// An object in the store.
    Stored(ObjectId),
    /// A session object, which the door holds.
    Ephemeral(Arc<Object>),
}

impl From<Arc<Object>> for ObjectRef {
    fn from(object: Arc<Object>) -> Self {
        match object.storage {
            Storage::Stored => Self::Stored(object.id),
            Storage::Ephemeral => Self::Ephemeral(object),
        }
    }
}

impl From<&Arc<Object>> for ObjectRef {
    fn from(object: &Arc<Object>) -> Self {
        Self::from(Arc::clone(object))
    }
}

/// What an operation is about, before anything is resolved.
#[derive(Clone, Debug)]
pub enum Target {
    /// An existing object.
    Object(ObjectRef),
    /// An object that is about to exist.
    New(Arc<NewObject>),
    /// The namespace itself.
    Namespace,
    /// The request's own object, under a new name.
    Renamed(String),
}

/// What an operation is about to do: all that policy, quota, state and audit need to know.
#[derive(Clone, Debug)]
pub struct Request {
    /// The verb.
    pub action: Action,
    /// What it is about.
    pub target: Target,
    /// A second object, with the action that is decided on it: the wrapped key, the unwrapped or derived key.
    pub also: Option<(Action, Target)>,
    /// More of them: other input keys of a derivation, and all new keys of it but the first.
    pub more: Vec<(Action, Target)>,
    /// The mechanism, where one is involved.
    pub mechanism: Option<Mechanism>,
    /// The door's number of the mechanism, held against the key's list of allowed mechanisms.
    pub mechanism_number: Option<u64>,
    /// Bytes of data, where known at the start.
    pub data_len: Option<u64>,
    /// Whether the data is recovered from the signature: signing and verifying have attributes of their own for that.
    pub recovery: bool,
    /// The encryption context: what the caller says of the data, for policies and the audit. Sorted by name; names are
    /// unique.
    pub context: EncryptionContext,
    /// The stored key that it generates, for the rules on what may be made.
    pub makes: Option<KeySpec>,
    /// What it is part of, where its records are to say so: a tag of theirs.
    pub part_of: Option<&'static str>,
}

impl Request {
    /// A request without second object, mechanism or data.
    #[must_use]
    pub fn new(action: Action, target: Target) -> Self {
        Self {
            action,
            target,
            also: None,
            more: Vec::new(),
            mechanism: None,
            mechanism_number: None,
            data_len: None,
            recovery: false,
            context: EncryptionContext::default(),
            makes: None,
            part_of: None,
        }
    }

    /// With a second object that is about to exist.
    fn with_second(self, second: Option<Target>) -> Self {
        Self { also: second.map(|second| (Action::Generate, second)), ..self }
    }

    /// Whether it changes what is stored, so that its intent is recorded before. Unwrapping and deriving do where the new
    /// key is stored; nothing does that is about session objects alone, which end with their process anyway.
    #[must_use]
    pub fn has_effect(&self) -> bool {
        let stored = |target: &Target| match target {
            Target::New(new) => new.storage == Storage::Stored,
            Target::Object(ObjectRef::Ephemeral(_)) => false,
            _ => true,
        };
        (self.action.has_effect() && stored(&self.target))
            || self.also.iter().chain(&self.more).any(|(action, target)| action.has_effect() && stored(target))
    }

    /// The stored object that it is about.
    pub(crate) const fn stored(&self) -> Option<ObjectId> {
        match &self.target {
            Target::Object(ObjectRef::Stored(id)) => Some(*id),
            _ => None,
        }
    }
}

/// A mechanism with the number that the calling door knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The door's number; held against the key's list of allowed mechanisms.
    pub number: Option<u64>,
}

impl From<Mechanism> for Chosen {
    fn from(mechanism: Mechanism) -> Self {
        Self { mechanism, number: None }
    }
}

impl Chosen {
    /// A request to use `key` by this mechanism.
    fn request(&self, action: Action, key: &ObjectRef) -> Request {
        let context = match &self.mechanism {
            Mechanism::Native(native) => native.context.clone(),
            _ => EncryptionContext::default(),
        };
        Request {
            mechanism: Some(self.mechanism.clone()),
            mechanism_number: self.number,
            context,
            ..Request::new(action, Target::Object(key.clone()))
        }
    }
}

/// The use of one key, or of none.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// The verb.
    pub action: Action,
    /// The key; `None` for a digest.
    pub key: Option<&'a ObjectRef>,
    /// How.
    pub mechanism: &'a Mechanism,
    /// The door's number of the mechanism, where a key's list of allowed ones is to be looked at.
    pub mechanism_number: Option<u64>,
}

impl<'a> Use<'a> {
    /// The use of `key`.
    pub(super) const fn of(action: Action, key: &'a ObjectRef, how: &'a Chosen) -> Self {
        Self { action, key: Some(key), mechanism: &how.mechanism, mechanism_number: how.number }
    }
}

/// An action that the pipeline can admit.
pub trait Operation {
    /// What is under way after the start: a multi-part operation, or the result of a one-shot one.
    type Running;

    /// What is about to happen.
    fn request(&self) -> Request;

    /// The same, where it is the use of one key and nothing else: it may follow another one like it.
    fn as_use(&self) -> Option<Use<'_>> {
        None
    }

    /// What it is to change in the object it is about, for the audit.
    fn alterations(&self, subject: &Subject) -> Vec<Alteration> {
        let _ = subject;
        Vec::new()
    }

    /// What else it changed in that, where only the end tells: it stands in the record of the result.
    fn altered(_: &Self::Running) -> Vec<Alteration> {
        Vec::new()
    }

    /// Does it, or starts it. Called once, after the decision.
    ///
    /// # Errors
    /// Those of the backend and the catalogue.
    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running>;

    /// The objects it made, for the audit: only now are their names known.
    fn made(_: &Self::Running) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::empty()
    }
}

/// An operation that makes objects, in two steps: many of them can be kept together in between.
pub trait Making: Operation {
    /// Makes what is to be kept.
    ///
    /// # Errors
    /// Those of the backend.
    fn prepare(self, hall: &Hall, permit: &Permit) -> Result<Vec<Object>>;

    /// What [`Operation::start`] returns, of the objects as they were kept.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where there are others than were prepared.
    fn running(kept: Vec<Arc<Object>>) -> Result<Self::Running>;
}

/// What operations work with.
pub struct Hall {
    /// The objects of all namespaces.
    pub catalog: Arc<Catalog>,
    /// All backends; the first is the software engine.
    pub backends: Vec<Arc<dyn Backend>>,
    /// Random tokens and what they stand for.
    pub vault: Vault,
    /// Which keys may be made.
    pub rules: Arc<RuleBook>,
}

impl Hall {
    /// The backend that holds the permit's key.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`] when it is not configured.
    pub fn backend_of(&self, permit: &Permit) -> Result<&Arc<dyn Backend>> {
        self.backend(&permit.key()?.version.backend)
    }

    /// The backend named `id`.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`] when it is not configured.
    pub fn backend(&self, id: &BackendId) -> Result<&Arc<dyn Backend>> {
        self.backends.iter().find(|b| b.id() == id).ok_or_else(|| {
            let why = format!("no backend `{}` is configured: name it in the configuration, or correct its name", id.0);
            Error::new(ErrorKind::BackendUnavailable, why)
        })
    }

    /// The backend that makes what `draft` describes: the one it names; else the software engine for what is not stored, and
    /// for what is the backend of the namespace.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`] when it is not configured; [`ErrorKind::Unsupported`] where a server keeps the keys of
    /// either the namespace or the backend, and not of the other.
    pub fn maker(&self, permit: &Permit, draft: &Draft) -> Result<&Arc<dyn Backend>> {
        match (&draft.backend, draft.storage) {
            (Some(named), Storage::Ephemeral) => self.backend(named),
            (None, Storage::Ephemeral) => self.software(),
            (Some(named), Storage::Stored) => {
                self.check_mixed(permit.caller(), named)?;
                self.backend(named)
            }
            // Another process may have given the namespace another one since the caller came.
            (None, Storage::Stored) => self.backend(&self.catalog.backend_of(&permit.caller().namespace)?),
        }
    }

    /// Refuses keys of the caller's namespace in `backend` where a server keeps either: its records are all or none of those of
    /// a namespace.
    pub(crate) fn check_mixed(&self, caller: &Caller, backend: &BackendId) -> Result<()> {
        let home = &caller.namespace.backend;
        let there = self.backend(backend)?;
        if backend == home || (self.keeper(caller)?.is_none() && there.custody().is_none()) {
            return Ok(());
        }
        let server = if there.custody().is_some() { backend } else { home };
        let why = format!(
            "`{}` is a server, which keeps all keys of a token or none: make another token for the keys that are elsewhere",
            server.0
        );
        Err(Error::new(ErrorKind::Unsupported, why))
    }

    /// The software engine, which computes what needs no key.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`] when there is none.
    pub fn software(&self) -> Result<&Arc<dyn Backend>> {
        self.backends.first().ok_or_else(|| Error::new(ErrorKind::BackendUnavailable, "there is no backend"))
    }

    /// The keeper of the records of the caller's namespace, where that is another than the catalogue.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`] when the namespace's backend is not configured: what was taken over from there is not
    /// shown without it.
    pub fn keeper(&self, caller: &Caller) -> Result<Option<&dyn Custody>> {
        match self.backend(&caller.namespace.backend) {
            Ok(backend) => Ok(backend.custody()),
            // Keys that are elsewhere go on.
            Err(_) if !self.catalog.is_mirrored(caller)? => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The keeper that has a record of `object`.
    pub(crate) fn keeper_of(&self, caller: &Caller, object: &Object) -> Result<Option<&dyn Custody>> {
        match object.key() {
            _ if object.storage == Storage::Ephemeral => Ok(None),
            Some(key) if key.primary()?.backend != caller.namespace.backend => Ok(None),
            _ => self.keeper(caller),
        }
    }

    /// Stores new objects. Of keys that a keeper has it knows already; somebody else may have been faster to take them over from
    /// there.
    fn create(&self, permit: &Permit, newcomers: Newcomers) -> Result<Vec<Arc<Object>>> {
        let caller = permit.caller();
        let Some(keeper) = self.keeper(caller)? else {
            let kept = self.catalog.create_each(caller, &mut [newcomers]).pop();
            return kept.unwrap_or_else(|| Err(too_little()));
        };
        let Newcomers { mut objects, .. } = newcomers;
        for document in objects.iter().filter(|object| object.key().is_none()) {
            keeper.keep(permit, document)?;
        }
        let wanted = objects.clone();
        match self.catalog.create(caller, &mut objects) {
            // Whoever follows takes over the halves of a pair one by one, and without a PIN the public one alone. They keep the names
            // that the keeper gave them, whatever the attempt made of these.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                wanted.into_iter().map(|object| self.known_or_created(caller, object)).collect()
            }
            created => created,
        }
    }

    fn known_or_created(&self, caller: &Caller, object: Object) -> Result<Arc<Object>> {
        match self.catalog.get(caller, object.id) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            known => return known,
        }
        let (id, mut object) = (object.id, [object]);
        match self.catalog.create(caller, &mut object) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => self.catalog.get(caller, id),
            created => created?.pop().ok_or_else(too_little),
        }
    }

    fn check_homes(&self, caller: &Caller, objects: &[Object]) -> Result<()> {
        let mut versions = objects.iter().filter_map(Object::key).flat_map(|key| &key.versions);
        versions.try_for_each(|version| self.check_mixed(caller, &version.backend))
    }

    /// Stores a new object, or hands a session object to the door. Returns it as it now exists.
    fn keep(&self, permit: &Permit, object: Object) -> Result<Arc<Object>> {
        if object.storage == Storage::Ephemeral {
            self.check_made(permit, std::slice::from_ref(&object))?;
            return Ok(Arc::new(object));
        }
        let missing = || Error::new(ErrorKind::Internal, "the catalogue returned nothing");
        self.keep_all(permit, vec![object])?.pop().ok_or_else(missing)
    }

    /// Refuses to generate what a rule of the caller's namespace does not allow.
    pub(crate) fn may_make(&self, caller: &Caller, spec: &KeySpec) -> Result<()> {
        self.rules.current()?.check(&caller.namespace, caller.principal.service(), Made::of_spec(spec))
    }

    /// Holds stored keys that are about to exist against the rules of their namespace, and gives them what these say of new ones:
    /// the service that they belong to, and when they are rotated.
    fn govern(&self, caller: &Caller, objects: &mut [Object]) -> Result<()> {
        if self.keeper(caller)?.is_some() {
            // What a server keeps, its own rules are for.
            return Ok(());
        }
        let rules = self.rules.current()?;
        for object in objects.iter_mut().filter(|object| object.storage == Storage::Stored) {
            let Body::Key(key) = &mut object.body else { continue };
            // A copy of a session key that came from nothing is new as well.
            let is_new = key.copy_of.iter().all(String::is_empty) && key.lifecycle.version == 0;
            if is_new && key.metadata.service.is_empty() && rules.keeps_apart(&caller.namespace) {
                key.metadata.service = caller.principal.service().unwrap_or_default().to_owned();
            }
            let own = Some(&*key.metadata.service).filter(|own| !own.is_empty()).or(caller.principal.service());
            // What the public half is, its private half is; and public keys of others are not made here.
            if key.class != KeyClass::Public {
                rules.check(&caller.namespace, own, Made::of_key(key))?;
            }
            if is_new && key.lifecycle.rotation.is_none() {
                key.lifecycle.rotation = rules.rotation_days(&caller.namespace, own).map(Rotation::every);
            }
        }
        Ok(())
    }

    /// Holds what is about to exist against its maker and the settings of its namespace: the one way into it.
    fn check_made(&self, permit: &Permit, objects: &[Object]) -> Result<()> {
        let officer = permit.caller().login == Login::SecurityOfficer;
        let trusted = |o: &Object| o.key().is_some_and(|k| k.protection.trusted);
        // A copy takes its source's word for it.
        if !officer && permit.action() != Action::Manage && objects.iter().any(trusted) {
            return Err(Error::new(ErrorKind::AttributeReadOnly, "only the security officer calls a key trusted"));
        }
        let settings = self.catalog.settings_for(permit.caller())?;
        for key in objects.iter().filter_map(Object::key) {
            forbidden(weakness_of_key(settings.forbid, key, key.primary()?))?;
        }
        // The halves of a pair count as one key: what one wraps, the other reads.
        let any = |may: fn(&Usage) -> bool| objects.iter().filter_map(Object::key).any(|key| may(&key.usage));
        separated(settings, any(|u| u.wrap), any(|u| u.decrypt))
    }

    /// The objects of devices that `objects` stand on.
    fn held_by(&self, objects: &[Object]) -> Result<Vec<(ObjectId, DeviceObject)>> {
        let mut held = Vec::new();
        for object in objects {
            let Some(key) = object.key() else { continue };
            let here = key.versions.iter().map(|version| (self.backend(&version.backend), &version.locator));
            // What was left in a device that is not configured any more holds up nothing.
            let left = key.left.iter().map(|left| (self.backend(&left.backend), &left.locator));
            for (backend, locator) in here.chain(left.filter(|(backend, _)| backend.is_ok())) {
                let found = backend?.device_objects(locator)?;
                held.extend(found.into_iter().map(|found| (object.id, found)));
            }
        }
        Ok(held)
    }

    /// Holds what is about to exist against everything that can refuse it: the one way into a namespace. What is to be stored, and
    /// the session objects beside it.
    fn admit(&self, permit: &Permit, mut objects: Vec<Object>) -> Result<(Newcomers, Vec<Object>)> {
        let caller = permit.caller();
        self.govern(caller, &mut objects)?;
        self.check_made(permit, &objects)?;
        let (objects, session): (Vec<_>, Vec<_>) = objects.into_iter().partition(|o| o.storage == Storage::Stored);
        self.check_homes(caller, &objects)?;
        let held = if self.keeper(caller)?.is_some() { Vec::new() } else { self.held_by(&objects)? };
        Ok((Newcomers { objects, held, exact: exact(permit) }, session))
    }

    /// As [`Self::keep_all`] for what many operations of one caller made, each by itself; where nothing but this home keeps it,
    /// all are made durable at once.
    pub(crate) fn keep_each(
        &self,
        caller: &Caller,
        made: Vec<(&Permit, Vec<Object>)>,
    ) -> Vec<Result<Vec<Arc<Object>>>> {
        let is_kept_here = matches!(self.keeper(caller), Ok(None));
        let are_stored = made.iter().flat_map(|(_, objects)| objects).all(|o| o.storage == Storage::Stored);
        if !is_kept_here || !are_stored {
            return made.into_iter().map(|(permit, objects)| self.keep_all(permit, objects)).collect();
        }
        let mut newcomers = Vec::with_capacity(made.len());
        let admit = |(permit, objects)| self.admit(permit, objects).map(|(admitted, _)| newcomers.push(admitted));
        let refusals: Vec<_> = made.into_iter().map(admit).collect();
        let mut kept = self.catalog.create_each(caller, &mut newcomers).into_iter();
        let missing = || Err(too_little());
        refusals.into_iter().map(|admitted| admitted.and_then(|()| kept.next().unwrap_or_else(missing))).collect()
    }

    /// As [`Self::keep`] for objects that come to exist together, in their order.
    fn keep_all(&self, permit: &Permit, objects: Vec<Object>) -> Result<Vec<Arc<Object>>> {
        let order: Vec<bool> = objects.iter().map(|o| o.storage == Storage::Stored).collect();
        let (newcomers, session) = self.admit(permit, objects)?;
        let kept = if newcomers.objects.is_empty() { Vec::new() } else { self.create(permit, newcomers)? };
        let (mut kept, mut session) = (kept.into_iter(), session.into_iter().map(Arc::new));
        let in_order = order.into_iter().map(|stored| if stored { kept.next() } else { session.next() });
        in_order.collect::<Option<_>>().ok_or_else(too_little)
    }
}

fn too_little() -> Error {
    Error::new(ErrorKind::Internal, "the catalogue returned too little")
}

/// The new keys that are to be called what they want, or not to be made.
fn exact(permit: &Permit) -> Vec<ObjectId> {
    let exact = permit.new_objects().filter(|new| new.wishes.as_ref().is_some_and(|wishes| wishes.exact));
    exact.map(|new| new.id).collect()
}

/// Refuses a key that the settings forbid.
fn forbidden(weakness: Option<Weakness>) -> Result<()> {
    let Some(weakness) = weakness else { return Ok(()) };
    let why = format!("the settings of the namespace forbid `{}`", weakness.name());
    let size = matches!(weakness, Weakness::ShortRsa | Weakness::ShortSecrets);
    Err(Error::new(if size { ErrorKind::KeySize } else { ErrorKind::TemplateInconsistent }, why))
}

/// Why two keys do nothing together.
fn apart(one: &BackendId, other: &BackendId) -> String {
    format!(
        "one of the keys is in `{}` and the other in `{}`: move one of them first (`kmss key move`)",
        one.0, other.0
    )
}

/// Refuses a key that wraps and decrypts where the settings keep that apart.
fn separated(settings: Settings, wraps: bool, decrypts: bool) -> Result<()> {
    if settings.separate_wrap_and_decrypt && wraps && decrypts {
        let why = "the settings of the namespace forbid keys that both wrap and decrypt: choose one";
        return Err(Error::new(ErrorKind::TemplateInconsistent, why));
    }
    Ok(())
}

/// The time of a permit, which new objects take as their time of creation.
const fn now(permit: &Permit) -> Timestamp {
    permit.issued()
}
