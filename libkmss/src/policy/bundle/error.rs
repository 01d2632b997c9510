//! Why a bundle is not taken.

use super::key::KeyId;
use crate::error::{Error, ErrorKind};

/// Why a bundle is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is no bundle.
    #[error("this is no policy bundle")]
    NotABundle,
    /// A newer kmss made it.
    #[error("the bundle has format {0}, which this kmss does not know: install the newer kmss")]
    TooNew(u8),
    /// It is larger than any bundle.
    #[error("the {part} of the bundle has {size} bytes, more than the {limit} that are allowed")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: usize,
    },
    /// Its parts do not add up.
    #[error("the bundle is damaged: {0}")]
    Malformed(&'static str),
    /// A part is not what was signed.
    #[error("the {0} in the bundle is not the one that was signed")]
    Digest(&'static str),
    /// Nobody who may sign for this scope signed it.
    #[error("publisher {publisher} is not trusted for {scope}: `kmss policy trust add` adds a public key")]
    UnknownPublisher {
        /// Who signed.
        publisher: KeyId,
        /// For what.
        scope: String,
    },
    /// The publisher did not sign this.
    #[error("the signature of publisher {0} does not verify")]
    Signature(KeyId),
    /// It was made for something else.
    #[error("the bundle is for {found}, not for {wanted}")]
    Scope {
        /// What it is for.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// It is not valid yet.
    #[error("the bundle is not valid before {0} (milliseconds since 1970, UTC)")]
    NotYetValid(u64),
    /// It is not valid any more.
    #[error("the bundle expired at {0} (milliseconds since 1970, UTC)")]
    Expired(u64),
    /// A newer one was applied once.
    #[error("sequence {found} of the bundle is not above {seen}, which was applied before: going back is refused")]
    Rollback {
        /// Its sequence.
        found: u64,
        /// The highest ever applied.
        seen: u64,
    },
    /// Another one with the same sequence was applied once.
    #[error("another bundle with sequence {0} was applied before: give this one a higher sequence")]
    SameSequence(u64),
}

impl BundleError {
    /// The kind that doors know.
    const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooNew(_) => ErrorKind::TooNew,
            Self::NotABundle | Self::TooLarge { .. } | Self::Malformed(_) | Self::Scope { .. } => ErrorKind::Arguments,
            Self::Digest(_)
            | Self::UnknownPublisher { .. }
            | Self::Signature(_)
            | Self::NotYetValid(_)
            | Self::Expired(_)
            | Self::Rollback { .. }
            | Self::SameSequence(_) => ErrorKind::Denied,
        }
    }
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
