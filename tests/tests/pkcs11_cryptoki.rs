//! The `cryptoki` crate, as a Rust program of any user would drive the module, through a restart as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN};
use kmss_tests::p11::lead_here;

fn start() -> Pkcs11 {
    let module = Pkcs11::new(built::module()).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    module
}

fn pin(pin: &str) -> AuthPin {
    AuthPin::new(pin.into())
}

fn user(module: &Pkcs11, slot: Slot) -> Session {
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&pin(PIN))).unwrap();
    session
}

fn slot_of(module: &Pkcs11, label: &str) -> Option<Slot> {
    let slots = module.get_slots_with_token().unwrap();
    slots.into_iter().find(|slot| module.get_token_info(*slot).is_ok_and(|info| info.label() == label))
}

fn only(session: &Session, template: &[Attribute]) -> ObjectHandle {
    let found = session.find_objects(template).unwrap();
    assert_eq!(found.len(), 1, "{template:?}");
    found[0]
}

/// A value that outlives the process: everything a restart must not change.
#[derive(Debug, PartialEq)]
struct Lasting {
    slot: u64,
    serial: String,
    identities: Vec<Vec<u8>>,
    point: Vec<u8>,
}

fn lasting(module: &Pkcs11, session: &Session) -> Lasting {
    let slot = slot_of(module, "restart").unwrap();
    let serial = module.get_token_info(slot).unwrap().serial_number().to_owned();
    let mut identities = Vec::new();
    for object in session.find_objects(&[Attribute::Token(true)]).unwrap() {
        for attribute in session.get_attributes(object, &[AttributeType::UniqueId]).unwrap() {
            if let Attribute::UniqueId(identity) = attribute {
                identities.push(identity);
            }
        }
    }
    identities.sort();
    assert!(built::stand_in() || identities.len() == 3, "every token object has an identity: {identities:?}");
    let public = only(session, &[Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(vec![1])]);
    let attributes = session.get_attributes(public, &[AttributeType::EcPoint]).unwrap();
    let [Attribute::EcPoint(point)] = attributes.as_slice() else { panic!("no point: {attributes:?}") };
    Lasting { slot: slot.id(), serial, identities, point: point.clone() }
}

#[test]
fn a_life_is_continued_after_a_restart() {
    let home = Home::new();
    lead_here(&home);
    let module = start();
    let spare = module.get_slots_with_token().unwrap().into_iter().next_back().expect("a spare slot in an empty home");
    module.init_token(spare, &pin(SO_PIN), "restart").unwrap();
    let slot = slot_of(&module, "restart").unwrap();
    let officer = module.open_rw_session(slot).unwrap();
    officer.login(UserType::So, Some(&pin(SO_PIN))).unwrap();
    officer.init_pin(&pin(PIN)).unwrap();
    drop(officer);

    let session = user(&module, slot);
    let p256 = Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let shared = [Attribute::Token(true), Attribute::Id(vec![1]), Attribute::Label(b"pair".to_vec())];
    let public = [&[p256][..], &shared].concat();
    let (public, private) = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &shared).unwrap();
    let signature = session.sign(&Mechanism::Ecdsa, private, &[1; 32]).unwrap();
    session.verify(&Mechanism::Ecdsa, public, &[1; 32], &signature).unwrap();
    let template = [
        Attribute::Token(true),
        Attribute::Label(b"secret".to_vec()),
        Attribute::ValueLen(32.into()),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    let secret = session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    let mut iv = [3; 12];
    let sealed = session
        .encrypt(&Mechanism::AesGcm(GcmParams::new(&mut iv, b"aad", 128.into()).unwrap()), secret, b"text")
        .unwrap();
    let before = lasting(&module, &session);
    drop(session);
    module.finalize().unwrap();

    let module = start();
    let slot = slot_of(&module, "restart").expect("the token is still there");
    let public_session = module.open_ro_session(slot).unwrap();
    let hidden = public_session.find_objects(&[Attribute::Label(b"secret".to_vec())]).unwrap();
    assert!(hidden.is_empty(), "a restart ends the login");
    drop(public_session);
    let session = user(&module, slot);
    assert_eq!(lasting(&module, &session), before);
    let public = only(&session, &[Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(vec![1])]);
    session.verify(&Mechanism::Ecdsa, public, &[1; 32], &signature).expect("the signature of the former life holds");
    let secret = only(&session, &[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(b"secret".to_vec())]);
    let opened = session
        .decrypt(&Mechanism::AesGcm(GcmParams::new(&mut iv, b"aad", 128.into()).unwrap()), secret, &sealed)
        .unwrap();
    assert_eq!(opened, b"text");
    session.logout().unwrap();
    match session.login(UserType::User, Some(&pin("wrong-pin"))) {
        Err(Error::Pkcs11(RvError::PinIncorrect, _)) => {}
        other => panic!("a wrong PIN gave {other:?}"),
    }
}
