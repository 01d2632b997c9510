//! What was measured.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Error;

/// How long to call, and how often.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Pace {
    /// Callers at once
    #[arg(long, default_value_t = 1)]
    pub(crate) callers: usize,
    /// How long to measure, after a tenth of that to warm up
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Calls a second of all callers together; as many as they can where it is not said
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

impl Pace {
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.seconds / 10.0)
    }

    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// How long one caller takes from call to call.
    pub(crate) fn step(&self) -> Option<Duration> {
        self.rate.map(|rate| Duration::from_secs_f64(self.callers as f64 / rate))
    }
}

/// The calls of one caller.
#[derive(Default)]
pub(crate) struct Calls {
    took: Vec<Duration>,
    failed: Vec<String>,
}

impl Calls {
    /// Notes a call that began at `begun`.
    pub(crate) fn note<T>(&mut self, begun: Instant, outcome: Result<T, impl std::fmt::Display>) {
        match outcome {
            Ok(_) => self.took.push(begun.elapsed()),
            Err(error) => self.failed.push(error.to_string()),
        }
    }
}

/// The calls of all callers.
#[derive(Serialize)]
pub(crate) struct Figures {
    calls: usize,
    failed: usize,
    /// What the first failure said.
    failure: Option<String>,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    slowest_us: f64,
}

impl Figures {
    pub(crate) fn of(callers: Vec<Calls>, length: Duration) -> Self {
        let failed: Vec<&String> = callers.iter().flat_map(|calls| &calls.failed).collect();
        let (count, failure) = (failed.len(), failed.first().map(|text| (*text).clone()));
        let mut took: Vec<Duration> = callers.iter().flat_map(|calls| calls.took.iter().copied()).collect();
        took.sort_unstable();
        let at = |share: f64| {
            let index = (took.len() as f64 * share) as usize;
            took.get(index.min(took.len().saturating_sub(1))).map_or(0.0, |took| took.as_secs_f64() * 1e6)
        };
        Self {
            calls: took.len(),
            failed: count,
            failure,
            per_second: took.len() as f64 / length.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            slowest_us: at(1.0),
        }
    }

    pub(crate) fn print(&self) -> Result<(), Error> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
