//! Proofs of audit records: any text is a proof or an error, and none shows anything but the record that was sealed.

use std::sync::OnceLock;

use audit_proof::{RecordProof, TreeHash};

use crate::checkpoint::Log;

const RECORD: &[u8] = b"{\"kind\":\"event\",\"seq\":1}";

/// A proof of the second of three records.
#[must_use]
pub fn seed() -> &'static [u8] {
    static SEED: OnceLock<String> = OnceLock::new();
    let made = SEED.get_or_init(|| {
        let hash = TreeHash::Sha256;
        let [first, second, third] = [b"a", RECORD, b"c"].map(|record| hash.leaf(record));
        let root = hash.node(&hash.node(&first, &second), &third);
        let checkpoint = Log::get().sign(3, root);
        let proof = RecordProof { hash, record: Some(RECORD.to_vec()), index: 1, path: vec![first, third], checkpoint };
        proof.to_string()
    });
    made.as_bytes()
}

/// Takes `data` for a proof.
///
/// # Panics
/// Where it shows what is not so.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(proof) = RecordProof::parse(&text) else { return };
    assert_eq!(RecordProof::parse(&proof.to_string()).as_ref(), Ok(&proof));
    for record in [None, Some(data), Some(RECORD)] {
        if let Ok(shown) = proof.verify(record, &Log::get().lineage) {
            assert_eq!((shown.record.as_slice(), shown.index, shown.size), (RECORD, 1, 3));
        }
    }
}
