//! Following a namespace: what changed in it since a revision.

use super::{Hall, Operation, Request, Target};
use crate::catalog::Changes;
use crate::error::Result;
use crate::key::Action;
use crate::permit::Permit;
use crate::store::Revision;

/// What changed in the namespace; `None` where everything has to be looked at again.
#[derive(Debug)]
pub struct ListChanges {
    /// Where the caller stands.
    pub since: Revision,
    /// About how many changes to look at.
    pub limit: usize,
}

impl Operation for ListChanges {
    type Running = Option<Changes>;

    fn request(&self) -> Request {
        Request::new(Action::Find, Target::Namespace)
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Option<Changes>> {
        hall.catalog.changes(permit.caller(), self.since, self.limit)
    }
}
