//! Where the key of a permit is: in the device, as a stored or a session object, or in this process.

use std::sync::Arc;

use cryptoki::object::ObjectHandle;

use super::locator::{Locator, Replicas};
use crate::device::{Device, Entered, Lent, Trouble};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Held, KeyClass};
use crate::os::epoch;
use crate::permit::Granted;

/// Where a key is.
#[derive(Clone)]
pub(super) enum Place {
    /// Stored in the device, or in several.
    Stored(Arc<Replicas>),
    /// In a session of the device.
    Session(Arc<SessionKey>),
    /// Here: a public key, or a session key whose value the device gave out.
    Here,
}

/// What a place is parsed into, kept beside the record.
struct Parsed(Arc<Replicas>);

/// A key in a session of the device. It dies with the last that knows it, with its session, and with the login.
pub(super) struct SessionKey {
    device: Arc<Device>,
    handle: ObjectHandle,
    entrance: u64,
    /// The number of its session.
    session: u64,
    epoch: u32,
    check_value: Vec<u8>,
}

impl SessionKey {
    /// The object `handle`, made in the session `lent`.
    pub(super) fn new(device: &Arc<Device>, lent: &Lent, handle: ObjectHandle, check_value: Vec<u8>) -> Self {
        let (entrance, session) = (lent.entrance(), lent.number());
        Self { device: Arc::clone(device), handle, entrance, session, epoch: epoch(), check_value }
    }

    /// Whether the object is there still: its handle may be another's otherwise.
    fn is_live(&self, lent: &Lent) -> bool {
        self.epoch == epoch() && self.entrance == lent.entrance() && self.device.is_live(self.entrance, self.session)
    }

    /// Lets the object be: it is a stored one, which is called `name`.
    pub(super) fn keep(mut self, name: &[u8]) {
        self.device.remember((self.entrance, self.epoch), name, self.handle);
        self.entrance = u64::MAX;
    }
}

impl Held for SessionKey {
    fn check_value(&self) -> Vec<u8> {
        self.check_value.clone()
    }
}

impl Drop for SessionKey {
    fn drop(&mut self) {
        if self.epoch == epoch() {
            self.device.drop_object(self.entrance, self.session, self.handle);
        }
    }
}

impl Place {
    /// Whether it may be in `device`, which is `entered` where it is.
    pub(super) fn may_be_in(&self, device: &Arc<Device>, entered: Option<&Entered>) -> bool {
        match self {
            Self::Stored(replicas) => entered.is_none_or(|entered| replicas.at(&entered.serial).is_some()),
            Self::Session(key) => Arc::ptr_eq(&key.device, device),
            Self::Here => true,
        }
    }

    /// The place of a key that a permit admits.
    pub(super) fn of(granted: Granted<'_>) -> Result<Self> {
        let Granted { key, version, .. } = granted;
        if let Some(Parsed(replicas)) = version.cache.get::<Parsed>(epoch()) {
            return Ok(Self::Stored(Arc::clone(replicas)));
        }
        if let Some((_, held)) = version.held.get::<SessionKey>() {
            return Ok(Self::Session(held));
        }
        if !version.held.is_empty() || key.class == KeyClass::Public {
            return Ok(Self::Here);
        }
        let replicas = Arc::new(Replicas::parse(&version.locator)?);
        if replicas.class != key.class {
            return Err(Error::new(ErrorKind::Damaged, "the key record names another half of the key in the HSM"));
        }
        version.cache.put(epoch(), &Arc::new(Parsed(Arc::clone(&replicas))));
        Ok(Self::Stored(replicas))
    }

    /// The object in the device, as `lent` sees it.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`] where the device does not hold it.
    pub(super) fn handle(&self, device: &Device, lent: &Lent) -> Result<ObjectHandle, Trouble> {
        match self {
            Self::Stored(replicas) => {
                let locator = there(device, lent, replicas)?;
                stored(device, lent, locator)?.ok_or_else(|| {
                    let why = format!(
                        "the HSM `{}` does not hold the key (CKA_ID {}): restore it from the HSM's backup",
                        device.name(),
                        hex(&locator.id)
                    );
                    Error::new(ErrorKind::BackendUnavailable, why).into()
                })
            }
            Self::Session(key) if key.is_live(lent) => Ok(key.handle),
            Self::Session(_) => {
                let why = format!("the session key went with its session in the HSM `{}`: make it anew", device.name());
                Err(Error::new(ErrorKind::BackendUnavailable, why).into())
            }
            Self::Here => Err(Error::new(ErrorKind::Internal, "the key is not in the HSM").into()),
        }
    }
}

/// The place of a key in the token of this device.
pub(super) fn there<'r>(device: &Device, lent: &Lent, replicas: &'r Replicas) -> Result<&'r Locator, Trouble> {
    let serial = &lent.entered().serial;
    replicas.at(serial).ok_or_else(|| {
        let why = format!(
            "the key is in the token with serial {}, and the HSM `{}` has the one with serial {serial}",
            replicas.serials(),
            device.name()
        );
        Error::new(ErrorKind::BackendUnavailable, why).into()
    })
}

/// The stored object of a locator, in the token that it names.
pub(super) fn stored(device: &Device, lent: &Lent, locator: &Locator) -> Result<Option<ObjectHandle>, Trouble> {
    if locator.serial != lent.entered().serial {
        let alone = Replicas::new(vec![locator.clone()])?;
        there(device, lent, &alone)?;
    }
    device.find_one(lent, &locator.bytes, || locator.template())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
