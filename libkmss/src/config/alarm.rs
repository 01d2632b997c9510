//! What raises an alarm in the agent, and what is done then. The host process only parses it.

use serde::{Deserialize, Deserializer, de::Error as _};

use super::agent::{RecordFilter, named, unique};
use super::file::within;

/// An `[[alarm]]`: what raises it, and what is done then.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawAlarm")]
pub struct AlarmConfig {
    /// Its name, unique.
    pub name: String,
    /// What raises it.
    pub when: AlarmCondition,
    /// How bad that is.
    pub severity: Severity,
    /// Records that match any of these; all where there is none.
    pub only: Vec<RecordFilter>,
    /// Of those, not the records that match any of these.
    pub except: Vec<RecordFilter>,
    /// Seconds within which it is not raised again for the same cause.
    pub dedupe_s: u32,
    /// Destinations that hear of it; all that take alarms where there is none.
    pub notify: Vec<String>,
    /// What stops whom.
    pub measure: Option<Measure>,
}

/// How bad an alarm is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the record.
    Low,
    /// Somebody should look.
    #[default]
    Medium,
    /// Somebody must look today.
    High,
    /// Somebody must look now.
    Critical,
}

impl Severity {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Whose uses are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Those of each principal.
    #[default]
    Principal,
    /// Those of each key.
    Key,
}

/// What raises an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlarmCondition {
    /// Many more operations than usual at this hour of the day.
    Burst {
        /// Whose.
        per: Per,
        /// Seconds that are counted together.
        window_s: u32,
        /// How many times the usual count.
        factor: u32,
        /// Never fewer than this many.
        least: u32,
        /// Hours in which only the baseline is learned.
        learn_hours: u32,
    },
    /// An operation at a time when nobody works.
    OffHours(Hours),
    /// The first use of a key by a principal.
    NewPrincipal {
        /// Hours in which only the circle is learned.
        learn_hours: u32,
    },
    /// This many refusals of a principal, or about a key, within a window.
    Denials {
        /// Whose.
        per: Per,
        /// How many.
        count: u32,
        /// Seconds that are counted together.
        window_s: u32,
    },
    /// This many wrong PINs at a token within a window.
    WrongPins {
        /// How many.
        count: u32,
        /// Seconds that are counted together.
        window_s: u32,
    },
    /// This many signatures or MACs that do not verify within a window.
    VerifyFailures {
        /// Whose.
        per: Per,
        /// How many.
        count: u32,
        /// Seconds that are counted together.
        window_s: u32,
    },
    /// A key or certificate that ends soon, or has ended.
    Expiry {
        /// Days before its end.
        days: u32,
    },
    /// A clock that goes back by more than this many seconds.
    ClockBack {
        /// Seconds that nobody minds.
        tolerance_s: u32,
    },
    /// Records that are missing, changed, or could not be written.
    AuditGap,
    /// A policy that wants somebody notified.
    Notify,
    /// Any record that matches.
    Match,
}

/// When people work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// First and last minute of the day; the last is not one of them, and may be before the first (a night shift).
    pub minutes: (u16, u16),
    /// Days, from Monday.
    pub days: [bool; 7],
    /// Minutes that their clock is ahead of UTC.
    pub offset: i16,
}

/// What stops whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Whom.
    pub target: Per,
    /// At most this many operations a second; none at all where there is no number.
    pub per_second: Option<u32>,
    /// For how many seconds; until released where there is no number.
    pub for_s: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Burst,
    OffHours,
    NewPrincipal,
    Denials,
    WrongPins,
    VerifyFailures,
    Expiry,
    ClockBack,
    AuditGap,
    Notify,
    Match,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlarm {
    name: String,
    when: Kind,
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    only: Vec<RecordFilter>,
    #[serde(default)]
    except: Vec<RecordFilter>,
    #[serde(default = "dedupe", deserialize_with = "within::<0, 31_536_000, _>")]
    dedupe_s: u32,
    #[serde(default)]
    notify: Vec<String>,
    block: Option<Per>,
    throttle: Option<Per>,
    #[serde(default, deserialize_with = "number::<1, 1_000_000, _>")]
    per_second: Option<u32>,
    #[serde(default, deserialize_with = "number::<1, 31_536_000, _>")]
    for_s: Option<u32>,
    per: Option<Per>,
    #[serde(default, deserialize_with = "number::<1, 86_400, _>")]
    window_s: Option<u32>,
    #[serde(default, deserialize_with = "number::<1, 1_000_000, _>")]
    count: Option<u32>,
    #[serde(default, deserialize_with = "number::<2, 1_000, _>")]
    factor: Option<u32>,
    #[serde(default, deserialize_with = "number::<1, 1_000_000_000, _>")]
    least: Option<u32>,
    #[serde(default, deserialize_with = "number::<0, 8_760, _>")]
    learn_hours: Option<u32>,
    #[serde(default, deserialize_with = "number::<0, 3_650, _>")]
    days_before: Option<u32>,
    #[serde(default, deserialize_with = "number::<0, 86_400, _>")]
    tolerance_s: Option<u32>,
    hours: Option<String>,
    days: Option<Vec<String>>,
    utc_offset: Option<String>,
}

const fn dedupe() -> u32 {
    3_600
}

fn number<'de, const LEAST: u32, const MOST: u32, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    within::<LEAST, MOST, D>(d).map(Some)
}

impl TryFrom<RawAlarm> for AlarmConfig {
    type Error = String;

    fn try_from(mut raw: RawAlarm) -> Result<Self, String> {
        named("alarm", &raw.name)?;
        let when = condition(&mut raw)?;
        let measure = match (raw.block, raw.throttle, raw.per_second) {
            (None, None, None) if raw.for_s.is_some() => {
                return Err("`for_s` says how long a measure lasts, and there is none".to_owned());
            }
            (None, None, None) => None,
            (Some(target), None, None) => Some(Measure { target, per_second: None, for_s: raw.for_s }),
            (None, Some(target), Some(limit)) => Some(Measure { target, per_second: Some(limit), for_s: raw.for_s }),
            _ => return Err("write `block`, or `throttle` with `per_second`".to_owned()),
        };
        let left = [
            ("per", raw.per.is_some()),
            ("window_s", raw.window_s.is_some()),
            ("count", raw.count.is_some()),
            ("factor", raw.factor.is_some()),
            ("least", raw.least.is_some()),
            ("learn_hours", raw.learn_hours.is_some()),
            ("days_before", raw.days_before.is_some()),
            ("tolerance_s", raw.tolerance_s.is_some()),
            ("hours", raw.hours.is_some()),
            ("days", raw.days.is_some()),
            ("utc_offset", raw.utc_offset.is_some()),
        ];
        if let Some((name, _)) = left.iter().find(|(_, set)| *set) {
            return Err(format!("`{name}` means nothing to this kind of alarm"));
        }
        let whole = matches!(when, AlarmCondition::Expiry { .. } | AlarmCondition::AuditGap);
        if whole && measure.is_some() {
            return Err("nobody did this alarm's cause whom one could block".to_owned());
        }
        Ok(Self {
            name: raw.name,
            when,
            severity: raw.severity,
            only: raw.only,
            except: raw.except,
            dedupe_s: raw.dedupe_s,
            notify: raw.notify,
            measure,
        })
    }
}

/// Takes what its kind knows out of `raw`.
fn condition(raw: &mut RawAlarm) -> Result<AlarmCondition, String> {
    let window = |raw: &mut RawAlarm, count: u32, window: u32| {
        (raw.per.take().unwrap_or_default(), raw.count.take().unwrap_or(count), raw.window_s.take().unwrap_or(window))
    };
    Ok(match raw.when {
        Kind::Burst => AlarmCondition::Burst {
            per: raw.per.take().unwrap_or_default(),
            window_s: raw.window_s.take().unwrap_or(60),
            factor: raw.factor.take().unwrap_or(5),
            least: raw.least.take().unwrap_or(100),
            learn_hours: raw.learn_hours.take().unwrap_or(24),
        },
        Kind::OffHours => AlarmCondition::OffHours(hours(raw)?),
        Kind::NewPrincipal => AlarmCondition::NewPrincipal { learn_hours: raw.learn_hours.take().unwrap_or(24) },
        Kind::Denials => {
            let (per, count, window_s) = window(raw, 10, 300);
            AlarmCondition::Denials { per, count, window_s }
        }
        Kind::WrongPins => AlarmCondition::WrongPins {
            count: raw.count.take().unwrap_or(3),
            window_s: raw.window_s.take().unwrap_or(600),
        },
        Kind::VerifyFailures => {
            let (per, count, window_s) = window(raw, 10, 300);
            AlarmCondition::VerifyFailures { per, count, window_s }
        }
        Kind::Expiry => AlarmCondition::Expiry { days: raw.days_before.take().unwrap_or(30) },
        Kind::ClockBack => AlarmCondition::ClockBack { tolerance_s: raw.tolerance_s.take().unwrap_or(5) },
        Kind::AuditGap => AlarmCondition::AuditGap,
        Kind::Notify => AlarmCondition::Notify,
        Kind::Match if raw.only.is_empty() => return Err("say with `only` which records raise it".to_owned()),
        Kind::Match => AlarmCondition::Match,
    })
}

fn hours(raw: &mut RawAlarm) -> Result<Hours, String> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let text = raw.hours.take().ok_or("say with `hours` when people work: \"08:00-18:00\"")?;
    let minutes = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    let minutes = minutes.ok_or_else(|| format!("`{}` are no hours: write \"08:00-18:00\"", text.escape_debug()))?;
    let mut days = [true, true, true, true, true, false, false];
    if let Some(named) = raw.days.take() {
        days = [false; 7];
        for day in named {
            let known = DAYS.iter().position(|known| *known == day).and_then(|at| days.get_mut(at));
            *known.ok_or_else(|| format!("`{}` is no day: write mon, tue, …", day.escape_debug()))? = true;
        }
    }
    let offset = match raw.utc_offset.take() {
        None => 0,
        Some(text) => {
            let (sign, rest) = match text.split_at_checked(1) {
                Some(("+", rest)) => (1, rest),
                Some(("-", rest)) => (-1, rest),
                _ => (0, ""),
            };
            let minutes = minute(rest).and_then(|m| i16::try_from(m).ok()).filter(|_| sign != 0);
            sign * minutes.ok_or_else(|| format!("`{}` is no offset: write \"+01:00\"", text.escape_debug()))?
        }
    };
    Ok(Hours { minutes, days, offset })
}

/// `hh:mm` as minutes; 24:00 is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
    (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
}

/// Alarms, each with a name of its own.
pub(super) fn alarms<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<AlarmConfig>, D::Error> {
    let all = Vec::<AlarmConfig>::deserialize(d)?;
    unique(all.iter().map(|one| one.name.as_str())).map(|()| all).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn alarm(text: &str) -> Result<AlarmConfig, String> {
        toml::from_str(text).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn settings_that_mean_nothing_to_an_alarm_are_refused() {
        assert!(alarm("name = \"a\"\nwhen = \"audit-gap\"\nfactor = 3").unwrap_err().contains("`factor`"));
        assert!(alarm("name = \"a\"\nwhen = \"match\"").is_err());
        assert!(alarm("name = \"a\"\nwhen = \"burst\"\nthrottle = \"key\"").is_err());
        assert!(alarm("name = \"a\"\nwhen = \"expiry\"\nblock = \"key\"").is_err());
    }

    #[test]
    fn working_hours_are_read() {
        let text =
            "name = \"a\"\nwhen = \"off-hours\"\nhours = \"22:00-06:30\"\ndays = [\"sat\"]\nutc_offset = \"-03:30\"";
        let AlarmCondition::OffHours(hours) = alarm(text).unwrap().when else { unreachable!() };
        assert_eq!((hours.minutes, hours.offset), ((1320, 390), -210));
        assert_eq!(hours.days, [false, false, false, false, false, true, false]);
        for bad in ["8-18", "08:00", "25:00-26:00", "08:61-09:00"] {
            assert!(alarm(&format!("name = \"a\"\nwhen = \"off-hours\"\nhours = \"{bad}\"")).is_err(), "{bad}");
        }
    }
}
