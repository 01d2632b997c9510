//! `kmss store check`: a whole home, and homes that somebody turned back, cut or wrote into.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::Said;

const TOKEN: &str = "main";
const DAMAGED: Option<i32> = Some(3);

fn check(home: &Home) -> Said {
    home.kmss(&format!("store check --token {TOKEN} --json")).run()
}

/// Copies the files of the store, or puts the copies back.
fn copy_store(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["store.db", "store.db-wal", "store.db-shm", "store.generation"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        } else {
            let _ = fs::remove_file(to.join(name));
        }
    }
}

fn findings(said: &Said) -> String {
    let report = &json_items(said)[0];
    report["findings"].as_array().unwrap().iter().map(|f| format!("{} ", f["what"])).collect()
}

#[test]
fn a_home_after_much_use_is_whole_and_counted() {
    if built::only_kmss("store check") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.init_token("second");
    for (n, kind) in ["rsa:2048", "ec:p256", "aes:256", "hmac:256"].iter().enumerate() {
        home.generate(TOKEN, &format!("k{n}"), kind, &format!("{n:02x}"));
    }
    home.kmss(&format!("cert self-sign k0 --token {TOKEN} --subject CN=x")).succeed();
    home.kmss(&format!("key label k1 --token {TOKEN} labelled")).succeed();
    home.kmss(&format!("key rename k2 --token {TOKEN} renamed")).succeed();
    home.kmss(&format!("key disable k0 --token {TOKEN}")).succeed();
    home.kmss(&format!("key enable k0 --token {TOKEN}")).succeed();
    home.kmss(&format!("key destroy k3 --token {TOKEN} --yes")).succeed();
    home.kmss("token delete second --yes").succeed();
    let said = check(&home);
    assert_eq!(said.code(), Some(0), "{said}");
    let report = &json_items(&said)[0];
    assert_eq!(report["namespaces"][0]["objects"], 6, "{report}");
    assert_eq!(report["namespaces"][0]["opened"], 6, "{report}");
    assert!(report["audit_records"].as_u64().unwrap() > 10, "{report}");
    // Without the PIN private records stay closed, which is no fault.
    let closed = home.kmss("store check").succeed();
    closed.mentions("whole").mentions("--token");
    home.kmss(&format!("store check --token {TOKEN}")).env("KMSS_PIN", "wrong-1").fail();
}

#[test]
fn a_store_that_went_back_is_told_by_the_audit() {
    if built::only_kmss("store check") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "old", "ec:p256", "01");
    let copy = home.file("copy");
    copy_store(&home.path(), &copy);
    home.kmss(&format!("key disable old --token {TOKEN}")).succeed();
    home.generate(TOKEN, "young", "ec:p256", "02");
    assert_eq!(check(&home).code(), Some(0));
    copy_store(&copy, &home.path());
    let said = check(&home);
    if said.code() == Some(1) {
        // The store itself noticed, which is as good.
        return;
    }
    assert_eq!(said.code(), DAMAGED, "{said}");
    let what = findings(&said);
    assert!(what.contains("old") && what.contains("undone"), "{what}");
    assert!(what.contains("young") && what.contains("not there"), "{what}");
}

#[test]
fn a_damaged_database_is_named_and_nothing_crashes() {
    if built::only_kmss("store check") {
        return;
    }
    let home = Home::with_token(TOKEN);
    for n in 0..8 {
        home.generate(TOKEN, &format!("k{n}"), "aes:256", "01");
    }
    let mut wrong = 0;
    let (whole, copy) = (home.path(), home.file("copy"));
    copy_store(&whole, &copy);
    let log = ["store.db-wal", "store.db"].map(|n| whole.join(n));
    let file = log.iter().find(|f| fs::metadata(f).is_ok_and(|m| m.len() > 8192)).unwrap();
    let length = fs::metadata(file).unwrap().len() as usize;
    for part in 1..8 {
        copy_store(&copy, &whole);
        let mut bytes = fs::read(file).unwrap();
        let at = length / 8 * part;
        bytes[at..at + 64].iter_mut().for_each(|b| *b ^= 0x55);
        fs::write(file, bytes).unwrap();
        let said = check(&home);
        assert!(matches!(said.code(), Some(0 | 1 | 3)), "{said}");
        wrong += usize::from(said.code() != Some(0));
    }
    assert!(wrong > 0, "no damage at all was seen");
}

#[test]
fn a_home_that_is_not_there_cannot_be_checked() {
    if built::only_kmss("store check") {
        return;
    }
    let home = Home::new();
    let said = home.kmss("store check").run();
    assert_eq!(said.code(), Some(1), "{said}");
}
