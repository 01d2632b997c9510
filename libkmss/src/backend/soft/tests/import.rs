//! Keys that somebody brings: completed where they can be, refused where they make no key.

use std::sync::Arc;

use super::lab::Lab;
use crate::error::ErrorKind;
use crate::key::{KeyComponents, KeySpec, Object};
use crate::mechanism::{Curve, KeyType};
use crate::secret::Secret;

/// An RSA private key and a function that changes a copy of it.
fn rsa(lab: &Lab) -> (Arc<Object>, KeyComponents) {
    let (private, _) = lab.pair(&KeySpec::Rsa { bits: 2048, exponent: vec![1, 0, 1] }).unwrap();
    let components = lab.export(&private);
    (private, components)
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Modulus,
    Exponent,
    PrivateExponent,
    Primes,
    OnePrime,
    Crt,
}

fn without(components: &KeyComponents, parts: &[Part]) -> KeyComponents {
    let mut components = components.clone();
    let KeyComponents::RsaPrivate {
        modulus,
        exponent,
        private_exponent,
        prime_1,
        prime_2,
        exponent_1,
        exponent_2,
        coefficient,
    } = &mut components
    else {
        panic!()
    };
    let none = || Secret::copy_of(&[]);
    for part in parts {
        match part {
            Part::Modulus => modulus.clear(),
            Part::Exponent => exponent.clear(),
            Part::PrivateExponent => *private_exponent = none(),
            Part::Primes => (*prime_1, *prime_2) = (none(), none()),
            Part::OnePrime => *prime_2 = none(),
            Part::Crt => (*exponent_1, *exponent_2, *coefficient) = (none(), none(), none()),
        }
    }
    components
}

#[test]
fn incomplete_rsa_keys_are_completed() {
    let lab = Lab::new();
    let (_, full) = rsa(&lab);
    let KeyComponents::RsaPrivate { private_exponent: d, prime_1: p, prime_2: q, .. } = &full else { panic!() };
    for missing in [
        vec![],
        vec![Part::Crt],
        vec![Part::Exponent],
        vec![Part::Exponent, Part::Crt],
        vec![Part::Primes],
        vec![Part::Primes, Part::Crt],
        vec![Part::OnePrime, Part::Crt],
    ] {
        let key = lab.import(&without(&full, &missing)).unwrap();
        let KeyComponents::RsaPrivate { exponent, private_exponent, prime_1, prime_2, .. } = lab.export(&key) else {
            panic!()
        };
        assert_eq!(exponent, [1, 0, 1]);
        assert_eq!(private_exponent, *d);
        assert!((prime_1 == *p && prime_2 == *q) || (prime_1 == *q && prime_2 == *p));
    }
}

#[test]
fn rsa_keys_with_too_little_are_incomplete() {
    let lab = Lab::new();
    let (_, full) = rsa(&lab);
    for missing in [
        vec![Part::Modulus],
        vec![Part::PrivateExponent],
        vec![Part::Exponent, Part::Primes],
        vec![Part::Exponent, Part::OnePrime],
    ] {
        let error = lab.import(&without(&full, &missing)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TemplateIncomplete);
    }
}

#[test]
fn rsa_numbers_that_contradict_each_other_are_refused() {
    let lab = Lab::new();
    let (_, full) = rsa(&lab);
    let bump = |secret: &Secret| {
        let mut bytes = secret.expose().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 2;
        Secret::new(bytes)
    };
    for which in 0..8 {
        for missing in [vec![], vec![Part::Crt]] {
            if which >= 5 && !missing.is_empty() {
                continue;
            }
            let mut bad = without(&full, &missing);
            let KeyComponents::RsaPrivate {
                modulus,
                exponent,
                private_exponent,
                prime_1,
                prime_2,
                exponent_1,
                exponent_2,
                coefficient,
            } = &mut bad
            else {
                panic!()
            };
            match which {
                0 => modulus[100] ^= 1,
                1 => *exponent = vec![1, 0, 3],
                2 => *private_exponent = bump(private_exponent),
                3 => *prime_1 = bump(prime_1),
                4 => *prime_2 = bump(prime_2),
                5 => *exponent_1 = bump(exponent_1),
                6 => *exponent_2 = bump(exponent_2),
                _ => *coefficient = bump(coefficient),
            }
            assert_eq!(lab.import(&bad).unwrap_err().kind(), ErrorKind::AttributeValue, "{which}");
        }
    }
}

#[test]
fn hostile_rsa_numbers_end_in_an_error() {
    let lab = Lab::new();
    let number = |bytes: &[u8]| Secret::copy_of(bytes);
    let odd = [vec![0xff; 255], vec![0x01]].concat();
    for (n, e, d) in [
        (vec![0; 256], vec![3], vec![5]),
        (vec![1], vec![1], vec![1]),
        (odd.clone(), vec![1], vec![1]),
        (odd.clone(), vec![0], vec![0]),
        (odd.clone(), vec![1, 0, 1], vec![0xfe; 256]),
        (odd.clone(), vec![0xff; 2000], vec![0xff; 2000]),
        (vec![0xff; 5000], vec![1, 0, 1], vec![3]),
    ] {
        for primes in [vec![], vec![1], vec![3], vec![0], vec![0xff; 128]] {
            let key = KeyComponents::RsaPrivate {
                modulus: n.clone(),
                exponent: e.clone(),
                private_exponent: number(&d),
                prime_1: number(&primes),
                prime_2: number(&primes),
                exponent_1: number(&[]),
                exponent_2: number(&[]),
                coefficient: number(&[]),
            };
            assert_eq!(lab.import(&key).unwrap_err().kind(), ErrorKind::AttributeValue);
        }
        assert!(lab.rsa_public(&n, &e).is_err() || n == odd && e == [1, 0, 1]);
    }
    assert_eq!(lab.rsa_public(&[], &[3]).unwrap_err().kind(), ErrorKind::TemplateIncomplete);
    assert_eq!(lab.rsa_public(&[0xff; 64], &[3]).unwrap_err().kind(), ErrorKind::AttributeValue);
}

#[test]
fn points_off_their_curve_and_scalars_out_of_range_are_refused() {
    let lab = Lab::new();
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Sm2] {
        let len = curve.field_len();
        let kind = |made: super::lab::Made| made.unwrap_err().kind();
        for scalar in [vec![0; len], vec![0xff; len], vec![1; len - 1], vec![1; len + 1]] {
            assert_eq!(kind(lab.scalar(curve, &scalar)), ErrorKind::AttributeValue);
        }
        let mut point = vec![4; curve.point_len()];
        assert_eq!(kind(lab.point(curve, &point)), ErrorKind::AttributeValue);
        point.pop();
        assert_eq!(kind(lab.point(curve, &point)), ErrorKind::AttributeValue);
        assert_eq!(kind(lab.point(curve, &[0])), ErrorKind::AttributeValue);
        assert_eq!(kind(lab.point(curve, &[])), ErrorKind::TemplateIncomplete);
    }
    for curve in [Curve::Ed25519, Curve::X25519] {
        assert_eq!(lab.scalar(curve, &[1; 31]).unwrap_err().kind(), ErrorKind::AttributeValue);
        assert_eq!(lab.point(curve, &[1; 33]).unwrap_err().kind(), ErrorKind::AttributeValue);
    }
}

#[test]
fn secrets_of_impossible_lengths_are_refused() {
    let lab = Lab::new();
    for (key_type, len) in [(KeyType::Aes, 20), (KeyType::Sm4, 32), (KeyType::GenericSecret, 0), (KeyType::Rsa, 16)] {
        let components = KeyComponents::Secret { key_type, value: Secret::new(vec![1; len]) };
        assert_eq!(lab.import(&components).unwrap_err().kind(), ErrorKind::AttributeValue);
    }
}
