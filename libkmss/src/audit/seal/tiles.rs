//! The tree's hashes in files, as C2SP tlog-tiles lays them out, below `audit/log` of the home.
//!
//! They tell nothing that the records do not: who has the records can make them anew. They are what makes a proof cheap, and
//! what names a record that was changed.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit_proof::tile::{self, Tile, WIDTH};
use audit_proof::{Edge, HASH_LEN, Hash, TreeHash};

use super::super::sink::Ownership;
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Directory, Opening};

/// The directory of the log, below that of the segments.
pub(in super::super) const LOG: &str = "log";
/// Locked by whoever seals.
pub(in super::super) const SEALING: &str = "lock";
/// The newest checkpoint, for whoever reads the log from outside.
const CHECKPOINT: &str = "checkpoint";

/// The files of the log.
pub(in super::super) struct Files {
    root: PathBuf,
    ownership: Arc<Ownership>,
}

impl Files {
    /// Those below `audit`, the directory of the segments.
    pub(in super::super) fn new(audit: &Path, ownership: Arc<Ownership>) -> Self {
        Self { root: audit.join(LOG), ownership }
    }

    /// Makes the directory where it is missing, and locks it; `None` where another process has the lock.
    pub(super) fn lock(&self) -> Result<Option<File>> {
        self.lock_named(SEALING)
    }

    /// As [`Self::lock`], for other work than sealing.
    pub(in super::super) fn lock_named(&self, name: &str) -> Result<Option<File>> {
        let made = match DirBuilder::new().mode(0o700).create(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
            other => other.map(|()| true).map_err(storage)?,
        };
        let dir = self.open().map_err(storage)?;
        if made {
            (self.ownership)(dir.as_file())?;
        }
        let name = OsStr::new(name);
        let file = match dir.file(name, Opening::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => match dir.file(name, Opening::New) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => dir.file(name, Opening::Write),
                Ok(file) => {
                    (self.ownership)(&file)?;
                    Ok(file)
                }
                Err(e) => Err(e),
            },
            other => other,
        };
        let file = file.map_err(storage)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(e)) => Err(storage(e)),
        }
    }

    /// The hashes of a tile; `None` where there is no such file, or one of another length. A tile that has grown full since has
    /// those of its beginning.
    pub(in super::super) fn read(&self, tile: &Tile) -> io::Result<Option<Vec<Hash>>> {
        if let Some(hashes) = self.read_file(tile)? {
            return Ok(Some(hashes));
        }
        if tile.is_full() {
            return Ok(None);
        }
        let full = self.read_file(&Tile { width: WIDTH, ..*tile })?;
        Ok(full.map(|hashes| hashes.into_iter().take(usize::try_from(tile.width).unwrap_or_default()).collect()))
    }

    fn read_file(&self, tile: &Tile) -> io::Result<Option<Vec<Hash>>> {
        let Some(mut file) = self.find(&tile.path())? else { return Ok(None) };
        let limit = WIDTH * HASH_LEN as u64 + 1;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(limit).read_to_end(&mut bytes)?;
        Ok(tile::decode(&bytes, tile.width))
    }

    fn find(&self, path: &[String]) -> io::Result<Option<File>> {
        let found = (|| {
            let (last, folders) = path.split_last().ok_or(io::ErrorKind::InvalidInput)?;
            let mut dir = self.open()?;
            for folder in folders {
                dir = dir.child(folder.as_ref())?;
            }
            dir.file(last.as_ref(), Opening::Read)
        })();
        match found {
            Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
            Ok(_) => Ok(None),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) if e.raw_os_error() == Some(libc::ELOOP) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes tiles, and gives back when the disk has them.
    pub(in super::super) fn write(&self, tiles: &[(Tile, Vec<Hash>)]) -> Result<()> {
        let mut folders: Vec<Directory> = Vec::new();
        let mut named: Vec<String> = Vec::new();
        for (tile, hashes) in tiles {
            let path = tile.path();
            let (last, path) = path.split_last().ok_or_else(|| storage(io::ErrorKind::InvalidInput.into()))?;
            if folders.is_empty() || named != path {
                folders.push(self.folder(path)?);
                named = path.to_vec();
            }
            let Some(folder) = folders.last() else { continue };
            self.place(folder, last, &tile::encode(hashes)).map_err(storage)?;
        }
        folders.iter().try_for_each(Directory::sync).map_err(storage)
    }

    /// Removes what tiles were before they were full. Whatever is in the way stays, and harms nobody.
    pub(super) fn forget_partial(&self, tiles: &[(Tile, Vec<Hash>)]) {
        for (tile, _) in tiles.iter().filter(|(tile, _)| tile.is_full()) {
            let path = Tile { width: 1, ..*tile }.path();
            let Some((folder, above)) = path.split_last().and_then(|(_, path)| path.split_last()) else { continue };
            let _ = self.folder_of(above).and_then(|dir| {
                let within = dir.child(folder.as_ref())?;
                let listed = above.iter().fold(self.root.clone(), |path, name| path.join(name)).join(folder);
                for entry in std::fs::read_dir(listed)? {
                    within.remove(&entry?.file_name())?;
                }
                dir.remove_child(folder.as_ref())
            });
        }
    }

    fn folder_of(&self, path: &[String]) -> io::Result<Directory> {
        path.iter().try_fold(self.open()?, |dir, name| dir.child(name.as_ref()))
    }

    /// Puts a file where there may be an older one.
    fn place(&self, dir: &Directory, name: &str, bytes: &[u8]) -> io::Result<()> {
        let draft = format!(".{name}.new");
        // What a killed sealer left; this process has the lock.
        let _ = dir.remove(draft.as_ref());
        let file = dir.file(draft.as_ref(), Opening::New)?;
        (&file).write_all(bytes)?;
        (self.ownership)(&file).map_err(io::Error::other)?;
        file.sync_data()?;
        dir.rename(draft.as_ref(), name.as_ref())
    }

    fn folder(&self, path: &[String]) -> Result<Directory> {
        let mut dir = self.open().map_err(storage)?;
        for name in path {
            dir = match dir.child(name.as_ref()) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    match dir.make_child(name.as_ref(), 0o700) {
                        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(storage(e)),
                        _ => {}
                    }
                    let made = dir.child(name.as_ref()).map_err(storage)?;
                    (self.ownership)(made.as_file())?;
                    dir.sync().map_err(storage)?;
                    made
                }
                other => other.map_err(storage)?,
            };
        }
        Ok(dir)
    }

    /// Writes a file that is no tile.
    pub(in super::super) fn keep(&self, path: &[String], bytes: &[u8]) -> Result<()> {
        let (last, folders) = path.split_last().ok_or_else(|| storage(io::ErrorKind::InvalidInput.into()))?;
        let folder = self.folder(folders)?;
        self.place(&folder, last, bytes).and_then(|()| folder.sync()).map_err(storage)
    }

    /// Writes the newest checkpoint where others read it.
    pub(in super::super) fn publish(&self, checkpoint: &str) -> Result<()> {
        let dir = self.open().map_err(storage)?;
        self.place(&dir, CHECKPOINT, checkpoint.as_bytes()).map_err(storage)
    }

    /// The checkpoint that was published last.
    pub(super) fn published(&self) -> io::Result<Option<String>> {
        let Some(file) = self.find(&[CHECKPOINT.to_owned()])? else { return Ok(None) };
        let mut text = Vec::new();
        file.take(audit_proof::note::MAX_NOTE as u64 + 1).read_to_end(&mut text)?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    fn open(&self) -> io::Result<Directory> {
        Directory::open(&self.root)
    }
}

/// The tiles at the right end of the tree, in memory, and what is to be written of them.
pub(super) struct Rim {
    hash: TreeHash,
    levels: Vec<Vec<Hash>>,
    size: u64,
    full: Vec<(Tile, Vec<Hash>)>,
}

impl Rim {
    /// The rim of a tree of `size` leaves, from the tiles that are not full, lowest level first.
    pub(super) const fn new(hash: TreeHash, size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { hash, levels, size, full: Vec::new() }
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn push(&mut self, leaf: Hash) {
        self.size = self.size.saturating_add(1);
        let mut carried = Some(leaf);
        let mut level = 0;
        while let Some(hash) = carried.take() {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let Some(tile) = self.levels.get_mut(level) else { return };
            tile.push(hash);
            if tile.len() as u64 == WIDTH {
                let hashes = std::mem::take(tile);
                carried = tile::root(self.hash, &hashes);
                let number = u32::try_from(level).unwrap_or(u32::MAX);
                let index = (self.size >> (tile::HEIGHT * number)) / WIDTH - 1;
                self.full.push((Tile { level: number, index, width: WIDTH }, hashes));
            }
            level += 1;
        }
    }

    /// The tree's edge.
    pub(super) fn edge(&self) -> Edge {
        let mut edge = Edge::new(self.hash);
        for (level, tile) in self.levels.iter().enumerate().rev() {
            for hash in tile {
                edge.push_subtree(*hash, tile::HEIGHT * u32::try_from(level).unwrap_or(u32::MAX));
            }
        }
        edge
    }

    /// The tiles that became full since the last call.
    pub(super) fn take_full(&mut self) -> Vec<(Tile, Vec<Hash>)> {
        std::mem::take(&mut self.full)
    }

    /// The tiles to write since the last call: those that became full, and those that are not.
    pub(super) fn take(&mut self) -> Vec<(Tile, Vec<Hash>)> {
        let mut tiles = self.take_full();
        tiles.extend(Tile::partial(self.size).filter_map(|tile| {
            let hashes = self.levels.get(usize::try_from(tile.level).ok()?)?;
            Some((tile, hashes.clone()))
        }));
        tiles
    }
}

fn storage(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "cannot write the audit's seal").with_source(error)
}
