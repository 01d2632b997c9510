//! Segments removed: what was recorded of them stays, and the tree has the hashes of their records.

use std::fs::File;
use std::time::Duration;

use serde::Serialize;

use super::segment::{Content, Ended};
use super::{DRAFT, Keeper, Left, Stays, Told, busy, storage};
use crate::audit::chain::{Form, SegmentId};
use crate::audit::cursor::awaited_by;
use crate::audit::note::AuditRemoval;
use crate::audit::pending::{self, Logical};
use crate::audit::report::Progress;
use crate::audit::seal::Removal;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::os::Directory;

/// A segment that is to go, or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The segment.
    pub segment: SegmentId,
    /// Its records.
    pub records: u64,
    /// Bytes of its file.
    pub file_bytes: u64,
    /// Time of the first record.
    pub first: Timestamp,
    /// Time of the last.
    pub last: Timestamp,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Whether it was removed.
    pub removed: bool,
    /// The segments.
    pub segments: Vec<Candidate>,
    /// Segments that are old enough, and stay.
    pub left: Vec<Left>,
}

impl Keeper<'_> {
    /// Removes the segments whose last record is at least so old, at most `most` of them; where not `for_good`, says which it
    /// would be.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where another process does the like, [`ErrorKind::AuditUnavailable`] where it cannot be recorded,
    /// [`ErrorKind::Storage`], and those of the store.
    pub fn prune(
        &self,
        age: Duration,
        most: usize,
        for_good: bool,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Pruned> {
        let lock = if for_good { Some(self.lock()?.ok_or_else(busy)?) } else { None };
        let left = if for_good { self.close_left() } else { Ok(()) };
        let done = left.and_then(|()| self.prune_locked(age, most, for_good, progress));
        if let Some(lock) = lock {
            let _ = lock.unlock();
        }
        done
    }

    fn prune_locked(
        &self,
        age: Duration,
        most: usize,
        for_good: bool,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Pruned> {
        let mut done = Pruned { removed: for_good, ..Pruned::default() };
        let mut found = Vec::new();
        for one in self.listed()? {
            // What is younger by its name needs no second look.
            if !self.is_old(Timestamp(one.id.millis()), age) {
                continue;
            }
            match self.ended(&one)? {
                Ok(ended) if !self.is_old(ended.times.1, age) => {}
                Ok(ended) => match self.may_go(&ended)? {
                    Some(stays) => done.left.push(Left { segment: one.id, stays }),
                    None => found.push((ended, one.meta.len())),
                },
                Err(stays) => done.left.push(Left { segment: one.id, stays }),
            }
        }
        found.truncate(most);
        if for_good {
            done.left.extend(self.settle_all(&mut found)?);
        }
        let mut told = Told { progress, now: Progress::default() };
        told.now.segments_total = found.len() as u64;
        told.now.bytes_total = found.iter().map(|(_, bytes)| *bytes).sum();
        for (mut ended, file_bytes) in found {
            let (segment, records, (first, last)) = (ended.id.clone(), ended.records(), ended.times);
            let left = if for_good { self.expire(&mut ended)? } else { None };
            told.done(file_bytes, records);
            match left {
                None => done.segments.push(Candidate { segment, records, file_bytes, first, last }),
                Some(stays) => done.left.push(Left { segment, stays }),
            }
        }
        Ok(done)
    }

    /// What keeps a segment from being removed, however old it is.
    pub(super) fn may_go(&self, ended: &Ended) -> Result<Option<Stays>> {
        let (_, last) = ended.leaves();
        for anchor in self.anchors {
            if self.sealer.anchored(anchor)?.is_none_or(|told| told.size <= last) {
                return Ok(Some(Stays::Unanchored { anchor: anchor.clone() }));
            }
        }
        let by = awaited_by(self.cursors, &ended.id, ended.registration.len)?;
        Ok((!by.is_empty()).then_some(Stays::Awaited { by }))
    }

    /// Removes a segment that is old, and nowhere else.
    fn expire(&self, ended: &mut Ended) -> Result<Option<Stays>> {
        let source = match Logical::open(self.dir(), &ended.id) {
            Err(e) if crate::audit::packed::is_damage(&e) => return Ok(Some(Stays::Contradicts)),
            other => other.map_err(storage)?,
        };
        // What was changed is evidence, and stays.
        match self.content(ended, source)? {
            Some(content) => self.remove(ended, &content, ("expired", "")),
            None => Ok(Some(Stays::Contradicts)),
        }
    }

    /// Removes a segment, of which a copy with the hash `file` is elsewhere, or none.
    pub(super) fn remove(
        &self,
        ended: &mut Ended,
        content: &Content,
        (why, file): (&'static str, &str),
    ) -> Result<Option<Stays>> {
        let dir = Directory::open(self.dir()).map_err(storage)?;
        let lock: Option<File> = match ended.form {
            Form::Plain => match self.retire(&dir, ended)? {
                Ok(file) => Some(file),
                Err(stays) => return Ok(Some(stays)),
            },
            Form::Packed => {
                if !self.settle(ended)? {
                    return Ok(Some(Stays::InUse));
                }
                None
            }
        };
        let done = self.record_and_remove(&dir, ended, content, (why, file));
        if let Some(lock) = lock {
            let _ = lock.unlock();
        }
        done.map(|()| None)
    }

    fn record_and_remove(
        &self,
        dir: &Directory,
        ended: &Ended,
        content: &Content,
        (why, file): (&'static str, &str),
    ) -> Result<()> {
        let removed = ended.removal(content);
        // Whoever was killed may have come so far.
        if self.sealer.removal(&ended.id)?.is_none_or(|known| known.removed != removed) {
            let (principal, file) = (self.principal.to_owned(), file.to_owned());
            let (segment, line) = self.sink.note_removal(&AuditRemoval { why, principal, file, removed })?;
            let removal = Removal::parse(segment, line)
                .ok_or_else(|| Error::new(ErrorKind::Internal, "the record of a removal does not read as written"))?;
            self.sealer.keep_removal(&removal)?;
        }
        let id = &ended.id;
        let mut first = Ok(());
        // The compressed one first: while both are there it is the one that nobody reads.
        for name in [id.packed_name(), id.file_name(), pending::file_name(id), id.packed_name() + DRAFT] {
            match dir.remove(name.as_ref()) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => first = first.and(Err(e)),
                _ => (),
            }
        }
        first.and_then(|()| dir.sync()).map_err(storage)
    }
}
