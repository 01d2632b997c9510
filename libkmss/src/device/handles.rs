//! The handles of objects that were found once: a device searches slowly, and SoftHSM2 reads every object to do it.

use std::collections::HashMap;

use cryptoki::object::ObjectHandle;

/// Most handles that are remembered; with more, all are forgotten and found anew.
const MOST: usize = 1 << 16;

/// Handles by what they were looked for with. They hold for one entrance.
#[derive(Default)]
pub(super) struct Handles(HashMap<Vec<u8>, ObjectHandle>);

impl Handles {
    pub(super) fn get(&self, name: &[u8]) -> Option<ObjectHandle> {
        self.0.get(name).copied()
    }

    pub(super) fn put(&mut self, name: &[u8], handle: ObjectHandle) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(name.to_vec(), handle);
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        self.0.remove(name);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
