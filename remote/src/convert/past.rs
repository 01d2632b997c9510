//! What policies say of the past.

use libkmss::clock::Timestamp;
use libkmss::error::Result;
use libkmss::kms::past::{Change, Explanation, Now, OtherRule, Replayed, Then};

use super::argument;
use crate::proto;

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl From<Explanation> for proto::Explanation {
    fn from(said: Explanation) -> Self {
        let Then { allowed, rule, reason, policies } = said.then;
        let then = proto::PastDecision { allowed, rule, reason, policies };
        let Now { allowed, rule, text, line, reason, not_recorded } = said.now;
        let now = proto::PresentDecision { allowed, rule, text, line, reason, not_recorded };
        let other = |OtherRule { policy, line, rule, why }| proto::PassedRule { policy, line, rule, why };
        Self {
            record: said.record,
            time_ms: said.time.0,
            principal: said.principal,
            action: said.action,
            names: said.names,
            mechanism: said.mechanism.unwrap_or_default(),
            tenant: said.tenant,
            namespace: said.namespace,
            then: Some(then),
            now: Some(now),
            same_policies: said.same_policies,
            others: said.others.into_iter().map(other).collect(),
        }
    }
}

/// What a server explains.
///
/// # Errors
/// [`libkmss::error::ErrorKind::Arguments`] where a decision is missing.
pub fn explanation(said: proto::Explanation) -> Result<Explanation> {
    let missing = || argument("the explanation lacks a decision");
    let proto::PastDecision { allowed, rule, reason, policies } = said.then.ok_or_else(missing)?;
    let then = Then { allowed, rule, reason, policies };
    let proto::PresentDecision { allowed, rule, text, line, reason, not_recorded } = said.now.ok_or_else(missing)?;
    let now = Now { allowed, rule, text, line, reason, not_recorded };
    let other = |proto::PassedRule { policy, line, rule, why }| OtherRule { policy, line, rule, why };
    Ok(Explanation {
        record: said.record,
        time: Timestamp(said.time_ms),
        principal: said.principal,
        action: said.action,
        names: said.names,
        mechanism: some(said.mechanism),
        tenant: said.tenant,
        namespace: said.namespace,
        then,
        now,
        same_policies: said.same_policies,
        others: said.others.into_iter().map(other).collect(),
    })
}

impl From<Change> for proto::ReplayChange {
    fn from(change: Change) -> Self {
        Self {
            principal: change.principal,
            action: change.action,
            tenant: change.tenant,
            namespace: change.namespace,
            key: change.key,
            then: change.then,
            now: change.now,
            rule: change.rule,
            reason: change.reason,
            count: change.count,
            example: change.example,
            first_ms: change.first.0,
            last_ms: change.last.0,
        }
    }
}

/// A change that a server tells of.
#[must_use]
pub fn replay_change(change: proto::ReplayChange) -> Change {
    Change {
        principal: change.principal,
        action: change.action,
        tenant: change.tenant,
        namespace: change.namespace,
        key: change.key,
        then: change.then,
        now: change.now,
        rule: change.rule,
        reason: change.reason,
        count: change.count,
        example: change.example,
        first: Timestamp(change.first_ms),
        last: Timestamp(change.last_ms),
    }
}

/// The counts, without the changes.
impl From<Replayed> for proto::ReplayOutcome {
    fn from(counted: Replayed) -> Self {
        Self {
            asked: counted.asked,
            same: counted.same,
            changed: counted.changed,
            undecided: counted.undecided,
            lacking: counted.lacking,
            undecided_example: counted.undecided_example.unwrap_or_default(),
            unreadable: counted.unreadable,
            duties: counted.duties,
            more: counted.more,
        }
    }
}

/// What a server counted, with the changes that it told of before.
#[must_use]
pub fn replayed(counted: proto::ReplayOutcome, changes: Vec<Change>) -> Replayed {
    Replayed {
        asked: counted.asked,
        same: counted.same,
        changed: counted.changed,
        undecided: counted.undecided,
        lacking: counted.lacking,
        undecided_example: some(counted.undecided_example),
        unreadable: counted.unreadable,
        duties: counted.duties,
        changes,
        more: counted.more,
    }
}
