//! Looking objects up.

use super::{Hall, Operation, Request, Target};
use crate::catalog::{Match, Query};
use crate::error::Result;
use crate::key::Action;
use crate::permit::Permit;
use crate::tenant::ObjectId;

/// One page of the stored objects that match a query, in the order of their ids.
#[derive(Debug)]
pub struct Find<'a> {
    /// What to look for. Exact for the terms it has.
    pub query: &'a Query,
    /// The last id of the page before.
    pub after: Option<ObjectId>,
    /// Most ids to return.
    pub limit: usize,
}

impl Operation for Find<'_> {
    type Running = Vec<Match>;

    fn request(&self) -> Request {
        Request::new(Action::Find, Target::Namespace)
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Match>> {
        hall.catalog.find(permit.caller(), self.query, self.after, self.limit)
    }
}
