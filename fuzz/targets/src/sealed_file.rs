//! Sealed files: any bytes are a header, or are refused, and none opens that was not sealed.

use std::sync::OnceLock;

use libkmss::backend::Backend;
use libkmss::envelope::file::{FileAlgorithm, FileHeader, KEY};
use libkmss::secret::Secret;

fn key() -> Secret {
    Secret::copy_of(&[9; KEY])
}

/// A small file that was sealed.
///
/// # Panics
/// Where nothing can be sealed.
#[must_use]
pub fn seed() -> &'static [u8] {
    static SEED: OnceLock<Vec<u8>> = OnceLock::new();
    SEED.get_or_init(|| {
        let software = libkmss::kms::software().unwrap();
        let software: &dyn Backend = &*software;
        let recipients = vec![b"one".to_vec(), b"two".to_vec()];
        let header = FileHeader::new(FileAlgorithm::Aes256Gcm, 12, recipients, software.entropy()).unwrap();
        let (mut file, chunks) = header.seal(&key()).unwrap();
        let mut data = b"what is in it".to_vec();
        chunks.seal(0, true, &mut data).unwrap();
        file.extend_from_slice(&data);
        file
    })
}

/// Takes `data` for a sealed file.
///
/// # Panics
/// Where it opens and is not the file that was sealed.
pub fn run(data: &[u8]) {
    let Ok(header) = FileHeader::read(&mut &*data) else { return };
    let Ok(layout) = header.layout(data.len() as u64) else { return };
    let end = layout.position(layout.chunks() - 1) + layout.sealed_len(layout.chunks() - 1);
    assert_eq!(end, data.len() as u64);
    if let Ok(chunks) = header.open(&key()) {
        let sealed = seed();
        let start = usize::try_from(header.len()).unwrap();
        assert_eq!(data.get(..start), sealed.get(..start));
        let mut body = data.get(start..).unwrap_or_default().to_vec();
        if layout.chunks() == 1 && chunks.open(0, true, &mut body).is_ok() {
            assert_eq!(data, sealed);
        }
    }
}
