//! Claims of JSON Web Tokens (RFC 7519, 4): what is added to them, and what is expected of them.

use serde_json::{Map, Value};

use super::json;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// Longest text that policies and the audit are shown of a claim, in bytes.
const SHOWN: usize = 512;

/// For how long claims hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// As they say themselves, which they must (`exp`).
    #[default]
    Stated,
    /// For so many seconds from now on; they say nothing of it themselves.
    Seconds(u64),
    /// As they say themselves, or for ever where they do not.
    Endless,
}

/// What is expected of claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Who made them (`iss`); anybody where it is absent.
    pub issuer: Option<String>,
    /// Whom they are for (`aud`): one of those that they name. Where it is absent, claims that name anybody are refused.
    pub audience: Option<String>,
    /// How many seconds clocks may differ, at most [`Self::MOST_LEEWAY`].
    pub leeway: u32,
    /// Whether claims that hold for ever are good.
    pub endless: bool,
}

/// Claims as they are written, with the moment at which they are signed (`iat`) and, where `life` says so, the moment until which they
/// hold (`exp`). What is there stays as it is, byte for byte.
///
/// # Errors
/// [`ErrorKind::DataInvalid`] for what is no JSON object, says something twice, or has a registered claim that is not what it should be;
/// [`ErrorKind::Arguments`] where nobody says how long they hold, or both do.
pub fn with_life(claims: &[u8], life: Life, now: Timestamp) -> Result<(Vec<u8>, Map<String, Value>)> {
    let members = json::object(claims).ok_or_else(|| invalid("claims are one JSON object that says nothing twice"))?;
    check_types(&members)?;
    let seconds = now.0 / 1000;
    let mut added = Vec::new();
    if !members.contains_key("iat") {
        added.push(("iat", seconds));
    }
    match (life, members.contains_key("exp")) {
        (Life::Seconds(life), false) => added.push(("exp", seconds.saturating_add(life))),
        (Life::Seconds(_), true) => {
            return Err(Error::new(ErrorKind::Arguments, "the claims say themselves until when they hold (`exp`)"));
        }
        (Life::Stated, false) => {
            let why = "it is not said until when the claims hold: give `exp` or a lifetime, or say that they have none";
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        (Life::Stated, true) | (Life::Endless, _) => {}
    }
    let text = claims.trim_ascii();
    let mut written = text.strip_suffix(b"}").unwrap_or(text).to_vec();
    for (place, (name, number)) in added.iter().enumerate() {
        let comma = if place == 0 && members.is_empty() { "" } else { "," };
        written.extend_from_slice(format!("{comma}\"{name}\":{number}").as_bytes());
    }
    written.push(b'}');
    Ok((written, members))
}

/// What policies and the audit are shown of claims, sorted: `aud` and `iss`. Several audiences stand in one text, a space between.
#[must_use]
pub fn context_of(members: &Map<String, Value>) -> Vec<(String, String)> {
    let shown = ["aud", "iss"].into_iter().filter_map(|name| {
        let text = match members.get(name)? {
            Value::String(text) => text.clone(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            _ => return None,
        };
        Some((name.to_owned(), text))
    });
    shown.collect()
}

impl Expected {
    /// Most seconds that clocks may differ.
    pub const MOST_LEEWAY: u32 = 600;

    /// Refuses claims that are not as expected at `now`.
    ///
    /// # Errors
    /// [`ErrorKind::DataInvalid`], with what is wrong; [`ErrorKind::Arguments`] where clocks are to differ by more than they may.
    pub fn check(&self, claims: &[u8], now: Timestamp) -> Result<()> {
        if self.leeway > Self::MOST_LEEWAY {
            return Err(Error::new(ErrorKind::Arguments, "clocks differ by at most 600 seconds"));
        }
        let members = json::object(claims).ok_or_else(|| invalid("the token holds no claims"))?;
        check_types(&members)?;
        let moment = |name: &str| members.get(name).and_then(Value::as_f64);
        let (now, leeway) = (seconds(now), f64::from(self.leeway));
        match moment("exp") {
            Some(end) if now >= end + leeway => return Err(invalid("the token has expired (`exp`)")),
            None if !self.endless => return Err(invalid("the token says nothing of its end (`exp`)")),
            _ => {}
        }
        if moment("nbf").is_some_and(|begin| now + leeway < begin) {
            return Err(invalid("the token does not hold yet (`nbf`)"));
        }
        if moment("iat").is_some_and(|made| now + leeway < made) {
            return Err(invalid("the token was made in the future (`iat`)"));
        }
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        if self.issuer.as_deref().is_some_and(|issuer| text("iss") != Some(issuer)) {
            return Err(invalid("the token was made by somebody else (`iss`)"));
        }
        let named = |audience: &str| match members.get("aud") {
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
            one => one.and_then(Value::as_str) == Some(audience),
        };
        match &self.audience {
            Some(audience) if !named(audience) => Err(invalid("the token is for somebody else (`aud`)")),
            None if members.contains_key("aud") => {
                Err(invalid("the token is for somebody (`aud`), and it is not said who we are"))
            }
            _ => Ok(()),
        }
    }
}

/// Seconds since 1970, as claims count them.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 have 53 bits for 285,000 years")]
fn seconds(time: Timestamp) -> f64 {
    time.0 as f64 / 1000.0
}

/// Refuses registered claims that are not of their type (RFC 7519, 4.1).
fn check_types(members: &Map<String, Value>) -> Result<()> {
    for (name, value) in members {
        let good = match name.as_str() {
            "exp" | "nbf" | "iat" => value.as_f64().is_some_and(f64::is_finite),
            "iss" => value.as_str().is_some_and(|text| text.len() <= SHOWN),
            "sub" | "jti" => value.is_string(),
            "aud" => match value {
                Value::String(text) => text.len() <= SHOWN,
                Value::Array(all) => {
                    all.iter().map(|one| one.as_str().map_or(SHOWN, |one| one.len() + 1)).sum::<usize>() <= SHOWN
                        && all.iter().all(Value::is_string)
                        && !all.is_empty()
                }
                _ => false,
            },
            _ => true,
        };
        if !good {
            return Err(invalid(&format!("the claim `{name}` is not what it should be")));
        }
    }
    Ok(())
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorKind::DataInvalid, why.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_500);

    fn kind(claims: &str, life: Life) -> ErrorKind {
        with_life(claims.as_bytes(), life, NOW).unwrap_err().kind()
    }

    #[test]
    fn what_is_added_leaves_the_rest_as_it_is() {
        let written =
            |claims: &str, life| String::from_utf8(with_life(claims.as_bytes(), life, NOW).unwrap().0).unwrap();
        assert_eq!(written("{}", Life::Seconds(60)), r#"{"iat":1000000,"exp":1000060}"#);
        assert_eq!(written(" {} ", Life::Endless), r#"{"iat":1000000}"#);
        let odd = r#"{ "z":18446744073709551616, "a":1.10 "#;
        assert_eq!(written(&format!("{odd}}}"), Life::Seconds(1)), format!(r#"{odd},"iat":1000000,"exp":1000001}}"#));
        assert_eq!(written(r#"{"iat":1,"exp":2}"#, Life::Stated), r#"{"iat":1,"exp":2}"#);
    }

    #[test]
    fn claims_say_once_until_when_they_hold_and_are_of_their_types() {
        assert_eq!(kind("{}", Life::Stated), ErrorKind::Arguments);
        assert_eq!(kind(r#"{"exp":5}"#, Life::Seconds(5)), ErrorKind::Arguments);
        for bad in [
            "",
            "[]",
            r#"{"a":1,"a":2}"#,
            r#"{"exp":"5"}"#,
            r#"{"exp":null}"#,
            r#"{"iss":5}"#,
            r#"{"aud":[]}"#,
            r#"{"aud":[5]}"#,
            r#"{"aud":{}}"#,
            r#"{"sub":[]}"#,
        ] {
            assert_eq!(kind(bad, Life::Endless), ErrorKind::DataInvalid, "{bad}");
        }
    }

    #[test]
    fn policies_are_shown_who_and_for_whom() {
        let members = |text: &str| json::object(text.as_bytes()).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let shown = context_of(&members(r#"{"iss":"me","aud":["a","b"],"sub":"secret"}"#));
        assert_eq!(shown, [pair("aud", "a b"), pair("iss", "me")]);
        assert_eq!(context_of(&members(r#"{"aud":"a"}"#)), [pair("aud", "a")]);
        assert!(context_of(&members("{}")).is_empty());
    }

    #[test]
    fn a_token_holds_from_its_first_moment_to_before_its_last() {
        let good = |claims: &str, expected: &Expected| expected.check(claims.as_bytes(), NOW).is_ok();
        let strict = Expected::default();
        for (claims, holds) in [
            (r#"{"exp":1000001}"#, true),
            (r#"{"exp":1000000.6}"#, true),
            (r#"{"exp":1000000.5}"#, false),
            (r#"{"exp":1000000}"#, false),
            (r#"{"exp":-1}"#, false),
            ("{}", false),
            (r#"{"exp":1e300}"#, true),
            (r#"{"exp":1000001,"nbf":1000001}"#, false),
            (r#"{"exp":1000001,"nbf":1000000}"#, true),
            (r#"{"exp":1000001,"iat":1000001}"#, false),
            (r#"{"exp":"1000001"}"#, false),
            (r#"{"exp":1000001,"exp":1000001}"#, false),
            ("no claims", false),
        ] {
            assert_eq!(good(claims, &strict), holds, "{claims}");
        }
        let lax = Expected { leeway: 2, endless: true, ..Expected::default() };
        assert!(good("{}", &lax) && good(r#"{"exp":999999}"#, &lax) && good(r#"{"nbf":1000002,"iat":1000002}"#, &lax));
        assert!(!good(r#"{"exp":999998}"#, &lax) && !good(r#"{"nbf":1000003}"#, &lax));
        assert!(!good(r#"{"exp":1000001}"#, &Expected { leeway: 601, ..Expected::default() }));
    }

    #[test]
    fn a_token_is_by_whom_and_for_whom_it_should_be() {
        let good = |claims: &str, issuer: Option<&str>, audience: Option<&str>| {
            let (issuer, audience) = (issuer.map(str::to_owned), audience.map(str::to_owned));
            let expected = Expected { issuer, audience, endless: true, ..Expected::default() };
            expected.check(claims.as_bytes(), NOW).is_ok()
        };
        assert!(good(r#"{"iss":"a"}"#, Some("a"), None) && good(r#"{"iss":"a"}"#, None, None));
        assert!(!good(r#"{"iss":"b"}"#, Some("a"), None) && !good("{}", Some("a"), None));
        assert!(good(r#"{"aud":"x"}"#, None, Some("x")) && good(r#"{"aud":["y","x"]}"#, None, Some("x")));
        assert!(!good(r#"{"aud":"xx"}"#, None, Some("x")) && !good("{}", None, Some("x")));
        assert!(!good(r#"{"aud":"x"}"#, None, None));
    }
}
