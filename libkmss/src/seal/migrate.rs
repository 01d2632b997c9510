//! From one root key to another, in steps that may end anywhere.
//!
//! 1. The next root key is made beside the old one (`root.next`, `seal.next.toml`): from then on every process unwraps with
//!    both and wraps with the next.
//! 2. Whoever migrates wraps anew what the old one wrapped, fences the old one off, and looks again.
//! 3. The old key is overwritten, and the next takes its names. Until the last of them is there, `seal.next.toml` decides.

use super::HomeSeal;
use super::file::{KEY_LEN, decode_key, encode_key};
use super::header::Header;
use super::live::{find, hold, resolve};
use super::root::{Root, marker_of};
use crate::device::forget_root;
use crate::error::{Error, ErrorKind, Result};
use crate::home::{Home, NEXT_ROOT_KEY, NEXT_SEAL, ROOT_KEY, SEAL};
use crate::secret::Secret;
use crate::store::StoreKey;
use crate::suite::Suite;

/// Who is to hold a root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// A file in the home.
    File,
    /// The device of this name.
    Hsm(String),
}

/// A root key, as it may be told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RootInfo {
    /// `file`, or `hsm:` and the name of the device.
    pub holder: String,
    /// Its identity.
    pub key_id: String,
    /// The serial number of the device, where one holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// How the device holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
}

/// What is known of a home's seal.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SealStatus {
    /// The suite of the home.
    pub suite: &'static str,
    /// The root key; the one that is migrated from, while that is under way.
    pub root: Option<RootInfo>,
    /// The one that is migrated to.
    pub next: Option<RootInfo>,
}

impl Holding {
    /// What a header that names this holder says.
    fn fits(&self, header: &Header) -> bool {
        match (self, &header.hsm) {
            (Self::File, None) => true,
            (Self::Hsm(name), Some(held)) => *name == held.name,
            _ => false,
        }
    }
}

impl RootInfo {
    fn of(header: &Header) -> Self {
        let held = header.hsm.as_ref();
        Self {
            holder: held.map_or_else(|| "file".to_owned(), |held| format!("hsm:{}", held.name)),
            key_id: header.key_id.clone(),
            serial: held.map(|held| held.serial.clone()),
            mechanism: held.map(|held| held.mechanism.clone()),
        }
    }
}

impl HomeSeal {
    /// Who holds the root key, and whether a migration is under way.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`].
    pub fn status(&self) -> Result<SealStatus> {
        let info = |name| Ok::<_, Error>(header(&self.home, name)?.as_ref().map(RootInfo::of));
        Ok(SealStatus { suite: super::Seal::suite(self).name(), root: info(SEAL)?, next: info(NEXT_SEAL)? })
    }

    /// Makes the next root key, or finds the one of a migration that was begun. Returns whether one was.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where a migration to another holder is under way.
    pub fn begin(&self, to: &Holding) -> Result<bool> {
        if let Some(next) = header(&self.home, NEXT_SEAL)? {
            if !to.fits(&next) {
                let holder = RootInfo::of(&next).holder;
                let why =
                    format!("a migration to `{holder}` is under way: finish it with `kmss seal migrate --to {holder}`");
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            let _ = self.reload()?;
            return Ok(true);
        }
        let next = self.prepare(to)?;
        self.home.create_exclusively(NEXT_SEAL, next.text()?.as_bytes())?;
        let _ = self.reload()?;
        Ok(false)
    }

    /// The header of the next root key, which is held by then.
    fn prepare(&self, to: &Holding) -> Result<Header> {
        match to {
            Holding::File => {
                let suite = super::Seal::suite(self);
                let key = Secret::filled(KEY_LEN, |b| self.random.fill(b))?;
                // One may be left of a migration that ended before its header was written.
                self.home.create_exclusively(NEXT_ROOT_KEY, &encode_key(suite, &key))?;
                Ok(Header::of_file(&self.next_file(suite)?))
            }
            Holding::Hsm(name) => hold(&self.random, super::Seal::suite(self), find(&self.devices, name)?),
        }
    }

    fn next_file(&self, suite: Suite) -> Result<Root> {
        let gone = || Error::new(ErrorKind::Conflict, "another process ends a migration: look again");
        let file = self.home.read(NEXT_ROOT_KEY)?.ok_or_else(gone)?;
        let (found, key) = decode_key(&self.home, &file)?;
        if found != suite {
            return Err(Error::new(ErrorKind::Damaged, "`root.next` is of another home: remove it"));
        }
        Root::new(found, &key)
    }

    /// The marker that the root key which is migrated from is over.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`].
    pub fn former_marker(&self) -> Result<Option<StoreKey>> {
        let (Some(old), Some(next)) = (header(&self.home, SEAL)?, header(&self.home, NEXT_SEAL)?) else {
            return Ok(None);
        };
        if old.key_id == next.key_id {
            return Ok(None);
        }
        marker_of(&old.key_id).map(Some)
    }

    /// Erases the old root key and gives the next its names. Only after everything was wrapped anew.
    ///
    /// # Errors
    /// Those of the file system: the migration is still under way then.
    pub fn finish(&self) -> Result<()> {
        let Some(next) = header(&self.home, NEXT_SEAL)? else { return Ok(()) };
        // Not before it is proved that the next one opens.
        let _ = resolve(&self.home, &next, &self.devices)?;
        if next.hsm.is_none() {
            if let Some(file) = self.home.read(NEXT_ROOT_KEY)? {
                self.overwrite(ROOT_KEY)?;
                self.home.replace(ROOT_KEY, file.expose())?;
            }
        } else {
            self.overwrite(ROOT_KEY)?;
        }
        self.forget_device(&next);
        self.home.replace(SEAL, next.text()?.as_bytes())?;
        if next.hsm.is_some() {
            self.home.remove(ROOT_KEY)?;
        }
        self.home.remove(NEXT_SEAL)?;
        self.home.remove(NEXT_ROOT_KEY)?;
        self.reload().map(drop)
    }

    /// Destroys the key in the device that is migrated from. Everything was wrapped anew, so trouble there is no reason to
    /// stop.
    fn forget_device(&self, next: &Header) {
        let old = header(&self.home, SEAL).ok().flatten().filter(|old| old.key_id != next.key_id);
        let Some(held) = old.and_then(|old| old.hsm) else { return };
        let gone = find(&self.devices, &held.name).and_then(|device| forget_root(device, &held.key));
        if let Err(error) = gone {
            tracing::warn!(hsm = %held.name, key = %held.key, %error, "the old key stays in the HSM: destroy it there");
        }
    }

    /// Overwrites a key file in its place, so that no block of the disk keeps it where the file system writes in place.
    fn overwrite(&self, name: &str) -> Result<()> {
        use std::io::Write as _;
        let Some(mut file) = self.home.open_file(name, crate::os::Opening::Write)? else { return Ok(()) };
        let failed = |e: std::io::Error| {
            Error::new(ErrorKind::Storage, format!("cannot erase `{}`", self.home.join(name).display())).with_source(e)
        };
        let len = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or_default();
        file.write_all(&vec![0; len.min(4096)]).and_then(|()| file.sync_all()).map_err(failed)
    }
}

fn header(home: &Home, name: &str) -> Result<Option<Header>> {
    home.read(name)?.map(|text| Header::parse(home, name, &text)).transpose()
}
