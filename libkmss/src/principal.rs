//! Who a process is, when nothing better than the operating system says so.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::caller::{CallerProcess, Principal};
use crate::config::{Config, PrincipalRule};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Lock, Rank, effective_ids, epoch, user_by_id};
use crate::tenant::{Namespace, NamespaceId};

/// What the kernel says of this process. No request can change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Process number.
    pub pid: u32,
    /// The program, as the kernel names it. Empty where `/proc` is not mounted: no rule that names a program matches then.
    pub executable: PathBuf,
    epoch: u32,
}

impl ProcessIdentity {
    /// That of this process. Costs some microseconds: keep it while it [is current](Self::is_current).
    #[must_use]
    pub fn current() -> Self {
        let (uid, gid) = effective_ids();
        let link = fs::read_link("/proc/self/exe").unwrap_or_default();
        Self { uid, gid, pid: std::process::id(), executable: program(link), epoch: epoch() }
    }

    /// Whether this process is still the same: neither a fork nor a change of user (a server that gives up root) lies
    /// between.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.epoch == epoch() && (self.uid, self.gid) == effective_ids()
    }

    /// That of another process of this host, as the kernel tells it of the other side of a socket.
    #[must_use]
    pub fn of_peer(uid: u32, gid: u32, pid: u32) -> Self {
        let link = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        Self { uid, gid, pid, executable: program(link), epoch: epoch() }
    }

    fn principal(&self, name: String, roles: Vec<String>) -> Principal {
        let executable = self.executable.to_string_lossy().into_owned();
        let process = CallerProcess { uid: self.uid, pid: self.pid, executable };
        Principal { name, roles, process, source: String::new() }
    }
}

/// Who this process is, for a door that stays open: noticed anew at once after a fork, and within a second after a change
/// of user (a server that gives up root without forking).
#[derive(Debug)]
pub struct CurrentPrincipal {
    epoch: AtomicU32,
    /// When the effective user was last looked at, in milliseconds of the monotonic clock.
    checked: AtomicU64,
    /// Whether the process has been somebody else since the door was opened.
    changed: AtomicBool,
    state: Lock<Known>,
}

#[derive(Debug)]
struct Known {
    process: ProcessIdentity,
    principals: HashMap<NamespaceId, (String, Arc<Principal>)>,
}

/// How long the effective user is believed, in milliseconds: the system calls would cost more than a cheap operation.
const BELIEVED: u64 = 1_000;

impl CurrentPrincipal {
    /// That of the process at `now` (monotonic).
    #[must_use]
    pub fn new(now: Duration) -> Self {
        let known = Known { process: ProcessIdentity::current(), principals: HashMap::new() };
        Self {
            epoch: AtomicU32::new(epoch()),
            checked: AtomicU64::new(milliseconds(now)),
            changed: AtomicBool::new(false),
            state: Lock::new(Rank::Cache, known),
        }
    }

    /// Whether the process is not, or has not always been, who it was at [`Self::new`]. Costs two loads and a comparison
    /// of times.
    pub fn has_changed(&self, now: Duration) -> bool {
        let now = milliseconds(now);
        let forked = self.epoch.load(Ordering::Relaxed) != epoch();
        if forked || now.saturating_sub(self.checked.load(Ordering::Relaxed)) >= BELIEVED {
            self.look(now);
        }
        self.changed.load(Ordering::Relaxed)
    }

    /// The principal in `namespace` now.
    ///
    /// # Errors
    /// As [`Config::principal`].
    pub fn of(&self, config: &Config, namespace: &Namespace) -> Result<Arc<Principal>> {
        let process = {
            let known = self.state.lock();
            if let Some((name, principal)) = known.principals.get(&namespace.id)
                && *name == namespace.name
            {
                return Ok(Arc::clone(principal));
            }
            known.process.clone()
        };
        // The user database may be a network service: it is asked without the lock, which a fork waits for.
        let principal = Arc::new(config.principal(&process, &namespace.name)?);
        let mut known = self.state.lock();
        if known.process == process {
            known.principals.insert(namespace.id, (namespace.name.clone(), Arc::clone(&principal)));
        }
        Ok(principal)
    }

    fn look(&self, now: u64) {
        let mut known = self.state.lock();
        if !known.process.is_current() {
            *known = Known { process: ProcessIdentity::current(), principals: HashMap::new() };
            self.changed.store(true, Ordering::Relaxed);
        }
        self.epoch.store(epoch(), Ordering::Relaxed);
        self.checked.store(now, Ordering::Relaxed);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The kernel marks a program that was replaced while it runs (a package update); it is still the same one.
fn program(link: PathBuf) -> PathBuf {
    match link.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(path) if !link.exists() => PathBuf::from(OsStr::from_bytes(path)),
        _ => link,
    }
}

impl Config {
    /// Who `process` is in the namespace `token`: by the first rule whose fields all match, else the operating system's
    /// user.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the user database cannot be read: a guess could be somebody else.
    pub fn principal(&self, process: &ProcessIdentity, token: &str) -> Result<Principal> {
        if let Some(rule) = self.principals.iter().find(|rule| matches(rule, process, token)) {
            return Ok(process.principal(rule.name.clone(), rule.roles.clone()));
        }
        let user = user_by_id(process.uid)
            .map_err(|e| Error::new(ErrorKind::Config, "the user database cannot be read").with_source(e))?;
        // A name from the database that looks like a number would be taken for a user without a name.
        let name = match user {
            Some(user) if !user.name.is_empty() && !user.name.starts_with('#') => format!("user:{}", user.name),
            _ => format!("user:#{}", process.uid),
        };
        Ok(process.principal(name, Vec::new()))
    }
}

impl Config {
    /// Who somebody is in the namespace `token` that showed a certificate with these names, each as rules write it
    /// (`URI:spiffe://…`, `DNS:…`, `email:…`), and asks from the network address `source`: by the first rule that names one of
    /// them, else `service:` and the first name. Rules without `san` are for processes.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] where no rule matches and the first name is none that a principal can have.
    pub fn principal_of_certificate(&self, names: &[String], source: &str, token: &str) -> Result<Principal> {
        let rule = self.principals.iter().find(|rule| {
            rule.uid.is_none()
                && rule.gid.is_none()
                && rule.executable.is_none()
                && rule.san.as_ref().is_some_and(|san| names.contains(san))
                && rule.token.as_deref().is_none_or(|wanted| wanted == token)
        });
        let (name, roles) = match rule {
            Some(rule) => (rule.name.clone(), rule.roles.clone()),
            None => (service(names)?, Vec::new()),
        };
        Ok(Principal { source: source.to_owned(), ..Principal::new(name, roles) })
    }
}

/// Longest name of a certificate that becomes one of a principal, in bytes.
const LONGEST_SAN: usize = 200;

fn service(names: &[String]) -> Result<String> {
    let name = names.first().and_then(|name| name.split_once(':')).map(|(_, value)| value).unwrap_or_default();
    if name.is_empty() || name.len() > LONGEST_SAN || !name.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::new(ErrorKind::Denied, "the certificate has no name that could be that of a principal"));
    }
    Ok(format!("service:{name}"))
}

fn matches(rule: &PrincipalRule, process: &ProcessIdentity, token: &str) -> bool {
    let program = |path: &PathBuf| process.executable.as_path() == Path::new(path);
    rule.san.is_none()
        && rule.uid.is_none_or(|uid| uid == process.uid)
        && rule.gid.is_none_or(|gid| gid == process.gid)
        && rule.executable.as_ref().is_none_or(program)
        && rule.token.as_deref().is_none_or(|wanted| wanted == token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Explanation, HomeSource};

    fn config(principals: Vec<PrincipalRule>) -> Config {
        Config {
            home: PathBuf::new(),
            suite: crate::suite::Suite::Nist,
            pin: Default::default(),
            store: Default::default(),
            audit: Default::default(),
            policy: Default::default(),
            principals,
            quotas: Vec::new(),
            hsms: Vec::new(),
            hsm_groups: Vec::new(),
            remotes: Vec::new(),
            explanation: Explanation {
                environment_ignored: false,
                considered: Vec::new(),
                home: HomeSource::Default,
                file_owner: None,
                rules_ignored: None,
            },
            text: "".into(),
        }
    }

    fn rule(name: &str) -> PrincipalRule {
        PrincipalRule {
            uid: None,
            gid: None,
            executable: None,
            san: None,
            token: None,
            name: name.to_owned(),
            roles: vec!["role".to_owned()],
        }
    }

    fn nginx() -> ProcessIdentity {
        ProcessIdentity { uid: 0, gid: 0, pid: 1, executable: "/usr/sbin/nginx".into(), epoch: 0 }
    }

    #[test]
    fn the_first_rule_whose_fields_all_match_names_the_principal() {
        let config = config(vec![
            PrincipalRule { uid: Some(0), token: Some("other".into()), ..rule("service:a") },
            PrincipalRule { uid: Some(0), executable: Some("/usr/sbin/apache2".into()), ..rule("service:b") },
            PrincipalRule { gid: Some(1), ..rule("service:c") },
            PrincipalRule {
                executable: Some("/usr/sbin/nginx".into()),
                token: Some("web".into()),
                ..rule("service:d")
            },
            rule("service:e"),
        ]);
        assert_eq!(config.principal(&nginx(), "web").unwrap().name, "service:d");
        assert_eq!(config.principal(&nginx(), "web").unwrap().roles, ["role"]);
        assert_eq!(config.principal(&nginx(), "other").unwrap().name, "service:a");
        assert_eq!(config.principal(&nginx(), "third").unwrap().name, "service:e");
    }

    #[test]
    fn without_a_rule_it_is_the_user_of_the_operating_system() {
        let config = config(Vec::new());
        assert_eq!(config.principal(&nginx(), "web").unwrap(), nginx().principal("user:root".into(), vec![]));
        let nobody = ProcessIdentity { uid: 4_000_000_001, ..nginx() };
        assert_eq!(config.principal(&nobody, "web").unwrap().name, "user:#4000000001");
    }

    #[test]
    fn a_certificate_is_named_by_rules_of_its_names_alone() {
        let san = |san: &str, name: &str| PrincipalRule { san: Some(san.to_owned()), ..rule(name) };
        let config = config(vec![
            rule("service:everybody"),
            PrincipalRule { uid: Some(0), ..san("DNS:order.example", "service:a") },
            PrincipalRule { token: Some("other".into()), ..san("DNS:order.example", "service:b") },
            san("URI:spiffe://example/order", "service:c"),
        ]);
        let names = ["URI:spiffe://example/order".to_owned(), "DNS:order.example".to_owned()];
        let name = |names: &[String], token| config.principal_of_certificate(names, "192.0.2.1", token).unwrap().name;
        assert_eq!(name(&names, "web"), "service:c");
        assert_eq!(name(&names, "other"), "service:b");
        assert_eq!(name(&names[1..], "web"), "service:order.example");
        assert_eq!(config.principal_of_certificate(&names, "192.0.2.1", "web").unwrap().source, "192.0.2.1");
        for none in [vec![], vec!["DNS:".to_owned()], vec!["URI:a b".to_owned()]] {
            assert_eq!(config.principal_of_certificate(&none, "", "web").unwrap_err().kind(), ErrorKind::Denied);
        }
        // What a certificate says of itself is nothing to a process.
        assert_eq!(config.principal(&nginx(), "web").unwrap().name, "service:everybody");
    }

    #[test]
    fn a_rule_for_a_program_never_matches_a_process_whose_program_is_unknown() {
        let config = config(vec![PrincipalRule { executable: Some("/usr/sbin/nginx".into()), ..rule("service:a") }]);
        let hidden = ProcessIdentity { executable: PathBuf::new(), ..nginx() };
        assert_eq!(config.principal(&hidden, "web").unwrap().name, "user:root");
    }

    #[test]
    fn the_identity_of_this_process_is_what_the_kernel_says() {
        let identity = ProcessIdentity::current();
        assert_eq!(identity.executable, std::env::current_exe().unwrap());
        assert_eq!((identity.uid, identity.gid), effective_ids());
        assert!(identity.is_current());
        assert!(!ProcessIdentity { uid: identity.uid + 1, ..identity }.is_current());
    }

    #[test]
    fn a_program_that_was_replaced_while_it_runs_keeps_its_name() {
        assert_eq!(program("/usr/sbin/nginx (deleted)".into()), Path::new("/usr/sbin/nginx"));
        assert_eq!(program("/usr/sbin/nginx".into()), Path::new("/usr/sbin/nginx"));
    }
}
