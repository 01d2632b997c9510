//! Summaries: what was done with a session key, counted, in the place of one record for each operation.

use super::Outcome;
use crate::caller::Login;
use crate::clock::Timestamp;
use crate::key::{Action, Key, KeyClass, Object};
use crate::mechanism::KeyType;
use crate::tenant::{Namespace, ObjectId};

/// Most kinds of use in one record; more go into further ones.
pub const MAX_USES: usize = 64;

/// Uses of one session key by one principal since the record before.
#[derive(Clone, Copy, Debug)]
pub struct AuditSummary<'a> {
    /// When it was written.
    pub time: Timestamp,
    /// When the record before was written, or the key made.
    pub since: Timestamp,
    /// Name of the principal.
    pub principal: &'a str,
    /// How it had authenticated.
    pub login: &'a Login,
    /// Where.
    pub namespace: &'a Namespace,
    /// The key.
    pub key: &'a SummaryKey,
    /// What was done, each kind once; at most [`MAX_USES`].
    pub uses: &'a [SummaryUse<'a>],
    /// Whether the key is gone.
    pub ended: bool,
}

/// One kind of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryUse<'a> {
    /// What.
    pub action: Action,
    /// Name of the mechanism.
    pub mechanism: Option<&'a str>,
    /// What became of it: success, begun or abandoned; all else has a record of its own.
    pub outcome: Outcome,
    /// The deciding policy rule; empty where there is none.
    pub rule: &'a str,
    /// How often.
    pub count: u64,
    /// Bytes processed.
    pub bytes: u64,
}

/// A session key as its summaries name it; outlives the key, so that the last one can.
#[derive(Clone, Debug)]
pub struct SummaryKey {
    pub(super) id: ObjectId,
    pub(super) class: KeyClass,
    pub(super) key_type: KeyType,
    pub(super) origin: String,
    pub(super) version: u32,
}

impl SummaryKey {
    /// The key of `object`.
    #[must_use]
    pub fn of(object: &Object, key: &Key) -> Self {
        let (class, key_type, origin, version) = (key.class, key.key_type, key.origin.clone(), key.primary);
        Self { id: object.id, class, key_type, origin, version }
    }
}
