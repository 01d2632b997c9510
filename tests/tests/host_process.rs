//! The module as a guest: no thread, no signal handler, forks of every kind, and every way to begin and to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use kmss_tests::built;
use kmss_tests::c;
use kmss_tests::home::Home;

/// A home with a token and an EC pair, both named `fork`.
fn home() -> Home {
    let home = Home::with_token("fork");
    home.generate("fork", "fork", "ec:p256", "01");
    home
}

fn fork(scene: &str) {
    let home = home();
    let program = c::program(&home, "fork").args(["fork", "fork", scene]).patience(Duration::from_secs(300));
    program.succeed().mentions("forked");
    if !built::stand_in() {
        home.audit_is_whole();
    }
}

fn lifecycle(scene: &str) {
    let home = home();
    c::program(&home, "lifecycle").args(["fork", "fork", scene]).succeed();
    if !built::stand_in() {
        home.audit_is_whole();
    }
}

#[test]
fn no_thread_and_no_signal_handler_appears() {
    let home = home();
    c::program(&home, "quiet").words("fork fork").succeed().mentions("quiet");
}

#[test]
fn a_child_that_goes_on_keeps_slots_login_and_objects() {
    if built::only_kmss("care for children that go on") {
        return;
    }
    fork("inherit");
}

#[test]
fn a_child_that_initialises_starts_clean_and_leaves_the_parent_alone() {
    if built::only_kmss("care for children that initialise") {
        return;
    }
    fork("reinit");
}

#[test]
fn a_fork_while_threads_sign_never_hangs() {
    if built::only_kmss("care for forks under threads") {
        return;
    }
    fork("threads");
}

#[test]
fn children_of_children_and_siblings_sign_at_once() {
    if built::only_kmss("care for grandchildren") {
        return;
    }
    fork("nested");
}

#[test]
fn fifty_lives_in_one_process() {
    lifecycle("many");
}

#[test]
fn unloading_without_finalize_harms_nobody() {
    lifecycle("unload");
}

#[test]
fn leaving_without_finalize_harms_nobody() {
    lifecycle("exit");
}

#[test]
fn calls_before_and_after_a_life_are_refused() {
    lifecycle("order");
}

#[test]
fn a_panic_backtrace_is_never_printed_for_hostile_input() {
    if built::only_kmss("panic hook") {
        return;
    }
    let home = home();
    let said = home
        .pkcs11_tool("fork", "--sign --mechanism ECDSA --id 01")
        .env("RUST_BACKTRACE", "1")
        .input(vec![0; 4096])
        .run();
    assert!(!said.all().contains("panicked at"), "{said}");
    assert!(!said.all().contains("stack backtrace"), "{said}");
}
