//! What of which standard this home's data can evidence: `coverage.toml` says what is looked at, [`Facts`] what was seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use libkmss::error::{Error, ErrorKind, Result};

/// What the report says in any case.
pub(crate) const STATEMENT: &str = "The software engine of KMSS is not a certified cryptographic module: it holds no \
    certificate under FIPS 140-3, GM/T 0028 or any other scheme. This report gives evidence for an audit; it is no \
    certification, and what it cannot see it does not vouch for.";

/// What is looked at for which requirement.
const TABLE: &str = include_str!("coverage.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    standard: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    id: String,
    name: String,
    title: String,
    row: Vec<SourceRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceRow {
    requirement: String,
    about: String,
    best: Status,
    #[serde(default)]
    facts: Vec<Fact>,
    limit: String,
}

/// Something that the report looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fact {
    Inventory,
    Owners,
    Generation,
    Protection,
    Sealing,
    Strength,
    Cryptoperiod,
    Lifecycle,
    Exports,
    Expiry,
    Uses,
    Trail,
    Integrity,
    Retention,
    Loss,
    Writers,
    Changes,
    Credentials,
    Refusals,
    Logins,
    Policies,
    Segregation,
    National,
    NationalUse,
    Certified,
}

impl Fact {
    /// All of them.
    pub(crate) const ALL: [Self; 25] = [
        Self::Inventory,
        Self::Owners,
        Self::Generation,
        Self::Protection,
        Self::Sealing,
        Self::Strength,
        Self::Cryptoperiod,
        Self::Lifecycle,
        Self::Exports,
        Self::Expiry,
        Self::Uses,
        Self::Trail,
        Self::Integrity,
        Self::Retention,
        Self::Loss,
        Self::Writers,
        Self::Changes,
        Self::Credentials,
        Self::Refusals,
        Self::Logins,
        Self::Policies,
        Self::Segregation,
        Self::National,
        Self::NationalUse,
        Self::Certified,
    ];
}

/// What was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Whether it speaks for the requirement.
    pub holds: bool,
    /// A sentence with figures.
    pub words: String,
}

/// How far a requirement is evidenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// What KMSS has to do with it is shown.
    Evidenced,
    /// Some of it is.
    Partly,
    /// KMSS could show something, and this home's data does not.
    NotShown,
    /// It is not for KMSS to show.
    NotByKmss,
}

impl Status {
    /// The words for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Evidenced => "evidenced",
            Self::Partly => "partly",
            Self::NotShown => "not shown",
            Self::NotByKmss => "not by KMSS",
        }
    }
}

/// A standard.
#[derive(Debug, Serialize, Deserialize)]
pub struct Standard {
    /// A short name that stays.
    pub id: String,
    /// Its number.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its requirements.
    pub rows: Vec<Requirement>,
}

/// A requirement.
#[derive(Debug, Serialize, Deserialize)]
pub struct Requirement {
    /// Its number.
    pub requirement: String,
    /// What it is about, in our words.
    pub about: String,
    /// How far it is evidenced.
    pub status: Status,
    /// What this home's data shows.
    pub evidence: Vec<String>,
    /// What the data shows against it, or lacks.
    pub gaps: Vec<String>,
    /// What remains for others to show.
    pub limit: String,
}

/// The table for what was seen.
///
/// # Errors
/// The table cannot be read, which a test rules out.
pub(crate) fn of(sights: &BTreeMap<Fact, Sight>) -> Result<Vec<Standard>> {
    let unread =
        |e: toml::de::Error| Error::new(ErrorKind::Internal, "the table of standards is damaged").with_source(e);
    let file: File = toml::from_str(TABLE).map_err(unread)?;
    Ok(file.standard.into_iter().map(|source| standard(source, sights)).collect())
}

fn standard(source: Source, sights: &BTreeMap<Fact, Sight>) -> Standard {
    let rows = source.row.into_iter().map(|row| {
        let seen: Vec<&Sight> = row.facts.iter().filter_map(|fact| sights.get(fact)).collect();
        let (good, bad): (Vec<&Sight>, Vec<&Sight>) = seen.into_iter().partition(|sight| sight.holds);
        let words = |sights: &[&Sight]| sights.iter().map(|sight| sight.words.clone()).collect::<Vec<_>>();
        let status = match (row.best, good.is_empty(), bad.is_empty()) {
            (Status::NotByKmss, _, _) => Status::NotByKmss,
            (_, true, _) => Status::NotShown,
            (best, false, true) => best,
            (_, false, false) => Status::Partly,
        };
        let (evidence, gaps) = (words(&good), words(&bad));
        Requirement { requirement: row.requirement, about: row.about, status, evidence, gaps, limit: row.limit }
    });
    Standard { id: source.id, name: source.name, title: source.title, rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_is_evidenced_where_nothing_was_seen() {
        let standards = of(&BTreeMap::new()).unwrap();
        assert_eq!(standards.len(), 4);
        let mut rows = standards.iter().flat_map(|standard| &standard.rows);
        assert!(rows.all(|row| matches!(row.status, Status::NotShown | Status::NotByKmss) && row.evidence.is_empty()));
    }

    #[test]
    fn a_gap_lowers_what_is_evidenced_and_nothing_raises_what_is_not_ours() {
        let all = |holds| Fact::ALL.into_iter().map(|fact| (fact, Sight { holds, words: "seen".to_owned() })).collect();
        let good = of(&all(true)).unwrap();
        let find = |standards: &[Standard], number: &str| {
            standards.iter().flat_map(|s| &s.rows).find(|row| row.requirement == number).unwrap().status
        };
        assert_eq!(find(&good, "10.2.2"), Status::Evidenced);
        assert_eq!(find(&good, "3.7.3"), Status::Partly);
        assert_eq!(find(&good, "GM/T 0115, 5.3 and 5.4"), Status::NotByKmss);
        let mut mixed: BTreeMap<Fact, Sight> = all(true);
        mixed.insert(Fact::Refusals, Sight { holds: false, words: "none".to_owned() });
        assert_eq!(find(&of(&mixed).unwrap(), "10.2.1.4"), Status::Partly);
        assert_eq!(find(&of(&all(false)).unwrap(), "10.2.2"), Status::NotShown);
    }
}
