//! `[[audit.anchor]]`: places elsewhere that keep checkpoints of the audit's seal.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::file;

/// A place that keeps checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorConfig {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub place: AnchorPlace,
    /// How long after the last checkpoint the next is brought there, in minutes.
    pub every_minutes: u32,
    /// Whom to believe of its TLS certificate: a file of PEM certificates; those of the system where it is absent.
    pub ca_file: Option<PathBuf>,
}

/// Where checkpoints are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorPlace {
    /// A file on other storage, which they are appended to.
    File(PathBuf),
    /// An HTTP endpoint, which they are posted to.
    Http(String),
    /// A witness (C2SP tlog-witness) under this URL, which signs them with the key of this text.
    Witness {
        /// Its submission prefix.
        url: String,
        /// Its public key (C2SP signed-note, "Verifier keys").
        key: String,
    },
    /// A time-stamping authority (RFC 3161) over HTTP.
    Timestamp(String),
}

/// What the file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    r#type: Kind,
    #[serde(default, deserialize_with = "file::absolute")]
    path: Option<PathBuf>,
    url: Option<String>,
    key: Option<String>,
    #[serde(default = "hour", deserialize_with = "file::within::<1, 525_600, _>")]
    every_minutes: u32,
    #[serde(default, deserialize_with = "file::absolute")]
    ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    File,
    Http,
    Witness,
    Timestamp,
}

const fn hour() -> u32 {
    60
}

impl<'de> Deserialize<'de> for AnchorConfig {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(d)?;
        // It names files, and stands in the store's keys.
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if raw.name.is_empty() || raw.name.len() > 64 || !raw.name.bytes().all(word) {
            let name = raw.name.escape_debug();
            let what = "an anchor is named by lower-case letters, digits and hyphens";
            return Err(D::Error::custom(format_args!("`{name}`: {what}")));
        }
        let name = raw.name;
        let url = || match &raw.url {
            Some(url) if url.starts_with("https://") || url.starts_with("http://") => Ok(url.clone()),
            _ => Err(D::Error::custom(format_args!(
                "the anchor `{name}` needs a `url` that begins with https:// or http://"
            ))),
        };
        let place = match raw.r#type {
            Kind::File => AnchorPlace::File(
                raw.path.clone().ok_or_else(|| D::Error::custom(format_args!("the anchor `{name}` needs a `path`")))?,
            ),
            Kind::Http => AnchorPlace::Http(url()?),
            Kind::Witness => AnchorPlace::Witness {
                url: url()?,
                key: raw
                    .key
                    .clone()
                    .ok_or_else(|| D::Error::custom(format_args!("the anchor `{name}` needs a `key`")))?,
            },
            Kind::Timestamp => AnchorPlace::Timestamp(url()?),
        };
        let is_file = matches!(place, AnchorPlace::File(_));
        if raw.path.is_some() != is_file || (is_file && (raw.url.is_some() || raw.ca_file.is_some())) {
            return Err(D::Error::custom(format_args!(
                "the anchor `{name}` has either a `path` or a `url`, as its type needs"
            )));
        }
        if raw.key.is_some() != matches!(place, AnchorPlace::Witness { .. }) {
            return Err(D::Error::custom(format_args!("the anchor `{name}`: only a witness has a `key`")));
        }
        Ok(Self { name, place, every_minutes: raw.every_minutes, ca_file: raw.ca_file })
    }
}
