//! The seal of the home: who holds the root key, and from one to another.

use serde::Serialize;

use super::{Kms, home_domain};
use crate::domain::Site;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::seal::{Holding, RootInfo, SealStatus};
use crate::store::{Batch, Commit, Condition, Op};

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
    /// the device is not there.
    pub fn migrate_seal(&self, to: &Holding, progress: &mut dyn FnMut(u64)) -> Result<SealReport> {
        let name = match to {
            Holding::File => "file".to_owned(),
            Holding::Hsm(name) => format!("hsm:{name}"),
        };
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
        self.root_seal.finish()?;
        let root = self.root_seal.status()?.root;
        let id = root.as_ref().map(|root| root.key_id.clone()).unwrap_or_default();
        let ended = vec![
            format!("seal migrate to {name}: ended"),
            format!("records wrapped: {records}"),
            format!("root key: {id}"),
        ];
        self.pipeline.around_tagged(None, Action::Manage, ended, || Ok(()))?;
        Ok(SealReport { root, records, resumed })
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
