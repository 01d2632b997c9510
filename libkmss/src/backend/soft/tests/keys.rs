//! Generation, sealing, check values, export, the cache, randomness.

use std::sync::Arc;

use super::lab::{Lab, hex};
use crate::backend::Backend;
use crate::backend::soft::keys::Parsed;
use crate::error::ErrorKind;
use crate::key::{Body, KeyComponents, KeySpec, Object, PublicComponents};
use crate::mechanism::{Curve, EcMechanism, Hash, KeyType, MacMechanism, Mechanism, RsaMechanism};
use crate::tenant::ObjectId;

#[test]
fn rsa_pairs_have_the_size_and_exponent_asked_for() {
    let lab = Lab::new();
    for exponent in [vec![3], vec![1, 0, 1]] {
        let (private, public) = lab.pair(&KeySpec::Rsa { bits: 2048, exponent: exponent.clone() }).unwrap();
        let KeyComponents::RsaPrivate { modulus, exponent: e, .. } = lab.export(&private) else { panic!() };
        assert_eq!((modulus.len(), modulus[0] >> 7, &e), (256, 1, &exponent));
        assert_eq!(lab.export(&public), KeyComponents::Public(PublicComponents::Rsa { modulus, exponent: e }));
        assert_eq!(public.key().unwrap().versions[0].bits, 2048);
    }
    let kind =
        |bits, exponent: &[u8]| lab.pair(&KeySpec::Rsa { bits, exponent: exponent.to_vec() }).unwrap_err().kind();
    for bits in [1024, 2047, 2050, 8320, 16384] {
        assert_eq!(kind(bits, &[1, 0, 1]), ErrorKind::KeySize);
    }
    for exponent in [[].as_slice(), &[1], &[4], &[1, 0, 0, 0, 1]] {
        assert_eq!(kind(2048, exponent), ErrorKind::AttributeValue);
    }
}

#[test]
fn pairs_on_curves_export_their_scalar_and_import_to_the_same_key() {
    let lab = Lab::new();
    for curve in Curve::ALL {
        let (private, public) = lab.pair(&KeySpec::Ec(curve)).unwrap();
        let components = lab.export(&private);
        let KeyComponents::EcPrivate { curve: exported, scalar } = &components else { panic!() };
        assert_eq!((*exported, scalar.len()), (curve, curve.field_len()));
        let again = lab.import(&components).unwrap();
        let version = |object: &Arc<Object>| object.key().unwrap().versions[0].clone();
        assert_eq!(version(&again).public, version(&public).public);
        assert_eq!(version(&again).bits, curve.bits());
        assert!(version(&public).locator.is_empty());
    }
}

#[test]
fn secret_keys_have_the_lengths_of_their_type_and_check_values() {
    let lab = Lab::new();
    for (key_type, good, bad) in [
        (KeyType::Aes, vec![16, 24, 32], vec![0, 15, 64]),
        (KeyType::Sm4, vec![16], vec![0, 24]),
        (KeyType::GenericSecret, vec![1, 33, 512], vec![0]),
        (KeyType::Hmac(Hash::Sm3), vec![1, 32], vec![0]),
    ] {
        for len in good {
            let key = lab.generate(key_type, len).unwrap();
            assert_eq!(lab.bytes(&key).len(), len);
            assert_eq!(key.key().unwrap().versions[0].bits as usize, 8 * len);
            assert_eq!(key.key().unwrap().versions[0].check_value.len(), 3);
        }
        for len in bad {
            assert_eq!(lab.generate(key_type, len).unwrap_err().kind(), ErrorKind::KeySize);
        }
    }
    assert_ne!(
        lab.bytes(&lab.generate(KeyType::Aes, 32).unwrap()),
        lab.bytes(&lab.generate(KeyType::Aes, 32).unwrap())
    );
    let check_value = |key_type, key: &[u8]| lab.secret(key_type, key).key().unwrap().versions[0].check_value.clone();
    assert_eq!(check_value(KeyType::Aes, &[0; 16]), hex("66e94b"));
    assert_eq!(check_value(KeyType::GenericSecret, b"abc"), hex("a9993e"));
}

#[test]
fn a_locator_opens_only_for_its_own_object_and_unchanged() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Aes, 16).unwrap();
    let fails = |change: &dyn Fn(&mut Object)| {
        let mut moved = Object::clone(&key);
        change(&mut moved);
        lab.backend.export(&lab.on(&Arc::new(moved))).unwrap_err().kind()
    };
    let version = |object: &mut Object, f: &dyn Fn(&mut crate::key::KeyVersion)| {
        let Body::Key(key) = &mut object.body else { panic!() };
        f(&mut key.versions[0]);
    };
    assert_eq!(fails(&|o| o.id = ObjectId([8; 16])), ErrorKind::Damaged);
    assert_eq!(fails(&|o| o.private = false), ErrorKind::Damaged);
    assert_eq!(fails(&|o| version(o, &|v| v.locator[20] ^= 1)), ErrorKind::Damaged);
    assert_eq!(fails(&|o| version(o, &|v| v.locator.truncate(3))), ErrorKind::Damaged);
    let Body::Key(plain) = &key.body else { panic!() };
    assert!(!plain.versions[0].locator.windows(16).any(|w| w == lab.bytes(&key)));
}

#[test]
fn a_private_key_whose_record_claims_another_public_key_is_refused() {
    let lab = Lab::new();
    for spec in Curve::ALL.map(KeySpec::Ec) {
        let (a, _) = lab.pair(&spec).unwrap();
        let (b, _) = lab.pair(&spec).unwrap();
        let mut swapped = Object::clone(&a);
        let Body::Key(key) = &mut swapped.body else { panic!() };
        key.versions[0].public = b.key().unwrap().versions[0].public.clone();
        let error = lab.backend.export(&lab.on(&Arc::new(swapped))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }
}

#[test]
fn private_objects_need_the_private_domain_key() {
    let mut lab = Lab::new();
    let key = lab.generate(KeyType::Aes, 16).unwrap();
    let mut ring = crate::key::Keyring::clone(&lab.caller.keyring);
    ring.private = None;
    lab.caller = lab.caller.with(|parts| parts.keyring = Arc::new(ring));
    assert_eq!(lab.backend.export(&lab.on(&key)).unwrap_err().kind(), ErrorKind::NotLoggedIn);
    assert_eq!(lab.generate(KeyType::Aes, 16).unwrap_err().kind(), ErrorKind::NotLoggedIn);
}

#[test]
fn a_key_is_parsed_once_and_kept_beside_its_record() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::GenericSecret, 32).unwrap();
    let kept = || key.key().unwrap().versions[0].cache.get::<Parsed>(crate::os::epoch());
    assert!(kept().is_none());
    let mac = Mechanism::Mac(MacMechanism::Hmac { hash: Hash::Sha256, len: 32 });
    lab.sign(&key, &mac, b"m").unwrap();
    let first = kept().unwrap();
    lab.sign(&key, &mac, b"m").unwrap();
    assert!(std::ptr::eq(first, kept().unwrap()));
}

#[test]
fn one_parsed_key_serves_many_threads() {
    let lab = Lab::new();
    let (rsa, _) = lab.pair(&KeySpec::Rsa { bits: 2048, exponent: vec![1, 0, 1] }).unwrap();
    let (ec, _) = lab.pair(&KeySpec::Ec(Curve::P256)).unwrap();
    let hmac = lab.generate(KeyType::GenericSecret, 32).unwrap();
    let jobs = [
        (&rsa, Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha256))),
        (&ec, Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(Hash::Sha256) })),
        (&hmac, Mechanism::Mac(MacMechanism::Hmac { hash: Hash::Sha256, len: 32 })),
    ];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (key, mechanism) in &jobs {
                    for round in 0..5_u8 {
                        let signature = lab.sign(key, mechanism, &[round]).unwrap();
                        lab.verify(key, mechanism, &[round], &signature).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn random_bytes_differ_and_seeds_are_refused() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Aes, 16).unwrap();
    let permit = lab.on(&key);
    let (mut a, mut b) = ([0; 32], [0; 32]);
    lab.backend.random(&permit, &mut a).unwrap();
    lab.backend.entropy().fill(&mut b).unwrap();
    assert_ne!(a, b);
    assert_ne!(a, [0; 32]);
    assert_eq!(lab.backend.seed_random(&permit, b"seed").unwrap_err().kind(), ErrorKind::Unsupported);
    lab.backend.destroy(&permit).unwrap();
}
