//! What was changed: keys and their states, users and roles, settings, policies.

use std::collections::BTreeMap;

use libkmss::audit::{Record, RecordObject};
use libkmss::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::period::rfc3339;
use super::words::{lossy, name, text, token};

/// Most changes that are listed: the newest.
const LISTED: usize = 500;

/// What sort of thing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A key, certificate or other object was generated.
    Generated,
    /// One was imported, unwrapped or copied.
    Imported,
    /// One was destroyed.
    Destroyed,
    /// A key left wrapped, or in clear.
    Exported,
    /// The state of a key.
    KeyState,
    /// Anything else of an object.
    KeyAttributes,
    /// A policy, or who may publish them.
    Policy,
    /// The roles of a user.
    Roles,
    /// Users and PINs.
    Pins,
    /// Settings of a token.
    Settings,
    /// A token was made, made anew or removed.
    Token,
}

impl Kind {
    /// The words for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Imported => "imported",
            Self::Destroyed => "destroyed",
            Self::Exported => "exported",
            Self::KeyState => "key state",
            Self::KeyAttributes => "key attributes",
            Self::Policy => "policy",
            Self::Roles => "roles",
            Self::Pins => "users and PINs",
            Self::Settings => "settings",
            Self::Token => "token",
        }
    }

    fn of(record: &Record, action: &str, stored: bool) -> Option<Self> {
        let tagged = |start: &str| record.tags.first().is_some_and(|tag| tag.starts_with(start));
        Some(match action {
            "generate" if stored => Self::Generated,
            "import" if stored => Self::Imported,
            "unwrap" | "derive" if is_stored(record.also.as_ref()) => Self::Imported,
            "wrap" | "export" => Self::Exported,
            "destroy" if record.object.is_none() => Self::Token,
            "destroy" if stored => Self::Destroyed,
            "initialize" => Self::Token,
            "set-pin" if tagged("roles ") => Self::Roles,
            "set-pin" => Self::Pins,
            "change-state" if tagged("policy ") => Self::Policy,
            "change-state" if record.object.is_none() => Self::Settings,
            "change-state" if record.changes.iter().any(|change| change.what == "state") => Self::KeyState,
            "change-state" | "manage" if stored => Self::KeyAttributes,
            _ => return None,
        })
    }
}

/// Changes of the period.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Changes {
    /// How many succeeded, by kind.
    pub succeeded: BTreeMap<Kind, u64>,
    /// How many were refused or failed, by kind.
    pub refused: BTreeMap<Kind, u64>,
    /// The newest of all of these.
    pub newest: Vec<Change>,
    /// Older ones, which are counted and not listed.
    pub not_listed: u64,
    /// The newest by time and number.
    #[serde(skip)]
    queue: BTreeMap<(Timestamp, u64), Change>,
    #[serde(skip)]
    number: u64,
}

/// A change.
#[derive(Debug, Serialize, Deserialize)]
pub struct Change {
    /// When.
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    /// What sort.
    pub kind: Kind,
    /// Who.
    pub principal: String,
    /// `tenant/namespace`.
    pub token: String,
    /// What was changed; empty where that is the token.
    pub object: String,
    /// From what to what, as far as the record says.
    pub what: String,
    /// `success`, `denied` or `failed`.
    pub outcome: String,
}

impl Changes {
    /// Takes a record in.
    pub(crate) fn add(&mut self, record: &Record, action: &str, outcome: &str) {
        let Some(kind) = Kind::of(record, action, is_stored(record.object.as_ref())) else { return };
        let by_outcome = match outcome {
            "success" => &mut self.succeeded,
            "denied" | "failed" => &mut self.refused,
            _ => return,
        };
        *by_outcome.entry(kind).or_default() += 1;
        self.number += 1;
        let change = Change {
            time: record.time,
            kind,
            principal: text(&record.principal),
            token: token(record),
            object: about(record, kind),
            what: what(record),
            outcome: outcome.to_owned(),
        };
        self.queue.insert((record.time, self.number), change);
        if self.queue.len() > LISTED {
            self.queue.pop_first();
            self.not_listed += 1;
        }
    }

    /// The changes as they are reported, the newest first.
    pub(crate) fn finish(mut self) -> Self {
        self.newest = std::mem::take(&mut self.queue).into_values().rev().collect();
        self
    }

    /// How many of a kind succeeded.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.succeeded.get(&kind).copied().unwrap_or_default()
    }

    /// How many succeeded.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.succeeded.values().sum()
    }
}

fn is_stored(object: Option<&RecordObject>) -> bool {
    object.is_some_and(|object| object.storage.is_none())
}

/// The object that was changed: of what leaves or comes wrapped, the second one.
fn about(record: &Record, kind: Kind) -> String {
    let object = match kind {
        Kind::Exported | Kind::Imported => record.also.as_ref().or(record.object.as_ref()),
        _ => record.object.as_ref(),
    };
    object.map(|object| format!("{} {}", object.class, name(object)).trim_end().to_owned()).unwrap_or_default()
}

fn what(record: &Record) -> String {
    let changes = record.changes.iter().map(|change| {
        let value = |text: &str| if text.is_empty() { "nothing".to_owned() } else { lossy(text) };
        match (change.old.is_empty(), change.new.is_empty()) {
            (true, true) => lossy(&change.what),
            _ => format!("{}: {} -> {}", lossy(&change.what), value(&change.old), value(&change.new)),
        }
    });
    let tags = record.tags.iter().map(|tag| lossy(tag));
    let reason = record.reason.iter().map(|reason| lossy(reason));
    changes.chain(tags).chain(reason).collect::<Vec<_>>().join("; ")
}
