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
    /// Whether it works without PINs: whoever can open the home uses its private objects. Fixed when it is made.
    #[serde(default)]
    pub pinless: bool,
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
