//! Keys in DER: PKCS #8 (RFC 5958) plain and encrypted, PKCS #1 (RFC 8017), SEC 1 (RFC 5915), SubjectPublicKeyInfo.

use libkmss::key::{KeyComponents, PublicComponents};
use libkmss::mechanism::Curve;
use libkmss::secret::Secret;
use pkcs8::pkcs5::{EncryptionScheme, pbes2::Kdf};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use sec1::EcPrivateKey;
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, OctetStringRef};
use x509_cert::der::{AnyRef, Decode as _};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::{Incoming, Item, Passphrase, dh, pqc};
use crate::output::Failure;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Most rounds of PBKDF2 that a file may ask for: some ten seconds. OpenSSL's default is 2048.
const ROUNDS_MAX: u32 = 20_000_000;
/// Most memory that scrypt may take, in bytes.
const SCRYPT_MAX: u64 = 1 << 30;

/// Whatever key or certificate the bytes are; `None` where they are none.
///
/// # Errors
/// A key that is known but cannot be used.
pub(super) fn parse_any(der: &[u8], passphrase: &Passphrase<'_>) -> Result<Option<Incoming>, Failure> {
    if EncryptedPrivateKeyInfoRef::from_der(der).is_ok() {
        return Ok(Some(encrypted_pkcs8(der, &passphrase()?)?.into()));
    }
    if PrivateKeyInfoRef::from_der(der).is_ok() {
        return Ok(Some(pkcs8(der)?.into()));
    }
    if EcPrivateKey::from_der(der).is_ok() {
        return Ok(Some(sec1(der)?.into()));
    }
    if pkcs1::RsaPrivateKeyRef::from_der(der).is_ok() {
        return Ok(Some(pkcs1(der)?.into()));
    }
    if SubjectPublicKeyInfoRef::from_der(der).is_ok() {
        return Ok(Some(spki(der)?.into()));
    }
    if pkcs1::RsaPublicKeyRef::from_der(der).is_ok() {
        return Ok(Some(pkcs1_public(der)?.into()));
    }
    let certificate = Certificate::from_der(der).is_ok();
    Ok(certificate.then(|| Incoming { item: Item::Certificate(der.to_vec()), name: None, uses: None }))
}

/// EncryptedPrivateKeyInfo (RFC 5958, 3) with PBES2 (RFC 8018, 6.2).
///
/// # Errors
/// A wrong passphrase, other encryption, or more work than a file may ask for.
pub(super) fn encrypted_pkcs8(der: &[u8], passphrase: &Secret) -> Result<KeyComponents, Failure> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|e| format!("the encrypted key is damaged: {e}"))?;
    let old = "the key is encrypted in a way that is not read any more (DES, RC2, MD5); encrypt it anew with: \
               openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW-FILE";
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else { return Err(old.into()) };
    let too_much = match &parameters.kdf {
        Kdf::Pbkdf2(kdf) => kdf.iteration_count > ROUNDS_MAX,
        Kdf::Scrypt(kdf) => {
            let memory = kdf.cost_parameter.checked_mul(128).and_then(|n| n.checked_mul(u64::from(kdf.block_size)));
            memory.is_none_or(|bytes| bytes > SCRYPT_MAX) || kdf.parallelization > 16
        }
        _ => return Err(old.into()),
    };
    if too_much {
        return Err("the encrypted key asks for more work than any honest file does".into());
    }
    let plain = info.decrypt(passphrase.expose()).map_err(|e| match e {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }) => Failure::from(old),
        _ => "the passphrase is wrong, or the encrypted key is damaged".into(),
    })?;
    pkcs8(plain.as_bytes())
}

/// PrivateKeyInfo or OneAsymmetricKey (RFC 5958, 2).
///
/// # Errors
/// Damage, or an algorithm that is not offered.
pub(super) fn pkcs8(der: &[u8]) -> Result<KeyComponents, Failure> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(|e| format!("the PKCS #8 key is damaged: {e}"))?;
    let oid = info.algorithm.oid;
    let key = info.private_key.as_bytes();
    if oid == RSA || oid == RSA_PSS {
        return pkcs1(key);
    }
    if oid == EC {
        return ec_private(key, Some(named_curve(info.algorithm.parameters)?));
    }
    if let Some(set) = pqc::set(oid) {
        return pqc::private(set, key);
    }
    if dh::is_one(oid) {
        return dh::private(info.algorithm.parameters, key);
    }
    match curve(oid) {
        // RFC 8410, 7: the seed is an OCTET STRING of its own.
        Some(curve @ (Curve::Ed25519 | Curve::X25519 | Curve::Ed448 | Curve::X448)) => {
            let seed = <&OctetStringRef>::from_der(key).map_err(|e| format!("the key is damaged: {e}"))?;
            Ok(KeyComponents::EcPrivate { curve, scalar: Secret::copy_of(seed.as_bytes()) })
        }
        Some(curve) => ec_private(key, Some(curve)),
        None => Err(unknown(oid)),
    }
}

/// RSAPrivateKey (RFC 8017, A.1.2).
///
/// # Errors
/// Damage, or more than two primes.
pub(super) fn pkcs1(der: &[u8]) -> Result<KeyComponents, Failure> {
    let key = pkcs1::RsaPrivateKeyRef::from_der(der).map_err(|e| format!("the RSA key is damaged: {e}"))?;
    let secret = |integer: x509_cert::der::asn1::UintRef<'_>| Secret::copy_of(integer.as_bytes());
    Ok(KeyComponents::RsaPrivate {
        modulus: key.modulus.as_bytes().to_vec(),
        exponent: key.public_exponent.as_bytes().to_vec(),
        private_exponent: secret(key.private_exponent),
        prime_1: secret(key.prime1),
        prime_2: secret(key.prime2),
        exponent_1: secret(key.exponent1),
        exponent_2: secret(key.exponent2),
        coefficient: secret(key.coefficient),
    })
}

/// ECPrivateKey (RFC 5915, 3) that names its curve.
///
/// # Errors
/// Damage, or a curve that is not offered.
pub(super) fn sec1(der: &[u8]) -> Result<KeyComponents, Failure> {
    ec_private(der, None)
}

fn ec_private(der: &[u8], outer: Option<Curve>) -> Result<KeyComponents, Failure> {
    let key = EcPrivateKey::from_der(der).map_err(|e| format!("the EC key is damaged: {e}"))?;
    let inner = key.parameters.and_then(|p| p.named_curve());
    let curve = match (outer, inner) {
        (Some(curve), _) => curve,
        (None, Some(oid)) => curve(oid).ok_or_else(|| unknown(oid))?,
        (None, None) => {
            return Err("the EC key does not name its curve; bring it into PKCS #8 with: openssl pkcs8 -topk8".into());
        }
    };
    scalar(curve, key.private_key)
}

/// A private scalar, padded or shortened to the length of its field.
///
/// # Errors
/// It is longer than the field.
pub(super) fn scalar(curve: Curve, bytes: &[u8]) -> Result<KeyComponents, Failure> {
    let significant = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let digits = bytes.get(significant..).unwrap_or_default();
    let room = curve.field_len().checked_sub(digits.len()).ok_or("the private value is longer than its curve")?;
    let scalar = Secret::filled(curve.field_len(), |out| {
        let to = out.get_mut(room..).filter(|to| to.len() == digits.len());
        to.map(|to| to.copy_from_slice(digits)).ok_or("the private value is longer than its curve")
    })?;
    Ok(KeyComponents::EcPrivate { curve, scalar })
}

/// SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
///
/// # Errors
/// Damage, or an algorithm that is not offered.
pub(super) fn spki(der: &[u8]) -> Result<KeyComponents, Failure> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|e| format!("the public key is damaged: {e}"))?;
    let oid = info.algorithm.oid;
    let key = info.subject_public_key.as_bytes().ok_or("the public key is damaged")?;
    if oid == RSA || oid == RSA_PSS {
        return pkcs1_public(key);
    }
    if let Some(set) = pqc::set(oid) {
        return pqc::public(set, key);
    }
    if dh::is_one(oid) {
        return dh::public(info.algorithm.parameters, key);
    }
    let curve =
        if oid == EC { named_curve(info.algorithm.parameters)? } else { curve(oid).ok_or_else(|| unknown(oid))? };
    if key.len() != curve.point_len() {
        return Err(format!("the point of the {} key is not written out in full", curve.name()).into());
    }
    Ok(KeyComponents::Public(PublicComponents::Ec { curve, point: key.to_vec() }))
}

/// RSAPublicKey (RFC 8017, A.1.1).
///
/// # Errors
/// Damage.
pub(super) fn pkcs1_public(der: &[u8]) -> Result<KeyComponents, Failure> {
    let key = pkcs1::RsaPublicKeyRef::from_der(der).map_err(|e| format!("the RSA key is damaged: {e}"))?;
    let (modulus, exponent) = (key.modulus.as_bytes().to_vec(), key.public_exponent.as_bytes().to_vec());
    Ok(KeyComponents::Public(PublicComponents::Rsa { modulus, exponent }))
}

fn named_curve(parameters: Option<AnyRef<'_>>) -> Result<Curve, Failure> {
    let named = parameters.and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    let oid = named.ok_or("the EC key spells its curve out instead of naming it; such keys are not read")?;
    curve(oid).ok_or_else(|| unknown(oid))
}

fn curve(oid: ObjectIdentifier) -> Option<Curve> {
    Curve::ALL.into_iter().find(|curve| ObjectIdentifier::new(curve.oid()).is_ok_and(|of| of == oid))
}

fn unknown(oid: ObjectIdentifier) -> Failure {
    let text = oid.to_string();
    let name = match text.as_str() {
        "1.2.840.10040.4.1" => "DSA",
        "1.2.643.7.1.1.1.1" | "1.2.643.7.1.1.1.2" | "1.2.643.2.2.19" => "GOST R 34.10",
        // FIPS 204, 5.4.1, and FIPS 205, 10.2.2, have identifiers of their own for keys that sign digests only.
        _ if text.starts_with("2.16.840.1.101.3.4.3.") => "pre-hash ML-DSA or SLH-DSA (make the key a pure one)",
        _ if text.starts_with("1.3.9999.") || text.starts_with("1.3.6.1.4.1.2.267.") => {
            "a draft of post-quantum cryptography (Dilithium, Kyber, SPHINCS+, Falcon; not the final standards)"
        }
        _ if text.starts_with("2.16.840.1.114027.80.") || text.starts_with("1.3.6.1.5.5.7.6.") => {
            "composite post-quantum cryptography"
        }
        "1.3.132.0.33" => "P-224",
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1",
        _ => "this kind",
    };
    format!("keys of {name} (OID {oid}) are not offered").into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn scalars_take_the_length_of_their_field() {
        let of = |bytes: &[u8]| match scalar(Curve::P256, bytes).unwrap() {
            KeyComponents::EcPrivate { scalar, .. } => scalar.expose().to_vec(),
            _ => panic!("no scalar"),
        };
        assert_eq!(of(&[5]).len(), 32);
        assert_eq!(of(&[5]).last(), Some(&5));
        assert_eq!(of(&[&[0_u8; 3][..], &[7; 32][..]].concat()), vec![7; 32]);
        assert!(scalar(Curve::P256, &[1; 33]).is_err());
    }

    #[test]
    fn bytes_of_nothing_are_no_key() {
        let ask = || -> Result<Secret, Failure> { Err("nobody to ask".into()) };
        assert!(parse_any(b"", &ask).unwrap().is_none());
        assert!(parse_any(b"\x30\x03\x02\x01\x00", &ask).unwrap().is_none());
        for damaged in [b"".as_slice(), b"\x30\x80", &[0x30; 64]] {
            assert!(pkcs8(damaged).is_err() && pkcs1(damaged).is_err() && sec1(damaged).is_err());
            assert!(spki(damaged).is_err() && encrypted_pkcs8(damaged, &Secret::copy_of(b"x")).is_err());
        }
    }
}
