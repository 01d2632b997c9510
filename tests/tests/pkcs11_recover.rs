//! Signatures that carry their data, and what RSA keys of 1024 bits may still do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Mech, flag, raw, token, ulong};

#[test]
fn data_comes_back_from_signatures_here_and_in_openssl() {
    let session = token("recover").user();
    let (public, private) = rsa(&session);
    let judge = Judge::new();
    judge.file("pub.der", &public_info(&session, public));
    let signature = session.sign_recover(CKM_RSA_PKCS, private, b"some data").unwrap();
    assert_eq!(session.verify_recover(CKM_RSA_PKCS, public, &signature).unwrap(), b"some data");
    judge.file("sig", &signature);
    let said = judge.succeed("pkeyutl -verifyrecover -pubin -inkey pub.der -keyform DER -in sig");
    assert_eq!(said.stdout, b"some data");
    assert_eq!(session.sign(CKM_RSA_PKCS, private, b"some data").unwrap(), signature);
    let block = [&[0_u8; 100][..], &[5; 156]].concat();
    let signature = session.sign_recover(CKM_RSA_X_509, private, &block).unwrap();
    assert_eq!(session.verify_recover(CKM_RSA_X_509, public, &signature).unwrap(), block);
}

#[test]
fn recovery_has_its_own_attributes_and_codes() {
    let session = token("recover-codes").user();
    let public = [ulong(CKA_MODULUS_BITS, 2048), flag(CKA_TOKEN, false), flag(CKA_VERIFY_RECOVER, false)];
    let private = [flag(CKA_TOKEN, false), flag(CKA_SIGN_RECOVER, false)];
    let (public, private) = session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).unwrap();
    let refused = CKR_KEY_FUNCTION_NOT_PERMITTED;
    assert_eq!(session.sign_recover_init(CKM_RSA_PKCS, private).unwrap_err().0, refused);
    assert_eq!(session.verify_recover_init(CKM_RSA_PKCS, public).unwrap_err().0, refused);
    let signature = session.sign(CKM_RSA_PKCS, private, b"plain signing goes on").unwrap();
    session.verify(CKM_RSA_PKCS, public, b"plain signing goes on", &signature).unwrap();

    let (public, private) = rsa(&session);
    let signature = session.sign_recover(CKM_RSA_PKCS, private, b"data").unwrap();
    let wrong = session.verify_recover(CKM_RSA_PKCS, public, &signature[1..]).unwrap_err();
    assert_eq!(wrong.0, CKR_SIGNATURE_LEN_RANGE);
    let wrong = session.verify_recover(CKM_RSA_PKCS, public, &[7; 256]).unwrap_err();
    assert_eq!(wrong.0, CKR_SIGNATURE_INVALID);
    // Every error ends the operation.
    assert_eq!(session.sign_recover(CKM_RSA_PKCS, private, &[1; 246]).unwrap_err().0, CKR_DATA_LEN_RANGE);
    session.sign_recover_init(CKM_RSA_PKCS, private).unwrap();
    assert_eq!(session.sign_recover_init(CKM_RSA_PKCS, private).unwrap_err().0, CKR_OPERATION_ACTIVE);
    session.verify_recover_init(CKM_RSA_PKCS, public).unwrap();
    assert_eq!(session.verify_recover_init(CKM_RSA_PKCS, public).unwrap_err().0, CKR_OPERATION_ACTIVE);
    let hashed = session.sign_recover(CKM_SHA256_RSA_PKCS, private, b"data").unwrap_err();
    assert_eq!(hashed.0, CKR_OPERATION_ACTIVE);
}

#[test]
fn recovery_is_offered_for_rsa_without_a_hash_alone() {
    let session = token("recover-offer").user();
    let (_, private) = rsa(&session);
    for mechanism in [CKM_SHA256_RSA_PKCS, CKM_ECDSA, CKM_RSA_PKCS_OAEP] {
        assert_eq!(session.sign_recover_init(mechanism, private).unwrap_err().0, CKR_MECHANISM_INVALID);
    }
}

#[test]
fn a_public_key_of_1024_bits_verifies_what_openssl_signed_and_does_nothing_else() {
    let session = token("small-rsa").user();
    let judge = Judge::new();
    judge.file("msg", MESSAGE);
    judge.succeed("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out k.pem");
    judge.succeed("dgst -sha256 -sign k.pem -out sig msg");
    let modulus = judge.succeed("rsa -in k.pem -noout -modulus").text();
    let digits = modulus.trim().trim_start_matches("Modulus=");
    let modulus: Vec<u8> =
        (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect();
    let template = [
        ulong(CKA_CLASS, CKO_PUBLIC_KEY),
        ulong(CKA_KEY_TYPE, CKK_RSA),
        flag(CKA_TOKEN, false),
        raw(CKA_MODULUS, &modulus),
        raw(CKA_PUBLIC_EXPONENT, [1, 0, 1]),
    ];
    let key = session.create(&template).unwrap();
    session.verify(CKM_SHA256_RSA_PKCS, key, MESSAGE, &judge.read("sig")).unwrap();
    let recovered = session.verify_recover(CKM_RSA_PKCS, key, &judge.read("sig")).unwrap();
    assert_eq!(recovered[recovered.len() - 32..], session.digest(CKM_SHA256, MESSAGE).unwrap());
    for mechanism in [Mech::new(CKM_RSA_PKCS), Mech::new(CKM_RSA_X_509), Mech::oaep(CKM_SHA_1, CKG_MGF1_SHA1, b"")] {
        assert_eq!(session.encrypt(mechanism, key, b"data").unwrap_err().0, CKR_KEY_SIZE_RANGE);
    }
    let target = secret(&session, CKK_AES, &[1; 16]);
    let wrapped = session.wrap(CKM_RSA_PKCS, key, target).unwrap_err();
    assert_eq!(wrapped.0, CKR_WRAPPING_KEY_SIZE_RANGE);
}
