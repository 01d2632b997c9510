//! What the command says of itself: man pages and completions, and the configuration to start from.

use crate::error::Error;
use crate::project::{Project, create_folder, write};
use std::path::Path;

/// Shells, and where Debian's packages of them look for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/kmss"),
    ("zsh", "share/zsh/vendor-completions/_kmss"),
    ("fish", "share/fish/vendor_completions.d/kmss.fish"),
];

/// What the other commands print of themselves, and where it goes: before and behind their names.
const OTHERS: [(&str, &str, &str); 4] = [
    ("man", "share/man/man1/", ".1"),
    ("bash", "share/bash-completion/completions/", ""),
    ("zsh", "share/zsh/vendor-completions/_", ""),
    ("fish", "share/fish/vendor_completions.d/", ".fish"),
];

/// The manual of the C interface.
const MANUAL: &str = include_str!("../../ffi/kmss.3");

/// Programs against the C interface.
const PROGRAMS: [(&str, &str); 5] = [
    ("example.h", include_str!("../../ffi/examples/example.h")),
    ("encrypt_file.c", include_str!("../../ffi/examples/encrypt_file.c")),
    ("sign.c", include_str!("../../ffi/examples/sign.c")),
    ("tokenize.c", include_str!("../../ffi/examples/tokenize.c")),
    ("policy_explain.c", include_str!("../../ffi/examples/policy_explain.c")),
];

/// Units of systemd: none is enabled by being installed.
pub(crate) const UNITS: [(&str, &str); 4] = [
    ("kmss-audit-agent.service", include_str!("../../agent/kmss-audit-agent.service")),
    ("kmss-audit-seal.service", SEAL_SERVICE),
    ("kmssd.service", include_str!("../../remote/kmssd.service")),
    ("kmss-audit-seal.timer", SEAL_TIMER),
];

const SEAL_SERVICE: &str = "\
[Unit]
Description=Seal the audit trail of KMSS
Documentation=man:kmss-audit-seal(1)

[Service]
Type=oneshot
ExecStart=/usr/bin/kmss audit seal --heartbeat
# 3: a segment contradicts itself; what is whole was sealed, and `kmss audit verify` says what was done.
Nice=10
ProtectSystem=full
ProtectKernelTunables=yes
ProtectControlGroups=yes
NoNewPrivileges=yes
MemoryDenyWriteExecute=yes
";

const SEAL_TIMER: &str = "\
[Unit]
Description=Seal the audit trail of KMSS every minute

[Timer]
OnBootSec=1min
OnUnitActiveSec=1min
AccuracySec=5s

[Install]
WantedBy=timers.target
";

/// Writes them below `prefix`, with the commands that were built; returns how many man pages there are.
pub(crate) fn install(
    project: &Project,
    command: &Path,
    others: [(&str, &Path); 2],
    prefix: &Path,
) -> Result<usize, Error> {
    let pages = prefix.join("share/man/man1");
    create_folder(&pages)?;
    project.job(command).arg("man").arg(&pages).run()?;
    for (shell, file) in COMPLETIONS {
        let file = prefix.join(file);
        create_folder(file.parent().unwrap_or(prefix))?;
        write(&file, &project.job(command).args(["completions", shell]).run()?.stdout)?;
    }
    for (name, other) in others {
        for (what, before, behind) in OTHERS {
            let file = prefix.join(format!("{before}{name}{behind}"));
            write(&file, &project.job(other).args(["--generate", what]).run()?.stdout)?;
        }
    }
    let manual = prefix.join("share/man/man3");
    create_folder(&manual)?;
    write(&manual.join("kmss.3"), MANUAL)?;
    for (name, text) in PROGRAMS {
        let folder = prefix.join("share/doc/kmss/examples");
        create_folder(&folder)?;
        write(&folder.join(name), text)?;
    }
    let example = prefix.join("share/doc/kmss/kmss.toml");
    create_folder(example.parent().unwrap_or(prefix))?;
    write(&example, EXAMPLE)?;
    let entries = std::fs::read_dir(&pages).map_err(Error::file("read", &pages))?;
    Ok(entries.count() + 1)
}

/// Every line is commentary: a package that is only installed changes nothing.
const EXAMPLE: &str = "\
# KMSS for every program of this machine. docs/configuration.md describes all settings; KMSS_CONF and KMSS_HOME, and a
# user's own ~/.config/kmss/kmss.toml, come before this file. `kmss doctor` says which file counts.

# Where keys, store and audit live. Servers that clear their environment (nginx, Apache) find the home through this line.
#home = \"/var/lib/kmss\"

#[pin]
# Wrong PINs until the PIN is locked.
#max_attempts = 10
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_configures_nothing_by_itself() {
        assert!(EXAMPLE.lines().all(|line| line.is_empty() || line.starts_with('#')));
    }
}
