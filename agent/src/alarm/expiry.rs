//! What ends soon, or has ended: certificates and the end dates of keys, as far as they can be seen without a PIN.

use libkmss::catalog::{ObjectKind, Query};
use libkmss::clock::Timestamp;
use libkmss::error::Result;
use libkmss::key::{Body, KeyClass, Object};
use libkmss::kms::Kms;
use libkmss::operation::Find;
use libkmss::tenant::Namespace;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::raised::About;

/// Objects that are looked up at once.
const PAGE: usize = 256;
/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// Something that ends.
#[derive(Debug)]
pub(super) struct Ending {
    /// What.
    pub(super) about: About,
    /// Its name for people.
    pub(super) name: String,
    /// When.
    pub(super) end: Timestamp,
}

/// Everything that can be seen and has an end.
pub(super) fn endings(kms: &Kms) -> Result<Vec<Ending>> {
    let mut found = Vec::new();
    for namespace in kms.namespaces()? {
        let caller = kms.enter(&namespace, 0)?;
        let kinds = [ObjectKind::Certificate, ObjectKind::Key(KeyClass::Public), ObjectKind::Key(KeyClass::Secret)];
        for kind in kinds.into_iter().chain([ObjectKind::Key(KeyClass::Private)]) {
            let query = Query { kind: Some(kind), ..Query::default() };
            let mut after = None;
            loop {
                let page = kms.perform(&caller, Find { query: &query, after, limit: PAGE })?;
                for one in &page {
                    // One that was destroyed meanwhile ends no more.
                    if let Ok(object) = kms.object(&caller, one.id) {
                        found.extend(ending(&namespace, &object));
                    }
                }
                after = page.last().map(|one| one.id);
                if page.len() < PAGE {
                    break;
                }
            }
        }
    }
    Ok(found)
}

fn ending(namespace: &Namespace, object: &Object) -> Option<Ending> {
    let (class, name, end) = match &object.body {
        Body::Certificate { value } => {
            let certificate = Certificate::from_der(value).ok()?;
            let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
            let label = String::from_utf8_lossy(&object.label).into_owned();
            ("certificate", label, Timestamp(u64::try_from(end.as_millis()).unwrap_or(u64::MAX)))
        }
        Body::Key(key) => {
            let class = match key.class {
                KeyClass::Public => "public",
                KeyClass::Private => "private",
                KeyClass::Secret => "secret",
            };
            (class, key.name.clone(), last_moment(&key.end?.0)?)
        }
        Body::Data { .. } => return None,
    };
    let about = About {
        tenant: namespace.tenant.clone(),
        namespace: namespace.name.clone(),
        object: Some((class.to_owned(), object.id.to_string(), name.clone())),
        ..About::default()
    };
    Some(Ending { about, name, end })
}

/// The end of a day written as eight digits.
fn last_moment(digits: &[u8; 8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(digits).ok()?;
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u16>().ok());
    let (year, month, day) = (number(0..4)?, u8::try_from(number(4..6)?).ok()?, u8::try_from(number(6..8)?).ok()?);
    let date = time::Date::from_calendar_date(year.into(), time::Month::try_from(month).ok()?, day).ok()?;
    let start = u64::try_from(date.midnight().assume_utc().unix_timestamp()).ok()?;
    Some(Timestamp(start * 1000 + DAY))
}

impl Ending {
    /// How it stands at `now`, where it ends within `days`.
    pub(super) fn told(&self, now: Timestamp, days: u32) -> Option<String> {
        let class = self.about.object.as_ref().map(|(class, ..)| class.as_str()).unwrap_or_default();
        let what = if class == "certificate" { "certificate".to_owned() } else { format!("{class} key") };
        if self.end <= now {
            let ago = (now.0 - self.end.0) / DAY;
            return Some(format!("the {what} `{}` has expired, {ago} days ago", self.name));
        }
        let left = (self.end.0 - now.0) / DAY;
        (left < u64::from(days)).then(|| format!("the {what} `{}` expires in {left} days", self.name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_may_be_used_to_the_end_of_its_last_day() {
        assert_eq!(last_moment(b"19700101").unwrap(), Timestamp(DAY));
        assert!(last_moment(b"20261345").is_none() && last_moment(b"????????").is_none());
    }

    #[test]
    fn what_ends_is_told_when_it_is_near() {
        let one = Ending { about: About::default(), name: "web".into(), end: Timestamp(100 * DAY) };
        assert_eq!(one.told(Timestamp(60 * DAY), 30), None);
        assert!(one.told(Timestamp(90 * DAY), 30).unwrap().contains("expires in 10 days"));
        assert!(one.told(Timestamp(103 * DAY), 30).unwrap().contains("3 days ago"));
    }
}
