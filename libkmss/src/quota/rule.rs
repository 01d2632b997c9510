//! Quotas: so many operations or bytes, for whom, and counted for all of them together or for each apart.

use std::fmt::Write as _;

use super::block::is_called;
use super::{Demand, moment};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::config::QuotaRule;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Key};
use crate::permit::Subject;
use crate::rates::Bucket;
use crate::tenant::NamespaceId;

/// Longest name of a quota in bytes, so that it fits a tag of the audit.
const LONGEST_NAME: usize = 48;
/// Longest name of a tenant, principal or key in bytes.
const LONGEST: usize = 256;
/// Every action that a quota can be for.
const ACTIONS: [Action; 22] = [
    Action::Find,
    Action::Generate,
    Action::Import,
    Action::Export,
    Action::Sign,
    Action::Verify,
    Action::Encrypt,
    Action::Decrypt,
    Action::Wrap,
    Action::Unwrap,
    Action::Derive,
    Action::Encapsulate,
    Action::Decapsulate,
    Action::Digest,
    Action::Random,
    Action::Manage,
    Action::ChangeState,
    Action::Destroy,
    Action::Tokenize,
    Action::Detokenize,
    Action::ReadMasked,
    Action::DeriveChild,
];

/// What a quota is for: everything that all of these say.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct QuotaScope {
    /// A tenant.
    pub tenant: Option<String>,
    /// A namespace.
    pub namespace: Option<NamespaceId>,
    /// A namespace by its name, in quotas of the configuration.
    pub token: Option<String>,
    /// Whoever is called so.
    pub principal: Option<String>,
    /// The key of this name or identity, with its copies and what comes from it.
    pub key: Option<String>,
}

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Each {
    /// Each tenant has a budget of its own.
    Tenant,
    /// Each namespace has.
    Namespace,
    /// Each principal has.
    Principal,
    /// Each key has.
    Key,
}

impl Each {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tenant, Self::Namespace, Self::Principal, Self::Key];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Namespace => "token",
            Self::Principal => "principal",
            Self::Key => "key",
        }
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct QuotaLimits {
    /// Operations in any second.
    pub per_second: Option<u32>,
    /// Operations at once, with [`Self::per_second`]; as many as that where it is not said.
    pub burst: Option<u32>,
    /// Operations in a day of UTC.
    pub per_day: Option<u64>,
    /// Operations ever.
    pub total: Option<u64>,
    /// Bytes of data in a day of UTC.
    pub bytes_per_day: Option<u64>,
    /// Bytes of data ever.
    pub bytes_total: Option<u64>,
}

/// One budget of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    /// Tells it from the others.
    pub(super) name: String,
    /// Whose it is, for people; empty where all share one.
    pub(super) shown: String,
}

/// What one counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Operations of a day.
    PerDay,
    /// Operations.
    Total,
    /// Bytes of a day.
    BytesPerDay,
    /// Bytes.
    BytesTotal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PerDay, Self::Total, Self::BytesPerDay, Self::BytesTotal];

    /// The word in paths and for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerDay => "per-day",
            Self::Total => "total",
            Self::BytesPerDay => "bytes-per-day",
            Self::BytesTotal => "bytes-total",
        }
    }

    /// Whether it begins anew each day.
    #[must_use]
    pub const fn is_daily(self) -> bool {
        matches!(self, Self::PerDay | Self::BytesPerDay)
    }

    /// Whether it counts bytes.
    #[must_use]
    pub const fn is_of_bytes(self) -> bool {
        matches!(self, Self::BytesPerDay | Self::BytesTotal)
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::PerDay => "operations a day",
            Self::Total => "operations",
            Self::BytesPerDay => "bytes a day",
            Self::BytesTotal => "bytes",
        }
    }
}

impl QuotaLimits {
    /// The limit of one kind, where there is one.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::PerDay => self.per_day,
            Kind::Total => self.total,
            Kind::BytesPerDay => self.bytes_per_day,
            Kind::BytesTotal => self.bytes_total,
        }
    }

    /// The rate, where there is one.
    #[must_use]
    pub fn bucket(&self) -> Option<Bucket> {
        self.per_second.map(|per_second| Bucket { per_second, burst: self.burst.unwrap_or(per_second) })
    }
}

impl std::fmt::Display for QuotaLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut words = String::new();
        if let Some(bucket) = self.bucket() {
            let _ = write!(words, " {}/s", bucket.per_second);
            if bucket.burst != bucket.per_second {
                let _ = write!(words, " burst {}", bucket.burst);
            }
        }
        for (limit, word) in [
            (self.per_day, "/day"),
            (self.total, " ever"),
            (self.bytes_per_day, " B/day"),
            (self.bytes_total, " B ever"),
        ] {
            if let Some(limit) = limit {
                let _ = write!(words, " {limit}{word}");
            }
        }
        f.write_str(words.trim_start())
    }
}

/// A quota.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Quota {
    /// Its name, unique in its namespace, or among those beyond namespaces.
    pub name: String,
    /// What it is for.
    pub scope: QuotaScope,
    /// What is counted apart, in order.
    pub each: Vec<Each>,
    /// The words of the actions that count; without any, all that use or make keys, digests and random numbers.
    pub actions: Vec<String>,
    /// How much there is.
    pub limits: QuotaLimits,
    /// Differs between a quota and one of the same name that was removed. 0 in the configuration.
    pub serial: u64,
    /// Who set it.
    pub by: String,
    /// When.
    pub set: Timestamp,
}

impl Quota {
    /// One of the configuration.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for what cannot be meant.
    pub fn configured(rule: &QuotaRule) -> Result<Self> {
        let bad = |e: Error| {
            let why = format!(
                "the quota `{}` of the configuration cannot be meant: {}",
                rule.name.escape_debug(),
                e.message()
            );
            Error::new(ErrorKind::Config, why)
        };
        let each = rule.each.iter().map(|word| {
            let known = Each::ALL.into_iter().find(|each| each.name() == word);
            known.ok_or_else(|| {
                Error::new(
                    ErrorKind::Config,
                    format!("`{}` is none of tenant, token, principal, key", word.escape_debug()),
                )
            })
        });
        let scope = QuotaScope {
            tenant: rule.tenant.clone(),
            namespace: None,
            token: rule.token.clone(),
            principal: rule.principal.clone(),
            key: rule.key.clone(),
        };
        let limits = QuotaLimits {
            per_second: rule.per_second,
            burst: rule.burst,
            per_day: rule.per_day,
            total: rule.total,
            bytes_per_day: rule.bytes_per_day,
            bytes_total: rule.bytes_total,
        };
        let quota = Self {
            name: rule.name.clone(),
            scope,
            each: each.collect::<Result<_>>().map_err(bad)?,
            actions: rule.actions.clone(),
            limits,
            serial: 0,
            by: "configuration".to_owned(),
            set: Timestamp(0),
        };
        quota.validated().map_err(bad)
    }

    /// The same, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for what cannot be meant.
    pub fn validated(mut self) -> Result<Self> {
        let bad = |why: String| Err(Error::new(ErrorKind::Arguments, why));
        let word = |text: &str| {
            !text.is_empty()
                && text.len() <= LONGEST_NAME
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !word(&self.name) {
            return bad(format!("a quota is named by up to {LONGEST_NAME} letters, digits and `-_.`"));
        }
        let QuotaScope { tenant, token, principal, key, .. } = &self.scope;
        for name in [tenant, token, principal, key].into_iter().flatten() {
            if name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
                return bad(format!("`{}` is no name of a tenant, token, principal or key", name.escape_debug()));
            }
        }
        if let Some(name) = principal.as_ref().filter(|name| !name.contains(':')) {
            return bad(format!("`{}` does not name a principal: write `kind:name`", name.escape_debug()));
        }
        if let Some(wrong) =
            self.actions.iter().find(|word| !ACTIONS.iter().any(|action| action.name() == word.as_str()))
        {
            return bad(format!("`{}` is no action", wrong.escape_debug()));
        }
        let limits = &self.limits;
        let any = limits.per_second.is_some() || Kind::ALL.iter().any(|kind| limits.of(*kind).is_some());
        if !any {
            return bad("a quota needs a limit".to_owned());
        }
        if limits.per_second == Some(0) || limits.burst == Some(0) {
            return bad("a rate lets at least one operation a second through".to_owned());
        }
        if limits.burst.is_some() && limits.per_second.is_none() {
            return bad("a burst belongs to a rate".to_owned());
        }
        self.each.sort_unstable();
        self.each.dedup();
        self.actions.sort_unstable();
        self.actions.dedup();
        Ok(self)
    }

    /// Whether it could concern what `caller` does.
    pub(super) fn concerns(&self, caller: &Caller) -> bool {
        let QuotaScope { tenant, namespace, token, principal, .. } = &self.scope;
        let home = &caller.namespace;
        tenant.as_ref().is_none_or(|tenant| *tenant == home.tenant)
            && namespace.is_none_or(|id| id == home.id)
            && token.as_ref().is_none_or(|name| *name == home.name)
            && principal.as_ref().is_none_or(|name| *name == caller.principal.name)
    }

    /// The budgets of it that `demand` takes from; none where it is not for it.
    pub(super) fn instances(&self, demand: &Demand<'_>) -> Vec<Instance> {
        let Demand { caller, action, subjects, .. } = demand;
        let counts = if self.actions.is_empty() {
            !matches!(action, Action::Find | Action::Manage | Action::ChangeState | Action::Destroy)
        } else {
            self.actions.iter().any(|word| word == action.name())
        };
        if !counts || !self.concerns(caller) {
            return Vec::new();
        }
        let named = |subject: &&Subject| self.scope.key.as_ref().is_none_or(|key| is_called(subject, key));
        let of_keys = self.each.contains(&Each::Key);
        if self.scope.key.is_some() || of_keys {
            // The halves of a pair, or a key and what comes from it, share one budget and are one operation.
            let mut found: Vec<Instance> = Vec::new();
            for subject in subjects.each().filter(named) {
                let Some(key) = counted_key(subject) else { continue };
                let instance = self.instance(caller, if of_keys { Some(key) } else { None });
                if !found.contains(&instance) {
                    found.push(instance);
                }
            }
            return found;
        }
        vec![self.instance(caller, None)]
    }

    fn instance(&self, caller: &Caller, key: Option<&str>) -> Instance {
        let (mut name, mut shown) = (String::new(), String::new());
        let home = &caller.namespace;
        for each in &self.each {
            let (is, says) = match each {
                Each::Tenant => (home.tenant.clone(), format!("tenant {}", home.tenant)),
                // Two namespaces may have one name, and a new one the name of an old one.
                Each::Namespace => (home.id.to_string(), format!("token {home}")),
                Each::Principal => (caller.principal.name.clone(), format!("principal {}", caller.principal.name)),
                Each::Key => match key.unwrap_or_default() {
                    "" => (format!("{}/", home.id), format!("session keys of {home}")),
                    key => (format!("{}/{key}", home.id), format!("key {home}/{key}")),
                },
            };
            let _ = write!(name, "{}\0{is}\0", each.name());
            let _ = write!(shown, ", {says}");
        }
        Instance { name, shown: shown.trim_start_matches(", ").to_owned() }
    }

    /// What whoever finds it used up is told.
    pub(super) fn refusal(&self, instance: &Instance, kind: Kind, limit: u64, day: u64) -> String {
        let whose = if instance.shown.is_empty() { String::new() } else { format!(" for {}", instance.shown) };
        let unit = kind.unit();
        let then = if kind.is_daily() {
            format!("there is more from {} on", moment(Timestamp((day + 1).saturating_mul(DAY))))
        } else {
            "there is more when an administrator raises it".to_owned()
        };
        format!("the quota `{}`{whose} of {limit} {unit} is used up: {then}", self.name)
    }

    /// The same of its rate.
    pub(super) fn too_fast(&self, instance: &Instance, bucket: Bucket, wait: u64) -> String {
        let whose = if instance.shown.is_empty() { String::new() } else { format!(" for {}", instance.shown) };
        format!(
            "the quota `{}`{whose} of {} operations a second (burst {}) is used up: try again in {wait} ms",
            self.name, bucket.per_second, bucket.burst
        )
    }

    /// It in words, for the audit.
    #[must_use]
    pub fn shown(&self) -> String {
        let each: Vec<&str> = self.each.iter().map(|each| each.name()).collect();
        let each = if each.is_empty() { String::new() } else { format!(" each {}", each.join("+")) };
        format!("{}{each}", self.limits)
    }
}

/// Milliseconds of a day.
pub(super) const DAY: u64 = 86_400_000;

/// What a subject that is a key, or is to be one, is counted under. Session keys that come from no key in the store share one
/// budget: they come and go.
fn counted_key(subject: &Subject) -> Option<&str> {
    match subject {
        Subject::Object(object) => object.key().map(Key::counted_name),
        Subject::New(new) if new.is_key => Some(if new.name.is_empty() { &new.origin } else { &new.name }),
        _ => None,
    }
}
