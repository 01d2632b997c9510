//! The folder of an archive.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, FileTimes};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit_proof::path::{Nodes, inclusion};
use audit_proof::tile::{HEIGHT, Tile, WIDTH};
use audit_proof::{Hash, Lineage, Note, archive};
use sha2::{Digest as _, Sha256};

use super::segment::Ended;
use super::{DRAFT, LOCK, storage};
use crate::audit::chain::{Form, SegmentId};
use crate::audit::packed::Codec;
use crate::audit::seal::{Files, SEALING, Sealer, State, TileNodes};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Directory, Opening};

/// Largest manifest that is read.
const LARGEST: u64 = 512 << 20;
/// Files of a folder that is being made, without which it still counts as empty.
const OWN: [&str; 2] = [archive::KEYS, archive::LOG];

/// The folder.
pub(super) struct Folder {
    path: PathBuf,
    dir: Directory,
    log: Files,
}

/// A compressed copy that has not its name yet.
pub(super) struct Draft<'a> {
    folder: &'a Folder,
    name: String,
}

impl Folder {
    /// Opens the folder; makes it where it is missing. `None` where it is the audit of a home, of this one (`home`) or of
    /// another, or lies within this one's: there nothing is made.
    pub(super) fn make(path: &Path, home: &Path) -> io::Result<Option<Self>> {
        if is_log(path)? || is_within(path, home)? {
            return Ok(None);
        }
        make_dir(path)?;
        let dir = Directory::open(path)?;
        let log = Files::new(path, Arc::new(|_: &File| Ok(())));
        Ok(Some(Self { path: path.to_owned(), dir, log }))
    }

    /// Makes what is in it from the beginning.
    pub(super) fn begin(&self) -> io::Result<()> {
        make_dir(&self.path.join(archive::LOG))
    }

    /// Whether there is nothing that another made.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let name = name.to_str().unwrap_or_default();
            // What a killed process left: the manifest comes last.
            let stem = name.strip_suffix(DRAFT).unwrap_or(name).trim_start_matches('.');
            let leaves = stem.strip_suffix(archive::INDEX).is_some_and(|id| id.parse::<SegmentId>().is_ok());
            // A plain segment is one of a home.
            let packed = SegmentId::of_file(stem).is_some_and(|(_, form)| form == Form::Packed);
            let own = OWN.contains(&stem) || stem == archive::MANIFEST || leaves || packed;
            if !own {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts a file where there may be an older one.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.read(name)?.as_deref() == Some(bytes) {
            return Ok(());
        }
        let draft = format!("{name}{DRAFT}");
        let _ = self.dir.remove(draft.as_ref());
        let file = self.dir.file(draft.as_ref(), Opening::New)?;
        (&file).write_all(bytes)?;
        file.sync_all()?;
        self.dir.rename(draft.as_ref(), name.as_ref())?;
        self.dir.sync()
    }

    /// Reads a file; `None` where there is none.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.dir.file(name.as_ref(), Opening::Read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(bytes))
    }

    /// Whether a copy of this length is there.
    pub(super) fn has(&self, id: &SegmentId, len: u64) -> bool {
        self.dir.look(id.packed_name().as_ref()).is_ok_and(|meta| meta.is_file() && meta.len() == len)
    }

    /// A copy, and its hash; `None` where there is none.
    pub(super) fn open(&self, id: &SegmentId) -> io::Result<Option<(File, String)>> {
        let file = match self.dir.file(id.packed_name().as_ref(), Opening::Read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let (hash, _) = sha256(&file)?;
        Ok(Some((file, hash)))
    }

    /// Compresses a segment of the home `from` into the folder, under a name that says that it is not finished.
    pub(super) fn draft(&self, from: &Path, codec: Codec, ended: &Ended) -> io::Result<Draft<'_>> {
        let name = format!("{}{DRAFT}", ended.id.packed_name());
        let _ = self.dir.remove(name.as_ref());
        let file = self.dir.file(name.as_ref(), Opening::New)?;
        let home = Directory::open(from)?;
        let source = home.file(ended.id.file_name().as_ref(), Opening::Read);
        let modified = match source {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let mut packed = home.file(ended.id.packed_name().as_ref(), Opening::Read)?;
                io::copy(&mut packed, &mut &file)?;
                packed.metadata()?.modified()?
            }
            other => {
                let mut plain = other?;
                (codec.pack)(&mut plain, &mut &file)?;
                plain.metadata()?.modified()?
            }
        };
        file.set_times(FileTimes::new().set_modified(modified))?;
        file.sync_all()?;
        Ok(Draft { folder: self, name })
    }

    /// The newest checkpoint, where tools look for it.
    pub(super) fn publish(&self, checkpoint: &str) -> Result<()> {
        self.log.publish(checkpoint)
    }

    /// Writes which leaves the records of a segment are, and the tiles that prove them; the hash of the list.
    pub(super) fn index(&self, sealer: &Sealer, ended: &Ended, state: &State) -> Result<String> {
        let leaves = archive::Leaves {
            v: archive::VERSION,
            segment: ended.id.to_string(),
            checkpoint: state.checkpoint.clone(),
            ranges: ended.ranges.iter().map(|range| (range.leaf, range.seq, range.count)).collect(),
        };
        let failed = |what| Error::new(ErrorKind::Internal, what);
        let text =
            serde_json::to_vec(&leaves).map_err(|e| failed("cannot write which leaves records are").with_source(e))?;
        if text.len() as u64 > archive::MAX_INDEX {
            return Err(failed("a segment was sealed too often for an archive"));
        }
        self.tiles(sealer, ended, state)?;
        self.put(&index_name(&ended.id), &text).map_err(storage)?;
        Ok(hex(&text))
    }

    /// Whether the folder still proves the records of a segment that was copied before: with the list of leaves of then, and
    /// with tiles that belong to its checkpoint.
    pub(super) fn proves(&self, lineage: &Lineage, ended: &Ended, known: &archive::Archived) -> io::Result<bool> {
        let Some(text) = self.read(&index_name(&ended.id))? else { return Ok(false) };
        let leaves = serde_json::from_slice::<archive::Leaves>(&text).ok().filter(|leaves| {
            let ranges = ended.ranges.iter().map(|range| (range.leaf, range.seq, range.count));
            hex(&text) == known.leaves_sha256 && ranges.eq(leaves.ranges.iter().copied())
        });
        let opened = leaves.and_then(|leaves| lineage.open(&Note::parse(&leaves.checkpoint).ok()?).ok());
        let Some((checkpoint, _)) = opened else { return Ok(false) };
        let mut nodes = TileNodes::new(&self.log, lineage.tree_hash(), checkpoint.size);
        for number in tiles_of(ended) {
            if nodes.proven(number, &checkpoint).is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Copies the tiles that prove the records of a segment.
    fn tiles(&self, sealer: &Sealer, ended: &Ended, state: &State) -> Result<()> {
        let (files, hash) = (sealer.files(), sealer.tree_hash());
        let nodes = TileNodes::new(&files, hash, state.size);
        let mut copying = Copying { nodes, size: state.size, taken: BTreeMap::new() };
        for number in tiles_of(ended) {
            copying.take(0, number).map_err(storage)?;
            inclusion(hash, &mut copying, number * WIDTH, state.size).map_err(storage)?;
        }
        let mut tiles = Vec::new();
        for ((level, index), hashes) in copying.taken {
            let Some(tile) = Tile::of(level, index, state.size) else { continue };
            if self.log.read(&tile).map_err(storage)?.as_deref() != Some(&hashes) {
                tiles.push((tile, hashes));
            }
        }
        self.log.write(&tiles)
    }
}

impl Draft<'_> {
    pub(super) fn reopen(&self) -> io::Result<File> {
        self.folder.dir.file(self.name.as_ref(), Opening::Read)
    }

    /// SHA-256 of the file, and its length.
    pub(super) fn hash(&self) -> io::Result<(String, u64)> {
        sha256(&self.reopen()?)
    }

    /// Removes what is not to be kept.
    pub(super) fn discard(self) {
        let _ = self.folder.dir.remove(self.name.as_ref());
    }

    /// Gives the file its name.
    pub(super) fn finish(self, id: &SegmentId) -> io::Result<()> {
        self.folder.dir.rename(self.name.as_ref(), id.packed_name().as_ref())?;
        self.folder.dir.sync()
    }
}

/// Tiles that are read on the way, kept.
struct Copying<'a> {
    nodes: TileNodes<'a>,
    size: u64,
    taken: BTreeMap<(u32, u64), Vec<Hash>>,
}

impl Copying<'_> {
    fn take(&mut self, level: u32, index: u64) -> io::Result<()> {
        if !self.taken.contains_key(&(level, index)) && Tile::of(level, index, self.size).is_some() {
            let missing =
                || io::Error::new(io::ErrorKind::NotFound, "a tile is missing: run `kmss audit seal --repair`");
            let hashes = self.nodes.tile(level, index)?.ok_or_else(missing)?.to_vec();
            self.taken.insert((level, index), hashes);
        }
        Ok(())
    }
}

impl Nodes for Copying<'_> {
    type Error = io::Error;

    fn node(&mut self, level: u32, index: u64) -> io::Result<Hash> {
        let first = index.checked_shl(level % HEIGHT).unwrap_or(u64::MAX);
        self.take(level / HEIGHT, first / WIDTH)?;
        self.nodes.node(level, index)
    }
}

/// The lowest tiles with the records of a segment, each once.
fn tiles_of(ended: &Ended) -> impl Iterator<Item = u64> {
    let mut last = None;
    let all = ended.ranges.iter().flat_map(|range| range.leaf / WIDTH..=(range.leaf + range.count - 1) / WIDTH);
    all.filter(move |number| last.replace(*number) != Some(*number))
}

fn index_name(id: &SegmentId) -> String {
    format!("{id}{}", archive::INDEX)
}

/// Whether a folder is where some home has its audit: there somebody sealed, compressed or removed.
fn is_log(path: &Path) -> io::Result<bool> {
    let log = path.join(archive::LOG);
    Ok(log.join(LOCK).try_exists()? || log.join(SEALING).try_exists()?)
}

/// Whether `path`, which need not exist, is the directory `home` or below it, by whatever name.
fn is_within(path: &Path, home: &Path) -> io::Result<bool> {
    let identity = |path: &Path| path.metadata().map(|meta| (meta.dev(), meta.ino()));
    let home = identity(home)?;
    let there = std::path::absolute(path)?;
    let there = there.ancestors().find_map(|path| path.canonicalize().ok());
    for above in there.iter().flat_map(|path| path.ancestors()) {
        if identity(above)? == home {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a directory that outlasts a failure of power, where it is missing.
fn make_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Ok(()) => match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        },
        other => other,
    }
}

/// SHA-256 of bytes, in hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    digits(&Sha256::digest(bytes))
}

fn sha256(mut file: &File) -> io::Result<(String, u64)> {
    let (mut hasher, mut len) = (Sha256::new(), 0);
    let mut block = vec![0; 256 * 1024];
    loop {
        match file.read(&mut block)? {
            0 => return Ok((digits(&hasher.finalize()), len)),
            read => {
                hasher.update(block.get(..read).unwrap_or_default());
                len += read as u64;
            }
        }
    }
}

fn digits(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
