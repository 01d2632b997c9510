//! Key types as people write them.

use libkmss::key::{Key, KeySpec, PublicComponents};
use libkmss::mechanism::{Curve, Hash, KeyType};

use crate::output::Failure;

/// Parses `rsa:2048`, `ec:p256`, `aes:256`, `ed25519` and so on.
///
/// # Errors
/// A sentence that lists what there is.
pub(super) fn parse(text: &str) -> Result<KeySpec, Failure> {
    let lower = text.to_ascii_lowercase();
    let (kind, size) = lower.split_once(':').map_or((lower.as_str(), None), |(k, s)| (k, Some(s)));
    let unknown = || {
        format!(
            "`{text}` is no key type: say rsa:2048 to rsa:8192, ec:p256, ec:p384, ec:p521, ed25519, x25519, sm2, \
             aes:128, aes:192, aes:256, sm4 or hmac:BITS"
        )
    };
    let bits = |default: u32| size.map_or(Ok(default), |s| s.parse::<u32>().map_err(|_| unknown()));
    let secret = |key_type, bits: u32| {
        if bits == 0 || !bits.is_multiple_of(8) {
            return Err(unknown());
        }
        Ok(KeySpec::Secret { key_type, len: (bits / 8) as usize })
    };
    Ok(match (kind, size) {
        ("rsa", _) => KeySpec::Rsa { bits: bits(2048)?, exponent: vec![1, 0, 1] },
        ("ec", None | Some("p256" | "p-256" | "prime256v1" | "secp256r1")) => KeySpec::Ec(Curve::P256),
        ("ec", Some("p384" | "p-384" | "secp384r1")) => KeySpec::Ec(Curve::P384),
        ("ec", Some("p521" | "p-521" | "secp521r1")) => KeySpec::Ec(Curve::P521),
        ("ed25519", None) => KeySpec::Ec(Curve::Ed25519),
        ("x25519", None) => KeySpec::Ec(Curve::X25519),
        ("sm2", None) => KeySpec::Ec(Curve::Sm2),
        ("aes", _) => secret(KeyType::Aes, bits(256)?)?,
        ("sm4", None) => secret(KeyType::Sm4, 128)?,
        ("hmac", _) => secret(KeyType::Hmac(Hash::Sha256), bits(256)?)?,
        _ => return Err(unknown().into()),
    })
}

/// What a key is, for people: `RSA 2048`, `EC P-256`, `AES 256`.
pub(super) fn describe(key: &Key) -> String {
    let Ok(version) = key.primary() else { return key.key_type.name().to_owned() };
    match &version.public {
        PublicComponents::Ec { curve, .. } if key.key_type == KeyType::Ec => format!("EC {}", curve.name()),
        PublicComponents::Ec { curve, .. } => curve.name().to_owned(),
        PublicComponents::Pqc { set, .. } => set.name().to_owned(),
        PublicComponents::Dh { group, .. } => format!("DH {}", group.name()),
        _ => format!("{} {}", key.key_type.name(), version.bits),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn key_types_are_read_as_people_write_them() {
        assert_eq!(parse("RSA:4096").unwrap(), KeySpec::Rsa { bits: 4096, exponent: vec![1, 0, 1] });
        assert_eq!(parse("ec:P-384").unwrap(), KeySpec::Ec(Curve::P384));
        assert_eq!(parse("aes:128").unwrap(), KeySpec::Secret { key_type: KeyType::Aes, len: 16 });
        for bad in ["rsa:x", "ec:p255", "aes:7", "hmac:0", "ed25519:1", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
