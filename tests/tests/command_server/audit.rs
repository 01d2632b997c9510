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
