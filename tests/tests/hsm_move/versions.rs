//! Keys that were rotated, moved with every version that they have.

use std::fs;

use kmss_tests::home::{Home, json_items};
use kmss_tests::program::{Program, Said};
use kmss_tests::softhsm::Vault;
use serde_json::Value;

use super::{backends, is_clean, scene, sign, skip, verify, within};

/// Name, CKA_ID and backend of each version of a key, the oldest first.
fn versions(home: &Home, key: &str) -> Vec<[String; 3]> {
    let all = json_items(&home.kmss(&format!("key versions {key} --token pay --json")).succeed());
    let text = |one: &Value, what: &str| one[what].as_str().unwrap().to_owned();
    all.iter().map(|one| ["name", "cka_id", "backend"].map(|what| text(one, what))).collect()
}

/// Makes a key of the software engine and rotates it twice. `protects` is called with the CKA_ID of each version while that has
/// the name, and with a file for what it makes: `box.1` of the first version of `box`.
fn rotated_twice(home: &Home, (name, kind, id): (&str, &str, &str), protects: impl Fn(&str, &str)) {
    home.kmss(&format!("key generate {name} --token pay --type {kind} --id {id}")).succeed();
    for number in 1..=3 {
        if number > 1 {
            home.kmss(&format!("key rotate {name} --token pay")).succeed();
        }
        let [_, id, _] = versions(home, name).pop().unwrap();
        protects(&id, &format!("{name}.{number}"));
    }
}

fn aes(vault: &Vault, verb: &str, id: &str, (from, into): (&str, &str)) -> Program {
    let how = "--mechanism AES-CBC-PAD --iv 000102030405060708090a0b0c0d0e0f";
    vault.outside("pay", &format!("--{verb} --id {id} {how} --input-file {from} --output-file {into}"))
}

fn encrypt(vault: &Vault, id: &str, into: &str) {
    aes(vault, "encrypt", id, ("msg", into)).succeed();
}

fn decrypt(vault: &Vault, id: &str, from: &str) {
    aes(vault, "decrypt", id, (from, "opened")).succeed();
    assert_eq!(fs::read_to_string(vault.home.file("opened")).unwrap(), "text", "{from}");
    fs::remove_file(vault.home.file("opened")).unwrap();
}

fn moving(home: &Home, key: &str, more: &str) -> Said {
    home.kmss(&format!("key move {key} --token pay --to vault --json {more}")).run()
}

/// What a move said of each version, and its exit code.
fn told(said: &Said) -> (Vec<String>, Option<i32>) {
    let of = |row: &Value| format!("{}: {}", row["name"].as_str().unwrap(), row["outcome"].as_str().unwrap());
    (json_items(said).iter().map(of).collect(), said.code())
}

fn each(rows: [&str; 3]) -> Vec<String> {
    rows.map(str::to_owned).to_vec()
}

#[test]
fn a_rotated_key_moves_with_all_its_versions_and_each_still_reads_what_it_made() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    fs::write(home.file("msg"), "text").unwrap();
    rotated_twice(home, ("box", "aes:256", "0a"), |id, into| encrypt(&vault, id, into));
    rotated_twice(home, ("web", "ec:p256", "0b"), |id, into| sign(&vault, id, "ECDSA-SHA256", into));
    for key in ["box", "web"] {
        let before = versions(home, key);
        let names = [key.to_owned(), format!("{key}@1"), format!("{key}@2")];
        let all = |outcome: &str| -> (Vec<String>, Option<i32>) {
            (names.iter().map(|name| format!("{name}: {outcome}")).collect(), Some(0))
        };
        assert_eq!(told(&moving(home, key, "--dry-run")), all("would be moved"));
        assert_eq!(versions(home, key), before);
        assert_eq!(told(&moving(home, key, "")), all("moved"));
        let there: Vec<_> = before.into_iter().map(|[name, id, _]| [name, id, "vault".to_owned()]).collect();
        assert_eq!(versions(home, key), there);
        for name in &names {
            assert!(backends(home, name).iter().all(|half| half == "vault"), "both halves of {name}");
            assert_eq!(within(home, "vault", name), 1, "{name}");
        }
        assert_eq!(told(&moving(home, key, "")), all("there already"));
    }
    let reads = || {
        for (number, [_, id, _]) in (1..=3).zip(versions(home, "box")) {
            decrypt(&vault, &id, &format!("box.{number}"));
        }
        for (number, [_, id, _]) in (1..=3).zip(versions(home, "web")) {
            verify(&vault, &id, "ECDSA-SHA256", &format!("web.{number}"));
        }
    };
    reads();
    let [_, id, _] = versions(home, "web").pop().unwrap();
    sign(&vault, &id, "ECDSA-SHA256", "then");
    verify(&vault, &id, "ECDSA-SHA256", "then");
    // The next version is made where the key is now.
    for key in ["box", "web"] {
        home.kmss(&format!("key rotate {key} --token pay")).succeed().mentions("version 4");
        let now = versions(home, key);
        assert_eq!(now.len(), 4);
        assert!(now.iter().all(|[_, _, backend]| backend == "vault"), "{now:?}");
    }
    reads();
    let [_, id, _] = versions(home, "box").pop().unwrap();
    encrypt(&vault, &id, "box.4");
    decrypt(&vault, &id, "box.4");
    // A version that is destroyed is gone from the device, and the others are not.
    home.kmss("key destroy box@1 --token pay --yes").succeed();
    assert_eq!((within(home, "vault", "box@1"), within(home, "vault", "box@2")), (0, 1));
    is_clean(home);
}

#[test]
fn a_version_that_is_named_moves_alone() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    fs::write(home.file("msg"), "text").unwrap();
    rotated_twice(home, ("box", "aes:256", "0a"), |id, into| encrypt(&vault, id, into));
    assert_eq!(told(&moving(home, "box@1", "")), (vec!["box@1: moved".to_owned()], Some(0)));
    let places = || versions(home, "box").into_iter().map(|[_, _, backend]| backend).collect::<Vec<_>>();
    assert_eq!(places(), ["vault", "soft", "soft"]);
    let rest = each(["box: moved", "box@1: there already", "box@2: moved"]);
    assert_eq!(told(&moving(home, "box", "")), (rest, Some(0)));
    assert_eq!(places(), ["vault", "vault", "vault"]);
    for (number, [_, id, _]) in (1..=3).zip(versions(home, "box")) {
        decrypt(&vault, &id, &format!("box.{number}"));
    }
    is_clean(home);
}

#[test]
fn a_version_that_cannot_move_yet_is_told_of_and_keeps_no_other_one() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    home.kmss("key generate box --token pay --type aes:256").succeed();
    home.kmss("key generate web --token pay --type ec:p256").succeed();
    for key in ["box", "web"] {
        home.kmss(&format!("key rotate {key} --token pay")).succeed();
        home.kmss(&format!("key rotate {key} --token pay --ahead")).succeed();
    }
    let said = moving(home, "box", "");
    assert_eq!(told(&said), (each(["box: moved", "box@1: moved", "box@3: NOT MOVED"]), Some(4)));
    said.mentions("pre-active");
    assert_eq!((backends(home, "box"), backends(home, "box@3")), (vec!["vault".to_owned()], vec!["soft".to_owned()]));
    home.kmss("key activate box --token pay").succeed();
    let again = each(["box: moved", "box@1: there already", "box@2: there already"]);
    assert_eq!(told(&moving(home, "box", "")), (again, Some(0)));
    // A pair that was made ahead is active, and goes with the others.
    let pairs = each(["web: moved", "web@1: moved", "web@3: moved"]);
    assert_eq!(told(&moving(home, "web", "")), (pairs, Some(0)));
    home.kmss("key activate web --token pay").succeed();
    for key in ["box", "web"] {
        assert!(versions(home, key).iter().all(|[_, _, backend]| backend == "vault"), "{key}");
    }
    is_clean(home);
}

#[test]
fn a_policy_decides_on_all_versions_of_a_key_after_the_move_as_before() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    fs::write(home.file("msg"), "text").unwrap();
    for (name, id) in [("box", "0a"), ("iced", "0b"), ("free", "0c"), ("kept", "0d")] {
        rotated_twice(home, (name, "aes:256", id), |id, into| {
            encrypt(&vault, id, into);
            // The versions that follow have the tags of the one before.
            if into == "iced.1" {
                home.kmss("key tag iced --token pay frozen").succeed();
            }
        });
    }
    let policy = "allow anyone to anything\n\
                  deny anyone to decrypt key:box because \"the box is shut\"\n\
                  deny anyone to decrypt keys tagged frozen because \"it is ice\"\n\
                  deny anyone to export key:kept because \"it stays\"\n";
    fs::write(home.file("shut.kmss"), policy).unwrap();
    home.kmss("policy apply --token pay --name shut").arg(home.file("shut.kmss")).succeed();
    let decides = || {
        for (key, why) in [("box", "the box is shut"), ("iced", "it is ice")] {
            for (number, [name, id, _]) in (1..=3).zip(versions(home, key)) {
                aes(&vault, "decrypt", &id, (&format!("{key}.{number}"), "opened")).fail();
                let records = home.audit(60);
                let last = records.iter().rev().find(|r| r["action"] == "decrypt").unwrap();
                let said = (&last["outcome"], &last["object"]["name"], &last["reason"]);
                assert_eq!(said, (&"denied".into(), &name.as_str().into(), &why.into()), "{last}");
            }
        }
        for (number, [_, id, _]) in (1..=3).zip(versions(home, "free")) {
            decrypt(&vault, &id, &format!("free.{number}"));
        }
    };
    decides();
    for key in ["box", "iced", "free"] {
        assert_eq!(moving(home, key, "").code(), Some(0), "{key}");
        assert!(versions(home, key).iter().all(|[_, _, backend]| backend == "vault"), "{key}");
    }
    decides();
    // What forbids exports of the key by its name keeps every version of it where it is.
    let said = moving(home, "kept", "");
    assert_eq!(told(&said), (each(["kept: NOT MOVED", "kept@1: NOT MOVED", "kept@2: NOT MOVED"]), Some(4)));
    assert!(json_items(&said).iter().all(|row| row["detail"].as_str().unwrap().contains("it stays")), "{said}");
    assert!(versions(home, "kept").iter().all(|[_, _, backend]| backend == "soft"));
    is_clean(home);
}
