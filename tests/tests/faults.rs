//! Several processes on one home, and processes that die in the middle: what was acknowledged is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::time::Duration;

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::c;
use kmss_tests::disk::SmallDisk;
use kmss_tests::home::{Home, PIN, SO_PIN};
use kmss_tests::p11::{Module, Session, flag, lead_here, raw, refused_any, text, ulong};
use kmss_tests::program::Program;

/// The labels of all objects in the token, as another program sees them.
fn labels(home: &Home, token: &str) -> BTreeSet<String> {
    let text = home.pkcs11_tool(token, "--list-objects").succeed().text();
    let label = |line: &str| Some(line.trim().strip_prefix("label:")?.trim().trim_matches('\'').to_owned());
    text.lines().filter_map(label).collect()
}

#[track_caller]
fn all_are_there(home: &Home, token: &str, acknowledged: &str) {
    let there = labels(home, token);
    // The last line may be cut: the process died while it wrote.
    let lines: Vec<&str> = acknowledged.lines().collect();
    let whole = if acknowledged.ends_with('\n') { &lines[..] } else { &lines[..lines.len().saturating_sub(1)] };
    let lost: Vec<&&str> = whole.iter().filter(|label| !there.contains(**label)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged objects are lost: {lost:?}", lost.len(), whole.len());
}

#[test]
fn two_processes_create_objects_at_once() {
    let home = Home::with_token("shared");
    std::thread::scope(|scope| {
        for (prefix, kind) in [("left", "data"), ("right", "pairs")] {
            let home = &home;
            scope.spawn(move || {
                let said = c::program(home, "create").args(["shared", prefix, "60", kind]).succeed();
                assert_eq!(said.text().lines().count(), 60);
            });
        }
    });
    let there = labels(&home, "shared");
    for n in 0..60 {
        for prefix in ["left", "right"] {
            assert!(there.contains(&format!("{prefix}-{n}")), "{prefix}-{n} is lost");
        }
    }
    if !built::stand_in() {
        home.audit_is_whole();
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let home = Home::with_token("killed");
    for round in 0..6 {
        let prefix = format!("round{round}");
        let kind = if round % 2 == 0 { "data" } else { "pairs" };
        let mut running = c::program(&home, "create").args(["killed", &prefix, "100000", kind]).keep_running();
        let enough = 10 + 7 * round;
        let mut said = String::new();
        // Output and errors are one text here; only whole labels count.
        let mut seen = 0;
        while seen < enough {
            std::thread::sleep(Duration::from_millis(5));
            said = running.said();
            seen = said.lines().count();
            if seen < enough {
                running.wait_until("its first objects", || true);
            }
        }
        running.signal(libc::SIGKILL);
        let status = running.wait_end();
        assert!(!status.success());
        let acknowledged = running.said();
        assert!(acknowledged.starts_with(&said));
        all_are_there(&home, "killed", &acknowledged);
        if !built::stand_in() {
            home.audit_is_whole();
            home.kmss("doctor --module").arg(built::module()).succeed();
        }
    }
    // The token is alive: it takes more.
    home.generate("killed", "afterwards", "ec:p256", "77");
}

#[test]
fn each_result_of_a_process_that_is_killed_has_its_record() {
    if built::only_kmss("audit") {
        return;
    }
    for mode in ["normal", "sync"] {
        each_result_has_its_record(mode);
    }
}

fn each_result_has_its_record(mode: &str) {
    let home = Home::with_token("recorded");
    home.generate("recorded", "macs", "aes:256", "01");
    home.kmss(&format!("key audit macs {mode} --token recorded")).env("KMSS_SO_PIN", SO_PIN).succeed();
    let mut acknowledged = BTreeSet::new();
    for round in 0..8_u64 {
        // Lengths tell results apart; no two rounds have one in common.
        let first = 1 + round * 20_000;
        let mut running = c::program(&home, "mac").args(["recorded", &first.to_string(), "20000"]).keep_running();
        while running.said().lines().count() < 20 {
            running.wait_until("its first results", || true);
            std::thread::sleep(Duration::from_millis(5 + round));
        }
        running.signal(libc::SIGKILL);
        running.wait_end();
        let said = running.said();
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        acknowledged.extend(whole.lines().map(|line| line.parse::<u64>().expect("a length")));
        home.audit_is_whole();
    }
    let recorded: BTreeSet<u64> = home
        .audit(100_000)
        .iter()
        .filter(|record| record["action"] == "sign" && record["outcome"] == "success")
        .filter_map(|record| record["data_len"].as_u64())
        .collect();
    let lost: Vec<&u64> = acknowledged.difference(&recorded).collect();
    assert!(lost.is_empty(), "{mode}: {} of {} results have no record: {lost:?}", lost.len(), acknowledged.len());
    assert!(acknowledged.len() > 150, "{}", acknowledged.len());
}

#[test]
fn a_kill_during_initialisation_leaves_a_home_that_works() {
    if built::only_kmss("command") {
        return;
    }
    for pause in [0, 3, 10, 30] {
        let home = Home::new();
        let running = home.kmss("token init torn").keep_running();
        std::thread::sleep(Duration::from_millis(pause));
        running.signal(libc::SIGKILL);
        drop(running);
        // Whether the token came to be or not, the home takes the next one and says which it has.
        home.kmss("token init next").succeed();
        home.kmss("token list").succeed().mentions("next");
        home.generate("next", "key", "ec:p256", "01");
    }
}

/// This process as one of several on a home.
fn join(home: &Home, token: &str) -> (Module, Session) {
    lead_here(home);
    let module = Module::load(&built::module());
    module.initialize().unwrap();
    let session = module.open(module.slot_of(token).unwrap(), true).unwrap();
    session.login(CKU_USER, PIN).unwrap();
    (module, session)
}

#[test]
fn the_next_operation_sees_what_another_process_did() {
    let home = Home::with_token("seen");
    home.generate("seen", "signer", "ec:p256", "01");
    // The only test of this file that loads the module into its own process.
    let (module, session) = join(&home, "seen");
    let private = session.find(&[raw(CKA_ID, [1]), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap()[0];
    session.sign(CKM_ECDSA, private, &[1; 32]).unwrap();
    // A new object appears.
    home.generate("seen", "newcomer", "ec:p256", "02");
    let newcomer = session.find(&[raw(CKA_ID, [2]), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap();
    assert_eq!(newcomer.len(), 1, "an object made elsewhere is found by the next search");
    // A new token appears in the slot list.
    home.init_token("seen-too");
    if !built::stand_in() {
        assert!(module.slot_of("seen-too").is_some(), "a token made elsewhere is listed");
    }
    if built::only_kmss("key states") {
        return;
    }
    // What this process makes is seen by the command.
    let made = [ulong(CKA_VALUE_LEN, 16), flag(CKA_TOKEN, true), text(CKA_LABEL, "from-inside")];
    session.generate(CKM_AES_KEY_GEN, &made).unwrap();
    home.kmss("key list --token seen").succeed().mentions("from-inside");
    // A disabled key signs no more, and signs again when enabled.
    home.kmss("key disable signer --token seen").succeed();
    let disabled = session.sign(CKM_ECDSA, private, &[1; 32]);
    assert!(disabled.is_err(), "a disabled key signed");
    session.sign(CKM_ECDSA, newcomer[0], &[1; 32]).expect("other keys are not touched");
    home.kmss("key enable signer --token seen").succeed();
    session.sign(CKM_ECDSA, private, &[1; 32]).expect("an enabled key signs again");
    // Between begin and finish, too: what was admitted before the change is decided again.
    session.sign_init(CKM_ECDSA, private).unwrap();
    home.kmss("key disable signer --token seen").succeed();
    let (rv, _) = session.into_buffer(kmss_tests::p11::Whole::Sign, &[1; 32], Some(64));
    assert_ne!(rv.0, CKR_OK, "a key disabled after C_SignInit signed");
    home.kmss("key enable signer --token seen").succeed();
    // A destroyed key is gone.
    home.kmss("key destroy signer --yes --token seen").succeed();
    refused_any(
        session.sign(CKM_ECDSA, private, &[1; 32]),
        &[CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED],
    );
    assert!(session.find(&[raw(CKA_ID, [1]), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap().is_empty());
    home.audit_is_whole();
    let trail: String = home.audit(200).iter().map(ToString::to_string).collect();
    assert!(trail.contains("signer"), "the trail names the key: {trail}");
    assert!(trail.contains("disabled"), "the trail says why a signature was refused: {trail}");
}

#[test]
fn a_changed_audit_record_is_found() {
    if built::only_kmss("audit") {
        return;
    }
    let home = Home::with_token("tampered");
    home.generate("tampered", "signer", "ec:p256", "01");
    home.audit_is_whole();
    let mut segments = Vec::new();
    let mut folders = vec![home.path()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).unwrap().windows(6).any(|w| w == b"signer") {
                segments.push(path);
            }
        }
    }
    assert!(!segments.is_empty(), "some segment names the key");
    for segment in segments {
        let original = std::fs::read(&segment).unwrap();
        let mut changed = original.clone();
        let at = original.windows(6).position(|w| w == b"signer").unwrap();
        changed[at] ^= 1;
        std::fs::write(&segment, &changed).unwrap();
        let said = home.kmss("audit verify").fail();
        assert_eq!(said.code(), Some(3), "{said}");
        std::fs::write(&segment, &original).unwrap();
        home.audit_is_whole();
    }
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    if built::only_kmss("audit before the result") {
        return;
    }
    let home = Home::new();
    let Some(_disk) = SmallDisk::mount(&home) else { return };
    home.init_token("full");
    home.generate("full", "signer", "ec:p256", "01");
    std::fs::write(home.file("digest"), [7; 32]).unwrap();
    let sign = || home.pkcs11_tool("full", "--sign --mechanism ECDSA --id 01 --input-file digest --output-file sig");
    sign().succeed();
    let _ = std::fs::remove_file(home.file("sig"));
    let filler = home.path().join("filler");
    // Fills to the last byte: the write that fails ends it.
    Program::new("dd").args(["if=/dev/zero", &format!("of={}", filler.display()), "bs=4k"]).fail();
    let refused = (0..40).any(|_| !sign().run().success());
    assert!(refused, "signatures were released without a place for their records");
    std::fs::remove_file(&filler).unwrap();
    sign().succeed();
    home.audit_is_whole();
    home.kmss("key list --token full").succeed().mentions("signer");
}

#[test]
fn with_a_reserve_results_go_on_past_a_full_disk_and_each_has_its_record() {
    if built::only_kmss("audit before the result") {
        return;
    }
    let home = Home::new();
    let Some(_disk) = SmallDisk::mount(&home) else { return };
    std::fs::write(home.file("kmss.toml"), "[audit]\nemergency_bytes = 1048576\n").unwrap();
    let reserved = |program: Program| program.env("KMSS_CONF", home.file("kmss.toml"));
    home.init_token("reserve");
    home.generate("reserve", "macs", "aes:256", "01");
    let filler = home.path().join("filler");
    Program::new("dd").args(["if=/dev/zero", &format!("of={}", filler.display()), "bs=4k", "count=1024"]).succeed();
    // More records than there is room for: first the disk is full, then the reserve.
    let said = reserved(c::program(&home, "mac").args(["reserve", "1", "20000"])).fail().text();
    let acknowledged: BTreeSet<u64> = said.lines().filter_map(|line| line.parse().ok()).collect();
    std::fs::remove_file(&filler).unwrap();
    let recorded = |records: Vec<serde_json::Value>| -> BTreeSet<u64> {
        let macs = records.into_iter().filter(|r| r["action"] == "sign" && r["outcome"] == "success");
        macs.filter_map(|record| record["data_len"].as_u64()).collect()
    };
    // Before anybody moved what is in the reserve, and after.
    let before = recorded(home.audit(100_000));
    home.audit_is_whole();
    home.generate("reserve", "other", "aes:256", "02");
    home.audit_is_whole();
    let after = recorded(home.audit(100_000));
    for recorded in [before, after] {
        let lost: Vec<&u64> = acknowledged.difference(&recorded).collect();
        assert!(lost.is_empty(), "{} of {} results have no record: {lost:?}", lost.len(), acknowledged.len());
    }
    assert!(acknowledged.len() > 2_500, "{}", acknowledged.len());
    let waiting = std::fs::read_dir(home.path().join("audit")).unwrap();
    let names = waiting.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with(".pending")).collect::<Vec<_>>(), Vec::<String>::new());
}
