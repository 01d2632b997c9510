//! The file of an archive: it has its name when all of it is on the disk, and takes nobody else's.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::os::rename_new;

/// An archive that is being written, beside its name with `.partial` behind it. What is not finished is removed.
#[derive(Debug)]
pub struct ArchiveFile {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    named: bool,
}

impl ArchiveFile {
    /// Begins the archive `path`, mode 0600.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where there is a file of that name, or an unfinished one; [`ErrorKind::Storage`].
    pub fn create(path: &Path) -> Result<Self> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(taken(path));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        let file = file.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => {
                let what = format!(
                    "`{}` exists already: the archive is being written by somebody else, or was left unfinished, and may be \
                     removed then",
                    partial.display()
                );
                Error::new(ErrorKind::AlreadyExists, what)
            }
            _ => unwritten(&partial, e),
        })?;
        Ok(Self { path: path.to_owned(), partial, out: BufWriter::new(file), named: false })
    }

    /// Gives the archive its name, when all of it is on the disk.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where something has that name by now; [`ErrorKind::Storage`]. There is no archive then.
    pub fn finish(mut self) -> Result<()> {
        let written = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        written.map_err(|e| unwritten(&self.partial, e))?;
        if !self.is_here() {
            let what = format!("`{}` was replaced by somebody else", self.partial.display());
            return Err(Error::new(ErrorKind::Storage, what));
        }
        rename_new(&self.partial, &self.path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => taken(&self.path),
            io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => {
                let why =
                    "its file system has no names that nobody else can take meanwhile: write it elsewhere, and copy it";
                Error::new(ErrorKind::Storage, format!("`{}` cannot get its name: {why}", self.path.display()))
                    .with_source(e)
            }
            _ => unwritten(&self.path, e),
        })?;
        self.named = true;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all()).map_err(|e| {
            // Whoever is told of an error has no shares of it.
            let _ = fs::remove_file(&self.path);
            unwritten(&self.path, e)
        })
    }

    /// Whether the file is still where it was made: one that was taken for a leftover may have been removed, and another made.
    fn is_here(&self) -> bool {
        let identity = |of: Metadata| (of.dev(), of.ino());
        let here = fs::symlink_metadata(&self.partial).map(identity);
        let ours = self.out.get_ref().metadata().map(identity);
        matches!((here, ours), (Ok(here), Ok(ours)) if here == ours)
    }
}

impl Write for ArchiveFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for ArchiveFile {
    fn drop(&mut self) {
        if !self.named && self.is_here() {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

fn taken(path: &Path) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("`{}` exists already", path.display()))
}

fn unwritten(path: &Path, why: io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot write `{}`", path.display())).with_source(why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_archive_takes_nobodys_name_and_leaves_nothing_unfinished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        let begun = |text: &[u8]| {
            let mut file = ArchiveFile::create(&path).unwrap();
            file.write_all(text).unwrap();
            file
        };
        drop(begun(b"dropped"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let late = begun(b"late");
        assert_eq!(ArchiveFile::create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::write(&path, "somebody's").unwrap();
        assert_eq!(late.finish().unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"somebody's");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::remove_file(&path).unwrap();
        begun(b"whole").finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_archive_is_not_named_for_one_that_took_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        let first = ArchiveFile::create(&path).unwrap();
        fs::remove_file(&first.partial).unwrap();
        let second = ArchiveFile::create(&path).unwrap();
        assert_eq!(first.finish().unwrap_err().kind(), ErrorKind::Storage);
        second.finish().unwrap();
        assert!(path.exists());
    }
}
