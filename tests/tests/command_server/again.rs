//! What the command asks for again, where its connection breaks before the answer is there.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use kmss_tests::built;
use kmss_tests::home::json_items;
use remote::proto;
use serde_json::Value;

use crate::kit::{Client, Kmssd};
use crate::operator::Operator;

/// Longer than a server takes for anything here.
const LONG: Duration = Duration::from_secs(120);
/// What comes before the first frame of a connection (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// A way to a server that breaks at the first message that asks for a key of a certain name: it goes to the server, and what the
/// server says to it and after it does not come back.
struct Way {
    path: PathBuf,
    /// Says that the message came.
    came: Receiver<()>,
    /// Lets the connection end.
    end: Sender<()>,
}

impl Way {
    /// A way to `server`; `named` is the name.
    fn to(server: &Kmssd, named: &'static str) -> Self {
        let (path, there) = (server.home.file(&format!("way-{named}.sock")), server.socket().clone());
        let listener = UnixListener::bind(&path).unwrap();
        let ((say, came), (end, wait)) = (channel(), channel());
        thread::spawn(move || {
            let mut cut = Some((say, wait));
            for near in listener.incoming() {
                // Nobody is there while the server begins anew.
                let (Ok(near), Ok(far)) = (near, UnixStream::connect(&there)) else { continue };
                match cut.take() {
                    None => carry(near, far),
                    Some((say, wait)) => cut = until_it_comes(near, far, named, say, wait),
                }
            }
        });
        Self { path, came, end }
    }

    fn uri(&self) -> String {
        format!("unix:{}", self.path.display())
    }
}

/// Carries both ways, on threads of their own.
fn carry(near: UnixStream, far: UnixStream) {
    let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (far, near);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Carries both ways until a message names the key twice, as its name and its label; what it needs for the next connection, where
/// none did.
fn until_it_comes(
    mut near: UnixStream,
    mut far: UnixStream,
    named: &str,
    say: Sender<()>,
    wait: Receiver<()>,
) -> Option<(Sender<()>, Receiver<()>)> {
    let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    let (stop, stopped) = channel::<()>();
    let back = thread::spawn(move || {
        let mut bytes = [0; 1 << 14];
        while let Ok(len @ 1..) = from.read(&mut bytes) {
            if stopped.try_recv().is_ok() {
                return;
            }
            if to.write_all(&bytes[..len]).is_err() {
                return;
            }
        }
    });
    let mut preface = [0; PREFACE];
    let mut came = near.read_exact(&mut preface).and_then(|()| far.write_all(&preface)).is_err();
    let mut told = false;
    while !came {
        let mut frame = vec![0; 9];
        if near.read_exact(&mut frame).is_err() {
            break;
        }
        let len = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize;
        frame.resize(9 + len, 0);
        if near.read_exact(&mut frame[9..]).is_err() {
            break;
        }
        let is_data = frame[3] == 0;
        told = is_data && frame.windows(named.len()).filter(|part| *part == named.as_bytes()).count() > 1;
        if told {
            stop.send(()).unwrap();
        }
        if far.write_all(&frame).is_err() || told {
            came = true;
        }
    }
    if told {
        let _ = say.send(());
        let _ = wait.recv_timeout(LONG);
    }
    for stream in [&near, &far] {
        let _ = stream.shutdown(Shutdown::Both);
    }
    let _ = back.join();
    (!told).then_some((say, wait))
}

/// How many keys there are whose names begin so.
fn there(client: &Client, stem: &str) -> usize {
    let all = proto::ListObjectsRequest { namespace: "web".into(), page_size: 1000, ..Default::default() };
    let objects = client.wait(client.keys().list_objects(all)).unwrap().into_inner().objects;
    objects.iter().filter(|object| object.label.starts_with(stem.as_bytes())).count()
}

/// Runs `words` over a way that breaks when `named` is asked for; once there are `most` of `stem`, the server begins anew. What the
/// command says.
fn over_a_broken_way(server: &mut Kmssd, words: &str, (named, stem, most): (&'static str, &str, usize)) -> Vec<Value> {
    let way = Way::to(server, named);
    let me = Operator::at(&way.uri());
    thread::scope(|scope| {
        let command = scope.spawn(|| me.kmss(&format!("{words} --token web --json")).run());
        way.came.recv_timeout(LONG).unwrap();
        let client = server.client();
        let deadline = Instant::now() + LONG;
        while there(&client, stem) < most {
            assert!(Instant::now() < deadline, "they are not made");
            thread::sleep(Duration::from_millis(10));
        }
        drop(client);
        let mut running = server.running.take().unwrap();
        running.signal(libc::SIGKILL);
        let _ = running.wait_end();
        server.run();
        way.end.send(()).unwrap();
        let said = command.join().unwrap();
        assert!(said.success(), "{said}");
        let _ = fs::remove_file(&way.path);
        json_items(&said)
    })
}

#[test]
fn keys_whose_answer_was_lost_are_found_by_another_server_of_the_store() {
    if built::only_kmss("--server") {
        return;
    }
    let mut server = Kmssd::start("", "");
    let many = over_a_broken_way(&mut server, "key generate many --count 5 --type aes:256", ("many-1", "many-", 5));
    let names: Vec<_> = many.iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["many-1", "many-2", "many-3", "many-4", "many-5"]);
    let secret = over_a_broken_way(&mut server, "key generate secret --type aes:256", ("secret", "secret", 1));
    assert_eq!(secret[0]["name"], "secret");
    let pair = over_a_broken_way(&mut server, "key generate pair --type ec:p256", ("pair", "pair", 2));
    assert_eq!(pair[0]["name"], "pair");
    let client = server.client();
    assert_eq!(["many-", "secret", "pair"].map(|stem| there(&client, stem)), [5, 1, 2], "each was made once");
}

#[test]
fn keys_that_were_made_before_a_server_went_are_counted_and_the_rest_can_be_made() {
    if built::only_kmss("--server") {
        return;
    }
    let mut server = Kmssd::start("", "");
    let way = Way::to(&server, "k-257");
    let me = Operator::at(&way.uri());
    let said = thread::scope(|scope| {
        let words = "key generate k --count 300 --token web --type aes:256 --json";
        let command = scope.spawn(|| me.kmss(words).run());
        way.came.recv_timeout(LONG).unwrap();
        let mut running = server.running.take().unwrap();
        running.signal(libc::SIGKILL);
        let _ = running.wait_end();
        way.end.send(()).unwrap();
        command.join().unwrap()
    });
    assert!(!said.success());
    let said = said.mentions("256 of 300 keys were made").mentions("`k-257` to `k-300` some or all may exist");
    let said = said.mentions("--count 44 --from 257");
    let shown: Vec<Value> = serde_json::from_str(&said.text()).unwrap();
    assert_eq!((shown.len(), shown[255]["name"].as_str()), (256, Some("k-256")));
    server.run();
    let me = Operator::on_socket(&server);
    let client = server.client();
    match there(&client, "k-") {
        256 => {
            me.kmss("key generate k --count 44 --from 257 --token web --type aes:256").succeed();
            assert_eq!(there(&client, "k-"), 300);
        }
        // The server was quicker than its end.
        _ => {
            let again = me.kmss("key generate k --count 44 --from 257 --token web --type aes:256").fail();
            again.mentions("exists already");
        }
    }
}

#[test]
fn names_are_looked_for_whichever_way_is_shorter() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate fill --count 600 --token web --type aes:128").succeed();
    me.kmss("key generate other --token web --type ec:p256").succeed();
    me.kmss("key alias a-2 --to other --token web").succeed();
    // One name: by its name. Many: by all pages.
    for (count, from) in [(1, 600), (1000, 600)] {
        let words = format!("key generate fill --count {count} --from {from} --token web --type aes:128");
        me.kmss(&words).fail().mentions("`fill-600` exists already");
    }
    me.kmss("key generate a --count 2 --token web --type aes:128").fail().mentions("`a-2` exists already");
    me.kmss("key generate fill --count 2 --from 601 --token web --type aes:128").succeed();
}
