//! Finding the configuration, and remembering why it is the one.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file::File;
use super::{Config, HsmConfig, PolicyConfig, PrincipalRule, QuotaRule, RemoteConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::home;
use crate::os::{effective_ids, is_secure_execution, user_by_id};

/// Names a configuration file.
const CONF: &str = "KMSS_CONF";
/// Names a home.
const HOME: &str = "KMSS_HOME";
/// The system's configuration.
const SYSTEM: &str = "/etc/kmss/kmss.toml";
/// The user's configuration, below the user's directory.
const USER: &str = ".config/kmss/kmss.toml";
/// The default home of root.
const ROOT_HOME: &str = "/var/lib/kmss";
/// The default home of everybody else, below the user's directory.
const USER_HOME: &str = ".local/share/kmss";

/// What leads to a home's own configuration.
const HOMES_OWN: &str = "the home's own";

/// How the configuration was found, for `kmss doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether `KMSS_CONF` and `KMSS_HOME` were set but not believed, because the program runs with foreign rights.
    pub environment_ignored: bool,
    /// The files that were looked for, in order.
    pub considered: Vec<Considered>,
    /// What named the home.
    pub home: HomeSource,
    /// Who owns the file that counts.
    pub file_owner: Option<u32>,
    /// Why the file's `[[principal]]` rules are not followed, if so.
    pub rules_ignored: Option<String>,
}

impl Explanation {
    /// The file that counts, if there is one.
    #[must_use]
    pub fn used(&self) -> Option<&Path> {
        self.considered.iter().find(|c| c.outcome == Outcome::Used).map(|c| c.path.as_path())
    }

    /// Drops the rules, admins, quotas and servers of a file whose owner, neither root nor `home`'s owner, does not decide who processes are there.
    pub(super) fn judge_rules(
        &mut self,
        home: &Path,
        rules: &mut Vec<PrincipalRule>,
        policy: &mut PolicyConfig,
        quotas: &mut Vec<QuotaRule>,
        remotes: &mut Vec<RemoteConfig>,
    ) {
        let master = owner_of(home).unwrap_or(effective_ids().0);
        let Some(owner) = self.file_owner.filter(|owner| *owner != 0 && *owner != master) else { return };
        if rules.is_empty() && policy.admins.is_empty() && quotas.is_empty() && remotes.is_empty() {
            return;
        }
        rules.clear();
        policy.admins.clear();
        quotas.clear();
        remotes.clear();
        let why = format!("the file belongs to user {owner}, and the home `{}` to user {master}", home.display());
        tracing::warn!(reason = %why, "the principal rules of the configuration are not followed");
        self.rules_ignored = Some(why);
    }

    /// The HSMs of a file whose owner may have code run in a process of user `uid`: root, or that user.
    fn judge_modules(&mut self, uid: u32, hsms: Vec<HsmConfig>) -> Vec<HsmConfig> {
        let Some(owner) = self.file_owner.filter(|owner| *owner != 0 && *owner != uid) else { return hsms };
        if hsms.is_empty() {
            return hsms;
        }
        let why = format!("the file belongs to user {owner}, and its HSMs' modules would be run as user {uid}");
        tracing::warn!(reason = %why, "the HSMs of the configuration are not used");
        self.rules_ignored = Some(self.rules_ignored.take().map_or(why.clone(), |other| format!("{other}; {why}")));
        Vec::new()
    }
}

/// A file that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// Where.
    pub path: PathBuf,
    /// What led there.
    pub because: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What became of a file that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the configuration.
    Used,
    /// It does not exist.
    Absent,
    /// One before it counts; it was not read.
    Outranked,
}

/// What named the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeSource {
    /// `KMSS_HOME`.
    Environment,
    /// The configuration file.
    File,
    /// Nothing: it is the default.
    Default,
    /// The caller, beside the configuration.
    Caller,
}

/// What the search depends on.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) conf: Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
    pub(super) environment_ignored: bool,
    pub(super) user_directory: Option<PathBuf>,
    pub(super) system: PathBuf,
    pub(super) root_home: PathBuf,
    pub(super) uid: u32,
}

impl Surroundings {
    pub(super) fn of_process() -> Result<Self> {
        let uid = effective_ids().0;
        let database = user_by_id(uid)
            .map_err(|e| Error::new(ErrorKind::Config, "the user database cannot be read").with_source(e))?
            .map(|user| user.directory);
        Self::new(is_secure_execution(), uid, database, |name| std::env::var_os(name))
    }

    /// Decides what of the environment is believed: nothing under foreign rights, and no `HOME` that belongs to somebody
    /// else (as `sudo` may leave it).
    pub(super) fn new(
        secure: bool,
        uid: u32,
        database: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let believed = |name: &str| {
            let value = set(name).filter(|_| !secure);
            value.map(|v| std::path::absolute(v).map_err(|e| not_a_path(name, e))).transpose()
        };
        let own = set("HOME")
            .filter(|_| !secure)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute() && fs::metadata(path).is_ok_and(|metadata| metadata.uid() == uid));
        Ok(Self {
            conf: believed(CONF)?,
            home: believed(HOME)?,
            environment_ignored: secure && (set(CONF).is_some() || set(HOME).is_some()),
            user_directory: own.or(database).filter(|path| path.is_absolute()),
            system: PathBuf::from(SYSTEM),
            root_home: PathBuf::from(ROOT_HOME),
            uid,
        })
    }

    pub(super) fn load(&self) -> Result<Config> {
        let mut considered = Vec::new();
        let mut found: Option<(File, u32, String)> = None;
        for (path, because, owners) in self.candidates() {
            let outcome = if found.is_some() {
                Outcome::Outranked
            } else {
                found = File::read(&path, &owners)?;
                if found.is_some() { Outcome::Used } else { Outcome::Absent }
            };
            if because == CONF && outcome == Outcome::Absent {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("`{CONF}` names `{}`, which does not exist: correct or unset it", path.display()),
                ));
            }
            considered.push(Considered { path, because, outcome });
        }
        let (file, owner, text) = match found {
            Some((file, owner, text)) => (file, Some(owner), text),
            None => (File::default(), None, String::new()),
        };
        let (home, source) = self.home_of(&file)?;
        let mut explanation = Explanation {
            environment_ignored: self.environment_ignored,
            considered,
            home: source,
            file_owner: owner,
            rules_ignored: None,
        };
        Self::refuse_contradiction(&explanation, &file)?;
        let (mut principals, mut policy, mut quotas) = (file.principal, file.policy, file.quota);
        let mut remotes = file.remote;
        explanation.judge_rules(&home, &mut principals, &mut policy, &mut quotas, &mut remotes);
        if let Some(complaint) = super::hsm_group::complaint(&file.hsm_group, &file.hsm, &remotes) {
            let path = explanation.used().unwrap_or(Path::new(home::CONFIG)).display();
            return Err(Error::new(ErrorKind::Config, format!("`{path}`: {complaint}")));
        }
        let hsms = explanation.judge_modules(self.uid, file.hsm);
        // Without its members a group is nothing.
        let hsm_groups = if hsms.is_empty() { Vec::new() } else { file.hsm_group };
        Ok(Config {
            home,
            suite: file.suite,
            pin: file.pin,
            store: file.store,
            audit: file.audit,
            policy,
            principals,
            quotas,
            hsms,
            hsm_groups,
            remotes,
            explanation,
            text: text.into(),
        })
    }

    /// Where a configuration may be, in order, with who may own it.
    fn candidates(&self) -> Vec<(PathBuf, &'static str, Vec<u32>)> {
        let ours = vec![self.uid, 0];
        let of_home = |home: &Path| {
            let mut owners = ours.clone();
            owners.extend(owner_of(home));
            (home.join(home::CONFIG), HOMES_OWN, owners)
        };
        if let Some(path) = &self.conf {
            return vec![(path.clone(), CONF, ours)];
        }
        if let Some(home) = &self.home {
            return vec![of_home(home)];
        }
        let mut list = Vec::new();
        list.extend(self.user_directory.as_ref().map(|d| (d.join(USER), "the user's", ours.clone())));
        list.push((self.system.clone(), "the system's", ours.clone()));
        list.extend(self.default_home().map(|home| of_home(&home)));
        list
    }

    fn home_of(&self, file: &File) -> Result<(PathBuf, HomeSource)> {
        if let Some(home) = &self.home {
            return Ok((home.clone(), HomeSource::Environment));
        }
        let nowhere = || {
            Error::new(
                ErrorKind::Config,
                format!("user {} has no directory for a home: set `{HOME}`, or `home` in `{}`", self.uid, SYSTEM),
            )
        };
        match &file.home {
            Some(home) => match home.strip_prefix("~") {
                Ok(rest) => Ok((self.user_directory.as_ref().ok_or_else(nowhere)?.join(rest), HomeSource::File)),
                Err(_) => Ok((home.clone(), HomeSource::File)),
            },
            None => Ok((self.default_home().ok_or_else(nowhere)?, HomeSource::Default)),
        }
    }

    fn default_home(&self) -> Option<PathBuf> {
        if self.uid == 0 {
            return Some(self.root_home.clone());
        }
        self.user_directory.as_ref().map(|directory| directory.join(USER_HOME))
    }

    /// Refuses a home's own file that sends the reader elsewhere.
    fn refuse_contradiction(explanation: &Explanation, file: &File) -> Result<()> {
        let own = explanation.considered.iter().find(|c| c.outcome == Outcome::Used && c.because == HOMES_OWN);
        match (own, &file.home) {
            (Some(Considered { path, .. }), Some(named)) if path.parent() != Some(named) => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "`{}` lies in a home and names another, `{}`: remove its `home`",
                    path.display(),
                    named.display()
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn owner_of(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|metadata| metadata.uid())
}

fn not_a_path(name: &str, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("`{name}` does not hold a path")).with_source(cause)
}
