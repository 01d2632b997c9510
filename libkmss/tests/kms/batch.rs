//! Many uses at once: each decided, recorded and answered by itself.

use libkmss::key::Transition;
use libkmss::kms::{BatchItem, BatchOutcome};
use libkmss::mechanism::{EncryptionContext, Native, NativeAlgorithm};

use super::*;

fn native() -> Native {
    Native { algorithm: NativeAlgorithm::Aes256Gcm, context: EncryptionContext::default() }
}

#[test]
fn each_item_has_a_result_and_a_record_of_its_own() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let (good, off) = (flat.aes(&user, Storage::Stored, "good"), flat.aes(&user, Storage::Stored, "off"));
    let officer = flat.kms.administer(&flat.public(), &pin(SO_PIN)).unwrap();
    flat.kms.change_life(&officer, ObjectRef::from(&off), &Transition::Disable).unwrap();
    let user = flat.user();
    let (key, dead) = (ObjectRef::from(&good), ObjectRef::from(&off));
    let sign = |key: &ObjectRef| BatchItem::Sign { key: key.clone(), how: cmac(), message: b"message" };
    let encrypt =
        |key: &ObjectRef, plaintext| BatchItem::EncryptMessage { key: key.clone(), native: native(), plaintext };
    let first = [sign(&key), sign(&dead), encrypt(&key, b"secret"), encrypt(&dead, b"secret"), sign(&key)];
    let done = flat.kms.batch(&user, &first).unwrap();
    let kinds: Vec<_> = done.iter().map(|one| one.as_ref().err().map(|e| e.kind())).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::KeyState), None, Some(ErrorKind::KeyState), None]);
    let Ok(BatchOutcome::Signature(mac)) = &done[0] else { panic!("{done:?}") };
    let Ok(BatchOutcome::Ciphertext(ciphertext)) = &done[2] else { panic!("{done:?}") };
    assert_eq!(done[0].as_ref().ok(), done[4].as_ref().ok());
    let verify = |signature| BatchItem::Verify { key: key.clone(), how: cmac(), message: b"message", signature };
    let decrypt = |ciphertext| BatchItem::DecryptMessage { ciphertext, context: EncryptionContext::default() };
    let done = flat.kms.batch(&user, &[verify(mac), verify(&[0; 16]), decrypt(ciphertext), decrypt(mac)]).unwrap();
    assert_eq!(done[0].as_ref().unwrap(), &BatchOutcome::Holds);
    assert_eq!(done[1].as_ref().unwrap_err().kind(), ErrorKind::SignatureInvalid);
    let Ok(BatchOutcome::Plaintext(plaintext)) = &done[2] else { panic!("{done:?}") };
    assert_eq!(plaintext.as_slice(), b"secret");
    assert_eq!(done[3].as_ref().unwrap_err().kind(), ErrorKind::EncryptedDataInvalid);
}

#[test]
fn a_batch_that_is_too_large_does_nothing() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = ObjectRef::from(&flat.aes(&user, Storage::Stored, "k"));
    let item = |message| BatchItem::Sign { key: key.clone(), how: cmac(), message };
    let many: Vec<_> = (0..=Kms::BATCH_ITEMS).map(|_| item(b"")).collect();
    assert_eq!(flat.kms.batch(&user, &many).unwrap_err().kind(), ErrorKind::Arguments);
    assert_eq!(flat.kms.batch(&user, &many[1..]).unwrap().len(), Kms::BATCH_ITEMS);
    let half = vec![0; Kms::BATCH_BYTES / 2 + 1];
    assert_eq!(flat.kms.batch(&user, &[item(&half), item(&half)]).unwrap_err().kind(), ErrorKind::DataLength);
    assert!(flat.kms.batch(&user, &[]).unwrap().is_empty());
}

fn asked(flat: &Flat, name: &str) -> GenerateSecret {
    let draft = Draft { name: name.into(), ..flat.draft(Storage::Stored, name) };
    GenerateSecret { spec: KeySpec::Secret { key_type: KeyType::Aes, len: 32 }, draft }
}

#[test]
fn many_keys_are_made_at_once_each_with_an_end_of_its_own() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    flat.kms.perform(&user, asked(&flat, "taken")).unwrap();
    let again = asked(&flat, "again");
    let twice = GenerateSecret { draft: Draft { id: again.draft.id, ..again.draft.clone() }, ..asked(&flat, "again") };
    let mut wrong = asked(&flat, "wrong");
    wrong.spec = KeySpec::Secret { key_type: KeyType::Aes, len: 7 };
    let mut all = vec![asked(&flat, "same"), wrong, asked(&flat, "same"), asked(&flat, "taken"), again, twice];
    all.extend((0..70).map(|number| asked(&flat, &format!("many-{number}"))));
    let made = flat.kms.make_each(&user, all).unwrap();
    let names: Vec<_> = made.iter().take(6).map(|one| one.as_ref().map(|key| name(key).to_owned()).ok()).collect();
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(names, [named("same"), None, named("same-2"), named("taken-2"), named("again"), None]);
    assert_eq!(made[1].as_ref().unwrap_err().kind(), ErrorKind::KeySize);
    assert_eq!(made[5].as_ref().unwrap_err().kind(), ErrorKind::AlreadyExists);
    // They are there for another process, and work.
    let other = flat.another();
    let caller = other.enter(&user.namespace, 0).unwrap();
    let caller = other.login(&caller, &Credential::UserPin { name: "user", pin: &pin(PIN) }).unwrap();
    for number in [0, 63, 64, 69] {
        let key = other.key(&caller, &format!("many-{number}"), KeyClass::Secret).unwrap().unwrap();
        assert_eq!(sign(&other, &caller, &key, b"data").unwrap().len(), 16);
    }
    // The records are those of keys that are made alone: what is to be, and what became of it.
    let told = super::trail::told(&flat.config);
    let count = |wanted: &str| told.iter().filter(|(action, end, _)| action == "generate" && end == wanted).count();
    assert_eq!((count("intent"), count("success"), count("failed")), (77, 75, 2));
    assert!(told.contains(&("generate".into(), "success".into(), "many-69".into())));
}

#[test]
fn more_keys_than_are_made_at_once_are_not_made() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let too_many = (0..=Kms::MAKE_ITEMS).map(|number| asked(&flat, &format!("k-{number}"))).collect();
    assert_eq!(flat.kms.make_each(&user, too_many).unwrap_err().kind(), ErrorKind::Arguments);
    assert!(flat.kms.key(&user, "k-0", KeyClass::Secret).unwrap().is_none());
    assert!(flat.kms.make_each::<GenerateSecret>(&user, Vec::new()).unwrap().is_empty());
}
