//! Taking connections: whoever they are from is found out before the first request.

use std::fs;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::principal::ProcessIdentity;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::Server;
use super::answer::Calls;
use super::config::ServerConfig;
use super::gathered::{Fresh, Gathered};
use super::peer::{Connection, Peer};
use super::route::Router;
use super::shares::Share;
use super::tls::{Tls, names};
use crate::farewell;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes with which a peer begins to speak HTTP/2 (RFC 9113, 3.4).
const PREFACE: u64 = 24;
/// How often a silent peer is asked whether it is there, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How long an answer may wait to be taken at least, whatever the longest deadline.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to turn a connection away, and how many at a time hear why for which there is no place at all.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELLS: usize = 16;
/// How long to wait where no connection can be taken.
const PAUSE: Duration = Duration::from_millis(50);

/// What a connection has for as long as it is open.
enum Place {
    /// One of `max_connections`.
    Taken(OwnedSemaphorePermit),
    /// There is none: it hears so, and no more.
    Full(OwnedSemaphorePermit),
}

impl Place {
    /// How long a handshake may take with it.
    const fn handshake(&self) -> Duration {
        match self {
            Self::Taken(_) => HANDSHAKE,
            Self::Full(_) => FAREWELL,
        }
    }
}

/// What every listener has.
#[derive(Clone)]
pub(super) struct Door {
    router: Router,
    server: Arc<Server>,
    places: Arc<Semaphore>,
    farewells: Arc<Semaphore>,
    /// Turns true when the server stops.
    stopping: watch::Receiver<bool>,
    /// Held by each connection, so that the last one can be waited for.
    alive: tokio::sync::mpsc::Sender<()>,
}

impl Door {
    pub(super) fn new(
        server: Arc<Server>,
        router: Router,
        config: &ServerConfig,
        stopping: watch::Receiver<bool>,
        alive: tokio::sync::mpsc::Sender<()>,
    ) -> Self {
        let places = usize::try_from(config.max_connections).unwrap_or(usize::MAX >> 4);
        let (places, farewells) = (Arc::new(Semaphore::new(places)), Arc::new(Semaphore::new(FAREWELLS)));
        Self { router, server, places, farewells, stopping, alive }
    }

    /// Takes connections of `listener`.
    pub(super) async fn tcp(self, listener: TcpListener, tls: Arc<Tls>) {
        let mut stopping = self.stopping.clone();
        loop {
            let taken = tokio::select! {
                taken = listener.accept() => taken,
                () = stopped(&mut stopping) => return,
            };
            let Some((stream, address, place)) = self.admit(taken).await else { continue };
            let (door, acceptor) = (self.clone(), TlsAcceptor::from(tls.current()));
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let shaken = tokio::time::timeout(place.handshake(), acceptor.accept(stream)).await;
                let stream = match shaken {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(e)) => return door.broken_off(&place, &address, &e.to_string()),
                    Err(_) => return door.broken_off(&place, &address, "the handshake took too long"),
                };
                let shown = stream.get_ref().1.peer_certificates().and_then(|all| all.first());
                match shown.ok_or_else(|| Error::new(ErrorKind::Denied, "no certificate")).and_then(names) {
                    Ok(names) => {
                        let peer = Peer::Certificate { names, source: address.ip().to_canonical().to_string() };
                        door.serve(stream, peer, place).await;
                    }
                    Err(e) => door.broken_off(&place, &address, e.message()),
                }
            });
        }
    }

    /// Takes connections of `listener`.
    pub(super) async fn unix(self, listener: UnixListener) {
        let mut stopping = self.stopping.clone();
        loop {
            let taken = tokio::select! {
                taken = listener.accept() => taken,
                () = stopped(&mut stopping) => return,
            };
            let Some((stream, _, place)) = self.admit(taken).await else { continue };
            let door = self.clone();
            tokio::spawn(async move {
                match stream.peer_cred() {
                    Ok(peer) => {
                        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
                        let peer = Peer::Process(ProcessIdentity::of_peer(peer.uid(), peer.gid(), pid));
                        door.serve(stream, peer, place).await;
                    }
                    Err(e) => door.broken_off(&place, &"the socket", &e.to_string()),
                }
            });
        }
    }

    /// A place for what was taken, where there is one, or one to say that there is none.
    async fn admit<S, A>(&self, taken: io::Result<(S, A)>) -> Option<(S, A, Place)> {
        let (stream, address) = match taken {
            Ok(taken) => taken,
            Err(e) => {
                // Mostly there is no descriptor left: one will be.
                tracing::warn!(reason = %e, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                return None;
            }
        };
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some((stream, address, Place::Taken(place)));
        }
        self.refused(&"a peer", "there are as many connections as there may be");
        let farewell = Arc::clone(&self.farewells).try_acquire_owned().ok()?;
        Some((stream, address, Place::Full(farewell)))
    }

    fn refused(&self, who: &dyn std::fmt::Display, why: &str) {
        self.server.metrics.refused.inc();
        tracing::info!(peer = %who, reason = why, "a connection was refused");
    }

    /// Refuses whoever did not get as far as HTTP/2. One without a place was refused before, which counts once.
    fn broken_off(&self, place: &Place, who: &dyn std::fmt::Display, why: &str) {
        match place {
            Place::Taken(_) => self.refused(who, why),
            Place::Full(_) => tracing::debug!(peer = %who, reason = why, "a connection without a place broke off"),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, peer: Peer, place: Place) {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let place = match place {
            Place::Taken(place) => place,
            Place::Full(permit) => return turn_away(stream, farewell::FULL, permit).await,
        };
        let connection = Connection::new(peer, NUMBER.fetch_add(1, Ordering::Relaxed));
        let Some(share) = self.server.shares.connections.take(connection.owner(), 1) else {
            self.refused(&format_args!("{:?}", connection.peer), "it has as many connections as a peer may have");
            return turn_away(stream, farewell::PEER_FULL, place).await;
        };
        tracing::debug!(connection = connection.number, peer = ?connection.peer, "a connection was opened");
        self.server.metrics.connections.inc();
        let fresh = Fresh::default();
        let (service, calls) = self.router.for_connection(Arc::clone(&connection), Arc::clone(&fresh));
        let (interval, patience) = KEEPALIVE;
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(interval)
            .keep_alive_timeout(patience)
            .max_concurrent_streams(self.server.config.max_calls)
            .max_header_list_size(16 << 10)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let heard = Heard::default();
        let serving = http.serve_connection(TokioIo::new(Listened { stream, heard: heard.clone() }), service);
        let mut serving = Gathered::new(serving, fresh);
        let mut stopping = self.stopping.clone();
        let ended = tokio::select! {
            ended = &mut serving => ended,
            // From then on pings tell whether anybody is there.
            () = heard.nothing() => {
                return self.ends(&connection, "nobody spoke over it from its beginning", (place, share));
            }
            () = self.untaken(&calls) => {
                return self.ends(&connection, "an answer was not taken in time", (place, share));
            }
            () = stopped(&mut stopping) => {
                // What came in is answered; nothing more is taken.
                serving.serving.as_mut().graceful_shutdown();
                // A peer that only listens while it calls does not hear of it: nobody waits for that.
                tokio::select! {
                    ended = &mut serving => ended,
                    () = self.idle(&calls) => Ok(()),
                }
            }
        };
        if let Err(e) = ended {
            tracing::debug!(connection = connection.number, reason = %e, "a connection broke off");
        }
        self.server.metrics.connections.dec();
        drop((place, share, self.alive));
    }

    /// Ends when an answer was not taken for as long as a call may take: what is on its way is in memory.
    async fn untaken(&self, calls: &Calls) {
        let patience = self.server.config.max_deadline().max(PATIENCE);
        loop {
            tokio::time::sleep(patience / 4).await;
            if calls.untaken(self.server.clock.monotonic(), patience) > 0 {
                return;
            }
        }
    }

    /// Ends when no call was under way for a while, so that every answer has left that somebody takes.
    async fn idle(&self, calls: &Calls) {
        let mut quiet = 0;
        while quiet < 4 {
            tokio::time::sleep(PAUSE).await;
            quiet = if calls.any(self.server.clock.monotonic(), PATIENCE) { 0 } else { quiet + 1 };
        }
    }

    /// Ends a connection over which nobody does what they are to do.
    fn ends(&self, connection: &Connection, why: &str, place: (OwnedSemaphorePermit, Share)) {
        tracing::info!(connection = connection.number, peer = ?connection.peer, reason = why, "a connection was closed");
        self.server.metrics.connections.dec();
        drop(place);
    }
}

/// Says over HTTP/2 that there are connections enough, and `why`: what is closed without a word looks broken, and is made anew at
/// once. What it has among all connections it has for as long as that takes.
async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, why: &str, _place: OwnedSemaphorePermit) {
    let said = async {
        stream.write_all(&farewell::goodbye(why)).await?;
        stream.flush().await?;
        // What is closed with something unread is reset, and what was said is lost.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(FAREWELL, said).await;
}

/// How many bytes came in.
#[derive(Clone, Default)]
struct Heard(Arc<AtomicU64>);

impl Heard {
    /// Ends where a peer has not begun to speak HTTP/2 in time; never, where it has.
    async fn nothing(&self) {
        tokio::time::sleep(HANDSHAKE).await;
        if self.0.load(Ordering::Relaxed) >= PREFACE {
            std::future::pending::<()>().await;
        }
    }
}

/// A stream of which it is known how much came in.
struct Listened<S> {
    stream: S,
    heard: Heard,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        let more = into.filled().len().saturating_sub(before);
        if more > 0 {
            self.heard.0.fetch_add(u64::try_from(more).unwrap_or_default(), Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Ends when the server stops.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Listens at `address`.
///
/// # Errors
/// [`ErrorKind::Config`] where that is not possible.
pub(super) async fn tcp(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| Error::new(ErrorKind::Config, format!("cannot listen at {address}")).with_source(e))
}

/// A Unix socket, and its file, which goes with it.
pub(super) struct Socket {
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Listens at `path`, where nobody else does; what another one left there is removed.
///
/// # Errors
/// [`ErrorKind::Config`] where that is not possible, or somebody listens there.
pub(super) fn unix(path: &Path, mode: u32) -> Result<(UnixListener, Socket)> {
    let bad =
        |e: io::Error| Error::new(ErrorKind::Config, format!("cannot listen at `{}`", path.display())).with_source(e);
    if fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let why = format!("somebody listens at `{}` already", path.display());
            return Err(Error::new(ErrorKind::Config, why));
        }
        fs::remove_file(path).map_err(bad)?;
    }
    let listener = UnixListener::bind(path).map_err(bad)?;
    let socket = Socket { path: path.to_owned() };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(bad)?;
    Ok((listener, socket))
}
