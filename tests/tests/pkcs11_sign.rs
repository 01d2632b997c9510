//! Signatures, MACs and digests, judged by the `openssl` command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Mech, curve, flag, module, raw, sm, token, ulong};

#[test]
fn rsa_signatures_convince_openssl() {
    let session = token("rsa-sign").user();
    let (public, private) = rsa(&session);
    let judge = Judge::new();
    judge.file("pub.der", &public_info(&session, public));
    judge.file("msg", MESSAGE);
    let hashes = [
        ("sha1", CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS, CKM_SHA_1, CKG_MGF1_SHA1, 20),
        ("sha224", CKM_SHA224_RSA_PKCS, CKM_SHA224_RSA_PKCS_PSS, CKM_SHA224, CKG_MGF1_SHA224, 28),
        ("sha256", CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32),
        ("sha384", CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA384, 48),
        ("sha512", CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, CKM_SHA512, CKG_MGF1_SHA512, 64),
    ];
    let verify = "-verify pub.der -keyform DER -signature sig msg";
    for (name, pkcs, pss, hash, mgf, salt) in hashes {
        let signature = session.sign(pkcs, private, MESSAGE).unwrap();
        judge.file("sig", &signature);
        judge.succeed(&format!("dgst -{name} {verify}"));
        session.verify_parts(pkcs, public, &[&MESSAGE[..9], &MESSAGE[9..]], &signature).unwrap();
        let pss = Mech::pss(pss, hash, mgf, salt);
        let signature = session.sign_parts(pss.clone(), private, &[&MESSAGE[..1], b"", &MESSAGE[1..]]).unwrap();
        judge.file("sig", &signature);
        judge.succeed(&format!("dgst -{name} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt} {verify}"));
        session.verify(pss, public, MESSAGE, &signature).unwrap();
        // Raw PSS takes the digest.
        let digest = session.digest(hash, MESSAGE).unwrap();
        let raw_pss = Mech::pss(CKM_RSA_PKCS_PSS, hash, mgf, salt);
        judge.file("sig", &session.sign(raw_pss, private, &digest).unwrap());
        judge.succeed(&format!("dgst -{name} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt} {verify}"));
    }
    // A salt of no bytes and one as long as fits are both lawful.
    for salt in [0, 222] {
        let mechanism = Mech::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, salt);
        judge.file("sig", &session.sign(mechanism, private, MESSAGE).unwrap());
        judge.succeed(&format!("dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt} {verify}"));
    }
    let raw_signature = session.sign(CKM_RSA_PKCS, private, b"short text").unwrap();
    judge.file("sig", &raw_signature);
    let said = judge.succeed("pkeyutl -verifyrecover -pubin -inkey pub.der -keyform DER -in sig");
    assert_eq!(said.stdout, b"short text");
    let plain = [&[0_u8; 200][..], &[7; 56]].concat();
    judge.file("sig", &session.sign(CKM_RSA_X_509, private, &plain).unwrap());
    let said = judge
        .succeed("pkeyutl -verifyrecover -pubin -inkey pub.der -keyform DER -in sig -pkeyopt rsa_padding_mode:none");
    assert_eq!(said.stdout, plain);
}

#[test]
fn ecdsa_signatures_convince_openssl() {
    let session = token("ecdsa").user();
    let judge = Judge::new();
    judge.file("msg", MESSAGE);
    for (parameters, width) in [(curve::P256, 32), (curve::P384, 48), (curve::P521, 66)] {
        let (public, private) = pair(&session, CKM_EC_KEY_PAIR_GEN, parameters);
        judge.file("pub.der", &public_info(&session, public));
        let hashed = [
            ("sha1", CKM_SHA_1, CKM_ECDSA_SHA1),
            ("sha224", CKM_SHA224, CKM_ECDSA_SHA224),
            ("sha256", CKM_SHA256, CKM_ECDSA_SHA256),
            ("sha384", CKM_SHA384, CKM_ECDSA_SHA384),
            ("sha512", CKM_SHA512, CKM_ECDSA_SHA512),
        ];
        for (name, hash, mechanism) in hashed {
            let digest = session.digest(hash, MESSAGE).unwrap();
            let signature = session.sign(CKM_ECDSA, private, &digest).unwrap();
            assert_eq!(signature.len(), 2 * width);
            session.verify(CKM_ECDSA, public, &digest, &signature).unwrap();
            judge.file("sig", &der_signature(&signature));
            judge.succeed(&format!("dgst -{name} -verify pub.der -keyform DER -signature sig msg"));
            if !built::stand_in() {
                let signature = session.sign_parts(mechanism, private, &[&MESSAGE[..30], &MESSAGE[30..]]).unwrap();
                session.verify(mechanism, public, MESSAGE, &signature).unwrap();
                judge.file("sig", &der_signature(&signature));
                judge.succeed(&format!("dgst -{name} -verify pub.der -keyform DER -signature sig msg"));
            }
        }
    }
}

#[test]
fn ed25519_convinces_openssl() {
    let token = token("ed25519");
    if missing(&token, CKM_EDDSA) {
        return;
    }
    let session = token.user();
    let (public, private) = pair(&session, CKM_EC_EDWARDS_KEY_PAIR_GEN, curve::ED25519);
    let signature = session.sign(CKM_EDDSA, private, MESSAGE).unwrap();
    assert_eq!(signature.len(), 64);
    session.verify(CKM_EDDSA, public, MESSAGE, &signature).unwrap();
    assert_eq!(session.sign(CKM_EDDSA, private, MESSAGE).unwrap(), signature, "Ed25519 is deterministic");
    let judge = Judge::new();
    judge.file("msg", MESSAGE);
    judge.file("sig", &signature);
    judge.file("pub.der", &public_info(&session, public));
    judge.succeed("pkeyutl -verify -rawin -pubin -inkey pub.der -keyform DER -in msg -sigfile sig");
}

#[test]
fn keys_that_openssl_made_can_be_imported() {
    let session = token("import").user();
    let judge = Judge::new();
    judge.file("msg", MESSAGE);
    judge.succeed("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem");
    judge.succeed("ec -in ec.pem -outform DER -out ec.der -conv_form uncompressed");
    let sec1 = judge.read("ec.der");
    // ECPrivateKey: SEQUENCE { 1, OCTET STRING(32), [0] parameters, [1] BIT STRING(point) }.
    let (value, bits) = (&sec1[7..39], &sec1[sec1.len() - 65..]);
    let private = session.create(&[
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, CKK_EC),
        flag(CKA_TOKEN, false),
        raw(CKA_EC_PARAMS, curve::P256),
        raw(CKA_VALUE, value),
        flag(CKA_SIGN, true),
    ]);
    let private = private.unwrap();
    let public = session.create(&[
        ulong(CKA_CLASS, CKO_PUBLIC_KEY),
        ulong(CKA_KEY_TYPE, CKK_EC),
        flag(CKA_TOKEN, false),
        raw(CKA_EC_PARAMS, curve::P256),
        raw(CKA_EC_POINT, der(4, bits)),
        flag(CKA_VERIFY, true),
    ]);
    let public = public.unwrap();
    assert!(!session.get_flag(private, CKA_LOCAL).unwrap(), "an imported key was not made here");
    assert!(!session.get_flag(private, CKA_ALWAYS_SENSITIVE).unwrap());
    assert!(!session.get_flag(private, CKA_NEVER_EXTRACTABLE).unwrap());
    judge.succeed("dgst -sha256 -sign ec.pem -out sig msg");
    let digest = session.digest(CKM_SHA256, MESSAGE).unwrap();
    session.verify(CKM_ECDSA, public, &digest, &raw_signature(&judge.read("sig"), 32)).unwrap();
    judge.succeed("pkey -in ec.pem -pubout -out pub.pem");
    judge.file("sig", &der_signature(&session.sign(CKM_ECDSA, private, &digest).unwrap()));
    judge.succeed("dgst -sha256 -verify pub.pem -signature sig msg");
    // A point that is not on the curve never becomes a key.
    let mut bad = bits.to_vec();
    bad[10] ^= 1;
    if !built::stand_in() {
        let template = [
            ulong(CKA_CLASS, CKO_PUBLIC_KEY),
            ulong(CKA_KEY_TYPE, CKK_EC),
            flag(CKA_TOKEN, false),
            raw(CKA_EC_PARAMS, curve::P256),
            raw(CKA_EC_POINT, der(4, &bad)),
        ];
        session.create(&template).expect_err("a point off the curve is refused");
    }
}

#[test]
fn macs_agree_with_openssl() {
    let token = token("hmac");
    let session = token.user();
    let judge = Judge::new();
    judge.file("msg", MESSAGE);
    let value: Vec<u8> = (1..=64).collect();
    let key = secret(&session, CKK_GENERIC_SECRET, &value);
    let short = secret(&session, CKK_GENERIC_SECRET, &value[..7]);
    for (name, mechanism) in [
        ("sha1", CKM_SHA_1_HMAC),
        ("sha224", CKM_SHA224_HMAC),
        ("sha256", CKM_SHA256_HMAC),
        ("sha384", CKM_SHA384_HMAC),
        ("sha512", CKM_SHA512_HMAC),
        ("sha3-256", CKM_SHA3_256_HMAC),
        ("sm3", sm::SM3_HMAC),
    ] {
        let optional = mechanism == CKM_SHA3_256_HMAC && !module().mechanisms(token.slot).unwrap().contains(&mechanism);
        if optional || missing(&token, mechanism) {
            continue;
        }
        let said = judge.succeed(&format!("mac -digest {name} -macopt hexkey:{} -binary -in msg HMAC", hex(&value)));
        let mac = session.sign(mechanism, key, MESSAGE).unwrap();
        assert_eq!(mac, said.stdout, "{name}");
        if !built::stand_in() {
            let line = format!("mac -digest {name} -macopt hexkey:{} -binary -in msg HMAC", hex(&value[..7]));
            assert_eq!(
                session.sign(mechanism, short, MESSAGE).unwrap(),
                judge.succeed(&line).stdout,
                "{name}, short key"
            );
        }
        session.verify_parts(mechanism, key, &[&MESSAGE[..3], &MESSAGE[3..]], &mac).unwrap();
        assert_eq!(session.verify(mechanism, key, b"other", &mac).unwrap_err().0, CKR_SIGNATURE_INVALID);
    }
}

#[test]
fn aes_cmac_agrees_with_openssl() {
    let token = token("cmac");
    if missing(&token, CKM_AES_CMAC) {
        return;
    }
    let session = token.user();
    let judge = Judge::new();
    judge.file("msg", MESSAGE);
    for size in [16, 32] {
        let value: Vec<u8> = (10..10 + size as u8).collect();
        let key = secret(&session, CKK_AES, &value);
        let cipher = format!("aes-{}-cbc", size * 8);
        let said = judge.succeed(&format!("mac -cipher {cipher} -macopt hexkey:{} -binary -in msg CMAC", hex(&value)));
        let mac = session.sign_parts(CKM_AES_CMAC, key, &[&MESSAGE[..16], &MESSAGE[16..]]).unwrap();
        assert_eq!(mac, said.stdout);
        session.verify(CKM_AES_CMAC, key, MESSAGE, &mac).unwrap();
    }
}

#[test]
fn digests_agree_with_openssl() {
    let token = token("digest");
    let session = token.user();
    let judge = Judge::new();
    judge.file("msg", MESSAGE);
    for (name, mechanism) in [
        ("sha1", CKM_SHA_1),
        ("sha224", CKM_SHA224),
        ("sha256", CKM_SHA256),
        ("sha384", CKM_SHA384),
        ("sha512", CKM_SHA512),
        ("sha3-224", CKM_SHA3_224),
        ("sha3-256", CKM_SHA3_256),
        ("sha3-384", CKM_SHA3_384),
        ("sha3-512", CKM_SHA3_512),
        ("sm3", sm::SM3),
    ] {
        if missing(&token, mechanism) {
            continue;
        }
        let expected = judge.succeed(&format!("dgst -{name} -binary msg")).stdout;
        assert_eq!(session.digest(mechanism, MESSAGE).unwrap(), expected, "{name}");
        session.digest_init(mechanism).unwrap();
        for part in MESSAGE.chunks(7) {
            session.digest_update(part).unwrap();
        }
        assert_eq!(session.digest_final().unwrap(), expected, "{name} in parts");
    }
}

#[test]
fn the_state_of_a_digest_can_be_cloned() {
    if built::only_kmss("operation state") {
        return;
    }
    let token = token("state");
    let (one, two) = (token.user(), token.public());
    one.digest_init(CKM_SHA256).unwrap();
    one.digest_update(&MESSAGE[..20]).unwrap();
    let state = one.state().unwrap();
    two.set_state(&state).unwrap();
    one.digest_update(&MESSAGE[20..]).unwrap();
    two.digest_update(b" other end").unwrap();
    assert_eq!(one.digest_final().unwrap(), one.digest(CKM_SHA256, MESSAGE).unwrap());
    let other = [&MESSAGE[..20], b" other end"].concat();
    assert_eq!(two.digest_final().unwrap(), one.digest(CKM_SHA256, &other).unwrap());
    let mut broken = state;
    broken.truncate(5);
    assert_eq!(two.set_state(&broken).unwrap_err().0, CKR_SAVED_STATE_INVALID);
}
