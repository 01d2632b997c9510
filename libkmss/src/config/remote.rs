//! `[[remote]]`: a KMSS server that keeps keys (docs/remote.md).

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::file::{absolute, within};

/// A server, or several that share a store, as one backend.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {
    /// The backend's name, which tokens are made with.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// Where it is: `unix:/path`, `https://host:port`, or `http://host:port` on this host; 1 to 16.
    #[serde(deserialize_with = "uris")]
    pub uris: Vec<String>,
    /// The namespace on the server (`tenant/name` or `name`); absent for the one called as the token is.
    pub namespace: Option<String>,
    /// Who vouches for the server (PEM).
    #[serde(default, deserialize_with = "absolute")]
    pub ca: Option<PathBuf>,
    /// Our certificate (PEM).
    #[serde(default, deserialize_with = "absolute")]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[serde(default, deserialize_with = "absolute")]
    pub key: Option<PathBuf>,
    /// How long a call takes at most, in milliseconds, 50 to 600,000.
    #[serde(default = "deadline", deserialize_with = "within::<50, 600_000, _>")]
    pub deadline_ms: u32,
    /// Most connections to each address, 1 to 256.
    #[serde(default = "connections", deserialize_with = "within::<1, 256, _>")]
    pub connections: u32,
    /// Which address a call goes to.
    #[serde(default)]
    pub routing: Routing,
}

/// See [`RemoteConfig::routing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// Of two, the one with less to do.
    #[default]
    Balanced,
    /// The first that answers.
    Priority,
}

const fn deadline() -> u32 {
    2_000
}

const fn connections() -> u32 {
    8
}

fn name<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let name = String::deserialize(d)?;
    let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if word && (1..=64).contains(&name.len()) && name != "soft" {
        return Ok(name);
    }
    Err(D::Error::custom(format_args!(
        "`{}` names no server: use up to 64 letters, digits and `-_.`",
        name.escape_debug()
    )))
}

fn uris<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let uris = Vec::<String>::deserialize(d)?;
    if (1..=16).contains(&uris.len()) {
        return Ok(uris);
    }
    Err(D::Error::custom("a server has 1 to 16 addresses"))
}
