//! How a trial ends before its end.

use std::fmt::{self, Debug};

use libkmss::error::{Error, ErrorKind};

/// The end of a trial.
pub type Check = Result<(), Verdict>;

/// Why a trial did not reach its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The backend says that it does not offer something.
    NotOffered(String),
    /// Something is otherwise than it must be.
    Failed(String),
    /// The same, because the backend does not answer: what is tried next may suffer from it.
    Unavailable(String),
}

/// An error with the side that told it: only the one under test may say that it does not offer something.
#[derive(Debug)]
pub struct Refusal {
    /// What kind of error.
    pub kind: ErrorKind,
    /// What was attempted.
    pub what: String,
    /// The error's sentence.
    pub sentence: String,
    reference: bool,
}

impl Refusal {
    pub(crate) fn new(error: &Error, what: impl Into<String>, reference: bool) -> Self {
        Self { kind: error.kind(), what: what.into(), sentence: error.sentence(), reference }
    }

    /// Whether the backend says by it that it does not offer something.
    #[must_use]
    pub const fn is_not_offered(&self) -> bool {
        let kinds =
            matches!(self.kind, ErrorKind::MechanismUnsupported | ErrorKind::CurveUnsupported | ErrorKind::Unsupported);
        kinds && !self.reference
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.reference { "the software engine, asked" } else { "asked" };
        write!(f, "{who} to {}: {:?}: {}", self.what, self.kind, self.sentence)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        match refusal.kind {
            _ if refusal.is_not_offered() => Self::NotOffered(refusal.to_string()),
            ErrorKind::BackendUnavailable => Self::Unavailable(refusal.to_string()),
            _ => Self::Failed(refusal.to_string()),
        }
    }
}

/// Fails with `what` unless `holds`.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Verdict::Failed(what())) }
}

/// Fails unless both are equal.
pub(crate) fn same<T: PartialEq + Debug + ?Sized>(what: &str, got: &T, expected: &T) -> Check {
    ensure(got == expected, || format!("{what}: expected {expected:?}, got {got:?}"))
}

/// Fails unless the call was refused with one of these kinds; not offering it at all is no failure.
pub(crate) fn refused<T>(what: &str, result: Result<T, Refusal>, kinds: &[ErrorKind]) -> Check {
    match result {
        Ok(_) => Err(Verdict::Failed(format!("{what}: expected {kinds:?}, but it was done"))),
        Err(refusal) if kinds.contains(&refusal.kind) => Ok(()),
        Err(refusal) if refusal.is_not_offered() => Err(refusal.into()),
        Err(refusal) => {
            let why = format!("{what}: expected {kinds:?}; {refusal}");
            let gone = refusal.kind == ErrorKind::BackendUnavailable;
            Err(if gone { Verdict::Unavailable(why) } else { Verdict::Failed(why) })
        }
    }
}
