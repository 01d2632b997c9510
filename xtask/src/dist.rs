//! `cargo xtask dist`: the folder that a distribution packages, and the checks on the shared object.

use crate::documents;
use crate::error::Error;
use crate::project::{DELIVERED, Project, create_folder, write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The name that programs record when they link with the shared object.
const SONAME: &str = "libkmss.so";

/// Makes `target/dist`.
pub(crate) fn run(project: &Project) -> Result<(), Error> {
    let products = project.build(DELIVERED)?;
    let dist = project.target.join("dist");
    remove(&dist)?;
    for folder in ["bin", "lib/pkgconfig", "lib/pkcs11", "lib/systemd/system", "include", "share/p11-kit/modules"] {
        create_folder(&dist.join(folder))?;
    }
    let module = dist.join("lib").join(SONAME);
    let auditor = dist.join("bin/kmss-audit-verify");
    let server = dist.join("bin/kmssd");
    let made = [
        (&products.command, &dist.join("bin/kmss")),
        (&products.auditor, &auditor),
        (&products.server, &server),
        (&products.module, &module),
    ];
    for (built, delivered) in made {
        strip(project, built, delivered)?;
        keep_for_debuggers(project, built, &dist.join("lib/debug"))?;
    }
    let link = dist.join("lib/libkmss_pkcs11.so");
    symlink(SONAME, &link).map_err(Error::file("create", &link))?;
    copy_headers(project, &dist.join("include"))?;
    write(&dist.join("lib/pkgconfig/kmss.pc"), &pkg_config())?;
    write(&dist.join("share/p11-kit/modules/kmss.module"), P11_KIT)?;
    let in_module_folder = dist.join("lib/pkcs11/libkmss_pkcs11.so");
    symlink("../libkmss.so", &in_module_folder).map_err(Error::file("create", &in_module_folder))?;
    for (name, unit) in documents::UNITS {
        write(&dist.join("lib/systemd/system").join(name), unit)?;
    }
    let pages = documents::install(
        project,
        &dist.join("bin/kmss"),
        [("kmss-audit-verify", auditor.as_path()), ("kmssd", server.as_path())],
        &dist,
    )?;
    let exports = check_shared_object(project, &module)?;
    println!("made {}", dist.display());
    for file in ["bin/kmss", "bin/kmss-audit-verify", "bin/kmssd", "lib/libkmss.so"] {
        let path = dist.join(file);
        let size = std::fs::metadata(&path).map_err(Error::file("read", &path))?.len();
        println!("  {file:<36} {:>6.1} MB", size as f64 / 1e6);
    }
    println!("  lib/libkmss_pkcs11.so                -> {SONAME}");
    println!("  lib/debug/.build-id/                 symbols and lines, for /usr/lib/debug");
    println!("  include/, lib/pkgconfig/kmss.pc, share/p11-kit/modules/kmss.module, lib/systemd/system/");
    println!("  share/: {pages} man pages, completions for bash, zsh and fish, an example kmss.toml");
    println!("{SONAME} exports {exports} functions (C_Get*, kmss_*) and is never unloaded (NODELETE)");
    Ok(())
}

/// Copies what was built without its symbols and lines; what the module exports stays.
pub(crate) fn strip(project: &Project, built: &Path, to: &Path) -> Result<(), Error> {
    project.job("strip").arg("--strip-all").arg("-o").arg(to).arg(built).run().map(drop)
}

/// Puts symbols and lines where debuggers and profilers look for them by the file's build id.
fn keep_for_debuggers(project: &Project, built: &Path, folder: &Path) -> Result<(), Error> {
    let notes = project.job("readelf").args(["--notes", "--wide"]).arg(built).run()?.stdout;
    let file = debug_file(&notes);
    let file = file.ok_or_else(|| Error::check(format!("`{}` has no build id", built.display())))?;
    let file = folder.join(file);
    create_folder(file.parent().unwrap_or(folder))?;
    let job = project.job("objcopy").args(["--only-keep-debug", "--compress-debug-sections"]);
    job.arg(built).arg(&file).run().map(drop)
}

/// The place of a file with the build id that `readelf -n` prints, below the folder of all of them.
fn debug_file(notes: &str) -> Option<PathBuf> {
    let id = notes.lines().find_map(|line| line.trim().split_once("Build ID: ")).map(|(_, id)| id.trim())?;
    let (first, rest) = id.split_at_checked(2).filter(|(_, rest)| !rest.is_empty())?;
    id.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| format!(".build-id/{first}/{rest}.debug").into())
}

/// Whether the shared object exports the two ABIs alone, carries its name and is never unloaded; returns the
/// number of exported functions.
pub(crate) fn check_shared_object(project: &Project, module: &Path) -> Result<usize, Error> {
    let symbols = project.job("nm").args(["--dynamic", "--defined-only"]).arg(module).run()?.stdout;
    let exported = exported(&symbols);
    let strangers: Vec<&str> = exported.iter().copied().filter(|name| !belongs(name)).collect();
    if !strangers.is_empty() {
        return Err(Error::check(format!("`{}` exports what it must not: {}", module.display(), strangers.join(", "))));
    }
    if !exported.contains(&"C_GetFunctionList") {
        return Err(Error::check(format!("`{}` does not export C_GetFunctionList", module.display())));
    }
    let dynamic = project.job("readelf").args(["--dynamic", "--wide"]).arg(module).run()?.stdout;
    missing_marks(&dynamic).map_or(Ok(exported.len()), |missing| {
        Err(Error::check(format!("`{}` lacks {missing} in its dynamic section", module.display())))
    })
}

/// The names in what `nm -D --defined-only` prints.
fn exported(nm: &str) -> Vec<&str> {
    let names = nm.lines().filter_map(|line| line.split_whitespace().nth(2));
    names.map(|name| name.split('@').next().unwrap_or(name)).collect()
}

/// `^(C_Get\w+|kmss_\w+)$`
fn belongs(name: &str) -> bool {
    let rest = name.strip_prefix("C_Get").or_else(|| name.strip_prefix("kmss_"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

/// What `readelf -d` does not show although it should.
fn missing_marks(dynamic: &str) -> Option<&'static str> {
    let has = |tag: &str, value: &str| dynamic.lines().any(|line| line.contains(tag) && line.contains(value));
    if !has("(SONAME)", &format!("[{SONAME}]")) {
        return Some("the soname");
    }
    (!has("(FLAGS_1)", "NODELETE")).then_some("NODELETE")
}

/// p11-kit finds the module in its own module folder, or by the full path that the packager puts here.
const P11_KIT: &str = "\
# KMSS for every program that uses p11-kit.
module: libkmss_pkcs11.so
priority: 1
";

/// What programs that are linked with the shared object ask pkg-config for; tests/tests/c_abi_examples.rs holds it against that.
fn pkg_config() -> String {
    include_str!("../../ffi/kmss.pc.in").replace("@VERSION@", env!("CARGO_PKG_VERSION"))
}

fn copy_headers(project: &Project, to: &Path) -> Result<(), Error> {
    let from = project.root.join("include");
    let entries = std::fs::read_dir(&from).map_err(Error::file("read", &from))?;
    for entry in entries {
        let path = entry.map_err(Error::file("read", &from))?.path();
        if let (Some("h"), Some(name)) = (path.extension().and_then(|ext| ext.to_str()), path.file_name()) {
            copy(&path, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::copy(from, to).map(drop).map_err(Error::file("create", to))
}

/// Removes the folder that an earlier run may have left.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_abis_belong_into_the_shared_object() {
        assert!(belongs("C_GetFunctionList") && belongs("C_GetInterface") && belongs("kmss_open"));
        for stranger in ["C_Sign", "C_Get", "kmss_", "rust_eh_personality", "sqlite3_open", "kmss_open::h1"] {
            assert!(!belongs(stranger), "{stranger}");
        }
    }

    #[test]
    fn the_names_are_read_from_what_nm_prints() {
        let nm = "0000000000012340 T C_GetFunctionList\n00000000000a0000 T kmss_version@@KMSS_1\n";
        assert_eq!(exported(nm), ["C_GetFunctionList", "kmss_version"]);
    }

    #[test]
    fn debuggers_find_a_file_by_its_build_id() {
        let notes = "  GNU  0x00000014\tNT_GNU_BUILD_ID (unique build ID bitstring)\t    Build ID: 3f09ab\n";
        assert_eq!(debug_file(notes), Some(PathBuf::from(".build-id/3f/09ab.debug")));
        for notes in ["", "Build ID: 3f", "Build ID: ../etc/passwd"] {
            assert_eq!(debug_file(notes), None, "{notes}");
        }
    }

    #[test]
    fn a_shared_object_without_nodelete_or_soname_is_refused() {
        let soname = " 0x000000000000000e (SONAME)  Library soname: [libkmss.so]\n";
        let flags = " 0x000000006ffffffb (FLAGS_1)  Flags: NOW NODELETE\n";
        assert_eq!(missing_marks(&format!("{soname}{flags}")), None);
        assert_eq!(missing_marks(soname), Some("NODELETE"));
        assert_eq!(missing_marks(flags), Some("the soname"));
    }
}
