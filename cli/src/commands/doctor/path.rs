//! Who can reach and who can change a file, along its whole path.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Finding, note, wrong};

/// Says where `file` (`what` in the sentence) could be replaced by strangers, or is out of the reach of other users.
pub(super) fn examine(what: &str, file: &Path, findings: &mut Vec<Finding>) {
    let Ok(whole) = file.canonicalize() else { return };
    let mut closed = None;
    for (at, place) in whole.ancestors().enumerate() {
        let Ok(meta) = std::fs::metadata(place) else { continue };
        if is_open_to_strangers(&meta) {
            findings.push(wrong(
                format!("everybody may write to `{}`, and so replace {what}", place.display()),
                format!("chmod o-w '{}'", place.display()),
            ));
        }
        let needed = if at == 0 { 0o004 } else { 0o001 };
        if meta.mode() & needed == 0 {
            closed = Some(place.to_path_buf());
        }
    }
    if let Some(place) = closed {
        findings.push(note(
            format!("other users cannot get to {what}: `{}` keeps them out", place.display()),
            format!(
                "if servers with users of their own (nginx: www-data) are to load it, install it into a library \
                 directory, or: chmod o+x '{}'",
                place.display()
            ),
        ));
    }
}

/// A sticky directory lets nobody replace what belongs to others.
fn is_open_to_strangers(meta: &Metadata) -> bool {
    meta.mode() & 0o002 != 0 && !(meta.is_dir() && meta.mode() & 0o1000 != 0)
}

/// Whether a program is in one of the directories of PATH; returns where.
pub(super) fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    let usual = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|directory| directory.join(name)).find(|file| file.is_file())
}
