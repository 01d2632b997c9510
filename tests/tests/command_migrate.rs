//! `kmss migrate softhsm`: a real SoftHSM2 token comes over, and comes over once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::{Program, Said, needs, needs_file};
use serde_json::Value;

const TOKEN: &str = "new";
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const THEIR_PIN: &str = "old-1234";

/// SoftHSM2 in a folder of its own.
struct Old {
    home: Home,
}

impl Old {
    fn new() -> Self {
        let home = Home::with_token(TOKEN);
        fs::create_dir(home.file("tokens")).unwrap();
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", home.file("tokens").display());
        fs::write(home.file("softhsm2.conf"), text).unwrap();
        let old = Self { home };
        let init = old.with(Program::new("softhsm2-util")).words("--init-token --free --label old --so-pin 5678 --pin");
        init.arg(THEIR_PIN).succeed();
        old
    }

    fn with(&self, program: Program) -> Program {
        program.env("SOFTHSM2_CONF", self.home.file("softhsm2.conf")).within(self.home.folder())
    }

    fn tool(&self, words: &str) -> Said {
        let tool = self.with(Program::new("pkcs11-tool")).args(["--module", MODULE, "--token-label", "old", "--login"]);
        tool.args(["--pin", THEIR_PIN]).words(words).succeed()
    }

    fn migrate(&self, words: &str) -> Said {
        let command = self.with(self.home.kmss("migrate softhsm")).args(["--module", MODULE]);
        command.env("KMSS_FROM_PIN", THEIR_PIN).words(&format!("--from old --token {TOKEN} {words}")).run()
    }
}

fn skip() -> bool {
    if built::only_kmss("migrate") {
        return true;
    }
    needs(&["softhsm2-util"]);
    needs_file(MODULE);
    false
}

fn outcome<'a>(rows: &'a [Value], label: &str, class: &str) -> &'a Value {
    rows.iter().find(|r| r["label"] == label && r["class"] == class).unwrap_or_else(|| panic!("{label}: {rows:#?}"))
}

#[test]
fn keys_certificates_and_data_come_over_with_their_attributes_and_work() {
    if skip() {
        return;
    }
    let old = Old::new();
    let home = &old.home;
    old.tool("--keypairgen --key-type rsa:2048 --label r --id 01 --extractable");
    old.tool("--keypairgen --key-type EC:prime256v1 --label e --id 02 --extractable --usage-sign");
    old.tool("--keygen --key-type AES:32 --label a --id 03 --extractable");
    old.tool("--keypairgen --key-type rsa:2048 --label stays --id 04");
    fs::write(home.file("blob"), "data of an application").unwrap();
    old.tool("--write-object blob --type data --label blob --application-label app");
    old.tool("--read-object --type pubkey --id 01 --output-file r.der");
    let openssl = |line: &str| Program::new("openssl").within(home.folder()).words(line).succeed();
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout c.key -subj /CN=c -outform DER -out c.der");
    old.tool("--write-object c.der --type cert --label r --id 01");

    let dry = old.migrate("--dry-run --json");
    assert_eq!(dry.code(), Some(4), "{dry}");
    assert!(json_items(&home.kmss(&format!("key list --token {TOKEN} --json")).succeed()).is_empty());

    let said = old.migrate("--json");
    assert_eq!(said.code(), Some(4), "{said}");
    let rows = json_items(&said);
    let taken = [("r", "private"), ("r", "public"), ("e", "private"), ("e", "public"), ("a", "secret")];
    for (label, class) in taken.into_iter().chain([("r", "certificate"), ("blob", "data"), ("stays", "public")]) {
        assert_eq!(outcome(&rows, label, class)["outcome"], "taken over", "{label}: {rows:#?}");
    }
    let refused = outcome(&rows, "stays", "private");
    assert!(refused["detail"].as_str().unwrap().contains("not extractable"), "{refused}");

    // A key that came over makes what its former public half verifies.
    fs::write(home.file("msg"), "text").unwrap();
    let sign = "--sign --id 01 --mechanism SHA256-RSA-PKCS --input-file msg --output-file sig";
    home.pkcs11_tool(TOKEN, sign).succeed();
    openssl("pkey -pubin -inform DER -in r.der -out r.pem");
    openssl("dgst -sha256 -verify r.pem -signature sig msg");
    let keys = json_items(&home.kmss(&format!("key show e --token {TOKEN} --json")).succeed());
    assert_eq!(keys.len(), 2, "both halves share the name: {keys:?}");
    assert_eq!((&keys[0]["extractable"], &keys[0]["local"]), (&true.into(), &false.into()));
    assert_eq!(keys[0]["cka_id"], "02");
    home.pkcs11_tool(TOKEN, "--list-objects --type data").succeed().mentions("app");

    // Once more changes nothing.
    let again = old.migrate("--json");
    let rows = json_items(&again);
    for (label, class) in taken.into_iter().chain([("r", "certificate"), ("blob", "data")]) {
        assert_eq!(outcome(&rows, label, class)["outcome"], "there already", "{label}: {rows:#?}");
    }
    home.kmss(&format!("store check --token {TOKEN}")).succeed();
    home.audit_is_whole();
}

#[test]
fn two_keys_of_one_label_get_two_names_and_all_goes_well_with_code_0() {
    if skip() {
        return;
    }
    let old = Old::new();
    for id in ["01", "02"] {
        old.tool(&format!("--keypairgen --key-type EC:prime256v1 --label same --id {id} --extractable"));
    }
    let said = old.migrate("");
    assert_eq!(said.code(), Some(0), "{said}");
    let names: Vec<_> = json_items(&old.home.kmss(&format!("key list --token {TOKEN} --json")).succeed());
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|k| k["label"] == "same"), "{names:?}");
    assert_ne!(names[0]["name"], names[1]["name"]);
}

#[test]
fn a_wrong_token_a_wrong_pin_and_a_wrong_module_are_told_apart() {
    if skip() {
        return;
    }
    let old = Old::new();
    let command = |words: &str| old.with(old.home.kmss("migrate softhsm")).words(&format!("--token {TOKEN} {words}"));
    let nobody = command("--from nobody").args(["--module", MODULE]).env("KMSS_FROM_PIN", THEIR_PIN);
    nobody.fail().mentions("nobody").mentions("`old`");
    let wrong = command("--from old").args(["--module", MODULE]).env("KMSS_FROM_PIN", "wrong-1");
    let said = wrong.fail().all();
    assert!(said.contains("login") && !said.contains("wrong-1"), "{said}");
    command("--from old --module /nowhere.so").env("KMSS_FROM_PIN", THEIR_PIN).fail().mentions("/nowhere.so");
}
