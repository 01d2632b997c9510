//! Progress while the work goes on, and the summary at its end. On a terminal a spinner turns; elsewhere each
//! finished step prints a line.

use crate::error::Error;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How one step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// As it should.
    Done,
    /// It could not be shown; the others went on.
    Failed,
}

/// One line of the summary.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    /// What it is called.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// How long it took.
    pub(crate) seconds: f64,
    /// What was shown, line by line.
    pub(crate) shown: Vec<String>,
}

/// The steps so far.
pub(crate) struct Progress {
    steps: Vec<Step>,
    start: Instant,
    fancy: bool,
    colour: bool,
}

impl Progress {
    /// No step yet.
    pub(crate) fn new() -> Progress {
        let fancy = std::io::stderr().is_terminal();
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Progress { steps: Vec::new(), start: Instant::now(), fancy, colour }
    }

    /// Runs one step; `work` returns the lines that the summary shows.
    pub(crate) fn step(
        &mut self,
        name: &str,
        doing: &str,
        work: impl FnOnce() -> Result<Vec<String>, Error>,
    ) -> Result<(), Error> {
        let start = Instant::now();
        let bar = self.fancy.then(|| spinner(doing));
        let result = work();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let (outcome, shown) = match &result {
            // Not the step's fault, and nobody waits for its summary.
            Err(Error::Interrupted) => return result.map(drop),
            Ok(shown) => (Outcome::Done, shown.clone()),
            Err(error) => (Outcome::Failed, chain(error)),
        };
        let step = Step { name: name.to_owned(), outcome, seconds: start.elapsed().as_secs_f64(), shown };
        eprintln!("{} {:<24} {:>6.1} s", mark(step.outcome), step.name, step.seconds);
        self.steps.push(step);
        result.map(drop)
    }

    /// Like `step`, but a failure is only remembered, so that what does not depend on it is still shown.
    pub(crate) fn show(
        &mut self,
        name: &str,
        doing: &str,
        work: impl FnOnce() -> Result<Vec<String>, Error>,
    ) -> Result<(), Error> {
        match self.step(name, doing, work) {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }

    /// The steps, for a machine.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many steps failed.
    pub(crate) fn failures(&self) -> usize {
        self.steps.iter().filter(|step| step.outcome == Outcome::Failed).count()
    }

    /// The summary that a person reads.
    pub(crate) fn summary(&self, title: &str) -> String {
        let total = self.start.elapsed().as_secs_f64();
        let verdict = match self.failures() {
            0 => format!("all {} steps went well", self.steps.len()),
            n => format!("{n} of {} steps failed", self.steps.len()),
        };
        let rule = "─".repeat(78);
        let mut text = format!("\n{rule}\n  {}\n  {verdict} in {total:.1} s\n{rule}\n", self.strong(title));
        for step in &self.steps {
            let head = format!("{:<56}{:>10.1} s", step.name, step.seconds);
            text += &format!("\n  {} {}\n", self.painted(step.outcome), self.strong(&head));
            for line in step.shown.iter().flat_map(|line| line.lines()) {
                text += &format!("      {line}\n");
            }
        }
        text
    }

    fn strong(&self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn painted(&self, outcome: Outcome) -> String {
        let colour = match outcome {
            Outcome::Done => 32,
            Outcome::Failed => 31,
        };
        if self.colour { format!("\x1b[{colour}m{}\x1b[0m", mark(outcome)) } else { mark(outcome).to_owned() }
    }
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "✓",
        Outcome::Failed => "✗",
    }
}

fn spinner(doing: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(doing.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The error and its causes, a line each.
fn chain(error: &Error) -> Vec<String> {
    let mut lines = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        lines.push(format!("caused by: {source}"));
        cause = source.source();
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_failed_step_is_counted_and_its_reason_stands_in_the_summary() {
        let mut progress = Progress::new();
        progress.show("one", "", || Ok(vec!["went well".into()])).unwrap();
        progress.show("two", "", || Err(Error::check("no luck"))).unwrap();
        let summary = progress.summary("title");
        assert_eq!(progress.failures(), 1);
        assert!(summary.contains("1 of 2 steps failed") && summary.contains("no luck"), "{summary}");
    }

    #[test]
    fn an_interruption_ends_the_work() {
        let shown = Progress::new().show("one", "", || Err(Error::Interrupted));
        assert!(matches!(shown, Err(Error::Interrupted)));
    }
}
