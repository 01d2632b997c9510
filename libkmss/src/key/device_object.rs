//! Objects of devices, as far as the core tells them apart.

/// An object of a device that a key stands on. One object is one key's alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceObject {
    /// Where it is, in a form of its backend's own that no two places share.
    pub place: Vec<u8>,
    /// What tells it from others in that place; absent where it is said to be the only one there.
    pub label: Option<Vec<u8>>,
}

impl DeviceObject {
    /// Whether an object in the same place, known by `label`, may be this one.
    #[must_use]
    pub fn may_be(&self, label: Option<&[u8]>) -> bool {
        match (&self.label, label) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}
