//! Diffie-Hellman keys: sizes of private values, and agreement.

use super::awslc::DhKey;
use super::parameter;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::DhGroup;
use crate::secret::Secret;

/// Fewest bits of a private value that are made: twice the 112 bits of strength that SP 800-131A asks for.
const MIN_PRIVATE_BITS: u32 = 224;

/// Makes a pair whose private value has `private_bits` bits, or as many as fit the group.
pub(super) fn generate(group: DhGroup, private_bits: Option<u32>) -> Result<DhKey> {
    let bits = private_bits.unwrap_or(group.private_bits());
    if !(MIN_PRIVATE_BITS..=group.bits()).contains(&bits) {
        return Err(Error::new(ErrorKind::KeySize, "private values have 224 bits up to those of their prime"));
    }
    Ok(DhKey::generate(group, bits)?)
}

/// The secret shared with the owner of the public value `peer`.
pub(super) fn agree(key: &DhKey, peer: &[u8]) -> Result<Secret> {
    if !key.is_private() {
        return Err(super::wrong_key());
    }
    key.agree(peer).map_err(|_| parameter("the other side's public value is not in the key's group"))
}
