//! Which segments a directory has, each in one form: while a segment is being compressed it has both.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use super::chain::{Form, SegmentId};

/// How often a directory is read again because it was not the same twice.
const READS: u32 = 4;

/// A segment in a directory.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) id: SegmentId,
    pub(super) form: Form,
    /// Of its file.
    pub(super) meta: Metadata,
}

/// The segments of a directory, oldest first; none where there is no directory.
///
/// The directory is read until nothing moves, because a name that comes while another goes may be missed with it.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Listed>> {
    let mut names = names(dir)?;
    for _ in 0..READS {
        let again = self::names(dir)?;
        let same = again == names;
        names = again;
        if same {
            break;
        }
    }
    let mut found = Vec::with_capacity(names.len());
    for id in names {
        found.extend(look(dir, &id)?.map(|(form, meta)| Listed { id, form, meta }));
    }
    Ok(found)
}

/// In which form a segment is there, if it is; plain where both are.
pub(super) fn look(dir: &Path, id: &SegmentId) -> io::Result<Option<(Form, Metadata)>> {
    for (form, name) in [(Form::Plain, id.file_name()), (Form::Packed, id.packed_name())] {
        match fs::symlink_metadata(dir.join(name)) {
            Ok(meta) if meta.is_file() => return Ok(Some((form, meta))),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => (),
        }
    }
    Ok(None)
}

fn names(dir: &Path) -> io::Result<BTreeSet<SegmentId>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other?,
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        found.extend(entry?.file_name().to_str().and_then(SegmentId::of_file).map(|(id, _)| id));
    }
    Ok(found)
}
