//! A module in a process of its own, and what we say to it.

use crate::worker::{ColdResponse, Config, Request, Response};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

pub struct Peer {
    pub name: String,
    pub env: Vec<(String, String)>,
    /// A program that speaks the workers' protocol in the place of this one; it loads no module.
    pub program: Option<String>,
    pub cfg: Config,
    pub timeout: Duration,
    pub live: Option<Live>,
    pub about: String,
    pub rss_kib: u64,
}

pub struct Live {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Peer {
    fn spawn(&self, role: &str) -> Result<Live, String> {
        let exe = match &self.program {
            Some(program) => program.into(),
            None => std::env::current_exe().map_err(|e| e.to_string())?,
        };
        let mut child = Command::new(exe)
            .args(["--role", role])
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tx, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).all(|l| tx.send(l).is_ok()));
        let _ = writeln!(stdin, "{}", serde_json::to_string(&self.cfg).unwrap());
        Ok(Live { child, stdin, lines })
    }

    /// Waits for a line; a worker that dies or is silent for too long is ended.
    fn receive(&mut self) -> Response {
        let Some(live) = self.live.as_mut() else {
            return Response { error: "not running".into(), ..Default::default() };
        };
        let error = match live.lines.recv_timeout(self.timeout) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(r) => return r,
                Err(e) => format!("bad answer ({e})"),
            },
            Err(RecvTimeoutError::Timeout) => "no answer in time".to_string(),
            Err(RecvTimeoutError::Disconnected) => "the module's process died".to_string(),
        };
        let mut live = self.live.take().unwrap();
        let _ = live.child.kill();
        let error = match live.child.wait() {
            Ok(status) => format!("{error} ({status})"),
            Err(_) => error,
        };
        Response { error, ..Default::default() }
    }

    /// Sends one request; starts the worker if there is none.
    pub fn ask(&mut self, request: Request) -> Response {
        if self.live.is_none() {
            match self.spawn("worker") {
                Ok(live) => self.live = Some(live),
                Err(error) => return Response { error, ..Default::default() },
            }
            let hello = self.receive();
            if !hello.error.is_empty() {
                self.stop();
                return hello;
            }
            self.about = hello.note;
        }
        let live = self.live.as_mut().unwrap();
        let _ = writeln!(live.stdin, "{}", serde_json::to_string(&request).unwrap());
        self.receive()
    }

    /// Lets the worker finish (C_Finalize) and go.
    pub fn stop(&mut self) {
        if self.live.is_some() {
            let r = self.ask(Request::Rss);
            self.rss_kib = self.rss_kib.max(r.rss_kib);
        }
        if let Some(Live { mut child, stdin, lines }) = self.live.take() {
            drop(stdin);
            let end = Instant::now() + Duration::from_secs(20);
            while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
            drop(lines);
        }
    }

    /// One whole start in a fresh process.
    pub fn cold(&self) -> Result<(ColdResponse, f64), String> {
        let start = Instant::now();
        let Live { mut child, stdin, lines } = self.spawn("cold")?;
        drop(stdin);
        let line = lines.recv_timeout(self.timeout);
        if line.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        let wall = start.elapsed().as_secs_f64();
        let line = line.map_err(|_| format!("no answer ({status})"))?;
        let r: ColdResponse = serde_json::from_str(&line).map_err(|e| e.to_string())?;
        if r.error.is_empty() {
            Ok((r, wall))
        } else {
            Err(r.error)
        }
    }
}
