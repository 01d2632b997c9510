//! Moves that are killed, that meet each other, or whose devices fail on command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, json_items};
use kmss_tests::module::{HSM_LABEL, Module};
use kmss_tests::program::Program;
use kmss_tests::softhsm::{HSM_PIN, SOFTHSM};
use serde_json::Value;

use super::{backends, is_clean, scene, sign, skip, verify, within};

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

    /// Kills a move at the call of `function` that comes after `passed` ones; false where it ended before.
    fn killed_at(&self, to: &str, function: &str, passed: usize) -> bool {
        self.module.note_calls();
        self.module.command(&format!("{function} hang:60000 1 {passed}"));
        let mut moving = self.kmss(&format!("key move k --token pay --to {to}")).keep_running();
        let begun = Instant::now();
        let calls = || self.module.calls(function) > passed;
        while !calls() && moving.ended().is_none() && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let there = moving.ended().is_none();
        assert!(!there || calls(), "{function}: the move does not go on: {}", moving.said());
        moving.signal(libc::SIGKILL);
        moving.wait_end();
        self.module.command("");
        there
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
    let calls_in = [("C_CreateObject", 1), ("C_SignInit", 1), ("C_Sign", 2)];
    let calls_out = [("C_WrapKey", 4), ("C_DestroyObject", 3)];
    for (from, to, calls) in [("soft", "vault", calls_in.as_slice()), ("vault", "soft", calls_out.as_slice())] {
        for (function, least) in calls {
            let mut passed = 0;
            loop {
                if scene.backend() != from {
                    scene.kmss(&format!("key move k --token pay --to {from}")).succeed();
                }
                let killed = scene.killed_at(to, function, passed);
                let now = scene.backend();
                assert!(now == to || (killed && now == from), "{function} {passed}: {now}");
                scene.signs();
                for token in ["pay", "two"] {
                    let found = scene.kmss(&format!("hsm keys vault --token {token} --json")).succeed();
                    let adoptable = json_items(&found).iter().filter(|row| row["outcome"] == "can be adopted").count();
                    assert_eq!(adoptable, 0, "what a move leaves is nobody's to adopt: {found}");
                }
                scene.kmss("store check --token pay").succeed();
                if !killed {
                    break;
                }
                passed += 1;
            }
            assert!(passed >= *least, "{to}: {function} is called {passed} times, and was {least}");
            assert_eq!(scene.held(), usize::from(to == "vault"), "nothing is left behind");
        }
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
fn what_was_left_in_a_device_that_is_scrapped_holds_up_nothing_and_is_given_up_when_that_is_said() {
    if skip() {
        return;
    }
    let scene = Faulty::new();
    for (key, kind) in [("k", "ec:p256"), ("gone", "aes:256")] {
        scene.kmss(&format!("key generate {key} --token pay --type {kind} --extractable --backend vault")).succeed();
        scene.module.command("C_DestroyObject CKR_FUNCTION_FAILED");
        scene.kmss(&format!("key move {key} --token pay --to soft")).run().mentions("not destroyed yet");
        scene.module.command("");
    }
    let config = scene.home.path().join("kmss.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("name = \"vault\"", "name = \"next\"")).unwrap();
    let moved = scene.kmss("key move k --token pay --to next").run();
    assert_eq!((moved.code(), scene.backend()), (Some(4), "next".to_owned()), "{moved}");
    scene.kmss("key move k --token pay --to next").fail().mentions("no backend `vault` is configured");
    scene.kmss("key move k --token pay --to next --forget").succeed().mentions("is given up");
    scene.kmss("key move k --token pay --to next").succeed().mentions("there already");
    assert!(Value::Array(scene.home.audit(20)).to_string().contains("\"new\":\"\",\"old\":\"vault"), "it is recorded");
    scene.kmss("key destroy gone --token pay --yes").fail().mentions("no backend `vault` is configured");
    scene.kmss("key show gone --token pay").fail();
    scene.kmss("store check --token pay").succeed();
}

#[test]
fn a_device_that_dies_while_it_is_given_the_key_wrapped_is_told_as_what_it_is() {
    if skip() {
        return;
    }
    let scene = Faulty::new();
    scene.kmss("key generate k --token pay --type ec:p256 --extractable").succeed();
    scene.module.command("C_CreateObject CKR_FUNCTION_NOT_SUPPORTED\nC_GenerateKeyPair CKR_DEVICE_ERROR");
    scene.kmss("key move k --token pay --to vault").fail().mentions("DeviceError");
    scene.module.command("");
    assert_eq!((scene.backend(), scene.held()), ("soft".to_owned(), 0));
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
