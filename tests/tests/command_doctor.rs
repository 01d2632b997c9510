//! `kmss doctor` and `kmss config`: what is wrong is found and cured, and what is printed works.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, json_items};
use kmss_tests::program::{Program, Said, needs};

const TOKEN: &str = "main";

fn doctor(home: &Home, words: &str) -> Program {
    // The user's own p11-kit entries are those of the test.
    home.kmss("doctor --json --module").arg(built::module()).words(words).env("HOME", home.folder())
}

/// What is wrong, with the cures.
fn wrong(said: &Said) -> String {
    let rows = json_items(said);
    rows.iter().filter(|r| r["fine"] == false).map(|r| format!("{} | {}\n", r["finding"], r["cure"])).collect()
}

#[test]
fn a_sound_home_gives_no_finding_and_shows_what_the_module_shows() {
    if built::only_kmss("doctor") {
        return;
    }
    let home = Home::with_token(TOKEN);
    let said = doctor(&home, "").succeed();
    assert_eq!(wrong(&said), "");
    assert!(said.text().contains("shows `main`"), "{said}");
    home.audit_is_whole();
}

#[test]
fn each_fault_is_found_with_its_cure() {
    if built::only_kmss("doctor") {
        return;
    }
    let home = Home::with_token(TOKEN);
    let finds = |words: &str, what: &str, cure: &str| {
        let said = doctor(&home, words).fail();
        let wrong = wrong(&said);
        assert!(wrong.contains(what) && wrong.contains(cure), "wanted `{what}` and `{cure}`:\n{said}");
    };
    // A locked PIN.
    for _ in 0..10 {
        home.kmss(&format!("key list --token {TOKEN}")).env("KMSS_PIN", "wrong-1").fail();
    }
    finds("", "is locked", "set-pin main --reset");
    home.kmss(&format!("token set-pin {TOKEN} --reset")).env("KMSS_NEW_PIN", PIN).succeed();
    assert_eq!(wrong(&doctor(&home, "").succeed()), "");
    // A home that everybody can enter.
    fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
    finds("", "everybody can get in", "chmod 0700");
    fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
    // A shared object that is none.
    fs::write(home.file("fake.so"), "no library").unwrap();
    let fake = home.kmss("doctor --json --module").arg(home.file("fake.so")).fail();
    assert!(wrong(&fake).contains("cannot be loaded"), "{fake}");
    let missing = home.kmss("doctor --json --module /nowhere/libkmss.so").fail();
    assert!(wrong(&missing).contains("no module"), "{missing}");
    // p11-kit's entries.
    let entries = home.file(".config/pkcs11/modules");
    fs::create_dir_all(&entries).unwrap();
    fs::write(entries.join("kmss.module"), "module: /nowhere/libkmss.so\n").unwrap();
    finds("", "does not exist", "module: ");
    fs::write(entries.join("kmss.module"), format!("module: {}\n", built::module().display())).unwrap();
    assert_eq!(wrong(&doctor(&home, "").succeed()), "");
    fs::write(entries.join("again.module"), format!("module: {}\n", built::module().display())).unwrap();
    finds("", "loads the module twice", "remove one");
    fs::remove_dir_all(&entries).unwrap();
    // nginx clears its environment, and its workers are others.
    finds("--client nginx", "only uid", "--group www-data");
    finds("--client nginx", "clears its environment", "kmss.toml");
    // Debian's engine and Ed25519.
    home.generate(TOKEN, "d", "ed25519", "01");
    finds("--client openssl", "Ed25519", "token of their own");
    // No home at all.
    let empty = Home::new();
    let said = doctor(&empty, "").fail();
    assert!(wrong(&said).contains("token init"), "{said}");
}

#[test]
fn what_config_prints_works_as_it_stands() {
    if built::only_kmss("config") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "e", "ec:p256", "01");
    home.kmss(&format!("cert self-sign e --token {TOKEN} --subject CN=e --dns localhost")).succeed();
    let print = |client: &str| {
        let command = home.kmss(&format!("config {client} --token {TOKEN} --key e --module"));
        command.arg(built::module()).succeed().text()
    };
    for client in ["openssl", "nginx", "apache", "java", "ssh", "gnutls", "nss", "p11-kit", "python"] {
        let text = print(client);
        assert!(text.contains(&built::module().display().to_string()), "{client}:\n{text}");
        assert!(text.contains(&home.path().display().to_string()), "{client}:\n{text}");
        assert!(!text.contains(PIN), "{client}:\n{text}");
    }
    // Lines of a shell run as they are printed, up to where they need a server.
    let run = |text: &str, only: &str| {
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("export ") || l.starts_with(only)).collect();
        let script =
            format!("set -e\nPATH=\"{}:$PATH\"\n{}\n", built::command().parent().unwrap().display(), lines.join("\n"));
        let shell = home.program("sh").env("GNUTLS_PIN", PIN).args(["-c", &script]);
        shell.succeed()
    };
    needs(&["p11tool", "certtool", "p11-kit", "modutil"]);
    run(&print("gnutls"), "p11tool ").mentions("pkcs11:");
    run(&print("gnutls"), "certtool ");
    Program::new("openssl").within(home.folder()).words("req -verify -noout -in request.pem").succeed();
    run(&print("ssh"), "kmss ");
    Program::new("ssh-keygen").within(home.folder()).words("-l -f kmss-key.pub").succeed().mentions("ECDSA");
    if built::is_root() {
        built::skipped("p11-kit heeds no entries of root's own");
    } else {
        let entries = home.file(".config/pkcs11/modules");
        fs::create_dir_all(&entries).unwrap();
        fs::write(entries.join("kmss.module"), print("p11-kit")).unwrap();
        home.program("p11-kit").env("HOME", home.folder()).words("list-modules").succeed().mentions(TOKEN);
    }
    let text = print("nss").replace("sql:$HOME/.pki/nssdb", &format!("sql:{}", home.file("nss").display()));
    fs::create_dir(home.file("nss")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("DB=") || l.starts_with("modutil")).collect();
    home.program("sh").args(["-c", &format!("set -e\n{}", lines.join("\n"))]).succeed().mentions("KMSS");
}

#[test]
fn exit_codes_are_in_the_help() {
    if built::only_kmss("help") {
        return;
    }
    let home = Home::new();
    home.kmss("--help").succeed().mentions("Exit codes").mentions("wrong usage");
    assert_eq!(home.kmss("key list").run().code(), Some(2));
    assert_eq!(home.kmss("token list --nonsense").run().code(), Some(2));
}
