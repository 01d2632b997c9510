//! Data recovered from RSA signatures, and what small RSA keys may still do.

use super::lab::{Lab, ciphered};
use crate::backend::Backend;
use crate::error::{ErrorKind, Result};
use crate::key::{KeySpec, Object};
use crate::mechanism::{EcMechanism, Hash, KeyType, Mechanism, Oaep, RsaMechanism};

fn recovered(lab: &Lab, key: &std::sync::Arc<Object>, mechanism: &Mechanism, signature: &[u8]) -> Result<Vec<u8>> {
    ciphered(lab.backend.recover(&lab.on(key), mechanism)?, &[], signature)
}

#[test]
fn what_was_signed_comes_back_from_the_signature() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Rsa { bits: 2048, exponent: vec![1, 0, 1] }).unwrap();
    let pkcs = Mechanism::Rsa(RsaMechanism::Pkcs);
    for data in [b"".as_slice(), b"short", &[7; 245]] {
        let signature = lab.sign(&private, &pkcs, data).unwrap();
        assert_eq!(recovered(&lab, &public, &pkcs, &signature).unwrap(), data);
    }
    let raw = Mechanism::Rsa(RsaMechanism::X509);
    let block = [vec![0; 200], vec![9; 56]].concat();
    let signature = lab.sign(&private, &raw, &block).unwrap();
    assert_eq!(recovered(&lab, &public, &raw, &signature).unwrap(), block);
}

#[test]
fn signatures_that_hold_nothing_are_told_by_length_or_as_invalid() {
    let lab = Lab::new();
    let (private, public) = lab.pair(&KeySpec::Rsa { bits: 2048, exponent: vec![1, 0, 1] }).unwrap();
    let pkcs = Mechanism::Rsa(RsaMechanism::Pkcs);
    let mut signature = lab.sign(&private, &pkcs, b"data").unwrap();
    let kind = |signature: &[u8]| recovered(&lab, &public, &pkcs, signature).unwrap_err().kind();
    assert_eq!(kind(&signature[1..]), ErrorKind::SignatureLength);
    assert_eq!(kind(&[&signature[..], &[0]].concat()), ErrorKind::SignatureLength);
    signature[100] ^= 1;
    assert_eq!(kind(&signature), ErrorKind::SignatureInvalid);
    assert_eq!(kind(&[0xff; 256]), ErrorKind::SignatureInvalid);
    let other = |mechanism: Mechanism| lab.backend.recover(&lab.on(&public), &mechanism).err().unwrap().kind();
    assert_eq!(other(Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha256))), ErrorKind::MechanismUnsupported);
    assert_eq!(other(Mechanism::Ec(EcMechanism::PURE_EDDSA)), ErrorKind::MechanismUnsupported);
    let (ec, _) = lab.pair(&KeySpec::Ec(crate::mechanism::Curve::P256)).unwrap();
    assert_eq!(lab.backend.recover(&lab.on(&ec), &pkcs).err().unwrap().kind(), ErrorKind::KeyType);
}

#[test]
fn a_public_key_of_1024_bits_verifies_and_neither_encrypts_nor_wraps() {
    // The modulus need not be a product of two primes for what is refused before it is used.
    let lab = Lab::new();
    let key = lab.rsa_public(&[0xc1; 128], &[1, 0, 1]).unwrap();
    let target = lab.generate(KeyType::Aes, 16).unwrap();
    let pkcs = Mechanism::Rsa(RsaMechanism::Pkcs);
    let verified = lab.verify(&key, &pkcs, b"data", &[1; 128]).unwrap_err();
    assert_eq!(verified.kind(), ErrorKind::SignatureInvalid);
    let oaep = Oaep { hash: Hash::Sha1, mgf: Hash::Sha1, label: Vec::new() };
    let raw = Mechanism::Rsa(RsaMechanism::X509);
    for mechanism in [&pkcs, &raw, &Mechanism::Rsa(RsaMechanism::Oaep(oaep.clone()))] {
        let error = lab.backend.encrypt(&lab.on(&key), mechanism).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::KeySize);
    }
    let hybrid = Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep, aes_len: 32 });
    for mechanism in [&pkcs, &hybrid] {
        assert_eq!(lab.wrap(&key, mechanism, &target).unwrap_err().kind(), ErrorKind::KeySize);
    }
}
