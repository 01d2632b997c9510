//! Requests that wait for approvals, of a home or of a server.

use libkmss::auth::Credential;
use libkmss::kms::Kms;
use libkmss::policy::approval::{OpenRequest, RequestId};
use libkmss::tenant::Namespace;
use remote::client::Client;
use remote::{convert, proto};

use crate::context::{self, Context, find_token};
use crate::objects::namespaces;
use crate::output::Failure;

/// The user who approves where nobody else is named.
const USER: &str = "user";

/// The requests of one token.
pub(crate) trait Approvals {
    /// Those that wait, the oldest first.
    fn waiting(&self) -> Result<Vec<OpenRequest>, Failure>;

    /// Approves one; who that was, and what it lacks still. Where it is said for which `data` (SHA-256), for no other.
    fn approve(&self, id: RequestId, data: Option<[u8; 32]>) -> Result<(String, OpenRequest), Failure>;
}

impl Context {
    /// The requests of `token`, for its `user`; a server knows who asks, and takes no user and no PIN.
    ///
    /// # Errors
    /// There is no such token, or a user is named to a server.
    pub(crate) fn approvals<'a>(
        &'a self,
        token: &str,
        user: Option<&'a str>,
    ) -> Result<Box<dyn Approvals + 'a>, Failure> {
        let Some(server) = self.server() else {
            let kms = self.kms()?;
            let namespace = find_token(&kms, token)?;
            return Ok(Box::new(HomeApprovals { kms, namespace, user: user.unwrap_or(USER), context: self }));
        };
        if user.is_some() {
            return Err("a server knows who asks by the certificate or the kernel: leave --user out".into());
        }
        Ok(Box::new(ServerApprovals { server, namespace: context::named(namespaces(server)?, token)? }))
    }
}

struct HomeApprovals<'a> {
    kms: Kms,
    namespace: Namespace,
    user: &'a str,
    context: &'a Context,
}

impl Approvals for HomeApprovals<'_> {
    fn waiting(&self) -> Result<Vec<OpenRequest>, Failure> {
        Ok(self.kms.waiting_requests(&self.namespace)?)
    }

    fn approve(&self, id: RequestId, data: Option<[u8; 32]>) -> Result<(String, OpenRequest), Failure> {
        let mut caller = self.kms.enter(&self.namespace, 0)?;
        if !self.namespace.settings.pinless {
            let pin = self.context.user_pin(&self.namespace.name)?;
            caller = self.kms.login(&caller, &Credential::UserPin { name: self.user, pin: &pin })?;
        }
        let request = self.kms.approve(&caller, id, data)?;
        self.kms.close()?;
        Ok((caller.principal.name.clone(), request))
    }
}

struct ServerApprovals<'a> {
    server: &'a Client,
    namespace: Namespace,
}

impl Approvals for ServerApprovals<'_> {
    fn waiting(&self) -> Result<Vec<OpenRequest>, Failure> {
        let namespace = self.namespace.to_string();
        let waiting = self.server.ask(proto::ListApprovalsRequest { namespace })?.approvals;
        waiting.into_iter().map(|one| Ok(convert::approval(one, &self.namespace)?)).collect()
    }

    fn approve(&self, id: RequestId, data: Option<[u8; 32]>) -> Result<(String, OpenRequest), Failure> {
        let approved = self.server.ask(proto::ApproveRequest {
            namespace: self.namespace.to_string(),
            id: id.0.to_vec(),
            data_sha256: data.map(|data| data.to_vec()).unwrap_or_default(),
            request_id: Vec::new(),
        })?;
        let request = approved.approval.ok_or("the server does not say what was approved")?;
        Ok((approved.principal, convert::approval(request, &self.namespace)?))
    }
}
