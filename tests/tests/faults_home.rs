//! Homes that are damaged, reachable by others, or read-only: a clear error that says what to do, and nothing lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kmss_tests::built;
use kmss_tests::disk::SmallDisk;
use kmss_tests::home::Home;
use kmss_tests::program::Program;

fn home() -> Option<Home> {
    if built::only_kmss("homes of this kind") {
        return None;
    }
    let home = Home::with_token("faulty");
    home.generate("faulty", "signer", "ec:p256", "01");
    Some(home)
}

/// A copy of a home that nobody uses.
fn copy(home: &Home, name: &str) -> PathBuf {
    let to = home.file(name);
    Program::new("cp").arg("-a").arg(home.path()).arg(&to).succeed();
    to
}

fn put_back(home: &Home, from: &Path) {
    fs::remove_dir_all(home.path()).unwrap();
    Program::new("cp").arg("-a").arg(from).arg(home.path()).succeed();
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What the command and a client say of the home: an orderly failure.
fn refused(home: &Home, sentence: &str) {
    home.kmss("key list --token faulty").fail().mentions(sentence);
    // A client sees no token, or an error; never a crash.
    let said = home.pkcs11_tool("", "--list-token-slots").run();
    assert!(said.code().is_some(), "{said}");
}

fn works(home: &Home) {
    home.kmss("key list --token faulty").succeed().mentions("signer");
    home.audit_is_whole();
}

#[test]
fn a_home_or_a_key_file_that_others_can_reach_is_refused_with_the_cure() {
    let Some(home) = home() else { return };
    chmod(&home.path(), 0o777);
    refused(&home, "run `chmod 700");
    chmod(&home.path(), 0o700);
    let key = home.path().join("root.key");
    chmod(&key, 0o644);
    refused(&home, "run `chmod 600");
    chmod(&key, 0o600);
    works(&home);
}

#[test]
fn a_damaged_file_is_named_with_what_to_do_and_a_backup_brings_all_back() {
    let Some(home) = home() else { return };
    let good = copy(&home, "good");
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);
    let damages: [Damage<'_>; 5] = [
        ("root.key", &|file| fs::write(file, "garbage").unwrap(), "restore it from a backup"),
        ("root.key", &|file| fs::remove_file(file).unwrap(), "restore it from a backup"),
        ("seal.toml", &|file| fs::write(file, "").unwrap(), "remove it, and it is made anew"),
        ("store.db", &|file| fs::remove_file(file).unwrap(), "the store was emptied or removed"),
        (
            "store.db-wal",
            &|file| {
                let mut log = fs::read(file).unwrap();
                log.iter_mut().skip(100).take(50).for_each(|byte| *byte ^= 0xFF);
                fs::write(file, log).unwrap();
            },
            "restore the whole home from a backup",
        ),
    ];
    for (name, damage, sentence) in damages {
        damage(&home.path().join(name));
        refused(&home, sentence);
        put_back(&home, &good);
        works(&home);
    }
    // The header of the seal says nothing that the root key does not know.
    fs::remove_file(home.path().join("seal.toml")).unwrap();
    works(&home);
}

#[test]
fn a_read_only_home_gives_no_results_without_records_and_loses_nothing() {
    if built::only_kmss("audit before the result") {
        return;
    }
    let home = Home::new();
    let Some(disk) = SmallDisk::mount(&home) else { return };
    home.init_token("faulty");
    home.generate("faulty", "signer", "ec:p256", "01");
    fs::write(home.file("digest"), [7; 32]).unwrap();
    let sign = || home.pkcs11_tool("faulty", "--sign --mechanism ECDSA --id 01 --input-file digest --output-file sig");
    sign().succeed();
    disk.remount("ro");
    fs::remove_file(home.file("sig")).unwrap();
    sign().fail();
    assert!(!home.file("sig").exists() || fs::read(home.file("sig")).unwrap().is_empty());
    home.kmss("key generate --token faulty --type aes another").fail();
    disk.remount("rw");
    sign().succeed();
    works(&home);
}
