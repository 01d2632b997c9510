//! Items: what the plaintext of an archive is made of.
//!
//! ```text
//! kind (1) ‖ length of the place (2) ‖ place ‖ length of the content (4) ‖ content
//! ```
//! Of two items with one place the later counts: what others changed while the archive was written comes once more.

use zeroize::Zeroizing;

use super::{ArchiveReader, ArchiveWriter, damaged};
use crate::error::{Error, ErrorKind, Result};
use crate::store::StoreKey;

/// Longest content in bytes: a policy bundle is the largest that there is.
const LONGEST: usize = 16 << 20;

/// What an item holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// What the archive is; the first item (CBOR).
    Manifest,
    /// The record of a namespace (CBOR).
    Namespace,
    /// The domain key of a namespace, all versions, unwrapped.
    Domain,
    /// The private domain key of a namespace without PINs, unwrapped.
    Open,
    /// A credential whose key is under its PIN still, unwrapped beyond that (CBOR).
    Credential,
    /// An entry of the store that stays as it is: objects, index entries and names, under the keys of their namespace.
    Entry,
    /// A record under the domain key of the home, opened: tombstones.
    Home,
    /// A random token and the ciphertext that it stands for (CBOR).
    Vaulted,
    /// A policy in force (CBOR).
    Policy,
    /// What is no longer at this place.
    Removed,
    /// A rule on what is made (CBOR).
    Rule,
    /// How many uses or bytes of a key are counted (8 bytes, big-endian).
    Counted,
    /// The last item (CBOR).
    End,
}

impl ItemKind {
    const ALL: [(u8, Self); 13] = [
        (1, Self::Manifest),
        (2, Self::Namespace),
        (3, Self::Domain),
        (4, Self::Open),
        (5, Self::Credential),
        (6, Self::Entry),
        (7, Self::Home),
        (8, Self::Vaulted),
        (9, Self::Policy),
        (10, Self::Removed),
        (11, Self::Rule),
        (12, Self::Counted),
        (255, Self::End),
    ];

    fn code(self) -> u8 {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or(0, |(code, _)| *code)
    }

    fn of(code: u8) -> Result<Self> {
        let kind = Self::ALL.iter().find(|(known, _)| *known == code).map(|(_, kind)| *kind);
        kind.ok_or_else(|| damaged("it has an item of an unknown kind"))
    }

    /// Whether its place is one of the store.
    const fn has_place(self) -> bool {
        !matches!(self, Self::Manifest | Self::Policy | Self::Rule | Self::End)
    }
}

/// One item.
pub struct Item {
    /// What it holds.
    pub kind: ItemKind,
    /// Where it was in the store; empty where it has no place there.
    pub place: String,
    /// The content.
    pub content: Zeroizing<Vec<u8>>,
}

impl Item {
    /// An item without a place, of an encoded value.
    pub(crate) fn of<T: serde::Serialize>(kind: ItemKind, place: &str, value: &T) -> Result<Self> {
        let mut content = Zeroizing::new(Vec::with_capacity(1024));
        ciborium::into_writer(value, &mut *content)
            .map_err(|e| Error::new(ErrorKind::Internal, "an item cannot be encoded").with_source(e.to_string()))?;
        Ok(Self { kind, place: place.to_owned(), content })
    }

    /// An item of bytes as they are.
    pub(crate) fn bytes(kind: ItemKind, place: &StoreKey, content: Zeroizing<Vec<u8>>) -> Self {
        Self { kind, place: place.as_str().to_owned(), content }
    }

    /// The content, decoded (CBOR, RFC 8949).
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`].
    pub fn value<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        let mut rest = self.content.as_slice();
        // The cause would quote what it holds.
        let value = ciborium::from_reader(&mut rest).map_err(|_| damaged("an item cannot be read"))?;
        if rest.is_empty() { Ok(value) } else { Err(damaged("an item cannot be read")) }
    }

    /// Its place in the store.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where that is none.
    pub fn key(&self) -> Result<StoreKey> {
        StoreKey::new(self.place.as_str()).map_err(|_| damaged("an item has an impossible place"))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of writing.
    pub fn put(&self, to: &mut ArchiveWriter<'_>) -> Result<()> {
        let wrong = || Error::new(ErrorKind::DataLength, "an item is too long for an archive");
        let place = u16::try_from(self.place.len()).map_err(|_| wrong())?;
        let len = u32::try_from(self.content.len()).map_err(|_| wrong())?;
        if self.content.len() > LONGEST {
            return Err(wrong());
        }
        to.put(&[self.kind.code()])?;
        to.put(&place.to_be_bytes())?;
        to.put(self.place.as_bytes())?;
        to.put(&len.to_be_bytes())?;
        to.put(&self.content)
    }
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item").field("kind", &self.kind).field("place", &self.place).finish_non_exhaustive()
    }
}

/// The items of an archive, one by one; the end is one of them, and nothing follows it.
pub struct Items<'a> {
    reader: ArchiveReader<'a>,
    ended: bool,
}

impl<'a> Items<'a> {
    /// Those that `reader` reads.
    #[must_use]
    pub const fn of(reader: ArchiveReader<'a>) -> Self {
        Self { reader, ended: false }
    }

    /// The next item; `None` after the end.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of reading.
    pub fn read(&mut self) -> Result<Option<Item>> {
        let mut start = [0; 3];
        if !self.reader.fill(&mut start)? {
            return if self.ended { Ok(None) } else { Err(damaged("its end is missing")) };
        }
        let [kind, a, b] = start;
        let kind = ItemKind::of(kind)?;
        if self.ended {
            return Err(damaged("something follows its end"));
        }
        let mut place = vec![0; usize::from(u16::from_be_bytes([a, b]))];
        if place.len() > StoreKey::MAX_LEN || place.is_empty() == kind.has_place() {
            return Err(damaged("an item has an impossible place"));
        }
        let whole = |filled: bool| if filled { Ok(()) } else { Err(damaged("its last item is not whole")) };
        whole(place.is_empty() || self.reader.fill(&mut place)?)?;
        let place = String::from_utf8(place).map_err(|_| damaged("an item has an impossible place"))?;
        let mut len = [0; 4];
        whole(self.reader.fill(&mut len)?)?;
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if len > LONGEST {
            return Err(damaged("an item is too long"));
        }
        let mut content = Zeroizing::new(vec![0; len]);
        whole(content.is_empty() || self.reader.fill(&mut content)?)?;
        self.ended = kind == ItemKind::End;
        Ok(Some(Item { kind, place, content }))
    }
}
