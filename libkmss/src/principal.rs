//! Who a process is, when nothing better than the operating system says so.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::caller::Principal;
use crate::config::{Config, PrincipalRule};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{effective_ids, epoch, user_by_id};

/// What the kernel says of this process. No request can change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Process number.
    pub pid: u32,
    /// The program, as the kernel names it. Empty where `/proc` is not mounted: no rule that names a program matches then.
    pub executable: PathBuf,
    epoch: u32,
}

impl ProcessIdentity {
    /// That of this process. Costs some microseconds: keep it while it [is current](Self::is_current).
    #[must_use]
    pub fn current() -> Self {
        let (uid, gid) = effective_ids();
        let link = fs::read_link("/proc/self/exe").unwrap_or_default();
        Self { uid, gid, pid: std::process::id(), executable: program(link), epoch: epoch() }
    }

    /// Whether this process is still the same: neither a fork nor a change of user (a server that gives up root) lies
    /// between.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.epoch == epoch() && (self.uid, self.gid) == effective_ids()
    }
}

/// The kernel marks a program that was replaced while it runs (a package update); it is still the same one.
fn program(link: PathBuf) -> PathBuf {
    match link.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(path) if !link.exists() => PathBuf::from(OsStr::from_bytes(path)),
        _ => link,
    }
}

impl Config {
    /// Who `process` is in the namespace `token`: by the first rule whose fields all match, else the operating system's
    /// user.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the user database cannot be read: a guess could be somebody else.
    pub fn principal(&self, process: &ProcessIdentity, token: &str) -> Result<Principal> {
        if let Some(rule) = self.principals.iter().find(|rule| matches(rule, process, token)) {
            return Ok(Principal { name: rule.name.clone(), roles: rule.roles.clone() });
        }
        let user = user_by_id(process.uid)
            .map_err(|e| Error::new(ErrorKind::Config, "the user database cannot be read").with_source(e))?;
        // A name from the database that looks like a number would be taken for a user without a name.
        let name = match user {
            Some(user) if !user.name.is_empty() && !user.name.starts_with('#') => format!("user:{}", user.name),
            _ => format!("user:#{}", process.uid),
        };
        Ok(Principal { name, roles: Vec::new() })
    }
}

fn matches(rule: &PrincipalRule, process: &ProcessIdentity, token: &str) -> bool {
    let program = |path: &PathBuf| process.executable.as_path() == Path::new(path);
    rule.uid.is_none_or(|uid| uid == process.uid)
        && rule.gid.is_none_or(|gid| gid == process.gid)
        && rule.executable.as_ref().is_none_or(program)
        && rule.token.as_deref().is_none_or(|wanted| wanted == token)
}
