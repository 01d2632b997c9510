//! Waiting for one descriptor, and closing one that a forked child inherited.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::time::Duration;

/// Waits until `fd` can be read (or, where `write` is set, written), has failed, or `most` has passed (poll(2)). A signal
/// ends the wait early.
///
/// # Errors
/// Those of `poll(2)`.
pub fn wait_until_ready(fd: BorrowedFd<'_>, write: bool, most: Duration) -> io::Result<()> {
    let events = if write { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // Rounded up, so that a wait for less than a millisecond is one.
    let milliseconds = most.as_micros().div_ceil(1000).try_into().unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer leads to one pollfd, and the number says so.
    if unsafe { libc::poll(&raw mut entry, 1, milliseconds) } >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

/// Closes a descriptor whose owner is forgotten: in a forked child, which must not run what the owner does when it is
/// dropped. Nothing may use the number through that owner afterwards.
pub fn close_forgotten(fd: RawFd) {
    // SAFETY: close(2) takes any number; the owner is never used again in this process, so that nobody else's file can take
    // the number and be closed a second time.
    unsafe { libc::close(fd) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read as _, Write as _};
    use std::os::fd::{AsFd as _, IntoRawFd as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_wait_ends_with_data_and_with_time() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        wait_until_ready(near.as_fd(), false, Duration::from_micros(10)).unwrap();
        far.write_all(b"x").unwrap();
        wait_until_ready(near.as_fd(), false, Duration::from_secs(60)).unwrap();
        near.read_exact(&mut [0]).unwrap();
        wait_until_ready(near.as_fd(), true, Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn what_was_forgotten_is_closed_for_the_other_side() {
        let (near, mut far) = UnixStream::pair().unwrap();
        close_forgotten(near.into_raw_fd());
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
    }
}
