//! What is asked for, and what an approver's word is bound to.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::bundle::sha256;
use crate::policy::registry::Place;
use crate::tenant::ObjectId;

/// Everything that an approval is bound to, but for the request's nonce and the home.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The tenant.
    pub tenant: String,
    /// The namespace's name, for people.
    pub namespace: String,
    /// The namespace.
    pub place: Place,
    /// The key; absent for what is about no key.
    pub key: Option<WantedKey>,
    /// The other keys of the operation: the one that is wrapped, the ones that come to be. None with a window.
    pub with: Vec<WantedKey>,
    /// The action's word.
    pub action: String,
    /// Name of the mechanism.
    pub mechanism: Option<String>,
    /// Who wants to.
    pub requester: String,
    /// What approvers must hold, without `role:`.
    pub role: String,
    /// How many of them.
    pub approvals: u8,
    /// For how many seconds an approval holds for repeated operations on any data; 0: for one operation on `data`.
    pub window: u32,
    /// SHA-256 of the data; absent where there is none, and with a window.
    pub data: Option<serde_bytes::ByteArray<32>>,
}

/// The key that an approval is about.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedKey {
    /// The object; absent for one that is about to exist, and for the halves of a pair.
    pub id: Option<ObjectId>,
    /// Of a pair, SHA-256 of its public key (SubjectPublicKeyInfo), which both halves share.
    pub public: Option<serde_bytes::ByteArray<32>>,
    /// Its version; 0 for one that is about to exist.
    pub version: u32,
    /// Its name, for people.
    pub name: String,
}

/// A half of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Half {
    /// The private key.
    Private,
    /// The public key.
    Public,
}

/// SHA-256 of data that comes in parts.
#[derive(Clone)]
pub struct DataDigest(Context);

impl Default for DataDigest {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl DataDigest {
    /// Takes a part in.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The digest of all parts.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.iter_mut().zip(self.0.finish().as_ref()).for_each(|(to, from)| *to = *from);
        out
    }
}

/// Identity of a request: a digest of the home and of all that is wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub [u8; 16]);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for RequestId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse::<ObjectId>()
            .map(|id| Self(id.0))
            .map_err(|_| Error::new(ErrorKind::Arguments, "a request is named by 32 hex digits: `kmss approve --list`"))
    }
}

/// Which store this is. The epoch tells a store that was brought back from what it was: so far copies are put in place by
/// hand and keep it, and approvals that were spent after the copy was made are there again until they expire.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreIdentity {
    pub(super) id: serde_bytes::ByteArray<16>,
    pub(super) epoch: u64,
}

impl Wanted {
    pub(super) fn id(&self, store: &StoreIdentity) -> Result<RequestId> {
        let mut bytes = b"kmss approval request\0".to_vec();
        ciborium::into_writer(&(store, self), &mut bytes)
            .map_err(|e| Error::new(ErrorKind::Internal, "a request cannot be encoded").with_source(e.to_string()))?;
        let mut id = [0; 16];
        id.iter_mut().zip(sha256(&bytes)).for_each(|(to, from)| *to = from);
        Ok(RequestId(id))
    }
}

/// A request that waits for approvals.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    pub(super) wanted: Wanted,
    /// Random for each time it is asked: what was spent approves nothing again.
    pub(super) nonce: serde_bytes::ByteArray<16>,
    pub(super) created: Timestamp,
    pub(super) expires: Timestamp,
    /// The half of a pair for which it was spent: what was approved is left for the other one.
    pub(super) spent: Option<Half>,
}

impl Pending {
    /// Whether it waits for approvals, or for its operation.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        now < self.expires && self.spent.is_none()
    }

    /// Whether approvals of it let an operation on this half pass.
    pub(super) fn serves(&self, half: Option<Half>, now: Timestamp) -> bool {
        now < self.expires && (self.spent.is_none() || (half.is_some() && half != self.spent))
    }
}

/// One approver's word.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    pub(super) nonce: serde_bytes::ByteArray<16>,
    pub(super) approver: String,
    /// The roles that the approver held then.
    pub(super) roles: Vec<String>,
    pub(super) given: Timestamp,
    pub(super) expires: Timestamp,
}

impl Approval {
    /// Whether it counts for `pending` at `now`.
    pub(super) fn counts(&self, pending: &Pending, now: Timestamp) -> bool {
        let wanted = &pending.wanted;
        self.nonce == pending.nonce
            && self.approver != wanted.requester
            && self.roles.contains(&wanted.role)
            && self.given <= now
            && now < self.expires
    }
}
