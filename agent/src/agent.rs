//! All of the agent: what runs beside what, and how it ends.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use libkmss::audit::AuditNote;
use libkmss::clock::{Clock, SystemClock};
use libkmss::config::{AgentSections, Config, RecordScope};
use libkmss::kms::Kms;
use libkmss::os::effective_ids;

use crate::alarm::Watcher;
use crate::error::{AgentError, told};
use crate::forward::{Forwarder, say};
use crate::home::AgentHome;
use crate::seal::Sealing;
use crate::service::Service;
use crate::status::Board;
use crate::stop::Stop;

/// How often the agent looks at itself.
const TICK: Duration = Duration::from_millis(200);
/// How often it writes down how it fares.
const STATUS_EVERY: Duration = Duration::from_secs(2);

/// How the agent runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Ends when everything that was there is delivered, or could not be.
    pub once: bool,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that was there is delivered.
    Done,
    /// Some of it waits.
    Undelivered,
}

/// The agent of a home.
pub struct Agent {
    config: Config,
    sections: AgentSections,
    home: AgentHome,
    clock: Arc<dyn Clock>,
}

impl Agent {
    /// The agent that `config` describes.
    ///
    /// # Errors
    /// There is no home; the configuration is not to be trusted with running programs, or contradicts itself.
    pub fn new(config: &Config) -> Result<Self, AgentError> {
        let home = AgentHome::of(config)?;
        let sections = config.agent_sections()?;
        let asks = !sections.forward.is_empty() || !sections.alarms.is_empty();
        let ours = |owner: u32| owner == 0 || owner == effective_ids().0;
        if let Some(owner) = config.explanation.file_owner.filter(|owner| asks && !ours(*owner)) {
            return Err(AgentError::ForeignConfig(owner));
        }
        for alarm in &sections.alarms {
            let takes =
                |name: &String| sections.forward.iter().any(|one| one.name == *name && takes_alarms(one.records));
            if let Some(destination) = alarm.notify.iter().find(|name| !takes(name)) {
                return Err(AgentError::UnknownDestination {
                    alarm: alarm.name.clone(),
                    destination: destination.clone(),
                });
            }
        }
        Ok(Self { config: config.clone(), sections, home, clock: Arc::new(SystemClock::default()) })
    }

    /// Runs until SIGTERM or SIGINT, or once.
    ///
    /// # Errors
    /// Another agent runs; a destination cannot be used as it is configured; the home cannot be used.
    pub fn run(&self, options: Options) -> Result<Outcome, AgentError> {
        self.home.make()?;
        let _lock = self.home.lock()?;
        let failed = |what| move |source| AgentError::System { what, source };
        let stop = Stop::on_signals().map_err(failed("listen to signals"))?;
        let service = Service::of_environment();
        let board = Board::default();
        board.change(|status| {
            (status.pid, status.started, status.written) = (std::process::id(), self.clock.now(), self.clock.now());
        });
        let poll = Duration::from_millis(u64::from(self.sections.agent.poll_ms));
        let make = |config| Forwarder::new(config, &self.home, &board, &self.clock, poll);
        let mut forwarders = self.sections.forward.iter().map(make).collect::<Result<Vec<_>, _>>()?;
        let kms = self.kms()?;
        let mut watcher = match &kms {
            Some(kms) => Some(Watcher::new(&self.sections, kms, &self.home, &board, &self.clock)?),
            None => None,
        };
        let mut sealing = kms.as_ref().and_then(|kms| Sealing::new(&self.sections, kms, &board));
        if options.once {
            if let Some(watcher) = &mut watcher {
                watcher.catch_up();
            }
            drop(watcher);
            close(kms, sealing);
            // Each has its turn, whatever becomes of the others.
            let left = forwarders.iter_mut().map(|one| one.drain(None)).filter(|done| !done).count();
            board.store(&self.home);
            return Ok(if left == 0 { Outcome::Done } else { Outcome::Undelivered });
        }
        let ended = Stop::default();
        let mut workers = Vec::new();
        let mut watching = None;
        if let Some(mut watcher) = watcher {
            let stop = stop.clone();
            watching = Some(spawn("alarms", move || watcher.run(&stop))?);
        }
        let mut sealer = None;
        if let Some(mut one) = sealing.take() {
            let stop = stop.clone();
            sealer = Some(spawn("seal", move || {
                one.run(&stop);
                one
            })?);
        }
        for (mut forwarder, config) in forwarders.into_iter().zip(&self.sections.forward) {
            let ended = ended.clone();
            workers.push(spawn(&config.name, move || forwarder.run(&ended))?);
        }
        service.say("READY=1");
        let alive = self.tend(&stop, &service, &board, kms.as_deref(), || {
            let sealer = sealer.as_ref().is_none_or(|sealer| !sealer.is_finished());
            sealer && workers.iter().chain(&watching).all(|worker| !worker.is_finished())
        });
        service.say("STOPPING=1");
        stop.raise();
        let mut whole = alive;
        whole &= watching.is_none_or(|watching| watching.join().is_ok());
        let sealing = sealer.map(|sealer| sealer.join().ok());
        whole &= !matches!(sealing, Some(None));
        // The last records are its own, and are sealed and go out as well.
        close(kms, sealing.flatten());
        ended.raise();
        for worker in workers {
            whole &= worker.join().is_ok();
        }
        board.store(&self.home);
        if !whole {
            let source = std::io::Error::other("a thread of the agent ended");
            return Err(AgentError::System { what: "go on", source });
        }
        Ok(Outcome::Done)
    }

    /// The home, where the agent has anything to write there.
    fn kms(&self) -> Result<Option<Arc<Kms>>, AgentError> {
        let settings = self.sections.agent;
        if settings.heartbeat_s == 0 && settings.seal_s == 0 && self.sections.alarms.is_empty() {
            return Ok(None);
        }
        let kms = Kms::open(&self.config)?.ok_or_else(|| AgentError::NoHome(self.config.home.clone()))?;
        Ok(Some(Arc::new(kms)))
    }

    /// What is to be done from time to time, until `stop` or until a thread has ended; false in the latter case.
    fn tend(
        &self,
        stop: &Stop,
        service: &Service,
        board: &Board,
        kms: Option<&Kms>,
        all_run: impl Fn() -> bool,
    ) -> bool {
        let every = Duration::from_secs(u64::from(self.sections.agent.heartbeat_s));
        let (mut beat_due, mut beat) = (Duration::ZERO, 0);
        let (mut status_due, mut watchdog_due) = (Duration::ZERO, Duration::ZERO);
        loop {
            let now = self.clock.monotonic();
            if let Some(kms) = kms.filter(|_| !every.is_zero() && now >= beat_due) {
                beat_due = now.saturating_add(every);
                self.heartbeat(kms, board, beat, every);
                beat += 1;
            }
            if board.is_due() || now >= status_due {
                status_due = now.saturating_add(STATUS_EVERY);
                board.change(|status| status.written = self.clock.now());
                board.store(&self.home);
            }
            if let Some(time) = service.watchdog().filter(|_| now >= watchdog_due) {
                watchdog_due = now.saturating_add(time);
                service.say("WATCHDOG=1");
            }
            if stop.wait(TICK) {
                return true;
            }
            if !all_run() {
                return false;
            }
        }
    }

    fn heartbeat(&self, kms: &Kms, board: &Board, beat: u64, every: Duration) {
        match kms.note(&AuditNote::Heartbeat { beat, every }) {
            Ok(()) => board.change(|status| status.heartbeats = beat + 1),
            Err(e) => {
                let why = told(&e);
                say("heartbeat", &why);
                board.change(|status| status.last_error = Some(why));
            }
        }
    }
}

const fn takes_alarms(scope: RecordScope) -> bool {
    matches!(scope, RecordScope::Alarms | RecordScope::Events | RecordScope::All)
}

/// Ends our own segment, and seals it.
fn close(kms: Option<Arc<Kms>>, sealing: Option<Sealing>) {
    if let Some(kms) = kms
        && let Err(e) = kms.close()
    {
        say("audit", &told(&e));
    }
    if let Some(mut sealing) = sealing {
        sealing.catch_up();
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, AgentError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|source| AgentError::System { what: "start a thread", source })
}
