//! Syslog (RFC 5424): over TLS and TCP with octet counting (RFC 5425, section 4.3; RFC 6587, section 3.4.1), over UDP (RFC 5426)
//! and to a datagram socket of this host.
//!
//! Receivers answer nothing. Over a stream a record counts as received when the other side's system has acknowledged its
//! bytes and the connection has lived on for a while; what was sent shortly before a connection broke is sent again.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use libkmss::audit::Followed;
use libkmss::clock::Clock;
use libkmss::config::{Endpoint, ForwardConfig, RecordFormat};
use rustls::ClientConfig;

use super::Destination;
use super::connection::Connection;
use super::tls;
use crate::error::ForwardError;
use crate::format::{render, rfc3339};
use crate::text::severity;

/// How long a connection lives on before what was sent counts as received.
const SETTLES: Duration = Duration::from_secs(5);

/// A record as messages of syslog.
fn messages(facility: u8, format: RecordFormat, followed: &Followed) -> impl Iterator<Item = String> {
    let record = &followed.entry.record;
    let priority = facility.saturating_mul(8).saturating_add(severity(record));
    let host = followed.writer.host.as_deref().map_or_else(|| "-".to_owned(), |host| printable(host, 255));
    let process = followed.writer.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let what = record.action.as_deref().filter(|_| record.kind == "event").unwrap_or(&record.kind);
    let head = format!(
        "<{priority}>1 {} {host} kmss {process} {} [origin software=\"KMSS\" swVersion=\"{}\"]",
        rfc3339(record.time),
        printable(what, 32),
        env!("CARGO_PKG_VERSION")
    );
    render(format, followed).into_iter().map(move |message| format!("{head} {message}"))
}

/// PRINTUSASCII of RFC 5424, cut to `most`; nothing is `-`.
fn printable(text: &str, most: usize) -> String {
    let clean: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if clean.is_empty() { "-".to_owned() } else { clean }
}

/// A stream, with TLS or without.
pub(super) struct Stream {
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, String)>,
    facility: u8,
    format: RecordFormat,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    connection: Option<Connection>,
    /// Bytes that were written, and when.
    mark: Option<(u64, Duration)>,
}

impl Stream {
    pub(super) fn new(config: &ForwardConfig, clock: Arc<dyn Clock>) -> Result<Self, ForwardError> {
        let (host, port, tls) = match &config.to {
            Endpoint::SyslogTls(host, port) => {
                let name = config.server_name.clone().unwrap_or_else(|| host.clone());
                (host, *port, Some((tls::client(config, &format!("{host}:{port}"))?, name)))
            }
            Endpoint::SyslogTcp(host, port) => (host, *port, None),
            _ => return Err(ForwardError::Ended(config.name.clone())),
        };
        let timeout = Duration::from_secs(u64::from(config.timeout_s));
        let (facility, format) = (config.facility, config.format);
        Ok(Self { host: host.clone(), port, tls, facility, format, timeout, clock, connection: None, mark: None })
    }

    fn connection(&mut self) -> Result<&mut Connection, ForwardError> {
        if self.connection.is_none() {
            let tls = self.tls.as_ref().map(|(config, name)| (config, name.as_str()));
            self.connection = Some(Connection::open(&self.host, self.port, tls, self.timeout)?);
            self.mark = None;
        }
        self.connection.as_mut().ok_or_else(|| ForwardError::Ended(self.host.clone()))
    }

    /// What a lost connection leaves behind is nothing.
    fn or_lost<T>(&mut self, result: Result<T, ForwardError>) -> Result<T, ForwardError> {
        if result.is_err() {
            self.connection = None;
            self.mark = None;
        }
        result
    }
}

impl Destination for Stream {
    fn send(&mut self, batch: &[Followed]) -> Result<(), ForwardError> {
        let mut bytes = Vec::new();
        for message in batch.iter().flat_map(|followed| messages(self.facility, self.format, followed)) {
            bytes.extend_from_slice(format!("{} ", message.len()).as_bytes());
            bytes.extend_from_slice(message.as_bytes());
        }
        let sent = self.connection().and_then(|connection| {
            connection.look()?;
            connection.write(&bytes)
        });
        self.or_lost(sent)
    }

    fn is_settled(&mut self) -> Result<bool, ForwardError> {
        let Some(connection) = &mut self.connection else { return Ok(true) };
        let looked = connection.look().and_then(|()| connection.acknowledged());
        let there = self.or_lost(looked)?;
        let now = self.clock.monotonic();
        let settled = self.mark.is_none_or(|(upto, at)| there >= upto && now.saturating_sub(at) >= SETTLES);
        if settled {
            self.mark = None;
        }
        Ok(settled)
    }

    fn mark(&mut self) {
        let written = self.connection.as_ref().map(Connection::written);
        self.mark = written.filter(|written| *written > 0).map(|written| (written, self.clock.monotonic()));
    }

    fn finish(&mut self) -> Result<(), ForwardError> {
        self.mark = None;
        self.connection.take().map_or(Ok(()), Connection::finish)
    }
}

/// Datagrams, which get lost without a word.
pub(super) struct Datagrams {
    to: Endpoint,
    facility: u8,
    format: RecordFormat,
    socket: Option<Socket>,
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram, PathBuf),
}

impl Datagrams {
    pub(super) fn new(config: &ForwardConfig) -> Self {
        Self { to: config.to.clone(), facility: config.facility, format: config.format, socket: None }
    }

    fn open(&self) -> Result<Socket, ForwardError> {
        match &self.to {
            Endpoint::SyslogUnix(path) => {
                let place = path.display().to_string();
                let socket = UnixDatagram::unbound().map_err(ForwardError::io("open a socket for", &place))?;
                Ok(Socket::Unix(socket, path.clone()))
            }
            Endpoint::SyslogUdp(host, port) => {
                let place = format!("{host}:{port}");
                let any = if host.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
                let socket = UdpSocket::bind(any).and_then(|socket| {
                    socket.connect((host.as_str(), *port))?;
                    Ok(Socket::Udp(socket))
                });
                socket.map_err(ForwardError::io("open a socket for", &place))
            }
            _ => Err(ForwardError::Ended("no datagrams go there".to_owned())),
        }
    }
}

impl Destination for Datagrams {
    fn send(&mut self, batch: &[Followed]) -> Result<(), ForwardError> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.open()?,
        };
        for message in batch.iter().flat_map(|followed| messages(self.facility, self.format, followed)) {
            let (sent, place) = match &socket {
                Socket::Udp(socket) => (socket.send(message.as_bytes()), "the receiver".to_owned()),
                Socket::Unix(socket, path) => (socket.send_to(message.as_bytes(), path), path.display().to_string()),
            };
            sent.map_err(ForwardError::io("send to", &place))?;
        }
        self.socket = Some(socket);
        Ok(())
    }
}
