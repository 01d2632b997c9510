//! Archives of the audit: any bytes as a compressed segment, a manifest or a list of leaves are verified to be whole, tampered
//! with, or no archive.

use std::fs::{self, File};
use std::io::Read as _;

use audit_archive::{Demands, Packed, check};

use crate::checkpoint::Log;

const SEGMENT: &str = "1795298434827-3d88c6a8bba5b82e";

/// A compressed segment.
#[must_use]
pub fn seed() -> Vec<u8> {
    let mut out = Vec::new();
    audit_archive::pack(&mut b"{\"kind\":\"event\",\"seq\":1}\n".repeat(50).as_slice(), &mut out).unwrap();
    out
}

/// Takes `data` for each of the files in turn.
///
/// # Panics
/// Where more comes out of it than was claimed, or a record is proven that nobody sealed.
pub fn run(data: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{SEGMENT}.jsonl.zst"));
    fs::write(&path, data).unwrap();
    if let Ok(mut packed) = Packed::open(File::open(&path).unwrap()) {
        let (len, mut read, mut block) = (packed.len(), 0, vec![0; 4096]);
        while let Ok(some @ 1..) = packed.read(&mut block) {
            read += some as u64;
        }
        assert!(read <= len);
    }
    let entry = format!(
        "{{\"segment\":\"{SEGMENT}\",\"ordinal\":1,\"file_bytes\":1,\"file_sha256\":\"\",\"leaves_sha256\":\"\",\"bytes\":9999,\
         \"records\":3,\"first\":0,\"last\":0,\"genesis\":\"\",\"head\":\"\",\"tree\":\"\"}}"
    );
    let manifest = format!("{{\"v\":1,\"origin\":\"\",\"key\":\"\",\"size\":3,\"segments\":[{entry}]}}");
    for manifest in [manifest.as_bytes(), data] {
        fs::write(folder.path().join("manifest.json"), manifest).unwrap();
        fs::write(folder.path().join(format!("{SEGMENT}.leaves.json")), data).unwrap();
        let demands = Demands { keys: Some(&Log::get().lineage), manifest: None };
        if let Ok(report) = check(folder.path(), &demands, &mut |_| ()) {
            assert_eq!(report.records, 0);
        }
    }
}
