//! Files of a home. Names are relative, with `/` between components (`audit/segment.jsonl`).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::place::Place;
use super::{Home, cannot};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Directory, Opening, effective_ids};
use crate::secret::Secret;

/// Largest file that [`Home::read`] takes in.
const LARGEST: u64 = 1 << 20;

static SERIAL: AtomicU64 = AtomicU64::new(0);

impl Home {
    /// The path of `name` in the home, for messages and for engines that open by path (after [`Self::prepare`]).
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the directory `name`, where it does not exist, and checks it.
    ///
    /// # Errors
    /// [`ErrorKind::HomeUnsafe`], [`ErrorKind::Storage`], [`ErrorKind::ReadOnly`].
    pub fn create_directory(&self, name: &str) -> Result<PathBuf> {
        let (place, last) = self.walk(name)?;
        Ok(place.descend(last)?.path)
    }

    /// Makes the file `name` for reading and writing; fails with [`ErrorKind::AlreadyExists`] where there is one.
    ///
    /// # Errors
    /// As [`Self::create_directory`].
    pub fn create_file(&self, name: &str) -> Result<File> {
        let (place, last) = self.walk(name)?;
        let path = place.path.join(last);
        let file = place.directory.file(last.as_ref(), Opening::New).map_err(|e| cannot("make the file", &path, e))?;
        place.mode.apply(&file).map_err(|e| cannot("set the owner of", &path, e))?;
        place.directory.sync().map_err(|e| cannot("write the directory of", &path, e))?;
        Ok(file)
    }

    /// Opens the existing file `name`; `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::create_directory`].
    pub fn open_file(&self, name: &str, opening: Opening) -> Result<Option<File>> {
        let (place, last) = self.walk(name)?;
        let path = place.path.join(last);
        let failed = |e| cannot("open the file", &path, e);
        let file = match place.directory.file(last.as_ref(), opening) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        refuse_other_than_files(metadata.is_file(), &path)?;
        place.check(&metadata, &path)?;
        Ok(Some(file))
    }

    /// Opens the file `name`, or makes it empty; for reading and writing.
    ///
    /// # Errors
    /// As [`Self::create_directory`].
    pub fn open_or_create_file(&self, name: &str) -> Result<File> {
        loop {
            if let Some(file) = self.open_file(name, Opening::Write)? {
                return Ok(file);
            }
            // Whoever made it, it is opened and checked in the next turn.
            self.create_exclusively(name, &[])?;
        }
    }

    /// The contents of the file `name`, wiped when dropped; `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::create_directory`]; [`ErrorKind::Damaged`] when it is larger than 1 MiB.
    pub fn read(&self, name: &str) -> Result<Option<Secret>> {
        let Some(mut file) = self.open_file(name, Opening::Read)? else { return Ok(None) };
        let path = self.join(name);
        let failed = |e| cannot("read", &path, e);
        let length = file.metadata().map_err(failed)?.size();
        let length = usize::try_from(length).ok().filter(|_| length <= LARGEST).ok_or_else(|| {
            Error::new(ErrorKind::Damaged, format!("`{}` is far larger than it can be", path.display()))
        })?;
        // Read into place: a vector that grows would leave copies of a key behind.
        Secret::filled(length, |buffer| file.read_exact(buffer)).map(Some).map_err(failed)
    }

    /// Whether there is anything called `name`.
    ///
    /// # Errors
    /// As [`Self::create_directory`].
    pub fn exists(&self, name: &str) -> Result<bool> {
        let (place, last) = self.walk(name)?;
        match place.directory.look(last.as_ref()) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(cannot("inspect", &place.path.join(last), e)),
        }
    }

    /// Makes the file `name` with `contents`, complete and durable from the moment it is seen. `false` where somebody else
    /// made it first: nothing was changed then.
    ///
    /// # Errors
    /// As [`Self::create_directory`].
    pub fn create_exclusively(&self, name: &str, contents: &[u8]) -> Result<bool> {
        self.publish(name, contents, |directory, draft, last| {
            let linked = directory.link(draft, last);
            directory.remove(draft)?;
            linked
        })
    }

    /// Replaces the file `name` by one with `contents`; readers see the old or the new one, also after a power loss.
    ///
    /// # Errors
    /// As [`Self::create_directory`].
    pub fn replace(&self, name: &str, contents: &[u8]) -> Result<()> {
        self.publish(name, contents, Directory::rename).map(drop)
    }

    /// Makes sure that the file `name` exists (empty where it is new) with the home's owner and mode, for an engine that
    /// opens it by path. An existing file is never opened here: closing it would drop this process's locks on it.
    ///
    /// # Errors
    /// As [`Self::create_directory`].
    pub fn prepare(&self, name: &str) -> Result<PathBuf> {
        let (place, last) = self.walk(name)?;
        let path = place.path.join(last);
        let failed = |e| cannot("inspect", &path, e);
        let metadata = match place.directory.look(last.as_ref()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.create_exclusively(name, &[])?;
                place.directory.look(last.as_ref())
            }
            other => other,
        }
        .map_err(failed)?;
        refuse_other_than_files(metadata.is_file(), &path)?;
        place.check(&metadata, &path)?;
        if effective_ids().0 == 0 && metadata.uid() != place.mode.owner && !place.mode.is_shared() {
            place.directory.change_owner(last.as_ref(), place.mode.owner, place.mode.group).map_err(failed)?;
        }
        Ok(path)
    }

    /// Removes the file `name`; nothing happens where there is none.
    ///
    /// # Errors
    /// As [`Self::create_directory`].
    pub fn remove(&self, name: &str) -> Result<()> {
        let (place, last) = self.walk(name)?;
        match place.directory.remove(last.as_ref()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cannot("remove", &place.path.join(last), e)),
            _ => Ok(()),
        }
    }

    /// Gives the file `from` the name `to`, in place of what is called so; both are in one directory. Nothing happens where
    /// there is no `from`.
    ///
    /// # Errors
    /// As [`Self::create_directory`].
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (place, last) = self.walk(to)?;
        let (source, first) = self.walk(from)?;
        let path = place.path.join(last);
        if source.path != place.path {
            return Err(Error::new(ErrorKind::Internal, "a file would move to another directory"));
        }
        match place.directory.rename(first.as_ref(), last.as_ref()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.and_then(|()| place.directory.sync()).map_err(|e| cannot("rename a file to", &path, e)),
        }
    }

    /// Writes a draft beside `name` and lets `place_it` give it that name.
    fn publish(
        &self,
        name: &str,
        contents: &[u8],
        place_it: impl FnOnce(&Directory, &OsStr, &OsStr) -> io::Result<()>,
    ) -> Result<bool> {
        let (place, last) = self.walk(name)?;
        let path = place.path.join(last);
        let failed = |e| cannot("write", &path, e);
        let (draft_name, mut draft) = draft(&place).map_err(failed)?;
        let written = place
            .mode
            .apply(&draft)
            .and_then(|()| draft.write_all(contents))
            .and_then(|()| draft.sync_all())
            .map_err(failed);
        // Closed before it gets its name: no descriptor of ours may close on a file that an engine has locked.
        drop(draft);
        if let Err(e) = written {
            let _ = place.directory.remove(draft_name.as_ref());
            return Err(e);
        }
        match place_it(&place.directory, draft_name.as_ref(), last.as_ref()) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            other => other.map_err(failed)?,
        }
        place.directory.sync().map_err(failed)?;
        Ok(true)
    }

    /// The directory that holds `name`, and its last component.
    fn walk<'n>(&self, name: &'n str) -> Result<(Place, &'n str)> {
        let mut place = self.place()?;
        let (above, last) = name.rsplit_once('/').unwrap_or(("", name));
        for component in above.split('/').filter(|c| !c.is_empty()) {
            place = place.descend(component)?;
        }
        Ok((place, last))
    }
}

/// A fresh file with a name of its own.
fn draft(place: &Place) -> io::Result<(String, File)> {
    loop {
        let name = format!(".draft-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        match place.directory.file(name.as_ref(), Opening::New) {
            // Left behind by a process that was killed and had our number.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (name, file)),
        }
    }
}

fn refuse_other_than_files(is_file: bool, path: &Path) -> Result<()> {
    if is_file {
        return Ok(());
    }
    Err(Error::new(ErrorKind::HomeUnsafe, format!("`{}` is not an ordinary file: remove it", path.display())))
}
