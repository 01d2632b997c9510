//! Random tokens on their way to another home. Terms are MACs of the home, so that they are made anew there; which token a value
//! has cannot be, since nobody has the values: a value that is tokenized again in the other home gets another token, and both
//! stand for it.

use super::{Held, Shelf, VAULT, Vault};
use crate::backup::{Item, ItemKind};
use crate::error::{Error, ErrorKind, Result};
use crate::sealed;
use crate::store::{Op, StoreKey};
use crate::tenant::Namespace;

impl Vault {
    /// Where the tokens of `namespace` are.
    pub(crate) fn belongings(namespace: &Namespace) -> String {
        format!("{VAULT}{}/{}/", namespace.id, namespace.incarnation)
    }

    /// What to carry of the record `value` at `key`; `None` of what is made anew.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`].
    pub(crate) fn pack(&self, key: &StoreKey, value: &[u8]) -> Result<Option<Item>> {
        if !key.as_str().contains("/token/") {
            return Ok(None);
        }
        let held: Held = sealed::open_value(&self.home, key, value)?;
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
        if let Some(end) = held.expires {
            ops.push(self.sealed(shelf.path("end", &format!("{end:016x}/{term}"))?, &term)?);
        }
        Ok(ops)
    }
}
