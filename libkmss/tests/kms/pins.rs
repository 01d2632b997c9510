//! PINs and logins.

use super::*;
use libkmss::caller::Login;
use libkmss::key::KeyState;
use libkmss::kms::Holder;
use libkmss::operation::Destroy;

#[test]
fn wrong_pins_are_counted_lock_the_user_and_a_right_one_starts_anew() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let state = || flat.kms.credential_state(&flat.namespace, Holder::User("user")).unwrap();
        assert_eq!(kind(flat.try_login(b"wrong-1")), ErrorKind::PinIncorrect);
        assert_eq!(kind(flat.try_login(b"wrong-2")), ErrorKind::PinIncorrect);
        assert_eq!((state().failures, state().remaining), (2, 1));
        flat.user();
        assert_eq!((state().failures, state().remaining), (0, 3));
        for _ in 0..3 {
            assert!(flat.try_login(b"wrong-3").is_err());
        }
        assert_eq!(kind(flat.try_login(PIN)), ErrorKind::PinLocked);
        // Another process knows.
        let other = flat.another();
        let caller = other.enter(&flat.namespace, 2).unwrap();
        let right = other.login(&caller, &Credential::UserPin { name: "user", pin: &pin(PIN) });
        assert_eq!(kind(right), ErrorKind::PinLocked);
    }
}

#[test]
fn a_pin_that_the_security_officer_sets_anew_opens_every_object_of_before() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let key = flat.aes(&flat.user(), Storage::Stored, "kept");
        let mac = sign(&flat.kms, &flat.user(), &key, b"data").unwrap();
        for _ in 0..3 {
            assert!(flat.try_login(b"wrong").is_err());
        }
        flat.kms.set_user_pin(&flat.officer(), "user", &pin(b"another-1")).unwrap();
        let user = flat.try_login(b"another-1").unwrap();
        assert_eq!(sign(&flat.kms, &user, &key, b"data").unwrap(), mac);
        assert_eq!(kind(flat.try_login(PIN)), ErrorKind::PinIncorrect);
        flat.kms.change_pin(&flat.public(), Holder::User("user"), &pin(b"another-1"), &pin(PIN)).unwrap();
        assert_eq!(sign(&flat.kms, &flat.user(), &key, b"data").unwrap(), mac);
    }
}

#[test]
fn nobody_but_the_security_officer_gives_pins() {
    let flat = Flat::new(Suite::Nist);
    for caller in [flat.public(), flat.user()] {
        assert_eq!(kind(flat.kms.set_user_pin(&caller, "user", &pin(b"stolen-1"))), ErrorKind::NotLoggedIn);
    }
    assert_eq!(kind(flat.kms.set_user_pin(&flat.officer(), "user", &pin(b"abc"))), ErrorKind::PinInvalid);
    flat.user();
}

#[test]
fn private_objects_are_seen_between_login_and_logout_and_never_by_the_security_officer() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let user = flat.user();
        let key = flat.aes(&user, Storage::Stored, "private");
        assert_eq!(user.login, Login::User("user".into()));
        assert_eq!(kind(sign(&flat.kms, &flat.public(), &key, b"data")), ErrorKind::NotFound);
        assert_eq!(kind(sign(&flat.kms, &flat.officer(), &key, b"data")), ErrorKind::NotFound);
        let out = flat.kms.logout(&user).unwrap();
        assert_eq!((out.login.clone(), out.keyring.private.is_none()), (Login::None, true));
        assert_eq!(kind(sign(&flat.kms, &out, &key, b"data")), ErrorKind::NotFound);
        assert!(flat.kms.key(&out, "private", KeyClass::Secret).unwrap().is_none());
    }
}

#[test]
fn the_administrator_disables_and_destroys_private_keys_without_using_them() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let user = flat.user();
        let key = flat.aes(&user, Storage::Stored, "web");
        assert_eq!(kind(flat.kms.administer(&flat.public(), &pin(b"wrong"))), ErrorKind::PinIncorrect);
        let admin = flat.kms.administer(&flat.public(), &pin(SO_PIN)).unwrap();
        assert_eq!(kind(sign(&flat.kms, &admin, &key, b"data")), ErrorKind::Denied);
        let change = |state| turned(&key, state);
        assert_eq!(kind(flat.kms.perform(&user, change(KeyState::Suspended))), ErrorKind::Denied);
        flat.kms.perform(&admin, change(KeyState::Deactivated)).unwrap();
        assert_eq!(kind(sign(&flat.kms, &user, &key, b"data")), ErrorKind::KeyState);
        flat.kms.perform(&admin, change(KeyState::Active)).unwrap();
        sign(&flat.kms, &user, &key, b"data").unwrap();
        flat.kms.perform(&admin, Destroy { object: ObjectRef::from(&key) }).unwrap();
        assert_eq!(kind(sign(&flat.kms, &user, &key, b"data")), ErrorKind::NotFound);
    }
}
