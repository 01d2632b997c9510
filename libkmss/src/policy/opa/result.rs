//! What an OPA module returns: `[{"result": …}]`, or `[]` where the decision is undefined.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::policy::abi::{Duty, MAX_ENTRIES, MAX_REASON, ResponseError, plain_text};
use crate::policy::host::Failure;
use crate::policy::{Answer, Obligation, Verdict};

/// The decision in a result set.
pub(super) fn read(json: &[u8]) -> Result<Answer, Failure> {
    let malformed = |_| Failure::Result("it is not JSON of the expected form");
    let mut results: Vec<Entry> = serde_json::from_slice(json).map_err(malformed)?;
    match (results.pop(), results.is_empty()) {
        (None, _) => Err(Failure::Undefined),
        (Some(_), false) => Err(Failure::Result("there is more than one")),
        (Some(Entry { result: Outcome::Bare(allow) }), true) => Ok(bare(allow)),
        (Some(Entry { result: Outcome::Object(object) }), true) => object.answer(),
    }
}

#[derive(serde::Deserialize)]
struct Entry {
    result: Outcome,
}

/// What the entrypoint's value may be.
enum Outcome {
    Bare(bool),
    Object(Object),
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OutcomeVisitor)
    }
}

struct OutcomeVisitor;

impl<'de> Visitor<'de> for OutcomeVisitor {
    type Value = Outcome;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a boolean or an object")
    }

    fn visit_bool<E>(self, allow: bool) -> Result<Outcome, E> {
        Ok(Outcome::Bare(allow))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Outcome, A::Error> {
        Object::deserialize(MapAccessDeserializer::new(members)).map(Outcome::Object)
    }
}

/// The decision as an object. Members that are not known belong to the policy.
#[derive(serde::Deserialize)]
struct Object {
    allow: Option<bool>,
    #[serde(default = "yes")]
    applicable: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    rule: u32,
    #[serde(default)]
    obligations: Vec<Value>,
}

const fn yes() -> bool {
    true
}

fn bare(allow: bool) -> Answer {
    let verdict = if allow { Verdict::Allow } else { Verdict::Deny };
    Answer { verdict, rule: 0, reason: String::new(), obligations: Vec::new() }
}

impl Object {
    fn answer(self) -> Result<Answer, Failure> {
        let verdict = match (self.applicable, self.allow) {
            (false, _) => Verdict::NotApplicable,
            (true, Some(true)) => Verdict::Allow,
            (true, Some(false)) => Verdict::Deny,
            (true, None) => return Err(Failure::Result("the object has no member `allow`")),
        };
        if !self.reason.is_empty() && plain_text(&self.reason, MAX_REASON).is_none() {
            return Err(Failure::Result("its reason is too long or has control characters"));
        }
        if self.rule >= 1 << 24 {
            return Err(Failure::Result("its rule has a number of more than 24 bits"));
        }
        if self.obligations.len() > MAX_ENTRIES {
            return Err(ResponseError::TooMany.into());
        }
        let obligations = self.obligations.iter().filter_map(|value| obligation(value).transpose());
        let obligations = obligations.collect::<Result<_, _>>()?;
        Ok(Answer { verdict, rule: self.rule, reason: self.reason, obligations })
    }
}

/// One obligation; `None` for one that this host does not know and need not.
fn obligation(value: &Value) -> Result<Option<Obligation>, Failure> {
    let bad = Failure::Result("an obligation has an unacceptable value");
    let kind = value.get("type").and_then(Value::as_str).ok_or(Failure::Result("an obligation has no type"))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let number = |name: &str| value.get(name).and_then(Value::as_u64);
    let word = |name: &str| number(name).and_then(|n| u32::try_from(n).ok());
    let byte = |name: &str| number(name).and_then(|n| u8::try_from(n).ok());
    let duty = match kind {
        "audit_tag" => text("value").map(Duty::AuditTag),
        "rate_limit" => word("count").zip(word("seconds")).map(|(count, seconds)| Duty::RateLimit { count, seconds }),
        "maximum_data" => number("bytes").map(Duty::MaximumData),
        "step_up" => Some(Duty::StepUp),
        "quorum" => byte("approvals").zip(text("role")).and_then(|(approvals, role)| {
            let window = if value.get("window").is_some() { word("window")? } else { 0 };
            Some(Duty::Quorum { approvals, role, window })
        }),
        "session_expiry" => word("seconds").map(Duty::SessionExpiry),
        "notify" => text("channel").map(Duty::Notify),
        "mask" => byte("characters").map(Duty::Mask),
        _ if value.get("critical") == Some(&Value::Bool(false)) => return Ok(None),
        _ => return Err(Failure::Result("it demands a duty that this KMSS does not know")),
    };
    duty.and_then(Duty::check).map(Some).ok_or(bad)
}
