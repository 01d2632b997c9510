//! What applications keep in their configuration: slot numbers, serials of tokens and CKA_UNIQUE_ID of objects. They stay
//! the same across C_Finalize, across processes, and, for slot and serial, when the token is initialised anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use kmss_tests::built;
use kmss_tests::c;
use kmss_tests::home::{Home, PIN, SO_PIN};

/// What one token is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    slot: String,
    serial: String,
    /// The lines of its objects, which end in their CKA_UNIQUE_ID; sorted.
    objects: Vec<String>,
}

/// What a fresh process sees, by label; in two lives of the module where `again`.
fn names(home: &Home, how: &str) -> BTreeMap<String, Names> {
    let said = c::program(home, "identity").arg(how).succeed().text();
    let mut tokens = BTreeMap::new();
    let mut last: Option<String> = None;
    for line in said.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["slot", slot, "serial", serial, "label", label] => {
                last = Some((*label).to_owned());
                let names = Names { slot: (*slot).into(), serial: (*serial).into(), objects: Vec::new() };
                assert!(tokens.insert((*label).to_owned(), names).is_none(), "two tokens `{label}`: {said}");
            }
            ["object", ..] => tokens.get_mut(last.as_ref().unwrap()).unwrap().objects.push(line.to_owned()),
            _ => panic!("`{line}`?"),
        }
    }
    tokens.values_mut().for_each(|token| token.objects.sort());
    tokens
}

/// Three tokens with an EC pair, a secret key and a public data object each.
fn home() -> Home {
    let home = Home::new();
    std::fs::write(home.file("value"), "value").unwrap();
    for label in ["before", "between", "behind"] {
        home.init_token(label);
        home.generate(label, "pair", "ec:p256", "01");
        home.generate(label, "secret", "aes:256", "02");
        home.pkcs11_tool(label, "--write-object value --type data --label data").succeed();
    }
    home
}

#[test]
fn slots_serials_and_unique_ids_outlive_the_module_and_the_process() {
    if built::only_kmss("CKA_UNIQUE_ID") {
        return;
    }
    let home = home();
    let first = names(&home, "again");
    assert_eq!(first.keys().collect::<Vec<_>>(), ["before", "behind", "between"]);
    for token in first.values() {
        assert_eq!(token.objects.len(), 4, "{token:?}");
    }
    let unique = |of: fn(&Names) -> Vec<String>| {
        let mut all: Vec<String> = first.values().flat_map(of).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "not unique: {first:?}");
    };
    unique(|token| vec![token.slot.clone()]);
    unique(|token| vec![token.serial.clone()]);
    unique(|token| token.objects.iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect());
    assert_eq!(names(&home, "once"), first, "another process, other names");
    // New objects and tokens name nothing old anew.
    home.generate("between", "later", "ec:p256", "03");
    home.init_token("last");
    let mut later = names(&home, "again");
    later.remove("last").expect("the new token is listed");
    let between = later.get_mut("between").unwrap();
    between.objects.retain(|line| !line.starts_with("object later "));
    assert_eq!(later, first);
}

#[test]
fn a_token_initialised_anew_keeps_slot_and_serial_and_its_neighbours_keep_everything() {
    if built::only_kmss("serial that stays") {
        return;
    }
    let home = home();
    let first = names(&home, "once");
    let slot = &first["between"].slot;
    let init = format!("--init-token --slot {slot} --label renewed --so-pin {SO_PIN}");
    home.pkcs11_tool("", &init).succeed();
    let mut second = names(&home, "again");
    let renewed = second.remove("renewed").expect("the new label is there");
    assert_eq!((&renewed.slot, &renewed.serial), (slot, &first["between"].serial));
    assert!(renewed.objects.is_empty(), "{renewed:?}");
    let mut neighbours = first.clone();
    neighbours.remove("between");
    assert_eq!(second, neighbours);
    // What it holds in its second life is new, also where it has the old names.
    let pins = format!("--token-label renewed --login --login-type so --so-pin {SO_PIN} --init-pin --new-pin {PIN}");
    home.pkcs11_tool("", &pins).succeed();
    home.generate("renewed", "pair", "ec:p256", "01");
    let third = names(&home, "once");
    let old: Vec<&String> = first.values().flat_map(|token| &token.objects).collect();
    let made = &third["renewed"].objects;
    assert_eq!(made.len(), 2, "{made:?}");
    assert!(made.iter().all(|line| !old.contains(&line)), "{made:?}");
}
