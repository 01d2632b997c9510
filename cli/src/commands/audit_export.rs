//! `kmss audit export`: the trail for spreadsheets and for security information systems.

use std::collections::HashMap;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::process::ExitCode;

use agent::format::ocsf::{self, What};
use agent::text::{change, lossy, name, text};
use indicatif::{ProgressBar, ProgressStyle};
use libkmss::audit::{Entry, Filter, RecordUse, SegmentId, Writer};

use crate::args::{ExportArgs, ExportFormat};
use crate::context::Context;
use crate::moment;
use crate::output::{Failure, Unread};

/// The columns of CSV.
const COLUMNS: [&str; 37] = [
    "time",
    "segment",
    "seq",
    "kind",
    "action",
    "outcome",
    "error",
    "count",
    "principal",
    "login",
    "user",
    "source",
    "roles",
    "session",
    "tenant",
    "namespace",
    "object_class",
    "object_type",
    "object_name",
    "object_id",
    "object_version",
    "also_name",
    "also_id",
    "mechanism",
    "data_len",
    "rule",
    "reason",
    "tags",
    "duties",
    "changes",
    "request",
    "duration_us",
    "host",
    "pid",
    "uid",
    "executable",
    "h",
];

/// Runs `kmss audit export`.
///
/// # Errors
/// The audit cannot be read, or the output not be written.
pub(super) fn run(context: &Context, args: &ExportArgs) -> Result<ExitCode, Failure> {
    let wanted = super::audit::filter(&args.records)?;
    let mut sink = Sink::new(args.format)?;
    // Who wrote a segment is in records that the filter leaves out.
    let trail = context.trail(Filter::default(), &args.records.archives)?;
    let bar = match std::io::stderr().is_terminal() && !std::io::stdout().is_terminal() {
        true => ProgressBar::new(trail.size()?)
            .with_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}")?),
        false => ProgressBar::hidden(),
    };
    let (mut writers, mut failed) = (HashMap::<SegmentId, Writer>::new(), None);
    trail.visit(&mut |entry| {
        bar.inc(entry.raw.len() as u64 + 1);
        let writer = writers.entry(entry.segment.clone()).or_default();
        if let Some(now) = Writer::of(&entry.record) {
            *writer = now;
        }
        let due = wanted.matches(&entry.record);
        if due && failed.is_none() {
            failed = sink.put(entry, writer).err();
        }
    })?;
    bar.finish_and_clear();
    match failed {
        Some(failure) => Err(failure),
        None => sink.end().map(|()| ExitCode::SUCCESS),
    }
}

type Output = BufWriter<std::io::StdoutLock<'static>>;

/// Where the records go.
enum Sink {
    Csv(Box<csv::Writer<Output>>),
    Ocsf(Output),
}

impl Sink {
    fn new(format: ExportFormat) -> Result<Self, Failure> {
        let out = BufWriter::new(std::io::stdout().lock());
        Ok(match format {
            ExportFormat::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(COLUMNS).map_err(unwritten)?;
                Self::Csv(Box::new(writer))
            }
            ExportFormat::Ocsf => Self::Ocsf(out),
        })
    }

    fn put(&mut self, entry: &Entry, writer: &Writer) -> Result<(), Failure> {
        match self {
            // What a summary counts is a row of its own for each kind of use.
            Self::Csv(out) => ocsf::uses(&entry.record).try_for_each(|one| {
                out.write_record(row(entry, one, writer).map(|text| harmless(&text))).map_err(unwritten)
            })?,
            Self::Ocsf(out) => {
                for event in ocsf::events(entry, writer) {
                    let mut line = serde_json::to_vec(&event)?;
                    line.push(b'\n');
                    out.write_all(&line).map_err(|e| unwritten(e.into()))?;
                }
            }
        }
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        match self {
            Self::Csv(mut out) => out.flush(),
            Self::Ocsf(mut out) => out.flush(),
        }
        .map_err(|e| unwritten(e.into()))
    }
}

fn unwritten(error: csv::Error) -> Failure {
    match error.kind() {
        csv::ErrorKind::Io(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Unread.into(),
        _ => format!("cannot write to standard output: {error}").into(),
    }
}

fn number<T: ToString>(field: Option<T>) -> String {
    field.map(|number| number.to_string()).unwrap_or_default()
}

/// A spreadsheet would take a text that begins like this for a formula, and run it.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// The columns of one row.
fn row(entry: &Entry, one: Option<&RecordUse>, writer: &Writer) -> [String; COLUMNS.len()] {
    let record = &entry.record;
    let what = What::of(record, one);
    let object = record.object.as_ref();
    let also = record.also.as_ref();
    [
        moment::rfc3339(record.time),
        entry.segment.to_string(),
        record.seq.to_string(),
        record.kind.clone(),
        what.action,
        what.outcome,
        text(&record.error),
        what.count.to_string(),
        text(&record.principal),
        text(&record.login),
        text(&record.user),
        text(&record.source),
        joined(&record.roles),
        number(record.session),
        text(&record.tenant),
        text(&record.namespace),
        object.map(|object| object.class.clone()).unwrap_or_default(),
        object.map(|object| text(&object.key_type)).unwrap_or_default(),
        object.map(name).unwrap_or_default(),
        object.map(|object| object.id.clone()).unwrap_or_default(),
        number(object.and_then(|object| object.version)),
        also.map(name).unwrap_or_default(),
        also.map(|also| also.id.clone()).unwrap_or_default(),
        what.mechanism,
        number(what.data_len),
        what.rule,
        text(&record.reason),
        joined(&record.tags),
        record.duties.iter().map(|duty| lossy(duty)).collect::<Vec<_>>().join("; "),
        record.changes.iter().map(change).collect::<Vec<_>>().join("; "),
        number(record.request),
        number(record.duration_us),
        writer.host.clone().unwrap_or_default(),
        number(writer.pid),
        number(writer.uid),
        writer.executable.clone().unwrap_or_default(),
        record.h.to_string(),
    ]
}

fn joined(texts: &[String]) -> String {
    texts.iter().map(|text| lossy(text)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_text() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(harmless(bad), format!("'{bad}"));
        }
        assert_eq!(harmless("key=1"), "key=1");
    }
}
