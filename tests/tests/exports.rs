//! What the shared object shows to the dynamic linker: three C_Get… functions, the C ABI, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kmss_tests::built;
use kmss_tests::p11::Module;
use kmss_tests::program::Program;

fn readelf(options: &str) -> String {
    Program::new("readelf").words(options).arg(built::module()).succeed().text()
}

#[test]
fn only_the_two_faces_are_exported() {
    if built::only_kmss("such a discipline") {
        return;
    }
    let text = Program::new("nm").words("-D --defined-only").arg(built::module()).succeed().text();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let allowed = |name: &str| {
        let rest = name.strip_prefix("C_Get").or_else(|| name.strip_prefix("kmss_"));
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    let strangers: Vec<&&str> = names.iter().filter(|name| !allowed(name)).collect();
    assert!(strangers.is_empty(), "exported without a reason: {strangers:?}");
    for wanted in ["C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList"] {
        assert!(names.contains(&wanted), "`{wanted}` is not exported: {names:?}");
    }
}

/// The functions that the C interface promises.
fn promised() -> Vec<String> {
    let list = std::fs::read_to_string(built::workspace().join("ffi/abi.txt")).expect("the list is checked in");
    list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn the_c_interface_is_the_one_that_is_checked_in() {
    if built::only_kmss("C interface") {
        return;
    }
    let text = Program::new("nm").words("-D --defined-only").arg(built::module()).succeed().text();
    let names = text.lines().filter_map(|line| line.split_whitespace().last());
    let mut exported: Vec<String> = names.filter(|name| name.starts_with("kmss_")).map(str::to_owned).collect();
    exported.sort();
    let gone: Vec<_> = promised().into_iter().filter(|name| !exported.contains(name)).collect();
    assert!(gone.is_empty(), "no longer exported, though programs call them: {gone:?}");
    assert_eq!(exported, promised(), "new functions go into ffi/abi.txt, in order");
}

#[test]
fn every_function_of_the_c_interface_is_in_its_header_and_its_manual() {
    let file = |name: &str| std::fs::read_to_string(built::workspace().join(name)).expect("the file is checked in");
    let (header, manual) = (file("include/kmss.h"), file("ffi/kmss.3"));
    let missing = |text: &str, before: &str| -> Vec<String> {
        promised().into_iter().filter(|name| !text.contains(&format!("{before}{name}("))).collect()
    };
    assert!(missing(&header, "").is_empty(), "not in include/kmss.h: {:?}", missing(&header, ""));
    assert!(missing(&manual, "").is_empty(), "not in ffi/kmss.3: {:?}", missing(&manual, ""));
}

#[test]
fn it_stays_loaded_and_brings_its_own_cryptography() {
    if built::only_kmss("such flags") {
        return;
    }
    let dynamic = readelf("-dW");
    assert!(dynamic.contains("NODELETE"), "unloading would leave dangling atfork handlers:\n{dynamic}");
    assert!(dynamic.contains("Library soname: [libkmss.so]"), "the soname is missing:\n{dynamic}");
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    for foreign in ["libcrypto", "libssl", "libsqlite", "libstdc++", "libp11"] {
        assert!(
            !needed.iter().any(|line| line.contains(foreign)),
            "needs `{foreign}`, the host's own copy: {needed:#?}"
        );
    }
}

#[test]
fn no_code_is_writable_and_no_stack_executable() {
    let headers = readelf("-lW");
    for line in headers.lines().filter(|line| line.contains("LOAD") || line.contains("GNU_STACK")) {
        let flags: String = line.chars().skip(line.rfind("0x").unwrap_or(0).saturating_sub(5)).take(5).collect();
        assert!(!(flags.contains('W') && flags.contains('E')), "writable and executable: {line}");
    }
}

#[test]
fn the_three_doors_of_the_standard_can_be_found() {
    let module = Module::load(&built::module());
    assert!(module.symbol("C_GetFunctionList").is_some());
    if !built::stand_in() {
        assert!(module.symbol("C_GetInterface").is_some());
        assert!(module.symbol("C_GetInterfaceList").is_some());
        assert!(module.symbol("C_Initialize").is_none(), "only C_Get… is exported");
    }
}
