//! What a policy says, as it was written, with the places where it says so.

use ipnet::IpNet;

use super::words::{Flag, Group, Kind, NumberField, TextField, TypeName};
use crate::key::Action;

/// A part of the source, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// Both and what lies between.
    pub(crate) fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// A whole policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) statements: Vec<Spanned<Statement>>,
    pub(crate) comments: Vec<Comment>,
}

/// A comment without its `#`.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) text: String,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Statement {
    /// `policy "name" version 3`
    Header { name: String, version: Option<u32> },
    /// `timezone UTC+08:00`, in minutes east of Greenwich.
    Zone(i16),
    /// `role A includes B`
    Includes { role: Spanned<String>, others: Vec<Spanned<String>> },
    /// `grant role:A to user:b`
    Grant { roles: Vec<Spanned<(Kind, String)>>, to: Vec<Spanned<Principal>> },
    /// `allow …` and `deny …`
    Rule(Box<Rule>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Its place among the rules of the file, from 1.
    pub(crate) number: u32,
    pub(crate) effect: Effect,
    pub(crate) principals: Vec<Spanned<Principal>>,
    pub(crate) verbs: Vec<Spanned<Verb>>,
    pub(crate) keys: Option<Keys>,
    /// `for … only`
    pub(crate) only: Vec<Spanned<Verb>>,
    pub(crate) when: Option<Condition>,
    pub(crate) duties: Vec<Spanned<Duty>>,
    pub(crate) because: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Principal {
    Anyone,
    Named(Kind, Pattern),
}

/// A text, or how it starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pattern {
    Exact(String),
    Prefix(String),
}

impl Pattern {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }

    /// Whether one text can match both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(exact), pattern) | (pattern, Self::Exact(exact)) => pattern.matches(exact),
            (Self::Prefix(a), Self::Prefix(b)) => a.starts_with(b.as_str()) || b.starts_with(a.as_str()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    One(Action),
    /// `verify signature`, `sign signature`: says no more than the action.
    Signature(Action),
    Group(Group),
}

#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// Whether `with` stands before it.
    pub(crate) with: bool,
    /// Any of these names; empty: every key.
    pub(crate) names: Vec<Spanned<Pattern>>,
    /// All of these.
    pub(crate) filters: Vec<Spanned<Filter>>,
}

/// What else must be true of the key; in each any of the list.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    Tagged(Vec<String>),
    Types(Vec<TypeName>),
    Namespaces(Vec<Pattern>),
}

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Test(Spanned<Test>),
}

#[derive(Clone, Debug)]
pub(crate) enum Test {
    Flag(Flag),
    HasContext(String),
    Text { field: TextField, negated: bool, any: Vec<Pattern> },
    Number { field: NumberField, negated: bool, relation: Relation },
    Source { negated: bool, any: Vec<IpNet> },
}

/// Values are in the unit of their field: minutes of the day, weekdays from Monday, days since 1970, bytes, milliseconds.
#[derive(Clone, Debug)]
pub(crate) enum Relation {
    In(Vec<u64>),
    Less(u64),
    AtMost(u64),
    More(u64),
    AtLeast(u64),
    Between(u64, u64),
}

#[derive(Clone, Debug)]
pub(crate) enum Duty {
    Mfa,
    /// `within` is in seconds; 0 for one operation.
    Quorum {
        approvals: u8,
        role: String,
        within: u32,
    },
    Audit(String),
    Rate {
        count: u32,
        seconds: u32,
    },
    Size(u64),
    /// Seconds.
    Expire(u32),
    Notify(String),
    Mask(u8),
}
