//! Encryption, key transport and agreement, judged by the `openssl` command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Mech, curve, flag, raw, token, ulong};

#[test]
fn rsa_decrypts_what_openssl_encrypts() {
    let session = token("rsa-decrypt").user();
    let (public, private) = rsa(&session);
    let judge = Judge::new();
    judge.file("pub.der", &public_info(&session, public));
    judge.file("msg", b"hello");
    let encrypt = "pkeyutl -encrypt -pubin -inkey pub.der -keyform DER -in msg -out out";
    judge.succeed(&format!("{encrypt} -pkeyopt rsa_padding_mode:pkcs1"));
    assert_eq!(session.decrypt(CKM_RSA_PKCS, private, &judge.read("out")).unwrap(), b"hello");
    let hashes = [
        ("sha1", CKM_SHA_1, CKG_MGF1_SHA1),
        ("sha256", CKM_SHA256, CKG_MGF1_SHA256),
        ("sha512", CKM_SHA512, CKG_MGF1_SHA512),
    ];
    for (name, hash, mgf) in hashes {
        if built::stand_in() && name != "sha1" {
            continue;
        }
        judge.succeed(&format!(
            "{encrypt} -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{name} -pkeyopt rsa_mgf1_md:{name}"
        ));
        assert_eq!(
            session.decrypt(Mech::oaep(hash, mgf, b""), private, &judge.read("out")).unwrap(),
            b"hello",
            "{name}"
        );
        let sealed = session.encrypt(Mech::oaep(hash, mgf, b""), public, b"back").unwrap();
        assert_eq!(session.decrypt(Mech::oaep(hash, mgf, b""), private, &sealed).unwrap(), b"back");
    }
    if !built::stand_in() {
        judge.succeed(&format!("{encrypt} -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_label:6c6162656c"));
        let mechanism = Mech::oaep(CKM_SHA_1, CKG_MGF1_SHA1, b"label");
        assert_eq!(session.decrypt(mechanism, private, &judge.read("out")).unwrap(), b"hello");
    }
    let sealed = session.encrypt(CKM_RSA_PKCS, public, b"round trip").unwrap();
    assert_eq!(session.decrypt(CKM_RSA_PKCS, private, &sealed).unwrap(), b"round trip");
    let plain = [&[0_u8][..], &[9; 255]].concat();
    let sealed = session.encrypt(CKM_RSA_X_509, public, &plain).unwrap();
    assert_eq!(session.decrypt(CKM_RSA_X_509, private, &sealed).unwrap(), plain);
}

#[test]
fn a_decryption_that_fails_does_not_say_how() {
    // Bleichenbacher: whatever is wrong inside a PKCS#1 v1.5 block, the answer is the same code.
    let session = token("bleichenbacher").user();
    let (public, private) = rsa(&session);
    let wrong = |plain: Vec<u8>| session.encrypt(CKM_RSA_X_509, public, &plain).unwrap();
    let mut codes = Vec::new();
    for plain in [
        [&[0, 2][..], &[0; 254]].concat(),
        [&[0, 1][..], &[0xff; 200], &[0; 54]].concat(),
        [&[0, 2][..], &[7; 254]].concat(),
        vec![1; 256],
    ] {
        codes.push(session.decrypt(CKM_RSA_PKCS, private, &wrong(plain)).map(|_| ()));
    }
    assert!(codes.windows(2).all(|w| w[0] == w[1]), "the codes differ: {codes:?}");
}

#[test]
fn aes_modes_agree_with_openssl() {
    let token = token("aes");
    let session = token.user();
    let judge = Judge::new();
    let iv: [u8; 16] = *b"0123456789abcdef";
    for size in [16, 24, 32] {
        let value: Vec<u8> = (0..size as u8).collect();
        let key = secret(&session, CKK_AES, &value);
        let bits = size * 8;
        for (name, mechanism, padding, input) in [
            ("ecb", Mech::new(CKM_AES_ECB), " -nopad", &MESSAGE[..64]),
            ("cbc", Mech::bytes(CKM_AES_CBC, &iv), " -nopad", &MESSAGE[..64]),
            ("cbc", Mech::bytes(CKM_AES_CBC_PAD, &iv), "", MESSAGE),
            ("ctr", Mech::ctr(128, iv), "", MESSAGE),
        ] {
            judge.file("in", input);
            let iv = if name == "ecb" { String::new() } else { format!("-iv {}", hex(&iv)) };
            judge.succeed(&format!("enc -aes-{bits}-{name} -K {} {iv} -in in -out out{padding}", hex(&value)));
            let expected = judge.read("out");
            assert_eq!(session.encrypt(mechanism.clone(), key, input).unwrap(), expected, "aes-{bits}-{name}");
            assert_eq!(session.decrypt(mechanism.clone(), key, &expected).unwrap(), input);
            let parts = [&input[..5], &input[5..33], &input[33..]];
            assert_eq!(session.encrypt_parts(mechanism.clone(), key, &parts).unwrap(), expected, "{name} in parts");
            let parts = [&expected[..16], &expected[16..17], &expected[17..]];
            assert_eq!(session.decrypt_parts(mechanism, key, &parts).unwrap(), input, "{name} in parts");
        }
    }
}

#[test]
fn aes_gcm_gives_the_published_bytes() {
    let session = token("gcm").user();
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 4.
    let bytes = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    };
    let key = secret(&session, CKK_AES, &bytes("feffe9928665731c6d6a8f9467308308"));
    let plain = bytes(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let sealed = bytes(
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47",
    );
    let (iv, aad) = (bytes("cafebabefacedbaddecaf888"), bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2"));
    let mechanism = Mech::gcm(&iv, &aad, 128);
    assert_eq!(session.encrypt(mechanism.clone(), key, &plain).unwrap(), sealed);
    assert_eq!(session.decrypt(mechanism.clone(), key, &sealed).unwrap(), plain);
    assert_eq!(
        session.encrypt_parts(mechanism.clone(), key, &[&plain[..3], &plain[3..50], &plain[50..]]).unwrap(),
        sealed
    );
    assert_eq!(session.decrypt_parts(mechanism, key, &[&sealed[..40], &sealed[40..]]).unwrap(), plain);
    let empty = session.encrypt(Mech::gcm(&iv, b"only context", 128), key, b"").unwrap();
    assert_eq!(empty.len(), 16);
    assert_eq!(session.decrypt(Mech::gcm(&iv, b"only context", 128), key, &empty).unwrap(), b"");
}

#[test]
fn keys_are_wrapped_as_the_standards_say() {
    let token = token("wrap");
    let session = token.user();
    let judge = Judge::new();
    let wrapping = secret(&session, CKK_AES, &[5; 32]);
    let inner = secret(&session, CKK_AES, &[6; 16]);
    let wrapped = session.wrap(CKM_AES_KEY_WRAP, wrapping, inner).unwrap();
    judge.file("in", &[6; 16]);
    // `enc` refuses wrap modes; the judge here is RFC 3394's length and the round trip, and KWP's below.
    assert_eq!(wrapped.len(), 24);
    let back = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_TOKEN, false),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
    ];
    let unwrapped = session.unwrap(CKM_AES_KEY_WRAP, wrapping, &wrapped, &back).unwrap();
    assert_eq!(session.get(unwrapped, CKA_VALUE).unwrap(), [6; 16]);
    assert!(!session.get_flag(unwrapped, CKA_LOCAL).unwrap(), "an unwrapped key was not made here");
    let locked = session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), flag(CKA_EXTRACTABLE, false)]).unwrap();
    let refusal = session.wrap(CKM_AES_KEY_WRAP, wrapping, locked).unwrap_err();
    assert_eq!(refusal.0, CKR_KEY_UNEXTRACTABLE, "{refusal:?}");
    if missing(&token, CKM_AES_KEY_WRAP_KWP) {
        return;
    }
    // A private key travels as PKCS#8.
    let (public, private) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P256);
    let extractable = [flag(CKA_TOKEN, false), flag(CKA_EXTRACTABLE, true)];
    let parameters = [raw(CKA_EC_PARAMS, curve::P256), flag(CKA_TOKEN, false)];
    let (public2, private2) = session.generate_pair(CKM_EC_KEY_PAIR_GEN, &parameters, &extractable).unwrap();
    assert_eq!(session.wrap(CKM_AES_KEY_WRAP_KWP, wrapping, private).unwrap_err().0, CKR_KEY_UNEXTRACTABLE);
    let _ = public;
    let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, wrapping, private2).unwrap();
    let template =
        [ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, CKK_EC), flag(CKA_TOKEN, false), flag(CKA_SIGN, true)];
    let twin = session.unwrap(CKM_AES_KEY_WRAP_KWP, wrapping, &wrapped, &template).unwrap();
    let signature = session.sign(CKM_ECDSA, twin, &[3; 32]).unwrap();
    session.verify(CKM_ECDSA, public2, &[3; 32], &signature).expect("the twin signs as the original");
    // RSA wraps a secret key, and OpenSSL made the same blob readable.
    let (rsa_public, rsa_private) = rsa(&session);
    let oaep = Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"");
    let wrapped = session.wrap(oaep.clone(), rsa_public, inner).unwrap();
    let unwrapped = session.unwrap(oaep, rsa_private, &wrapped, &back).unwrap();
    assert_eq!(session.get(unwrapped, CKA_VALUE).unwrap(), [6; 16]);
}

#[test]
fn key_agreement_agrees_with_openssl() {
    let token = token("ecdh");
    let session = token.user();
    let judge = Judge::new();
    let mut agreements = vec![
        ("EC -pkeyopt ec_paramgen_curve:P-256", CKM_EC_KEY_PAIR_GEN, curve::P256, 65, 32),
        ("EC -pkeyopt ec_paramgen_curve:P-384", CKM_EC_KEY_PAIR_GEN, curve::P384, 97, 48),
        ("EC -pkeyopt ec_paramgen_curve:P-521", CKM_EC_KEY_PAIR_GEN, curve::P521, 133, 66),
    ];
    if !missing(&token, CKM_EC_MONTGOMERY_KEY_PAIR_GEN) {
        agreements.push(("X25519", CKM_EC_MONTGOMERY_KEY_PAIR_GEN, curve::X25519, 32, 32));
    }
    for (algorithm, mechanism, parameters, point_length, length) in agreements {
        let derives = [flag(CKA_TOKEN, false), flag(CKA_DERIVE, true)];
        let parameters_only = [raw(CKA_EC_PARAMS, parameters), flag(CKA_TOKEN, false)];
        let (public, private) = session.generate_pair(mechanism, &parameters_only, &derives).unwrap();
        judge.succeed(&format!("genpkey -algorithm {algorithm} -out peer.pem"));
        judge.succeed("pkey -in peer.pem -pubout -outform DER -out peer.der");
        let info = judge.read("peer.der");
        let peer = &info[info.len() - point_length..];
        judge.file("pub.der", &public_info(&session, public));
        judge.succeed("pkeyutl -derive -inkey peer.pem -peerkey pub.der -peerform DER -out shared");
        let template = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
            flag(CKA_TOKEN, false),
            flag(CKA_SENSITIVE, false),
            flag(CKA_EXTRACTABLE, true),
        ];
        let inferred = session.derive(Mech::ecdh(peer), private, &template).unwrap();
        assert_eq!(session.get(inferred, CKA_VALUE).unwrap(), judge.read("shared"), "{algorithm}");
        assert_eq!(session.get_ulong(inferred, CKA_VALUE_LEN).unwrap(), length, "a missing CKA_VALUE_LEN is inferred");
        if parameters != curve::X25519 && !built::stand_in() {
            let wrapped = session.derive(Mech::ecdh(&der(4, peer)), private, &template).unwrap();
            assert_eq!(session.get(wrapped, CKA_VALUE).unwrap(), judge.read("shared"), "a wrapped point is taken too");
        }
        // On X25519 every 32 bytes are a point; the ones of small order are refused (RFC 7748, 6.1).
        let bad = vec![if parameters == curve::X25519 { 0 } else { 4 }; point_length];
        session.derive(Mech::ecdh(&bad), private, &template).expect_err("a point off the curve or of small order");
    }
}

#[test]
fn hkdf_agrees_with_openssl() {
    let token = token("hkdf");
    if missing(&token, CKM_HKDF_DERIVE) {
        return;
    }
    let session = token.user();
    let judge = Judge::new();
    let value = [0x0b; 22];
    let base = secret(&session, CKK_GENERIC_SECRET, &value);
    for (name, hash) in [("SHA256", CKM_SHA256), ("SHA512", CKM_SHA512)] {
        judge.succeed(&format!(
            "kdf -keylen 42 -kdfopt digest:{name} -kdfopt hexkey:{} -kdfopt salt:salt -kdfopt info:info -binary -out okm HKDF",
            hex(&value)
        ));
        let template = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
            ulong(CKA_VALUE_LEN, 42),
            flag(CKA_TOKEN, false),
            flag(CKA_SENSITIVE, false),
            flag(CKA_EXTRACTABLE, true),
        ];
        let derived = session.derive(Mech::hkdf(hash, b"salt", b"info"), base, &template).unwrap();
        assert_eq!(session.get(derived, CKA_VALUE).unwrap(), judge.read("okm"), "{name}");
    }
}
