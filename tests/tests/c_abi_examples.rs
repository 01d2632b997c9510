//! The C interface as its users meet it: the examples, under sanitizers and valgrind, and from Python.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::program::{PATIENCE, Program};
use kmss_tests::remote::{Kmssd, client};

/// What C programs are compiled with, so that memory they may not touch and what C leaves undefined end them.
const SANITIZERS: &str = "-std=c99 -fsanitize=address,undefined -fno-sanitize-recover=all";

fn examples() -> PathBuf {
    built::workspace().join("ffi/examples")
}

/// The folder of `kmss.h`.
fn include() -> PathBuf {
    std::env::var_os("KMSS_INCLUDE").map_or_else(|| built::workspace().join("include"), PathBuf::from)
}

/// Compiles a C file against the header into `out`.
fn compile(compiler: &str, source: &Path, out: &Path) {
    let include = include();
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

/// As [`on`], compiled with [`SANITIZERS`]: what they find ends it with a code that no example has.
fn sanitized(home: &Home, program: &Path) -> Program {
    on(home, program).env("ASAN_OPTIONS", "detect_leaks=0:exitcode=9").env("UBSAN_OPTIONS", "exitcode=9")
}

/// As [`on`], under valgrind: what it finds ends it with a code that no example has.
fn in_valgrind(home: &Home, program: &Path) -> Program {
    let valgrind = on(home, Path::new("valgrind")).words("--quiet --error-exitcode=9 --exit-on-first-error=yes");
    valgrind.arg(program).patience(PATIENCE * 5)
}

fn home() -> Home {
    let home = Home::with_token("demo");
    home.generate("demo", "files", "aes:256", "01");
    home.generate("demo", "signer", "ec:p256", "02");
    home
}

/// Compiles all examples by `compiler`, runs them by `run`, and looks at what they say.
fn run_examples(compiler: &str, run: fn(&Home, &Path) -> Program) {
    let home = home();
    let program = |name: &str| {
        let out = home.file(name);
        compile(compiler, &examples().join(name).with_extension("c"), &out);
        out
    };
    std::fs::write(home.file("letter"), vec![7; 150_000]).unwrap();
    let seal = run(&home, &program("encrypt_file")).args(["demo", "files", "letter", "letter.kmss", "letter.again"]);
    seal.succeed().mentions("sealed-file");
    assert_eq!(std::fs::read(home.file("letter.again")).unwrap(), vec![7; 150_000]);
    run(&home, &program("sign")).args(["demo", "signer", "hello"]).succeed().mentions("the signature is right");
    let tokens = run(&home, &program("tokenize")).args(["demo", "files", "4111-1111-1111-1111"]).succeed();
    tokens.mentions("value  4111-1111-1111-1111").mentions("masked ****-****-****-1111");
    std::fs::write(home.file("strict.policy"), "deny anyone to sign key:signer\nallow anyone to use any key\n")
        .unwrap();
    home.kmss("policy apply").arg(home.file("strict.policy")).words("--token demo").succeed();
    let refused = run(&home, &home.file("sign")).args(["demo", "signer", "hello"]).fail();
    assert_eq!(refused.code(), Some(1), "{refused}");
    refused.mentions("status 104").mentions("deny anyone to sign");
    let explained = run(&home, &program("policy_explain")).arg("sign").succeed();
    explained.mentions("\"decision\":\"deny\"").mentions("strict");
    home.audit_is_whole();
}

#[test]
fn the_examples_are_c99_and_do_what_they_say() {
    if built::only_kmss("C interface") {
        return;
    }
    run_examples("-std=c99", on);
}

#[test]
fn the_examples_are_cpp17_too_and_do_the_same() {
    if built::only_kmss("C interface") {
        return;
    }
    run_examples("-std=c++17 -x c++", on);
}

#[test]
fn sanitizers_find_nothing_in_the_examples() {
    if built::only_kmss("C interface") {
        return;
    }
    run_examples(SANITIZERS, sanitized);
}

#[test]
fn valgrind_finds_nothing_in_the_examples() {
    if built::only_kmss("C interface") {
        return;
    }
    run_examples("-std=c99", in_valgrind);
}

#[test]
fn pkg_config_says_how_programs_are_compiled_and_linked() {
    if built::only_kmss("C interface") {
        return;
    }
    // As it is installed: what `cargo xtask dist` puts there, under a prefix of its own.
    let home = home();
    let prefix = home.file("prefix");
    let placed = |path: &str| {
        let path = prefix.join(path);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).unwrap();
        path
    };
    std::os::unix::fs::symlink(built::module(), placed("lib/libkmss.so")).unwrap();
    std::fs::copy(include().join("kmss.h"), placed("include/kmss.h")).unwrap();
    let said = std::fs::read_to_string(built::workspace().join("ffi/kmss.pc.in")).unwrap();
    std::fs::write(placed("lib/pkgconfig/kmss.pc"), said.replace("@VERSION@", env!("CARGO_PKG_VERSION"))).unwrap();
    let pkg_config = |words: &str| {
        let asked = Program::new("pkg-config").env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).words(words);
        asked.succeed().text().trim().to_owned()
    };
    assert_eq!(pkg_config("--modversion kmss"), env!("CARGO_PKG_VERSION"));
    drop(pkg_config("--validate kmss"));
    assert!(Path::new(&pkg_config("--variable=libdir kmss")).join("libkmss.so").exists());
    for (name, args) in [("sign", ["demo", "signer", "hello"]), ("tokenize", ["demo", "files", "4111111111111111"])] {
        let source = examples().join(name).with_extension("c");
        let cc = Program::new("cc").words("-std=c99 -Wall -Wextra -Werror -D_GNU_SOURCE").arg(source);
        cc.words(&pkg_config("--cflags --libs kmss")).arg("-o").arg(home.file(name)).succeed();
        let run = Program::new(home.file(name)).envs(&home.variables()).within(home.folder());
        run.env("LD_LIBRARY_PATH", prefix.join("lib")).args(args).succeed();
    }
}

#[test]
fn sanitizers_find_nothing_in_what_crosses_the_interface() {
    if built::only_kmss("C interface") {
        return;
    }
    let home = home();
    home.init_token("abi");
    std::fs::write(home.file("seed"), (0..16).collect::<Vec<u8>>()).unwrap();
    home.kmss("key import seed --raw --type hd-seed --name vector --token abi").within(home.folder()).succeed();
    for name in ["abi_messages", "abi_web", "abi_keys", "abi_services"] {
        let (source, out) = (built::workspace().join("tests/c").join(name).with_extension("c"), home.file(name));
        compile(SANITIZERS, &source, &out);
        let run = sanitized(&home, &out).arg(home.path());
        let token = if ["abi_messages", "abi_keys"].contains(&name) { "demo" } else { "abi" };
        let takes_folder = ["abi_services", "abi_web"].contains(&name);
        run.arg(token).args(takes_folder.then(|| home.folder())).succeed().mentions("hold");
    }
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
