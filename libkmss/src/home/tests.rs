#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use std::io::Write;
use std::os::unix::fs::{chown, symlink};

use super::place::admit;
use super::*;
use crate::os::Opening;

/// A user and group that certainly are not ours.
const STRANGER: u32 = 54_321;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home");
    (folder, path)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    effective_ids().0 == 0
}

fn refused<T: std::fmt::Debug>(result: Result<T>, hint: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HomeUnsafe, "{error}");
    assert!(error.to_string().contains(hint), "`{error}` does not say `{hint}`");
}

#[test]
fn a_missing_home_is_made_private_with_what_is_above_it() {
    let (_folder, path) = folder();
    let path = path.join("deep").join("down");
    assert_eq!(Home::open(&path).unwrap_err().kind(), ErrorKind::NotFound);
    let home = Home::open_or_create(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    assert_eq!(Home::open(&path).unwrap(), home);
}

#[test]
fn an_empty_directory_becomes_a_home_and_one_with_contents_is_left_alone() {
    let (_folder, path) = folder();
    fs::create_dir(&path).unwrap();
    set_mode(&path, 0o755);
    assert_eq!(Home::open(&path).unwrap_err().kind(), ErrorKind::NotFound);
    Home::open_or_create(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    set_mode(&path, 0o755);
    fs::write(path.join("thesis.txt"), "text").unwrap();
    refused(Home::open_or_create(&path), "chmod 700");
    assert_eq!(mode(&path), 0o755);
}

#[test]
fn homes_that_others_can_reach_are_refused_with_the_command_that_helps() {
    let (_folder, path) = folder();
    let home = Home::open_or_create(&path).unwrap();
    home.create_file("early").unwrap();
    for (bits, hint) in [
        (0o777, "everybody can write"),
        (0o770, "chmod 2770"),
        (0o1777, "everybody"),
        (0o755, "0700"),
        (0o2750, "2770"),
    ] {
        set_mode(&path, bits);
        refused(Home::open(&path), hint);
        refused(home.create_file("late"), hint);
    }
}

#[test]
fn a_strangers_home_is_refused_unless_it_is_shared_or_we_are_root() {
    let at = Path::new("/home/x");
    refused(admit(0o40700, 1000, 1001, at), "user 1000");
    assert_eq!(admit(0o40700, 1000, 0, at).unwrap(), 0o600);
    assert_eq!(admit(0o42770, 1000, 1001, at).unwrap(), 0o660);
    refused(admit(0o40770, 1000, 1000, at), "the group can write");
    refused(admit(0o40702, 1000, 1000, at), "everybody can write");
}

#[test]
fn root_does_not_follow_a_stranger_into_a_planted_home() {
    if !is_root() {
        return;
    }
    let (folder, path) = folder();
    Home::create(&path, None).unwrap();
    chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
    Home::open(&path).unwrap();
    set_mode(folder.path(), 0o1777);
    refused(Home::open(&path), "planted");
    chown(&path, Some(0), Some(0)).unwrap();
    Home::open(&path).unwrap();
}

#[test]
fn a_directory_above_that_everybody_can_write_makes_a_home_unsafe_unless_it_is_sticky() {
    let (folder, path) = folder();
    let above = folder.path().join("above");
    fs::create_dir(&above).unwrap();
    drop(path);
    let home = above.join("home");
    Home::open_or_create(&home).unwrap();
    set_mode(&above, 0o777);
    refused(Home::open(&home), "chmod o-w");
    set_mode(&above, 0o1777);
    Home::open(&home).unwrap();
}

#[test]
fn a_home_reached_by_a_link_is_pinned_to_where_the_link_led() {
    let (folder, path) = folder();
    Home::create(&path, None).unwrap();
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    let home = Home::open(&link).unwrap();
    assert_eq!(home.path(), fs::canonicalize(&path).unwrap());
}

#[test]
fn a_home_that_is_swapped_while_in_use_is_noticed() {
    let (folder, path) = folder();
    let home = Home::create(&path, None).unwrap();
    fs::rename(&path, folder.path().join("old")).unwrap();
    Home::create(&path, None).unwrap();
    refused(home.create_file("late"), "replaced while in use");
}

#[test]
fn files_and_directories_get_the_mode_of_a_private_home() {
    let (_folder, path) = folder();
    let home = Home::create(&path, None).unwrap();
    home.create_file("a").unwrap();
    home.open_or_create_file("audit/b").unwrap();
    home.replace("c", b"x").unwrap();
    assert!(home.create_exclusively("d", b"y").unwrap());
    let prepared = home.prepare(STORE).unwrap();
    assert_eq!(prepared, home.join(STORE));
    for name in ["a", "audit/b", "c", "d", STORE] {
        assert_eq!(mode(&home.join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&home.create_directory("audit").unwrap()), 0o700);
    let drafts = fs::read_dir(home.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(drafts.count(), 0);
}

#[test]
fn files_that_root_makes_belong_to_the_owner_of_the_home() {
    if !is_root() {
        return;
    }
    let (_folder, path) = folder();
    let home = Home::create(&path, None).unwrap();
    chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
    home.create_file("a").unwrap();
    home.create_file("audit/b").unwrap();
    home.replace("c", b"x").unwrap();
    home.prepare(STORE).unwrap();
    fs::write(home.join("left-by-root"), "").unwrap();
    set_mode(&home.join("left-by-root"), 0o600);
    home.prepare("left-by-root").unwrap();
    for name in ["a", "audit", "audit/b", "c", STORE, "left-by-root"] {
        let metadata = fs::metadata(home.join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (STRANGER, STRANGER), "{name}");
    }
}

#[test]
fn a_shared_home_gives_its_files_to_the_group() {
    let group = ["www-data", "daemon", "nogroup"].into_iter().find(|g| group_by_name(g).unwrap().is_some());
    let (Some(group), true) = (group, is_root()) else { return };
    let gid = group_by_name(group).unwrap().unwrap();
    let (_folder, path) = folder();
    let home = Home::create(&path, Some(group)).unwrap();
    assert_eq!(mode(&path), 0o2770);
    assert!(home.file_mode().unwrap().is_shared());
    home.create_file("a").unwrap();
    home.create_file("audit/b").unwrap();
    for (name, bits) in [("a", 0o660), ("audit", 0o2770), ("audit/b", 0o660)] {
        let metadata = fs::metadata(home.join(name)).unwrap();
        assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (gid, bits), "{name}");
    }
    // What a worker made is as good as what the owner made.
    chown(home.join("a"), Some(STRANGER), Some(gid)).unwrap();
    assert!(home.open_file("a", Opening::Write).unwrap().is_some());
    chown(home.join("a"), Some(STRANGER), Some(STRANGER)).unwrap();
    refused(home.open_file("a", Opening::Write), "chown");
    // Asking again is fine, asking for something else is not.
    assert_eq!(Home::create(&path, Some(group)).unwrap(), home);
    let (_other, private) = self::folder();
    Home::create(&private, None).unwrap().create_file("x").unwrap();
    assert_eq!(Home::create(&private, Some(group)).unwrap_err().kind(), ErrorKind::Arguments);
    assert_eq!(Home::create(&private, Some("no-such-group")).unwrap_err().kind(), ErrorKind::Arguments);
}

#[test]
fn links_pipes_and_loose_files_in_a_home_are_refused() {
    let (folder, path) = folder();
    let home = Home::create(&path, None).unwrap();
    let outside = folder.path().join("outside");
    fs::write(&outside, "secret").unwrap();
    symlink(&outside, home.join("link")).unwrap();
    symlink(folder.path(), home.join("way-out")).unwrap();
    refused(home.open_file("link", Opening::Read), "symbolic link");
    refused(home.prepare("link"), "not an ordinary file");
    refused(home.read("way-out/outside"), "cannot open");
    assert!(home.create_file("link").is_err());
    assert!(!home.create_exclusively("link", b"x").unwrap());
    assert_eq!(fs::read(&outside).unwrap(), b"secret");
    refused(home.create_file("../escape"), "cannot open");
    fs::create_dir(home.join("folder")).unwrap();
    set_mode(&home.join("folder"), 0o700);
    refused(home.open_file("folder", Opening::Read), "not an ordinary file");
    home.create_file("loose").unwrap();
    set_mode(&home.join("loose"), 0o644);
    refused(home.open_file("loose", Opening::Read), "chmod 600");
    refused(home.prepare("loose"), "chmod 600");
    set_mode(&home.join("folder"), 0o755);
    refused(home.create_file("folder/x"), "chmod 700");
}

#[test]
fn an_exclusive_file_is_made_once_and_complete() {
    let (_folder, path) = folder();
    let home = Home::create(&path, None).unwrap();
    let winners: usize = std::thread::scope(|s| {
        let threads: Vec<_> = (0..8_u8)
            .map(|n| {
                let home = &home;
                s.spawn(move || usize::from(home.create_exclusively("one", &[n; 4096]).unwrap()))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(winners, 1);
    let contents = home.read("one").unwrap().unwrap();
    assert_eq!(contents.len(), 4096);
    assert!(contents.expose().iter().all(|b| *b == contents.expose()[0]));
}

#[test]
fn files_are_read_replaced_appended_and_removed() {
    let (_folder, path) = folder();
    let home = Home::create(&path, None).unwrap();
    assert!(home.read("f").unwrap().is_none());
    assert!(home.open_file("f", Opening::Append).unwrap().is_none());
    home.replace("f", b"one").unwrap();
    home.open_file("f", Opening::Append).unwrap().unwrap().write_all(b"two").unwrap();
    assert_eq!(home.read("f").unwrap().unwrap().expose(), b"onetwo");
    assert_eq!(home.create_file("f").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(home.exists("f").unwrap());
    home.remove("f").unwrap();
    home.remove("f").unwrap();
    assert!(!home.exists("f").unwrap());
}
