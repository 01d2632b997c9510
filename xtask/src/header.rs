//! `include/kmss.h` from the sources of the C ABI.

use crate::error::Error;
use crate::project::{Project, create_folder, read, write};
use std::path::PathBuf;

/// Writes the header.
pub(crate) fn write_header(project: &Project) -> Result<PathBuf, Error> {
    let path = path(project);
    create_folder(&project.root.join("include"))?;
    write(&path, &generate(project)?)?;
    Ok(path)
}

/// Fails when the header in the checkout is not what the sources say.
pub(crate) fn check(project: &Project) -> Result<(), Error> {
    let (path, wanted) = (path(project), generate(project)?);
    let found = read(&path)?;
    match first_difference(&found, &wanted) {
        None => Ok(()),
        Some(line) => Err(Error::check(format!(
            "`include/kmss.h` is out of date (first difference in line {line}): run `cargo xtask header` and commit it"
        ))),
    }
}

fn path(project: &Project) -> PathBuf {
    project.root.join("include/kmss.h")
}

fn generate(project: &Project) -> Result<String, Error> {
    let ffi = project.root.join("ffi");
    let file = ffi.join("cbindgen.toml");
    let config = cbindgen::Config::from_file(&file)
        .map_err(|error| Error::check(format!("cannot read `{}`: {error}", file.display())))?;
    let bindings = cbindgen::Builder::new().with_crate(&ffi).with_config(config).generate();
    let bindings = bindings.map_err(|error| Error::check(format!("cbindgen cannot read the C ABI: {error}")))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).map_err(|_| Error::check("cbindgen wrote a header that is not UTF-8"))
}

/// The number, from one, of the first line that differs.
fn first_difference(found: &str, wanted: &str) -> Option<usize> {
    if found == wanted {
        return None;
    }
    let same = found.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
    }
}
