//! Post-quantum keys in DER: RFC 9881 (ML-DSA), RFC 9935 (ML-KEM), RFC 9909 (SLH-DSA), and the bare forms that OpenSSL 3.5
//! writes where it is told to.

use libkmss::key::{KeyComponents, PublicComponents};
use libkmss::mechanism::PqcSet;
use libkmss::secret::Secret;
use x509_cert::der::asn1::{ObjectIdentifier, OctetStringRef};
use x509_cert::der::{AnyRef, Decode as _, Reader as _, SliceReader, Tag, Tagged as _};

use crate::output::Failure;

/// The tag of a seed alone, `[0] IMPLICIT OCTET STRING`; seeds are shorter than 128 bytes, so that one byte of length
/// follows.
const SEED: u8 = 0x80;

/// The parameter set that an algorithm is.
pub(super) fn set(oid: ObjectIdentifier) -> Option<PqcSet> {
    PqcSet::all().find(|set| ObjectIdentifier::new(set.oid()).is_ok_and(|of| of == oid))
}

/// The private key of a PrivateKeyInfo: seed, expanded key, or both, which must then agree.
///
/// # Errors
/// A form, or a length, that the set does not have.
pub(super) fn private(set: PqcSet, key: &[u8]) -> Result<KeyComponents, Failure> {
    let (seed, value) = parts(set, key).ok_or_else(|| {
        let forms = match set.seed_len() {
            Some(seed) => format!("a seed of {seed} bytes, an expanded key of {} or both", set.private_len()),
            None => format!("{} bytes", set.private_len()),
        };
        format!("the {} key is damaged: its private half is {forms}", set.name())
    })?;
    Ok(KeyComponents::PqcPrivate { set, seed: Secret::copy_of(seed), value: Secret::copy_of(value) })
}

/// Seed and expanded key; empty what is not there.
fn parts(set: PqcSet, key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (seed_len, private_len) = (set.seed_len(), set.private_len());
    let sized = |seed: &'_ [u8], value: &'_ [u8]| {
        (seed.is_empty() || Some(seed.len()) == seed_len) && (value.is_empty() || value.len() == private_len)
    };
    // Lengths tell bare forms from encoded ones: an encoded one is longer than what is in it.
    let found: (&[u8], &[u8]) = match key {
        bare if bare.len() == private_len => (&[], bare),
        bare if Some(bare.len()) == seed_len => (bare, &[]),
        _ if seed_len.is_none() => return None,
        [SEED, len, seed @ ..] if seed.len() == usize::from(*len) => (seed, &[]),
        encoded => match <&OctetStringRef>::from_der(encoded) {
            Ok(value) => (&[], value.as_bytes()),
            Err(_) => both(encoded)?,
        },
    };
    let whole = sized(found.0, found.1) && !(found.0.is_empty() && found.1.is_empty());
    whole.then_some(found)
}

/// The SEQUENCE of a seed and what comes of it.
fn both(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let sequence = AnyRef::from_der(encoded).ok().filter(|any| any.tag() == Tag::Sequence)?;
    let mut reader = SliceReader::new(sequence.value()).ok()?;
    let seed = <&OctetStringRef>::decode(&mut reader).ok()?;
    let value = <&OctetStringRef>::decode(&mut reader).ok()?;
    reader.is_finished().then_some((seed.as_bytes(), value.as_bytes()))
}

/// The public key of a SubjectPublicKeyInfo, which is its bytes.
///
/// # Errors
/// It does not have the length of its set.
pub(super) fn public(set: PqcSet, key: &[u8]) -> Result<KeyComponents, Failure> {
    if key.len() != set.public_len() {
        return Err(
            format!("the {} key is damaged: it has {} bytes, not {}", set.name(), key.len(), set.public_len()).into()
        );
    }
    Ok(KeyComponents::Public(PublicComponents::Pqc { set, value: key.to_vec() }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// A DER element with a length of two bytes.
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, high, low], content].concat()
    }

    #[test]
    fn every_form_of_every_set_is_told_apart() {
        for set in PqcSet::all() {
            let value = vec![7; set.private_len()];
            assert_eq!(parts(set, &value), Some((&[][..], value.as_slice())));
            let Some(seed_len) = set.seed_len() else {
                assert_eq!(parts(set, &element(4, &[7; 300])), None);
                assert_eq!(parts(set, &value[1..]), None);
                continue;
            };
            let seed = vec![9; seed_len];
            let tagged = [&[SEED, u8::try_from(seed_len).unwrap()], seed.as_slice()].concat();
            assert_eq!(parts(set, &tagged), Some((seed.as_slice(), &[][..])));
            assert_eq!(parts(set, &seed), Some((seed.as_slice(), &[][..])));
            assert_eq!(parts(set, &element(4, &value)), Some((&[][..], value.as_slice())));
            let short = [&[4, u8::try_from(seed_len).unwrap()], seed.as_slice()].concat();
            let both = element(0x30, &[short, element(4, &value)].concat());
            assert_eq!(parts(set, &both), Some((seed.as_slice(), value.as_slice())));
            for damaged in [&both[..both.len() - 1], &tagged[..9], &element(4, &value[1..]), &element(4, &[]), &[]] {
                assert_eq!(parts(set, damaged), None, "{}", set.name());
            }
        }
    }
}
