//! Devices that take their time, refuse PINs, or do not keep what they are told: a module that fails on command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use kmss_tests::home::Home;
use kmss_tests::module::{HSM_LABEL, HSM_PIN, Module};
use kmss_tests::program::Program;
use kmss_tests::{built, c};

/// A home before a device that fails on command.
struct Scene {
    home: Home,
    module: Module,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { home: Home::new(), module: Module::softhsm().faulty() };
        scene.configure(HSM_PIN, "");
        scene.module.note_calls();
        scene
    }

    fn configure(&self, pin: &str, more: &str) {
        let (folder, file) = (self.home.path(), self.home.file("hsm.pin"));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(&file, pin).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let (module, pin) = (self.module.path.display(), file.display());
        let text = format!(
            "[[hsm]]\nname = \"vault\"\nmodule = \"{module}\"\ntoken = \"{HSM_LABEL}\"\npin = {{ file = \"{pin}\" }}\n{more}\n"
        );
        let config = folder.join("kmss.toml");
        fs::write(&config, text).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn kmss(&self, words: &str) -> Program {
        self.home.kmss(words).envs(&self.module.variables)
    }

    fn begin_anew(&self) {
        self.module.command("");
        self.module.note_calls();
    }
}

#[test]
fn a_fork_does_not_wait_for_a_home_that_an_hsm_opens() {
    if built::only_kmss("seal in an HSM") {
        return;
    }
    let scene = Scene::new();
    scene.kmss("home init --seal hsm:vault").succeed();
    scene.module.command("C_Login hang:3000");
    let program = c::program(&scene.home, "opening").envs(&scene.module.variables);
    program.patience(Duration::from_secs(60)).succeed().mentions("ended");
}

#[test]
fn a_wrong_pin_is_shown_once_by_every_part_of_a_process() {
    if built::only_kmss("seal in an HSM") {
        return;
    }
    let scene = Scene::new();
    scene.configure("wrong-12", "");
    for words in ["home init --seal hsm:vault", "hsm list", "doctor"] {
        scene.begin_anew();
        scene.kmss(words).run();
        assert_eq!(scene.module.calls("C_Login"), 1, "{words}");
    }
    // One that only says that it fails may be asked again.
    scene.configure(HSM_PIN, "");
    scene.begin_anew();
    scene.module.command("C_Login CKR_FUNCTION_FAILED 1");
    scene.kmss("hsm list").succeed();
    assert_eq!(scene.module.calls("C_Login"), 2);
}

#[test]
fn a_root_key_that_the_device_would_not_find_again_is_not_trusted_to_it() {
    if built::only_kmss("seal in an HSM") {
        return;
    }
    let scene = Scene::new();
    scene.home.kmss("home init").succeed();
    scene.home.init_token("main");
    // The key is made, and what looks for it by its identifier finds nothing.
    for command in
        ["C_FindObjects CKR_GENERAL_ERROR", "C_FindObjects CKR_GENERAL_ERROR 100 1", "C_Decrypt CKR_FUNCTION_FAILED"]
    {
        scene.begin_anew();
        scene.module.command(command);
        scene.kmss("seal migrate --to hsm:vault").fail();
        assert!(!scene.home.path().join("seal.next.toml").exists(), "{command}");
        scene.module.command("");
        scene.kmss("key list --token main").succeed();
    }
    // Asked again in the midst of it, it makes no second key.
    scene.begin_anew();
    scene.module.command("C_Encrypt CKR_KEY_HANDLE_INVALID 1\nC_EncryptInit CKR_KEY_HANDLE_INVALID 1");
    scene.kmss("seal migrate --to hsm:vault").succeed();
    scene.kmss("key list --token main").succeed();
    // A key that it does not destroy is told of, and not called erased.
    scene.begin_anew();
    scene.module.command("C_DestroyObject CKR_FUNCTION_FAILED");
    let said = scene.kmss("seal migrate --to file").succeed().mentions("could not be destroyed");
    assert!(!said.text().contains("is erased"), "{said}");
}

#[test]
fn a_key_that_is_made_while_the_device_loses_its_sessions_is_the_one_that_is_used() {
    if built::only_kmss("HSMs behind it") {
        return;
    }
    let scene = Scene::new();
    scene.kmss("token init --backend vault main").succeed();
    // Behind each way to make a key the sessions go.
    for (n, lost) in ["C_GetAttributeValue", "C_FindObjectsInit"].into_iter().enumerate() {
        scene.module.command(&format!("{lost} CKR_SESSION_HANDLE_INVALID 1"));
        scene.kmss(&format!("key generate a{n} --token main --type aes:256")).succeed();
        scene.module.command(&format!("{lost} CKR_SESSION_HANDLE_INVALID 1"));
        scene.kmss(&format!("key generate e{n} --token main --type ec:p256")).run();
    }
    scene.module.command("");
    scene.kmss("store check --token main").succeed();
}

#[test]
fn attributes_that_a_device_cannot_give_now_are_not_taken_for_absent() {
    if built::only_kmss("HSMs behind it") {
        return;
    }
    let scene = Scene::new();
    scene.kmss("token init --backend vault main").succeed();
    let tool = Program::new("pkcs11-tool").envs(&scene.module.variables).arg("--module").arg(&scene.module.path);
    tool.args(["--token-label", HSM_LABEL, "--login", "--pin", HSM_PIN])
        .words("--keypairgen --key-type EC:prime256v1 --label tls --id 01")
        .succeed();
    scene.module.command("C_GetAttributeValue CKR_DEVICE_REMOVED 400 3");
    scene.kmss("hsm keys vault --token main").fail().mentions("DeviceRemoved");
    scene.module.command("");
    scene.kmss("hsm adopt vault --token main --all").succeed().mentions("adopted");
    // One that is asked for attributes singly is never asked for several.
    scene.configure(HSM_PIN, "[hsm.quirks]\nattributes = \"singly\"");
    scene.kmss("hsm keys vault --token main").succeed().mentions("there already");
}
