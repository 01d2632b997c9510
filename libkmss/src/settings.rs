//! Settings of one namespace, kept in its record. Only the security officer changes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// What a namespace is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whose numbers its door uses for what no standard numbers.
    #[serde(default)]
    pub profile: VendorProfile,
    /// What nothing in it may be done by.
    #[serde(default)]
    pub forbid: Weaknesses,
    /// Whether no key in it may both wrap and decrypt: whoever has both reads what was to stay in the namespace.
    #[serde(default)]
    pub separate_wrap_and_decrypt: bool,
    /// Whether it works without PINs: whoever can open the home uses its private objects. Fixed when it is made.
    #[serde(default)]
    pub pinless: bool,
}

impl Settings {
    /// What changes from these to `new`, each as `name: old -> new`.
    #[must_use]
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let lines = |settings: &Self| {
            [
                ("profile", settings.profile.to_string()),
                ("forbid", settings.forbid.to_string()),
                ("separate-wrap-and-decrypt", settings.separate_wrap_and_decrypt.to_string()),
                ("pinless", settings.pinless.to_string()),
            ]
        };
        let pairs = lines(self).into_iter().zip(lines(new));
        pairs.filter(|(old, new)| old != new).map(|((name, old), (_, new))| format!("{name}: {old} -> {new}")).collect()
    }
}

/// Something that is weak and can be forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weakness {
    /// Signing over SHA-1 (verifying goes on).
    #[serde(rename = "sha1-signatures")]
    Sha1Signatures,
    /// RSA encryption and key wrapping with PKCS #1 v1.5 padding.
    #[serde(rename = "pkcs1-encryption")]
    Pkcs1Encryption,
    /// RSA without padding.
    RawRsa,
    /// RSA keys of fewer than 2048 bits, for anything.
    ShortRsa,
    /// Electronic codebook.
    Ecb,
    /// CBC with padding, whose failures tell of the plaintext.
    CbcPadding,
    /// MACs cut to fewer than 8 bytes.
    ShortMacs,
    /// Generic, HMAC and HKDF secrets of fewer than 112 bits.
    ShortSecrets,
    /// Everything that is not approved for FIPS 140-3 (SP 800-140C).
    Unapproved,
}

impl Weakness {
    /// Every weakness.
    pub const ALL: [Self; 9] = [
        Self::Sha1Signatures,
        Self::Pkcs1Encryption,
        Self::RawRsa,
        Self::ShortRsa,
        Self::Ecb,
        Self::CbcPadding,
        Self::ShortMacs,
        Self::ShortSecrets,
        Self::Unapproved,
    ];

    /// The word for people and the audit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1Signatures => "sha1-signatures",
            Self::Pkcs1Encryption => "pkcs1-encryption",
            Self::RawRsa => "raw-rsa",
            Self::ShortRsa => "short-rsa",
            Self::Ecb => "ecb",
            Self::CbcPadding => "cbc-padding",
            Self::ShortMacs => "short-macs",
            Self::ShortSecrets => "short-secrets",
            Self::Unapproved => "unapproved",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of weaknesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Weakness>", into = "Vec<Weakness>")]
pub struct Weaknesses(u16);

impl Weaknesses {
    /// No weakness.
    pub const NONE: Self = Self(0);

    /// The preset `fips`: approved algorithms only, in the sizes and uses that SP 800-131A rev. 2 still accepts.
    pub const FIPS: Self = Self(
        Weakness::Sha1Signatures.bit()
            | Weakness::Pkcs1Encryption.bit()
            | Weakness::RawRsa.bit()
            | Weakness::ShortRsa.bit()
            | Weakness::ShortMacs.bit()
            | Weakness::ShortSecrets.bit()
            | Weakness::Unapproved.bit(),
    );

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Weakness> {
        Weakness::ALL.into_iter().filter(move |weakness| self.contains(*weakness))
    }

    /// Whether `weakness` is in the set.
    #[must_use]
    pub const fn contains(self, weakness: Weakness) -> bool {
        self.0 & weakness.bit() != 0
    }
}

impl FromIterator<Weakness> for Weaknesses {
    fn from_iter<I: IntoIterator<Item = Weakness>>(weaknesses: I) -> Self {
        Self(weaknesses.into_iter().fold(0, |bits, weakness| bits | weakness.bit()))
    }
}

impl From<Vec<Weakness>> for Weaknesses {
    fn from(weaknesses: Vec<Weakness>) -> Self {
        weaknesses.into_iter().collect()
    }
}

impl From<Weaknesses> for Vec<Weakness> {
    fn from(weaknesses: Weaknesses) -> Self {
        weaknesses.iter().collect()
    }
}

impl fmt::Display for Weaknesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("nothing");
        }
        let names: Vec<&str> = self.iter().map(Weakness::name).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Weaknesses {
    type Err = Error;

    /// Words separated by commas: names of weaknesses, `fips`, or `nothing`.
    fn from_str(words: &str) -> Result<Self> {
        let mut set = Self::NONE;
        for word in words.split(',').map(str::trim) {
            set = match word {
                "nothing" => set,
                "fips" => Self(set.0 | Self::FIPS.0),
                _ => match Weakness::ALL.into_iter().find(|w| w.name() == word) {
                    Some(weakness) => Self(set.0 | weakness.bit()),
                    None => {
                        let known = Weakness::ALL.map(Weakness::name).join(", ");
                        let word = word.escape_debug();
                        let why = format!("`{word}` cannot be forbidden: give nothing, fips, or any of {known}");
                        return Err(Error::new(ErrorKind::Arguments, why));
                    }
                },
            };
        }
        Ok(set)
    }
}

/// A vendor whose numbers of SM2, SM3 and SM4 a door uses; its table lives in the door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VendorProfile {
    /// Thales Luna.
    #[default]
    Luna,
    /// Sansec.
    Sansec,
}

impl VendorProfile {
    /// Every profile.
    pub const ALL: [Self; 2] = [Self::Luna, Self::Sansec];

    /// The word for people and the audit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Luna => "luna",
            Self::Sansec => "sansec",
        }
    }
}

impl fmt::Display for VendorProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for VendorProfile {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|p| p.name() == word).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::new(ErrorKind::Arguments, format!("`{}` is no vendor profile: {known}", word.escape_debug()))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_set_of_weaknesses_survives_words_and_records() {
        for set in [Weaknesses::NONE, Weaknesses::FIPS, Weakness::ALL.into_iter().collect()] {
            assert_eq!(set.to_string().parse::<Weaknesses>().unwrap(), set);
            let mut record = Vec::new();
            ciborium::into_writer(&set, &mut record).unwrap();
            assert_eq!(ciborium::from_reader::<Weaknesses, _>(record.as_slice()).unwrap(), set);
        }
        assert_eq!("fips,ecb".parse::<Weaknesses>().unwrap().iter().count(), 8);
        assert_eq!("ebc".parse::<Weaknesses>().unwrap_err().kind(), ErrorKind::Arguments);
    }

    #[test]
    fn settings_say_what_changes_between_them() {
        let old = Settings::default();
        let new = Settings { profile: VendorProfile::Sansec, forbid: "ecb".parse().unwrap(), ..old };
        assert_eq!(old.differences(&new), ["profile: luna -> sansec", "forbid: nothing -> ecb"]);
        assert!(new.differences(&new).is_empty());
    }

    #[test]
    fn a_namespace_from_before_settings_has_the_defaults() {
        let mut record = Vec::new();
        ciborium::into_writer(&std::collections::BTreeMap::<String, bool>::new(), &mut record).unwrap();
        assert_eq!(ciborium::from_reader::<Settings, _>(record.as_slice()).unwrap(), Settings::default());
    }
}
