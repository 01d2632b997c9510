//! The module as a guest: no thread, no signal handler, forks of every kind, and every way to begin and to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use kmss_tests::built;
use kmss_tests::c;
use kmss_tests::home::{Home, PIN, SO_PIN};
use kmss_tests::openssl::{ENGINE, Engine, key_uri};
use kmss_tests::program::{needs, needs_file};

/// Debian's SoftHSM2.
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

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
fn eight_threads_do_all_sorts_of_things_at_once() {
    let home = home();
    let program = c::program(&home, "threads").args(["fork", "fork", "mixed"]).patience(Duration::from_secs(300));
    program.succeed().mentions("all agreed");
    if !built::stand_in() {
        home.audit_is_whole();
    }
}

#[test]
fn any_thread_may_end_the_process() {
    if built::only_kmss("care for threads that go on while the process ends") {
        return;
    }
    let home = home();
    for _ in 0..5 {
        c::program(&home, "threads").args(["fork", "fork", "exit"]).succeed().mentions("left");
    }
    home.audit_is_whole();
}

#[test]
fn whoever_comes_for_the_first_time_while_the_process_ends_is_turned_away() {
    if built::only_kmss("care for calls while the process ends") {
        return;
    }
    let home = home();
    let late = c::compile_as("leaving", "leaving.so", &["-shared", "-fPIC"]);
    c::program(&home, "leaving").args(["fork", "fork"]).arg(late).succeed().mentions("the last one left");
    home.audit_is_whole();
}

#[test]
fn softhsm_and_openssl_with_an_engine_that_loads_us_are_good_neighbours() {
    if built::only_kmss("other self to be a neighbour of") {
        return;
    }
    needs(&["softhsm2-util"]);
    needs_file(ENGINE);
    for order in ["first", "last"] {
        let home = home();
        let tokens = home.file("soft");
        std::fs::create_dir(&tokens).unwrap();
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        std::fs::write(home.file("softhsm2.conf"), text).unwrap();
        let util = home.program("softhsm2-util").words("--init-token --free --label neighbour --pin").arg(PIN);
        util.arg("--so-pin").arg(SO_PIN).succeed();
        // OpenSSL reads it wherever it starts in the process: SoftHSM's own use of OpenSSL loads the engine too.
        let engine = Engine::new(&home);
        let uri = format!("{};pin-value={PIN}", key_uri("fork", "fork"));
        let program = c::program(&home, "neighbours").env("OPENSSL_CONF", engine.configuration());
        let program = program.args(["fork", "fork", SOFTHSM, &uri, order]);
        program.succeed().mentions("good neighbours");
        home.audit_is_whole();
    }
}

#[test]
fn absurd_lengths_and_sizes_are_refused() {
    if built::only_kmss("eye for lengths that nothing can have") {
        return;
    }
    let home = home();
    c::program(&home, "absurd").args(["fork", "fork"]).succeed().mentions("all refused");
    home.audit_is_whole();
}

#[test]
fn two_gigabytes_of_address_space_are_enough() {
    let home = home();
    let program = c::compile("lifecycle", &[]);
    let shell = home.program("sh").args(["-c", "ulimit -v 2097152 && exec \"$0\" \"$@\""]).arg(program);
    shell.arg(built::module()).args(["fork", "fork", "many"]).succeed().mentions("ended");
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
