//! Modules that `--module` names: with tokens of their own where we know how to make one.

use super::{LABEL, PIN, SO_PIN};
use crate::error::Error;
use crate::packages;
use crate::process::Job;
use crate::project::{Project, write};
use std::path::Path;
use tempfile::TempDir;

/// A module to compare with.
pub(super) struct Other {
    name: String,
    path: String,
    /// Where its process finds the token, as `NAME=VALUE`.
    variable: Option<String>,
}

impl Other {
    /// Reads NAME=PATH. Kryoptic gets a token; any other module has one already, as the option says.
    pub(super) fn prepare(project: &Project, scratch: &TempDir, option: &str) -> Result<Other, Error> {
        let (name, path) = option.split_once('=').ok_or_else(|| Error::check("--module wants NAME=PATH"))?;
        let file = Path::new(path);
        if !file.is_file() {
            return Err(Error::check(format!("--module {name}: there is no file `{path}`")));
        }
        let kryoptic = file.file_name().is_some_and(|file| file.to_string_lossy().contains("kryoptic"));
        let variable = if kryoptic { Some(kryoptic_token(project, scratch, name, path)?) } else { None };
        Ok(Other { name: name.to_owned(), path: path.to_owned(), variable })
    }

    /// Adds the module to p11bench's arguments.
    pub(super) fn add_to(&self, job: Job) -> Job {
        let job = job.args(["--vs", &self.path, "--name", &self.name]);
        match &self.variable {
            Some(variable) => job.args(["--module-env", variable]),
            None => job,
        }
    }
}

/// A configuration with one slot, and a token in it; what leads there.
fn kryoptic_token(project: &Project, scratch: &TempDir, name: &str, module: &str) -> Result<String, Error> {
    packages::install(project, packages::TOKEN_MAKER)?;
    let (config, database) = (scratch.path().join(format!("{name}.conf")), scratch.path().join(format!("{name}.sql")));
    let text = format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", database.display());
    write(&config, &text)?;
    let tool = || {
        let tool = project.job("pkcs11-tool").env("KRYOPTIC_CONF", &config);
        tool.args(["--module", module, "--slot-index", "0", "--so-pin", SO_PIN])
    };
    tool().args(["--init-token", "--label", LABEL]).run()?;
    tool().args(["--login", "--login-type", "so", "--init-pin", "--new-pin", PIN]).run()?;
    Ok(format!("KRYOPTIC_CONF={}", config.display()))
}
