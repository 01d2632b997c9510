//! The files of an archive: tiles, and everything else by bounded reads.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use audit_proof::archive::LOG;
use audit_proof::path::{Nodes, check_inclusion, inclusion};
use audit_proof::tile::{self, HEIGHT, Tile, WIDTH};
use audit_proof::{Checkpoint, HASH_LEN, Hash, TreeHash};

/// Tiles kept in memory.
const KEPT: usize = 64;

/// Opens a regular file, and neither follows a link nor waits for whoever would write to it; `None` where there is none,
/// [`io::ErrorKind::InvalidData`] for anything else than a file.
pub(crate) fn open(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let no_file = || io::Error::new(io::ErrorKind::InvalidData, "it is no regular file");
    match opened {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => Err(no_file()),
        Ok(file) if !file.metadata()?.is_file() => Err(no_file()),
        other => other.map(Some),
    }
}

/// Reads a file of at most `most` bytes; `None` where there is none, [`io::ErrorKind::InvalidData`] for anything else than a
/// file, and for one that is larger.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
    }
    Ok(Some(bytes))
}

/// Whether a name from a file is that of a segment, and leads nowhere else.
pub(crate) fn is_segment(name: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        0..13 => byte.is_ascii_digit(),
        13 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    name.len() == 30 && name.bytes().enumerate().all(fits)
}

/// Tiles of a tree of a certain size.
pub(crate) struct Tiles<'a> {
    root: &'a Path,
    hash: TreeHash,
    size: u64,
    kept: BTreeMap<(u32, u64), Vec<Hash>>,
}

impl<'a> Tiles<'a> {
    pub(crate) const fn new(root: &'a Path, hash: TreeHash, size: u64) -> Self {
        Self { root, hash, size, kept: BTreeMap::new() }
    }

    fn tile(&mut self, level: u32, index: u64) -> io::Result<Option<&[Hash]>> {
        if !self.kept.contains_key(&(level, index)) {
            let Some(tile) = Tile::of(level, index, self.size) else { return Ok(None) };
            let Some(hashes) = self.load(&tile)? else { return Ok(None) };
            if self.kept.len() >= KEPT {
                self.kept.pop_first();
            }
            self.kept.insert((level, index), hashes);
        }
        Ok(self.kept.get(&(level, index)).map(Vec::as_slice))
    }

    /// A tile that has grown full since has the hashes of its beginning.
    fn load(&self, tile: &Tile) -> io::Result<Option<Vec<Hash>>> {
        let width = usize::try_from(tile.width).unwrap_or_default();
        for of in [*tile, Tile { width: WIDTH, ..*tile }] {
            let path = of.path().iter().fold(self.root.join(LOG), |path, part| path.join(part));
            let bytes = match read(&path, WIDTH * HASH_LEN as u64) {
                Err(e) if e.kind() == io::ErrorKind::InvalidData => None,
                other => other?,
            };
            if let Some(found) = bytes.and_then(|bytes| tile::decode(&bytes, of.width)) {
                return Ok(Some(found.into_iter().take(width).collect()));
            }
        }
        Ok(None)
    }

    /// The hashes of a lowest tile, where they belong to the tree of the checkpoint; `Err` with whether its file is there.
    pub(crate) fn proven(&mut self, number: u64, checkpoint: &Checkpoint) -> io::Result<Result<Vec<Hash>, bool>> {
        let Some(tile) = self.tile(0, number)?.map(<[Hash]>::to_vec) else { return Ok(Err(false)) };
        let (first, size, hash) = (number * WIDTH, checkpoint.size, self.hash);
        let path = match inclusion(hash, self, first, size) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Err(true)),
            other => other?,
        };
        // The path of its first leaf goes through all its hashes.
        let sound =
            tile.first().is_some_and(|leaf| check_inclusion(hash, leaf, first, size, &path, &checkpoint.root).is_ok());
        Ok(if sound { Ok(tile) } else { Err(true) })
    }
}

impl Nodes for Tiles<'_> {
    type Error = io::Error;

    fn node(&mut self, level: u32, index: u64) -> io::Result<Hash> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "a tile of the archive is missing");
        let (tile_level, inside) = (level / HEIGHT, level % HEIGHT);
        let first = index.checked_shl(inside).ok_or_else(missing)?;
        let (at, count) = (usize::try_from(first % WIDTH).unwrap_or(usize::MAX), 1_usize << inside);
        let hash = self.hash;
        let hashes = self.tile(tile_level, first / WIDTH)?.ok_or_else(missing)?;
        let wanted = at.checked_add(count).and_then(|end| hashes.get(at..end));
        wanted.and_then(|hashes| tile::root(hash, hashes)).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_of_segments_lead_nowhere() {
        assert!(is_segment("1760000000000-00000000000000ab"));
        for bad in ["", "../../../../../etc/passwd-00ab", "1760000000000-00000000000000AB", "1760000000000-0"] {
            assert!(!is_segment(bad), "{bad}");
        }
    }
}
