//! Checking the policies of a home: whether they can be read, and whether they are as new as the audit says.

use std::collections::BTreeMap;

use super::Kms;
use super::check::{StoreFinding, StoreReport};
use super::policies::APPLY;
use crate::audit::{Record, decode_text};
use crate::error::ErrorKind;
use crate::key::Action;
use crate::policy::registry::{Entries, Entry};

/// What the audit tells of applied policies: by scope and name, as the tags of its records have them, the highest sequence.
#[derive(Default)]
pub(super) struct AppliedPolicies(BTreeMap<(String, String), u64>);

impl AppliedPolicies {
    /// Takes in one record.
    pub(super) fn learn(&mut self, record: &Record) {
        let is = |field: &Option<String>, word: &str| field.as_deref() == Some(word);
        if !is(&record.action, Action::ChangeState.name()) || !is(&record.outcome, "success") {
            return;
        }
        let [verb, scope, name, sequence, ..] = record.tags.as_slice() else { return };
        let applied = sequence.strip_prefix("sequence ").and_then(|s| s.rsplit(" -> ").next()?.parse::<u64>().ok());
        let whole = |tag: &String| Some(decode_text(tag)).filter(|(_, cut)| *cut == 0).map(|(text, _)| text);
        let text = |tag| whole(tag).and_then(|bytes| String::from_utf8(bytes).ok());
        // What was cut cannot be told apart.
        if verb == APPLY
            && let (Some(scope), Some(name), Some(sequence)) = (text(scope), text(name), applied)
        {
            let highest = self.0.entry((scope, name)).or_default();
            *highest = (*highest).max(sequence);
        }
    }

    /// Holds the store against it.
    fn compare(&self, entries: &[Entry], findings: &mut Vec<StoreFinding>) {
        for ((scope, name), told) in &self.0 {
            let same = entries.iter().filter(|e| e.scope.to_string() == *scope && format!("name {}", e.name) == *name);
            let seen = same.filter_map(|entry| entry.seen).map(|seen| seen.sequence).max().unwrap_or_default();
            if seen < *told {
                let known = if seen == 0 { "none".to_owned() } else { format!("sequence {seen}") };
                let policy = name.strip_prefix("name ").unwrap_or(name);
                let what = format!(
                    "policy `{policy}` for {scope}: the audit has seen sequence {told} applied, and the store knows of \
                     {known}: the store went back"
                );
                findings.push(StoreFinding::of(None, what));
            }
        }
    }
}

impl Kms {
    /// Whether every policy that is in force can be read, every trust anchor too, and whether they are as new as `told`.
    pub(super) fn check_policies(&self, told: &AppliedPolicies, report: &mut StoreReport) {
        let set = match self.registry.current() {
            Ok(set) => set,
            Err(error) => return report.findings.push(StoreFinding::of(None, error.sentence())),
        };
        told.compare(set.entries(), &mut report.findings);
        self.read_policies(&set, report);
        if let Err(error) = self.registry.anchors() {
            report.findings.push(StoreFinding::of(None, error.sentence()));
        }
    }

    fn read_policies(&self, set: &Entries, report: &mut StoreReport) {
        for entry in set.entries() {
            for bundle in [&entry.active, &entry.shadow].into_iter().flatten() {
                report.policies += 1;
                let Err(error) = self.registry.load(bundle) else { continue };
                let changed = || self.registry.current().is_ok_and(|now| now.edition != set.edition);
                // It may have been replaced since the set was read.
                if error.kind() != ErrorKind::Conflict || !changed() {
                    let what = format!("policy `{}` for {}: {}", entry.name, entry.scope, error.sentence());
                    report.findings.push(StoreFinding::of(None, what));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::policy::Scope;
    use crate::policy::bundle::Seen;

    fn told(sequence: &str) -> AppliedPolicies {
        let mut told = AppliedPolicies::default();
        let h = "0".repeat(64);
        let line = format!(
            "{{\"seq\":1,\"time\":1,\"kind\":\"event\",\"action\":\"change-state\",\"outcome\":\"success\",\
             \"tags\":[\"policy apply\",\"tenant acme\",\"name orders\",\"sequence {sequence}\",\"digest a -> b\"],\"h\":\"{h}\"}}"
        );
        told.learn(&serde_json::from_str(&line).unwrap());
        told
    }

    fn complaints(told: &AppliedPolicies, seen: Option<u64>) -> usize {
        let entry = Entry {
            name: "orders".into(),
            scope: Scope::Tenant { tenant: "acme".into() },
            place: None,
            seen: seen.map(|sequence| Seen { sequence, digest: [0; 32] }),
            active: None,
            shadow: None,
        };
        let mut findings = Vec::new();
        told.compare(&[entry], &mut findings);
        findings.len()
    }

    #[test]
    fn a_store_that_knows_of_a_lower_sequence_than_the_audit_went_back() {
        let told = told("6 -> 7");
        assert_eq!([Some(7), Some(8)].map(|seen| complaints(&told, seen)), [0, 0]);
        assert_eq!([None, Some(6)].map(|seen| complaints(&told, seen)), [1, 1]);
    }

    #[test]
    fn a_removal_proves_no_sequence() {
        assert_eq!(complaints(&told("7 -> none"), None), 0);
    }
}
