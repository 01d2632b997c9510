//! Settings of a namespace, its users, and operations that their user confirms.

use super::*;
use libkmss::backend::Signing;
use libkmss::caller::Login;
use libkmss::error::ErrorClass;
use libkmss::key::{BackendId, Body};
use libkmss::mechanism::CipherMode;
use libkmss::operation::{Copy, Encrypt, Unwrap, Update};
use libkmss::pipeline::Unfinished;
use libkmss::settings::{Settings, VendorProfile, Weaknesses};

fn ecb() -> Chosen {
    Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb).into()
}

fn finish(signing: &mut Unfinished<Box<dyn Signing>>) -> Result<()> {
    signing.finish(&[0; 4], |running| {
        running.update(b"data")?;
        let mut out = vec![0; running.signature_len()];
        running.finish(&mut out).map(drop)
    })
}

#[test]
fn what_settings_forbid_is_refused_from_the_next_operation_in_every_process() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = flat.aes(&user, Storage::Stored, "key");
    let other = flat.another();
    let there =
        other.login(&other.enter(&flat.namespace, 2).unwrap(), &Credential::UserPin { name: "user", pin: &pin(PIN) });
    let there = there.unwrap();
    let encrypt =
        |kms: &Kms, caller: &Caller| kms.begin(caller, Encrypt { key: ObjectRef::from(&key), how: ecb() }).map(drop);
    encrypt(&flat.kms, &user).unwrap();
    encrypt(&other, &there).unwrap();
    let forbid: Weaknesses = "ecb".parse().unwrap();
    let next = flat.kms.configure(&flat.officer(), Settings { forbid, ..Settings::default() }).unwrap();
    assert_eq!(kind(encrypt(&flat.kms, &user)), ErrorKind::MechanismUnsupported);
    assert_eq!(kind(encrypt(&other, &there)), ErrorKind::MechanismUnsupported);
    assert_eq!(flat.kms.settings(&flat.namespace).unwrap().forbid, forbid);
    let officer = flat.kms.login(&flat.kms.enter(&next, 1).unwrap(), &Credential::OfficerPin(&pin(SO_PIN))).unwrap();
    flat.kms.configure(&officer, Settings::default()).unwrap();
    encrypt(&other, &there).unwrap();
}

#[test]
fn nobody_but_the_security_officer_changes_settings_or_users() {
    let flat = Flat::new(Suite::Nist);
    let wanted = Settings { profile: VendorProfile::Sansec, ..Settings::default() };
    for caller in [flat.public(), flat.user()] {
        assert_eq!(kind(flat.kms.configure(&caller, wanted)), ErrorKind::NotLoggedIn);
        assert_eq!(kind(flat.kms.add_user(&caller, "eve", &pin(b"eve-1234"))), ErrorKind::NotLoggedIn);
        assert_eq!(kind(flat.kms.remove_user(&caller, "user")), ErrorKind::NotLoggedIn);
        assert_eq!(kind(flat.kms.unlock_user(&caller, "user")), ErrorKind::NotLoggedIn);
    }
    let pinless = Settings { pinless: true, ..Settings::default() };
    assert_eq!(kind(flat.kms.configure(&flat.officer(), pinless)), ErrorKind::Arguments);
    // Whoever read the namespace before somebody changed it is told so.
    let (first, second) = (flat.officer(), flat.officer());
    flat.kms.configure(&first, wanted).unwrap();
    assert_eq!(kind(flat.kms.configure(&second, Settings::default())), ErrorKind::Conflict);
}

#[test]
fn a_key_that_asks_each_time_computes_nothing_before_its_user_confirmed_that_operation() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let mut draft = flat.draft(Storage::Stored, "asks");
    draft.protection.always_authenticate = true;
    let spec = KeySpec::Secret { key_type: KeyType::Aes, len: 32 };
    let key = flat.kms.perform(&user, GenerateSecret { spec, draft }).unwrap();
    let begin = || flat.kms.begin(&user, Sign { key: ObjectRef::from(&key), how: cmac() }).unwrap();
    let mut unconfirmed = begin();
    assert!(unconfirmed.awaits_confirmation());
    assert_eq!(kind(unconfirmed.update(&[0; 4], |running| running.update(b"data"))), ErrorKind::NotLoggedIn);
    assert_eq!(kind(finish(&mut unconfirmed)), ErrorKind::OperationInactive, "the refusal ended it");

    let (mut first, mut second) = (begin(), begin());
    assert_eq!(kind(flat.kms.confirm(&user, &pin(b"wrong-pin"))), ErrorKind::PinIncorrect);
    first.confirm(flat.kms.confirm(&user, &pin(PIN)).unwrap()).unwrap();
    finish(&mut first).unwrap();
    assert_eq!(kind(finish(&mut second)), ErrorKind::NotLoggedIn, "one confirmation is for one operation");

    // Somebody else's confirmation is none, and what ends as it begins cannot be confirmed.
    flat.kms.add_user(&flat.officer(), "alice", &pin(b"alice-123")).unwrap();
    let alice = Credential::UserPin { name: "alice", pin: &pin(b"alice-123") };
    let alice = flat.kms.login(&flat.public(), &alice).unwrap();
    let mut third = begin();
    let foreign = flat.kms.confirm(&alice, &pin(b"alice-123")).unwrap();
    assert_eq!(kind(third.confirm(foreign)), ErrorKind::NotLoggedIn);
    let draft = flat.draft(Storage::Ephemeral, "new");
    let expected = libkmss::operation::Expected { key_type: KeyType::Aes, len: None };
    let how: Chosen = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad).into();
    let unwrap = Unwrap { unwrapping: ObjectRef::from(&key), how, wrapped: vec![0; 24].into(), expected, draft };
    let refused = flat.kms.perform(&user, unwrap);
    assert_eq!(kind(refused), ErrorKind::NotLoggedIn);
    assert_eq!(kind(flat.kms.confirm(&flat.public(), &pin(PIN))), ErrorKind::NotLoggedIn);
}

#[test]
fn no_key_wraps_and_decrypts_where_the_two_are_kept_apart() {
    let flat = Flat::new(Suite::Nist);
    let before = flat.aes(&flat.user(), Storage::Stored, "before");
    let apart = Settings { separate_wrap_and_decrypt: true, ..Settings::default() };
    flat.kms.configure(&flat.officer(), apart).unwrap();
    let user = flat.user();
    for storage in [Storage::Stored, Storage::Ephemeral] {
        let spec = KeySpec::Secret { key_type: KeyType::Aes, len: 32 };
        let both = GenerateSecret { spec: spec.clone(), draft: flat.draft(storage, "both") };
        assert_eq!(kind(flat.kms.perform(&user, both)), ErrorKind::TemplateInconsistent);
        let mut draft = flat.draft(storage, "one");
        draft.usage = draft.usage.without_wrap();
        let one = flat.kms.perform(&user, GenerateSecret { spec, draft }).unwrap();
        let mut changed = Object::clone(&one);
        let Body::Key(key) = &mut changed.body else { panic!() };
        key.usage.wrap = true;
        let update = Update { current: ObjectRef::from(&one), object: changed };
        assert_eq!(kind(flat.kms.perform(&user, update)), ErrorKind::TemplateInconsistent);
    }
    let copy = Copy { source: ObjectRef::from(&before), draft: flat.draft(Storage::Stored, "copy") };
    assert_eq!(kind(flat.kms.perform(&user, copy)), ErrorKind::TemplateInconsistent);
    // The key from before works on, and its label may change.
    sign(&flat.kms, &user, &before, b"data").unwrap();
    let renamed = Object { label: b"renamed".to_vec(), ..Object::clone(&before) };
    flat.kms.perform(&user, Update { current: ObjectRef::from(&before), object: renamed }).unwrap();
}

#[test]
fn users_come_and_go_and_the_objects_stay() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let key = flat.aes(&flat.user(), Storage::Stored, "kept");
        let mac = sign(&flat.kms, &flat.user(), &key, b"data").unwrap();
        let officer = flat.officer();
        flat.kms.add_user(&officer, "alice", &pin(b"alice-123")).unwrap();
        assert_eq!(kind(flat.kms.add_user(&officer, "alice", &pin(b"other-123"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(flat.kms.add_user(&officer, "so", &pin(b"other-123"))), ErrorKind::Arguments);
        assert_eq!(flat.kms.users(&flat.namespace).unwrap(), ["alice", "user"]);
        let login =
            |bytes: &[u8]| flat.kms.login(&flat.public(), &Credential::UserPin { name: "alice", pin: &pin(bytes) });
        let alice = login(b"alice-123").unwrap();
        assert_eq!(sign(&flat.kms, &alice, &key, b"data").unwrap(), mac);
        assert!(alice.principal.name.starts_with("user:alice@"), "{}", alice.principal.name);
        for _ in 0..3 {
            assert!(login(b"wrong-pin").is_err());
        }
        assert_eq!(kind(login(b"alice-123")), ErrorKind::PinLocked);
        flat.user();
        flat.kms.unlock_user(&officer, "alice").unwrap();
        login(b"alice-123").unwrap();
        flat.kms.remove_user(&officer, "alice").unwrap();
        assert_eq!(kind(login(b"alice-123")), ErrorKind::PinIncorrect);
        assert_eq!(kind(flat.kms.remove_user(&officer, "alice")), ErrorKind::NotFound);
        assert_eq!(sign(&flat.kms, &flat.user(), &key, b"data").unwrap(), mac);
    }
}

#[test]
fn a_namespace_without_pins_is_open_to_whoever_opens_the_home_and_to_no_officer() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let settings = Settings { pinless: true, ..Settings::default() };
        let open = flat.kms.initialize_with(None, "open", &pin(SO_PIN), (settings, BackendId::soft())).unwrap();
        let anybody = flat.kms.enter(&open, 1).unwrap();
        assert!(anybody.uses_private() && anybody.login == Login::None);
        let key = flat.aes(&anybody, Storage::Stored, "free");
        let mac = sign(&flat.kms, &anybody, &key, b"data").unwrap();
        let other = flat.another();
        assert_eq!(sign(&other, &other.enter(&open, 2).unwrap(), &key, b"data").unwrap(), mac);
        let user = Credential::UserPin { name: "user", pin: &pin(b"anything") };
        let user = flat.kms.login(&anybody, &user).unwrap();
        assert_eq!(user.login, Login::User("user".into()));
        assert!(flat.kms.logout(&user).unwrap().uses_private());
        let stranger = Credential::UserPin { name: "mallory", pin: &pin(b"anything") };
        assert_eq!(kind(flat.kms.login(&anybody, &stranger)), ErrorKind::PinIncorrect);
        let officer = flat.kms.login(&anybody, &Credential::OfficerPin(&pin(SO_PIN))).unwrap();
        assert!(!officer.uses_private());
        assert_eq!(sign(&flat.kms, &officer, &key, b"data").unwrap_err().kind().class(), ErrorClass::Existence);
        assert_eq!(kind(flat.kms.set_user_pin(&officer, "user", &pin(PIN))), ErrorKind::ActionProhibited);
        let manager = flat.kms.administer(&anybody, &pin(SO_PIN)).unwrap();
        assert_eq!(kind(sign(&flat.kms, &manager, &key, b"data")), ErrorKind::Denied);
    }
}

#[test]
fn a_namespace_made_with_pins_is_not_opened_by_a_record_that_says_otherwise() {
    let flat = Flat::new(Suite::Nist);
    let mut claimed = flat.namespace.clone();
    claimed.settings.pinless = true;
    assert_eq!(kind(flat.kms.enter(&claimed, 1)), ErrorKind::Damaged);
}
