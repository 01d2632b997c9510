//! Domain keys that follow their record: what another process rotates is there at the next use.

use std::sync::Arc;

use super::{Access, Private, Site, Versions};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{DomainKey, DomainSource};
use crate::seal::Seal;
use crate::secret::Secret;
use crate::store::Store;

/// The record of a domain, read again whenever the store moved.
struct Followed {
    store: Arc<dyn Store>,
    seal: Arc<dyn Seal>,
    site: Site,
    /// For the private secrets; the public ones otherwise.
    access: Option<Access>,
}

/// Where domain keys are read.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) seal: &'a Arc<dyn Seal>,
}

impl Surroundings<'_> {
    /// The domain key at `site`, of which `versions` were read when the store was at `generation`: the private one with the
    /// access key, the public one otherwise.
    pub(crate) fn key(
        self,
        site: &Site,
        access: Option<Access>,
        (generation, versions): (u64, &Versions),
    ) -> Result<DomainKey> {
        let secrets = versions.secrets(site, access.as_ref())?;
        let index = access.as_ref().map_or_else(|| versions.index.clone(), |access| access.index.clone());
        let (store, seal) = (Arc::clone(self.store), Arc::clone(self.seal));
        let followed = Followed { store, seal, site: site.clone(), access };
        DomainKey::live(versions.suite, index, Arc::new(followed), (generation, secrets))
    }
}

impl DomainSource for Followed {
    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn secrets(&self) -> Result<Vec<(u32, Secret)>> {
        let gone = || Error::new(ErrorKind::Conflict, "the namespace was removed: look again which there are");
        let entry = self.store.get(&self.site.key)?.ok_or_else(gone)?;
        self.site.decode(self.seal.as_ref(), &entry.value)?.secrets(&self.site, self.access.as_ref())
    }
}

impl Versions {
    /// The public secrets, or with the access key the private ones.
    pub(super) fn secrets(&self, site: &Site, access: Option<&Access>) -> Result<Vec<(u32, Secret)>> {
        let secret = |version: &super::Version| {
            let secret = match (access, &version.private) {
                (None, _) => version.public.clone(),
                (Some(access), Private::Sealed(sealed)) => {
                    access.open(&site.private_context(version.number), sealed)?
                }
                (Some(access), Private::Access) => access.first()?,
                (Some(_), Private::None) => return Err(site.damaged()),
            };
            Ok((version.number, secret))
        };
        self.all.iter().map(secret).collect()
    }
}
