//! The PIN on its way to the device: a file without a name, which nobody else can open and which is gone with this process.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use libkmss::config::PinSource;
use libkmss::secret::Secret;

use crate::output::Failure;

/// A file with a PIN, wiped when it goes.
pub(super) struct PinFile {
    file: File,
    len: usize,
}

impl PinFile {
    /// Writes `pin` down.
    ///
    /// # Errors
    /// No file can be made, or the PIN has more than one line.
    pub(super) fn new(pin: &Secret) -> Result<Self, Failure> {
        if pin.expose().contains(&b'\n') {
            return Err("a PIN has one line".into());
        }
        let mut file = tempfile::tempfile()?;
        // It has no name, but what reads it asks for the mode all the same.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(pin.expose())?;
        Ok(Self { file, len: pin.len() })
    }

    /// Where the device reads it.
    pub(super) fn source(&self) -> PinSource {
        PinSource::File(PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd())))
    }
}

impl Drop for PinFile {
    fn drop(&mut self) {
        use std::io::Seek as _;
        // It has no name any more; what was on the disk should not stay there all the same.
        let _ = self.file.rewind().and_then(|()| self.file.write_all(&vec![0; self.len]));
        let _ = self.file.set_len(0);
    }
}
