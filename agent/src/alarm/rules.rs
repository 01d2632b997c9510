//! The rules: what one record, or one irregularity, makes each of them say.

use libkmss::audit::{Followed, Record};
use libkmss::clock::Timestamp;
use libkmss::config::{AlarmCondition, AlarmConfig, Hours, Per};

use super::memory::Recollection;
use super::raised::{About, Raised};
use crate::batch::{ALARM, Matching, id};
use crate::text::{name, sentence, tags_of, text};

/// A rule of the configuration.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) config: AlarmConfig,
    matching: Matching,
}

impl Rule {
    pub(super) fn of(config: &AlarmConfig) -> Self {
        Self { config: config.clone(), matching: Matching::of(&config.only, &config.except) }
    }

    /// What it says to a record.
    pub(super) fn see(&self, followed: &Followed, memory: &mut Recollection) -> Option<Raised> {
        let record = &followed.entry.record;
        if record.kind == ALARM || !self.matching.has(followed) {
            return None;
        }
        let raised = self.judge(followed, memory)?;
        // By the record's time, so that a log that is read late is judged alike.
        memory.is_new(&raised.cause, record.time, u64::from(self.config.dedupe_s) * 1000).then_some(raised)
    }

    fn judge(&self, followed: &Followed, memory: &mut Recollection) -> Option<Raised> {
        let record = &followed.entry.record;
        match &self.config.when {
            AlarmCondition::Burst { per, window_s, factor, least, learn_hours } => {
                let more = uses(record);
                let subject = subject(*per, record).filter(|_| more > 0)?;
                let learns = memory.learns(record.time, *learn_hours);
                let baseline = memory.baseline(&subject);
                let (count, most) = baseline.add(record.time, more, *window_s, *factor, *least);
                let reason = format!("{count} operations within {window_s} s, where no more than {most} are expected");
                (count > most && !learns).then(|| self.raise(followed, subject, count, reason))
            }
            AlarmCondition::OffHours(hours) => {
                let subject = subject(Per::Principal, record).filter(|_| uses(record) > 0)?;
                let off = !at_work(hours, record.time);
                off.then(|| {
                    self.raise(followed, subject, uses(record), format!("outside working hours: {}", sentence(record)))
                })
            }
            AlarmCondition::NewPrincipal { learn_hours } => self.new_principal(followed, memory, *learn_hours),
            AlarmCondition::Denials { per, count, window_s } => {
                let denied = record.outcome.as_deref() == Some("denied") && record.action.as_deref() != Some("login");
                let subject = subject(*per, record).filter(|_| denied)?;
                self.count(followed, memory, subject, (*count, *window_s), "refusals")
            }
            AlarmCondition::WrongPins { count, window_s } => {
                let wrong = record.action.as_deref() == Some("login")
                    && matches!(record.error.as_deref(), Some("pin-incorrect" | "pin-locked"));
                let place = || format!("{}/{}", text(&record.tenant), text(&record.namespace));
                let subject = wrong.then(place)?;
                self.count(followed, memory, subject, (*count, *window_s), "wrong PINs")
            }
            AlarmCondition::VerifyFailures { per, count, window_s } => {
                let failed = record.action.as_deref() == Some("verify")
                    && matches!(record.error.as_deref(), Some("signature-invalid" | "signature-length"));
                let subject = subject(*per, record).filter(|_| failed)?;
                self.count(followed, memory, subject, (*count, *window_s), "signatures or MACs that do not verify")
            }
            AlarmCondition::ClockBack { tolerance_s } => {
                let segment = followed.entry.segment.to_string();
                let latest = memory.seen.get(&segment).copied().unwrap_or_default();
                let back = latest.0.saturating_sub(record.time.0);
                memory.meets(segment.clone(), latest.max(record.time));
                let reason = format!("a record is {back} ms older than the one before it");
                (back > u64::from(*tolerance_s) * 1000).then(|| self.raise(followed, segment, 1, reason))
            }
            AlarmCondition::AuditGap => {
                let lost = record.lost.unwrap_or(0);
                let reason = match lost {
                    0 => "the end of a segment was torn, and its writer went on behind it".to_owned(),
                    lost => format!("{lost} operations were refused because their records could not be written"),
                };
                let cause = id(followed);
                (record.kind == "recovery").then(|| self.raise(followed, cause, lost, reason))
            }
            AlarmCondition::Notify => {
                let channels: Vec<String> =
                    tags_of(record).filter_map(|tag| tag.strip_prefix("notify:").map(str::to_owned)).collect();
                let cause = format!("{}\0{}", channels.join("\0"), cause(record));
                let reason = format!("a policy wants {} notified: {}", channels.join(", "), sentence(record));
                (!channels.is_empty()).then(|| self.raise(followed, cause, 1, reason))
            }
            AlarmCondition::Match => Some(self.raise(followed, cause(record), uses(record).max(1), sentence(record))),
            AlarmCondition::Expiry { .. } => None,
        }
    }

    fn new_principal(&self, followed: &Followed, memory: &mut Recollection, learn_hours: u32) -> Option<Raised> {
        let record = &followed.entry.record;
        let object = record.object.as_ref().filter(|_| uses(record) > 0)?;
        // Who makes a key is no stranger to it, and a session key has nobody else.
        let made = matches!(record.action.as_deref(), Some("generate" | "import" | "unwrap" | "derive"));
        if object.storage.is_some() || !["secret", "private", "public"].contains(&object.class.as_str()) {
            return None;
        }
        let learns = memory.learns(record.time, learn_hours);
        let principal = text(&record.principal);
        let pair = format!("{}\0{principal}", object.id);
        let new = memory.meets(pair.clone(), record.time);
        let reason = format!("{principal} used the key `{}` for the first time", name(object));
        (new && !learns && !made).then(|| self.raise(followed, pair, 1, reason))
    }

    /// Raised when `count` of them come within `window` seconds.
    fn count(
        &self,
        followed: &Followed,
        memory: &mut Recollection,
        subject: String,
        (count, window): (u32, u32),
        what: &str,
    ) -> Option<Raised> {
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let lately = memory.lately(&subject);
        let (found, evidence) = lately.add(followed.entry.record.time, id(followed), u64::from(window) * 1000, most);
        if found < most {
            return None;
        }
        // The next ones count anew.
        lately.clear();
        let found = found as u64;
        let mut raised = self.raise(followed, subject, found, format!("{found} {what} within {window} s"));
        raised.about.evidence = evidence;
        Some(raised)
    }

    fn raise(&self, followed: &Followed, cause: String, count: u64, reason: String) -> Raised {
        Raised::new(&self.config, cause, About::of(followed), count, reason)
    }

    /// What it says to something that was noticed beside the records.
    pub(super) fn notice(
        &self,
        cause: &str,
        reason: String,
        now: Timestamp,
        memory: &mut Recollection,
    ) -> Option<Raised> {
        let new = memory.is_new(cause, now, u64::from(self.config.dedupe_s) * 1000);
        new.then(|| Raised::new(&self.config, cause.to_owned(), About::default(), 1, reason))
    }
}

/// How many operations a record stands for that were done.
fn uses(record: &Record) -> u64 {
    match (record.kind.as_str(), record.outcome.as_deref()) {
        ("event", Some("success" | "begun")) => 1,
        ("summary", _) => record.uses.iter().map(|one| one.count).sum(),
        _ => 0,
    }
}

/// Whose use it is.
fn subject(per: Per, record: &Record) -> Option<String> {
    match per {
        Per::Principal => record.principal.as_ref().map(|principal| format!("principal {principal}")),
        Per::Key => {
            let object = record.object.as_ref()?;
            // Session keys are counted with the key they came from.
            let name = name(object);
            let key = if object.storage.is_some() && !name.is_empty() { &name } else { &object.id };
            Some(format!("key {}/{} {key}", text(&record.tenant), text(&record.namespace)))
        }
    }
}

/// Who and what.
fn cause(record: &Record) -> String {
    let object = record.object.as_ref().map(|object| object.id.as_str()).unwrap_or_default();
    format!("{}\0{object}\0{}", text(&record.principal), text(&record.action))
}

/// Whether it is working time.
fn at_work(hours: &Hours, time: Timestamp) -> bool {
    let local = i64::try_from(time.0 / 60_000).unwrap_or(0) + i64::from(hours.offset);
    let minute = u16::try_from(local.rem_euclid(24 * 60)).unwrap_or(0);
    // 1970-01-01 was a Thursday.
    let day = usize::try_from((local.div_euclid(24 * 60) + 3).rem_euclid(7)).unwrap_or(0);
    let works = |day: usize| hours.days.get(day % 7).copied().unwrap_or(false);
    let (from, to) = hours.minutes;
    if from <= to {
        works(day) && (from..to).contains(&minute)
    } else {
        // A shift that begins on a working day goes on into the next.
        (works(day) && minute >= from) || (works(day + 6) && minute < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(day: u64, hour: u64, minute: u64) -> Timestamp {
        // 2026-11-23 is a Monday.
        Timestamp((20_780 + day) * 86_400_000 + hour * 3_600_000 + minute * 60_000)
    }

    #[test]
    fn working_hours_are_those_of_the_place() {
        let days = [true, true, true, true, true, false, false];
        let hours = Hours { minutes: (480, 1080), days, offset: 60 };
        assert!(at_work(&hours, moment(0, 7, 0)) && !at_work(&hours, moment(0, 6, 59)));
        assert!(at_work(&hours, moment(4, 16, 59)) && !at_work(&hours, moment(4, 17, 0)));
        assert!(!at_work(&hours, moment(5, 12, 0)) && !at_work(&hours, moment(6, 12, 0)));
    }

    #[test]
    fn a_night_shift_ends_on_the_next_day() {
        let days = [false, false, false, false, true, false, false];
        let hours = Hours { minutes: (1320, 360), days, offset: 0 };
        assert!(at_work(&hours, moment(4, 23, 0)) && at_work(&hours, moment(5, 5, 59)));
        assert!(
            !at_work(&hours, moment(5, 6, 0))
                && !at_work(&hours, moment(4, 3, 0))
                && !at_work(&hours, moment(5, 23, 0))
        );
    }
}
