//! Keys in a real SoftHSM2 behind the real module and the real command: forks, threads, adoption, and what doctor says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;

use kmss_tests::home::json_items;
use kmss_tests::softhsm::{HSM, HSM_PIN, SOFTHSM, Vault};
use kmss_tests::{built, c};

fn skip() -> bool {
    built::only_kmss("HSMs behind it")
}

fn forking(scene: &str, conf: &str) {
    let vault = Vault::new("fork");
    let file = vault.home.file("softhsm2.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{conf}\n")).unwrap();
    vault.home.generate("fork", "fork", "ec:p256", "01");
    let program = c::program(&vault.home, "fork").args(["fork", "fork", scene]).patience(Duration::from_secs(300));
    program.succeed().mentions("forked");
}

#[test]
fn a_child_goes_on_with_keys_in_the_hsm() {
    if skip() {
        return;
    }
    forking("inherit", "");
    forking("inherit", "library.reset_on_fork = true");
}

#[test]
fn a_child_may_begin_anew_and_the_parent_notices_nothing() {
    if skip() {
        return;
    }
    forking("reinit", "");
    forking("reinit", "library.reset_on_fork = true");
}

#[test]
fn children_of_children_sign() {
    if skip() {
        return;
    }
    forking("nested", "");
    forking("nested", "library.reset_on_fork = true");
}

#[test]
fn a_fork_while_threads_sign_in_the_hsm_never_hangs() {
    if skip() {
        return;
    }
    forking("threads", "library.reset_on_fork = true");
}

#[test]
fn programs_sign_with_keys_that_the_hsm_made() {
    if skip() {
        return;
    }
    let vault = Vault::new("pay");
    let home = &vault.home;
    home.generate("pay", "r", "rsa:2048", "0a");
    home.generate("pay", "e", "ec:p256", "0b");
    fs::write(home.file("msg"), "text").unwrap();
    for (id, mechanism) in [("0a", "SHA256-RSA-PKCS"), ("0b", "ECDSA-SHA256")] {
        let sign = format!("--sign --id {id} --mechanism {mechanism} --input-file msg --output-file sig");
        vault.outside("pay", &sign).succeed();
        let verify = format!("--verify --id {id} --mechanism {mechanism} --input-file msg --signature-file sig");
        vault.outside("pay", &verify).succeed().mentions("valid");
    }
    // They are in the HSM, under names that people know them by, and nowhere else.
    vault.inside("--list-objects --type privkey").mentions("label:      r").mentions("label:      e");
    let json = json_items(&home.kmss("key show e --token pay --json").succeed());
    assert!(json.iter().all(|half| half.to_string().contains(HSM)), "{json:?}");
    home.kmss("key destroy e --token pay --yes").succeed();
    let left = vault.inside("--list-objects --type privkey").text();
    assert!(!left.contains("label:      e"), "{left}");
    home.kmss("store check --token pay").succeed();
    home.audit_is_whole();
}

#[test]
fn keys_that_the_hsm_had_are_adopted_under_names_and_audit() {
    if skip() {
        return;
    }
    let vault = Vault::new("pay");
    let home = &vault.home;
    vault.inside("--keypairgen --key-type EC:prime256v1 --label tls --id 01 --usage-sign");
    vault.inside("--keypairgen --key-type rsa:2048 --label old --id 02");
    vault.inside("--keygen --key-type AES:32 --label box --id 03");
    let before = vault.inside("--list-objects").text();
    home.kmss("hsm keys vault --token pay").succeed().mentions("can be adopted");
    home.kmss("hsm adopt vault --token pay --label nobody").fail().mentions("holds no such key");
    let dry = json_items(&home.kmss("hsm adopt vault --token pay --all --dry-run --json").succeed());
    assert_eq!(dry.len(), 5, "{dry:?}");
    home.kmss("hsm adopt vault --token pay --id 01 --name web").succeed().mentions("adopted");
    let rows = json_items(&home.kmss("hsm adopt vault --token pay --all --json").succeed());
    let outcomes = |word: &str| rows.iter().filter(|row| row["outcome"] == word).count();
    assert_eq!((outcomes("there already"), outcomes("adopted")), (2, 3), "{rows:?}");
    let halves = json_items(&home.kmss("key show web --token pay --json").succeed());
    assert_eq!(halves.len(), 2, "{halves:?}");
    fs::write(home.file("msg"), "text").unwrap();
    vault.outside("pay", "--sign --id 01 --mechanism ECDSA-SHA256 --input-file msg --output-file sig").succeed();
    vault.outside("pay", "--verify --id 01 --mechanism ECDSA-SHA256 --input-file msg --signature-file sig").succeed();
    assert_eq!(vault.inside("--list-objects").text(), before, "the HSM is as it was");
    let said = serde_json::Value::Array(home.audit(60)).to_string();
    assert!(said.contains("web"), "{said}");
    home.audit_is_whole();
}

#[test]
fn what_is_wrong_with_an_hsm_is_told_with_its_cure() {
    if skip() {
        return;
    }
    let vault = Vault::new("");
    let home = &vault.home;
    home.kmss("hsm list").succeed().mentions("in use").mentions(HSM);
    home.kmss("doctor").run().mentions("can be used");
    vault.configure("pin = { command = [\"/bin/echo\", \"wrong\"] }");
    home.kmss("hsm list").fail().mentions("PinIncorrect");
    home.kmss("token init --backend vault pay").fail().mentions("refuses the login");
    home.kmss("doctor").fail().mentions("a wrong PIN was tried");
    let text = format!("[[hsm]]\nname = \"v\"\nmodule = \"{SOFTHSM}\"\ntoken = \"other\"\n");
    fs::write(home.path().join("kmss.toml"), text).unwrap();
    home.kmss("hsm list --json").fail().mentions("no such token").mentions("serial");
    let ours = built::module();
    let text = format!("[[hsm]]\nname = \"v\"\nmodule = \"{}\"\ntoken = \"other\"\n", ours.display());
    fs::write(home.path().join("kmss.toml"), text).unwrap();
    home.kmss("hsm list").fail().mentions("KMSS itself");
    home.kmss("token init --backend nobody pay").fail().mentions("no backend `nobody`");
    // The PIN in a file that others can read.
    vault.configure("");
    fs::set_permissions(home.file("hsm.pin"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    home.kmss("hsm list").fail().mentions("others can reach");
    vault.configure("pin = { env = \"THE_PIN\" }");
    home.kmss("hsm list").env("THE_PIN", HSM_PIN).succeed().mentions("in use");
    home.kmss("hsm list").fail().mentions("is not set");
    fs::create_dir(home.file("credentials")).unwrap();
    fs::write(home.file("credentials").join("pin"), format!("{HSM_PIN}\n")).unwrap();
    vault.configure("pin = { credential = \"pin\" }");
    home.kmss("hsm list").env("CREDENTIALS_DIRECTORY", home.file("credentials")).succeed().mentions("in use");
}
