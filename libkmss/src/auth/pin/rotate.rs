//! New versions of a namespace's domain key, and the end of old ones.
//!
//! Credentials lie under the public domain key and are sealed anew like everything else; what a PIN opens is the access
//! key, which stays, so that no PIN is needed for that.

use super::credential::{self, Record};
use super::{PinAuthenticator, domain};
use crate::auth::RewrapToken;
use crate::clock::Timestamp;
use crate::device::WrappingKey;
use crate::domain::{Rewrapped, Version, VersionInfo, named};
use crate::error::{ErrorKind, Result};
use crate::store::{Batch, Condition, Op, StoreKey};
use crate::tenant::Namespace;

impl PinAuthenticator {
    /// The versions of the domain key of `namespace`, oldest first.
    ///
    /// # Errors
    /// As [`Self::public_domain_key`].
    pub fn versions(&self, namespace: &Namespace) -> Result<Vec<VersionInfo>> {
        let domain = self.domain(namespace)?;
        Ok(domain.versions.all.iter().map(Version::info).collect())
    }

    /// Gives `namespace` a new version of its domain key, public and private, which seals everything from now on; its
    /// number. `device` is the key in a device that seals key material, where one does.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`](crate::error::ErrorKind::NotLoggedIn) as in [`Self::set_user_pin`],
    /// [`ErrorKind::Conflict`](crate::error::ErrorKind::Conflict) where somebody else did so at the same time.
    pub fn rotate(
        &self,
        namespace: &Namespace,
        officer: &RewrapToken,
        now: Timestamp,
        device: Option<WrappingKey>,
    ) -> Result<u32> {
        let mut domain = self.domain(namespace)?;
        domain.admits(namespace, officer)?;
        let access = domain.access(&officer.private)?;
        let number = domain.versions.add(&domain.site, self.random.as_ref(), (Some(&access), now), device)?;
        self.write_domain(&domain)?;
        Ok(number)
    }

    /// Seals anew the credentials that do not lie under the newest version.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn rewrap(&self, namespace: &Namespace) -> Result<Rewrapped> {
        let domain = self.domain(namespace)?;
        let mut done = Rewrapped::default();
        for (key, entry) in self.store.scan_all(&credential::prefix(namespace, &domain))? {
            let newest = domain.public.newest()?.number();
            let Some(named) = named(&key, &entry.value) else { continue };
            done.seen += 1;
            if named.version == newest {
                continue;
            }
            let record = match Record::open(&domain.public, &key, &entry.value) {
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    done.damaged.push(key.as_str().to_owned());
                    continue;
                }
                other => other?,
            };
            let batch = Batch {
                conditions: vec![Condition::Version(key.clone(), entry.version)],
                ops: vec![self.write(&domain, &key, &record)?],
                invalidates: false,
            };
            done.count(&self.store.commit(&batch)?);
        }
        Ok(done)
    }

    /// How many credentials name each version.
    ///
    /// # Errors
    /// Those of the store.
    pub fn named_versions(&self, namespace: &Namespace) -> Result<Vec<u32>> {
        let domain = self.domain(namespace)?;
        let all = self.store.scan_all(&credential::prefix(namespace, &domain))?;
        Ok(all.iter().filter_map(|(key, entry)| named(key, &entry.value)).map(|named| named.version).collect())
    }

    /// The markers that fence off version `number`.
    ///
    /// # Errors
    /// As [`Self::public_domain_key`].
    pub fn marker(&self, namespace: &Namespace, number: u32) -> Result<StoreKey> {
        let domain = self.domain(namespace)?;
        StoreKey::new(format!("{}retired/{number:08x}", credential::prefix(namespace, &domain)))
    }

    /// Erases the versions `over`, which nothing names any more; the newest stays.
    ///
    /// # Errors
    /// As [`Self::rotate`].
    pub fn erase(&self, namespace: &Namespace, over: &[u32]) -> Result<()> {
        let mut domain = self.domain(namespace)?;
        domain.versions.erase(over);
        self.write_domain(&domain)
    }

    /// Keys in devices that seal nothing of `namespace` any more, and are to be destroyed.
    ///
    /// # Errors
    /// As [`Self::public_domain_key`].
    pub fn keys_over(&self, namespace: &Namespace) -> Result<Vec<WrappingKey>> {
        Ok(self.domain(namespace)?.versions.over)
    }

    /// All keys in devices that the domain key of `namespace` names.
    ///
    /// # Errors
    /// As [`Self::public_domain_key`].
    pub fn device_keys(&self, namespace: &Namespace) -> Result<Vec<WrappingKey>> {
        Ok(self.domain(namespace)?.versions.devices().cloned().collect())
    }

    /// Forgets `keys`, which were destroyed in their devices.
    ///
    /// # Errors
    /// As [`Self::rotate`].
    pub fn forget_keys(&self, namespace: &Namespace, keys: &[WrappingKey]) -> Result<()> {
        let mut domain = self.domain(namespace)?;
        domain.versions.over.retain(|key| !keys.contains(key));
        self.write_domain(&domain)
    }

    fn write_domain(&self, domain: &domain::Domain) -> Result<()> {
        let place = domain.site.key.clone();
        self.apply(&Batch {
            conditions: vec![Condition::Version(place.clone(), domain.revision)],
            ops: vec![Op::Put(place, domain.site.encode(self.seal.as_ref(), &domain.versions)?)],
            invalidates: true,
        })
    }
}
