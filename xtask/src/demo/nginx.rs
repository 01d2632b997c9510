//! nginx with its private key in the token: root master, three `www-data` workers.

use super::openssl;
use super::scene::{Scene, WEB};
use crate::error::Error;
use crate::packages::is_root;
use crate::process::{Job, Output, Service};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

const WORKERS: usize = 3;
const LOG: &str = "nginx-error.log";

/// A running nginx; dropping it stops master and workers.
pub(super) struct Nginx<'s> {
    scene: &'s Scene<'s>,
    service: std::cell::RefCell<Service>,
    port: u16,
}

impl<'s> Nginx<'s> {
    /// Starts nginx on a free port and waits until it answers.
    pub(super) fn start(scene: &'s Scene<'s>) -> Result<Nginx<'s>, Error> {
        let port = free_port()?;
        let root = scene.make_folder("nginx")?;
        let openssl = openssl::config(scene)?;
        scene.write_secret("nginx.conf", &config(scene, &root, port))?;
        let job = command(scene).args(["-g", "daemon off;"]).env("OPENSSL_CONF", openssl);
        let service = job.start(&scene.file("nginx.out"))?;
        let nginx = Nginx { scene, service: service.into(), port };
        nginx.wait_until_up()?;
        Ok(nginx)
    }

    /// Fetches a page with fresh connections until every worker has answered once.
    pub(super) fn serve(&self) -> Result<Vec<String>, Error> {
        let mut workers = BTreeSet::new();
        let (mut fetched, end) = (0, Instant::now() + Duration::from_secs(10));
        while fetched < 6 || (workers.len() < WORKERS && Instant::now() < end) {
            workers.insert(self.page()?);
            fetched += 1;
        }
        let mut shown =
            vec![format!("HTTPS on port {}: {fetched} pages by curl, each with a handshake of its own", self.port)];
        if is_root() && workers.iter().any(|pid| user_of(pid).is_none_or(|uid| uid == "0")) {
            return Err(Error::check("a worker of nginx runs as root"));
        }
        let who = if is_root() { "root master, workers of user www-data" } else { "run as the present user" };
        shown.push(format!("{} workers answered, each signing with the token's key ({who})", workers.len()));
        Ok(shown)
    }

    /// Reloads while pages are fetched: none may fail, and new workers must take over.
    pub(super) fn reload(&self) -> Result<Vec<String>, Error> {
        let before = self.page()?;
        let old: BTreeSet<String> = workers_of(self.service.borrow().id());
        command(self.scene).args(["-s", "reload"]).env("OPENSSL_CONF", self.scene.file("openssl.cnf")).run()?;
        let (mut fetched, mut fresh, end) = (0, BTreeSet::new(), Instant::now() + Duration::from_secs(10));
        while fetched < 8 || (fresh.is_empty() && Instant::now() < end) {
            let pid = self.page()?;
            if pid != before && !old.contains(&pid) {
                fresh.insert(pid);
            }
            fetched += 1;
        }
        if fresh.is_empty() {
            return Err(Error::check(format!("no new worker answered after the reload{}", self.log())));
        }
        Ok(vec![format!("{fetched} pages while old workers went and {} new ones signed: none failed", fresh.len())])
    }

    /// Fetches one page, whatever comes of it.
    pub(super) fn fetch(&self) -> Result<Output, Error> {
        let url = format!("https://localhost:{}/", self.port);
        let curl = self.scene.client("curl").without_env("OPENSSL_CONF").without_env("https_proxy");
        let curl = curl.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--cacert", "web.crt"]);
        curl.arg("--resolve").arg(format!("localhost:{}:127.0.0.1", self.port)).arg(url).attempt()
    }

    /// Fetches one page, which says which worker answered.
    pub(super) fn page(&self) -> Result<String, Error> {
        let output = self.fetch()?;
        let worker = output.stdout.trim().strip_prefix("served by ").map(str::to_owned);
        match worker {
            Some(worker) if output.status.success() => {
                self.scene.signed(WEB);
                Ok(worker)
            }
            _ => Err(Error::check(format!("curl could not fetch a page: {}{}", output.text().trim(), self.log()))),
        }
    }

    fn wait_until_up(&self) -> Result<(), Error> {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if self.service.borrow_mut().ended().is_some() {
                break;
            }
            // A connection without a handshake: it makes no signature.
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            self.scene.project().interrupt.pause(Duration::from_millis(50))?;
        }
        Err(Error::check(format!("nginx did not start{}", self.log())))
    }

    /// The end of nginx's log, for messages.
    fn log(&self) -> String {
        let text = self.scene.read_log(LOG) + &self.scene.read_log("nginx.out");
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("[notice]")).collect();
        let skip = lines.len().saturating_sub(6);
        lines.iter().skip(skip).map(|line| format!("\n  | {line}")).collect()
    }
}

fn command(scene: &Scene<'_>) -> Job {
    scene.client("nginx").arg("-e").arg(scene.file(LOG)).arg("-c").arg(scene.file("nginx.conf"))
}

/// nginx clears its environment: what OpenSSL and KMSS read is named. No session is resumed, so that every page
/// costs a signature.
fn config(scene: &Scene<'_>, root: &Path, port: u16) -> String {
    let user = if is_root() { "user www-data;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", root.display()))
        .collect();
    format!(
        "{user}worker_processes {WORKERS};\n\
         pid {pid};\n\
         error_log {log} notice;\n\
         ssl_engine pkcs11;\n\
         env OPENSSL_CONF;\n\
         env KMSS_HOME;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n\
         \x20   access_log off;\n\
         {temporary}\
         \x20   server {{\n\
         \x20       listen 127.0.0.1:{port} ssl;\n\
         \x20       server_name localhost;\n\
         \x20       ssl_session_cache off;\n\
         \x20       ssl_session_tickets off;\n\
         \x20       ssl_certificate {certificate};\n\
         \x20       ssl_certificate_key \"engine:pkcs11:{uri};pin-value={pin}\";\n\
         \x20       location / {{ return 200 \"served by $pid\\n\"; }}\n\
         \x20   }}\n\
         }}\n",
        pid = scene.file("nginx.pid").display(),
        log = scene.file(LOG).display(),
        certificate = scene.file("web.crt").display(),
        uri = Scene::uri(WEB, "private"),
        pin = scene.pin(),
    )
}

/// The children of a process.
fn workers_of(master: u32) -> BTreeSet<String> {
    let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
    children.split_whitespace().map(str::to_owned).collect()
}

/// The effective user of a process. (The owner of its folder in /proc is root for one that may not be dumped.)
fn user_of(pid: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().nth(1).map(str::to_owned)
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(Error::file("listen on", Path::new("127.0.0.1")))
}
