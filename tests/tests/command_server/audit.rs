//! The audit of a server.

use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::program::Program;

use crate::kit::Kmssd;
use crate::operator::{Operator, myself};

#[test]
fn an_auditor_reads_verifies_and_proves_the_servers_audit() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", &myself());
    let me = Operator::on_socket(&server);
    me.kmss("key generate k --token web --type aes:256").succeed();
    me.kmss("audit checkpoint").fail().mentions("nothing is sealed yet");
    server.home.kmss("audit seal").succeed();
    // Byte for byte what is in the log: nothing is written meanwhile.
    for words in [
        "audit tail -n 50 --json --ids",
        "audit tail --all --token web --ids",
        "audit tail --action generate",
        "audit export --format csv",
        "audit export --format ocsf --action generate",
        "audit key",
        "audit key --root",
        "audit key --witness",
        "audit checkpoint",
        "alarm list",
    ] {
        assert_eq!(me.kmss(words).succeed().text(), server.home.kmss(words).succeed().text(), "{words}");
    }
    me.kmss("audit verify").succeed().mentions("The audit trail is whole");
    let report = &me.json("audit verify")[0];
    assert_eq!((&report["verdict"], &report["seal"]["unsealed"]), (&"whole".into(), &0.into()));
    // A proof that needs no server.
    let sealed = me.kmss("audit tail -n 1 --ids --action generate").succeed().text();
    let name = sealed.split_whitespace().next().unwrap().to_owned();
    me.kmss(&format!("audit prove {name} -o proof")).succeed();
    let keys = me.kmss("audit key").succeed().text();
    let keys = me.file("keys", &keys);
    let auditor = Program::new(built::auditor()).arg(me.folder.file("proof")).arg("--key").arg(keys);
    auditor.succeed();
    // Somebody who changes the log is found by the server, and the exit code is the same as on the host.
    let mut follower = me.kmss("audit tail -n 0 -f --action destroy").keep_running();
    // It may begin to follow a moment later than it is started.
    for n in 0..100 {
        me.kmss(&format!("key generate d{n} --token web --type aes:256")).succeed();
        me.kmss(&format!("key destroy d{n} --token web --yes")).succeed();
        if follower.said().contains("destroy") {
            break;
        }
        assert!(n < 99 && follower.ended().is_none(), "{}", follower.said());
    }
    let segments = fs::read_dir(server.home.path().join("audit")).unwrap().flatten().map(|one| one.path());
    let told = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("\"k\""));
    let segment = segments.filter(|path| path.is_file()).find(told).unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replacen("\"k\"", "\"q\"", 1)).unwrap();
    assert_eq!(me.kmss("audit verify").run().code(), Some(3));
    me.kmss("audit verify --archive nowhere").fail().mentions("a folder of the server's host");
}

/// A server with more audit than there is room for on the way to whoever reads it, and such a reader.
fn much_to_read(settings: &str) -> (Kmssd, Operator) {
    let server = Kmssd::start(settings, &myself());
    let me = Operator::on_socket(&server);
    me.kmss("key generate k --token web --type aes:256").succeed();
    let folder = server.home.path().join("audit");
    let segments = fs::read_dir(&folder).unwrap().flatten().map(|one| one.path());
    let mut records = segments.filter_map(|path| fs::read_to_string(path).ok());
    let records = records.find(|text| text.contains("\"generate\"")).unwrap();
    let many = records.repeat((24 << 20) / records.len());
    fs::write(folder.join("1000000000000-0000000000000000.jsonl"), many).unwrap();
    (server, me)
}

#[test]
fn an_export_that_is_cut_off_by_the_end_of_the_server_does_not_succeed() {
    if built::only_kmss("--server") {
        return;
    }
    let (mut server, me) = much_to_read("");
    let mut export = me.slowly("audit export --format csv").keep_running();
    export.wait_until("its first records", || me.folder.file("begun").exists());
    let mut running = server.running.take().unwrap();
    running.signal(libc::SIGTERM);
    export.wait_until("the end of the server", || running.said().contains("\"stopping\""));
    me.file("go", "");
    assert_eq!(export.wait_end().code(), Some(1), "{}", export.said());
    assert!(export.said().contains("it was cut off: the server stops"), "{}", export.said());
    assert!(running.wait_end().success(), "{}", running.said());
}

#[test]
fn an_export_whose_reader_pauses_for_too_long_does_not_succeed() {
    if built::only_kmss("--server") {
        return;
    }
    let (mut server, me) = much_to_read("max_deadline_ms = 1000\n");
    let mut export = me.slowly("audit export --format csv").keep_running();
    export.wait_until("its first records", || me.folder.file("begun").exists());
    let running = server.running.take().unwrap();
    export.wait_until("being cut off", || running.said().contains("a stream ends early"));
    me.file("go", "");
    assert_eq!(export.wait_end().code(), Some(1), "{}", export.said());
    assert!(export.said().contains("was not taken in time"), "{}", export.said());
}

#[test]
fn the_audit_is_for_auditors_and_administrators() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    for words in
        ["audit tail", "audit tail -f", "audit export --format csv", "audit verify", "audit key", "audit checkpoint"]
    {
        me.kmss(words).fail().mentions("the server says: only an auditor or an admin");
    }
}

#[test]
fn the_trail_is_held_against_what_the_auditor_kept() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", &myself());
    let me = Operator::on_socket(&server);
    me.kmss("key generate k --token web --type aes:256").succeed();
    server.home.kmss("audit seal").succeed();
    let kept = me.file("kept", &me.kmss("audit checkpoint").succeed().text()).display().to_string();
    let keys = me.file("keys", &me.kmss("audit key").succeed().text()).display().to_string();
    let root = me.kmss("audit key --root").succeed().text().trim().to_owned();
    me.kmss("key generate l --token web --type aes:256").succeed();
    server.home.kmss("audit seal").succeed();
    let name = me.kmss("audit tail -n 1 --ids --action generate").succeed().text();
    let name = name.split_whitespace().next().unwrap().to_owned();
    // Another log's key, and its checkpoint.
    let other = Kmssd::start("", &myself());
    let they = Operator::on_socket(&other);
    other.home.kmss("audit seal").succeed();
    let strange = me.file("strange", &they.kmss("audit checkpoint").succeed().text()).display().to_string();
    let stranger = me.file("stranger", &they.kmss("audit key").succeed().text()).display().to_string();
    for (options, code) in [
        (format!("--anchor {kept}"), 0),
        (format!("--key {keys} --anchor {kept}"), 0),
        (format!("--key {root}"), 0),
        (format!("--from {name}"), 0),
        (format!("--from {name} --to {name}"), 0),
        ("--from 2020-01-01 --to 2020-01-02".to_owned(), 0),
        (format!("--anchor {strange}"), 3),
        (format!("--key {stranger}"), 3),
    ] {
        let said = me.kmss(&format!("audit verify {options}")).run();
        let there = server.home.kmss(&format!("audit verify {options}")).run();
        assert_eq!((said.code(), said.text()), (there.code(), there.text()), "{options}");
        assert_eq!(said.code(), Some(code), "{said}");
    }
    me.kmss("audit verify --from nothing").fail();
    me.kmss("audit verify --anchor nowhere").fail().mentions("cannot read `nowhere`");
}
