//! Destinations: how batches get there, and the loop that sees to it that they do, each in a thread of its own.
//!
//! A destination's queue is the audit itself, from its cursor on. The cursor moves on when the receiver has the batch; what it
//! could not be given waits where it is. Whoever is slow, or down, holds up nobody else.

mod command;
mod connection;
mod journald;
mod syslog;
mod tls;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use libkmss::audit::{AuditFollower, Cursor, Followed, Irregularity};
use libkmss::clock::Clock;
use libkmss::config::{Endpoint, ForwardConfig, StartFrom};

use crate::batch::Wanted;
use crate::error::{AgentError, ForwardError, told};
use crate::home::AgentHome;
use crate::status::{Board, State};
use crate::stop::Stop;

/// Most bytes of a batch.
const BATCH_BYTES: usize = 1 << 20;
/// The first pause after a failure; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How often a cursor is stored that moves over records which nobody wants.
const STORE_EVERY: Duration = Duration::from_secs(5);
/// How long what is there may still be sent when the agent ends.
const DRAIN: Duration = Duration::from_secs(10);

/// A way to a receiver.
pub(crate) trait Destination: Send {
    /// Sends a batch. When this returns, the receiver has it, or it is on the way and [`Self::is_settled`] tells.
    ///
    /// # Errors
    /// The receiver has not got it, or may not have; what is not settled is sent anew.
    fn send(&mut self, batch: &[Followed]) -> Result<(), ForwardError>;

    /// Whether the receiver has everything that was sent before the last call of [`Self::mark`].
    ///
    /// # Errors
    /// The connection is lost, and what is not settled is sent anew.
    fn is_settled(&mut self) -> Result<bool, ForwardError> {
        Ok(true)
    }

    /// Asks about everything that was sent by now.
    fn mark(&mut self) {}

    /// Ends the connection, and waits until the receiver has everything.
    ///
    /// # Errors
    /// It may not have; what is not settled is sent anew, another time.
    fn finish(&mut self) -> Result<(), ForwardError> {
        Ok(())
    }
}

/// The way that a configuration names.
pub(crate) fn destination(
    config: &ForwardConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Box<dyn Destination>, ForwardError> {
    Ok(match &config.to {
        Endpoint::SyslogTls(..) | Endpoint::SyslogTcp(..) => Box::new(syslog::Stream::new(config, Arc::clone(clock))?),
        Endpoint::SyslogUdp(..) | Endpoint::SyslogUnix(_) => Box::new(syslog::Datagrams::new(config)),
        Endpoint::Webhook(url) => Box::new(webhook::Webhook::new(config, url, Arc::clone(clock))?),
        Endpoint::Journald(socket) => Box::new(journald::Journald::new(config.format, socket)),
        Endpoint::Command(program) => Box::new(command::Program::new(config, program, Arc::clone(clock))),
    })
}

/// A destination with its queue.
pub(crate) struct Forwarder {
    config: ForwardConfig,
    wanted: Wanted,
    destination: Box<dyn Destination>,
    follower: AuditFollower,
    /// What the receiver has; also on the disk, or soon.
    settled: Cursor,
    /// What it has once [`Destination::is_settled`] says so.
    marked: Option<Cursor>,
    /// Whether records were sent or passed over since.
    unmarked: bool,
    stored: Duration,
    home: AgentHome,
    board: Board,
    clock: Arc<dyn Clock>,
    poll: Duration,
}

impl Forwarder {
    pub(crate) fn new(
        config: &ForwardConfig,
        home: &AgentHome,
        board: &Board,
        clock: &Arc<dyn Clock>,
        poll: Duration,
    ) -> Result<Self, AgentError> {
        let failed = |source| AgentError::Destination { name: config.name.clone(), source };
        let destination = destination(config, clock).map_err(failed)?;
        let path = home.cursor(&config.name);
        let cursor = match Cursor::load(&path) {
            Ok(Some(cursor)) => Some(cursor),
            Ok(None) => None,
            Err(e) if e.kind() == libkmss::error::ErrorKind::Damaged => {
                say(&config.name, &format!("{}; all records are sent again", told(&e)));
                Some(Cursor::default())
            }
            Err(e) => return Err(e.into()),
        };
        let fresh = cursor.is_none();
        let mut follower = AuditFollower::new(home.audit().to_owned(), cursor.unwrap_or_default());
        if fresh {
            if config.from == StartFrom::Newest {
                follower.skip_to_end()?;
            }
            // From now on old segments wait for it.
            follower.cursor().store(&path, home.mode())?;
        }
        board.of(&config.name, |_| ());
        Ok(Self {
            config: config.clone(),
            wanted: Wanted::of(config),
            destination,
            settled: follower.cursor().clone(),
            follower,
            marked: None,
            unmarked: false,
            stored: clock.monotonic(),
            home: home.clone(),
            board: board.clone(),
            clock: Arc::clone(clock),
            poll,
        })
    }

    /// Sends what there is and what comes, until `stop`; then what is there, for a while.
    pub(crate) fn run(&mut self, stop: &Stop) {
        let mut failures = 0;
        while !stop.is_raised() {
            match self.step() {
                Ok(more) => {
                    failures = 0;
                    if !more && stop.wait(self.poll) {
                        break;
                    }
                }
                Err(failure) => {
                    failures += 1;
                    let pause = self.failed(&failure, failures);
                    if stop.wait(pause) {
                        break;
                    }
                }
            }
        }
        let _ = self.drain(Some(DRAIN));
    }

    /// Sends what is there now; false where that failed or took too long.
    pub(crate) fn drain(&mut self, within: Option<Duration>) -> bool {
        let started = self.clock.monotonic();
        let late = |clock: &dyn Clock| within.is_some_and(|within| clock.monotonic().saturating_sub(started) > within);
        let done = loop {
            match self.step() {
                Ok(true) if !late(self.clock.as_ref()) => (),
                Ok(more) => break !more,
                Err(failure) => {
                    self.failed(&failure, 1);
                    break false;
                }
            }
        };
        let finished = match self.destination.finish() {
            Ok(()) => {
                self.settled = self.follower.cursor().clone();
                self.marked = None;
                true
            }
            Err(failure) => {
                self.failed(&Failure::Sending(failure), 1);
                false
            }
        };
        self.store() && done && finished
    }

    /// Sends one batch; says whether there is more.
    fn step(&mut self) -> Result<bool, Failure> {
        let most = usize::try_from(self.config.batch).unwrap_or(usize::MAX);
        let stretch = self.follower.read(most, BATCH_BYTES).map_err(Failure::Reading)?;
        for irregularity in &stretch.irregularities {
            say(&self.config.name, &noticed(irregularity));
        }
        let read = stretch.records.len();
        let batch: Vec<Followed> = stretch.records.into_iter().filter(|followed| self.wanted.has(followed)).collect();
        if !batch.is_empty() {
            self.destination.send(&batch).map_err(Failure::Sending)?;
            let now = self.clock.now();
            let (mut was_down, mut new) = (false, false);
            self.board.of(&self.config.name, |status| {
                (was_down, new) = (status.state == State::Down, status.state != State::Up);
                status.state = State::Up;
                status.failures = 0;
                status.delivered = status.delivered.saturating_add(batch.len() as u64);
                status.last_delivery = Some(now);
            });
            if new {
                self.board.announce();
            }
            if was_down {
                say(&self.config.name, "records go there again");
            }
        }
        self.unmarked |= read > 0;
        self.settle(!batch.is_empty())?;
        Ok(stretch.more)
    }

    /// Moves the cursor to what the receiver has.
    fn settle(&mut self, sent: bool) -> Result<(), Failure> {
        if self.destination.is_settled().map_err(Failure::Sending)? {
            if let Some(marked) = self.marked.take() {
                self.settled = marked;
                self.store();
            }
            if self.unmarked {
                self.destination.mark();
                self.unmarked = false;
                if self.destination.is_settled().map_err(Failure::Sending)? {
                    self.settled = self.follower.cursor().clone();
                    let due = self.clock.monotonic().saturating_sub(self.stored) >= STORE_EVERY;
                    if sent || due {
                        self.store();
                    }
                } else {
                    self.marked = Some(self.follower.cursor().clone());
                }
            }
        }
        Ok(())
    }

    fn store(&mut self) -> bool {
        self.stored = self.clock.monotonic();
        match self.settled.store(&self.home.cursor(&self.config.name), self.home.mode()) {
            Ok(()) => true,
            Err(e) => {
                say(&self.config.name, &told(&e));
                false
            }
        }
    }

    /// Goes back to what the receiver has for certain, and gives the pause before the next attempt.
    fn failed(&mut self, failure: &Failure, failures: u32) -> Duration {
        let settled = self.settled.clone();
        self.follower.rewind(settled);
        self.marked = None;
        self.unmarked = false;
        let (why, asked) = match failure {
            Failure::Reading(error) => (told(error), None),
            Failure::Sending(error) => (
                told(error),
                match error {
                    ForwardError::Status { retry_after, .. } => *retry_after,
                    _ => None,
                },
            ),
        };
        let now = self.clock.now();
        let mut new = false;
        self.board.of(&self.config.name, |status| {
            new = status.state != State::Down || status.last_error.as_deref() != Some(&why);
            status.state = State::Down;
            status.failures = status.failures.saturating_add(1);
            status.last_error = Some(why.clone());
            status.last_failure = Some(now);
        });
        if new {
            self.board.announce();
            say(&self.config.name, &format!("{why}; its records wait in the audit"));
        }
        let most = Duration::from_secs(u64::from(self.config.retry_max_s));
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(most);
        asked.map_or(pause, |seconds| Duration::from_secs(seconds.min(3_600)).max(pause))
    }
}

/// What went wrong in a step.
#[derive(Debug)]
enum Failure {
    Reading(libkmss::error::Error),
    Sending(ForwardError),
}

/// What a reader noticed, in words.
pub(crate) fn noticed(irregularity: &Irregularity) -> String {
    match irregularity {
        Irregularity::Vanished(segment) => {
            format!("segment {segment} is gone, and its last record that was read did not close it")
        }
        Irregularity::Changed(segment) => {
            format!("segment {segment} is not what it was when it was read; all of it is read again")
        }
        Irregularity::OutOfOrder { segment, due, found } => {
            format!("record {due} of segment {segment} was due, and record {found} is there")
        }
        Irregularity::NoRecord(segment) => format!("segment {segment} holds bytes that are no record"),
    }
}

/// A line for the log of the service.
pub(crate) fn say(who: &str, what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "kmss agent: {who}: {what}");
}
