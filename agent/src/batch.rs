//! What goes to a destination at once.

use libkmss::audit::{Filter, Followed};
use libkmss::config::{ForwardConfig, RecordFilter, RecordScope};
use sha2::{Digest as _, Sha256};

use crate::text::tags_of;

/// The kind of an alarm's record.
pub(crate) const ALARM: &str = "alarm";

/// Which records a destination gets.
#[derive(Debug)]
pub(crate) struct Wanted {
    name: String,
    scope: RecordScope,
    matching: Matching,
}

impl Wanted {
    pub(crate) fn of(config: &ForwardConfig) -> Self {
        let matching = Matching::of(&config.only, &config.except);
        Self { name: config.name.clone(), scope: config.records, matching }
    }

    pub(crate) fn has(&self, followed: &Followed) -> bool {
        let record = &followed.entry.record;
        let in_scope = match self.scope {
            RecordScope::All => true,
            RecordScope::Events => ["event", "summary", ALARM].contains(&record.kind.as_str()),
            RecordScope::Alarms if record.kind == ALARM => {
                record.notify.is_empty() || record.notify.contains(&self.name)
            }
            RecordScope::Alarms => {
                tags_of(record).any(|tag| tag.strip_prefix("notify:").is_some_and(|channel| channel == self.name))
            }
        };
        in_scope && self.matching.has(followed)
    }
}

/// Records that match one of some filters, and none of some others.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    only: Vec<Filter>,
    except: Vec<Filter>,
}

impl Matching {
    pub(crate) fn of(only: &[RecordFilter], except: &[RecordFilter]) -> Self {
        let filters = |from: &[RecordFilter]| from.iter().map(filter).collect();
        Self { only: filters(only), except: filters(except) }
    }

    pub(crate) fn has(&self, followed: &Followed) -> bool {
        let record = &followed.entry.record;
        (self.only.is_empty() || self.only.iter().any(|filter| filter.matches(record)))
            && !self.except.iter().any(|filter| filter.matches(record))
    }
}

fn filter(from: &RecordFilter) -> Filter {
    let RecordFilter { action, key, principal, outcome, tenant, namespace, mechanism, tag, rule } = from.clone();
    Filter { action, key, principal, outcome, tenant, namespace, mechanism, tag, rule, ..Filter::default() }
}

/// What a record is called everywhere.
pub(crate) fn id(followed: &Followed) -> String {
    format!("{}:{}", followed.entry.segment, followed.entry.record.seq)
}

/// What a batch is called: equal for batches of the same records.
pub(crate) fn batch_id(batch: &[Followed]) -> String {
    let mut hash = Sha256::new();
    for followed in batch {
        hash.update(id(followed).as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
