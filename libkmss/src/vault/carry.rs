//! Random tokens on their way to another home. Terms are MACs of the home, so that those of tokens are made anew there. Nobody has
//! the values: what finds the token of a value there is its mark, which a key of the namespace makes in every home. A token without
//! one stands for its value, and the value gets another.

use super::{Held, Shelf, VAULT, Vault};
use crate::backup::{Item, ItemKind};
use crate::error::{Error, ErrorKind, Result};
use crate::sealed;
use crate::store::{Op, StoreKey};
use crate::suite::HASH_LEN;
use crate::tenant::{Namespace, ObjectId};

impl Vault {
    /// Where the tokens of `namespace` are.
    pub(crate) fn belongings(namespace: &Namespace) -> String {
        format!("{VAULT}{}/{}/", namespace.id, namespace.incarnation)
    }

    /// What to carry of the record `value` at `key`; `None` of what is made anew. `is_there` says whether a version of a key was not
    /// destroyed.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`]; those of `is_there`.
    pub(crate) fn pack(
        &self,
        key: &StoreKey,
        value: &[u8],
        is_there: impl FnOnce(ObjectId) -> Result<bool>,
    ) -> Result<Option<Item>> {
        if !key.as_str().contains("/token/") {
            return Ok(None);
        }
        let mut held: Held = sealed::open_value(&self.home, key, value)?;
        held.back = String::new();
        if !is_there(held.by)? {
            // With the key went the value: nobody shall try which it was.
            held.mark = String::new();
        }
        Item::of(ItemKind::Vaulted, key.as_str(), &held).map(Some)
    }

    /// What writes a token of `namespace`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] for what has no place here.
    pub(crate) fn unpack(&self, namespace: &Namespace, item: &Item) -> Result<Vec<Op>> {
        let foreign = || Error::new(ErrorKind::Damaged, "the archive cannot be trusted: a token is not what it says");
        let rest = item.place.strip_prefix(&Self::belongings(namespace)).ok_or_else(foreign)?;
        let (key, _) = rest.split_once("/token/").ok_or_else(foreign)?;
        let shelf = Shelf::at(namespace, key.parse().map_err(|_| foreign())?);
        let mut held: Held = item.value()?;
        held.back = String::new();
        let term = self.term(&shelf, "token", &held.format, held.token.as_bytes())?;
        let mut ops = vec![self.sealed(shelf.path("token", &term)?, &held)?];
        if !held.mark.is_empty() {
            let is_term = held.mark.len() == 2 * HASH_LEN && held.mark.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_term.then_some(()).ok_or_else(foreign)?;
            ops.push(self.sealed(shelf.path("mark", &held.mark)?, &term)?);
        }
        if let Some(end) = held.expires {
            ops.push(self.sealed(shelf.path("end", &format!("{end:016x}/{term}"))?, &term)?);
        }
        Ok(ops)
    }
}
