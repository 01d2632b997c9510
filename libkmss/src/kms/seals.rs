//! The seal of the home: who holds the root key, and from one to another.

use serde::Serialize;

use super::{Kms, home_domain};
use crate::domain::{Site, fence};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::seal::{Holding, RootInfo, SealStatus};
use crate::store::{Batch, Commit, Condition, Op, StoreKey};

/// Walks after which a home that others change all the time is left for another day.
const WALKS: u32 = 64;

/// What a migration came to.
#[derive(Clone, Debug, Serialize)]
pub struct SealReport {
    /// The root key now.
    pub root: Option<RootInfo>,
    /// Records that were wrapped anew.
    pub records: u64,
    /// Whether a migration was finished that somebody else had begun.
    pub resumed: bool,
    /// The label of the old root key's key in the HSM, where it could not be destroyed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_in_device: Option<String>,
}

impl Kms {
    /// Who holds the root key, and whether a migration is under way.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`].
    pub fn seal_status(&self) -> Result<SealStatus> {
        self.root_seal.status()
    }

    /// Gives the home a new root key, held as `to` says: wraps anew what the old one wrapped, and erases that. May be stopped
    /// at any point and begun again; the home opens at every one, and processes that have it open go on.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where a migration to another holder is under way, [`ErrorKind::BackendUnavailable`] where
    /// the device is not there, [`ErrorKind::Busy`] while another process migrates.
    pub fn migrate_seal(&self, to: &Holding, progress: &mut dyn FnMut(u64)) -> Result<SealReport> {
        let name = match to {
            Holding::File => "file".to_owned(),
            Holding::Hsm(name) => format!("hsm:{name}"),
        };
        let _alone = self.root_seal.alone()?;
        let begun = vec![format!("seal migrate to {name}: begun")];
        let resumed = self.pipeline.around_tagged(None, Action::Manage, begun, || self.root_seal.begin(to))?;
        let mut records = 0;
        self.wrap_all(&mut records, progress)?;
        if let Some(marker) = self.root_seal.former_marker()? {
            // From here on nothing is committed that the old root key wrapped, whoever did so before.
            let batch = Batch { ops: vec![Op::Put(marker, Vec::new())], invalidates: true, ..Batch::default() };
            let _ = self.store.commit(&batch)?;
            self.wrap_all(&mut records, progress)?;
        }
        let left_in_device = self.root_seal.finish()?;
        let root = self.root_seal.status()?.root;
        let id = root.as_ref().map(|root| root.key_id.clone()).unwrap_or_default();
        let ended = vec![
            format!("seal migrate to {name}: ended"),
            format!("records wrapped: {records}"),
            format!("root key: {id}"),
        ];
        self.pipeline.around_tagged(None, Action::Manage, ended, || Ok(()))?;
        Ok(SealReport { root, records, resumed, left_in_device })
    }

    /// Gives a migration up that has wrapped nothing yet: erases the next root key. Returns its label in the HSM where it could
    /// not be destroyed there.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where none is under way, [`ErrorKind::Conflict`] where something is wrapped by the next root
    /// key, [`ErrorKind::Busy`] while another process migrates.
    pub fn abandon_seal(&self) -> Result<Option<String>> {
        let _alone = self.root_seal.alone()?;
        let none = || Error::new(ErrorKind::Arguments, "no migration of the seal is under way");
        let marker = self.root_seal.next_marker()?.ok_or_else(none)?;
        self.pipeline.around_tagged(None, Action::Manage, vec!["seal migrate: given up".to_owned()], || {
            // From here on nothing is committed that the next root key wrapped.
            let fenced = Batch { ops: vec![Op::Put(marker.clone(), Vec::new())], ..Batch::default() };
            let _ = self.store.commit(&fenced)?;
            if self.is_wrapped_by(&marker)? {
                let lifted = Batch { ops: vec![Op::Delete(marker.clone())], ..Batch::default() };
                let _ = self.store.commit(&lifted)?;
                let why = "records are wrapped by the next root key already: finish the migration";
                return Err(Error::new(ErrorKind::Conflict, why));
            }
            self.root_seal.abandon()
        })
    }

    /// Whether the root key of this marker wrapped anything that is stored.
    fn is_wrapped_by(&self, marker: &StoreKey) -> Result<bool> {
        for prefix in ["home/", "auth/"] {
            let all = self.store.scan_all(prefix)?;
            if all.iter().any(|(key, entry)| fence(key, &entry.value).as_ref() == Some(marker)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Wraps everything anew that the present root key did not wrap.
    fn wrap_all(&self, records: &mut u64, progress: &mut dyn FnMut(u64)) -> Result<()> {
        for _ in 0..WALKS {
            let mut count = self.wrap_home()?;
            for namespace in self.namespaces()? {
                count += match self.auth.reseal(&namespace) {
                    // Made anew, or gone: the next walk sees it as it is then.
                    Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => 1,
                    done => done?,
                };
                progress(*records + count);
            }
            *records += count;
            if count == 0 {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Busy, "others change the home all the time: run `kmss seal migrate` again later"))
    }

    fn wrap_home(&self) -> Result<u64> {
        let (site, seal) = (Site::home()?, self.seal.as_ref());
        let Some(entry) = self.store.get(&site.key)? else { return Ok(0) };
        // Format and incarnation stand before it, but for the first format.
        let wrapped = entry.value.get(5..).filter(|rest| crate::seal::marker(rest).is_some());
        if let Some(wrapped) = wrapped
            && seal.wraps_like(wrapped)?
        {
            return Ok(0);
        }
        let Some((versions, seen)) = home_domain::read(self.store.as_ref(), seal, &site)? else { return Ok(0) };
        let batch = Batch {
            conditions: vec![Condition::Version(site.key.clone(), seen)],
            ops: vec![Op::Put(site.key.clone(), site.encode(seal, &versions)?)],
            invalidates: false,
        };
        match self.store.commit(&batch)? {
            Commit::Committed(_) | Commit::Conflict => Ok(1),
        }
    }
}
