//! Programs that fork while one of their threads is connecting. A door of the test stands before the server, and lets nobody
//! through for a while: it says who waits there, and how the connections of both are kept apart.
#![allow(unsafe_code, reason = "a listener with room for nobody takes listen(2)")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use kmss_tests::remote::client_with;
use kmss_tests::{built, c};

use crate::kit::Kmssd;

/// What a door does with those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// They get through.
    Open,
    /// They are let in, and what they say is kept: nobody answers until the door opens.
    Silent,
    /// They are not let in: `connect(2)` goes on until the door opens.
    Shut,
}

/// Where the door leads.
enum Behind {
    Port(u16),
    Socket(PathBuf),
}

impl Behind {
    /// A connection to it, whatever kind of socket that is: they are written, read and shut down alike.
    fn connect(&self) -> std::io::Result<TcpStream> {
        match self {
            Self::Port(port) => TcpStream::connect(("127.0.0.1", *port)),
            Self::Socket(path) => UnixStream::connect(path).map(|stream| TcpStream::from(OwnedFd::from(stream))),
        }
    }
}

struct State {
    door: Door,
    /// Those who were let in since the door was closed, and said something.
    guests: usize,
    /// Those who are connected.
    inside: Vec<TcpStream>,
    ended: bool,
}

struct Shared {
    listener: TcpListener,
    behind: Behind,
    state: Mutex<State>,
    changed: Condvar,
}

/// Someone at the door of a server.
struct Porter {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Who takes the room for those who wait to be let in.
    crowd: Vec<TcpStream>,
}

impl Porter {
    fn new(behind: Behind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        // SAFETY: the descriptor is an open listener; listen(2) once more changes how many may wait, to none but the first.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let address = listener.local_addr().unwrap();
        let state = State { door: Door::Open, guests: 0, inside: Vec::new(), ended: false };
        let shared = Arc::new(Shared { listener, behind, state: Mutex::new(state), changed: Condvar::new() });
        let at = Arc::clone(&shared);
        thread::spawn(move || at.receive());
        Self { shared, address, crowd: Vec::new() }
    }

    /// Sends everybody away, and from now on does this with those who come.
    fn close(&mut self, door: Door) {
        let mut state = self.shared.state();
        state.door = door;
        state.guests = 0;
        for stream in state.inside.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        // On this host a connection is made at once, or there is no room for it.
        while door == Door::Shut
            && let Ok(stream) = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))
        {
            self.crowd.push(stream);
            assert!(self.crowd.len() < 100, "there is always room");
        }
    }

    /// Lets in those who wait, and everybody from now on.
    fn open(&mut self) {
        self.crowd.clear();
        self.shared.state().door = Door::Open;
        self.shared.changed.notify_all();
    }

    /// How many wait.
    fn waiting(&self) -> usize {
        let state = self.shared.state();
        if state.door != Door::Shut {
            return state.guests;
        }
        // proc(5): the remote address is the third column, and 02 in the fourth is SYN_SENT.
        let to = format!("0100007F:{:04X}", self.address.port());
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        columns.filter(|of| of.get(2) == Some(&to.as_str()) && of.get(3) == Some(&"02")).count()
    }

    /// How many came since the door was closed.
    fn guests(&self) -> usize {
        self.shared.state().guests
    }
}

impl Drop for Porter {
    fn drop(&mut self) {
        self.close(Door::Silent);
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn receive(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.ended {
                return;
            }
            // Under the lock: nobody is let in once the door is shut.
            if state.door != Door::Shut
                && let Ok((stream, _)) = self.listener.accept()
            {
                stream.set_nonblocking(false).unwrap();
                state.inside.push(stream.try_clone().unwrap());
                let at = Arc::clone(self);
                thread::spawn(move || at.guide(&stream));
            }
            drop(state);
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes the first words of whoever came, and passes them on once the door is open, with all that follows.
    fn guide(&self, near: &TcpStream) {
        let mut words = vec![0; 64 << 10];
        let said = { near }.read(&mut words).unwrap_or_default();
        if said == 0 {
            return;
        }
        let mut state = self.state();
        state.guests += 1;
        let state = self.changed.wait_while(state, |state| state.door != Door::Open && !state.ended).unwrap();
        if state.ended {
            return;
        }
        drop(state);
        let Ok(far) = self.behind.connect() else { return };
        thread::scope(|s| {
            s.spawn(|| pass(&far, near));
            if { &far }.write_all(&words[..said]).is_ok() {
                pass(near, &far);
            }
        });
    }
}

/// Passes on what `from` says until it ends.
fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// The sockets of a process, as proc(5) calls them.
fn sockets(pid: u32) -> BTreeSet<PathBuf> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let files = open.filter_map(|one| fs::read_link(one.unwrap().path()).ok());
    files.filter(|file| file.to_string_lossy().starts_with("socket:")).collect()
}

/// A scene of `fork.c`, whose thread and child wait at a closed door of the server at `uri`.
fn fork_at_the(door: Door, mut porter: Porter, uri: &str, more: &str, scene: &str) {
    let more = format!("deadline_ms = 100000\nnamespace = \"web\"\n{more}");
    let home = client_with("fork", &[format!("{uri}:{}", porter.address.port())], &more);
    home.generate("fork", "fork", "ec:p256", "01");
    let say = |what: &str| fs::write(home.file(what), "").unwrap();
    let mut program = c::program(&home, "fork").args(["fork", "fork", scene]).keep_running();
    program.wait_until("its first signature", || home.file("warm").exists());
    porter.close(door);
    say("shut");
    program.wait_until("connecting", || porter.waiting() == 1);
    say("waits");
    program.wait_until("its child's connecting", || porter.waiting() == 2);
    let said = program.said();
    let child = said.lines().find_map(|line| line.strip_prefix("child ")).unwrap().parse().unwrap();
    let (own, childs) = (sockets(program.id()), sockets(child));
    assert!(own.is_disjoint(&childs) && own.len() == 1 && childs.len() == 1, "{own:?} {childs:?}");
    porter.open();
    let status = program.wait_end();
    assert!(status.success(), "{}", program.said());
    // A word of the child's in between, and the parent would have had to come again.
    assert_eq!(porter.guests(), 2, "each came once");
    home.audit_is_whole();
}

/// Over TLS: whoever comes says hello, and hears nothing.
fn over_tls(door: Door, scene: &str) {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("", "");
    let authority = server.authority.as_ref().unwrap();
    let (certificate, key) = authority.issue(&["DNS:host"], 0);
    let file = |name: &str, text: &str| {
        let path = server.home.file(name);
        fs::write(&path, text).unwrap();
        path
    };
    let more = format!(
        "ca = {:?}\ncertificate = {:?}\nkey = {:?}",
        server.home.file("ca.pem"),
        file("host.pem", &certificate),
        file("host.key", &key)
    );
    fork_at_the(door, Porter::new(Behind::Port(server.port())), "https://localhost", &more, scene);
    server.home.audit_is_whole();
}

/// In clear: whoever comes has asked their first question.
fn in_clear(scene: &str) {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let porter = Porter::new(Behind::Socket(server.socket().clone()));
    fork_at_the(Door::Silent, porter, "http://127.0.0.1", "", scene);
    server.home.audit_is_whole();
}

#[test]
fn a_fork_while_a_thread_waits_to_be_connected_costs_neither_process_anything() {
    over_tls(Door::Shut, "connecting");
}

#[test]
fn a_child_that_initialises_anew_while_its_parent_waits_to_be_connected_connects_by_itself() {
    over_tls(Door::Shut, "connecting-reinit");
}

#[test]
fn a_fork_in_the_midst_of_a_handshake_costs_neither_process_anything() {
    over_tls(Door::Silent, "connecting");
}

#[test]
fn a_child_that_initialises_anew_in_the_midst_of_its_parents_handshake_has_one_of_its_own() {
    over_tls(Door::Silent, "connecting-reinit");
}

#[test]
fn a_fork_before_the_first_answer_over_a_connection_costs_neither_process_anything() {
    in_clear("connecting");
}

#[test]
fn a_child_that_initialises_anew_before_its_parents_first_answer_asks_by_itself() {
    in_clear("connecting-reinit");
}
