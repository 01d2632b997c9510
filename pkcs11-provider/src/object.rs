//! Placeholder until the objects are merged.

/// An object search under way.
pub(crate) struct Search;
