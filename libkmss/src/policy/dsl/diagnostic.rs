//! Complaints about a policy: where, what, and what may have been meant.

use std::fmt;

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, Source};
use serde::Serialize;

use super::ast::Span;

/// Most complaints of one run; after that the rest is hardly about what was meant.
pub(crate) const MOST: usize = 50;

/// Lines longer than this are not drawn.
const WIDEST: usize = 400;

/// One complaint, without the text it is about.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) suggestion: Option<String>,
}

impl Problem {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None, suggestion: None }
    }

    /// With a sentence on what to do.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With what to write instead.
    #[must_use]
    pub(crate) fn suggest(mut self, instead: Option<impl Into<String>>) -> Self {
        if let Some(instead) = instead {
            let instead = instead.into();
            self.help = Some(format!("did you mean `{instead}`?"));
            self.suggestion = Some(instead);
        }
        self
    }
}

/// One complaint about a policy.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The offending text, shortened; empty where something is missing.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; empty where nobody knows.
    pub help: String,
    /// What to write instead of `text`, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    #[serde(skip)]
    span: Span,
}

/// Everything that is wrong with a policy; never empty.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    #[serde(skip)]
    source: String,
}

impl Diagnostics {
    /// Complaints about `source`, in its order.
    pub(crate) fn new(source: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|p| p.span.start);
        let mut place = Place { line: 1, start: 0, at: 0 };
        let list = problems
            .into_iter()
            .map(|problem| {
                place.go_on(source, problem.span.start as usize);
                let before = source.get(place.start..problem.span.start as usize).unwrap_or_default();
                let text = source.get(problem.span.start as usize..problem.span.end as usize).unwrap_or_default();
                Diagnostic {
                    line: place.line,
                    column: before.chars().count() + 1,
                    text: shortened(text, 80),
                    message: problem.message,
                    help: problem.help.unwrap_or_default(),
                    suggestion: problem.suggestion,
                    span: problem.span,
                }
            })
            .collect();
        Self { list, source: source.to_owned() }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// As a person reads them, with the lines they are about; `name` is the file's.
    #[must_use]
    pub fn rendered(&self, name: &str, color: bool) -> String {
        let mut out = String::new();
        // What is missing at the end has a place to be drawn at.
        let text = format!("{}\n", self.source);
        let source = Source::from(&text);
        for one in &self.list {
            let wide = self.source.lines().nth(one.line.saturating_sub(1)).is_none_or(|line| line.len() > WIDEST);
            let mut bytes = Vec::new();
            let start = text.floor_char_boundary((one.span.start as usize).min(text.len() - 1));
            let end = text.ceil_char_boundary((one.span.end as usize).clamp(start + 1, text.len()));
            // What does not end on its line is drawn up to the line's end.
            let line_end = text.get(start..end).and_then(|t| t.find('\n')).map_or(end, |n| start + n);
            let span = (name, start..line_end.max(text.ceil_char_boundary(start + 1)));
            let config = Config::default().with_color(color).with_index_type(IndexType::Byte).with_char_set(if color {
                CharSet::Unicode
            } else {
                CharSet::Ascii
            });
            let mut label = Label::new(span.clone());
            if !one.help.is_empty() {
                label = label.with_message(&one.help);
            }
            let report = Report::build(ReportKind::Error, span)
                .with_config(config)
                .with_message(&one.message)
                .with_label(label.with_color(Color::Red))
                .finish();
            if wide || report.write((name, &source), &mut bytes).is_err() {
                out.push_str(&format!("Error: {name}:{one}\n"));
            } else {
                out.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        out
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, one) in self.list.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            write!(f, "{one}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        if !self.help.is_empty() {
            write!(f, " ({})", self.help)?;
        }
        Ok(())
    }
}

/// A line that is looked for from the front.
struct Place {
    line: usize,
    start: usize,
    at: usize,
}

impl Place {
    fn go_on(&mut self, source: &str, to: usize) {
        let skipped = source.as_bytes().get(self.at..to).unwrap_or_default();
        if let Some(last) = skipped.iter().rposition(|byte| *byte == b'\n') {
            self.line += skipped.iter().filter(|byte| **byte == b'\n').count();
            self.start = self.at + last + 1;
        }
        self.at = self.at.max(to);
    }
}

/// The line of each of these places, which ascend.
pub(crate) fn lines(source: &str, places: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut place = Place { line: 1, start: 0, at: 0 };
    places
        .map(|at| {
            place.go_on(source, at as usize);
            u32::try_from(place.line).unwrap_or(u32::MAX)
        })
        .collect()
}

/// At most `most` characters of a text's first line.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= most && line.len() == text.len() {
        return line.to_owned();
    }
    line.chars().take(most).chain(['…']).collect()
}
