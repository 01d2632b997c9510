//! A small server that answers what a test says, and a proxy that loses, delays and cuts what goes through it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::{farewell, proto};

/// What a server does with the calls that come from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Answers them.
    Well,
    /// Takes the next one and drops its connection.
    Breaks,
    /// Takes one and is gone, as a killed process.
    Dies,
    /// Denies them.
    Refuses,
    /// Answers with twelve messages, each so many milliseconds after the one before.
    Drips(u64),
}

/// An answer: messages and how it ended, one after the other.
struct Answer {
    frames: Vec<Frame<Bytes>>,
    pace: Duration,
    waits: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.pace.is_zero() {
            let pace = self.pace;
            let waits = self.waits.get_or_insert_with(|| Box::pin(tokio::time::sleep(pace)));
            if waits.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.waits = None;
        }
        Poll::Ready((!self.frames.is_empty()).then(|| Ok(self.frames.remove(0))))
    }
}

/// What one server and its connections share.
#[derive(Clone)]
struct Shared {
    name: &'static str,
    calls: Arc<AtomicU32>,
    mood: Arc<Mutex<Mood>>,
    gone: Arc<Notify>,
    /// Whether calls that say `wait` are answered.
    open: Arc<AtomicBool>,
    room: Arc<Room>,
}

/// How much a server takes at a time, and of how much it had too much.
#[derive(Default)]
pub(super) struct Room {
    /// Most calls that say `wait` or `work`; 0 for any number.
    pub(super) calls: AtomicU32,
    under_way: AtomicU32,
    pub(super) refused: AtomicU32,
    /// Most connections; 0 for any number.
    pub(super) connections: AtomicU32,
    connected: AtomicU32,
    pub(super) turned_away: AtomicU32,
}

/// Part of a room, until it is dropped.
struct Part(Arc<Room>);

impl Room {
    /// Room for one more call, where there is.
    fn enter(self: &Arc<Self>) -> Option<Part> {
        let most = self.calls.load(Ordering::SeqCst);
        if self.under_way.fetch_add(1, Ordering::SeqCst) >= most && most > 0 {
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            self.refused.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        Some(Part(Arc::clone(self)))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Where a server listens.
#[derive(Clone)]
pub(super) enum Listen {
    Unix(PathBuf),
    Tcp(SocketAddr, Option<Arc<ServerConfig>>),
}

/// A server in a thread of its own, which goes with it.
pub(super) struct Fake {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Calls that were taken.
    pub(super) calls: Arc<AtomicU32>,
    mood: Arc<Mutex<Mood>>,
    /// Connections that were accepted.
    pub(super) connections: Arc<AtomicU32>,
    /// Whether calls that say `wait` are answered.
    pub(super) open: Arc<AtomicBool>,
    pub(super) room: Arc<Room>,
    pub(super) address: Option<SocketAddr>,
}

impl Fake {
    /// Signs everything with its own name; `wait` when [`Self::open`] says so.
    pub(super) fn start(listen: Listen, name: &'static str) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (calls, connections) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (mood, gone) = (Arc::new(Mutex::new(Mood::Well)), Arc::new(Notify::new()));
        let (open, room) = (Arc::new(AtomicBool::new(false)), Arc::<Room>::default());
        let shared = Shared {
            name,
            calls: Arc::clone(&calls),
            mood: Arc::clone(&mood),
            gone: Arc::clone(&gone),
            open: Arc::clone(&open),
            room: Arc::clone(&room),
        };
        let accepted = Arc::clone(&connections);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let serving = async {
                    match listen {
                        Listen::Unix(path) => {
                            let _ = std::fs::remove_file(&path);
                            let listener = tokio::net::UnixListener::bind(path).unwrap();
                            ready.send(None).unwrap();
                            loop {
                                let (stream, _) = listener.accept().await.unwrap();
                                accepted.fetch_add(1, Ordering::SeqCst);
                                tokio::spawn(serve(stream, shared.clone()));
                            }
                        }
                        Listen::Tcp(address, tls) => {
                            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
                            ready.send(listener.local_addr().ok()).unwrap();
                            loop {
                                let (stream, _) = listener.accept().await.unwrap();
                                accepted.fetch_add(1, Ordering::SeqCst);
                                let (tls, shared) = (tls.clone(), shared.clone());
                                tokio::spawn(async move {
                                    match tls {
                                        None => serve(stream, shared).await,
                                        Some(tls) => {
                                            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                                                serve(stream, shared).await;
                                            }
                                        }
                                    }
                                });
                            }
                        }
                    }
                };
                tokio::select! { () = serving => {}, _ = stopped => {}, () = gone.notified() => {} }
            });
            // As a killed process: nobody says goodbye.
            runtime.shutdown_background();
        });
        let address = is_ready.recv().unwrap();
        Self { stop: Some(stop), thread: Some(thread), calls, mood, connections, open, room, address }
    }

    pub(super) fn unix(path: &Path) -> Self {
        Self::start(Listen::Unix(path.to_owned()), "unix")
    }

    pub(super) fn tcp(name: &'static str) -> Self {
        Self::start(Listen::Tcp("127.0.0.1:0".parse().unwrap(), None), name)
    }

    pub(super) fn uri(&self) -> String {
        format!("http://{}", self.address.unwrap())
    }

    /// The same, in this mood.
    pub(super) fn that(self, mood: Mood) -> Self {
        *self.mood.lock().unwrap() = mood;
        self
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(mut stream: S, shared: Shared) {
    let (room, most) = (Arc::clone(&shared.room), shared.room.connections.load(Ordering::SeqCst));
    if room.connected.fetch_add(1, Ordering::SeqCst) >= most && most > 0 {
        room.connected.fetch_sub(1, Ordering::SeqCst);
        room.turned_away.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(&farewell::goodbye(farewell::PEER_FULL)).await;
        while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
        return;
    }
    serve_calls(stream, shared).await;
    room.connected.fetch_sub(1, Ordering::SeqCst);
}

async fn serve_calls<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S, shared: Shared) {
    let broken = Arc::new(Notify::new());
    let breaks = Arc::clone(&broken);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (shared, breaks) = (shared.clone(), Arc::clone(&breaks));
        async move {
            let signs = request.uri().path().ends_with("/Sign");
            let message = whole(request.into_body()).await;
            shared.calls.fetch_add(1, Ordering::SeqCst);
            let mood = *shared.mood.lock().unwrap();
            if mood == Mood::Breaks {
                *shared.mood.lock().unwrap() = Mood::Well;
                breaks.notify_one();
                std::future::pending::<()>().await;
            }
            if mood == Mood::Dies {
                shared.gone.notify_one();
                std::future::pending::<()>().await;
            }
            let asked = proto::SignRequest::decode(message.get(5..).unwrap_or_default()).unwrap_or_default();
            let takes_room = [b"wait", b"work"].iter().any(|data| asked.data == *data);
            let part = if takes_room { shared.room.enter() } else { None };
            let is_full = takes_room && part.is_none();
            if asked.data == b"work" && !is_full {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            while !is_full && asked.data == b"wait" && !shared.open.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(part);
            let refused = mood == Mood::Refuses || signs && asked.data == b"refuse";
            let code = if is_full { "8" } else { ["0", "7"][usize::from(refused)] };
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(code));
            let signature = proto::SignResponse { signature: shared.name.as_bytes().to_vec(), key_version: 1 };
            // Other answers are empty, which every message may be.
            let answer = if signs { signature.encode_to_vec() } else { Vec::new() };
            let mut data = vec![0];
            data.extend_from_slice(&u32::try_from(answer.len()).unwrap().to_be_bytes());
            data.extend_from_slice(&answer);
            let (count, pace) = match mood {
                Mood::Drips(pace) => (12, pace),
                _ => (usize::from(code == "0"), 0),
            };
            let messages = std::iter::repeat_n(Bytes::from(data), count).map(Frame::data);
            let frames = messages.chain([Frame::trailers(trailers)]).collect();
            let body = Answer { frames, pace: Duration::from_millis(pace), waits: None };
            let response = Response::builder().header("content-type", "application/grpc").body(body);
            Ok::<_, std::convert::Infallible>(response.unwrap())
        }
    });
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    tokio::select! {
        _ = builder.serve_connection(TokioIo::new(stream), service) => {}
        () = broken.notified() => {}
    }
}

async fn whole(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    bytes
}

/// A TCP proxy whose manners change.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    /// Nothing goes through, and nobody is told.
    pub(super) silent: Arc<AtomicBool>,
    /// Each piece waits so many milliseconds.
    pub(super) delay: Arc<AtomicU64>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(super) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, delay) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (is_silent, waits, opened) = (Arc::clone(&silent), Arc::clone(&delay), Arc::clone(&open));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(target) else { continue };
                opened.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                for (mut from, mut to) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far.try_clone().unwrap(), near)]
                {
                    let (is_silent, waits) = (Arc::clone(&is_silent), Arc::clone(&waits));
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(read) = from.read(&mut buffer) {
                            if read == 0 && !is_silent.load(Ordering::SeqCst) {
                                let _ = to.shutdown(Shutdown::Write);
                            }
                            if read == 0 {
                                return;
                            }
                            std::thread::sleep(Duration::from_millis(waits.load(Ordering::SeqCst)));
                            if !is_silent.load(Ordering::SeqCst) && to.write_all(&buffer[..read]).is_err() {
                                return;
                            }
                        }
                    });
                }
            }
        });
        Self { address, silent, delay, open }
    }

    /// Ends every connection without a word.
    pub(super) fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }
}
