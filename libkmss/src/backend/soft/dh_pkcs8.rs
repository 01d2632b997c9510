//! Diffie-Hellman private keys as PKCS #8: the algorithm of PKCS #3 with prime and base, the private value as an INTEGER
//! (PKCS#11 3.2, 6.7).

use der::asn1::{AnyRef, OctetStringRef, UintRef};
use der::{Decode, Encode, Sequence};
use sm2::pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::awslc::DhKey;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::DhGroup;
use crate::secret::Secret;

/// dhKeyAgreement (PKCS #3, section 9).
const DH_KEY_AGREEMENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.3.1");

/// DHParameter (PKCS #3, section 9). The length of private values is left out: it is a wish for keys yet to be made.
#[derive(Sequence)]
struct DhParameter<'a> {
    prime: UintRef<'a>,
    base: UintRef<'a>,
    #[asn1(optional = "true")]
    private_bits: Option<u32>,
}

/// A PrivateKeyInfo.
pub(super) fn encode(key: &DhKey) -> Result<Secret> {
    let failed = |_: der::Error| Error::new(ErrorKind::Internal, "a private key could not be encoded");
    let (prime, base) = (key.group().prime(), [DhGroup::BASE]);
    let parameters = DhParameter {
        prime: UintRef::new(prime).map_err(failed)?,
        base: UintRef::new(&base).map_err(failed)?,
        private_bits: None,
    };
    let parameters = parameters.to_der().map_err(failed)?;
    let private = key.private()?;
    let value = UintRef::new(private.expose()).and_then(|value| value.to_der()).map(Zeroizing::new).map_err(failed)?;
    let algorithm = AlgorithmIdentifierRef {
        oid: DH_KEY_AGREEMENT,
        parameters: Some(AnyRef::from_der(&parameters).map_err(failed)?),
    };
    let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(&value).map_err(failed)?);
    Ok(Secret::new(info.to_der().map_err(failed)?))
}

/// The private key in a PrivateKeyInfo, if it is of a group that is offered.
pub(super) fn decode(der: &[u8]) -> Result<DhKey> {
    let bad = || Error::new(ErrorKind::AttributeValue, "this is no private key of the type");
    let info = PrivateKeyInfoRef::from_der(der).map_err(|_| bad())?;
    if info.algorithm.oid != DH_KEY_AGREEMENT {
        return Err(bad());
    }
    let parameters = info.algorithm.parameters.ok_or_else(bad)?;
    let parameters: DhParameter<'_> = parameters.decode_as().map_err(|_| bad())?;
    let group = DhGroup::find(parameters.prime.as_bytes(), parameters.base.as_bytes()).ok_or_else(bad)?;
    let value = UintRef::from_der(info.private_key.as_bytes()).map_err(|_| bad())?;
    DhKey::from_private(group, value.as_bytes()).map_err(|_| bad())
}
