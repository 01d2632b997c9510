//! The journal of this host, by its own protocol (systemd.io, "Native Journal Protocol"): fields in a datagram, or in a file
//! that is handed over where they are too many for one.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use libkmss::audit::Followed;
use libkmss::config::RecordFormat;
use libkmss::os::{sealed_memory_file, send_file};

use super::Destination;
use crate::batch::id;
use crate::error::ForwardError;
use crate::format::render;
use crate::text::{name, sentence, severity, text};

/// The journal.
pub(super) struct Journald {
    socket_path: PathBuf,
    format: RecordFormat,
    socket: Option<UnixDatagram>,
}

impl Journald {
    pub(super) fn new(format: RecordFormat, socket: &Path) -> Self {
        Self { socket_path: socket.to_owned(), format, socket: None }
    }

    fn hand_over(&mut self, entry: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => UnixDatagram::unbound()?,
        };
        match socket.send_to(entry, &self.socket_path) {
            Ok(_) => (),
            Err(e) if e.raw_os_error() == Some(TOO_LARGE) => {
                send_file(&socket, &self.socket_path, &sealed_memory_file(c"kmss-record", entry)?)?;
            }
            Err(e) => return Err(e),
        }
        self.socket = Some(socket);
        Ok(())
    }
}

/// EMSGSIZE on Linux.
const TOO_LARGE: i32 = 90;

/// A record as the journal takes it.
fn entry(format: RecordFormat, followed: &Followed) -> Vec<u8> {
    let record = &followed.entry.record;
    let object = record.object.as_ref();
    let writer = &followed.writer;
    let number = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
    let fields = [
        ("MESSAGE", sentence(record)),
        ("PRIORITY", severity(record).to_string()),
        ("SYSLOG_IDENTIFIER", "kmss".to_owned()),
        ("KMSS_ID", id(followed)),
        ("KMSS_KIND", record.kind.clone()),
        ("KMSS_TIME", record.time.0.to_string()),
        ("KMSS_ACTION", text(&record.action)),
        ("KMSS_OUTCOME", text(&record.outcome)),
        ("KMSS_ERROR", text(&record.error)),
        ("KMSS_PRINCIPAL", text(&record.principal)),
        ("KMSS_USER", text(&record.user)),
        ("KMSS_TENANT", text(&record.tenant)),
        ("KMSS_NAMESPACE", text(&record.namespace)),
        ("KMSS_OBJECT_NAME", object.map(name).unwrap_or_default()),
        ("KMSS_OBJECT_ID", object.map(|object| object.id.clone()).unwrap_or_default()),
        ("KMSS_MECHANISM", text(&record.mechanism)),
        ("KMSS_RULE", text(&record.rule)),
        ("KMSS_SEVERITY", text(&record.severity)),
        ("KMSS_PID", number(writer.pid)),
        ("KMSS_UID", number(writer.uid)),
        ("KMSS_EXECUTABLE", writer.executable.clone().unwrap_or_default()),
    ];
    let mut out = Vec::new();
    let rendered = render(format, followed).into_iter().map(|text| ("KMSS_RECORD", text));
    for (name, value) in fields.into_iter().chain(rendered).filter(|(_, value)| !value.is_empty()) {
        push(&mut out, name, value.as_bytes());
    }
    out
}

/// A field: its name, `=` and its value, or with a length where the value has lines.
fn push(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

impl Destination for Journald {
    fn send(&mut self, batch: &[Followed]) -> Result<(), ForwardError> {
        for followed in batch {
            let entry = entry(self.format, followed);
            let place = self.socket_path.display().to_string();
            self.hand_over(&entry).map_err(ForwardError::io("send to", &place))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_lines_have_their_length_before_them() {
        let mut out = Vec::new();
        push(&mut out, "A", b"b=c");
        push(&mut out, "D", b"e\nf");
        assert_eq!(out, b"A=b=c\nD\n\x03\0\0\0\0\0\0\0e\nf\n");
    }
}
