//! Hierarchical deterministic keys: pairs that follow from a seed and a path (BIP-32; SLIP-10 for P-256 and Ed25519).

use std::fmt;
use std::str::FromStr;

use super::Curve;
use crate::error::{Error, ErrorKind, Result};

/// The bit of a step that is hardened.
const HARDENED: u32 = 1 << 31;
/// What in the number of a vendor's mechanism names ours (PKCS#11 3.2: CKM_VENDOR_DEFINED).
const NUMBER: u64 = 0x8000_0000 | 0x4b4d_5310;

/// The derivation of a pair from a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HdDerivation {
    curve: Curve,
    path: HdPath,
}

impl HdDerivation {
    /// Lengths of seeds in bytes (BIP-32, master key generation).
    pub const SEEDS: std::ops::RangeInclusive<usize> = 16..=64;
    /// The length that is made here.
    pub const SEED: usize = 64;
    /// The number of all of them for the list of mechanisms that a key may be restricted to: ours among the vendors'. A seed that
    /// is restricted to it does nothing else.
    pub const NUMBER: u64 = NUMBER;

    /// The pair on `curve` at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::CurveUnsupported`] for other curves than secp256k1, P-256 and Ed25519; [`ErrorKind::MechanismParameter`] for a path
    /// that Ed25519 does not have: it is hardened throughout (SLIP-10).
    pub fn new(curve: Curve, path: HdPath) -> Result<Self> {
        match curve {
            Curve::Secp256k1 | Curve::P256 => {}
            Curve::Ed25519 if path.0.iter().all(|step| step & HARDENED != 0) => {}
            Curve::Ed25519 => {
                let why = "paths of Ed25519 are hardened throughout, as in m/44'/501'/0'";
                return Err(Error::new(ErrorKind::MechanismParameter, why));
            }
            _ => {
                let why = "keys are derived by path on secp256k1, P-256 and Ed25519";
                return Err(Error::new(ErrorKind::CurveUnsupported, why));
            }
        }
        Ok(Self { curve, path })
    }

    /// The curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    /// The path.
    #[must_use]
    pub const fn path(&self) -> &HdPath {
        &self.path
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.curve {
            Curve::P256 => "SLIP10_P256_DERIVE",
            Curve::Ed25519 => "SLIP10_ED25519_DERIVE",
            _ => "BIP32_SECP256K1_DERIVE",
        }
    }
}

/// The steps from a seed to a key, as in `m/44'/60'/0'/0/0`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HdPath(Vec<u32>);

impl HdPath {
    /// Most steps: depths have one byte (BIP-32, serialization format).
    pub const MOST: usize = 255;

    /// The steps, with the highest bit where they are hardened.
    #[must_use]
    pub fn steps(&self) -> &[u32] {
        &self.0
    }

    /// Whether a step is hardened.
    #[must_use]
    pub const fn is_hardened(step: u32) -> bool {
        step & HARDENED != 0
    }
}

impl FromStr for HdPath {
    type Err = Error;

    /// Reads `m`, and behind it steps: numbers below 2^31, with `'`, `h` or `H` where they are hardened.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let why = "a path is m and up to 255 numbers below 2147483648, as in m/44'/60'/0'/0/0";
            Error::new(ErrorKind::MechanismParameter, why)
        };
        let mut parts = text.split('/');
        if parts.next() != Some("m") {
            return Err(wrong());
        }
        let step = |part: &str| {
            let digits = part.strip_suffix(['\'', 'h', 'H']);
            let number = digits.unwrap_or(part);
            let plain = !number.is_empty() && number.len() <= 10 && number.bytes().all(|b| b.is_ascii_digit());
            let number = number.parse::<u32>().ok().filter(|number| plain && number & HARDENED == 0)?;
            Some(if digits.is_some() { number | HARDENED } else { number })
        };
        let steps = parts.take(Self::MOST + 1).map(|part| step(part).ok_or_else(wrong)).collect::<Result<Vec<_>>>()?;
        if steps.len() > Self::MOST {
            return Err(wrong());
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for HdPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        for step in &self.0 {
            write!(f, "/{}{}", step & !HARDENED, if Self::is_hardened(*step) { "'" } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn path(text: &str) -> HdPath {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_is_written_in_one_way_and_read_in_three() {
        for text in ["m", "m/0", "m/44'/60'/0'/0/0", "m/2147483647'/1"] {
            assert_eq!(path(text).to_string(), text);
        }
        assert_eq!(path("m/0h/1H/2'"), path("m/0'/1'/2'"));
        assert_eq!(path("m/1'").steps(), [0x8000_0001]);
        let long = format!("m{}", "/0".repeat(HdPath::MOST));
        assert_eq!(path(&long).steps().len(), HdPath::MOST);
        let bad = [
            "",
            "M",
            "/0",
            "0/1",
            "m/",
            "m//1",
            "m/-1",
            "m/+1",
            "m/1''",
            "m/'",
            "m/2147483648",
            "m/x",
            "m/0x1",
            " m",
            "m/99999999999999999999",
            "m/00000000001",
        ];
        for text in bad.into_iter().chain([format!("{long}/0").as_str()]) {
            assert_eq!(text.parse::<HdPath>().unwrap_err().kind(), ErrorKind::MechanismParameter, "{text}");
        }
    }

    #[test]
    fn curves_have_the_paths_that_they_have() {
        assert!(HdDerivation::new(Curve::Ed25519, path("m/44'/0'")).is_ok());
        let soft = HdDerivation::new(Curve::Ed25519, path("m/44'/0")).unwrap_err();
        assert_eq!(soft.kind(), ErrorKind::MechanismParameter);
        for curve in [Curve::Secp256k1, Curve::P256] {
            assert!(HdDerivation::new(curve, path("m/44'/0")).is_ok());
        }
        for curve in [Curve::P384, Curve::X25519, Curve::Sm2, Curve::Ed448] {
            let refused = HdDerivation::new(curve, path("m")).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::CurveUnsupported);
        }
    }
}
