//! CKA_EC_PARAMS: curves by OID or by name (PKCS#11 3.2, 6.3.3).

use cryptoki_sys::{CKR_ATTRIBUTE_VALUE_INVALID, CKR_CURVE_NOT_SUPPORTED, CKR_TEMPLATE_INCOMPLETE};
use der::asn1::{ObjectIdentifier, PrintableStringRef};
use der::{Decode, Encode};
use libkmss::mechanism::{Curve, KeyType};

use crate::rv::{Result, Rv};

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// What callers also say: GnuPG's and Cryptlib's OIDs, which OpenSC used before RFC 8410.
const OLD_OIDS: [(Curve, ObjectIdentifier); 2] =
    [(Curve::Ed25519, oid("1.3.6.1.4.1.11591.15.1")), (Curve::X25519, oid("1.3.6.1.4.1.3029.1.5.1"))];

/// Names, as a PrintableString (the `curveName` of PKCS#11).
const NAMES: [(Curve, &str); 9] = [
    (Curve::Ed25519, "edwards25519"),
    (Curve::X25519, "curve25519"),
    (Curve::Ed448, "edwards448"),
    (Curve::X448, "curve448"),
    (Curve::P256, "secp256r1"),
    (Curve::P384, "secp384r1"),
    (Curve::P521, "secp521r1"),
    (Curve::Secp256k1, "secp256k1"),
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
        Curve::ALL.into_iter().find(|c| oid_of(*c) == Some(oid)).or_else(|| old(oid))
    } else if let Ok(name) = PrintableStringRef::from_der(params) {
        NAMES.iter().find(|(_, n)| *n == name.as_str()).map(|(c, _)| *c)
    } else if params == OPENSC_CURVE25519 {
        Some(Curve::X25519)
    } else {
        return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
    };
    curve.filter(|c| c.key_type() == key_type).ok_or(Rv(CKR_CURVE_NOT_SUPPORTED))
}

/// Whether parameters name the curve in words rather than by the OID that we give out.
pub(crate) fn is_named(params: &[u8]) -> bool {
    PrintableStringRef::from_der(params).is_ok()
}

/// CKA_EC_PARAMS of a curve: its OID in DER.
pub(crate) fn params(curve: Curve) -> Vec<u8> {
    oid_of(curve).and_then(|oid| oid.to_der().ok()).unwrap_or_default()
}

fn oid_of(curve: Curve) -> Option<ObjectIdentifier> {
    ObjectIdentifier::new(curve.oid()).ok()
}

fn old(oid: ObjectIdentifier) -> Option<Curve> {
    OLD_OIDS.iter().find(|(_, o)| *o == oid).map(|(c, _)| *c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_recognised_by_the_parameters_it_gives_out() {
        for curve in Curve::ALL {
            assert_eq!(parse(Some(&params(curve)), curve.key_type()), Ok(curve));
        }
    }

    #[test]
    fn edwards25519_may_be_named() {
        let name = b"\x13\x0cedwards25519";
        assert_eq!(parse(Some(name), KeyType::EcEdwards), Ok(Curve::Ed25519));
        assert_eq!(parse(Some(b"\x13\x0aedwards448"), KeyType::EcEdwards), Ok(Curve::Ed448));
        assert_eq!(parse(Some(b"\x13\x08curve448"), KeyType::EcMontgomery), Ok(Curve::X448));
        assert_eq!(parse(Some(b"\x13\x0acurve25519"), KeyType::EcMontgomery), Ok(Curve::X25519));
        assert_eq!(parse(Some(OPENSC_CURVE25519), KeyType::EcMontgomery), Ok(Curve::X25519));
        assert!(is_named(name) && !is_named(OPENSC_CURVE25519) && !is_named(&params(Curve::Ed25519)));
        assert_eq!(parse(Some(name), KeyType::EcMontgomery), Err(Rv(CKR_CURVE_NOT_SUPPORTED)));
    }

    #[test]
    fn unknown_curves_garbage_and_nothing_are_told_apart() {
        let brainpool = [0x06, 0x09, 0x2B, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07];
        assert_eq!(parse(Some(&brainpool), KeyType::Ec), Err(Rv(CKR_CURVE_NOT_SUPPORTED)));
        for garbage in [b"".as_slice(), b"\x06", b"\x06\xff\xff\xff", b"\x30\x00", b"\x06\x05\x2b"] {
            assert_eq!(parse(Some(garbage), KeyType::Ec), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
        }
        assert_eq!(parse(None, KeyType::Ec), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
    }
}
