#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use std::collections::BTreeSet;

use super::{Candidate, PastRequest, Writer, judge};
use crate::audit::{Entry, SegmentId};
use crate::policy::dsl::Gap;
use crate::policy::host::{Host, Trust};

fn entry(fields: &str) -> Entry {
    let raw = format!("{{\"kind\":\"event\",{fields},\"seq\":4,\"time\":1760000000000,\"h\":\"{}\"}}", "0".repeat(64));
    let record = serde_json::from_str(&raw).unwrap();
    Entry { segment: SegmentId::new(1, [2; 8]), raw, record }
}

fn requests(fields: &str) -> Vec<PastRequest> {
    PastRequest::all_of(&entry(fields), &Writer::default()).unwrap()
}

/// A decision to sign with the key `pay`, with `fields` in its record, `more` in its policy request and `asked` in its
/// decision.
fn sign(fields: &str, more: &str, asked: &str) -> PastRequest {
    let fields = format!(
        "\"action\":\"sign\",\"outcome\":\"success\",\"principal\":\"service:order\",\"tenant\":\"t\",\"namespace\":\"n\",\
         \"object\":{{\"id\":\"00\",\"class\":\"private\",\"type\":\"EC\",\"name\":\"pay\",\"version\":1}}{fields},\
         \"policy\":{{\"set\":\"0011223344556677\",\"at\":1760000000000{more},\"asked\":[{{\"action\":\"sign\",\
         \"decision\":\"allow\",\"second\":1,\"minute\":9,\"key\":true,\"type\":\"EC\",\"bits\":256{asked}}}]}}"
    );
    requests(&fields).remove(0)
}

fn allowed(rules: &str, request: &PastRequest) -> Option<bool> {
    let candidate = Candidate::load("x", rules.as_bytes(), &Host::new(Trust::Untrusted).unwrap()).unwrap();
    judge(&[&candidate], request, None).allowed
}

#[test]
fn what_a_record_carries_is_asked_again() {
    let request = sign(",\"roles\":[\"clerk\"]", ",\"mfa\":true,\"data_len\":32", ",\"tags\":[\"gold\"]");
    assert!(request.allowed);
    for (rules, expected) in [
        ("allow role:clerk to sign with key:pay", true),
        ("allow role:boss to sign with key:pay", false),
        ("allow anyone to sign with keys tagged gold", true),
        ("allow anyone to sign with keys tagged lead", false),
        ("allow anyone to sign with key:pay when mfa", true),
        ("allow anyone to sign with key:pay when size < 32", false),
        ("allow anyone to use any key\ndeny service:order to sign with key:pay when size > 31", false),
        ("allow anyone to sign with key:pay when key bits is 256", true),
        ("allow anyone to encrypt with key:pay", false),
    ] {
        assert_eq!(allowed(rules, &request), Some(expected), "{rules}");
    }
}

#[test]
fn what_is_not_known_counts_only_where_the_answer_depends_on_it() {
    let plain = "\"action\":\"sign\",\"outcome\":\"success\",\"principal\":\"service:order\",\"tenant\":\"t\",\
                 \"namespace\":\"n\",\"object\":{\"id\":\"00\",\"class\":\"private\",\"type\":\"EC\",\"name\":\"pay\"}";
    let request = requests(plain).remove(0);
    assert!(request.gaps.contains(&Gap::Tags) && !request.gaps.contains(&Gap::Roles));
    for (rules, expected) in [
        ("allow service:order to sign with key:pay", Some(true)),
        ("allow role:clerk to sign with key:pay", Some(false)),
        ("allow anyone to sign with keys tagged gold", None),
        ("allow anyone to sign with keys tagged gold\nallow service:order to sign with key:pay", Some(true)),
        ("allow anyone to use any key\ndeny anyone to sign with keys tagged gold", None),
        ("deny anyone to sign with key:pay\ndeny anyone to sign with keys tagged gold", Some(false)),
        ("allow service:order to sign with key:pay when mfa or not mfa", None),
        ("allow service:order to sign with key:pay when mfa and tenant is other", Some(false)),
        ("allow service:order to sign with key:pay when not (mfa and tenant is other)", Some(true)),
        ("allow anyone to sign with keys of type RSA", Some(false)),
    ] {
        assert_eq!(allowed(rules, &request), expected, "{rules}");
    }
}

#[test]
fn values_of_the_context_are_not_known_without_the_key_that_marked_them() {
    let request = sign(",\"context\":{\"purpose\":\"00112233445566778899aabbccddeeff\"}", "", "");
    let is = "allow anyone to sign with key:pay when context purpose is billing";
    assert_eq!(allowed(is, &request), None);
    assert_eq!(allowed("allow anyone to sign with key:pay when context has purpose", &request), Some(true));
    assert_eq!(allowed("allow anyone to sign with key:pay when context other is billing", &request), Some(false));
}

#[test]
fn records_that_only_announce_or_concern_no_policy_are_left_out() {
    let of = |action: &str, outcome: &str| {
        requests(&format!(
            "\"action\":\"{action}\",\"outcome\":\"{outcome}\",\"principal\":\"user:a\",\"tenant\":\"t\",\"namespace\":\"n\""
        ))
        .len()
    };
    assert_eq!((of("generate", "intent"), of("sign", "begun"), of("login", "success")), (0, 0, 0));
    assert_eq!((of("change-state", "success"), of("random", "denied")), (0, 1));
}

#[test]
fn a_list_that_was_cut_is_not_taken_for_whole() {
    let request = sign("", ",\"cut\":[\"tags\"]", ",\"tags\":[\"gold\"]");
    assert_eq!(request.gaps, BTreeSet::from([Gap::Tags, Gap::Process, Gap::Uid]));
    assert_eq!(allowed("allow anyone to sign with keys tagged lead", &request), None);
    let request = sign(",\"roles\":[\"clerk\"],\"roles_cut\":1", "", "");
    assert_eq!(request.gaps, BTreeSet::from([Gap::Roles, Gap::Process, Gap::Uid]));
    assert_eq!(allowed("allow role:boss to sign with key:pay", &request), None);
}
