//! Wrapping under ephemeral AES keys: RSA_AES_KEY_WRAP and ECDH_AES_KEY_WRAP.

use std::sync::Arc;

use super::lab::Lab;
use crate::error::ErrorKind;
use crate::key::{KeySpec, Object};
use crate::mechanism::{
    BlockCipher, CipherMode, Curve, EcMechanism, EcdhKdf, Hash, KeyType, Mechanism, Oaep, RsaMechanism,
};

fn oaep(label: &[u8]) -> Oaep {
    Oaep { hash: Hash::Sha256, mgf: Hash::Sha1, label: label.to_vec() }
}

fn by_rsa(label: &[u8], aes_len: usize) -> Mechanism {
    Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep: oaep(label), aes_len })
}

fn by_ecdh(kdf: EcdhKdf, aes_len: usize) -> Mechanism {
    let shared_info = if kdf == EcdhKdf::Null { Vec::new() } else { b"info".to_vec() };
    Mechanism::Ec(EcMechanism::AesKeyWrap { kdf, shared_info, aes_len })
}

fn rsa() -> KeySpec {
    KeySpec::Rsa { bits: 2048, exponent: vec![1, 0, 1] }
}

/// Wraps a secret and a private key and compares what comes back.
fn round_trip(lab: &Lab, mechanism: &Mechanism, public: &Arc<Object>, private: &Arc<Object>, overhead: usize) {
    let secret = lab.generate(KeyType::GenericSecret, 45).unwrap();
    let wrapped = lab.wrap(public, mechanism, &secret).unwrap();
    assert_eq!(wrapped.len(), overhead + 8 + 48);
    let back = lab.unwrap(private, mechanism, &wrapped, KeyType::GenericSecret, None).unwrap();
    assert_eq!(lab.bytes(&back), lab.bytes(&secret));
    assert_ne!(lab.wrap(public, mechanism, &secret).unwrap(), wrapped, "every wrapping has a key of its own");
    let (target, _) = lab.pair(&KeySpec::Ec(Curve::P256)).unwrap();
    let wrapped = lab.wrap(public, mechanism, &target).unwrap();
    let back = lab.unwrap(private, mechanism, &wrapped, KeyType::Ec, None).unwrap();
    assert_eq!(lab.export(&back), lab.export(&target));
}

#[test]
fn keys_come_back_from_rsa_and_aes_together() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&rsa()).unwrap();
    for aes_len in [16, 24, 32] {
        round_trip(&lab, &by_rsa(b"label", aes_len), &public, &private, 256);
    }
    // A private RSA key is what this mechanism is mostly used for.
    let (target, _) = lab.pair(&rsa()).unwrap();
    let mechanism = by_rsa(b"", 32);
    let wrapped = lab.wrap(&public, &mechanism, &target).unwrap();
    let back = lab.unwrap(&private, &mechanism, &wrapped, KeyType::Rsa, None).unwrap();
    assert_eq!(lab.export(&back), lab.export(&target));
}

#[test]
fn what_rsa_and_aes_wrapped_is_the_two_standards_one_after_the_other() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&rsa()).unwrap();
    let secret = lab.generate(KeyType::GenericSecret, 20).unwrap();
    let wrapped = lab.wrap(&public, &by_rsa(b"x", 32), &secret).unwrap();
    let kek = lab.decrypt(&private, &Mechanism::Rsa(RsaMechanism::Oaep(oaep(b"x"))), &wrapped[..256]).unwrap();
    assert_eq!(kek.len(), 32);
    let kek = lab.secret(KeyType::Aes, &kek);
    let kwp = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad);
    assert_eq!(lab.decrypt(&kek, &kwp, &wrapped[256..]).unwrap(), lab.bytes(&secret));
}

#[test]
fn keys_come_back_from_every_curve_that_agrees() {
    let lab = Lab::new();
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1, Curve::X25519, Curve::X448] {
        let (private, public) = lab.pair(&KeySpec::Ec(curve)).unwrap();
        for (kdf, aes_len) in [
            (EcdhKdf::X963(Hash::Sha256), 32),
            (EcdhKdf::Concatenation(Hash::Sha384), 24),
            (EcdhKdf::X963(Hash::Sha1), 16),
            (EcdhKdf::Null, 32),
        ] {
            round_trip(&lab, &by_ecdh(kdf, aes_len), &public, &private, curve.point_len());
        }
    }
}

#[test]
fn what_ecdh_and_aes_wrapped_opens_with_the_key_that_the_receiver_derives() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Ec(Curve::P384)).unwrap();
    let secret = lab.generate(KeyType::GenericSecret, 20).unwrap();
    let kdf = EcdhKdf::X963(Hash::Sha512);
    let wrapped = lab.wrap(&public, &by_ecdh(kdf, 24), &secret).unwrap();
    let (point, rest) = wrapped.split_at(97);
    let ecdh = EcMechanism::Ecdh { kdf, public: point.to_vec(), shared_info: b"info".to_vec() };
    let kek = lab.derive(&private, &Mechanism::Ec(ecdh), KeyType::Aes, Some(24)).unwrap();
    let kwp = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad);
    assert_eq!(lab.decrypt(&kek, &kwp, rest).unwrap(), lab.bytes(&secret));
}

#[test]
fn hybrid_wrappings_that_were_changed_are_invalid_wherever_they_were_changed() {
    let lab = Lab::new();
    let secret = lab.generate(KeyType::Aes, 32).unwrap();
    let (rsa_private, rsa_public) = lab.pair(&rsa()).unwrap();
    let (ec_private, ec_public) = lab.pair(&KeySpec::Ec(Curve::P256)).unwrap();
    let ecdh = by_ecdh(EcdhKdf::X963(Hash::Sha256), 32);
    for (public, private, mechanism) in [(rsa_public, rsa_private, by_rsa(b"", 32)), (ec_public, ec_private, ecdh)] {
        let good = lab.wrap(&public, &mechanism, &secret).unwrap();
        let kind =
            |wrapped: &[u8], len| lab.unwrap(&private, &mechanism, wrapped, KeyType::Aes, len).unwrap_err().kind();
        for at in [1, 20, good.len() - 20, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(kind(&bad, None), ErrorKind::WrappedKeyInvalid, "{at}");
        }
        assert_eq!(kind(&good, Some(16)), ErrorKind::WrappedKeyInvalid);
        for short in [0, 1, good.len() / 3, good.len() - 1, good.len() - 32] {
            assert_eq!(kind(&good[..short], None), ErrorKind::WrappedKeyLength, "{short}");
        }
    }
    // An AES key of another length than the parameter says.
    let (private, public) = lab.pair(&rsa()).unwrap();
    let wrapped = lab.wrap(&public, &by_rsa(b"", 16), &secret).unwrap();
    let error = lab.unwrap(&private, &by_rsa(b"", 32), &wrapped, KeyType::Aes, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrappedKeyInvalid);
}

#[test]
fn keys_that_do_not_fit_a_hybrid_wrapping_are_refused() {
    let lab = Lab::new();
    let secret = lab.generate(KeyType::Aes, 32).unwrap();
    let (private, public) = lab.pair(&KeySpec::Ec(Curve::P256)).unwrap();
    let (_, edwards) = lab.pair(&KeySpec::Ec(Curve::Ed25519)).unwrap();
    let kind = |key, mechanism: &Mechanism, target| lab.wrap(key, mechanism, target).unwrap_err().kind();
    let ecdh = by_ecdh(EcdhKdf::Null, 32);
    assert_eq!(kind(&public, &by_rsa(b"", 32), &secret), ErrorKind::KeyType);
    assert_eq!(kind(&edwards, &ecdh, &secret), ErrorKind::KeyType);
    assert_eq!(kind(&secret, &ecdh, &secret), ErrorKind::KeyType);
    assert_eq!(kind(&public, &ecdh, &public), ErrorKind::KeyNotWrappable);
    let wrapped = lab.wrap(&public, &ecdh, &private).unwrap();
    let error = lab.unwrap(&public, &ecdh, &wrapped, KeyType::Ec, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyType);
}

#[test]
fn an_ephemeral_point_encapsulates_what_derivation_with_it_makes() {
    let lab = Lab::new();
    for curve in [Curve::P256, Curve::P521, Curve::Secp256k1, Curve::X25519, Curve::X448] {
        let (private, public) = lab.pair(&KeySpec::Ec(curve)).unwrap();
        for (kdf, len) in [(EcdhKdf::Null, None), (EcdhKdf::Null, Some(16)), (EcdhKdf::X963(Hash::Sha256), Some(90))] {
            let shared_info = if kdf == EcdhKdf::Null { Vec::new() } else { b"info".to_vec() };
            let with = |public: &[u8]| {
                Mechanism::Ec(EcMechanism::Ecdh { kdf, public: public.to_vec(), shared_info: shared_info.clone() })
            };
            let (mine, point) = lab.encapsulate_by(&with(&[]), &public, KeyType::GenericSecret, len).unwrap();
            assert_eq!(point.len(), curve.point_len());
            let yours = lab.decapsulate_by(&with(&[]), &private, &point, KeyType::GenericSecret, len).unwrap();
            let derived = lab.derive(&private, &with(&point), KeyType::GenericSecret, len).unwrap();
            assert_eq!(lab.bytes(&mine), lab.bytes(&yours));
            assert_eq!(lab.bytes(&mine), lab.bytes(&derived));
            let kind = |how: &Mechanism, point: &[u8]| {
                lab.decapsulate_by(how, &private, point, KeyType::GenericSecret, len).unwrap_err().kind()
            };
            assert_eq!(kind(&with(&[]), &point[1..]), ErrorKind::WrappedKeyLength);
            assert_eq!(kind(&with(&[]), &vec![0; point.len()]), ErrorKind::WrappedKeyInvalid);
            assert_eq!(kind(&with(&point), &point), ErrorKind::MechanismParameter);
        }
    }
    let null = Mechanism::Ec(EcMechanism::Ecdh { kdf: EcdhKdf::Null, public: Vec::new(), shared_info: Vec::new() });
    for curve in [Curve::Ed25519, Curve::Sm2] {
        let (_, public) = lab.pair(&KeySpec::Ec(curve)).unwrap();
        let refused = lab.encapsulate_by(&null, &public, KeyType::GenericSecret, None);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::KeyType);
    }
}
