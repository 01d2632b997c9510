//! Rotating keys: a new version takes the name, and the former one goes on decrypting and verifying beside it.
//!
//! Each version is an object of its own, so handles, identities and CKA_ID stay with their version. The name leads to the one
//! that new operations use; the others are called `name@n`, both halves of a pair alike. All of it changes in one commit.

use std::sync::Arc;

use super::{Draft, Hall, ObjectRef, Operation, Request, Target, now};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{
    Action, Alteration, Body, Key, KeyClass, KeySpec, KeyState, Lifecycle, Material, Object, Protection, Retirement,
    Role, Storage,
};
use crate::mechanism::Mechanism;
use crate::permit::{Permit, Subject};
use crate::tenant::ObjectId;

/// When a new version takes the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// At once.
    Now,
    /// When [`Activate`] says so, which whoever looks after due keys does from this moment on; `None` for no moment: by hand, or
    /// when its certificate is there.
    Later(Option<Timestamp>),
}

/// Makes a new version of a key. Policies decide on it as on generating a key of that name and on changing the former version.
#[derive(Debug)]
pub struct Rotate {
    /// The version that has the name, as it was read: the secret key, or both halves of the pair, the private one first.
    pub halves: Vec<Arc<Object>>,
    /// Identities of the new version's halves, which nothing else ever had.
    pub ids: Vec<ObjectId>,
    /// When it takes the name.
    pub turn: Turn,
}

/// A key that was rotated.
#[derive(Debug)]
pub struct Rotated {
    /// The new version: the secret key, or private and public half.
    pub made: Vec<Arc<Object>>,
    /// The version that had the name, as it is now.
    pub former: Vec<Arc<Object>>,
}

impl Rotate {
    fn drafts(&self) -> Vec<Draft> {
        self.halves.iter().zip(&self.ids).filter_map(|(half, id)| draft(half, *id, &self.ids)).collect()
    }

    fn spec(&self) -> Option<KeySpec> {
        let key = self.halves.first()?.key()?;
        KeySpec::of(key.key_type, key.primary().ok()?)
    }
}

impl Operation for Rotate {
    type Running = Rotated;

    fn request(&self) -> Request {
        let mut new = self.drafts().into_iter().map(|draft| Target::New(draft.subject()));
        let manage = |half: &Arc<Object>| (Action::Manage, Target::Object(ObjectRef::from(half)));
        Request {
            mechanism: self.spec().map(|spec| Mechanism::Generate(spec.key_type())),
            more: self.halves.iter().map(manage).collect(),
            makes: self.spec(),
            also: None,
            ..Request::new(Action::Generate, new.next().unwrap_or(Target::Namespace))
        }
        .with_second(new.next())
    }

    fn alterations(&self, _: &Subject) -> Vec<Alteration> {
        let version = self.halves.first().and_then(|half| half.key()).map(Key::version_number).unwrap_or_default();
        let new = format!("{}{}", version.saturating_add(1), if self.turn == Turn::Now { "" } else { " pending" });
        Alteration::between("version", version.to_string(), new).into_iter().collect()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Rotated> {
        let former = unchanged(permit, &self.halves)?;
        let (first, key) = primary(&former)?;
        if hall.keeper_of(permit.caller(), first)?.is_some() {
            let why = "the key's versions are kept by its server: rotate it there";
            return Err(Error::new(ErrorKind::ActionProhibited, why));
        }
        check_rotates(hall, permit, key)?;
        let spec = self.spec().ok_or_else(|| {
            let why = format!("keys of type {} whose size is not known are not rotated", key.key_type.name());
            Error::new(ErrorKind::KeyType, why)
        })?;
        let number = key.newest_number().checked_add(1).ok_or_else(ran_out)?;
        let backend = hall.backend(&key.primary()?.backend)?;
        let material: Vec<Material> = match key.class {
            KeyClass::Secret => vec![backend.generate(permit, &spec)?],
            _ => <[Material; 2]>::from(backend.generate_pair(permit, &spec)?).into(),
        };
        let mut made = Vec::with_capacity(2);
        for ((draft, half), material) in self.drafts().into_iter().zip(&former).zip(material) {
            made.push(version(draft, half, (material, number), self.turn, permit)?);
        }
        if made.len() != former.len() {
            return Err(Error::new(ErrorKind::Arguments, "a pair is rotated with both its halves"));
        }
        hall.govern(permit.caller(), &mut made)?;
        hall.check_made(permit, &made)?;
        let held = hall.held_by(&made)?;
        let next = former.iter().map(|half| match self.turn {
            Turn::Now => retired(half, now(permit)),
            Turn::Later(_) => awaiting(half, number),
        });
        let changed: Vec<Object> = next.collect::<Result<_>>()?;
        let committed = hall.catalog.reshape(permit.caller(), &changed, &mut made, &held);
        let (former, made) = committed.inspect_err(|_| give_up(hall, permit, &made))?;
        Ok(Rotated { made, former })
    }

    fn made(rotated: &Rotated) -> impl Iterator<Item = &Arc<Object>> {
        rotated.made.iter()
    }
}

/// Gives the name to a version that was made ahead. Certificates of both versions go with them.
#[derive(Debug)]
pub struct Activate {
    /// The version that has the name, as it was read.
    pub halves: Vec<Arc<Object>>,
    /// The one that is to have it, as it was read.
    pub pending: Vec<Arc<Object>>,
    /// Certificates of either whose labels follow, as they were read.
    pub certificates: Vec<Arc<Object>>,
}

impl Operation for Activate {
    type Running = Rotated;

    fn request(&self) -> Request {
        let manage = |object: &Arc<Object>| (Action::Manage, Target::Object(ObjectRef::from(object)));
        let mut all = self.pending.iter().chain(&self.halves).chain(&self.certificates).map(manage);
        let (_, first) = all.next().unwrap_or((Action::Manage, Target::Namespace));
        Request { more: all.collect(), ..Request::new(Action::Manage, first) }
    }

    fn alterations(&self, _: &Subject) -> Vec<Alteration> {
        let number = |halves: &[Arc<Object>]| {
            halves.first().and_then(|half| half.key()).map(Key::version_number).unwrap_or_default().to_string()
        };
        Alteration::between("version", number(&self.halves), number(&self.pending)).into_iter().collect()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Rotated> {
        let seen = permit.subjects().each().filter_map(|subject| match subject {
            Subject::Object(object) => Some(object),
            _ => None,
        });
        let given = self.pending.iter().chain(&self.halves).chain(&self.certificates);
        if !seen.map(|o| (o.id, o.edition)).eq(given.map(|o| (o.id, o.edition))) {
            return Err(changed_meanwhile());
        }
        let (_, old) = primary(&self.halves)?;
        let (first, new) = self
            .pending
            .first()
            .and_then(|object| Some((object, object.key()?)))
            .ok_or_else(|| Error::new(ErrorKind::Arguments, "no version is pending"))?;
        if hall.keeper_of(permit.caller(), first)?.is_some() {
            let why = "the key's versions are kept by its server: activate it there";
            return Err(Error::new(ErrorKind::ActionProhibited, why));
        }
        let fits = old.lifecycle.next == Some(new.version_number())
            && self.pending.len() == self.halves.len()
            && self
                .pending
                .iter()
                .filter_map(|half| half.key())
                .all(|key| (key.base_name(), key.lifecycle.role) == (old.base_name(), Some(Role::Pending)));
        if !fits {
            return Err(Error::new(ErrorKind::Arguments, "this is not the version that is pending"));
        }
        if !matches!(new.state, KeyState::PreActive | KeyState::Active) {
            let why = format!("the version that is pending is {}", new.state_word(now(permit)));
            return Err(Error::new(ErrorKind::KeyState, why));
        }
        let (from, to) = (first.identifier.clone(), self.halves.first().map(|half| half.identifier.clone()));
        let mut changed = Vec::new();
        for half in &self.halves {
            changed.push(retired(half, now(permit))?);
        }
        for (half, before) in self.pending.iter().zip(&self.halves) {
            changed.push(raised(half, before, now(permit))?);
        }
        for certificate in &self.certificates {
            let mut certificate = Object::clone(certificate);
            if certificate.identifier == from {
                certificate.label = strip(&certificate.label, new.version_number());
            } else if to.as_ref() == Some(&certificate.identifier) {
                certificate.label = numbered(&certificate.label, old.version_number());
            }
            changed.push(certificate);
        }
        let (mut all, _) = hall.catalog.reshape(permit.caller(), &changed, &mut [], &[])?;
        let mut raised = all.split_off(self.halves.len());
        raised.truncate(self.pending.len());
        Ok(Rotated { made: raised, former: all })
    }
}

/// The halves as they were read, unless somebody changed them since.
pub(super) fn unchanged(permit: &Permit, read: &[Arc<Object>]) -> Result<Vec<Arc<Object>>> {
    let now: Vec<_> = permit.other_keys()?.into_iter().map(|granted| Arc::clone(granted.object)).collect();
    if now.iter().map(|o| (o.id, o.edition)).eq(read.iter().map(|o| (o.id, o.edition))) {
        Ok(now)
    } else {
        Err(changed_meanwhile())
    }
}

pub(super) fn changed_meanwhile() -> Error {
    Error::new(ErrorKind::Conflict, "the key was changed meanwhile: look at it again")
}

/// The half that is secret, of the version that has the name.
fn primary(halves: &[Arc<Object>]) -> Result<(&Arc<Object>, &Key)> {
    let first = halves.first().and_then(|object| Some((object, object.key()?)));
    let (object, key) = first.ok_or_else(|| Error::new(ErrorKind::Arguments, "only keys are rotated"))?;
    let whole = match (key.class, halves.get(1).and_then(|other| other.key())) {
        (KeyClass::Secret, None) => true,
        (KeyClass::Private, Some(other)) => (other.class, &other.name) == (KeyClass::Public, &key.name),
        _ => false,
    };
    if !whole || halves.len() > 2 || object.storage != Storage::Stored {
        let why = "a stored secret key is rotated, or a pair that has both its halves";
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    if key.lifecycle.role.is_some() {
        let why = format!("`{}` is a version of `{}`: rotate that", key.name, key.base_name());
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    Ok((object, key))
}

fn check_rotates(hall: &Hall, permit: &Permit, key: &Key) -> Result<()> {
    if let Some(next) = key.lifecycle.next {
        let pending = format!("{}@{next}", key.name);
        match hall.catalog.find_by_name(permit.caller(), &pending, key.class) {
            // Somebody destroyed it.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Ok(_) => {
                let why = format!("`{pending}` is pending already: activate or destroy it first");
                return Err(Error::new(ErrorKind::KeyState, why));
            }
            Err(e) => return Err(e),
        }
    }
    let state = key.state_at(now(permit));
    match state {
        KeyState::Active | KeyState::Deactivated | KeyState::Suspended | KeyState::Compromised => Ok(()),
        _ => Err(Error::new(ErrorKind::KeyState, format!("a key that is {} is not rotated", state.name()))),
    }
}

/// A half of the new version before it exists: everything that the former one has but its material, its days and its history.
fn draft(half: &Object, id: ObjectId, ids: &[ObjectId]) -> Option<Draft> {
    let key = half.key()?;
    let first = ids.first()?;
    Some(Draft {
        backend: key.primary().ok().map(|version| version.backend.clone()),
        private: half.private,
        modifiable: half.modifiable,
        copyable: half.copyable,
        destroyable: half.destroyable,
        label: half.label.clone(),
        identifier: first.0.iter().take(8).copied().collect(),
        attributes: half.attributes.clone(),
        name: key.name.clone(),
        usage: key.usage,
        protection: Protection { local: true, ..key.protection },
        allowed_mechanisms: key.allowed_mechanisms.clone(),
        ..Draft::new(id, Storage::Stored)
    })
}

/// A half of the new version.
fn version(
    draft: Draft,
    former: &Object,
    (material, number): (Material, u32),
    turn: Turn,
    permit: &Permit,
) -> Result<Object> {
    let old = former.key().ok_or_else(changed_meanwhile)?;
    let protection = if old.class == KeyClass::Public { draft.protection } else { draft.generated() };
    let backend = old.primary()?.backend.clone();
    let mut made = draft.key(permit.caller().namespace.id, &backend, old.class, protection, material, now(permit));
    let Body::Key(key) = &mut made.body else { return Err(changed_meanwhile()) };
    key.tags.clone_from(&old.tags);
    key.copy_of.clone_from(&old.copy_of);
    key.audit = old.audit;
    key.metadata = old.metadata.without_aliases();
    key.lifecycle = Lifecycle { version: number, since: Some(now(permit)), ..Lifecycle::default() };
    match turn {
        Turn::Now => {
            key.lifecycle.rotation.clone_from(&old.lifecycle.rotation);
            key.metadata.aliases.clone_from(&old.metadata.aliases);
        }
        Turn::Later(activation) => {
            // The private half signs the request for its certificate.
            key.state = if old.class == KeyClass::Secret { KeyState::PreActive } else { KeyState::Active };
            key.lifecycle.activation = activation;
            key.lifecycle.role = Some(Role::Pending);
            key.name = format!("{}@{number}", old.name);
            made.label = numbered(&made.label, number);
        }
    }
    Ok(made)
}

/// A half that gives the name up.
fn retired(half: &Object, now: Timestamp) -> Result<Object> {
    let mut half = Object::clone(half);
    let Body::Key(key) = &mut half.body else { return Err(changed_meanwhile()) };
    let number = key.version_number();
    // What is suspended or compromised stays so.
    if matches!(key.state_at(now), KeyState::Active | KeyState::Deactivated) {
        key.state = KeyState::Deactivated;
        key.lifecycle.retirement.get_or_insert(Retirement::Rotated);
    }
    key.metadata.aliases.clear();
    let life = &mut key.lifecycle;
    (life.version, life.role, life.next, life.rotation) = (number, Some(Role::Former), None, None);
    key.name = format!("{}@{number}", key.name);
    half.label = numbered(&half.label, number);
    Ok(half)
}

/// A half that knows of a version made ahead.
fn awaiting(half: &Object, number: u32) -> Result<Object> {
    let mut half = Object::clone(half);
    let Body::Key(key) = &mut half.body else { return Err(changed_meanwhile()) };
    key.lifecycle.next = Some(number);
    Ok(half)
}

/// A half that takes the name.
fn raised(half: &Object, before: &Object, now: Timestamp) -> Result<Object> {
    let mut half = Object::clone(half);
    let Body::Key(key) = &mut half.body else { return Err(changed_meanwhile()) };
    let old = before.key().ok_or_else(changed_meanwhile)?;
    let number = key.version_number();
    key.name.clone_from(&old.name);
    key.state = KeyState::Active;
    key.metadata.clone_from(&old.metadata);
    let life = &mut key.lifecycle;
    (life.role, life.activation, life.since) = (None, None, Some(now));
    life.rotation.clone_from(&old.lifecycle.rotation);
    half.label = strip(&half.label, number);
    Ok(half)
}

/// `label@n`; a key without a label gets none.
fn numbered(label: &[u8], number: u32) -> Vec<u8> {
    if label.is_empty() { Vec::new() } else { [label, format!("@{number}").as_bytes()].concat() }
}

fn strip(label: &[u8], number: u32) -> Vec<u8> {
    label.strip_suffix(format!("@{number}").as_bytes()).unwrap_or(label).to_vec()
}

fn ran_out() -> Error {
    Error::new(ErrorKind::Internal, "the versions of the key ran out")
}

/// Destroys material in a device whose version came to nothing.
fn give_up(hall: &Hall, permit: &Permit, made: &[Object]) {
    for object in made {
        // What is left there all the same has the identity of a key that never was: the device lists it as foreign.
        let _ = hall.destroy_material(permit, &Arc::new(object.clone()));
    }
}
