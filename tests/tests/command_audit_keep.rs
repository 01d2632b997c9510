//! `kmss audit compress`, `archive` and `prune`, and what other commands and `kmss-audit-verify` make of the result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::Program;

const TOKEN: &str = "main";
const TAMPERED: Option<i32> = Some(3);

/// A home with a closed, sealed segment, and the name of a record in it.
fn sealed() -> (Home, String) {
    let home = Home::with_token(TOKEN);
    for n in 0..6 {
        home.kmss(&format!("key generate --token {TOKEN} --type aes:256 k{n}")).succeed();
    }
    home.kmss("audit seal").succeed();
    let said = home.kmss("audit tail -n 1000 --json --ids --action generate").succeed();
    let name = json_items(&said)[0]["id"].as_str().unwrap().to_owned();
    (home, name)
}

fn files(home: &Home, end: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(home.path().join("audit")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(end));
    files.sort();
    files
}

fn events(home: &Home, more: &str) -> usize {
    json_items(&home.kmss(&format!("audit tail -n 10000 --json --all {more}")).succeed()).len()
}

#[test]
fn a_compressed_trail_is_shown_exported_sealed_and_proven_as_before() {
    if built::only_kmss("audit compress") {
        return;
    }
    let (home, name) = sealed();
    let (before, csv) = (events(&home, ""), home.kmss("audit export --format csv --until 2100-01-01").succeed().text());
    home.kmss("audit compress --older-than 1d").succeed().mentions("Compressed 0 segments");
    let said = home.kmss("audit compress --json").succeed();
    assert_eq!(json_items(&said)[0]["segments"], 1, "{said}");
    assert_eq!((files(&home, ".jsonl").len(), files(&home, ".jsonl.zst").len()), (0, 1));
    assert_eq!(events(&home, ""), before);
    assert_eq!(home.kmss("audit export --format csv --until 2100-01-01").succeed().text(), csv);
    home.kmss("audit verify").succeed().mentions("is whole");
    home.kmss("store check").succeed();
    home.kmss("report").succeed();
    home.kmss(&format!("audit prove {name} -o proof")).within(home.folder()).succeed();
    // Any tool that knows zstd reads it, where there is one.
    // The module writes on, and neither reads nor needs what is compressed.
    home.generate(TOKEN, "after", "ec:p256", "42");
    home.pkcs11_tool(TOKEN, "--list-objects").succeed().mentions("after");
    home.kmss("audit seal").succeed();
    home.kmss("audit verify").succeed();
    let packed = files(&home, ".jsonl.zst")[0].clone();
    let bytes = fs::read(&packed).unwrap();
    fs::write(&packed, &bytes[..bytes.len() - 1]).unwrap();
    let said = home.kmss("audit verify").run();
    assert_eq!(said.code(), TAMPERED, "{said}");
    said.mentions("cannot be unpacked");
}

#[test]
fn the_configuration_has_seal_compress_and_remove() {
    if built::only_kmss("audit compress") {
        return;
    }
    let (home, _) = sealed();
    fs::write(home.path().join("kmss.toml"), "[audit]\ncompress = true\ncompress_days = 0\n").unwrap();
    home.kmss("audit seal").succeed().mentions("Compressed 1 segments");
    assert_eq!(files(&home, ".jsonl.zst").len(), 1);
    home.kmss("audit prune").fail().mentions("keep_days");
    fs::write(home.path().join("kmss.toml"), "[audit]\nkeep_days = 1\n").unwrap();
    home.kmss("audit prune").succeed().mentions("0 segments");
    home.kmss("audit prune --keep-days 0").succeed().mentions("would be removed: say `--yes`");
    assert_eq!(files(&home, ".jsonl.zst").len(), 1);
    home.kmss("audit prune --keep-days 0 --yes").succeed().mentions("Removed 1 segment");
    assert_eq!(files(&home, ".jsonl.zst").len(), 0);
    home.kmss("audit verify").succeed().mentions("Expired:");
    home.kmss("audit seal").succeed();
    home.kmss("audit verify").succeed().mentions("is whole");
    home.kmss("audit tail --all").succeed().mentions("removed");
    fs::write(home.path().join("kmss.toml"), "[audit]\nkeep_dayz = 1\n").unwrap();
    home.kmss("audit prune").fail().mentions("keep_days");
}

#[test]
fn an_archive_stands_alone_and_the_home_without_it_is_whole() {
    if built::only_kmss("audit archive") {
        return;
    }
    let (home, name) = sealed();
    let before = events(&home, "");
    fs::write(home.file("keys"), home.kmss("audit key").succeed().text()).unwrap();
    let kmss = |words: &str| home.kmss(words).within(home.folder());
    kmss("audit archive --to old --before 1d").succeed().mentions("Copied 0 segments");
    kmss("audit archive --to old").succeed().mentions("Copied 1 segment");
    let of_home = home.path().join("audit").display().to_string();
    kmss(&format!("audit archive --to {of_home} --delete")).fail().mentions("the audit of a home");
    let said = kmss("audit archive --to old --delete --json").succeed();
    let done = &json_items(&said)[0];
    assert_eq!(done["removed"], 1, "{said}");
    let manifest = done["manifest"].as_str().unwrap().to_owned();
    kmss("audit verify").succeed().mentions("Archived:");
    kmss("audit verify --archive old").succeed().mentions("is whole");
    kmss("audit seal").succeed();
    kmss("audit verify --archive old --json").succeed();
    kmss(&format!("audit prove {name}")).fail().mentions("--archive");
    kmss(&format!("audit prove {name} --archive old -o proof")).succeed();
    assert!(events(&home, "") < before);
    let all = kmss("audit tail -n 10000 --json --all --archive old").succeed();
    assert!(json_items(&all).len() >= before);
    let auditor = |words: &str| Program::new(built::auditor()).words(words).within(home.folder());
    auditor("proof --key keys").succeed();
    auditor("--archive old --key keys").succeed().mentions("The archive is whole");
    auditor("--archive old --key keys --json").succeed().mentions("\"verdict\": \"whole\"");
    auditor(&format!("--archive old --key keys --manifest {manifest}")).succeed();
    let said = auditor(&format!("--archive old --key keys --manifest {}", "0".repeat(64))).run();
    assert_eq!(said.code(), TAMPERED, "{said}");
    said.mentions("not the one whose hash was given");
    auditor("--archive old --key keys --manifest 12").fail().mentions("64 hex digits");
    kmss("audit verify --archive old --alone --key keys").succeed().mentions("The archive is whole");
    kmss(&format!("audit verify --archive old --alone --key keys --manifest {manifest}")).succeed();
    kmss("audit verify --archive old --alone").succeed().mentions("give the one that you know");
    auditor("--archive nowhere --key keys").fail();
    // A byte of it.
    let packed = fs::read_dir(home.file("old")).unwrap().map(|e| e.unwrap().path());
    let packed = packed.into_iter().find(|path| path.to_string_lossy().ends_with(".zst")).unwrap();
    let mut bytes = fs::read(&packed).unwrap();
    bytes[40] ^= 1;
    fs::write(&packed, bytes).unwrap();
    let said = auditor("--archive old --key keys").run();
    assert_eq!(said.code(), TAMPERED, "{said}");
    assert_eq!(kmss("audit verify --archive old").run().code(), TAMPERED);
    // The home, which has no file of it, still knows what it was.
    kmss("audit verify").succeed();
    // Who only deletes is found.
    for path in files(&home, ".jsonl") {
        fs::remove_file(path).unwrap();
    }
    let said = kmss("audit verify").run();
    assert_eq!(said.code(), TAMPERED, "{said}");
    said.mentions("deleted with the file");
}

#[test]
fn the_module_has_nothing_of_the_compressor() {
    if built::only_kmss("such a discipline") {
        return;
    }
    let has = |path: PathBuf| Program::new("nm").arg(path).succeed().text().contains("ZSTD_");
    assert!(has(built::command()), "the command compresses");
    assert!(!has(built::module()), "the module has a compressor that it never uses");
}
