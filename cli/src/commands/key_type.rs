//! Key types as people write them.

use libkmss::key::KeySpec;
use libkmss::mechanism::{HdDerivation, KeyType};

use crate::output::Failure;

/// What makes of a generic secret a seed that pairs are derived from, and nothing else.
pub(super) const SEED: &str = "hd-seed";

/// Parses `rsa:2048`, `ec:p256`, `aes:256`, `ed25519`, `ml-dsa:65` and so on.
///
/// # Errors
/// A sentence that lists what there is.
pub(super) fn parse(text: &str) -> Result<KeySpec, Failure> {
    if text.eq_ignore_ascii_case(SEED) {
        return Ok(KeySpec::Secret { key_type: KeyType::GenericSecret, len: HdDerivation::SEED });
    }
    Ok(text.parse()?)
}
