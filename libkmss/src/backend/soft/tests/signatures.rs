//! Signatures apart from vectors: round trips, cuts, tampering, lengths.

use super::lab::{Lab, cuts, signed, verified};
use crate::backend::Backend;
use crate::error::ErrorKind;
use crate::key::KeySpec;
use crate::mechanism::{Curve, EcMechanism, Hash, Mechanism, Pss, RsaMechanism, Sm2Mechanism};

fn rsa(bits: u32) -> KeySpec {
    KeySpec::Rsa { bits, exponent: vec![1, 0, 1] }
}

fn pss(hash: Hash, mgf: Hash, salt_len: usize, message: bool) -> Mechanism {
    Mechanism::Rsa(RsaMechanism::Pss { pss: Pss { hash, mgf, salt_len }, message })
}

fn hashes() -> impl Iterator<Item = Hash> {
    Hash::ALL.into_iter().filter(|hash| *hash != Hash::Sm3)
}

/// Signs and verifies `message` in all cuts, and refuses changes.
fn check(lab: &Lab, spec: &KeySpec, mechanisms: &[Mechanism], message: &[u8]) {
    let (private, public) = lab.pair(spec).unwrap();
    for mechanism in mechanisms {
        let name = mechanism.name();
        let signature = lab.sign(&private, mechanism, message).unwrap();
        lab.verify(&public, mechanism, message, &signature).unwrap_or_else(|e| panic!("{name}: {e}"));
        lab.verify(&private, mechanism, message, &signature).unwrap();
        for parts in cuts(message).step_by(7) {
            let cut = signed(lab.backend.sign(&lab.on(&private), mechanism).unwrap(), &parts).unwrap();
            lab.verify(&public, mechanism, message, &cut).unwrap();
            verified(lab.backend.verify(&lab.on(&public), mechanism).unwrap(), &parts, &signature).unwrap();
        }
        let kind = |data: &[u8], sig: &[u8]| lab.verify(&public, mechanism, data, sig).unwrap_err().kind();
        let mut changed = message.to_vec();
        changed[0] ^= 1;
        assert_eq!(kind(&changed, &signature), ErrorKind::SignatureInvalid, "{name}");
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut bad = signature.clone();
            bad[at] ^= 1;
            assert_eq!(kind(message, &bad), ErrorKind::SignatureInvalid, "{name}");
        }
        assert_eq!(kind(message, &signature[1..]), ErrorKind::SignatureLength, "{name}");
        assert_eq!(kind(message, &vec![0; signature.len()]), ErrorKind::SignatureInvalid, "{name}");
        assert_eq!(kind(message, &vec![0xff; signature.len()]), ErrorKind::SignatureInvalid, "{name}");
        let by_public = lab.backend.sign(&lab.on(&public), mechanism).err().unwrap();
        assert_eq!(by_public.kind(), ErrorKind::KeyType, "{name}");
    }
}

#[test]
fn rsa_signatures_of_every_kind_verify() {
    let mut mechanisms = vec![Mechanism::Rsa(RsaMechanism::Pkcs), Mechanism::Rsa(RsaMechanism::X509)];
    mechanisms.extend(hashes().map(|hash| Mechanism::Rsa(RsaMechanism::PkcsHash(hash))));
    mechanisms.extend(hashes().map(|hash| pss(hash, hash, hash.len(), true)));
    mechanisms.extend([0, 20, 190].map(|salt| pss(Hash::Sha256, Hash::Sha1, salt, true)));
    check(&Lab::new(), &rsa(2048), &mechanisms, &(1..=60).collect::<Vec<u8>>());
}

#[test]
fn raw_rsa_pads_on_the_left_and_refuses_what_is_not_below_the_modulus() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&rsa(2048)).unwrap();
    let raw = Mechanism::Rsa(RsaMechanism::X509);
    let signature = lab.sign(&private, &raw, b"abc").unwrap();
    assert_eq!(signature.len(), 256);
    let padded = [vec![0; 253], b"abc".to_vec()].concat();
    assert_eq!(lab.sign(&private, &raw, &padded).unwrap(), signature);
    lab.verify(&public, &raw, &padded, &signature).unwrap();
    // Encryption with the public key takes the signature off.
    assert_eq!(lab.encrypt(&public, &raw, &signature).unwrap(), padded);
    assert_eq!(lab.decrypt(&private, &raw, &lab.encrypt(&public, &raw, b"abc").unwrap()).unwrap(), padded);
    assert_eq!(lab.sign(&private, &raw, &[0xff; 256]).unwrap_err().kind(), ErrorKind::DataInvalid);
    assert_eq!(lab.encrypt(&public, &raw, &[0xff; 256]).unwrap_err().kind(), ErrorKind::DataInvalid);
    assert_eq!(lab.sign(&private, &raw, &[0; 257]).unwrap_err().kind(), ErrorKind::DataLength);
}

#[test]
fn rsa_lengths_are_checked_before_the_key_is_used() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&rsa(2048)).unwrap();
    let pkcs = Mechanism::Rsa(RsaMechanism::Pkcs);
    assert_eq!(lab.sign(&private, &pkcs, &[1; 245]).unwrap().len(), 256);
    assert_eq!(lab.sign(&private, &pkcs, &[1; 246]).unwrap_err().kind(), ErrorKind::DataLength);
    assert_eq!(lab.encrypt(&public, &pkcs, &[1; 246]).unwrap_err().kind(), ErrorKind::DataLength);
    let long_salt = pss(Hash::Sha256, Hash::Sha256, 223, true);
    assert_eq!(lab.sign(&private, &long_salt, b"m").unwrap_err().kind(), ErrorKind::MechanismParameter);
    let ready = pss(Hash::Sha256, Hash::Sha256, 32, false);
    assert_eq!(lab.sign(&private, &ready, &[0; 31]).unwrap_err().kind(), ErrorKind::DataLength);
    assert_eq!(lab.sign(&private, &ready, &[0; 33]).unwrap_err().kind(), ErrorKind::DataLength);
    let sm3 = Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sm3));
    assert_eq!(lab.sign(&private, &sm3, b"m").unwrap_err().kind(), ErrorKind::MechanismParameter);
}

#[test]
fn pkcs1_with_a_digest_info_is_the_same_as_hashing_in_the_mechanism() {
    let lab = Lab::new();
    let (private, _) = lab.pair(&rsa(2048)).unwrap();
    let prefix = super::lab::hex("3031300d060960864801650304020105000420");
    let info = [prefix, lab.digest(Hash::Sha256, b"message")].concat();
    assert_eq!(
        lab.sign(&private, &Mechanism::Rsa(RsaMechanism::Pkcs), &info).unwrap(),
        lab.sign(&private, &Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha256)), b"message").unwrap()
    );
}

#[test]
fn ecdsa_signatures_verify_on_every_curve_with_every_hash_and_with_none() {
    let lab = Lab::new();
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1] {
        let with = |hash| Mechanism::Ec(EcMechanism::Ecdsa { hash });
        let mut mechanisms: Vec<_> = Hash::ALL.into_iter().map(|hash| with(Some(hash))).collect();
        mechanisms.push(with(None));
        check(&lab, &KeySpec::Ec(curve), &mechanisms, &(0..40).collect::<Vec<u8>>());
    }
}

#[test]
fn ecdsa_uses_the_leading_bits_of_a_long_digest() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Ec(Curve::P256)).unwrap();
    let raw = Mechanism::Ec(EcMechanism::Ecdsa { hash: None });
    for len in [1, 20, 31, 32, 33, 64, 1000] {
        let digest: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let signature = lab.sign(&private, &raw, &digest).unwrap();
        assert_eq!(signature.len(), 64);
        lab.verify(&public, &raw, &digest, &signature).unwrap();
        if len > 32 {
            lab.verify(&public, &raw, &digest[..32], &signature).unwrap();
        }
    }
}

#[test]
fn eddsa_verifies_in_every_variant_and_gives_the_first_vector_of_rfc_8032() {
    let lab = Lab::new();
    let eddsa = Mechanism::Ec(EcMechanism::PURE_EDDSA);
    for curve in [Curve::Ed25519, Curve::Ed448] {
        let with = |prehash, context: &[u8]| Mechanism::Ec(EcMechanism::EdDsa { prehash, context: context.to_vec() });
        let mechanisms = [eddsa.clone(), with(false, b"context"), with(true, b""), with(true, b"context")];
        check(&lab, &KeySpec::Ec(curve), &mechanisms, b"a message");
    }
    let seed = super::lab::hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let key = lab.scalar(Curve::Ed25519, &seed).unwrap();
    let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac\
                    c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    assert_eq!(lab.sign(&key, &eddsa, b"").unwrap(), super::lab::hex(expected));
}

#[test]
fn sm2_signatures_verify_and_bind_the_identity() {
    let lab = Lab::new();
    let with = |id: &[u8]| Mechanism::Sm2(Sm2Mechanism::SignSm3 { id: id.to_vec() });
    let mechanisms = [with(Sm2Mechanism::DEFAULT_ID), with(b""), with(&[0xff, 0xfe])];
    check(&lab, &KeySpec::Ec(Curve::Sm2), &mechanisms, b"a message");
    check(&lab, &KeySpec::Ec(Curve::Sm2), &[Mechanism::Sm2(Sm2Mechanism::SignDigest)], &[0x5a; 32]);
    let (private, public) = lab.pair(&KeySpec::Ec(Curve::Sm2)).unwrap();
    let signature = lab.sign(&private, &with(b"alice"), b"m").unwrap();
    lab.verify(&public, &with(b"alice"), b"m", &signature).unwrap();
    assert!(lab.verify(&public, &with(b"bob"), b"m", &signature).is_err());
    let kind = |m: &Mechanism, data: &[u8]| lab.sign(&private, m, data).unwrap_err().kind();
    assert_eq!(kind(&Mechanism::Sm2(Sm2Mechanism::SignDigest), &[0; 31]), ErrorKind::DataLength);
    assert_eq!(kind(&Mechanism::Sm2(Sm2Mechanism::Encrypt), b"m"), ErrorKind::MechanismUnsupported);
    assert_eq!(kind(&with(&[0; 8192]), b"m"), ErrorKind::MechanismParameter);
}

#[test]
fn keys_and_mechanisms_that_do_not_fit_are_told_apart_from_mechanisms_that_are_not_offered() {
    let lab = Lab::new();
    let (private, _) = lab.pair(&KeySpec::Ec(Curve::P256)).unwrap();
    let kind = |m: &Mechanism| lab.backend.sign(&lab.on(&private), m).err().unwrap().kind();
    assert_eq!(kind(&Mechanism::Rsa(RsaMechanism::Pkcs)), ErrorKind::KeyType);
    assert_eq!(kind(&Mechanism::Ec(EcMechanism::PURE_EDDSA)), ErrorKind::KeyType);
    assert_eq!(kind(&Mechanism::Digest(Hash::Sha256)), ErrorKind::MechanismUnsupported);
}
