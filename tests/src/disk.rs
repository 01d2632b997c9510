//! Small file systems, for tests of disks that are full or read-only.

use crate::built;
use crate::home::Home;
use crate::program::Program;

/// A small file system of its own, gone with the test.
pub struct SmallDisk<'h>(&'h Home);

impl<'h> SmallDisk<'h> {
    /// Mounts it over the home; `None`, said aloud, where that is not allowed.
    ///
    /// # Panics
    /// Where the folder cannot be made.
    #[must_use]
    pub fn mount(home: &'h Home) -> Option<Self> {
        std::fs::create_dir_all(home.path()).unwrap();
        let mount = Program::new("mount").words("-t tmpfs -o size=8m,mode=0700 tmpfs").arg(home.path()).run();
        if !mount.success() {
            built::skipped("a small file system cannot be mounted here");
            return None;
        }
        Some(Self(home))
    }

    /// Makes it read-only, or writable again.
    ///
    /// # Panics
    /// Where the system refuses.
    pub fn remount(&self, how: &str) {
        Program::new("mount").words("-o").arg(format!("remount,{how}")).arg(self.0.path()).succeed();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Program::new("umount").arg("-l").arg(self.0.path()).run();
    }
}
