//! What the server says: JSON, one object in a line, to standard error. Never keys, PINs, plaintext or user data.

use std::fmt;
use std::io::Write as _;

use libkmss::clock::{Clock, SystemClock};
use libkmss::error::{Error, ErrorClass};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Begins to log at `level`.
pub fn begin(level: LevelFilter) {
    // Where somebody logs already, everything goes there.
    let _ = tracing::subscriber::set_global_default(Lines { level, clock: SystemClock::default() });
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

/// Events as lines; spans are not looked at.
struct Lines {
    level: LevelFilter,
    clock: SystemClock,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The libraries below tell their own business, which is many lines for each call.
        let ours = metadata.target().starts_with("remote") || metadata.target().starts_with("libkmss");
        ours && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(Map::new());
        fields.0.insert("time".to_owned(), self.clock.now().0.into());
        fields.0.insert("level".to_owned(), event.metadata().level().as_str().to_lowercase().into());
        event.record(&mut fields);
        let line = format!("{}\n", Value::Object(fields.0));
        // One write: lines of several threads do not mix. Where nobody reads, nothing is to be done.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}
