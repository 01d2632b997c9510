//! The builtins of OPA that its modules leave to their host and that a policy may have: texts, and the time of the request.
//! <https://www.openpolicyagent.org/docs/policy-reference> says what they return.

use serde_json::Value;
use time::OffsetDateTime;

use crate::clock::Timestamp;

/// Longest text that `sprintf` makes.
const MAX_TEXT: usize = 4096;

/// One that KMSS has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Builtin {
    /// `sprintf(format, values)`, with `%s`, `%v`, `%d`, `%q` and `%%`.
    Sprintf,
    /// `time.now_ns()`: the time of the request.
    Now,
    /// `time.clock(ns)`: hour, minute and second, in UTC.
    Clock,
    /// `time.date(ns)`: year, month and day, in UTC.
    Date,
    /// `time.weekday(ns)`: such as `Monday`, in UTC.
    Weekday,
}

impl Builtin {
    /// The one with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sprintf" => Self::Sprintf,
            "time.now_ns" => Self::Now,
            "time.clock" => Self::Clock,
            "time.date" => Self::Date,
            "time.weekday" => Self::Weekday,
            _ => return None,
        })
    }

    /// Its value; `None` is undefined.
    pub(super) fn value(self, arguments: &[Value], now: Timestamp) -> Option<Value> {
        match (self, arguments) {
            (Self::Sprintf, [Value::String(format), Value::Array(values)]) => sprintf(format, values).map(Value::from),
            (Self::Now, []) => now.0.checked_mul(1_000_000).map(Value::from),
            (Self::Clock, [when]) => utc(when).map(|t| Value::from(vec![t.hour(), t.minute(), t.second()])),
            (Self::Date, [when]) => {
                utc(when).map(|t| Value::from(vec![t.year(), i32::from(u8::from(t.month())), i32::from(t.day())]))
            }
            (Self::Weekday, [when]) => utc(when).map(|t| Value::from(t.weekday().to_string())),
            _ => None,
        }
    }
}

/// Nanoseconds since 1970, alone or in a list with a time zone, of which UTC is the only one.
fn utc(when: &Value) -> Option<OffsetDateTime> {
    let when = match when {
        Value::Array(list) => match list.as_slice() {
            [when] => when,
            [when, Value::String(zone)] if zone.is_empty() || zone == "UTC" => when,
            _ => return None,
        },
        when => when,
    };
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(when.as_i64()?)).ok()
}

fn sprintf(format: &str, values: &[Value]) -> Option<String> {
    let (mut text, mut values, mut characters) = (String::new(), values.iter(), format.chars());
    while let Some(character) = characters.next() {
        match (character, if character == '%' { characters.next()? } else { '%' }) {
            ('%', '%') => text.push('%'),
            ('%', 's' | 'v') => match values.next()? {
                Value::String(value) => text.push_str(value),
                other => text.push_str(&other.to_string()),
            },
            ('%', 'd') => text.push_str(&values.next()?.as_i64()?.to_string()),
            ('%', 'q') => text.push_str(&values.next().filter(|v| v.is_string())?.to_string()),
            ('%', _) => return None,
            (character, _) => text.push(character),
        }
        if text.len() > MAX_TEXT {
            return None;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_those_of_the_request_in_utc() {
        // 2026-11-22T03:11:40Z, a Sunday.
        let now = Timestamp(1_795_317_100_000);
        let value = |builtin: Builtin, arguments: &[Value]| builtin.value(arguments, now);
        let ns = Builtin::Now.value(&[], now).unwrap();
        assert_eq!(ns, json!(1_795_317_100_000_000_000_u64));
        assert_eq!(value(Builtin::Clock, std::slice::from_ref(&ns)), Some(json!([3, 11, 40])));
        assert_eq!(value(Builtin::Date, &[json!([ns, "UTC"])]), Some(json!([2026, 11, 22])));
        assert_eq!(value(Builtin::Weekday, std::slice::from_ref(&ns)), Some(json!("Sunday")));
        assert_eq!(value(Builtin::Weekday, &[json!([ns, "Europe/Berlin"])]), None);
        assert_eq!(value(Builtin::Clock, &[json!("noon")]), None);
    }

    #[test]
    fn texts_are_put_together_within_bounds() {
        let text = |format: &str, values: Value| Builtin::Sprintf.value(&[json!(format), values], Timestamp(0));
        assert_eq!(
            text("%s may not %v %d keys: 100%%", json!(["dev", "sign", 3])),
            Some(json!("dev may not sign 3 keys: 100%"))
        );
        assert_eq!(text("%q %v", json!(["a\"b", {"x": [1]}])), Some(json!("\"a\\\"b\" {\"x\":[1]}")));
        for (format, values) in [("%s", json!([])), ("%d", json!(["x"])), ("%z", json!([1])), ("%", json!([]))] {
            assert_eq!(text(format, values), None, "{format}");
        }
        assert_eq!(text("%s%s", json!(["x".repeat(4000), "x".repeat(4000)])), None);
    }
}
