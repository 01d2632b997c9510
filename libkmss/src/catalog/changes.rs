//! What changed in a namespace since a revision of the store, for mirrors of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Catalog;
use super::path::{Paths, object_of};
use crate::caller::Caller;
use crate::error::{ErrorKind, Result};
use crate::key::Object;
use crate::store::Revision;
use crate::tenant::ObjectId;

/// What changed.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Objects that were made or changed, as they are now.
    pub objects: Vec<Arc<Object>>,
    /// What is not there any more, or not for this caller.
    pub destroyed: Vec<ObjectId>,
    /// Where to go on.
    pub revision: Revision,
    /// Whether there is more already.
    pub more: bool,
}

impl Catalog {
    /// The newest revision of the store.
    ///
    /// # Errors
    /// Those of the store.
    pub fn revision(&self) -> Result<Revision> {
        self.store.wait(Revision(0), Duration::ZERO)
    }

    /// What changed in the caller's namespace after `since`, in about `limit` changes of the store. `None` where that is not
    /// known any more, or the namespace was made anew since: then everything has to be looked at again.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Damaged`].
    pub fn changes(&self, caller: &Caller, since: Revision, limit: usize) -> Result<Option<Changes>> {
        let newest = self.revision()?;
        if since > newest {
            return Ok(None);
        }
        let feed = match self.store.changes(since, limit) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            feed => feed?,
        };
        let paths = Paths::of(&caller.namespace);
        let (objects, closed) = (paths.objects(), paths.closed()?);
        let mut touched = BTreeSet::new();
        for change in &feed {
            if change.key == closed {
                return Ok(None);
            }
            if change.key.as_str().starts_with(&objects) {
                touched.insert(object_of(&change.key)?);
            }
        }
        let last = feed.last().map_or(since, |change| change.revision);
        let mut changes = Changes { revision: last, more: last < newest, ..Changes::default() };
        for id in touched {
            match self.get(caller, id) {
                Ok(object) => changes.objects.push(object),
                Err(e) if e.kind() == ErrorKind::NotFound => changes.destroyed.push(id),
                Err(e) => return Err(e),
            }
        }
        Ok(Some(changes))
    }
}
