//! The epochs of a tenant: how many archives of it there are, and the least that this home still takes.
//!
//! ```text
//! backup/<term>   epochs of a tenant; the term is a MAC of its name, the record is sealed under the domain key of the home
//! ```

use serde::{Deserialize, Serialize};

use super::{ATTEMPTS, Kms};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Op, Revision, StoreKey};
use crate::tenant::push_hex;

/// What a home knows of the archives of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epochs {
    /// The highest that was given to an archive here, or restored here.
    pub newest: u64,
    /// Archives of a lower one are not restored.
    pub least: u64,
}

impl Kms {
    /// The epochs of `tenant`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn backup_epochs(&self, tenant: &str) -> Result<Epochs> {
        Ok(self.epochs(tenant)?.2)
    }

    /// Has this home take no archive of `tenant` any more whose epoch is below `least`, from now on. It only grows.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for whoever may not restore; [`ErrorKind::Arguments`] for an epoch that no archive had yet, other
    /// than the next; those of the store.
    pub fn retire_backups(&self, caller: &Caller, tenant: &str, least: u64) -> Result<Epochs> {
        let tags = vec![format!("backup retire {}", tenant.escape_debug()), format!("least epoch {least}")];
        self.pipeline.around_tagged(Some(caller), Action::ChangeState, tags, || {
            self.may_carry(caller)?;
            if least > self.backup_epochs(tenant)?.newest.saturating_add(1) {
                let why = "no archive has this epoch yet: name one of an archive, or the one after the newest";
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            self.change_epochs(tenant, &|epochs| epochs.least = epochs.least.max(least))
        })
    }

    /// The epoch of the next archive of `tenant`.
    pub(super) fn next_epoch(&self, tenant: &str) -> Result<u64> {
        let next = self.change_epochs(tenant, &|epochs| {
            epochs.newest = epochs.newest.max(epochs.least.saturating_sub(1)).saturating_add(1);
        })?;
        Ok(next.newest)
    }

    /// Takes in that an archive of `epoch` was restored: nothing older is, from now on.
    pub(super) fn reach_epoch(&self, tenant: &str, epoch: u64) -> Result<()> {
        let known = self.backup_epochs(tenant)?;
        if known.newest >= epoch && known.least >= epoch {
            return Ok(());
        }
        self.change_epochs(tenant, &|epochs| {
            (epochs.newest, epochs.least) = (epochs.newest.max(epoch), epochs.least.max(epoch));
        })
        .map(drop)
    }

    fn change_epochs(&self, tenant: &str, f: &dyn Fn(&mut Epochs)) -> Result<Epochs> {
        for _ in 0..ATTEMPTS {
            let (path, seen, mut epochs) = self.epochs(tenant)?;
            f(&mut epochs);
            let record = sealed::seal_value(&self.home_key, self.random.as_ref(), &path, &epochs)?;
            let condition = match seen {
                Some(seen) => Condition::Version(path.clone(), seen),
                None => Condition::Absent(path.clone()),
            };
            let batch = Batch { conditions: vec![condition], ops: vec![Op::Put(path, record)], invalidates: false };
            if let Commit::Committed(_) = self.store.commit(&batch)? {
                return Ok(epochs);
            }
        }
        Err(Error::new(ErrorKind::Busy, "others back the tenant up all the time: try again"))
    }

    fn epochs(&self, tenant: &str) -> Result<(StoreKey, Option<Revision>, Epochs)> {
        let mut path = "backup/".to_owned();
        push_hex(&mut path, &self.home_key.index_term("backup tenant", tenant.as_bytes())?);
        let path = StoreKey::new(path)?;
        let Some(entry) = self.store.get(&path)? else { return Ok((path, None, Epochs::default())) };
        let epochs = sealed::open_value(&self.home_key, &path, &entry.value)?;
        Ok((path, Some(entry.version), epochs))
    }
}
