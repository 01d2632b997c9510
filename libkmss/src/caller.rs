//! Who asks.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::key::Keyring;
use crate::tenant::Namespace;

/// An identity that policies, quotas and the audit know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// `kind:name`, for example `user:www-data` or `service:order-v1`.
    pub name: String,
    /// Roles the configuration gives it.
    pub roles: Vec<String>,
    /// The process that asks.
    pub process: CallerProcess,
    /// Network address it asks from; empty where it is on this host.
    pub source: String,
}

impl Principal {
    /// A principal of which nothing else is known.
    #[must_use]
    pub fn new(name: impl Into<String>, roles: Vec<String>) -> Self {
        Self { name: name.into(), roles, process: CallerProcess::default(), source: String::new() }
    }

    /// What it is called as a service, where it is one: `service:NAME`.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.name.strip_prefix("service:").filter(|name| !name.is_empty())
    }
}

/// Roles of which nobody holds two: who runs the system, who says what is allowed, and who checks both.
pub const EXCLUSIVE_ROLES: [&str; 3] = ["system-administrator", "security-administrator", "auditor"];

/// What the kernel says of the process that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerProcess {
    /// Effective user; `u32::MAX`, which no user has, where it is not known.
    pub uid: u32,
    /// Number of the process; 0 where it is not known.
    pub pid: u32,
    /// Path of the program; empty where it is not known.
    pub executable: String,
}

impl Default for CallerProcess {
    fn default() -> Self {
        Self { uid: u32::MAX, pid: 0, executable: String::new() }
    }
}

/// How a caller authenticated to the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    None,
    /// As a user; the default user has the name `user`.
    User(Arc<str>),
    /// As the security officer, who manages PINs and states but uses no private object.
    SecurityOfficer,
}

impl Login {
    /// As `==`, quicker where both come from one login.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::User(mine), Self::User(theirs)) => Arc::ptr_eq(mine, theirs) || mine == theirs,
            _ => self == other,
        }
    }

    /// The word in audit records.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::User(name) => name,
            Self::SecurityOfficer => "so",
        }
    }
}

/// One caller in one namespace, with what authentication unlocked. Clones share it, until one of them is changed.
#[derive(Clone)]
pub struct Caller(Arc<Shared>);

/// What a caller is made of.
#[derive(Clone, Debug)]
pub struct CallerParts {
    /// The identity.
    pub principal: Arc<Principal>,
    /// The namespace it works in.
    pub namespace: Arc<Namespace>,
    /// How it authenticated.
    pub login: Login,
    /// The domain keys it holds.
    pub keyring: Arc<Keyring>,
    /// The door's number for its session, for the audit.
    pub session: u64,
    /// When it authenticated, or entered where it did not.
    pub authenticated: Timestamp,
}

/// Who a caller is, without what authentication unlocked: may be kept for as long as anybody likes.
#[derive(Clone, Debug)]
pub struct CallerName {
    /// The identity.
    pub principal: Arc<Principal>,
    /// The namespace it works in.
    pub namespace: Arc<Namespace>,
    /// How it authenticated.
    pub login: Login,
}

impl CallerName {
    /// Whether both are called the same, wherever they work.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let known = Arc::ptr_eq(&self.principal, &other.principal);
        self.login.is_same(&other.login) && (known || self.principal.name == other.principal.name)
    }
}

struct Shared {
    parts: CallerParts,
    name: Arc<CallerName>,
    /// Whether a door said who it is, for another process.
    introduced: bool,
    /// The id that it gave its request.
    call: Option<[u8; 16]>,
    /// The last store generation at which the settings in its namespace's record were found to hold.
    settled: AtomicU64,
    /// The last store generation at which no policy was found to apply to its namespace.
    ungoverned: AtomicU64,
    /// The last store generation at which nothing was found to be blocked, throttled or budgeted that it could do.
    unrestricted: AtomicU64,
}

/// No generation that stands: those are even.
const NEVER: u64 = u64::MAX;

impl Caller {
    /// The same caller with some of its parts changed.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut CallerParts)) -> Self {
        let mut parts = self.0.parts.clone();
        change(&mut parts);
        Self::new(parts, self.0.introduced, self.0.call)
    }

    /// The same caller, for somebody else: whoever a door has found out that it serves. From then on it does not change with
    /// the process that it is in.
    #[must_use]
    pub fn introduce(&self, principal: Arc<Principal>, session: u64, now: Timestamp) -> Self {
        let parts = CallerParts { principal, session, authenticated: now, ..self.0.parts.clone() };
        Self::new(parts, true, None)
    }

    /// Whether it is somebody else than the process.
    #[must_use]
    pub fn is_introduced(&self) -> bool {
        self.0.introduced
    }

    /// The same caller with one request, which the audit is to name by this id.
    #[must_use]
    pub fn calling(&self, call: [u8; 16]) -> Self {
        let known = |hint: &AtomicU64| AtomicU64::new(hint.load(Ordering::Relaxed));
        let shared = &*self.0;
        Self(Arc::new(Shared {
            parts: shared.parts.clone(),
            name: Arc::clone(&shared.name),
            introduced: shared.introduced,
            call: Some(call),
            settled: known(&shared.settled),
            ungoverned: known(&shared.ungoverned),
            unrestricted: known(&shared.unrestricted),
        }))
    }

    /// The id of its request, where it gave one.
    #[must_use]
    pub fn call(&self) -> Option<&[u8; 16]> {
        self.0.call.as_ref()
    }

    fn new(parts: CallerParts, introduced: bool, call: Option<[u8; 16]>) -> Self {
        let CallerParts { principal, namespace, login, .. } = &parts;
        let (principal, namespace) = (Arc::clone(principal), Arc::clone(namespace));
        let name = Arc::new(CallerName { principal, namespace, login: login.clone() });
        let never = || AtomicU64::new(NEVER);
        let (settled, ungoverned, unrestricted) = (never(), never(), never());
        Self(Arc::new(Shared { parts, name, introduced, call, settled, ungoverned, unrestricted }))
    }

    /// Whether it may use private objects: a user who authenticated, or anybody where that is not asked for. Never the
    /// security officer.
    #[must_use]
    pub fn uses_private(&self) -> bool {
        self.login != Login::SecurityOfficer && self.keyring.private.is_some()
    }

    /// Whether the settings in its namespace's record are known to hold at this store generation.
    pub(crate) fn is_settled(&self, generation: u64) -> bool {
        generation.is_multiple_of(2) && self.0.settled.load(Ordering::Relaxed) == generation
    }

    /// Whether it is known that no policy applies to its namespace at this store generation.
    pub(crate) fn is_ungoverned(&self, generation: u64) -> bool {
        generation.is_multiple_of(2) && self.0.ungoverned.load(Ordering::Relaxed) == generation
    }

    /// Notes that no policy applies to its namespace at this store generation.
    pub(crate) fn found_ungoverned(&self, generation: u64) {
        self.0.ungoverned.store(generation, Ordering::Relaxed);
    }

    /// Whether it is known that nothing is blocked, throttled or budgeted at this store generation that it could do.
    pub(crate) fn is_unrestricted(&self, generation: u64) -> bool {
        generation.is_multiple_of(2) && self.0.unrestricted.load(Ordering::Relaxed) == generation
    }

    /// Notes that nothing is blocked, throttled or budgeted at this store generation that it could do.
    pub(crate) fn found_unrestricted(&self, generation: u64) {
        self.0.unrestricted.store(generation, Ordering::Relaxed);
    }

    /// Who it is.
    pub(crate) fn name(&self) -> &Arc<CallerName> {
        &self.0.name
    }

    /// Whether it is the very same, or a clone.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Notes that the settings in its namespace's record hold at this store generation.
    pub(crate) fn settle(&self, generation: u64) {
        self.0.settled.store(generation, Ordering::Relaxed);
    }
}

impl From<CallerParts> for Caller {
    fn from(parts: CallerParts) -> Self {
        Self::new(parts, false, None)
    }
}

impl Deref for Caller {
    type Target = CallerParts;

    fn deref(&self) -> &CallerParts {
        &self.0.parts
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.parts.fmt(f)
    }
}
