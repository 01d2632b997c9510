//! Wrapping and unwrapping.

use std::sync::Arc;

use super::lab::Lab;
use crate::error::ErrorKind;
use crate::key::{KeySpec, Object};
use crate::mechanism::{
    BlockCipher, CipherMode, Ctr, Curve, DhGroup, Gcm, Hash, KeyType, Mechanism, Oaep, Pss, RsaMechanism,
};

fn cipher_modes() -> Vec<CipherMode> {
    vec![
        CipherMode::Ecb,
        CipherMode::Cbc { iv: [1; 16] },
        CipherMode::CbcPad { iv: [1; 16] },
        CipherMode::Ctr(Ctr { counter_bits: 128, block: [1; 16] }),
        CipherMode::Gcm(Gcm { iv: vec![1; 12].into(), aad: Vec::new(), tag_len: 16 }),
        CipherMode::KeyWrap { iv: [0xa6; 8] },
        CipherMode::KeyWrapPad,
    ]
}

fn oaep() -> Mechanism {
    Mechanism::Rsa(RsaMechanism::Oaep(Oaep { hash: Hash::Sha256, mgf: Hash::Sha256, label: b"label".to_vec() }))
}

fn rsa_pair(lab: &Lab) -> (Arc<Object>, Arc<Object>) {
    lab.pair(&KeySpec::Rsa { bits: 2048, exponent: vec![1, 0, 1] }).unwrap()
}

#[test]
fn secret_keys_come_back_from_every_wrapping() {
    let lab = Lab::new();
    let aes = lab.generate(KeyType::Aes, 32).unwrap();
    let sm4 = lab.generate(KeyType::Sm4, 16).unwrap();
    let (private, public) = rsa_pair(&lab);
    let mut ways: Vec<(Arc<Object>, Arc<Object>, Mechanism)> =
        vec![(public.clone(), private.clone(), Mechanism::Rsa(RsaMechanism::Pkcs)), (public, private, oaep())];
    for mode in cipher_modes() {
        ways.push((aes.clone(), aes.clone(), Mechanism::Cipher(BlockCipher::Aes, mode.clone())));
        if !matches!(mode, CipherMode::KeyWrap { .. } | CipherMode::KeyWrapPad) {
            ways.push((sm4.clone(), sm4.clone(), Mechanism::Cipher(BlockCipher::Sm4, mode)));
        }
    }
    let targets = [(KeyType::Aes, 32), (KeyType::Sm4, 16), (KeyType::GenericSecret, 48)];
    for (wrapper, unwrapper, mechanism) in ways {
        for (key_type, len) in targets {
            let target = lab.generate(key_type, len).unwrap();
            let wrapped = lab.wrap(&wrapper, &mechanism, &target).unwrap();
            for stated in [None, Some(len)] {
                let back = lab.unwrap(&unwrapper, &mechanism, &wrapped, key_type, stated).unwrap();
                assert_eq!(lab.bytes(&back), lab.bytes(&target), "{}", mechanism.name());
            }
            let other = lab.unwrap(&unwrapper, &mechanism, &wrapped, key_type, Some(len + 1)).unwrap_err();
            assert_eq!(other.kind(), ErrorKind::WrappedKeyInvalid);
        }
    }
}

#[test]
fn private_keys_come_back_from_pkcs8() {
    let lab = Lab::new();
    let wrapper = lab.generate(KeyType::Aes, 32).unwrap();
    let rsa = KeySpec::Rsa { bits: 2048, exponent: vec![1, 0, 1] };
    let dh = [DhGroup::Ffdhe2048, DhGroup::Modp3072].map(|group| KeySpec::Dh { group, private_bits: None });
    let specs = Curve::ALL.map(KeySpec::Ec).into_iter().chain([rsa]).chain(dh);
    for spec in specs {
        let (target, public) = lab.pair(&spec).unwrap();
        for mode in [
            CipherMode::CbcPad { iv: [1; 16] },
            CipherMode::KeyWrapPad,
            CipherMode::Gcm(Gcm { iv: vec![1; 12].into(), aad: Vec::new(), tag_len: 16 }),
        ] {
            let mechanism = Mechanism::Cipher(BlockCipher::Aes, mode);
            let wrapped = lab.wrap(&wrapper, &mechanism, &target).unwrap();
            let back = lab.unwrap(&wrapper, &mechanism, &wrapped, spec.key_type(), None).unwrap();
            assert_eq!(lab.export(&back), lab.export(&target));
            let wrong = if spec.key_type() == KeyType::Rsa { KeyType::Ec } else { KeyType::Rsa };
            let error = lab.unwrap(&wrapper, &mechanism, &wrapped, wrong, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WrappedKeyInvalid);
            assert_eq!(lab.wrap(&wrapper, &mechanism, &public).unwrap_err().kind(), ErrorKind::KeyNotWrappable);
        }
        for mode in [CipherMode::Ecb, CipherMode::Cbc { iv: [1; 16] }] {
            let error = lab.wrap(&wrapper, &Mechanism::Cipher(BlockCipher::Aes, mode), &target).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyNotWrappable);
        }
    }
}

#[test]
fn a_wrapped_key_that_was_changed_is_invalid_whatever_is_wrong_with_it() {
    let lab = Lab::new();
    let aes = lab.generate(KeyType::Aes, 16).unwrap();
    let (private, public) = rsa_pair(&lab);
    let target = lab.generate(KeyType::Aes, 32).unwrap();
    for (wrapper, unwrapper, mechanism) in [
        (&aes, &aes, Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrap { iv: [0xa6; 8] })),
        (&aes, &aes, Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad)),
        (&public, &private, Mechanism::Rsa(RsaMechanism::Pkcs)),
        (&public, &private, oaep()),
    ] {
        let good = lab.wrap(wrapper, &mechanism, &target).unwrap();
        let mut texts = Vec::new();
        for at in [1, 8, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let error = lab.unwrap(unwrapper, &mechanism, &bad, KeyType::Aes, Some(32)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WrappedKeyInvalid);
            texts.push(error.to_string());
        }
        // A sound wrapping of a key of another length must look the same.
        let error = lab.unwrap(unwrapper, &mechanism, &good, KeyType::Aes, Some(16)).unwrap_err();
        texts.push(error.to_string());
        texts.dedup();
        assert_eq!(texts.len(), 1);
        let short = lab.unwrap(unwrapper, &mechanism, &good[..good.len() - 1], KeyType::Aes, None).unwrap_err();
        assert_eq!(short.kind(), ErrorKind::WrappedKeyLength);
    }
}

#[test]
fn zeros_that_fill_a_block_up_are_taken_off_when_the_length_is_known() {
    let lab = Lab::new();
    let wrapper = lab.generate(KeyType::Aes, 16).unwrap();
    let ecb = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ecb);
    let filled = lab.encrypt(&wrapper, &ecb, &[vec![7; 24], vec![0; 8]].concat()).unwrap();
    let key = lab.unwrap(&wrapper, &ecb, &filled, KeyType::Aes, Some(24)).unwrap();
    assert_eq!(lab.bytes(&key), [7; 24]);
    for len in [16, 23, 33] {
        let error = lab.unwrap(&wrapper, &ecb, &filled, KeyType::GenericSecret, Some(len)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrappedKeyInvalid);
    }
}

#[test]
fn zeros_behind_a_private_key_are_no_part_of_it_but_anything_else_spoils_it() {
    let lab = Lab::new();
    let wrapper = lab.generate(KeyType::Aes, 32).unwrap();
    let (private, _) = rsa_pair(&lab);
    let kwp = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad);
    let wrapped = lab.wrap(&wrapper, &kwp, &private).unwrap();
    let der = lab.unwrap(&wrapper, &kwp, &wrapped, KeyType::GenericSecret, None).map(|k| lab.bytes(&k)).unwrap();
    let again = |behind: &[u8]| {
        let secret = lab.secret(KeyType::GenericSecret, &[der.as_slice(), behind].concat());
        let wrapped = lab.wrap(&wrapper, &kwp, &secret).unwrap();
        lab.unwrap(&wrapper, &kwp, &wrapped, KeyType::Rsa, None).map(drop).map_err(|e| e.kind())
    };
    assert_eq!(again(&[]), Ok(()));
    assert_eq!(again(&[0; 7]), Ok(()));
    for bad in [[0; 8].as_slice(), &[0, 1], &[1]] {
        assert_eq!(again(bad), Err(ErrorKind::WrappedKeyInvalid));
    }
}

#[test]
fn keys_that_do_not_fit_the_wrapping_are_refused() {
    let lab = Lab::new();
    let aes = lab.generate(KeyType::Aes, 16).unwrap();
    let (private, public) = rsa_pair(&lab);
    let short = lab.generate(KeyType::GenericSecret, 7).unwrap();
    let long = lab.generate(KeyType::GenericSecret, 300).unwrap();
    let aes_mode = |mode| Mechanism::Cipher(BlockCipher::Aes, mode);
    let kind = |key, mechanism: &Mechanism, target| lab.wrap(key, mechanism, target).unwrap_err().kind();
    assert_eq!(kind(&aes, &aes_mode(CipherMode::Ecb), &short), ErrorKind::KeyNotWrappable);
    assert_eq!(kind(&aes, &aes_mode(CipherMode::KeyWrap { iv: [0xa6; 8] }), &short), ErrorKind::KeyNotWrappable);
    assert_eq!(kind(&public, &Mechanism::Rsa(RsaMechanism::Pkcs), &long), ErrorKind::KeyNotWrappable);
    assert_eq!(kind(&public, &oaep(), &private), ErrorKind::KeyNotWrappable);
    assert_eq!(kind(&public, &aes_mode(CipherMode::KeyWrapPad), &short), ErrorKind::KeyType);
    assert_eq!(kind(&aes, &oaep(), &short), ErrorKind::KeyType);
    let pss = Pss { hash: Hash::Sha1, mgf: Hash::Sha1, salt_len: 20 };
    let pss = Mechanism::Rsa(RsaMechanism::Pss { pss, message: true });
    assert_eq!(kind(&public, &pss, &short), ErrorKind::MechanismUnsupported);
}
