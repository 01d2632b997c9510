#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        aws_lc_rs::rand::fill(out).map_err(|_| Error::new(ErrorKind::BackendUnavailable, "no random"))
    }
}

fn random() -> Arc<dyn Random> {
    Arc::new(SystemRandom)
}

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(&folder.path().join("home"), None).unwrap();
    (folder, home)
}

fn refused(home: &Home, kind: ErrorKind, hint: &str) {
    let error = FileSeal::create_or_open(home, Suite::Nist, random()).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(hint), "`{error}` does not say `{hint}`");
}

#[test]
fn a_seal_survives_reopening_and_keeps_its_suite() {
    for suite in [Suite::Nist, Suite::Gm] {
        let (_folder, home) = home();
        assert_eq!(FileSeal::open(&home, random()).unwrap_err().kind(), ErrorKind::NotFound);
        let seal = FileSeal::create_or_open(&home, suite, random()).unwrap();
        let wrapped = seal.wrap("a/b", &Secret::copy_of(b"domain key")).unwrap();
        for again in
            [FileSeal::open(&home, random()).unwrap(), FileSeal::create_or_open(&home, Suite::Nist, random()).unwrap()]
        {
            assert_eq!((again.suite(), again.key_id()), (suite, seal.key_id()));
            assert_eq!(again.unwrap("a/b", &wrapped).unwrap().expose(), b"domain key");
        }
        for file in [SEAL, ROOT_KEY] {
            assert_eq!(fs::metadata(home.join(file)).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn a_wrapped_key_opens_only_whole_in_its_place_and_under_its_root() {
    for suite in [Suite::Nist, Suite::Gm] {
        let ((_a, home), (_b, other)) = (home(), home());
        let seal = FileSeal::create_or_open(&home, suite, random()).unwrap();
        let foreign = FileSeal::create_or_open(&other, suite, random()).unwrap();
        let wrapped = seal.wrap("here", &Secret::copy_of(&[7; 32])).unwrap();
        let damaged = |r: Result<Secret>| assert_eq!(r.unwrap_err().kind(), ErrorKind::Damaged);
        damaged(seal.unwrap("there", &wrapped));
        damaged(foreign.unwrap("here", &wrapped));
        for at in 0..wrapped.len() {
            damaged(seal.unwrap("here", &wrapped[..at]));
            for bit in 0..8 {
                let mut flipped = wrapped.clone();
                flipped[at] ^= 1 << bit;
                damaged(seal.unwrap("here", &flipped));
            }
        }
        assert!(seal.unwrap("here", &wrapped).is_ok());
    }
}

#[test]
fn the_same_key_is_never_wrapped_into_the_same_bytes() {
    let (_folder, home) = home();
    let seal = FileSeal::create_or_open(&home, Suite::Nist, random()).unwrap();
    let key = Secret::copy_of(&[7; 32]);
    assert_ne!(seal.wrap("x", &key).unwrap(), seal.wrap("x", &key).unwrap());
}

#[test]
fn racing_makers_end_with_one_key() {
    let (_folder, home) = home();
    let seals: Vec<FileSeal> = std::thread::scope(|s| {
        let make = |n| {
            let home = &home;
            let suite = if n % 2 == 0 { Suite::Nist } else { Suite::Gm };
            s.spawn(move || FileSeal::create_or_open(home, suite, random()).unwrap())
        };
        let threads: Vec<_> = (0..8).map(make).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let wrapped = seals[0].wrap("x", &Secret::copy_of(b"k")).unwrap();
    for seal in &seals {
        assert_eq!(seal.suite(), seals[0].suite());
        assert_eq!(seal.unwrap("x", &wrapped).unwrap().expose(), b"k");
    }
}

#[test]
fn a_maker_that_died_between_the_two_files_is_finished_by_the_next() {
    let (_folder, home) = home();
    let seal = FileSeal::create_or_open(&home, Suite::Gm, random()).unwrap();
    home.remove(SEAL).unwrap();
    let again = FileSeal::create_or_open(&home, Suite::Nist, random()).unwrap();
    assert_eq!((again.key_id(), again.suite()), (seal.key_id(), Suite::Gm));
    assert!(home.exists(SEAL).unwrap());
}

#[test]
fn a_lost_key_file_is_never_replaced_by_a_fresh_one() {
    let (_folder, home) = home();
    FileSeal::create_or_open(&home, Suite::Nist, random()).unwrap();
    home.remove(ROOT_KEY).unwrap();
    refused(&home, ErrorKind::Damaged, "restore it from a backup");
    home.remove(SEAL).unwrap();
    home.prepare(STORE).unwrap();
    refused(&home, ErrorKind::Damaged, "is missing");
    assert!(!home.exists(ROOT_KEY).unwrap());
}

#[test]
fn a_key_file_of_another_home_is_named_as_such() {
    let ((_a, home), (_b, other)) = (home(), home());
    FileSeal::create_or_open(&home, Suite::Nist, random()).unwrap();
    FileSeal::create_or_open(&other, Suite::Nist, random()).unwrap();
    fs::copy(other.join(ROOT_KEY), home.join(ROOT_KEY)).unwrap();
    refused(&home, ErrorKind::Damaged, "belong together");
}

#[test]
fn every_change_of_a_key_file_is_noticed() {
    let (_folder, home) = home();
    FileSeal::create_or_open(&home, Suite::Nist, random()).unwrap();
    let file = fs::read(home.join(ROOT_KEY)).unwrap();
    assert_eq!(file.len(), FILE_LEN);
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        for hostile in [&flipped[..], &file[..at]] {
            fs::write(home.join(ROOT_KEY), hostile).unwrap();
            refused(&home, ErrorKind::Damaged, "root.key");
        }
    }
    let mut newer = file.clone();
    newer[MAGIC.len()] = FORMAT + 1;
    fs::write(home.join(ROOT_KEY), &newer).unwrap();
    refused(&home, ErrorKind::TooNew, "format 2");
    fs::write(home.join(ROOT_KEY), [&file[..], b"\n"].concat()).unwrap();
    refused(&home, ErrorKind::Damaged, "is damaged");
}

#[test]
fn headers_that_are_newer_damaged_or_of_another_kind_are_told_apart() {
    let (_folder, home) = home();
    let seal = FileSeal::create_or_open(&home, Suite::Nist, random()).unwrap();
    let id = seal.key_id().to_owned();
    for (text, kind, hint) in [
        ("format = 3\nfuture = true\n".to_owned(), ErrorKind::TooNew, "format 3"),
        ("format = ".to_owned(), ErrorKind::Damaged, "remove it"),
        (
            format!("format = 1\nsuite = \"nist\"\ntype = \"hsm\"\nkey_id = \"{id}\"\n"),
            ErrorKind::Damaged,
            "not a key file",
        ),
        (format!("format = 1\nsuite = \"gm\"\ntype = \"file\"\nkey_id = \"{id}\"\n"), ErrorKind::Damaged, "gm key"),
        ("\u{0}".to_owned(), ErrorKind::Damaged, "remove it"),
    ] {
        fs::write(home.join(SEAL), text).unwrap();
        refused(&home, kind, hint);
    }
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let (_folder, home) = home();
    FileSeal::create_or_open(&home, Suite::Nist, random()).unwrap();
    fs::set_permissions(home.join(ROOT_KEY), fs::Permissions::from_mode(0o640)).unwrap();
    refused(&home, ErrorKind::HomeUnsafe, "chmod 600");
}
