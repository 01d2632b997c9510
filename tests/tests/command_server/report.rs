//! Reports on the home of a server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use kmss_tests::built;
use kmss_tests::home::Home;
use serde_json::Value;

use crate::kit::Kmssd;
use crate::operator::{Operator, administered, administrator, myself, there};

const AUDITOR: &str = "[[principal]]\nname = \"user:bob\"\nsan = \"DNS:bob\"\nroles = [\"auditor\"]\n\
                       [[principal]]\nname = \"user:ann\"\nsan = \"DNS:ann\"\n";

#[test]
fn a_report_of_a_server_says_what_that_of_its_home_says() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    me.kmss("key generate front --token web --type ec:p256").succeed();
    me.kmss("key generate data --token web --type aes:256").succeed();
    me.kmss("cert self-sign front --token web --subject CN=front").succeed();
    me.kmss("token user add web ann").env("KMSS_NEW_PIN", "another-1234").succeed();
    me.kmss("block add --token web --key data --reason incident").succeed();
    me.kmss("key destroy data --token web --yes").fail();
    let until = me.json("report")[0]["generated"].as_str().unwrap().to_owned();
    let words = format!("report --since 2020-01-01 --until {until}");
    let (here, there) = (me.json(&words).remove(0), there(&server, &words).remove(0));
    for part in [
        "schema",
        "kmss",
        "home",
        "suite",
        "period",
        "max_age_days",
        "statement",
        "missing",
        "tokens",
        "keys",
        "certificates",
        "days",
        "uses",
        "denials",
        "failures",
        "logins",
        "changes",
        "weak_mechanisms",
    ] {
        assert_eq!(here[part], there[part], "{part}");
    }
    let fields = |report: &Value| report.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&here), fields(&there));
    assert_eq!((&here["audit"]["verdict"], here["coverage"].as_array().map(Vec::len)), (&"whole".into(), Some(4)));
    assert_eq!((here["keys"].as_array().map(Vec::len), &here["tokens"][0]["opened"]), (Some(2), &true.into()));
    assert_eq!(
        (&here["denials"]["rows"][0]["principal"], &here["missing"]),
        (&"user:me".into(), &Value::Array(vec![]))
    );

    // Every form, and what comes of it.
    me.kmss("report").succeed().mentions("KMSS report on").mentions("front");
    me.kmss("report --format html --output report.html --no-verify").succeed();
    let page = fs::read_to_string(me.folder.file("report.html")).unwrap();
    assert!(page.contains("front") && page.contains("Content-Security-Policy"));
    assert_eq!(fs::metadata(me.folder.file("report.html")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(me.kmss("report --fail-on denied").run().code(), Some(3));
    assert_eq!(me.kmss("report --fail-on weak,overdue,audit").run().code(), Some(0));
    assert_eq!(me.kmss("report --no-verify --fail-on audit").run().code(), Some(3));
    assert_eq!(me.json("report --max-age 7 --no-verify")[0]["max_age_days"], 7);
    me.kmss("report --token nothing").fail().mentions("the server says: no token is labelled `nothing`");
    me.kmss("report --since 2026-01-02 --until 2026-01-01").fail().mentions("the period ends before it begins");
    server.home.audit_is_whole();
}

#[test]
fn what_is_not_served_to_an_auditor_is_reported_without_what_is_private() {
    if built::only_kmss("--server") {
        return;
    }
    let settings = "[[server.namespace]]\nname = \"kept\"\npin_env = \"KMSS_PIN\"\nprincipals = [\"user:ann\"]\n";
    let home = Home::with_token("web");
    home.init_token("kept");
    let server = Kmssd::over(home, settings, &format!("{AUDITOR}{}", administrator()));
    let [ann, bob] = ["ann", "bob"].map(|name| Operator::by_certificate(&server, &[&format!("DNS:{name}")]));
    ann.kmss("key generate secret --token kept --type aes:256").succeed();
    ann.kmss("key generate pair --token kept --type ec:p256").succeed();
    bob.kmss("key generate open --token web --type aes:256").succeed();
    let report = bob.json("report --no-verify").remove(0);
    let keys = report["keys"].as_array().unwrap();
    let known: Vec<_> =
        keys.iter().map(|key| (key["name"].as_str().unwrap(), key["class"].as_str().unwrap())).collect();
    assert_eq!(known, [("pair", "public"), ("open", "secret")]);
    let missing = report["missing"].to_string();
    assert!(missing.contains("default/kept") && missing.contains("does not serve it to whoever asked"), "{missing}");
    let only = bob.json("report --token web --no-verify").remove(0);
    assert_eq!((only["tokens"].as_array().map(Vec::len), &only["missing"]), (Some(1), &Value::Array(vec![])));
    // Who is neither auditor nor administrator gets none.
    let said = ann.kmss("report").fail();
    assert_eq!(said.code(), Some(1));
    said.mentions("the server says: only an auditor or an admin");
}

#[test]
fn a_report_says_what_was_tampered_with_on_the_server() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", &myself());
    let me = Operator::on_socket(&server);
    me.kmss("key generate k --token web --type aes:256").succeed();
    let segments = fs::read_dir(server.home.path().join("audit")).unwrap().flatten().map(|one| one.path());
    let told = |path: &std::path::PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("generate"));
    let segment = segments.filter(|path| path.is_file()).find(told).unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replacen("generate", "generatf", 1)).unwrap();
    let report = me.json("report").remove(0);
    assert_eq!(report["audit"]["verdict"], "tampered");
    assert_eq!(me.kmss("report --fail-on audit").run().code(), Some(3));
}

/// Bytes that the server has read so far.
fn read_by(server: &Kmssd) -> u64 {
    let id = server.running.as_ref().unwrap().id();
    let text = fs::read_to_string(format!("/proc/{id}/io")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
fn a_server_stops_reading_when_whoever_asked_goes_away() {
    /// Lines of the big segment, and how often it is read at once: as often as one peer may.
    const LINES: usize = 120_000;
    const ASKED: u64 = 2;
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    me.kmss("key generate k --token web --type aes:256").succeed();
    me.file("open.kmss", "policy open\nallow anyone to anything\n");
    // One record again and again, in a segment of its own.
    let audit = server.home.path().join("audit");
    let mut files = fs::read_dir(&audit).unwrap().flatten().map(|one| one.path()).filter(|path| path.is_file());
    let told = |path: &std::path::PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("generate"));
    let segment = files.find(told).unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    let line = text.lines().find(|line| line.contains("generate")).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    let (_, rest) = name.split_once('-').unwrap();
    let (_, suffix) = rest.split_once('.').unwrap();
    let big = format!("{line}\n").repeat(LINES);
    fs::write(audit.join(format!("1000000000000-ffffffffffffffff.{suffix}")), &big).unwrap();

    for words in
        ["policy replay --policy open.kmss", "report --no-verify", "report", "audit verify", "policy explain 00000000"]
    {
        let before = read_by(&server);
        let begun = big.len() as u64 / 16;
        let mut asking: Vec<_> = (0..ASKED).map(|_| me.kmss(words).keep_running()).collect();
        asking[0].wait_until("reading", || read_by(&server) > before + begun);
        assert!(asking.iter_mut().all(|one| one.ended().is_none()), "{words}: it ended before it was ended");
        drop(asking);
        // All of them together would have read it so often.
        let mut last = read_by(&server);
        loop {
            std::thread::sleep(std::time::Duration::from_millis(500));
            let now = read_by(&server);
            if now == last {
                break;
            }
            last = now;
        }
        let read = last - before;
        assert!(read < (ASKED - 1) * big.len() as u64, "{words}: {read} bytes were read of {}", big.len());
    }
    // The threads are free again.
    me.kmss("audit export --format csv --action destroy").succeed();
}
