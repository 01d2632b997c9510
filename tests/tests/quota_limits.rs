//! Quotas through the module: never exceeded by any number of processes and threads, whoever of them is killed; bytes before
//! they are released; days, rates, forks; and who sets them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::*;
use serde_json::Value;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Mech, Session, Token, flag, refused, ulong};
use kmss_tests::rules::{self, aes, ec_pair, finish_sign, kmss, last_denial, records};

const CONFIG: &str = r#"
[store]
busy_timeout_ms = 60000

[[principal]]
token = "metered"
name = "service:metered"

[[quota]]
name = "from-the-file"
token = "filed"
each = ["key"]
actions = ["encrypt"]
total = 3
"#;

fn token(label: &str) -> Token {
    rules::token(CONFIG, label)
}

fn iv() -> Mech {
    Mech::bytes(CKM_AES_CBC_PAD, &[7; 16])
}

/// Asks for a refusal by quota.
#[track_caller]
fn exceeded<T: std::fmt::Debug>(result: kmss_tests::p11::Res<T>) {
    refused(result, CKR_TOKEN_RESOURCE_EXCEEDED);
}

/// What is used of a quota, as the command says it.
fn used(words: &str) -> Vec<Value> {
    let said = json_items(&kmss(&format!("quota show {words} --json")).succeed());
    said[0]["usage"].as_array().unwrap().clone()
}

/// A number that forked children share.
fn shared() -> &'static AtomicU64 {
    // SAFETY: a fresh page, zeroed and aligned, that stays.
    unsafe {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let page = libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast::<AtomicU64>()
    }
}

/// A child that runs `f` and ends with its word.
fn child(f: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child uses the module as a forked worker does, and leaves by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let fine = f();
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(i32::from(!fine)) };
    }
    pid
}

fn wait(pid: i32) -> i32 {
    let mut status = -1;
    // SAFETY: waits for a child of this process.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

/// Taken by tests that keep all processors busy.
static BUSY: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Signs by two threads until the quota is used up; `done` counts. Whether nothing else was refused.
fn hammer(token: &Token, done: &AtomicU64) -> bool {
    let (module, slot) = (token.module, token.slot);
    let until_refused = move |session: &Session| {
        let found = session.find(&[kmss_tests::p11::ulong(CKA_CLASS, CKO_PRIVATE_KEY)]);
        let Ok([key, ..]) = found.as_deref() else { return false };
        loop {
            match session.sign(CKM_ECDSA, *key, &[3; 32]) {
                Ok(_) => _ = done.fetch_add(1, Ordering::SeqCst),
                Err(rv) if rv.0 == CKR_TOKEN_RESOURCE_EXCEEDED => return true,
                Err(rv) => {
                    eprintln!("a child was refused otherwise: {rv:?}");
                    return false;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads =
            [(); 2].map(|()| scope.spawn(|| module.open(slot, true).is_ok_and(|session| until_refused(&session))));
        threads.into_iter().all(|thread| thread.join().unwrap_or(false))
    })
}

#[test]
fn eight_processes_with_threads_reach_a_limit_exactly() {
    if built::only_kmss("quotas") {
        return;
    }
    let token = token("eight");
    let session = token.user();
    let _ = ec_pair(&session, "pair");
    kmss("quota set uses --token eight --key pair --actions sign --total 1000").succeed().mentions("1000 ever");
    let _alone = BUSY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let done = shared();
    let children: Vec<i32> = (0..8).map(|_| child(|| hammer(&token, done))).collect();
    let ends: Vec<i32> = children.into_iter().map(wait).collect();
    assert_eq!(ends, [0; 8], "{} signatures", done.load(Ordering::SeqCst));
    assert_eq!(done.load(Ordering::SeqCst), 1_000);
    assert_eq!(used("uses --token eight")[0]["used"], 1_000);
    let refusal = last_denial("eight");
    assert_eq!((&refusal["rule"], &refusal["error"]), (&"quota:uses".into(), &"quota-exceeded".into()), "{refusal}");
}

#[test]
fn killed_processes_lose_a_lease_each_and_nobody_exceeds_the_limit() {
    if built::only_kmss("quotas") {
        return;
    }
    let token = token("killed");
    let session = token.user();
    let _ = ec_pair(&session, "pair");
    kmss("quota set uses --token killed --actions sign --total 1000").succeed();
    let _alone = BUSY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let done = shared();
    let children: Vec<i32> = (0..8).map(|_| child(|| hammer(&token, done))).collect();
    let (killed, others) = children.split_at(4);
    for (n, pid) in killed.iter().enumerate() {
        while done.load(Ordering::SeqCst) < 100 * (n as u64 + 1) {
            std::thread::yield_now();
        }
        // SAFETY: ends a child of this process.
        assert_eq!(unsafe { libc::kill(*pid, libc::SIGKILL) }, 0);
        wait(*pid);
    }
    assert!(others.iter().all(|pid| wait(*pid) == 0));
    let done = done.load(Ordering::SeqCst);
    // A lease of ten at most, and what its two threads were about to do.
    assert!((1_000 - 4 * 12..=1_000).contains(&done), "{done}");
    assert_eq!(used("uses --token killed")[0]["used"], 1_000);
}

#[test]
fn a_child_leases_for_itself_and_the_parents_operations_stay_the_parents() {
    if built::only_kmss("quotas") {
        return;
    }
    let token = token("forks");
    let session = token.user();
    let (_, pair) = ec_pair(&session, "pair");
    kmss("quota set uses --token forks --actions sign --total 300").succeed();
    let done = shared();
    let sign = |session: &Session| session.sign(CKM_ECDSA, pair, &[3; 32]);
    for _ in 0..50 {
        sign(&session).unwrap();
    }
    session.sign_init(CKM_ECDSA, pair).unwrap();
    let worker = || {
        while sign(&session).is_ok() {
            done.fetch_add(1, Ordering::SeqCst);
        }
        true
    };
    let first = child(worker);
    assert_eq!(wait(first), 0);
    // The one that was begun before has its place.
    finish_sign(&session, &[3; 32]).unwrap();
    let mut rest = 0;
    while sign(&session).is_ok() {
        rest += 1;
    }
    assert_eq!(51 + done.load(Ordering::SeqCst) + rest, 300);
}

#[test]
fn bytes_are_refused_before_they_are_released() {
    if built::only_kmss("quotas") {
        return;
    }
    let token = token("bytes");
    let session = token.user();
    let key = aes(&session, "k");
    let sealed = session.encrypt(iv(), key, &[1; 1024]).unwrap();
    kmss("quota set volume --token bytes --actions decrypt,random --bytes-total 1000").succeed();
    session.decrypt_init(iv(), key).unwrap();
    assert!(!session.decrypt_update(&sealed[..512]).unwrap().is_empty());
    exceeded(session.decrypt_update(&sealed[512..]));
    refused(session.decrypt_final(), CKR_OPERATION_NOT_INITIALIZED);
    let refusal = last_denial("bytes");
    assert_eq!(refusal["rule"], "quota:volume", "{refusal}");
    // What had left stays counted; the rest can be used.
    let near =
        |record: &Value| record["action"] == "random" && record["tags"].to_string().contains("quota-near:volume");
    exceeded(session.random(489));
    assert_eq!(session.random(488).unwrap().len(), 488);
    assert!(records("bytes").iter().any(near), "draws leave no record, but for this");
    exceeded(session.decrypt(iv(), key, &sealed[..16]));
    // A length that is asked for, and a buffer that is too small, take nothing twice.
    kmss("quota set volume --token bytes --actions decrypt,random --bytes-total 2040")
        .succeed()
        .mentions("in place of");
    session.decrypt_init(iv(), key).unwrap();
    let (rv, room) = session.into_buffer(kmss_tests::p11::Whole::Decrypt, &sealed, None);
    assert_eq!((rv.0, room >= 1024), (CKR_OK, true));
    let (rv, _) = session.into_buffer(kmss_tests::p11::Whole::Decrypt, &sealed, Some(10));
    assert_eq!(rv.0, CKR_BUFFER_TOO_SMALL);
    let (rv, len) = session.into_buffer(kmss_tests::p11::Whole::Decrypt, &sealed, Some(2048));
    assert_eq!((rv.0, len), (CKR_OK, 1024));
    assert_eq!(used("volume --token bytes")[0]["used"], 2040);
}

#[test]
fn what_a_key_finds_wrong_counts_so_that_nobody_tries_without_end() {
    if built::only_kmss("quotas") {
        return;
    }
    let token = token("tried");
    let session = token.user();
    let key = aes(&session, "k");
    // The last block is padding alone; what is changed before it makes that 17.
    let mut wrong = session.encrypt(iv(), key, &[1; 16]).unwrap();
    wrong[15] ^= 1;
    kmss("quota set tries --token tried --actions decrypt,unwrap --total 3").succeed();
    for _ in 0..3 {
        refused(session.decrypt(iv(), key, &wrong), CKR_ENCRYPTED_DATA_INVALID);
    }
    exceeded(session.decrypt(iv(), key, &wrong));
    assert_eq!(last_denial("tried")["rule"], "quota:tries");
    kmss("quota set tries --token tried --actions decrypt,unwrap --total 5").succeed().mentions("in place of");
    let unwrap = || {
        let template = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES), flag(CKA_TOKEN, false)];
        session.unwrap(CKM_AES_KEY_WRAP_KWP, key, &[7; 40], &template)
    };
    for _ in 0..2 {
        refused(unwrap(), CKR_WRAPPED_KEY_INVALID);
    }
    exceeded(unwrap());
    // What was refused took nothing, and what is right counts as ever.
    kmss("quota set tries --token tried --actions decrypt,unwrap --total 6").succeed();
    wrong[15] ^= 1;
    assert_eq!(session.decrypt(iv(), key, &wrong).unwrap(), [1; 16]);
    exceeded(session.decrypt(iv(), key, &wrong));
}

#[test]
fn rates_hold_sessions_keys_and_principals_and_what_is_near_is_told_once() {
    if built::only_kmss("quotas") {
        return;
    }
    let token = token("metered");
    let session = token.user();
    kmss("quota set fast --principal service:metered --each principal --per-second 1 --burst 5 --actions encrypt")
        .succeed();
    kmss("quota set daily --token metered --actions encrypt --per-day 10").succeed();
    let key = session.generate(CKM_AES_KEY_GEN, &rules::aes_template("", false)).unwrap();
    let results: Vec<_> = (0..8).map(|_| session.encrypt(iv(), key, MESSAGE)).collect();
    assert!(results.iter().take(5).all(Result::is_ok), "{results:?}");
    exceeded(results[7].clone());
    assert_eq!(last_denial("metered")["rule"], "quota:fast");
    kmss("quota remove fast").succeed().mentions("Removed");
    while session.encrypt(iv(), key, MESSAGE).is_ok() {}
    let refusal = last_denial("metered");
    assert_eq!(refusal["rule"], "quota:daily");
    assert!(refusal["reason"].as_str().unwrap().contains("T00:00:00Z on"), "{refusal}");
    let told = |record: &&Value| record["tags"].to_string().contains("quota-near:daily");
    let records = records("metered");
    assert_eq!(records.iter().filter(told).count(), 1, "{records:?}");
    kmss("quota usage").succeed().mentions("daily").mentions("100 %");
    kmss("quota remove daily --token metered").succeed();
    session.encrypt(iv(), key, MESSAGE).unwrap();
}

#[test]
fn quotas_of_the_configuration_hold_and_changes_hold_at_once() {
    if built::only_kmss("quotas") {
        return;
    }
    let token = token("filed");
    let session = token.user();
    let (one, two) = (aes(&session, "one"), aes(&session, "two"));
    for key in [one, two] {
        (0..3).for_each(|_| drop(session.encrypt(iv(), key, MESSAGE).unwrap()));
        exceeded(session.encrypt(iv(), key, MESSAGE));
    }
    kmss("quota list").succeed().mentions("from-the-file").mentions("configuration");
    // Uses that follow each other are counted all the same.
    let (_, pair) = ec_pair(&session, "pair");
    for _ in 0..5 {
        session.sign(CKM_ECDSA, pair, &[3; 32]).unwrap();
    }
    kmss("quota set few --token filed --key pair --actions sign --total 4").succeed();
    (0..4).for_each(|_| drop(session.sign(CKM_ECDSA, pair, &[3; 32]).unwrap()));
    exceeded(session.sign(CKM_ECDSA, pair, &[3; 32]));
    kmss("quota set few --token filed --key pair --actions sign --total 5").succeed();
    session.sign(CKM_ECDSA, pair, &[3; 32]).unwrap();
    exceeded(session.sign(CKM_ECDSA, pair, &[3; 32]));
}

#[test]
fn an_officer_sets_quotas_and_every_change_is_on_record() {
    if built::only_kmss("quotas") {
        return;
    }
    let home = Home::with_token("web");
    let set = "quota set daily --token web --per-day";
    home.kmss(&format!("{set} 100")).env("KMSS_SO_PIN", "wrong").fail();
    home.kmss(&format!("{set} 100")).succeed();
    home.kmss(&format!("{set} 200 --each key")).succeed().mentions("in place of 100/day");
    home.kmss("quota set wide --per-second 10 --burst 20").succeed().mentions("everything");
    home.kmss("quota set wide --token web --total 5").succeed();
    for (words, why) in [
        ("quota set nothing --token web", "needs a limit"),
        ("quota set a/b --total 1", "letters, digits"),
        ("quota set x --total 1 --actions fly", "no action"),
        ("quota set x --total 1 --principal alice", "kind:name"),
        ("quota remove daily", "no quota"),
        ("quota show daily", "no quota"),
    ] {
        home.kmss(words).fail().mentions(why);
    }
    assert_eq!(json_items(&home.kmss("quota list --json").succeed()).len(), 3);
    home.kmss("quota remove wide").succeed();
    home.kmss("quota show wide --token web").succeed().mentions("5 ever");
    let changes: Vec<Value> =
        home.audit(60).into_iter().filter(|r| r["tags"].to_string().contains("quota:daily")).collect();
    let outcomes: Vec<&str> = changes.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["intent", "success", "intent", "success"], "{changes:?}");
    let tags = changes[2]["tags"].to_string();
    assert!(tags.contains("from 100/day") && tags.contains("to 200/day each key"), "{tags}");
    home.audit_is_whole();
}
