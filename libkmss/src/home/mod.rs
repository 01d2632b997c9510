//! The home: the directory with a KMSS installation's store, root key and audit, and who may reach into it.
//!
//! A home is private (0700) or shared with one group (2770). Whoever makes a file in it, the file gets the home's owner
//! (where the process may give files away), group and mode, so that a root master and its unprivileged workers can share
//! one. Everything is reached relative to an opened directory that was checked, never by following symbolic links.

mod file;
mod place;

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::os::{Directory, FileMode, effective_ids, group_by_name, require_local};

use place::Place;

/// Name of the SQLite store in a home.
pub const STORE: &str = "store.db";
/// Name of the page with the store's generation.
pub const GENERATION: &str = "store.generation";
/// Name of the seal's header.
pub const SEAL: &str = "seal.toml";
/// Name of the key file seal's root key.
pub const ROOT_KEY: &str = "root.key";
/// Name of the header of the seal that a home is migrated to.
pub const NEXT_SEAL: &str = "seal.next.toml";
/// Name of the root key that a home is migrated to, where a key file holds it.
pub const NEXT_ROOT_KEY: &str = "root.next";
/// Name of the directory with the audit segments.
pub const AUDIT: &str = "audit";
/// Name of the configuration that a home may hold itself.
pub const CONFIG: &str = "kmss.toml";

/// Mode of a private home.
const PRIVATE: u32 = 0o700;
/// Mode of a home shared with its group: new files inherit the group.
const SHARED: u32 = 0o2770;

/// A home that was found safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    // Canonical, so that no symbolic link above the home can be turned later.
    path: PathBuf,
    // Device and inode: the directory that was checked is the one that is used.
    identity: (u64, u64),
}

impl Home {
    /// Opens an existing home.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none; [`ErrorKind::HomeUnsafe`] when it belongs to somebody else, others can
    /// reach into it, or it lies on a network file system; the message says what to do.
    pub fn open(path: &Path) -> Result<Self> {
        let canonical = fs::canonicalize(path).map_err(|e| cannot("open the home", path, e))?;
        let directory = Directory::open(&canonical).map_err(|e| cannot("open the home", &canonical, e))?;
        let metadata = directory.metadata().map_err(|e| cannot("inspect the home", &canonical, e))?;
        let home = Self { path: canonical, identity: (metadata.dev(), metadata.ino()) };
        if metadata.mode() & 0o7777 != PRIVATE && is_empty_and_ours(&home.path)? {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the directory `{}` is empty and not yet a home", home.path.display()),
            ));
        }
        let mode = Place::of_home(directory, &home.path)?.mode;
        home.check_surroundings(mode.owner, !mode.is_shared())?;
        Ok(home)
    }

    /// Makes a home, private or shared with `group`, with the directories above it. A directory that exists, is empty and
    /// belongs to this process's user becomes one; an existing home of the kind asked for is opened.
    ///
    /// # Errors
    /// As [`Self::open`]; [`ErrorKind::Arguments`] for an unknown group, one this process may not give to files, or when
    /// an existing home is of the other kind.
    pub fn create(path: &Path, group: Option<&str>) -> Result<Self> {
        let gid = group.map(group_number).transpose()?;
        if let Some(parent) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)
                .map_err(|e| cannot("make the directories above the home", parent, e))?;
        }
        match DirBuilder::new().mode(PRIVATE).create(path) {
            Ok(()) => furnish(path, gid)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if is_empty_and_ours(path)? {
                    furnish(path, gid)?;
                    refuse_intruders(path)?;
                }
            }
            Err(e) => return Err(cannot("make the home", path, e)),
        }
        let home = Self::open(path)?;
        let mode = home.file_mode()?;
        match gid {
            Some(gid) if !mode.is_shared() || mode.group != gid => Err(Error::new(
                ErrorKind::Arguments,
                format!(
                    "the home `{}` exists and is not shared with `{}`: to share it, run `chgrp -R {gid} {0}` and `chmod \
                     -R u=rwX,g=rwX,o=,g+s {0}`",
                    home.path.display(),
                    group.unwrap_or_default()
                ),
            )),
            _ => Ok(home),
        }
    }

    /// Opens the home, or makes a private one where there is none or an empty directory.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn open_or_create(path: &Path) -> Result<Self> {
        Self::create(path, None)
    }

    /// Where it is (canonical).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Owner, group and permissions of every file in the home.
    ///
    /// # Errors
    /// As [`Self::open`]: the home is looked at again.
    pub fn file_mode(&self) -> Result<FileMode> {
        Ok(self.place()?.mode)
    }

    /// The home, opened and checked anew.
    fn place(&self) -> Result<Place> {
        let directory = Directory::open(&self.path).map_err(|e| cannot("open the home", &self.path, e))?;
        let metadata = directory.metadata().map_err(|e| cannot("inspect the home", &self.path, e))?;
        if (metadata.dev(), metadata.ino()) != self.identity {
            return Err(Error::new(
                ErrorKind::HomeUnsafe,
                format!("the home `{}` was replaced while in use: restart the program", self.path.display()),
            ));
        }
        Place::of_home(directory, &self.path)
    }

    fn check_surroundings(&self, owner: u32, private: bool) -> Result<()> {
        require_local(&self.path)?;
        let mut below = owner;
        for ancestor in self.path.ancestors().skip(1) {
            let metadata = fs::metadata(ancestor).map_err(|e| cannot("inspect", ancestor, e))?;
            let (open, sticky) = (metadata.mode() & 0o002 != 0, metadata.mode() & 0o1000 != 0);
            if open && !sticky {
                return Err(Error::new(
                    ErrorKind::HomeUnsafe,
                    format!(
                        "everybody can write in `{}` and so replace the home `{}`: run `chmod o-w {0}`",
                        ancestor.display(),
                        self.path.display()
                    ),
                ));
            }
            // Root follows nobody into a home that they may have put there for it to find.
            if open && private && ![0, effective_ids().0].contains(&below) {
                return Err(Error::new(
                    ErrorKind::HomeUnsafe,
                    format!(
                        "user {below} may have planted the home `{}`, because everybody can write in `{}`: move it",
                        self.path.display(),
                        ancestor.display()
                    ),
                ));
            }
            below = metadata.uid();
        }
        Ok(())
    }
}

/// Gives a fresh or empty directory the mode of a home.
fn furnish(path: &Path, gid: Option<u32>) -> Result<()> {
    let failed = |e| cannot("set the permissions of the home", path, e);
    let directory = Directory::open(path).map_err(failed)?;
    let file = directory.as_file();
    let Some(gid) = gid else {
        return file.set_permissions(fs::Permissions::from_mode(PRIVATE)).map_err(failed);
    };
    std::os::unix::fs::fchown(file, None, Some(gid)).map_err(|e| {
        Error::new(
            ErrorKind::Arguments,
            format!(
                "this user may not give the home `{}` to group {gid}: join the group or run as root",
                path.display()
            ),
        )
        .with_source(e)
    })?;
    file.set_permissions(fs::Permissions::from_mode(SHARED)).map_err(failed)
}

fn is_empty_and_ours(path: &Path) -> Result<bool> {
    let failed = |e| cannot("inspect the home", path, e);
    let metadata: Metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_dir() || metadata.uid() != effective_ids().0 || metadata.mode() & 0o7777 == SHARED {
        return Ok(false);
    }
    Ok(fs::read_dir(path).map_err(failed)?.next().is_none())
}

/// What appeared while the directory was still open to others is not ours.
fn refuse_intruders(path: &Path) -> Result<()> {
    let failed = |e| cannot("inspect the home", path, e);
    let ours = effective_ids().0;
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.metadata().map_err(failed)?.uid() != ours {
            return Err(Error::new(
                ErrorKind::HomeUnsafe,
                format!("somebody else put `{}` into the home: remove it", entry.path().display()),
            ));
        }
    }
    Ok(())
}

fn group_number(name: &str) -> Result<u32> {
    group_by_name(name)
        .map_err(|e| Error::new(ErrorKind::Arguments, "the group database cannot be read").with_source(e))?
        .ok_or_else(|| Error::new(ErrorKind::Arguments, format!("there is no group `{name}`")))
}

/// An error of the file system, in the caller's terms.
fn cannot(what: &str, path: &Path, cause: io::Error) -> Error {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            ErrorKind::HomeUnsafe
        }
        _ if cause.raw_os_error() == Some(libc::ELOOP) => ErrorKind::HomeUnsafe,
        _ => ErrorKind::Storage,
    };
    let hint = match cause.raw_os_error() {
        Some(libc::ELOOP) => ": it is a symbolic link where none may be",
        Some(libc::EACCES | libc::EPERM) => ": this user has no right to",
        _ => "",
    };
    Error::new(kind, format!("cannot {what} `{}`{hint}", path.display())).with_source(cause)
}

#[cfg(test)]
mod tests;
