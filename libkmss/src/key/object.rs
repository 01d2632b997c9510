//! Objects of a namespace: keys with their versions, certificates and data.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use once_cell::race::OnceBox;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Attachment, KeyState, Lifecycle, Metadata, Protection, Usage};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Curve, DhGroup, KeyType, PqcSet};
use crate::tenant::{BackendId, NamespaceId, ObjectId};

/// Where an object lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// In the store, until it is destroyed.
    #[default]
    Stored,
    /// In this process, until its session ends.
    Ephemeral,
}

/// An object of a namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Object {
    /// Identity; survives renaming and is never reused.
    pub id: ObjectId,
    /// The namespace it belongs to.
    pub namespace: NamespaceId,
    /// Whether only authenticated users see it. Private records are sealed under the private domain key.
    pub private: bool,
    /// Whether attributes may be changed.
    pub modifiable: bool,
    /// Whether it may be copied.
    pub copyable: bool,
    /// Whether it may be destroyed.
    pub destroyable: bool,
    /// Label shown to people (UTF-8 where well made); indexed; need not be unique.
    #[serde(with = "serde_bytes")]
    pub label: Vec<u8>,
    /// Identifier that ties key pair and certificate together (CKA_ID); indexed; need not be unique.
    #[serde(with = "serde_bytes")]
    pub identifier: Vec<u8>,
    /// Attributes that only a door understands, by the door's own number.
    pub attributes: BTreeMap<u64, serde_bytes::ByteBuf>,
    /// What it is.
    pub body: Body,
    /// When it was made.
    pub created: Timestamp,
    /// Grows with each change; sealed into the record.
    pub edition: u64,
    /// Where it lives; not part of the record.
    #[serde(skip)]
    pub storage: Storage,
    /// Store revision it was read at, 0 for what was never stored.
    #[serde(skip)]
    pub revision: u64,
    /// What the pipeline keeps of a session key's use; not part of the record.
    #[serde(skip)]
    pub uses: Attachment,
}

impl Object {
    /// The key, where the object is one.
    #[must_use]
    pub const fn key(&self) -> Option<&Key> {
        match &self.body {
            Body::Key(key) => Some(key),
            _ => None,
        }
    }

    /// The context that binds the material of one key version to this object: id and version number.
    #[must_use]
    pub fn material_context(&self, version: u32) -> Vec<u8> {
        material_context(self.id, version)
    }
}

/// See [`Object::material_context`]; for objects that are only being made.
pub(crate) fn material_context(id: ObjectId, version: u32) -> Vec<u8> {
    [b"kmss/1 material ".as_slice(), &id.0, &version.to_be_bytes()].concat()
}

/// What an object is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Body {
    /// A key, or one half of a pair.
    Key(Box<Key>),
    /// A certificate.
    Certificate {
        /// The DER encoding (X.509).
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
    },
    /// Data of an application.
    Data {
        /// The bytes; wiped from memory when they go.
        #[serde(with = "wiped")]
        value: Zeroizing<Vec<u8>>,
    },
}

/// Bytes of a record that are wiped when they go.
mod wiped {
    use serde::{Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(value: &Zeroizing<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(value.as_slice(), to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<Vec<u8>>, D::Error> {
        serde_bytes::deserialize(from).map(Zeroizing::new)
    }
}

/// Which part of a key an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyClass {
    /// A secret (symmetric) key.
    Secret,
    /// The private half of a pair.
    Private,
    /// The public half of a pair.
    Public,
}

/// How the audit keeps the records of a key's uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditMode {
    /// A record is in the kernel before the result of the operation is released.
    #[default]
    Normal,
    /// It is on the disk.
    Sync,
}

impl AuditMode {
    /// Its name for people and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Sync => "sync",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Normal, Self::Sync].into_iter().find(|mode| mode.name() == name)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
    const fn is_normal(&self) -> bool {
        matches!(self, Self::Normal)
    }
}

/// A key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Key {
    /// Name that policies and commands use, unique among the keys of its namespace; both halves of a pair carry it.
    /// Empty for session keys.
    pub name: String,
    /// Name of the key a session key came from, for policies; empty otherwise.
    pub origin: String,
    /// Which part this is.
    pub class: KeyClass,
    /// The type.
    pub key_type: KeyType,
    /// What it may be used for.
    pub usage: Usage,
    /// How its secret part is protected.
    pub protection: Protection,
    /// The state.
    pub state: KeyState,
    /// The door's numbers of the only mechanisms it may be used with; empty means any.
    pub allowed_mechanisms: Vec<u64>,
    /// Names of the keys that it is a copy of: it keeps their policies beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy_of: Vec<String>,
    /// Words that policies choose keys by, sorted; both halves of a pair carry them. Only the security officer changes
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How the records of its uses are kept. Only the security officer changes it.
    #[serde(default, skip_serializing_if = "AuditMode::is_normal")]
    pub audit: AuditMode,
    /// What it was moved away from and what was not destroyed there yet. It is this key's until it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// What there is to its life beyond the state.
    #[serde(default, skip_serializing_if = "Lifecycle::is_plain")]
    pub lifecycle: Lifecycle,
    /// What people say of it.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// First day of use.
    pub start: Option<Date>,
    /// Last day of use.
    pub end: Option<Date>,
    /// Number of the version that new operations use.
    pub primary: u32,
    /// All versions, oldest first; at least one.
    pub versions: Vec<KeyVersion>,
}

impl Key {
    /// The name that policies know it by: its own, which all its versions share, or that of the key it came from.
    #[must_use]
    pub fn policy_name(&self) -> &str {
        if self.name.is_empty() { &self.origin } else { self.base_name() }
    }

    /// The name under which its uses are counted: that of the first key that it was copied or made from, so that copies have
    /// no budget of their own. Empty for a session key that came from none.
    #[must_use]
    pub fn counted_name(&self) -> &str {
        self.copy_of.first().map_or_else(|| self.policy_name(), String::as_str)
    }

    /// The version that new operations use.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when the record names a version it does not hold.
    pub fn primary(&self) -> Result<&KeyVersion> {
        self.version(self.primary)
    }

    /// The version `number`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when there is none.
    pub fn version(&self, number: u32) -> Result<&KeyVersion> {
        self.versions
            .iter()
            .find(|v| v.number == number)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, "the key record names a version it does not hold"))
    }
}

/// Material of a key in a place that it was moved away from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The backend that still holds it.
    pub backend: BackendId,
    /// Opaque bytes that only that backend reads.
    #[serde(with = "serde_bytes")]
    pub locator: Vec<u8>,
}

/// One version of a key: the material, wherever it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyVersion {
    /// Number, starting at 1.
    pub number: u32,
    /// When it was made.
    pub created: Timestamp,
    /// The backend that holds it.
    pub backend: BackendId,
    /// Opaque bytes that only that backend reads.
    #[serde(with = "serde_bytes")]
    pub locator: Vec<u8>,
    /// Modulus or field size, or length of a secret, in bits.
    pub bits: u32,
    /// The public part.
    pub public: PublicComponents,
    /// Key check value as it was stored; [`Self::check_value`] has that of held keys, too.
    #[serde(with = "serde_bytes")]
    pub check_value: Vec<u8>,
    /// Where the key lives in this process alone, the backend may keep it here instead of sealed in the locator.
    #[serde(skip)]
    pub held: HeldKey,
    /// The backend's parsed form, for as long as this record is in memory.
    #[serde(skip)]
    pub cache: CachedKey,
}

impl KeyVersion {
    /// Whether the locator is key material sealed under the domain key, as the software engine's are; those of other
    /// backends name what they hold.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        !self.locator.is_empty() && self.backend == BackendId::soft()
    }

    /// Whether the backend has its parsed form in this process: nobody is asked for its material any more.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.cache.has(crate::os::epoch())
    }

    /// The key check value, empty where there is none. That of a held key is computed only when somebody asks.
    #[must_use]
    pub fn check_value(&self) -> Cow<'_, [u8]> {
        match &self.held.0 {
            Some((_, held)) => Cow::Owned(held.check_value()),
            None => Cow::Borrowed(&self.check_value),
        }
    }
}

/// The public part of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublicComponents {
    /// A secret key has none.
    #[default]
    None,
    /// An RSA public key, big-endian without leading zeros.
    Rsa {
        /// n
        #[serde(with = "serde_bytes")]
        modulus: Vec<u8>,
        /// e
        #[serde(with = "serde_bytes")]
        exponent: Vec<u8>,
    },
    /// A point, encoded as [`Curve::point_len`] describes; empty where only the private scalar is known and the
    /// backend could not compute it.
    Ec {
        /// The curve.
        curve: Curve,
        /// The encoded point.
        #[serde(with = "serde_bytes")]
        point: Vec<u8>,
    },
    /// A Diffie-Hellman public value.
    Dh {
        /// The group.
        group: DhGroup,
        /// y, big-endian without leading zeros.
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
    },
    /// A post-quantum public key.
    Pqc {
        /// The parameter set.
        set: PqcSet,
        /// The encoded key of the standard.
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
    },
}

/// A calendar day (UTC) as eight ASCII digits `YYYYMMDD`, which compare as days do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Date(pub [u8; 8]);

impl Date {
    /// The day of `t`.
    #[must_use]
    pub fn of(t: Timestamp) -> Self {
        let seconds = i64::try_from(t.0 / 1000).unwrap_or(i64::MAX);
        let day = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH).date();
        let text = format!("{:04}{:02}{:02}", day.year(), u8::from(day.month()), day.day());
        Self(text.as_bytes().try_into().unwrap_or(*b"99991231"))
    }

    /// Eight digits that name an existing day.
    ///
    /// # Errors
    /// [`ErrorKind::AttributeValue`] for anything else.
    pub fn parse(digits: &[u8]) -> Result<Self> {
        let bad = || Error::new(ErrorKind::AttributeValue, "a date is eight digits YYYYMMDD");
        let array: [u8; 8] = digits.try_into().map_err(|_| bad())?;
        if !array.iter().all(u8::is_ascii_digit) {
            return Err(bad());
        }
        let number = |range: std::ops::Range<usize>| {
            array.get(range).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse::<u16>().ok())
        };
        let (year, month, day) = (number(0..4), number(4..6), number(6..8));
        let month = month.and_then(|m| u8::try_from(m).ok()).and_then(|m| time::Month::try_from(m).ok());
        let day = day.and_then(|d| u8::try_from(d).ok());
        match (year, month, day) {
            (Some(y), Some(m), Some(d)) if time::Date::from_calendar_date(i32::from(y), m, d).is_ok() => {
                Ok(Self(array))
            }
            _ => Err(bad()),
        }
    }
}

/// A key of this process alone, as its backend holds it in memory: never stored, shared by clones of its object, wiped by the
/// backend's type with the last of them. A forked child inherits it, and is told that it was made elsewhere.
#[derive(Clone, Default)]
pub struct HeldKey(Option<(u32, Arc<dyn Held>)>);

/// What a backend holds of a key.
pub trait Held: Any + Send + Sync {
    /// The key check value (PKCS#11 3.2, CKA_CHECK_VALUE), which anybody may know who sees the key; empty where there is none.
    fn check_value(&self) -> Vec<u8>;
}

impl HeldKey {
    /// Holds `key`, made in fork epoch `epoch`.
    #[must_use]
    pub fn new<T: Held>(epoch: u32, key: Arc<T>) -> Self {
        Self(Some((epoch, key)))
    }

    /// Whether nothing is held: the key is in the locator.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The key, where it is held as a `T`, and the fork epoch in which it was made.
    #[must_use]
    pub fn get<T: Held>(&self) -> Option<(u32, Arc<T>)> {
        let (made, held) = self.0.as_ref()?;
        let held: Arc<dyn Any + Send + Sync> = Arc::<dyn Held>::clone(held);
        Some((*made, held.downcast().ok()?))
    }
}

/// Whether both are the very same key.
impl PartialEq for HeldKey {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some((_, mine)), Some((_, theirs))) => Arc::ptr_eq(mine, theirs),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for HeldKey {}

impl fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldKey(..)")
    }
}

/// The parsed form of a key, kept beside its record so that it lives and dies with it.
///
/// A clone starts empty: a changed record is parsed anew. Never blocks (two threads may both parse; one result stays).
/// One place per fork epoch, so that a forked child parses a record that it inherited once and not for every use;
/// deeper descendants than there are places do without.
#[derive(Default)]
pub struct CachedKey([OnceBox<(u32, Arc<dyn Any + Send + Sync>)>; 3]);

impl CachedKey {
    /// The parsed form of type `T` that was put in during fork epoch `epoch`.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self, epoch: u32) -> Option<&T> {
        let (_, parsed) = self.0.iter().map_while(OnceBox::get).find(|(made, _)| *made == epoch)?;
        parsed.downcast_ref()
    }

    /// Whether something was put in during fork epoch `epoch`.
    #[must_use]
    pub fn has(&self, epoch: u32) -> bool {
        self.0.iter().map_while(OnceBox::get).any(|(made, _)| *made == epoch)
    }

    /// Keeps `parsed`; a no-op where something of this epoch is kept already.
    pub fn put<T: Any + Send + Sync>(&self, epoch: u32, parsed: &Arc<T>) {
        for place in &self.0 {
            let (made, _) = place.get_or_init(|| Box::new((epoch, Arc::clone(parsed) as Arc<dyn Any + Send + Sync>)));
            if *made == epoch {
                return;
            }
        }
    }
}

impl Clone for CachedKey {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for CachedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CachedKey(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_are_days_that_exist() {
        assert!(Date::parse(b"20240229").is_ok());
        for bad in [b"20230229".as_slice(), b"2023022", b"2023-2-1", b"20231301"] {
            assert_eq!(Date::parse(bad).unwrap_err().kind(), ErrorKind::AttributeValue);
        }
        assert_eq!(Date::of(Timestamp(1_709_164_800_000)), Date(*b"20240229"));
        assert!(Date(*b"20240229") < Date(*b"20240301"));
    }

    impl Held for u32 {
        fn check_value(&self) -> Vec<u8> {
            self.to_be_bytes().to_vec()
        }
    }

    impl Held for u64 {
        fn check_value(&self) -> Vec<u8> {
            Vec::new()
        }
    }

    #[test]
    fn a_held_key_is_shared_by_clones_and_tells_where_it_was_made() {
        let held = HeldKey::new(3, Arc::new(42_u32));
        assert_eq!(held.clone().get::<u32>().map(|(made, key)| (made, *key)), Some((3, 42)));
        assert_eq!(held.clone(), held);
        assert_ne!(held, HeldKey::new(3, Arc::new(42_u32)));
        assert!(held.get::<u64>().is_none() && HeldKey::default().is_empty() && !held.is_empty());
        assert_eq!(format!("{held:?}"), "HeldKey(..)");
    }

    #[test]
    fn a_cached_key_is_seen_only_in_the_process_that_parsed_it() {
        let cache = CachedKey::default();
        cache.put(3, &Arc::new(42_u32));
        assert_eq!(cache.get::<u32>(3).copied(), Some(42));
        assert!(cache.get::<u32>(4).is_none());
        // A forked child keeps its own.
        cache.put(4, &Arc::new(43_u32));
        cache.put(4, &Arc::new(44_u32));
        assert_eq!(cache.get::<u32>(3).copied(), Some(42));
        assert_eq!(cache.get::<u32>(4).copied(), Some(43));
        assert!(cache.clone().get::<u32>(3).is_none());
    }
}
