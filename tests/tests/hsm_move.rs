//! Tokens with keys in several places, and keys that move between them: the software engine and two tokens of a real SoftHSM2.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use kmss_tests::built;
use kmss_tests::home::{Home, PIN, json_items};
use kmss_tests::module::{HSM_LABEL, Module};
use kmss_tests::p11::lead_here;
use kmss_tests::program::{Program, Said};
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
    is_clean(home);
}

/// A home before a device that does what it is told, and the token `pay`.
struct Faulty {
    home: Home,
    module: Module,
}

impl Faulty {
    fn new() -> Self {
        let scene = Self { home: Home::new(), module: Module::softhsm().faulty() };
        let (folder, file) = (scene.home.path(), scene.home.file("hsm.pin"));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(&file, HSM_PIN).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let (module, pin) = (scene.module.path.display(), file.display());
        let text = format!(
            "[[hsm]]\nname = \"vault\"\nmodule = \"{module}\"\ntoken = \"{HSM_LABEL}\"\npin = {{ file = \"{pin}\" }}\n"
        );
        let config = folder.join("kmss.toml");
        fs::write(&config, text).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        scene.kmss("token init pay").succeed();
        scene
    }

    fn kmss(&self, words: &str) -> Program {
        self.home.kmss(words).envs(&self.module.variables)
    }

    /// How many private keys the device itself holds.
    fn held(&self) -> usize {
        let tool = Program::new("pkcs11-tool").envs(&self.module.variables).arg("--module").arg(SOFTHSM);
        let tool = tool.args(["--token-label", HSM_LABEL, "--login", "--pin", HSM_PIN]);
        tool.words("--list-objects --type privkey").succeed().text().matches("Private Key Object").count()
    }

    fn backend(&self) -> String {
        let said = json_items(&self.kmss("key show k --token pay --json").succeed());
        said[0]["backend"].as_str().unwrap().to_owned()
    }

    fn signs(&self) {
        fs::write(self.home.file("msg"), "text").unwrap();
        let tool = |words: &str| {
            let tool =
                self.home.program("pkcs11-tool").envs(&self.module.variables).arg("--module").arg(built::module());
            tool.words("--login --pin")
                .arg(PIN)
                .words("--token-label pay --id 01 --mechanism ECDSA-SHA256")
                .words(words)
        };
        tool("--sign --input-file msg --output-file sig").succeed();
        tool("--verify --input-file msg --signature-file sig").succeed();
    }

    /// Kills a move at the first call of `function` that comes after `passed` ones.
    fn killed_at(&self, to: &str, function: &str, passed: usize) {
        self.module.note_calls();
        self.module.command(&format!("{function} hang:60000 1 {passed}"));
        let mut moving = self.kmss(&format!("key move k --token pay --to {to}")).keep_running();
        let begun = Instant::now();
        let calls = || self.module.calls(function) > passed;
        while !calls() && moving.ended().is_none() && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Ends it by SIGKILL.
        drop(moving);
        self.module.command("");
    }
}

#[test]
fn a_move_that_is_killed_anywhere_leaves_the_key_whole_in_one_place() {
    if skip() {
        return;
    }
    let scene = Faulty::new();
    scene.kmss("token init two").succeed();
    scene.kmss("key generate k --token pay --type ec:p256 --id 01 --extractable").succeed();
    for (to, points) in [
        ("vault", [("C_CreateObject", 0), ("C_SignInit", 0), ("C_Sign", 0)].as_slice()),
        (
            "soft",
            [
                ("C_WrapKey", 0),
                ("C_WrapKey", 1),
                ("C_DestroyObject", 0),
                ("C_DestroyObject", 1),
                ("C_DestroyObject", 2),
                ("C_DestroyObject", 3),
            ]
            .as_slice(),
        ),
    ] {
        for (function, passed) in points {
            let from = scene.backend();
            scene.killed_at(to, function, *passed);
            let now = scene.backend();
            assert!(now == from || now == to, "{now}");
            scene.signs();
            for token in ["pay", "two"] {
                let found = scene.kmss(&format!("hsm keys vault --token {token} --json")).succeed();
                let adoptable = json_items(&found).iter().filter(|row| row["outcome"] == "can be adopted").count();
                assert_eq!(adoptable, 0, "what a move leaves is nobody's to adopt: {found}");
            }
            scene.kmss("store check --token pay").succeed();
        }
        scene.kmss(&format!("key move k --token pay --to {to}")).succeed();
        assert_eq!(scene.backend(), to);
        assert_eq!(scene.held(), usize::from(to == "vault"), "nothing is left behind");
        scene.signs();
    }
    scene.home.audit_is_whole();
}

#[test]
fn of_moves_at_once_one_wins_and_the_key_stays_whole() {
    if skip() {
        return;
    }
    let vault = scene();
    let home = &vault.home;
    home.kmss("key generate k --token pay --type ec:p256 --id 01 --extractable").succeed();
    fs::write(home.file("msg"), "text").unwrap();
    for (one, two) in [("vault", "vault"), ("soft", "other"), ("vault", "soft"), ("other", "other")] {
        let start = |to: &str| home.kmss(&format!("key move k --token pay --to {to}")).keep_running();
        let (mut first, mut second) = (start(one), start(two));
        first.wait_end();
        second.wait_end();
        let now = backends(home, "k").swap_remove(0);
        sign(&vault, "01", "ECDSA-SHA256", "sig");
        verify(&vault, "01", "ECDSA-SHA256", "sig");
        // Whoever comes last finds nothing that the others left.
        home.kmss(&format!("key move k --token pay --to {now}")).succeed();
        for hsm in ["vault", "other"] {
            assert_eq!(within(home, hsm, "k"), usize::from(hsm == now), "{hsm} after {one} and {two}: it is in {now}");
        }
    }
    is_clean(home);
}

#[test]
fn what_the_former_device_does_not_destroy_stays_the_keys_until_it_does() {
    if skip() {
        return;
    }
    let scene = Faulty::new();
    scene.kmss("key generate k --token pay --type ec:p256 --id 01 --extractable --backend vault").succeed();
    scene.module.command("C_DestroyObject CKR_FUNCTION_FAILED");
    let said = scene.kmss("key move k --token pay --to soft").run();
    assert_eq!(said.code(), Some(4), "{said}");
    said.mentions("not destroyed yet");
    scene.kmss("key move k --token pay --to soft").fail().mentions("still not destroyed");
    scene.kmss("store check --token pay").succeed();
    scene.module.command("");
    assert_eq!((scene.backend(), scene.held()), ("soft".to_owned(), 1));
    scene.signs();
    scene.kmss("hsm keys vault --token pay").succeed().mentions("was moved away from here");
    scene.kmss("token init two").succeed();
    scene.kmss("hsm adopt vault --token two --all").run().mentions("a key of this home stands on it already");
    scene.kmss("key move k --token pay --to soft").succeed().mentions("is destroyed");
    assert_eq!(scene.held(), 0);
    // A key that is destroyed takes what it left with it.
    scene.kmss("key move k --token pay --to vault").succeed();
    scene.module.command("C_DestroyObject CKR_FUNCTION_FAILED");
    scene.kmss("key move k --token pay --to soft").run();
    scene.module.command("");
    assert_eq!((scene.backend(), scene.held()), ("soft".to_owned(), 1));
    scene.kmss("key destroy k --token pay --yes").succeed();
    assert_eq!(scene.held(), 0);
    scene.kmss("store check --token pay").succeed();
}

#[test]
fn a_device_that_takes_nothing_in_clear_is_given_the_key_wrapped() {
    if skip() {
        return;
    }
    let scene = Faulty::new();
    scene.kmss("key generate k --token pay --type ec:p256 --id 01 --extractable").succeed();
    scene.module.note_calls();
    scene.module.command("C_CreateObject CKR_FUNCTION_NOT_SUPPORTED");
    scene.kmss("key move k --token pay --to vault").succeed();
    scene.module.command("");
    assert_eq!(scene.module.calls("C_UnwrapKey"), 2, "the transport key, and the key under it");
    assert_eq!((scene.backend(), scene.held()), ("vault".to_owned(), 1));
    scene.signs();
}

#[test]
fn a_device_that_cannot_show_that_it_holds_the_key_does_not_get_it() {
    if skip() {
        return;
    }
    let scene = Faulty::new();
    scene.kmss("key generate k --token pay --type ec:p256 --id 01 --extractable").succeed();
    for refusal in ["C_CreateObject CKR_DEVICE_MEMORY", "C_Sign CKR_FUNCTION_FAILED", "C_SignInit CKR_DEVICE_ERROR"] {
        scene.module.command(refusal);
        scene.kmss("key move k --token pay --to vault").fail();
        scene.module.command("");
        assert_eq!(scene.backend(), "soft", "{refusal}");
        scene.signs();
    }
    std::thread::sleep(Duration::from_millis(200));
    scene.kmss("key move k --token pay --to vault").succeed();
    assert_eq!((scene.backend(), scene.held()), ("vault".to_owned(), 1));
    scene.signs();
    scene.kmss("store check --token pay").succeed();
}
