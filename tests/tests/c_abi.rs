//! The C interface: one program against the header, linked with the very file that PKCS#11 programs load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::c;
use kmss_tests::home::Home;
use kmss_tests::program::Program;

/// The folder of `kmss.h`.
fn include() -> PathBuf {
    let folder = std::env::var_os("KMSS_INCLUDE").map_or_else(|| built::workspace().join("include"), PathBuf::from);
    assert!(folder.join("kmss.h").is_file(), "`{}` has no kmss.h: run `cargo xtask header`", folder.display());
    folder
}

/// A C program of the tests against the header, linked with the module.
fn program(name: &str) -> Program {
    let (module, include) = (built::module(), include());
    let include = format!("-I{}", include.display());
    let program = c::compile(name, &[&include, &module.display().to_string()]);
    Program::new(program).env("LD_LIBRARY_PATH", module.parent().expect("a file lies in a folder"))
}

#[test]
fn a_c_program_opens_logs_in_finds_signs_and_verifies() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = Home::with_token("abi");
    home.generate("abi", "abi", "ec:p256", "01");
    let run = program("abi").envs(&home.variables()).arg(home.path()).args(["abi", "abi"]).arg(built::module());
    run.succeed().mentions("the C interface holds");
    home.audit_is_whole();
}

#[test]
fn messages_signatures_and_wrapped_keys_hold_in_c() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = Home::with_token("abi");
    let run = program("abi_messages").envs(&home.variables()).arg(home.path()).arg("abi");
    run.succeed().mentions("messages hold");
    home.audit_is_whole();
}

#[test]
fn keys_live_their_lives_in_c() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = Home::with_token("abi");
    let run = program("abi_keys").envs(&home.variables()).arg(home.path()).arg("abi");
    run.succeed().mentions("keys hold");
    home.audit_is_whole();
}

#[test]
fn tokens_of_the_web_and_wallets_hold_in_c_and_others_are_content() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = Home::with_token("abi");
    std::fs::write(home.file("seed"), (0..16).collect::<Vec<u8>>()).unwrap();
    std::fs::create_dir(home.file("web")).unwrap();
    home.kmss("key import seed --raw --type hd-seed --name vector --token abi").within(home.folder()).succeed();
    let run = program("abi_web").envs(&home.variables()).arg(home.path()).arg("abi").arg(home.file("web"));
    run.succeed().mentions("the web and wallets hold");
    for hash in ["keccak256", "sha256"] {
        let script = built::workspace().join("tests/python/ledger.py");
        let said = Program::new("/usr/bin/python3").arg(script).within(&home.file("web"));
        said.words(&format!("coin.der {hash} message {hash}")).succeed().mentions("the ledger is content");
    }
    if let Some(python) = built::clients("python") {
        let script = built::workspace().join("tests/python/use_pyjwt.py");
        let said = Program::new(python.join("bin/python")).arg(script).arg("check").arg(home.file("web")).arg("kmss");
        said.succeed().mentions("PyJWT is content with 3");
    }
    home.audit_is_whole();
}

#[test]
fn tokens_files_policies_and_the_audit_hold_in_c() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = Home::with_token("abi");
    let run = program("abi_services").envs(&home.variables()).arg(home.path()).arg("abi").arg(home.folder());
    run.succeed().mentions("services hold");
    home.audit_is_whole();
}

#[test]
fn the_header_stands_alone_in_c() {
    if built::stand_in() {
        return;
    }
    let include = include();
    let cc = Program::new("cc").words("-std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c -include kmss.h");
    cc.arg(format!("-I{}", include.display())).arg("/dev/null").succeed();
}
