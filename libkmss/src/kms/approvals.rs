//! Who approves what policies want approved.

use super::Kms;
use crate::caller::{Caller, Login};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::policy::approval::{OpenRequest, RequestId};
use crate::policy::registry::Place;
use crate::tenant::Namespace;

impl Kms {
    /// The requests in `namespace` that wait for approvals, the oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn waiting_requests(&self, namespace: &Namespace) -> Result<Vec<OpenRequest>> {
        self.approvals.waiting(Place::of(namespace), self.now())
    }

    /// `caller`, logged in as a user, approves a request of their namespace; where they say which `data` (its SHA-256), of no
    /// other.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`]; [`ErrorKind::NotFound`] for a request that is unknown or expired; [`ErrorKind::Denied`] for
    /// the requester, for whoever does not hold the role, and for other data; [`ErrorKind::AlreadyExists`] for whoever has approved it.
    pub fn approve(&self, caller: &Caller, request: RequestId, data: Option<[u8; 32]>) -> Result<OpenRequest> {
        let tags = vec![format!("approve request {request}")];
        self.pipeline.around_tagged(Some(caller), Action::ChangeState, tags, || {
            // A namespace without PINs knows its users by their processes.
            let known = matches!(caller.login, Login::User(_)) || caller.namespace.settings.pinless;
            if !known || caller.login == Login::SecurityOfficer {
                return Err(Error::new(ErrorKind::NotLoggedIn, "only a user, logged in, approves"));
            }
            let (name, roles) = (&caller.principal.name, &caller.principal.roles);
            self.approvals.approve(Place::of(&caller.namespace), (request, data), name, roles, self.now())
        })
    }
}
