//! The module with its keys on a real kmssd: made, found, used and destroyed through it; restarts, forks, and what is said
//! when nobody answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;

use kmss_tests::c;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::Program;
use kmss_tests::remote::{Kmssd, client, client_with};

/// What a program may wait for a look at the server that is older than a second.
const LOOK: Duration = Duration::from_millis(1200);

fn keys(home: &Home) -> String {
    home.kmss("key list --token web").succeed().text()
}

/// The subjects of the certificates.
fn certificates(home: &Home) -> Vec<String> {
    let listed = json_items(&home.kmss("cert list --token web --json").succeed());
    listed.iter().map(|certificate| certificate["subject"].as_str().unwrap().to_owned()).collect()
}

/// Signs with the private key that has this CKA_ID: OpenSC's tool signs with the first one it finds, whatever `--label` says.
fn sign(home: &Home, id: &str) -> kmss_tests::program::Said {
    let data = home.file("data");
    std::fs::write(&data, [7; 32]).unwrap();
    let tool = home.pkcs11_tool("web", "--sign --mechanism ECDSA --id").arg(id);
    tool.arg("--input-file").arg(&data).arg("--output-file").arg(home.file("signature")).run()
}

#[test]
fn keys_and_certificates_are_made_found_used_and_destroyed_through_the_module() {
    let server = Kmssd::start();
    let home = client(&[server.uri()], "");
    home.pkcs11_tool("web", "--keypairgen --key-type EC:prime256v1 --label tls --id 0a").succeed();
    home.generate("web", "seal", "aes:256", "0b");
    for (whose, listed) in [("here", keys(&home)), ("there", keys(&server.home))] {
        assert!(listed.contains("tls") && listed.contains("seal"), "{whose}: {listed}");
    }
    assert!(sign(&home, "0a").success());
    assert!(sign(&server.home, "0a").success(), "it is the same key");
    home.kmss("cert self-sign tls --token web --subject CN=web --out").arg(home.file("web.pem")).succeed();
    Program::new("openssl").words("verify -CAfile web.pem web.pem").within(home.folder()).succeed();
    for at in [&home, &server.home] {
        assert_eq!(certificates(at), ["CN=web"]);
    }
    home.pkcs11_tool("web", "--set-id 0c --type privkey --id 0a").succeed();
    assert!(sign(&home, "0c").success() && !sign(&home, "0a").success());
    assert!(sign(&server.home, "0c").success(), "it has its new name there as well");
    // The material is the server's alone.
    let records = server.home.audit(1000);
    assert!(records.iter().any(|r| r["action"] == "generate" && r["object"]["name"] == "tls"), "{records:?}");
    assert!(records.iter().any(|r| r["action"] == "sign"), "{records:?}");
    home.pkcs11_tool("web", "--delete-object --type privkey --label tls").succeed();
    home.pkcs11_tool("web", "--delete-object --type pubkey --label tls").succeed();
    home.pkcs11_tool("web", "--delete-object --type cert --label tls").succeed();
    for at in [&home, &server.home] {
        assert!(certificates(at).is_empty());
    }
    for (whose, listed) in [("here", keys(&home)), ("there", keys(&server.home))] {
        assert!(!listed.contains("tls") && listed.contains("seal"), "{whose}: {listed}");
    }
    home.audit_is_whole();
    server.home.audit_is_whole();
    home.kmss("store check --token web").succeed();
}

#[test]
fn what_is_made_changed_and_destroyed_on_the_server_is_seen_within_a_second() {
    let server = Kmssd::start();
    let home = client(&[server.uri()], "");
    server.home.generate("web", "first", "ec:p256", "01");
    assert!(keys(&home).contains("first"));
    server.home.generate("web", "second", "rsa:2048", "02");
    server.home.kmss("key rename first third --token web").succeed();
    std::thread::sleep(LOOK);
    let listed = keys(&home);
    assert!(listed.contains("second") && listed.contains("third") && !listed.contains("first"), "{listed}");
    server.home.kmss("key destroy second --token web --yes").succeed();
    std::thread::sleep(LOOK);
    assert!(!keys(&home).contains("second"));
    // A key that is disabled there signs nothing from then on.
    assert!(sign(&home, "01").success());
    server.home.kmss("key disable third --token web").succeed();
    assert!(!sign(&home, "01").success());
    home.kmss("store check --token web").succeed();
}

#[test]
fn a_restart_of_the_server_costs_time_and_no_failure() {
    let mut server = Kmssd::start();
    let home = client(&[server.uri()], "deadline_ms = 20000");
    home.generate("web", "tls", "ec:p256", "01");
    assert!(sign(&home, "01").success());
    server.kill();
    std::thread::scope(|s| {
        let signing = s.spawn(|| sign(&home, "01"));
        std::thread::sleep(Duration::from_millis(400));
        server.run();
        let said = signing.join().unwrap();
        assert!(said.success(), "{said}");
    });
}

#[test]
fn a_server_that_does_not_answer_is_named_with_the_cause() {
    let mut server = Kmssd::start();
    let home = client(&[server.uri()], "deadline_ms = 500");
    home.generate("web", "tls", "ec:p256", "01");
    server.kill();
    let said = sign(&home, "01");
    assert!(!said.success());
    let all = said.all();
    assert!(all.contains("the server `prod` at unix:") && all.contains("refused"), "{all}");
    assert!(all.contains("CKR_DEVICE_ERROR"), "{all}");
}

/// A scene of `fork.c` with the key on a server.
fn fork(scene: &str) {
    let server = Kmssd::start();
    let home = client_with("fork", &[server.uri()], "deadline_ms = 30000\nnamespace = \"web\"");
    home.generate("fork", "fork", "ec:p256", "01");
    let program = c::program(&home, "fork").args(["fork", "fork", scene]).patience(Duration::from_secs(300));
    program.succeed().mentions("forked");
    home.audit_is_whole();
}

#[test]
fn a_child_that_goes_on_and_its_parent_both_sign() {
    fork("inherit");
}

#[test]
fn a_child_that_initialises_anew_and_its_parent_both_sign() {
    fork("reinit");
}

#[test]
fn forks_while_threads_sign_never_hang() {
    fork("threads");
}

#[test]
fn children_of_children_sign() {
    fork("nested");
}

#[test]
fn no_thread_no_signal_handler_and_no_descriptor_is_left() {
    let server = Kmssd::start();
    let home = client(&[server.uri()], "");
    home.generate("web", "fork", "ec:p256", "01");
    c::program(&home, "quiet").words("web fork").succeed().mentions("quiet");
}

#[test]
fn threads_share_the_connections() {
    let server = Kmssd::start();
    let home = client(&[server.uri()], "deadline_ms = 30000\nconnections = 2");
    home.generate("web", "fork", "ec:p256", "01");
    let program = c::program(&home, "threads").args(["web", "fork", "mixed"]).patience(Duration::from_secs(300));
    program.succeed();
}

#[test]
fn an_agent_between_program_and_server_changes_nothing() {
    let server = Kmssd::start();
    let agent = Kmssd::agent(&server);
    let home = client(&[agent.uri()], "");
    home.generate("web", "tls", "ec:p256", "01");
    for (whose, home) in [("here", &home), ("the agent's", &agent.home), ("the server's", &server.home)] {
        let listed = keys(home);
        assert!(listed.contains("tls"), "{whose}: {listed}");
    }
    assert!(sign(&home, "01").success());
}

#[test]
fn copies_of_records_are_sealed_anew_with_everything_else() {
    let server = Kmssd::start();
    let home = client(&[server.uri()], "");
    home.generate("web", "first", "ec:p256", "01");
    assert!(keys(&home).contains("first"));
    home.kmss("domain rotate web --rewrap").succeed();
    let listed = json_items(&home.kmss("domain list web --json").succeed());
    let versions = listed[0]["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 1, "nothing names the old version any more: {listed:?}");
    server.home.generate("web", "second", "ec:p256", "02");
    std::thread::sleep(LOOK);
    assert!(keys(&home).contains("second"), "the server is still followed");
    assert!(sign(&home, "01").success() && sign(&home, "02").success());
    home.kmss("store check --token web").succeed();
}

/// Name, CKA_ID and state of each version of a key.
fn versions(home: &Home, name: &str) -> Vec<[String; 3]> {
    let all = json_items(&home.kmss(&format!("key versions {name} --token web --json")).succeed());
    all.iter().map(|one| ["name", "cka_id", "state"].map(|what| one[what].as_str().unwrap().to_owned())).collect()
}

/// A program that finds the token and has not logged in.
fn without_pin(home: &Home, words: &str) -> Program {
    home.pkcs11_tool("", "--token-label web").words(words)
}

/// Verifies with the keys of these CKA_IDs as somebody who has not logged in, and says which names were refused.
fn denied_verifications(home: &Home, ids: [&str; 2]) -> Vec<String> {
    for id in ids {
        let words = format!("--verify --id {id} --mechanism ECDSA-SHA256 --input-file msg --signature-file old");
        let said = without_pin(home, &words).run();
        assert!(!said.all().contains("is valid"), "{said}");
    }
    let denied = home.audit(400).into_iter().filter(|r| r["action"] == "verify" && r["outcome"] == "denied");
    denied.map(|record| record["object"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_rotation_on_the_server_is_followed_before_and_after_a_login() {
    let server = Kmssd::start();
    let home = client(&[server.uri()], "");
    server.home.generate("web", "pay", "ec:p256", "01");
    server.home.generate("web", "seal", "aes:256", "02");
    fs::write(home.file("msg"), [7; 32]).unwrap();
    let signing = |id: &str, file: &str| {
        let words = format!("--sign --id {id} --mechanism ECDSA-SHA256 --input-file msg --output-file {file}");
        home.pkcs11_tool("web", &words)
    };
    let cipher = "--mechanism AES-CBC --iv 00000000000000000000000000000000";
    let encrypting = |id: &str, file: &str| {
        home.pkcs11_tool("web", &format!("--encrypt --id {id} {cipher} --input-file msg --output-file {file}"))
    };
    signing("01", "old").succeed();
    encrypting("02", "sealed").succeed();
    let apply = |home: &Home, rules: &str| {
        fs::write(home.file("frozen.kmss"), rules).unwrap();
        home.kmss("policy apply frozen.kmss --token web").within(home.folder()).succeed();
    };
    let all = "allow anyone to anything\nallow anyone to anything with any key\n";
    let frozen = format!("{all}deny anyone to verify key:pay\n");
    apply(&home, &frozen);
    for name in ["pay", "seal"] {
        server.home.kmss(&format!("key rotate {name} --token web")).succeed();
    }
    let (pay, seal) = (versions(&server.home, "pay"), versions(&server.home, "seal"));
    std::thread::sleep(LOOK);
    // Who has not logged in sees the public halves alone. Policies hold for both versions, by the name of the key.
    let (new, sealing) = (pay[1][1].as_str(), seal[1][1].as_str());
    assert_eq!(denied_verifications(&home, ["01", new]), ["pay@1", "pay"]);
    // One that comes later finds the same.
    let late = client(&[server.uri()], "");
    for file in ["msg", "old"] {
        fs::copy(home.file(file), late.file(file)).unwrap();
    }
    apply(&late, &frozen);
    assert_eq!(denied_verifications(&late, ["01", new]), ["pay@1", "pay"]);
    for home in [&home, &late] {
        assert_eq!((versions(home, "pay"), versions(home, "seal")), (pay.clone(), seal.clone()));
        let mut names: Vec<String> = json_items(&home.kmss("key list --token web --json").succeed())
            .iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        assert_eq!(names, ["pay", "pay@1", "seal", "seal@1"]);
        apply(home, all);
        home.kmss("store check --token web").succeed();
    }
    // The former version verifies and decrypts what it made, and makes nothing more.
    let verify = |home: &Home, id: &str, file: &str| {
        let words = format!("--verify --id {id} --mechanism ECDSA-SHA256 --input-file msg --signature-file {file}");
        without_pin(home, &words).succeed().mentions("is valid");
    };
    verify(&home, "01", "old");
    verify(&late, "01", "old");
    signing("01", "never").fail();
    encrypting("02", "never").fail();
    let decrypt = format!("--decrypt --id 02 {cipher} --input-file sealed --output-file opened");
    home.pkcs11_tool("web", &decrypt).succeed();
    assert_eq!(fs::read(home.file("opened")).unwrap(), [7; 32]);
    // The name leads to the new one.
    signing(new, "new").succeed();
    verify(&home, new, "new");
    encrypting(sealing, "anew").succeed();
    home.kmss("sign pay --token web msg --out named").within(home.folder()).succeed();
    server
        .home
        .kmss("verify pay --token web")
        .arg(home.file("msg"))
        .arg("--signature")
        .arg(home.file("named"))
        .succeed();
    home.audit_is_whole();
}

#[test]
fn a_version_that_the_server_made_ahead_takes_the_name_here_too() {
    let server = Kmssd::start();
    let home = client(&[server.uri()], "");
    server.home.generate("web", "pay", "ec:p256", "01");
    assert!(keys(&home).contains("pay"));
    server.home.kmss("key rotate pay --ahead --token web").succeed();
    std::thread::sleep(LOOK);
    without_pin(&home, "--list-objects").succeed();
    assert_eq!(versions(&home, "pay"), versions(&server.home, "pay"));
    server.home.kmss("key activate pay --token web").succeed();
    let pay = versions(&server.home, "pay");
    std::thread::sleep(LOOK);
    without_pin(&home, "--list-objects").succeed().mentions("pay@1");
    assert_eq!(versions(&home, "pay"), pay);
    assert!(sign(&home, &pay[1][1]).success());
    // A third one, seen only by whoever logs in.
    server.home.kmss("key rotate pay --token web").succeed();
    std::thread::sleep(LOOK);
    assert_eq!(versions(&home, "pay"), versions(&server.home, "pay"));
    assert_eq!(versions(&home, "pay").len(), 3);
    home.kmss("store check --token web").succeed();
}

#[test]
fn a_name_that_is_taken_on_the_server_alone_is_refused_with_that_reason() {
    let server = Kmssd::start();
    let home = client(&[server.uri()], "");
    server.home.generate("web", "pay", "aes:256", "01");
    // Names that copies of records do not have.
    server.home.kmss("key alias current --to pay --token web").succeed();
    let generate = |name: &str, kind: &str| home.kmss(&format!("key generate {name} --token web --type {kind}"));
    for kind in ["aes:256", "ec:p256"] {
        generate("current", kind).fail().mentions("a key named `current` exists already");
    }
    assert!(!keys(&home).contains("current"));
    generate("other", "ec:p256").succeed();
    home.kmss("store check --token web").succeed();
    server.home.kmss("store check --token web").succeed();
}
