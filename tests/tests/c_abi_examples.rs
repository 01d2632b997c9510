//! The C interface as its users meet it: the examples, under sanitizers and valgrind, and from Python.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::program::Program;
use kmss_tests::remote::{Kmssd, client};

const EXAMPLES: [&str; 4] = ["encrypt_file", "sign", "tokenize", "policy_explain"];

fn examples() -> PathBuf {
    built::workspace().join("ffi/examples")
}

/// Compiles a C file against the header into `out`.
fn compile(compiler: &str, source: &Path, out: &Path) {
    let include = std::env::var_os("KMSS_INCLUDE").map_or_else(|| built::workspace().join("include"), PathBuf::from);
    let cc = Program::new("cc").words(compiler).words("-Wall -Wextra -Werror -D_GNU_SOURCE -g -O1 -pthread");
    let cc = cc.arg(format!("-I{}", include.display())).arg(format!("-I{}", examples().display()));
    let cc = cc.arg(source).arg("-o").arg(out);
    // What follows the source is no C++ any more.
    cc.words("-x none").arg(built::module()).arg("-ldl").succeed();
}

/// A program that finds the module and the home.
fn on(home: &Home, program: &Path) -> Program {
    let folder = built::module();
    let folder = folder.parent().expect("a file lies in a folder");
    Program::new(program).envs(&home.variables()).env("LD_LIBRARY_PATH", folder).within(home.folder())
}

fn home() -> Home {
    let home = Home::with_token("demo");
    home.generate("demo", "files", "aes:256", "01");
    home.generate("demo", "signer", "ec:p256", "02");
    home
}

/// Runs all examples, compiled by `compiler`, and looks at what they say.
fn run_examples(compiler: &str) {
    let home = home();
    let program = |name: &str| {
        let out = home.file(name);
        compile(compiler, &examples().join(name).with_extension("c"), &out);
        out
    };
    std::fs::write(home.file("letter"), vec![7; 150_000]).unwrap();
    let seal = on(&home, &program("encrypt_file")).args(["demo", "files", "letter", "letter.kmss", "letter.again"]);
    seal.succeed().mentions("sealed-file");
    assert_eq!(std::fs::read(home.file("letter.again")).unwrap(), vec![7; 150_000]);
    on(&home, &program("sign")).args(["demo", "signer", "hello"]).succeed().mentions("the signature is right");
    let tokens = on(&home, &program("tokenize")).args(["demo", "files", "4111-1111-1111-1111"]).succeed();
    tokens.mentions("value  4111-1111-1111-1111").mentions("masked ****-****-****-1111");
    std::fs::write(home.file("strict.policy"), "deny anyone to sign key:signer\nallow anyone to use any key\n")
        .unwrap();
    home.kmss("policy apply").arg(home.file("strict.policy")).words("--token demo").succeed();
    let refused = on(&home, &home.file("sign")).args(["demo", "signer", "hello"]).fail();
    refused.mentions("status 104").mentions("deny anyone to sign");
    let explained = on(&home, &program("policy_explain")).arg("sign").succeed();
    explained.mentions("\"decision\":\"deny\"").mentions("strict");
    home.audit_is_whole();
}

#[test]
fn the_examples_are_c99_and_do_what_they_say() {
    if built::only_kmss("C interface") {
        return;
    }
    run_examples("-std=c99");
}

#[test]
fn the_examples_are_cpp17_too() {
    if built::only_kmss("C interface") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    for name in EXAMPLES {
        compile("-std=c++17 -x c++", &examples().join(name).with_extension("c"), &scratch.path().join(name));
    }
}

#[test]
fn sanitizers_find_nothing_in_what_crosses_the_interface() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = home();
    home.init_token("abi");
    for name in ["abi_messages", "abi_services"] {
        let (source, out) = (built::workspace().join("tests/c").join(name).with_extension("c"), home.file(name));
        compile("-std=c99 -fsanitize=address,undefined -fno-sanitize-recover=all", &source, &out);
        let run = on(&home, &out).env("ASAN_OPTIONS", "detect_leaks=0").arg(home.path());
        let token = if name == "abi_messages" { "demo" } else { "abi" };
        run.arg(token).args((name == "abi_services").then(|| home.folder())).succeed().mentions("hold");
    }
}

#[test]
fn valgrind_finds_nothing_in_what_crosses_the_interface() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = home();
    let out = home.file("sign");
    compile("-std=c99", &examples().join("sign.c"), &out);
    let folder = built::module();
    let run = Program::new("valgrind").words("--quiet --error-exitcode=9 --exit-on-first-error=yes").arg(&out);
    let run = run.envs(&home.variables()).env("LD_LIBRARY_PATH", folder.parent().expect("a file lies in a folder"));
    run.args(["demo", "signer", "hello"]).succeed().mentions("the signature is right");
}

#[test]
fn python_calls_the_interface_by_ctypes() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = home();
    let script = built::workspace().join("tests/python/kmss_ctypes.py");
    let python = Program::new("python3").envs(&home.variables()).arg(script).arg(built::module());
    python.args(["demo", "files"]).succeed().mentions("python holds");
    home.audit_is_whole();
}

#[test]
fn keys_that_a_server_keeps_are_used_as_all_others() {
    if built::only_kmss("C interface") {
        return;
    }
    let server = Kmssd::start();
    let home = client(&[server.uri()], "");
    home.generate("web", "files", "aes:256", "0b");
    home.generate("web", "signer", "ec:p256", "0c");
    let script = built::workspace().join("tests/python/kmss_ctypes.py");
    let python = Program::new("python3").envs(&home.variables()).arg(script).arg(built::module());
    python.args(["web", "files"]).succeed().mentions("python holds");
    for (name, args) in [("sign", ["web", "signer", "hello"]), ("tokenize", ["web", "files", "4111111111111111"])] {
        let out = home.file(name);
        compile("-std=c99", &examples().join(name).with_extension("c"), &out);
        on(&home, &out).args(args).succeed();
    }
    std::fs::write(home.file("letter"), b"dear server").unwrap();
    let out = home.file("encrypt_file");
    compile("-std=c99", &examples().join("encrypt_file.c"), &out);
    on(&home, &out).args(["web", "files", "letter", "letter.kmss", "letter.again"]).succeed();
    assert_eq!(std::fs::read(home.file("letter.again")).unwrap(), b"dear server");
    home.audit_is_whole();
    server.home.audit_is_whole();
}

#[test]
fn messages_and_data_keys_are_made_as_fast_as_somebody_asks() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = Home::with_token("demo");
    home.generate("demo", "files", "aes:256", "01");
    std::fs::write(home.file("some.policy"), "allow anyone to use any key\n").unwrap();
    home.kmss("policy apply").arg(home.file("some.policy")).words("--token demo").succeed();
    let out = home.file("abi_speed");
    compile("-std=c99", &built::workspace().join("tests/c/abi_speed.c"), &out);
    on(&home, &out).arg(home.path()).args(["demo", "files", "0.3"]).succeed().mentions("data keys");
    home.audit_is_whole();
}
