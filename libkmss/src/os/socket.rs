//! What sockets can do beyond the standard library: how much of what was sent the other side has, and handing over a file.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::mem::{MaybeUninit, size_of};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Bytes that were written to `stream` and that the other side's kernel has not acknowledged (tcp(7), `SIOCOUTQ`).
///
/// # Errors
/// Those of `ioctl(2)`.
pub fn unacknowledged(stream: &TcpStream) -> io::Result<u32> {
    let mut left: libc::c_int = 0;
    // SAFETY: the descriptor is open, and SIOCOUTQ (the number is that of TIOCOUTQ) writes one int to where the pointer leads.
    if unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut left) } != 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(left).map_err(io::Error::other)
}

/// A file without a name that holds `content` and that nobody can change any more (memfd_create(2)).
///
/// # Errors
/// Those of the system.
pub fn sealed_memory_file(name: &CStr, content: &[u8]) -> io::Result<File> {
    // SAFETY: the name ends with a zero byte; the result is checked.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(content)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: the descriptor is open; F_ADD_SEALS takes a number.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Room for the one control message that carries a descriptor, aligned as the kernel wants it.
#[repr(C)]
union Control {
    _aligned: libc::cmsghdr,
    bytes: [u8; 64],
}

/// Sends `file` to the datagram socket at `path`, with no bytes beside it (unix(7), `SCM_RIGHTS`).
///
/// # Errors
/// Those of `sendmsg(2)`; `InvalidInput` for a path that is too long.
pub fn send_file(socket: &UnixDatagram, path: &Path, file: &File) -> io::Result<()> {
    // SAFETY: all zeroes are a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { MaybeUninit::zeroed().assume_init() };
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).map_err(io::Error::other)?;
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let fd = file.as_raw_fd();
    let fd_len = u32::try_from(size_of::<libc::c_int>()).map_err(io::Error::other)?;
    let mut control = Control { bytes: [0; 64] };
    // SAFETY: all zeroes are a valid msghdr.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_name = (&raw mut address).cast();
    message.msg_namelen = u32::try_from(size_of::<libc::sockaddr_un>()).map_err(io::Error::other)?;
    message.msg_control = (&raw mut control).cast();
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
    let (space, len) = unsafe { (libc::CMSG_SPACE(fd_len), libc::CMSG_LEN(fd_len)) };
    message.msg_controllen = space as _;
    // SAFETY: the control buffer is larger than CMSG_SPACE of one descriptor and aligned for cmsghdr, so the first header and its
    // data lie within it.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = len as _;
        libc::CMSG_DATA(header).cast::<libc::c_int>().write_unaligned(fd);
    }
    // SAFETY: the message points to an address and a control buffer that outlive the call.
    if unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_the_other_side_has_is_no_longer_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        stream.write_all(b"four").unwrap();
        let mut there = [0; 4];
        other.read_exact(&mut there).unwrap();
        let looks = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            unacknowledged(&stream).unwrap() == 0
        });
        assert!(looks);
    }

    #[test]
    fn a_file_without_a_name_can_be_handed_over_and_no_longer_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut file = sealed_memory_file(c"note", b"content").unwrap();
        assert!(file.write_all(b"more").is_err());
        send_file(&UnixDatagram::unbound().unwrap(), &path, &file).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut nothing = [0; 8];
        assert_eq!(receiver.recv(&mut nothing).unwrap(), 0, "a datagram came, with nothing but the file");
        assert!(send_file(&receiver, Path::new(&"x".repeat(200)), &file).is_err());
    }
}
