//! Key types as people write them.

use libkmss::key::KeySpec;

use crate::output::Failure;

/// Parses `rsa:2048`, `ec:p256`, `aes:256`, `ed25519`, `ml-dsa:65` and so on.
///
/// # Errors
/// A sentence that lists what there is.
pub(super) fn parse(text: &str) -> Result<KeySpec, Failure> {
    Ok(text.parse()?)
}
