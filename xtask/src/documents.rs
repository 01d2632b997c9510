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

/// Writes them below `prefix`, with the command that was built; returns how many man pages there are.
pub(crate) fn install(project: &Project, command: &Path, prefix: &Path) -> Result<usize, Error> {
    let pages = prefix.join("share/man/man1");
    create_folder(&pages)?;
    project.job(command).arg("man").arg(&pages).run()?;
    for (shell, file) in COMPLETIONS {
        let file = prefix.join(file);
        create_folder(file.parent().unwrap_or(prefix))?;
        write(&file, &project.job(command).args(["completions", shell]).run()?.stdout)?;
    }
    let example = prefix.join("share/doc/kmss/kmss.toml");
    create_folder(example.parent().unwrap_or(prefix))?;
    write(&example, EXAMPLE)?;
    let entries = std::fs::read_dir(&pages).map_err(Error::file("read", &pages))?;
    Ok(entries.count())
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
