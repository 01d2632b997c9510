//! Files of the home: made complete with the home's owner, group and mode whoever runs, and only on file systems whose
//! locks and shared memory can be trusted.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Owner, group and permission bits that every file of a home takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode {
    /// User id.
    pub owner: u32,
    /// Group id.
    pub group: u32,
    /// Permission bits of files, `0o600` or `0o660`.
    pub mode: u32,
}

impl FileMode {
    /// What files in the directory `home` take: its owner and group; `0o660` where the group may write to it (a home
    /// shared through a group, `2770`), else `0o600`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no such directory, [`ErrorKind::HomeUnsafe`] where it cannot be examined.
    pub fn of_home(home: &Path) -> Result<Self> {
        let meta = std::fs::metadata(home).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "the home does not exist").with_source(e),
            _ => Error::new(ErrorKind::HomeUnsafe, "the home cannot be examined").with_source(e),
        })?;
        if !meta.is_dir() {
            return Err(Error::new(ErrorKind::HomeUnsafe, "the home is not a directory"));
        }
        let mode = if meta.mode() & 0o020 == 0 { 0o600 } else { 0o660 };
        Ok(Self { owner: meta.uid(), group: meta.gid(), mode })
    }

    /// Whether the home's group shares it.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.mode & 0o020 != 0
    }

    /// Gives the open `file` this owner, group and mode; a directory also lets its circle in, and hands on its group where
    /// the home is shared. Where the process may not give files away (it is not root), the
    /// owner stays, which a shared home allows: its group is what counts there.
    ///
    /// # Errors
    /// The mode cannot be set.
    pub fn apply(&self, file: &File) -> io::Result<()> {
        let meta = file.metadata()?;
        if (meta.uid(), meta.gid()) != (self.owner, self.group) {
            match fchown(file, Some(self.owner), Some(self.group)) {
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => match fchown(file, None, Some(self.group)) {
                    Err(e) if e.kind() != io::ErrorKind::PermissionDenied => return Err(e),
                    _ => {}
                },
                other => other?,
            }
        }
        let wanted = match (meta.is_dir(), self.is_shared()) {
            (false, _) => self.mode,
            (true, false) => 0o700,
            (true, true) => 0o2770,
        };
        if file.metadata()?.mode() & 0o7777 != wanted {
            file.set_permissions(std::fs::Permissions::from_mode(wanted))?;
        }
        Ok(())
    }
}

/// Has reads and writes of `file`, a pipe, return at once where nothing is there or fits (fcntl(2), `O_NONBLOCK`).
///
/// # Errors
/// Those of `fcntl(2)`.
pub fn never_block(file: &impl AsFd) -> io::Result<()> {
    let descriptor = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open; F_GETFL takes no argument.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    // SAFETY: as before; F_SETFL takes a number.
    if flags < 0 || unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Makes the file `path` with `content`, unless it exists. It appears under its name only when it is complete, so nobody
/// ever opens one that lacks its owner or mode.
///
/// # Errors
/// Whatever the file system answers; `PermissionDenied` and `ReadOnlyFilesystem` where nothing can be made.
pub fn create_file(path: &Path, mode: FileMode, content: &[u8]) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => return Ok(()),
        Ok(_) => return Err(io::Error::other("it exists and is not a regular file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let mut draft = path.as_os_str().to_owned();
    // The thread is part of the name because two threads of one process may make the same file.
    draft.push(format!(".new-{}-{}", std::process::id(), thread_number()));
    // What a crashed process of the same number left behind is nobody's.
    let _ = std::fs::remove_file(&draft);
    let made = (|| {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        io::Write::write_all(&mut &file, content)?;
        mode.apply(&file)?;
        file.sync_all()?;
        // Closed before it gets its name: closing any descriptor of a file drops all POSIX locks that this process holds
        // on it, and another thread may have opened the store by then.
        drop(file);
        match std::fs::hard_link(&draft, path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    })();
    let _ = std::fs::remove_file(&draft);
    made?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Gives the file `from` the name `to`, unless something has that name.
///
/// # Errors
/// `AlreadyExists` where something has; those of `renameat2(2)`, and of `link(2)` where the file system does not know how.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let (old, new) = (CString::new(from.as_os_str().as_bytes())?, CString::new(to.as_os_str().as_bytes())?);
    let here = libc::AT_FDCWD;
    // SAFETY: both names end with a zero byte.
    let code =
        unsafe { libc::syscall(libc::SYS_renameat2, here, old.as_ptr(), here, new.as_ptr(), libc::RENAME_NOREPLACE) };
    if code == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // NFS does not know how; a second name is refused there where it is taken.
        Some(libc::EINVAL | libc::ENOSYS) => {
            std::fs::hard_link(from, to)?;
            let _ = std::fs::remove_file(from);
            Ok(())
        }
        _ => Err(error),
    }
}

fn thread_number() -> i32 {
    // SAFETY: gettid takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// File systems that other machines (or a host outside this virtual machine) write to as well, by their magic number
/// (statfs(2)): record locks and shared memory do not reach across.
const REMOTE: [(u32, &str); 17] = [
    (0x6969, "nfs"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb2"),
    (0x517B, "smb"),
    (0x564C, "ncp"),
    (0x0102_1997, "9p"),
    (0x0073_7545, "coda"),
    (0x5346_414F, "afs"),
    (0x6B41_4653, "kafs"),
    (0x00C3_6400, "ceph"),
    (0x0BD0_0BD0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x7461_636F, "ocfs2"),
    (0x0116_1970, "gfs2"),
    (0xAAD7_AAEA, "panfs"),
    (0x2003_0528, "orangefs"),
    (0x786F_4256, "vboxsf"),
];

/// FUSE's own number says nothing about what is behind it; only these are known to be local.
const FUSE: u32 = 0x6573_5546;
const LOCAL_FUSE: [&str; 3] = ["fuseblk", "fuse.fuse-overlayfs", "fuse.ntfs-3g"];

/// Refuses directories on network file systems.
///
/// # Errors
/// [`ErrorKind::HomeUnsafe`] naming the file system.
pub fn require_local(dir: &Path) -> Result<()> {
    let failed = |e: io::Error| Error::new(ErrorKind::HomeUnsafe, "the home's file system is unknown").with_source(e);
    let path = CString::new(dir.as_os_str().as_bytes()).map_err(|e| failed(e.into()))?;
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `path` ends with a zero byte and `stat` has room for what statfs writes.
    if unsafe { libc::statfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    // SAFETY: statfs succeeded, so the structure is filled.
    let magic = unsafe { stat.assume_init() }.f_type;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "magic numbers have 32 bits")]
    let magic = magic as u32;
    let name = match REMOTE.iter().find(|(number, _)| *number == magic) {
        Some((_, name)) => Some((*name).to_owned()),
        None if magic == FUSE => {
            let kind = mount_type(dir).map_err(failed)?;
            (!LOCAL_FUSE.contains(&kind.as_str())).then_some(kind)
        }
        None => None,
    };
    name.map_or(Ok(()), |name| {
        let what =
            format!("the home is on a network file system ({name}), where commits are lost: move it to a local disk");
        Err(Error::new(ErrorKind::HomeUnsafe, what))
    })
}

/// The type of the mount that holds `dir`, from mountinfo (proc_pid_mountinfo(5)): the last line with its device.
fn mount_type(dir: &Path) -> io::Result<String> {
    let device = std::fs::metadata(dir)?.dev();
    let wanted = format!("{}:{}", libc::major(device), libc::minor(device));
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    let found = table.lines().rev().find(|l| l.split(' ').nth(2) == Some(wanted.as_str()));
    let kind = found.and_then(|l| l.split_once(" - ")).and_then(|(_, rest)| rest.split(' ').next());
    Ok(kind.unwrap_or("fuse").to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_takes_owner_group_and_mode_of_its_home_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o2770)).unwrap();
        let mode = FileMode::of_home(dir.path()).unwrap();
        assert_eq!(mode.mode, 0o660);
        let path = dir.path().join("file");
        create_file(&path, mode, b"first").unwrap();
        create_file(&path, mode, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o660);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_of_a_home_can_be_entered_by_whom_its_files_are_for() {
        for (home, directory) in [(0o700, 0o700), (0o2770, 0o2770)] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(home)).unwrap();
            let below = dir.path().join("below");
            std::fs::create_dir(&below).unwrap();
            FileMode::of_home(dir.path()).unwrap().apply(&File::open(&below).unwrap()).unwrap();
            assert_eq!(std::fs::metadata(&below).unwrap().mode() & 0o7777, directory);
        }
    }

    #[test]
    fn a_file_gets_a_new_name_and_never_one_that_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "a").unwrap();
        std::os::unix::fs::symlink("/nowhere", &b).unwrap();
        assert_eq!(rename_new(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        std::fs::remove_file(&b).unwrap();
        rename_new(&a, &b).unwrap();
        assert_eq!(std::fs::read(&b).unwrap(), b"a");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_place_of_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(create_file(&path, FileMode::of_home(dir.path()).unwrap(), b"").is_err());
    }

    #[test]
    fn local_directories_are_accepted_and_missing_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        require_local(dir.path()).unwrap();
        assert_eq!(require_local(&dir.path().join("missing")).unwrap_err().kind(), ErrorKind::HomeUnsafe);
        assert!(!mount_type(dir.path()).unwrap().is_empty());
    }
}
