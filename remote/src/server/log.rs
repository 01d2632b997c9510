//! What the server says: JSON, one object in a line, to standard error. Never keys, PINs, plaintext or user data.

use libkmss::error::{Error, ErrorClass};
use tracing_subscriber::filter::LevelFilter;

/// Begins to log at `level` (`error`, `warn`, `info`, `debug`, `off`).
pub fn begin(level: LevelFilter) {
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr);
    // Where somebody logs already, everything goes there.
    let _ = lines.with_max_level(level).with_target(false).try_init();
}

/// A call failed. Only what an operator must look into is worth a line by itself: the audit has the rest.
pub(super) fn failed(method: &'static str, error: &Error) {
    match error.kind().class() {
        ErrorClass::Environment | ErrorClass::Bug => {
            tracing::error!(method, kind = ?error.kind(), reason = %error.sentence(), "a call failed");
        }
        _ => tracing::debug!(method, kind = ?error.kind(), "a call was refused"),
    }
}
