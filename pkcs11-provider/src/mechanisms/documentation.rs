//! The tables of docs/mechanisms.md, generated from the table of mechanisms.
//!
//! `cargo xtask mechanisms` writes them; without it this test fails where the page and the table differ.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use cryptoki_sys::*;

use super::{Row, table};

/// The page, in the first folder upward that has one: the fuzzers' crate with the same sources lies elsewhere.
fn page_file() -> PathBuf {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.map(|folder| folder.join("docs/mechanisms.md")).find(|file| file.is_file()).unwrap()
}

/// The verbs in the order of the page.
const VERBS: &[(CK_FLAGS, &str)] = &[
    (CKF_GENERATE, "generate"),
    (CKF_GENERATE_KEY_PAIR, "generate pair"),
    (CKF_SIGN, "sign"),
    (CKF_VERIFY, "verify"),
    (CKF_SIGN_RECOVER, "sign recover"),
    (CKF_VERIFY_RECOVER, "verify recover"),
    (CKF_ENCRYPT, "encrypt"),
    (CKF_DECRYPT, "decrypt"),
    (CKF_WRAP, "wrap"),
    (CKF_UNWRAP, "unwrap"),
    (CKF_DERIVE, "derive"),
    (CKF_ENCAPSULATE, "encapsulate"),
    (CKF_DECAPSULATE, "decapsulate"),
    (CKF_DIGEST, "digest"),
    (CKF_MESSAGE_ENCRYPT, "by message"),
];

fn line(row: &Row) -> String {
    let size = match (row.min, row.max) {
        (0, 0) => "–".to_owned(),
        (min, max) if min == max => min.to_string(),
        (min, max) => format!("{min}–{max}"),
    };
    let verbs: Vec<&str> = VERBS.iter().filter(|(flag, _)| row.flags & flag != 0).map(|(_, verb)| *verb).collect();
    format!("| `{}` | `0x{:08X}` | {size} | {} |\n", row.name, row.number, verbs.join(", "))
}

/// The page with every table made anew.
fn generated(page: &str) -> String {
    let mut made = page.to_owned();
    for (family, rows) in table::FAMILIES {
        let (start, end) = (format!("<!-- table {family} -->\n"), "<!-- end -->");
        let (before, rest) = made.split_once(&start).unwrap_or_else(|| panic!("the page has no `{start}`"));
        let (_, after) = rest.split_once(end).unwrap();
        let head = "| mechanism | number | key size | verbs |\n|---|---|---|---|\n";
        let lines: String = rows.iter().map(line).collect();
        made = format!("{before}{start}{head}{lines}{end}{after}");
    }
    let (before, rest) = made.split_once("<!-- count -->").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    format!("{before}<!-- count -->{}<!-- end -->{after}", table::rows().count())
}

#[test]
fn the_documentation_lists_every_mechanism_as_the_table_has_it() {
    let file = page_file();
    let page = std::fs::read_to_string(&file).unwrap();
    let made = generated(&page);
    if std::env::var_os("KMSS_WRITE_DOCS").is_some() {
        std::fs::write(&file, &made).unwrap();
    } else {
        assert!(made == page, "docs/mechanisms.md differs from the table of mechanisms: run `cargo xtask mechanisms`");
    }
}
