//! Domain keys that follow their record: what another process rotates is there at the next use.

use std::sync::Arc;

use super::envelope::InDevice;
use super::{Access, Private, Site, Versions};
use crate::device::Devices;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{DomainKey, DomainSource, Envelope, VersionSecret};
use crate::seal::Seal;
use crate::store::Store;

/// The record of a domain, read again whenever the store moved.
struct Followed {
    store: Arc<dyn Store>,
    seal: Arc<dyn Seal>,
    devices: Arc<Devices>,
    site: Site,
    /// For the private secrets; the public ones otherwise.
    access: Option<Access>,
}

/// Where domain keys are read.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) seal: &'a Arc<dyn Seal>,
    /// Where keys are that seal key material.
    pub(crate) devices: &'a Arc<Devices>,
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
        let secrets = versions.secrets(site, access.as_ref(), self.devices)?;
        let index = access.as_ref().map_or_else(|| versions.index.clone(), |access| access.index.clone());
        let (store, seal, devices) = (Arc::clone(self.store), Arc::clone(self.seal), Arc::clone(self.devices));
        let followed = Followed { store, seal, devices, site: site.clone(), access };
        DomainKey::live(versions.suite, index, Arc::new(followed), (generation, secrets))
    }
}

impl DomainSource for Followed {
    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn secrets(&self) -> Result<Vec<VersionSecret>> {
        let gone = || Error::new(ErrorKind::Conflict, "the namespace was removed: look again which there are");
        let entry = self.store.get(&self.site.key)?.ok_or_else(gone)?;
        let versions = self.site.decode(self.seal.as_ref(), &entry.value)?;
        versions.secrets(&self.site, self.access.as_ref(), &self.devices)
    }
}

impl Versions {
    /// The public secrets, or with the access key the private ones.
    pub(super) fn secrets(
        &self,
        site: &Site,
        access: Option<&Access>,
        devices: &Arc<Devices>,
    ) -> Result<Vec<VersionSecret>> {
        let secret = |version: &super::Version| {
            let secret = match (access, &version.private) {
                (None, _) => version.public.clone(),
                (Some(access), Private::Sealed(sealed)) => {
                    access.open(&site.private_context(version.number), sealed)?
                }
                (Some(access), Private::Access) => access.first()?,
                (Some(_), Private::None) => return Err(site.damaged()),
            };
            let number = version.number;
            let envelope = version
                .device
                .as_ref()
                .map(|key| -> Arc<dyn Envelope> { Arc::new(InDevice::new(devices, self.suite, site, (number, key))) });
            Ok(VersionSecret { number, secret, envelope })
        };
        self.all.iter().map(secret).collect()
    }
}
