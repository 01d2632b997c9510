//! What people change in a key's life: both halves of a pair together.

use std::sync::Arc;

use super::{Hall, ObjectRef, Operation, Request, Target, now};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Alteration, Body, KeyClass, Object, Storage, Transition, tags_in_order};
use crate::permit::{Permit, Subject};

/// Changes the life of a key. The pipeline admits the security officer only.
#[derive(Debug)]
pub struct ChangeLife {
    /// The key: the secret key, or a half of the pair.
    pub key: ObjectRef,
    /// The other half, where there is one: a pair changes whole. [`Kms::change_life`](crate::kms::Kms::change_life) finds it.
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
        let Some(key) = object.key() else { return Vec::new() };
        let state = self.transition.state().map(|next| next.name().to_owned());
        let state = state.and_then(|next| Alteration::between("state", key.state.name().to_owned(), next));
        let other = match &self.transition {
            Transition::Enable | Transition::Disable | Transition::Suspend => None,
            Transition::Tag(tags) => Alteration::between("tags", key.tags.join(" "), tags_in_order(tags).join(" ")),
            Transition::Audit(mode) => Alteration::between("audit", key.audit.name().into(), mode.name().into()),
            other => Alteration::between("life", key.state.name().to_owned(), other.to_string()),
        };
        state.into_iter().chain(other).collect()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Arc<Object>>> {
        let (caller, by) = (permit.caller(), &permit.caller().principal.name);
        let mut changed = Vec::with_capacity(2);
        // Tags and the mode of the audit are ours also where a server has the key.
        let ours = matches!(self.transition, Transition::Tag(_) | Transition::Audit(_));
        let halves = halves(permit)?;
        require_whole(hall, permit, &halves)?;
        for object in halves {
            if !ours && hall.keeper_of(caller, &object)?.is_some() {
                let why = "the key's state is kept by its server: change it there";
                return Err(Error::new(ErrorKind::ActionProhibited, why));
            }
            if matches!(self.transition, Transition::Delete { .. }) && !object.destroyable {
                return Err(Error::new(ErrorKind::ActionProhibited, "the object may not be destroyed"));
            }
            let mut object = Object::clone(&object);
            if let Body::Key(key) = &mut object.body {
                if let Transition::Rotate(rule) = &self.transition {
                    let own = Some(&*key.metadata.service).filter(|own| !own.is_empty());
                    hall.rules.current()?.check_rotation(&caller.namespace, own, rule.as_ref())?;
                }
                key.transit(&self.transition, by, now(permit))?;
            }
            changed.push(object);
        }
        hall.catalog.update_all(caller, &changed)
    }
}

/// Refuses one half of a pair that has both.
fn require_whole(hall: &Hall, permit: &Permit, halves: &[Arc<Object>]) -> Result<()> {
    let [half] = halves else { return Ok(()) };
    let other = half.key().and_then(|key| match key.class {
        KeyClass::Private => Some((key, KeyClass::Public)),
        KeyClass::Public => Some((key, KeyClass::Private)),
        KeyClass::Secret => None,
    });
    let Some((key, class)) = other else { return Ok(()) };
    match hall.catalog.find_by_name(permit.caller(), &key.name, class) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(_) => {
            Err(Error::new(ErrorKind::Arguments, "both halves of a pair change together: name the other one, too"))
        }
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
