//! nginx with its key in the token: a root master, three workers under another uid, reloads and killed workers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::openssl::{ENGINE, Engine, key_uri};
use kmss_tests::program::{Program, Running, Said, free_port, listens, needs, needs_file};
use kmss_tests::remote::{Kmssd, keep_there};

const TOKEN: &str = "web";
const WORKERS: usize = 3;

/// nginx as it runs on a server, in a folder of its own.
struct Nginx<'h> {
    home: &'h Home,
    ports: Vec<(String, u16)>,
    running: Running,
}

/// The uid and gid of the workers.
fn www_data() -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|l| l.starts_with("www-data:")).expect("Debian has the user www-data");
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

/// False, said aloud, where nginx cannot be run as it is on a server.
fn can_run() -> bool {
    if !built::is_root() {
        built::skipped("nginx with a root master and www-data workers takes root");
        return false;
    }
    needs_file(ENGINE);
    needs(&["nginx", "curl"]);
    true
}

/// A home that root and the workers share, with keys and their certificates.
fn home() -> Home {
    let home = Home::new();
    if built::stand_in() {
        home.init_token(TOKEN);
    } else {
        home.kmss("home init --group www-data").succeed();
        home.init_token(TOKEN);
    }
    make_keys(&home);
    if built::stand_in() {
        let (uid, _) = www_data();
        Program::new("chown").arg("-R").arg(uid.to_string()).arg(home.path()).succeed();
    }
    home
}

/// As [`home`], with its keys on `server`.
fn home_of(server: &Kmssd) -> Home {
    let home = Home::new();
    home.kmss("home init --group www-data").succeed();
    keep_there(&home, TOKEN, &[server.uri()], "deadline_ms = 20000");
    make_keys(&home);
    home
}

/// Keys in the token, and their certificates beside the home.
fn make_keys(home: &Home) {
    let engine = Engine::new(home);
    for (key, kind, id) in [("rsa1", "rsa:2048", "01"), ("ec1", "ec:p256", "02")] {
        home.generate(TOKEN, key, kind, id);
        if built::stand_in() {
            let uri = key_uri(TOKEN, key);
            let request = "req -new -x509 -days 9 -subj /CN=localhost -addext subjectAltName=DNS:localhost {e} -key";
            engine.openssl(&format!("{request} {uri} -out {key}.crt")).succeed();
        } else {
            let sign = home
                .kmss(&format!("cert self-sign {key} --token {TOKEN} --subject CN=localhost --dns localhost --out"));
            sign.arg(home.file(&format!("{key}.crt"))).succeed();
        }
    }
}

impl<'h> Nginx<'h> {
    fn start(home: &'h Home) -> Self {
        let ports: Vec<(String, u16)> = ["rsa1", "ec1"].map(|key| (key.to_owned(), free_port())).into();
        let folder = home.folder().display();
        let servers: String = ports
            .iter()
            .map(|(key, port)| {
                format!(
                    "server {{ listen 127.0.0.1:{port} ssl; server_name localhost; ssl_certificate {folder}/{key}.crt; \
                     ssl_certificate_key \"engine:pkcs11:pkcs11:token={TOKEN};object={key};type=private;pin-value={PIN}\"; \
                     location / {{ return 200 \"{key} served\\n\"; }} }}\n"
                )
            })
            .collect();
        let text = format!(
            "user www-data;\ndaemon off;\nworker_processes {WORKERS};\npid {folder}/nginx.pid;\nerror_log stderr info;\n\
             ssl_engine pkcs11;\nenv OPENSSL_CONF;\nenv KMSS_HOME;\nenv SOFTHSM2_CONF;\nevents {{ worker_connections 64; }}\n\
             http {{ access_log off; ssl_session_cache off; ssl_session_tickets off; keepalive_timeout 0;\n\
             client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;\n\
             uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;\n{servers}}}\n"
        );
        fs::write(home.file("nginx.conf"), text).unwrap();
        let running = Self::program(home, &[]).keep_running();
        let mut nginx = Self { home, ports, running };
        let port = nginx.ports[0].1;
        nginx.running.wait_until("listening", || listens(port));
        nginx.wait_for_workers(&BTreeSet::new());
        nginx
    }

    fn program(home: &Home, more: &[&str]) -> Program {
        let nginx = home.program("nginx").env("OPENSSL_CONF", home.file("openssl.cnf"));
        nginx.arg("-e").arg("stderr").arg("-p").arg(home.folder()).arg("-c").arg(home.file("nginx.conf")).args(more)
    }

    /// The workers' process ids.
    fn workers(&self) -> BTreeSet<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.running.id());
        let text = fs::read_to_string(children).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Waits until three workers run, none of which is among `old`.
    fn wait_for_workers(&mut self, old: &BTreeSet<u32>) -> BTreeSet<u32> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let workers = self.workers();
            if workers.len() == WORKERS && workers.is_disjoint(old) {
                return workers;
            }
            assert!(Instant::now() < deadline, "workers {workers:?}, old {old:?}:\n{}", self.running.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One request over a connection of its own.
    fn fetch(&self, key: &str, port: u16) -> Said {
        self.fetches(key, port, 1)
    }

    /// Requests after each other, each over a connection of its own: the server keeps none.
    fn fetches(&self, key: &str, port: u16, times: usize) -> Said {
        let curl = Program::new("curl").words("-sS --retry 0 --no-sessionid --resolve");
        let curl = curl.arg(format!("localhost:{port}:127.0.0.1"));
        let curl = curl.arg("--cacert").arg(self.home.file(&format!("{key}.crt")));
        curl.args(vec![format!("https://localhost:{port}/"); times]).run()
    }

    /// Asks that new workers came in the place of those `before`, and that nothing went wrong.
    #[track_caller]
    fn survived(&mut self, before: &BTreeSet<u32>) {
        self.wait_for_workers(before);
        self.serves(3);
        let said = self.running.said();
        for trouble in ["exited on signal", "[alert]", "[emerg]", "panicked"] {
            assert!(!said.contains(trouble), "`{trouble}`:\n{said}");
        }
    }

    #[track_caller]
    fn serves(&self, times: usize) {
        for _ in 0..times {
            for (key, port) in &self.ports {
                let said = self.fetch(key, *port);
                assert!(said.success(), "{said}\n--- nginx\n{}", self.running.said());
                assert_eq!(said.text(), format!("{key} served\n"));
            }
        }
    }
}

#[test]
fn it_serves_through_reloads_and_killed_workers() {
    if !can_run() {
        return;
    }
    let home = home();
    let mut nginx = Nginx::start(&home);
    let first = nginx.wait_for_workers(&BTreeSet::new());
    nginx.serves(6);
    // A worker that was forked just now may still be root, until it gives that up.
    let of_worker = |worker: &u32| {
        let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
        let uids = status.lines().find_map(|l| l.strip_prefix("Uid:")).unwrap();
        uids.split_whitespace().all(|uid| uid == www_data().0.to_string())
    };
    nginx.running.wait_until("all workers run as www-data", || first.iter().all(of_worker));
    let mut old = first;
    for _ in 0..3 {
        let pid = fs::read_to_string(home.file("nginx.pid")).unwrap();
        assert_eq!(pid.trim().parse::<u32>().unwrap(), nginx.running.id());
        Nginx::program(&home, &["-s", "reload"]).succeed();
        let workers = nginx.wait_for_workers(&old);
        nginx.serves(3);
        old = workers;
    }
    let victim = *old.first().unwrap();
    Program::new("kill").args(["-9", &victim.to_string()]).succeed();
    nginx.wait_for_workers(&BTreeSet::from([victim]));
    nginx.serves(6);
    let said = nginx.running.said();
    for trouble in ["exited on signal 11", "exited on signal 6", "[alert] fork", "panicked"] {
        assert!(!said.contains(trouble), "`{trouble}`:\n{said}");
    }
    if built::stand_in() {
        return;
    }
    // The workers' operations are in the trail, and it is whole while they still run.
    home.audit_is_whole();
    let trail: Vec<serde_json::Value> = home.audit(500);
    let signatures = trail.iter().filter(|record| record.to_string().contains("sign")).count();
    assert!(signatures >= 2 * (6 + 9 + 6), "only {signatures} signatures are in the trail");
    // A worker signs under its own name, not under that of the master who logged in.
    let newest = trail.iter().rev().filter(|record| record["action"] == "sign" && record["outcome"] == "success");
    for record in newest.take(20) {
        assert_eq!(record["principal"], "user:www-data", "{record}");
    }
    // A revoked key serves no more handshake; the other one goes on.
    home.kmss(&format!("key disable rsa1 --token {TOKEN}")).succeed();
    let (rsa, ec) = (&nginx.ports[0], &nginx.ports[1]);
    assert!(!nginx.fetch(&rsa.0, rsa.1).success(), "a disabled key served a handshake");
    assert!(nginx.fetch(&ec.0, ec.1).success());
    home.kmss(&format!("key enable rsa1 --token {TOKEN}")).succeed();
    nginx.serves(1);
    // Whatever the workers made in the home belongs to its owner and group.
    let mut folders = vec![home.path()];
    let (_, gid) = www_data();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let data = entry.metadata().unwrap();
            assert_eq!(std::os::unix::fs::MetadataExt::gid(&data), gid, "`{}`", entry.path().display());
            if data.is_dir() {
                folders.push(entry.path());
            }
        }
    }
}

/// Twelve reloads, `each` after each, while a client shakes hands all the time.
fn storm(nginx: &Nginx<'_>, mut each: impl FnMut(u32)) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                nginx.serves(1);
            }
        });
        // The master takes the next one while workers of the last ones are still being forked.
        for round in 0..12 {
            nginx.running.signal(libc::SIGHUP);
            std::thread::sleep(Duration::from_millis(100));
            each(round);
        }
        over.store(true, Ordering::Relaxed);
        client.join().expect("every handshake was answered");
    });
}

/// Four clients at once, each shaking `times` hands with each key.
fn four_clients(nginx: &Nginx<'_>, times: usize) {
    let client = || {
        for (key, port) in &nginx.ports {
            let said = nginx.fetches(key, *port, times);
            assert!(said.success(), "{said}\n--- nginx\n{}", nginx.running.said());
            assert_eq!(said.text(), format!("{key} served\n").repeat(times));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(client);
        }
    });
}

#[test]
fn four_hundred_handshakes_at_once_are_all_answered() {
    if !can_run() {
        return;
    }
    let home = home();
    let nginx = Nginx::start(&home);
    four_clients(&nginx, 50);
    drop(nginx);
    if built::stand_in() {
        return;
    }
    home.audit_is_whole();
    let signed = |record: &serde_json::Value| record["action"] == "sign" && record["outcome"] == "success";
    assert!(
        home.audit(1000).iter().filter(|record| signed(record)).count() >= 400,
        "signatures are missing in the trail"
    );
}

#[test]
fn a_storm_of_reloads_loses_no_handshake() {
    if !can_run() {
        return;
    }
    let home = home();
    let mut nginx = Nginx::start(&home);
    let before = nginx.workers();
    storm(&nginx, |_| {});
    nginx.survived(&before);
    if !built::stand_in() {
        home.audit_is_whole();
    }
}

#[test]
fn with_its_keys_on_a_server_that_starts_again_in_the_storm_no_handshake_is_lost() {
    if !can_run() || built::only_kmss("a server") {
        return;
    }
    let mut server = Kmssd::start();
    let home = home_of(&server);
    let mut nginx = Nginx::start(&home);
    four_clients(&nginx, 50);
    let before = nginx.workers();
    storm(&nginx, |round| {
        if round == 5 {
            server.kill();
            server.run();
        }
    });
    nginx.survived(&before);
    drop(nginx);
    for home in [&home, &server.home] {
        home.audit_is_whole();
        let signed = |record: &serde_json::Value| record["action"] == "sign" && record["outcome"] == "success";
        let count = home.audit(2000).iter().filter(|record| signed(record)).count();
        assert!(count >= 400, "only {count} signatures are in the trail");
    }
}
