//! Policies by the command: signed, applied, listed, shown, removed; who may publish; what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, json_items};
use kmss_tests::program::Program;

const TOKEN: &str = "web";

/// A guest of `kmss-policy/1` that allows everything by its rule 1.
const ALLOW: &[u8] = b"\x00\x61\x73\x6d\x01\x00\x00\x00\x01\x0a\x02\x60\x00\x01\x7f\x60\x01\x7f\x01\x7e\x03\x04\x03\x00\x00\x01\
\x05\x04\x01\x01\x01\x01\x07\x2e\x04\x06\x6d\x65\x6d\x6f\x72\x79\x02\x00\x08\x6b\x6d\x73\x73\x5f\x61\x62\x69\x00\x00\x08\x6b\x6d\
\x73\x73\x5f\x62\x75\x66\x00\x01\x0b\x6b\x6d\x73\x73\x5f\x64\x65\x63\x69\x64\x65\x00\x02\x0a\x14\x03\x06\x00\x41\x80\x80\x04\x0b\
\x05\x00\x41\x80\x08\x0b\x05\x00\x42\x81\x02\x0b";

/// A module of the guest in one of its editions, which differ by a custom section.
fn module(home: &Home, edition: u8) -> PathBuf {
    let file = home.file(&format!("orders-{edition}.wasm"));
    fs::write(&file, [ALLOW, &[0, 2, 1, b'a' + edition]].concat()).unwrap();
    file
}

fn openssl(home: &Home, line: &str) {
    Program::new("openssl").within(home.folder()).words(line).succeed();
}

/// A publisher's key pair: `NAME.key` and `NAME.pub`.
fn publisher(home: &Home, name: &str, kind: &str) {
    openssl(home, &format!("genpkey {kind} -out {name}.key"));
    openssl(home, &format!("pkey -in {name}.key -pubout -out {name}.pub"));
}

fn sign(home: &Home, edition: u8, words: &str) -> PathBuf {
    let out = home.file(&format!("orders-{edition}.bundle"));
    let command = home.kmss("policy sign").arg(module(home, edition)).words(words).within(home.folder());
    command.arg("--out").arg(&out).succeed();
    out
}

fn apply(home: &Home, file: &PathBuf) -> Program {
    home.kmss("policy apply").arg(file)
}

#[test]
fn a_signed_bundle_is_applied_listed_shown_replaced_and_removed() {
    if built::only_kmss("policies") {
        return;
    }
    for kind in ["-algorithm ed25519", "-algorithm EC -pkeyopt ec_paramgen_curve:SM2"] {
        let home = Home::with_token(TOKEN);
        publisher(&home, "author", kind);
        let words = |n: u8| format!("--name orders --token {TOKEN} --sequence {n} --key-file author.key");
        let first = sign(&home, 1, &words(1));
        apply(&home, &first).fail().mentions("is not trusted");
        home.kmss(&format!("policy trust add author author.pub --token {TOKEN}")).within(home.folder()).succeed();
        home.kmss("policy trust list").succeed().mentions("author").mentions("namespace default/web");
        apply(&home, &first).succeed().mentions("is in force for namespace default/web");
        apply(&home, &first).succeed().mentions("already");
        home.kmss(&format!("token show {TOKEN}")).succeed().mentions("required");
        let second = sign(&home, 2, &words(2));
        apply(&home, &second).succeed().mentions("in place of sequence 1");
        apply(&home, &first).fail().mentions("going back is refused");
        let listed = json_items(&home.kmss("policy list --json").succeed());
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!((&listed[0]["state"], listed[0]["sequence"].as_u64()), (&"active".into(), Some(2)));
        let shown =
            json_items(&home.kmss("policy show orders --json --out copy.bundle").within(home.folder()).succeed());
        assert_eq!(shown[0]["digest"], listed[0]["digest"]);
        assert_eq!(fs::read(home.file("copy.bundle")).unwrap(), fs::read(&second).unwrap());
        home.kmss("policy trust remove author --token web").fail().mentions("orders");
        home.kmss(&format!("policy remove orders --token {TOKEN} --yes")).succeed();
        home.kmss(&format!("policy remove orders --token {TOKEN} --yes")).fail();
        home.kmss("policy list").succeed().mentions("removed").mentions("above 2");
        apply(&home, &first).fail().mentions("going back is refused");
        home.kmss(&format!("token show {TOKEN}")).succeed().mentions("required");
        home.kmss("policy trust remove author --token web").succeed();
        home.audit_is_whole();
        let trail: String = home.audit(50).iter().map(ToString::to_string).collect();
        assert!(trail.contains("sequence 1 -> 2") && trail.contains("policy trust add"), "{trail}");
    }
}

#[test]
fn bundles_that_are_not_what_they_should_be_are_refused_each_with_its_reason() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.init_token("other");
    publisher(&home, "author", "-algorithm ed25519");
    publisher(&home, "stranger", "-algorithm ed25519");
    home.kmss("policy trust add author author.pub --token web").within(home.folder()).succeed();
    let words = "--name orders --token web --sequence 5";
    let good = sign(&home, 1, &format!("{words} --key-file author.key"));
    let foreign = sign(&home, 2, &format!("{words} --key-file stranger.key"));
    apply(&home, &foreign).fail().mentions("is not trusted");
    let bytes = fs::read(&good).unwrap();
    let changed = |at: usize| {
        let file = home.file("changed.bundle");
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        file
    };
    apply(&home, &changed(bytes.len() - 9)).fail().mentions("not the one that was signed");
    let manifest = u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
    apply(&home, &changed(12 + manifest + 4 + 10)).fail().mentions("does not verify");
    apply(&home, &changed(20)).fail();
    apply(&home, &good).words("--token other").fail().mentions("not for namespace default/other");
    let expired =
        sign(&home, 3, &format!("{words} --key-file author.key --valid-from 2020-01-01 --valid-until 2020-01-02"));
    apply(&home, &expired).fail().mentions("expired");
    let early = sign(&home, 4, &format!("{words} --key-file author.key --valid-from 2999-01-01"));
    apply(&home, &early).fail().mentions("not valid before");
    apply(&home, &good).env("KMSS_SO_PIN", "not the officer").fail();
    apply(&home, &good).succeed();
    let same = sign(&home, 6, &format!("{words} --key-file author.key"));
    apply(&home, &same).fail().mentions("higher sequence");
    home.kmss("policy sign nothing.wasm --out x --token web --key-file author.key").within(home.folder()).fail();
    openssl(&home, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key");
    let rsa = home.kmss("policy sign").arg(module(&home, 7)).words("--out x --token web --key-file rsa.key");
    rsa.within(home.folder()).fail().mentions("Ed25519 or SM2");
    let trail: String = home.audit(60).iter().map(ToString::to_string).collect();
    assert!(trail.contains("going back") || trail.contains("not trusted"), "{trail}");
}

#[test]
fn the_officer_applies_without_a_signature_until_the_home_takes_signed_bundles_only() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token(TOKEN);
    apply(&home, &module(&home, 1)).fail().mentions("--token");
    let local = |edition: u8| apply(&home, &module(&home, edition)).words(&format!("--name orders --token {TOKEN}"));
    local(1).env("KMSS_SO_PIN", PIN).fail();
    local(1).succeed().mentions("sequence 1");
    local(1).succeed().mentions("already");
    local(2).succeed().mentions("sequence 2").mentions("in place of sequence 1");
    home.kmss("policy trust list").succeed().mentions("local");
    local(3).words("--shadow").succeed().mentions("shadow");
    home.kmss("policy list").succeed().mentions("shadow");
    home.kmss("policy show orders --shadow").succeed().mentions("kmss-policy/1");
    home.kmss("policy remove orders --token web --shadow").succeed();
    home.kmss("policy remove orders --token web --yes").succeed();
    home.kmss("policy trust remove local").succeed().mentions("signed bundles only");
    local(3).fail().mentions("takes signed bundles only");
    home.kmss("policy trust add local").succeed();
    local(3).succeed().mentions("sequence 3");
}

/// What is denied is refused in every process of the host from its next operation, and says why in the audit.
#[test]
fn a_policy_of_a_few_lines_decides_until_it_is_removed_and_then_nothing_is_allowed() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "allowed", "ec:p256", "01");
    home.generate(TOKEN, "denied", "ec:p256", "02");
    fs::write(home.file("digest"), [7; 32]).unwrap();
    let sign = |id: &str| {
        home.pkcs11_tool(TOKEN, &format!("--sign --id {id} --mechanism ECDSA --input-file digest --output-file sig"))
    };
    sign("01").succeed();
    sign("02").succeed();
    let file = home.file("orders.kmss");
    fs::write(&file, "allow user:* to use key:allowed\ndeny user:* to sign with key:denied because \"not this one\"\n")
        .unwrap();
    apply(&home, &file).words("--token web").succeed().mentions("`orders`");
    home.kmss("policy show orders --source").succeed().mentions("key:denied");
    sign("01").succeed();
    sign("02").fail();
    let trail: String = home.audit(50).iter().map(ToString::to_string).collect();
    assert!(trail.contains("not this one"), "{trail}");
    fs::write(&file, "allow user:* to use kee:allowed\n").unwrap();
    apply(&home, &file).words("--token web").fail().mentions("orders.kmss:1");
    sign("01").succeed();
    home.kmss("policy remove orders --token web --yes").succeed();
    sign("01").fail();
    home.audit_is_whole();
    home.kmss("store check").succeed();
}

/// Its tables need more memory than a module usually has, which is nobody's concern.
#[test]
fn ten_thousand_rules_are_explained_signed_and_applied_like_ten() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "allowed", "ec:p256", "01");
    let mut text = "allow user:* to use key:allowed\n".to_owned();
    for n in 1..10_000 {
        let _ = writeln!(text, "allow service:app-{n} to use key:app_{n}_* for encrypt only");
    }
    let [source, module, bundle] = ["big.kmss", "big.wasm", "big.bundle"].map(|name| home.file(name));
    fs::write(&source, text).unwrap();
    let compiled = home.kmss("policy compile big.kmss --json").within(home.folder()).succeed();
    let pages = json_items(&compiled)[0]["pages"].as_u64().unwrap();
    assert!(pages > 16, "{pages} pages, which any module may have");
    for policy in [&source, &module] {
        let words =
            "policy explain --principal service:app-7 --action encrypt --key app_7_x --data-length 9 --json --policy";
        let explained = json_items(&home.kmss(words).arg(policy).succeed());
        assert_eq!(explained[0]["decision"], "allow", "{explained:?}");
    }
    fs::write(home.file("digest"), [7; 32]).unwrap();
    let sign = || home.pkcs11_tool(TOKEN, "--sign --id 01 --mechanism ECDSA --input-file digest --output-file sig");
    let try_out = |file: &PathBuf, name: &str| {
        apply(&home, file).words("--token web").succeed();
        sign().succeed();
        home.kmss(&format!("policy remove {name} --token web --yes")).succeed();
        sign().fail();
    };
    try_out(&source, "big");
    publisher(&home, "author", "-algorithm ed25519");
    home.kmss("policy trust add author author.pub --token web").within(home.folder()).succeed();
    let words = "--name signed --token web --sequence 1 --key-file author.key";
    home.kmss("policy sign").arg(&module).words(words).arg("--out").arg(&bundle).within(home.folder()).succeed();
    try_out(&bundle, "signed");
}

#[test]
fn an_opa_module_without_a_bundle_is_asked_at_the_entrypoint_that_is_named() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token(TOKEN);
    let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy-modules");
    let unpack = Program::new("tar").within(home.folder()).words("-xzf").arg(format!("{modules}/prebuilt/rbac.tar.gz"));
    unpack.words("/policy.wasm /data.json").succeed();
    let test = |entrypoint: &str| {
        let command = home.kmss("policy test").arg(format!("{modules}/cases/rbac.toml")).within(home.folder());
        command.words("--policy policy.wasm --data data.json --entrypoint").arg(entrypoint)
    };
    test("kmss/rbac/decision").succeed();
    test("kmss/other/decision").fail().mentions("kmss/rbac/decision");
    let words = "policy explain --principal user:ada --action encrypt --key a --policy policy.wasm --data data.json";
    let explain = |entrypoint: &str| home.kmss(words).within(home.folder()).arg("--entrypoint").arg(entrypoint);
    explain("kmss/rbac/decision").succeed();
    explain("other").fail().mentions("kmss/rbac/decision");
}

#[test]
fn what_several_must_approve_waits_for_them_and_is_done_for_a_while() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "root-ca", "ec:p256", "01");
    for user in ["alice", "bob", "carol"] {
        home.kmss(&format!("token user add {TOKEN} {user}")).env("KMSS_NEW_PIN", format!("pin-of-{user}")).succeed();
    }
    for user in ["alice", "bob"] {
        home.kmss(&format!("token user roles {TOKEN} {user} custodian")).succeed();
    }
    let file = home.file("quorum.kmss");
    fs::write(&file, "allow user:* to use key:root-ca require 2 of role:custodian within 5 minutes\n").unwrap();
    apply(&home, &file).words("--token web").succeed();
    fs::write(home.file("digest"), [7; 32]).unwrap();
    let sign = || home.pkcs11_tool(TOKEN, "--sign --id 01 --mechanism ECDSA --input-file digest --output-file sig");
    sign().fail();
    let waiting = json_items(&home.kmss("approve --list --token web --json").succeed());
    let wanted = waiting.iter().find(|one| one["action"] == "sign").expect("the signature waits").clone();
    assert_eq!((wanted["key"]["name"].as_str(), wanted["approvals"].as_u64()), (Some("root-ca"), Some(2)));
    let id = wanted["request"].as_str().unwrap();
    let approve = |user: &str| {
        home.kmss(&format!("approve {} --token web --user {user}", &id[..12])).env("KMSS_PIN", format!("pin-of-{user}"))
    };
    approve("alice").succeed().mentions("1 of 2");
    approve("alice").fail().mentions("already");
    approve("carol").fail().mentions("custodian");
    approve("bob").env("KMSS_PIN", "wrong").fail();
    sign().fail();
    approve("bob").succeed().mentions("2 of 2");
    sign().succeed();
    sign().succeed();
    home.audit_is_whole();
}

#[test]
fn a_key_in_a_token_signs_bundles() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token(TOKEN);
    for (kind, id, n) in [("ed25519", "01", 1), ("sm2", "02", 2)] {
        home.generate(TOKEN, kind, kind, id);
        let public = home.file(&format!("{kind}.pub"));
        home.kmss(&format!("key export-public {kind} --token {TOKEN} --out")).arg(&public).succeed();
        home.kmss(&format!("policy trust add {kind}")).arg(&public).words("--tenant default").succeed();
        // Before any policy is in force, which would have to allow the signature.
        let _ = sign(&home, n, &format!("--name p{n} --tenant default --with-key {kind} --with-token {TOKEN}"));
    }
    for n in [1, 2] {
        apply(&home, &home.file(&format!("orders-{n}.bundle"))).succeed().mentions("tenant default");
    }
}

#[test]
fn of_two_processes_that_apply_at_once_both_end_and_one_policy_is_in_force() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token(TOKEN);
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let runs: Vec<_> = (1..=4_u8)
            .map(|edition| {
                let home = &home;
                let file = module(home, edition);
                scope.spawn(move || apply(home, &file).words("--name orders --token web").run().success())
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let succeeded = outcomes.iter().filter(|ok| **ok).count() as u64;
    assert!(succeeded >= 1, "{outcomes:?}");
    let listed = json_items(&home.kmss("policy list --json").succeed());
    assert_eq!(listed.len(), 1, "{listed:?}");
    // Every success had a sequence of its own, one after the other.
    assert_eq!(listed[0]["sequence"].as_u64(), Some(succeeded), "{listed:?}");
    home.kmss("store check").succeed();
    home.audit_is_whole();
}

#[test]
fn requests_for_approval_are_listed_and_unknown_ones_refused() {
    if built::only_kmss("policies") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.kmss("approve --list --token web").succeed().mentions("No request waits");
    home.kmss(&format!("approve {} --token web", "0".repeat(32))).fail().mentions("waits for approval");
    home.kmss("approve abcdef --token web").fail().mentions("no request");
    home.kmss("approve x --token web").fail().mentions("hex digits");
}
