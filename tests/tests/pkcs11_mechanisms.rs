//! What is offered, what it says of itself, and how it behaves under load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Attr, Mech, curve, flag, module, raw, sm, token, ulong};

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
