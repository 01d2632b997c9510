//! The audit's seal, as an auditor sees it: a Merkle tree over all records (RFC 6962), checkpoints and other notes
//! (C2SP signed-note, tlog-checkpoint), the certificates by which each key hands over to the next, and proofs that a record
//! is in the tree (C2SP tlog-proof).
//!
//! Everything here takes hostile input, holds no private key, reads no file and no clock. The suite `nist` is what C2SP
//! says: SHA-256 and Ed25519; `gm` has SM3 and SM2 in their places.

pub mod archive;
pub mod checkpoint;
pub mod epoch;
pub mod error;
pub mod hash;
pub mod key;
pub mod note;
pub mod path;
pub mod proof;
pub mod tile;
pub mod tree;

pub use checkpoint::Checkpoint;
pub use epoch::{Certificate, Lineage};
pub use error::ProofError;
pub use hash::{HASH_LEN, Hash, TreeHash};
pub use key::{Algorithm, VerifierKey};
pub use note::{Note, NoteSignature};
pub use proof::{RecordProof, Verified};
pub use tree::Edge;
