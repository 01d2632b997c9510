//! What of the file system may be loaded into this process or believed: nothing that others can write.

use std::fs::{self, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::os::effective_ids;

/// A name that our own shared object exports.
const OURS: &[u8] = b"\0kmss_last_error\0";
/// How much of a module is read at once.
const CHUNK: usize = 1 << 16;

/// The real path of a module that may be loaded: only root or this user can write it or any directory above it, and it is
/// not ourselves.
///
/// # Errors
/// [`ErrorKind::Config`] where there is no such file, [`ErrorKind::HomeUnsafe`] where others can write it.
pub(super) fn module(path: &Path) -> Result<PathBuf> {
    let shown = path.display();
    let unreadable =
        |e| Error::new(ErrorKind::Config, format!("cannot read the module `{shown}` of an HSM")).with_source(e);
    let real = fs::canonicalize(path).map_err(unreadable)?;
    for place in real.ancestors() {
        let metadata = fs::metadata(place).map_err(unreadable)?;
        if place == real && !metadata.is_file() {
            return Err(Error::new(ErrorKind::Config, format!("the module `{shown}` of an HSM is not a file")));
        }
        ours_alone(place, &metadata)?;
    }
    if is_ourselves(&real).map_err(unreadable)? {
        let why = format!("the module `{shown}` of an HSM is KMSS itself: name the vendor's module");
        return Err(Error::new(ErrorKind::Config, why));
    }
    Ok(real)
}

/// Refuses what somebody else can write. In a directory like `/tmp` nobody replaces what is another's.
fn ours_alone(place: &Path, metadata: &Metadata) -> Result<()> {
    let (shown, mode) = (place.display(), metadata.mode());
    let sticky = metadata.is_dir() && mode & 0o1000 != 0;
    if mode & 0o022 != 0 && !sticky {
        let why = format!("others can write `{shown}`, of which an HSM's module is loaded: run `chmod go-w {shown}`");
        return Err(Error::new(ErrorKind::HomeUnsafe, why));
    }
    let user = effective_ids().0;
    if metadata.uid() != 0 && metadata.uid() != user {
        let owner = metadata.uid();
        let why = format!(
            "`{shown}`, of which an HSM's module is loaded, belongs to user {owner}: it must be root's or user {user}'s"
        );
        return Err(Error::new(ErrorKind::HomeUnsafe, why));
    }
    Ok(())
}

/// Whether the file is our own shared object, or a copy of it.
fn is_ourselves(path: &Path) -> std::io::Result<bool> {
    let mut file = fs::File::open(path)?;
    let mut window = vec![0; CHUNK + OURS.len()];
    let mut kept = 0;
    loop {
        let Some(room) = window.get_mut(kept..) else { return Ok(false) };
        let read = file.read(room)?;
        if read == 0 {
            return Ok(false);
        }
        let filled = kept + read;
        let seen = window.get(..filled).unwrap_or_default();
        if seen.windows(OURS.len()).any(|part| part == OURS) {
            return Ok(true);
        }
        kept = filled.min(OURS.len() - 1);
        window.copy_within(filled - kept..filled, 0);
    }
}

/// Refuses a file with a secret that others can read or write.
///
/// # Errors
/// [`ErrorKind::HomeUnsafe`].
pub(super) fn secret_file(path: &Path, metadata: &Metadata) -> Result<()> {
    let (shown, user) = (path.display(), effective_ids().0);
    if metadata.mode() & 0o027 != 0 {
        let why = format!("others can reach `{shown}`, which holds the PIN of an HSM: run `chmod 640 {shown}`");
        return Err(Error::new(ErrorKind::HomeUnsafe, why));
    }
    if metadata.uid() != 0 && metadata.uid() != user {
        let why = format!("`{shown}`, which holds the PIN of an HSM, belongs to user {}", metadata.uid());
        return Err(Error::new(ErrorKind::HomeUnsafe, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn kind(path: &Path) -> ErrorKind {
        module(path).unwrap_err().kind()
    }

    #[test]
    fn a_module_that_others_can_write_or_replace_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("module.so");
        assert_eq!(kind(&file), ErrorKind::Config);
        fs::write(&file, b"\x7fELF").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(module(&file).unwrap(), fs::canonicalize(&file).unwrap());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o775)).unwrap();
        assert_eq!(kind(&file), ErrorKind::HomeUnsafe);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(kind(&file), ErrorKind::HomeUnsafe);
        assert_eq!(kind(&inner), ErrorKind::Config);
    }

    #[test]
    fn a_copy_of_ourselves_is_known_by_what_it_exports_wherever_that_stands() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("module.so");
        for before in [0, 7, CHUNK - 5, CHUNK + OURS.len() - 1, 3 * CHUNK + 11] {
            let mut bytes = vec![1; before];
            bytes.extend_from_slice(OURS);
            fs::write(&file, &bytes).unwrap();
            assert!(is_ourselves(&file).unwrap(), "{before}");
            bytes.truncate(bytes.len() - 1);
            fs::write(&file, &bytes).unwrap();
            assert!(!is_ourselves(&file).unwrap());
        }
    }
}
