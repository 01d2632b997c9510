//! `seal.toml`: which root key opens the home, and who holds it.

use super::file::too_new;
use super::root::Root;
use crate::device::HeldRoot;
use crate::error::{Error, ErrorKind, Result};
use crate::home::Home;
use crate::secret::Secret;
use crate::suite::Suite;

/// Format of the header of a key file.
const FILE_FORMAT: u8 = 1;
/// Format of the header of a seal that a device holds; versions that know key files only do not read it.
const DEVICE_FORMAT: u8 = 2;
/// The holder that is a key file.
pub(super) const FILE: &str = "file";

/// The holder that is a device.
pub(super) const HSM: &str = "hsm";

/// `seal.toml`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    format: u8,
    pub(super) suite: Suite,
    pub(super) r#type: String,
    pub(super) key_id: String,
    /// How the device holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hsm: Option<Held>,
}

/// A root key that only a device can open.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    /// The name of the device in the configuration.
    pub(super) name: String,
    /// The serial number of the token, for people who look for it.
    pub(super) serial: String,
    /// The label of the key in it, which is its identifier, too.
    pub(super) key: String,
    /// How the root key is encrypted: `aes-gcm` or `rsa-oaep`.
    pub(super) mechanism: String,
    /// The root key, encrypted (hexadecimal).
    pub(super) wrapped: String,
}

/// The one field that every format has.
#[derive(serde::Deserialize)]
struct AnyHeader {
    format: u64,
}

impl Held {
    /// What the device `name` holds.
    pub(super) fn of(name: &str, root: HeldRoot) -> Self {
        let wrapped = root.wrapped.iter().map(|b| format!("{b:02x}")).collect();
        Self { name: name.to_owned(), serial: root.serial, key: root.key, mechanism: root.mechanism, wrapped }
    }

    /// What is to be shown to the device.
    pub(super) fn root(&self) -> Result<HeldRoot> {
        let damaged = || Error::new(ErrorKind::Damaged, "the seal header holds a root key in an impossible form");
        let pair = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(text, 16).ok()
        };
        let wrapped: Option<Vec<u8>> = self.wrapped.as_bytes().chunks(2).map(pair).collect();
        let (serial, key, mechanism) = (self.serial.clone(), self.key.clone(), self.mechanism.clone());
        Ok(HeldRoot { serial, key, mechanism, wrapped: wrapped.ok_or_else(damaged)? })
    }
}

impl Header {
    /// That of a root key in a file.
    pub(super) fn of_file(root: &Root) -> Self {
        let (suite, key_id) = (root.suite(), root.key_id().to_owned());
        Self { format: FILE_FORMAT, suite, r#type: FILE.to_owned(), key_id, hsm: None }
    }

    /// That of a root key in a device.
    pub(super) fn of_device(root: &Root, held: Held) -> Self {
        let (suite, key_id) = (root.suite(), root.key_id().to_owned());
        Self { format: DEVICE_FORMAT, suite, r#type: HSM.to_owned(), key_id, hsm: Some(held) }
    }

    /// The header in the file `name` of `home`.
    pub(super) fn parse(home: &Home, name: &str, text: &Secret) -> Result<Self> {
        let damaged = || {
            let cure = "where a key file holds the root key, remove it, and it is made anew from that; otherwise restore it \
                        from a backup";
            let path = home.join(name);
            Error::new(ErrorKind::Damaged, format!("the seal header `{}` is damaged: {cure}", path.display()))
        };
        let text = std::str::from_utf8(text.expose()).map_err(|e| damaged().with_source(e))?;
        match toml::from_str::<AnyHeader>(text) {
            Ok(any) if any.format > u64::from(DEVICE_FORMAT) => return Err(too_new(home, name, any.format)),
            _ => {}
        }
        toml::from_str(text).map_err(|e| damaged().with_source(e))
    }

    /// What the file holds.
    pub(super) fn text(&self) -> Result<String> {
        let body = toml::to_string(self)
            .map_err(|e| Error::new(ErrorKind::Internal, "the seal header cannot be written").with_source(e))?;
        let with = if self.hsm.is_some() { "" } else { "; keep it with `root.key`" };
        Ok(format!("# Names the root key that opens this home. Made by KMSS{with}.\n{body}"))
    }
}
