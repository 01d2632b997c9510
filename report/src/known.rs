//! What the trail knows of the keys that exist: who made them, and who used them last.

use std::collections::HashMap;

use libkmss::audit::Record;
use libkmss::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::period::rfc3339;
use super::words::{name, text, token};

/// How far the times of a key and of its records may be apart.
const SLACK_MS: u64 = 60_000;

/// The keys of the ledger by the identities of their parts, and by name for parts that are not to be seen.
#[derive(Debug, Default)]
pub(crate) struct Known {
    ids: HashMap<String, usize>,
    names: HashMap<(String, String), usize>,
    keys: Vec<Past>,
}

/// What is known of one key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Past {
    #[serde(skip)]
    created: Timestamp,
    /// Who made it, as far as the trail goes.
    pub made: Option<Deed>,
    /// Its last use.
    pub last_use: Option<Deed>,
    /// Uses in the whole trail.
    pub uses: u64,
    /// Uses in the period.
    pub uses_in_period: u64,
}

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// When.
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    /// Who.
    pub principal: String,
    /// As which user of the token.
    pub user: String,
    /// What.
    pub action: String,
}

impl Known {
    /// Takes a key in; what is learned of it has the number that this gives.
    pub(crate) fn insert(&mut self, ids: Vec<String>, token: String, name: String, created: Timestamp) {
        let number = self.keys.len();
        self.keys.push(Past { created, ..Past::default() });
        self.ids.extend(ids.into_iter().map(|id| (id, number)));
        if !name.is_empty() {
            self.names.insert((token, name), number);
        }
    }

    /// What was learned, in the order of [`Self::insert`].
    pub(crate) fn into_pasts(self) -> Vec<Past> {
        self.keys
    }

    /// Takes in what a record says of the keys.
    pub(crate) fn learn(&mut self, record: &Record, in_period: bool) {
        if record.kind == "summary" {
            return;
        }
        let action = text(&record.action);
        let success = record.outcome.as_deref() == Some("success");
        let parts = [(&record.object, false), (&record.also, true)];
        for (object, second) in parts {
            let Some(object) = object.as_ref().filter(|object| object.storage.is_none()) else { continue };
            let made = match action.as_str() {
                "generate" | "import" => success,
                "unwrap" | "derive" | "derive-child" | "encapsulate" | "decapsulate" | "manage" => success && second,
                _ => false,
            };
            let used = match action.as_str() {
                "sign" | "verify" | "encrypt" | "decrypt" | "digest" | "export" | "wrap" | "tokenize"
                | "detokenize" | "read-masked" => success,
                "unwrap" | "derive" | "derive-child" | "encapsulate" | "decapsulate" => success && !second,
                _ => false,
            };
            if !made && !used {
                continue;
            }
            let Some(number) = self.ids.get(&object.id).or_else(|| {
                self.names.get(&(token(record), name(object))).filter(|number| {
                    let created = self.keys.get(**number).map_or(u64::MAX, |key| key.created.0);
                    record.time.0.saturating_add(SLACK_MS) >= created
                })
            }) else {
                continue;
            };
            let Some(key) = self.keys.get_mut(*number) else { continue };
            let deed = || Deed {
                time: record.time,
                principal: text(&record.principal),
                user: text(&record.user),
                // Wrapping takes the second key out.
                action: if second && action == "wrap" { "export".to_owned() } else { action.clone() },
            };
            if made && key.made.as_ref().is_none_or(|known| record.time < known.time) {
                key.made = Some(deed());
            }
            if used {
                key.uses = key.uses.saturating_add(1);
                key.uses_in_period = key.uses_in_period.saturating_add(u64::from(in_period));
                if key.last_use.as_ref().is_none_or(|known| record.time > known.time) {
                    key.last_use = Some(deed());
                }
            }
        }
    }
}
