//! What the agent says of itself, in a file that anybody who may read the home can look at.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use libkmss::audit::{AuditFollower, Cursor, replace_file};
use libkmss::clock::Timestamp;
use libkmss::config::Config;
use serde::{Deserialize, Serialize};

use crate::error::AgentError;
use crate::home::{ALARMS, AgentHome};

/// The file.
const FILE: &str = "status.json";

/// How a destination fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing was tried yet.
    #[default]
    Idle,
    /// The last attempt succeeded.
    Up,
    /// The last attempt failed.
    Down,
    /// It is no longer configured, and what it did not get waits for it all the same.
    Abandoned,
}

/// What is known of a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// How it fares.
    pub state: State,
    /// Records that were delivered since the agent was started.
    pub delivered: u64,
    /// When the last of them were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<Timestamp>,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Why the last one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Timestamp>,
    /// Bytes of the audit that it has not got yet.
    #[serde(default)]
    pub lag_bytes: u64,
    /// The newest record that it has got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// When that one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_time: Option<Timestamp>,
}

/// What is known of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Whether one runs.
    #[serde(default)]
    pub running: bool,
    /// The process that wrote this last.
    pub pid: u32,
    /// When it was started.
    pub started: Timestamp,
    /// When it wrote this.
    pub written: Timestamp,
    /// Heartbeats since then.
    pub heartbeats: u64,
    /// Alarms since then.
    pub alarms: u64,
    /// Why the last attempt to watch or record failed, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// By name.
    pub destinations: BTreeMap<String, DestinationStatus>,
}

impl AgentStatus {
    /// What the files of the home say, with what waits now.
    ///
    /// # Errors
    /// There is no home; its files cannot be read.
    pub fn read(config: &Config) -> Result<Self, AgentError> {
        let home = AgentHome::of(config)?;
        let configured = config.agent_sections()?.forward;
        let mut status = match std::fs::read(home.file(FILE)) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(_) => Self::default(),
        };
        status.running = home.is_running();
        for name in home.cursors()? {
            if !configured.iter().any(|one| one.name == name) && name != ALARMS {
                status.destinations.entry(name).or_default().state = State::Abandoned;
            }
        }
        for forward in &configured {
            status.destinations.entry(forward.name.clone()).or_default();
        }
        for (name, destination) in &mut status.destinations {
            // What cannot be read is read from its beginning again.
            let cursor = Cursor::load(&home.cursor(name)).ok().flatten().unwrap_or_default();
            if let Some((segment, position)) = cursor.segments.iter().max_by_key(|(_, position)| position.time) {
                destination.newest = Some(format!("{segment}:{}", position.seq));
                destination.newest_time = Some(position.time);
            }
            destination.lag_bytes = AuditFollower::new(home.audit().to_owned(), cursor).lag()?;
        }
        Ok(status)
    }
}

/// The status that all threads write to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<Mutex<AgentStatus>>, Arc<AtomicBool>);

impl Board {
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut AgentStatus) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn of(&self, name: &str, change: impl FnOnce(&mut DestinationStatus)) {
        self.change(|status| change(status.destinations.entry(name.to_owned()).or_default()));
    }

    /// Something happened that somebody may wait for.
    pub(crate) fn announce(&self) {
        self.1.store(true, Ordering::Release);
    }

    /// Whether something happened since it was written down.
    pub(crate) fn is_due(&self) -> bool {
        self.1.swap(false, Ordering::AcqRel)
    }

    /// Writes it down.
    pub(crate) fn store(&self, home: &AgentHome) {
        let text = self.change(|status| serde_json::to_vec_pretty(status));
        if let Ok(text) = text {
            // Whoever looks sees by its time that it is old.
            let _ = replace_file(&home.file(FILE), home.mode(), &text);
        }
    }
}
