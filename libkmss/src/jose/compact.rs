//! The compact serialization (RFC 7515, 7.1), and its header.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Map, Value};

use super::{JWT, JwsAlgorithm, Wanted, json};
use crate::error::{Error, ErrorKind, Result};

/// Longest payload in bytes.
pub const LONGEST: usize = 64 << 10;
/// Longest token in bytes: that payload, a header of some KiB, and the largest signature.
const LONGEST_TOKEN: usize = LONGEST * 4 / 3 + (16 << 10);
/// Longest name of a key and longest type in a header, in bytes.
const LONGEST_WORD: usize = 1024;

/// What is signed: header and payload, as they stand in the token.
///
/// # Errors
/// [`ErrorKind::DataLength`] for a payload that is too long; [`ErrorKind::Arguments`] for a type that is none.
pub fn signing_input(algorithm: JwsAlgorithm, kid: &str, typ: Option<&str>, payload: &[u8]) -> Result<String> {
    if payload.len() > LONGEST {
        return Err(Error::new(ErrorKind::DataLength, "what a token holds has at most 64 KiB"));
    }
    // RFC 7515, 4.1.9: a media type.
    let is_word = |typ: &str| typ.len() <= LONGEST_WORD && typ.bytes().all(|b| b.is_ascii_graphic());
    if typ.is_some_and(|typ| typ.is_empty() || !is_word(typ)) {
        return Err(Error::new(ErrorKind::Arguments, "the type of a token is a word, as in `at+jwt`"));
    }
    let mut header = Map::new();
    header.insert("alg".to_owned(), algorithm.name().into());
    header.insert("kid".to_owned(), kid.into());
    if let Some(typ) = typ {
        header.insert("typ".to_owned(), typ.into());
    }
    let header = Value::Object(header).to_string();
    let parts = [Base64UrlUnpadded::encode_string(header.as_bytes()), Base64UrlUnpadded::encode_string(payload)];
    Ok(parts.join("."))
}

/// A token apart. Nothing of it is to be believed before its signature was verified.
#[derive(Debug)]
pub struct Compact<'a> {
    /// The algorithm that it says it was signed by.
    pub algorithm: String,
    /// The key that it says it was signed by.
    pub kid: Option<String>,
    /// Its type.
    pub typ: Option<String>,
    /// What was signed.
    pub input: &'a str,
    /// The payload.
    pub payload: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart. Keys in its header and where to find some (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::SignatureInvalid`] for what is no token in the compact serialization, is too long, says something twice, or
    /// wants something understood (`crit`): there is no extension that we do.
    pub fn parse(token: &'a str) -> Result<Self> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unsigned("it does not have the three parts of a token"));
        };
        if token.len() > LONGEST_TOKEN {
            return Err(unsigned("it is too long for a token"));
        }
        let input = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let bytes = |part: &str| {
            Base64UrlUnpadded::decode_vec(part).map_err(|_| unsigned("a part of it is not written in base64url"))
        };
        let mut members = json::object(&bytes(header)?).ok_or_else(|| unsigned("its header is no JSON object"))?;
        if members.contains_key("crit") {
            return Err(unsigned("its header wants something understood that is not offered (`crit`)"));
        }
        let mut word = |name: &str| match members.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= LONGEST_WORD => Ok(Some(text)),
            Some(_) => Err(unsigned("its header is not as it should be")),
        };
        let (algorithm, kid, typ) = (word("alg")?, word("kid")?, word("typ")?);
        let algorithm = algorithm.ok_or_else(|| unsigned("its header names no algorithm"))?;
        Ok(Self { algorithm, kid, typ, input, payload: bytes(payload)?, signature: bytes(signature)? })
    }

    /// Refuses a token that says it was signed in another way than `algorithm`, or is of another type.
    ///
    /// # Errors
    /// [`ErrorKind::SignatureInvalid`].
    pub fn check(&self, algorithm: JwsAlgorithm, typ: Option<&str>, wanted: &Wanted) -> Result<()> {
        if self.algorithm != algorithm.name() {
            let said = self.algorithm.escape_debug();
            return Err(unsigned(&format!(
                "it says `{said}`, and the key's tokens are signed by {}",
                algorithm.name()
            )));
        }
        let fits = match (typ, wanted, &self.typ) {
            (Some(typ), _, Some(said)) => has_type(said, typ),
            (Some(_), _, None) => false,
            (None, Wanted::Claims(_), Some(said)) => has_type(said, JWT),
            (None, ..) => true,
        };
        if fits { Ok(()) } else { Err(unsigned("it is of another type")) }
    }
}

/// Whether `said` is the type `typ`: cases do not matter, nor whether `application/` is written (RFC 7515, 4.1.9).
#[must_use]
pub fn has_type(said: &str, typ: &str) -> bool {
    fn short(typ: &str) -> &str {
        const PREFIX: &str = "application/";
        match typ.split_at_checked(PREFIX.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
            _ => typ,
        }
    }
    short(said).eq_ignore_ascii_case(short(typ))
}

/// The error of tokens whose signature says nothing.
#[must_use]
pub fn unsigned(why: &str) -> Error {
    Error::new(ErrorKind::SignatureInvalid, format!("the token does not verify: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::jose::Expected;

    fn token(header: &str) -> String {
        format!("{}.{}.AAAA", Base64UrlUnpadded::encode_string(header.as_bytes()), "e30")
    }

    #[test]
    fn what_is_put_together_comes_apart() {
        let input = signing_input(JwsAlgorithm::Es256, "k@1", Some("JWT"), b"{}").unwrap();
        let token = format!("{input}.AAAA");
        let parsed = Compact::parse(&token).unwrap();
        assert_eq!((parsed.input, parsed.algorithm.as_str(), parsed.kid.as_deref()), (&*input, "ES256", Some("k@1")));
        assert_eq!((parsed.payload.as_slice(), parsed.signature.len()), (b"{}".as_slice(), 3));
        assert!(signing_input(JwsAlgorithm::Es256, "k", None, &vec![0; LONGEST + 1]).is_err());
        for bad in ["", "a b", "ä"] {
            assert!(signing_input(JwsAlgorithm::Es256, "k", Some(bad), b"").is_err());
        }
    }

    #[test]
    fn what_is_no_token_is_refused_with_one_kind_of_error() {
        let good = token(r#"{"alg":"ES256"}"#);
        assert!(Compact::parse(&good).is_ok());
        let bad = [
            String::new(),
            "..".to_owned(),
            "a.b".to_owned(),
            format!("{good}.AA"),
            format!("{good}="),
            format!("{good}\n"),
            good.replace("e30", "e3+"),
            token("{}"),
            token("[]"),
            token(r#"{"alg":1}"#),
            token(r#"{"alg":"ES256","alg":"none"}"#),
            token(r#"{"alg":"ES256","kid":7}"#),
            token(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#),
            token(&format!(r#"{{"alg":"{}"}}"#, "x".repeat(2000))),
            "A".repeat(LONGEST_TOKEN) + ".e30.AAAA",
        ];
        for bad in bad {
            let error = Compact::parse(&bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SignatureInvalid, "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_choose_its_algorithm_or_type() {
        let claims = Wanted::Claims(Expected::default());
        for (header, typ, wanted, good) in [
            (r#"{"alg":"PS256"}"#, None, &claims, true),
            (r#"{"alg":"PS256","typ":"jwt"}"#, None, &claims, true),
            (r#"{"alg":"PS256","typ":"application/at+JWT"}"#, Some("at+jwt"), &claims, true),
            (r#"{"alg":"PS256","typ":"x"}"#, None, &Wanted::Bytes, true),
            (r#"{"alg":"PS256","typ":"x"}"#, Some("y"), &Wanted::Bytes, false),
            (r#"{"alg":"PS256","typ":"at+jwt"}"#, None, &claims, false),
            (r#"{"alg":"PS256"}"#, Some("at+jwt"), &claims, false),
            (r#"{"alg":"none"}"#, None, &claims, false),
            (r#"{"alg":"RS256"}"#, None, &claims, false),
            (r#"{"alg":"HS256"}"#, None, &claims, false),
            (r#"{"alg":"ps256"}"#, None, &claims, false),
        ] {
            let token = token(header);
            let checked = Compact::parse(&token).unwrap().check(JwsAlgorithm::Ps256, typ, wanted);
            assert_eq!(checked.is_ok(), good, "{header}");
        }
    }
}
