//! The seal of a home as long as it is open: follows when another process migrates it.
//!
//! While a migration is under way there are two root keys, in `seal.toml` and `seal.next.toml`: both unwrap, the next one
//! wraps. Which there are is looked at before every wrapping, which is rare, and whenever a key turns up that another root
//! key wrapped.

use std::sync::Arc;

use super::file::{KEY_LEN, decode_key, missing_key};
use super::header::{FILE, HSM, Header, Held};
use super::root::Root;
use super::{FileSeal, Holding, Seal};
use crate::config::HsmConfig;
use crate::device::{ROOT_KEYS, forget_root, hold_root, open_root};
use crate::error::{Error, ErrorKind, Result};
use crate::home::{Home, NEXT_ROOT_KEY, NEXT_SEAL, ROOT_KEY, SEAL};
use crate::os::{Lock, Rank};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::Suite;

/// A [`Seal`] that knows every root key its home has at the moment.
pub struct HomeSeal {
    pub(super) home: Home,
    pub(super) random: Arc<dyn Random>,
    /// The devices of the configuration.
    pub(super) devices: Vec<HsmConfig>,
    suite: Suite,
    /// Identity of the key that it was opened with.
    key_id: String,
    roots: Lock<Arc<Roots>>,
}

/// The root keys that there are.
#[derive(Debug)]
pub(super) struct Roots {
    /// Wraps. It may be out of reach while a migration to it has only begun.
    primary: Result<Arc<Root>>,
    /// The one that is migrated from. It may be out of reach while everything is migrated already.
    former: Option<Result<Arc<Root>>>,
    /// What the headers said.
    stamp: Stamp,
}

type Stamp = [Option<Secret>; 2];

impl HomeSeal {
    /// Opens the seal of an existing home.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the home has no seal yet; [`ErrorKind::Damaged`] when a part is missing, damaged or
    /// from another home; [`ErrorKind::TooNew`]; [`ErrorKind::BackendUnavailable`] where its device is not there.
    pub fn open(home: &Home, random: Arc<dyn Random>, devices: &[HsmConfig]) -> Result<Self> {
        let roots = load(home, &random, devices)?;
        let (suite, key_id) = {
            let any = roots.any()?;
            (any.suite(), any.key_id().to_owned())
        };
        // The highest rank, so that it may be asked under any lock; nothing is called while it is held.
        let roots = Lock::new(Rank::Store, Arc::new(roots));
        Ok(Self { home: home.clone(), random, devices: devices.to_vec(), suite, key_id, roots })
    }

    /// Opens the seal, or makes one of `suite`, held as `holding` says, in a home that has neither seal nor store.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn create_or_open(
        home: &Home,
        suite: Suite,
        random: Arc<dyn Random>,
        (holding, devices): (&Holding, &[HsmConfig]),
    ) -> Result<Self> {
        match Self::open(home, Arc::clone(&random), devices) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                match holding {
                    Holding::File => drop(FileSeal::create_or_open(home, suite, Arc::clone(&random))?),
                    Holding::Hsm(name) => {
                        let header = hold(&random, suite, find(devices, name)?)?;
                        // Where another process was faster, its key is the one that counts.
                        if !home.create_exclusively(SEAL, header.text()?.as_bytes())? {
                            forget(&header, devices);
                        }
                    }
                }
                Self::open(home, random, devices)
            }
            opened => opened,
        }
    }

    pub(super) fn roots(&self) -> Arc<Roots> {
        Arc::clone(&self.roots.lock())
    }

    /// The root keys as they are now.
    pub(super) fn reload(&self) -> Result<Arc<Roots>> {
        let roots = Arc::new(load(&self.home, &self.random, &self.devices)?);
        if roots.any()?.suite() != self.suite {
            return Err(Error::new(ErrorKind::Damaged, "the suite of the home was changed: restore `seal.toml`"));
        }
        let replaced = std::mem::replace(&mut *self.roots.lock(), Arc::clone(&roots));
        drop(replaced);
        Ok(roots)
    }

    /// The root keys, read again where a header was changed.
    fn current(&self) -> Result<Arc<Roots>> {
        let roots = self.roots();
        if stamp(&self.home)? == roots.stamp { Ok(roots) } else { self.reload() }
    }

    /// Whether the key that wraps now made `wrapped`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn is_current(&self, wrapped: &[u8]) -> Result<bool> {
        Ok(self.current()?.primary()?.made(wrapped))
    }
}

impl Seal for HomeSeal {
    fn suite(&self) -> Suite {
        self.suite
    }

    fn key_id(&self) -> &str {
        &self.key_id
    }

    fn wrap(&self, context: &str, key: &Secret) -> Result<Vec<u8>> {
        self.current()?.primary()?.wrap(self.random.as_ref(), context, key)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Secret> {
        let roots = self.roots();
        if let Some(Ok(root)) = roots.maker(wrapped) {
            return root.unwrap(context, wrapped);
        }
        // Another process may have migrated since, and one that was out of reach may be back.
        let roots = self.reload()?;
        // Where nobody made it, the one that wraps says so.
        roots.maker(wrapped).unwrap_or_else(|| roots.primary())?.unwrap(context, wrapped)
    }

    fn wraps_like(&self, wrapped: &[u8]) -> Result<bool> {
        self.is_current(wrapped)
    }
}

impl Roots {
    /// The one that wraps.
    pub(super) fn primary(&self) -> Result<Arc<Root>> {
        same(&self.primary)
    }

    /// One that is in reach.
    fn any(&self) -> Result<Arc<Root>> {
        match (&self.primary, &self.former) {
            (Err(_), Some(Ok(former))) => Ok(Arc::clone(former)),
            (primary, _) => same(primary),
        }
    }

    /// The one that made `wrapped`; the error of one that is out of reach, where it may have.
    fn maker(&self, wrapped: &[u8]) -> Option<Result<Arc<Root>>> {
        let all = || std::iter::once(&self.primary).chain(&self.former);
        let made = all().filter_map(|root| root.as_ref().ok()).find(|root| root.made(wrapped));
        made.map(|root| Ok(Arc::clone(root))).or_else(|| all().find(|root| root.is_err()).map(same))
    }
}

/// The same once more; an error without its causes.
fn same(root: &Result<Arc<Root>>) -> Result<Arc<Root>> {
    match root {
        Ok(root) => Ok(Arc::clone(root)),
        Err(error) => Err(Error::new(error.kind(), error.message().to_owned())),
    }
}

fn stamp(home: &Home) -> Result<Stamp> {
    Ok([home.read(SEAL)?, home.read(NEXT_SEAL)?])
}

/// The root keys of `home`. Where another process changes headers and key files meanwhile, they are read once more.
fn load(home: &Home, random: &Arc<dyn Random>, devices: &[HsmConfig]) -> Result<Roots> {
    let before = stamp(home)?;
    let loaded = read(home, random, devices);
    let moved = |e: &Error| e.kind() == ErrorKind::Damaged && stamp(home).is_ok_and(|now| now != before);
    let torn = match &loaded {
        Ok(roots) => roots.primary.as_ref().is_err_and(moved),
        Err(error) => moved(error),
    };
    if torn { read(home, random, devices) } else { loaded }
}

fn read(home: &Home, random: &Arc<dyn Random>, devices: &[HsmConfig]) -> Result<Roots> {
    let [_, next] = stamp(home)?;
    let Some(next) = next else {
        // A header that its maker did not come to write is written here, and read after that.
        let opened = open_one(home, random, devices)?;
        return Ok(Roots { primary: Ok(Arc::new(opened)), former: None, stamp: stamp(home)? });
    };
    let stamp = stamp(home)?;
    let primary = resolve(home, &Header::parse(home, NEXT_SEAL, &next)?, devices).map(Arc::new);
    let former = stamp.first().and_then(Option::as_ref).map(|text| {
        let header = Header::parse(home, SEAL, text)?;
        resolve(home, &header, devices).map(Arc::new)
    });
    Ok(Roots { primary, former, stamp })
}

/// The only root key of a home that is not being migrated.
fn open_one(home: &Home, random: &Arc<dyn Random>, devices: &[HsmConfig]) -> Result<Root> {
    if let Some(text) = home.read(SEAL)? {
        let header = Header::parse(home, SEAL, &text)?;
        if header.r#type != FILE {
            return resolve(home, &header, devices);
        }
    }
    FileSeal::open(home, Arc::clone(random)).map(FileSeal::into_root)
}

/// The root key that `header` names. Key files change their names at the end of a migration.
pub(super) fn resolve(home: &Home, header: &Header, devices: &[HsmConfig]) -> Result<Root> {
    if let (HSM, Some(held)) = (header.r#type.as_str(), &header.hsm) {
        let root = Root::new(header.suite, &open_root(find(devices, &held.name)?, &held.root()?)?)?;
        if root.key_id() == header.key_id {
            return Ok(root);
        }
        let why = format!("the HSM `{}` opens another root key than this home has: restore `seal.toml`", held.name);
        return Err(Error::new(ErrorKind::Damaged, why));
    }
    if header.r#type != FILE {
        let why =
            format!("the seal header `{}` names a holder that this KMSS does not know", home.join(SEAL).display());
        return Err(Error::new(ErrorKind::Damaged, why));
    }
    // In this order: the next one takes the other's name at some moment, and is found before it or after it.
    for name in [NEXT_ROOT_KEY, ROOT_KEY] {
        let Some(file) = home.read(name)? else { continue };
        // One that is being erased is damaged already.
        let Ok((suite, key)) = decode_key(home, &file) else { continue };
        let root = Root::new(suite, &key)?;
        if root.key_id() == header.key_id && suite == header.suite {
            return Ok(root);
        }
    }
    Err(missing_key(home))
}

/// The device of that name.
pub(super) fn find<'a>(devices: &'a [HsmConfig], name: &str) -> Result<&'a HsmConfig> {
    devices.iter().find(|device| device.name == name).ok_or_else(|| {
        let why = format!(
            "the root key of this home is in the HSM `{name}`, which is not configured: describe it in an [[hsm]] section \
             of the kmss.toml that this program reads"
        );
        Error::new(ErrorKind::BackendUnavailable, why)
    })
}

/// Makes a root key that the device holds.
pub(super) fn hold(random: &Arc<dyn Random>, suite: Suite, device: &HsmConfig) -> Result<Header> {
    let key = Secret::filled(KEY_LEN, |b| random.fill(b))?;
    let root = Root::new(suite, &key)?;
    let held = hold_root(device, random.as_ref(), &format!("{ROOT_KEYS}{}", root.key_id()), &key)?;
    Ok(Header::of_device(&root, Held::of(&device.name, held)))
}

/// Destroys the key in a device that `header` names, if it names one. Returns its label where it is left there.
pub(super) fn forget(header: &Header, devices: &[HsmConfig]) -> Option<String> {
    let held = header.hsm.as_ref()?;
    match find(devices, &held.name).and_then(|device| forget_root(device, &held.key)) {
        Ok(count) if count > 0 => return None,
        Ok(_) => tracing::warn!(hsm = %held.name, key = %held.key, "the old key was not in the HSM"),
        Err(error) => tracing::warn!(hsm = %held.name, key = %held.key, %error, "the old key stays in the HSM"),
    }
    Some(held.key.clone())
}

impl std::fmt::Debug for HomeSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HomeSeal({} {})", self.suite.name(), self.key_id)
    }
}
