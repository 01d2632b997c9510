//! Segments copied to a folder that an auditor verifies alone, and removed from the home where that is asked for.

use std::path::{Path, PathBuf};

use audit_proof::Lineage;
use audit_proof::archive::{self, MANIFEST, Manifest, VERSION};
use serde::Serialize;

use super::copy::{Folder, hex};
use super::segment::{Content, Ended};
use super::{Keeper, Left, Stays, Told, busy, storage};
use crate::audit::chain::SegmentId;
use crate::audit::packed::{Codec, codec};
use crate::audit::report::Progress;
use crate::audit::seal::State;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// What to archive, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// The folder; made where it is missing.
    pub to: PathBuf,
    /// Only segments whose last record is older; all where absent.
    pub before: Option<Timestamp>,
    /// Remove from the home what is in the archive, is read back whole, and may go.
    pub delete: bool,
}

/// What was archived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Archived {
    /// Segments that were copied.
    pub copied: u64,
    /// Segments that were in the archive before.
    pub already: u64,
    /// Segments that were removed from the home.
    pub removed: u64,
    /// Records of what was copied.
    pub records: u64,
    /// Bytes of what was copied, compressed.
    pub file_bytes: u64,
    /// SHA-256 of the manifest, in hex digits: whoever has it knows the archive.
    pub manifest: String,
    /// Segments that were not copied, or not removed.
    pub left: Vec<Left>,
}

impl Keeper<'_> {
    /// Copies the segments that ended to an archive.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where another process does the like, [`ErrorKind::NotFound`] before the first sealing,
    /// [`ErrorKind::Arguments`] where the folder holds something else, [`ErrorKind::Storage`], and those of the store.
    pub fn archive(&self, options: &ArchiveOptions, progress: &mut dyn FnMut(&Progress)) -> Result<Archived> {
        let Some(lock) = self.lock()? else { return Err(busy()) };
        let done = self.close_left().and_then(|()| self.archive_locked(options, progress));
        let _ = lock.unlock();
        done
    }

    fn archive_locked(&self, options: &ArchiveOptions, progress: &mut dyn FnMut(&Progress)) -> Result<Archived> {
        let (codec, mut done) = (codec().map_err(storage)?, Archived::default());
        let (state, lineage) = self.sealer.sealed()?;
        let failed = |e| unusable(&options.to, e);
        let folder = Folder::make(&options.to, self.dir()).map_err(failed)?.ok_or_else(|| {
            let why = format!("`{}` is the audit of a home: an archive is a folder of its own", options.to.display());
            Error::new(ErrorKind::Arguments, why)
        })?;
        let mut manifest = known(&folder, &options.to)?.unwrap_or_else(|| Manifest {
            v: VERSION,
            origin: lineage.origin().to_owned(),
            key: lineage.root().to_string(),
            size: 0,
            segments: Vec::new(),
        });
        if (manifest.origin.as_str(), manifest.key.as_str()) != (lineage.origin(), lineage.root().to_string().as_str())
        {
            let why = format!("`{}` holds the archive of another log", options.to.display());
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        folder.begin().map_err(failed)?;
        let mut found = Vec::new();
        for one in self.listed()? {
            match self.ended(&one)? {
                Ok(ended) if options.before.is_some_and(|before| ended.times.1 >= before) => {}
                Ok(ended) if ended.leaves().1 >= state.size => {
                    done.left.push(Left { segment: one.id, stays: Stays::Unsealed });
                }
                Ok(ended) => found.push((ended, one.meta.len())),
                // Whatever is written now is not meant.
                Err(_) if options.before.is_some_and(|before| one.id.millis() >= before.0) => {}
                Err(stays) => done.left.push(Left { segment: one.id, stays }),
            }
        }
        if options.delete {
            done.left.extend(self.settle_all(&mut found)?);
        }
        let mut told = Told { progress, now: Progress::default() };
        told.now.segments_total = found.len() as u64;
        told.now.bytes_total = found.iter().map(|(_, bytes)| *bytes).sum();
        folder.put(archive::KEYS, lineage.to_string().as_bytes()).map_err(failed)?;
        for (mut ended, bytes) in found {
            let known = (&state, &lineage);
            let stays = self.archive_one(codec, &folder, &mut manifest, (&mut ended, known), options, &mut done)?;
            done.left.extend(stays.map(|stays| Left { segment: ended.id.clone(), stays }));
            told.done(bytes, ended.records());
        }
        manifest.size = manifest.size.max(state.size);
        done.manifest = write(&folder, &manifest, &options.to)?;
        folder.publish(&state.checkpoint)?;
        Ok(done)
    }

    /// Why a segment stays in the home although it is to be removed, or was not copied.
    fn archive_one(
        &self,
        codec: Codec,
        folder: &Folder,
        manifest: &mut Manifest,
        (ended, (state, lineage)): (&mut Ended, (&State, &Lineage)),
        options: &ArchiveOptions,
        done: &mut Archived,
    ) -> Result<Option<Stays>> {
        let failed = |e| unusable(&options.to, e);
        let known = manifest.segments.iter().find(|one| one.segment == ended.id.as_str()).cloned();
        let known = known.filter(|known| {
            known.head == ended.registration.head.to_string() && folder.has(&ended.id, known.file_bytes)
        });
        let (entry, content) = match known {
            // What was copied was read back then; it is once more before anything goes.
            Some(_) if !options.delete => {
                done.already += 1;
                return Ok(None);
            }
            Some(known) => match self.read_back(codec, folder, ended, &known).map_err(failed)? {
                Some(content) => {
                    done.already += 1;
                    (self.still_proven(folder, (ended, known), (state, lineage), manifest, &options.to)?, content)
                }
                None => {
                    let why = format!(
                        "the copy of `{}` in `{}` is not what was copied: move it away, and archive again",
                        ended.id,
                        options.to.display()
                    );
                    return Err(Error::new(ErrorKind::Damaged, why));
                }
            },
            None => {
                // What is in an archive is all there will ever be of it.
                if let Some(stays) = self.fix(ended)? {
                    return Ok(Some(stays));
                }
                let Some((entry, content)) = self.copy(codec, folder, ended, state, &options.to)? else {
                    return Ok(Some(Stays::Contradicts));
                };
                enter(folder, manifest, (&entry, state), &options.to)?;
                done.copied += 1;
                done.records += entry.records;
                done.file_bytes += entry.file_bytes;
                (entry, content)
            }
        };
        if !options.delete {
            return Ok(None);
        }
        if let Some(stays) = self.may_go(ended)? {
            return Ok(Some(stays));
        }
        let stays = self.remove(ended, &content, ("archived", &entry.file_sha256))?;
        done.removed += u64::from(stays.is_none());
        Ok(stays)
    }

    /// What the archive says of a segment that was copied before: that it can be proven is seen to, and made so where it is
    /// not.
    fn still_proven(
        &self,
        folder: &Folder,
        (ended, known): (&Ended, archive::Archived),
        (state, lineage): (&State, &Lineage),
        manifest: &mut Manifest,
        to: &Path,
    ) -> Result<archive::Archived> {
        if folder.proves(lineage, ended, &known).map_err(|e| unusable(to, e))? {
            return Ok(known);
        }
        let entry = archive::Archived { leaves_sha256: folder.index(self.sealer, ended, state)?, ..known };
        enter(folder, manifest, (&entry, state), to)?;
        Ok(entry)
    }

    /// Copies a segment with its leaves and tiles; `None` where it is not what was sealed.
    fn copy(
        &self,
        codec: Codec,
        folder: &Folder,
        ended: &Ended,
        state: &State,
        to: &Path,
    ) -> Result<Option<(archive::Archived, Content)>> {
        let failed = |e| unusable(to, e);
        let draft = folder.draft(self.dir(), codec, ended).map_err(failed)?;
        let (unpacked, _) = match (codec.unpack)(draft.reopen().map_err(failed)?) {
            Err(e) if crate::audit::packed::is_damage(&e) => {
                draft.discard();
                return Ok(None);
            }
            other => other.map_err(failed)?,
        };
        let Some(content) = self.content(ended, unpacked)? else {
            draft.discard();
            return Ok(None);
        };
        let (file_sha256, file_bytes) = draft.hash().map_err(failed)?;
        let leaves_sha256 = folder.index(self.sealer, ended, state)?;
        draft.finish(&ended.id).map_err(failed)?;
        let entry = archive::Archived {
            segment: ended.id.to_string(),
            ordinal: ended.registration.ordinal,
            file_bytes,
            file_sha256,
            leaves_sha256,
            bytes: ended.registration.len,
            records: ended.records(),
            first: ended.times.0.0,
            last: ended.times.1.0,
            genesis: ended.registration.genesis.to_string(),
            head: ended.registration.head.to_string(),
            tree: content.tree.to_string(),
        };
        Ok(Some((entry, content)))
    }

    /// Reads a copy as a whole: `None` where it is not what was copied, or not what was sealed.
    fn read_back(
        &self,
        codec: Codec,
        folder: &Folder,
        ended: &Ended,
        known: &archive::Archived,
    ) -> std::io::Result<Option<Content>> {
        let Some((file, hash)) = folder.open(&ended.id)? else { return Ok(None) };
        if hash != known.file_sha256 || known.head != ended.registration.head.to_string() {
            return Ok(None);
        }
        let (unpacked, _) = match (codec.unpack)(file) {
            Err(e) if crate::audit::packed::is_damage(&e) => return Ok(None),
            other => other?,
        };
        self.content(ended, unpacked).map_err(std::io::Error::other)
    }
}

/// The manifest that is there.
fn known(folder: &Folder, path: &Path) -> Result<Option<Manifest>> {
    let Some(text) = folder.read(MANIFEST).map_err(|e| unusable(path, e))? else {
        return match folder.is_empty() {
            Ok(true) => Ok(None),
            Ok(false) => {
                let why = format!("`{}` is neither an archive nor empty", path.display());
                Err(Error::new(ErrorKind::Arguments, why))
            }
            Err(e) => Err(unusable(path, e)),
        };
    };
    let damaged = || {
        let why = format!("the manifest of the archive `{}` is damaged", path.display());
        Error::new(ErrorKind::Damaged, why)
    };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| damaged().with_source(e))?;
    if manifest.v > VERSION {
        let why = format!("the archive `{}` was written by a newer kmss", path.display());
        return Err(Error::new(ErrorKind::TooNew, why));
    }
    // Names become those of files.
    let named = manifest.segments.iter().all(|one| one.segment.parse::<SegmentId>().is_ok());
    if named { Ok(Some(manifest)) } else { Err(damaged()) }
}

/// Names a segment in the manifest.
fn enter(
    folder: &Folder,
    manifest: &mut Manifest,
    (entry, state): (&archive::Archived, &State),
    to: &Path,
) -> Result<()> {
    manifest.segments.retain(|one| one.segment != entry.segment);
    manifest.segments.push(entry.clone());
    manifest.segments.sort_by(|a, b| a.segment.cmp(&b.segment));
    manifest.size = manifest.size.max(state.size);
    write(folder, manifest, to).map(drop)
}

fn write(folder: &Folder, manifest: &Manifest, path: &Path) -> Result<String> {
    let mut text = serde_json::to_vec_pretty(manifest)
        .map_err(|e| Error::new(ErrorKind::Internal, "cannot write a manifest").with_source(e))?;
    text.push(b'\n');
    folder.put(MANIFEST, &text).map_err(|e| unusable(path, e))?;
    Ok(hex(&text))
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    let why = format!("cannot read or write the archive `{}`", path.display());
    Error::new(ErrorKind::Storage, why).with_source(error)
}
