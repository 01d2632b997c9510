//! One connection to one server: a socket, perhaps TLS, HTTP/2, and the tasks that keep it going.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioIo;
use libkmss::clock::Clock;
use libkmss::error::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Status;
use tonic::body::Body;

use super::address::{Address, Names};
use super::drive::{Driver, TimedOut};
use super::tls::TlsSource;
use super::watched::{Failure, Watched};
use super::wire::{Socket, Wire};

/// What is spoken over: the socket, or TLS over it.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a call came to no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody is there, or not who should be. Nothing was asked.
    Unreachable(String),
    /// The connection broke with the question on its way: what became of it is not known.
    Broken(String),
    /// There was no answer in time: what became of the question is not known.
    Late,
    /// The server itself said no.
    Refused(Box<Status>),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "it cannot be reached: {why}"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
            Self::Late => f.write_str("no answer came within the deadline"),
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

/// An open connection, driven by whoever holds it.
pub(super) struct Connection {
    driver: Driver,
    channel: Channel,
    failure: Failure,
    socket: RawFd,
    epoch: u32,
    /// Number of the TLS configuration that it was made with; 0 where it is none.
    edition: u64,
}

impl Place {
    /// The number of the TLS configuration that new connections are made with.
    pub(super) fn edition(&self) -> u64 {
        match self.address {
            Address::Tcp { tls: true, .. } => self.tls.config(self.clock.monotonic()).map_or(0, |(edition, _)| edition),
            _ => 0,
        }
    }

    /// Connects; everything until HTTP/2 is agreed upon is done by `until`.
    pub(super) fn connect(&self, until: Duration) -> Result<Connection, Trouble> {
        let (socket, tls) = match &self.address {
            Address::Unix(path) => (self.to_path(path, until)?, None),
            Address::Tcp { host, port, tls } => {
                let config = if *tls { Some(self.configuration(host)?) } else { None };
                (self.to_host(host, *port, until)?, config)
            }
        };
        let socket = Arc::new(socket);
        let number = socket.number();
        let mut driver = Driver::new(Arc::clone(&socket), Arc::clone(&self.clock));
        let spawner = driver.spawner();
        let edition = tls.as_ref().map_or(0, |(edition, ..)| *edition);
        let failure = Failure::default();
        let noted = failure.clone();
        let greeting = async move {
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(Wire(socket)),
                Some((_, config, name)) => {
                    let stream = TlsConnector::from(config).connect(name, Wire(socket)).await;
                    Box::new(stream.map_err(|e| Trouble::Unreachable(chain(&e)))?)
                }
            };
            let agreed = http2::Builder::new(spawner.clone()).handshake(TokioIo::new(Watched(stream, noted))).await;
            let (sender, connection) = agreed.map_err(|e| Trouble::Unreachable(chain(&e)))?;
            hyper::rt::Executor::execute(&spawner, async move {
                // Why it ended is told by the call that it ended for.
                let _ = connection.await;
            });
            Ok(sender)
        };
        let sender = driver
            .run(greeting, &Cell::new(until))
            .map_err(|TimedOut| Trouble::Unreachable("it does not answer".to_owned()))??;
        let scheme = if edition == 0 { "http" } else { "https" };
        let origin = Uri::builder().scheme(scheme).authority(self.address.authority()).path_and_query("/").build();
        let origin = origin.map_err(|e| Trouble::Unreachable(e.to_string()))?;
        let channel = Channel { sender, origin };
        Ok(Connection { driver, channel, failure, socket: number, epoch: libkmss::os::epoch(), edition })
    }

    fn configuration(&self, host: &str) -> Result<(u64, Arc<ClientConfig>, ServerName<'static>), Trouble> {
        let config = self.tls.config(self.clock.monotonic());
        let (edition, config) = config.map_err(|e: Error| Trouble::Unreachable(e.sentence()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| Trouble::Unreachable(e.to_string()))?;
        Ok((edition, config, name))
    }

    fn to_path(&self, path: &Path, until: Duration) -> Result<Socket, Trouble> {
        Socket::to_path(path, until, &*self.clock).map_err(|e| Trouble::Unreachable(e.to_string()))
    }

    /// Tries one address after the other, each with its share of the time.
    fn to_host(&self, host: &str, port: u16, until: Duration) -> Result<Socket, Trouble> {
        let resolved = self.names.resolve(host, port, self.clock.monotonic());
        let resolved = resolved.map_err(|e| Trouble::Unreachable(format!("its name does not resolve: {e}")))?;
        let mut left = u32::try_from(resolved.len()).unwrap_or(u32::MAX);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in resolved {
            let now = self.clock.monotonic();
            let share = until.saturating_sub(now).checked_div(left).unwrap_or_default();
            left = left.saturating_sub(1);
            match Socket::to_address(address, now.saturating_add(share), &*self.clock) {
                Ok(socket) => return Ok(socket),
                Err(e) => last = e,
            }
        }
        self.names.forget();
        Err(Trouble::Unreachable(last.to_string()))
    }
}

impl Connection {
    /// Whether it can be used: it belongs to this process, is open as far as this side has heard, and was made with the
    /// certificates of now.
    pub(super) fn is_fit(&mut self, edition: u64) -> bool {
        if self.epoch != libkmss::os::epoch() || self.edition != edition {
            return false;
        }
        self.driver.settle();
        self.channel.sender.is_ready()
    }

    /// Whether this process made it.
    pub(super) fn is_ours(&self) -> bool {
        self.epoch == libkmss::os::epoch()
    }

    /// Its socket.
    pub(super) const fn number(&self) -> RawFd {
        self.socket
    }

    /// Makes a call by `ask` and waits for the answer until `until`. After any trouble but a refusal the connection is not to
    /// be used again.
    pub(super) fn call<T, F>(&mut self, until: &Cell<Duration>, ask: impl FnOnce(Channel) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        match self.driver.run(ask(self.channel.clone()), until) {
            Err(TimedOut) => Err(Trouble::Late),
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            // What the server says has no cause on this side.
            Ok(Err(status)) => Err(match std::error::Error::source(&status) {
                None => Trouble::Refused(Box::new(status)),
                Some(_) => Trouble::Broken(self.failure.cause().unwrap_or_else(|| chain(&status))),
            }),
        }
    }
}

/// What calls are sent through.
#[derive(Clone)]
pub struct Channel {
    sender: SendRequest<Body>,
    origin: Uri,
}

impl Channel {
    /// What its calls are addressed to.
    pub fn origin(&self) -> Uri {
        self.origin.clone()
    }
}

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // tonic makes an answer of the server's of what fails here: the call itself is to fail, with its cause.
        self.sender.poll_ready(context).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        cause = error.source();
    }
    told
}
