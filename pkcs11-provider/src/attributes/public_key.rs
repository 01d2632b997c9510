//! CKA_PUBLIC_KEY_INFO: the public part of a key as SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).

use der::asn1::{Any, BitString, ObjectIdentifier, UintRef};
use der::{Encode, Sequence};
use libkmss::key::PublicComponents;
use libkmss::mechanism::Curve;
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::curve;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// The DER encoding of the SubjectPublicKeyInfo; `None` where the public part is not known.
pub(crate) fn info(public: &PublicComponents) -> Option<Vec<u8>> {
    let (oid, parameters, key) = match public {
        PublicComponents::None => return None,
        PublicComponents::Rsa { modulus, exponent } => {
            let key =
                RsaPublicKey { modulus: UintRef::new(modulus).ok()?, public_exponent: UintRef::new(exponent).ok()? };
            (RSA_ENCRYPTION, Some(Any::null()), key.to_der().ok()?)
        }
        PublicComponents::Ec { point, .. } if point.is_empty() => return None,
        // RFC 8410, section 3: the curve is the algorithm, and parameters are absent.
        PublicComponents::Ec { curve: c @ (Curve::Ed25519 | Curve::X25519), point } => {
            (curve::oid_of(*c)?, None, point.clone())
        }
        PublicComponents::Ec { curve, point } => {
            (EC_PUBLIC_KEY, Some(Any::encode_from(&curve::oid_of(*curve)?).ok()?), point.clone())
        }
    };
    SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier { oid, parameters },
        subject_public_key: BitString::from_bytes(&key).ok()?,
    }
    .to_der()
    .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use der::Decode;

    type Info = SubjectPublicKeyInfo<Any, BitString>;

    #[test]
    fn an_ed25519_key_has_no_parameters_and_its_bare_point() {
        let point = vec![7; 32];
        let der = info(&PublicComponents::Ec { curve: Curve::Ed25519, point: point.clone() }).unwrap();
        let read = Info::from_der(&der).unwrap();
        assert!(read.algorithm.parameters.is_none());
        assert_eq!(read.subject_public_key.as_bytes(), Some(point.as_slice()));
        assert_eq!(der.len(), 44);
    }

    #[test]
    fn a_p256_key_names_its_curve() {
        let der = info(&PublicComponents::Ec { curve: Curve::P256, point: vec![4; 65] }).unwrap();
        let read = Info::from_der(&der).unwrap();
        assert_eq!(read.algorithm.oid, EC_PUBLIC_KEY);
        assert_eq!(read.algorithm.parameters.unwrap().to_der().unwrap(), curve::params(Curve::P256));
        assert_eq!(der.len(), 91);
    }

    #[test]
    fn an_rsa_modulus_with_its_top_bit_set_stays_positive() {
        let der = info(&PublicComponents::Rsa { modulus: vec![0xFF; 256], exponent: vec![1, 0, 1] }).unwrap();
        assert_eq!(der.len(), 294);
        assert_eq!(Info::from_der(&der).unwrap().algorithm.parameters, Some(Any::null()));
    }

    #[test]
    fn an_unknown_public_part_has_no_encoding() {
        assert_eq!(info(&PublicComponents::None), None);
        assert_eq!(info(&PublicComponents::Ec { curve: Curve::P256, point: Vec::new() }), None);
    }
}
