//! Wrapping anew what another root key wrapped. No PIN is needed: what it opens lies inside, as it is.

use super::credential::{self, Record};
use super::domain::Domain;
use super::{PinAuthenticator, open};
use crate::error::Result;
use crate::store::{Batch, Commit, Condition, Entry, Op, StoreKey};
use crate::tenant::Namespace;

/// Before what the seal wrapped, in records that say so.
const HEAD: usize = 5;

impl PinAuthenticator {
    /// Wraps anew everything of `namespace` that another root key than the present one wrapped; how many records. Some may
    /// have been changed by others meanwhile: it is done when there are none.
    ///
    /// # Errors
    /// Those of the store and the seal.
    pub fn reseal(&self, namespace: &Namespace) -> Result<u64> {
        let domain = self.domain(namespace)?;
        let mut count = 0;
        // First, so that whoever wraps a credential under the old root key meets a domain that moved.
        if let Some(entry) = self.store.get(&domain.site.key)?
            && self.is_behind(&entry)?
        {
            let record = domain.site.encode(self.seal.as_ref(), &domain.versions)?;
            count += 1;
            let _ = self.put_again(&domain.site.key, (domain.revision, record))?;
        }
        let place = open::key(namespace, &domain)?;
        if let Some(entry) = self.store.get(&place)?
            && self.is_behind(&entry)?
        {
            let private = open::open(self.seal.as_ref(), namespace, &entry.value)?;
            count += 1;
            let _ = self.put_again(&place, (entry.version, open::seal(self.seal.as_ref(), namespace, &private)?))?;
        }
        for (key, entry) in self.store.scan_all(&credential::prefix(namespace, &domain))? {
            if crate::domain::named(&key, &entry.value).is_some() {
                count += u64::from(self.reseal_credential(namespace, &domain, (&key, &entry))?);
            }
        }
        Ok(count)
    }

    fn reseal_credential(&self, namespace: &Namespace, domain: &Domain, at: (&StoreKey, &Entry)) -> Result<bool> {
        let (key, entry) = at;
        let mut record = Record::open(&domain.public, key, &entry.value)?;
        if !record.rewrap(&self.tools(namespace))? {
            return Ok(false);
        }
        let value = record.seal(&domain.public, self.random.as_ref(), key)?;
        let _ = self.put_again(key, (entry.version, value))?;
        Ok(true)
    }

    fn is_behind(&self, entry: &Entry) -> Result<bool> {
        // The record of a domain's first format has its version in between.
        let wrapped = entry.value.get(HEAD..).filter(|rest| crate::seal::marker(rest).is_some());
        let Some(wrapped) = wrapped else { return Ok(true) };
        Ok(!self.seal.wraps_like(wrapped)?)
    }

    fn put_again(&self, key: &StoreKey, (seen, value): (crate::store::Revision, Vec<u8>)) -> Result<Commit> {
        self.store.commit(&Batch {
            conditions: vec![Condition::Version(key.clone(), seen)],
            ops: vec![Op::Put(key.clone(), value)],
            invalidates: false,
        })
    }
}
