//! Tokens with keys in several places, and keys that move between them: the software engine and two tokens of a real SoftHSM2.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod trouble;
mod versions;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use kmss_tests::built;
use kmss_tests::home::{Home, PIN, json_items};
use kmss_tests::p11::lead_here;
use kmss_tests::program::Said;
use kmss_tests::softhsm::{HSM_PIN, SOFTHSM, Vault};
use serde_json::Value;

fn skip() -> bool {
    built::only_kmss("HSMs behind it")
}

/// A home with the token `pay` of the software engine, before two HSMs, `vault` and `other`.
fn scene() -> Vault {
    let vault = Vault::new("");
    let home = &vault.home;
    let init = home.program("softhsm2-util").words("--init-token --free --so-pin so-5678 --label other --pin");
    init.arg(HSM_PIN).succeed();
    configure(home, &["vault", "other"]);
    home.init_token("pay");
    vault
}

fn configure(home: &Home, hsms: &[&str]) {
    let (folder, pin) = (home.path(), home.file("hsm.pin"));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let table = |name: &&str| {
        let pin = pin.display();
        format!(
            "[[hsm]]\nname = \"{name}\"\nmodule = \"{SOFTHSM}\"\ntoken = \"{name}\"\npin = {{ file = \"{pin}\" }}\n"
        )
    };
    let file = folder.join("kmss.toml");
    fs::write(&file, hsms.iter().map(table).collect::<String>()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn show(home: &Home, key: &str) -> Vec<Value> {
    json_items(&home.kmss(&format!("key show {key} --token pay --json")).succeed())
}

fn backends(home: &Home, key: &str) -> Vec<String> {
    show(home, key).iter().map(|half| half["backend"].as_str().unwrap().to_owned()).collect()
}

fn go(home: &Home, key: &str, to: &str) -> Said {
    home.kmss(&format!("key move {key} --token pay --to {to}")).succeed().mentions("moved")
}

/// What an HSM itself holds under a label.
fn within(home: &Home, hsm: &str, label: &str) -> usize {
    let tool =
        home.program("pkcs11-tool").args(["--module", SOFTHSM, "--token-label", hsm, "--login", "--pin", HSM_PIN]);
    let said = tool.words("--list-objects").succeed().text();
    said.lines().filter(|line| line.trim() == format!("label:      {label}")).count()
}

fn sign(vault: &Vault, id: &str, mechanism: &str, file: &str) {
    let words = format!("--sign --id {id} --mechanism {mechanism} --input-file msg --output-file {file}");
    vault.outside("pay", &words).succeed();
}

fn verify(vault: &Vault, id: &str, mechanism: &str, file: &str) {
    let words = format!("--verify --id {id} --mechanism {mechanism} --input-file msg --signature-file {file}");
    vault.outside("pay", &words).succeed().mentions("valid");
}

fn is_clean(home: &Home) {
    home.kmss("store check --token pay").succeed();
    home.audit_is_whole();
}

#[test]
fn keys_of_one_token_are_where_they_were_asked_to_be() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    home.kmss("key generate here --token pay --type ec:p256 --id 01").succeed();
    home.kmss("key generate there --token pay --type ec:p256 --id 02 --backend vault").succeed();
    fs::write(home.file("secret"), [7_u8; 32]).unwrap();
    let import = |name: &str, backend: &str| {
        let file = home.file("secret");
        let import = home.kmss("key import").arg(file).words("--raw --type aes --token pay --name");
        import.args([name, "--backend", backend])
    };
    import("box", "other").succeed();
    import("nobody", "nowhere").fail().mentions("no backend `nowhere` is configured");
    assert_eq!(backends(home, "here"), ["soft", "soft"]);
    assert_eq!(backends(home, "there"), ["vault", "vault"]);
    assert_eq!(backends(home, "box"), ["other"]);
    home.kmss("key list --token pay").succeed().mentions("BACKEND").mentions("vault").mentions("other");
    home.kmss("token list").succeed().mentions("BACKEND").mentions("soft");
    fs::write(home.file("msg"), "text").unwrap();
    for id in ["01", "02"] {
        sign(&vault, id, "ECDSA-SHA256", "sig");
        verify(&vault, id, "ECDSA-SHA256", "sig");
    }
    // The officer says where the next ones are made, and the others stay.
    home.kmss("token backend pay nowhere").fail().mentions("no backend `nowhere` is configured");
    home.kmss("token backend pay other").succeed();
    home.kmss("token show pay").succeed().mentions("other");
    home.kmss("key generate next --token pay --type aes:256").succeed();
    assert_eq!(backends(home, "next"), ["other"]);
    assert_eq!(backends(home, "here"), ["soft", "soft"]);
    assert!(Value::Array(home.audit(20)).to_string().contains("backend soft -> other"));
    is_clean(home);
}

#[test]
fn the_keys_of_a_backend_that_is_gone_are_refused_by_its_name_and_the_others_go_on() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    home.kmss("key generate here --token pay --type ec:p256 --id 01").succeed();
    home.kmss("key generate there --token pay --type ec:p256 --id 02 --backend vault").succeed();
    home.kmss("token backend pay vault").succeed();
    configure(home, &["other"]);
    fs::write(home.file("msg"), "text").unwrap();
    sign(&vault, "01", "ECDSA-SHA256", "sig");
    verify(&vault, "01", "ECDSA-SHA256", "sig");
    assert_eq!(backends(home, "there"), ["vault", "vault"]);
    vault.outside("pay", "--sign --id 02 --mechanism ECDSA-SHA256 --input-file msg --output-file sig").fail();
    assert!(Value::Array(home.audit(10)).to_string().contains("no backend `vault` is configured"));
    for words in ["key move there --token pay --to other", "key generate new --token pay --type aes:256"] {
        home.kmss(words).fail().mentions("no backend `vault` is configured");
    }
    home.kmss("token backend pay other").succeed();
    home.kmss("key generate new --token pay --type aes:256").succeed();
    is_clean(home);
}

#[test]
fn a_key_moves_through_all_places_and_stays_the_same_key() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    fs::write(home.file("msg"), "text").unwrap();
    let kinds = [
        ("r", "rsa:2048", "0a", "SHA256-RSA-PKCS"),
        ("e", "ec:p256", "0b", "ECDSA-SHA256"),
        ("h", "hmac:256", "0c", "SHA256-HMAC"),
    ];
    for (name, kind, id, mechanism) in kinds {
        let generate = format!("key generate {name} --token pay --type {kind} --id {id} --extractable");
        home.kmss(&generate).succeed();
        home.kmss(&format!("key tag {name} --token pay payment")).succeed();
        sign(&vault, id, mechanism, "first");
        let before = show(home, name);
        let stays =
            ["name", "label", "class", "type", "state", "tags", "uses", "cka_id", "created_ms", "id", "extractable"];
        for to in ["vault", "other", "soft", "vault"] {
            go(home, name, to);
            let now = show(home, name);
            for (half, old) in now.iter().zip(&before) {
                assert_eq!(half["backend"], to);
                stays.iter().for_each(|what| assert_eq!(half[what], old[what], "{what} of {name} in {to}"));
                assert_eq!(half["local"], false);
            }
            // It is there, and in no place before.
            for hsm in ["vault", "other"] {
                assert_eq!(within(home, hsm, name), usize::from(hsm == to), "{name} in {hsm}, moved to {to}");
            }
            verify(&vault, id, mechanism, "first");
            sign(&vault, id, mechanism, "then");
            verify(&vault, id, mechanism, "then");
        }
        home.kmss(&format!("key move {name} --token pay --to vault")).succeed().mentions("there already");
    }
    // What was encrypted before is read after.
    home.kmss("key generate a --token pay --type aes:256 --id 0d --extractable").succeed();
    let aes = |verb: &str, from: &str, into: &str| {
        let words = format!(
            "--{verb} --id 0d --mechanism AES-CBC-PAD --iv 000102030405060708090a0b0c0d0e0f --input-file {from}"
        );
        vault.outside("pay", &format!("{words} --output-file {into}")).succeed();
    };
    aes("encrypt", "msg", "sealed");
    for to in ["vault", "other", "soft"] {
        go(home, "a", to);
        aes("decrypt", "sealed", "opened");
        assert_eq!(fs::read_to_string(home.file("opened")).unwrap(), "text");
    }
    // The audit follows one identity through all of it, with where it was and where it went.
    let id = show(home, "e")[0]["id"].as_str().unwrap().to_owned();
    let told = home.audit(400);
    let moves =
        told.iter().filter(|record| record["object"]["id"] == id.as_str() && record["action"] == "change-state");
    let text: String = moves.map(Value::to_string).collect();
    for (old, new) in [("soft", "vault"), ("vault", "other"), ("other", "soft")] {
        assert!(text.contains(&format!("\"new\":\"{new}\",\"old\":\"{old}\"")), "{old} {new}: {text}");
    }
    let signed = told.iter().filter(|record| record["object"]["id"] == id.as_str() && record["action"] == "sign");
    assert!(signed.count() >= 5);
    home.kmss("key destroy e --token pay --yes").succeed();
    assert_eq!(within(home, "vault", "e"), 0);
    is_clean(home);
}

#[test]
fn a_message_decrypts_wherever_its_key_is() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    home.kmss("key generate box --token pay --type aes:256 --extractable").succeed();
    let kmss = |words: &str| home.kmss(words).within(home.folder());
    fs::write(home.file("msg"), "text").unwrap();
    let places = ["soft", "vault", "other"];
    let how = ["aes-256-gcm", "chacha20-poly1305", "deterministic-aes-siv"];
    let mut made = Vec::new();
    for place in places {
        if place != "soft" {
            go(home, "box", place);
        }
        for algorithm in how {
            let file = format!("{algorithm}.{place}");
            kmss(&format!("encrypt box --token pay --algorithm {algorithm} --context a=1 msg --out {file}")).succeed();
            made.push(file);
        }
        for file in &made {
            let opened = kmss(&format!("decrypt --token pay --context a=1 {file}")).succeed();
            assert_eq!(opened.text(), "text", "{file} in {place}");
            kmss(&format!("decrypt --token pay {file}")).fail().mentions("does not decrypt");
        }
    }
    // The same wherever it was made.
    let bytes = |place: &str| fs::read(home.file(&format!("deterministic-aes-siv.{place}"))).unwrap();
    assert_eq!(bytes("soft"), bytes("vault"));
    is_clean(home);
}

#[test]
fn what_a_device_does_not_let_go_stays_and_nothing_changes() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    home.kmss("key generate kept --token pay --type ec:p256 --backend vault").succeed();
    home.kmss("key generate sm --token pay --type sm2").succeed();
    home.kmss("key generate goes --token pay --type aes:256").succeed();
    let edition = show(home, "kept");
    home.kmss("key move kept --token pay --to soft").fail().mentions("does not let it go");
    home.kmss("key move sm --token pay --to vault").fail().mentions("has no use for keys of type");
    home.kmss("key move goes --token pay --to nowhere").fail().mentions("no backend `nowhere` is configured");
    home.kmss("key move nobody --token pay --to vault").fail().mentions("no key named `nobody`");
    let wrong = home.kmss("key move goes --token pay --to vault").env("KMSS_SO_PIN", PIN);
    wrong.fail().mentions("PIN");
    assert_eq!(show(home, "kept"), edition);
    assert!(Value::Array(home.audit(40)).to_string().contains("does not let it go"), "a refusal is recorded");
    // All that can go does, the others are named, and nothing moves before that is wanted.
    let words = "key move --all --token pay --to other --json";
    let outcomes = |said: &Said| {
        let mut rows = json_items(said);
        rows.sort_by_key(|row| row["name"].to_string());
        rows.iter().map(|row| row["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let dry = home.kmss(&format!("{words} --dry-run")).run();
    assert_eq!(
        (outcomes(&dry), dry.code()),
        (vec!["would be moved".into(), "NOT MOVED".into(), "NOT MOVED".into()], Some(4))
    );
    assert_eq!(backends(home, "goes"), ["soft"]);
    let done = home.kmss(words).run();
    assert_eq!((outcomes(&done), done.code()), (vec!["moved".into(), "NOT MOVED".into(), "NOT MOVED".into()], Some(4)));
    assert_eq!(backends(home, "goes"), ["other"]);
    let again = home.kmss(words).run();
    assert_eq!(outcomes(&again)[0], "there already");
    // A key that software made not extractable went in, and does not come out.
    home.kmss("key move goes --token pay --to soft").fail().mentions("does not let it go");
    is_clean(home);
}

#[test]
fn a_home_that_is_older_than_a_move_does_not_destroy_what_the_move_made() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    for key in ["there", "again"] {
        home.kmss(&format!("key generate {key} --token pay --type ec:p256 --backend vault --extractable")).succeed();
    }
    let (path, copy) = (home.path(), home.file("copy"));
    let copied = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    copied(&path, &copy);
    go(home, "there", "other");
    ["soft", "vault"].into_iter().for_each(|to| drop(go(home, "again", to)));
    fs::remove_dir_all(&path).unwrap();
    copied(&copy, &path);
    home.kmss("key move there --token pay --to other").fail().mentions("does not hold the key");
    home.kmss("key move again --token pay --to vault").fail().mentions("does not hold the key");
    assert_eq!((within(home, "other", "there"), within(home, "vault", "again")), (1, 1), "the only copy is destroyed");
}

#[test]
fn a_policy_that_forbids_exports_forbids_moves() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    home.kmss("key generate k --token pay --type aes:256").succeed();
    let policy = "allow anyone to anything\ndeny anyone to export any key because \"keys stay\"\n";
    fs::write(home.file("stay.kmss"), policy).unwrap();
    home.kmss("policy apply --token pay --name stay").arg(home.file("stay.kmss")).succeed();
    home.kmss("key move k --token pay --to vault").fail().mentions("keys stay");
    assert_eq!(backends(home, "k"), ["soft"]);
    assert_eq!(within(home, "vault", "k"), 0);
}

/// A session on the module of this process, on the token `pay`.
fn session() -> (Pkcs11, Session) {
    let module = Pkcs11::new(built::module()).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slots = module.get_slots_with_token().unwrap();
    let pay = slots.into_iter().find(|slot| module.get_token_info(*slot).is_ok_and(|info| info.label() == "pay"));
    let session = module.open_rw_session(pay.unwrap()).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    (module, session)
}

fn find(session: &Session, class: ObjectClass, id: u8) -> ObjectHandle {
    let found = session.find_objects(&[Attribute::Class(class), Attribute::Id(vec![id])]).unwrap();
    assert_eq!(found.len(), 1);
    found[0]
}

fn identity(session: &Session, key: ObjectHandle) -> Vec<Attribute> {
    session.get_attributes(key, &[AttributeType::UniqueId, AttributeType::Label, AttributeType::Id]).unwrap()
}

#[test]
fn a_session_of_a_program_uses_keys_of_all_places_and_goes_on_when_they_move() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    home.kmss("key generate one --token pay --type ec:p256 --id 01 --extractable").succeed();
    home.kmss("key generate two --token pay --type ec:p256 --id 02 --backend vault --extractable").succeed();
    home.kmss("key generate kek --token pay --type aes:256 --id 03 --backend other").succeed();
    lead_here(home);
    let (_module, session) = session();
    let halves = |id| (find(&session, ObjectClass::PRIVATE_KEY, id), find(&session, ObjectClass::PUBLIC_KEY, id));
    let pairs = [halves(1), halves(2)];
    let digest = [9; 32];
    let before: Vec<_> = pairs.iter().map(|pair| session.sign(&Mechanism::Ecdsa, pair.0, &digest).unwrap()).collect();
    let known: Vec<_> = pairs.iter().map(|pair| identity(&session, pair.0)).collect();
    for (one, two) in [("vault", "other"), ("other", "soft"), ("soft", "vault")] {
        go(home, "one", one);
        go(home, "two", two);
        for (n, pair) in pairs.iter().enumerate() {
            session.verify(&Mechanism::Ecdsa, pair.1, &digest, &before[n]).unwrap();
            let signature = session.sign(&Mechanism::Ecdsa, pair.0, &digest).unwrap();
            session.verify(&Mechanism::Ecdsa, pair.1, &digest, &signature).unwrap();
            assert_eq!(identity(&session, pair.0), known[n]);
        }
    }
    // Two keys that are in two places do nothing together, and in one they do.
    let kek = find(&session, ObjectClass::SECRET_KEY, 3);
    session.wrap_key(&Mechanism::AesKeyWrapPad, kek, pairs[0].0).unwrap_err();
    assert!(Value::Array(home.audit(5)).to_string().contains("one of the keys is in"));
    go(home, "one", "other");
    session.wrap_key(&Mechanism::AesKeyWrapPad, kek, pairs[0].0).unwrap();
    // A public key wraps wherever the other one is.
    home.kmss("key generate wraps --token pay --type rsa:2048 --id 04 --backend vault").succeed();
    home.kmss("key generate inner --token pay --type aes:256 --id 05 --backend other --extractable").succeed();
    let (wraps, inner) = (find(&session, ObjectClass::PUBLIC_KEY, 4), find(&session, ObjectClass::SECRET_KEY, 5));
    session.wrap_key(&Mechanism::RsaPkcs, wraps, inner).unwrap();
    // A key whose length is no multiple of what AES key wrap fills up to keeps it from device to device: 45 bytes and 3 of
    // padding are three blocks, 48 would be four.
    fs::write(home.file("odd"), [7_u8; 45]).unwrap();
    let import = home.kmss("key import --raw --type hmac --token pay --name odd --id 06 --extractable");
    import.arg(home.file("odd")).succeed();
    home.kmss("key generate box --token pay --type aes:256 --id 07").succeed();
    ["vault", "other", "soft"].into_iter().for_each(|to| drop(go(home, "odd", to)));
    let (kek, odd) = (find(&session, ObjectClass::SECRET_KEY, 7), find(&session, ObjectClass::SECRET_KEY, 6));
    assert_eq!(session.wrap_key(&Mechanism::AesCbcPad([0; 16]), kek, odd).unwrap().len(), 48);
    is_clean(home);
}
