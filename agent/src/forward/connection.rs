//! A stream to a receiver that answers nothing, as syslog's: how much of what was written the other side has, and whether it is
//! still there.

use std::io::{self, Read as _, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use libkmss::os::unacknowledged;
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;

use crate::error::ForwardError;

/// A connection, with TLS or without.
pub(super) struct Connection {
    place: String,
    stream: Counted,
    tls: Option<Box<ClientConnection>>,
}

/// A stream that counts what is written to it.
struct Counted {
    stream: TcpStream,
    written: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes)?;
        self.written = self.written.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl io::Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }
}

impl Connection {
    /// Connects, and shakes hands where there is TLS.
    pub(super) fn open(
        host: &str,
        port: u16,
        tls: Option<(&Arc<ClientConfig>, &str)>,
        timeout: Duration,
    ) -> Result<Self, ForwardError> {
        let place = format!("{host}:{port}");
        let stream = connect(host, port, timeout).map_err(ForwardError::io("connect to", &place))?;
        let prepared = stream
            .set_read_timeout(Some(timeout))
            .and_then(|()| stream.set_write_timeout(Some(timeout)))
            .and_then(|()| stream.set_nodelay(true));
        prepared.map_err(ForwardError::io("prepare the connection to", &place))?;
        let mut this = Self { place, stream: Counted { stream, written: 0 }, tls: None };
        if let Some((config, name)) = tls {
            let failed = |source| ForwardError::Tls { place: this.place.clone(), source };
            let name = ServerName::try_from(name.to_owned()).map_err(|_| {
                let source = io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is no name of a host"));
                ForwardError::io("connect to", &this.place)(source)
            })?;
            let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(failed)?;
            while tls.is_handshaking() {
                tls.complete_io(&mut this.stream).map_err(|e| shaken(&this.place, e))?;
            }
            this.tls = Some(Box::new(tls));
        }
        Ok(this)
    }

    /// Writes all of it; the other side has it later.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ForwardError> {
        let failed = ForwardError::io("send to", &self.place);
        match &mut self.tls {
            None => self.stream.write_all(bytes).map_err(failed),
            Some(tls) => {
                let mut left = bytes;
                let mut send = || {
                    while !left.is_empty() {
                        let taken = tls.writer().write(left)?;
                        left = left.get(taken..).unwrap_or_default();
                        while tls.wants_write() {
                            tls.write_tls(&mut self.stream)?;
                        }
                    }
                    Ok(())
                };
                send().map_err(failed)
            }
        }
    }

    /// Bytes that went out so far.
    pub(super) const fn written(&self) -> u64 {
        self.stream.written
    }

    /// How many of them the other side's system has.
    pub(super) fn acknowledged(&self) -> Result<u64, ForwardError> {
        let left = unacknowledged(&self.stream.stream).map_err(ForwardError::io("look after", &self.place))?;
        Ok(self.stream.written.saturating_sub(u64::from(left)))
    }

    /// Asks whether the other side is still there, without waiting.
    pub(super) fn look(&mut self) -> Result<(), ForwardError> {
        let place = self.place.clone();
        self.stream.stream.set_nonblocking(true).map_err(ForwardError::io("look after", &place))?;
        let ended = self.ended();
        self.stream.stream.set_nonblocking(false).map_err(ForwardError::io("look after", &place))?;
        match ended {
            Ok(false) => Ok(()),
            Ok(true) => Err(ForwardError::Ended(place)),
            Err(e) => Err(e),
        }
    }

    /// Reads what the other side says, until it says no more; true where it has ended the connection.
    fn ended(&mut self) -> Result<bool, ForwardError> {
        let mut nothing = [0; 1024];
        loop {
            let read = match &mut self.tls {
                None => self.stream.stream.read(&mut nothing),
                Some(tls) => tls.read_tls(&mut self.stream.stream),
            };
            match read {
                Ok(0) => return Ok(true),
                Ok(_) => (),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(false),
                Err(e) => return Err(ForwardError::io("read from", &self.place)(e)),
            }
            if let Some(tls) = &mut self.tls {
                let failed = |source| ForwardError::Tls { place: self.place.clone(), source };
                let state = tls.process_new_packets().map_err(failed)?;
                if state.peer_has_closed() {
                    return Ok(true);
                }
                // What it says means nothing to us, and must not pile up.
                while tls.reader().read(&mut nothing).is_ok_and(|read| read > 0) {}
            }
        }
    }

    /// Says that no more comes, and waits until the other side has read all of it and says the same.
    pub(super) fn finish(mut self) -> Result<(), ForwardError> {
        let failed = || ForwardError::io("end the connection to", &self.place);
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            while tls.wants_write() {
                tls.write_tls(&mut self.stream).map_err(failed())?;
            }
        }
        self.stream.stream.shutdown(Shutdown::Write).map_err(failed())?;
        if self.ended()? {
            return Ok(());
        }
        let silent = io::Error::new(io::ErrorKind::TimedOut, "it does not say that it has read everything");
        Err(ForwardError::io("end the connection to", &self.place)(silent))
    }
}

fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn shaken(place: &str, error: io::Error) -> ForwardError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    match inner {
        Some(source) => ForwardError::Tls { place: place.to_owned(), source },
        None => ForwardError::io("shake hands with", place)(error),
    }
}
