//! One directory of a home: what it demands of itself and of the files in it.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::{PRIVATE, SHARED, cannot};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Directory, effective_ids};

/// Owner, group and permissions that a home gives to its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode {
    /// The home's owner.
    pub uid: u32,
    /// The home's group.
    pub gid: u32,
    /// Permission bits of files: 0600, or 0660 in a shared home.
    pub bits: u32,
}

impl FileMode {
    /// Whether the home's group shares it.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        self.bits == 0o660
    }

    /// Gives an open file of the home its owner, group and permissions.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when they cannot be set.
    pub fn apply(self, file: &File) -> Result<()> {
        self.own(file, self.bits)
            .map_err(|e| Error::new(ErrorKind::Storage, "cannot set a file's owner").with_source(e))
    }

    fn own(self, file: &File, bits: u32) -> std::io::Result<()> {
        let metadata = file.metadata()?;
        if (metadata.uid(), metadata.gid()) != (self.uid, self.gid)
            && fchown(file, Some(self.uid), Some(self.gid)).is_err()
            && metadata.gid() != self.gid
        {
            // Only a privileged process gives files away; what matters in a shared home is the group.
            fchown(file, None, Some(self.gid))?;
        }
        file.set_permissions(fs::Permissions::from_mode(bits))
    }
}

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
        let bits = admit(metadata.mode(), metadata.uid(), effective_ids().0, path)?;
        let mode = FileMode { uid: metadata.uid(), gid: metadata.gid(), bits };
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
                self.mode.own(made.as_file(), if self.mode.is_shared() { SHARED } else { PRIVATE }).map_err(failed)?;
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
        let (circle, shared) = ([self.mode.uid, effective_ids().0, 0], self.mode.is_shared());
        let unsafe_file = |what: String| Err(Error::new(ErrorKind::HomeUnsafe, what));
        let shown = path.display();
        if !circle.contains(&metadata.uid()) && !(shared && metadata.gid() == self.mode.gid) {
            return unsafe_file(format!(
                "`{shown}` belongs to user {}, who does not own the home: run `chown {}:{} {shown}`",
                metadata.uid(),
                self.mode.uid,
                self.mode.gid
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
        if metadata.mode() & 0o070 != 0 && metadata.gid() != self.mode.gid {
            return unsafe_file(format!(
                "`{shown}` belongs to another group than the home: run `chgrp {} {shown}`",
                self.mode.gid
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

/// The name of a network or cluster file system (`statfs(2)`, linux/magic.h), on which neither locks nor shared pages can
/// be relied on.
pub(super) const fn network_file_system(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B => "SMB",
        0xFF53_4D42 => "CIFS",
        0xFE53_4D42 => "SMB2",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x564C => "NCP",
        0x00C3_6400 => "Ceph",
        0x0102_1997 => "9P",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        _ => return None,
    })
}
