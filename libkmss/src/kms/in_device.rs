//! Key material that devices seal: the keys that do so, made and destroyed.

use std::fmt;
use std::str::FromStr;

use super::Kms;
use crate::caller::Caller;
use crate::device::{WRAPPING_KEYS, WrappingKey, forget_wrapping_key, make_wrapping_key};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{BackendId, Object, Opener, Storage};
use crate::tenant::Namespace;

/// Random bytes in the label of a key.
const LABEL: usize = 8;

/// What seals the key material of a namespace. Its records are sealed in memory in any case: they are searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaterialSeal {
    /// The domain key, in the memory of each process.
    InMemory,
    /// A key in the `[[hsm]]` of this name, which never leaves it, and the domain key around that.
    InDevice(String),
}

impl FromStr for MaterialSeal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None if text == "in-memory" => Ok(Self::InMemory),
            Some(("in-device", name)) if !name.is_empty() => Ok(Self::InDevice(name.to_owned())),
            _ => {
                let text = text.escape_debug();
                let why = format!(
                    "`{text}` seals no key material: say `in-memory`, or `in-device:NAME` with the name of an [[hsm]]"
                );
                Err(Error::new(ErrorKind::Arguments, why))
            }
        }
    }
}

impl fmt::Display for MaterialSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InMemory => f.write_str("in-memory"),
            Self::InDevice(name) => write!(f, "in-device:{name}"),
        }
    }
}

impl Kms {
    /// What seals the key material that is made in `namespace` now.
    ///
    /// # Errors
    /// Those of the store and the seal.
    pub fn material_seal(&self, namespace: &Namespace) -> Result<MaterialSeal> {
        let device = self.auth.versions(namespace)?.pop().and_then(|newest| newest.device);
        Ok(device.map_or(MaterialSeal::InMemory, |key| MaterialSeal::InDevice(key.hsm)))
    }

    /// Who opens the material of `object` for its next use, as far as that is known; `None` where it is not.
    #[must_use]
    pub fn opener(&self, caller: &Caller, object: &Object) -> Option<Opener> {
        let Some(version) = object.key().and_then(|key| key.primary().ok()) else { return Some(Opener::Memory) };
        let ring = &caller.keyring;
        match (object.storage, object.private) {
            (Storage::Ephemeral, _) => Some(Opener::Memory),
            _ if version.is_open() || version.locator.is_empty() => Some(Opener::Memory),
            (Storage::Stored, false) => ring.public.opener(&version.locator),
            (Storage::Stored, true) => ring.private.as_ref()?.opener(&version.locator),
        }
    }

    /// The device that seals the material of keys that `caller` makes, as far as that is known.
    #[must_use]
    pub fn sealing_device(&self, caller: &Caller) -> Option<String> {
        let ring = &caller.keyring;
        std::iter::once(&ring.public).chain(&ring.private).find_map(|key| key.sealing_device())
    }

    /// Refuses to seal in a device what is no material of the software engine: what a server keeps, and of a `fresh` namespace
    /// what another backend makes. One that has been there may have keys in software beside those.
    pub(super) fn require_material(&self, namespace: &Namespace, seal: &MaterialSeal, fresh: bool) -> Result<()> {
        let kept = || self.pipeline.hall.backend(&namespace.backend).is_ok_and(|backend| backend.custody().is_some());
        let elsewhere = namespace.backend != BackendId::soft() && (fresh || kept());
        if *seal == MaterialSeal::InMemory || !elsewhere {
            return Ok(());
        }
        let backend = &namespace.backend.0;
        let why =
            format!("the keys of the token are made and kept by `{backend}`: there is no key material to seal {seal}");
        Err(Error::new(ErrorKind::Arguments, why))
    }

    /// Runs `f`, which commits a version of a domain key, with a fresh key in a device where `seal` asks for one.
    pub(super) fn with_wrapping_key<R>(
        &self,
        seal: &MaterialSeal,
        f: impl FnOnce(Option<&WrappingKey>) -> Result<R>,
    ) -> Result<R> {
        let MaterialSeal::InDevice(name) = seal else { return f(None) };
        let device = self.devices.find(name)?;
        let mut random = [0; LABEL];
        self.random.fill(&mut random)?;
        let label = random.iter().fold(WRAPPING_KEYS.to_owned(), |label, byte| format!("{label}{byte:02x}"));
        let key = make_wrapping_key(device, self.random.as_ref(), self.suite, &label)?;
        let done = f(Some(&key));
        if let Err(error) = &done {
            use ErrorKind::{Arguments, Busy, Conflict, NotLoggedIn, PinInvalid};
            // Otherwise nobody knows what became of the commit, and somebody may have sealed with it already.
            if matches!(error.kind(), Arguments | Busy | Conflict | NotLoggedIn | PinInvalid) {
                let _ = self.destroy_keys(std::slice::from_ref(&key));
            } else {
                tracing::warn!(hsm = %name, key = %label, "a key may be of no use: `kmss domain list` says which are in use");
            }
        }
        done
    }

    /// Destroys the keys in devices that seal nothing of `namespace` any more; those that could not be destroyed.
    pub(super) fn destroy_over(&self, caller: &Caller, namespace: &Namespace) -> Result<Vec<WrappingKey>> {
        let over = self.auth.keys_over(namespace)?;
        let left = self.destroy_keys(&over);
        let gone: Vec<WrappingKey> = over.into_iter().filter(|key| !left.contains(key)).collect();
        if gone.is_empty() {
            return Ok(left);
        }
        self.tell(caller, vec![format!("old keys destroyed in HSMs: {}", gone.len())])?;
        match self.auth.forget_keys(namespace, &gone) {
            // Somebody else was faster with another change: what is destroyed is found to be so next time.
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
            _ => Ok(left),
        }
    }

    /// Destroys `keys`; those that could not be destroyed.
    pub(super) fn destroy_keys(&self, keys: &[WrappingKey]) -> Vec<WrappingKey> {
        let destroyed = |key: &WrappingKey| {
            let gone = self.devices.find(&key.hsm).and_then(|device| forget_wrapping_key(device, key));
            if let Err(error) = &gone {
                tracing::warn!(hsm = %key.hsm, key = %key.key, %error, "a key that seals nothing any more stays in the HSM");
            }
            gone.is_ok()
        };
        keys.iter().filter(|key| !destroyed(key)).cloned().collect()
    }
}
