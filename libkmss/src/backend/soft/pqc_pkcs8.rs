//! Post-quantum private keys as PKCS #8: RFC 9881 (ML-DSA), RFC 9935 (ML-KEM), RFC 9909 (SLH-DSA).

use der::asn1::OctetStringRef;
use der::{Decode, Encode, Sequence};
use sm2::pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef};

use super::pqc::PqcKey;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{KeyType, PqcSet};
use crate::secret::Secret;

/// The seed and what comes of it, in one structure.
#[derive(Sequence)]
struct Both<'a> {
    seed: &'a OctetStringRef,
    value: &'a OctetStringRef,
}

/// The tag of a seed alone, `[0] IMPLICIT OCTET STRING`; seeds are shorter than 128 bytes, so that one byte of length
/// follows.
const SEED: u8 = 0x80;

/// A PrivateKeyInfo: of ML-DSA and ML-KEM keys the seed, which the RFCs recommend, or the expanded key where it is not known.
pub(super) fn encode(key: &PqcKey) -> Result<Secret> {
    let failed = |_: der::Error| Error::new(ErrorKind::Internal, "a private key could not be encoded");
    let inner = match (key.set(), key.seed()) {
        (_, Some(seed)) => {
            let len = u8::try_from(seed.len()).map_err(|_| failed(der::ErrorKind::Overlength.into()))?;
            Secret::new([&[SEED, len], seed.expose()].concat())
        }
        (PqcSet::SlhDsa(_), None) => key.value()?,
        (_, None) => {
            let value = key.value()?;
            Secret::new(OctetStringRef::new(value.expose()).and_then(|v| v.to_der()).map_err(failed)?)
        }
    };
    let oid = ObjectIdentifier::new(key.set().oid())
        .map_err(|_| Error::new(ErrorKind::Internal, "an object identifier is malformed"))?;
    let algorithm = AlgorithmIdentifierRef { oid, parameters: None };
    let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(inner.expose()).map_err(failed)?);
    Ok(Secret::new(info.to_der().map_err(failed)?))
}

/// The private key in a PrivateKeyInfo, if it is one of type `key_type`.
pub(super) fn decode(der: &[u8], key_type: KeyType) -> Result<PqcKey> {
    let bad = || Error::new(ErrorKind::AttributeValue, "this is no private key of the type");
    let info = PrivateKeyInfoRef::from_der(der).map_err(|_| bad())?;
    let set = PqcSet::all()
        .filter(|set| set.key_type() == key_type && info.algorithm.parameters.is_none())
        .find(|set| ObjectIdentifier::new(set.oid()).is_ok_and(|oid| oid == info.algorithm.oid))
        .ok_or_else(bad)?;
    let inner = info.private_key.as_bytes();
    let none = || Secret::copy_of(&[]);
    if set.seed_len().is_none() {
        return PqcKey::from_private(set, &none(), &Secret::copy_of(inner));
    }
    if let [SEED, len, seed @ ..] = inner {
        let seed = Some(seed).filter(|seed| seed.len() == usize::from(*len)).ok_or_else(bad)?;
        return PqcKey::from_private(set, &Secret::copy_of(seed), &none());
    }
    if let Ok(value) = <&OctetStringRef>::from_der(inner) {
        return PqcKey::from_private(set, &none(), &Secret::copy_of(value.as_bytes()));
    }
    let both = Both::from_der(inner).map_err(|_| bad())?;
    PqcKey::from_private(set, &Secret::copy_of(both.seed.as_bytes()), &Secret::copy_of(both.value.as_bytes()))
}
