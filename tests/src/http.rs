//! A receiver of POST requests, as small as can be: it keeps what it got, and answers what the test wants.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// What was received.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// What was answered.
    pub status: u16,
}

impl Request {
    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// A receiver on a port of the loopback.
pub struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    status: Arc<AtomicU16>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// One on `port`, 0 for any.
    ///
    /// # Panics
    /// Where the port is taken.
    #[must_use]
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let port = listener.local_addr().expect("it listens").port();
        let (requests, status, ended) =
            (Arc::default(), Arc::new(AtomicU16::new(200)), Arc::new(AtomicBool::new(false)));
        let state = (Arc::clone(&requests), Arc::clone(&status), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let (requests, status, ended) = state;
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let _ = serve(&stream, &requests, &status);
            }
        });
        Self { port, requests, status, ended, thread: Some(thread) }
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Answers with `status` from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }

    /// Everything received so far.
    ///
    /// # Panics
    /// Where the receiver did.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("nobody panicked").clone()
    }

    /// The records of all batches that were taken, in the order in which they came.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        let taken = self.requests().into_iter().filter(|request| request.status == 200);
        taken.flat_map(|request| request.json()["records"].as_array().cloned().unwrap_or_default()).collect()
    }

    /// The names of these records.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.records().iter().map(|record| record["id"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request on a connection.
fn serve(stream: &TcpStream, requests: &Mutex<Vec<Request>>, status: &AtomicU16) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let (mut line, mut headers) = (String::new(), BTreeMap::new());
    reader.read_line(&mut line)?;
    loop {
        line.clear();
        // Whoever is killed while it asks has asked for nothing.
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let status = status.load(Ordering::Acquire);
    if let Ok(mut requests) = requests.lock() {
        requests.push(Request { headers, body, status });
    }
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} Answer\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}
