//! SM2 and SM4 under Luna's numbers and ours, judged by the `openssl` command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Mech, curve, flag, raw, refused, sm, token, ulong};

/// SM2 encryption, counter mode and GCM, which Luna has no numbers for: ours.
const SM2_ENCRYPT: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x004B_4D01;
const SM4_CTR: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x004B_4D02;
const SM4_GCM: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x004B_4D03;

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// C1 ‖ C3 ‖ C2 as `openssl` wants it: SM2Cipher of GM/T 0009.
fn der_ciphertext(raw: &[u8]) -> Vec<u8> {
    assert_eq!(raw[0], 4, "C1 is an uncompressed point");
    let (x, y, c3, c2) = (&raw[1..33], &raw[33..65], &raw[65..97], &raw[97..]);
    der(0x30, &[unsigned(x), unsigned(y), der(4, c3), der(4, c2)].concat())
}

/// C1 ‖ C3 ‖ C2 from what `openssl` made of a message of `len` bytes, fewer than 128.
fn raw_ciphertext(sequence: &[u8], len: usize) -> Vec<u8> {
    let (front, c2) = sequence.split_at(sequence.len() - len);
    // C2 lies behind its tag and length.
    let c3 = &front[front.len() - 34..front.len() - 2];
    [&[4][..], &raw_signature(sequence, 32), c3, c2].concat()
}

#[test]
fn sm4_agrees_with_openssl() {
    let token = token("sm4");
    if missing(&token, sm::SM4_CBC) {
        return;
    }
    let session = token.user();
    let judge = Judge::new();
    let value: [u8; 16] = *b"an sm4 key value";
    let iv: [u8; 16] = *b"0123456789abcdef";
    let key = secret(&session, sm::CKK_SM4, &value);
    for (name, mechanism, padding, input) in [
        ("ecb", Mech::new(sm::SM4_ECB), " -nopad", &MESSAGE[..64]),
        ("cbc", Mech::bytes(sm::SM4_CBC, &iv), " -nopad", &MESSAGE[..64]),
        ("cbc", Mech::bytes(sm::SM4_CBC_PAD, &iv), "", MESSAGE),
    ] {
        judge.file("in", input);
        let iv = if name == "ecb" { String::new() } else { format!("-iv {}", hex(&iv)) };
        judge.succeed(&format!("enc -sm4-{name} -K {} {iv} -in in -out out{padding}", hex(&value)));
        let expected = judge.read("out");
        assert_eq!(session.encrypt(mechanism.clone(), key, input).unwrap(), expected, "{name}");
        assert_eq!(session.decrypt_parts(mechanism, key, &[&expected[..7], &expected[7..]]).unwrap(), input);
    }
    let made = session.generate(sm::SM4_KEY_GEN, &[flag(CKA_TOKEN, false)]).expect("an SM4 key has one length");
    assert_eq!(session.get_ulong(made, CKA_VALUE_LEN).unwrap(), 16);
    assert_eq!(session.get_ulong(made, CKA_KEY_TYPE).unwrap(), sm::CKK_SM4);
}

#[test]
fn sm4_in_counter_mode_agrees_with_openssl_both_ways() {
    let token = token("sm4 ctr");
    if missing(&token, SM4_CTR) {
        return;
    }
    let session = token.user();
    let judge = Judge::new();
    let value: [u8; 16] = *b"an sm4 key value";
    let key = secret(&session, sm::CKK_SM4, &value);
    // The second carries through the whole counter, the third wraps it.
    for iv in [*b"0123456789abcdef", (u128::MAX >> 8).to_be_bytes(), [0xff; 16]] {
        let mechanism = Mech::ctr(128, iv).named(SM4_CTR);
        let options = format!("-K {} -iv {}", hex(&value), hex(&iv));
        judge.file("in", MESSAGE);
        judge.succeed(&format!("enc -sm4-ctr {options} -in in -out out"));
        let expected = judge.read("out");
        assert_eq!(expected.len(), MESSAGE.len());
        assert_eq!(session.decrypt(mechanism.clone(), key, &expected).unwrap(), MESSAGE);
        assert_eq!(session.decrypt_parts(mechanism.clone(), key, &[&expected[..7], &expected[7..]]).unwrap(), MESSAGE);
        let whole = session.encrypt(mechanism.clone(), key, MESSAGE).unwrap();
        let parts = session.encrypt_parts(mechanism, key, &[&MESSAGE[..33], &MESSAGE[33..]]).unwrap();
        assert_eq!(parts, whole);
        judge.file("in", &whole);
        judge.succeed(&format!("enc -d -sm4-ctr {options} -in in -out out"));
        assert_eq!(judge.read("out"), MESSAGE);
    }
}

#[test]
fn sm4_gcm_gives_the_published_bytes_and_refuses_a_changed_tag() {
    let token = token("sm4 gcm");
    if missing(&token, SM4_GCM) {
        return;
    }
    let session = token.user();
    // RFC 8998, A.1: OpenSSL 3.0 has no SM4-GCM.
    let key = secret(&session, sm::CKK_SM4, &bytes("0123456789abcdeffedcba9876543210"));
    let (iv, aad) = (bytes("00001234567800000000abcd"), bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2"));
    let plain = bytes(
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddddddeeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
    );
    let sealed = bytes(
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d83de3541e4c2b58177e065a9bf7b62ec",
    );
    let mechanism = Mech::gcm(&iv, &aad, 128).named(SM4_GCM);
    assert_eq!(session.encrypt(mechanism.clone(), key, &plain).unwrap(), sealed);
    assert_eq!(session.decrypt(mechanism.clone(), key, &sealed).unwrap(), plain);
    assert_eq!(session.decrypt_parts(mechanism.clone(), key, &[&sealed[..40], &sealed[40..]]).unwrap(), plain);
    for at in [0, plain.len(), sealed.len() - 1] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        refused(session.decrypt(mechanism.clone(), key, &changed), CKR_ENCRYPTED_DATA_INVALID);
    }
    let other = Mech::gcm(&iv, b"other", 128).named(SM4_GCM);
    refused(session.decrypt(other, key, &sealed), CKR_ENCRYPTED_DATA_INVALID);
}

#[test]
fn sm2_ciphertexts_go_to_openssl_and_come_from_it() {
    let token = token("sm2 encrypt");
    if missing(&token, SM2_ENCRYPT) {
        return;
    }
    let session = token.user();
    let judge = Judge::new();
    judge.succeed("genpkey -algorithm SM2 -outform DER -out key.der");
    judge.succeed("pkey -in key.der -inform DER -pubout -outform DER -out pub.der");
    let info = judge.read("pub.der");
    let theirs = session
        .create(&[
            ulong(CKA_CLASS, CKO_PUBLIC_KEY),
            ulong(CKA_KEY_TYPE, sm::CKK_SM2),
            flag(CKA_TOKEN, false),
            flag(CKA_ENCRYPT, true),
            raw(CKA_EC_PARAMS, curve::SM2),
            raw(CKA_EC_POINT, der(4, &info[info.len() - 65..])),
        ])
        .unwrap();
    let sealed = session.encrypt(SM2_ENCRYPT, theirs, MESSAGE).unwrap();
    assert_eq!(sealed.len(), 97 + MESSAGE.len());
    judge.file("sealed", &der_ciphertext(&sealed));
    judge.succeed("pkeyutl -decrypt -inkey key.der -keyform DER -in sealed -out opened");
    assert_eq!(judge.read("opened"), MESSAGE);
    let (public, private) = session
        .generate_pair(
            sm::SM2_KEY_PAIR_GEN,
            &[raw(CKA_EC_PARAMS, curve::SM2), flag(CKA_TOKEN, false), flag(CKA_ENCRYPT, true)],
            &[flag(CKA_TOKEN, false), flag(CKA_DECRYPT, true)],
        )
        .unwrap();
    judge.file("pub.der", &public_info(&session, public));
    judge.file("msg", MESSAGE);
    judge.succeed("pkeyutl -encrypt -pubin -inkey pub.der -keyform DER -in msg -out sealed");
    let mut sealed = raw_ciphertext(&judge.read("sealed"), MESSAGE.len());
    assert_eq!(session.decrypt(SM2_ENCRYPT, private, &sealed).unwrap(), MESSAGE);
    sealed[65] ^= 1;
    refused(session.decrypt(SM2_ENCRYPT, private, &sealed), CKR_ENCRYPTED_DATA_INVALID);
}

#[test]
fn sm2_signatures_convince_openssl() {
    let token = token("sm2");
    if missing(&token, sm::SM2_SM3) {
        return;
    }
    let session = token.user();
    let judge = Judge::new();
    let (public, private) = session
        .generate_pair(
            sm::SM2_KEY_PAIR_GEN,
            &[raw(CKA_EC_PARAMS, curve::SM2), flag(CKA_TOKEN, false)],
            &[flag(CKA_TOKEN, false)],
        )
        .unwrap();
    assert_eq!(session.get_ulong(public, CKA_KEY_TYPE).unwrap(), sm::CKK_SM2);
    judge.file("pub.der", &public_info(&session, public));
    judge.file("msg", MESSAGE);
    let signature = session.sign(sm::SM2_SM3, private, MESSAGE).unwrap();
    assert_eq!(signature.len(), 64);
    session.verify(sm::SM2_SM3, public, MESSAGE, &signature).unwrap();
    judge.file("sig", &der_signature(&signature));
    let verify = "pkeyutl -verify -pubin -inkey pub.der -keyform DER -sigfile sig";
    judge.succeed(&format!("{verify} -rawin -digest sm3 -pkeyopt distid:1234567812345678 -in msg"));
    // The raw form signs a digest that the caller has made, identity and all.
    let digest = session.digest(sm::SM3, MESSAGE).unwrap();
    let signature = session.sign(sm::SM2, private, &digest).unwrap();
    session.verify(sm::SM2, public, &digest, &signature).unwrap();
    judge.file("digest", &digest);
    judge.file("sig", &der_signature(&signature));
    judge.succeed(&format!("{verify} -in digest"));
}
