//! Groups of HSMs as the command shows and mends them: replicas, what is left of them, and keys that move to a group and from one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::members::{Member, world};
use kmss_tests::program::Program;
use serde_json::Value;

/// A home before HSMs, of which some are the group `pair`.
struct Scene {
    home: Home,
    members: Vec<(&'static str, Member)>,
}

impl Scene {
    fn new(members: &[&'static str]) -> Self {
        let scene = Self { home: Home::new(), members: members.iter().map(|name| (*name, Member::new())).collect() };
        scene.configure(members);
        scene
    }

    /// Has the group consist of these.
    fn configure(&self, group: &[&str]) {
        let folder = self.home.path();
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let hsm = |(name, member): &(&str, Member)| {
            let (module, pin) = (member.file("libfaulty_module.so"), member.file("pin"));
            format!(
                "[[hsm]]\nname = \"{name}\"\nmodule = \"{}\"\ntoken = \"{}\"\npin = {{ file = \"{}\" }}\n",
                module.display(),
                member.label,
                pin.display()
            )
        };
        let hsms: String = self.members.iter().map(hsm).collect();
        let file = folder.join("kmss.toml");
        fs::write(&file, format!("{hsms}[[hsm_group]]\nname = \"pair\"\nmembers = {group:?}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn kmss(&self, words: &str) -> Program {
        self.home.kmss(words).env("SOFTHSM2_CONF", world().folder.path().join("softhsm2.conf"))
    }

    fn member(&self, name: &str) -> &Member {
        &self.members.iter().find(|(other, _)| *other == name).unwrap().1
    }

    /// The private keys that an HSM or group shows.
    fn keys(&self, hsm: &str) -> Vec<Value> {
        let mut rows = json_items(&self.kmss(&format!("hsm keys {hsm} --token pay --json")).succeed());
        rows.retain(|row| row["class"] == "private");
        rows
    }

    /// What `hsm clone` says of the private half of a key.
    fn clone(&self, more: &str) -> (Value, Option<i32>) {
        let said = self.kmss(&format!("hsm clone pair --token pay --json {more}")).run();
        (json_items(&said).swap_remove(0), said.code())
    }

    /// The files in which SoftHSM2 keeps the objects of a member.
    fn files(&self, name: &str) -> Vec<PathBuf> {
        let padded = format!("{}     ", self.member(name).label).into_bytes();
        let mut folders =
            fs::read_dir(world().folder.path().join("tokens")).unwrap().map(|entry| entry.unwrap().path());
        let is_it = |folder: &PathBuf| {
            fs::read(folder.join("token.object")).unwrap().windows(padded.len()).any(|bytes| bytes == padded)
        };
        let all = fs::read_dir(folders.find(is_it).unwrap()).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|file| file.extension().is_some_and(|e| e == "object") && !file.ends_with("token.object")).collect()
    }

    /// Kills a command at the first call of `function` in a member.
    fn killed_at(&self, member: &str, function: &str, words: &str) {
        let member = self.member(member);
        member.note_calls();
        member.command(&format!("{function} hang:60000"));
        let mut running = self.kmss(words).keep_running();
        let begun = Instant::now();
        while member.calls(function) == 0 {
            assert!(running.ended().is_none() && begun.elapsed() < Duration::from_secs(60), "{}", running.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        running.signal(libc::SIGKILL);
        running.wait_end();
        member.revive();
    }
}

fn skip() -> bool {
    built::only_kmss("groups of HSMs")
}

#[test]
fn the_command_shows_a_group_and_brings_it_what_it_lacks() {
    if skip() {
        return;
    }
    let _turn = world().turn();
    let scene = Scene::new(&["a", "b"]);
    let (a, b) = (scene.member("a"), scene.member("b"));
    let kmss = |words: &str| scene.kmss(words);
    scene.configure(&["a", "c"]);
    kmss("hsm list").fail().mentions("no [[hsm]] is called so");
    scene.configure(&["a", "b"]);
    kmss("hsm list").succeed().mentions("group pair").mentions("a can be used, b can be used");
    kmss("token init --backend pair pay").succeed();
    b.kill();
    kmss("hsm list").fail().mentions("b CANNOT BE USED");
    kmss("key generate one --token pay --type ec:p256").succeed();
    let (told, code) = scene.clone("--dry-run");
    assert_eq!((&told["key"], code), (&"one".into(), Some(4)), "{told}");
    assert!(told["lacking"][0]["hsm"] == "b" && told["extractable_in"][0] == "a", "{told}");
    b.revive();
    let (told, code) = scene.clone("");
    assert!(code == Some(0) && told["brought_to"] == serde_json::json!(["b"]), "{told}");
    kmss("hsm clone pair --token pay").succeed().mentions("No key lacks a replica");
    kmss("hsm clone nobody --token pay").fail().mentions("no group");
    // A key that was made in the second is the same key, whichever way it is looked at.
    a.kill();
    kmss("key generate two --token pay --type ec:p256").succeed();
    a.revive();
    kmss("hsm clone pair --token pay").succeed();
    for hsm in ["pair", "a", "b"] {
        let keys = scene.keys(hsm);
        assert!(keys.len() == 2 && keys.iter().all(|key| key["outcome"] == "there already"), "{hsm}: {keys:?}");
        kmss(&format!("hsm adopt {hsm} --token pay --all")).succeed();
    }
    a.kill();
    kmss("key show one --token pay").succeed();
    kmss("key destroy one --token pay --yes").fail().mentions("is left");
    kmss("store check --token pay").succeed();
}

#[test]
fn what_a_clone_that_is_killed_leaves_goes_with_the_next_one() {
    if skip() {
        return;
    }
    let _turn = world().turn();
    let scene = Scene::new(&["a", "b"]);
    scene.kmss("token init --backend pair pay").succeed();
    scene.member("b").kill();
    scene.kmss("key generate one --token pay --type ec:p256").succeed();
    scene.member("b").revive();
    // The key is there, and is to show that it is the same.
    scene.killed_at("b", "C_SignInit", "hsm clone pair --token pay");
    let left = scene.keys("b");
    assert!(left.len() == 1 && left[0]["outcome"] == "NOT ADOPTED", "{left:?}");
    assert!(left[0]["detail"].as_str().unwrap().contains("hsm clone"), "{left:?}");
    assert_eq!(scene.keys("a")[0]["extractable"], true, "the key is closed, and has no replica");
    let (told, code) = scene.clone("");
    assert!(code == Some(0) && told["brought_to"] == serde_json::json!(["b"]), "{told}");
    for member in ["a", "b"] {
        let keys = scene.keys(member);
        assert!(keys.len() == 1 && keys[0]["outcome"] == "there already", "{member}: {keys:?}");
        assert_eq!(keys[0]["extractable"], false);
    }
    // The record says where it went.
    let told = Value::Array(scene.home.audit(50)).to_string();
    assert!(told.contains("\"new\":\"a b\",\"old\":\"a\""), "{told}");
    scene.kmss("store check --token pay").succeed();
}

#[test]
fn a_replica_that_an_hsm_loses_is_brought_again_and_goes_when_it_is_found_again() {
    if skip() {
        return;
    }
    let _turn = world().turn();
    let scene = Scene::new(&["a", "b"]);
    scene.kmss("token init --backend pair pay").succeed();
    scene.kmss("key generate one --token pay --type ec:p256 --extractable").succeed();
    let lost = scene.files("b");
    assert_eq!(lost.len(), 2, "the halves of the pair");
    lost.iter().for_each(|file| fs::rename(file, file.with_extension("lost")).unwrap());
    assert_eq!(scene.keys("b").len(), 0);
    let (told, code) = scene.clone("");
    assert!(code == Some(0) && told["brought_to"] == serde_json::json!(["b"]), "{told}");
    lost.iter().for_each(|file| fs::rename(file.with_extension("lost"), file).unwrap());
    let mut outcomes: Vec<_> = scene.keys("b").iter().map(|key| key["outcome"].to_string()).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["\"NOT ADOPTED\"", "\"there already\""]);
    let (_, code) = scene.clone("");
    assert_eq!((code, scene.keys("b").len(), scene.files("b").len()), (Some(0), 1, 2));
    scene.kmss("store check --token pay").succeed();
}

#[test]
fn a_home_that_is_older_than_a_replica_does_not_destroy_the_only_other_one() {
    if skip() {
        return;
    }
    let _turn = world().turn();
    let scene = Scene::new(&["a", "b"]);
    scene.kmss("token init --backend pair pay").succeed();
    scene.member("b").kill();
    scene.kmss("key generate one --token pay --type ec:p256").succeed();
    scene.member("b").revive();
    let (home, copy) = (scene.home.path(), scene.home.file("copy"));
    let copied = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    copied(&home, &copy);
    let (_, code) = scene.clone("");
    assert_eq!((code, scene.keys("b").len()), (Some(0), 1));
    fs::remove_dir_all(&home).unwrap();
    copied(&copy, &home);
    // The key is closed by now: nothing brings it again.
    let (told, code) = scene.clone("");
    assert!(code == Some(4) && told["error"].as_str().unwrap().contains("lacks the key still"), "{told}");
    assert_eq!(scene.keys("b").len(), 1, "the replica is destroyed");
}

#[test]
fn a_key_is_closed_where_the_member_that_it_waited_for_is_given_up() {
    if skip() {
        return;
    }
    let _turn = world().turn();
    let scene = Scene::new(&["a", "b", "c"]);
    scene.kmss("token init --backend pair pay").succeed();
    scene.member("c").kill();
    scene.kmss("key generate one --token pay --type ec:p256").succeed();
    let (told, code) = scene.clone("");
    assert!(code == Some(4) && told["error"].is_string(), "{told}");
    scene.configure(&["a", "b"]);
    let (told, code) = scene.clone("--dry-run");
    assert!(code == Some(4) && told["extractable_in"] == serde_json::json!(["a"]), "{told}");
    assert_eq!(told["lacking"], serde_json::json!([]));
    let (told, code) = scene.clone("");
    assert!(code == Some(0) && told["extractable_in"] == serde_json::json!([]), "{told}");
    assert_eq!(scene.keys("a")[0]["extractable"], false);
}

#[test]
fn a_key_moves_to_a_group_and_from_it_whichever_member_has_it() {
    if skip() {
        return;
    }
    let _turn = world().turn();
    let scene = Scene::new(&["a", "b"]);
    let kmss = |words: &str| scene.kmss(words);
    kmss("token init pay").succeed();
    kmss("key generate k --token pay --type ec:p256 --extractable").succeed();
    // What a killed move leaves in a group is cleared as what it leaves in an HSM.
    scene.killed_at("b", "C_SignInit", "key move k --token pay --to pair");
    let left = || scene.keys("a").len() + scene.keys("b").len();
    assert_eq!(left(), 2);
    kmss("key move k --token pay --to pair").succeed().mentions("moved");
    assert_eq!(left(), 2, "what was left is destroyed");
    kmss("key move k --token pay --to pair").succeed().mentions("there already");
    kmss("key move k --token pay --to soft").succeed();
    assert_eq!(left(), 0);
    // The transport key is made where the key is.
    scene.member("a").kill();
    kmss("key move k --token pay --to pair").succeed();
    scene.member("a").revive();
    assert_eq!((scene.keys("a").len(), scene.keys("b").len()), (0, 1));
    kmss("key move k --token pay --to soft").succeed();
    assert_eq!(left(), 0);
    kmss("store check --token pay").succeed();
}
