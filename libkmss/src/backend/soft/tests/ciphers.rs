//! Block ciphers in their modes, apart from vectors.

use std::sync::Arc;

use super::lab::{Lab, ciphered, cuts, hex};
use crate::backend::Backend;
use crate::error::ErrorKind;
use crate::key::{KeyComponents, Object};
use crate::mechanism::{BlockCipher, Ccm, CipherMode, Ctr, Gcm, KeyType, Mechanism, Segment};
use crate::secret::Secret;

const IV: [u8; 16] = [7; 16];

fn gcm(iv: usize, tag_len: usize) -> CipherMode {
    CipherMode::Gcm(Gcm { iv: vec![3; iv].into(), aad: b"header".to_vec(), tag_len })
}

fn ccm(nonce: usize, tag_len: usize) -> CipherMode {
    CipherMode::Ccm(Ccm { nonce: vec![3; nonce], aad: b"header".to_vec(), tag_len, data_len: None })
}

/// Both ciphers in every mode, with the lengths of messages they take.
fn modes() -> Vec<(BlockCipher, CipherMode, Vec<usize>)> {
    let any: Vec<usize> = vec![0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 100];
    let blocks = vec![0, 16, 32, 48, 96];
    let mut all = Vec::new();
    for cipher in [BlockCipher::Aes, BlockCipher::Sm4] {
        all.push((cipher, CipherMode::Ecb, blocks.clone()));
        all.push((cipher, CipherMode::Cbc { iv: IV }, blocks.clone()));
        all.push((cipher, CipherMode::CbcPad { iv: IV }, any.clone()));
        all.push((cipher, CipherMode::Ctr(Ctr { counter_bits: 32, block: IV }), any.clone()));
        all.push((cipher, gcm(12, 16), any.clone()));
        all.push((cipher, gcm(12, 13), any.clone()));
    }
    all.push((BlockCipher::Aes, gcm(1, 4), any.clone()));
    all.push((BlockCipher::Aes, gcm(256, 8), any.clone()));
    all.push((BlockCipher::Aes, ccm(7, 16), any.clone()));
    all.push((BlockCipher::Aes, ccm(13, 4), any.clone()));
    for segment in [Segment::Bit, Segment::Byte, Segment::Block] {
        all.push((BlockCipher::Aes, CipherMode::Cfb { segment, iv: IV }, any.clone()));
    }
    all.push((BlockCipher::Aes, CipherMode::Ofb { iv: IV }, any));
    all.push((BlockCipher::Aes, CipherMode::CbcCs1 { iv: IV }, vec![16, 17, 31, 32, 33, 47, 48, 49, 64, 100]));
    all.push((BlockCipher::Aes, CipherMode::KeyWrap { iv: [0xa6; 8] }, vec![16, 24, 40]));
    all.push((BlockCipher::Aes, CipherMode::KeyWrapPad, vec![1, 7, 8, 9, 16, 33]));
    all
}

fn keys(lab: &Lab, cipher: BlockCipher) -> Vec<Arc<Object>> {
    match cipher {
        BlockCipher::Aes => [16, 24, 32].iter().map(|len| lab.generate(KeyType::Aes, *len).unwrap()).collect(),
        BlockCipher::Sm4 => vec![lab.generate(KeyType::Sm4, 16).unwrap()],
    }
}

#[test]
fn every_mode_decrypts_what_it_encrypted_however_it_is_cut() {
    let lab = Lab::new();
    for (cipher, mode, lengths) in modes() {
        let mechanism = Mechanism::Cipher(cipher, mode);
        for key in keys(&lab, cipher) {
            for len in &lengths {
                let plain: Vec<u8> = (0..*len).map(|i| u8::try_from(i).unwrap()).collect();
                let whole = lab.encrypt(&key, &mechanism, &plain).unwrap();
                assert_eq!(lab.decrypt(&key, &mechanism, &whole).unwrap(), plain, "{} {len}", mechanism.name());
                let permit = lab.on(&key);
                for parts in cuts(&plain) {
                    let operation = || lab.backend.encrypt(&permit, &mechanism).unwrap();
                    assert_eq!(ciphered(operation(), &parts, &[]).unwrap(), whole, "{}", mechanism.name());
                    if let Some((last, first)) = parts.split_last() {
                        assert_eq!(ciphered(operation(), first, last).unwrap(), whole);
                    }
                }
                for parts in cuts(&whole) {
                    let operation = || lab.backend.decrypt(&permit, &mechanism).unwrap();
                    assert_eq!(ciphered(operation(), &parts, &[]).unwrap(), plain, "{}", mechanism.name());
                    if let Some((last, first)) = parts.split_last() {
                        assert_eq!(ciphered(operation(), first, last).unwrap(), plain);
                    }
                }
            }
        }
    }
}

#[test]
fn a_changed_ciphertext_of_an_authenticated_mode_gives_nothing_out() {
    let lab = Lab::new();
    let modes = [
        (BlockCipher::Aes, gcm(12, 16)),
        (BlockCipher::Aes, gcm(20, 12)),
        (BlockCipher::Sm4, gcm(12, 16)),
        (BlockCipher::Aes, ccm(12, 16)),
        (BlockCipher::Aes, ccm(7, 12)),
        (BlockCipher::Aes, CipherMode::KeyWrap { iv: [0xa6; 8] }),
        (BlockCipher::Aes, CipherMode::KeyWrapPad),
    ];
    for (cipher, mode) in modes {
        let mechanism = Mechanism::Cipher(cipher, mode);
        let key = keys(&lab, cipher).remove(0);
        let good = lab.encrypt(&key, &mechanism, b"sixteen bytes ok").unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            let mut operation = lab.backend.decrypt(&lab.on(&key), &mechanism).unwrap();
            let mut out = vec![0xee; 64];
            assert_eq!(operation.update(&bad[..5], &mut out).unwrap(), 0, "nothing before the check");
            assert!(out.iter().all(|b| *b == 0xee));
            let error = operation.finish(&bad[5..], &mut out).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::EncryptedDataInvalid);
            assert!(!out.windows(4).any(|w| b"sixteen bytes ok".windows(4).any(|p| p == w)));
        }
    }
}

#[test]
fn gcm_binds_the_associated_data_and_the_iv() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Aes, 32).unwrap();
    let with = |iv: u8, aad: &[u8]| {
        Mechanism::Cipher(
            BlockCipher::Aes,
            CipherMode::Gcm(Gcm { iv: vec![iv; 12].into(), aad: aad.to_vec(), tag_len: 16 }),
        )
    };
    let sealed = lab.encrypt(&key, &with(1, b"a"), b"plain").unwrap();
    assert_eq!(lab.decrypt(&key, &with(1, b"a"), &sealed).unwrap(), b"plain");
    for other in [with(2, b"a"), with(1, b"b"), with(1, b"")] {
        assert_eq!(lab.decrypt(&key, &other, &sealed).unwrap_err().kind(), ErrorKind::EncryptedDataInvalid);
    }
    let short = lab.decrypt(&key, &with(1, b"a"), &sealed[..15]).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::EncryptedDataLength);
}

#[test]
fn a_bad_padding_and_a_wrong_key_are_the_same_error_and_give_nothing_out() {
    let lab = Lab::new();
    for cipher in [BlockCipher::Aes, BlockCipher::Sm4] {
        let key = keys(&lab, cipher).remove(0);
        let raw = Mechanism::Cipher(cipher, CipherMode::Cbc { iv: IV });
        let padded = Mechanism::Cipher(cipher, CipherMode::CbcPad { iv: IV });
        let mut messages = Vec::new();
        for last in [[0_u8; 16], [17; 16], [255; 16]] {
            let plain = [[5; 16], last].concat();
            let error = lab.decrypt(&key, &padded, &lab.encrypt(&key, &raw, &plain).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::EncryptedDataInvalid);
            messages.push(error.to_string());
        }
        let mut inner = [4; 16];
        inner[13] = 3;
        let error = lab.decrypt(&key, &padded, &lab.encrypt(&key, &raw, &inner).unwrap()).unwrap_err();
        messages.push(error.to_string());
        messages.dedup();
        assert_eq!(messages.len(), 1);
    }
}

#[test]
fn lengths_that_are_no_blocks_are_refused_by_the_direction_they_come_from() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Aes, 16).unwrap();
    let mechanism = |mode| Mechanism::Cipher(BlockCipher::Aes, mode);
    for mode in [CipherMode::Ecb, CipherMode::Cbc { iv: IV }] {
        let mechanism = mechanism(mode);
        assert_eq!(lab.encrypt(&key, &mechanism, &[0; 17]).unwrap_err().kind(), ErrorKind::DataLength);
        assert_eq!(lab.decrypt(&key, &mechanism, &[0; 17]).unwrap_err().kind(), ErrorKind::EncryptedDataLength);
    }
    for (mode, plain, wrapped) in [
        (CipherMode::CbcPad { iv: IV }, None, vec![0, 15, 17]),
        (CipherMode::KeyWrap { iv: [0xa6; 8] }, Some(vec![0, 8, 17]), vec![0, 16, 25]),
        (CipherMode::KeyWrapPad, Some(vec![0]), vec![0, 8, 17]),
    ] {
        let mechanism = mechanism(mode);
        for len in plain.unwrap_or_default() {
            assert_eq!(lab.encrypt(&key, &mechanism, &vec![0; len]).unwrap_err().kind(), ErrorKind::DataLength);
        }
        for len in wrapped {
            let error = lab.decrypt(&key, &mechanism, &vec![0; len]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::EncryptedDataLength, "{} {len}", mechanism.name());
        }
    }
}

#[test]
fn a_narrow_counter_stops_before_it_wraps() {
    let lab = Lab::new();
    for cipher in [BlockCipher::Aes, BlockCipher::Sm4] {
        let key = keys(&lab, cipher).remove(0);
        let mut block = [0xff; 16];
        block[15] = 0xfe;
        let narrow = Mechanism::Cipher(cipher, CipherMode::Ctr(Ctr { counter_bits: 8, block }));
        let wide = Mechanism::Cipher(cipher, CipherMode::Ctr(Ctr { counter_bits: 128, block }));
        let two = lab.encrypt(&key, &narrow, &[0; 32]).unwrap();
        assert_eq!(lab.encrypt(&key, &narrow, &[0; 33]).unwrap_err().kind(), ErrorKind::DataLength);
        assert_eq!(lab.decrypt(&key, &narrow, &[0; 33]).unwrap_err().kind(), ErrorKind::EncryptedDataLength);
        // All 128 bits count: the block after ff…ff is zero.
        let three = lab.encrypt(&key, &wide, &[0; 48]).unwrap();
        let ecb = Mechanism::Cipher(cipher, CipherMode::Ecb);
        assert_eq!(three[..32], two);
        assert_eq!(three[32..], lab.encrypt(&key, &ecb, &[0; 16]).unwrap());
    }
}

#[test]
fn aes_modes_give_the_vectors_of_sp_800_38a() {
    let lab = Lab::new();
    let key = lab.secret(KeyType::Aes, &hex("2b7e151628aed2a6abf7158809cf4f3c"));
    let plain = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    let iv: [u8; 16] = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    let block: [u8; 16] = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
    for (mode, expected) in [
        (CipherMode::Ecb, "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"),
        (CipherMode::Cbc { iv }, "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"),
        (
            CipherMode::Ctr(Ctr { counter_bits: 128, block }),
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
        ),
        (CipherMode::Ofb { iv }, "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"),
        (
            CipherMode::Cfb { segment: Segment::Block, iv },
            "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b",
        ),
    ] {
        assert_eq!(lab.encrypt(&key, &Mechanism::Cipher(BlockCipher::Aes, mode), &plain).unwrap(), hex(expected));
    }
}

#[test]
fn narrow_feedback_gives_the_vectors_of_sp_800_38a() {
    let lab = Lab::new();
    let key = lab.secret(KeyType::Aes, &hex("2b7e151628aed2a6abf7158809cf4f3c"));
    let iv: [u8; 16] = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    for (segment, plain, expected) in [
        (Segment::Bit, "6bc1", "68b3"),
        (Segment::Byte, "6bc1bee22e409f96e93d7e117393172aae2d", "3b79424c9c0dd436bace9e0ed4586a4f32b9"),
    ] {
        let mechanism = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cfb { segment, iv });
        assert_eq!(lab.encrypt(&key, &mechanism, &hex(plain)).unwrap(), hex(expected), "{}", mechanism.name());
        assert_eq!(lab.decrypt(&key, &mechanism, &hex(expected)).unwrap(), hex(plain), "{}", mechanism.name());
    }
}

#[test]
fn stealing_is_variant_cs1_of_the_addendum_to_sp_800_38a() {
    // The plaintexts and keys of RFC 3962, appendix B, whose variant (CS3) swaps the last two blocks.
    let lab = Lab::new();
    let key = lab.secret(KeyType::Aes, b"chicken teriyaki");
    let text = b"I would like the General Gau's Chicken, please, and wonton soup.";
    let mechanism = Mechanism::Cipher(BlockCipher::Aes, CipherMode::CbcCs1 { iv: [0; 16] });
    let cbc = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Cbc { iv: [0; 16] });
    for (len, swapped) in [
        (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
        (31, "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"),
        (47, "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e39312523a78662d5be7fcbcc98ebf5"),
    ] {
        let swapped = hex(swapped);
        let (front, rest) = (len - len % 16 - 16, len % 16);
        let expected = [&swapped[..front], &swapped[len - rest..], &swapped[front..len - rest]].concat();
        assert_eq!(lab.encrypt(&key, &mechanism, &text[..len]).unwrap(), expected, "{len}");
        assert_eq!(lab.decrypt(&key, &mechanism, &expected).unwrap(), text[..len], "{len}");
    }
    for len in [16, 32, 64] {
        let plain = lab.encrypt(&key, &cbc, &text[..len]).unwrap();
        assert_eq!(lab.encrypt(&key, &mechanism, &text[..len]).unwrap(), plain, "whole blocks are plain CBC");
    }
    assert_eq!(lab.encrypt(&key, &mechanism, &text[..15]).unwrap_err().kind(), ErrorKind::DataLength);
    assert_eq!(lab.decrypt(&key, &mechanism, &text[..15]).unwrap_err().kind(), ErrorKind::EncryptedDataLength);
}

#[test]
fn a_message_of_ccm_has_the_length_that_was_announced() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Aes, 32).unwrap();
    let announced = |data_len| {
        let ccm = Ccm { nonce: vec![1; 13], aad: Vec::new(), tag_len: 8, data_len: Some(data_len) };
        Mechanism::Cipher(BlockCipher::Aes, CipherMode::Ccm(ccm))
    };
    let sealed = lab.encrypt(&key, &announced(5), b"hello").unwrap();
    assert_eq!(lab.decrypt(&key, &announced(5), &sealed).unwrap(), b"hello");
    assert_eq!(lab.encrypt(&key, &announced(4), b"hello").unwrap_err().kind(), ErrorKind::DataLength);
    assert_eq!(lab.decrypt(&key, &announced(6), &sealed).unwrap_err().kind(), ErrorKind::EncryptedDataLength);
    // A nonce of 13 bytes leaves two for the length.
    let error = lab.backend.encrypt(&lab.on(&key), &announced(1 << 16)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::MechanismParameter);
    let long = Mechanism::Cipher(BlockCipher::Aes, ccm(13, 8));
    assert_eq!(lab.encrypt(&key, &long, &vec![0; 1 << 16]).unwrap_err().kind(), ErrorKind::DataLength);
}

#[test]
fn a_context_that_served_one_message_serves_the_next() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::Aes, 32).unwrap();
    let with = |mode| Mechanism::Cipher(BlockCipher::Aes, mode);
    let mechanisms = [
        with(CipherMode::Cbc { iv: IV }),
        with(CipherMode::Ctr(Ctr { counter_bits: 128, block: IV })),
        with(CipherMode::Cfb { segment: Segment::Block, iv: IV }),
        with(CipherMode::Ecb),
    ];
    let first: Vec<_> = mechanisms.iter().map(|m| lab.encrypt(&key, m, &[7; 48]).unwrap()).collect();
    for (mechanism, expected) in mechanisms.iter().zip(&first) {
        // One that was left in the middle, two at once, and the other direction in between.
        let mut abandoned = lab.backend.encrypt(&lab.on(&key), mechanism).unwrap();
        abandoned.update(&[1; 21], &mut [0; 32]).unwrap();
        assert_eq!(lab.encrypt(&key, mechanism, &[7; 48]).unwrap(), *expected);
        drop(abandoned);
        assert_eq!(lab.encrypt(&key, mechanism, &[7; 48]).unwrap(), *expected);
        assert_eq!(lab.decrypt(&key, mechanism, expected).unwrap(), [7; 48]);
        assert_eq!(lab.encrypt(&key, mechanism, &[7; 48]).unwrap(), *expected);
    }
}

#[test]
fn a_tag_may_lie_apart_from_its_text() {
    let lab = Lab::new();
    let aes = lab.generate(KeyType::Aes, 32).unwrap();
    let sm4 = lab.generate(KeyType::Sm4, 16).unwrap();
    let text = b"a message of some length";
    for (key, cipher, mode, tag_len) in [
        (&aes, BlockCipher::Aes, gcm(12, 16), 16),
        (&aes, BlockCipher::Aes, gcm(12, 12), 12),
        (&aes, BlockCipher::Aes, ccm(12, 8), 8),
        (&sm4, BlockCipher::Sm4, gcm(12, 13), 13),
    ] {
        let mechanism = Mechanism::Cipher(cipher, mode);
        let joined = lab.encrypt(key, &mechanism, text).unwrap();
        for cut in [0, 5, text.len()] {
            let mut operation = lab.backend.encrypt(&lab.on(key), &mechanism).unwrap();
            let (mut out, mut tag) = ([0; 64], vec![0; tag_len]);
            let done = operation.update(&text[..cut], &mut out).unwrap();
            assert_eq!(operation.apart_len(text.len() - cut), text.len() - done);
            let last = operation.finish_apart(&text[cut..], &mut out[done..], &mut tag).unwrap();
            assert_eq!([&out[..done + last], &tag].concat(), joined);

            let mut operation = lab.backend.decrypt(&lab.on(key), &mechanism).unwrap();
            let mut plain = [0; 64];
            operation.update(&out[..cut], &mut plain).unwrap();
            let len = operation.finish_apart(&out[cut..text.len()], &mut plain, &mut tag).unwrap();
            assert_eq!(plain[..len], text[..]);
            tag[0] ^= 1;
            let mut operation = lab.backend.decrypt(&lab.on(key), &mechanism).unwrap();
            let error = operation.finish_apart(&out[..text.len()], &mut plain, &mut tag).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::EncryptedDataInvalid);
            assert!(!plain.windows(7).any(|w| w == b"message"));
        }
    }
}

#[test]
fn a_data_unit_of_xts_has_bounds_and_two_different_keys() {
    let lab = Lab::new();
    let key = lab.generate(KeyType::AesXts, 64).unwrap();
    let mechanism = Mechanism::Cipher(BlockCipher::Aes, CipherMode::Xts { tweak: [1; 16] });
    for len in [16, 17, 31, 32, 4096, 1 << 24] {
        let plain = vec![5; len];
        let sealed = lab.encrypt(&key, &mechanism, &plain).unwrap();
        assert_ne!(sealed, plain);
        assert_eq!(lab.decrypt(&key, &mechanism, &sealed).unwrap(), plain);
    }
    for len in [0, 15, (1 << 24) + 1] {
        assert_eq!(lab.encrypt(&key, &mechanism, &vec![0; len]).unwrap_err().kind(), ErrorKind::DataLength);
    }
    let same = KeyComponents::Secret { key_type: KeyType::AesXts, value: Secret::copy_of(&[9; 64]) };
    assert_eq!(lab.import(&same).unwrap_err().kind(), ErrorKind::AttributeValue);
    assert!(lab.generate(KeyType::AesXts, 32).is_err(), "aws-lc has no XTS with 128-bit keys");
    let aes = lab.generate(KeyType::Aes, 32).unwrap();
    assert_eq!(lab.encrypt(&aes, &mechanism, &[0; 16]).unwrap_err().kind(), ErrorKind::KeyType);
}

#[test]
fn what_is_not_offered_is_refused_at_the_start() {
    let lab = Lab::new();
    let aes = lab.generate(KeyType::Aes, 16).unwrap();
    let sm4 = lab.generate(KeyType::Sm4, 16).unwrap();
    let kind = |key: &Arc<Object>, cipher, mode| {
        lab.backend.encrypt(&lab.on(key), &Mechanism::Cipher(cipher, mode)).err().unwrap().kind()
    };
    assert_eq!(kind(&aes, BlockCipher::Sm4, CipherMode::Ecb), ErrorKind::KeyType);
    assert_eq!(kind(&sm4, BlockCipher::Aes, CipherMode::Ecb), ErrorKind::KeyType);
    assert_eq!(kind(&sm4, BlockCipher::Sm4, CipherMode::KeyWrapPad), ErrorKind::MechanismUnsupported);
    assert_eq!(kind(&sm4, BlockCipher::Sm4, gcm(16, 16)), ErrorKind::MechanismParameter);
    assert_eq!(kind(&aes, BlockCipher::Aes, gcm(0, 16)), ErrorKind::MechanismParameter);
    assert_eq!(kind(&aes, BlockCipher::Aes, gcm(12, 5)), ErrorKind::MechanismParameter);
}
