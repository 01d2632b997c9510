//! A program that gets each batch on its standard input, one record a line: mail, pagers, whatever has no door of ours.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use libkmss::audit::Followed;
use libkmss::clock::Clock;
use libkmss::config::{ForwardConfig, RecordFormat};

use super::Destination;
use crate::batch::batch_id;
use crate::error::ForwardError;
use crate::format::render;

/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A program.
pub(super) struct Program {
    path: PathBuf,
    format: RecordFormat,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Program {
    pub(super) fn new(config: &ForwardConfig, path: &Path, clock: Arc<dyn Clock>) -> Self {
        let timeout = Duration::from_secs(u64::from(config.timeout_s));
        Self { path: path.to_owned(), format: config.format, timeout, clock }
    }

    fn failed(&self, how: String) -> ForwardError {
        ForwardError::Program { program: self.path.display().to_string(), how }
    }

    /// Waits for its end, and ends it where that takes too long.
    fn wait(&self, child: &mut Child) -> Result<(), ForwardError> {
        let started = self.clock.monotonic();
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.failed(format!("ended with {status}"))),
                Ok(None) if self.clock.monotonic().saturating_sub(started) < self.timeout => std::thread::sleep(LOOK),
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(self.failed(format!("took more than {} s", self.timeout.as_secs())));
                }
                Err(e) => return Err(self.failed(format!("cannot be waited for: {e}"))),
            }
        }
    }
}

impl Destination for Program {
    fn send(&mut self, batch: &[Followed]) -> Result<(), ForwardError> {
        let mut lines = String::new();
        for text in batch.iter().flat_map(|followed| render(self.format, followed)) {
            lines.push_str(&text);
            lines.push('\n');
        }
        let mut child = Command::new(&self.path)
            .env("KMSS_BATCH", batch_id(batch))
            .env("KMSS_RECORDS", batch.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| self.failed(format!("cannot be started: {e}")))?;
        // Whoever does not read holds up this destination alone, and not for longer than the rest of its time.
        let input = child.stdin.take();
        let writer = std::thread::spawn(move || input.map(|mut input| input.write_all(lines.as_bytes())));
        let ended = self.wait(&mut child);
        let _ = writer.join();
        ended
    }
}
