use crate::policy::dsl::Policy;
use crate::policy::dsl::diagnostic::Diagnostics;

fn mistakes(source: &str) -> Diagnostics {
    Policy::parse(source).expect_err(source)
}

#[test]
fn every_mistake_has_its_place_its_text_and_a_suggestion() {
    for (source, line, column, text, suggestion) in [
        ("alow user:a to sign key:k", 1, 1, "alow", "allow"),
        ("allow user:a to singn key:k", 1, 17, "singn", "sign"),
        ("allow usr:a to sign key:k", 1, 7, "usr:a", "user:a"),
        ("allow user:a to sign key:k\nwen mfa", 2, 1, "wen", "when"),
        ("allow user:a to sign key:k when mechanism is AES_GCN", 1, 46, "AES_GCN", "AES_GCM"),
        ("allow user:a to sign key:k when mechansm is AES_GCM", 1, 33, "mechansm", "mechanism"),
        ("allow user:a to sign key:k when mechanism is CKM_ECDSA_SHA256", 1, 46, "CKM_ECDSA_SHA256", "ECDSA_SHA256"),
        ("allow user:a to sign keys of type RAS", 1, 35, "RAS", "RSA"),
        ("allow user:a to sign key:k when weekday is mondy", 1, 44, "mondy", "monday"),
        ("allow user:a to sign key:tag=pci", 1, 22, "key:tag=pci", "keys tagged pci"),
        ("allow user:a to sign key:k when source in 10.1.2.3/8", 1, 43, "10.1.2.3/8", "10.0.0.0/8"),
        ("allow * to sign key:k", 1, 7, "*", "anyone"),
        ("allow user:ä, usr:b to sign", 1, 15, "usr:b", "user:b"),
    ] {
        let mistakes = mistakes(source);
        let first = mistakes.iter().next().unwrap();
        assert_eq!((first.line, first.column, first.text.as_str()), (line, column, text), "{source}: {mistakes}");
        assert_eq!(first.suggestion.as_deref(), Some(suggestion), "{source}: {mistakes}");
    }
}

#[test]
fn what_is_missing_at_the_end_of_a_line_is_reported_there_and_only_there() {
    for (line, missing) in [
        ("allow", "a principal"),
        ("allow user:a", "`to`"),
        ("allow user:a,", "a principal"),
        ("allow user:a to", "an action"),
        ("allow user:a to use key:k,", "another key"),
        ("allow user:a to use keys tagged", "a tag"),
        ("allow user:a to use keys of type", "a type of key"),
        ("allow user:a to use keys in", "a namespace"),
        ("allow user:a to use key:k for", "an action"),
        ("allow user:a to use key:k for encrypt", "`only`"),
        ("allow user:a to use key:k when", "a condition"),
        ("allow user:a to use key:k when mfa and", "a condition"),
        ("allow user:a to use key:k when (mfa", "`)`"),
        ("allow user:a to use key:k when size", "`is`"),
        ("allow user:a to use key:k when size <", "a size"),
        ("allow user:a to use key:k when process is", "a value"),
        ("allow user:a to use key:k when time between 09:00 and", "a time of day"),
        ("allow user:a to use key:k when source in", "a network"),
        ("allow user:a to use key:k require", "`mfa`"),
        ("allow user:a to use key:k require 2 of", "a role"),
        ("allow user:a to use key:k at most 5 per", "the length of time"),
        ("allow user:a to use key:k audit as", "the tag"),
        ("allow user:a to use key:k because", "the reason"),
        ("role a includes", "a role"),
        ("grant role:a to", "a principal"),
        ("policy", "the policy's name"),
        ("timezone", "an offset"),
    ] {
        for next in ["allow user:b to sign key:k", "# a comment\n\n  role x includes y"] {
            let source = format!("deny user:c to sign\n{line} # why\n{next}\n");
            let mistakes = mistakes(&source);
            let all: Vec<_> = mistakes.iter().collect();
            let [one] = all.as_slice() else { panic!("{source}{mistakes}") };
            let place = (one.line, one.column, one.text.as_str());
            assert_eq!(place, (2, line.chars().count() + 1, ""), "{source}{mistakes}");
            assert!(one.message.contains(missing), "{source}{mistakes}");
            let drawn = mistakes.rendered("p.kmss", false);
            assert!(drawn.contains(&format!("p.kmss:2:{}", one.column)), "{drawn}");
        }
    }
    // In the middle of a line such a word is what somebody wrote instead.
    let mistakes = mistakes("allow user:a to allow key:k");
    assert_eq!(mistakes.iter().next().map(|one| (one.column, one.text.as_str())), Some((17, "allow")));
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() {
    for (source, sentence) in [
        ("allow user:a to", "an action"),
        ("allow user:a to use key:a for login only", "not among the actions"),
        ("allow user:a to use key:a when time between 09:00 and 09:00", "no time lies"),
        ("allow user:a to use key:a when size between 2 and 1", "swap them"),
        ("allow user:a to use key:a when date is 2026-02-30", "no such date"),
        ("allow user:a to use key:a when date is 1969-01-01", "no such date"),
        ("allow user:a to use key:a when weekday > monday", "no first one"),
        ("allow user:a to use key:a when at most 5 per minute", "not a condition"),
        ("allow user:a to use key:a when mfa when mfa", "join conditions"),
        ("allow user:a to use key:a at most 5 per 2 days", "for a day"),
        ("allow user:a to use key:a at most 0 per minute", "counts operations"),
        ("allow user:a to use key:a require 0 of role:x", "from 1 to 16"),
        ("allow user:a to use key:a require 17 of role:x", "from 1 to 16"),
        ("allow user:a to use key:a require 2 of user:x", "holders of a role"),
        ("deny user:a to use key:a require mfa", "a deny comes with no"),
        ("deny user:a to use key:a because no", "double quotes"),
        ("deny user:a to use key:\"a", "no end on its line"),
        ("allow user:a*b to use key:a", "at the end of a name"),
        ("allow user: to use key:a", "after the colon is missing"),
        ("grant role:x to process:/bin/sh", "holds no roles"),
        ("grant user:x to user:y", "only roles and groups"),
        ("role a includes b\nrole b includes a", "includes itself"),
        ("timezone UTC+15:00", "that far"),
        ("timezone UTC\ntimezone UTC", "one time zone"),
        ("policy \"a\"\npolicy \"b\"", "one name"),
        ("allow user:a to use key:a at most 99999999999999999999 per minute", "a number"),
        ("allow user:a to use key:a when size < 99999999999 GiB", "too large"),
        ("allow user:a to use key:a ; deny", "no meaning"),
    ] {
        let mistakes = mistakes(source);
        assert!(mistakes.to_string().contains(sentence), "{source}: {mistakes}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_in_one_run_in_its_order() {
    let source = "allow user:a to singn key:k\nallow user:b to sign key:k\ndeny usr:c to sign key:k when\ngrant role:a for user:b\nallow user:d to sign key:k when tim is 09:00";
    let lines: Vec<usize> = mistakes(source).iter().map(|one| one.line).collect();
    assert_eq!(lines, [1, 3, 4, 5]);
}

#[test]
fn mistakes_are_drawn_and_told_as_json() {
    let mistakes = mistakes("# ä\nallow user:a to singn key:k\n");
    let drawn = mistakes.rendered("p.kp", false);
    assert!(
        drawn.contains("p.kp:2:17") && drawn.contains("did you mean `sign`?") && drawn.contains("singn"),
        "{drawn}"
    );
    assert!(!drawn.contains('\u{1b}'));
    let json = serde_json::to_value(&mistakes).unwrap();
    assert_eq!(json[0]["line"], 2);
    assert_eq!(json[0]["suggestion"], "sign");
}

#[test]
fn hostile_texts_end_soon() {
    let deep = format!("allow user:a to sign key:k when {}mfa{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(mistakes(&deep).to_string().contains("nested"));
    let deep = format!("allow user:a to sign key:k when {}mfa", "not ".repeat(100_000));
    assert!(mistakes(&deep).to_string().contains("nested"));
    assert!(mistakes(&"x".repeat(9 << 20)).to_string().contains("bytes"));
    assert!(mistakes(&"\"".repeat(100_000)).iter().count() <= 60);
    assert!(mistakes(&"allow ".repeat(100_000)).iter().count() <= 60);
    let long = "y".repeat(1 << 20);
    assert!(mistakes(&format!("allow user:{long} to sign")).rendered("p", false).len() < 10_000);
    let wide: String = (0..2_000).map(|n| format!("service:s{n}, ")).collect();
    let keys: String = (0..2_000).map(|n| format!("key:k{n}, ")).collect();
    let policy = Policy::parse(&format!("allow {wide}user:a to sign {keys}key:a")).unwrap();
    assert!(policy.compile().unwrap_err().to_string().contains("pairs"));
}
