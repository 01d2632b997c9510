//! What is counted of keys that are rotated after so many uses or bytes, on its way to another home: as it stands in the store, with
//! what processes have leased. So a key counts no less there than it did.

use super::book::Book;
use super::meter::{Counter, folder_of_keys, key_path};
use super::rule::Kind;
use crate::backup::{Item, ItemKind};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Op, StoreKey};
use crate::tenant::{NamespaceId, ObjectId};

/// What is counted of keys; the rest is counted of a day, or of quotas.
const KINDS: [Kind; 2] = [Kind::Total, Kind::BytesTotal];

impl Book {
    /// Where is what is counted of the keys of `namespace`.
    pub(crate) fn belongings(namespace: NamespaceId) -> String {
        folder_of_keys(namespace)
    }

    /// What to carry of the record `value` at `key`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`].
    pub(crate) fn pack(&self, key: &StoreKey, value: &[u8]) -> Result<Item> {
        let used = self.open_counter(key, value)?.used;
        Ok(Item::bytes(ItemKind::Counted, key, used.to_be_bytes().to_vec().into()))
    }

    /// What writes what is counted of a key of `namespace`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] for what has no place here.
    pub(crate) fn unpack(&self, namespace: NamespaceId, item: &Item) -> Result<Op> {
        let foreign = || Error::new(ErrorKind::Damaged, "the archive cannot be trusted: a count is not what it says");
        let key = item.place.strip_prefix(&Self::belongings(namespace)).and_then(|rest| rest.split('/').next());
        let key: ObjectId = key.and_then(|key| key.parse().ok()).ok_or_else(foreign)?;
        if !KINDS.into_iter().any(|kind| key_path(namespace, key, kind) == item.place) {
            return Err(foreign());
        }
        let used = u64::from_be_bytes(item.content.as_slice().try_into().map_err(|_| foreign())?);
        let place = item.key()?;
        let value = self.seal_counter(&place, &Counter { used, ..Counter::default() })?;
        Ok(Op::Put(place, value))
    }
}
