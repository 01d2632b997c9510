//! `kmss domain` and `kmss seal`: new versions of the keys that seal everything, with a process that works all the time, and
//! kills at any moment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN, json_items};
use kmss_tests::p11::{Module, Session, flag, lead_here, raw, text, ulong};
use kmss_tests::program::Said;

const TOKEN: &str = "main";

/// How many keys: more where somebody asks for them (`KMSS_TEST_KEYS=100000`).
fn many(usually: usize) -> usize {
    std::env::var("KMSS_TEST_KEYS").ok().and_then(|n| n.parse().ok()).unwrap_or(usually)
}

/// This process as the one that works all the time.
struct Worker {
    session: Session,
    signer: CK_OBJECT_HANDLE,
    made: usize,
    signed: usize,
}

impl Worker {
    fn join(home: &Home, suite: &str) -> Self {
        home.kmss(&format!("home init --suite {suite}")).succeed();
        home.init_token(TOKEN);
        home.generate(TOKEN, "signer", "ec:p256", "01");
        lead_here(home);
        let module = Box::leak(Box::new(Module::load(&built::module())));
        module.initialize().unwrap();
        let session = module.open(module.slot_of(TOKEN).unwrap(), true).unwrap();
        session.login(CKU_USER, PIN).unwrap();
        let signer = session.find(&[raw(CKA_ID, [1]), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap()[0];
        Self { session, signer, made: 0, signed: 0 }
    }

    fn make(&mut self, private: bool) -> (String, Vec<u8>) {
        self.made += 1;
        let label = format!("key{}", self.made);
        let template = [
            ulong(CKA_VALUE_LEN, 32),
            flag(CKA_TOKEN, true),
            flag(CKA_PRIVATE, private),
            flag(CKA_SIGN, true),
            text(CKA_LABEL, &label),
        ];
        let key = self.session.generate(CKM_AES_KEY_GEN, &template).unwrap();
        (label, self.session.sign(CKM_AES_CMAC, key, b"what it says").unwrap())
    }

    /// Works: signs with one key, changes another, makes and destroys a third.
    fn work(&mut self, keys: &mut BTreeMap<String, Vec<u8>>) {
        for _ in 0..5 {
            self.session.sign(CKM_ECDSA, self.signer, &[1; 32]).unwrap();
            self.signed += 1;
        }
        let (label, mac) = self.make(self.made.is_multiple_of(2));
        let key = self.session.find(&[text(CKA_LABEL, &label)]).unwrap()[0];
        if self.made.is_multiple_of(3) {
            self.session.destroy(key).unwrap();
        } else {
            self.session.set(key, &[raw(CKA_ID, [9, 9])]).unwrap();
            keys.insert(label, mac);
        }
    }

    /// Every key is there and says what it always said.
    fn all_speak(&self, keys: &BTreeMap<String, Vec<u8>>) {
        for (label, mac) in keys {
            let found = self.session.find(&[text(CKA_LABEL, label)]).unwrap();
            assert_eq!(found.len(), 1, "{label}");
            assert_eq!(self.session.sign(CKM_AES_CMAC, found[0], b"what it says").unwrap(), *mac, "{label}");
        }
    }
}

fn versions(home: &Home, which: &str) -> Vec<(u64, u64)> {
    let said = home.kmss(&format!("domain list {which} --json")).succeed();
    let numbers = |v: &serde_json::Value| (v["number"].as_u64().unwrap(), v["records"].as_u64().unwrap());
    json_items(&said)[0]["versions"].as_array().unwrap().iter().map(numbers).collect()
}

fn whole(home: &Home) {
    let said: Said = home.kmss(&format!("store check --token {TOKEN} --json")).run();
    assert_eq!(said.code(), Some(0), "{said}");
    home.audit_is_whole();
}

/// Kills `command` again and again, later each time, while `worker` works; then lets it finish.
fn torment(home: &Home, command: &str, rounds: u32, worker: &mut Worker, keys: &mut BTreeMap<String, Vec<u8>>) {
    for round in 0..rounds {
        let running = home.kmss(command).keep_running();
        let until = Instant::now() + Duration::from_millis(u64::from(5 + round * 17));
        while Instant::now() < until {
            worker.work(keys);
        }
        running.signal(libc::SIGKILL);
        drop(running);
        worker.work(keys);
        // A newcomer finds everything, too.
        if round % 4 == 0 {
            home.kmss(&format!("key list --token {TOKEN}")).succeed().mentions("signer");
        }
    }
    let mut running = home.kmss(command).keep_running();
    let said = loop {
        worker.work(keys);
        if let Some(status) = running.ended() {
            break (status, running.said());
        }
    };
    assert!(said.0.success(), "{}", said.1);
}

#[test]
fn nothing_is_lost_between_versions_and_root_keys_whoever_is_killed() {
    if built::only_kmss("domain keys") {
        return;
    }
    let home = Home::new();
    let mut worker = Worker::join(&home, if std::env::var_os("KMSS_TEST_GM").is_some() { "gm" } else { "nist" });
    let began = Instant::now();
    let mut keys: BTreeMap<String, Vec<u8>> = (0..many(150)).map(|i| worker.make(i % 2 == 0)).collect();
    eprintln!("{} keys made in {:?}", keys.len(), began.elapsed());
    home.kmss(&format!("domain rotate {TOKEN}")).succeed().mentions("version 2");
    let before = versions(&home, TOKEN);
    assert!(before[0].0 == 1 && before[0].1 >= keys.len() as u64, "{before:?}");
    // One of every three keys is destroyed at once.
    worker.work(&mut keys);
    worker.work(&mut keys);
    let lazily = versions(&home, TOKEN);
    assert!(lazily[1].0 == 2 && lazily[1].1 >= 1, "what is written takes the newest: {lazily:?}");
    let began = Instant::now();
    torment(&home, &format!("domain rewrap {TOKEN}"), 12, &mut worker, &mut keys);
    eprintln!("rewrapped in {:?} with {} signatures meanwhile", began.elapsed(), worker.signed);
    let after = versions(&home, TOKEN);
    assert!(after.len() == 1 && after[0].0 == 2, "the old version is erased: {after:?}");
    worker.all_speak(&keys);
    whole(&home);
    // Once more, rotating in the middle of a rewrap.
    home.kmss(&format!("domain rotate {TOKEN}")).succeed();
    let running = home.kmss(&format!("domain rewrap {TOKEN}")).keep_running();
    home.kmss(&format!("domain rotate {TOKEN}")).succeed();
    drop(running);
    torment(&home, &format!("domain rewrap {TOKEN}"), 2, &mut worker, &mut keys);
    assert_eq!(versions(&home, TOKEN).iter().map(|v| v.0).collect::<Vec<_>>(), [4]);
    // The home's own.
    home.kmss("domain rotate --home-key").succeed().mentions("version 2");
    torment(&home, "domain rewrap --home-key", 6, &mut worker, &mut keys);
    assert_eq!(versions(&home, "--home-key").iter().map(|v| v.0).collect::<Vec<_>>(), [2]);
    // The root key.
    let old = std::fs::read(home.path().join("root.key")).unwrap();
    torment(&home, "seal migrate --to file", 10, &mut worker, &mut keys);
    let new = std::fs::read(home.path().join("root.key")).unwrap();
    assert_ne!(old, new);
    for name in ["root.next", "seal.next.toml"] {
        assert!(!home.path().join(name).exists(), "{name} is left");
    }
    home.kmss("seal status").succeed().mentions("in file");
    worker.work(&mut keys);
    worker.all_speak(&keys);
    whole(&home);
    let said = home.kmss(&format!("domain list {TOKEN}")).succeed();
    said.mentions("seals");
    // PINs still open everything, and the officer still sets them.
    home.kmss(&format!("token unlock {TOKEN}")).env("KMSS_SO_PIN", SO_PIN).succeed();
    // The old root key opens nothing any more.
    std::fs::write(home.path().join("root.key"), &old).unwrap();
    home.kmss("key list --token main").fail().mentions("belong together");
    std::fs::write(home.path().join("root.key"), &new).unwrap();
    home.kmss("key list --token main").succeed();
    let records = home.audit(1_000_000);
    let told = |what: &str| records.iter().any(|record| record.to_string().contains(what));
    for what in
        ["domain rotate", "domain rewrap to version 2: begun", "old versions erased", "seal migrate to file: begun"]
    {
        assert!(told(what), "the audit does not say `{what}`");
    }
}

#[test]
fn who_is_not_the_officer_rotates_nothing_and_a_user_can_seal_anew() {
    if built::only_kmss("domain keys") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "k", "aes:256", "01");
    home.kmss(&format!("domain rotate {TOKEN}")).env("KMSS_SO_PIN", "wrong-pin").fail();
    assert_eq!(versions(&home, TOKEN).len(), 1);
    home.kmss("domain rotate").fail().mentions("--all");
    home.kmss("domain rotate nobody").fail().mentions("no token is labelled");
    home.kmss(&format!("domain rotate {TOKEN} --rewrap")).succeed().mentions("is erased");
    home.kmss("domain rotate --all --rewrap").succeed();
    assert_eq!(versions(&home, TOKEN).iter().map(|v| v.0).collect::<Vec<_>>(), [3]);
    assert_eq!(versions(&home, "--home-key").iter().map(|v| v.0).collect::<Vec<_>>(), [2]);
    // Nothing to do is no error.
    home.kmss("domain rewrap --all").succeed();
    home.kmss("seal migrate --to file").succeed();
    let records = home.audit(1000);
    let told = |what: &str| records.iter().any(|record| record.to_string().contains(what));
    for what in [
        "domain rotate",
        "domain rewrap to version 2: begun",
        "domain rewrap to version 2: ended",
        "old versions erased: 1, kept: 0",
        "seal migrate to file: begun",
        "records wrapped: ",
    ] {
        assert!(told(what), "the audit does not say `{what}`");
    }
    home.kmss("seal migrate --to hsm:nowhere").fail().mentions("[[hsm]]");
    home.kmss("seal migrate --to floppy").fail();
    whole(&home);
}

#[test]
fn a_copy_of_the_home_from_the_middle_of_a_migration_opens() {
    if built::only_kmss("seal") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "k", "aes:256", "01");
    // As a process leaves it that was killed after its first step, and after its last but one.
    let read = |name: &str| std::fs::read(home.path().join(name)).unwrap();
    let (old_key, old_seal) = (read("root.key"), read("seal.toml"));
    home.kmss("seal migrate --to file").succeed();
    let (new_key, new_seal) = (read("root.key"), read("seal.toml"));
    let put = |name: &str, bytes: &[u8]| {
        use std::os::unix::fs::PermissionsExt;
        let path = home.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let opens = || drop(home.kmss(&format!("key list --token {TOKEN}")).succeed().mentions("k"));
    // Everything wrapped anew, the old key still there.
    put("seal.next.toml", &new_seal);
    put("root.next", &new_key);
    put("seal.toml", &old_seal);
    put("root.key", &old_key);
    opens();
    // The old key overwritten.
    put("root.key", &vec![0; old_key.len()]);
    opens();
    home.kmss("seal status").succeed().mentions("under way");
    // The new key in its place, the header not yet.
    put("root.key", &new_key);
    opens();
    // And that, too.
    put("seal.toml", &new_seal);
    opens();
    std::fs::remove_file(home.path().join("root.next")).unwrap();
    opens();
    home.kmss("seal migrate --to file").succeed();
    assert!(!home.path().join("seal.next.toml").exists());
    opens();
    home.kmss("seal status").succeed();
    whole(&home);
}
