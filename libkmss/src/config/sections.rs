//! Sections that only the agent and some commands read. The module in its host process reads past them: it neither needs them
//! nor carries the code that understands them, and what is wrong in them does not stop it.

use std::path::Path;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::{AgentConfig, AlarmConfig, AnchorConfig, Config, ForwardConfig, file};
use crate::error::Result;

/// What the configuration says of watching the audit and bringing it elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentSections {
    /// Places elsewhere that keep checkpoints. Only `kmss` and the agent speak to them.
    pub anchors: Vec<AnchorConfig>,
    /// Where the agent sends records.
    pub forward: Vec<ForwardConfig>,
    /// The agent itself.
    pub agent: AgentConfig,
    /// What raises alarms in the agent.
    pub alarms: Vec<AlarmConfig>,
}

/// The file, but for all that the module reads: that was checked when it was loaded.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    audit: Audit,
    #[serde(deserialize_with = "super::alarm::alarms")]
    alarm: Vec<AlarmConfig>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Audit {
    anchor: Vec<AnchorConfig>,
    #[serde(deserialize_with = "super::agent::forwards")]
    forward: Vec<ForwardConfig>,
    agent: AgentConfig,
}

/// A section that the module reads past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Elsewhere;

impl<'de> Deserialize<'de> for Elsewhere {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(d).map(|_| Self)
    }
}

impl Config {
    /// What the file says to the agent, which the module reads past.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::error::ErrorKind::Config) with file and line for what cannot be understood.
    pub fn agent_sections(&self) -> Result<AgentSections> {
        AgentSections::parse(self.explanation.used().unwrap_or(Path::new("kmss.toml")), &self.text)
    }

    /// What the file says in sections that a door of its own reads, as `T`, which ignores all others.
    ///
    /// # Errors
    /// As [`Self::agent_sections`].
    pub fn section<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        file::parse(self.explanation.used().unwrap_or(Path::new("kmss.toml")), &self.text)
    }
}

impl AgentSections {
    /// Those of `text`, which is that of `path`.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        let File { audit, alarm } = file::parse(path, text)?;
        Ok(Self { anchors: audit.anchor, forward: audit.forward, agent: audit.agent, alarms: alarm })
    }
}
