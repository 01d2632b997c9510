//! What is recorded, and what waits for the disk.

use std::time::Duration;

use super::{AuditEvent, Outcome};
use crate::key::{Action, AuditMode, Storage};
use crate::permit::Subject;

/// What is recorded, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct AuditOptions {
    /// Record successful digests.
    pub digest: bool,
    /// Record successful draws of random bytes.
    pub random: bool,
    /// Record successful lookups.
    pub find: bool,
    /// Record each operation with a session key, instead of counts of them.
    pub session: bool,
    /// Wait for the disk after each record, not only after those of administrative actions.
    pub sync_all: bool,
    /// Continue segments that an earlier process of the same user left.
    pub resume: bool,
    /// A new segment begins when one has reached this many bytes.
    pub segment_bytes: u64,
    /// A new segment begins when one is so old; zero means never.
    pub segment_age: Duration,
    /// The store hears of the chain's head after this many records, at most once a second; 0 means only when a segment ends.
    pub anchor_every: u64,
    /// Bytes that each segment has beside it for its records while the disk is full; 0 for none.
    pub emergency_bytes: u32,
    /// This many records a second go to the segment's file at once. Those that follow wait in a page of the kernel, for a
    /// second or until many can go together.
    pub at_once: u32,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            digest: false,
            random: false,
            find: false,
            session: false,
            sync_all: false,
            resume: true,
            segment_bytes: 64 << 20,
            segment_age: Duration::ZERO,
            anchor_every: 10_000,
            emergency_bytes: 0,
            at_once: 16,
        }
    }
}

impl AuditOptions {
    /// Whether such an event leaves a record.
    pub(super) fn wants(&self, action: Action, outcome: Outcome, tags: &[String]) -> bool {
        match (outcome, action) {
            (Outcome::Denied(_) | Outcome::Failed(_), _) => true,
            // What several had to approve leaves their names, and what brings a quota near its end is told.
            _ if tags.iter().any(|tag| tag.starts_with("approved-by:") || tag.starts_with("quota-near:")) => true,
            (_, Action::Digest) => self.digest,
            (_, Action::Random) => self.random,
            (_, Action::Find) => self.find,
            _ => true,
        }
    }

    /// Whether its record is on the disk before the operation goes on.
    pub(super) fn waits_for_disk(&self, event: &AuditEvent<'_>) -> bool {
        let refused = matches!(event.outcome, Outcome::Denied(_) | Outcome::Failed(_));
        // That something came to exist is on the disk twice by now: as an intent, which names it, and in the store.
        if matches!((event.outcome, event.action), (Outcome::Success, Action::Generate | Action::Import)) {
            return self.sync_all || is_synced(event.subject) || event.also.is_some_and(is_synced);
        }
        self.sync_all
            || is_synced(event.subject)
            || event.also.is_some_and(is_synced)
            || event.action == Action::Export
            || (event.action == Action::Login && refused)
            || (event.action.has_effect() && !is_session_object(event.subject))
            || matches!(event.also, Some(Subject::New(new)) if new.storage == Storage::Stored)
            || (matches!(event.action, Action::Unwrap | Action::Derive | Action::DeriveChild)
                && event.also.is_some_and(is_stored_object))
    }
}

/// Whether it is a key whose uses are to be on the disk.
fn is_synced(subject: &Subject) -> bool {
    matches!(subject, Subject::Object(object) if object.key().is_some_and(|key| key.audit == AuditMode::Sync))
}

fn is_stored_object(subject: &Subject) -> bool {
    matches!(subject, Subject::Object(object) if object.storage == Storage::Stored)
}

fn is_session_object(subject: &Subject) -> bool {
    match subject {
        Subject::Object(object) => object.storage == Storage::Ephemeral,
        Subject::New(new) => new.storage == Storage::Ephemeral,
        Subject::Namespace => false,
    }
}
