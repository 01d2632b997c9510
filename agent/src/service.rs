//! What systemd is told (sd_notify(3)): ready, alive, stopping. Nothing where it does not ask.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager's ear.
#[derive(Debug)]
pub(crate) struct Service {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear of us.
    watchdog: Option<Duration>,
}

impl Service {
    /// As the environment says.
    pub(crate) fn of_environment() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| ours).map(Duration::from_micros);
        Self { socket: std::env::var_os("NOTIFY_SOCKET").and_then(socket), watchdog }
    }

    /// Half the time after which the watchdog bites.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.socket.is_some()).map(|time| time / 2)
    }

    /// Sends a state, such as `READY=1`.
    pub(crate) fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // A manager that does not listen is not our affair.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

fn socket(name: OsString) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    Some((UnixDatagram::unbound().ok()?, address.ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn states_arrive_at_sockets_with_and_without_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("kmss-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (listener, name) in [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&address).unwrap(), OsString::from(format!("@{abstract_name}"))),
        ] {
            let service = Service { socket: socket(name), watchdog: None };
            service.say("READY=1");
            let mut heard = [0; 16];
            let len = listener.recv(&mut heard).unwrap();
            assert_eq!(heard.get(..len), Some(b"READY=1".as_slice()));
        }
        Service { socket: None, watchdog: None }.say("READY=1");
    }
}
