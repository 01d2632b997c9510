//! An alarm that was raised, before it is recorded.

use libkmss::audit::{AuditAlarm, Followed, RecordObject};
use libkmss::config::{AlarmConfig, Measure, Severity};
use libkmss::tenant::ObjectId;

use crate::batch::id;
use crate::text::{name, text};

/// What a rule has to say.
#[derive(Clone, Debug)]
pub(crate) struct Raised {
    /// The rule.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What tells it from others of the rule, for not being raised again at once.
    pub cause: String,
    /// Who, where, on what.
    pub about: About,
    /// How often.
    pub count: u64,
    /// In words.
    pub reason: String,
    /// Who is to hear of it.
    pub notify: Vec<String>,
    /// What is to be done.
    pub measure: Option<Measure>,
}

/// Who, where, on what.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub principal: String,
    pub tenant: String,
    pub namespace: String,
    /// Class, identity and name.
    pub object: Option<(String, String, String)>,
    /// Names of records.
    pub evidence: Vec<String>,
}

impl About {
    /// What a record is about.
    pub(crate) fn of(followed: &Followed) -> Self {
        let record = &followed.entry.record;
        Self {
            principal: text(&record.principal),
            tenant: text(&record.tenant),
            namespace: text(&record.namespace),
            object: record.object.as_ref().map(named),
            evidence: vec![id(followed)],
        }
    }
}

fn named(object: &RecordObject) -> (String, String, String) {
    (object.class.clone(), object.id.clone(), name(object))
}

impl Raised {
    /// One of `rule`.
    pub(crate) fn new(rule: &AlarmConfig, cause: String, about: About, count: u64, reason: String) -> Self {
        Self {
            rule: rule.name.clone(),
            severity: rule.severity,
            cause,
            about,
            count,
            reason,
            notify: rule.notify.clone(),
            measure: rule.measure,
        }
    }

    /// Its record, with what is done in words.
    pub(crate) fn record<'a>(&'a self, measure: &'a str) -> AuditAlarm<'a> {
        const CLASSES: [&str; 6] = ["secret", "private", "public", "certificate", "data", "new"];
        let object = self.about.object.as_ref().and_then(|(class, id, name)| {
            let class = CLASSES.into_iter().find(|known| known == class)?;
            Some((class, id.parse::<ObjectId>().ok()?, name.as_str()))
        });
        AuditAlarm {
            rule: &self.rule,
            severity: self.severity.name(),
            principal: &self.about.principal,
            tenant: &self.about.tenant,
            namespace: &self.about.namespace,
            object,
            count: self.count,
            reason: &self.reason,
            evidence: &self.about.evidence,
            notify: &self.notify,
            measure,
        }
    }
}
