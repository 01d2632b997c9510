use super::request::{Both, NOON, Request, host};
use crate::key::Action;
use crate::mechanism::KeyType;
use crate::policy::dsl::Policy;
use crate::policy::{Obligation, Verdict};

/// What a policy of these sentences says, in both forms.
#[track_caller]
fn says(source: &str, request: &Request) -> (Verdict, u32) {
    let answer = Both::new(&host(), source).decide(request);
    (answer.verdict, answer.rule)
}

const ALLOWED: (Verdict, u32) = (Verdict::Allow, 1);
const DENIED: (Verdict, u32) = (Verdict::Deny, 1);
const SILENT: (Verdict, u32) = (Verdict::NotApplicable, 0);

#[test]
fn the_sentences_of_the_products_documents_mean_what_they_say() {
    let source = "allow service:order-v1 to use key:payment_aes for encrypt only\n\
                  deny user:dev to decrypt key:user_data\n\
                  allow service:* to verify signature with key:jwt_pub\n";
    let both = Both::new(&host(), source);
    let says = |principal, action, key| {
        let answer = both.decide(&Request::new(principal, action, key));
        (answer.verdict, answer.rule)
    };
    assert_eq!(says("service:order-v1", Action::Encrypt, "payment_aes"), (Verdict::Allow, 1));
    assert_eq!(says("service:order-v1", Action::Decrypt, "payment_aes"), SILENT);
    assert_eq!(says("service:order-v2", Action::Encrypt, "payment_aes"), SILENT);
    assert_eq!(says("user:dev", Action::Decrypt, "user_data"), (Verdict::Deny, 2));
    assert_eq!(says("service:anything", Action::Verify, "jwt_pub"), (Verdict::Allow, 3));
    assert_eq!(says("user:anything", Action::Verify, "jwt_pub"), SILENT);
    assert_eq!(both.policy.formatted(), source);
}

#[test]
fn a_deny_wins_wherever_it_stands_and_the_first_of_several_is_named() {
    let source = "allow anyone to sign key:a\ndeny user:dev to sign key:* because \"no\"\ndeny user:* to sign key:a";
    let both = Both::new(&host(), source);
    let answer = both.decide(&Request::new("user:dev", Action::Sign, "a"));
    assert_eq!((answer.verdict, answer.rule, answer.reason.as_str()), (Verdict::Deny, 2, "no"));
    let answer = both.decide(&Request::new("user:other", Action::Sign, "a"));
    assert_eq!((answer.verdict, answer.rule), (Verdict::Deny, 3));
    assert_eq!(answer.reason, "deny user:* to sign key:a");
    assert_eq!(both.decide(&Request::new("service:x", Action::Sign, "a")).verdict, Verdict::Allow);
}

#[test]
fn the_first_allow_brings_its_duties() {
    let source = "allow user:a to sign key:k require mfa require 2 of role:custodian within 1 hour audit as pci \
                  at most 100 per minute at most 4 KiB expire after 15 minutes notify desk mask all but 4 because \"dual control\"\n\
                  allow user:* to sign key:k";
    let both = Both::new(&host(), source);
    let answer = both.decide(&Request::new("user:a", Action::Sign, "k"));
    assert_eq!(answer.reason, "dual control");
    assert_eq!(
        answer.obligations,
        [
            Obligation::StepUp,
            Obligation::Quorum { approvals: 2, role: "custodian".into(), window: 3600 },
            Obligation::AuditTag("pci".into()),
            Obligation::RateLimit { count: 100, seconds: 60 },
            Obligation::MaximumData(4096),
            Obligation::SessionExpiry(900),
            Obligation::Notify("desk".into()),
            Obligation::Mask(4),
        ]
    );
    assert_eq!(both.decide(&Request::new("user:b", Action::Sign, "k")).obligations, []);
}

#[test]
fn roles_are_held_through_others_groups_and_grants() {
    let source = "allow role:reader to verify key:*\nrole clerk inherits reader\ngrant role:clerk to group:desk\n\
                  grant group:desk to service:desk-*";
    for (principal, roles, expected) in [
        ("user:a", &["reader"][..], ALLOWED),
        ("user:a", &["clerk"], ALLOWED),
        ("user:a", &["group:desk"], ALLOWED),
        ("service:desk-1", &[], ALLOWED),
        ("user:a", &["desk"], SILENT),
        ("service:des", &[], SILENT),
    ] {
        let request = Request::new(principal, Action::Verify, "k").roles(roles);
        assert_eq!(says(source, &request), expected, "{principal} {roles:?}");
    }
}

#[test]
fn nobody_holds_two_exclusive_roles() {
    let source = "allow anyone to anything";
    let request = Request::new("user:a", Action::Sign, "k");
    assert_eq!(says(source, &request.clone().roles(&["auditor"])), ALLOWED);
    let both = Both::new(&host(), source);
    let answer = both.decide(&request.roles(&["auditor", "security-administrator"]));
    assert_eq!((answer.verdict, answer.rule), (Verdict::Deny, 2));
    assert!(answer.reason.contains("nobody holds two"), "{}", answer.reason);
    for clash in [
        "grant role:auditor to user:*\ngrant role:system-administrator to user:alice",
        "role boss includes auditor\nrole boss includes security-administrator",
        "role auditor includes helper\ngrant role:system-administrator to role:help*\n",
        "grant role:auditor, role:system-administrator to anyone",
        "role a includes auditor\nrole b includes system-administrator\ngrant role:a to service:x\ngrant role:b to service:*",
    ] {
        let mistakes = Policy::parse(clash).expect_err(clash);
        assert!(mistakes.iter().any(|one| one.message.contains("exclude each other")), "{clash}: {mistakes}");
    }
    Policy::parse("grant role:auditor to user:a\ngrant role:system-administrator to user:b").unwrap();
}

#[test]
fn keys_are_chosen_by_name_tag_type_and_namespace() {
    let mut request = Request::new("user:a", Action::Sign, "payment_ec");
    request.tags = vec!["hr".into(), "pci".into()];
    request.key_type = Some(KeyType::Ec);
    for (keys, expected) in [
        ("key:payment_ec", ALLOWED),
        ("key:payment_*", ALLOWED),
        ("key:*", ALLOWED),
        ("any key", ALLOWED),
        ("", ALLOWED),
        ("keys tagged pci", ALLOWED),
        ("keys tagged a, hr", ALLOWED),
        ("keys tagged pci tagged hr", ALLOWED),
        ("keys tagged pci tagged a", SILENT),
        ("keys of type rsa, ec", ALLOWED),
        ("keys of type RSA", SILENT),
        ("keys in namespace:main", ALLOWED),
        ("keys in namespace:prod*", SILENT),
        ("key:payment_* tagged pci of type EC in namespace:m*", ALLOWED),
        ("key:payment", SILENT),
        ("key:\"payment_*\"", SILENT),
    ] {
        assert_eq!(says(&format!("allow user:a to sign {keys}"), &request), expected, "{keys}");
    }
    let none = Request { has_key: false, ..Request::new("user:a", Action::Random, "") };
    assert_eq!(says("allow user:a to random", &none), ALLOWED);
    assert_eq!(says("allow user:a to random any key", &none), SILENT);
    let unknown = Request::new("user:a", Action::Import, "k");
    assert_eq!(says("deny user:a to import keys of type AES", &unknown), DENIED);
    assert_eq!(says("allow user:a to import keys of type AES", &unknown), SILENT);
}

#[test]
fn conditions_mean_what_they_say() {
    let mut request = Request::new("service:a", Action::Encrypt, "k");
    request.mechanism = Some("AES_GCM");
    request.data_len = Some(4096);
    request.uid = 1000;
    request.bits = 256;
    request.version_age = 90 * 86_400_000;
    request.process = "/usr/sbin/nginx".into();
    request.source = "10.1.2.3".into();
    request.flags.mfa = true;
    request.last_minute = 100;
    request.context = vec![("department".into(), "payments".into())];
    for (condition, expected) in [
        ("mechanism is AES_GCM", true),
        ("mechanism in (AES_CCM, AES_GCM)", true),
        ("mechanism is AES_*", true),
        ("mechanism is not AES_GCM", false),
        ("time between 09:00 and 17:00", true),
        ("time between 12:00 and 12:01", true),
        ("time between 09:00 and 12:00", false),
        ("time between 22:00 and 06:00", false),
        ("time before 12:01", true),
        ("time after 12:00", false),
        ("weekday is sunday", true),
        ("weekday between sat and mon", true),
        ("weekday between monday and friday", false),
        ("date is 2026-11-22", true),
        ("date between 2026-01-01 and 2026-12-31", true),
        ("date before 2026-11-22", false),
        ("date after 2026-11-21", true),
        ("size <= 4 KiB", true),
        ("size < 4KiB", false),
        ("data size = 4096 bytes", true),
        ("uid is 1000", true),
        ("uid < 1000", false),
        ("key age >= 90 days", true),
        ("key age > 12 weeks and key age < 13 weeks", true),
        ("key bits in (128, 256)", true),
        ("rate > 99 per minute", true),
        ("rate > 99 per second", false),
        ("process is /usr/sbin/nginx", true),
        ("process is /usr/sbin/*", true),
        ("process not in (/usr/bin/java, /bin/sh)", true),
        ("source in 10.0.0.0/8", true),
        ("source in (192.168.0.0/16, 2001:db8::/32)", false),
        ("source is not 10.1.2.3", false),
        ("source in ::/0", false),
        ("tenant is default and namespace is main", true),
        ("context department is payments", true),
        ("context department is \"pay*\"", false),
        ("context department is pay*", true),
        ("context has department and not context has order", true),
        ("mfa and not interactive and not fips and not session key", true),
        ("not (mfa or interactive)", false),
        ("uid is 1 or uid is 2 and mfa", false),
        ("(uid is 1 or uid is 1000) and mfa", true),
    ] {
        let rule = format!("allow service:a to encrypt key:k when {condition}");
        assert_eq!(says(&rule, &request), if expected { ALLOWED } else { SILENT }, "{condition}");
    }
}

#[test]
fn the_time_zone_moves_times_weekdays_and_dates() {
    let mut request = Request::new("service:a", Action::Encrypt, "k");
    // 23:30 in Greenwich is the next day in Shanghai and the same in New York.
    request.time = NOON + 11 * 3_600_000 + 1_800_000;
    for (zone, condition) in [
        ("UTC", "time is 23:30 and weekday is sunday and date is 2026-11-22"),
        ("UTC+08:00", "time is 07:30 and weekday is monday and date is 2026-11-23"),
        ("UTC-05:00", "time is 18:30 and weekday is sunday and date is 2026-11-22"),
    ] {
        let rule = format!("timezone {zone}\nallow service:a to encrypt key:k when {condition}");
        assert_eq!(says(&rule, &request), ALLOWED, "{zone}");
    }
}

#[test]
fn what_is_not_known_makes_a_deny_match_and_an_allow_not() {
    let request = Request::new("service:a", Action::Encrypt, "k");
    for condition in [
        "mechanism is AES_GCM",
        "mechanism is not AES_GCM",
        "size > 1",
        "size <= 1",
        "not size <= 1",
        "uid is 0",
        "uid is not 0",
        "key bits < 1000",
        "process is /bin/sh",
        "process is not /bin/sh",
        "source in 0.0.0.0/0",
        "source not in 10.0.0.0/8",
        "context order is x",
        "mfa or context order is x",
    ] {
        assert_eq!(says(&format!("allow service:a to encrypt when {condition}"), &request), SILENT, "{condition}");
        assert_eq!(says(&format!("deny service:a to encrypt when {condition}"), &request), DENIED, "{condition}");
    }
    // What is decided by the rest is decided.
    assert_eq!(says("deny service:a to encrypt when mfa and size > 1", &request), SILENT);
    assert_eq!(says("allow service:a to encrypt when not mfa or size > 1", &request), ALLOWED);
    assert_eq!(says("deny process:/bin/sh to encrypt", &request), DENIED);
    assert_eq!(says("allow process:* to encrypt", &request), SILENT);
    let known = Request { process: "/bin/sh".into(), ..request };
    assert_eq!(says("allow process:/bin/* to encrypt", &known), ALLOWED);
    assert_eq!(says("deny process:/usr/* to encrypt", &known), SILENT);
}

#[test]
fn the_canonical_form_keeps_comments_and_breaks_long_rules() {
    let source = "# top\n\n\n\nallow   service:a,service:b  to encrypt and decrypt\n  key:k # here\n  when (uid=1 or uid = 2) and not size<1024 # trailing\n\
                  # between\ndeny user:dev to use any key when time between 22:00 and 06:00 and source in (10.0.0.0/8, 192.168.0.0/16) because \"not at night\"\n# end";
    let formatted = Policy::parse(source).unwrap().formatted();
    assert_eq!(
        formatted,
        "# top\n\n# here\n\
         allow service:a, service:b to encrypt, decrypt key:k\n    \
         when (uid is 1 or uid is 2) and not size < 1 KiB  # trailing\n\
         # between\ndeny user:dev to use any key\n    \
         when time between 22:00 and 06:00 and source in (10.0.0.0/8, 192.168.0.0/16)\n    because \"not at night\"\n# end\n"
    );
    assert_eq!(Policy::parse(&formatted).unwrap().formatted(), formatted);
}

#[test]
fn the_explanation_names_the_rule_and_what_the_others_lack() {
    let source = "policy \"payments\" version 3\n\nallow service:a to sign key:k when mfa\nallow service:a to sign key:k when size < 10\n\
                  allow service:b to sign key:k\nallow service:a to encrypt key:k\nallow service:a to sign key:l\nallow anyone to sign";
    let policy = Policy::parse(source).unwrap();
    assert_eq!(policy.name(), Some("payments"));
    let request = Request::new("service:a", Action::Sign, "k");
    let explanation = policy.explain(&request.input());
    let rule = explanation.rule.unwrap();
    assert_eq!((rule.number, rule.line, rule.text.as_str()), (6, 8, "allow anyone to sign"));
    let why: Vec<&str> = explanation.others.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(
        why,
        [
            "`mfa` is not so",
            "`size < 10` cannot be decided: the request does not say",
            "it is about other principals",
            "it is about other actions",
            "it is about other keys",
        ]
    );
}

#[test]
fn a_compiled_module_writes_nothing_and_names_its_rules() {
    let policy = Policy::parse("allow service:a to sign key:k\ndeny user:b to sign key:k because \"never\"").unwrap();
    let compiled = policy.compile().unwrap();
    assert_eq!(policy.compile().unwrap().wasm, compiled.wasm);
    for payload in wasmparser::Parser::new(0).parse_all(&compiled.wasm) {
        if let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() {
            for operator in body.get_operators_reader().unwrap() {
                let name = format!("{:?}", operator.unwrap());
                assert!(!name.contains("Store") && !name.contains("GlobalSet") && !name.contains("Grow"), "{name}");
            }
        }
    }
    let limits = crate::policy::host::Limits { fuel: None, pages: Some(compiled.pages) };
    let loaded = host().load(&compiled.wasm, &limits, None).unwrap();
    assert_eq!(loaded.rule(2), Some("rule 2 (line 2)"));
    assert_eq!(loaded.rules().reason(2), Some("never"));
}
