//! Behaviours, and what came of them.

use serde::Serialize;

use crate::bench::Bench;
use crate::verdict::Check;

/// What a behaviour is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Making, importing, exporting, copying and destroying keys.
    Keys,
    /// RSA signatures and encryption.
    Rsa,
    /// Signatures and key agreement on curves.
    Curves,
    /// AES and ChaCha20.
    Symmetric,
    /// Message authentication codes.
    Macs,
    /// Key derivation.
    Derivation,
    /// Wrapping and unwrapping keys.
    Wrapping,
    /// Post-quantum signatures and encapsulation.
    PostQuantum,
    /// SM2, SM3 and SM4.
    Sm,
    /// Which error is told for which mistake.
    Errors,
    /// Sizes and numbers.
    Limits,
    /// Several threads at once.
    Concurrency,
}

impl Group {
    /// Every group, in the order of reports.
    pub const ALL: [Self; 12] = [
        Self::Keys,
        Self::Rsa,
        Self::Curves,
        Self::Symmetric,
        Self::Macs,
        Self::Derivation,
        Self::Wrapping,
        Self::PostQuantum,
        Self::Sm,
        Self::Errors,
        Self::Limits,
        Self::Concurrency,
    ];

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Rsa => "rsa",
            Self::Curves => "curves",
            Self::Symmetric => "symmetric",
            Self::Macs => "macs",
            Self::Derivation => "derivation",
            Self::Wrapping => "wrapping",
            Self::PostQuantum => "post-quantum",
            Self::Sm => "sm",
            Self::Errors => "errors",
            Self::Limits => "limits",
            Self::Concurrency => "concurrency",
        }
    }
}

/// How a behaviour is tried.
pub(crate) type Trial = Box<dyn Fn(&Bench<'_>) -> Check + Send + Sync>;

/// One thing that a backend must do.
pub struct Behaviour {
    /// What it is about.
    pub group: Group,
    /// A sentence, unique in the suite.
    pub name: String,
    pub(crate) trial: Trial,
}

impl Behaviour {
    /// A behaviour that `trial` tries.
    pub(crate) fn new(
        group: Group,
        name: impl Into<String>,
        trial: impl Fn(&Bench<'_>) -> Check + Send + Sync + 'static,
    ) -> Self {
        Self { group, name: name.into(), trial: Box::new(trial) }
    }
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "why")]
pub enum Outcome {
    /// As it must be.
    Passed,
    /// The backend says that it does not offer it.
    NotOffered(String),
    /// Otherwise than it must be: what was expected, and what came.
    Failed(String),
}

/// What came of one behaviour.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What it is about.
    pub group: Group,
    /// The behaviour.
    pub name: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}
