//! Encapsulation by ECDH (PKCS#11 3.2, 6.3.17 and 6.3.18): an ephemeral pair whose public point is the ciphertext. Our own
//! derivation is the other side, and the `openssl` command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Attr, Mech, Session, curve, flag, module, raw, refused, text, token, ulong};

/// A session on a fresh token; `None`, said aloud, without KMSS.
fn session(label: &str) -> Option<Session> {
    if built::only_kmss("encapsulation by ECDH") { None } else { Some(token(label).user()) }
}

/// ECDH with a KDF, and no point: the ciphertext is one.
fn kem(kind: CK_MECHANISM_TYPE, kdf: CK_EC_KDF_TYPE) -> Mech {
    let info: &[u8] = if kdf == CKD_NULL { b"" } else { b"info" };
    Mech::ecdh_with(kind, kdf, info, &[])
}

/// The derivation with a point that goes with [`kem`].
fn with_point(kind: CK_MECHANISM_TYPE, kdf: CK_EC_KDF_TYPE, point: &[u8]) -> Mech {
    let info: &[u8] = if kdf == CKD_NULL { b"" } else { b"info" };
    Mech::ecdh_with(kind, kdf, info, point)
}

/// A secret that can be read.
fn open_secret(more: &[Attr]) -> Vec<Attr> {
    let mut template = vec![flag(CKA_TOKEN, false), flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)];
    template.extend_from_slice(more);
    template
}

fn value(session: &Session, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    session.get(key, CKA_VALUE).unwrap()
}

/// Generation mechanism, parameters, length of a point and of a shared secret.
const CURVES: [(CK_MECHANISM_TYPE, &[u8], usize, CK_ULONG); 6] = [
    (CKM_EC_KEY_PAIR_GEN, curve::P256, 65, 32),
    (CKM_EC_KEY_PAIR_GEN, curve::P384, 97, 48),
    (CKM_EC_KEY_PAIR_GEN, curve::P521, 133, 66),
    (CKM_EC_KEY_PAIR_GEN, curve::SECP256K1, 65, 32),
    (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, curve::X25519, 32, 32),
    (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, curve::X448, 56, 56),
];

#[test]
fn what_is_encapsulated_is_what_derivation_with_the_ciphertext_makes() {
    let Some(session) = session("kem-ecdh") else { return };
    for (generation, parameters, point_len, secret_len) in CURVES {
        let (public, private) = pair(&session, generation, parameters);
        assert!(session.get_flag(public, CKA_ENCAPSULATE).unwrap());
        assert!(session.get_flag(private, CKA_DECAPSULATE).unwrap());
        for kind in [CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE] {
            for (kdf, len) in
                [(CKD_NULL, secret_len), (CKD_NULL, 16), (CKD_SHA256_KDF, 80), (CKD_SHA3_384_KDF_SP800, 24)]
            {
                let wanted = open_secret(&[ulong(CKA_VALUE_LEN, len)]);
                let (ciphertext, mine) = session.encapsulate(kem(kind, kdf), public, &wanted).unwrap();
                assert_eq!(ciphertext.len(), point_len);
                let yours = session.decapsulate(kem(kind, kdf), private, &ciphertext, &wanted).unwrap();
                let derived = open_secret(&[ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET), ulong(CKA_VALUE_LEN, len)]);
                let derived = session.derive(with_point(kind, kdf, &ciphertext), private, &derived).unwrap();
                let secret = value(&session, mine);
                assert_eq!(secret.len(), usize::try_from(len).unwrap());
                assert_eq!((&value(&session, yours), &value(&session, derived)), (&secret, &secret));
                for never in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
                    assert!(!session.get_flag(mine, never).unwrap() && !session.get_flag(yours, never).unwrap());
                }
                let (another, _) = session.encapsulate(kem(kind, kdf), public, &wanted).unwrap();
                assert_ne!(another, ciphertext, "the pair is not ephemeral");
            }
        }
        // Without a length the key is the whole shared secret.
        let (_, whole) = session.encapsulate(kem(CKM_ECDH1_DERIVE, CKD_NULL), public, &open_secret(&[])).unwrap();
        assert_eq!(session.get_ulong(whole, CKA_VALUE_LEN).unwrap(), secret_len);
    }
}

#[test]
fn openssl_finds_the_secret_behind_the_ciphertext_and_we_find_its() {
    let Some(session) = session("kem-openssl") else { return };
    let judge = Judge::new();
    let cases = [
        ("EC -pkeyopt ec_paramgen_curve:P-256", CKK_EC, curve::P256, 65),
        ("EC -pkeyopt ec_paramgen_curve:P-521", CKK_EC, curve::P521, 133),
        ("X25519", CKK_EC_MONTGOMERY, curve::X25519, 32),
        ("X448", CKK_EC_MONTGOMERY, curve::X448, 56),
    ];
    for (algorithm, key_type, parameters, point_len) in cases {
        judge.succeed(&format!("genpkey -algorithm {algorithm} -out theirs.pem"));
        judge.succeed("pkey -in theirs.pem -pubout -outform DER -out theirs.der");
        let info = judge.read("theirs.der");
        let (head, point) = info.split_at(info.len() - point_len);
        let template = [
            ulong(CKA_CLASS, CKO_PUBLIC_KEY),
            ulong(CKA_KEY_TYPE, key_type),
            flag(CKA_TOKEN, false),
            raw(CKA_EC_PARAMS, parameters),
            raw(CKA_EC_POINT, der(4, point)),
        ];
        let public = session.create(&template).unwrap();
        let (ciphertext, mine) =
            session.encapsulate(kem(CKM_ECDH1_DERIVE, CKD_NULL), public, &open_secret(&[])).unwrap();
        judge.file("ours.der", &[head, &ciphertext].concat());
        judge.succeed("pkeyutl -derive -inkey theirs.pem -peerkey ours.der -peerform DER -out secret");
        assert_eq!(judge.read("secret"), value(&session, mine), "{algorithm}");
        // The other way round, openssl's pair is the ephemeral one.
        let generation = if key_type == CKK_EC { CKM_EC_KEY_PAIR_GEN } else { CKM_EC_MONTGOMERY_KEY_PAIR_GEN };
        let (ours, private) = pair(&session, generation, parameters);
        judge.file("ours.der", &public_info(&session, ours));
        judge.succeed("pkeyutl -derive -inkey theirs.pem -peerkey ours.der -peerform DER -out secret");
        let found = session.decapsulate(kem(CKM_ECDH1_DERIVE, CKD_NULL), private, point, &open_secret(&[])).unwrap();
        assert_eq!(value(&session, found), judge.read("secret"), "{algorithm}");
    }
}

#[test]
fn keys_are_what_their_templates_say_and_the_length_comes_first() {
    let Some(session) = session("kem-ecdh-templates") else { return };
    let (public, private) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P384);
    let how = || kem(CKM_ECDH1_DERIVE, CKD_SHA256_KDF);
    let aes = open_secret(&[ulong(CKA_KEY_TYPE, CKK_AES), ulong(CKA_VALUE_LEN, 32), text(CKA_LABEL, "agreed")]);
    let (asked, len) = session.encapsulate_into(how(), public, &aes, None);
    assert_eq!((asked.is_ok(), len), (true, 97));
    let (short, len) = session.encapsulate_into(how(), public, &aes, Some(96));
    refused(short, CKR_BUFFER_TOO_SMALL);
    assert_eq!(len, 97);
    assert!(session.find(&[text(CKA_LABEL, "agreed")]).unwrap().is_empty(), "made although nobody could have it");
    let (ciphertext, mine) = session.encapsulate(how(), public, &aes).unwrap();
    let yours = session.decapsulate(how(), private, &ciphertext, &aes).unwrap();
    let sealed = session.encrypt(CKM_AES_ECB, mine, &MESSAGE[..32]).unwrap();
    assert_eq!(session.decrypt(CKM_AES_ECB, yours, &sealed).unwrap(), &MESSAGE[..32]);
    assert_eq!(session.find(&[text(CKA_LABEL, "agreed")]).unwrap().len(), 2);
    let refuse = |extra: &[Attr], code| refused(session.encapsulate(how(), public, extra), code);
    refuse(&[ulong(CKA_KEY_TYPE, CKK_AES), ulong(CKA_VALUE_LEN, 20)], CKR_KEY_SIZE_RANGE);
    refuse(&[ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, CKK_RSA)], CKR_TEMPLATE_INCONSISTENT);
    // Without a KDF there is no more than the shared secret.
    let long = [ulong(CKA_VALUE_LEN, 49)];
    refused(session.encapsulate(kem(CKM_ECDH1_DERIVE, CKD_NULL), public, &long), CKR_KEY_SIZE_RANGE);
}

#[test]
fn points_that_are_none_and_parameters_that_name_one_are_refused() {
    let Some(session) = session("kem-ecdh-wrong") else { return };
    let (public, private) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P256);
    let how = || kem(CKM_ECDH1_DERIVE, CKD_NULL);
    let (ciphertext, _) = session.encapsulate(how(), public, &open_secret(&[])).unwrap();
    // 6.3.17: pPublicData and ulPublicDataLen must be NULL and 0.
    let naming = || with_point(CKM_ECDH1_DERIVE, CKD_NULL, &ciphertext);
    refused(session.encapsulate(naming(), public, &[]), CKR_MECHANISM_PARAM_INVALID);
    refused(session.decapsulate(naming(), private, &ciphertext, &[]), CKR_MECHANISM_PARAM_INVALID);
    refused(session.encapsulate(CKM_ECDH1_DERIVE, public, &[]), CKR_MECHANISM_PARAM_INVALID);
    refused(session.derive(how(), private, &[]), CKR_MECHANISM_PARAM_INVALID);
    let mut off_curve = ciphertext.clone();
    off_curve[64] ^= 1;
    refused(session.decapsulate(how(), private, &off_curve, &[]), CKR_WRAPPED_KEY_INVALID);
    for wrong in [&ciphertext[..64], &[&ciphertext[..], &[0]].concat(), &[0][..]] {
        refused(session.decapsulate(how(), private, wrong, &[]), CKR_WRAPPED_KEY_LEN_RANGE);
    }
    // A point of small order would make the secret one that everybody knows.
    let (_, montgomery) = pair(&session, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, curve::X25519);
    refused(session.decapsulate(how(), montgomery, &[0; 32], &[]), CKR_WRAPPED_KEY_INVALID);
    // The two halves do not change places, and other keys have no part in it.
    refused(session.encapsulate(how(), private, &[]), CKR_KEY_FUNCTION_NOT_PERMITTED);
    refused(session.decapsulate(how(), public, &ciphertext, &[]), CKR_KEY_FUNCTION_NOT_PERMITTED);
    let (edwards, _) = pair(&session, CKM_EC_EDWARDS_KEY_PAIR_GEN, curve::ED25519);
    refused(session.encapsulate(how(), edwards, &[]), CKR_KEY_TYPE_INCONSISTENT);
}

#[test]
fn a_private_key_that_may_not_derive_does_not_decapsulate_either() {
    let Some(session) = session("kem-ecdh-usage") else { return };
    let how = || kem(CKM_ECDH1_DERIVE, CKD_NULL);
    let make = |extra: &[Attr]| {
        let public = [raw(CKA_EC_PARAMS, curve::P256), flag(CKA_TOKEN, false)];
        session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, &[&[flag(CKA_TOKEN, false)][..], extra].concat()).unwrap()
    };
    let (public, signer) = make(&[flag(CKA_DERIVE, false)]);
    assert!(!session.get_flag(signer, CKA_DECAPSULATE).unwrap());
    let (ciphertext, _) = session.encapsulate(how(), public, &[]).unwrap();
    refused(session.decapsulate(how(), signer, &ciphertext, &[]), CKR_KEY_FUNCTION_NOT_PERMITTED);
    let (public, both) = make(&[flag(CKA_DERIVE, false), flag(CKA_DECAPSULATE, true)]);
    let (ciphertext, _) = session.encapsulate(how(), public, &[]).unwrap();
    session.decapsulate(how(), both, &ciphertext, &[]).unwrap();
    let (_, deriver) = make(&[flag(CKA_DECAPSULATE, false)]);
    assert!(session.get_flag(deriver, CKA_DERIVE).unwrap() && !session.get_flag(deriver, CKA_DECAPSULATE).unwrap());
}

#[test]
fn the_table_says_what_is_offered() {
    let Some(session) = session("kem-ecdh-table") else { return };
    let slot = session.info().unwrap().slotID;
    for (kind, sizes) in [(CKM_ECDH1_DERIVE, (255, 521)), (CKM_ECDH1_COFACTOR_DERIVE, (255, 521))] {
        let info = module().mechanism_info(slot, kind).unwrap();
        assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), sizes);
        let curves = CKF_EC_F_P | CKF_EC_OID | CKF_EC_UNCOMPRESS;
        assert_eq!(info.flags, CKF_DERIVE | CKF_ENCAPSULATE | CKF_DECAPSULATE | curves);
    }
}
