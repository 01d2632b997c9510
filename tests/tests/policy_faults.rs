//! What goes wrong around policies denies, each with a reason of its own in the audit, and works again when it is cured:
//! damaged records, full disks, policies outside of their time, policies that are gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::{Duration, SystemTime};

use kmss_tests::built;
use kmss_tests::disk::SmallDisk;
use kmss_tests::home::Home;
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::program::{Program, Said};

/// Everything is allowed, by rules that look at the counts: without one nothing would be counted.
const ALL: &str = "allow anyone to anything with any key when rate < 100000 per minute\nallow anyone to anything when rate < 100000 per minute\n";

/// A home with a token and a key that a policy lets sign.
fn home() -> Home {
    let home = Home::with_token("faulty");
    prepare(&home);
    home
}

fn prepare(home: &Home) {
    home.generate("faulty", "signer", "ec:p256", "01");
    fs::write(home.file("data"), MESSAGE).unwrap();
    fs::write(home.file("p.kmss"), ALL).unwrap();
    home.kmss("policy apply p.kmss --token faulty").within(home.folder()).succeed();
}

/// A client signs, in a process of its own.
fn sign(home: &Home) -> Said {
    let _ = fs::remove_file(home.file("sig"));
    home.pkcs11_tool("faulty", "--sign -m ECDSA-SHA256 --id 01 -i data -o sig").run()
}

/// Asks for a refusal, and for these words in its record.
#[track_caller]
fn denied(home: &Home, words: &[&str]) {
    let said = sign(home);
    assert!(!said.success() && fs::metadata(home.file("sig")).map_or(0, |m| m.len()) == 0, "{said}");
    let refusal = home.audit(20).into_iter().rev().find(|record| record["outcome"] == "denied").expect("a record");
    assert_eq!(refusal["error"], "denied", "{refusal}");
    let reason = refusal["reason"].as_str().unwrap();
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
}

/// Changes what is stored, behind the back of KMSS. False, said aloud, where that is not possible.
fn tamper(home: &Home, statement: &str) -> bool {
    let program = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nn = c.execute(sys.argv[2]).rowcount\nc.commit()\nprint(n)";
    let done = Program::new("python3").args(["-c", program]).arg(home.path().join("store.db")).arg(statement).run();
    if !done.success() {
        built::skipped("there is no python3 with sqlite3 to damage a store with");
        return false;
    }
    assert_eq!(done.text().trim(), "1", "{done}");
    true
}

#[test]
fn a_damaged_record_of_a_policy_denies_and_everybody_is_told_what_to_do() {
    if built::only_kmss("policies") {
        return;
    }
    for (like, words) in [
        ("policy/entry/%", ["policy/entry/", "cannot be trusted", "backup"]),
        ("policy/blob/%", ["policies of the namespace cannot be used", "cannot be trusted", "backup"]),
    ] {
        let home = home();
        assert!(sign(&home).success());
        let copy = home.file("copy");
        Program::new("cp").arg("-a").arg(home.path()).arg(&copy).succeed();
        if !tamper(&home, &format!("UPDATE kv SET value = CAST(value || x'00' AS BLOB) WHERE key LIKE '{like}'")) {
            return;
        }
        denied(&home, &words);
        let said = home.kmss("store check").run();
        assert_eq!(said.code(), Some(3), "{said}");
        assert!(said.all().contains("cannot be trusted") && said.all().contains("backup"), "{said}");
        if like.contains("entry") {
            home.kmss("policy list").fail().mentions("cannot be trusted").mentions("backup");
            home.kmss("policy apply p.kmss --token faulty").within(home.folder()).fail().mentions("backup");
        }
        // As the reason says.
        fs::remove_dir_all(home.path()).unwrap();
        Program::new("cp").arg("-a").arg(&copy).arg(home.path()).succeed();
        assert!(sign(&home).success());
    }
}

#[test]
fn a_policy_that_is_taken_out_of_the_store_leaves_nothing_allowed_and_is_missed() {
    if built::only_kmss("policies") {
        return;
    }
    for key in ["policy/entry/%", "policy/edition"] {
        let home = home();
        if !tamper(&home, &format!("DELETE FROM kv WHERE key LIKE '{key}'")) {
            return;
        }
        denied(&home, &["none is in force here any more"]);
        let said = home.kmss("store check").run();
        assert_eq!(said.code(), Some(3), "{said}");
        assert!(said.all().contains("the store went back"), "{said}");
    }
}

#[test]
fn without_room_for_the_counts_nothing_is_allowed_and_nothing_crashes() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::new();
    let Some(_disk) = SmallDisk::mount(&home) else { return };
    home.init_token("faulty");
    prepare(&home);
    let (rates, filler) = (home.path().join("rates"), home.path().join("filler"));
    // Whoever counted before leaves no file that others could use.
    let _ = fs::remove_file(&rates);
    let fill = |left: u64| {
        Program::new("dd").args(["if=/dev/zero", &format!("of={}", filler.display()), "bs=4k"]).fail();
        let len = fs::metadata(&filler).unwrap().len();
        fs::OpenOptions::new().write(true).open(&filler).unwrap().set_len(len - left).unwrap();
    };
    fill(400 << 10);
    denied(&home, &["cannot be counted", "no room", "No space left"]);
    assert!(!rates.exists());
    fs::remove_file(&filler).unwrap();
    assert!(sign(&home).success());
    // Once there, it takes no more room.
    let len = fs::metadata(&rates).unwrap().len();
    fill(200 << 10);
    assert!(sign(&home).success());
    assert_eq!(fs::metadata(&rates).unwrap().len(), len);
    // A copy without its zeros, on a disk that has no room for them.
    fs::remove_file(&filler).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&rates).unwrap();
    file.set_len(0).unwrap();
    file.set_len(len).unwrap();
    drop(file);
    fill(200 << 10);
    denied(&home, &["cannot be counted", "no room"]);
    fs::remove_file(&filler).unwrap();
    assert!(sign(&home).success());
}

#[test]
fn a_process_that_may_write_no_such_file_is_denied_and_lives() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    let _ = fs::remove_file(home.path().join("rates"));
    // The audit's records fit, the counts do not.
    let line = format!(
        "ulimit -f 400; exec pkcs11-tool --module {} --login --pin {} --token-label faulty \
         --sign -m ECDSA-SHA256 --id 01 -i data -o sig",
        built::module().display(),
        kmss_tests::home::PIN
    );
    let said = home.program("bash").args(["-c", &line]).run();
    assert!(!said.success() && said.code().is_some(), "killed by a signal: {said}");
    let refusal = home.audit(20).into_iter().rev().find(|record| record["outcome"] == "denied").expect("a record");
    assert!(refusal["reason"].as_str().unwrap().contains("no room"), "{refusal}");
    assert!(sign(&home).success());
}

#[test]
fn a_policy_denies_after_its_time_and_when_it_was_removed_each_with_its_reason() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    Program::new("openssl").within(home.folder()).words("genpkey -algorithm ed25519 -out author.key").succeed();
    Program::new("openssl").within(home.folder()).words("pkey -in author.key -pubout -out author.pub").succeed();
    home.kmss("policy trust add author author.pub --token faulty").within(home.folder()).succeed();
    let end = SystemTime::now() + Duration::from_secs(5);
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let end = Program::new("date").args(["-u", "-d", &format!("@{end}"), "+%Y-%m-%dT%H:%M:%SZ"]).succeed();
    let words = format!("--name p --token faulty --key-file author.key --valid-until {}", end.text().trim());
    home.kmss("policy sign p.kmss --out p.bundle").words(&words).within(home.folder()).succeed();
    home.kmss("policy apply p.bundle --token faulty").within(home.folder()).succeed();
    assert!(sign(&home).success());
    std::thread::sleep(Duration::from_secs(6));
    denied(&home, &["`namespace/p`", "expired", "next edition"]);
    home.kmss("policy list").succeed().mentions("expired");
    home.kmss("policy remove p --token faulty --yes").succeed();
    denied(&home, &["none is in force here any more"]);
    home.kmss("policy list").succeed().mentions("removed");
    home.kmss("policy apply p.kmss --name q --token faulty").within(home.folder()).succeed();
    assert!(sign(&home).success());
    home.audit_is_whole();
}
