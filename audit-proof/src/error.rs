//! What can be wrong with what an auditor is shown.

/// Why something is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The text is no signed note.
    #[error("this is no signed note: {0}")]
    Note(&'static str),
    /// The note is no checkpoint.
    #[error("this is no checkpoint: {0}")]
    Checkpoint(&'static str),
    /// The note is no certificate of an epoch's key.
    #[error("this is no certificate of an audit key: {0}")]
    Certificate(&'static str),
    /// The text is no proof.
    #[error("this is no proof of a record: {0}")]
    Proof(&'static str),
    /// The text is no public key.
    #[error("this is no public key of an audit: {0}")]
    Key(&'static str),
    /// Nobody whom the verifier knows signed it.
    #[error("no key that is known signed it")]
    Unsigned,
    /// A signature under a known key is wrong.
    #[error("the signature is wrong: it was forged, or what it signs was changed")]
    BadSignature,
    /// The key was handed over before, or came later.
    #[error("the key of epoch {epoch} may sign trees of {from} to {to} records, and not one of {size}")]
    OutsideEpoch {
        /// The key's epoch.
        epoch: u64,
        /// Fewest records.
        from: u64,
        /// Most records.
        to: u64,
        /// Records of the tree it signed.
        size: u64,
    },
    /// Keys do not hand over to each other.
    #[error("the certificates do not follow from each other: {0}")]
    Lineage(&'static str),
    /// The hashes do not lead to the root.
    #[error("the hashes do not lead to the root that was signed")]
    WrongRoot,
    /// The record is not the one that the proof is about.
    #[error("the record is not the one that was sealed")]
    WrongRecord,
    /// A number is not within the tree.
    #[error("{index} is not within a tree of {size}")]
    OutOfRange {
        /// What was asked for.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
}
