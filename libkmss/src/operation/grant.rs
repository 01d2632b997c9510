//! Granting a key of one service to another.

use std::sync::Arc;

use super::life::{other_versions, update_parts};
use super::rotate::{changed_meanwhile, unchanged};
use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::caller::Login;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Alteration, Body, Object};
use crate::permit::{Permit, Subject};

/// Grants the use of a key to another service than its own, or does so no more. Policies decide on it as on changing the key;
/// it is the security officer's and that of whoever owns the key's service.
#[derive(Debug)]
pub struct Grant {
    /// The halves of the key, as they were read.
    pub halves: Vec<Arc<Object>>,
    /// The other service, with or without `service:` before its name.
    pub service: String,
    /// Whether it may from now on.
    pub granted: bool,
}

impl Operation for Grant {
    type Running = Vec<Arc<Object>>;

    fn request(&self) -> Request {
        let mut all = self.halves.iter().map(|half| (Action::Manage, Target::Object(ObjectRef::from(half))));
        let (_, first) = all.next().unwrap_or((Action::Manage, Target::Namespace));
        Request { more: all.collect(), ..Request::new(Action::Manage, first) }
    }

    fn alterations(&self, _: &Subject) -> Vec<Alteration> {
        let known = self.halves.first().and_then(|half| half.key()).map(|key| &key.metadata);
        let old = known.map(|known| known.grants.join(" ")).unwrap_or_default();
        let new = known.cloned().and_then(|mut known| {
            known.grant(&self.service, self.granted).ok()?;
            Some(known.grants.join(" "))
        });
        new.and_then(|new| Alteration::between("grants", old, new)).into_iter().collect()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Arc<Object>>> {
        let (first, rest) =
            self.halves.split_first().ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such key"))?;
        let now = permit.key()?;
        if (now.object.id, now.object.edition) != (first.id, first.edition) {
            return Err(changed_meanwhile());
        }
        unchanged(permit, rest)?;
        let (caller, service) = (permit.caller(), &now.key.metadata.service);
        if hall.keeper_of(caller, first)?.is_some() {
            let why = "who uses the key is kept by its server: grant it there";
            return Err(Error::new(ErrorKind::ActionProhibited, why));
        }
        let owns = || Ok::<_, Error>(hall.rules.current()?.is_owned_by(&caller.namespace, service, &caller.principal));
        if caller.login != Login::SecurityOfficer && !owns()? {
            let why = format!(
                "only the security officer, logged in, or whoever owns the service `{service}` grants its keys \
                 (`kmss rule set --service {service} --owner …` says who that is)"
            );
            return Err(Error::new(ErrorKind::NotLoggedIn, why));
        }
        let mut changed = Vec::with_capacity(self.halves.len());
        for half in &self.halves {
            let mut half = Object::clone(half);
            let Body::Key(key) = &mut half.body else { return Err(changed_meanwhile()) };
            if key.lifecycle.role.is_some() {
                let why = format!("`{}` is a version of `{}`: grant that", key.name, key.base_name());
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            key.metadata.grant(&self.service, self.granted)?;
            changed.push(half);
        }
        let wanted = changed.first().and_then(Object::key).map(|key| key.metadata.grants.clone()).unwrap_or_default();
        let mut others = other_versions(hall, caller, &self.halves)?;
        for other in &mut others {
            if let Body::Key(key) = &mut other.body {
                key.metadata.grants.clone_from(&wanted);
            }
        }
        update_parts(hall, caller, &others)?;
        hall.catalog.update_all(caller, &changed)
    }
}
