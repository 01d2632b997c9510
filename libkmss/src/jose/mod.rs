//! JSON Web Signatures, Tokens and Keys (RFC 7515, 7517, 7518, 7519, 8037, 8725, 8812): what goes over the wire. Nothing here computes a
//! signature or knows where a key is; docs/jwt.md says what is written and what is taken.
//!
//! The algorithm is the key's, and never what a token says of itself: there is no `none`, no HMAC, and no key in a header that
//! anybody looks at.

mod algorithm;
mod claims;
mod compact;
mod json;
mod jwk;

pub use algorithm::JwsAlgorithm;
pub use claims::{Expected, Life, context_of, with_life};
pub use compact::{Compact, LONGEST, has_type, signing_input, unsigned};
pub use jwk::{describe, key_id, version_of_key_id};

/// How a token is signed, or must have been signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jws {
    /// The algorithm, where a key has a choice; what is usual for the key where it is absent.
    pub algorithm: Option<JwsAlgorithm>,
    /// The type in the header (`typ`). Where it is absent, claims are of type `JWT`, and other payloads say nothing.
    pub typ: Option<String>,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Claims: a JSON object, and for how long they hold.
    Claims(&'a [u8], Life),
    /// Anything.
    Bytes(&'a [u8]),
}

/// What a token is to hold.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Claims, of which this is expected.
    Claims(Expected),
    /// Anything.
    Bytes,
}

/// The type of claims where nobody says another.
pub const JWT: &str = "JWT";
