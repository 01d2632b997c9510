//! Business keys, found by the id that a ciphertext names.

use libkmss::compat::Application;
use libkmss::key::KeyComponents;
use libkmss::kms::BusinessForm;
use libkmss::operation::{Copy, Import};

use super::*;

const ID: [u8; 8] = [0, 0, 0, 0, 0, 0, 1, 0xc5];

fn draft(flat: &Flat, name: &str) -> Draft {
    let usage = Usage { wrap: false, unwrap: false, ..Usage::all_for(KeyType::Sm4, KeyClass::Secret) };
    Draft { name: name.into(), identifier: ID.to_vec(), usage, ..flat.draft(Storage::Stored, name) }
}

fn imported(flat: &Flat, user: &Caller, name: &str) -> Arc<Object> {
    let components = KeyComponents::Secret { key_type: KeyType::Sm4, value: Secret::copy_of(&[7; 16]) };
    flat.kms.perform(user, Import { components, draft: draft(flat, name) }).unwrap()
}

fn copied(flat: &Flat, user: &Caller, source: &Arc<Object>, draft: Draft) -> Arc<Object> {
    flat.kms.perform(user, Copy { source: ObjectRef::from(source), draft }).unwrap()
}

#[test]
fn keys_of_one_id_are_one_key_only_where_their_records_say_so() {
    let flat = Flat::new(Suite::Gm);
    let user = flat.user();
    let first = imported(&flat, &user, "first");
    let application = Application::parse("11015000").unwrap();
    let forms = [BusinessForm::Long(application), BusinessForm::Short(1)];
    let made = forms.map(|form| flat.kms.encrypt_business(&user, &first, form, b"attack at dawn").unwrap());
    let opened = || {
        made.each_ref().map(|text| match flat.kms.decrypt_compat(&user, text.as_bytes(), None) {
            Ok(plaintext) => Ok(plaintext.to_vec()),
            Err(e) => Err(e.kind()),
        })
    };
    let [good, refused] = [Ok(b"attack at dawn".to_vec()), Err(ErrorKind::Arguments)];
    let copy = copied(&flat, &user, &first, draft(&flat, "copy"));
    let of_copy = copied(&flat, &user, &copy, draft(&flat, "copy of copy"));
    let in_session = Draft { storage: Storage::Ephemeral, name: String::new(), ..draft(&flat, "") };
    let in_session = copied(&flat, &user, &first, in_session);
    copied(&flat, &user, &in_session, draft(&flat, "copy of the session's"));
    assert_eq!(opened(), [good.clone(), good.clone()]);
    flat.kms.perform(&user, libkmss::operation::Destroy { object: ObjectRef::from(&of_copy) }).unwrap();
    // The same material, hence the same check value, and nothing that says that it is the same key.
    let twin = imported(&flat, &user, "twin");
    let check = |key: &Object| key.key().unwrap().primary().unwrap().check_value().into_owned();
    assert_eq!(check(&twin), check(&first));
    assert_eq!(opened(), [refused.clone(), refused]);
    flat.kms.perform(&user, libkmss::operation::Destroy { object: ObjectRef::from(&twin) }).unwrap();
    assert_eq!(opened(), [good.clone(), good]);
}

#[test]
fn of_more_keys_than_are_looked_at_none_is_taken() {
    let flat = Flat::new(Suite::Gm);
    let user = flat.user();
    let first = imported(&flat, &user, "first");
    for number in 2..=15 {
        copied(&flat, &user, &first, draft(&flat, &format!("copy {number}")));
    }
    assert!(flat.kms.business_key(&user, ID).is_ok());
    // Behind so many there may be another one.
    copied(&flat, &user, &first, draft(&flat, "copy 16"));
    assert_eq!(kind(flat.kms.business_key(&user, ID)), ErrorKind::Arguments);
}

#[test]
fn a_key_that_only_comes_from_another_is_no_copy_of_it() {
    let flat = Flat::new(Suite::Gm);
    let user = flat.user();
    let first = imported(&flat, &user, "first");
    // In the records of policies it is a copy of the key that it was derived from, or unwrapped by, and its material is another.
    let mut session = Draft { storage: Storage::Ephemeral, name: String::new(), ..draft(&flat, "") };
    session.origin = "first".into();
    let components = KeyComponents::Secret { key_type: KeyType::Sm4, value: Secret::copy_of(&[8; 16]) };
    let session = flat.kms.perform(&user, Import { components, draft: session }).unwrap();
    let kept = copied(&flat, &user, &session, draft(&flat, "kept"));
    assert_eq!(kept.key().unwrap().copy_of, ["first"]);
    assert_eq!(kind(flat.kms.business_key(&user, ID)), ErrorKind::Arguments);
    flat.kms.perform(&user, libkmss::operation::Destroy { object: ObjectRef::from(&kept) }).unwrap();
    assert_eq!(flat.kms.business_key(&user, ID).unwrap().id, first.id);
}
