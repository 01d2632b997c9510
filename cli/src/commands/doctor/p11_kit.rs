//! p11-kit: which of its entries name this module, and which get in its way (pkcs11.conf(5)).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Finding, fine, note, wrong};

/// Where p11-kit looks for modules that are named without a directory, on Debian.
const MODULE_DIRECTORIES: [&str; 3] =
    ["/usr/lib/x86_64-linux-gnu/pkcs11", "/usr/lib/aarch64-linux-gnu/pkcs11", "/usr/lib/pkcs11"];

/// An entry of a `.module` file.
struct Entry {
    file: PathBuf,
    module: PathBuf,
    /// Only for, or not for, some programs.
    limits: Option<String>,
}

/// Looks at every entry that names a module of KMSS. `wanted`: p11-kit is the client.
pub(super) fn examine(module: &Path, wanted: bool, findings: &mut Vec<Finding>) {
    let entries: Vec<Entry> = directories().iter().flat_map(|d| entries(d)).filter(Entry::is_ours).collect();
    let identity = |file: &Path| std::fs::metadata(file).ok().map(|m| (m.dev(), m.ino()));
    for entry in &entries {
        let (file, target) = (entry.file.display(), entry.module.display());
        if !entry.module.is_file() {
            findings.push(wrong(
                format!("p11-kit's entry `{file}` names `{target}`, which does not exist"),
                format!("write `module: {}` into it", module.display()),
            ));
        } else if identity(&entry.module) != identity(module) {
            findings.push(wrong(
                format!("p11-kit's entry `{file}` leads to another copy: `{target}`"),
                format!("write `module: {}` into it, or remove it", module.display()),
            ));
        } else {
            findings.push(fine(format!("p11-kit knows the module through `{file}`")));
        }
        if std::fs::metadata(&entry.file).is_ok_and(|m| m.mode() & 0o002 != 0) {
            findings
                .push(wrong(format!("everybody may write p11-kit's entry `{file}`"), format!("chmod o-w '{file}'")));
        }
        let own = std::env::var_os("HOME").is_some_and(|home| entry.file.starts_with(home));
        if own && std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0) {
            findings.push(note(
                format!("p11-kit does not heed `{file}` in programs that run as root"),
                "put it into /etc/pkcs11/modules".to_owned(),
            ));
        }
        if let Some(limits) = &entry.limits {
            findings.push(note(
                format!("p11-kit's entry `{file}` is not for every program: {limits}"),
                "remove the line where a program does not see the module".to_owned(),
            ));
        }
    }
    shadows(&entries, findings);
    if entries.is_empty() {
        let what =
            "p11-kit has no entry for the module; programs that ask p11-kit (GnuTLS, curl, browsers) do not see it";
        let cure = "`kmss config p11-kit` prints one".to_owned();
        findings.push(if wanted { wrong(what.to_owned(), cure) } else { note(what.to_owned(), cure) });
    }
}

/// Entries that stand in each other's way: one name in two directories, or one module under two names.
fn shadows(entries: &[Entry], findings: &mut Vec<Finding>) {
    for (at, entry) in entries.iter().enumerate() {
        for other in entries.iter().skip(at + 1) {
            let (one, two) = (entry.file.display(), other.file.display());
            if entry.file.file_name() == other.file.file_name() {
                findings.push(note(
                    format!("p11-kit's entry `{two}` overrides `{one}`"),
                    "remove the one that is out of date".to_owned(),
                ));
            } else {
                findings.push(wrong(
                    format!("p11-kit loads the module twice, through `{one}` and `{two}`"),
                    "remove one of the two: every token would be shown twice".to_owned(),
                ));
            }
        }
    }
}

/// The packages', the administrator's and the user's, in the order in which they override each other.
fn directories() -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from("/usr/share/p11-kit/modules"), PathBuf::from("/etc/pkcs11/modules")];
    if let Some(home) = std::env::var_os("HOME") {
        all.push(PathBuf::from(home).join(".config/pkcs11/modules"));
    }
    all
}

fn entries(directory: &Path) -> Vec<Entry> {
    let Ok(files) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = files.flatten().map(|f| f.path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "module"));
    files.sort();
    files.into_iter().filter_map(|file| Entry::parse(&std::fs::read_to_string(&file).ok()?, &file)).collect()
}

impl Entry {
    fn parse(text: &str, file: &Path) -> Option<Self> {
        let field = |name: &str| {
            let value = |line: &str| {
                line.trim().strip_prefix(name)?.trim_start().strip_prefix(':').map(|v| v.trim().to_owned())
            };
            text.lines().find_map(value)
        };
        let named = PathBuf::from(field("module")?);
        let places = MODULE_DIRECTORIES.iter().map(|d| Path::new(d).join(&named));
        let module = if named.is_absolute() { named.clone() } else { places.into_iter().find(|p| p.is_file())? };
        let limits = ["enable-in", "disable-in"].iter().find_map(|l| field(l).map(|v| format!("{l}: {v}")));
        Some(Self { file: file.to_path_buf(), module, limits })
    }

    fn is_ours(&self) -> bool {
        let ours = |path: &Path| path.file_name().is_some_and(|n| n.to_string_lossy().contains("kmss"));
        ours(&self.module) || ours(&self.file)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn entries_are_read_as_p11_kit_reads_them() {
        let text = "# comment\nmodule: /opt/libkmss_pkcs11.so\npriority: 1\ndisable-in: ssh\n";
        let entry = Entry::parse(text, Path::new("/etc/pkcs11/modules/kmss.module")).unwrap();
        assert!(entry.is_ours());
        assert_eq!(entry.module, Path::new("/opt/libkmss_pkcs11.so"));
        assert_eq!(entry.limits.as_deref(), Some("disable-in: ssh"));
        assert!(Entry::parse("priority: 1\n", Path::new("x.module")).is_none());
        let other = Entry::parse("module: /opt/other.so\n", Path::new("other.module")).unwrap();
        assert!(!other.is_ours());
    }

    #[test]
    fn one_module_under_two_names_is_wrong_and_one_name_twice_is_worth_a_note() {
        let entry = |file: &str| Entry::parse("module: /opt/libkmss.so\n", Path::new(file)).unwrap();
        let levels = |entries: &[Entry]| {
            let mut findings = Vec::new();
            shadows(entries, &mut findings);
            findings.iter().map(|f| f.level).collect::<Vec<_>>()
        };
        assert_eq!(levels(&[entry("/a/kmss.module"), entry("/b/kmss.module")]), [super::super::Level::Note]);
        assert_eq!(levels(&[entry("/a/kmss.module"), entry("/a/other.module")]), [super::super::Level::Wrong]);
        assert!(levels(&[entry("/a/kmss.module")]).is_empty());
    }
}
