//! `kmss` into a pipe that nobody reads on: it ends without a word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};

/// What a shell reports of a program that SIGPIPE (13) has ended.
const ENDED_BY_PIPE: Option<i32> = Some(128 + 13);

fn home() -> Home {
    let home = Home::with_token("piped");
    home.generate("piped", "pair", "ec:p256", "01");
    home.kmss("cert self-sign --token piped pair --subject CN=piped").succeed();
    home
}

fn kmss(home: &Home, words: &str) -> Command {
    let mut command = Command::new(built::command());
    command.args(words.split(' ')).envs(home.variables()).env("KMSS_PIN", PIN).stdin(Stdio::null());
    command
}

#[test]
fn every_way_of_printing_ends_quietly_where_nobody_reads() {
    if built::only_kmss("command") {
        return;
    }
    let home = home();
    for words in [
        "token list",
        "token list --json",
        "token show piped",
        "key list --token piped",
        "key list --token piped --json",
        "key show --token piped pair",
        "key export-public --token piped pair",
        "key export-public --token piped pair --format der",
        "key export-public --token piped pair --format ssh",
        "key generate --token piped --type ec:p256 another",
        "cert list --token piped",
        "cert export --token piped pair",
        "audit tail",
        "audit tail --json",
        "audit verify",
        "store check",
        "config openssl",
        "completions bash",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = kmss(&home, words).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "", "`kmss {words}` complains");
        assert_eq!(output.status.code(), ENDED_BY_PIPE, "`kmss {words}`");
    }
    // What was done before it was to be told is done.
    home.kmss("key list --token piped").succeed().mentions("another");
    home.kmss("audit verify").succeed();
    // Help is clap's, which ends as if all had been read.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = kmss(&home, "--help").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn a_reader_that_leaves_in_the_middle_ends_it() {
    if built::only_kmss("command") {
        return;
    }
    let home = home();
    for _ in 0..3 {
        home.kmss("key list --token piped").succeed();
    }
    // `--follow` would go on for ever.
    let mut child = kmss(&home, "audit tail --follow").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    assert!(!first.trim().is_empty());
    drop(reader);
    home.kmss("key list --token piped").succeed();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (ENDED_BY_PIPE, &b""[..]));
    // As people type it.
    let line = format!("set -o pipefail; '{}' completions bash | head -n 1 >/dev/null", built::command().display());
    let said = home.program("bash").args(["-c", &line]).run();
    assert!(matches!(said.code(), Some(0 | 141)) && said.all().is_empty(), "{said}");
}

#[test]
fn what_cannot_be_written_is_an_error() {
    if built::only_kmss("command") {
        return;
    }
    let home = home();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = kmss(&home, "key export-public --token piped pair --format der").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
