//! Who this process is to the operating system, and whether it may believe its environment.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Longest answer of the user database that is read; more is treated as an error.
const LARGEST_ENTRY: usize = 1 << 20;

/// Whether the program was started with more rights than its caller has (setuid, setgid, file capabilities), so that the
/// environment comes from somebody less trusted (`secure_getenv(3)`).
#[must_use]
pub fn is_secure_execution() -> bool {
    // SAFETY: reads the auxiliary vector, takes no pointer.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The effective user and group: with whose rights files are opened.
#[must_use]
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: both calls always succeed and touch no memory of ours.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// An entry of the user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// The home directory.
    pub directory: PathBuf,
}

/// The user with the number `uid`, if the user database has one.
///
/// # Errors
/// The database cannot be read.
pub fn user_by_id(uid: u32) -> io::Result<Option<User>> {
    lookup(
        |entry: *mut libc::passwd, buffer, length, found| {
            // SAFETY: all pointers are valid for the call (see `lookup`), `buffer` for `length` bytes.
            unsafe { libc::getpwuid_r(uid, entry, buffer, length, found) }
        },
        |entry| User { name: text(entry.pw_name).to_string_lossy().into_owned(), directory: text(entry.pw_dir).into() },
    )
}

/// The number of the group `name`, if the group database has one.
///
/// # Errors
/// The database cannot be read, or the name holds a zero byte.
pub fn group_by_name(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    lookup(
        |entry: *mut libc::group, buffer, length, found| {
            // SAFETY: as in `user_by_id`; `name` lives through the call.
            unsafe { libc::getgrnam_r(name.as_ptr(), entry, buffer, length, found) }
        },
        |entry| entry.gr_gid,
    )
}

/// Calls a `get…_r` function with a buffer that grows until the answer fits.
fn lookup<E, T>(
    call: impl Fn(*mut E, *mut libc::c_char, usize, *mut *mut E) -> libc::c_int,
    read: impl Fn(&E) -> T,
) -> io::Result<Option<T>> {
    let mut buffer = vec![0; 4096];
    loop {
        let mut entry = MaybeUninit::<E>::uninit();
        let mut found = std::ptr::null_mut();
        match call(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found) {
            libc::ERANGE if buffer.len() < LARGEST_ENTRY => buffer.resize(buffer.len() * 4, 0),
            libc::EINTR => {}
            // "not found" is 0 with a null result, but some libraries report one of these (getpwuid_r(3)).
            0 | libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM if found.is_null() => return Ok(None),
            // SAFETY: on success `found` points to `entry`, which the call filled; its strings live in `buffer`.
            0 => return Ok(Some(read(unsafe { &*found }))),
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// A string of a database entry.
fn text(pointer: *const libc::c_char) -> OsString {
    if pointer.is_null() {
        return OsString::new();
    }
    // SAFETY: entries hold pointers to zero-terminated strings in the buffer, which outlives this call.
    OsStr::from_bytes(unsafe { CStr::from_ptr(pointer) }.to_bytes()).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn root_is_in_the_user_database_and_an_absurd_number_is_not() {
        assert_eq!(user_by_id(0).unwrap().unwrap().name, "root");
        assert_eq!(user_by_id(4_000_000_001).unwrap(), None);
        assert_eq!(group_by_name("root").unwrap(), Some(0));
        assert_eq!(group_by_name("no-such-group-here").unwrap(), None);
    }

    #[test]
    fn a_test_runner_is_not_started_with_foreign_rights() {
        assert!(!is_secure_execution());
    }
}
