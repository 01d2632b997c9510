//! The guests of the core's own tests: each `.wat` is committed with the `.wasm` that it becomes, so that tests need no
//! assembler.

use crate::error::Error;
use crate::project::read;
use std::path::{Path, PathBuf};

/// Folders that hold them.
const FOLDERS: [&str; 2] = ["libkmss/src/policy/host/tests/guests", "libkmss/src/policy/opa/tests"];

/// The bytes that every module begins with: magic number and version.
const HEADER: usize = 8;

/// Assembles all of them; returns how many there are.
pub(super) fn assemble_all(root: &Path) -> Result<usize, Error> {
    let texts = files(root, "wat")?;
    for text in &texts {
        let module = text.with_extension("wasm");
        std::fs::write(&module, assemble(text)?).map_err(Error::file("write", &module))?;
    }
    Ok(texts.len())
}

/// Compares each module with what its text becomes, and every module has a text; returns how many there are.
pub(super) fn check(root: &Path) -> Result<usize, Error> {
    let texts = files(root, "wat")?;
    for text in &texts {
        let module = text.with_extension("wasm");
        let committed = std::fs::read(&module).map_err(Error::file("read", &module))?;
        if assemble(text)? != committed {
            let why = "is not what its `.wat` becomes: run `cargo xtask guests` and commit it";
            return Err(Error::check(format!("`{}` {why}", module.display())));
        }
    }
    for module in files(root, "wasm")? {
        if !module.with_extension("wat").exists() {
            return Err(Error::check(format!("`{}` has no `.wat` beside it", module.display())));
        }
    }
    Ok(texts.len())
}

fn files(root: &Path, end: &str) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        let folder = root.join(folder);
        for entry in std::fs::read_dir(&folder).map_err(Error::file("read", &folder))? {
            let path = entry.map_err(Error::file("read", &folder))?.path();
            if path.extension().is_some_and(|found| found == end) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The module that a text becomes, without the names in it.
fn assemble(path: &Path) -> Result<Vec<u8>, Error> {
    let cannot = |why: &str| Error::check(format!("`{}` cannot be assembled: {why}", path.display()));
    let module = wat::parse_str(read(path)?).map_err(|e| cannot(&e.to_string()))?;
    without_names(&module).ok_or_else(|| cannot("the module is cut off"))
}

fn without_names(module: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = module.split_at_checked(HEADER)?;
    let mut kept = header.to_vec();
    while let Some((id, behind)) = rest.split_first() {
        // The length is in LEB128.
        let digits = behind.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let length = behind.get(..digits)?.iter().rev().fold(0_usize, |sum, byte| sum << 7 | usize::from(byte & 0x7F));
        let (section, next) = rest.split_at_checked(1 + digits + length)?;
        // A custom section begins with the length of its name and the name.
        let is_names = *id == 0 && section.get(1 + digits..).is_some_and(|rest| rest.starts_with(b"\x04name"));
        if !is_names {
            kept.extend_from_slice(section);
        }
        rest = next;
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_guests_of_tests_are_what_their_texts_become() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(check(root).unwrap() >= 6);
    }

    #[test]
    fn names_are_no_part_of_a_module_and_what_is_cut_off_is_none() {
        let module = wat::parse_str("(module $named (func $f (export \"f\")))").unwrap();
        let bare = without_names(&module).unwrap();
        assert!(bare.len() < module.len() && module.starts_with(&bare));
        let rules = wat::parse_str("(module (@custom \"kmss\" \"rules\"))").unwrap();
        assert_eq!(without_names(&rules), Some(rules));
        for cut in HEADER + 1..bare.len() {
            // Between two sections nothing tells that there were more.
            let kept = without_names(module.get(..cut).unwrap());
            assert!(kept.is_none_or(|kept| kept.len() == cut), "{cut}");
        }
        assert_eq!(without_names(b"\0asm"), None);
    }
}
