//! SM2 and SM4 under Luna's numbers, judged by the `openssl` command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Mech, curve, flag, raw, sm, token};

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
