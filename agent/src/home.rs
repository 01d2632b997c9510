//! The agent's folder in the home: cursors, the state of the alarms, what it says of itself, and a lock.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use libkmss::audit::{Cursor, cursor_names};
use libkmss::config::Config;
use libkmss::kms::Kms;
use libkmss::os::FileMode;

use crate::error::AgentError;

/// The agent's folder, below the home.
const FOLDER: &str = "agent";
/// Held by the agent that runs.
const LOCK: &str = "lock";
/// The cursor of the alarms; no destination can have this name.
pub(crate) const ALARMS: &str = "_alarms";

/// The agent's files in a home.
#[derive(Clone, Debug)]
pub struct AgentHome {
    folder: PathBuf,
    audit: PathBuf,
    mode: FileMode,
}

impl AgentHome {
    /// Those of the home that `config` names; the folder need not exist.
    ///
    /// # Errors
    /// [`AgentError::NoHome`].
    pub fn of(config: &Config) -> Result<Self, AgentError> {
        let mode = FileMode::of_home(&config.home).map_err(|_| AgentError::NoHome(config.home.clone()))?;
        Ok(Self { folder: config.home.join(FOLDER), audit: Kms::audit_directory(config), mode })
    }

    /// Where the segments are.
    #[must_use]
    pub fn audit(&self) -> &Path {
        &self.audit
    }

    /// Where the cursors are, for whoever removes old segments: see [`awaited_by`](libkmss::audit::awaited_by).
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file in the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The file of a destination's cursor.
    #[must_use]
    pub fn cursor(&self, name: &str) -> PathBuf {
        self.file(&Cursor::file_name(name))
    }

    /// What files of the home take.
    pub(crate) const fn mode(&self) -> FileMode {
        self.mode
    }

    /// The names of all cursors.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn cursors(&self) -> Result<Vec<String>, AgentError> {
        Ok(cursor_names(&self.folder)?)
    }

    /// Makes the folder.
    pub(crate) fn make(&self) -> Result<(), AgentError> {
        let failed = |source| AgentError::File { what: "make", path: self.folder.clone(), source };
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(failed(e)),
            Ok(()) => File::open(&self.folder).and_then(|folder| self.mode.apply(&folder)).map_err(failed),
        }
    }

    /// Takes the place of the one agent of this home, for as long as the file is held.
    pub(crate) fn lock(&self) -> Result<File, AgentError> {
        let path = self.file(LOCK);
        let failed = |source| AgentError::File { what: "lock", path: path.clone(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.and_then(|file| self.mode.apply(&file).map(|()| file)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(AgentError::Running),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }

    /// Whether an agent runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        File::open(self.file(LOCK)).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// Forgets a destination that the configuration no longer names: nothing waits for it any more.
///
/// # Errors
/// [`AgentError::NoDestination`]; the file cannot be removed.
pub fn forget(home: &AgentHome, name: &str) -> Result<(), AgentError> {
    let path = home.cursor(name);
    let known = home.cursors()?.iter().any(|known| known == name);
    if !known {
        return Err(AgentError::NoDestination(name.to_owned()));
    }
    std::fs::remove_file(&path).map_err(|source| AgentError::File { what: "remove", path, source })
}
