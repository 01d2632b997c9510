//! The words of the language. Parser, formatter, suggestions and the editors' grammar all draw on these tables.

use crate::key::Action;
use crate::policy::abi::{ACTIONS, KEY_TYPES, MECHANISMS, action_number};

/// Words that begin a statement.
pub(crate) const STARTERS: [&str; 6] = ["allow", "deny", "role", "grant", "policy", "timezone"];

/// Words that begin a clause of a rule.
pub(crate) const CLAUSES: [&str; 9] = ["for", "when", "require", "at", "audit", "expire", "notify", "mask", "because"];

/// What a condition asks about.
pub(crate) const SUBJECTS: [&str; 16] = [
    "mechanism",
    "process",
    "tenant",
    "namespace",
    "context",
    "time",
    "weekday",
    "date",
    "size",
    "uid",
    "rate",
    "key",
    "source",
    "mfa",
    "interactive",
    "fips",
];

/// All other words with a meaning, for the editors' grammar.
#[cfg(test)]
pub(crate) const OTHERS: [&str; 38] = [
    "to",
    "anyone",
    "with",
    "using",
    "signature",
    "any",
    "keys",
    "tagged",
    "of",
    "type",
    "in",
    "only",
    "and",
    "or",
    "not",
    "is",
    "between",
    "before",
    "after",
    "has",
    "age",
    "bits",
    "session",
    "per",
    "most",
    "as",
    "all",
    "but",
    "approvals",
    "within",
    "includes",
    "inherits",
    "version",
    "data",
    "characters",
    "approval",
    "signatures",
    "types",
];

/// Roles of which nobody holds two.
pub(crate) const EXCLUSIVE: [&str; 3] = ["system-administrator", "security-administrator", "auditor"];

/// The kinds of principals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Service,
    User,
    Role,
    Group,
    Process,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Service, Self::User, Self::Role, Self::Group, Self::Process];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::User => "user",
            Self::Role => "role",
            Self::Group => "group",
            Self::Process => "process",
        }
    }
}

/// Several actions under one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// What a key computes.
    Use,
    /// What makes, changes and ends keys.
    Administer,
    /// Logging in and out, PINs.
    Authenticate,
    /// Every action.
    Anything,
}

impl Group {
    pub(crate) const ALL: [Self; 4] = [Self::Use, Self::Administer, Self::Authenticate, Self::Anything];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Administer => "administer",
            Self::Authenticate => "authenticate",
            Self::Anything => "anything",
        }
    }

    /// The actions, each a bit.
    pub(crate) fn mask(self) -> u32 {
        actions()
            .filter(|action| self == Self::Anything || group(*action) == Some(self))
            .fold(0, |mask, action| mask | bit(action))
    }
}

/// The narrowest group that an action belongs to. A new action finds its place here.
const fn group(action: Action) -> Option<Group> {
    match action {
        Action::Sign
        | Action::Verify
        | Action::Encrypt
        | Action::Decrypt
        | Action::Wrap
        | Action::Unwrap
        | Action::Derive
        | Action::Encapsulate
        | Action::Decapsulate
        | Action::Tokenize
        | Action::Detokenize
        | Action::ReadMasked
        | Action::DeriveChild => Some(Group::Use),
        Action::Generate
        | Action::Import
        | Action::Manage
        | Action::ChangeState
        | Action::Destroy
        | Action::Initialize => Some(Group::Administer),
        Action::Login | Action::Logout | Action::SetPin => Some(Group::Authenticate),
        Action::Find | Action::Export | Action::Digest | Action::Random => None,
    }
}

/// Every action.
pub(crate) fn actions() -> impl Iterator<Item = Action> {
    ACTIONS.iter().map(|(_, action)| *action)
}

/// The bit of an action in masks.
pub(crate) const fn bit(action: Action) -> u32 {
    1 << action_number(action)
}

// A mask has room for all numbers of actions.
const _: () = {
    let mut place = 0;
    while place < ACTIONS.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        let (number, _) = ACTIONS[place];
        assert!(number < 32);
        place += 1;
    }
};

/// Texts that conditions compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextField {
    Mechanism,
    Process,
    Tenant,
    Namespace,
    /// One entry of the encryption context.
    Context(String),
}

/// Numbers that conditions compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberField {
    /// Minutes since midnight in the policy's time zone.
    Time,
    /// 0 is Monday.
    Weekday,
    /// Days since 1970-01-01.
    Date,
    Size,
    Uid,
    /// Milliseconds.
    KeyAge,
    KeyBits,
    LastSecond,
    LastMinute,
}

/// What is either so or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    Mfa,
    Interactive,
    Fips,
    SessionKey,
}

impl Flag {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Mfa => "mfa",
            Self::Interactive => "interactive",
            Self::Fips => "fips",
            Self::SessionKey => "session key",
        }
    }
}

pub(crate) const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Units of data, the largest first.
pub(crate) const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Units of time in milliseconds, the largest first.
pub(crate) const DURATIONS: [(&str, u64); 5] =
    [("weeks", 7 * 86_400_000), ("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("seconds", 1_000)];

/// The name of a key type, which all HMAC keys share.
pub(crate) type TypeName = &'static str;

/// Key types as policies name them, with their numbers.
pub(crate) const TYPES: &[(u32, &str)] = KEY_TYPES;

/// Names that mechanisms have.
pub(crate) fn mechanisms() -> impl Iterator<Item = &'static str> + Clone {
    MECHANISMS.iter().map(|(_, name)| *name)
}

#[cfg(test)]
mod grammar {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn the_editors_grammar_knows_every_word() {
        let text = include_str!("../../../../docs/editors/kmss-policy.tmLanguage.json");
        let grammar: serde_json::Value = serde_json::from_str(text).unwrap();
        let words: Vec<String> = grammar["patterns"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|pattern| pattern["match"].as_str())
            .flat_map(|pattern| pattern.split(['(', ')', '|', ':', '?']).map(str::to_owned))
            .collect();
        let kinds = Kind::ALL.map(Kind::word);
        let groups = Group::ALL.map(Group::word);
        let actions = ACTIONS.iter().map(|(_, action)| action.name());
        let all = STARTERS.iter().chain(&CLAUSES).chain(&SUBJECTS).chain(&OTHERS).chain(&kinds).chain(&groups).copied();
        for word in all.chain(actions) {
            assert!(words.iter().any(|known| known == word), "the grammar lacks `{word}`");
        }
    }
}
