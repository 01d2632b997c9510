use super::random::{Dice, policy, request};
use super::request::{Both, host};
use crate::policy::Verdict;
use crate::policy::dsl::Policy;

/// A policy that makes sense, as text.
fn sensible(dice: &mut Dice) -> String {
    loop {
        let text = policy(dice);
        match Policy::parse(&text) {
            Ok(_) => return text,
            // The only mistakes that the generator makes.
            Err(mistakes) => assert!(
                mistakes
                    .iter()
                    .all(|one| one.message.contains("exclude each other") || one.message.contains("includes itself")),
                "{text}\n{mistakes}"
            ),
        }
    }
}

#[test]
fn compiled_policies_say_what_interpreted_ones_say_to_a_hundred_thousand_requests() {
    let host = host();
    let mut dice = Dice(0x5EED_0001);
    let mut said = [0_u32; 3];
    for _ in 0..200 {
        let both = Both::new(&host, &sensible(&mut dice));
        for _ in 0..510 {
            let answer = both.decide(&request(&mut dice));
            said[match answer.verdict {
                Verdict::Deny => 0,
                Verdict::Allow => 1,
                Verdict::NotApplicable => 2,
            }] += 1;
        }
    }
    // A comparison of nothing but silence would compare nothing.
    assert!(said.iter().all(|count| *count > 10_000) && said.iter().sum::<u32>() >= 100_000, "{said:?}");
}

#[test]
fn the_canonical_form_says_the_same_and_is_its_own_canonical_form() {
    let mut dice = Dice(0x5EED_0002);
    for _ in 0..300 {
        let text = sensible(&mut dice);
        let policy = Policy::parse(&text).unwrap();
        let formatted = policy.formatted();
        let again = Policy::parse(&formatted).unwrap_or_else(|e| panic!("{text}\nbecame\n{formatted}\n{e}"));
        assert_eq!(again.formatted(), formatted, "{text}");
        assert_eq!(text.matches('#').count(), formatted.matches('#').count(), "{text}\nbecame\n{formatted}");
        for _ in 0..20 {
            let request = request(&mut dice);
            assert_eq!(policy.decide(&request.input()), again.decide(&request.input()), "{text}\nbecame\n{formatted}");
        }
    }
}

#[test]
fn any_text_is_a_policy_or_has_mistakes_and_neither_takes_long() {
    let mut dice = Dice(0x5EED_0003);
    let words = [
        "allow",
        "deny",
        "role",
        "grant",
        "policy",
        "timezone",
        "anyone",
        "to",
        "use",
        "key:a*",
        "when",
        "(",
        ")",
        "not",
        "and",
        "or",
        "time",
        "between",
        "09:00",
        "\"",
        "\\",
        "#",
        "\n",
        "service:",
        "service:*",
        "99999999999999999999",
        "KiB",
        "per",
        "minute",
        "at",
        "most",
        "require",
        "2",
        "of",
        "role:x",
        "includes",
        "\u{0}",
        "é",
        "é*",
        "<",
        "<=",
        "!",
        "in",
        "is",
        ",",
    ];
    for _ in 0..3_000 {
        let count = dice.below(60);
        let text: Vec<&str> = (0..count).map(|_| dice.of(&words)).collect();
        let text = text.join(if dice.once_in(4) { "" } else { " " });
        if let Err(mistakes) = Policy::parse(&text) {
            assert!(mistakes.iter().next().is_some());
            let _ = mistakes.rendered("policy.kp", false);
        }
    }
}
