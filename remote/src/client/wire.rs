//! The socket of a connection: never blocks, and remembers what it waits for.

use std::io::{self, IoSlice, Read as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use libkmss::clock::Clock;
use socket2::{Domain, SockAddr, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long to wait before a Unix socket whose queue is full is tried again.
const QUEUE: Duration = Duration::from_millis(2);

/// After how long of silence the kernel asks whether the other host is there, and how often then. After nine times without an
/// answer (tcp(7)) the connection is broken: whoever waits for what may never come hears of it.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(5));

/// The socket of a connection.
pub(super) struct Socket {
    inner: socket2::Socket,
    /// Whether the last write found no room.
    write: AtomicBool,
    /// Whether there may be something to read.
    read: AtomicBool,
    /// How often something came in.
    heard: AtomicU64,
}

impl Socket {
    /// A socket that is connected to nobody yet.
    pub(super) fn new(domain: Domain) -> io::Result<Self> {
        let inner = socket2::Socket::new(domain, Type::STREAM, None)?;
        Ok(Self { inner, write: AtomicBool::new(false), read: AtomicBool::new(true), heard: AtomicU64::new(0) })
    }

    /// Connects to a Unix socket.
    pub(super) fn connect_to_path(&self, path: &Path, until: Duration, clock: &dyn Clock) -> io::Result<()> {
        self.inner.set_nonblocking(true)?;
        let address = SockAddr::unix(path)?;
        loop {
            match self.inner.connect(&address) {
                // unix(7): the queue is full, and there is nothing to wait for.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let left = until.saturating_sub(clock.monotonic());
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    std::thread::sleep(QUEUE.min(left));
                }
                connected => return connected,
            }
        }
    }

    /// Connects to a TCP port.
    pub(super) fn connect_to(&self, address: SocketAddr, until: Duration, clock: &dyn Clock) -> io::Result<()> {
        let left = until.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.inner.connect_timeout(&address.into(), left)?;
        self.inner.set_nonblocking(true)?;
        self.inner.set_tcp_nodelay(true)?;
        self.inner.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE.0).with_interval(KEEPALIVE.1))
    }

    /// Whether there is something to write that found no room.
    pub(super) fn wants_to_write(&self) -> bool {
        self.write.load(Ordering::Relaxed)
    }

    /// There may be something to read: until all of it was.
    pub(super) fn may_be_read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    /// Nobody reads until [`Self::may_be_read`].
    pub(super) fn was_read(&self) {
        self.read.store(false, Ordering::Relaxed);
    }

    /// How often something came in so far.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Ends what is spoken over it, for both sides.
    pub(super) fn shut_down(&self) {
        let _ = self.inner.shutdown(std::net::Shutdown::Both);
    }

    /// Its descriptor.
    pub(super) fn number(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// The socket as the task of its connection sees it. It is polled whenever the socket is ready, so that nobody is woken.
pub(super) struct Wire(pub(super) Arc<Socket>);

impl Wire {
    /// What became of writing `len` bytes.
    ///
    /// Where the other side reads no more, they count as written: what it said before it went, why a call was cut off above all, is
    /// still to be read, and whoever speaks HTTP/2 gives up reading with the first write that fails. The end comes when all was read.
    fn written(&self, result: io::Result<usize>, len: usize) -> Poll<io::Result<usize>> {
        let kind = result.as_ref().err().map(io::Error::kind);
        let full = kind == Some(io::ErrorKind::WouldBlock);
        self.0.write.store(full, Ordering::Relaxed);
        match kind {
            Some(io::ErrorKind::WouldBlock) => Poll::Pending,
            Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                self.0.may_be_read();
                Poll::Ready(Ok(len))
            }
            _ => Poll::Ready(result),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = &*self.0;
        if !socket.read.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        loop {
            let room = into.initialize_unfilled();
            let most = room.len();
            match (&socket.inner).read(room) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    socket.was_read();
                    return Poll::Pending;
                }
                Err(e) => return Poll::Ready(Err(e)),
                Ok(read) => {
                    if read > 0 {
                        socket.heard.fetch_add(1, Ordering::Relaxed);
                        // Less than there was room for: there is no more, and what comes later is waited for.
                        if read < most {
                            socket.was_read();
                        }
                    }
                    into.advance(read);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            // Without a signal to the host where the other side is gone.
            match self.0.inner.send_with_flags(from, libc::MSG_NOSIGNAL) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return self.written(result, from.len()),
            }
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            match self.0.inner.send_vectored_with_flags(from, libc::MSG_NOSIGNAL) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return self.written(result, from.iter().map(|part| part.len()).sum()),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.0.inner.shutdown(std::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::io::Write as _;
    use std::task::Waker;

    use libkmss::clock::SystemClock;

    use super::*;

    /// Everything that comes until the end, by a side that goes on writing.
    fn heard_to_the_end(socket: Socket) -> Vec<u8> {
        let mut wire = Wire(Arc::new(socket));
        let (mut context, mut heard) = (Context::from_waker(Waker::noop()), Vec::new());
        loop {
            assert!(matches!(Pin::new(&mut wire).poll_write(&mut context, b"more"), Poll::Ready(Ok(4))));
            let (mut room, parts) = ([0; 2], [IoSlice::new(b"and"), IoSlice::new(b"more")]);
            assert!(matches!(Pin::new(&mut wire).poll_write_vectored(&mut context, &parts), Poll::Ready(Ok(7))));
            let mut into = ReadBuf::new(&mut room);
            match Pin::new(&mut wire).poll_read(&mut context, &mut into) {
                Poll::Ready(Ok(())) if into.filled().is_empty() => return heard,
                Poll::Ready(Ok(())) => heard.extend_from_slice(into.filled()),
                other => panic!("{other:?} before the end, after {heard:?}"),
            }
        }
    }

    #[test]
    fn what_the_other_side_said_before_it_went_is_heard() {
        let (clock, folder) = (SystemClock::default(), tempfile::tempdir().unwrap());
        let until = clock.monotonic().saturating_add(Duration::from_secs(60));
        let path = folder.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let socket = Socket::new(Domain::UNIX).unwrap();
        socket.connect_to_path(&path, until, &clock).unwrap();
        listener.accept().unwrap().0.write_all(b"farewell").unwrap();
        assert_eq!(heard_to_the_end(socket), b"farewell");
    }

    #[test]
    fn the_kernel_asks_whether_a_silent_host_is_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let clock = SystemClock::default();
        let until = clock.monotonic().saturating_add(Duration::from_secs(60));
        let address = listener.local_addr().unwrap();
        let socket = Socket::new(Domain::for_address(address)).unwrap();
        socket.connect_to(address, until, &clock).unwrap();
        assert!(socket.inner.keepalive().unwrap());
    }
}
