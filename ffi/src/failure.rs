//! Failures of calls, on their way to becoming error objects.

use libkmss::error::Error;

use crate::status::kmss_status;

/// Why a call failed.
pub(crate) struct Failure {
    pub(crate) status: kmss_status,
    /// What went wrong, in a sentence.
    pub(crate) message: String,
    /// What that came of; may be empty.
    pub(crate) cause: String,
    /// The rule that refused, where one did; else empty.
    pub(crate) rule: String,
}

impl Failure {
    pub(crate) fn new(status: kmss_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), cause: String::new(), rule: String::new() }
    }

    pub(crate) fn argument(message: &str) -> Self {
        Self::new(kmss_status::KMSS_INVALID_ARGUMENT, message)
    }

    pub(crate) fn not_found(message: String) -> Self {
        Self::new(kmss_status::KMSS_NOT_FOUND, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(&error);
        while let Some(source) = cause {
            causes.push(source.to_string());
            cause = source.source();
        }
        Self {
            status: error.kind().into(),
            message: error.message().to_owned(),
            cause: causes.join(": "),
            rule: error.rule().unwrap_or_default().to_owned(),
        }
    }
}
