//! `kmss audit seal`, `key`, `checkpoint`, `prove` and `verify`, and `kmss-audit-verify`, which has nothing but a public key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::{Program, Said};
use serde_json::Value;

const TOKEN: &str = "main";
const TAMPERED: Option<i32> = Some(3);

/// A home with a few dozen records, sealed.
fn sealed() -> Home {
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "web", "ec:p256", "01");
    for n in 0..8 {
        home.kmss(&format!("key generate --token {TOKEN} --type aes:256 k{n}")).succeed();
    }
    home.kmss("audit seal").succeed().mentions("epoch 1");
    home
}

fn auditor(home: &Home, words: &str) -> Program {
    // Without the home's variables: it is to need none.
    Program::new(built::auditor()).words(words).within(home.folder())
}

fn first(said: &Said, field: &str) -> Value {
    json_items(said)[0][field].clone()
}

/// The name of a record of this action.
fn record(home: &Home, action: &str) -> String {
    let said = home.kmss(&format!("audit tail -n 1000 --json --ids --action {action}")).succeed();
    json_items(&said)[0]["id"].as_str().unwrap().to_owned()
}

fn segment(home: &Home) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(home.path().join("audit")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "jsonl"));
    files.sort();
    files.remove(0)
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_proof_is_checked_with_a_public_key_alone() {
    if built::only_kmss("audit seal") {
        return;
    }
    let home = sealed();
    home.kmss("audit seal --new-epoch").succeed().mentions("epoch 2");
    let name = record(&home, "generate");
    home.kmss(&format!("audit prove {name} -o proof")).within(home.folder()).succeed();
    let keys = home.kmss("audit key").succeed().text();
    fs::write(home.file("keys"), &keys).unwrap();
    let root = home.kmss("audit key --root").succeed().text();
    let said = auditor(&home, "proof --key keys").succeed();
    assert!(said.text().contains("\"action\":\"generate\""), "{said}");
    let said = auditor(&home, &format!("proof --certificates keys --json --key {}", root.trim())).succeed();
    assert_eq!(first(&said, "proven"), true);
    assert_eq!(first(&said, "record")["action"], "generate");
    // The root key alone does not tell of the key that signed; it is not proven, which is 3.
    let said = auditor(&home, &format!("proof --key {}", root.trim())).run();
    assert_eq!(said.code(), TAMPERED, "{said}");
    // Another record, and another proof.
    fs::write(home.file("record"), "{}").unwrap();
    assert_eq!(auditor(&home, "proof --key keys --record record").run().code(), TAMPERED);
    replace(&home.file("proof"), "index ", "index 1");
    assert_eq!(auditor(&home, "proof --key keys").run().code(), TAMPERED);
    assert_eq!(auditor(&home, "missing --key keys").run().code(), Some(1));
    home.kmss("audit prove nonsense").fail().mentions("SEGMENT:SEQ");
}

#[test]
fn a_log_is_held_against_its_seal_and_against_what_others_kept() {
    if built::only_kmss("audit seal") {
        return;
    }
    let home = sealed();
    let checkpoint = home.kmss("audit checkpoint").succeed().text();
    fs::write(home.file("kept"), &checkpoint).unwrap();
    let root = home.kmss("audit key --root").succeed().text();
    home.generate(TOKEN, "later", "ec:p256", "02");
    home.kmss("audit seal").succeed();
    let words = format!("audit verify --json --anchor {} --key {}", home.file("kept").display(), root.trim());
    let report = &json_items(&home.kmss(&words).succeed())[0];
    assert_eq!((&report["verdict"], &report["seal"]["unsealed"]), (&"whole".into(), &0.into()), "{report}");
    assert_eq!(report["seal"]["anchors"][0]["agree"], 1, "{report}");
    home.kmss("audit verify").succeed().mentions("Sealed:");
    // A record is changed.
    let file = segment(&home);
    let copy = fs::read(&file).unwrap();
    replace(&file, "\"name\":\"k3\"", "\"name\":\"k4\"");
    let said = home.kmss(&words).run();
    assert_eq!(said.code(), TAMPERED, "{said}");
    let report = &json_items(&said)[0];
    let found: Vec<_> = report["seal"]["findings"].as_array().unwrap().iter().map(|f| f["found"].clone()).collect();
    assert_eq!(found, ["record-changed"], "{report}");
    // Only of the records before it everything is whole.
    let seq = report["seal"]["findings"][0]["first"].as_u64().unwrap();
    let name = file.file_stem().unwrap().to_str().unwrap();
    let before = seq - 1;
    home.kmss(&format!("audit verify --from {name}:0 --to {name}:{before}")).succeed();
    assert_eq!(home.kmss(&format!("audit verify --from {name}:{before} --to {name}:{seq}")).run().code(), TAMPERED);
    home.kmss("audit verify --to 2020-01-01").succeed().mentions("0 records");
    fs::write(&file, copy).unwrap();
    home.kmss(&words).succeed();
    // Another log's checkpoint and key.
    let other = sealed();
    fs::write(home.file("other"), other.kmss("audit checkpoint").succeed().text()).unwrap();
    let root = other.kmss("audit key --root").succeed().text();
    let said = home.kmss(&format!("audit verify --anchor {}", home.file("other").display())).run();
    assert_eq!(said.code(), TAMPERED, "{said}");
    assert_eq!(home.kmss(&format!("audit verify --key {}", root.trim())).run().code(), TAMPERED);
}

#[test]
fn a_home_of_the_suite_gm_is_sealed_and_proven_by_sm2_and_sm3() {
    if built::only_kmss("audit seal") {
        return;
    }
    let home = Home::new();
    home.kmss("home init --suite gm").succeed();
    home.init_token(TOKEN);
    home.generate(TOKEN, "web", "ec:p256", "01");
    home.kmss("audit seal").succeed();
    home.kmss("audit verify").succeed();
    let name = record(&home, "generate");
    home.kmss(&format!("audit prove {name} --output proof")).within(home.folder()).succeed();
    fs::write(home.file("keys"), home.kmss("audit key").succeed().text()).unwrap();
    assert!(fs::read_to_string(home.file("proof")).unwrap().starts_with("kmss/tlog-proof-sm3@v1\n"));
    auditor(&home, "proof --key keys").succeed();
}

#[test]
fn what_was_never_sealed_says_so() {
    if built::only_kmss("audit seal") {
        return;
    }
    let home = Home::with_token(TOKEN);
    for words in ["audit key", "audit checkpoint", "audit prove 1795298434827-3d88c6a8bba5b82e:0"] {
        home.kmss(words).fail().mentions("kmss audit seal");
    }
    let said = home.kmss("audit verify --json").succeed();
    assert_eq!(first(&said, "seal"), Value::Null);
}
