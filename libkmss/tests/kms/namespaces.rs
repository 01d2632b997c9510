//! Homes and namespaces: made, made anew, removed, shared.

use super::*;
use libkmss::key::KeyState;
use libkmss::operation::Destroy;

#[test]
fn a_home_is_there_once_it_was_made_and_remembers_its_suite() {
    for suite in SUITES {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), suite);
        assert!(Kms::open(&config).unwrap().is_none());
        let made = Kms::create(&config, None).unwrap();
        assert!(made.namespaces().unwrap().is_empty());
        assert_eq!(made.next_ordinal().unwrap(), 0);
        let namespace = made.initialize(None, "first", &pin(SO_PIN)).unwrap();
        drop(made);
        // The setting is for new homes.
        let other = if suite == Suite::Nist { Suite::Gm } else { Suite::Nist };
        for reopened in [
            Kms::open(&Config { suite: other, ..config.clone() }).unwrap().unwrap(),
            Kms::create(&Config { suite: other, ..config.clone() }, None).unwrap(),
        ] {
            assert_eq!(reopened.suite(), suite);
            assert_eq!(reopened.namespaces().unwrap(), std::slice::from_ref(&namespace));
        }
    }
}

#[test]
fn a_namespace_made_anew_keeps_id_and_ordinal_and_nothing_else() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let user = flat.user();
        let key = flat.aes(&user, Storage::Stored, "lost");
        assert_eq!(kind(flat.kms.initialize(Some(&flat.namespace), "anew", &pin(b"wrong"))), ErrorKind::PinIncorrect);
        assert!(sign(&flat.kms, &user, &key, b"data").is_ok());

        let anew = flat.kms.initialize(Some(&flat.namespace), "anew", &pin(SO_PIN)).unwrap();
        assert_eq!((anew.id, anew.ordinal), (flat.namespace.id, flat.namespace.ordinal));
        assert_eq!((anew.name.as_str(), anew.incarnation), ("anew", flat.namespace.incarnation + 1));
        assert_eq!(flat.kms.namespaces().unwrap(), std::slice::from_ref(&anew));
        // Whoever still holds what was before holds nothing.
        assert_eq!(kind(sign(&flat.kms, &user, &key, b"data")), ErrorKind::NotFound);
        assert_eq!(kind(flat.kms.enter(&flat.namespace, 3)), ErrorKind::Conflict);
        let caller = flat.kms.enter(&anew, 3).unwrap();
        let login = |p: &[u8]| flat.kms.login(&caller, &Credential::UserPin { name: "user", pin: &pin(p) });
        assert_eq!(kind(login(PIN)), ErrorKind::PinNotInitialized);
        let officer = flat.kms.login(&caller, &Credential::OfficerPin(&pin(SO_PIN))).unwrap();
        flat.kms.set_user_pin(&officer, "user", &pin(b"fresh-123")).unwrap();
        assert_eq!(kind(flat.kms.object(&login(b"fresh-123").unwrap(), key.id)), ErrorKind::NotFound);
    }
}

#[test]
fn a_removed_namespace_is_gone_and_its_place_is_not_given_away() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = flat.aes(&user, Storage::Stored, "lost");
    let caller = flat.kms.enter(&flat.namespace, 0).unwrap();
    assert_eq!(kind(flat.kms.remove(&caller, &pin(b"wrong"))), ErrorKind::PinIncorrect);
    flat.kms.remove(&caller, &pin(SO_PIN)).unwrap();
    assert!(flat.kms.namespaces().unwrap().is_empty());
    assert_eq!(kind(sign(&flat.kms, &user, &key, b"data")), ErrorKind::NotFound);
    let next = flat.kms.initialize(None, "flat", &pin(SO_PIN)).unwrap();
    assert_eq!((next.ordinal, next.id == flat.namespace.id), (1, false));
}

#[test]
fn two_openings_of_a_home_see_each_others_changes_at_the_next_operation() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let other = flat.another();
        let there = other.enter(&flat.namespace, 9).unwrap();
        let there = other.login(&there, &Credential::UserPin { name: "user", pin: &pin(PIN) }).unwrap();
        let key = flat.aes(&flat.user(), Storage::Stored, "shared");
        let mac = sign(&flat.kms, &flat.user(), &key, b"data").unwrap();
        assert_eq!(sign(&other, &there, &key, b"data").unwrap(), mac);

        // What the other has under way does not survive the key's disabling here.
        let mut signing = other.begin(&there, Sign { key: ObjectRef::from(&key), how: cmac() }).unwrap();
        let admin = flat.kms.administer(&flat.public(), &pin(SO_PIN)).unwrap();
        let change = |state| turned(&key, state);
        flat.kms.perform(&admin, change(KeyState::Deactivated)).unwrap();
        assert_eq!(kind(signing.finish(&[0; 0], |_| Ok(()))), ErrorKind::KeyState);
        assert_eq!(kind(sign(&other, &there, &key, b"data")), ErrorKind::KeyState);
        flat.kms.perform(&admin, change(KeyState::Active)).unwrap();
        assert_eq!(sign(&other, &there, &key, b"data").unwrap(), mac);

        other.perform(&there, Destroy { object: ObjectRef::from(&key) }).unwrap();
        assert_eq!(kind(sign(&flat.kms, &flat.user(), &key, b"data")), ErrorKind::NotFound);
        let second = other.initialize(None, "second", &pin(SO_PIN)).unwrap();
        assert_eq!(flat.kms.namespaces().unwrap()[1], second);
    }
}
