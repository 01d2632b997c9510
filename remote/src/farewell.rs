//! What a connection hears that the server takes no calls over, and how a client knows it from others.

use std::fmt;

use h2::Reason;

/// The server has as many connections as it takes, of whomever.
#[cfg(any(feature = "server", test))]
pub(crate) const FULL: &str = SENTENCES[0];
/// The peer has as many connections as one may have.
#[cfg(any(feature = "server", test))]
pub(crate) const PEER_FULL: &str = SENTENCES[1];

const SENTENCES: [&str; 2] = [
    "the server has as many connections as it takes (`max_connections`)",
    "this peer has as many connections as one may have (`max_peer_connections`)",
];

/// Longest word of a peer that is shown, in bytes.
const LONGEST: usize = 256;

/// What the server says and does nothing else: settings, and GOAWAY before the first call with `why` as its debug data
/// (RFC 9113, 3.4, 6.5 and 6.8). It may come before the client has said anything.
#[cfg(any(feature = "server", test))]
pub(crate) fn goodbye(why: &str) -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 6] = [7, 0, 0, 0, 0, 0];
    const NO_CALL: [u8; 4] = [0; 4];
    let len = u32::try_from(8 + why.len()).unwrap_or_default().to_be_bytes();
    let reason = u32::from(Reason::ENHANCE_YOUR_CALM).to_be_bytes();
    let parts: [&[u8]; 6] = [&SETTINGS, len.get(1..).unwrap_or_default(), &GOAWAY, &NO_CALL, &reason, why.as_bytes()];
    parts.concat()
}

/// What a server said when it ended a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// It took no call over this connection, for this reason.
    TurnedAway(&'static str),
    /// It had enough, in these words; it need not say any.
    Enough(String),
}

impl Farewell {
    /// What `error` says of it, where it is one.
    pub(crate) fn of(error: &h2::Error) -> Option<Self> {
        if !error.is_go_away() || !error.is_remote() || error.reason() != Some(Reason::ENHANCE_YOUR_CALM) {
            return None;
        }
        // h2 gives debug data out in what it displays, escaped.
        let text = error.to_string();
        let said = text.split_once(" (b\"").and_then(|(_, said)| said.strip_suffix("\")")).unwrap_or_default();
        Some(match SENTENCES.into_iter().find(|known| *known == said) {
            Some(known) => Self::TurnedAway(known),
            None => Self::Enough(said.chars().take(LONGEST).collect()),
        })
    }
}

impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TurnedAway(why) => write!(f, "it turns us away: {why}"),
            Self::Enough(said) if said.is_empty() => f.write_str("the server had enough of it"),
            Self::Enough(said) => write!(f, "the server had enough of it: {said}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_nothing_is_not_quoted() {
        let says = |words: &str| Farewell::Enough(words.to_owned()).to_string();
        assert_eq!(says(""), "the server had enough of it");
        assert_eq!(says("too_many_pings"), "the server had enough of it: too_many_pings");
    }
}
