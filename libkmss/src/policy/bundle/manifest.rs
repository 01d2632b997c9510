//! What a bundle says of its policy, and its one encoding (CBOR, RFC 8949).

use std::fmt;
use std::str::FromStr;

use super::error::BundleError;
use super::key::KeyId;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Scope;
use crate::policy::host::Limits;

/// Largest manifest in bytes.
pub(super) const MANIFEST_MAX: usize = 8 << 10;
/// Longest name of a policy in bytes.
const NAME_MAX: usize = 128;

/// How the host talks to the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Abi {
    /// docs/policy-abi.md.
    #[serde(rename = "kmss-policy/1")]
    Kmss,
    /// The interface of `opa build -t wasm`, 1.x.
    #[serde(rename = "opa/1")]
    Opa,
}

impl Abi {
    /// The word in manifests and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kmss => "kmss-policy/1",
            Self::Opa => "opa/1",
        }
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Abi {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        [Self::Kmss, Self::Opa].into_iter().find(|abi| abi.name() == word).ok_or_else(|| {
            let word = word.escape_debug();
            Error::new(ErrorKind::Arguments, format!("`{word}` is no interface of policies: kmss-policy/1 or opa/1"))
        })
    }
}

/// What whoever makes a bundle decides.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The policy's name, unique in its scope.
    pub name: String,
    /// What it speaks of.
    pub scope: Scope,
    /// Grows with every edition of the policy; lower ones are refused once a higher one was applied.
    pub sequence: u64,
    /// How the host talks to it.
    pub abi: Abi,
    /// Fuel of one decision; absent where what its interface usually needs will do.
    pub fuel: Option<u64>,
    /// Most memory of an instance in pages of 64 KiB; absent where what its interface usually needs will do.
    pub pages: Option<u32>,
    /// The entrypoint of an OPA module that decides; may be left out where it has one only.
    pub entrypoint: Option<String>,
    /// Not valid before this.
    pub not_before: Timestamp,
    /// Not valid from this on; absent where it does not expire.
    pub not_after: Option<Timestamp>,
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What its maker decided.
    pub terms: Terms,
    /// Who signed.
    pub publisher: KeyId,
    /// SHA-256 of the module.
    #[serde(with = "serde_bytes")]
    pub module: [u8; 32],
    /// SHA-256 of the data of an OPA module.
    pub data: Option<serde_bytes::ByteArray<32>>,
    /// SHA-256 of the text it was compiled from.
    pub source: Option<serde_bytes::ByteArray<32>>,
}

impl Terms {
    /// Refuses what no policy may ask for.
    fn validate(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::new(ErrorKind::Arguments, why));
        let word = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if self.name.is_empty() || self.name.len() > NAME_MAX || !self.name.bytes().all(word) {
            let name = self.name.escape_debug();
            return refuse(format!(
                "`{name}` is no name of a policy: use letters, digits and `-_.`, at most {NAME_MAX}"
            ));
        }
        self.scope.validate()?;
        if self.sequence == 0 {
            return refuse("sequences start at 1".to_owned());
        }
        if self.fuel.is_some_and(|fuel| !(1..=Limits::MOST_FUEL).contains(&fuel)) {
            return refuse(format!("the fuel of a decision is 1 to {}", Limits::MOST_FUEL));
        }
        if self.pages.is_some_and(|pages| !(1..=Limits::MOST_PAGES).contains(&pages)) {
            return refuse(format!("an instance has 1 to {} pages of memory", Limits::MOST_PAGES));
        }
        if let Some(entrypoint) = &self.entrypoint
            && (self.abi != Abi::Opa || entrypoint.is_empty() || entrypoint.len() > NAME_MAX)
        {
            return refuse(format!("only policies for {} have an entrypoint, of at most {NAME_MAX} bytes", Abi::Opa));
        }
        if self.not_after.is_some_and(|end| end <= self.not_before) {
            return refuse("the bundle would expire before it is valid".to_owned());
        }
        Ok(())
    }

    /// Whether they hold at `now`.
    ///
    /// # Errors
    /// [`BundleError::NotYetValid`], [`BundleError::Expired`].
    pub fn valid_at(&self, now: Timestamp) -> Result<(), BundleError> {
        if now < self.not_before {
            return Err(BundleError::NotYetValid(self.not_before.0));
        }
        match self.not_after {
            Some(end) if now >= end => Err(BundleError::Expired(end.0)),
            _ => Ok(()),
        }
    }
}

impl Manifest {
    /// Its encoding; equal manifests have equal ones.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        self.terms.validate()?;
        let mut out = Vec::with_capacity(512);
        ciborium::into_writer(self, &mut out)
            .map_err(|e| Error::new(ErrorKind::Internal, "a manifest cannot be encoded").with_source(e.to_string()))?;
        Ok(out)
    }

    /// Reads it. Only the one encoding that [`Self::encode`] makes is taken.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        let malformed = BundleError::Malformed("its manifest cannot be read");
        // Nothing in it nests deeper than the scope.
        let manifest: Self = match ciborium::de::from_reader_with_recursion_limit(bytes, 8) {
            Ok(manifest) => manifest,
            Err(_) => return Err(malformed),
        };
        match manifest.encode() {
            Ok(encoded) if encoded == bytes => Ok(manifest),
            Ok(_) => Err(BundleError::Malformed("its manifest is not in its one form")),
            Err(_) => Err(BundleError::Malformed("its manifest asks for what no policy may have")),
        }
    }
}
