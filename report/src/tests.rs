//! Records as they stand in a log, and what is counted of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use libkmss::audit::Record;
use libkmss::auth::Credential;
use libkmss::clock::Timestamp;
use libkmss::config::{AuditConfig, Config, Explanation, HomeSource, PinConfig, PolicyConfig, StoreConfig};
use libkmss::error::ErrorKind;
use libkmss::key::{KeyClass, KeySpec, Storage, Usage};
use libkmss::kms::Kms;
use libkmss::mechanism::KeyType;
use libkmss::operation::{Destroy, GenerateSecret, ObjectRef};
use libkmss::secret::Secret;
use libkmss::suite::Suite;
use serde_json::{Value, json};

use super::changes::Kind;
use super::form::Report;
use super::known::Known;
use super::ledger::Opened;
use super::make::{Order, Step, make};
use super::period::{DAY, Period};
use super::trail::{Trail, UseKey};

const PERIOD: Period = Period { since: Timestamp(10 * DAY), until: Timestamp(20 * DAY) };

/// A record of `service:a` in `default/t` at a day.
fn record(day: u64, fields: &Value) -> Record {
    let mut whole = json!({
        "kind": "event", "principal": "service:a", "login": "user", "user": "user", "tenant": "default", "namespace": "t",
        "seq": 1, "time": day * DAY, "h": "0".repeat(64),
    });
    whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

fn used(day: u64, action: &str, outcome: &str, id: &str) -> Record {
    let object = json!({ "id": id, "class": "secret", "type": "AES", "name": "k" });
    record(
        day,
        &json!({ "action": action, "outcome": outcome, "object": object, "mechanism": "AES_ECB", "data_len": 16 }),
    )
}

fn trail(tokens: &[&str], known: Known, records: &[Record]) -> Trail {
    let mut trail = Trail::new(PERIOD, tokens.iter().map(|t| (*t).to_owned()).collect(), known);
    records.iter().for_each(|record| trail.add(record));
    trail
}

#[test]
fn operations_are_counted_once_and_in_the_period_only() {
    let begun = [used(12, "encrypt", "begun", "a"), used(12, "encrypt", "success", "a")];
    let others =
        [used(9, "encrypt", "success", "a"), used(20, "encrypt", "success", "a"), used(13, "generate", "success", "b")];
    let trail = trail(&[], Known::default(), &[begun.as_slice(), &others].concat());
    assert_eq!((trail.records.trail, trail.records.period, trail.records.complete), (5, 3, 3));
    let uses = trail.uses.by(|row| row.operations);
    assert_eq!((uses.rows.len(), uses.rows[0].value.operations, uses.rows[0].value.data_len), (1, 1, 16));
    let weak = trail.weak.by(|times| times.count);
    assert_eq!((weak.rows.len(), weak.rows[0].key.weakness.as_str(), weak.rows[0].value.count), (1, "ecb", 1));
    assert_eq!((trail.records.first, trail.records.last), (Some(Timestamp(9 * DAY)), Some(Timestamp(20 * DAY))));
}

#[test]
fn what_a_summary_counts_is_added_up_over_all_session_keys_of_one_origin() {
    let summary = |id: &str, count: u64| {
        let object = json!({ "id": id, "class": "secret", "type": "AES", "origin": "k", "storage": "session" });
        let uses = json!([
            { "action": "decrypt", "outcome": "success", "mechanism": "AES_GCM", "count": count, "data_len": 10 * count },
            { "action": "decrypt", "outcome": "abandoned", "mechanism": "AES_GCM", "count": 1, "data_len": 0 },
            { "action": "destroy", "outcome": "success", "count": 1, "data_len": 0 },
        ]);
        record(15, &json!({ "kind": "summary", "object": object, "uses": uses }))
    };
    let trail = trail(&[], Known::default(), &[summary("a", 3), summary("b", 4)]);
    let uses = trail.uses.by(|row| row.operations);
    assert_eq!(uses.rows.len(), 1);
    let UseKey { session_keys, key, id, .. } = &uses.rows[0].key;
    assert_eq!((*session_keys, key.as_str(), id.as_str()), (true, "k", ""));
    let value = &uses.rows[0].value;
    assert_eq!((value.operations, value.abandoned, value.data_len, value.actions["decrypt"]), (7, 2, 70, 7));
    // What lives in a process only is no change of what is stored.
    assert_eq!(trail.changes.all(), 0);
}

#[test]
fn a_wrapped_key_was_used_and_left() {
    let mut known = Known::default();
    known.insert(vec!["w".to_owned()], "default/t".to_owned(), "kek".to_owned(), Timestamp(0));
    known.insert(vec!["a".to_owned()], "default/t".to_owned(), "k".to_owned(), Timestamp(0));
    let object = json!({ "id": "w", "class": "secret", "type": "AES", "name": "kek" });
    let also = json!({ "id": "a", "class": "secret", "type": "AES", "name": "k" });
    let wrap = record(15, &json!({ "action": "wrap", "outcome": "success", "object": object, "also": also }));
    let trail = trail(&[], known, &[wrap]);
    assert_eq!(trail.changes.of(Kind::Exported), 1);
    assert_eq!(trail.changes.finish().newest[0].object, "secret k");
    let pasts = trail.known.into_pasts();
    let last = |number: usize| pasts[number].last_use.clone().unwrap();
    assert_eq!((last(0).action.as_str(), last(1).action.as_str()), ("wrap", "export"));
}

#[test]
fn a_key_of_the_name_of_one_that_was_destroyed_has_none_of_its_uses() {
    let mut known = Known::default();
    known.insert(vec!["new".to_owned()], "default/t".to_owned(), "k".to_owned(), Timestamp(14 * DAY));
    let trail =
        trail(&[], known, &[used(12, "encrypt", "success", "old"), used(15, "encrypt", "success", "hidden half")]);
    let past = &trail.known.into_pasts()[0];
    assert_eq!((past.uses, past.last_use.as_ref().unwrap().time), (1, Timestamp(15 * DAY)));
}

#[test]
fn a_report_on_one_token_takes_in_what_concerns_all() {
    let policy = json!({ "namespace": "*", "action": "change-state", "outcome": "success", "tags": ["policy apply"] });
    let records = [used(15, "encrypt", "success", "a"), record(15, &policy), record(15, &json!({ "namespace": "u" }))];
    let trail = trail(&["t"], Known::default(), &records);
    assert_eq!((trail.records.period, trail.changes.of(Kind::Policy)), (2, 1));
}

#[test]
fn the_newest_changes_are_listed_and_all_are_counted() {
    let destroyed: Vec<Record> = (0..600).map(|n| used(11, "destroy", "success", &n.to_string())).collect();
    let mut records = vec![used(12, "destroy", "denied", "x")];
    records.extend(destroyed);
    let changes = trail(&[], Known::default(), &records).changes.finish();
    assert_eq!((changes.of(Kind::Destroyed), changes.newest.len(), changes.not_listed), (600, 500, 101));
    assert_eq!((changes.newest[0].outcome.as_str(), changes.refused[&Kind::Destroyed]), ("denied", 1));
}

#[test]
fn recoveries_lost_operations_and_wrong_pins_are_counted() {
    let login =
        |error: &str| record(11, &json!({ "action": "login", "outcome": "denied", "error": error, "reason": "no" }));
    let recovery = record(11, &json!({ "kind": "recovery", "lost": 3 }));
    let good = record(11, &json!({ "action": "login", "outcome": "success" }));
    let records = [login("pin-incorrect"), login("pin-incorrect"), login("pin-locked"), good, recovery];
    let trail = trail(&[], Known::default(), &records);
    assert_eq!((trail.records.recoveries, trail.records.lost), (1, 3));
    let logins = trail.logins.in_order();
    let value = &logins.rows[0].value;
    assert_eq!((value.succeeded, value.wrong_pin, value.locked, value.other), (1, 2, 1, 0));
    assert_eq!(trail.denials.by(|times| times.count).rows[0].value.count, 2);
}

#[test]
fn a_key_that_is_destroyed_meanwhile_is_missing_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path().join("home"));
    let kms = Kms::create(&config, None).unwrap();
    let (officer, pin) = (Secret::copy_of(b"so-12345"), Secret::copy_of(b"user-1234"));
    let namespace = kms.initialize(None, "t", &officer).unwrap();
    let public = kms.enter(&namespace, 1).unwrap();
    let officer = kms.login(&public, &Credential::OfficerPin(&officer)).unwrap();
    kms.set_user_pin(&officer, "user", &pin).unwrap();
    let caller = kms.login(&public, &Credential::UserPin { name: "user", pin: &pin }).unwrap();
    let keys: Vec<_> = (0..3)
        .map(|number| {
            let mut draft = kms.draft(Storage::Stored).unwrap();
            (draft.private, draft.label) = (true, format!("k{number}").into());
            draft.usage = Usage::all_for(KeyType::Aes, KeyClass::Secret);
            let spec = KeySpec::Secret { key_type: KeyType::Aes, len: 32 };
            kms.perform(&caller, GenerateSecret { spec, draft }).unwrap()
        })
        .collect();
    let order = Order {
        now: kms.now(),
        period: PERIOD,
        tokens: Vec::new(),
        max_age_days: 365,
        verify: false,
        home: "home".to_owned(),
        most_objects: 100,
    };
    let opened = || vec![Opened { namespace: namespace.clone(), caller: caller.clone(), closed: None }];
    // Found are all three, and before the first of them is read another one goes.
    let destroyed = keys.iter().max_by_key(|key| key.id.0).unwrap();
    let report = make(&kms, order.clone(), opened(), &mut |step| {
        if matches!(step, Step::Listing(1)) {
            kms.perform(&caller, Destroy { object: ObjectRef::Stored(destroyed.id) }).unwrap();
        }
        true
    });
    let report = report.unwrap().unwrap();
    let named = |key: &&std::sync::Arc<libkmss::key::Object>| key.id != destroyed.id;
    let left: Vec<_> = keys.iter().filter(named).map(|key| key.key().unwrap().name.clone()).collect();
    assert_eq!(report.keys.iter().map(|row| row.name.clone()).collect::<Vec<_>>(), left);
    assert!(report.missing.is_empty(), "{:?}", report.missing);
    // Whoever wants nothing more has it end with the next object, not with the trail.
    let mut asked = 0;
    let given_up = make(&kms, order, opened(), &mut |_| {
        asked += 1;
        asked < 2
    });
    assert!(given_up.unwrap().is_none() && asked == 2);
}

fn config(home: std::path::PathBuf) -> Config {
    Config {
        home,
        suite: Suite::Nist,
        pin: PinConfig::default(),
        store: StoreConfig::default(),
        audit: AuditConfig::default(),
        policy: PolicyConfig::default(),
        principals: Vec::new(),
        quotas: Vec::new(),
        hsms: Vec::new(),
        hsm_groups: Vec::new(),
        remotes: Vec::new(),
        explanation: Explanation {
            environment_ignored: false,
            considered: Vec::new(),
            home: HomeSource::Caller,
            file_owner: None,
            rules_ignored: None,
        },
        text: "".into(),
    }
}

#[test]
fn a_report_in_a_newer_form_is_named_as_such_and_not_read_as_one_of_today() {
    let kind = |json: &str| Report::from_json(json.as_bytes()).err().map(|e| e.kind());
    assert_eq!(kind("{\"schema\": 2, \"more\": true}"), Some(ErrorKind::TooNew));
    assert_eq!(kind("{\"schema\": 1}"), Some(ErrorKind::DataInvalid));
    assert_eq!(kind("no report"), Some(ErrorKind::DataInvalid));
}
