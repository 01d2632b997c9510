//! Failures of calls, and the last one of each thread.

use std::cell::RefCell;

use libkmss::error::Error;

use crate::status::kmss_status;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Why a call failed: a status and a sentence.
pub(crate) struct Failure {
    pub(crate) status: kmss_status,
    pub(crate) sentence: String,
}

impl Failure {
    /// Keeps the sentence for the calling thread; a thread that is ending keeps none.
    pub(crate) fn remember(self) {
        let _ = LAST.try_with(|last| *last.borrow_mut() = self.sentence);
    }

    /// The sentence of the calling thread's last failure; empty where nothing failed yet.
    pub(crate) fn last() -> String {
        LAST.try_with(|last| last.borrow().clone()).unwrap_or_default()
    }

    pub(crate) fn argument(sentence: &str) -> Self {
        Self { status: kmss_status::KMSS_INVALID_ARGUMENT, sentence: sentence.to_owned() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut sentence = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(source) = cause {
            sentence.push_str(": ");
            sentence.push_str(&source.to_string());
            cause = source.source();
        }
        Self { status: error.kind().into(), sentence }
    }
}
