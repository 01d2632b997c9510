//! Checkpoints, certificates and keys of the audit's seal: any text is one or an error, what is one is written as it was read,
//! and none that nobody signed opens.

use std::sync::OnceLock;

use audit_proof::note::split_notes;
use audit_proof::{Algorithm, Certificate, Checkpoint, Hash, Lineage, Note, NoteSignature, TreeHash, VerifierKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

const ORIGIN: &str = "example.com/fuzz";

/// A log: its public keys, and how it signs.
pub(crate) struct Log {
    /// The root key and one certificate.
    pub(crate) lineage: Lineage,
    key: Ed25519KeyPair,
}

impl Log {
    pub(crate) fn get() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let [root, key] = [[1; 32], [2; 32]].map(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).unwrap());
            let mut lineage = Lineage::new(public(&root)).unwrap();
            let extension = vec![Certificate::extension(1, &public(&key))];
            lineage.add(sign(&root, 0, TreeHash::Sha256.empty(), extension)).unwrap();
            Self { lineage, key }
        })
    }

    /// A checkpoint.
    pub(crate) fn sign(&self, size: u64, root: Hash) -> Note {
        sign(&self.key, size, root, vec!["time 1760000000000".to_owned()])
    }
}

fn public(key: &Ed25519KeyPair) -> VerifierKey {
    VerifierKey::new(ORIGIN, Algorithm::Ed25519, key.public_key().as_ref()).unwrap()
}

fn sign(key: &Ed25519KeyPair, size: u64, root: Hash, extensions: Vec<String>) -> Note {
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root, extensions };
    let mut note = Note::new(checkpoint.text()).unwrap();
    let signature = key.sign(note.text().as_bytes()).as_ref().to_vec();
    note.add(NoteSignature { name: ORIGIN.to_owned(), id: public(key).id(), signature });
    note
}

/// A file of keys with a checkpoint behind it.
#[must_use]
pub fn seed() -> &'static [u8] {
    static SEED: OnceLock<String> = OnceLock::new();
    let log = Log::get();
    SEED.get_or_init(|| format!("{}\n{}", log.lineage, log.sign(3, Hash([9; 32])))).as_bytes()
}

/// Takes `data` for keys, for notes one after the other, and for the text of a checkpoint.
///
/// # Panics
/// Where something opens that nobody signed, or is written in another way than it was read.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(lineage) = Lineage::parse(&text) {
        assert_eq!(Lineage::parse(&lineage.to_string()).unwrap().to_string(), lineage.to_string());
    }
    if let Ok(checkpoint) = Checkpoint::parse(&text) {
        assert_eq!(checkpoint.text(), text);
    }
    let log = Log::get();
    let genuine = log.sign(3, Hash([9; 32]));
    for note in split_notes(&text) {
        let Ok(read) = Note::parse(note) else { continue };
        assert_eq!(Note::parse(&read.to_string()).as_ref(), Ok(&read));
        if log.lineage.open(&read).is_ok() {
            let known = log.lineage.notes().chain([&genuine]).any(|known| known.text() == read.text());
            assert!(known, "a checkpoint opened that nobody signed");
        }
    }
}
