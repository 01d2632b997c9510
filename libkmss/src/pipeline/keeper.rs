//! Following a keeper of records: before anything of a namespace is looked at whose keys another KMSS keeps, what changed
//! there is taken over, where the last look is older than a second.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Pipeline, Trace};
use crate::audit::Outcome;
use crate::backend::{Changes, Custody};
use crate::caller::Caller;
use crate::catalog::{Bookmark, Query, Taken};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Object, Role};
use crate::operation::{ObjectRef, Request, Target};
use crate::permit::{Subject, Subjects};
use crate::tenant::ObjectId;

/// How often a look begins again because another process was faster.
const ATTEMPTS: usize = 8;
/// Objects looked at at once.
const PAGE: usize = 256;

impl Pipeline {
    /// Follows where a request looks at stored objects.
    pub(super) fn follow_for(&self, caller: &Caller, request: &Request) -> Result<()> {
        let stored = |target: &Target| matches!(target, Target::Object(ObjectRef::Stored(_)));
        let others = request.also.iter().chain(&request.more).map(|(_, target)| target);
        if request.action == Action::Find || std::iter::once(&request.target).chain(others).any(stored) {
            self.follow(caller)?;
        }
        Ok(())
    }

    /// Brings the copies of a keeper's records up to date, those that `caller` may see.
    ///
    /// # Errors
    /// Those of the keeper: copies that are older than a second are not shown.
    pub fn follow(&self, caller: &Caller) -> Result<()> {
        let Some(keeper) = self.hall.keeper(caller)? else { return Ok(()) };
        self.follow_part(caller, keeper, false)?;
        if caller.keyring.private.is_some() {
            self.follow_part(caller, keeper, true)?;
        }
        Ok(())
    }

    fn follow_part(&self, caller: &Caller, keeper: &dyn Custody, private: bool) -> Result<()> {
        let Some(begun) = keeper.due(&caller.namespace, private) else { return Ok(()) };
        for _ in 0..ATTEMPTS {
            match self.look(caller, keeper, private) {
                Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
                looked => return looked.map(|()| keeper.followed(&caller.namespace, private, begun)),
            }
        }
        Err(Error::new(ErrorKind::Busy, "other processes follow the same server, and all were faster"))
    }

    fn look(&self, caller: &Caller, keeper: &dyn Custody, private: bool) -> Result<()> {
        let mut bookmark = self.hall.catalog.bookmark(caller, &caller.namespace.backend, private)?;
        let mut cursor = bookmark.cursor.clone();
        let mut whole = cursor.is_empty().then(BTreeSet::new);
        let mut later: Vec<Object> = Vec::new();
        loop {
            let Changes { objects, gone, cursor: next, more, reset } = keeper.changes(&caller.namespace, &cursor)?;
            if reset {
                if whole.is_some() {
                    return Err(Error::new(ErrorKind::BackendUnavailable, "the server does not list what it has"));
                }
                (cursor, whole) = (Vec::new(), Some(BTreeSet::new()));
                later.clear();
                continue;
            }
            let mut objects: Vec<Object> = objects.into_iter().filter(|object| object.private == private).collect();
            objects.sort_by_key(|object| object.key().is_none_or(|key| key.lifecycle.role != Some(Role::Former)));
            for object in objects {
                if let Some(seen) = &mut whole {
                    seen.insert(object.id);
                }
                later.retain(|known| known.id != object.id);
                // Who gives a name up comes before who takes it, on whichever page either is.
                match takes_a_name(&object) {
                    true => later.push(object),
                    false => self.take_over(caller, &mut bookmark, object)?,
                }
            }
            for id in gone {
                later.retain(|known| known.id != id);
                self.forget(caller, &mut bookmark, id)?;
            }
            cursor = next;
            if !more {
                break;
            }
        }
        for object in later {
            self.take_over(caller, &mut bookmark, object)?;
        }
        if let Some(seen) = whole {
            self.forget_others(caller, &mut bookmark, private, &seen)?;
        }
        if cursor == bookmark.cursor {
            return Ok(());
        }
        self.hall.catalog.put_bookmark(caller, &mut bookmark, cursor)
    }

    fn take_over(&self, caller: &Caller, bookmark: &mut Bookmark, object: Object) -> Result<()> {
        match self.hall.catalog.take_over(caller, bookmark, object)? {
            Taken::Known => Ok(()),
            Taken::Made(object) => self.tell(caller, Action::Import, object),
            Taken::Changed(object) => self.tell(caller, Action::Manage, object),
        }
    }

    fn forget(&self, caller: &Caller, bookmark: &mut Bookmark, id: ObjectId) -> Result<()> {
        match self.hall.catalog.forget(caller, bookmark, id)? {
            Some(object) => self.tell(caller, Action::Destroy, object),
            None => Ok(()),
        }
    }

    /// Forgets every copy that is not among all that the keeper has.
    fn forget_others(
        &self,
        caller: &Caller,
        bookmark: &mut Bookmark,
        private: bool,
        seen: &BTreeSet<ObjectId>,
    ) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.hall.catalog.find(caller, &Query::default(), after, PAGE)?;
            for found in page.iter().filter(|found| found.private == private && !seen.contains(&found.id)) {
                self.forget(caller, bookmark, found.id)?;
            }
            after = page.last().map(|found| found.id);
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// The record of what was taken over: nobody here decided it, so that nothing could be refused.
    fn tell(&self, caller: &Caller, action: Action, object: Arc<Object>) -> Result<()> {
        // What a change of a copy makes of its edition is told as the change of an original tells it: by the one before.
        let object = match action {
            Action::Manage => Arc::new(Object { edition: object.edition.saturating_sub(1), ..Object::clone(&object) }),
            _ => object,
        };
        let tags = vec![format!("mirror:{}", caller.namespace.backend.0)];
        let trace = Trace { tags, ..Trace::new(action, self.moment()) };
        let subjects = Subjects { subject: Subject::Object(object), also: None, more: Vec::new() };
        self.record_for(Some(caller), &trace, &subjects, Outcome::Success, "")
    }
}

/// Whether it is a version that has a name which another one had.
fn takes_a_name(object: &Object) -> bool {
    object.key().is_some_and(|key| key.lifecycle.role.is_none() && key.lifecycle.version > 1)
}
