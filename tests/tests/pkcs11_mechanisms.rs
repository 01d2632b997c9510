//! Every mechanism does what it says: in a round trip, and by the judgement of the `openssl` command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::openssl::Judge;
use kmss_tests::p11::{Attr, Mech, Session, Token, curve, flag, module, raw, token, ulong};

const MESSAGE: &[u8] = b"the quick brown fox jumps over the lazy dog, and then over the moon";

/// Thales Luna's numbers for the Chinese algorithms.
mod sm {
    use cryptoki_sys::{CK_KEY_TYPE, CK_MECHANISM_TYPE};

    pub(crate) const CKK_SM4: CK_KEY_TYPE = 0x8000_0015;
    pub(crate) const CKK_SM2: CK_KEY_TYPE = 0x8000_0016;
    pub(crate) const SM3: CK_MECHANISM_TYPE = 0x8000_0B01;
    pub(crate) const SM3_HMAC: CK_MECHANISM_TYPE = 0x8000_0B02;
    pub(crate) const SM4_KEY_GEN: CK_MECHANISM_TYPE = 0x8000_0B10;
    pub(crate) const SM4_ECB: CK_MECHANISM_TYPE = 0x8000_0B11;
    pub(crate) const SM4_CBC: CK_MECHANISM_TYPE = 0x8000_0B12;
    pub(crate) const SM4_CBC_PAD: CK_MECHANISM_TYPE = 0x8000_0B13;
    pub(crate) const SM2_KEY_PAIR_GEN: CK_MECHANISM_TYPE = 0x8000_0B20;
    pub(crate) const SM2: CK_MECHANISM_TYPE = 0x8000_0B21;
    pub(crate) const SM2_SM3: CK_MECHANISM_TYPE = 0x8000_0B22;
}

type Pair = (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE);

fn rsa(session: &Session) -> Pair {
    let public = [ulong(CKA_MODULUS_BITS, 2048), raw(CKA_PUBLIC_EXPONENT, [1, 0, 1]), flag(CKA_TOKEN, false)];
    session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[flag(CKA_TOKEN, false)]).unwrap()
}

fn pair(session: &Session, mechanism: CK_MECHANISM_TYPE, parameters: &[u8]) -> Pair {
    let public = [raw(CKA_EC_PARAMS, parameters), flag(CKA_TOKEN, false)];
    session.generate_pair(mechanism, &public, &[flag(CKA_TOKEN, false)]).unwrap()
}

/// A secret key whose value the test knows.
fn secret(session: &Session, kind: CK_KEY_TYPE, value: &[u8]) -> CK_OBJECT_HANDLE {
    let uses = [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE];
    let mut template = vec![
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, kind),
        flag(CKA_TOKEN, false),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
        raw(CKA_VALUE, value),
    ];
    template.extend(uses.map(|kind| flag(kind, true)));
    session.create(&template).unwrap()
}

/// DER: a tag, its length and its content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        n @ 0..=127 => out.push(n as u8),
        n @ 128..=255 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend_from_slice(content);
    out
}

fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len() - 1);
    let mut value = bytes[start..].to_vec();
    if value[0] & 0x80 != 0 {
        value.insert(0, 0);
    }
    der(2, &value)
}

/// SubjectPublicKeyInfo of a public key object, built from its attributes.
fn public_info(session: &Session, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    let (algorithm, bits) = if session.get_ulong(key, CKA_KEY_TYPE).unwrap() == CKK_RSA {
        let numbers = [
            unsigned(&session.get(key, CKA_MODULUS).unwrap()),
            unsigned(&session.get(key, CKA_PUBLIC_EXPONENT).unwrap()),
        ];
        let oid = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
        (der(0x30, &oid), der(0x30, &numbers.concat()))
    } else {
        let parameters = session.get(key, CKA_EC_PARAMS).unwrap();
        let point = point(session, key);
        let algorithm = if parameters == curve::ED25519 || parameters == curve::X25519 {
            der(0x30, &parameters)
        } else {
            der(0x30, &[&[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01][..], &parameters].concat())
        };
        (algorithm, point)
    };
    der(0x30, &[algorithm, der(3, &[&[0][..], &bits].concat())].concat())
}

/// The bare point: CKA_EC_POINT is a DER OCTET STRING.
fn point(session: &Session, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    let wrapped = session.get(key, CKA_EC_POINT).unwrap();
    assert_eq!(wrapped[0], 4, "CKA_EC_POINT is a DER OCTET STRING");
    let skip = if wrapped[1] & 0x80 == 0 { 2 } else { 2 + usize::from(wrapped[1] & 0x7f) };
    wrapped[skip..].to_vec()
}

/// `r || s` as a DER sequence, as `openssl` wants it.
fn der_signature(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    der(0x30, &[unsigned(r), unsigned(s)].concat())
}

/// `r || s` of this half width from a DER sequence.
fn raw_signature(sequence: &[u8], width: usize) -> Vec<u8> {
    let mut at = if sequence[1] & 0x80 == 0 { 2 } else { 3 };
    let mut out = Vec::new();
    for _ in 0..2 {
        let length = usize::from(sequence[at + 1]);
        let value = &sequence[at + 2..at + 2 + length];
        let value = if value.len() > width { &value[value.len() - width..] } else { value };
        out.extend(std::iter::repeat_n(0, width - value.len()));
        out.extend_from_slice(value);
        at += 2 + length;
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// True, said aloud, where the stand-in lacks a mechanism that KMSS must have.
fn missing(token: &Token, mechanism: CK_MECHANISM_TYPE) -> bool {
    let offered = module().mechanisms(token.slot).unwrap().contains(&mechanism);
    assert!(offered || built::stand_in(), "mechanism 0x{mechanism:08x} is not offered");
    if !offered {
        built::skipped(&format!("the stand-in has no mechanism 0x{mechanism:08x}"));
    }
    !offered
}

#[test]
fn every_mechanism_of_the_first_issue_is_listed_with_its_uses() {
    let token = token("list");
    let offered = module().mechanisms(token.slot).unwrap();
    for mechanism in &offered {
        let info = module().mechanism_info(token.slot, *mechanism).unwrap();
        assert_ne!(info.flags, 0, "0x{mechanism:08x} can do nothing");
        assert!(info.ulMinKeySize <= info.ulMaxKeySize, "0x{mechanism:08x}");
    }
    if built::only_kmss("complete list") {
        return;
    }
    let wanted = [
        CKM_RSA_PKCS_KEY_PAIR_GEN,
        CKM_RSA_PKCS,
        CKM_RSA_X_509,
        CKM_RSA_PKCS_PSS,
        CKM_RSA_PKCS_OAEP,
        CKM_SHA1_RSA_PKCS,
        CKM_SHA224_RSA_PKCS,
        CKM_SHA256_RSA_PKCS,
        CKM_SHA384_RSA_PKCS,
        CKM_SHA512_RSA_PKCS,
        CKM_SHA1_RSA_PKCS_PSS,
        CKM_SHA256_RSA_PKCS_PSS,
        CKM_SHA384_RSA_PKCS_PSS,
        CKM_SHA512_RSA_PKCS_PSS,
        CKM_EC_KEY_PAIR_GEN,
        CKM_ECDSA,
        CKM_ECDSA_SHA1,
        CKM_ECDSA_SHA224,
        CKM_ECDSA_SHA256,
        CKM_ECDSA_SHA384,
        CKM_ECDSA_SHA512,
        CKM_ECDH1_DERIVE,
        CKM_EC_EDWARDS_KEY_PAIR_GEN,
        CKM_EC_MONTGOMERY_KEY_PAIR_GEN,
        CKM_EDDSA,
        CKM_AES_KEY_GEN,
        CKM_AES_ECB,
        CKM_AES_CBC,
        CKM_AES_CBC_PAD,
        CKM_AES_CTR,
        CKM_AES_GCM,
        CKM_AES_CMAC,
        CKM_AES_KEY_WRAP,
        CKM_AES_KEY_WRAP_KWP,
        CKM_SHA_1,
        CKM_SHA224,
        CKM_SHA256,
        CKM_SHA384,
        CKM_SHA512,
        CKM_SHA3_224,
        CKM_SHA3_256,
        CKM_SHA3_384,
        CKM_SHA3_512,
        CKM_SHA_1_HMAC,
        CKM_SHA224_HMAC,
        CKM_SHA256_HMAC,
        CKM_SHA384_HMAC,
        CKM_SHA512_HMAC,
        CKM_GENERIC_SECRET_KEY_GEN,
        CKM_HKDF_DERIVE,
        sm::SM3,
        sm::SM3_HMAC,
        sm::SM4_KEY_GEN,
        sm::SM4_ECB,
        sm::SM4_CBC,
        sm::SM4_CBC_PAD,
        sm::SM2_KEY_PAIR_GEN,
        sm::SM2,
        sm::SM2_SM3,
    ];
    let missing: Vec<String> = wanted.iter().filter(|m| !offered.contains(m)).map(|m| format!("0x{m:x}")).collect();
    assert!(missing.is_empty(), "not offered: {missing:?}");
    let uses = |m| module().mechanism_info(token.slot, m).unwrap().flags;
    assert_eq!(uses(CKM_ECDSA) & (CKF_SIGN | CKF_VERIFY), CKF_SIGN | CKF_VERIFY);
    assert_eq!(uses(CKM_AES_GCM) & (CKF_ENCRYPT | CKF_DECRYPT), CKF_ENCRYPT | CKF_DECRYPT);
    assert_eq!(uses(CKM_AES_KEY_GEN) & CKF_GENERATE, CKF_GENERATE);
    assert_eq!(uses(CKM_SHA256) & CKF_DIGEST, CKF_DIGEST);
}

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
        session.derive(Mech::ecdh(&vec![4; point_length]), private, &template).expect_err("a point off the curve");
    }
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

#[test]
fn random_bytes_differ() {
    let session = token("random").user();
    let (one, two) = (session.random(32).unwrap(), session.random(32).unwrap());
    assert_ne!(one, two);
    assert_eq!(session.random(100_000).unwrap().len(), 100_000);
    assert_eq!(session.random(0).unwrap().len(), 0);
}

#[test]
fn long_messages_in_parts_and_threads_stay_apart() {
    let token = token("threads");
    let first = token.user();
    let public = [raw(CKA_EC_PARAMS, curve::P256), flag(CKA_TOKEN, false)];
    let (public, private) = first.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, &[flag(CKA_TOKEN, false)]).unwrap();
    let key = secret(&first, CKK_AES, &[1; 32]);
    std::thread::scope(|scope| {
        for n in 0..8_u8 {
            let token = token.clone();
            scope.spawn(move || {
                let session = token.public();
                let data = vec![n; 100_000];
                for round in 0..10_u8 {
                    let digest = session.digest(CKM_SHA256, &[n, round]).unwrap();
                    let signature = session.sign(CKM_ECDSA, private, &digest).unwrap();
                    session.verify(CKM_ECDSA, public, &digest, &signature).unwrap();
                    let parts: Vec<&[u8]> = data.chunks(30_000).collect();
                    let sealed = session.encrypt_parts(Mech::ctr(128, [round; 16]), key, &parts).unwrap();
                    assert_eq!(session.decrypt(Mech::ctr(128, [round; 16]), key, &sealed).unwrap(), data);
                }
                session.close().unwrap();
            });
        }
    });
}

#[test]
fn a_generated_key_says_truthfully_where_it_comes_from() {
    let session = token("truthful").user();
    let check = |key, sensitive: bool, extractable: bool| {
        assert!(session.get_flag(key, CKA_LOCAL).unwrap(), "made here");
        assert_eq!(session.get_flag(key, CKA_ALWAYS_SENSITIVE).unwrap(), sensitive);
        assert_eq!(session.get_flag(key, CKA_NEVER_EXTRACTABLE).unwrap(), !extractable);
    };
    let make = |more: &[Attr]| {
        session
            .generate(CKM_AES_KEY_GEN, &[&[ulong(CKA_VALUE_LEN, 16), flag(CKA_TOKEN, false)], more].concat())
            .unwrap()
    };
    let loose = make(&[flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)]);
    check(loose, false, true);
    session.set(loose, &[flag(CKA_SENSITIVE, true), flag(CKA_EXTRACTABLE, false)]).unwrap();
    check(loose, false, true);
    check(make(&[flag(CKA_SENSITIVE, true), flag(CKA_EXTRACTABLE, false)]), true, false);
    let mechanism = session.get_ulong(loose, CKA_KEY_GEN_MECHANISM).unwrap();
    assert_eq!(mechanism, CKM_AES_KEY_GEN);
}
