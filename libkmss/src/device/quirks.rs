//! What is peculiar to a device: the table of those that are known, and what follows from it.

use cryptoki::context::Pkcs11;
use cryptoki::slot::TokenInfo;
use serde::Deserialize;

pub use crate::config::Quirks;
use crate::config::{AttributeReads, GcmIv, PointForm, PssSalt};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Curve, Hash};

/// The table.
const TABLE: &str = include_str!("quirks.toml");

/// Who a device says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Who made the module.
    pub library_manufacturer: String,
    /// What the module says it is.
    pub library: String,
    /// The module's version.
    pub version: (u8, u8),
    /// Who made the token.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its firmware.
    pub firmware: (u8, u8),
}

impl Identity {
    /// What module and token say.
    pub(super) fn of(library: &Pkcs11, token: &TokenInfo) -> Self {
        let firmware = token.firmware_version();
        let mut identity = Self {
            manufacturer: token.manufacturer_id().to_owned(),
            model: token.model().to_owned(),
            firmware: (firmware.major(), firmware.minor()),
            ..Self::default()
        };
        if let Ok(info) = library.get_library_info() {
            let version = info.library_version();
            identity.library_manufacturer = info.manufacturer_id().to_owned();
            identity.library = info.library_description().to_owned();
            identity.version = (version.major(), version.minor());
        }
        identity
    }

    fn says(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let texts = [&self.library_manufacturer, &self.library, &self.manufacturer, &self.model];
        texts.iter().any(|text| text.to_ascii_lowercase().contains(&name))
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    device: Vec<Known>,
}

/// A known device.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    name: String,
    names: Vec<String>,
    below: Option<String>,
    quirks: Quirks,
}

impl Known {
    fn is(&self, device: &Identity) -> bool {
        let early = self.below.as_deref().and_then(version).is_none_or(|below| device.version < below);
        early && self.names.iter().any(|name| device.says(name))
    }
}

fn version(text: &str) -> Option<(u8, u8)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What is known of a device: the names of the entries of the table that fit it, and all that they say.
///
/// # Errors
/// [`ErrorKind::Internal`] where the table is broken, which a test would have told.
pub fn known(device: &Identity) -> Result<(Vec<String>, Quirks)> {
    let broken = |e| Error::new(ErrorKind::Internal, "the table of devices is broken").with_source(e);
    let table: Table = toml::from_str(TABLE).map_err(|e: toml::de::Error| broken(e.to_string()))?;
    let mut names = Vec::new();
    let mut quirks = Quirks::default();
    for entry in table.device.into_iter().filter(|entry| entry.is(device)) {
        quirks = quirks.with(&entry.quirks);
        names.push(entry.name);
    }
    Ok((names, quirks))
}

impl Quirks {
    /// Whether the device does RSA OAEP with these hashes and a label.
    #[must_use]
    pub fn takes_oaep(&self, hash: Hash, mgf: Hash, labelled: bool) -> bool {
        let known = |hash| self.oaep_hashes.as_ref().is_none_or(|hashes| hashes.contains(&word(hash)));
        known(hash) && known(mgf) && self.takes_hashes(hash, mgf) && (!labelled || self.oaep_label != Some(false))
    }

    /// Whether the device does RSA PSS with these hashes and a salt of this length.
    #[must_use]
    pub fn takes_pss(&self, hash: Hash, mgf: Hash, salt_len: usize) -> bool {
        let salt = match self.pss_salt {
            None | Some(PssSalt::Any) => true,
            Some(PssSalt::Hash) => salt_len == hash.len(),
            // Nothing that is asked for is what comes.
            Some(PssSalt::Longest) => false,
        };
        salt && self.takes_hashes(hash, mgf)
    }

    fn takes_hashes(&self, hash: Hash, mgf: Hash) -> bool {
        hash == mgf || self.one_hash != Some(true)
    }

    /// How the other side's point of an ECDH is given.
    #[must_use]
    pub fn gives_der_points(&self) -> bool {
        self.ecdh_point == Some(PointForm::Der)
    }

    /// Whether the caller's initialisation vector of GCM counts.
    #[must_use]
    pub fn takes_gcm_iv(&self) -> bool {
        self.gcm_iv != Some(GcmIv::Device)
    }

    /// Whether attributes are read one at a time.
    #[must_use]
    pub fn reads_singly(&self) -> bool {
        self.attributes == Some(AttributeReads::Singly)
    }

    /// Whether it knows a curve, where it knows curves of that kind.
    #[must_use]
    pub fn knows(&self, curve: Curve) -> bool {
        let name = curve.name().to_ascii_lowercase();
        !self.lacks_curves.contains(&name)
    }

    /// Whether it really does what it lists.
    #[must_use]
    pub fn means(&self, mechanism: u64) -> bool {
        !self.lists_wrongly.contains(&mechanism)
    }
}

/// As the table writes it: `sha256`, `sha3-256`.
fn word(hash: Hash) -> String {
    hash.name().to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn device(manufacturer: &str, model: &str, version: (u8, u8)) -> Identity {
        Identity { manufacturer: manufacturer.into(), model: model.into(), version, ..Identity::default() }
    }

    #[test]
    fn known_devices_are_known_by_what_they_say() {
        let (names, quirks) = known(&device("SoftHSM project", "SoftHSM v2", (2, 6))).unwrap();
        assert_eq!(names, ["SoftHSM 2"]);
        assert!(!quirks.takes_oaep(Hash::Sha256, Hash::Sha256, false));
        let (names, quirks) = known(&device("SoftHSM project", "SoftHSM v2", (2, 7))).unwrap();
        assert_eq!((names.len(), quirks), (0, Quirks::default()));
        let (names, quirks) = known(&device("Yubico (www.yubico.com)", "YubiHSM", (2, 6))).unwrap();
        assert_eq!((names.len(), quirks.label_bytes, quirks.id_bytes), (1, Some(40), Some(2)));
        let old = known(&device("", "", (5, 1))).unwrap();
        assert_eq!(old.0.len(), 0);
        let old = Identity { library: "CloudHSM PKCS#11 library".into(), version: (5, 1), ..Identity::default() };
        let (names, quirks) = known(&old).unwrap();
        assert_eq!((names.len(), quirks.read_only_sessions), (2, Some(false)));
        assert!(!quirks.takes_gcm_iv());
        assert_eq!(known(&Identity { version: (5, 5), ..old }).unwrap().1.read_only_sessions, None);
    }

    #[test]
    fn hashes_of_the_table_are_hashes() {
        let table: Table = toml::from_str(TABLE).unwrap();
        let words: Vec<String> = Hash::ALL.into_iter().map(word).collect();
        for entry in table.device {
            assert!(!entry.names.is_empty() && entry.below.as_deref().is_none_or(|below| version(below).is_some()));
            let curves: Vec<String> = Curve::ALL.into_iter().map(|curve| curve.name().to_ascii_lowercase()).collect();
            assert!(entry.quirks.lacks_curves.iter().all(|curve| curves.contains(curve)));
            assert!(entry.quirks.oaep_hashes.unwrap_or_default().iter().all(|hash| words.contains(hash)));
        }
    }

    #[test]
    fn parameters_that_a_device_does_not_take_are_known_before_it_is_asked() {
        let device = Quirks {
            oaep_hashes: Some(vec!["sha1".to_owned()]),
            oaep_label: Some(false),
            pss_salt: Some(PssSalt::Hash),
            one_hash: Some(true),
            ..Quirks::default()
        };
        assert!(device.takes_oaep(Hash::Sha1, Hash::Sha1, false));
        assert!(!device.takes_oaep(Hash::Sha1, Hash::Sha1, true));
        assert!(!device.takes_oaep(Hash::Sha256, Hash::Sha256, false));
        assert!(device.takes_pss(Hash::Sha256, Hash::Sha256, 32));
        assert!(!device.takes_pss(Hash::Sha256, Hash::Sha256, 20));
        assert!(!device.takes_pss(Hash::Sha256, Hash::Sha1, 32));
        let standard = Quirks::default();
        assert!(standard.takes_oaep(Hash::Sha256, Hash::Sha1, true) && standard.takes_pss(Hash::Sha1, Hash::Sha256, 0));
    }
}
