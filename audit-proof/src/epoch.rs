//! Epochs: each signing key is used for a while, signs its successor, and is erased, so that nobody who takes the home later
//! can sign what was before.
//!
//! A certificate is a checkpoint with the line `epoch <number> <key>`, signed by the key before it: it is the last that key
//! signs. The first is signed by the *root key*, which does nothing else and is never stored. Whoever has the root key's
//! public half verifies everything.

use crate::checkpoint::{Checkpoint, number};
use crate::error::ProofError;
use crate::hash::TreeHash;
use crate::key::{Algorithm, VerifierKey};
use crate::note::{Note, split_notes};

/// How a file with a root key and certificates begins.
pub const TITLE: &str = "kmss audit key 1";
/// Most certificates that are read: more than a rotation every minute for a year.
const MAX_CERTIFICATES: usize = 1 << 20;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Number of the epoch, from 1.
    pub epoch: u64,
    /// Its key.
    pub key: VerifierKey,
    /// The tree when it took over.
    pub checkpoint: Checkpoint,
}

impl Certificate {
    /// The extension line that makes a checkpoint a certificate.
    #[must_use]
    pub fn extension(epoch: u64, key: &VerifierKey) -> String {
        format!("epoch {epoch} {key}")
    }

    /// Reads the text of a note, whose signatures are still to be verified.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`], [`ProofError::Certificate`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let checkpoint = Checkpoint::parse(text)?;
        let parts = checkpoint.extension("epoch").and_then(|line| line.split_once(' '));
        let (epoch, key) = parts.ok_or(ProofError::Certificate("it names no key"))?;
        let epoch = number(epoch).ok_or(ProofError::Certificate("its epoch is no number"))?;
        Ok(Self { epoch, key: key.parse()?, checkpoint })
    }
}

/// A log's root key and what follows from it.
#[derive(Clone, Debug)]
pub struct Lineage {
    root: VerifierKey,
    certificates: Vec<(Certificate, Note)>,
}

impl Lineage {
    /// A root key whose certificates are still to come.
    ///
    /// # Errors
    /// [`ProofError::Key`] for the key of a witness.
    pub fn new(root: VerifierKey) -> Result<Self, ProofError> {
        if root.algorithm() == Algorithm::Cosignature {
            return Err(ProofError::Key("it is the key of a witness, and not of an audit"));
        }
        Ok(Self { root, certificates: Vec::new() })
    }

    /// Reads a file made of [`TITLE`], the root key and certificates, or a root key alone.
    ///
    /// # Errors
    /// [`ProofError::Key`], and those of [`Self::add`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let Some(rest) = text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix('\n')) else {
            return Self::new(text.trim_end_matches('\n').parse()?);
        };
        let (root, notes) = rest.split_once('\n').ok_or(ProofError::Key("the file ends too soon"))?;
        let mut this = Self::new(root.parse()?)?;
        this.extend(notes)?;
        Ok(this)
    }

    /// Adds certificates that stand one after the other; those that are known are passed over.
    ///
    /// # Errors
    /// Those of [`Self::add`].
    pub fn extend(&mut self, notes: &str) -> Result<(), ProofError> {
        for note in split_notes(notes) {
            let note = Note::parse(note)?;
            if !self.certificates.iter().any(|(_, known)| *known == note) {
                self.add(note)?;
            }
        }
        Ok(())
    }

    /// Adds the certificate of the next epoch.
    ///
    /// # Errors
    /// [`ProofError::Lineage`], [`ProofError::Certificate`], [`ProofError::Unsigned`], [`ProofError::BadSignature`].
    pub fn add(&mut self, note: Note) -> Result<(), ProofError> {
        let next = Certificate::parse(note.text())?;
        let (signer, from, number) = match self.certificates.last() {
            Some((last, _)) => (&last.key, last.checkpoint.size, last.epoch),
            None => (&self.root, 0, 0),
        };
        note.signed_by(&[signer])?;
        if number.checked_add(1) != Some(next.epoch) || self.certificates.len() >= MAX_CERTIFICATES {
            return Err(ProofError::Lineage("an epoch is left out, or comes twice"));
        }
        if next.checkpoint.size < from {
            return Err(ProofError::Lineage("the tree became smaller"));
        }
        if next.checkpoint.origin != self.root.name() || next.key.name() != self.root.name() {
            return Err(ProofError::Lineage("one is of another log"));
        }
        if next.key.algorithm() != self.root.algorithm() {
            return Err(ProofError::Lineage("one signs in another way"));
        }
        self.certificates.push((next, note));
        Ok(())
    }

    /// The root key.
    #[must_use]
    pub const fn root(&self) -> &VerifierKey {
        &self.root
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.root.name()
    }

    /// The hash of the log's tree.
    #[must_use]
    pub const fn tree_hash(&self) -> TreeHash {
        self.root.algorithm().tree_hash()
    }

    /// The certificates, each verified by the key before it.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &Certificate> + DoubleEndedIterator {
        self.certificates.iter().map(|(certificate, _)| certificate)
    }

    /// The same as notes.
    pub fn notes(&self) -> impl ExactSizeIterator<Item = &Note> {
        self.certificates.iter().map(|(_, note)| note)
    }

    /// Verifies a checkpoint: a key of this lineage signed it, in its own epoch. Gives what it says, and the epoch; 0 for
    /// what the root key signed.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`], [`ProofError::Unsigned`], [`ProofError::BadSignature`], [`ProofError::OutsideEpoch`].
    pub fn open(&self, note: &Note) -> Result<(Checkpoint, u64), ProofError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != self.origin() {
            return Err(ProofError::Unsigned);
        }
        let mut result = Err(ProofError::Unsigned);
        let signers = std::iter::once(&self.root).chain(self.certificates().map(|c| &c.key));
        for (epoch, key) in signers.enumerate() {
            match note.signed_by(&[key]) {
                Err(ProofError::Unsigned) => continue,
                Err(other) => return Err(other),
                Ok(_) => {}
            }
            result = self.admit(epoch, &checkpoint);
            if result.is_ok() {
                break;
            }
        }
        result.map(|epoch| (checkpoint, epoch))
    }

    /// Whether the key of `epoch` may sign this checkpoint.
    fn admit(&self, epoch: usize, checkpoint: &Checkpoint) -> Result<u64, ProofError> {
        let own = epoch.checked_sub(1).and_then(|place| self.certificates.get(place));
        let next = self.certificates.get(epoch);
        let from = own.map_or(0, |(c, _)| c.checkpoint.size);
        // The root key signs the first certificate, and nothing else.
        let to = next.map_or(if epoch == 0 { 0 } else { u64::MAX }, |(c, _)| c.checkpoint.size);
        let epoch = epoch as u64;
        let size = checkpoint.size;
        if (from..=to).contains(&size) && (epoch > 0 || checkpoint.extension("epoch").is_some()) {
            return Ok(epoch);
        }
        Err(ProofError::OutsideEpoch { epoch, from, to, size })
    }
}

impl std::fmt::Display for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{TITLE}\n{}", self.root)?;
        self.notes().try_for_each(|note| write!(f, "\n{note}"))
    }
}
