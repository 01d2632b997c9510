//! The trail tells exactly what was done.

use super::*;
use libkmss::audit::{AuditTail, Filter, Verdict};
use libkmss::key::KeyState;
use libkmss::operation::{Destroy, DrawRandom};

/// Action, outcome and key of every event.
pub(super) fn told(config: &Config) -> Vec<(String, String, String)> {
    let filter = Filter { events_only: true, ..Filter::default() };
    let entries = AuditTail::new(Kms::audit_directory(config), filter).last(1000).unwrap();
    let text = |field: Option<String>| field.unwrap_or_default();
    entries
        .into_iter()
        .map(|entry| {
            let record = entry.record;
            assert!(record.principal.as_ref().is_some_and(|who| who.starts_with("user:")), "{}", entry.raw);
            assert_eq!(record.namespace.as_deref(), Some("flat"));
            let key = record.object.and_then(|object| object.name).unwrap_or_default();
            (text(record.action), text(record.outcome), key)
        })
        .collect()
}

#[test]
fn the_trail_tells_exactly_what_was_done_and_verifies() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let user = flat.user();
        let key = flat.aes(&user, Storage::Stored, "web");
        sign(&flat.kms, &user, &key, b"secret text").unwrap();
        flat.kms.perform(&user, DrawRandom { out: &mut [0; 4] }).unwrap();
        assert!(flat.try_login(b"wrong-pin").is_err());
        let admin = flat.kms.administer(&flat.public(), &pin(SO_PIN)).unwrap();
        let state = KeyState::Deactivated;
        flat.kms.perform(&admin, turned(&key, state)).unwrap();
        assert!(sign(&flat.kms, &user, &key, b"secret text").is_err());
        flat.kms.perform(&admin, Destroy { object: ObjectRef::from(&key) }).unwrap();
        assert!(sign(&flat.kms, &user, &key, b"secret text").is_err());
        flat.kms.logout(&user).unwrap();

        let told = told(&flat.config);
        let told: Vec<_> = told.iter().map(|(a, o, k)| (a.as_str(), o.as_str(), k.as_str())).collect();
        assert_eq!(
            told,
            [
                ("initialize", "intent", ""),
                ("initialize", "success", ""),
                ("login", "success", ""),
                ("set-pin", "intent", ""),
                ("set-pin", "success", ""),
                ("login", "success", ""),
                ("generate", "intent", "web"),
                ("generate", "success", "web"),
                ("sign", "success", "web"),
                ("login", "denied", ""),
                ("login", "success", ""),
                ("change-state", "intent", "web"),
                ("change-state", "success", "web"),
                ("sign", "denied", "web"),
                ("destroy", "intent", "web"),
                ("destroy", "success", "web"),
                ("sign", "denied", ""),
                ("logout", "success", ""),
            ]
        );
        let report = flat.kms.verify_audit(&mut |_| ());
        assert_eq!(report.verdict, Verdict::Whole, "{report:?}");
        assert!(report.store_consulted);
        flat.kms.close().unwrap();
        assert_eq!(flat.another().verify_audit(&mut |_| ()).verdict, Verdict::Whole);
    }
}

#[test]
fn no_pin_and_no_data_is_in_the_trail_or_in_the_store() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = flat.aes(&user, Storage::Stored, "a-telling-label");
    sign(&flat.kms, &user, &key, b"plain-data-to-sign").unwrap();
    assert!(flat.try_login(b"wrong-pin-typed").is_err());
    flat.kms.close().unwrap();
    let contains = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|w| w == text);
    let mut directories = vec![flat.dir.path().to_owned()];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for secret in [SO_PIN, PIN, b"plain-data-to-sign", b"wrong-pin-typed"] {
                assert!(!contains(&bytes, secret), "{}", path.display());
            }
            if !path.starts_with(Kms::audit_directory(&flat.config)) {
                assert!(!contains(&bytes, b"a-telling-label"), "{}", path.display());
            }
        }
    }
    assert!(files >= 3);
}

#[test]
fn an_operation_whose_record_cannot_be_written_releases_nothing() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = flat.aes(&user, Storage::Stored, "web");
    flat.kms.close().unwrap();
    // A file where the segments should be.
    let audit = Kms::audit_directory(&flat.config);
    std::fs::rename(&audit, flat.dir.path().join("elsewhere")).unwrap();
    std::fs::write(&audit, b"in the way").unwrap();
    assert_eq!(kind(sign(&flat.kms, &user, &key, b"data")), ErrorKind::AuditUnavailable);
    let destroy = || Destroy { object: ObjectRef::from(&key) };
    assert_eq!(kind(flat.kms.perform(&user, destroy())), ErrorKind::AuditUnavailable);
    assert_eq!(kind(flat.try_login(PIN)), ErrorKind::AuditUnavailable);
    std::fs::remove_file(&audit).unwrap();
    std::fs::rename(flat.dir.path().join("elsewhere"), &audit).unwrap();
    assert!(sign(&flat.kms, &user, &key, b"data").is_ok());
}
