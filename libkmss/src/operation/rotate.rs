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
        check_rotates(hall, permit, &former)?;
        let spec = self.spec().ok_or_else(|| {
            let why = format!("keys of type {} whose size is not known are not rotated", key.key_type.name());
            Error::new(ErrorKind::KeyType, why)
        })?;
        let drafts = self.drafts();
        if drafts.len() != former.len() {
            return Err(Error::new(ErrorKind::Arguments, "a pair is rotated with both its halves"));
        }
        check_makes(hall, permit, &former)?;
        let numbers = numbers(hall, permit, key)?;
        let backend = hall.backend(&key.primary()?.backend)?;
        let material: Vec<Material> = match key.class {
            KeyClass::Secret => vec![backend.generate(permit, &spec)?],
            _ => <[Material; 2]>::from(backend.generate_pair(permit, &spec)?).into(),
        };
        let mut made = Unkept { hall, permit, halves: Vec::with_capacity(2) };
        for ((draft, half), material) in drafts.into_iter().zip(&former).zip(material) {
            made.halves.extend(version(draft, half, (material, numbers.1), self.turn, permit));
        }
        if made.halves.len() != former.len() {
            return Err(Error::new(ErrorKind::Internal, "half of the new version is missing"));
        }
        hall.govern(permit.caller(), &mut made.halves)?;
        hall.check_made(permit, &made.halves)?;
        let held = hall.held_by(&made.halves)?;
        let next = former.iter().map(|half| match self.turn {
            Turn::Now => retired(half, numbers.0, now(permit)),
            Turn::Later(_) => awaiting(half, numbers),
        });
        let changed: Vec<Object> = next.collect::<Result<_>>()?;
        let (former, kept) = hall.catalog.reshape(permit.caller(), &changed, &mut made.halves, &held)?;
        made.halves.clear();
        Ok(Rotated { made: kept, former })
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
        check_states(&self.halves, now(permit))?;
        if !is_activable(&self.halves, &self.pending, now(permit)) {
            let why = format!("the version that is pending is {}", new.state_word(now(permit)));
            return Err(Error::new(ErrorKind::KeyState, why));
        }
        let from = first.identifier.clone();
        let former = self.halves.first().ok_or_else(changed_meanwhile)?;
        let mut changed = Vec::new();
        for half in &self.halves {
            changed.push(retired(half, old.version_number(), now(permit))?);
        }
        for (half, before) in self.pending.iter().zip(&self.halves) {
            changed.push(raised(half, before, now(permit))?);
        }
        for certificate in &self.certificates {
            let mut certificate = Object::clone(certificate);
            let labelled = |half: &Object, certificate: &Object| match half.label.is_empty() {
                true => certificate.label.clone(),
                false => half.label.clone(),
            };
            // As its key is; where that has no label, as it was.
            if certificate.identifier == from {
                certificate.label = strip(&labelled(first, &certificate), new.version_number());
            } else if certificate.identifier == former.identifier {
                certificate.label = numbered(&labelled(former, &certificate), old.version_number());
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

fn check_rotates(hall: &Hall, permit: &Permit, former: &[Arc<Object>]) -> Result<()> {
    let (_, key) = primary(former)?;
    if let Some(next) = key.lifecycle.next {
        let pending = format!("{}@{next}", key.name);
        let mut made = Vec::with_capacity(2);
        for half in former.iter().filter_map(|half| half.key()) {
            match hall.catalog.find_by_name(permit.caller(), &pending, half.class) {
                // Somebody destroyed it.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                found => made.push(found?),
            }
        }
        // What cannot take the name, whole as it was made, waits for nothing.
        if is_activable(former, &made, now(permit)) {
            let why = format!("`{pending}` is pending already: activate or destroy it first");
            return Err(Error::new(ErrorKind::KeyState, why));
        }
    }
    check_states(former, now(permit))
}

/// Whether the version `pending` can take the name of `halves`: all of it is there, and was not put on hold, disabled or more than
/// that.
pub(crate) fn is_activable(halves: &[Arc<Object>], pending: &[Arc<Object>], now: Timestamp) -> bool {
    let waits = |half: &Arc<Object>| {
        half.key().is_some_and(|key| matches!(key.state_at(now), KeyState::PreActive | KeyState::Active))
    };
    pending.len() == halves.len() && pending.iter().all(waits)
}

/// Refuses to give the name of these halves to another version while one of them is not to be used.
fn check_states(halves: &[Arc<Object>], now: Timestamp) -> Result<()> {
    halves.iter().filter_map(|half| half.key()).try_for_each(|key| key.check_rotates(now))
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
        identifier: first.usual_identifier(),
        attributes: half.attributes.clone(),
        name: key.name.clone(),
        usage: key.usage,
        protection: Protection { local: true, ..key.protection },
        allowed_mechanisms: key.allowed_mechanisms.clone(),
        ..Draft::new(id, Storage::Stored)
    })
}

/// What can say no to the new version without its material, so that none is made in vain: it is what the former one is.
fn check_makes(hall: &Hall, permit: &Permit, former: &[Arc<Object>]) -> Result<()> {
    let alike: Vec<Object> = former.iter().map(|half| Object::clone(half)).collect();
    let trusted = alike.iter().any(|half| half.key().is_some_and(|key| key.protection.trusted));
    hall.check_made(permit, &alike).map_err(|refused| match refused.kind() {
        ErrorKind::AttributeReadOnly if trusted => {
            let why = "the key is trusted, which only the security officer says of a key: make another one, and let the \
                       officer call that trusted";
            Error::new(ErrorKind::AttributeReadOnly, why)
        }
        _ => refused,
    })
}

/// The numbers of the former version and of the new one: what a key that had the name before left behind keeps its own.
fn numbers(hall: &Hall, permit: &Permit, key: &Key) -> Result<(u32, u32)> {
    let free = |from| hall.catalog.next_version(permit.caller(), &key.name, from);
    let former = match key.lifecycle.version {
        0 if key.lifecycle.next.is_none() => free(1)?,
        _ => key.version_number(),
    };
    let newest = former.max(key.newest_number()).checked_add(1).ok_or_else(ran_out)?;
    Ok((former, free(newest)?))
}

/// A half of the new version.
fn version(
    draft: Draft,
    former: &Object,
    (material, number): (Material, u32),
    turn: Turn,
    permit: &Permit,
) -> Option<Object> {
    let old = former.key()?;
    let protection = if old.class == KeyClass::Public { draft.protection } else { draft.generated() };
    let backend = draft.backend.clone()?;
    let mut made = draft.key(permit.caller().namespace.id, &backend, old.class, protection, material, now(permit));
    let Body::Key(key) = &mut made.body else { return None };
    key.tags.clone_from(&old.tags);
    key.copy_of.clone_from(&old.copy_of);
    key.audit = old.audit;
    key.metadata = old.metadata.without_aliases();
    let line = (old.class == KeyClass::Secret).then(|| old.lifecycle.line.unwrap_or(former.id));
    key.lifecycle = Lifecycle { version: number, line, since: Some(now(permit)), ..Lifecycle::default() };
    match turn {
        Turn::Now => {
            key.lifecycle.rotation.clone_from(&old.lifecycle.rotation);
            key.lifecycle.deactivation = old.lifecycle.deactivation;
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
    Some(made)
}

/// A half that gives the name up.
fn retired(half: &Object, number: u32, now: Timestamp) -> Result<Object> {
    let mut half = Object::clone(half);
    let Body::Key(key) = &mut half.body else { return Err(changed_meanwhile()) };
    // What is compromised stays so.
    if matches!(key.state_at(now), KeyState::Active | KeyState::Deactivated) {
        key.state = KeyState::Deactivated;
    }
    key.lifecycle.retirement.get_or_insert(Retirement::Rotated);
    key.metadata.aliases.clear();
    let life = &mut key.lifecycle;
    (life.version, life.role, life.next, life.rotation) = (number, Some(Role::Former), None, None);
    key.name = format!("{}@{number}", key.name);
    half.label = numbered(&half.label, number);
    Ok(half)
}

/// A half that knows of a version made ahead.
fn awaiting(half: &Object, (number, next): (u32, u32)) -> Result<Object> {
    let mut half = Object::clone(half);
    let Body::Key(key) = &mut half.body else { return Err(changed_meanwhile()) };
    (key.lifecycle.version, key.lifecycle.next) = (number, Some(next));
    Ok(half)
}

/// A half that takes the name, and with it what was said of the key since this version was made. What either may not, it may not.
fn raised(half: &Object, before: &Object, now: Timestamp) -> Result<Object> {
    let mut half = Object::clone(half);
    let Body::Key(key) = &mut half.body else { return Err(changed_meanwhile()) };
    let old = before.key().ok_or_else(changed_meanwhile)?;
    let number = key.version_number();
    key.name.clone_from(&old.name);
    key.state = KeyState::Active;
    key.metadata.clone_from(&old.metadata);
    key.tags.clone_from(&old.tags);
    key.audit = old.audit;
    key.usage = key.usage.and(old.usage);
    key.protection = key.protection.and(old.protection);
    let life = &mut key.lifecycle;
    (life.role, life.activation, life.since) = (None, None, Some(now));
    life.rotation.clone_from(&old.lifecycle.rotation);
    // The end that was set for the name is the end of whatever has it.
    life.deactivation = life.deactivation.or(old.lifecycle.deactivation);
    half.label = strip(&half.label, number);
    half.modifiable &= before.modifiable;
    half.copyable &= before.copyable;
    half.destroyable &= before.destroyable;
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

/// The halves of a version that nothing tells of yet. Unless it comes to be kept, a device has their material no more.
struct Unkept<'a> {
    hall: &'a Hall,
    permit: &'a Permit,
    halves: Vec<Object>,
}

impl Drop for Unkept<'_> {
    fn drop(&mut self) {
        for half in self.halves.drain(..) {
            // A commit may have been made though its answer was an error: what is told of is left alone.
            let untold = self.hall.catalog.get(self.permit.caller(), half.id);
            if untold.is_err_and(|e| e.kind() == ErrorKind::NotFound) {
                // What is left there all the same has the identity of a key that never was: the device lists it as foreign.
                let _ = self.hall.destroy_material(self.permit, &Arc::new(half));
            }
        }
    }
}
