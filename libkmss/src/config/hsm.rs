//! `[[hsm]]`: tokens of PKCS#11 modules that hold keys.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::Quirks;
use crate::tenant::BackendId;

/// Longest name in bytes.
const LONGEST: usize = 64;

/// An `[[hsm]]`: docs/hsm.md says what it means.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HsmConfig {
    /// Its name, which keys and tokens carry.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// The module of its vendor: an absolute path.
    #[serde(deserialize_with = "path")]
    pub module: PathBuf,
    /// The label of the token in it.
    pub token: Option<String>,
    /// The serial number of that token.
    pub serial: Option<String>,
    /// The number of its slot.
    pub slot: Option<u64>,
    /// Where the user's PIN comes from; absent where the device asks for it itself, or for none.
    pub pin: Option<PinSource>,
    /// Most sessions that this process opens, 1 to 1,024.
    #[serde(default = "sessions", deserialize_with = "super::file::within::<1, 1024, _>")]
    pub max_sessions: u32,
    /// How long a call waits for a session, or for another thread to log in, in milliseconds, 1 to 600,000.
    #[serde(default = "deadline", deserialize_with = "super::file::within::<1, 600_000, _>")]
    pub deadline_ms: u32,
    /// How it differs from the standard, beyond what the table of devices says.
    #[serde(default)]
    pub quirks: Quirks,
}

/// Where a PIN comes from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinSource {
    /// An environment variable.
    Env(String),
    /// A file that only its readers may read: the first line.
    File(PathBuf),
    /// A program and its arguments: the first line of what it prints.
    Command(Vec<String>),
    /// A credential of the systemd unit (`LoadCredential=`), by its name: the first line.
    Credential(String),
}

const fn sessions() -> u32 {
    16
}

const fn deadline() -> u32 {
    2_000
}

pub(super) fn name<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let text = String::deserialize(d)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if !text.is_empty() && text.len() <= LONGEST && text.bytes().all(fits) && text != BackendId::soft().0 {
        return Ok(text);
    }
    let text = text.escape_debug();
    Err(D::Error::custom(format_args!("`{text}` does not name an HSM: use letters, digits and `-_.`, and not `soft`")))
}

fn path<'de, D: Deserializer<'de>>(d: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(d)?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(D::Error::custom(format_args!("the module `{}` is not an absolute path", path.display())))
}

/// All of them, each with a name and a place of its own.
pub(super) fn hsms<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<HsmConfig>, D::Error> {
    let all = Vec::<HsmConfig>::deserialize(d)?;
    for (at, hsm) in all.iter().enumerate() {
        let name = &hsm.name;
        if all.iter().take(at).any(|other| other.name == *name) {
            return Err(D::Error::custom(format_args!("two HSMs are called `{name}`")));
        }
        if hsm.token.is_none() && hsm.serial.is_none() && hsm.slot.is_none() {
            return Err(D::Error::custom(format_args!("the HSM `{name}` needs `token`, `serial` or `slot`")));
        }
        match &hsm.pin {
            Some(PinSource::Command(words)) if words.first().is_none_or(|program| !program.starts_with('/')) => {
                return Err(D::Error::custom("the `command` of a PIN begins with the absolute path of a program"));
            }
            Some(PinSource::File(path)) if !path.is_absolute() => {
                return Err(D::Error::custom("the `file` of a PIN is an absolute path"));
            }
            Some(PinSource::Credential(name)) if name.is_empty() || name.contains('/') || name.starts_with('.') => {
                return Err(D::Error::custom("the `credential` of a PIN is the name of one"));
            }
            _ => {}
        }
    }
    Ok(all)
}
