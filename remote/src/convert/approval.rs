//! Requests that wait for approvals.

use libkmss::clock::Timestamp;
use libkmss::error::Result;
use libkmss::policy::approval::{OpenRequest, RequestId, Wanted, WantedKey};
use libkmss::policy::registry::Place;
use libkmss::tenant::Namespace;

use super::{argument, object_id};
use crate::proto;

/// The identity of a request for approval.
///
/// # Errors
/// [`libkmss::error::ErrorKind::Arguments`] for anything but 16 bytes.
pub fn approval_id(bytes: &[u8]) -> Result<RequestId> {
    bytes.try_into().map(RequestId).map_err(|_| argument("the identity of a request for approval has 16 bytes"))
}

/// A SHA-256, where there is one.
///
/// # Errors
/// [`libkmss::error::ErrorKind::Arguments`] for anything but 32 bytes or none.
pub fn sha256(bytes: &[u8]) -> Result<Option<[u8; 32]>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.try_into().map(Some).map_err(|_| argument("a SHA-256 has 32 bytes"))
}

impl From<&OpenRequest> for proto::Approval {
    fn from(request: &OpenRequest) -> Self {
        let wanted = &request.wanted;
        Self {
            id: request.id.0.to_vec(),
            tenant: wanted.tenant.clone(),
            namespace: wanted.namespace.clone(),
            requester: wanted.requester.clone(),
            action: wanted.action.clone(),
            key: wanted.key.as_ref().map(Into::into),
            with: wanted.with.iter().map(Into::into).collect(),
            mechanism: wanted.mechanism.clone().unwrap_or_default(),
            role: wanted.role.clone(),
            needed: wanted.approvals.into(),
            window_s: wanted.window,
            data_sha256: wanted.data.map(|digest| digest.to_vec()).unwrap_or_default(),
            created_ms: request.created.0,
            expires_ms: request.expires.0,
            approvers: request.approvers.clone(),
        }
    }
}

impl From<&WantedKey> for proto::ApprovalKey {
    fn from(key: &WantedKey) -> Self {
        Self {
            id: key.id.map(|id| id.0.to_vec()).unwrap_or_default(),
            public_sha256: key.public.map(|public| public.to_vec()).unwrap_or_default(),
            version: key.version,
            name: key.name.clone(),
        }
    }
}

fn wanted_key(key: proto::ApprovalKey) -> Result<WantedKey> {
    Ok(WantedKey {
        id: (!key.id.is_empty()).then(|| object_id(&key.id)).transpose()?,
        public: sha256(&key.public_sha256)?.map(Into::into),
        version: key.version,
        name: key.name,
    })
}

/// A request of `namespace`, as a server tells of it.
///
/// # Errors
/// [`libkmss::error::ErrorKind::Arguments`] for a field that is not one.
pub fn approval(approval: proto::Approval, namespace: &Namespace) -> Result<OpenRequest> {
    let wanted = Wanted {
        tenant: approval.tenant,
        namespace: approval.namespace,
        place: Place::of(namespace),
        key: approval.key.map(wanted_key).transpose()?,
        with: approval.with.into_iter().map(wanted_key).collect::<Result<_>>()?,
        action: approval.action,
        mechanism: (!approval.mechanism.is_empty()).then_some(approval.mechanism),
        requester: approval.requester,
        role: approval.role,
        approvals: approval.needed.try_into().map_err(|_| argument("nobody asks for so many approvals"))?,
        window: approval.window_s,
        data: sha256(&approval.data_sha256)?.map(Into::into),
    };
    Ok(OpenRequest {
        id: approval_id(&approval.id)?,
        wanted,
        created: Timestamp(approval.created_ms),
        expires: Timestamp(approval.expires_ms),
        approvers: approval.approvers,
    })
}
