//! What people and machines read.

use std::error::Error;
use std::fmt;
use std::io::{ErrorKind, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// The error of a command: a sentence with its causes.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Prints an error with its causes on standard error.
pub(crate) fn error(error: &dyn Error) {
    let _ = writeln!(std::io::stderr(), "kmss: {}", sentence(error));
}

/// An error with its causes.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        line.push_str(&format!(": {source}"));
        cause = source.source();
    }
    line
}

/// Says how far a long command is, on standard error.
pub(crate) fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "kmss: {text}");
}

/// Nobody reads standard output any more: `| head` has seen enough.
#[derive(Debug)]
pub(crate) struct Unread;

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output")
    }
}

impl Error for Unread {}

impl Unread {
    /// What a shell reports of a program that SIGPIPE has ended, as it ends most: 128 + 13.
    pub(crate) const CODE: u8 = 141;
}

/// Prints a value as JSON.
///
/// # Errors
/// Standard output is closed; [`Unread`] where it was a pipe.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    bytes(&text)
}

/// Prints a line on standard output.
///
/// # Errors
/// As [`json`].
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes bytes to standard output as they are.
///
/// # Errors
/// As [`json`].
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => Unread.into(),
        _ => format!("cannot write to standard output: {e}").into(),
    })
}

/// Prints a table, or `empty` where there are no rows.
///
/// # Errors
/// As [`json`].
pub(crate) fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>, empty: &str) -> Result<(), Failure> {
    if rows.is_empty() { line(empty) } else { line(&columns(header, rows)) }
}

/// A table as text, without a line feed at the end.
pub(crate) fn columns<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// `bytes` as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Milliseconds since the epoch as a date and time in UTC.
pub(crate) fn time(ms: u64) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    i64::try_from(ms / 1000)
        .ok()
        .and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok())
        .and_then(|t| t.format(&format).ok())
        .unwrap_or_else(|| ms.to_string())
}

/// What text may hold that a terminal would obey, made visible.
pub(crate) fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
