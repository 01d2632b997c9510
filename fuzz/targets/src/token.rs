//! JSON Web Tokens: any text is one, or is refused with the errors that there are.

use libkmss::clock::Timestamp;
use libkmss::error::ErrorKind;
use libkmss::jose::{Compact, Expected, Life, with_life};

/// A token as it is written, whose payload is `{"exp":2000000000}`.
#[must_use]
pub fn seed() -> Vec<u8> {
    b"eyJhbGciOiJFUzI1NiIsImtpZCI6ImtAMSIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDB9.AAAA".to_vec()
}

/// Takes `data` for a token, and for claims.
///
/// # Panics
/// Where what was read is not what stood there, or what was written is not read.
pub fn run(data: &[u8]) {
    let now = Timestamp(1_000_000_000_000);
    let expected = Expected { endless: true, ..Expected::default() };
    if let Ok((written, _)) = with_life(data, Life::Endless, now) {
        assert!(with_life(&written, Life::Endless, now).is_ok());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Compact::parse(text) {
        Ok(token) => {
            assert!(text.starts_with(token.input) && token.input.len() < text.len());
            let _ = expected.check(&token.payload, now);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::SignatureInvalid),
    }
}
