//! Post-quantum keys through the C interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::p11::keys::{MESSAGE, missing};
use kmss_tests::p11::{Attr, Mech, Session, flag, raw, refused, text, token, ulong};

type Pair = (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE);

/// A pair of a parameter set that goes with the session and may be read.
fn pair(session: &Session, mechanism: CK_MECHANISM_TYPE, set: CK_ULONG) -> Pair {
    let public = [ulong(CKA_PARAMETER_SET, set), flag(CKA_TOKEN, false)];
    let private = [flag(CKA_TOKEN, false), flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)];
    session.generate_pair(mechanism, &public, &private).unwrap()
}

fn open_secret(extra: &[Attr]) -> Vec<Attr> {
    let mut template = vec![flag(CKA_TOKEN, false), flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)];
    template.extend_from_slice(extra);
    template
}

#[test]
fn ml_dsa_signs_and_verifies_in_every_way_it_is_offered() {
    let token = token("ml-dsa");
    if missing(&token, CKM_ML_DSA) {
        return;
    }
    let session = token.user();
    let sizes = [(CKP_ML_DSA_44, 1312, 2420), (CKP_ML_DSA_65, 1952, 3309), (CKP_ML_DSA_87, 2592, 4627)];
    for (set, public_len, signature_len) in sizes {
        let (public, private) = pair(&session, CKM_ML_DSA_KEY_PAIR_GEN, set);
        assert_eq!(session.get(public, CKA_VALUE).unwrap().len(), public_len);
        for key in [public, private] {
            assert_eq!(session.get_ulong(key, CKA_PARAMETER_SET).unwrap(), set);
            assert_eq!(session.get_ulong(key, CKA_KEY_TYPE).unwrap(), CKK_ML_DSA);
            assert_eq!(session.get_ulong(key, CKA_KEY_GEN_MECHANISM).unwrap(), CKM_ML_DSA_KEY_PAIR_GEN);
        }
        let signature = session.sign(CKM_ML_DSA, private, MESSAGE).unwrap();
        assert_eq!(signature.len(), signature_len);
        session.verify(CKM_ML_DSA, public, MESSAGE, &signature).unwrap();
        refused(session.verify(CKM_ML_DSA, public, b"other", &signature), CKR_SIGNATURE_INVALID);
        refused(session.verify(CKM_ML_DSA, public, MESSAGE, &signature[1..]), CKR_SIGNATURE_LEN_RANGE);
        let parts = session.sign_parts(CKM_ML_DSA, private, &[&MESSAGE[..9], &MESSAGE[9..]]).unwrap();
        session.verify_parts(CKM_ML_DSA, public, &[&MESSAGE[..1], &MESSAGE[1..]], &parts).unwrap();
    }
}

#[test]
fn contexts_and_hedging_are_what_the_parameter_says() {
    let token = token("context");
    if missing(&token, CKM_ML_DSA) {
        return;
    }
    let session = token.user();
    let families = [
        (CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_44, CKM_ML_DSA, CKM_HASH_ML_DSA, CKM_HASH_ML_DSA_SHA256),
        (CKM_SLH_DSA_KEY_PAIR_GEN, CKP_SLH_DSA_SHA2_128F, CKM_SLH_DSA, CKM_HASH_SLH_DSA, CKM_HASH_SLH_DSA_SHA256),
    ];
    for (generation, set, pure, digest, hashed) in families {
        let (public, private) = pair(&session, generation, set);
        let with = |kind, hedge, context: &[u8]| Mech::context(kind, hedge, context, None);
        let fixed = with(pure, CKH_DETERMINISTIC_REQUIRED, b"c");
        let one = session.sign(fixed.clone(), private, MESSAGE).unwrap();
        assert!(session.sign(fixed, private, MESSAGE).unwrap() == one);
        assert!(session.sign(with(pure, CKH_HEDGE_REQUIRED, b"c"), private, MESSAGE).unwrap() != one);
        session.verify(with(pure, CKH_HEDGE_PREFERRED, b"c"), public, MESSAGE, &one).unwrap();
        refused(session.verify(pure, public, MESSAGE, &one), CKR_SIGNATURE_INVALID);
        // Hashed here, or before.
        let ready = session.digest(CKM_SHA256, MESSAGE).unwrap();
        let how = Mech::context(digest, CKH_HEDGE_PREFERRED, b"", Some(CKM_SHA256));
        let signature = session.sign(how.clone(), private, &ready).unwrap();
        session.verify(hashed, public, MESSAGE, &signature).unwrap();
        refused(session.sign(how, private, MESSAGE), CKR_DATA_LEN_RANGE);
        // What the parameter cannot be.
        let wrong = [
            with(pure, 3, b""),
            with(pure, CKH_HEDGE_PREFERRED, &[0; 256]),
            Mech::new(digest),
            Mech::bytes(pure, b"context"),
            Mech::context(digest, CKH_HEDGE_PREFERRED, b"", Some(CKM_SHA_1)),
            Mech::context(pure, CKH_HEDGE_PREFERRED, b"", Some(CKM_SHA256)),
        ];
        for mechanism in wrong {
            refused(session.sign_init(mechanism, private), CKR_MECHANISM_PARAM_INVALID);
        }
    }
}

#[test]
fn slh_dsa_keys_and_signatures_have_the_sizes_of_their_set() {
    let token = token("slh-dsa");
    if missing(&token, CKM_SLH_DSA) {
        return;
    }
    let session = token.user();
    for (set, public_len, signature_len) in [(CKP_SLH_DSA_SHAKE_128F, 32, 17_088), (CKP_SLH_DSA_SHA2_192F, 48, 35_664)]
    {
        let (public, private) = pair(&session, CKM_SLH_DSA_KEY_PAIR_GEN, set);
        assert_eq!(session.get(public, CKA_VALUE).unwrap().len(), public_len);
        assert_eq!(session.get(private, CKA_VALUE).unwrap().len(), 2 * public_len);
        refused(session.get(private, CKA_SEED), CKR_ATTRIBUTE_TYPE_INVALID);
        let signature = session.sign(CKM_SLH_DSA, private, MESSAGE).unwrap();
        assert_eq!(signature.len(), signature_len);
        session.verify(CKM_SLH_DSA, public, MESSAGE, &signature).unwrap();
        refused(session.verify(CKM_SLH_DSA, public, b"", &signature), CKR_SIGNATURE_INVALID);
    }
}

#[test]
fn a_pair_needs_a_parameter_set_of_its_type_and_only_one() {
    let token = token("sets");
    if missing(&token, CKM_ML_KEM) {
        return;
    }
    let session = token.user();
    let make = |mechanism, public: &[Attr], private: &[Attr]| session.generate_pair(mechanism, public, private);
    refused(make(CKM_ML_DSA_KEY_PAIR_GEN, &[], &[]), CKR_TEMPLATE_INCOMPLETE);
    let set = |number| ulong(CKA_PARAMETER_SET, number);
    for (mechanism, number) in
        [(CKM_ML_DSA_KEY_PAIR_GEN, 4), (CKM_ML_KEM_KEY_PAIR_GEN, 0), (CKM_SLH_DSA_KEY_PAIR_GEN, 13)]
    {
        refused(make(mechanism, &[set(number)], &[]), CKR_PARAMETER_SET_NOT_SUPPORTED);
    }
    refused(make(CKM_ML_KEM_KEY_PAIR_GEN, &[set(1)], &[set(2)]), CKR_TEMPLATE_INCONSISTENT);
    let (public, _) = make(CKM_ML_KEM_KEY_PAIR_GEN, &[set(CKP_ML_KEM_512)], &[set(CKP_ML_KEM_512)]).unwrap();
    assert_eq!(session.get_ulong(public, CKA_PARAMETER_SET).unwrap(), CKP_ML_KEM_512);
}

#[test]
fn ml_kem_gives_both_sides_one_secret() {
    let token = token("ml-kem");
    if missing(&token, CKM_ML_KEM) {
        return;
    }
    let session = token.user();
    for (set, ciphertext_len) in [(CKP_ML_KEM_512, 768), (CKP_ML_KEM_768, 1088), (CKP_ML_KEM_1024, 1568)] {
        let (public, private) = pair(&session, CKM_ML_KEM_KEY_PAIR_GEN, set);
        assert!(
            session.get_flag(public, CKA_ENCAPSULATE).unwrap() && session.get_flag(private, CKA_DECAPSULATE).unwrap()
        );
        let (ciphertext, mine) = session.encapsulate(CKM_ML_KEM, public, &open_secret(&[])).unwrap();
        assert_eq!(ciphertext.len(), ciphertext_len);
        let yours = session.decapsulate(CKM_ML_KEM, private, &ciphertext, &open_secret(&[])).unwrap();
        let secret = session.get(mine, CKA_VALUE).unwrap();
        assert_eq!((secret.len(), &session.get(yours, CKA_VALUE).unwrap()), (32, &secret));
        for key in [mine, yours] {
            assert_eq!(session.get_ulong(key, CKA_CLASS).unwrap(), CKO_SECRET_KEY);
            assert_eq!(session.get_ulong(key, CKA_KEY_TYPE).unwrap(), CKK_GENERIC_SECRET);
            assert_eq!(session.get_ulong(key, CKA_VALUE_LEN).unwrap(), 32);
            for never in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
                assert!(!session.get_flag(key, never).unwrap());
            }
        }
        // A wrong ciphertext of the right length is not told apart; one of a wrong length is.
        let mut wrong = ciphertext.clone();
        wrong[0] ^= 1;
        let other = session.decapsulate(CKM_ML_KEM, private, &wrong, &open_secret(&[])).unwrap();
        assert_ne!(session.get(other, CKA_VALUE).unwrap(), secret);
        let short = session.decapsulate(CKM_ML_KEM, private, &ciphertext[1..], &open_secret(&[]));
        refused(short, CKR_WRAPPED_KEY_LEN_RANGE);
    }
}

#[test]
fn encapsulated_keys_are_what_their_templates_say() {
    let token = token("kem-templates");
    if missing(&token, CKM_ML_KEM) {
        return;
    }
    let session = token.user();
    let (public, private) = pair(&session, CKM_ML_KEM_KEY_PAIR_GEN, CKP_ML_KEM_768);
    let aes = open_secret(&[ulong(CKA_KEY_TYPE, CKK_AES), ulong(CKA_VALUE_LEN, 16), text(CKA_LABEL, "shared")]);
    let (ciphertext, mine) = session.encapsulate(CKM_ML_KEM, public, &aes).unwrap();
    let yours = session.decapsulate(CKM_ML_KEM, private, &ciphertext, &aes).unwrap();
    let sealed = session.encrypt(CKM_AES_ECB, mine, &MESSAGE[..32]).unwrap();
    assert_eq!(session.decrypt(CKM_AES_ECB, yours, &sealed).unwrap(), &MESSAGE[..32]);
    assert_eq!(session.find(&[text(CKA_LABEL, "shared")]).unwrap().len(), 2);
    let refuse = |extra: &[Attr], code| refused(session.encapsulate(CKM_ML_KEM, public, extra), code);
    refuse(&[ulong(CKA_KEY_TYPE, CKK_AES), ulong(CKA_VALUE_LEN, 20)], CKR_KEY_SIZE_RANGE);
    refuse(&[ulong(CKA_VALUE_LEN, 33)], CKR_KEY_SIZE_RANGE);
    refuse(&[ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, CKK_RSA)], CKR_TEMPLATE_INCONSISTENT);
    refuse(&[raw(CKA_VALUE, [0; 32])], CKR_ATTRIBUTE_READ_ONLY);
    // A private key encapsulates as little as a public one decapsulates.
    refused(session.encapsulate(CKM_ML_KEM, private, &[]), CKR_KEY_FUNCTION_NOT_PERMITTED);
    refused(session.decapsulate(CKM_ML_KEM, public, &ciphertext, &[]), CKR_KEY_FUNCTION_NOT_PERMITTED);
    refused(session.encapsulate(CKM_ML_DSA, public, &[]), CKR_MECHANISM_INVALID);
}

#[test]
fn the_length_is_told_before_anything_is_made() {
    let token = token("kem-length");
    if missing(&token, CKM_ML_KEM) {
        return;
    }
    let session = token.user();
    let (public, _) = pair(&session, CKM_ML_KEM_KEY_PAIR_GEN, CKP_ML_KEM_768);
    let labelled = open_secret(&[text(CKA_LABEL, "early")]);
    let (asked, len) = session.encapsulate_into(CKM_ML_KEM, public, &labelled, None);
    assert_eq!((asked.is_ok(), len), (true, 1088));
    let (short, len) = session.encapsulate_into(CKM_ML_KEM, public, &labelled, Some(1087));
    refused(short, CKR_BUFFER_TOO_SMALL);
    assert_eq!(len, 1088);
    assert!(session.find(&[text(CKA_LABEL, "early")]).unwrap().is_empty());
    session.encapsulate_into(CKM_ML_KEM, public, &labelled, Some(1088)).0.unwrap();
    assert_eq!(session.find(&[text(CKA_LABEL, "early")]).unwrap().len(), 1);
}

#[test]
fn a_key_may_be_kept_from_encapsulating() {
    let token = token("kem-usage");
    if missing(&token, CKM_ML_KEM) {
        return;
    }
    let session = token.user();
    let public = [ulong(CKA_PARAMETER_SET, CKP_ML_KEM_512), flag(CKA_ENCAPSULATE, false), flag(CKA_TOKEN, false)];
    let private = [flag(CKA_DECAPSULATE, false), flag(CKA_TOKEN, false)];
    let (public, private) = session.generate_pair(CKM_ML_KEM_KEY_PAIR_GEN, &public, &private).unwrap();
    refused(session.encapsulate(CKM_ML_KEM, public, &[]), CKR_KEY_FUNCTION_NOT_PERMITTED);
    refused(session.decapsulate(CKM_ML_KEM, private, &[0; 768], &[]), CKR_KEY_FUNCTION_NOT_PERMITTED);
    session.set(public, &[flag(CKA_ENCAPSULATE, true)]).unwrap();
    session.encapsulate(CKM_ML_KEM, public, &[flag(CKA_TOKEN, false)]).unwrap();
    // RSA keys do not encapsulate, and cannot be said to.
    let rsa = [ulong(CKA_MODULUS_BITS, 2048), flag(CKA_ENCAPSULATE, true)];
    refused(session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &rsa, &[]), CKR_ATTRIBUTE_VALUE_INVALID);
}

#[test]
fn private_keys_come_in_by_seed_by_value_or_by_both() {
    let token = token("pqc-import");
    if missing(&token, CKM_ML_KEM) {
        return;
    }
    let session = token.user();
    let kinds =
        [(CKM_ML_DSA_KEY_PAIR_GEN, CKK_ML_DSA, CKP_ML_DSA_44), (CKM_ML_KEM_KEY_PAIR_GEN, CKK_ML_KEM, CKP_ML_KEM_512)];
    for (generation, key_type, set) in kinds {
        let (public, private) = pair(&session, generation, set);
        let (seed, value) = (session.get(private, CKA_SEED).unwrap(), session.get(private, CKA_VALUE).unwrap());
        let info = session.get(private, CKA_PUBLIC_KEY_INFO).unwrap();
        assert_eq!(info, session.get(public, CKA_PUBLIC_KEY_INFO).unwrap());
        assert!(info.ends_with(&session.get(public, CKA_VALUE).unwrap()));
        let import = |extra: &[Attr]| {
            let mut template = open_secret(extra);
            template.extend([ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, key_type)]);
            session.create(&template)
        };
        let (set, by_seed, by_value) = (ulong(CKA_PARAMETER_SET, set), raw(CKA_SEED, &seed), raw(CKA_VALUE, &value));
        for parts in [vec![by_seed.clone()], vec![by_value.clone()], vec![by_seed.clone(), by_value.clone()]] {
            let key = import(&[&parts[..], std::slice::from_ref(&set)].concat()).unwrap();
            assert_eq!(session.get(key, CKA_PUBLIC_KEY_INFO).unwrap(), info);
            assert_eq!(session.get(key, CKA_VALUE).unwrap(), value);
            let kept = session.get(key, CKA_SEED).unwrap();
            assert!(if parts == [by_value.clone()] { kept.is_empty() } else { kept == seed });
        }
        let mut other = seed.clone();
        other[0] ^= 1;
        refused(import(&[set.clone(), raw(CKA_SEED, &other), by_value.clone()]), CKR_ATTRIBUTE_VALUE_INVALID);
        refused(import(&[by_seed]), CKR_TEMPLATE_INCOMPLETE);
        refused(import(&[set]), CKR_TEMPLATE_INCOMPLETE);
    }
}

#[test]
fn token_keys_live_on_and_are_wrapped() {
    let token = token("pqc-token");
    if missing(&token, CKM_ML_DSA) {
        return;
    }
    let session = token.user();
    let public = [ulong(CKA_PARAMETER_SET, CKP_ML_DSA_65), flag(CKA_TOKEN, true), text(CKA_LABEL, "kept")];
    let private = [flag(CKA_TOKEN, true), text(CKA_LABEL, "kept"), flag(CKA_EXTRACTABLE, true)];
    session.generate_pair(CKM_ML_DSA_KEY_PAIR_GEN, &public, &private).unwrap();
    let find = |class| session.find(&[text(CKA_LABEL, "kept"), ulong(CKA_CLASS, class)]).unwrap()[0];
    let (public, private) = (find(CKO_PUBLIC_KEY), find(CKO_PRIVATE_KEY));
    let signature = session.sign(CKM_ML_DSA, private, MESSAGE).unwrap();
    session.verify(CKM_ML_DSA, public, MESSAGE, &signature).unwrap();
    refused(session.get(private, CKA_SEED), CKR_ATTRIBUTE_SENSITIVE);
    refused(session.get(private, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
    let kek = session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 32), flag(CKA_TOKEN, false)]).unwrap();
    let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, kek, private).unwrap();
    let mut template = vec![
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, CKK_ML_DSA),
        flag(CKA_TOKEN, false),
        ulong(CKA_PARAMETER_SET, CKP_ML_DSA_65),
    ];
    let back = session.unwrap(CKM_AES_KEY_WRAP_KWP, kek, &wrapped, &template).unwrap();
    let signature = session.sign(CKM_ML_DSA, back, MESSAGE).unwrap();
    session.verify(CKM_ML_DSA, public, MESSAGE, &signature).unwrap();
    // What the template says of the set is held against the key.
    template[3] = ulong(CKA_PARAMETER_SET, CKP_ML_DSA_44);
    refused(session.unwrap(CKM_AES_KEY_WRAP_KWP, kek, &wrapped, &template), CKR_ATTRIBUTE_VALUE_INVALID);
}
