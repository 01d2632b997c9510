//! Counting attempts: durably before the check, so that neither a crash nor any number of processes gains a guess.
//!
//! An attempt under way is `pending`, and pending and wrong ones together never exceed the limit. A login that finds no
//! room waits for those under way (many workers of one service log in at once with the right PIN), not for ever: what a
//! dead process left behind is counted as wrong.

use std::thread::sleep;
use std::time::Duration;

use super::PinAuthenticator;
use super::credential::Record;
use super::domain::Domain;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Batch, Commit, Condition, StoreKey};

/// Between two looks at attempts under way.
const PAUSE: Duration = Duration::from_millis(20);
/// Looks (10 s) at an unchanged record after which its pending attempts count as abandoned.
const ABANDONED: u32 = 500;
/// Looks or collisions (a minute or more) before a login gives up.
const PATIENCE: u32 = 3000;

/// How an attempt ended.
pub(super) enum Outcome {
    /// The PIN was right.
    Right,
    /// The PIN was wrong.
    Wrong,
    /// Nobody knows: the seal did not answer.
    Unchecked,
    /// The PIN was right and is replaced.
    Renewed(Record),
    /// The security officer forgave the attempts.
    Unlocked,
    /// The security officer gave the user other roles.
    Appointed(Vec<String>),
}

impl PinAuthenticator {
    /// Counts an attempt on the credential at `key` and returns the credential that it may be made on.
    pub(super) fn count(&self, domain: &Domain, key: &StoreKey) -> Result<Record> {
        let (mut seen, mut unchanged) = (None, 0);
        for _ in 0..PATIENCE {
            let entry = self.store.get(key)?.ok_or_else(gone)?;
            let mut record = Record::open(&domain.public, key, &entry.value)?;
            if record.failures >= record.limit {
                return Err(Error::new(
                    ErrorKind::PinLocked,
                    "the PIN is locked after too many wrong attempts: the security officer can set a new one",
                ));
            }
            let room = record.failures.saturating_add(record.pending) < record.limit;
            if room {
                record.pending += 1;
            } else {
                unchanged = if seen == Some(entry.version) { unchanged + 1 } else { 0 };
                seen = Some(entry.version);
                if unchanged < ABANDONED {
                    sleep(PAUSE);
                    continue;
                }
                record.failures = record.failures.saturating_add(record.pending);
                record.pending = 0;
            }
            let batch = Batch {
                conditions: vec![Condition::Version(key.clone(), entry.version)],
                ops: vec![self.write(domain, key, &record)?],
                invalidates: false,
            };
            match self.store.commit(&batch)? {
                Commit::Committed(_) if room => return Ok(record),
                Commit::Committed(_) | Commit::Conflict => {}
            }
        }
        Err(busy())
    }

    /// Writes down how an attempt on `attempted` ended.
    pub(super) fn conclude(
        &self,
        domain: &Domain,
        key: &StoreKey,
        attempted: &Record,
        outcome: &Outcome,
    ) -> Result<()> {
        for _ in 0..PATIENCE {
            let current = match self.store.get(key)? {
                Some(entry) => Some((Record::open(&domain.public, key, &entry.value)?, entry.version)),
                None => None,
            };
            let Some((mut record, version)) = current.filter(|(record, _)| record.salt == attempted.salt) else {
                return replaced(outcome);
            };
            if !matches!(outcome, Outcome::Appointed(_)) {
                record.pending = record.pending.saturating_sub(1);
            }
            match outcome {
                Outcome::Right | Outcome::Unlocked => (record.failures, record.pending) = (0, 0),
                Outcome::Wrong => record.failures = record.failures.saturating_add(1),
                Outcome::Unchecked => {}
                Outcome::Renewed(new) => record.clone_from(new),
                Outcome::Appointed(roles) => record.roles.clone_from(roles),
            }
            let invalidates = matches!(outcome, Outcome::Renewed(_) | Outcome::Unlocked | Outcome::Appointed(_));
            let batch = Batch {
                conditions: std::iter::once(Condition::Version(key.clone(), version)).chain(record.fence()).collect(),
                ops: vec![self.write(domain, key, &record)?],
                invalidates,
            };
            match self.store.commit(&batch)? {
                Commit::Committed(_) => return Ok(()),
                Commit::Conflict => {}
            }
        }
        Err(busy())
    }
}

/// The credential was replaced or removed while the attempt was under way: its counters went with it.
fn replaced(outcome: &Outcome) -> Result<()> {
    match outcome {
        Outcome::Wrong | Outcome::Unchecked => Ok(()),
        // Who was right about a PIN that no longer holds has not logged in.
        Outcome::Right | Outcome::Renewed(_) | Outcome::Unlocked | Outcome::Appointed(_) => Err(gone()),
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Conflict, "the credential was changed at the same time: try again")
}

fn busy() -> Error {
    Error::new(ErrorKind::Busy, "too many logins at once: try again")
}
