//! Reads the sources and says where they break the house's rules (DESIGN.md, "Rules, checked in CI").
//!
//! Nothing is compiled: [`source`] turns files into paths and words with line numbers, [`rooms`] decides which room may
//! look into which, [`words`] keeps words, clocks, randomness and `unsafe` on their floors. Code under `#[cfg(test)]` is
//! no part of the house and is left out.

pub mod rooms;
pub mod source;
pub mod words;

use std::fmt;
use std::path::Path;

use source::CrateSource;

/// One place where the sources break a rule, in words that tell its author what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// `libkmss/src/store/mod.rs:12`
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The members of the workspace whose sources are checked: the hall, the doors, the agent and the command.
pub const MEMBERS: &[&str] = &[
    "audit-anchor",
    "audit-archive",
    "audit-proof",
    "audit-verify",
    "libkmss",
    "pkcs11-provider",
    "ffi",
    "agent",
    "report",
    "cli",
    "remote",
    "tests/contract",
];

/// Every violation in the workspace at `root`, sorted. Members that do not exist (yet) are skipped.
///
/// # Errors
/// Names the file that cannot be read or parsed.
pub fn check_workspace(root: &Path) -> Result<Vec<Violation>, source::SourceError> {
    let present = MEMBERS.iter().filter(|member| root.join(member).join("src").is_dir());
    let crates = present.map(|member| CrateSource::read(root, member)).collect::<Result<Vec<_>, _>>()?;
    let hall = crates.iter().find(|source| source.name == "libkmss");
    let mut violations: Vec<Violation> = crates.iter().flat_map(|source| check_crate(source, hall)).collect();
    violations.extend(rooms::door_dependencies(root)?);
    violations.sort();
    Ok(violations)
}

/// Every violation inside one crate. `hall` is `libkmss`, where it is known.
#[must_use]
pub fn check_crate(source: &CrateSource, hall: Option<&CrateSource>) -> Vec<Violation> {
    let mut violations = rooms::check(source, hall);
    violations.extend(words::check(source));
    violations.sort();
    violations.dedup();
    violations
}
