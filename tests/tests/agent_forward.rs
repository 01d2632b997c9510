//! `kmss audit agent`: what is recorded arrives where it should, whatever happens to the agent or to the receiver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::http::Receiver;
use kmss_tests::program::{Program, Running, free_port, needs, needs_file};
use serde_json::Value;

const TOKEN: &str = "main";
const SECRET: &str = "a secret of thirty-two characters";

/// A home with a token, whose configuration holds `more`.
fn home(more: &str) -> Home {
    let home = Home::with_token(TOKEN);
    configure(&home, more);
    home
}

fn configure(home: &Home, more: &str) {
    fs::write(home.path().join("kmss.toml"), format!("[audit.agent]\npoll_ms = 20\nheartbeat_s = 0\n\n{more}"))
        .unwrap();
}

fn webhook(home: &Home, port: u16, more: &str) -> String {
    fs::write(home.file("secret"), SECRET).unwrap();
    fs::set_permissions(home.file("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let secret = home.file("secret");
    format!(
        "[[audit.forward]]\nname = \"hook\"\nto = \"http://127.0.0.1:{port}/audit?key=1\"\nallow_plaintext = true\n\
         secret_file = \"{}\"\nretry_max_s = 1\n{more}\n",
        secret.display()
    )
}

fn agent(home: &Home) -> Running {
    home.kmss("audit agent").keep_running()
}

/// What is said of a destination.
fn state(home: &Home, name: &str) -> Value {
    let status = json_items(&home.kmss("audit agent status --json").succeed());
    status[0]["destinations"][name].clone()
}

/// Makes `count` keys.
fn work(home: &Home, count: usize) {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    for n in 0..count {
        let before = MADE.fetch_add(1, Ordering::Relaxed);
        home.kmss(&format!("key generate k{n}-{before} --token {TOKEN} --type aes:256")).succeed();
    }
}

/// Names of all events, in the order of their segments.
fn events(home: &Home) -> Vec<String> {
    let said = home.kmss("audit tail -n 100000 --ids --json").succeed();
    json_items(&said).iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

/// Asks for each event, and for each segment's in their order.
#[track_caller]
fn all_arrived(home: &Home, arrived: &[String]) {
    let (wanted, got): (BTreeSet<_>, BTreeSet<_>) =
        (events(home).into_iter().collect(), arrived.iter().cloned().collect());
    assert_eq!(wanted.difference(&got).count(), 0, "{:?} did not arrive", wanted.difference(&got).collect::<Vec<_>>());
    in_order(arrived);
}

/// Of each segment, records come in their order the first time.
#[track_caller]
fn in_order(arrived: &[String]) {
    let mut last = std::collections::BTreeMap::new();
    let mut seen = BTreeSet::new();
    for id in arrived.iter().filter(|id| seen.insert((*id).clone())) {
        let (segment, seq) = id.split_once(':').unwrap();
        let seq: u64 = seq.parse().unwrap();
        let before = last.insert(segment.to_owned(), seq);
        assert!(before.is_none_or(|before| before < seq), "{id} came behind {before:?}");
    }
}

#[test]
fn a_webhook_gets_every_record_once_signed_and_in_order() {
    if built::only_kmss("audit agent") {
        return;
    }
    needs(&["openssl"]);
    let receiver = Receiver::start(0);
    let home = home("");
    configure(&home, &webhook(&home, receiver.port(), "batch = 3"));
    work(&home, 3);
    let mut agent = agent(&home);
    agent.wait_until("the records of before", || receiver.ids().len() >= events(&home).len());
    work(&home, 2);
    agent.wait_until("the records of meanwhile", || receiver.ids().len() >= events(&home).len());
    let ids = receiver.ids();
    all_arrived(&home, &ids);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "none comes twice");
    let requests = receiver.requests();
    assert!(requests.iter().all(|request| request.json()["records"].as_array().unwrap().len() <= 3));
    let first = &requests[0];
    assert_eq!(first.json()["batch"].as_str().unwrap(), first.headers["webhook-id"]);
    assert_eq!(first.headers["content-type"], "application/json");
    // By another's hand.
    let signed = [
        first.headers["webhook-id"].as_bytes(),
        b".",
        first.headers["webhook-timestamp"].as_bytes(),
        b".",
        &first.body,
    ]
    .concat();
    let mac = Program::new("openssl").words("dgst -sha256 -binary -hmac").arg(SECRET).input(signed).succeed();
    let mac = Program::new("openssl").words("base64 -A").input(mac.stdout).succeed();
    assert_eq!(first.headers["webhook-signature"], format!("v1,{}", mac.text().trim()));
    agent.wait_until("its status", || state(&home, "hook")["state"] == "up");
    let status = json_items(&home.kmss("audit agent status --json").succeed());
    assert_eq!(status[0]["running"], true);
    // A second one would send everything twice.
    home.kmss("audit agent").fail().mentions("runs on this home already");
    agent.signal(15);
    assert!(agent.wait_end().success(), "{}", agent.said());
    let status = json_items(&home.kmss("audit agent status --json").succeed());
    assert_eq!((&status[0]["running"], &status[0]["destinations"]["hook"]["lag_bytes"]), (&false.into(), &0.into()));
    home.audit_is_whole();
}

#[test]
fn what_a_receiver_does_not_take_waits_and_arrives_in_order() {
    if built::only_kmss("audit agent") {
        return;
    }
    let port = free_port();
    let home = home("");
    configure(&home, &webhook(&home, port, ""));
    let mut agent = agent(&home);
    work(&home, 1);
    agent.wait_until("a receiver that is not there", || state(&home, "hook")["state"] == "down");
    assert!(state(&home, "hook")["lag_bytes"].as_u64().unwrap() > 0);
    let receiver = Receiver::start(port);
    receiver.answer(503);
    agent.wait_until("a receiver that refuses", || receiver.requests().len() >= 2);
    // Whoever asks for a batch again calls it by the same name.
    let names: BTreeSet<String> = receiver.requests().iter().map(|r| r.headers["webhook-id"].clone()).collect();
    work(&home, 2);
    let told = || state(&home, "hook")["last_error"].as_str().unwrap_or_default().to_owned();
    agent.wait_until("its status", || told().contains("503"));
    assert!(!told().contains("key=1"), "{}", told());
    assert_eq!(names.len(), 1, "{names:?}");
    receiver.answer(200);
    agent.wait_until("all records", || receiver.ids().len() >= events(&home).len());
    all_arrived(&home, &receiver.ids());
}

#[test]
fn a_killed_agent_loses_nothing() {
    if built::only_kmss("audit agent") {
        return;
    }
    let receiver = Receiver::start(0);
    let home = home("");
    configure(&home, &webhook(&home, receiver.port(), "batch = 2"));
    for round in 0..6 {
        let before = receiver.ids().len();
        let mut agent = agent(&home);
        work(&home, 2);
        agent.wait_until("some records", || receiver.ids().len() > before + round % 3);
        agent.signal(9);
        agent.wait_end();
    }
    work(&home, 1);
    home.kmss("audit agent --once").succeed();
    let ids = receiver.ids();
    all_arrived(&home, &ids);
    // The one batch that was on its way, each time.
    let twice = ids.len() - ids.iter().collect::<BTreeSet<_>>().len();
    assert!(twice <= 6 * 2, "{twice} came twice");
}

#[test]
fn filters_and_formats_are_those_of_the_destination() {
    if built::only_kmss("audit agent") {
        return;
    }
    let (all, some) = (Receiver::start(0), Receiver::start(0));
    let to = |name: &str, port: u16, more: &str| {
        format!(
            "[[audit.forward]]\nname = \"{name}\"\nto = \"http://127.0.0.1:{port}/\"\nallow_plaintext = true\n{more}\n\n"
        )
    };
    let some_more = "only = [{ action = \"generate\", outcome = \"success\" }]\nformat = \"ocsf\"";
    let home = home(&[to("all", all.port(), "records = \"all\""), to("some", some.port(), some_more)].concat());
    work(&home, 2);
    home.kmss("audit agent --once").succeed();
    assert!(all.records().iter().any(|record| record["kind"] == "genesis"));
    let made = some.records();
    assert_eq!(made.len(), 2, "{made:?}");
    assert!(made.iter().all(|event| event["class_uid"] == 6003 && event["activity_name"] == "Create"), "{made:?}");
    assert!(made.iter().all(|event| event["actor"]["process"]["pid"].as_u64() > Some(0)));
    let ids = all.ids();
    assert!(made.iter().all(|event| ids.contains(&event["metadata"]["uid"].as_str().unwrap().to_owned())));
}

#[test]
fn a_new_destination_may_begin_with_what_comes() {
    if built::only_kmss("audit agent") {
        return;
    }
    let receiver = Receiver::start(0);
    let home = home("");
    work(&home, 1);
    configure(&home, &webhook(&home, receiver.port(), "from = \"newest\""));
    let before = events(&home);
    home.kmss("audit agent --once").succeed();
    assert!(receiver.ids().is_empty());
    work(&home, 1);
    home.kmss("audit agent --once").succeed();
    let arrived = receiver.ids();
    assert!(!arrived.is_empty() && arrived.iter().all(|id| !before.contains(id)), "{arrived:?}");
}

#[test]
fn a_program_that_fails_is_asked_again_and_one_that_hangs_is_ended() {
    if built::only_kmss("audit agent") {
        return;
    }
    let home = home("");
    let program = home.file("take");
    let to = format!(
        "[[audit.forward]]\nname = \"mail\"\nto = \"command:{}\"\ntimeout_s = 1\nretry_max_s = 1\n",
        program.display()
    );
    configure(&home, &to);
    write_program(&program, "exit 7");
    work(&home, 1);
    let said = home.kmss("audit agent --once").run();
    assert_eq!(said.code(), Some(4), "{said}");
    assert!(said.all().contains("exit status: 7"), "{said}");
    write_program(&program, "sleep 60");
    let said = home.kmss("audit agent --once").run();
    assert!(said.code() == Some(4) && said.all().contains("took more than 1 s"), "{said}");
    let out = home.file("out");
    write_program(&program, &format!("cat >>{}", out.display()));
    home.kmss("audit agent --once").succeed();
    let lines = fs::read_to_string(&out).unwrap();
    let arrived: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(arrived.len(), events(&home).len());
    all_arrived(&home, &arrived);
}

fn write_program(path: &Path, text: &str) {
    let draft = path.with_extension("new");
    fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&draft, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::rename(&draft, path).unwrap();
}

#[test]
fn what_cannot_be_meant_is_refused_at_the_start() {
    if built::only_kmss("audit agent") {
        return;
    }
    let home = home("[[audit.forward]]\nname = \"a\"\nto = \"tcp://localhost:1\"\n");
    home.kmss("audit agent").fail().mentions("allow_plaintext");
    configure(&home, "[[audit.forward]]\nname = \"a\"\nto = \"journald\"\nfrom_ = 1\n");
    home.kmss("audit agent").fail().mentions("did you mean `from`?");
    configure(&home, "[[alarm]]\nname = \"a\"\nwhen = \"audit-gap\"\nnotify = [\"pager\"]\n");
    home.kmss("audit agent").fail().mentions("`pager`");
    if built::is_root() {
        // Whoever may write this file could have root run programs.
        configure(&home, "[[audit.forward]]\nname = \"a\"\nto = \"command:/bin/true\"\n");
        Program::new("chown").args(["-R", "nobody"]).arg(home.path()).succeed();
        home.kmss("audit agent --once").fail().mentions("run the agent as that user");
    }
}

/// A journal of its own, in a file system of its own.
const JOURNAL: &str = r#"
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald 2>/run/journald.log &
for _ in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$KMSS" audit agent --once
for _ in $(seq 100); do
    journalctl --quiet --no-pager -o json -t kmss >"$OUT"
    [ "$(wc -l <"$OUT")" -ge "$WANTED" ] && break
    sleep 0.1
done
kill %1
"#;

#[test]
fn the_journal_takes_records_with_their_fields() {
    if built::only_kmss("audit agent") {
        return;
    }
    if !built::is_root() || !Path::new("/lib/systemd/systemd-journald").exists() {
        built::skipped("a journal of its own takes root and systemd");
        return;
    }
    needs(&["unshare"]);
    let home = home("[[audit.forward]]\nname = \"journal\"\nto = \"journald\"\n");
    work(&home, 2);
    let (out, wanted) = (home.file("journal"), events(&home));
    let script = home.program("unshare").args(["--mount", "--fork", "bash", "-c", JOURNAL]);
    let script = script.env("KMSS", built::command()).env("OUT", &out).env("WANTED", wanted.len().to_string());
    script.succeed();
    let text = fs::read_to_string(&out).unwrap();
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let arrived: Vec<String> = entries.iter().map(|entry| entry["KMSS_ID"].as_str().unwrap().to_owned()).collect();
    all_arrived(&home, &arrived);
    let made = entries.iter().find(|e| e["KMSS_ACTION"] == "generate" && e["KMSS_OUTCOME"] == "success").unwrap();
    assert!(made["MESSAGE"].as_str().unwrap().starts_with("success generate secret k0"), "{made}");
    let record: Value = serde_json::from_str(made["KMSS_RECORD"].as_str().unwrap()).unwrap();
    assert_eq!((&record["id"], &made["PRIORITY"]), (&made["KMSS_ID"], &"6".into()));
}

/// Certificates for `localhost`: `ca.pem`, and `server` and `client` with their keys.
fn certificates(home: &Home) {
    let openssl = |words: &str| Program::new("openssl").words(words).within(home.folder()).succeed();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -days 2 -subj /CN=ca -keyout ca.key -out ca.pem"));
    fs::write(home.file("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for name in ["server", "client"] {
        openssl(&format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.pem"
        ));
    }
}

fn rsyslog(home: &Home, port: u16) -> Running {
    let folder = home.folder().display();
    let text = format!(
        "global(defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=\"{folder}/ca.pem\"\n\
         defaultNetstreamDriverCertFile=\"{folder}/server.pem\" defaultNetstreamDriverKeyFile=\"{folder}/server.key\"\n\
         maxMessageSize=\"64k\" workDirectory=\"{folder}\")\n\
         module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/certvalid\")\n\
         input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
         template(name=\"raw\" type=\"string\" string=\"%syslogfacility-text%.%syslogseverity-text% %app-name% %msgid% %msg%\\n\")\n\
         action(type=\"omfile\" file=\"{folder}/received\" template=\"raw\")\n"
    );
    fs::write(home.file("rsyslog.conf"), text).unwrap();
    let program =
        Program::new("rsyslogd").args(["-n", "-f"]).arg(home.file("rsyslog.conf")).arg("-i").arg(home.file("pid"));
    let mut running = program.keep_running();
    running.wait_until("listening", || kmss_tests::program::listens(port));
    running
}

/// Names of the records that rsyslog has written.
fn received(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.file("received")).unwrap_or_default();
    let records = text.lines().filter_map(|line| line.split_once('{').map(|(_, json)| format!("{{{json}")));
    records.filter_map(|json| serde_json::from_str::<Value>(&json).ok()?["id"].as_str().map(str::to_owned)).collect()
}

#[test]
fn rsyslog_takes_records_over_tls_and_gets_those_that_it_missed() {
    if built::only_kmss("audit agent") {
        return;
    }
    needs(&["rsyslogd", "openssl"]);
    needs_file("/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so");
    let home = home("");
    certificates(&home);
    let (port, folder) = (free_port(), home.folder().display());
    let to = format!(
        "[[audit.forward]]\nname = \"siem\"\nto = \"tls://localhost:{port}\"\nca_file = \"{folder}/ca.pem\"\nretry_max_s = 1\n"
    );
    let client = format!("client_certificate = \"{folder}/client.pem\"\nclient_key = \"{folder}/client.key\"\n");
    configure(&home, &to);
    let mut server = rsyslog(&home, port);
    work(&home, 2);
    // Without a certificate of its own it is turned away, and everything waits.
    let said = home.kmss("audit agent --once").run();
    assert_eq!(said.code(), Some(4), "{said}");
    assert!(received(&home).is_empty());
    configure(&home, &[to.as_str(), &client].concat());
    let mut agent = agent(&home);
    agent.wait_until("the first records", || received(&home).len() >= events(&home).len());
    let lines = fs::read_to_string(home.file("received")).unwrap();
    assert!(lines.contains("authpriv.info kmss generate "), "{lines}");
    // It goes, in the middle of things, and comes back later.
    server.signal(15);
    server.wait_end();
    drop(server);
    work(&home, 2);
    let _server = rsyslog(&home, port);
    work(&home, 1);
    agent.wait_until("all records", || {
        let (wanted, got): (BTreeSet<_>, BTreeSet<_>) =
            (events(&home).into_iter().collect(), received(&home).into_iter().collect());
        wanted.is_subset(&got)
    });
    agent.signal(15);
    assert!(agent.wait_end().success(), "{}", agent.said());
    all_arrived(&home, &received(&home));
    let status = json_items(&home.kmss("audit agent status --json").succeed());
    assert_eq!(status[0]["destinations"]["siem"]["lag_bytes"], 0, "{:?}", status[0]);
}

#[test]
fn a_receiver_that_shows_the_wrong_certificate_gets_nothing() {
    if built::only_kmss("audit agent") {
        return;
    }
    needs(&["rsyslogd", "openssl"]);
    let home = home("");
    certificates(&home);
    let (port, folder) = (free_port(), home.folder().display());
    let client = format!("client_certificate = \"{folder}/client.pem\"\nclient_key = \"{folder}/client.key\"\n");
    let to = format!("[[audit.forward]]\nname = \"siem\"\nto = \"tls://localhost:{port}\"\n{client}");
    let _server = rsyslog(&home, port);
    work(&home, 1);
    // Another's name; another's authority.
    for more in [
        format!("ca_file = \"{folder}/ca.pem\"\nserver_name = \"example.org\"\n"),
        format!("ca_file = \"{folder}/client.pem\"\n"),
    ] {
        configure(&home, &[to.as_str(), &more].concat());
        let said = home.kmss("audit agent --once").run();
        assert_eq!(said.code(), Some(4), "{said}");
        assert!(said.all().contains("TLS with"), "{said}");
    }
    assert!(received(&home).is_empty());
}

#[test]
fn the_service_manager_hears_that_it_is_ready_alive_and_stopping() {
    if built::only_kmss("audit agent") {
        return;
    }
    let home = home("");
    let path = home.file("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let hear = || {
        let mut heard = [0; 64];
        let len = manager.recv(&mut heard).unwrap();
        String::from_utf8(heard[..len].to_vec()).unwrap()
    };
    let agent = home.kmss("audit agent").env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "500000");
    let mut agent = agent.keep_running();
    assert_eq!(hear(), "READY=1");
    assert_eq!((hear(), hear()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    agent.signal(15);
    assert!(agent.wait_end().success());
    while hear() != "STOPPING=1" {}
}

#[test]
fn systemd_understands_the_unit() {
    if built::only_kmss("audit agent") {
        return;
    }
    needs(&["systemd-analyze"]);
    let unit = fs::read_to_string(built::workspace().join("agent/kmss-audit-agent.service")).unwrap();
    // Where it is installed there are the command and its pages.
    let unit = unit.replace("/usr/bin/kmss", &built::command().display().to_string());
    let lines = unit.split_inclusive('\n').filter(|line| !line.starts_with("Documentation="));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kmss-audit-agent.service");
    fs::write(&file, lines.collect::<String>()).unwrap();
    let said = Program::new("systemd-analyze").arg("verify").arg(&file).succeed();
    assert!(said.all().trim().is_empty(), "{said}");
}

/// Messages with their lengths before them, as many as are whole (RFC 6587, 3.4.1).
fn counted(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(space) = bytes.iter().position(|b| *b == b' ') {
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        let Some(message) = bytes.get(space + 1..space + 1 + length) else { break };
        found.push(String::from_utf8(message.to_vec()).unwrap());
        bytes = &bytes[space + 1 + length..];
    }
    found
}

/// The name of a message's record; its header is looked at by the way.
fn name_of(message: &str) -> String {
    let words: Vec<&str> = message.splitn(8, ' ').collect();
    assert!(words[0].starts_with('<') && words[0].ends_with(">1") && words[1].ends_with('Z'), "{message}");
    assert_eq!((words[3], words[6]), ("kmss", "[origin"), "{message}");
    let (_, json) = message.split_once("] ").unwrap();
    serde_json::from_str::<Value>(json).unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_stream_lost_on_the_way_is_sent_again() {
    if built::only_kmss("audit agent") {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let home = home("");
    let to = format!("[[audit.forward]]\nname = \"tcp\"\nto = \"tcp://127.0.0.1:{port}\"\nallow_plaintext = true\n");
    configure(&home, &format!("{to}retry_max_s = 1\nbatch = 2\n"));
    work(&home, 3);
    let mut agent = agent(&home);
    // Takes everything into its system, reads hardly any of it, and dies.
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        let mut some = [0; 100];
        std::io::Read::read_exact(&mut stream, &mut some).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        // With bytes unread, the system answers with a reset.
        drop(stream);
        work(&home, 1);
    }
    let (mut stream, _) = listener.accept().unwrap();
    let wanted = events(&home);
    stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let mut bytes = Vec::new();
    agent.wait_until("all records", || {
        let _ = std::io::Read::read_to_end(&mut stream, &mut bytes);
        let names: BTreeSet<String> = counted(&bytes).iter().map(|message| name_of(message)).collect();
        wanted.iter().all(|name| names.contains(name))
    });
    agent.signal(15);
    // It says that it has everything by closing its side.
    stream.set_read_timeout(None).unwrap();
    std::io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
    drop(stream);
    assert!(agent.wait_end().success(), "{}", agent.said());
    let names: Vec<String> = counted(&bytes).iter().map(|message| name_of(message)).collect();
    all_arrived(&home, &names);
    assert_eq!(state(&home, "tcp")["lag_bytes"], 0);
}

#[test]
fn datagrams_go_to_addresses_and_to_sockets_of_this_host() {
    if built::only_kmss("audit agent") {
        return;
    }
    let home = home("");
    let (path, udp) = (home.file("log"), std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let unix = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let port = udp.local_addr().unwrap().port();
    configure(
        &home,
        &format!(
            "[[audit.forward]]\nname = \"udp\"\nto = \"udp://127.0.0.1:{port}\"\nallow_plaintext = true\nformat = \"cef\"\n\n\
         [[audit.forward]]\nname = \"unix\"\nto = \"unix:{}\"\nfacility = \"local3\"\n",
            path.display()
        ),
    );
    work(&home, 1);
    let wanted = events(&home);
    let program = home.kmss("audit agent --once").keep_running();
    let mut buffer = vec![0; 65_536];
    let mut names = Vec::new();
    for _ in &wanted {
        let len = unix.recv(&mut buffer).unwrap();
        let message = String::from_utf8(buffer[..len].to_vec()).unwrap();
        // local3.info
        assert!(message.starts_with("<158>1 "), "{message}");
        names.push(name_of(&message));
    }
    all_arrived(&home, &names);
    for name in &wanted {
        let len = udp.recv(&mut buffer).unwrap();
        let message = String::from_utf8(buffer[..len].to_vec()).unwrap();
        assert!(message.contains("CEF:0|KMSS|KMSS|") && message.contains(&format!("externalId={name} ")), "{message}");
    }
    drop(program);
}

#[test]
fn what_is_recorded_is_sealed_soon() {
    if built::only_kmss("audit agent") {
        return;
    }
    let home = home("");
    // C2SP tlog-checkpoint: the log's name, the number of records, the root.
    let sealed = |home: &Home| -> u64 {
        let said = home.kmss("audit checkpoint").run();
        said.text().lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or(0)
    };
    let mut agent = agent(&home);
    agent.wait_until("the first checkpoint", || sealed(&home) > 0);
    work(&home, 1);
    let there = json_items(&home.kmss("audit tail -n 100000 --all --json").succeed()).len() as u64;
    agent.wait_until("the next checkpoint", || sealed(&home) >= there);
    agent.signal(15);
    assert!(agent.wait_end().success(), "{}", agent.said());
    assert!(agent.said().is_empty(), "{}", agent.said());
    home.audit_is_whole();
}
