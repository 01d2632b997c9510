//! secp256k1, Ed448, X448, the variants of EdDSA and the derivations of ECDH, judged by the `openssl` command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Attr, Mech, Session, curve, flag, module, raw, token, ulong};

/// What an openssl key of the algorithms with bare seeds ends with: the seed, and the public key.
fn made_by_openssl(judge: &Judge, algorithm: &str, name: &str, len: usize) -> (Vec<u8>, Vec<u8>) {
    judge.succeed(&format!("genpkey -algorithm {algorithm} -out {name}.pem"));
    judge.succeed(&format!("pkey -in {name}.pem -outform DER -out {name}.der"));
    judge.succeed(&format!("pkey -in {name}.pem -pubout -outform DER -out {name}.pub.der"));
    let tail = |bytes: Vec<u8>| bytes[bytes.len() - len..].to_vec();
    (tail(judge.read(&format!("{name}.der"))), tail(judge.read(&format!("{name}.pub.der"))))
}

fn imported(session: &Session, kind: CK_KEY_TYPE, parameters: &[u8], value: &[u8]) -> CK_OBJECT_HANDLE {
    let template = [
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, kind),
        flag(CKA_TOKEN, false),
        raw(CKA_EC_PARAMS, parameters),
        raw(CKA_VALUE, value),
    ];
    session.create(&template).unwrap()
}

fn imported_public(session: &Session, kind: CK_KEY_TYPE, parameters: &[u8], point: &[u8]) -> CK_OBJECT_HANDLE {
    let template = [
        ulong(CKA_CLASS, CKO_PUBLIC_KEY),
        ulong(CKA_KEY_TYPE, kind),
        flag(CKA_TOKEN, false),
        raw(CKA_EC_PARAMS, parameters),
        raw(CKA_EC_POINT, point),
    ];
    session.create(&template).unwrap()
}

/// A derived secret that can be read.
fn open_secret(len: CK_ULONG) -> Vec<Attr> {
    vec![
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        ulong(CKA_VALUE_LEN, len),
        flag(CKA_TOKEN, false),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
    ]
}

#[test]
fn secp256k1_signatures_convince_openssl_and_those_of_openssl_verify() {
    let session = token("secp256k1").user();
    let judge = Judge::new();
    judge.file("msg", MESSAGE);
    let (public, private) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::SECP256K1);
    judge.file("pub.der", &public_info(&session, public));
    for (name, mechanism) in [
        ("sha1", CKM_ECDSA_SHA1),
        ("sha256", CKM_ECDSA_SHA256),
        ("sha512", CKM_ECDSA_SHA512),
        ("sha3-384", CKM_ECDSA_SHA3_384),
    ] {
        let signature = session.sign_parts(mechanism, private, &[&MESSAGE[..30], &MESSAGE[30..]]).unwrap();
        assert_eq!(signature.len(), 64);
        session.verify(mechanism, public, MESSAGE, &signature).unwrap();
        judge.file("sig", &der_signature(&signature));
        judge.succeed(&format!("dgst -{name} -verify pub.der -keyform DER -signature sig msg"));
    }
    // openssl does not lower s: half of its signatures are the other of the two.
    judge.succeed("ecparam -name secp256k1 -genkey -noout -out k.pem");
    judge.succeed("ec -in k.pem -outform DER -out k.der -conv_form uncompressed");
    let sec1 = judge.read("k.der");
    let (value, point) = (&sec1[7..39], &sec1[sec1.len() - 65..]);
    let private = imported(&session, CKK_EC, curve::SECP256K1, value);
    let public = imported_public(&session, CKK_EC, curve::SECP256K1, &der(4, point));
    for _ in 0..8 {
        judge.succeed("dgst -sha256 -sign k.pem -out sig msg");
        let signature = raw_signature(&judge.read("sig"), 32);
        session.verify(CKM_ECDSA_SHA256, public, MESSAGE, &signature).unwrap();
    }
    assert_eq!(session.get(private, CKA_EC_POINT).unwrap(), der(4, point));
    // A compressed point is the same key.
    let compressed = [&[2 + (point[64] & 1)][..], &point[1..33]].concat();
    let public = imported_public(&session, CKK_EC, curve::SECP256K1, &der(4, &compressed));
    assert_eq!(session.get(public, CKA_EC_POINT).unwrap(), der(4, point));
}

#[test]
fn edwards_keys_of_openssl_make_the_same_signatures_here() {
    let session = token("edwards").user();
    let judge = Judge::new();
    judge.file("msg", MESSAGE);
    for (algorithm, parameters, len) in [("ED25519", curve::ED25519, 32), ("ED448", curve::ED448, 57)] {
        let (seed, public) = made_by_openssl(&judge, algorithm, "k", len);
        judge.succeed("pkeyutl -sign -rawin -inkey k.pem -in msg -out sig");
        let expected = judge.read("sig");
        let private = imported(&session, CKK_EC_EDWARDS, parameters, &seed);
        let public = imported_public(&session, CKK_EC_EDWARDS, parameters, &der(4, &public));
        assert_eq!(session.get(private, CKA_EC_POINT).unwrap(), session.get(public, CKA_EC_POINT).unwrap());
        assert_eq!(session.sign(CKM_EDDSA, private, MESSAGE).unwrap(), expected, "{algorithm}");
        let parts: Vec<&[u8]> = MESSAGE.chunks(9).collect();
        assert_eq!(session.sign_parts(CKM_EDDSA, private, &parts).unwrap(), expected, "{algorithm}");
        session.verify_parts(CKM_EDDSA, public, &parts, &expected).unwrap();
        let said = session.verify(CKM_EDDSA, public, b"other", &expected).unwrap_err();
        assert_eq!(said.0, CKR_SIGNATURE_INVALID);
        // Keys of our own convince openssl.
        let (public, private) = pair(&session, CKM_EC_EDWARDS_KEY_PAIR_GEN, parameters);
        judge.file("sig", &session.sign(CKM_EDDSA, private, MESSAGE).unwrap());
        judge.file("pub.der", &public_info(&session, public));
        judge.succeed("pkeyutl -verify -rawin -pubin -inkey pub.der -keyform DER -in msg -sigfile sig");
    }
}

#[test]
fn the_parameter_of_eddsa_chooses_the_variant() {
    let session = token("eddsa-variants").user();
    for parameters in [curve::ED25519, curve::ED448] {
        let (public, private) = pair(&session, CKM_EC_EDWARDS_KEY_PAIR_GEN, parameters);
        let pure = session.sign(CKM_EDDSA, private, MESSAGE).unwrap();
        assert_eq!(session.sign(Mech::eddsa(false, b""), private, MESSAGE).unwrap(), pure);
        let mut seen = vec![pure];
        for (prehash, context) in [(false, b"ctx".as_slice()), (true, b""), (true, b"ctx"), (true, &[7; 255])] {
            let mechanism = Mech::eddsa(prehash, context);
            let signature = session.sign_parts(mechanism.clone(), private, &[&MESSAGE[..5], &MESSAGE[5..]]).unwrap();
            session.verify(mechanism, public, MESSAGE, &signature).unwrap();
            assert!(!seen.contains(&signature), "variants do not share signatures");
            assert_eq!(session.verify(CKM_EDDSA, public, MESSAGE, &signature).unwrap_err().0, CKR_SIGNATURE_INVALID);
            seen.push(signature);
        }
        let long = session.sign(Mech::eddsa(false, &[0; 256]), private, MESSAGE).unwrap_err();
        assert_eq!(long.0, CKR_MECHANISM_PARAM_INVALID);
    }
}

#[test]
fn montgomery_curves_and_secp256k1_agree_with_openssl() {
    let session = token("agreement").user();
    let judge = Judge::new();
    for (algorithm, parameters, len) in [("X25519", curve::X25519, 32), ("X448", curve::X448, 56)] {
        let (mine, _) = made_by_openssl(&judge, algorithm, "a", len);
        let (_, theirs) = made_by_openssl(&judge, algorithm, "b", len);
        judge.succeed("pkeyutl -derive -inkey a.pem -peerkey b.pub.der -peerform DER -out secret");
        let key = imported(&session, CKK_EC_MONTGOMERY, parameters, &mine);
        for point in [theirs.clone(), der(4, &theirs)] {
            let secret = session.derive(Mech::ecdh(&point), key, &open_secret(len as CK_ULONG)).unwrap();
            assert_eq!(session.get(secret, CKA_VALUE).unwrap(), judge.read("secret"), "{algorithm}");
        }
        let (public, private) = pair(&session, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, parameters);
        let other = session.derive(Mech::ecdh(&theirs), private, &open_secret(len as CK_ULONG)).unwrap();
        judge.file("ours.der", &public_info(&session, public));
        judge.succeed("pkeyutl -derive -inkey b.pem -peerkey ours.der -peerform DER -out secret");
        assert_eq!(session.get(other, CKA_VALUE).unwrap(), judge.read("secret"), "{algorithm}");
    }
    let (public, private) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::SECP256K1);
    judge.succeed("ecparam -name secp256k1 -genkey -noout -out b.pem");
    judge.succeed("pkey -in b.pem -pubout -outform DER -out b.pub.der");
    let info = judge.read("b.pub.der");
    judge.file("ours.der", &public_info(&session, public));
    judge.succeed("pkeyutl -derive -inkey b.pem -peerkey ours.der -peerform DER -out secret");
    let theirs = &info[info.len() - 65..];
    for kind in [CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE] {
        let mechanism = Mech::ecdh_with(kind, CKD_NULL, &[], theirs);
        let secret = session.derive(mechanism, private, &open_secret(32)).unwrap();
        assert_eq!(session.get(secret, CKA_VALUE).unwrap(), judge.read("secret"));
    }
}

#[test]
fn the_derivations_behind_ecdh_agree_with_openssl() {
    let session = token("ecdh-kdf").user();
    let judge = Judge::new();
    let (_, mine) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P256);
    let (theirs, _) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P256);
    let theirs = point(&session, theirs);
    let bare = session.derive(Mech::ecdh(&theirs), mine, &open_secret(32)).unwrap();
    let bare = hex(&session.get(bare, CKA_VALUE).unwrap());
    let kdfs = [
        ("SHA1", CKD_SHA1_KDF, CKD_SHA1_KDF_SP800),
        ("SHA224", CKD_SHA224_KDF, CKD_SHA224_KDF_SP800),
        ("SHA256", CKD_SHA256_KDF, CKD_SHA256_KDF_SP800),
        ("SHA384", CKD_SHA384_KDF, CKD_SHA384_KDF_SP800),
        ("SHA512", CKD_SHA512_KDF, CKD_SHA512_KDF_SP800),
        ("SHA3-224", CKD_SHA3_224_KDF, CKD_SHA3_224_KDF_SP800),
        ("SHA3-256", CKD_SHA3_256_KDF, CKD_SHA3_256_KDF_SP800),
        ("SHA3-384", CKD_SHA3_384_KDF, CKD_SHA3_384_KDF_SP800),
        ("SHA3-512", CKD_SHA3_512_KDF, CKD_SHA3_512_KDF_SP800),
    ];
    for (digest, x963, concatenation) in kdfs {
        for (kdf, name) in [(x963, "X963KDF"), (concatenation, "SSKDF")] {
            let mechanism = Mech::ecdh_with(CKM_ECDH1_DERIVE, kdf, b"shared info", &theirs);
            let derived = session.derive(mechanism, mine, &open_secret(100)).unwrap();
            let info = hex(b"shared info");
            let options = format!("-kdfopt digest:{digest} -kdfopt hexkey:{bare} -kdfopt hexinfo:{info}");
            let said = judge.succeed(&format!("kdf -keylen 100 -binary {options} {name}"));
            assert_eq!(session.get(derived, CKA_VALUE).unwrap(), said.stdout, "{name} {digest}");
        }
    }
}

#[test]
fn keys_travel_under_ephemeral_aes_keys() {
    let session = token("hybrid").user();
    let (rsa_public, rsa_private) = rsa(&session);
    let (ec_public, ec_private) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P256);
    let (x_public, x_private) = pair(&session, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, curve::X448);
    let ways = [
        (rsa_public, rsa_private, Mech::rsa_aes(256, CKM_SHA256, CKG_MGF1_SHA256)),
        (rsa_public, rsa_private, Mech::rsa_aes(128, CKM_SHA_1, CKG_MGF1_SHA1)),
        (ec_public, ec_private, Mech::ecdh_aes(256, CKD_SHA256_KDF, b"info")),
        (x_public, x_private, Mech::ecdh_aes(192, CKD_SHA384_KDF_SP800, b"")),
    ];
    let loose = [flag(CKA_TOKEN, false), flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)];
    let generated = [raw(CKA_EC_PARAMS, curve::SECP256K1), flag(CKA_TOKEN, false)];
    let (verifier, signer) = session.generate_pair(CKM_EC_KEY_PAIR_GEN, &generated, &loose).unwrap();
    let value: Vec<u8> = (1..=32).collect();
    let secret = secret(&session, CKK_AES, &value);
    for (public, private, mechanism) in ways {
        let wrapped = session.wrap(mechanism.clone(), public, secret).unwrap();
        let class = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)];
        let back = session.unwrap(mechanism.clone(), private, &wrapped, &[&class[..], &loose].concat()).unwrap();
        assert_eq!(session.get(back, CKA_VALUE).unwrap(), value);
        let wrapped = session.wrap(mechanism.clone(), public, signer).unwrap();
        let class = [ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, CKK_EC), flag(CKA_TOKEN, false)];
        let back = session.unwrap(mechanism.clone(), private, &wrapped, &class).unwrap();
        let signature = session.sign(CKM_ECDSA_SHA256, back, MESSAGE).unwrap();
        session.verify(CKM_ECDSA_SHA256, verifier, MESSAGE, &signature).unwrap();
        let mut bad = wrapped.clone();
        bad[wrapped.len() - 1] ^= 1;
        let said = session.unwrap(mechanism, private, &bad, &class).unwrap_err();
        assert_eq!(said.0, CKR_WRAPPED_KEY_INVALID);
    }
    let odd = session.wrap(Mech::rsa_aes(100, CKM_SHA_1, CKG_MGF1_SHA1), rsa_public, secret).unwrap_err();
    assert_eq!(odd.0, CKR_MECHANISM_PARAM_INVALID);
}

#[test]
fn mechanisms_say_exactly_which_curves_and_sizes_they_take() {
    let token = token("sizes");
    let sizes = |m| {
        let info = module().mechanism_info(token.slot, m).unwrap();
        (info.ulMinKeySize, info.ulMaxKeySize)
    };
    assert_eq!(sizes(CKM_EDDSA), (255, 448));
    assert_eq!(sizes(CKM_EC_EDWARDS_KEY_PAIR_GEN), (255, 448));
    assert_eq!(sizes(CKM_EC_MONTGOMERY_KEY_PAIR_GEN), (255, 448));
    assert_eq!(sizes(CKM_ECDSA), (256, 521));
    assert_eq!(sizes(CKM_ECDH1_DERIVE), (255, 521));
    assert_eq!(sizes(CKM_RSA_PKCS_KEY_PAIR_GEN), (2048, 8192));
    assert_eq!(sizes(CKM_SHA256_RSA_PKCS), (1024, 8192));
    assert_eq!(sizes(CKM_RSA_PKCS_OAEP), (2048, 8192));
    assert_eq!(sizes(CKM_RSA_AES_KEY_WRAP), (2048, 8192));
}
