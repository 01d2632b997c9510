//! Key types as people write them.

use std::str::FromStr;

use super::KeySpec;
use crate::error::{Error, ErrorKind};
use crate::mechanism::{Curve, DhGroup, Hash, KeyType, PqcSet};

impl FromStr for KeySpec {
    type Err = Error;

    /// Reads `rsa:2048`, `ec:p256`, `aes:256`, `ed25519`, `ml-dsa:65` and so on.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`], with all that there is.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_ascii_lowercase();
        let (kind, size) = lower.split_once(':').map_or((lower.as_str(), None), |(k, s)| (k, Some(s)));
        let unknown = || {
            let why = format!(
                "`{text}` is no key type: say rsa:2048 to rsa:8192, ec:p256, ec:p384, ec:p521, ec:secp256k1, ed25519, ed448, \
                 x25519, x448, sm2, dh:ffdhe2048 to dh:ffdhe8192, ml-dsa:44, ml-dsa:65, ml-dsa:87, ml-kem:512, ml-kem:768, \
                 ml-kem:1024, slh-dsa:sha2-128s (sha2 or shake; 128, 192 or 256; s or f), aes:128, aes:192, aes:256, chacha20, \
                 sm4 or hmac:BITS"
            );
            Error::new(ErrorKind::Arguments, why)
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
            ("ec", Some("secp256k1")) | ("secp256k1", None) => KeySpec::Ec(Curve::Secp256k1),
            ("ed25519", None) => KeySpec::Ec(Curve::Ed25519),
            ("x25519", None) => KeySpec::Ec(Curve::X25519),
            ("ed448", None) => KeySpec::Ec(Curve::Ed448),
            ("x448", None) => KeySpec::Ec(Curve::X448),
            ("dh", Some(group)) => KeySpec::Dh { group: dh_group(group).ok_or_else(unknown)?, private_bits: None },
            ("ml-dsa" | "ml-kem" | "slh-dsa", Some(set)) => KeySpec::Pqc(pqc_set(kind, set).ok_or_else(unknown)?),
            ("sm2", None) => KeySpec::Ec(Curve::Sm2),
            ("aes", _) => secret(KeyType::Aes, bits(256)?)?,
            ("sm4", None) => secret(KeyType::Sm4, 128)?,
            ("chacha20", None) => secret(KeyType::ChaCha20, 256)?,
            ("hmac", _) => secret(KeyType::Hmac(Hash::Sha256), bits(256)?)?,
            _ => return Err(unknown()),
        })
    }
}

impl KeySpec {
    /// What is read as this again; of secret keys that nobody writes, the type and its bits.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Rsa { bits, .. } => format!("rsa:{bits}"),
            Self::Ec(Curve::P256) => "ec:p256".to_owned(),
            Self::Ec(Curve::P384) => "ec:p384".to_owned(),
            Self::Ec(Curve::P521) => "ec:p521".to_owned(),
            Self::Ec(Curve::Secp256k1) => "ec:secp256k1".to_owned(),
            Self::Ec(curve) => curve.name().to_ascii_lowercase(),
            Self::Dh { group, .. } => format!("dh:{}", group.name().to_ascii_lowercase()),
            Self::Pqc(set) => {
                // The family has a hyphen itself: ML-DSA-65.
                let name = set.name().to_ascii_lowercase();
                let family = ["ml-dsa", "ml-kem", "slh-dsa"].into_iter().find(|family| name.starts_with(family));
                let set = family.and_then(|family| Some((family, name.strip_prefix(family)?.strip_prefix('-')?)));
                set.map_or_else(|| name.clone(), |(family, set)| format!("{family}:{set}"))
            }
            Self::Secret { key_type: KeyType::Sm4, .. } => "sm4".to_owned(),
            Self::Secret { key_type: KeyType::ChaCha20, .. } => "chacha20".to_owned(),
            Self::Secret { key_type: KeyType::Hmac(Hash::Sha256), len } => format!("hmac:{}", len.saturating_mul(8)),
            Self::Secret { key_type, len } => {
                format!("{}:{}", key_type.name().to_ascii_lowercase(), len.saturating_mul(8))
            }
        }
    }
}

fn dh_group(name: &str) -> Option<DhGroup> {
    DhGroup::ALL.into_iter().find(|group| group.name().eq_ignore_ascii_case(name))
}

fn pqc_set(kind: &str, set: &str) -> Option<PqcSet> {
    // FIPS 205 writes `SLH-DSA-SHAKE-128s` as the others: family, then set.
    PqcSet::all().find(|known| known.name().eq_ignore_ascii_case(&format!("{kind}-{set}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mechanism::{MlDsaSet, MlKemSet, SlhDsaSet};

    fn parse(text: &str) -> Result<KeySpec, Error> {
        text.parse()
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let curves = Curve::ALL.map(KeySpec::Ec).into_iter();
        let groups = DhGroup::ALL.into_iter().filter(|group| group.name().to_ascii_lowercase().starts_with("ffdhe"));
        let groups = groups.map(|group| KeySpec::Dh { group, private_bits: None });
        let others = ["rsa:3072", "aes:256", "sm4", "chacha20", "hmac:256"].map(|text| parse(text).unwrap());
        for spec in curves.chain(groups).chain(PqcSet::all().map(KeySpec::Pqc)).chain(others) {
            assert_eq!(parse(&spec.text()).unwrap(), spec, "{}", spec.text());
        }
    }

    #[test]
    fn key_types_are_read_as_people_write_them() {
        assert_eq!(parse("RSA:4096").unwrap(), KeySpec::Rsa { bits: 4096, exponent: vec![1, 0, 1] });
        assert_eq!(parse("ec:P-384").unwrap(), KeySpec::Ec(Curve::P384));
        assert_eq!(parse("aes:128").unwrap(), KeySpec::Secret { key_type: KeyType::Aes, len: 16 });
        assert_eq!(parse("ml-dsa:65").unwrap(), KeySpec::Pqc(PqcSet::MlDsa(MlDsaSet::MlDsa65)));
        assert_eq!(parse("ML-KEM:768").unwrap(), KeySpec::Pqc(PqcSet::MlKem(MlKemSet::MlKem768)));
        assert_eq!(parse("slh-dsa:sha2-128s").unwrap(), KeySpec::Pqc(PqcSet::SlhDsa(SlhDsaSet::Sha2_128s)));
        assert_eq!(parse("slh-dsa:shake-256f").unwrap(), KeySpec::Pqc(PqcSet::SlhDsa(SlhDsaSet::Shake256f)));
        assert_eq!(parse("secp256k1").unwrap(), parse("ec:secp256k1").unwrap());
        assert_eq!(parse("ed448").unwrap(), KeySpec::Ec(Curve::Ed448));
        for bad in [
            "ml-dsa",
            "ml-dsa:66",
            "ml-dsa:768",
            "slh-dsa:128s",
            "dh:2048",
            "rsa:x",
            "ec:p255",
            "aes:7",
            "hmac:0",
            "ed25519:1",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
