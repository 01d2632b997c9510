//! The example policies of policy-modules/, each against its table of cases through the real host. `KMSS_GUESTS` names a
//! folder with rebuilt modules, which are then tested in place of the prebuilt ones where it has them (`cargo xtask
//! guests --check` and `cargo xtask test` set it).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod table;

use std::path::PathBuf;

use kmss_policy::{Action, Request};
use libkmss::policy::abi::{ACTIONS, Encoded, KEY_TYPES, mechanism_name};
use libkmss::policy::host::{Execution, Host};
use table::{Table, folder, load};

/// Every table, with the file that it is about.
fn tables() -> Vec<(Table, PathBuf)> {
    let rebuilt = std::env::var_os("KMSS_GUESTS").map(PathBuf::from);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder().join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let tables = files.iter().map(|file| {
        let table = Table::read(file);
        let rebuilt = rebuilt.as_ref().map(|folder| folder.join(&table.module)).filter(|file| file.is_file());
        let module = rebuilt.unwrap_or_else(|| folder().join("prebuilt").join(&table.module));
        (table, module)
    });
    tables.collect()
}

fn every_case_holds(host: &Host) {
    let mut complaints = Vec::new();
    let mut count = 0;
    for (table, file) in tables() {
        let policy = load(host, &file);
        // Once more from the end: no decision changes the next.
        for case in table.cases.iter().chain(table.cases.iter().rev()) {
            let answer = table.ask(case).to(&policy);
            let complaint = case.complaint(&answer, &policy);
            complaints.extend(complaint.map(|what| format!("{}: {what}", file.display())));
            count += 1;
        }
    }
    assert!(complaints.is_empty(), "{} of {count}:\n{}", complaints.len(), complaints.join("\n"));
    assert!(count > 150, "only {count} cases");
}

#[test]
fn every_policy_says_what_its_table_of_cases_says() {
    every_case_holds(&Host::with(Execution::Compiled).unwrap());
}

#[test]
fn interpreted_policies_say_the_same() {
    every_case_holds(&Host::with(Execution::Interpreted).unwrap());
}

#[test]
fn every_prebuilt_module_has_a_table_of_cases() {
    let tested: Vec<String> = tables().into_iter().map(|(table, _)| table.module).collect();
    for entry in std::fs::read_dir(folder().join("prebuilt")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(tested.contains(&name), "{name} has no table in policy-modules/cases");
    }
}

#[test]
fn the_guest_crate_reads_what_the_host_writes() {
    let (table, _) = tables().into_iter().find(|(table, _)| table.module == "business-hours.wasm").unwrap();
    for case in &table.cases {
        table.ask(case).input(|input| {
            let encoded = Encoded::of(input);
            let request = Request::parse(encoded.request().unwrap()).unwrap();
            assert_eq!(request.action().name(), input.action.name());
            assert_eq!(request.time().0, input.time.0);
            assert!(request.principal().text() == input.principal && request.tenant() == input.tenant);
            assert!(request.namespace() == input.namespace && request.source() == input.source);
            assert_eq!(request.roles().count(), input.roles.len());
            assert_eq!(request.key().is_some(), input.key.is_some());
            if let (Some(read), Some(key)) = (request.key(), &input.key) {
                assert!(read.name() == key.name && read.tags().count() == key.tags.len());
                assert_eq!(read.key_type().map(|kind| kind.name()), key.key_type.map(|kind| kind.name()));
                assert_eq!((read.bits().unwrap_or(0), read.is_session()), (key.bits, key.session));
            }
        });
    }
}

#[test]
fn the_guest_crate_has_the_numbers_of_the_host() {
    let ours: Vec<(u32, &str)> = Action::ALL.iter().map(|action| (action.0, action.name())).collect();
    let theirs: Vec<(u32, &str)> = ACTIONS.iter().map(|(number, action)| (*number, action.name())).collect();
    assert_eq!(ours, theirs);
    let ours: Vec<(u32, &str)> = kmss_policy::KeyType::ALL.iter().map(|kind| (kind.0, kind.name())).collect();
    assert_eq!(ours, KEY_TYPES);
    for mechanism in kmss_policy::Mechanism::ALL {
        assert_eq!(mechanism_name(mechanism.0), Some(mechanism.name()));
    }
    assert_eq!(kmss_policy::Mechanism::ALL.len(), libkmss::policy::abi::MECHANISMS.len());
}
