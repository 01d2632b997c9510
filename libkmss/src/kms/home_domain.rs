//! The domain key of the home itself, which seals the records of namespaces, policies, quotas and the audit's seal.

use std::sync::Arc;

use super::ATTEMPTS;
use crate::clock::Timestamp;
use crate::domain::{Site, Surroundings, Versions};
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::random::Random;
use crate::seal::Seal;
use crate::store::{Batch, Commit, Condition, Op, Revision, Store};

/// The home's own domain key; made by whoever comes first.
pub(super) fn settle(
    store: &Arc<dyn Store>,
    seal: &Arc<dyn Seal>,
    random: &dyn Random,
    now: Timestamp,
) -> Result<Arc<DomainKey>> {
    let site = Site::home()?;
    for _ in 0..ATTEMPTS {
        let generation = store.generation();
        if let Some((versions, _)) = read(store.as_ref(), seal.as_ref(), &site)? {
            return Surroundings { store, seal, devices: &Arc::default() }
                .key(&site, None, (generation, &versions))
                .map(Arc::new);
        }
        let versions = Versions::fresh(&site, seal.suite(), random, (None, now), None)?;
        let batch = Batch {
            conditions: vec![Condition::Absent(site.key.clone())],
            ops: vec![Op::Put(site.key.clone(), site.encode(seal.as_ref(), &versions)?)],
            invalidates: false,
        };
        // Whoever was faster, theirs is the one that counts.
        let _ = store.commit(&batch)?;
    }
    Err(Error::new(ErrorKind::Busy, "the home's domain key could not be settled with other processes"))
}

/// The home's record and when it was written.
pub(super) fn read(store: &dyn Store, seal: &dyn Seal, site: &Site) -> Result<Option<(Versions, Revision)>> {
    let Some(entry) = store.get(&site.key)? else { return Ok(None) };
    Ok(Some((site.decode(seal, &entry.value)?, entry.version)))
}

/// Changes the home's versions.
pub(super) fn change(
    store: &dyn Store,
    seal: &dyn Seal,
    f: &mut dyn FnMut(&Site, &mut Versions) -> Result<()>,
) -> Result<()> {
    let site = Site::home()?;
    for _ in 0..ATTEMPTS {
        let gone = || Error::new(ErrorKind::Damaged, "the home's domain key is gone");
        let (mut versions, seen) = read(store, seal, &site)?.ok_or_else(gone)?;
        f(&site, &mut versions)?;
        let batch = Batch {
            conditions: vec![Condition::Version(site.key.clone(), seen)],
            ops: vec![Op::Put(site.key.clone(), site.encode(seal, &versions)?)],
            invalidates: true,
        };
        if let Commit::Committed(_) = store.commit(&batch)? {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Busy, "others change the home's domain key all the time: try again"))
}
