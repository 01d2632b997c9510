//! Aliases: what else a key is called. One goes from one key to another in one commit.

use std::sync::Arc;

use super::draft::check_name;
use super::rotate::{changed_meanwhile, unchanged};
use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Alteration, Body, Metadata, Object};
use crate::permit::{Permit, Subject};

/// Longest alias in bytes.
const LONGEST: usize = 256;

/// Gives an alias to a key, or takes it away. Policies decide on it as on changing each key that it concerns, and as on giving
/// a key that name: whoever asks for it gets the key behind it.
#[derive(Debug)]
pub struct SetAlias {
    /// The alias.
    pub alias: String,
    /// Both halves of the key that is to have it, as they were read; empty where none is.
    pub to: Vec<Arc<Object>>,
    /// Both halves of the key that has it, as they were read; empty where none does.
    pub from: Vec<Arc<Object>>,
}

impl Operation for SetAlias {
    type Running = Vec<Arc<Object>>;

    fn request(&self) -> Request {
        let manage = |half: &Arc<Object>| (Action::Manage, Target::Object(ObjectRef::from(half)));
        let mut all = self.to.iter().chain(&self.from).map(manage);
        let (_, first) = all.next().unwrap_or((Action::Manage, Target::Namespace));
        // What leads nowhere is refused at the start; there is nothing to be called so.
        let named = matches!(first, Target::Object(_));
        let also = named.then(|| (Action::Manage, Target::Renamed(self.alias.clone())));
        Request { more: all.collect(), also, ..Request::new(Action::Manage, first) }
    }

    fn alterations(&self, _: &Subject) -> Vec<Alteration> {
        let name = |halves: &[Arc<Object>]| {
            let key = halves.first().and_then(|half| half.key());
            key.map(|key| format!("{} -> {}", self.alias, key.name)).unwrap_or_default()
        };
        Alteration::between("alias", name(&self.from), name(&self.to)).into_iter().collect()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Arc<Object>>> {
        let all: Vec<_> = self.to.iter().chain(&self.from).cloned().collect();
        let (first, rest) =
            all.split_first().ok_or_else(|| Error::new(ErrorKind::NotFound, "no key has this alias"))?;
        let granted = permit.key()?.object;
        if (granted.id, granted.edition) != (first.id, first.edition) {
            return Err(changed_meanwhile());
        }
        unchanged(permit, rest)?;
        check_name(&self.alias)?;
        if self.alias.is_empty() || self.alias.len() > LONGEST || self.alias.chars().any(char::is_control) {
            let why = format!("an alias is one line of 1 to {LONGEST} bytes");
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        if hall.keeper_of(permit.caller(), first)?.is_some() {
            let why = "the key's names are kept by its server: give it the alias there";
            return Err(Error::new(ErrorKind::ActionProhibited, why));
        }
        let mut changed = Vec::with_capacity(all.len());
        for (half, gains) in self.to.iter().map(|half| (half, true)).chain(self.from.iter().map(|half| (half, false))) {
            let mut half = Object::clone(half);
            let Body::Key(key) = &mut half.body else {
                return Err(Error::new(ErrorKind::Arguments, "only keys have aliases"));
            };
            if gains && key.lifecycle.role.is_some() {
                let why = format!("`{}` is a version of a key: give the alias to the key itself", key.name);
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            let aliases = &mut key.metadata.aliases;
            aliases.retain(|alias| *alias != self.alias);
            if gains {
                aliases.push(self.alias.clone());
            }
            if aliases.len() > Metadata::MOST_ALIASES {
                let why = format!("a key has at most {} aliases", Metadata::MOST_ALIASES);
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            changed.push(half);
        }
        Ok(hall.catalog.reshape(permit.caller(), &changed, &mut [], &[])?.0)
    }
}
