//! Diffie-Hellman keys in DER: PKCS #3 (what OpenSSL calls DH) and X9.42 (DHX), in named groups.

use libkmss::key::{KeyComponents, PublicComponents};
use libkmss::mechanism::DhGroup;
use libkmss::secret::Secret;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{AnyRef, Decode as _, Header, Length, Reader as _, SliceReader};

use crate::output::Failure;

/// dhKeyAgreement (PKCS #3, section 9).
const PKCS_3: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.3.1");
/// dhpublicnumber (RFC 3279, 2.3.3).
const X9_42: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10046.2.1");

/// Whether the algorithm is Diffie-Hellman over a prime field.
pub(super) fn is_one(oid: ObjectIdentifier) -> bool {
    oid == PKCS_3 || oid == X9_42
}

/// The private key of a PrivateKeyInfo: its value is an INTEGER.
///
/// # Errors
/// Damage, or a group without a name.
pub(super) fn private(parameters: Option<AnyRef<'_>>, key: &[u8]) -> Result<KeyComponents, Failure> {
    Ok(KeyComponents::DhPrivate { group: group(parameters)?, value: Secret::copy_of(integer(key)?.as_bytes()) })
}

/// The public key of a SubjectPublicKeyInfo: its value is an INTEGER.
///
/// # Errors
/// As [`private`].
pub(super) fn public(parameters: Option<AnyRef<'_>>, key: &[u8]) -> Result<KeyComponents, Failure> {
    let value = integer(key)?.as_bytes().to_vec();
    Ok(KeyComponents::Public(PublicComponents::Dh { group: group(parameters)?, value }))
}

/// Prime and base come first in both; what follows says nothing that the name of the group does not.
fn group(parameters: Option<AnyRef<'_>>) -> Result<DhGroup, Failure> {
    let damaged = || Failure::from("the parameters of the Diffie-Hellman key are damaged");
    let parameters = parameters.ok_or_else(damaged)?;
    let mut reader = SliceReader::new(parameters.value()).map_err(|_| damaged())?;
    let prime = UintRef::decode(&mut reader).map_err(|_| damaged())?;
    let base = UintRef::decode(&mut reader).map_err(|_| damaged())?;
    while !reader.is_finished() {
        let length = Header::decode(&mut reader).map_err(|_| damaged())?.length();
        reader.read_slice(Length::min(length, reader.remaining_len())).map_err(|_| damaged())?;
    }
    DhGroup::find(prime.as_bytes(), base.as_bytes()).ok_or_else(|| {
        let bits = prime.as_bytes().len().saturating_mul(8);
        format!(
            "the Diffie-Hellman key is in a group of its own (about {bits} bits); only the named ones are offered: \
             ffdhe2048 to ffdhe8192 (RFC 7919) and modp_2048 to modp_8192 (RFC 3526)"
        )
        .into()
    })
}

fn integer(der: &[u8]) -> Result<UintRef<'_>, Failure> {
    UintRef::from_der(der).map_err(|e| format!("the value of the Diffie-Hellman key is damaged: {e}").into())
}
