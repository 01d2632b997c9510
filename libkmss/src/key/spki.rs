//! The public part of a key as SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).

use der::asn1::{Any, BitString, ObjectIdentifier, UintRef};
use der::{Encode, Sequence};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::PublicComponents;
use crate::mechanism::{Curve, DhGroup};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

const DH_KEY_AGREEMENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.3.1");

/// DHParameter (PKCS #3, section 9).
#[derive(Sequence)]
struct DhParameter<'a> {
    prime: UintRef<'a>,
    base: UintRef<'a>,
}

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

impl PublicComponents {
    /// The DER encoding of the SubjectPublicKeyInfo; `None` where the public part is not known, or no standard says how
    /// it is encoded.
    #[must_use]
    pub fn spki(&self) -> Option<Vec<u8>> {
        let (oid, parameters, key) = match self {
            Self::None => return None,
            Self::Dh { group, value } => {
                let (prime, base) = (UintRef::new(group.prime()).ok()?, UintRef::new(&[DhGroup::BASE]).ok()?);
                let parameters = Any::encode_from(&DhParameter { prime, base }).ok()?;
                (DH_KEY_AGREEMENT, Some(parameters), UintRef::new(value).ok()?.to_der().ok()?)
            }
            // RFC 9881, RFC 9935, RFC 9909: the parameter set is the algorithm, and parameters are absent.
            Self::Pqc { set, value } => (ObjectIdentifier::new(set.oid()).ok()?, None, value.clone()),
            Self::Rsa { modulus, exponent } => {
                let (modulus, public_exponent) = (UintRef::new(modulus).ok()?, UintRef::new(exponent).ok()?);
                let key = RsaPublicKey { modulus, public_exponent };
                (RSA_ENCRYPTION, Some(Any::null()), key.to_der().ok()?)
            }
            Self::Ec { point, .. } if point.is_empty() => return None,
            // RFC 8410, section 3: the curve is the algorithm, and parameters are absent.
            Self::Ec { curve: c @ (Curve::Ed25519 | Curve::X25519 | Curve::Ed448 | Curve::X448), point } => {
                (oid_of(*c)?, None, point.clone())
            }
            Self::Ec { curve, point } => (EC_PUBLIC_KEY, Some(Any::encode_from(&oid_of(*curve)?).ok()?), point.clone()),
        };
        SubjectPublicKeyInfo {
            algorithm: AlgorithmIdentifier { oid, parameters },
            subject_public_key: BitString::from_bytes(&key).ok()?,
        }
        .to_der()
        .ok()
    }
}

/// The SubjectPublicKeyInfo of an X.509 certificate (RFC 5280, 4.1), DER; `None` where it is none.
#[must_use]
pub fn spki_of_certificate(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // The version is there from version 2 on; then serial number, signature, issuer, validity and subject.
    if fields.first() == Some(&0xA0) {
        fields = element(fields)?.2;
    }
    for _ in 0..5 {
        fields = element(fields)?.2;
    }
    element(fields).map(|(whole, _, _)| whole)
}

/// The first element of DER: whole, its content, and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (first, more) = (*der.get(1)?, der.get(2..)?);
    let (len, header) = match first {
        0..=0x7F => (usize::from(first), 2),
        0x81..=0x84 => {
            let digits = more.get(..usize::from(first & 0x7F))?;
            let len =
                digits.iter().try_fold(0_usize, |len, byte| len.checked_mul(256)?.checked_add(usize::from(*byte)))?;
            (len, 2 + digits.len())
        }
        _ => return None,
    };
    let end = header.checked_add(len)?;
    Some((der.get(..end)?, der.get(header..end)?, der.get(end..)?))
}

fn oid_of(curve: Curve) -> Option<ObjectIdentifier> {
    ObjectIdentifier::new(curve.oid()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mechanism::PqcSet;
    use der::Decode;

    type Info = SubjectPublicKeyInfo<Any, BitString>;

    #[test]
    fn an_ed25519_key_has_no_parameters_and_its_bare_point() {
        let point = vec![7; 32];
        let der = PublicComponents::Ec { curve: Curve::Ed25519, point: point.clone() }.spki().unwrap();
        let read = Info::from_der(&der).unwrap();
        assert!(read.algorithm.parameters.is_none());
        assert_eq!(read.subject_public_key.as_bytes(), Some(point.as_slice()));
        assert_eq!(der.len(), 44);
    }

    #[test]
    fn a_p256_key_names_its_curve() {
        let der = PublicComponents::Ec { curve: Curve::P256, point: vec![4; 65] }.spki().unwrap();
        let read = Info::from_der(&der).unwrap();
        assert_eq!(read.algorithm.oid, EC_PUBLIC_KEY);
        assert_eq!(
            read.algorithm.parameters.unwrap().to_der().unwrap(),
            oid_of(Curve::P256).unwrap().to_der().unwrap()
        );
        assert_eq!(der.len(), 91);
    }

    #[test]
    fn an_rsa_modulus_with_its_top_bit_set_stays_positive() {
        let der = PublicComponents::Rsa { modulus: vec![0xFF; 256], exponent: vec![1, 0, 1] }.spki().unwrap();
        assert_eq!(der.len(), 294);
        assert_eq!(Info::from_der(&der).unwrap().algorithm.parameters, Some(Any::null()));
    }

    #[test]
    fn a_post_quantum_key_is_named_by_its_set_alone() {
        for set in PqcSet::all() {
            let value = vec![7; set.public_len()];
            let der = PublicComponents::Pqc { set, value: value.clone() }.spki().unwrap();
            let read = Info::from_der(&der).unwrap();
            assert!(read.algorithm.parameters.is_none());
            assert_eq!(read.algorithm.oid.to_string(), set.oid());
            assert_eq!(read.subject_public_key.as_bytes(), Some(value.as_slice()));
        }
    }

    #[test]
    fn an_unknown_public_part_has_no_encoding() {
        assert_eq!(PublicComponents::None.spki(), None);
        assert_eq!(PublicComponents::Ec { curve: Curve::P256, point: Vec::new() }.spki(), None);
    }
}
