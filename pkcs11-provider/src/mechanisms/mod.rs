//! Placeholder until the mechanisms are merged.

use cryptoki_sys::*;

/// All mechanisms offered.
pub(crate) fn list() -> impl Iterator<Item = CK_MECHANISM_TYPE> {
    std::iter::empty()
}

/// What C_GetMechanismInfo says of one; `None` where it is not offered.
pub(crate) fn info(_mechanism: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_INFO> {
    None
}
