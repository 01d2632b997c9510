//! Values as importing clients give them.
#![allow(clippy::unwrap_used)]

use cryptoki_sys::*;

use super::*;

const P256: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];

fn key(class: Class, template: &[(CK_ATTRIBUTE_TYPE, &[u8])]) -> Result<KeyComponents> {
    given(&Template::of(template), class).map(|given| match given {
        Given::Key(key) => key,
        Given::Document(_) => KeyComponents::Public(PublicComponents::None),
    })
}

#[test]
fn a_scalar_gets_its_full_length_whatever_zeros_it_came_with() {
    let class = Class::Private(KeyType::Ec);
    let full = |value: &[u8]| match key(class, &[(CKA_EC_PARAMS, P256), (CKA_VALUE, value)]) {
        Ok(KeyComponents::EcPrivate { scalar, .. }) => Ok(scalar.expose().to_vec()),
        Ok(_) => Ok(Vec::new()),
        Err(rv) => Err(rv),
    };
    let mut one = vec![0; 31];
    one.push(1);
    assert_eq!(full(&[1]), Ok(one.clone()));
    assert_eq!(full(&[[0].as_slice(), &one].concat()), Ok(one));
    assert_eq!(full(&[1; 33]), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    assert_eq!(full(&[0; 32]), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    assert_eq!(full(&[]), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
}

#[test]
fn seeds_have_their_length_perhaps_in_an_octet_string() {
    for (curve, key_type, len) in [
        (Curve::Ed25519, KeyType::EcEdwards, 32),
        (Curve::Ed448, KeyType::EcEdwards, 57),
        (Curve::X448, KeyType::EcMontgomery, 56),
    ] {
        let params = curve::params(curve);
        let with = |value: &[u8]| key(Class::Private(key_type), &[(CKA_EC_PARAMS, &params), (CKA_VALUE, value)]);
        let seed = vec![0; len];
        let expected = KeyComponents::EcPrivate { curve, scalar: Secret::copy_of(&seed) };
        assert_eq!(with(&seed), Ok(expected.clone()));
        assert_eq!(with(&octet_string::wrapped(&seed)), Ok(expected));
        for bad in [vec![0; len - 1], vec![0; len + 1]] {
            assert_eq!(with(&bad), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
        }
    }
}

#[test]
fn a_point_of_the_wrong_length_is_refused() {
    let class = Class::Public(KeyType::Ec);
    let with = |point: &[u8]| key(class, &[(CKA_EC_PARAMS, P256), (CKA_EC_POINT, point)]);
    assert!(with(&[4; 65]).is_ok());
    assert!(with(&octet_string::wrapped(&[4; 65])).is_ok());
    // Whether a compressed point is on the curve is for the engine to say.
    assert!(with(&[2; 33]).is_ok());
    for bad in [&[4; 64][..], &[4; 66], &[2; 34], &[4]] {
        assert_eq!(with(bad), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    }
    assert_eq!(key(class, &[(CKA_EC_PARAMS, P256)]), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
}

#[test]
fn a_modulus_loses_its_zeros_and_may_not_be_absurd() {
    let class = Class::Public(KeyType::Rsa);
    let with = |modulus: &[u8]| key(class, &[(CKA_MODULUS, modulus), (CKA_PUBLIC_EXPONENT, &[0, 1, 0, 1])]);
    let expected = PublicComponents::Rsa { modulus: vec![0xC0; 256], exponent: vec![1, 0, 1] };
    assert_eq!(with(&[&[0][..], &[0xC0; 256]].concat()), Ok(KeyComponents::Public(expected)));
    for bad in [&[0; 256][..], &[1; 1025]] {
        assert_eq!(with(bad), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    }
}

#[test]
fn secret_keys_have_the_lengths_of_their_types() {
    let with = |key_type, value: &[u8]| key(Class::Secret(key_type), &[(CKA_VALUE, value)]).map(drop);
    assert_eq!(with(KeyType::Aes, &[0; 24]), Ok(()));
    assert_eq!(with(KeyType::GenericSecret, &[0; 1]), Ok(()));
    assert_eq!(with(KeyType::Aes, &[0; 17]), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    assert_eq!(with(KeyType::Sm4, &[0; 32]), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    assert_eq!(with(KeyType::GenericSecret, &[0; 65_537]), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    assert_eq!(with(KeyType::GenericSecret, &[]), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
}

#[test]
fn generated_secrets_need_a_length_that_is_offered() {
    let with = |key_type, len: Option<CK_ULONG>| {
        let template = len.map(|l| Template::of(&[(CKA_VALUE_LEN, &l.to_ne_bytes())])).unwrap_or_default();
        secret_spec(&template, key_type)
    };
    assert_eq!(with(KeyType::Aes, Some(32)), Ok(KeySpec::Secret { key_type: KeyType::Aes, len: 32 }));
    assert_eq!(with(KeyType::Sm4, None), Ok(KeySpec::Secret { key_type: KeyType::Sm4, len: 16 }));
    assert_eq!(with(KeyType::Aes, None), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
    for bad in [1, 33, CK_ULONG::MAX, CK_ULONG::MAX / 2 + 1] {
        assert_eq!(with(KeyType::Aes, Some(bad)), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    }
}

#[test]
fn generated_pairs_need_a_size_or_a_curve() {
    let rsa = |bits: CK_ULONG| {
        pair_spec(&Template::of(&[(CKA_MODULUS_BITS, &bits.to_ne_bytes())]), &Template::default(), KeyType::Rsa)
    };
    assert_eq!(rsa(2048), Ok(KeySpec::Rsa { bits: 2048, exponent: vec![1, 0, 1] }));
    for bad in [0, 512, 2049, 16384, CK_ULONG::MAX] {
        assert_eq!(rsa(bad), Err(Rv(CKR_KEY_SIZE_RANGE)));
    }
    let nothing = Template::default();
    assert_eq!(pair_spec(&nothing, &nothing, KeyType::Rsa), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
    assert_eq!(pair_spec(&nothing, &nothing, KeyType::Ec), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
    assert_eq!(pair_spec(&nothing, &nothing, KeyType::EcEdwards), Ok(KeySpec::Ec(Curve::Ed25519)));
    let p256 = Template::of(&[(CKA_EC_PARAMS, P256)]);
    assert_eq!(pair_spec(&p256, &nothing, KeyType::Ec), Ok(KeySpec::Ec(Curve::P256)));
}

#[test]
fn a_certificate_must_be_one() {
    let bad = given(&Template::of(&[(CKA_VALUE, b"not der")]), Class::Certificate);
    assert_eq!(bad.err(), Some(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
}
