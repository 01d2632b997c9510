//! Which version of which domain a stored record names, whoever wrote it; and the fences of versions that are over.
//!
//! Before a version is erased, a marker is put that says so, and no store with this fence commits a record under that
//! version any more: not even for a writer who sealed it before, and was stopped until now.

use crate::seal;
use crate::store::StoreKey;

/// What a record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Where the markers of the domain's versions are.
    prefix: String,
    pub(crate) version: u32,
}

impl Named {
    /// The marker that the version is over.
    pub(crate) fn marker(&self) -> Option<StoreKey> {
        StoreKey::new(format!("{}{:08x}", self.prefix, self.version)).ok()
    }
}

/// What is sealed under the home's domain key, beside the records of namespaces.
pub(crate) const OF_HOME: [&str; 9] =
    ["audit/seal/", "backup/", "block/", "hsm/owner/", "policy/", "quota/", "rule/", "tomb/", "vault/"];
/// Records of namespaces, sealed under the home's domain key.
pub(crate) const NAMESPACES: &str = "namespace/";
/// Where the markers of the home's versions are.
pub(crate) const HOME_MARKERS: &str = "home/retired/";

/// The version that the record `value` at `key` names; `None` for what no domain key sealed.
///
/// Layouts: objects, bookmarks and namespaces `1 ‖ domain ‖ version`; credentials `2 ‖ version`, or `1` under the first version;
/// records of the home `1 ‖ version`.
pub(crate) fn named(key: &StoreKey, value: &[u8]) -> Option<Named> {
    let key = key.as_str();
    let (format, rest) = value.split_first()?;
    let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    if let Some(rest) = key.strip_prefix("ns/") {
        let (place, object) = rest.split_once("/obj/").or_else(|| rest.split_once("/mirror/"))?;
        let (domain, version) = value.get(1..)?.split_first()?;
        let domain = match domain {
            0 => "public",
            1 => "private",
            _ => return None,
        };
        let whole = !object.is_empty() && !object.contains('/');
        let version = number(version).filter(|_| whole)?;
        return Some(Named { prefix: format!("ns/{place}/retired/{domain}-"), version });
    }
    if let Some(place) = key.strip_prefix("auth/") {
        let (of, credential) = place.split_once('/').and_then(|(id, rest)| {
            let (edition, credential) = rest.split_once('/')?;
            Some((format!("auth/{id}/{edition}"), credential))
        })?;
        if credential != "so" && !credential.starts_with("user/") {
            return None;
        }
        let version = if *format == 1 { 1 } else { number(rest)? };
        return Some(Named { prefix: format!("{of}/retired/"), version });
    }
    if key.starts_with(NAMESPACES) {
        let version = number(value.get(2..)?)?;
        return Some(Named { prefix: HOME_MARKERS.to_owned(), version });
    }
    if OF_HOME.iter().any(|prefix| key.starts_with(prefix)) && *format == 1 {
        return Some(Named { prefix: HOME_MARKERS.to_owned(), version: number(rest)? });
    }
    None
}

/// What must be absent for `value` to be written at `key`.
pub(crate) fn fence(key: &StoreKey, value: &[u8]) -> Option<StoreKey> {
    let of_seal = || {
        let name = key.as_str();
        let wraps = name == "home/domain"
            || (name.starts_with("auth/") && (name.ends_with("/domain") || name.ends_with("/open")));
        // Format and incarnation, or version, stand before it; a home's first format has nothing before it.
        wraps.then(|| value.get(5..).and_then(seal::marker).or_else(|| seal::marker(value))).flatten()
    };
    named(key, value).and_then(|named| named.marker()).or_else(of_seal)
}
