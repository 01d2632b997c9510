//! Policies are good guests of the process they run in: no thread, no signal handler, little memory, forks and threads of
//! every kind; and code that was tampered with is never run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

use std::time::Duration;

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::c;
use kmss_tests::home::Home;
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Mech, token};
use kmss_tests::rules::{aes, apply};

const ALL: &str = "allow anyone to anything with any key audit as seen\nallow anyone to anything\n";

/// A home with a token and an EC pair, both named `fork`, and a policy that allows everything.
fn home() -> Home {
    let home = Home::with_token("fork");
    home.generate("fork", "fork", "ec:p256", "01");
    std::fs::write(home.file("data"), MESSAGE).unwrap();
    put(&home, ALL);
    home
}

fn put(home: &Home, rules: &str) {
    std::fs::write(home.file("p.kmss"), rules).unwrap();
    home.kmss("policy apply p.kmss --token fork").within(home.folder()).succeed();
}

/// The last signature's record.
fn signed(home: &Home) -> serde_json::Value {
    home.audit(40).into_iter().rev().find(|record| record["action"] == "sign").expect("something was signed")
}

#[test]
fn deciding_starts_no_thread_and_catches_no_signal() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    c::program(&home, "quiet").words("fork fork").succeed().mentions("quiet");
    let record = signed(&home);
    assert!(record["tags"].to_string().contains("seen"), "no policy was asked: {record}");
}

#[test]
fn forked_children_of_all_kinds_decide() {
    if built::only_kmss("policies") {
        return;
    }
    for scene in ["inherit", "reinit", "threads", "nested"] {
        let home = home();
        let program = c::program(&home, "fork").args(["fork", "fork", scene]).patience(Duration::from_secs(300));
        program.succeed().mentions("forked");
        assert!(signed(&home)["tags"].to_string().contains("seen"), "{scene}");
        home.audit_is_whole();
    }
}

#[test]
fn eight_threads_decide_at_once() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    let program = c::program(&home, "threads").args(["fork", "fork", "mixed"]).patience(Duration::from_secs(300));
    let said = program.run();
    let refusals: Vec<_> = home.audit(4000).into_iter().filter(|record| record["outcome"] == "denied").collect();
    assert!(said.success() && refusals.is_empty(), "{said}{refusals:?}");
    home.audit_is_whole();
}

#[test]
fn little_address_space_is_enough() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    let module = built::module();
    // The debug build of the module alone maps some 130 MB; an instance with reserved memory would map 4 GiB.
    let line = format!(
        "ulimit -v 700000; exec pkcs11-tool --module {} --login --pin {} --token-label fork --sign -m ECDSA-SHA256 --id 01 \
         -i data -o sig",
        module.display(),
        kmss_tests::home::PIN
    );
    home.program("sh").arg("-c").arg(line).succeed();
    assert!(signed(&home)["tags"].to_string().contains("seen"));
}

#[test]
fn compiled_code_that_was_changed_is_discarded_noted_and_made_anew() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    let sign = || home.pkcs11_tool("fork", "--sign -m ECDSA-SHA256 --id 01 -i data -o sig").succeed();
    let files = || -> Vec<_> {
        let folder = std::fs::read_dir(home.path().join("policy-cache")).expect("compiled code is kept");
        folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
    };
    sign();
    assert!(!signed(&home)["tags"].to_string().contains("made anew"));
    assert!(!files().is_empty());
    for place in [0, 40, 1000, usize::MAX] {
        for file in files() {
            let mut bytes = std::fs::read(&file).unwrap();
            let at = place.min(bytes.len() - 1);
            bytes[at] ^= 1;
            std::fs::write(&file, bytes).unwrap();
        }
        sign();
        let record = signed(&home);
        assert!(record["tags"].to_string().contains("made anew"), "byte {place}: {record}");
        sign();
        let record = signed(&home);
        assert!(!record["tags"].to_string().contains("made anew"), "byte {place}: {record}");
    }
    for file in files() {
        std::fs::write(&file, b"").unwrap();
    }
    sign();
    for file in files() {
        std::fs::remove_file(&file).unwrap();
    }
    sign();
    put(&home, "allow anyone to verify any key\n");
    let refused = home.pkcs11_tool("fork", "--sign -m ECDSA-SHA256 --id 01 -i data -o sig").fail();
    drop(refused);
    home.audit_is_whole();
}

#[test]
fn policies_are_asked_where_memory_may_not_become_code() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("mdwe").user();
    let (key, other) = (aes(&session, "k"), aes(&session, "other"));
    apply("--token mdwe", "p", "allow anyone to encrypt key:k\n");
    // SAFETY: the child uses the module as a forked worker does, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN (Linux 6.3).
        // SAFETY: takes numbers only.
        let code = if unsafe { libc::prctl(65, 1, 0, 0, 0) } != 0 {
            2
        } else {
            let iv = || Mech::bytes(CKM_AES_CBC_PAD, &[7; 16]);
            let allowed = session.encrypt(iv(), key, MESSAGE).is_ok();
            let denied = session.encrypt(iv(), other, MESSAGE).is_err_and(|rv| rv.0 == CKR_FUNCTION_REJECTED);
            i32::from(!(allowed && denied))
        };
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 2 {
        built::skipped("this kernel has no PR_SET_MDWE");
        return;
    }
    assert_eq!(status, 0);
}
