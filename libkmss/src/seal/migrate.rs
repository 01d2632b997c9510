//! From one root key to another, in steps that may end anywhere.
//!
//! 1. The next root key is made beside the old one (`root.next`, `seal.next.toml`): from then on every process unwraps with
//!    both and wraps with the next.
//! 2. Whoever migrates wraps anew what the old one wrapped, fences the old one off, and looks again.
//! 3. The old key is overwritten, and the next takes its names. Until the last of them is there, `seal.next.toml` decides.
//!
//! Whoever does one of these holds `seal.lock`, so that there is one of them at a time.

use std::fs::File;

use super::HomeSeal;
use super::file::{KEY_LEN, decode_key, encode_key};
use super::header::Header;
use super::live::{find, forget, hold, resolve};
use super::root::{Root, marker_of};
use crate::error::{Error, ErrorKind, Result};
use crate::home::{Home, NEXT_ROOT_KEY, NEXT_SEAL, ROOT_KEY, SEAL, SEAL_LOCK};
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

    /// Keeps every other process from migrating, as long as what is returned is alive.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] while another one migrates.
    pub fn alone(&self) -> Result<File> {
        let lock = self.home.open_or_create_file(SEAL_LOCK)?;
        let busy = |e: std::fs::TryLockError| {
            let why = "another process migrates the seal: wait until it is done";
            Error::new(ErrorKind::Busy, why).with_source(e.to_string())
        };
        lock.try_lock().map_err(busy)?;
        Ok(lock)
    }

    /// Makes the next root key, or finds the one of a migration that was begun. Returns whether one was. As all of the
    /// following, only while nobody else migrates ([`Self::alone`]).
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where a migration to another holder is under way.
    pub fn begin(&self, to: &Holding) -> Result<bool> {
        let old = header(&self.home, SEAL)?;
        // One that ended, but for its last file.
        if header(&self.home, NEXT_SEAL)?.is_some_and(|next| old.as_ref().is_some_and(|old| old.key_id == next.key_id))
        {
            let _ = self.finish()?;
        }
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
        if old.is_some_and(|old| old.key_id == next.key_id) {
            return Err(Error::new(ErrorKind::Internal, "the next root key is the one that the home has"));
        }
        // Where one was written all the same, by a version that knows no lock, that is the one that counts.
        if !self.home.create_exclusively(NEXT_SEAL, next.text()?.as_bytes())? {
            forget(&next, &self.devices);
            return Err(Error::new(ErrorKind::Conflict, "another process migrates the seal: look again"));
        }
        let _ = self.reload()?;
        Ok(false)
    }

    /// The marker that the root key which is migrated to is over, where one is.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`].
    pub fn next_marker(&self) -> Result<Option<StoreKey>> {
        let (old, next) = (header(&self.home, SEAL)?, header(&self.home, NEXT_SEAL)?);
        let next = next.filter(|next| old.is_some_and(|old| old.key_id != next.key_id));
        next.map(|next| marker_of(&next.key_id)).transpose()
    }

    /// Gives a migration up to whose key nothing was wrapped: erases the next root key. Returns its label in a device where
    /// it is left there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn abandon(&self) -> Result<Option<String>> {
        let Some(next) = header(&self.home, NEXT_SEAL)? else { return Ok(None) };
        self.home.remove(NEXT_SEAL)?;
        self.erase(NEXT_ROOT_KEY)?;
        let left = forget(&next, &self.devices);
        self.reload().map(|_| left)
    }

    /// The header of the next root key, which is held by then.
    fn prepare(&self, to: &Holding) -> Result<Header> {
        match to {
            Holding::File => {
                let suite = super::Seal::suite(self);
                let key = Secret::filled(KEY_LEN, |b| self.random.fill(b))?;
                // What is left of a migration that ended before its header was written is nobody's, and may be known to some.
                self.erase(NEXT_ROOT_KEY)?;
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

    /// Erases the old root key and gives the next its names. Only after everything was wrapped anew. Returns the label of the
    /// old one in a device, where it is left there: everything was wrapped anew, so that is no reason to stop.
    ///
    /// # Errors
    /// Those of the file system: the migration is still under way then.
    pub fn finish(&self) -> Result<Option<String>> {
        let Some(next) = header(&self.home, NEXT_SEAL)? else { return Ok(None) };
        // Not before it is proved that the next one opens.
        let _ = resolve(&self.home, &next, &self.devices)?;
        let old = header(&self.home, SEAL)?.filter(|old| old.key_id != next.key_id);
        if self.is_in(ROOT_KEY, old.as_ref())? {
            self.overwrite(ROOT_KEY)?;
        }
        if self.is_in(NEXT_ROOT_KEY, Some(&next))? {
            self.home.rename(NEXT_ROOT_KEY, ROOT_KEY)?;
        }
        let left = old.and_then(|old| forget(&old, &self.devices));
        self.home.replace(SEAL, next.text()?.as_bytes())?;
        if next.hsm.is_some() {
            self.home.remove(ROOT_KEY)?;
        }
        self.erase(NEXT_ROOT_KEY)?;
        self.home.remove(NEXT_SEAL)?;
        self.reload().map(|_| left)
    }

    /// Whether the file `name` holds the key that `header` names.
    fn is_in(&self, name: &str, header: Option<&Header>) -> Result<bool> {
        let (Some(header), Some(file)) = (header, self.home.read(name)?) else { return Ok(false) };
        // What is overwritten already holds none.
        let Ok((suite, key)) = decode_key(&self.home, &file) else { return Ok(false) };
        Ok(header.hsm.is_none() && Root::new(suite, &key)?.key_id() == header.key_id)
    }

    /// Overwrites a key file, and removes it.
    fn erase(&self, name: &str) -> Result<()> {
        self.overwrite(name)?;
        self.home.remove(name)
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
