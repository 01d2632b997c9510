//! Approvals: who asks is who approves.

use libkmss::error::Result;

use super::call::{Asked, Call};
use crate::convert;
use crate::proto;

impl Call for proto::ListApprovalsRequest {
    type Answer = proto::ListApprovalsResponse;
    const METHOD: &'static str = "ListApprovals";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListApprovalsResponse> {
        let waiting = asked.host.kms.waiting_requests(&asked.caller.namespace)?;
        Ok(proto::ListApprovalsResponse { approvals: waiting.iter().map(Into::into).collect() })
    }
}

impl Call for proto::ApproveRequest {
    type Answer = proto::ApproveResponse;
    const METHOD: &'static str = "Approve";

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ApproveResponse> {
        let (id, data) = (convert::approval_id(&self.id)?, convert::sha256(&self.data_sha256)?);
        let request = asked.host.kms.approve(&asked.caller, id, data)?;
        let principal = asked.caller.principal.name.clone();
        Ok(proto::ApproveResponse { approval: Some((&request).into()), principal })
    }
}
