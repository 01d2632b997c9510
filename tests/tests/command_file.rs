//! `kmss file seal` and `kmss file open`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::program::Program;
use serde_json::{Value, json};

const CHUNK: usize = 64 << 10;

fn skip() -> bool {
    built::only_kmss("sealed files")
}

/// A home with two keys, and a file of some chunks.
fn scene(len: usize) -> (Home, Vec<u8>) {
    let home = Home::with_token("main");
    home.kmss("key generate a --token main --type aes:256").succeed();
    home.kmss("key generate b --token main --type sm4").succeed();
    let data: Vec<u8> = (0..len).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
    fs::write(home.file("plain"), &data).unwrap();
    (home, data)
}

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(words).within(home.folder())
}

fn seal(home: &Home) {
    kmss(home, "file seal plain --token main --key a --key b --context backup=7 --out sealed --threads 3").succeed();
}

fn open(home: &Home, words: &str) -> Program {
    kmss(home, &format!("file open sealed --token main --context backup=7 --out opened {words}"))
}

fn read(home: &Home, file: &str) -> Vec<u8> {
    fs::read(home.file(file)).unwrap()
}

#[test]
fn a_file_opens_by_either_of_its_keys_whole_and_in_ranges() {
    if skip() {
        return;
    }
    let (home, data) = scene(3 * CHUNK + 1234);
    seal(&home);
    open(&home, "").succeed();
    assert_eq!(read(&home, "opened"), data);
    for (from, to) in [(0, 1), (5, CHUNK), (CHUNK - 1, CHUNK + 1), (2 * CHUNK, 3 * CHUNK + 1234), (0, data.len())] {
        open(&home, &format!("--range {from}-{to}")).succeed();
        assert_eq!(read(&home, "opened"), data[from..to], "{from}-{to}");
    }
    open(&home, &format!("--range 0-{}", data.len() + 1)).fail().mentions("bytes only");
    kmss(&home, "file open sealed --token main --out opened").fail().mentions("does not decrypt");
    kmss(&home, "key destroy a --token main --yes").succeed();
    open(&home, "").succeed();
    assert_eq!(read(&home, "opened"), data);
    kmss(&home, "key destroy b --token main --yes").succeed();
    open(&home, "").fail().mentions("none of the keys");
}

#[test]
fn a_sealed_file_says_for_whom_it_is_by_its_beginning_alone() {
    if skip() {
        return;
    }
    // Longer than what is read of other ciphertexts.
    let (home, _) = scene(20 * CHUNK);
    seal(&home);
    let told = || -> Value { serde_json::from_str(&kmss(&home, "inspect sealed --json").succeed().text()).unwrap() };
    let said = told();
    assert_eq!((&said["format"], &said["format_version"]), (&json!("sealed-file"), &json!(1)));
    assert_eq!((&said["algorithm"], &said["chunk_bytes"]), (&json!("aes-256-gcm"), &json!(CHUNK)));
    let recipients = said["recipients"].as_array().unwrap();
    let algorithms: Vec<&str> = recipients.iter().map(|one| one["algorithm"].as_str().unwrap()).collect();
    assert_eq!(algorithms, ["aes-256-gcm", "sm4-gcm"]);
    assert!(recipients.iter().all(|one| one["format"] == "native" && one["plaintext_bytes"] == 32), "{said}");
    // 40 bytes, two recipients of 4 + 90 + 32, and the code of 32.
    let sealed = read(&home, "sealed");
    let header = 40 + 2 * (4 + 90 + 32) + 32;
    fs::write(home.file("sealed"), &sealed[..header]).unwrap();
    assert_eq!(told(), said);
    fs::write(home.file("sealed"), &sealed[..header - 1]).unwrap();
    kmss(&home, "inspect sealed").fail().mentions("only the beginning of one");
}

#[test]
fn a_file_goes_through_pipes_and_may_be_empty() {
    if skip() {
        return;
    }
    for len in [0, 1, CHUNK, 2 * CHUNK] {
        let (home, data) = scene(len);
        let sealed = "file seal - --token main --key a --out sealed";
        kmss(&home, sealed).input(data.clone()).succeed();
        kmss(&home, "file open - --token main --out opened").input(read(&home, "sealed")).succeed();
        assert_eq!(read(&home, "opened"), data, "{len}");
        kmss(&home, "file open sealed --token main --out opened").succeed();
        assert_eq!(read(&home, "opened"), data, "{len}");
    }
}

#[test]
fn a_file_that_was_altered_or_cut_off_leaves_nothing() {
    if skip() {
        return;
    }
    let (home, data) = scene(3 * CHUNK);
    seal(&home);
    let sealed = read(&home, "sealed");
    for less in [1, CHUNK + 16] {
        fs::write(home.file("sealed"), &sealed[..sealed.len() - less]).unwrap();
        open(&home, "").fail().mentions("does not decrypt");
        open(&home, "--range 0-1").fail().mentions("does not decrypt");
        assert!(!home.file("opened").exists() && !home.file("opened.part").exists());
    }
    let mut altered = sealed.clone();
    let middle = altered.len() - 2 * CHUNK;
    altered[middle] ^= 1;
    fs::write(home.file("sealed"), &altered).unwrap();
    open(&home, "").fail().mentions("does not decrypt");
    assert!(!home.file("opened").exists());
    fs::write(home.file("sealed"), &data).unwrap();
    open(&home, "").fail().mentions("no sealed file");
}

#[test]
fn what_was_interrupted_goes_on_where_it_ended() {
    if skip() {
        return;
    }
    let (home, data) = scene(4 * CHUNK + 5);
    seal(&home);
    for done in [0, 10, CHUNK, 2 * CHUNK + 77, data.len(), data.len() + 3 * CHUNK] {
        let mut part = data.clone();
        part.resize(done, 0);
        leave(&home, &part);
        open(&home, "--resume").succeed();
        assert_eq!(read(&home, "opened"), data, "{done}");
    }
}

/// Leaves what an interrupted run has written.
fn leave(home: &Home, part: &[u8]) {
    let path = home.file("opened.part");
    fs::write(&path, part).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn what_was_left_of_something_else_is_written_anew() {
    if skip() {
        return;
    }
    let (home, data) = scene(4 * CHUNK + 5);
    seal(&home);
    // Of another file, of a range, and what a power loss leaves: the right length, and zeros.
    for part in [vec![7; 3 * CHUNK], data[CHUNK + 1..].to_vec(), vec![0; data.len()]] {
        leave(&home, &part);
        open(&home, "--resume").succeed();
        assert_eq!(read(&home, "opened"), data);
    }
}

#[test]
fn what_is_opened_goes_to_no_file_of_others() {
    if skip() {
        return;
    }
    let (home, data) = scene(CHUNK);
    seal(&home);
    let (part, elsewhere) = (home.file("opened.part"), home.file("elsewhere"));
    fs::write(&elsewhere, b"theirs").unwrap();
    symlink(&elsewhere, &part).unwrap();
    open(&home, "--resume").fail().mentions("opened.part");
    open(&home, "").succeed();
    assert_eq!(read(&home, "opened"), data);
    assert_eq!(read(&home, "elsewhere"), b"theirs");
    leave(&home, &data[..10]);
    fs::set_permissions(&part, Permissions::from_mode(0o644)).unwrap();
    open(&home, "--resume").fail().mentions("leave --resume away");
}
