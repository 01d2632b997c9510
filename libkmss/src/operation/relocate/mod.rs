//! Moving a key to another backend: its material goes, and everything else about it stays.
//!
//! The record changes once, when the material is there and was shown to be the same key. Before, what is in the target is an
//! orphan that its identifier tells the key of; after, what is in the source is this key's in its record until it is
//! destroyed. So the key is whole in one place whenever the process dies, and moving it again clears what was left.

mod carry;
mod proof;

use std::sync::Arc;

use self::carry::{Carrier, one_version};
use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::backend::Backend;
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Alteration, BackendId, Body, Key, KeyClass, Left, Object, Storage};
use crate::permit::{Permit, Subject};
use crate::tenant::ObjectId;

/// Moves a key, with all its versions and both halves, to another backend of its namespace. The pipeline admits the security
/// officer only, and policies decide on it as a change of state and an export.
#[derive(Debug)]
pub struct Move {
    /// The key: the secret key, or the private half; a public key that is alone.
    pub key: ObjectRef,
    /// The public half, where there is one.
    pub public: Option<ObjectRef>,
    /// Where to.
    pub to: BackendId,
    /// Locators of what moves that did not come to their end left in the target: objects that [`is_left_by`] tells the key of.
    pub remains: Vec<Vec<u8>>,
    /// Whether what the key left in backends that are not configured any more is given up: nobody can destroy it from here.
    pub forget: bool,
}

/// What became of a key that was to be moved.
#[derive(Debug)]
pub struct Moved {
    /// Its halves as they are now.
    pub objects: Vec<Arc<Object>>,
    /// Whether the key moved now; `false` where it was there already.
    pub moved: bool,
    /// Objects of devices that are gone: the former places of the key, and what earlier moves left.
    pub cleared: usize,
    /// What could not be destroyed in its former place, and why. It is the key's until the move is repeated.
    pub remaining: Vec<String>,
    /// The backends that are not configured any more, and what was left there is given up.
    pub forgotten: Vec<String>,
}

/// Whether an object that a device knows by `identifier` was made for the key `id`: by a move, as a replica, or with the key.
#[must_use]
pub fn is_left_by(identifier: &[u8], id: ObjectId) -> bool {
    left_by(identifier).is_some_and(|known| id.0.starts_with(known))
}

/// The beginning of the identity of the key that an object which a device knows by `identifier` was made for, if it was.
pub(super) fn left_by(identifier: &[u8]) -> Option<&[u8]> {
    if identifier.len() == size_of::<ObjectId>() { identifier.get(..ObjectId::KNOWN) } else { None }
}

impl Operation for Move {
    type Running = Moved;

    fn request(&self) -> Request {
        let change = |half: &ObjectRef| (Action::ChangeState, Target::Object(half.clone()));
        Request {
            also: Some((Action::Export, Target::Object(self.key.clone()))),
            more: self.public.iter().map(change).collect(),
            ..Request::new(Action::ChangeState, Target::Object(self.key.clone()))
        }
    }

    fn alterations(&self, subject: &Subject) -> Vec<Alteration> {
        let Subject::Object(object) = subject else { return Vec::new() };
        let places = object.key().map(places).unwrap_or_default();
        Alteration::between("backend", places, self.to.0.to_string()).into_iter().collect()
    }

    fn altered(moved: &Moved) -> Vec<Alteration> {
        Alteration::between("left", moved.forgotten.join(" "), String::new()).into_iter().collect()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Moved> {
        let halves = halves(permit)?;
        let moves = hall.would_move(permit.caller(), &halves, &self.to)?;
        let target = hall.backend(&self.to)?;
        target.ready()?;
        let kept = if moves { rehome(hall, permit, target, &halves)? } else { halves };
        if !moves && !self.remains.is_empty() {
            holds(permit, target, &kept)?;
        }
        // Not before: of a home that was restored from an older copy it may be all that there is of the key.
        let (kept, cleared, uncleared) = match clear_remains(hall, permit, target, &self.remains, kept.clone()) {
            Err(e) if moves => (kept, 0, Some(format!("in `{}`: {}", self.to.0, e.sentence()))),
            cleared => cleared.map(|(kept, cleared)| (kept, cleared, None))?,
        };
        let LetGo { halves: objects, destroyed, mut remaining, forgotten } = let_go(hall, permit, kept, self.forget);
        remaining.extend(uncleared);
        // Nothing is called done that left the record as it was.
        if !moves && cleared + destroyed == 0 && forgotten.is_empty() {
            let why = if remaining.is_empty() {
                Error::new(ErrorKind::Arguments, format!("the key is in `{}` already", self.to.0))
            } else {
                let all = remaining.join("; ");
                Error::new(ErrorKind::BackendUnavailable, format!("what the key left is still not destroyed {all}"))
            };
            return Err(why);
        }
        Ok(Moved { objects, moved: moves, cleared: cleared + destroyed, remaining, forgotten })
    }
}

impl Hall {
    /// Whether moving these halves of a key to `to` changes anything, as far as that is known without asking a device.
    ///
    /// # Errors
    /// Why it cannot be moved: [`ErrorKind::BackendUnavailable`] where it is, or is to be, in a backend that is not configured;
    /// [`ErrorKind::Unsupported`] to and from servers; [`ErrorKind::KeyType`] where it would be of no use;
    /// [`ErrorKind::KeyUnextractable`] and [`ErrorKind::KeyNotWrappable`] where its device does not let it go.
    pub fn would_move(&self, caller: &Caller, halves: &[Arc<Object>], to: &BackendId) -> Result<bool> {
        let target = self.backend(to)?;
        let kept = |server: &BackendId| {
            let why =
                format!("`{}` is a server, and keys are moved neither to nor from one: move them there", server.0);
            Error::new(ErrorKind::Unsupported, why)
        };
        if target.custody().is_some() {
            return Err(kept(to));
        }
        if self.keeper(caller)?.is_some() {
            return Err(kept(&caller.namespace.backend));
        }
        let mut moves = false;
        for object in halves {
            let key = object.key().ok_or_else(|| Error::new(ErrorKind::Arguments, "only keys are moved"))?;
            if object.storage != Storage::Stored {
                return Err(Error::new(ErrorKind::Arguments, "session keys are not moved"));
            }
            for version in key.versions.iter().filter(|version| version.backend != *to) {
                moves = true;
                self.backend(&version.backend)?;
                check_leaves(key, &version.backend)?;
            }
            if key.class != KeyClass::Public && !target.holds(key.key_type) {
                let why = format!("`{}` has no use for keys of type {}", to.0, key.key_type.name());
                return Err(Error::new(ErrorKind::KeyType, why));
            }
        }
        Ok(moves)
    }
}

/// Refuses what a device would not let go.
fn check_leaves(key: &Key, from: &BackendId) -> Result<()> {
    if key.class == KeyClass::Public || *from == BackendId::soft() {
        return Ok(());
    }
    if !key.protection.extractable {
        let why = format!("the key is in `{}`, which does not let it go: it was made not extractable", from.0);
        return Err(Error::new(ErrorKind::KeyUnextractable, why));
    }
    if key.protection.wrap_with_trusted {
        let why = format!("the key is in `{}`, which wraps it under a trusted key only", from.0);
        return Err(Error::new(ErrorKind::KeyNotWrappable, why));
    }
    Ok(())
}

/// The halves that the permit admits: the one that is secret first.
fn halves(permit: &Permit) -> Result<Vec<Arc<Object>>> {
    let first = permit.key()?;
    let others: Vec<_> = permit.other_keys()?.into_iter().map(|granted| granted.object).collect();
    let pair = others.iter().all(|other| {
        other.key().is_some_and(|key| (key.class, &key.name) == (KeyClass::Public, &first.key.name))
            && first.key.class == KeyClass::Private
            && other.key().and_then(|key| key.primary().ok()).is_some_and(|v| v.public == first.version.public)
    });
    if !pair || others.len() > 1 {
        return Err(Error::new(ErrorKind::Arguments, "these are not the halves of one key"));
    }
    Ok(std::iter::once(first.object).chain(others).cloned().collect())
}

/// Refuses where the target does not have what the record says that it has.
fn holds(permit: &Permit, target: &Arc<dyn Backend>, halves: &[Arc<Object>]) -> Result<()> {
    let keys = halves.iter().filter_map(|half| half.key()).filter(|key| key.class != KeyClass::Public);
    for version in keys.flat_map(|key| &key.versions).filter(|version| version.backend == *target.id()) {
        if !version.locator.is_empty() && target.foreign(permit, Some(&version.locator))?.is_empty() {
            let why = format!(
                "`{}` does not hold the key where the record says: what else of it is there may be all that there is, and stays",
                target.id().0
            );
            return Err(Error::new(ErrorKind::BackendUnavailable, why));
        }
    }
    Ok(())
}

/// Destroys what earlier attempts left in the target. The record moves on first: none that began before commits any more, so
/// that nothing is taken from under it. Whoever calls it knows that the key is somewhere else.
pub(super) fn clear_remains(
    hall: &Hall,
    permit: &Permit,
    target: &Arc<dyn Backend>,
    remains: &[Vec<u8>],
    halves: Vec<Arc<Object>>,
) -> Result<(Vec<Arc<Object>>, usize)> {
    let Some(first) = halves.first().cloned().filter(|_| !remains.is_empty()) else { return Ok((halves, 0)) };
    let as_they_are: Vec<Object> = halves.iter().map(|half| Object::clone(half)).collect();
    let halves = hall.catalog.rehome(permit.caller(), &as_they_are, (&[], &[]))?;
    let mut cleared = 0;
    for locator in remains {
        let orphan = target.foreign(permit, Some(locator))?.iter().any(|found| is_left_by(&found.identifier, first.id));
        let mut owned = false;
        for object in target.device_objects(locator)? {
            owned = owned || hall.catalog.has_owner(&object)?;
        }
        if orphan && !owned {
            destroy(permit, target, &first, locator)?;
            cleared += 1;
        }
    }
    Ok((halves, cleared))
}

/// Brings the material to the target, shows that it is the same key, and changes the record.
fn rehome(hall: &Hall, permit: &Permit, target: &Arc<dyn Backend>, halves: &[Arc<Object>]) -> Result<Vec<Arc<Object>>> {
    let mut carrier = Carrier::new(hall, permit, target);
    let moved = halves.iter().map(|half| carrier.moved(half)).collect::<Result<Vec<Object>>>();
    let committed = moved.and_then(|moved| {
        let had: Vec<Object> = halves.iter().map(|object| Object::clone(object)).collect();
        let (mut gained, had) = (hall.held_by(&moved)?, hall.held_by(&had)?);
        gained.retain(|new| !had.contains(new));
        hall.catalog.rehome(permit.caller(), &moved, (&gained, &[]))
    });
    committed.inspect_err(|_| carrier.give_up(halves))
}

/// What became of the former places of a key.
struct LetGo {
    halves: Vec<Arc<Object>>,
    destroyed: usize,
    remaining: Vec<String>,
    forgotten: Vec<String>,
}

/// Destroys what the key was moved away from, and takes it out of the record. What cannot be destroyed now stays there; with
/// `forget` not what is in backends that are not configured.
fn let_go(hall: &Hall, permit: &Permit, halves: Vec<Arc<Object>>, forget: bool) -> LetGo {
    let (mut destroyed, mut remaining, mut lost, mut forgotten) = (0, Vec::new(), Vec::new(), Vec::new());
    let mut next: Vec<Object> = halves.iter().map(|half| Object::clone(half)).collect();
    for object in &mut next {
        let of = Arc::new(object.clone());
        let Body::Key(key) = &mut object.body else { continue };
        let mut still = Vec::new();
        for left in std::mem::take(&mut key.left) {
            if forget && hall.backend(&left.backend).is_err() {
                forgotten.push(left.backend.0.to_string());
                continue;
            }
            let gone = hall.backend(&left.backend).and_then(|backend| {
                destroy(permit, backend, &of, &left.locator)?;
                backend.device_objects(&left.locator)
            });
            match gone {
                Ok(places) => {
                    destroyed += 1;
                    lost.extend(places.into_iter().map(|place| (of.id, place)));
                }
                Err(e) => {
                    remaining.push(format!("in `{}`: {}", left.backend.0, e.sentence()));
                    still.push(left);
                }
            }
        }
        key.left = still;
    }
    if destroyed + forgotten.len() == 0 {
        return LetGo { halves, destroyed, remaining, forgotten };
    }
    match hall.catalog.rehome(permit.caller(), &next, (&[], &lost)) {
        Ok(halves) => LetGo { halves, destroyed, remaining, forgotten },
        // The key has moved all the same, and its record says what to look after.
        Err(e) => {
            remaining.push(format!("as the record has it: {}", e.sentence()));
            LetGo { halves, destroyed: 0, remaining, forgotten: Vec::new() }
        }
    }
}

/// Destroys what a backend holds at `locator`.
fn destroy(permit: &Permit, backend: &Arc<dyn Backend>, of: &Arc<Object>, locator: &[u8]) -> Result<()> {
    let view = one_version(of, |version| {
        version.backend = backend.id().clone();
        version.locator = locator.to_vec();
    })?;
    backend.destroy(&permit.step_of_move(Subject::Object(view), None))
}

/// Where the versions of a key are, in words.
fn places(key: &Key) -> String {
    let mut places: Vec<&str> = key.versions.iter().map(|version| &*version.backend.0).collect();
    places.dedup();
    places.join(" ")
}

impl Hall {
    /// Destroys everything that a key which is no longer in the store stands on.
    pub(super) fn destroy_material(&self, permit: &Permit, object: &Arc<Object>) -> Result<()> {
        let Some(key) = object.key() else { return Ok(()) };
        let here = key.versions.iter().map(|v| Left { backend: v.backend.clone(), locator: v.locator.clone() });
        let mut failed = None;
        for Left { backend, locator } in here.chain(key.left.iter().cloned()) {
            let destroyed = self.backend(&backend).and_then(|there| destroy(permit, there, object, &locator));
            failed = failed.or(destroyed.err());
        }
        failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_tells_the_key_that_it_was_made_for_and_no_other() {
        let id = ObjectId(*b"0123456789abcdef");
        assert!(is_left_by(&id.0, id) && is_left_by(b"0123456789ab----", id));
        for other in [b"0123456789a-cdef".as_slice(), b"0123456789ab", b"0123456789abcdef0", b""] {
            assert!(!is_left_by(other, id));
        }
    }
}
