//! A directory held by descriptor, so that what was checked is what is used: names are resolved relative to it, symbolic
//! links are never followed.

use std::ffi::{CString, OsStr};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An open directory.
#[derive(Debug)]
pub struct Directory(File);

/// How a file in a [`Directory`] is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For appending; it must exist.
    Append,
    /// For reading and writing; it must not exist yet.
    New,
    /// For reading and appending; it must exist.
    Log,
    /// For reading and appending; it must not exist yet.
    NewLog,
}

impl Directory {
    /// Opens `path`, whose last component must not be a symbolic link.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path).map(Self)
    }

    /// Opens the directory `name` in this one.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn child(&self, name: &OsStr) -> io::Result<Self> {
        self.open_at(name, libc::O_RDONLY | libc::O_DIRECTORY, 0).map(Self)
    }

    /// Makes the directory `name` with `mode` (less the process's umask).
    ///
    /// # Errors
    /// Those of `mkdirat(2)`.
    pub fn make_child(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        let name = c_name(name)?;
        // SAFETY: the descriptor is open and the name zero-terminated.
        done(unsafe { libc::mkdirat(self.0.as_raw_fd(), name.as_ptr(), mode) })
    }

    /// Opens the file `name`. A symbolic link is an error (`ELOOP`), a FIFO does not block.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn file(&self, name: &OsStr, opening: Opening) -> io::Result<File> {
        let flags = match opening {
            Opening::Read => libc::O_RDONLY,
            Opening::Write => libc::O_RDWR,
            Opening::Append => libc::O_WRONLY | libc::O_APPEND,
            Opening::New => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
            Opening::Log => libc::O_RDWR | libc::O_APPEND,
            Opening::NewLog => libc::O_RDWR | libc::O_APPEND | libc::O_CREAT | libc::O_EXCL,
        };
        self.open_at(name, flags | libc::O_NONBLOCK, 0o600)
    }

    /// What `name` is, without opening it: closing an ordinary descriptor would drop this process's POSIX locks on it.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn look(&self, name: &OsStr) -> io::Result<Metadata> {
        self.open_at(name, libc::O_PATH, 0)?.metadata()
    }

    /// What the directory itself is.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// The directory's descriptor as a file, for changes of owner and mode.
    #[must_use]
    pub const fn as_file(&self) -> &File {
        &self.0
    }

    /// Gives `name` a second name; fails where that is taken.
    ///
    /// # Errors
    /// Those of `linkat(2)`.
    pub fn link(&self, name: &OsStr, second: &OsStr) -> io::Result<()> {
        let (name, second, at) = (c_name(name)?, c_name(second)?, self.0.as_raw_fd());
        // SAFETY: the descriptor is open and both names zero-terminated.
        done(unsafe { libc::linkat(at, name.as_ptr(), at, second.as_ptr(), 0) })
    }

    /// Moves `name` to `target`, replacing what was there.
    ///
    /// # Errors
    /// Those of `renameat(2)`.
    pub fn rename(&self, name: &OsStr, target: &OsStr) -> io::Result<()> {
        let (name, target, at) = (c_name(name)?, c_name(target)?, self.0.as_raw_fd());
        // SAFETY: as in `link`.
        done(unsafe { libc::renameat(at, name.as_ptr(), at, target.as_ptr()) })
    }

    /// Removes the file `name`.
    ///
    /// # Errors
    /// Those of `unlinkat(2)`.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        let name = c_name(name)?;
        // SAFETY: as in `make_child`.
        done(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) })
    }

    /// Removes the directory `name`, which must be empty.
    ///
    /// # Errors
    /// Those of `unlinkat(2)`.
    pub fn remove_child(&self, name: &OsStr) -> io::Result<()> {
        let name = c_name(name)?;
        // SAFETY: as in `make_child`.
        done(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR) })
    }

    /// Gives the file `name` another owner and group.
    ///
    /// # Errors
    /// Those of `fchownat(2)`.
    pub fn change_owner(&self, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        let name = c_name(name)?;
        // SAFETY: as in `make_child`.
        done(unsafe { libc::fchownat(self.0.as_raw_fd(), name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) })
    }

    /// Makes changes of names in the directory durable.
    ///
    /// # Errors
    /// Those of `fsync(2)`.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn open_at(&self, name: &OsStr, flags: libc::c_int, mode: u32) -> io::Result<File> {
        let name = c_name(name)?;
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NOCTTY;
        loop {
            // SAFETY: the descriptor is open and the name zero-terminated.
            let descriptor = unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, mode) };
            if descriptor >= 0 {
                // SAFETY: the call just made this descriptor, and nothing else owns it.
                return Ok(unsafe { File::from_raw_fd(descriptor) });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

/// One component, so that no `..` and no symbolic link on the way leads out.
fn c_name(name: &OsStr) -> io::Result<CString> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    CString::new(bytes).map_err(io::Error::from)
}

fn done(code: libc::c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_never_lead_out_of_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        for name in ["", ".", "..", "a/b", "/etc/passwd", "a\0b"] {
            let error = directory.file(OsStr::new(name), Opening::New).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        let error = directory.file(OsStr::new("link"), Opening::Read).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        assert!(directory.look(OsStr::new("link")).unwrap().is_symlink());
    }

    #[test]
    fn a_link_never_replaces_and_a_rename_does() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let (a, b) = (OsStr::new("a"), OsStr::new("b"));
        directory.file(a, Opening::New).unwrap();
        directory.link(a, b).unwrap();
        assert_eq!(directory.link(a, b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        directory.rename(a, OsStr::new("c")).unwrap();
        directory.remove(b).unwrap();
        assert!(directory.look(b).is_err());
        assert!(directory.look(OsStr::new("c")).unwrap().is_file());
    }
}
