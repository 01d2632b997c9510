//! Checking blocks and quotas: whether they can be read, and whether none is gone that the audit does not know of.

use std::collections::{BTreeMap, BTreeSet};

use super::Kms;
use super::blocks::{ADD, RELEASE, THROTTLE};
use super::check::{StoreFinding, StoreReport};
use super::quotas::{REMOVE, SET};
use super::rules;
use crate::audit::{Record, decode_text};
use crate::clock::Timestamp;
use crate::key::Action;
use crate::rules::RuleScope;

/// What the audit tells of changes of blocks and quotas.
#[derive(Default)]
pub(super) struct Ordered {
    /// Blocks that hold until they are released, as their tags have them.
    blocks: BTreeSet<String>,
    released: BTreeSet<String>,
    /// By name and token, as the tags have them, when it was last changed and whether it was set then.
    quotas: BTreeMap<(String, String), (Timestamp, bool)>,
    /// The same of rules for keys, by what they are for.
    rules: BTreeMap<String, (Timestamp, bool)>,
}

impl Ordered {
    /// Takes in one record of a change.
    pub(super) fn learn(&mut self, record: &Record) {
        let is = |field: &Option<String>, word: &str| field.as_deref() == Some(word);
        if !is(&record.action, Action::ChangeState.name()) || !is(&record.outcome, "success") {
            return;
        }
        // What was cut cannot be told apart.
        let whole = |tag: &String| match decode_text(tag) {
            (bytes, 0) => String::from_utf8(bytes).ok(),
            _ => None,
        };
        let tags: Vec<String> = record.tags.iter().filter_map(whole).collect();
        let [verb, name, rest @ ..] = tags.as_slice() else { return };
        match verb.as_str() {
            ADD | THROTTLE if rest.iter().any(|tag| tag.ends_with("until released")) => {
                self.blocks.insert(name.clone());
            }
            RELEASE => {
                self.released.insert(name.clone());
            }
            SET | REMOVE => {
                let token = rest.iter().find(|tag| tag.starts_with("token ")).cloned().unwrap_or_default();
                let now = (record.time, verb == SET);
                let last = self.quotas.entry((name.clone(), token)).or_insert(now);
                *last = (*last).max(now);
            }
            rules::SET | rules::REMOVE => {
                let now = (record.time, verb == rules::SET);
                let last = self.rules.entry(name.clone()).or_insert(now);
                *last = (*last).max(now);
            }
            _ => {}
        }
    }
}

impl Kms {
    /// Whether blocks and quotas can be read, and all that were `told` of are there.
    pub(super) fn check_book(&self, told: &Ordered, report: &mut StoreReport) {
        let set = match self.book.current() {
            Ok(set) => set,
            Err(error) => return report.findings.push(StoreFinding::of(None, error.sentence())),
        };
        let there: BTreeSet<String> = set.blocks().iter().map(|block| format!("block:{}", block.id)).collect();
        for missing in told.blocks.iter().filter(|name| !told.released.contains(*name) && !there.contains(*name)) {
            let what =
                format!("{missing}: the audit knows that it was ordered and never released, and the store has none");
            report.findings.push(StoreFinding::of(None, what));
        }
        let token = |id| format!("token {}", self.namespace_shown(id));
        let there: BTreeSet<(String, String)> = set
            .quotas()
            .iter()
            .map(|quota| (format!("quota:{}", quota.name), quota.scope.namespace.map(token).unwrap_or_default()))
            .collect();
        // A token may have got another name, or be gone.
        let names = self.namespaces().unwrap_or_default().into_iter().map(|namespace| format!("token {namespace}"));
        let tokens: BTreeSet<String> = names.chain([String::new()]).collect();
        for (of, (_, set)) in &told.quotas {
            if *set && tokens.contains(&of.1) && !there.contains(of) {
                let (name, token) = of;
                let what = format!(
                    "{name}{}{token}: the audit knows that it was set and never removed, and the store has none",
                    if token.is_empty() { "" } else { " of " }
                );
                report.findings.push(StoreFinding::of(None, what));
            }
        }
        self.check_rules(&told.rules, &tokens, report);
    }

    /// The same of rules for keys.
    fn check_rules(
        &self,
        told: &BTreeMap<String, (Timestamp, bool)>,
        tokens: &BTreeSet<String>,
        report: &mut StoreReport,
    ) {
        let there = match self.key_rules() {
            Ok(there) => there,
            Err(error) => return report.findings.push(StoreFinding::of(None, error.sentence())),
        };
        let name = |scope: &RuleScope| {
            format!("rule:{}", scope.shown(&scope.namespace.map_or_else(String::new, |id| self.namespace_shown(id))))
        };
        let there: BTreeSet<String> = there.iter().map(|rule| name(&rule.scope)).collect();
        let stands = |of: &String| {
            let of_token = of.find("token ").and_then(|at| of.get(at..));
            of_token.is_none_or(|token| tokens.contains(token))
        };
        for (of, _) in told.iter().filter(|(of, (_, set))| *set && stands(of) && !there.contains(*of)) {
            let what = format!("{of}: the audit knows that it was set and never removed, and the store has none");
            report.findings.push(StoreFinding::of(None, what));
        }
    }
}
