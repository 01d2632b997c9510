//! One directory of a home: what it demands of itself and of the files in it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{PRIVATE, SHARED, cannot};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Directory, FileMode, effective_ids};

/// A checked directory of a home.
pub(super) struct Place {
    pub(super) directory: Directory,
    pub(super) path: PathBuf,
    pub(super) mode: FileMode,
}

impl Place {
    /// The top of a home; refuses what others can reach into.
    pub(super) fn of_home(directory: Directory, path: &Path) -> Result<Self> {
        let metadata = directory.metadata().map_err(|e| cannot("inspect the home", path, e))?;
        let mode = admit(metadata.mode(), metadata.uid(), effective_ids().0, path)?;
        let mode = FileMode { owner: metadata.uid(), group: metadata.gid(), mode };
        Ok(Self { directory, path: path.to_owned(), mode })
    }

    /// The directory `name` in this one, made where it does not exist.
    pub(super) fn descend(self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        let failed = |e| cannot("open the directory", &path, e);
        let directory = match self.directory.child(name.as_ref()) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                match self.directory.make_child(name.as_ref(), PRIVATE) {
                    Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(e)),
                    _ => {}
                }
                let made = self.directory.child(name.as_ref()).map_err(failed)?;
                self.mode.apply(made.as_file()).map_err(failed)?;
                self.directory.sync().map_err(failed)?;
                made
            }
            other => other.map_err(failed)?,
        };
        let metadata = directory.metadata().map_err(failed)?;
        self.check(&metadata, &path)?;
        Ok(Self { directory, path, mode: self.mode })
    }

    /// Refuses a file or directory that somebody outside the home's circle owns or reaches.
    pub(super) fn check(&self, metadata: &Metadata, path: &Path) -> Result<()> {
        let (circle, shared) = ([self.mode.owner, effective_ids().0, 0], self.mode.is_shared());
        let unsafe_file = |what: String| Err(Error::new(ErrorKind::HomeUnsafe, what));
        let shown = path.display();
        let trusted = circle.contains(&metadata.uid()) || (shared && metadata.gid() == self.mode.group);
        if !trusted {
            return unsafe_file(format!(
                "`{shown}` belongs to user {}, who does not own the home: run `chown {}:{} {shown}`",
                metadata.uid(),
                self.mode.owner,
                self.mode.group
            ));
        }
        let forbidden = if shared { 0o007 } else { 0o077 };
        if metadata.mode() & forbidden != 0 {
            let wanted = match (metadata.is_dir(), shared) {
                (true, true) => "2770",
                (true, false) => "700",
                (false, true) => "660",
                (false, false) => "600",
            };
            return unsafe_file(format!("others can reach `{shown}`: run `chmod {wanted} {shown}`"));
        }
        if metadata.mode() & 0o070 != 0 && metadata.gid() != self.mode.group {
            return unsafe_file(format!(
                "`{shown}` belongs to another group than the home: run `chgrp {} {shown}`",
                self.mode.group
            ));
        }
        Ok(())
    }
}

/// The permissions of files in a home with `mode` that belongs to `owner`, if a process of user `uid` may use it.
pub(super) fn admit(mode: u32, owner: u32, uid: u32, path: &Path) -> Result<u32> {
    let unsafe_home = |what: String| Err(Error::new(ErrorKind::HomeUnsafe, what));
    let shown = path.display();
    let bits = match mode & 0o7777 {
        SHARED => 0o660,
        PRIVATE => 0o600,
        other if other & 0o002 != 0 => {
            return unsafe_home(format!("everybody can write in the home `{shown}`: run `chmod 700 {shown}`"));
        }
        other if other & 0o020 != 0 => {
            return unsafe_home(format!(
                "the group can write in the home `{shown}`: run `chmod 700 {shown}`, or `chmod 2770 {shown}` to share it \
                 with its group"
            ));
        }
        _ => {
            return unsafe_home(format!(
                "the home `{shown}` must be its owner's alone (0700) or its group's (2770): run `chmod 700 {shown}`"
            ));
        }
    };
    // Root may work in anybody's home, as a service's master does for its workers.
    if bits == 0o600 && owner != uid && uid != 0 {
        return unsafe_home(format!(
            "the home `{shown}` belongs to user {owner}, and this is user {uid}: set `KMSS_HOME` to another home, or share \
             this one with `kmss home init --group NAME`"
        ));
    }
    Ok(bits)
}
