#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::convert::Infallible;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use sm2::dsa::signature::Signer as _;
use sm2::elliptic_curve::sec1::ToSec1Point as _;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::epoch::Certificate;
use crate::key::{Algorithm, SM2_IDENTITY, VerifierKey};
use crate::note::NoteSignature;
use crate::path::{Nodes, inclusion, root};
use crate::tree::tests::{leaves, mth};

const ORIGIN: &str = "example.com/audit";

/// A private key, as only tests have one here.
enum Secret {
    Ed25519(Box<Ed25519KeyPair>),
    Sm2(sm2::SecretKey),
}

impl Secret {
    fn new(algorithm: Algorithm, seed: u8) -> Self {
        match algorithm {
            Algorithm::Sm2 => Self::Sm2(sm2::SecretKey::from_slice(&[seed; 32]).unwrap()),
            _ => Self::Ed25519(Box::new(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())),
        }
    }

    fn public(&self) -> VerifierKey {
        match self {
            Self::Ed25519(pair) => VerifierKey::new(ORIGIN, Algorithm::Ed25519, pair.public_key().as_ref()),
            Self::Sm2(key) => {
                VerifierKey::new(ORIGIN, Algorithm::Sm2, key.public_key().to_sec1_point(false).as_bytes())
            }
        }
        .unwrap()
    }

    fn sign(&self, checkpoint: &Checkpoint) -> Note {
        let mut note = Note::new(checkpoint.text()).unwrap();
        let signature = match self {
            Self::Ed25519(pair) => pair.sign(note.text().as_bytes()).as_ref().to_vec(),
            Self::Sm2(key) => {
                let key = sm2::dsa::SigningKey::new(SM2_IDENTITY, key).unwrap();
                let signature: sm2::dsa::Signature = key.try_sign(note.text().as_bytes()).unwrap();
                signature.to_vec()
            }
        };
        let (name, id) = (ORIGIN.to_owned(), self.public().id());
        note.add(NoteSignature { name, id, signature });
        note
    }
}

struct All(TreeHash, Vec<Hash>);

impl Nodes for All {
    type Error = Infallible;

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, Infallible> {
        let (from, len) = (usize::try_from(index << level).unwrap(), 1 << level);
        Ok(mth(self.0, &self.1[from..from + len]))
    }
}

/// A log of 50 records, of which keys of two epochs signed 20 and 50.
struct Log {
    lineage: Lineage,
    tree: All,
    keys: [Secret; 3],
}

impl Log {
    fn new(algorithm: Algorithm) -> Self {
        let hash = algorithm.tree_hash();
        let keys = [1, 2, 3].map(|seed| Secret::new(algorithm, seed));
        let mut log =
            Self { lineage: Lineage::new(keys[0].public()).unwrap(), tree: All(hash, leaves(hash, 50)), keys };
        for (epoch, size) in [(1, 0), (2, 20)] {
            let key = log.keys[epoch].public();
            let extension = Certificate::extension(epoch as u64, &key);
            let note = log.sign(epoch - 1, size, vec!["time 7".to_owned(), extension]);
            log.lineage.add(note).unwrap();
        }
        log
    }

    fn sign(&mut self, key: usize, size: u64, extensions: Vec<String>) -> Note {
        let root = root(self.tree.0, &mut self.tree, size).unwrap();
        self.keys[key].sign(&Checkpoint { origin: ORIGIN.to_owned(), size, root, extensions })
    }

    fn prove(&mut self, index: u64, key: usize, size: u64) -> RecordProof {
        let checkpoint = self.sign(key, size, vec!["time 9".to_owned()]);
        let hash = self.tree.0;
        let path = inclusion(hash, &mut self.tree, index, size).unwrap();
        let record = Some(usize::try_from(index).unwrap().to_be_bytes().to_vec());
        RecordProof { hash, record, index, path, checkpoint }
    }
}

fn both(test: impl Fn(&mut Log)) {
    [Algorithm::Ed25519, Algorithm::Sm2].into_iter().for_each(|algorithm| test(&mut Log::new(algorithm)));
}

#[test]
fn a_record_is_proven_to_whoever_has_the_root_key_and_the_certificates() {
    both(|log| {
        for (index, key, size, epoch) in [(0, 1, 20, 1), (19, 1, 20, 1), (19, 2, 20, 2), (37, 2, 50, 2)] {
            let proof = log.prove(index, key, size);
            let text = proof.to_string();
            let read = RecordProof::parse(&text).unwrap();
            assert_eq!(read, proof);
            let lineage = Lineage::parse(&log.lineage.to_string()).unwrap();
            let shown = read.verify(None, &lineage).unwrap();
            assert_eq!((shown.index, shown.size, shown.epoch, shown.time), (index, size, epoch, Some(9)));
            let detached = RecordProof { record: None, ..read };
            assert!(detached.verify(None, &lineage).is_err());
            assert_eq!(detached.verify(Some(&shown.record), &lineage).unwrap(), shown);
        }
    });
}

#[test]
fn a_changed_proof_shows_nothing() {
    both(|log| {
        let text = log.prove(19, 2, 50).to_string();
        let lineage = log.lineage.clone();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            if let Ok(proof) = RecordProof::parse(&changed) {
                assert!(proof.verify(None, &lineage).is_err(), "{at}: {changed}");
            }
        }
        let proof = RecordProof::parse(&text).unwrap();
        assert_eq!(proof.verify(Some(b"other"), &lineage).unwrap_err(), ProofError::WrongRecord);
    });
}

#[test]
fn an_erased_key_signs_nothing_of_later_and_none_of_before() {
    both(|log| {
        // The key of the first epoch, stolen, after it handed over at 20.
        let stolen = log.prove(30, 1, 50);
        let outside = ProofError::OutsideEpoch { epoch: 1, from: 0, to: 20, size: 50 };
        assert_eq!(stolen.verify(None, &log.lineage).unwrap_err(), outside);
        // The key of the second epoch, about what was before it.
        let early = log.prove(3, 2, 10);
        assert!(matches!(early.verify(None, &log.lineage).unwrap_err(), ProofError::OutsideEpoch { epoch: 2, .. }));
        // The root key, which certifies and does nothing else.
        let by_root = log.prove(3, 0, 20);
        assert!(matches!(by_root.verify(None, &log.lineage).unwrap_err(), ProofError::OutsideEpoch { epoch: 0, .. }));
    });
}

#[test]
fn certificates_that_do_not_follow_are_refused() {
    both(|log| {
        let next = Secret::new(log.lineage.root().algorithm(), 4);
        let certificate = |epoch| vec![Certificate::extension(epoch, &next.public())];
        for (signer, size, epoch) in [(1, 30, 3), (0, 30, 3), (2, 30, 4), (2, 30, 2), (2, 19, 3)] {
            let note = log.sign(signer, size, certificate(epoch));
            assert!(log.lineage.clone().add(note).is_err(), "{signer} {size} {epoch}");
        }
        let plain = log.sign(2, 30, Vec::new());
        assert!(log.lineage.add(plain).is_err());
        let good = log.sign(2, 30, certificate(3));
        log.lineage.add(good.clone()).unwrap();
        // Known ones are passed over.
        log.lineage.extend(&format!("{good}\n{good}")).unwrap();
        assert_eq!(log.lineage.certificates().len(), 3);
    });
}

#[test]
fn another_log_and_another_suite_are_refused() {
    let mut ours = Log::new(Algorithm::Ed25519);
    let theirs = Log::new(Algorithm::Sm2);
    assert!(ours.prove(3, 2, 50).verify(None, &theirs.lineage).is_err());
    let mut stranger = Lineage::new(Secret::new(Algorithm::Ed25519, 9).public()).unwrap();
    assert_eq!(ours.prove(3, 2, 50).verify(None, &stranger).unwrap_err(), ProofError::Unsigned);
    let first = ours.lineage.notes().next().unwrap().clone();
    assert_eq!(stranger.add(first).unwrap_err(), ProofError::Unsigned);
}

#[test]
fn a_checkpoint_is_accepted_by_another_implementation() {
    let mut log = Log::new(Algorithm::Ed25519);
    let text = log.prove(3, 2, 50).checkpoint.to_string();
    let key = log.keys[2].public().to_string();
    let verifier = signed_note::StandardVerifier::new(&key).unwrap();
    let theirs = signed_note::Note::from_bytes(text.as_bytes()).unwrap();
    let (good, _) = theirs.verify(&signed_note::VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!(good.len(), 1);
}

#[test]
fn a_proof_among_a_thousand_million_records_is_small() {
    let log = Log::new(Algorithm::Ed25519);
    let checkpoint = log.keys[2].sign(&Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 1_000_000_000,
        root: Hash::default(),
        extensions: vec!["time 1760000000000".to_owned()],
    });
    let proof = RecordProof {
        hash: TreeHash::Sha256,
        record: Some(vec![b'x'; 500]),
        index: 999_999_999,
        path: vec![Hash::default(); 30],
        checkpoint,
    };
    assert!(proof.to_string().len() < 3000, "{}", proof.to_string().len());
}
