//! How a device differs from the standard, as data: what is absent is as PKCS#11 has it.
//!
//! The table of known devices is in libkmss/src/device/quirks.toml; an `[[hsm]]` may add to its entry, and `kmss hsm probe`
//! proposes one for a device that is not in the table.

use serde::{Deserialize, Serialize};

/// How a device differs from the standard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Quirks {
    /// How it wants the other side's point of an ECDH (PKCS#11 3.2, 6.3.18: both forms may be given, and `raw` is what every
    /// module must take).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecdh_point: Option<PointForm>,
    /// Whether it applies a KDF to what an ECDH agrees on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecdh_kdf: Option<bool>,
    /// The only hashes that it knows in RSA OAEP, for the label and for MGF1 alike: `sha1`, `sha256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oaep_hashes: Option<Vec<String>>,
    /// Whether it takes a label of RSA OAEP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oaep_label: Option<bool>,
    /// Which salts it makes in RSA PSS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pss_salt: Option<PssSalt>,
    /// Whether the hash of MGF1 in RSA PSS and OAEP must be that of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_hash: Option<bool>,
    /// Who makes the initialisation vector of GCM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcm_iv: Option<GcmIv>,
    /// How attributes are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<AttributeReads>,
    /// Whether it opens read-only sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_sessions: Option<bool>,
    /// Most sessions that it has for everybody together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// Longest label in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_bytes: Option<usize>,
    /// Longest identifier (CKA_ID) in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_bytes: Option<usize>,
    /// Whether identifiers may be any bytes; otherwise they are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_binary: Option<bool>,
    /// Whose numbers SM2, SM3 and SM4 have in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sm: Option<SmNumbers>,
    /// Curves that it does not know, though it makes keys on others: `secp256k1`, `ed25519`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks_curves: Vec<String>,
    /// Whether it calls wrong data an error of its own: what it cannot decrypt, unwrap or verify would pass for a dead device, and
    /// whoever sends such data would take it from everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_error_of_data: Option<bool>,
    /// Mechanisms that it lists and does not do, by their numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists_wrongly: Vec<u64>,
}

/// How a point of a curve is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointForm {
    /// Its bytes.
    Raw,
    /// As a DER OCTET STRING.
    Der,
}

/// Which salts a device makes in PSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PssSalt {
    /// Of any length.
    Any,
    /// As long as the hash.
    Hash,
    /// As long as fits, whatever is asked for.
    Longest,
}

/// Who makes the initialisation vector of GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GcmIv {
    /// The caller, as the standard has it.
    Caller,
    /// The device, which ignores or refuses the caller's.
    Device,
}

/// How attributes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttributeReads {
    /// Several at once; those that the object does not have are marked.
    Together,
    /// One at a time: one that the object does not have spoils the others.
    Singly,
    /// Not at all.
    Never,
}

/// Whose numbers SM2, SM3 and SM4 have: no standard numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmNumbers {
    /// Thales Luna.
    Luna,
    /// IBM Enterprise PKCS#11.
    Ep11,
    /// Sansec.
    Sansec,
    /// TASS.
    Tass,
    /// The vendor-neutral ones of XiPKI.
    Xipki,
}

impl Quirks {
    /// These, and where `over` says something, that.
    #[must_use]
    pub fn with(self, over: &Self) -> Self {
        Self {
            ecdh_point: over.ecdh_point.or(self.ecdh_point),
            ecdh_kdf: over.ecdh_kdf.or(self.ecdh_kdf),
            oaep_hashes: over.oaep_hashes.clone().or(self.oaep_hashes),
            oaep_label: over.oaep_label.or(self.oaep_label),
            pss_salt: over.pss_salt.or(self.pss_salt),
            one_hash: over.one_hash.or(self.one_hash),
            gcm_iv: over.gcm_iv.or(self.gcm_iv),
            attributes: over.attributes.or(self.attributes),
            read_only_sessions: over.read_only_sessions.or(self.read_only_sessions),
            sessions: over.sessions.or(self.sessions),
            label_bytes: over.label_bytes.or(self.label_bytes),
            id_bytes: over.id_bytes.or(self.id_bytes),
            id_binary: over.id_binary.or(self.id_binary),
            sm: over.sm.or(self.sm),
            lacks_curves: self.lacks_curves.iter().chain(&over.lacks_curves).cloned().collect(),
            device_error_of_data: over.device_error_of_data.or(self.device_error_of_data),
            lists_wrongly: self.lists_wrongly.iter().chain(&over.lists_wrongly).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_over_a_table_counts_and_the_rest_stays() {
        let table = Quirks { gcm_iv: Some(GcmIv::Device), label_bytes: Some(40), ..Quirks::default() };
        let over = Quirks { gcm_iv: Some(GcmIv::Caller), lists_wrongly: vec![7], ..Quirks::default() };
        let both = table.with(&over);
        assert_eq!((both.gcm_iv, both.label_bytes), (Some(GcmIv::Caller), Some(40)));
        assert_eq!(both.lists_wrongly, [7]);
    }
}
