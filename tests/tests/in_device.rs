//! Tokens whose key material only an HSM opens (`--seal in-device`): real SoftHSM2.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN, json_items};
use kmss_tests::p11::{Module, Session, flag, lead_here, text, ulong};
use kmss_tests::program::{Program, Said};
use kmss_tests::softhsm::{HSM, Vault};

const TOKEN: &str = "main";
/// How the labels of such keys begin.
const LABEL: &str = "kmss-domain-";

fn init(vault: &Vault, seal: &str) {
    vault.home.kmss(&format!("token init {TOKEN} --seal {seal}")).succeed();
}

/// The labels of the keys in the HSM that open key material.
fn keys_inside(vault: &Vault) -> Vec<String> {
    let said = vault.inside("--list-objects").all();
    let labels = said.lines().filter_map(|line| line.split_once("label:").map(|(_, label)| label.trim().to_owned()));
    let mut labels: Vec<_> = labels.filter(|label| label.starts_with(LABEL)).collect();
    labels.sort();
    labels.dedup();
    labels
}

/// Takes the HSM's tokens away, or brings them back.
fn hide(home: &Home, away: bool) {
    let (there, gone) = (home.file("tokens"), home.file("tokens.gone"));
    if away {
        fs::rename(&there, &gone).unwrap();
        fs::create_dir(&there).unwrap();
    } else {
        fs::remove_dir_all(&there).unwrap();
        fs::rename(&gone, &there).unwrap();
    }
}

/// Signs with the EC key `01` through the module, in a process of its own.
fn sign(vault: &Vault) -> Program {
    fs::write(vault.home.file("digest"), [7; 32]).unwrap();
    vault
        .outside(TOKEN, "--sign --mechanism ECDSA --id 01 --input-file")
        .arg(vault.home.file("digest"))
        .arg("--output-file")
        .arg(vault.home.file("signature"))
}

fn versions(home: &Home) -> Vec<(u64, u64, Option<String>)> {
    let said = home.kmss(&format!("domain list {TOKEN} --json")).succeed();
    let each = |v: &serde_json::Value| {
        let device = v["device"]["key"].as_str().map(ToOwned::to_owned);
        (v["number"].as_u64().unwrap(), v["records"].as_u64().unwrap(), device)
    };
    json_items(&said)[0]["versions"].as_array().unwrap().iter().map(each).collect()
}

fn whole(home: &Home) {
    let said: Said = home.kmss(&format!("store check --token {TOKEN}")).run();
    assert_eq!(said.code(), Some(0), "{said}");
    home.audit_is_whole();
}

#[test]
fn key_material_opens_with_its_hsm_and_with_nothing_else() {
    if built::only_kmss("key material in an HSM") {
        return;
    }
    // The second HSM has no AES-GCM, so that it wraps by RSA-OAEP.
    for (suite, quirks, way) in [
        ("nist", "", "aes-gcm"),
        ("gm", "[hsm.quirks]\nlists-wrongly = [4231]", "rsa-oaep-sha1"),
        ("gm", "", "aes-gcm"),
    ] {
        let vault = Vault::new("");
        vault.configure(quirks);
        let home = &vault.home;
        home.kmss(&format!("home init --suite {suite}")).succeed();
        init(&vault, &format!("in-device:{HSM}"));
        home.generate(TOKEN, "k", "ec:p256", "01");
        home.generate(TOKEN, "aes", "aes:256", "02");
        let [inside] = &keys_inside(&vault)[..] else { panic!("one key is made") };
        assert_eq!(versions(home).last().unwrap().2.as_ref(), Some(inside));
        home.kmss(&format!("domain list {TOKEN} --json")).succeed().mentions(way);
        home.kmss(&format!("token show {TOKEN}")).succeed().mentions("in-device:vault");
        assert!(home.path().join("root.key").exists(), "the root key is not what the device holds");
        sign(&vault).succeed();
        // The device is gone: records open, material does not, and nothing else is tried.
        hide(home, true);
        home.kmss(&format!("key list --token {TOKEN}")).succeed().mentions("aes");
        home.kmss(&format!("store check --token {TOKEN}")).succeed().mentions("whole");
        sign(&vault).fail().mentions("CKR_DEVICE_ERROR").mentions("vault");
        let fresh = format!("key generate fresh --token {TOKEN} --type aes:256");
        home.kmss(&fresh).fail().mentions("vault");
        home.kmss(&format!("domain rotate {TOKEN}")).fail().mentions("vault");
        assert_eq!(versions(home).len(), 1, "a rotation without the device leaves nothing");
        // Another device, where a key has the name: it is not the key.
        let forge = "--keygen --key-type AES:32 --sensitive --usage-decrypt --label";
        let init = home.program("softhsm2-util").words("--init-token --free --so-pin so-5678 --pin hsm-1234 --label");
        init.arg(HSM).succeed();
        if way == "aes-gcm" {
            let hex: String = inside.bytes().map(|b| format!("{b:02x}")).collect();
            vault.inside(&format!("{forge} {inside} --id {hex}"));
        }
        sign(&vault).fail().mentions("CKR_DEVICE_ERROR");
        hide(home, false);
        sign(&vault).succeed();
        home.kmss(&fresh).succeed();
        // Who has the store, the root key and the PINs, and reads no configuration of a device, has no key.
        fs::write(home.path().join("kmss.toml"), "").unwrap();
        home.kmss(&format!("key list --token {TOKEN}")).succeed().mentions("aes");
        sign(&vault).fail().mentions("CKR_DEVICE_ERROR").mentions("[[hsm]]");
        vault.configure(quirks);
        sign(&vault).succeed();
        whole(home);
        // With the token goes its key.
        home.kmss(&format!("token delete {TOKEN} --yes")).succeed();
        assert!(keys_inside(&vault).is_empty());
    }
}

#[test]
fn a_token_made_anew_has_a_new_key_in_the_hsm_and_one_of_another_backend_has_none() {
    if built::only_kmss("key material in an HSM") {
        return;
    }
    let vault = Vault::new("");
    let home = &vault.home;
    init(&vault, &format!("in-device:{HSM}"));
    home.generate(TOKEN, "k", "ec:p256", "01");
    let before = keys_inside(&vault);
    let anew = home.program("pkcs11-tool").arg("--module").arg(built::module());
    anew.args(["--token-label", TOKEN, "--init-token", "--label", TOKEN, "--so-pin", SO_PIN]).succeed();
    let after = keys_inside(&vault);
    assert!(before.len() == 1 && after.len() == 1 && before != after, "{before:?}, then {after:?}");
    assert_eq!(versions(home).last().unwrap().2.as_ref(), after.first());
    home.kmss(&format!("token init other --backend {HSM} --seal in-device:{HSM}")).fail().mentions("made and kept by");
    home.kmss("token init other --seal in-device:nowhere").fail().mentions("nowhere").mentions("[[hsm]]");
    home.kmss("token init other --seal floppy").fail().mentions("in-device:NAME");
    assert_eq!(keys_inside(&vault), after, "what failed left no key");
}

#[test]
fn a_token_with_sealed_material_rotates_and_is_made_anew_wherever_its_next_keys_are_made() {
    if built::only_kmss("key material in an HSM") {
        return;
    }
    let vault = Vault::new("");
    let home = &vault.home;
    init(&vault, &format!("in-device:{HSM}"));
    home.generate(TOKEN, "k", "ec:p256", "01");
    home.kmss(&format!("token backend {TOKEN} {HSM}")).succeed();
    home.kmss(&format!("domain rotate {TOKEN}")).succeed().mentions("version 2");
    home.kmss(&format!("domain rewrap {TOKEN}")).succeed();
    sign(&vault).succeed();
    let anew = home.program("pkcs11-tool").arg("--module").arg(built::module());
    anew.args(["--token-label", TOKEN, "--init-token", "--label", TOKEN, "--so-pin", SO_PIN]).succeed();
    assert_eq!(keys_inside(&vault).len(), 1);
    // The other way round: keys in software beside those of the HSM, whose material goes into its care.
    home.kmss(&format!("token init --backend {HSM} other")).succeed();
    home.kmss("key generate soft --token other --type aes:256 --backend soft").succeed();
    home.kmss(&format!("domain rotate other --seal in-device:{HSM} --rewrap")).succeed();
    assert_eq!(keys_inside(&vault).len(), 2);
    home.audit_is_whole();
}

/// A process that works all the time, with the MAC of every key.
struct Worker {
    session: Session,
    said: BTreeMap<String, Vec<u8>>,
}

impl Worker {
    fn make(&mut self) {
        let label = format!("key{}", self.said.len());
        let template = [
            ulong(CKA_VALUE_LEN, 32),
            flag(CKA_TOKEN, true),
            flag(CKA_PRIVATE, self.said.len().is_multiple_of(2)),
            flag(CKA_SIGN, true),
            text(CKA_LABEL, &label),
        ];
        let key = self.session.generate(CKM_AES_KEY_GEN, &template).unwrap();
        self.said.insert(label, self.session.sign(CKM_AES_CMAC, key, b"what it says").unwrap());
    }

    fn all_speak(&self) {
        for (label, mac) in &self.said {
            let found = self.session.find(&[text(CKA_LABEL, label)]).unwrap();
            assert_eq!(found.len(), 1, "{label}");
            assert_eq!(self.session.sign(CKM_AES_CMAC, found[0], b"what it says").unwrap(), *mac, "{label}");
        }
    }

    /// Kills `command` again and again, later each time, while keys are made; then lets it finish.
    fn torment(&mut self, vault: &Vault, command: &str) {
        let (home, tokens) = (&vault.home, vault.tokens());
        for round in 0..10 {
            let running = home.kmss(command).keep_running();
            std::thread::sleep(Duration::from_millis(20 + round * 60));
            running.signal(libc::SIGKILL);
            drop(running);
            tokens.restore();
            self.make();
            self.all_speak();
        }
        home.kmss(command).succeed();
        self.all_speak();
    }
}

#[test]
fn keys_in_the_hsm_are_rotated_and_rewrapped_and_given_up_whoever_is_killed() {
    if built::only_kmss("key material in an HSM") {
        return;
    }
    let vault = Vault::new("");
    let home = &vault.home;
    init(&vault, &format!("in-device:{HSM}"));
    lead_here(home);
    let module = Box::leak(Box::new(Module::load(&built::module())));
    module.initialize().unwrap();
    let session = module.open(module.slot_of(TOKEN).unwrap(), true).unwrap();
    session.login(CKU_USER, PIN).unwrap();
    let mut worker = Worker { session, said: BTreeMap::new() };
    for _ in 0..60 {
        worker.make();
    }
    // What it costs: a logout forgets parsed keys.
    worker.session.logout().unwrap();
    worker.session.login(CKU_USER, PIN).unwrap();
    for use_of_them in ["first", "second"] {
        let began = Instant::now();
        worker.all_speak();
        eprintln!("{use_of_them} use of {} keys, half of them private: {:?}", worker.said.len(), began.elapsed());
    }
    let first = keys_inside(&vault);
    home.kmss(&format!("domain rotate {TOKEN}")).succeed().mentions("version 2");
    let both = keys_inside(&vault);
    assert_eq!((first.len(), both.len()), (1, 2));
    worker.make();
    worker.torment(&vault, &format!("domain rewrap {TOKEN}"));
    let second = keys_inside(&vault);
    assert!(second.len() == 1 && second != first, "the old key is destroyed: {second:?}");
    let after = versions(home);
    assert!(matches!(&after[..], [(2, _, Some(key))] if *key == second[0]), "{after:?}");
    whole(home);
    // Out of the HSM: from then on it is not needed.
    home.kmss(&format!("domain rotate {TOKEN} --seal in-memory")).succeed();
    worker.torment(&vault, &format!("domain rewrap {TOKEN}"));
    assert!(keys_inside(&vault).is_empty());
    assert!(matches!(&versions(home)[..], [(3, _, None)]));
    hide(home, true);
    home.generate(TOKEN, "k", "ec:p256", "01");
    sign(&vault).succeed();
    hide(home, false);
    // And into it.
    home.kmss(&format!("domain rotate {TOKEN} --seal in-device:{HSM} --rewrap")).succeed();
    assert_eq!(keys_inside(&vault).len(), 1);
    worker.all_speak();
    hide(home, true);
    sign(&vault).fail().mentions("CKR_DEVICE_ERROR");
    home.kmss(&format!("domain rotate {TOKEN} --seal in-memory")).succeed();
    home.kmss(&format!("domain rewrap {TOKEN}")).fail().mentions("vault");
    hide(home, false);
    home.kmss(&format!("domain rewrap {TOKEN}")).succeed();
    worker.all_speak();
    whole(home);
    let records = home.audit(10_000);
    let told = |what: &str| records.iter().any(|record| record.to_string().contains(what));
    for what in ["key material in-device:vault", "key material in-memory", "old keys destroyed in HSMs: 1"] {
        assert!(told(what), "the audit does not say `{what}`");
    }
}
