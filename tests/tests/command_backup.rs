//! `kmss backup` and `kmss restore`: a tenant in an archive, and back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::Program;
use kmss_tests::softhsm::Vault;

fn skip() -> bool {
    built::only_kmss("archives of tenants")
}

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(words).within(home.folder())
}

/// Three custodians, of whom two are needed, each with a directory.
fn create(home: &Home, archive: &str) -> Program {
    for name in ["ann", "bob", "eve"] {
        fs::create_dir_all(home.file(name)).unwrap();
    }
    let custodians = ["ann", "bob", "eve"].map(|name| format!("--custodian {name}={name}/{archive}.share")).join(" ");
    kmss(home, &format!("backup create {archive} {custodians} --needed 2"))
}

/// Two shares of an archive.
fn shares(home: &Home, archive: &str) -> String {
    let share = |name: &str| format!("--share {}", home.file(&format!("{name}/{archive}.share")).display());
    format!("{} {}", share("eve"), share("ann"))
}

/// `kmss restore` of an archive of `from` into `to`.
fn restore(to: &Home, from: &Home, archive: &str, more: &str) -> Program {
    let file = from.file(archive);
    kmss(to, &format!("restore {} {} {more}", file.display(), shares(from, archive)))
}

/// A home with a token of keys, and something that each made.
fn scene() -> Home {
    let home = Home::with_token("main");
    kmss(&home, "key generate box --token main --type aes:256").succeed();
    kmss(&home, "key generate pen --token main --type ec:p256").succeed();
    kmss(&home, "key alias current --token main --to box").succeed();
    fs::write(home.file("plain"), "what was said before").unwrap();
    kmss(&home, "encrypt box --token main plain --out before").succeed();
    kmss(&home, "key rotate box --token main").succeed();
    kmss(&home, "encrypt current --token main plain --out after").succeed();
    kmss(&home, "sign pen --token main plain --out signature").succeed();
    home
}

/// That everything of [`scene`] works in `home`, where `from` made it.
fn works(home: &Home, from: &Home) {
    for file in ["before", "after", "plain", "signature"] {
        // A file that is copied to itself is emptied.
        if from.folder() != home.folder() {
            fs::copy(from.file(file), home.file(file)).unwrap();
        }
    }
    for cipher in ["before", "after"] {
        let said = kmss(home, &format!("decrypt --token main {cipher}")).succeed();
        assert_eq!(said.text(), "what was said before");
    }
    kmss(home, "verify pen --token main plain --signature signature").succeed();
    kmss(home, "sign pen --token main plain --out again").succeed();
    kmss(home, "verify pen --token main plain --signature again").succeed();
    kmss(home, "store check --token main").succeed();
    home.audit_is_whole();
}

#[test]
fn a_tenant_is_restored_onto_an_empty_machine_and_works_as_before() {
    if skip() {
        return;
    }
    let home = scene();
    kmss(&home, "token init spare").succeed();
    kmss(&home, "key disable pen --token main").succeed();
    kmss(&home, "key enable pen --token main").succeed();
    create(&home, "one").succeed().mentions("epoch 1");
    let other = Home::new();
    let said = restore(&other, &home, "one", "--dry-run").succeed();
    said.mentions("would be restored").mentions("There is no home at");
    assert!(!other.path().exists());
    restore(&other, &home, "one", "--dry-run --least-epoch 9").fail().mentions("epoch 1");
    restore(&other, &home, "one", "").succeed().mentions("restored");
    works(&other, &home);
    // Users, officers and settings came along, and the state of attempts.
    kmss(&other, "key list --token main").env("KMSS_PIN", "wrong-999").fail().mentions("PIN");
    kmss(&other, "key generate new --token main --type aes:128").succeed();
    kmss(&other, "key list --token spare").succeed();
    // The same once more changes nothing.
    restore(&other, &home, "one", "").succeed().mentions("stays as it is");
    works(&other, &home);
    // The home that it came from is none the worse.
    works(&home, &home);
}

#[test]
fn both_suites_are_carried_and_neither_into_the_other() {
    if skip() {
        return;
    }
    let home = Home::new();
    kmss(&home, "home init --suite gm").succeed();
    home.init_token("main");
    kmss(&home, "key generate box --token main --type sm4").succeed();
    create(&home, "one").succeed();
    let other = Home::new();
    restore(&other, &home, "one", "").succeed();
    kmss(&other, "key show box --token main").succeed();
    let nist = Home::with_token("else");
    restore(&nist, &home, "one", "").fail().mentions("suite");
}

#[test]
fn too_few_shares_wrong_ones_and_changed_ones_are_told_apart() {
    if skip() {
        return;
    }
    let home = scene();
    create(&home, "one").succeed();
    create(&home, "two").succeed().mentions("epoch 2");
    kmss(&home, "backup inspect one").succeed().mentions("2 of 3 shares open it");
    let verify = |shares: &str| kmss(&home, &format!("backup verify one {shares}"));
    verify("--share ann/one.share --share bob/one.share").succeed().mentions("is whole");
    verify("--share ann/one.share").fail().mentions("2 are needed");
    verify("--share ann/one.share --share ann/one.share").fail().mentions("comes twice");
    verify("--share ann/one.share --share bob/two.share").fail().mentions("another archive");
    let text = fs::read_to_string(home.file("bob/one.share")).unwrap();
    fs::write(home.file("bob/one.share"), text.replace("custodian: bob", "custodian: rob")).unwrap();
    verify("--share ann/one.share --share bob/one.share").fail().mentions("check sum");
    assert!(text.contains("archive: ") && text.contains("epoch: 1") && text.contains("tenant: default"));
}

#[test]
fn an_archive_that_was_changed_or_cut_restores_nothing() {
    if skip() {
        return;
    }
    let home = scene();
    create(&home, "one").succeed();
    let whole = fs::read(home.file("one")).unwrap();
    let other = Home::with_token("else");
    let mut changed = whole.clone();
    let middle = whole.len() / 2;
    changed[middle] ^= 1;
    for bad in [changed, whole[..whole.len() - 1].to_vec(), whole[..middle].to_vec(), whole[..20].to_vec()] {
        fs::write(home.file("one"), &bad).unwrap();
        restore(&other, &home, "one", "").fail().mentions("cannot be trusted");
        let code = kmss(&home, &format!("backup verify one {}", shares(&home, "one"))).run().code();
        assert!(matches!(code, Some(1 | 3)), "{code:?}");
        kmss(&other, "key list --token main").fail();
    }
    let said = kmss(&other, "token list --json").succeed();
    assert!(!said.text().contains("main"));
    fs::write(home.file("one"), &whole).unwrap();
    restore(&other, &home, "one", "").succeed();
    works(&other, &home);
}

#[test]
fn what_was_destroyed_or_revoked_since_does_not_come_back() {
    if skip() {
        return;
    }
    let home = scene();
    kmss(&home, "key generate lost --token main --type aes:256").succeed();
    kmss(&home, "token init gone").succeed();
    create(&home, "one").succeed();
    kmss(&home, "key revoke pen --token main --reason key-compromise --why stolen").succeed();
    kmss(&home, "key destroy lost --token main --yes").succeed();
    kmss(&home, "token delete gone --yes").succeed();
    let said = restore(&home, &home, "one", "").succeed().mentions("stays as it is").mentions("stays so");
    assert!(said.text().contains("1 destroyed since"), "{said}");
    kmss(&home, "sign pen --token main plain --out again").fail();
    kmss(&home, "key show lost --token main").fail();
    kmss(&home, "key list --token gone").fail();
    kmss(&home, "store check --token main").succeed();
    // A newer archive knows of it, and a home that had it takes no older one.
    create(&home, "two").succeed();
    let other = Home::new();
    restore(&other, &home, "two", "").succeed();
    kmss(&other, "verify pen --token main plain --signature signature").within(home.folder()).succeed();
    kmss(&other, "sign pen --token main plain --out again").within(home.folder()).fail();
    restore(&other, &home, "one", "").fail().mentions("epoch");
    // An empty home knows nothing but what it is told.
    let empty = Home::new();
    restore(&empty, &home, "one", "--least-epoch 2").fail().mentions("epoch");
    kmss(&home, "backup retire --least 3").succeed().mentions("below 3");
    restore(&home, &home, "two", "--dry-run").fail().mentions("nothing below 3");
    create(&home, "three").succeed().mentions("epoch 3");
}

#[test]
fn shares_do_not_lie_together_and_nothing_is_overwritten() {
    if skip() {
        return;
    }
    let home = scene();
    let together = "backup create one --needed 2 --custodian a=a.share --custodian b=b.share";
    kmss(&home, together).fail().mentions("--together");
    assert!(!home.file("one").exists() && !home.file("a.share").exists());
    kmss(&home, &format!("{together} --together")).succeed();
    let before = fs::read(home.file("one")).unwrap();
    kmss(&home, &format!("{together} --together")).fail().mentions("exists already");
    kmss(&home, &together.replace("create one", "create two").replace("--needed 2", "--needed 2 --together"))
        .fail()
        .mentions("a.share");
    assert!(!home.file("two").exists() && !home.file("two.partial").exists());
    assert_eq!(fs::read(home.file("one")).unwrap(), before);
    kmss(&home, "backup create two --tenant nobody --needed 2 --together --custodian a=c --custodian b=d")
        .fail()
        .mentions("nobody");
}

#[test]
fn the_audit_tells_of_archives_and_restores() {
    if skip() {
        return;
    }
    let home = scene();
    create(&home, "one").succeed();
    let said = format!("{:?}", home.audit(6));
    assert!(said.contains("backup tenant default") && said.contains("shares 3, needed 2"), "{said}");
    let other = Home::new();
    restore(&other, &home, "one", "--json").succeed();
    let said = format!("{:?}", other.audit(6));
    assert!(said.contains("restore tenant default") && said.contains("tokens restored: 1"), "{said}");
    let said = kmss(&home, &format!("backup verify one {} --json", shares(&home, "one"))).succeed();
    let items = json_items(&said);
    assert_eq!(items[0]["holds"]["namespaces"][0]["name"], "main", "{said}");
}

#[test]
fn a_restore_that_was_killed_is_begun_again_and_ends_whole() {
    if skip() {
        return;
    }
    let home = scene();
    for number in 0..40 {
        kmss(&home, &format!("key generate k{number} --token main --type aes:256")).succeed();
    }
    create(&home, "one").succeed();
    let other = Home::with_token("else");
    for delay in [1, 5, 10, 20, 30, 40, 60, 80] {
        let running = restore(&other, &home, "one", "").keep_running();
        std::thread::sleep(Duration::from_millis(delay));
        running.signal(9);
        drop(running);
        // Whole or not at all.
        let there = kmss(&other, "token list --json").succeed().text().contains("main");
        if there {
            let keys = kmss(&other, "key list --token main --json").succeed().text().matches("\"name\": \"k").count();
            assert_eq!(keys, 40);
        }
        kmss(&other, "store check").succeed();
    }
    restore(&other, &home, "one", "").succeed();
    works(&other, &home);
    kmss(&other, "key show k39 --token main").succeed();
}

#[test]
fn policies_come_along_and_a_token_without_its_policies_denies() {
    if skip() {
        return;
    }
    let home = scene();
    fs::write(home.file("p.kmss"), "allow anyone to anything\n").unwrap();
    let applied = kmss(&home, "policy apply p.kmss --token main").run();
    assert!(applied.success(), "{applied}");
    create(&home, "one").succeed();
    let other = Home::new();
    restore(&other, &home, "one", "").succeed().mentions("in force");
    kmss(&other, "policy list").succeed().mentions("p");
    works(&other, &home);
}

#[test]
fn rules_on_what_is_made_come_along_and_hold_from_the_first_moment() {
    if skip() {
        return;
    }
    let home = scene();
    kmss(&home, "rule set --tenant default --types aes,ec,rsa").succeed();
    kmss(&home, "rule set --token main --types aes:256,ec --rotate 90d").succeed();
    kmss(&home, "rule set --token main --service order --types aes:256 --owner user:anna").succeed();
    create(&home, "one").succeed();
    let said = kmss(&home, &format!("backup verify one {}", shares(&home, "one"))).succeed();
    said.mentions("service order in token main").mentions("tenant default");
    let other = Home::new();
    let said = restore(&other, &home, "one", "").succeed();
    said.mentions("rotate 90d): in force").mentions("Rule for tenant default");
    kmss(&other, "key generate weak --token main --type aes:128").fail().mentions("aes:256");
    kmss(&other, "key generate odd --token main --type sm4").fail();
    let text = kmss(&other, "rule list --json").succeed().text();
    assert!(text.contains("user:anna") && text.matches("\"scope\"").count() == 3, "{text}");
    works(&other, &home);
    // The same once more changes nothing, and what was removed since stays so.
    kmss(&other, "rule remove --token main --service order").succeed();
    restore(&other, &home, "one", "").succeed().mentions("not taken");
    assert!(!kmss(&other, "rule list --json").succeed().text().contains("user:anna"));
    kmss(&other, "store check").succeed();
}

#[test]
fn a_value_has_the_token_in_the_other_home_that_it_had() {
    if skip() {
        return;
    }
    let home = scene();
    kmss(&home, "key generate old --token main --type sm4").succeed();
    let vault = |home: &Home, verb: &str, key: &str, text: &str| {
        let words = format!("{verb} {key} --token main --format card-bin-last4 --vault");
        kmss(home, &words).input(text).succeed().text()
    };
    let values = ["4111111111111111\n", "5500005555555559\n"];
    let tokens = values.map(|value| vault(&home, "tokenize", "box", value));
    let other_key = vault(&home, "tokenize", "old", values[0]);
    // Versions share a vault, here as there.
    kmss(&home, "key rotate box --token main").succeed();
    create(&home, "one").succeed();
    let other = Home::new();
    restore(&other, &home, "one", "").succeed();
    for (value, token) in values.iter().zip(&tokens) {
        assert_eq!(vault(&other, "tokenize", "box", value), *token);
        assert_eq!(vault(&other, "detokenize", "box", token), *value);
    }
    assert_eq!(vault(&other, "tokenize", "old", values[0]), other_key);
    // A new value gets a token here, which goes on to the next home with the others.
    let new = vault(&other, "tokenize", "box", "340000000000009\n");
    create(&other, "two").succeed();
    let third = Home::new();
    restore(&third, &other, "two", "").succeed();
    assert_eq!(vault(&third, "tokenize", "box", "340000000000009\n"), new);
    assert_eq!(vault(&third, "tokenize", "box", values[0]), tokens[0]);
    kmss(&third, "store check --token main").succeed();
}

#[test]
fn what_was_counted_of_a_key_counts_in_the_other_home() {
    if skip() {
        return;
    }
    let home = scene();
    kmss(&home, "key rotation pen --token main --uses 3 --strict").succeed();
    kmss(&home, "key rotation box --token main --bytes 100 --strict").succeed();
    let sign = |home: &Home| kmss(home, "sign pen --token main plain --out again");
    let used = |home: &Home| {
        let due = json_items(&kmss(home, "rotate due --token main --dry-run --json").succeed());
        let of = |name: &str, what: &str| due.iter().find(|key| key["name"] == name).unwrap()[what]["used"].clone();
        (of("pen", "uses").as_u64().unwrap(), of("box", "bytes").as_u64().unwrap())
    };
    sign(&home).succeed();
    sign(&home).succeed();
    kmss(&home, "encrypt box --token main plain --out sealed").succeed();
    create(&home, "one").succeed();
    let said = kmss(&home, &format!("backup verify one {} --json", shares(&home, "one"))).succeed();
    assert_eq!(json_items(&said)[0]["holds"]["namespaces"][0]["counters"], 2, "{said}");
    let other = Home::new();
    restore(&other, &home, "one", "").succeed();
    fs::copy(home.file("plain"), other.file("plain")).unwrap();
    assert_eq!(used(&other), used(&home));
    assert_eq!(used(&other), (2, 20));
    sign(&other).succeed();
    sign(&other).fail().mentions("rotate it");
    sign(&home).succeed();
    kmss(&other, "store check --token main").succeed();
}

#[test]
fn a_rule_that_stands_stays_and_is_told_of_where_it_says_otherwise() {
    if skip() {
        return;
    }
    let home = scene();
    kmss(&home, "rule set --tenant default --types aes:256,ec").succeed();
    kmss(&home, "rule set --token main --types aes:256").succeed();
    create(&home, "one").succeed();
    let other = Home::with_token("else");
    kmss(&other, "rule set --tenant default --types aes,rsa").succeed();
    for (more, word) in [("--dry-run", "would be in force"), ("", "in force")] {
        let said = restore(&other, &home, "one", more).run();
        assert_eq!(said.code(), Some(4), "{said}");
        said.mentions("another one is here, and stays (types aes,rsa)").mentions(word);
        let rules = kmss(&other, "rule list --json").succeed().text();
        assert!(rules.contains("rsa") && !rules.contains("\"ec\""), "{rules}");
    }
    // What stands and what came hold together.
    kmss(&other, "key generate a --token main --type rsa:3072").fail();
    kmss(&other, "key generate a --token main --type aes:128").fail();
    kmss(&other, "key generate a --token main --type aes:256").succeed();
    kmss(&other, "key generate a --token else --type aes:128").succeed();
}

#[test]
fn keys_in_an_hsm_are_references_that_work_again_where_the_hsm_is() {
    if skip() {
        return;
    }
    let vault = Vault::new("pay");
    let home = &vault.home;
    kmss(home, "key generate deep --token pay --type ec:p256").succeed();
    kmss(home, "key generate near --token pay --type aes:256 --backend soft").succeed();
    // Nobody who has the archive and a PIN tries values without the device, so a value is not found there again.
    kmss(home, "key generate cards --token pay --type aes:256").succeed();
    let value = "123456789012345678901234567890\n";
    let words = |verb: &str| format!("{verb} cards --token pay --format digits --vault");
    let token = kmss(home, &words("tokenize")).input(value).succeed().text();
    assert_eq!(kmss(home, &words("tokenize")).input(value).succeed().text(), token);
    create(home, "one").succeed().mentions("references only").mentions("Needed beside it: vault");
    let other = Home::new();
    let with_hsm = |words: &str| kmss(&other, words).env("SOFTHSM2_CONF", home.file("softhsm2.conf"));
    fs::write(other.file("plain"), "said").unwrap();
    let file = home.file("one");
    let restoring = format!("restore {} {}", file.display(), shares(home, "one"));
    kmss(&other, &restoring).succeed().mentions("references only");
    kmss(&other, "encrypt near --token pay plain --out sealed").succeed();
    kmss(&other, "sign deep --token pay plain --out signature").fail().mentions("vault");
    fs::copy(home.path().join("kmss.toml"), other.path().join("kmss.toml")).unwrap();
    with_hsm("sign deep --token pay plain --out signature").succeed();
    with_hsm("verify deep --token pay plain --signature signature").succeed();
    assert_eq!(with_hsm(&words("detokenize")).input(&*token).succeed().text(), value);
    assert_ne!(with_hsm(&words("tokenize")).input(value).succeed().text(), token);
}

#[test]
fn an_archive_takes_the_place_of_nothing_and_what_was_left_unfinished_is_told() {
    if skip() {
        return;
    }
    let home = scene();
    fs::write(home.file("one.partial"), "left by a crash").unwrap();
    create(&home, "one").fail().mentions("one.partial").mentions("may be removed");
    assert_eq!(fs::read(home.file("one.partial")).unwrap(), b"left by a crash");
    assert!(!home.file("one").exists() && !home.file("ann/one.share").exists());
    fs::remove_file(home.file("one.partial")).unwrap();
    // Somebody else's file appears under its name while it is written: here it is a share.
    let words = "backup create ann/two --custodian ann=ann/two --custodian bob=bob/two --needed 2";
    kmss(&home, words).fail().mentions("ann/two` exists already");
    for file in ["ann/two", "ann/two.partial", "bob/two"] {
        assert!(!home.file(file).exists(), "{file}");
    }
    create(&home, "one").succeed();
}
