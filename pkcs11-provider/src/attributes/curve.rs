//! CKA_EC_PARAMS: curves by OID or by name (PKCS#11 3.2, 6.3.3).

use cryptoki_sys::{CKR_ATTRIBUTE_VALUE_INVALID, CKR_CURVE_NOT_SUPPORTED, CKR_TEMPLATE_INCOMPLETE};
use der::asn1::{ObjectIdentifier, PrintableStringRef};
use der::{Decode, Encode};
use libkmss::mechanism::{Curve, KeyType};

use crate::rv::{Result, Rv};

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// The OID that is given out for each curve (RFC 5480, RFC 8410, GB/T 33560).
pub(super) const OIDS: [(Curve, ObjectIdentifier); 6] = [
    (Curve::P256, oid("1.2.840.10045.3.1.7")),
    (Curve::P384, oid("1.3.132.0.34")),
    (Curve::P521, oid("1.3.132.0.35")),
    (Curve::Ed25519, oid("1.3.101.112")),
    (Curve::X25519, oid("1.3.101.110")),
    (Curve::Sm2, oid("1.2.156.10197.1.301")),
];

/// What callers also say: GnuPG's and Cryptlib's OIDs, which OpenSC used before RFC 8410.
const OLD_OIDS: [(Curve, ObjectIdentifier); 2] =
    [(Curve::Ed25519, oid("1.3.6.1.4.1.11591.15.1")), (Curve::X25519, oid("1.3.6.1.4.1.3029.1.5.1"))];

/// Names, as a PrintableString (the `curveName` of PKCS#11).
const NAMES: [(Curve, &str); 6] = [
    (Curve::Ed25519, "edwards25519"),
    (Curve::X25519, "curve25519"),
    (Curve::P256, "secp256r1"),
    (Curve::P384, "secp384r1"),
    (Curve::P521, "secp521r1"),
    (Curve::Sm2, "sm2p256v1"),
];

/// What OpenSC's pkcs11-tool (0.23) sends for curve25519: a PrintableString that counts one byte too many.
const OPENSC_CURVE25519: &[u8] = b"\x13\x0bcurve25519";

/// The curve that CKA_EC_PARAMS names, for a key of type `key_type`. Where only one curve fits the type, parameters may
/// be absent.
///
/// # Errors
/// CKR_CURVE_NOT_SUPPORTED for curves that are not offered, or not for this type; CKR_ATTRIBUTE_VALUE_INVALID for bytes
/// that name no curve; CKR_TEMPLATE_INCOMPLETE where nothing says which.
pub(crate) fn parse(params: Option<&[u8]>, key_type: KeyType) -> Result<Curve> {
    let Some(params) = params else {
        return match key_type {
            KeyType::EcEdwards => Ok(Curve::Ed25519),
            KeyType::EcMontgomery => Ok(Curve::X25519),
            KeyType::Sm2 => Ok(Curve::Sm2),
            _ => Err(Rv(CKR_TEMPLATE_INCOMPLETE)),
        };
    };
    let curve = if let Ok(oid) = ObjectIdentifier::from_der(params) {
        OIDS.iter().chain(&OLD_OIDS).find(|(_, o)| *o == oid).map(|(c, _)| *c)
    } else if let Ok(name) = PrintableStringRef::from_der(params) {
        NAMES.iter().find(|(_, n)| *n == name.as_str()).map(|(c, _)| *c)
    } else if params == OPENSC_CURVE25519 {
        Some(Curve::X25519)
    } else {
        return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
    };
    curve.filter(|c| fits(*c, key_type)).ok_or(Rv(CKR_CURVE_NOT_SUPPORTED))
}

/// Whether parameters name the curve in words rather than by the OID that we give out.
pub(crate) fn is_named(params: &[u8]) -> bool {
    PrintableStringRef::from_der(params).is_ok()
}

/// CKA_EC_PARAMS of a curve: its OID in DER.
pub(crate) fn params(curve: Curve) -> Vec<u8> {
    oid_of(curve).and_then(|oid| oid.to_der().ok()).unwrap_or_default()
}

/// The OID of a curve; `None` for curves younger than this table.
pub(super) fn oid_of(curve: Curve) -> Option<ObjectIdentifier> {
    OIDS.iter().find(|(c, _)| *c == curve).map(|(_, oid)| *oid)
}

const fn fits(curve: Curve, key_type: KeyType) -> bool {
    match curve {
        Curve::Ed25519 => matches!(key_type, KeyType::EcEdwards),
        Curve::X25519 => matches!(key_type, KeyType::EcMontgomery),
        Curve::Sm2 => matches!(key_type, KeyType::Sm2),
        _ => matches!(key_type, KeyType::Ec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_recognised_by_the_parameters_it_gives_out() {
        for (curve, kind) in [
            (Curve::P256, KeyType::Ec),
            (Curve::P384, KeyType::Ec),
            (Curve::P521, KeyType::Ec),
            (Curve::Ed25519, KeyType::EcEdwards),
            (Curve::X25519, KeyType::EcMontgomery),
            (Curve::Sm2, KeyType::Sm2),
        ] {
            assert_eq!(parse(Some(&params(curve)), kind), Ok(curve));
        }
    }

    #[test]
    fn edwards25519_may_be_named() {
        let name = b"\x13\x0cedwards25519";
        assert_eq!(parse(Some(name), KeyType::EcEdwards), Ok(Curve::Ed25519));
        assert_eq!(parse(Some(b"\x13\x0acurve25519"), KeyType::EcMontgomery), Ok(Curve::X25519));
        assert_eq!(parse(Some(OPENSC_CURVE25519), KeyType::EcMontgomery), Ok(Curve::X25519));
        assert!(is_named(name) && !is_named(OPENSC_CURVE25519) && !is_named(&params(Curve::Ed25519)));
        assert_eq!(parse(Some(name), KeyType::EcMontgomery), Err(Rv(CKR_CURVE_NOT_SUPPORTED)));
    }

    #[test]
    fn unknown_curves_garbage_and_nothing_are_told_apart() {
        let secp256k1 = [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x0A];
        assert_eq!(parse(Some(&secp256k1), KeyType::Ec), Err(Rv(CKR_CURVE_NOT_SUPPORTED)));
        for garbage in [b"".as_slice(), b"\x06", b"\x06\xff\xff\xff", b"\x30\x00", b"\x06\x05\x2b"] {
            assert_eq!(parse(Some(garbage), KeyType::Ec), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
        }
        assert_eq!(parse(None, KeyType::Ec), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
    }
}
