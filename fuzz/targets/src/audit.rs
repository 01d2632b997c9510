//! Audit segments: any bytes are verified to be whole, tampered with, or not to be judged.

use libkmss::audit::verify;
use libkmss::suite::Suite;

/// Verifies `data` as the only segment of a trail.
pub fn run(data: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1795298434827-3d88c6a8bba5b82e.jsonl"), data).unwrap();
    let report = verify(folder.path(), None, Suite::Nist, &mut |_| ());
    assert!(report.bytes <= data.len() as u64);
}
