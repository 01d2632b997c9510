//! Finding the PKCS#11 module.

use std::path::{Path, PathBuf};

use crate::output::Failure;

/// File names of the module, the usual one first.
const NAMES: [&str; 2] = ["libkmss_pkcs11.so", "libkmss.so"];

/// The module named on the command line, or the one found beside this command or in the library directories.
///
/// # Errors
/// None was found.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return std::path::absolute(path).map_err(Into::into);
    }
    candidates()
        .into_iter()
        .find(|p| p.is_file())
        .ok_or_else(|| "cannot find libkmss_pkcs11.so beside this command; name it with --module".into())
}

/// Everywhere the module may be, the likeliest place first.
pub(super) fn candidates() -> Vec<PathBuf> {
    let command = std::env::current_exe().unwrap_or_default();
    let beside = command.parent().map(Path::to_path_buf).unwrap_or_default();
    let prefix = beside.parent().map(Path::to_path_buf).unwrap_or_default();
    let directories = [
        beside,
        prefix.join("lib"),
        prefix.join("lib/pkcs11"),
        PathBuf::from("/usr/lib/x86_64-linux-gnu/pkcs11"),
        PathBuf::from("/usr/lib/x86_64-linux-gnu"),
        PathBuf::from("/usr/lib/aarch64-linux-gnu/pkcs11"),
        PathBuf::from("/usr/lib/aarch64-linux-gnu"),
        PathBuf::from("/usr/local/lib"),
        PathBuf::from("/usr/lib"),
    ];
    directories.iter().flat_map(|d| NAMES.iter().map(move |n| d.join(n))).collect()
}
