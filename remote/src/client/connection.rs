//! One connection to one server: a socket, perhaps TLS, HTTP/2, and the task that keeps it going for all who call over it.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Uri;
use libkmss::clock::Clock;
use libkmss::error::Error;
use socket2::Domain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Status;

use super::address::{Address, Names};
use super::channel::{Channel, Cut, chain};
use super::drive::{Driver, TimedOut, alone};
use super::tls::TlsSource;
use super::watched::{Failure, Watched};
use super::wire::{Socket, Wire};

/// Room for what the server says before it is taken: of one call, and of all.
const WINDOWS: (u32, u32) = (2 << 20, 5 << 20);
/// Largest header list that is taken, in bytes.
const HEADERS: u32 = 16 << 10;
/// Calls at a time until the server has said how many it takes.
const FIRST_CALLS: usize = 100;

/// What is spoken over: the socket, or TLS over it.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a call came to no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody is there, or not who should be, or who takes no call from us. Nothing was done.
    Unreachable {
        /// Why.
        why: String,
        /// Whether another call says so of the same attempt, or others go through.
        again: bool,
    },
    /// The connection broke with the question on its way: what became of it is not known.
    Broken {
        /// What happened to it.
        why: String,
        /// Whether another call said so before of the same connection, or others go through.
        again: bool,
    },
    /// There was no answer in time: what became of the question is not known.
    Late {
        /// Whether nothing at all was heard meanwhile.
        silent: bool,
    },
    /// The server itself said no.
    Refused(Box<Status>),
}

impl Trouble {
    pub(super) fn unreachable(why: impl Into<String>) -> Self {
        Self::Unreachable { why: why.into(), again: false }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { why, .. } => write!(f, "it cannot be reached: {why}"),
            Self::Broken { why, .. } => write!(f, "the connection broke: {why}"),
            Self::Late { .. } => f.write_str("no answer came within the deadline"),
            Self::Refused(status) => write!(f, "{}", status.message()),
        }
    }
}

/// Whom a connection is to, with all that is needed to make one.
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) names: Names,
    pub(super) tls: Arc<TlsSource>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Makes a socket that is not connected yet.
pub(super) type Make<'a> = dyn Fn(Domain) -> io::Result<Arc<Socket>> + 'a;

/// An open connection, driven by those who call over it.
pub(super) struct Connection {
    driver: Driver,
    channel: Channel,
    failure: Failure,
    socket: Arc<Socket>,
    epoch: u32,
    /// Number of the TLS configuration that it was made with; 0 where it is none.
    edition: u64,
    /// Whether it gets no further calls.
    is_done: AtomicBool,
    /// Whether a call said that it broke.
    is_told: AtomicBool,
    /// Whether the server answered anything over it.
    has_answered: AtomicBool,
}

impl Place {
    /// The number of the TLS configuration that new connections are made with.
    pub(super) fn edition(&self) -> u64 {
        match self.address {
            Address::Tcp { tls: true, .. } => self.tls.edition(self.clock.monotonic()),
            _ => 0,
        }
    }

    /// Connects, with sockets that `make` makes; everything until HTTP/2 is agreed upon is done by `until`.
    pub(super) fn connect(&self, make: &Make<'_>, until: Duration) -> Result<Connection, Trouble> {
        let (socket, tls) = match &self.address {
            Address::Unix(path) => (self.to_path(make, path, until)?, None),
            Address::Tcp { host, port, tls } => {
                let config = if *tls { Some(self.configuration(host)?) } else { None };
                (self.to_host(make, (host, *port), until)?, config)
            }
        };
        let edition = tls.as_ref().map_or(0, |(edition, ..)| *edition);
        let failure = Failure::default();
        let (noted, wire) = (failure.clone(), Wire(Arc::clone(&socket)));
        let greeting = async move {
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(wire),
                Some((_, config, name)) => {
                    let stream = TlsConnector::from(config).connect(name, wire).await;
                    Box::new(stream.map_err(|e| Trouble::unreachable(chain(&e)))?)
                }
            };
            let (of_call, of_all) = WINDOWS;
            let agreed = h2::client::Builder::new()
                .enable_push(false)
                .initial_window_size(of_call)
                .initial_connection_window_size(of_all)
                .max_header_list_size(HEADERS)
                .initial_max_send_streams(FIRST_CALLS)
                .handshake(Watched(stream, noted));
            agreed.await.map_err(|e| Trouble::unreachable(chain(&e)))
        };
        let (sender, connection) = alone(&socket, &*self.clock, greeting, until)
            .map_err(|TimedOut| Trouble::unreachable("it does not answer".to_owned()))??;
        let task = Box::pin(async move {
            // Why it ended is told by the calls that it ended for.
            let _ = connection.await;
        });
        let scheme = if edition == 0 { "http" } else { "https" };
        let origin = Uri::builder().scheme(scheme).authority(self.address.authority()).path_and_query("/").build();
        let origin = origin.map_err(|e| Trouble::unreachable(e.to_string()))?;
        Ok(Connection {
            driver: Driver::new(task, Arc::clone(&socket), Arc::clone(&self.clock)),
            channel: Channel::new(sender, origin),
            failure,
            socket,
            epoch: libkmss::os::epoch(),
            edition,
            is_done: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            has_answered: AtomicBool::new(false),
        })
    }

    fn configuration(&self, host: &str) -> Result<(u64, Arc<ClientConfig>, ServerName<'static>), Trouble> {
        let config = self.tls.config(self.clock.monotonic());
        let (edition, config) = config.map_err(|e: Error| Trouble::unreachable(e.sentence()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| Trouble::unreachable(e.to_string()))?;
        Ok((edition, config, name))
    }

    fn to_path(&self, make: &Make<'_>, path: &Path, until: Duration) -> Result<Arc<Socket>, Trouble> {
        let socket = make(Domain::UNIX);
        let connected = socket.and_then(|socket| socket.connect_to_path(path, until, &*self.clock).map(|()| socket));
        connected.map_err(|e| Trouble::unreachable(e.to_string()))
    }

    /// Tries one address after the other, each with its share of the time.
    fn to_host(&self, make: &Make<'_>, to: (&str, u16), until: Duration) -> Result<Arc<Socket>, Trouble> {
        let (host, port) = to;
        let resolved = self.names.resolve(host, port, self.clock.monotonic());
        let resolved = resolved.map_err(|e| Trouble::unreachable(format!("its name does not resolve: {e}")))?;
        let mut left = u32::try_from(resolved.len()).unwrap_or(u32::MAX);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in resolved {
            let now = self.clock.monotonic();
            let share = until.saturating_sub(now).checked_div(left).unwrap_or_default();
            left = left.saturating_sub(1);
            let socket = make(Domain::for_address(address));
            let until = now.saturating_add(share);
            match socket.and_then(|socket| socket.connect_to(address, until, &*self.clock).map(|()| socket)) {
                Ok(socket) => return Ok(socket),
                Err(e) => last = e,
            }
        }
        self.names.forget();
        Err(Trouble::unreachable(last.to_string()))
    }
}

impl Connection {
    /// Whether further calls can go over it: it is open as far as is known, and was made with the certificates of now.
    pub(super) fn is_fit(&self, edition: u64) -> bool {
        self.edition == edition && !self.is_done.load(Ordering::Relaxed) && !self.driver.has_ended()
    }

    /// Finds out what happened to it while nobody called.
    pub(super) fn settle(&self) {
        self.driver.settle();
    }

    /// Whether this process made it.
    pub(super) fn is_ours(&self) -> bool {
        self.epoch == libkmss::os::epoch()
    }

    /// Whether the server answered anything over it.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Makes a call by `ask`, beside those of others, and waits for the answer until `until`, which may move while it comes.
    pub(super) fn call<T, F>(&self, until: &Cell<Duration>, ask: impl FnOnce(Channel) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let heard = self.socket.heard();
        match self.driver.run(ask(self.channel.clone()), until) {
            Err(TimedOut) => {
                // A server that answers others is slow with this call. One that says nothing may be gone without a word.
                let silent = self.socket.heard() == heard;
                self.is_done.fetch_or(silent, Ordering::Relaxed);
                Err(Trouble::Late { silent })
            }
            Ok(Ok(answer)) => {
                self.has_answered.store(true, Ordering::Relaxed);
                Ok(answer.into_inner())
            }
            // What the server says has no cause on this side.
            Ok(Err(status)) => Err(match std::error::Error::source(&status) {
                None => {
                    self.has_answered.store(true, Ordering::Relaxed);
                    Trouble::Refused(Box::new(status))
                }
                Some(_) => {
                    self.is_done.store(true, Ordering::Relaxed);
                    let again = self.is_told.swap(true, Ordering::Relaxed);
                    // It says so before it takes any call.
                    match Cut::turned_away(&status).filter(|_| !self.has_answered()) {
                        Some(why) => Trouble::Unreachable { why, again },
                        None => {
                            let why = self.failure.cause().unwrap_or_else(|| chain(&status));
                            Trouble::Broken { why, again }
                        }
                    }
                }
            }),
        }
    }
}
