//! Domain keys and credentials on their way to another home: without the wrapping of this home's seal, and under that of the
//! other. What a PIN opens stays under the PIN all the way.

use zeroize::Zeroizing;

use super::credential::{self, Record};
use super::domain::Domain;
use super::{PinAuthenticator, Private, everything_of, open};
use crate::backup::{Item, ItemKind};
use crate::domain::{Site, Versions};
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::store::{Op, StoreKey};
use crate::tenant::Namespace;

/// A namespace that is about to be carried.
pub(crate) struct Departure<'a> {
    auth: &'a PinAuthenticator,
    namespace: &'a Namespace,
    domain: Domain,
}

/// A namespace that arrives, and is not in the store yet.
pub(crate) struct Arrival<'a> {
    auth: &'a PinAuthenticator,
    namespace: &'a Namespace,
    site: Site,
    versions: Versions,
    public: DomainKey,
}

impl PinAuthenticator {
    /// Where everything of `namespace` is that is kept here.
    pub(crate) fn belongings(namespace: &Namespace) -> String {
        everything_of(namespace)
    }

    /// Makes ready to carry what is kept here of `namespace`.
    ///
    /// # Errors
    /// As [`Self::public_domain_key`].
    pub(crate) fn depart<'a>(&'a self, namespace: &'a Namespace) -> Result<Departure<'a>> {
        Ok(Departure { auth: self, namespace, domain: self.domain(namespace)? })
    }

    /// Makes ready to take in what `domain` and the items after it carry of `namespace`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] for a domain key that is none.
    pub(crate) fn arrive<'a>(&'a self, namespace: &'a Namespace, domain: &Item) -> Result<Arrival<'a>> {
        let (site, suite) = (Site::of(namespace)?, self.seal.suite());
        if domain.kind != ItemKind::Domain || domain.place != site.key.as_str() {
            return Err(foreign());
        }
        let versions = Versions::of_carried(suite, &domain.content).ok_or_else(foreign)?;
        let newest = versions.all.last().ok_or_else(foreign)?;
        let public = DomainKey::fixed(suite, versions.index.clone(), newest.number, &newest.public)?;
        Ok(Arrival { auth: self, namespace, site, versions, public })
    }
}

impl Departure<'_> {
    /// What to carry of the record `value` at `key`; `None` where it is nothing of the namespace as it is now.
    ///
    /// # Errors
    /// Those of the seal; [`ErrorKind::Damaged`].
    pub(crate) fn pack(&self, key: &StoreKey, value: &[u8]) -> Result<Option<Item>> {
        let (auth, namespace) = (self.auth, self.namespace);
        if *key == self.domain.site.key {
            let versions = self.domain.site.decode(auth.seal.as_ref(), value)?;
            let content = Zeroizing::new(versions.carried()?.expose().to_vec());
            return Ok(Some(Item::bytes(ItemKind::Domain, key, content)));
        }
        let prefix = credential::prefix(namespace, &self.domain);
        let Some(rest) = key.as_str().strip_prefix(&prefix) else { return Ok(None) };
        if rest == "open" {
            let private = open::open(auth.seal.as_ref(), namespace, value)?;
            let mut content = Zeroizing::new(private.version.to_be_bytes().to_vec());
            content.extend_from_slice(private.secret.expose());
            return Ok(Some(Item::bytes(ItemKind::Open, key, content)));
        }
        if rest == "so" || rest.starts_with("user/") {
            let mut record = Record::open(&self.domain.public, key, value)?;
            record.unwrap(&auth.tools(namespace))?;
            return Item::of(ItemKind::Credential, key.as_str(), &record).map(Some);
        }
        // Markers of versions that are over.
        Ok(rest.starts_with("retired/").then(|| {
            let content = Zeroizing::new(value.to_vec());
            Item::bytes(ItemKind::Entry, key, content)
        }))
    }

    /// Whether what is at `key` is of the namespace as it is now.
    pub(crate) fn owns(&self, key: &StoreKey) -> bool {
        key.as_str().starts_with(&credential::prefix(self.namespace, &self.domain))
    }

    /// The keys in devices that the domain key names.
    pub(crate) fn devices(&self) -> Vec<String> {
        self.domain.versions.devices().map(|key| key.hsm.clone()).collect()
    }
}

impl Arrival<'_> {
    /// What writes the domain key.
    ///
    /// # Errors
    /// Those of the seal.
    pub(crate) fn domain(&self) -> Result<Op> {
        let record = self.site.encode(self.auth.seal.as_ref(), &self.versions)?;
        Ok(Op::Put(self.site.key.clone(), record))
    }

    /// What writes an item other than the domain key.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] for what has no place here; those of the seal.
    pub(crate) fn unpack(&self, item: &Item) -> Result<Op> {
        let (auth, namespace, key) = (self.auth, self.namespace, item.key()?);
        let edition = self.public.index_term("auth edition", &[])?;
        let prefix = credential::prefix_of(namespace, &edition);
        let rest = item.place.strip_prefix(&prefix).ok_or_else(foreign)?;
        match item.kind {
            ItemKind::Open if rest == "open" => {
                let (version, secret) = item.content.split_first_chunk().ok_or_else(foreign)?;
                if secret.len() != DomainKey::SECRET_LEN {
                    return Err(foreign());
                }
                let secret = crate::secret::Secret::copy_of(secret);
                let private = Private { version: u32::from_be_bytes(*version), secret };
                Ok(Op::Put(key, open::seal(auth.seal.as_ref(), namespace, &private)?))
            }
            ItemKind::Credential if rest == "so" || rest.starts_with("user/") => {
                let mut record: Record = item.value()?;
                record.wrap_again(&auth.tools(namespace))?;
                let sealed = record.seal(&self.public, auth.random.as_ref(), &key)?;
                // What it costs to guess at the PIN is within bounds, here as in every home.
                let _ = Record::open(&self.public, &key, &sealed)?;
                Ok(Op::Put(key, sealed))
            }
            ItemKind::Entry if rest.starts_with("retired/") => Ok(Op::Put(key, item.content.to_vec())),
            ItemKind::Removed => Ok(Op::Delete(key)),
            _ => Err(foreign()),
        }
    }
}

fn foreign() -> Error {
    Error::new(ErrorKind::Damaged, "the archive cannot be trusted: a domain key or credential is not what it says")
}
