//! What can go wrong with an anchor.

use std::io;
use std::path::PathBuf;

use audit_proof::ProofError;

/// A checkpoint could not be brought somewhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// The home.
    #[error(transparent)]
    Kms(#[from] libkmss::error::Error),
    /// What was read, or answered, is not what it should be.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The file.
    #[error("cannot append to `{path}`", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Certificates to believe.
    #[error("`{0}` holds no certificate that can be used")]
    Certificates(String),
    /// The request failed.
    #[error("the request to {url} failed")]
    Http {
        /// Where.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The receiver refused.
    #[error("{url} answered with status {status}")]
    Status {
        /// Where.
        url: String,
        /// The status of HTTP.
        status: u16,
    },
    /// The answer cannot be read.
    #[error("the answer of {url} {what}")]
    Answer {
        /// Where.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The witness has seen more than there is.
    #[error(
        "the witness {url} signed a tree of {theirs} records, and the seal has {ours}: the home was set back; run `kmss audit verify`"
    )]
    SetBack {
        /// Where.
        url: String,
        /// Records that the witness saw.
        theirs: u64,
        /// Records there are.
        ours: u64,
    },
    /// The witness has seen another history.
    #[error("the witness {0} knows another history of this log: run `kmss audit verify`")]
    Forked(String),
    /// Witnesses of C2SP know no SM2 and SM3.
    #[error("a witness signs logs of the suite nist only: use another anchor for this home")]
    Suite,
}
