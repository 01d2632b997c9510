//! What people change in a key's life: both halves of a pair together.

use std::sync::Arc;

use super::{Hall, ObjectRef, Operation, Request, Target, now};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Alteration, Body, KeyClass, Object, Storage, Transition};
use crate::permit::{Permit, Subject};

/// Changes the life of a key. The pipeline admits the security officer only.
#[derive(Debug)]
pub struct ChangeLife {
    /// The key: the secret key, or a half of the pair.
    pub key: ObjectRef,
    /// The other half, where there is one.
    pub other: Option<ObjectRef>,
    /// What is to become of it.
    pub transition: Transition,
}

impl Operation for ChangeLife {
    type Running = Vec<Arc<Object>>;

    fn request(&self) -> Request {
        let change = |half: &ObjectRef| (Action::ChangeState, Target::Object(half.clone()));
        Request {
            more: self.other.iter().map(change).collect(),
            ..Request::new(Action::ChangeState, Target::Object(self.key.clone()))
        }
    }

    fn alterations(&self, subject: &Subject) -> Vec<Alteration> {
        let Subject::Object(object) = subject else { return Vec::new() };
        let state = object.key().map(|key| key.state.name().to_owned()).unwrap_or_default();
        Alteration::between("life", state, self.transition.to_string()).into_iter().collect()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Arc<Object>>> {
        let (caller, by) = (permit.caller(), &permit.caller().principal.name);
        let (mut changed, halves) = (Vec::with_capacity(2), halves(permit)?);
        for object in &halves {
            if hall.keeper_of(caller, object)?.is_some() {
                let why = "the key's state is kept by its server: change it there";
                return Err(Error::new(ErrorKind::ActionProhibited, why));
            }
            if matches!(self.transition, Transition::Delete { .. }) && !object.destroyable {
                return Err(Error::new(ErrorKind::ActionProhibited, "the object may not be destroyed"));
            }
            let mut object = Object::clone(object);
            if let Body::Key(key) = &mut object.body {
                if let Transition::Rotate(rule) = &self.transition {
                    let own = Some(&*key.metadata.service).filter(|own| !own.is_empty());
                    hall.rules.current()?.check_rotation(&caller.namespace, own, rule.as_ref())?;
                }
                key.transit(&self.transition, by, now(permit))?;
            }
            changed.push(object);
        }
        if let Transition::Describe(said) = &self.transition {
            // What people say of a key, they say of all its versions.
            let mut others = other_versions(hall, caller, &halves)?;
            for object in &mut others {
                let Body::Key(key) = &mut object.body else { continue };
                key.metadata.describe(said)?;
            }
            update_parts(hall, caller, &others)?;
        }
        hall.catalog.update_all(caller, &changed)
    }
}

/// Versions changed in one commit: what changes together has its bounds.
const PART: usize = 8;

/// The halves of all other versions of a key than these are of, which policies know by the same name. Of one version that is
/// named itself there are none.
pub(super) fn other_versions(hall: &Hall, caller: &Caller, halves: &[Arc<Object>]) -> Result<Vec<Object>> {
    let mut others = Vec::new();
    for key in halves.iter().filter_map(|half| half.key()).filter(|key| key.lifecycle.role.is_none()) {
        for number in (1..=key.newest_number()).filter(|number| *number != key.version_number()) {
            match hall.catalog.find_by_name(caller, &format!("{}@{number}", key.name), key.class) {
                Ok(other) => others.push(Object::clone(&other)),
                // Somebody destroyed it.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(others)
}

/// Stores changed versions, some at a time. Whoever is stopped in the middle is told, and asks again.
pub(super) fn update_parts(hall: &Hall, caller: &Caller, versions: &[Object]) -> Result<()> {
    versions.chunks(PART).try_for_each(|part| hall.catalog.update_all(caller, part).map(drop))
}

/// The halves that the permit admits.
fn halves(permit: &Permit) -> Result<Vec<Arc<Object>>> {
    let first = permit.key()?;
    if first.object.storage != Storage::Stored {
        return Err(Error::new(ErrorKind::Arguments, "session keys end with their session"));
    }
    let others: Vec<_> = permit.other_keys()?.into_iter().map(|granted| granted.object).collect();
    let matches = |other: &&Arc<Object>| {
        other.key().is_some_and(|key| {
            key.name == first.key.name
                && matches!(
                    (key.class, first.key.class),
                    (KeyClass::Public, KeyClass::Private) | (KeyClass::Private, KeyClass::Public)
                )
        })
    };
    if !others.iter().all(matches) {
        return Err(Error::new(ErrorKind::Arguments, "these are not the halves of one key"));
    }
    Ok(std::iter::once(first.object).chain(others).cloned().collect())
}
