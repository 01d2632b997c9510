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
