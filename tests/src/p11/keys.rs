//! Keys for the tests, and their public halves and signatures in the forms that `openssl` reads.

use cryptoki_sys::*;

use super::{Session, Token, curve, flag, module, raw, ulong};
use crate::built;

/// What gets signed and sealed: some bytes that are no multiple of any block.
pub const MESSAGE: &[u8] = b"the quick brown fox jumps over the lazy dog, and then over the moon";

/// Public and private half.
pub type Pair = (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE);

/// An RSA pair of 2048 bits that goes with the session.
///
/// # Panics
/// Where the module refuses.
#[must_use]
pub fn rsa(session: &Session) -> Pair {
    let public = [ulong(CKA_MODULUS_BITS, 2048), raw(CKA_PUBLIC_EXPONENT, [1, 0, 1]), flag(CKA_TOKEN, false)];
    session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[flag(CKA_TOKEN, false)]).unwrap()
}

/// A pair on a curve that goes with the session.
///
/// # Panics
/// Where the module refuses.
#[must_use]
pub fn pair(session: &Session, mechanism: CK_MECHANISM_TYPE, parameters: &[u8]) -> Pair {
    let public = [raw(CKA_EC_PARAMS, parameters), flag(CKA_TOKEN, false)];
    session.generate_pair(mechanism, &public, &[flag(CKA_TOKEN, false)]).unwrap()
}

/// A secret key whose value the test knows.
///
/// # Panics
/// Where the module refuses.
#[must_use]
pub fn secret(session: &Session, kind: CK_KEY_TYPE, value: &[u8]) -> CK_OBJECT_HANDLE {
    let uses = [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE];
    let mut template = vec![
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, kind),
        flag(CKA_TOKEN, false),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
        raw(CKA_VALUE, value),
    ];
    template.extend(uses.map(|kind| flag(kind, true)));
    session.create(&template).unwrap()
}

/// DER: a tag, its length and its content.
#[must_use]
pub fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        n @ 0..=127 => out.push(n as u8),
        n @ 128..=255 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// DER of a non-negative INTEGER.
#[must_use]
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len() - 1);
    let mut value = bytes[start..].to_vec();
    if value[0] & 0x80 != 0 {
        value.insert(0, 0);
    }
    der(2, &value)
}

/// SubjectPublicKeyInfo of a public key object, built from its attributes.
///
/// # Panics
/// Where the module refuses.
#[must_use]
pub fn public_info(session: &Session, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    let (algorithm, bits) = if session.get_ulong(key, CKA_KEY_TYPE).unwrap() == CKK_RSA {
        let numbers = [
            unsigned(&session.get(key, CKA_MODULUS).unwrap()),
            unsigned(&session.get(key, CKA_PUBLIC_EXPONENT).unwrap()),
        ];
        let oid = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
        (der(0x30, &oid), der(0x30, &numbers.concat()))
    } else {
        let parameters = session.get(key, CKA_EC_PARAMS).unwrap();
        let point = point(session, key);
        let bare = [curve::ED25519, curve::X25519, curve::ED448, curve::X448];
        let algorithm = if bare.contains(&parameters.as_slice()) {
            der(0x30, &parameters)
        } else {
            der(0x30, &[&[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01][..], &parameters].concat())
        };
        (algorithm, point)
    };
    der(0x30, &[algorithm, der(3, &[&[0][..], &bits].concat())].concat())
}

/// The bare point: CKA_EC_POINT is a DER OCTET STRING.
///
/// # Panics
/// Where the module refuses.
#[must_use]
pub fn point(session: &Session, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    let wrapped = session.get(key, CKA_EC_POINT).unwrap();
    assert_eq!(wrapped[0], 4, "CKA_EC_POINT is a DER OCTET STRING");
    let skip = if wrapped[1] & 0x80 == 0 { 2 } else { 2 + usize::from(wrapped[1] & 0x7f) };
    wrapped[skip..].to_vec()
}

/// `r || s` as a DER sequence, as `openssl` wants it.
#[must_use]
pub fn der_signature(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    der(0x30, &[unsigned(r), unsigned(s)].concat())
}

/// `r || s` of this half width from a DER sequence.
#[must_use]
pub fn raw_signature(sequence: &[u8], width: usize) -> Vec<u8> {
    let mut at = if sequence[1] & 0x80 == 0 { 2 } else { 3 };
    let mut out = Vec::new();
    for _ in 0..2 {
        let length = usize::from(sequence[at + 1]);
        let value = &sequence[at + 2..at + 2 + length];
        let value = if value.len() > width { &value[value.len() - width..] } else { value };
        out.extend(std::iter::repeat_n(0, width - value.len()));
        out.extend_from_slice(value);
        at += 2 + length;
    }
    out
}

/// Bytes as `openssl` takes them on its command line.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// True, said aloud, where the stand-in lacks a mechanism that KMSS must have.
///
/// # Panics
/// Where the module refuses.
#[must_use]
pub fn missing(token: &Token, mechanism: CK_MECHANISM_TYPE) -> bool {
    let offered = module().mechanisms(token.slot).unwrap().contains(&mechanism);
    assert!(offered || built::stand_in(), "mechanism 0x{mechanism:08x} is not offered");
    if !offered {
        built::skipped(&format!("the stand-in has no mechanism 0x{mechanism:08x}"));
    }
    !offered
}
