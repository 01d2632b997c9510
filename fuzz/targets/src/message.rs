//! Ciphertexts of our own format: any bytes are one, or are refused with the one error that there is.

use libkmss::error::ErrorKind;
use libkmss::mechanism::{NativeAlgorithm, NativeHeader};
use libkmss::tenant::ObjectId;

/// A ciphertext as it is written.
#[must_use]
pub fn seed() -> Vec<u8> {
    let header = NativeHeader {
        algorithm: NativeAlgorithm::Aes256Gcm,
        key: ObjectId([1; 16]),
        version: 1,
        salt: [2; 16],
        commitment: [3; 32],
    };
    [header.bytes().as_slice(), &[4; NativeHeader::TAG + 5]].concat()
}

/// Takes `data` for a ciphertext.
///
/// # Panics
/// Where what was read is not what stood there.
pub fn run(data: &[u8]) {
    match NativeHeader::parse(data) {
        Ok((header, body)) => {
            assert_eq!([header.bytes().as_slice(), body].concat(), data);
            assert!(body.len() >= NativeHeader::TAG);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::EncryptedDataInvalid),
    }
}
