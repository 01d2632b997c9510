//! DER OCTET STRINGs around points (PKCS#11 3.2, 6.3.3), which some callers leave out.

use der::asn1::OctetStringRef;
use der::{Decode, Encode};

/// The content of a DER OCTET STRING where `bytes` is exactly one around a point of some curve, else `bytes` itself.
///
/// No encoded point of an offered curve, compressed points included, has a length that an OCTET STRING around another has
/// (32, 33, 49, 56, 57, 65, 67, 97, 133 against 34, 35, 51, 58, 59, 67, 69, 99, 136; see below for 67), so a raw point that
/// happens to begin like an OCTET STRING is not mistaken for one.
///
/// 67 bytes are a compressed point on P-521, which begins with 2 or 3, or an OCTET STRING around 65, which begins with 4.
pub(crate) fn unwrapped(bytes: Vec<u8>) -> Vec<u8> {
    const RAW: [usize; 8] = [32, 33, 49, 56, 57, 65, 97, 133];
    if RAW.contains(&bytes.len()) {
        return bytes;
    }
    match <&OctetStringRef>::from_der(&bytes) {
        Ok(inner) => inner.as_bytes().to_vec(),
        Err(_) => bytes,
    }
}

/// `bytes` as a DER OCTET STRING; empty where they are too long for one (they never are).
pub(crate) fn wrapped(bytes: &[u8]) -> Vec<u8> {
    OctetStringRef::new(bytes).and_then(|string| string.to_der()).unwrap_or_default()
}

/// A big-endian number without its leading zeros.
pub(crate) fn stripped(value: &[u8]) -> &[u8] {
    let zeros = value.iter().take_while(|b| **b == 0).count();
    value.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_found_with_and_without_its_octet_string() {
        for len in [32, 33, 49, 56, 57, 65, 97, 133] {
            let raw = vec![0x04; len];
            assert_eq!(unwrapped(wrapped(&raw)), raw);
            assert_eq!(unwrapped(raw.clone()), raw);
        }
    }

    #[test]
    fn a_raw_key_that_begins_like_an_octet_string_is_taken_as_it_is() {
        let mut raw = vec![0x04, 30];
        raw.resize(32, 7);
        assert_eq!(unwrapped(raw.clone()), raw);
    }

    #[test]
    fn a_truncated_octet_string_is_left_to_the_curve_to_refuse() {
        let mut short = wrapped(&[0x04; 65]);
        short.pop();
        assert_eq!(unwrapped(short.clone()), short);
    }
}
