//! The vault: random tokens and what they stand for, in the store of a home.
//!
//! ```text
//! vault/<namespace>/<incarnation>/<key>/token/<term>   a token, its value as ciphertext, under which version, and when it expires
//! vault/<namespace>/<incarnation>/<key>/value/<term>   the term of the token that a value has
//! vault/<namespace>/<incarnation>/<key>/mark/<mark>     the same of a token that came from another home, by its mark
//! vault/<namespace>/<incarnation>/<key>/end/<time>/<term>   tokens in the order in which they expire
//! ```
//! Terms are MACs under the home's domain key, and records are sealed under it to their places: whoever has the store learns
//! neither tokens nor values, and cannot move one to the other. Marks are MACs of values under the domain key that the key of the
//! tokens lies under: that goes along to another home, where the home's is another one. The value is ciphertext under the key of
//! the tokens besides: with the key go all values. `<key>` is the first version of a key: the tokens of all versions are on one
//! shelf, so that no token stands for two values and no value has two tokens whichever of them made it.

mod carry;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_bytes::ByteBuf;
use zeroize::{Zeroize as _, Zeroizing};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::{DomainKey, Object};
use crate::random::Random;
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Entry, Op, Revision, Store, StoreKey};
use crate::tenant::{Namespace, ObjectId, push_hex};

/// Everything of the vault.
const VAULT: &str = "vault/";
/// Expired tokens that a new one clears away.
const CLEARED: usize = 4;

/// Tokens and their values.
pub struct Vault {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    home: Arc<DomainKey>,
}

/// The tokens of one key, of all its versions.
#[derive(Clone, Debug)]
pub struct Shelf {
    root: String,
}

impl Shelf {
    /// Those of the key of which `object` is a version, in `namespace`.
    #[must_use]
    pub fn of(namespace: &Namespace, object: &Object) -> Self {
        Self::at(namespace, object.key().and_then(|key| key.lifecycle.line).unwrap_or(object.id))
    }

    /// Those of the key whose first version is `line`.
    fn at(namespace: &Namespace, line: ObjectId) -> Self {
        Self { root: format!("{VAULT}{}/{}/{line}/", namespace.id, namespace.incarnation) }
    }

    fn path(&self, kind: &str, term: &str) -> Result<StoreKey> {
        StoreKey::new(format!("{}{kind}/{term}", self.root))
    }
}

/// A token and what it stands for.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Held {
    /// The format that both have, as it is written.
    pub format: String,
    /// The token.
    pub token: String,
    /// The value, as ciphertext under the key.
    pub value: ByteBuf,
    /// The version of the key that sealed the value.
    pub by: ObjectId,
    /// When it stands for nothing any more, in milliseconds since the epoch; `None` for never.
    pub expires: Option<u64>,
    /// Where the value leads here; empty where it leads by its mark.
    back: String,
    /// What finds the token of the value in another home; empty where nothing may.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    mark: String,
}

/// A value that is looked for.
#[derive(Clone, Copy)]
pub struct Sought<'a> {
    /// The value.
    pub value: &'a [u8],
    /// Its mark ([`Vault::mark`]); empty where it has none.
    pub mark: &'a str,
}

impl Held {
    /// A token of `format`, with its value as ciphertext under the version `by`.
    #[must_use]
    pub fn new(format: String, token: String, (value, by): (Vec<u8>, ObjectId), expires: Option<Timestamp>) -> Self {
        let (value, expires) = (ByteBuf::from(value), expires.map(|time| time.0));
        Self { format, token, value, by, expires, back: String::new(), mark: String::new() }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now.0)
    }

    /// Whether both are one token for one value.
    fn is_as(&self, other: &Self) -> bool {
        (self.by, &self.value) == (other.by, &other.value)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

impl Vault {
    /// The vault in `store`; `home` seals its records.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, random: Arc<dyn Random>, home: Arc<DomainKey>) -> Self {
        Self { store, random, home }
    }

    /// What `token` of `format` stands for.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged) and those of the store.
    pub fn by_token(&self, shelf: &Shelf, format: &str, token: &str, now: Timestamp) -> Result<Option<Held>> {
        let path = shelf.path("token", &self.term(shelf, "token", format, token.as_bytes())?)?;
        Ok(self.held(&path)?.map(|(held, _)| held).filter(|held| !held.is_over(now)))
    }

    /// The mark of `value` in `format` under `domain`, the domain key that the key of the tokens lies under: whoever has that may
    /// compare values with it, and nobody else.
    ///
    /// # Errors
    /// Those of the MAC.
    pub fn mark(domain: &DomainKey, shelf: &Shelf, format: &str, value: &[u8]) -> Result<String> {
        term_under(domain, shelf, "mark", format, value)
    }

    /// The token that a value has in `format`.
    ///
    /// # Errors
    /// As [`Self::by_token`].
    pub fn by_value(&self, shelf: &Shelf, format: &str, sought: Sought<'_>, now: Timestamp) -> Result<Option<Held>> {
        let back = self.term(shelf, "value", format, sought.value)?;
        let led = self.led(shelf, &shelf.path("value", &back)?)?;
        // The token may have been given to another value by now.
        let led = led.filter(|held| held.back == back && !held.is_over(now));
        if led.is_some() || sought.mark.is_empty() {
            return Ok(led);
        }
        let led = self.led(shelf, &shelf.path("mark", sought.mark)?)?;
        Ok(led.filter(|held| held.mark == sought.mark && !held.is_over(now)))
    }

    /// The token to which what is at `path` leads.
    fn led(&self, shelf: &Shelf, path: &StoreKey) -> Result<Option<Held>> {
        let Some(entry) = self.store.get(path)? else { return Ok(None) };
        let term: String = sealed::open_value(&self.home, path, &entry.value)?;
        Ok(self.held(&shelf.path("token", &term)?)?.map(|(held, _)| held))
    }

    /// Gives a token that is there the mark of its value, where it has none yet: it was made before there were marks.
    ///
    /// # Errors
    /// As [`Self::by_token`].
    pub fn remark(&self, shelf: &Shelf, held: &Held, mark: &str) -> Result<()> {
        if mark.is_empty() || !held.mark.is_empty() {
            return Ok(());
        }
        let path = shelf.path("token", &self.term(shelf, "token", &held.format, held.token.as_bytes())?)?;
        let Some((there, entry)) = self.held(&path)?.filter(|(there, _)| there.is_as(held)) else { return Ok(()) };
        let mut marked = there;
        marked.mark = mark.to_owned();
        let conditions = vec![Condition::Version(path.clone(), entry.version)];
        let batch = Batch { conditions, ops: vec![self.sealed(path, &marked)?], invalidates: false };
        // Who was faster has seen to it.
        let (Commit::Committed(_) | Commit::Conflict) = self.store.commit(&batch)?;
        Ok(())
    }

    /// Keeps a token for `value`, unless the token stands for something already, or the value got one meanwhile: `false` then.
    ///
    /// # Errors
    /// As [`Self::by_token`].
    pub fn put(&self, shelf: &Shelf, mut held: Held, sought: Sought<'_>, now: Timestamp) -> Result<bool> {
        let term = self.term(shelf, "token", &held.format, held.token.as_bytes())?;
        let back = self.term(shelf, "value", &held.format, sought.value)?;
        let (token, value) = (shelf.path("token", &term)?, shelf.path("value", &back)?);
        let there = self.held(&token)?;
        if there.as_ref().is_some_and(|(held, _)| !held.is_over(now)) {
            return Ok(false);
        }
        // A value whose token expired has a place still.
        let former = self.store.get(&value)?;
        let seen = |path: &StoreKey, entry: Option<&Entry>| match entry {
            Some(entry) => Condition::Version(path.clone(), entry.version),
            None => Condition::Absent(path.clone()),
        };
        let conditions = vec![seen(&token, there.as_ref().map(|(_, entry)| entry)), seen(&value, former.as_ref())];
        if let Some(entry) = &former {
            let term: String = sealed::open_value(&self.home, &value, &entry.value)?;
            let former = self.held(&shelf.path("token", &term)?)?;
            if former.is_some_and(|(held, _)| held.back == back && !held.is_over(now)) {
                return Ok(false);
            }
        }
        (held.back, held.mark) = (back, sought.mark.to_owned());
        let mut own = Batch { conditions, ops: vec![self.sealed(token, &held)?], invalidates: false };
        own.ops.push(self.sealed(value, &term)?);
        if let Some(end) = held.expires {
            own.ops.push(self.sealed(shelf.path("end", &format!("{end:016x}/{term}"))?, &term)?);
        }
        let mut both = self.clearing(shelf, now)?;
        if !both.ops.is_empty() {
            both.conditions.extend_from_slice(&own.conditions);
            both.ops.extend_from_slice(&own.ops);
            if let Commit::Committed(_) = self.store.commit(&both)? {
                return Ok(true);
            }
            // Where somebody else clears the same, or one of them was given out anew, it is left to them.
        }
        Ok(matches!(self.store.commit(&own)?, Commit::Committed(_)))
    }

    /// Takes away a token whose value nobody can open any more, unless it is another one by now.
    ///
    /// # Errors
    /// As [`Self::by_token`].
    pub fn forget(&self, shelf: &Shelf, lost: &Held) -> Result<()> {
        let term = self.term(shelf, "token", &lost.format, lost.token.as_bytes())?;
        let token = shelf.path("token", &term)?;
        let Some((held, there)) = self.held(&token)?.filter(|(held, _)| held.is_as(lost)) else { return Ok(()) };
        let mut batch = Batch::default();
        for (path, version) in self.leading(shelf, &held, &term)? {
            batch.conditions.push(Condition::Version(path.clone(), version));
            batch.ops.push(Op::Delete(path));
        }
        batch.conditions.push(Condition::Version(token.clone(), there.version));
        batch.ops.push(Op::Delete(token));
        // Who was faster has seen to it.
        let (Commit::Committed(_) | Commit::Conflict) = self.store.commit(&batch)?;
        Ok(())
    }

    /// What removes some tokens that are over, with their values, as long as they are what they were when they were read.
    fn clearing(&self, shelf: &Shelf, now: Timestamp) -> Result<Batch> {
        let mut batch = Batch::default();
        let mut clear = |path: StoreKey, version: Revision| {
            batch.conditions.push(Condition::Version(path.clone(), version));
            batch.ops.push(Op::Delete(path));
        };
        for (path, entry) in self.store.scan(&format!("{}end/", shelf.root), None, CLEARED)? {
            let ended = path.as_str().strip_prefix(&format!("{}end/", shelf.root)).and_then(|rest| rest.get(..16));
            if ended.and_then(|time| u64::from_str_radix(time, 16).ok()).is_none_or(|end| end > now.0) {
                break;
            }
            let term: String = sealed::open_value(&self.home, &path, &entry.value)?;
            let token = shelf.path("token", &term)?;
            // The place may belong to another token by now.
            if let Some((held, there)) = self.held(&token)?
                && held.is_over(now)
            {
                self.leading(shelf, &held, &term)?.into_iter().for_each(|(path, version)| clear(path, version));
                clear(token, there.version);
            }
            clear(path, entry.version);
        }
        Ok(batch)
    }

    /// What leads from the value of a token, which is at `term`, to it.
    fn leading(&self, shelf: &Shelf, held: &Held, term: &str) -> Result<Vec<(StoreKey, Revision)>> {
        let mut leading = Vec::new();
        for (kind, from) in [("value", &held.back), ("mark", &held.mark)] {
            if from.is_empty() {
                continue;
            }
            let path = shelf.path(kind, from)?;
            if let Some(entry) = self.store.get(&path)?
                && sealed::open_value::<String>(&self.home, &path, &entry.value)? == term
            {
                leading.push((path, entry.version));
            }
        }
        Ok(leading)
    }

    fn held(&self, path: &StoreKey) -> Result<Option<(Held, Entry)>> {
        let Some(entry) = self.store.get(path)? else { return Ok(None) };
        let held = sealed::open_value(&self.home, path, &entry.value)?;
        Ok(Some((held, entry)))
    }

    fn sealed<T: serde::Serialize>(&self, path: StoreKey, content: &T) -> Result<Op> {
        let record = sealed::seal_value(&self.home, self.random.as_ref(), &path, content)?;
        Ok(Op::Put(path, record))
    }

    /// What stands for `text` of `format` in a path.
    fn term(&self, shelf: &Shelf, index: &str, format: &str, text: &[u8]) -> Result<String> {
        term_under(&self.home, shelf, index, format, text)
    }
}

fn term_under(key: &DomainKey, shelf: &Shelf, index: &str, format: &str, text: &[u8]) -> Result<String> {
    let what = Zeroizing::new([shelf.root.as_bytes(), &[0], format.as_bytes(), &[0], text].concat());
    let mac = key.index_term(&format!("vault {index}"), &what)?;
    let mut term = String::with_capacity(2 * mac.len());
    push_hex(&mut term, &mac);
    Ok(term)
}
