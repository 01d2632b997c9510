//! `kmss.toml`: opened safely, parsed strictly, complained about with file, line and a suggestion.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::sections::Elsewhere;
use super::{
    AuditConfig, HsmConfig, HsmGroupConfig, PinConfig, PolicyConfig, PrincipalRule, QuotaRule, RemoteConfig,
    StoreConfig,
};
use crate::error::{Error, ErrorKind, Result};
use crate::suite::Suite;

/// Largest file that is read.
const LARGEST: u64 = 1 << 20;
/// Longest name of a principal or role in bytes.
const LONGEST_NAME: usize = 128;

/// What a file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default, deserialize_with = "home")]
    pub(super) home: Option<PathBuf>,
    #[serde(default = "default_suite")]
    pub(super) suite: Suite,
    #[serde(default)]
    pub(super) pin: PinConfig,
    #[serde(default)]
    pub(super) store: StoreConfig,
    #[serde(default)]
    pub(super) audit: AuditConfig,
    #[serde(default)]
    pub(super) policy: PolicyConfig,
    #[serde(default)]
    pub(super) principal: Vec<PrincipalRule>,
    /// [`AgentSections::alarms`](super::AgentSections::alarms).
    #[serde(default, rename = "alarm")]
    _alarm: Elsewhere,
    #[serde(default)]
    pub(super) quota: Vec<QuotaRule>,
    #[serde(default, deserialize_with = "super::hsm::hsms")]
    pub(super) hsm: Vec<HsmConfig>,
    #[serde(default)]
    pub(super) hsm_group: Vec<HsmGroupConfig>,
    /// kmssd's own.
    #[serde(default, rename = "server")]
    _server: Elsewhere,
    #[serde(default)]
    pub(super) remote: Vec<RemoteConfig>,
}

const fn default_suite() -> Suite {
    Suite::Nist
}

impl Default for File {
    fn default() -> Self {
        Self {
            home: None,
            suite: default_suite(),
            pin: PinConfig::default(),
            store: StoreConfig::default(),
            audit: AuditConfig::default(),
            policy: PolicyConfig::default(),
            principal: Vec::new(),
            _alarm: Elsewhere,
            quota: Vec::new(),
            hsm: Vec::new(),
            hsm_group: Vec::new(),
            _server: Elsewhere,
            remote: Vec::new(),
        }
    }
}

impl File {
    /// Opens, checks and parses `path`, which must belong to one of `owners`; `None` where there is none. Also says who
    /// owns it, and what its text is.
    pub(super) fn read(path: &Path, owners: &[u32]) -> Result<Option<(Self, u32, String)>> {
        let unreadable = |e: io::Error| {
            Error::new(ErrorKind::Config, format!("cannot read the configuration `{}`", path.display())).with_source(e)
        };
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            other => other.map_err(unreadable)?,
        };
        // Asked of what was opened, so nothing can be put in its place in between.
        let metadata = file.metadata().map_err(unreadable)?;
        let (shown, owner, mode) = (path.display(), metadata.uid(), metadata.mode());
        if !metadata.is_file() || metadata.size() > LARGEST {
            return Err(Error::new(ErrorKind::Config, format!("the configuration `{shown}` is not a plain text file")));
        }
        let refused = |what: String| Err(Error::new(ErrorKind::HomeUnsafe, what));
        if mode & 0o022 != 0 {
            return refused(format!("others can write the configuration `{shown}`: run `chmod go-w {shown}`"));
        }
        if !owners.contains(&owner) {
            let wanted = owners.first().copied().unwrap_or_default();
            return refused(format!(
                "the configuration `{shown}` belongs to user {owner}, who has no say here: run `chown {wanted} {shown}`"
            ));
        }
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).map_err(unreadable)?;
        Ok(Some((parse(path, &text)?, owner, text)))
    }
}

/// What the configuration `text` says, or what is wrong with it.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| complaint(path, text, &e))
}

/// The error with its place, and the word that was probably meant.
fn complaint(path: &Path, text: &str, cause: &toml::de::Error) -> Error {
    let line = cause.span().map_or(1, |span| {
        let before = text.as_bytes().get(..span.start).unwrap_or_default();
        before.iter().filter(|b| **b == b'\n').count() + 1
    });
    let message = cause.message().trim().replace('\n', ", ");
    // serde lists what it knows: "unknown field `a`, expected one of `b`, `c`".
    let mut quoted = message.split('`').skip(1).step_by(2);
    let meant = quoted.next().filter(|_| message.starts_with("unknown ")).and_then(|wrong| closest(wrong, quoted));
    let hint = meant.map(|m| format!(": did you mean `{m}`?")).unwrap_or_default();
    Error::new(ErrorKind::Config, format!("`{}`, line {line}: {message}{hint}", path.display()))
}

/// The known word that differs least, if it differs little.
fn closest<'w>(wrong: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let most = wrong.chars().count().div_ceil(3);
    known.map(|word| (distance(wrong, word), word)).filter(|(d, _)| *d <= most).min().map(|(_, word)| word)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let (mut diagonal, mut left) = (i, i + 1);
        for (y, cell) in b.chars().zip(row.iter_mut().skip(1)) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            (diagonal, left) = (*cell, best);
            *cell = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// A number from `LEAST` to `MOST`.
pub(super) fn within<'de, const LEAST: u32, const MOST: u32, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    let value = i64::deserialize(d)?;
    u32::try_from(value)
        .ok()
        .filter(|v| (LEAST..=MOST).contains(v))
        .ok_or_else(|| D::Error::custom(format_args!("{value} is not between {LEAST} and {MOST}")))
}

/// A path that means the same from everywhere.
pub(super) fn absolute<'de, D: Deserializer<'de>>(d: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(d)?;
    if path.is_absolute() {
        return Ok(Some(path));
    }
    Err(D::Error::custom(format_args!("`{}` is not an absolute path", path.display())))
}

/// An absolute path, or one that starts with `~/`.
fn home<'de, D: Deserializer<'de>>(d: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(d)?;
    if path.is_absolute() || path.starts_with("~") {
        return Ok(Some(path));
    }
    Err(D::Error::custom(format_args!("the home `{}` is not an absolute path", path.display())))
}

/// `kind:name`.
pub(super) fn principal_name<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let text = String::deserialize(d)?;
    if is_principal(&text) { Ok(text) } else { Err(no_principal(&text)) }
}

/// The name of a log, which is also that of its keys (C2SP signed-note).
pub(super) fn log_name<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let name = String::deserialize(d)?;
    if is_word(&name) && name.len() <= LONGEST_NAME {
        return Ok(name);
    }
    let name = name.escape_debug();
    Err(D::Error::custom(format_args!("`{name}` does not name a log: use letters, digits and `-_.@/`")))
}

/// Several of `kind:name`.
pub(super) fn principal_names<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(d)?;
    match names.iter().find(|name| !is_principal(name)) {
        Some(bad) => Err(no_principal(bad)),
        None => Ok(names),
    }
}

/// Role names.
pub(super) fn role_names<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let roles = Vec::<String>::deserialize(d)?;
    match roles.iter().find(|role| !is_role(role)) {
        Some(bad) => Err(no_role(bad)),
        None => Ok(roles),
    }
}

fn is_principal(text: &str) -> bool {
    let parts = text.split_once(':');
    parts.is_some_and(|(kind, name)| is_word(kind) && is_word(name)) && text.len() <= LONGEST_NAME
}

fn is_role(text: &str) -> bool {
    is_word(text) && text.len() <= LONGEST_NAME
}

fn no_principal<E: serde::de::Error>(text: &str) -> E {
    let text = text.escape_debug();
    E::custom(format_args!("`{text}` does not name a principal: write `kind:name`, for example `service:order-v1`"))
}

fn no_role<E: serde::de::Error>(text: &str) -> E {
    E::custom(format_args!("`{}` does not name a role: use letters, digits and `-_.@/`", text.escape_debug()))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@/".contains(&b))
}
