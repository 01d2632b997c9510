//! One rule, and what it says of a key that is to be made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Key, KeySpec, PublicComponents, Rotation, service_name};
use crate::mechanism::{KeyType, PqcSet};
use crate::tenant::{Namespace, NamespaceId};

/// Longest name in bytes.
const LONGEST: usize = 256;
/// Most types that a rule names.
const MOST_TYPES: usize = 32;
/// Words of types, as people write them.
const WORDS: [&str; 16] = [
    "aes",
    "aes-xts",
    "chacha20",
    "dh",
    "ec",
    "edwards",
    "generic",
    "hkdf",
    "hmac",
    "ml-dsa",
    "ml-kem",
    "montgomery",
    "rsa",
    "slh-dsa",
    "sm2",
    "sm4",
];

/// What a rule is for: a tenant or a namespace, of which one is said, and a service in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RuleScope {
    /// Every namespace of this tenant.
    pub tenant: Option<String>,
    /// One namespace.
    pub namespace: Option<NamespaceId>,
    /// Keys that belong to this service, and those that it makes; without one, all keys.
    pub service: Option<String>,
}

impl RuleScope {
    /// Whether it is about what `service`, or nobody in particular, has in `namespace`.
    #[must_use]
    pub fn concerns(&self, namespace: &Namespace, service: Option<&str>) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == namespace.tenant)
            && self.namespace.is_none_or(|id| id == namespace.id)
            && self.service.as_deref().is_none_or(|own| service == Some(own))
    }

    /// How much more it says than another: what is closer to a key comes first.
    pub(super) const fn closeness(&self) -> (bool, bool) {
        (self.service.is_some(), self.namespace.is_some())
    }

    /// It in words, with `namespace` for the name of its namespace.
    #[must_use]
    pub fn shown(&self, namespace: &str) -> String {
        let place = match &self.tenant {
            Some(tenant) => format!("tenant {tenant}"),
            None => format!("token {namespace}"),
        };
        self.service.as_ref().map_or_else(|| place.clone(), |service| format!("service {service} in {place}"))
    }
}

/// A type of keys that may be made, of at least some size: `rsa:3072`, `aes`, `ec:384`, `ml-dsa:65`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AllowedType {
    /// The word for it.
    pub word: String,
    /// Fewest bits: of a modulus, field or secret. Of post-quantum types the number of the parameter set. 0 for any.
    pub least: u32,
}

impl FromStr for AllowedType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        let (word, least) = lower.split_once(':').map_or((&*lower, None), |(word, least)| (word, Some(least)));
        // Curves are named by the size of their field.
        let digits = |least: &str| least.trim_start_matches(['p', '-']).parse::<u32>().ok().filter(|least| *least > 0);
        let least = least.map_or(Some(0), digits);
        match least.filter(|_| WORDS.contains(&word)) {
            Some(least) => Ok(Self { word: word.to_owned(), least }),
            None => {
                let why = format!(
                    "`{}` is no type of a rule: write one of {}, with its least size behind it where that is bounded, as \
                     `rsa:3072`, `ec:384` or `ml-dsa:65`",
                    text.escape_debug(),
                    WORDS.join(", ")
                );
                Err(Error::new(ErrorKind::Arguments, why))
            }
        }
    }
}

impl fmt::Display for AllowedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)?;
        if self.least == 0 { Ok(()) } else { write!(f, ":{}", self.least) }
    }
}

/// What is to be made, as rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its type.
    pub key_type: KeyType,
    /// Its size, as in [`AllowedType::least`].
    pub size: u32,
}

impl Made {
    /// What generating by `spec` makes.
    #[must_use]
    pub fn of_spec(spec: &KeySpec) -> Self {
        let size = match spec {
            KeySpec::Rsa { bits, .. } => *bits,
            KeySpec::Ec(curve) => curve.bits(),
            KeySpec::Dh { group, .. } => group.bits(),
            KeySpec::Pqc(set) => number_of(*set),
            KeySpec::Secret { len, .. } => u32::try_from(len.saturating_mul(8)).unwrap_or(u32::MAX),
        };
        Self { key_type: spec.key_type(), size }
    }

    /// What `key` is; 0 bits where they are not known.
    #[must_use]
    pub fn of_key(key: &Key) -> Self {
        let size = key.primary().map_or(0, |version| match &version.public {
            PublicComponents::Ec { curve, .. } => curve.bits(),
            PublicComponents::Pqc { set, .. } => number_of(*set),
            _ => version.bits,
        });
        Self { key_type: key.key_type, size }
    }

    fn word(self) -> String {
        self.key_type.name().to_ascii_lowercase()
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.word(), self.size)
    }
}

/// The number in the name of a parameter set: 65 of ML-DSA-65, 128 of SLH-DSA-SHA2-128s.
fn number_of(set: PqcSet) -> u32 {
    let last = set.name().rsplit('-').next().unwrap_or_default();
    last.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or_default()
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRule {
    /// What it is for; there is one rule for each.
    pub scope: RuleScope,
    /// What may be made; without any, everything.
    #[serde(default)]
    pub types: Vec<AllowedType>,
    /// The type that is made where none is said, as the command takes it.
    #[serde(default)]
    pub preferred: Option<String>,
    /// New keys rotate after so many days by themselves, and none more seldom; 0 where that is free.
    #[serde(default)]
    pub rotation_days: u32,
    /// Keys that a service makes belong to it.
    #[serde(default)]
    pub apart: bool,
    /// Who else changes a service's rule and grants its keys, beside the security officer: `kind:name`; empty for nobody.
    #[serde(default)]
    pub owner: String,
    /// Who set it.
    pub by: String,
    /// When.
    pub set: Timestamp,
}

impl KeyRule {
    /// The same, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for what cannot be meant.
    pub fn validated(mut self) -> Result<Self> {
        let bad = |why: String| Err(Error::new(ErrorKind::Arguments, why));
        let line = |text: &str| !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control);
        if self.scope.tenant.is_some() == self.scope.namespace.is_some() {
            return bad("a rule is for a tenant or for a token".to_owned());
        }
        if let Some(tenant) = self.scope.tenant.as_ref().filter(|tenant| !line(tenant)) {
            return bad(format!("`{}` is no name of a tenant", tenant.escape_debug()));
        }
        self.scope.service = self.scope.service.as_deref().map(service_name).transpose()?;
        if self.scope.service.as_ref().is_some_and(String::is_empty) {
            return bad("a service has a name".to_owned());
        }
        if !self.owner.is_empty() {
            if self.scope.service.is_none() {
                return bad("only the rule of a service has an owner".to_owned());
            }
            if !line(&self.owner) || !self.owner.contains(':') {
                return bad(format!("`{}` does not name a principal: write `kind:name`", self.owner.escape_debug()));
            }
        }
        if self.apart && self.scope.service.is_some() {
            return bad("whether services keep apart is said for all of a token or tenant".to_owned());
        }
        self.types.sort();
        self.types.dedup_by(|next, kept| next.word == kept.word);
        if self.types.len() > MOST_TYPES || self.types.iter().any(|one| !WORDS.contains(&&*one.word)) {
            return bad(format!("a rule names at most {MOST_TYPES} types that there are"));
        }
        if self.preferred.as_ref().is_some_and(|preferred| !line(preferred)) {
            return bad("the preferred type is one line, as `aes:256`".to_owned());
        }
        if self.rotation_days > Rotation::DAYS.1 {
            return bad(format!("keys rotate after at most {} days", Rotation::DAYS.1));
        }
        let says = !self.types.is_empty() || self.preferred.is_some() || self.rotation_days != 0;
        if !says && !self.apart && self.owner.is_empty() {
            return bad(
                "the rule says nothing: give types, a preferred one, days, or that services keep apart".to_owned()
            );
        }
        Ok(self)
    }

    /// Refuses a key that may not be made; `shown` is what the rule is for, in words.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`], with what may be made.
    pub(super) fn check(&self, made: Made, shown: impl FnOnce() -> String) -> Result<()> {
        let word = made.word();
        if self.types.is_empty() || self.types.iter().any(|one| one.word == word && one.least <= made.size) {
            return Ok(());
        }
        let listed: Vec<String> = self.types.iter().map(ToString::to_string).collect();
        let shown = shown();
        let why = format!(
            "the rule for {shown} allows keys of {} and not {made}: choose one of these, or have the rule changed \
             (`kmss rule list`)",
            listed.join(", ")
        );
        Err(Error::new(ErrorKind::Denied, why).with_rule(format!("keys of {shown}")))
    }

    /// Whether it says the same as `other`, whoever set it.
    #[must_use]
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        let Self { scope, types, preferred, rotation_days, apart, owner, by: _, set: _ } = self;
        (scope, types, preferred) == (&other.scope, &other.types, &other.preferred)
            && (rotation_days, apart, owner) == (&other.rotation_days, &other.apart, &other.owner)
    }

    /// It in words, for the audit.
    #[must_use]
    pub fn shown(&self) -> String {
        let types: Vec<String> = self.types.iter().map(ToString::to_string).collect();
        let parts = [
            (!types.is_empty()).then(|| format!("types {}", types.join(","))),
            self.preferred.as_ref().map(|preferred| format!("prefer {preferred}")),
            (self.rotation_days != 0).then(|| format!("rotate {}d", self.rotation_days)),
            self.apart.then(|| "services apart".to_owned()),
            (!self.owner.is_empty()).then(|| format!("owner {}", self.owner)),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
