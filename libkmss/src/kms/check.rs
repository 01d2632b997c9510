//! Checking a whole home: the store's files, every namespace, and the store against the audit.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Kms;
use super::check_book::Ordered;
use super::check_policies::AppliedPolicies;
use crate::audit::{AuditTail, Entry, Filter, Record, RecordObject};
use crate::caller::Caller;
use crate::catalog::CatalogReport;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::Action;
use crate::tenant::Namespace;

/// Walks repeated while other processes write.
const ATTEMPTS: u32 = 3;

/// What a check of a home found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StoreReport {
    /// One for each namespace.
    pub namespaces: Vec<NamespaceReport>,
    /// Policies in force that were read.
    pub policies: u64,
    /// Records of the audit that were compared.
    pub audit_records: u64,
    /// Everything that is wrong.
    pub findings: Vec<StoreFinding>,
    /// What could not be looked at, and why.
    pub errors: Vec<String>,
    /// Other processes changed the home meanwhile, so that a finding may be a change half seen.
    pub in_use: bool,
}

/// What was looked at in a namespace.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NamespaceReport {
    /// Its name.
    pub name: String,
    /// Objects in it.
    pub objects: u64,
    /// Those whose records were opened; the others are private.
    pub opened: u64,
    /// Index entries that were proven genuine.
    pub entries: u64,
    /// Names of keys that were proven genuine.
    pub names: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreFinding {
    /// The namespace, where it concerns one.
    pub namespace: Option<String>,
    /// The object, where it concerns one.
    pub object: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// What the audit says of one object.
#[derive(Default)]
struct Told {
    namespace: Option<String>,
    name: Option<String>,
    /// When it was made, where the audit saw that.
    made: Option<Timestamp>,
    /// It was destroyed, or that was at least begun.
    destroyed: Option<bool>,
    /// The record in the store has at least this edition.
    edition: u64,
}

impl Kms {
    /// Checks the home. `callers` may hold the private keys of some namespaces; the others' private records stay closed.
    /// `progress` is told what is looked at, and how many records of it were read.
    ///
    /// # Errors
    /// The namespaces cannot even be listed.
    pub fn check_store(&self, callers: &[Caller], progress: &mut dyn FnMut(&str, u64)) -> Result<StoreReport> {
        progress("the database", 0);
        let broken = self.store.check();
        let mut report = StoreReport::default();
        for attempt in 1..=ATTEMPTS {
            let generation = self.generation();
            report = self.walk(callers, progress)?;
            report.in_use = self.generation() != generation;
            if report.findings.is_empty() || !report.in_use || attempt == ATTEMPTS {
                break;
            }
        }
        match broken {
            Ok(found) => report.findings.extend(found.into_iter().map(|what| StoreFinding::of(None, what))),
            Err(error) => report.errors.push(error.sentence()),
        }
        Ok(report)
    }

    fn walk(&self, callers: &[Caller], progress: &mut dyn FnMut(&str, u64)) -> Result<StoreReport> {
        let mut report = StoreReport::default();
        // First, so that what is changed meanwhile is newer than what the audit tells.
        let mut applied = AppliedPolicies::default();
        let mut ordered = Ordered::default();
        let told = match self.told(progress, &mut report.audit_records, (&mut applied, &mut ordered)) {
            Ok(told) => told,
            Err(error) => {
                report.errors.push(error.sentence());
                BTreeMap::new()
            }
        };
        let mut editions = BTreeMap::new();
        let mut complete = true;
        for namespace in self.namespaces()? {
            let known = callers.iter().find(|c| *c.namespace == namespace).cloned();
            let seen = known.map_or_else(|| self.enter(&namespace, 0), Ok);
            let seen = seen.and_then(|caller| self.catalog().check(&caller, &mut |n| progress(&namespace.name, n)));
            match seen {
                Ok(seen) => report.take(&namespace, seen, &mut editions),
                Err(error) => {
                    complete = false;
                    report.findings.push(StoreFinding::of(Some(&namespace), error.sentence()));
                }
            }
        }
        self.check_policies(&applied, &mut report);
        self.check_book(&ordered, &mut report);
        if complete {
            compare(&told, &editions, &mut report.findings);
        }
        Ok(report)
    }

    /// What the audit tells of stored objects.
    fn told(
        &self,
        progress: &mut dyn FnMut(&str, u64),
        count: &mut u64,
        (applied, ordered): (&mut AppliedPolicies, &mut Ordered),
    ) -> Result<BTreeMap<String, Told>> {
        let mut told: BTreeMap<String, Told> = BTreeMap::new();
        let mut emptied: BTreeMap<String, Timestamp> = BTreeMap::new();
        let tail =
            AuditTail::new(Self::audit_directory(&self.config), Filter { events_only: true, ..Filter::default() });
        tail.visit(&mut |entry: &Entry| {
            *count += 1;
            if count.is_multiple_of(4096) {
                progress("the audit", *count);
            }
            learn(&entry.record, &mut told, &mut emptied);
            applied.learn(&entry.record);
            ordered.learn(&entry.record);
        })?;
        // What went with its whole namespace is not missing.
        told.retain(|_, of| {
            let end = of.namespace.as_ref().and_then(|n| emptied.get(n));
            end.is_none_or(|end| of.made.is_some_and(|made| made > *end))
        });
        Ok(told)
    }
}

/// Takes in one record.
fn learn(record: &Record, told: &mut BTreeMap<String, Told>, emptied: &mut BTreeMap<String, Timestamp>) {
    let is = |action: Action| record.action.as_deref() == Some(action.name());
    let done = record.outcome.as_deref() == Some("success");
    let begun = record.outcome.as_deref() == Some("intent");
    let place = record.tenant.iter().chain(&record.namespace).cloned().collect::<Vec<_>>().join("/");
    if record.object.is_none() && (done || begun) && (is(Action::Initialize) || is(Action::Destroy)) {
        let end = emptied.entry(place).or_default();
        *end = (*end).max(record.time);
        return;
    }
    let changed = is(Action::ChangeState) || is(Action::Manage);
    // A copy leaves its source as it is.
    let copied = |object: &RecordObject| record.also.as_ref().is_some_and(|also| also.id != object.id);
    for (object, first) in [(&record.object, true), (&record.also, false)] {
        let Some(object) = object.as_ref().filter(|o| o.storage.is_none() && o.class != "new") else { continue };
        if !(done || (begun && is(Action::Destroy))) {
            continue;
        }
        let of = told.entry(object.id.clone()).or_default();
        of.namespace.get_or_insert_with(|| place.clone());
        of.name = object.name.clone().or_else(|| object.label.clone()).or_else(|| of.name.take());
        if is(Action::Destroy) {
            of.destroyed = Some(of.destroyed.unwrap_or_default() || done);
        } else if let Some(edition) = object.edition {
            let grown = u64::from(first && changed && !copied(object));
            of.edition = of.edition.max(edition.saturating_add(grown));
        }
        let makes = is(Action::Generate) || is(Action::Import) || !first;
        if makes && object.edition == Some(1) {
            of.made = Some(record.time);
        }
    }
}

/// Holds the store against the audit.
fn compare(told: &BTreeMap<String, Told>, editions: &BTreeMap<String, u64>, findings: &mut Vec<StoreFinding>) {
    for (id, of) in told {
        let name = of.name.as_deref().unwrap_or("object");
        let what = match (editions.get(id), of.destroyed) {
            (Some(_), Some(true)) => {
                format!("`{name}` was destroyed, says the audit, and is there again: the store went back")
            }
            (Some(edition), _) if *edition < of.edition => format!(
                "`{name}` has edition {edition}, but the audit has seen edition {}: the store went back, and changes of \
                 attributes or state are undone",
                of.edition
            ),
            (None, None) if of.made.is_some() => {
                format!("`{name}` was made, says the audit, was never destroyed, and is not there: the store went back")
            }
            _ => continue,
        };
        findings.push(StoreFinding { namespace: of.namespace.clone(), object: Some(id.clone()), what });
    }
}

impl StoreReport {
    fn take(&mut self, namespace: &Namespace, seen: CatalogReport, editions: &mut BTreeMap<String, u64>) {
        editions.extend(seen.editions.into_iter().map(|(id, edition)| (id.to_string(), edition)));
        self.findings.extend(seen.complaints.into_iter().map(|complaint| StoreFinding {
            namespace: Some(namespace.to_string()),
            object: complaint.object.map(|id| id.to_string()),
            what: complaint.what,
        }));
        self.namespaces.push(NamespaceReport {
            name: namespace.name.clone(),
            objects: seen.objects,
            opened: seen.opened,
            entries: seen.entries,
            names: seen.names,
        });
    }
}

impl StoreFinding {
    pub(super) fn of(namespace: Option<&Namespace>, what: String) -> Self {
        Self { namespace: namespace.map(ToString::to_string), object: None, what }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(lines: &[&str]) -> BTreeMap<String, Told> {
        let (mut told, mut emptied) = (BTreeMap::new(), BTreeMap::new());
        for (at, line) in lines.iter().enumerate() {
            let (seq, h) = (at, "0".repeat(64));
            let whole = format!(
                "{{\"seq\":{seq},\"time\":{},\"kind\":\"event\",\"tenant\":\"default\",\"namespace\":\"t\",{line},\"h\":\"{h}\"}}",
                at + 1
            );
            learn(&serde_json::from_str(&whole).unwrap(), &mut told, &mut emptied);
        }
        assert!(emptied.is_empty());
        told
    }

    fn complaints(lines: &[&str], editions: &[(&str, u64)]) -> Vec<String> {
        let editions = editions.iter().map(|(id, edition)| ((*id).to_owned(), *edition)).collect();
        let mut findings = Vec::new();
        compare(&told(lines), &editions, &mut findings);
        findings.into_iter().map(|f| f.what).collect()
    }

    const MADE: &str =
        r#""action":"generate","outcome":"success","object":{"id":"a","class":"secret","name":"k","edition":1}"#;
    const DISABLED: &str =
        r#""action":"change-state","outcome":"success","object":{"id":"a","class":"secret","name":"k","edition":1}"#;
    const DESTROYED: &str =
        r#""action":"destroy","outcome":"success","object":{"id":"a","class":"secret","name":"k","edition":2}"#;

    #[test]
    fn a_store_that_agrees_with_the_audit_gives_no_finding() {
        assert!(complaints(&[MADE, DISABLED], &[("a", 2)]).is_empty());
        assert!(complaints(&[MADE, DISABLED, DESTROYED], &[]).is_empty());
        // Another process may be ahead of the audit that was read.
        assert!(complaints(&[MADE], &[("a", 7), ("b", 1)]).is_empty());
    }

    #[test]
    fn what_went_back_is_named() {
        assert!(complaints(&[MADE, DISABLED], &[("a", 1)]).concat().contains("undone"));
        assert!(complaints(&[MADE, DISABLED, DESTROYED], &[("a", 2)]).concat().contains("there again"));
        assert!(complaints(&[MADE, DISABLED], &[]).concat().contains("is not there"));
    }

    #[test]
    fn a_copy_does_not_age_its_source() {
        let copy = r#""action":"manage","outcome":"success","object":{"id":"a","class":"secret","edition":1},
            "also":{"id":"b","class":"secret","edition":1}"#;
        assert!(complaints(&[MADE, copy], &[("a", 1), ("b", 1)]).is_empty());
        let rename = r#""action":"manage","outcome":"success","object":{"id":"a","class":"secret","edition":1},
            "also":{"id":"a","class":"new"}"#;
        assert_eq!(complaints(&[MADE, rename], &[("a", 1)]).len(), 1);
    }

    #[test]
    fn a_destruction_that_was_only_begun_proves_nothing() {
        let begun = DESTROYED.replace("success", "intent");
        assert!(complaints(&[MADE, &begun], &[]).is_empty());
        assert!(complaints(&[MADE, &begun], &[("a", 1)]).is_empty());
    }
}
