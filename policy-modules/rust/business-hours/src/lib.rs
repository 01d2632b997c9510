//! Keys tagged `business-hours` are used by persons (`user:…`) on working days between eight and six, Central European
//! time with its summer time. Out of hours the holders of the role `on-call` may use them still: they authenticate for the
//! one operation, and the channel `security` is told. Services have no office and are none of this policy's business.
//!
//! Change the constants, build, sign and apply: policy-modules/README.md.
#![cfg_attr(target_arch = "wasm32", no_std)]

use kmss_policy::{Action, Civil, Decision, Request, Response, Time};

/// The tag of the keys that this is about.
const TAG: &str = "business-hours";
/// From this hour on …
const OPENS: u32 = 8;
/// … and before this one.
const CLOSES: u32 = 18;
/// Days (month, day) of every year on which nobody works.
const HOLIDAYS: [(u32, u32); 4] = [(1, 1), (5, 1), (12, 25), (12, 26)];
/// Who may work at night.
const ON_CALL: &str = "on-call";

kmss_policy::rules! {
    OPEN = 1 "business-hours.open";
    CALLED = 2 "business-hours.on-call";
    CLOSED = 3 "business-hours.closed" because "this key is used on working days between 8:00 and 18:00 (Central European time)";
}

static TAGGED: Response<32> = Response::new().audit_tag("business-hours");
static WATCHED: Response<48> = Response::new().step_up().notify("security").audit_tag("out-of-hours");

#[kmss_policy::policy]
fn decide(request: Request) -> Decision {
    let marked = request.key().is_some_and(|key| key.tags().contains(TAG));
    // Looking and verifying tell nothing that is secret.
    let harmless = matches!(request.action(), Action::FIND | Action::VERIFY);
    if !marked || harmless || !request.principal().is("user:*") {
        return Decision::not_applicable();
    }
    if is_open(request.time()) {
        Decision::allow(OPEN).with(&TAGGED)
    } else if request.roles().contains(ON_CALL) {
        Decision::allow(CALLED).with(&WATCHED)
    } else {
        Decision::deny(CLOSED)
    }
}

fn is_open(time: Time) -> bool {
    let now = time.at(if is_summer(time.utc()) { 120 } else { 60 });
    let free = now.weekday.is_weekend() || HOLIDAYS.contains(&(now.month, now.day));
    !free && (OPENS..CLOSES).contains(&now.hour)
}

/// Summer time in the European Union: from the last Sunday of March to the last of October, each at 01:00 UTC (Directive
/// 2000/84/EC).
fn is_summer(utc: Civil) -> bool {
    // Both months have 31 days, so their last Sunday is the 25th or later.
    let since_sunday = (utc.weekday as u32 + 1) % 7;
    let last_sunday_came = utc.day >= since_sunday + 25;
    let switched = last_sunday_came && (since_sunday != 0 || utc.hour >= 1);
    match utc.month {
        3 => switched,
        10 => !switched,
        month => (4..=9).contains(&month),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kmss_policy::Verdict;
    use kmss_policy::testing::{Ask, AskKey, Duty, duties};

    const HOUR: u64 = 3_600_000;
    /// 2026-11-20T00:00:00Z, a Friday in winter.
    const FRIDAY: u64 = 1_795_132_800_000;

    fn ann_decrypts(time: u64) -> Ask {
        let key = AskKey { name: "payroll".into(), tags: vec![TAG.into()], ..AskKey::default() };
        Ask { principal: "user:ann".into(), time: Time(time), key: Some(key), ..Ask::of(Action::DECRYPT) }
    }

    #[test]
    fn the_office_opens_at_eight_and_closes_at_six() {
        let verdict_at = |time| ann_decrypts(time).to(decide).verdict();
        assert_eq!(verdict_at(FRIDAY + 7 * HOUR - 1), Verdict::Deny);
        assert_eq!(verdict_at(FRIDAY + 7 * HOUR), Verdict::Allow);
        assert_eq!(verdict_at(FRIDAY + 17 * HOUR - 1), Verdict::Allow);
        assert_eq!(verdict_at(FRIDAY + 17 * HOUR), Verdict::Deny);
        assert_eq!(verdict_at(FRIDAY + 34 * HOUR), Verdict::Deny, "Saturday");
    }

    #[test]
    fn summer_time_begins_and_ends_at_one_in_the_morning_utc() {
        // `date -u -d '2026-03-29 01:00' +%s`, 2026-10-25, 2027-03-28, 2027-10-31.
        for (begins, ends) in [(1_774_746_000u64, 1_792_890_000u64), (1_806_195_600, 1_824_944_400)] {
            assert!(!is_summer(Time(begins * 1000 - 1).utc()) && is_summer(Time(begins * 1000).utc()));
            assert!(is_summer(Time(ends * 1000 - 1).utc()) && !is_summer(Time(ends * 1000).utc()));
        }
    }

    #[test]
    fn who_is_on_call_authenticates_at_night_and_is_seen() {
        let ask = Ask { roles: vec![ON_CALL.into()], ..ann_decrypts(FRIDAY + 22 * HOUR) };
        let decision = ask.to(decide);
        assert_eq!(decision.verdict(), Verdict::Allow);
        let expected = [Duty::StepUp, Duty::Notify("security".into()), Duty::AuditTag("out-of-hours".into())];
        assert_eq!(duties(&decision), expected);
    }
}
