//! `kmss tokenize` and `kmss detokenize`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kmss_tests::built;
use kmss_tests::home::Home;

const TOKEN: &str = "main";
const CARDS: &str = "4111 1111 1111 1111\n5500005555555559\n";

#[test]
fn values_become_tokens_of_their_format_and_come_back() {
    if built::only_kmss("tokenize") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.kmss(&format!("key generate cards --token {TOKEN} --type aes:256")).succeed();
    home.kmss(&format!("key generate people --token {TOKEN} --type sm4")).succeed();
    let how = |verb: &str, key: &str, rest: &str| home.kmss(&format!("{verb} {key} --token {TOKEN} {rest}"));
    let tokens = how("tokenize", "cards", "--format card-bin --tweak shop").input(CARDS).succeed().text();
    let lines: Vec<&str> = tokens.lines().collect();
    assert!(lines[0].starts_with("4111 11") && lines[1].starts_with("550000"), "{tokens}");
    assert_ne!(tokens, CARDS);
    let again = how("tokenize", "cards", "--format card-bin --tweak shop").input(CARDS).succeed().text();
    assert_eq!(again, tokens, "the same value has the same token");
    let back = how("detokenize", "cards", "--format card-bin --tweak shop").input(tokens.clone());
    assert_eq!(back.succeed().text(), CARDS);
    let other = how("detokenize", "cards", "--format card-bin --tweak bank").input(tokens.clone()).succeed().text();
    assert_ne!(other, CARDS, "another tweak is another table");
    let masked = how("detokenize", "cards", "--format card-bin --tweak shop --masked").input(tokens).succeed().text();
    assert_eq!(masked, "**** **** **** 1111\n************5559\n");
    let id = how("tokenize", "people", "--format id-number-region --json").input("11010519491231002X").succeed().text();
    let id: serde_json::Value = serde_json::from_str(&id).unwrap();
    let id = id["tokens"][0].as_str().unwrap();
    assert!(id.starts_with("110105") && id.len() == 18, "{id}");
    let back = how("detokenize", "people", "--format id-number-region").input(id).succeed().text();
    assert_eq!(back, "11010519491231002X\n");
    let tail = home.kmss(&format!("audit tail --token {TOKEN} -n 50")).succeed().text();
    for action in ["tokenize", "detokenize", "read-masked"] {
        assert!(tail.contains(action), "{action}: {tail}");
    }
}

#[test]
fn what_cannot_be_a_token_is_refused_by_its_line_and_not_repeated() {
    if built::only_kmss("tokenize") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.kmss(&format!("key generate cards --token {TOKEN} --type aes:256")).succeed();
    home.kmss(&format!("key generate mac --token {TOKEN} --type hmac:256")).succeed();
    let how = |key: &str, format: &str| home.kmss(&format!("tokenize {key} --token {TOKEN} --format {format}"));
    let said = how("cards", "card").input("4111111111111111\n4111111111111112\n").fail().mentions("line 2");
    assert!(!said.all().contains("4111111111111112"), "{}", said.all());
    how("cards", "card-bin-last4").input("4111111111111111\n").fail().mentions("vault");
    how("cards", "date").input("1999-12-31\n").fail().mentions("a million");
    how("mac", "card").input("4111111111111111\n").fail().mentions("no key of AES or SM4");
    how("cards", "passport").input("1\n").fail().mentions("id-number");
}

#[test]
fn random_tokens_come_from_the_vault_and_stand_for_their_values_as_long_as_they_may() {
    if built::only_kmss("tokenize") {
        return;
    }
    let home = Home::with_token(TOKEN);
    for key in ["cards", "other"] {
        home.kmss(&format!("key generate {key} --token {TOKEN} --type aes:256")).succeed();
    }
    let how = |verb: &str, key: &str, rest: &str| home.kmss(&format!("{verb} {key} --token {TOKEN} --vault {rest}"));
    let values = "4111 1111 1111 1111\n5500005555555559\n";
    let tokens = how("tokenize", "cards", "--format card-bin-last4").input(values).succeed().text();
    let lines: Vec<&str> = tokens.lines().collect();
    assert!(lines[0].starts_with("4111 11") && lines[0].ends_with(" 1111"), "{tokens}");
    assert!(lines[1].starts_with("550000") && lines[1].ends_with("5559") && tokens != values, "{tokens}");
    let again = how("tokenize", "cards", "--format card-bin-last4").input("4111111111111111").succeed().text();
    assert_eq!(again.trim_end(), lines[0].replace(' ', ""), "a value has one token, however it is grouped");
    assert_eq!(how("detokenize", "cards", "--format card-bin-last4").input(&*tokens).succeed().text(), values);
    let masked = how("detokenize", "cards", "--format card-bin-last4 --masked").input(&*tokens).succeed().text();
    assert_eq!(masked, "**** **** **** 1111\n************5559\n");
    // Another key has other tokens, and another format too.
    how("detokenize", "other", "--format card-bin-last4").input(&*tokens).fail().mentions("stands for nothing");
    how("detokenize", "cards", "--format card").input(&*tokens).fail().mentions("stands for nothing");
    how("tokenize", "cards", "--format date --expires 0").input("1999-12-31").fail();
    let date = how("tokenize", "cards", "--format date --expires 1").input("1999-12-31").succeed().text();
    assert!(date.len() == 11 && date != "1999-12-31\n", "{date}");
    let read = || how("detokenize", "cards", "--format date").input(&*date).run();
    let begun = std::time::Instant::now();
    while read().success() {
        assert!(begun.elapsed().as_secs() < 60, "the token does not end");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert!(read().all().contains("stands for nothing"));
    let short = how("tokenize", "cards", "--format email").input("ab@example.com").succeed().text();
    assert!(short.ends_with("@example.com\n") && short.len() == 15, "{short}");
    assert_eq!(how("detokenize", "cards", "--format email").input(short).succeed().text(), "ab@example.com\n");
    // What stands in the store tells nothing, and lives on with a new domain key of the home.
    home.kmss("store check").succeed();
    home.kmss(&format!("key destroy cards --token {TOKEN} --yes")).succeed();
    home.kmss(&format!("key generate cards --token {TOKEN} --type aes:256")).succeed();
    how("detokenize", "cards", "--format card-bin-last4").input(&*tokens).fail().mentions("stands for nothing");
}

#[test]
fn tokens_outlive_the_rotation_of_their_key() {
    if built::only_kmss("tokenize") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.kmss(&format!("key generate cards --token {TOKEN} --type aes:256")).succeed();
    let how = |verb: &str, key: &str, rest: &str| home.kmss(&format!("{verb} {key} --token {TOKEN} {rest}"));
    let value = "4111111111111111\n";
    let token = how("tokenize", "cards", "--format card-bin").input(value).succeed().text();
    let kept = how("tokenize", "cards", "--format card-bin-last4 --vault").input(value).succeed().text();
    home.kmss(&format!("key rotate cards --token {TOKEN}")).succeed();
    for verb in ["tokenize", "detokenize"] {
        how(verb, "cards", "--format card-bin").input(&*token).fail().mentions("was rotated");
    }
    let former = |key: &str, rest: &str| how("detokenize", key, &format!("--format card-bin {rest}")).input(&*token);
    assert_eq!(former("cards", "--key-version 1").succeed().text(), value);
    assert_eq!(former("cards@1", "").succeed().text(), value);
    former("cards", "--key-version 3").fail().mentions("no version 3");
    assert_ne!(how("tokenize", "cards", "--format card-bin --key-version 2").input(value).succeed().text(), token);
    assert_eq!(how("tokenize", "cards", "--format card-bin-last4 --vault").input(value).succeed().text(), kept);
    for key in ["cards", "cards@1"] {
        assert_eq!(how("detokenize", key, "--format card-bin-last4 --vault").input(&*kept).succeed().text(), value);
    }
    home.kmss("store check").succeed();
}
