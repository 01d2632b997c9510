//! The house keeps its shape: arrows run down, words stay on their floors, `unsafe` stays in its rooms.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use kmss_tests::arch::source::CrateSource;
use kmss_tests::arch::{check_crate, check_workspace, rooms};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in the workspace")
}

#[test]
fn the_house_keeps_its_shape() {
    let violations = check_workspace(workspace()).unwrap_or_else(|e| panic!("{e}"));
    let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{} places break the rules of the house:\n{}", list.len(), list.join("\n"));
}

#[test]
fn every_member_with_sources_is_checked() {
    let manifest = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let members = manifest.lines().find(|l| l.starts_with("members")).expect("a workspace has members");
    // What is in policy-modules is compiled into guests, and is no part of the house.
    for member in members.split('"').skip(1).step_by(2).filter(|m| {
        !["tests", "tests/faulty-module", "xtask", "fuzz/door", "fuzz/targets"].contains(m)
            && !m.starts_with("policy-modules/")
    }) {
        assert!(kmss_tests::arch::MEMBERS.contains(&member), "`{member}` is not among the members that arch checks");
    }
}

/// The violations of a small crate, as text.
fn check(name: &str, files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<(String, &str)> = files.iter().map(|(f, t)| (format!("{name}/src/{f}"), *t)).collect();
    let source = CrateSource::parse(name, files.iter().map(|(f, t)| (f.as_str(), *t))).unwrap();
    let hall =
        [("libkmss/src/store/mod.rs", "mod sqlite; pub use sqlite::Engine;"), ("libkmss/src/store/sqlite.rs", "")];
    let hall = CrateSource::parse("libkmss", hall).unwrap();
    check_crate(&source, Some(&hall)).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn caught(name: &str, files: &[(&str, &str)], what: &str) {
    let found = check(name, files);
    assert!(found.iter().any(|v| v.contains(what)), "nobody said `{what}`: {found:?}");
}

#[track_caller]
fn fine(name: &str, files: &[(&str, &str)]) {
    assert_eq!(check(name, files), Vec::<String>::new());
}

#[test]
fn an_upward_arrow_is_caught_in_every_form_of_path() {
    let key = ("key/mod.rs", "pub struct Key;");
    for text in [
        "use crate::key::Key;",
        "use crate::{error::E, key::{Key, version}};",
        "fn f() -> crate::key::Key { todo }",
        "use super::key::Key as K;",
        "fn f() { log!(crate::key::Key::new()) }",
        "pub(crate) use crate::key::*;",
    ] {
        caught("libkmss", &[key, ("error.rs", ""), ("mechanism/mod.rs", ""), ("secret.rs", text)], "upward arrow");
    }
    caught("libkmss", &[key, ("mechanism/mod.rs", ""), ("mechanism/rsa.rs", "use super::super::key;")], "upward arrow");
}

#[test]
fn a_downward_arrow_and_a_look_inside_the_own_room_are_fine() {
    fine(
        "libkmss",
        &[
            ("lib.rs", "pub mod key; pub mod error; pub mod mechanism; pub use error::Error;"),
            ("error.rs", "pub struct Error;"),
            ("mechanism/mod.rs", "mod rsa; pub use rsa::Rsa; use crate::Error; pub struct M;"),
            ("mechanism/rsa.rs", "use super::M; use crate::error::Error; pub struct Rsa;"),
            ("key/mod.rs", "use crate::mechanism::{self, Rsa}; use std::fmt; fn f() -> mechanism::M { x }"),
        ],
    );
}

#[test]
fn a_reexport_through_the_root_hides_no_arrow() {
    let files = [("lib.rs", "pub use kms::Kms;"), ("kms.rs", "pub struct Kms;"), ("store/mod.rs", "use crate::Kms;")];
    caught("libkmss", &files, "upward arrow: `store` (floor 5) imports `kms`");
}

#[test]
fn rooms_that_decide_never_know_each_other() {
    let files = [("audit/mod.rs", ""), ("policy/mod.rs", "use crate::audit::AuditSink;")];
    caught("libkmss", &files, "never import each other");
}

#[test]
fn only_kms_names_implementations() {
    let store = [("store/mod.rs", "pub mod sqlite; pub use sqlite::X;"), ("store/sqlite/mod.rs", "")];
    let with = |file: &'static str| [store[0], store[1], (file, "use crate::store::sqlite::Sqlite;")];
    fine("libkmss", &with("kms.rs"));
    caught("libkmss", &with("pipeline.rs"), "names the implementation `store::sqlite`");
    caught("libkmss", &with("audit/mod.rs"), "names the implementation `store::sqlite`");
    let hidden = ("pipeline.rs", "use crate::store::X;");
    caught("libkmss", &[store[0], store[1], hidden], "names the implementation `store::sqlite`");
    fine(
        "libkmss",
        &[store[0], store[1], ("store/contract.rs", "use super::sqlite::X;"), ("lib.rs", "pub use store::X;")],
    );
    caught("cli", &[("main.rs", "use libkmss::store::sqlite::Sqlite;")], "names the implementation");
    caught("cli", &[("main.rs", "fn f() { libkmss::store::Engine::open() }")], "names the implementation");
    fine("cli", &[("main.rs", "use libkmss::store::Store; use libkmss::Kms;")]);
}

#[test]
fn a_circle_of_rooms_is_caught_also_where_floors_are_equal() {
    let files = [("key/mod.rs", "use crate::caller::Caller;"), ("caller.rs", "use crate::key::Key;")];
    caught("libkmss", &files, "a circle of files: caller → key → caller");
    let long = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::c::C;"), ("c.rs", "fn f() { crate::a::x() }")];
    caught("cli", &long, "a circle of files: a → b → c → a");
}

#[test]
fn a_room_without_a_floor_is_caught() {
    caught("libkmss", &[("attic.rs", "")], "`attic` has no floor");
}

#[test]
fn words_stay_on_their_floor() {
    caught("libkmss", &[("key/mod.rs", "pub struct Session;")], "`Session` is a word of PKCS#11");
    caught("ffi", &[("find.rs", "use x::CKR_OK;")], "is a word of PKCS#11");
    caught("libkmss", &[("audit/mod.rs", "fn f() { rusqlite::Connection::open() }")], "SQL lives");
    caught("libkmss", &[("key/mod.rs", "fn f() { std::time::SystemTime::now() }")], "reads the time");
    caught("pkcs11-provider", &[("token.rs", "use std::time::Instant; fn f() { Instant::now() }")], "reads the time");
    caught("libkmss", &[("seal/mod.rs", "fn f() { OsRng.fill() }")], "draws randomness");
    caught("libkmss", &[("audit/mod.rs", "fn f() { std::thread::spawn(|| ()) }")], "guest in its host's process");
    fine("pkcs11-provider", &[("session.rs", "pub struct Session; pub struct Token; const X: CK_RV = CKR_OK;")]);
    fine("libkmss", &[("clock.rs", "fn f() { SystemTime::now() }"), ("store/sqlite.rs", "use rusqlite::Connection;")]);
}

#[test]
fn words_in_comments_strings_and_tests_do_not_count() {
    fine(
        "libkmss",
        &[
            (
                "key/mod.rs",
                "/// A Session, CKR_OK, unsafe.\nfn f() { \"Session unsafe\"; } // Token\n#[cfg(test)] mod tests;",
            ),
            ("key/tests.rs", "use crate::kms::Kms; fn f() { unsafe { Session::new() } }"),
            ("caller.rs", "#[cfg(test)] mod tests { use crate::kms::Kms; fn f() { Instant::now() } }"),
            ("kms.rs", "pub struct Kms { #[cfg(test)] clock: Token, #[cfg(test)] other: Session }"),
            ("os/mod.rs", "#[cfg(test)] fn f<A, B>() { Session }"),
        ],
    );
}

#[test]
fn code_behind_a_test_module_still_counts() {
    let text = "#[cfg(test)] mod tests { }\nfn f() { unsafe { x } }";
    caught("libkmss", &[("key/mod.rs", text)], "libkmss/src/key/mod.rs:2: `unsafe` stands outside");
}

#[test]
fn unsafe_stays_in_its_rooms() {
    caught("libkmss", &[("store/sqlite.rs", "unsafe impl Send for X {}")], "`unsafe` stands outside");
    caught("pkcs11-provider", &[("session.rs", "fn f() { unsafe { *p } }")], "`unsafe` stands outside");
    caught("pkcs11-provider", &[("lib.rs", "fn f() { unsafe { *p } }")], "`unsafe` stands outside");
    fine(
        "pkcs11-provider",
        &[("entry/sign.rs", "unsafe extern \"C\" fn f() {}"), ("lib.rs", "#[unsafe(no_mangle)] fn f() {}")],
    );
    fine("libkmss", &[("os/mmap.rs", "fn f() { unsafe { *p } }"), ("backend/soft/awslc/mod.rs", "unsafe fn f() {}")]);
}

#[test]
fn only_the_pipeline_issues_permits() {
    let text = "fn f() { Permit::issue() }";
    caught("libkmss", &[("permit.rs", ""), ("operation/sign.rs", text)], "makes a Permit");
    caught("pkcs11-provider", &[("module.rs", "fn f() { libkmss::permit::Permit::issue() }")], "makes a Permit");
    fine("libkmss", &[("permit.rs", ""), ("pipeline.rs", text)]);
}

#[test]
fn only_a_move_takes_permits_apart() {
    let text = "fn f(permit: &Permit) { permit.step_of_move(a, b) }";
    caught("libkmss", &[("permit.rs", ""), ("operation/sign.rs", text)], "takes a Permit apart");
    fine("libkmss", &[("permit.rs", ""), ("operation/relocate/mod.rs", text)]);
}

#[test]
fn doors_do_not_know_each_other() {
    let manifest = "[dependencies]\nffi.workspace = true\n";
    assert_eq!(rooms::foreign_doors("cli/Cargo.toml", manifest, "cli", &[]).len(), 1);
    assert!(rooms::foreign_doors("pkcs11-provider/Cargo.toml", manifest, "pkcs11-provider", &["ffi"]).is_empty());
}
