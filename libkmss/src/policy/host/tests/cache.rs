//! Compiled code that is kept.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::home::Home;

const KEY: [u8; 32] = [7; 32];

fn home() -> (tempfile::TempDir, Home) {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::create(&directory.path().join("home"), None).unwrap();
    (directory, home)
}

fn origin(host: &Host, home: &Home, key: &[u8; 32], wasm: &[u8]) -> Origin {
    let policy = host.load(wasm, &Limits::default(), Some(&Cache::new(home, key))).unwrap();
    assert_eq!(ask(&policy, Action::Sign).verdict, Verdict::Allow);
    assert_eq!(ask(&policy, Action::Decrypt).verdict, Verdict::Deny);
    policy.origin()
}

/// The only entry.
fn entry(home: &Home) -> PathBuf {
    let mut entries = std::fs::read_dir(home.join(CODE)).unwrap();
    let entry = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    entry
}

#[test]
fn code_is_compiled_once_and_each_way_of_execution_has_its_own() {
    let (_directory, home) = home();
    for host in hosts() {
        assert_eq!(origin(&host, &home, &KEY, READS), Origin::Compiled);
        assert_eq!(origin(&host, &home, &KEY, READS), Origin::Cached);
    }
    assert_eq!(std::fs::read_dir(home.join(CODE)).unwrap().count(), 2);
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed_and_repaired() {
    let (_directory, home) = home();
    let host = Host::with(Execution::Compiled).unwrap();
    assert_eq!(origin(&host, &home, &KEY, READS), Origin::Compiled);
    let path = entry(&home);
    let good = std::fs::read(&path).unwrap();
    let places = (0..80).chain((80..good.len()).step_by(good.len() / 40)).chain([good.len() - 1]);
    for at in places {
        let mut damaged = good.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(origin(&host, &home, &KEY, READS), Origin::Replaced(CacheFault::Damaged), "{at}");
        assert_eq!(origin(&host, &home, &KEY, READS), Origin::Cached);
    }
    for len in [0, 1, 8, 40, 72, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..len]).unwrap();
        assert_eq!(origin(&host, &home, &KEY, READS), Origin::Replaced(CacheFault::Damaged), "{len}");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_entry_of_another_module_or_engine_or_key_is_not_believed() {
    let (_directory, home) = home();
    let [compiled, interpreted] = hosts();
    origin(&compiled, &home, &KEY, READS);
    let first = entry(&home);
    let code = std::fs::read(&first).unwrap();
    std::fs::remove_file(&first).unwrap();
    // Code of one module under the name of another, which allows everything.
    let cache = Cache::new(&home, &KEY);
    drop(compiled.load(WRITES, &Limits::default(), Some(&cache)).unwrap());
    std::fs::rename(entry(&home), &first).unwrap();
    assert_eq!(origin(&compiled, &home, &KEY, READS), Origin::Replaced(CacheFault::Outdated));
    // Machine code where interpreted code is looked for.
    std::fs::write(first.with_extension("pulley"), &code).unwrap();
    std::fs::set_permissions(first.with_extension("pulley"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(origin(&interpreted, &home, &KEY, READS), Origin::Replaced(CacheFault::Outdated));
    let other = [8; 32];
    assert_eq!(origin(&compiled, &home, &other, READS), Origin::Replaced(CacheFault::Damaged));
}

#[test]
fn former_editions_do_not_pile_up() {
    let (_directory, home) = home();
    let [compiled, interpreted] = hosts();
    origin(&compiled, &home, &KEY, READS);
    let first = entry(&home);
    for number in 0..super::super::cache::KEPT {
        let path = first.with_extension(format!("old-{number}"));
        let file = std::fs::File::create(path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number as u64)).unwrap();
    }
    assert_eq!(origin(&interpreted, &home, &KEY, READS), Origin::Compiled);
    assert_eq!(std::fs::read_dir(home.join(CODE)).unwrap().count(), super::super::cache::KEPT);
    assert!(!first.with_extension("old-1").exists() && first.with_extension("old-2").exists());
    for host in [compiled, interpreted] {
        assert_eq!(origin(&host, &home, &KEY, READS), Origin::Cached);
    }
}

#[test]
fn what_others_could_have_written_is_not_read() {
    let (_directory, home) = home();
    let host = Host::with(Execution::Compiled).unwrap();
    origin(&host, &home, &KEY, READS);
    let path = entry(&home);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(origin(&host, &home, &KEY, READS), Origin::Replaced(CacheFault::Unreadable));
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    assert_eq!(origin(&host, &home, &KEY, READS), Origin::Replaced(CacheFault::Unreadable));
    assert_eq!(origin(&host, &home, &KEY, READS), Origin::Cached);
}
