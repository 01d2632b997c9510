//! Very many keys under a new domain key, with whoever seals them anew killed in the middle: `KMSS_TEST_KEYS` says how many
//! (docs/hierarchy.md has figures of a run with 100,000).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, json_items};
use kmss_tests::p11::{Module, Session, flag, lead_here, text, ulong};

const TOKEN: &str = "main";
/// How often a rewrap is killed while part of the records is done, one in ten at least.
const KILLS: u32 = 4;
/// Every so many keys one is used.
const SAMPLE: usize = 53;
/// Longer than a command may take with a hundred thousand keys on a slow machine.
const PATIENCE: Duration = Duration::from_secs(1200);

fn keys_asked_for() -> usize {
    std::env::var("KMSS_TEST_KEYS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500)
}

fn make(session: &Session, label: &str, private: bool) -> CK_OBJECT_HANDLE {
    let template = [
        ulong(CKA_VALUE_LEN, 32),
        flag(CKA_TOKEN, true),
        flag(CKA_PRIVATE, private),
        flag(CKA_SIGN, true),
        text(CKA_LABEL, label),
    ];
    session.generate(CKM_AES_KEY_GEN, &template).unwrap()
}

fn mac(session: &Session, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    session.sign(CKM_AES_CMAC, key, b"what it says").unwrap()
}

/// How many records name each version of the domain key.
fn versions(home: &Home) -> BTreeMap<u64, u64> {
    let said = home.kmss(&format!("domain list {TOKEN} --json")).patience(PATIENCE).succeed();
    let each = |v: &serde_json::Value| (v["number"].as_u64().unwrap(), v["records"].as_u64().unwrap());
    json_items(&said)[0]["versions"].as_array().unwrap().iter().map(each).collect()
}

fn rotate(home: &Home) {
    home.kmss(&format!("domain rotate {TOKEN}")).succeed();
}

#[test]
fn very_many_keys_are_sealed_anew_whoever_is_killed_meanwhile() {
    if built::only_kmss("domain keys") {
        return;
    }
    let (home, many) = (Home::with_token(TOKEN), keys_asked_for());
    lead_here(&home);
    let module = Box::leak(Box::new(Module::load(&built::module())));
    module.initialize().unwrap();
    let session = module.open(module.slot_of(TOKEN).unwrap(), true).unwrap();
    session.login(CKU_USER, PIN).unwrap();
    let began = Instant::now();
    let (mut labels, mut said) = (BTreeSet::new(), BTreeMap::new());
    for number in 0..many {
        let label = format!("key-{number}");
        let key = make(&session, &label, number.is_multiple_of(2));
        if number.is_multiple_of(SAMPLE) {
            said.insert(label.clone(), mac(&session, key));
        }
        labels.insert(label);
    }
    eprintln!("{many} keys made in {:?}", began.elapsed());

    rotate(&home);
    let total: u64 = versions(&home).values().sum();
    assert!(total >= many as u64, "{total} records");
    let command = format!("domain rewrap {TOKEN}");
    let (mut delay, mut kills, began) = (Duration::from_millis(300), 0, Instant::now());
    for _ in 0..100 {
        if kills == KILLS {
            break;
        }
        let mut running = home.kmss(&command).keep_running();
        std::thread::sleep(delay);
        let ended = running.ended();
        running.signal(libc::SIGKILL);
        drop(running);
        let seen = versions(&home);
        assert_eq!(seen.values().sum::<u64>(), total, "a record is lost: {seen:?}");
        let (&newest, &done) = seen.last_key_value().unwrap();
        if ended.is_some() {
            assert_eq!((seen.len(), done), (1, total), "it said that it is done");
            rotate(&home);
            delay /= 2;
        } else if done < total / 10 {
            delay = delay * 3 / 2;
        } else if done < total {
            kills += 1;
            eprintln!("killed with {done} of {total} records under version {newest}");
        }
    }
    assert_eq!(kills, KILLS, "no moment was found at which part of the records is done");
    home.kmss(&command).patience(PATIENCE).succeed().mentions("is erased");
    eprintln!("sealed anew in {:?} with {kills} kills", began.elapsed());
    let after = versions(&home);
    assert_eq!((after.len(), after.values().sum::<u64>()), (1, total), "{after:?}");

    // This process was logged in all the time; who comes anew sees the same.
    for round in 0..2 {
        let found = session.find(&[ulong(CKA_CLASS, CKO_SECRET_KEY)]).unwrap();
        let label = |key: &CK_OBJECT_HANDLE| String::from_utf8(session.get(*key, CKA_LABEL).unwrap()).unwrap();
        assert_eq!(found.iter().map(label).collect::<BTreeSet<_>>(), labels);
        for (label, mac_before) in &said {
            let found = session.find(&[text(CKA_LABEL, label)]).unwrap();
            assert_eq!(found.len(), 1, "{label}");
            assert_eq!(mac(&session, found[0]), *mac_before, "{label}");
        }
        if round == 0 {
            session.logout().unwrap();
            session.login(CKU_USER, PIN).unwrap();
        }
    }
    let began = Instant::now();
    home.kmss(&format!("store check --token {TOKEN}")).patience(PATIENCE).succeed().mentions("whole");
    eprintln!("checked in {:?}", began.elapsed());

    rotate(&home);
    let began = Instant::now();
    home.kmss(&command).patience(PATIENCE).succeed().mentions("is erased");
    let took = began.elapsed();
    eprintln!("{total} records sealed anew in {took:?}: {:.0} in a second", total as f64 / took.as_secs_f64());
    for (label, mac_before) in &said {
        let found = session.find(&[text(CKA_LABEL, label)]).unwrap();
        assert_eq!(mac(&session, found[0]), *mac_before, "{label}");
    }
    home.audit_is_whole();
}
