//! Segments compressed in their place.

use std::fs::{File, FileTimes};
use std::io::{self, Read};
use std::time::Duration;

use serde::Serialize;

use super::segment::Ended;
use super::{DRAFT, Keeper, Left, Stays, Told, busy, storage};
use crate::audit::chain::Form;
use crate::audit::packed::{Codec, codec};
use crate::audit::report::Progress;
use crate::audit::{pending, registry, segment};
use crate::error::Result;
use crate::os::{Directory, Opening};

/// Bytes that are compared at once.
const BLOCK: usize = 256 * 1024;

/// What was compressed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compressed {
    /// Segments.
    pub segments: u64,
    /// Their bytes before.
    pub bytes: u64,
    /// Their bytes now.
    pub file_bytes: u64,
    /// Segments that are compressed already.
    pub already: u64,
    /// Segments that stay as they are.
    pub left: Vec<Left>,
}

impl Keeper<'_> {
    /// Compresses the segments whose last record is at least so old; at most `most` of them.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](crate::error::ErrorKind::Busy) where another process does the like,
    /// [`ErrorKind::Storage`](crate::error::ErrorKind::Storage), and those of the store.
    pub fn compress(&self, age: Duration, most: usize, progress: &mut dyn FnMut(&Progress)) -> Result<Compressed> {
        let Some(lock) = self.lock()? else { return Err(busy()) };
        let done = self.close_left().and_then(|()| self.compress_locked(age, most, progress));
        // A descriptor that a child took along would keep the lock otherwise.
        let _ = lock.unlock();
        done
    }

    fn compress_locked(&self, age: Duration, most: usize, progress: &mut dyn FnMut(&Progress)) -> Result<Compressed> {
        let (codec, mut done) = (codec().map_err(storage)?, Compressed::default());
        let listed = self.listed()?;
        done.already = listed.iter().filter(|one| one.form == Form::Packed).count() as u64;
        let mut found = Vec::new();
        for one in listed.into_iter().filter(|one| one.form == Form::Plain) {
            match self.ended(&one)? {
                Ok(ended) if self.is_old(ended.times.1, age) => found.push(ended),
                Ok(_) => done.left.push(Left { segment: one.id, stays: Stays::Young }),
                Err(stays) => done.left.push(Left { segment: one.id, stays }),
            }
        }
        found.truncate(most);
        let mut told = Told { progress, now: Progress::default() };
        told.now.segments_total = found.len() as u64;
        told.now.bytes_total = found.iter().map(|ended| ended.registration.len).sum();
        for mut ended in found {
            match self.compress_one(codec, &mut ended)? {
                Ok(file_bytes) => {
                    done.segments += 1;
                    done.bytes += ended.registration.len;
                    done.file_bytes += file_bytes;
                }
                Err(stays) => done.left.push(Left { segment: ended.id.clone(), stays }),
            }
            told.done(ended.registration.len, ended.records());
        }
        Ok(done)
    }

    /// The length of the compressed file that took the place of the other.
    fn compress_one(&self, codec: Codec, ended: &mut Ended) -> Result<std::result::Result<u64, Stays>> {
        let dir = Directory::open(self.dir()).map_err(storage)?;
        let file = match self.retire(&dir, ended)? {
            Ok(file) => file,
            Err(stays) => return Ok(Err(stays)),
        };
        let done = self.replace(codec, &dir, ended, &file);
        let _ = file.unlock();
        done
    }

    /// Takes a segment out of everybody's hands: its file, locked, which nobody goes on with any more.
    pub(super) fn retire(&self, dir: &Directory, ended: &mut Ended) -> Result<std::result::Result<File, Stays>> {
        let Some(file) = segment::reopen(dir, &ended.id).map_err(storage)? else { return Ok(Err(Stays::InUse)) };
        // Under the lock, so that nobody can be between opening the file and claiming the segment, and write.
        if !self.settle(ended)? {
            let _ = file.unlock();
            return Ok(Err(Stays::InUse));
        }
        match pending::complete(dir, &ended.id, &file, true) {
            Ok(true) => Ok(Ok(file)),
            Ok(false) => Ok(Err(Stays::Contradicts)),
            Err(e) => Err(storage(e)),
        }
    }

    /// Has nobody go on with any of these from now on; those with which that cannot be are taken out of them. It comes before
    /// the first record of a removal, whose writer would go on with the next of them otherwise.
    pub(super) fn settle_all(&self, found: &mut Vec<(Ended, u64)>) -> Result<Vec<Left>> {
        let mut left = Vec::new();
        for (mut ended, bytes) in std::mem::take(found) {
            match self.fix(&mut ended)? {
                Some(stays) => left.push(Left { segment: ended.id, stays }),
                None => found.push((ended, bytes)),
            }
        }
        Ok(left)
    }

    /// Has nobody go on with a segment; why that cannot be.
    pub(super) fn fix(&self, ended: &mut Ended) -> Result<Option<Stays>> {
        if ended.registration.retired {
            return Ok(None);
        }
        if ended.form == Form::Packed {
            return Ok((!self.settle(ended)?).then_some(Stays::InUse));
        }
        let dir = Directory::open(self.dir()).map_err(storage)?;
        Ok(match self.retire(&dir, ended)? {
            Ok(file) => {
                let _ = file.unlock();
                None
            }
            Err(stays) => Some(stays),
        })
    }

    /// Has nobody go on with a segment; false where somebody was faster.
    pub(super) fn settle(&self, ended: &mut Ended) -> Result<bool> {
        let known = &mut ended.registration;
        known.retired = known.retired || registry::retire_for_good(&*self.sealer.store, known, &ended.entry)?;
        Ok(known.retired)
    }

    fn replace(
        &self,
        codec: Codec,
        dir: &Directory,
        ended: &Ended,
        file: &File,
    ) -> Result<std::result::Result<u64, Stays>> {
        let (plain, name) = (ended.id.file_name(), ended.id.packed_name());
        // Whoever was killed may have come so far.
        let there = dir.file(name.as_ref(), Opening::Read).and_then(|packed| is_same(codec, file, &packed));
        if !matches!(there, Ok(true)) {
            // Nothing is lost by waiting, and the verifier names it as long as the file is there.
            let source = dir.file(plain.as_ref(), Opening::Read).map_err(storage)?;
            if self.content(ended, source)?.is_none() {
                return Ok(Err(Stays::Contradicts));
            }
            let draft = format!("{name}{DRAFT}");
            let _ = dir.remove(draft.as_ref());
            let packed = dir.file(draft.as_ref(), Opening::New).map_err(storage)?;
            let mut source = dir.file(plain.as_ref(), Opening::Read).map_err(storage)?;
            (codec.pack)(&mut source, &mut &packed).map_err(storage)?;
            (self.sealer.ownership)(&packed)?;
            let modified = file.metadata().and_then(|meta| meta.modified()).map_err(storage)?;
            packed.set_times(FileTimes::new().set_modified(modified)).map_err(storage)?;
            packed.sync_all().map_err(storage)?;
            let written = dir.file(draft.as_ref(), Opening::Read).map_err(storage)?;
            if !is_same(codec, file, &written).map_err(storage)? {
                let _ = dir.remove(draft.as_ref());
                return Err(storage(io::Error::other("what was compressed does not read as it was written")));
            }
            dir.rename(draft.as_ref(), name.as_ref()).map_err(storage)?;
        }
        dir.sync().map_err(storage)?;
        dir.remove(plain.as_ref()).map_err(storage)?;
        dir.sync().map_err(storage)?;
        let packed = dir.look(name.as_ref()).map_err(storage)?;
        Ok(Ok(packed.len()))
    }
}

/// Whether a compressed file has, to the last byte, what the plain one has.
fn is_same(codec: Codec, plain: &File, packed: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let (mut unpacked, len) = (codec.unpack)(packed.try_clone()?)?;
    if plain.metadata()?.len() != len {
        return Ok(false);
    }
    let (mut a, mut b, mut at) = (vec![0; BLOCK], vec![0; BLOCK], 0_u64);
    loop {
        let read = read_full(&mut *unpacked, &mut a)?;
        let (a, b) = (a.get(..read).unwrap_or_default(), b.get_mut(..read).unwrap_or_default());
        if read == 0 {
            return Ok(at == len);
        }
        plain.read_exact_at(b, at)?;
        if a != b {
            return Ok(false);
        }
        at += read as u64;
    }
}

/// Fills `out` as far as there is something.
fn read_full(source: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
