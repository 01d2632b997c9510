//! Public keys as JSON Web Keys (RFC 7517, 7518, 8037, 8812), and what keys are called in headers.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::key::{Key, PublicComponents};
use crate::mechanism::{Curve, KeyType};

/// The members that describe a public key.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where no standard says how to write this kind.
pub fn describe(key: &PublicComponents) -> Result<Map<String, Value>> {
    let none = |what: &str| {
        let why = format!("no standard says how to write {what} keys as a JSON Web Key");
        Err(Error::new(ErrorKind::Unsupported, why))
    };
    let members: Vec<(&str, String)> = match key {
        PublicComponents::Rsa { modulus, exponent } => {
            vec![("kty", "RSA".to_owned()), ("n", text(modulus)), ("e", text(exponent))]
        }
        PublicComponents::Ec { curve: Curve::Sm2, .. } => return none("SM2"),
        PublicComponents::Ec { curve, point } => match (curve.key_type(), point.split_first()) {
            (KeyType::Ec, Some((4, xy))) => {
                let (x, y) = xy.split_at(xy.len() / 2);
                let crv = curve.name().to_owned();
                vec![("kty", "EC".to_owned()), ("crv", crv), ("x", text(x)), ("y", text(y))]
            }
            (KeyType::EcEdwards | KeyType::EcMontgomery, Some(_)) => {
                vec![("kty", "OKP".to_owned()), ("crv", curve.name().to_owned()), ("x", text(point))]
            }
            _ => return Err(Error::new(ErrorKind::Unsupported, "the public part of the key is not known")),
        },
        _ => return none("such"),
    };
    Ok(members.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect())
}

fn text(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// What a version of a key is called in headers and sets (`kid`): `name@n`, also while it has the name, so that it is called the
/// same after the next rotation.
#[must_use]
pub fn key_id(key: &Key) -> String {
    format!("{}@{}", key.base_name(), key.version_number())
}

/// The version of the key `name` that `kid` means; `None` where it is another key. The name alone means the version that has it,
/// which is `primary`.
#[must_use]
pub fn version_of_key_id(kid: &str, name: &str, primary: u32) -> Option<u32> {
    let rest = kid.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(primary);
    }
    let digits = rest.strip_prefix('@')?;
    let canonical = !digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_means_one_version_of_one_key() {
        for (kid, version) in [("k@1", Some(1)), ("k@12", Some(12)), ("k", Some(3))] {
            assert_eq!(version_of_key_id(kid, "k", 3), version);
        }
        for other in ["", "j@1", "k@", "k@0", "k@01", "k@+1", "k@1x", "kk@1", "k@99999999999", "K@1"] {
            assert_eq!(version_of_key_id(other, "k", 3), None, "{other}");
        }
    }
}
