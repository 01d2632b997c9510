//! Where the home is, and every setting.
//!
//! The first of these that there is: the file that `KMSS_CONF` names; the home that `KMSS_HOME` names, with its own
//! `kmss.toml`; `~/.config/kmss/kmss.toml`; `/etc/kmss/kmss.toml`; the default home (`/var/lib/kmss` for root,
//! `~/.local/share/kmss` for everybody else), with its own `kmss.toml`. `KMSS_HOME` also overrides the home that the file
//! of `KMSS_CONF` names. The environment is ignored in programs that run with more rights than their caller has.

mod agent;
mod alarm;
mod anchor;
mod file;
mod hsm;
mod hsm_group;
mod quirks;
mod remote;
mod search;
mod sections;

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;
use crate::suite::Suite;

pub use agent::{AgentConfig, Endpoint, ForwardConfig, RecordFilter, RecordFormat, RecordScope, StartFrom};
pub use alarm::{AlarmCondition, AlarmConfig, Hours, Measure, Per, Severity};
pub use anchor::{AnchorConfig, AnchorPlace};
pub use hsm::{HsmConfig, PinSource};
pub use hsm_group::HsmGroupConfig;
pub use quirks::{AttributeReads, GcmIv, PointForm, PssSalt, Quirks, SmNumbers};
pub use remote::{RemoteConfig, Routing};
pub use search::{Considered, Explanation, HomeSource, Outcome};
pub use sections::AgentSections;
use sections::Elsewhere;

/// Every setting, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the home is (absolute; it need not exist).
    pub home: PathBuf,
    /// The suite that a new home gets.
    pub suite: Suite,
    /// PINs.
    pub pin: PinConfig,
    /// The store.
    pub store: StoreConfig,
    /// The audit.
    pub audit: AuditConfig,
    /// Policies. Nobody is their admin where the file's owner has no say in that.
    pub policy: PolicyConfig,
    /// Who processes are; the first rule that matches counts. Empty where the file's owner has no say in that.
    pub principals: Vec<PrincipalRule>,
    /// Quotas beside those that are set with the command. None where the file's owner has no say in that.
    pub quotas: Vec<QuotaRule>,
    /// HSMs. None where the file belongs to neither root nor the user of the process, into which their modules are loaded.
    pub hsms: Vec<HsmConfig>,
    /// Groups of them.
    pub hsm_groups: Vec<HsmGroupConfig>,
    /// Servers that keep keys, each a backend. None where the file's owner has no say in that.
    pub remotes: Vec<RemoteConfig>,
    /// How all this was found.
    pub explanation: Explanation,
    /// The file that counts, for the sections that are read only where they are needed; empty where there is none.
    pub text: Arc<str>,
}

impl Config {
    /// The configuration of this process.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::error::ErrorKind::Config) with file and line for what cannot be understood,
    /// [`ErrorKind::HomeUnsafe`](crate::error::ErrorKind::HomeUnsafe) for a file that others can write.
    pub fn load() -> Result<Self> {
        search::Surroundings::of_process()?.load()
    }

    /// The same settings on another home, as `kmss --home` asks for. The rules stay only if the file's owner has a say in
    /// that home too.
    #[must_use]
    pub fn at(mut self, home: PathBuf) -> Self {
        self.explanation.judge_rules(
            &home,
            &mut self.principals,
            &mut self.policy,
            &mut self.quotas,
            &mut self.remotes,
        );
        self.home = home;
        self.explanation.home = HomeSource::Caller;
        self
    }
}

/// Settings of PINs; they apply to PINs set from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PinConfig {
    /// Wrong attempts until a PIN locks, 1 to 100.
    #[serde(deserialize_with = "file::within::<1, 100, _>")]
    pub max_attempts: u32,
    /// Shortest PIN in bytes, 4 to 255.
    #[serde(deserialize_with = "file::within::<4, 255, _>")]
    pub min_length: u32,
}

impl Default for PinConfig {
    fn default() -> Self {
        Self { max_attempts: 10, min_length: 4 }
    }
}

/// Settings of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// How long a write waits for another process, in milliseconds, 1 to 600,000.
    #[serde(deserialize_with = "file::within::<1, 600_000, _>")]
    pub busy_timeout_ms: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { busy_timeout_ms: 5_000 }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
/// Settings of the audit. Refusals and failures are always recorded; these add successes that are many and tell little.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Record each generation of random bytes.
    pub record_random: bool,
    /// Record each digest.
    pub record_digest: bool,
    /// Record each search for objects.
    pub record_find: bool,
    /// Record each operation with a session key, instead of counts of them.
    pub record_session_operations: bool,
    /// A new segment begins when one has reached this many bytes, 1 MiB to 1 GiB.
    #[serde(deserialize_with = "file::within::<0x10_0000, 0x4000_0000, _>")]
    pub segment_bytes: u32,
    /// A new segment begins when one is so many days old, up to 3,650; 0 for never.
    #[serde(deserialize_with = "file::within::<0, 3_650, _>")]
    pub segment_days: u32,
    /// Bytes that each segment in use has beside it for its records while the disk is full, up to 64 MiB; 0 for none.
    #[serde(deserialize_with = "file::within::<0, 0x400_0000, _>")]
    pub emergency_bytes: u32,
    /// Whether any process that opens its audit seals what others left, where nobody did for five minutes; otherwise `kmss
    /// audit seal` and the agent alone do.
    pub seal: bool,
    /// Name of the log that a home's first sealing begins, such as `example.com/audit`; drawn by chance where it is empty.
    #[serde(deserialize_with = "file::log_name")]
    pub origin: String,
    /// After how many hours the key that signs checkpoints hands over to a new one and is erased, up to 8,760; 0 for never.
    #[serde(deserialize_with = "file::within::<0, 8_760, _>")]
    pub epoch_hours: u32,
    /// Whether `kmss audit seal` and the agent compress segments that ended.
    pub compress: bool,
    /// How many days after its last record a segment is compressed, up to 3,650; 0 for as soon as it is sealed.
    #[serde(deserialize_with = "file::within::<0, 3_650, _>")]
    pub compress_days: u32,
    /// How many days after its last record a segment is removed by `kmss audit seal`, `kmss audit prune` and the agent, up to
    /// 36,500; 0 for never.
    #[serde(deserialize_with = "file::within::<0, 36_500, _>")]
    pub keep_days: u32,
    #[serde(rename = "anchor")]
    _anchor: Elsewhere,
    #[serde(rename = "forward")]
    _forward: Elsewhere,
    #[serde(rename = "agent")]
    _agent: Elsewhere,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            record_random: false,
            record_digest: false,
            record_find: false,
            record_session_operations: false,
            segment_bytes: 64 << 20,
            segment_days: 0,
            emergency_bytes: 0,
            seal: true,
            origin: String::new(),
            epoch_hours: 24,
            compress: false,
            compress_days: 1,
            keep_days: 0,
            _anchor: Elsewhere,
            _forward: Elsewhere,
            _agent: Elsewhere,
        }
    }
}

/// Settings of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Processes that may change policies and trust anchors, beside the security officer: `kind:name`.
    #[serde(deserialize_with = "file::principal_names")]
    pub admins: Vec<String>,
    /// Whether the authors of policies are trusted not to attack the processor. Those who are not have their policies
    /// interpreted instead of compiled, ten times slower.
    pub trust: PolicyTrust,
}

/// See [`PolicyConfig::trust`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyTrust {
    /// Policies are compiled to machine code.
    #[default]
    Trusted,
    /// Policies are interpreted.
    Untrusted,
}

/// A `[[principal]]` rule: a process, or a client of the server, that has everything it names is `name`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalRule {
    /// Effective user of the process.
    pub uid: Option<u32>,
    /// Effective group of the process.
    pub gid: Option<u32>,
    /// The program it runs: an absolute path, as the kernel names it.
    #[serde(default, deserialize_with = "file::absolute")]
    pub executable: Option<PathBuf>,
    /// A name in the certificate of a server's client: `URI:…`, `DNS:…` or `email:…`. No process has one.
    pub san: Option<String>,
    /// The token (namespace) it works in.
    pub token: Option<String>,
    /// Who it is: `kind:name`, for example `service:order-v1`.
    #[serde(deserialize_with = "file::principal_name")]
    pub name: String,
    /// The roles it has.
    #[serde(default, deserialize_with = "file::role_names")]
    pub roles: Vec<String>,
}

/// A `[[quota]]`: docs/quotas.md says what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaRule {
    /// Its name.
    pub name: String,
    /// For a tenant.
    pub tenant: Option<String>,
    /// For the tokens of this label.
    pub token: Option<String>,
    /// For whoever is called so: `kind:name`.
    pub principal: Option<String>,
    /// For the keys of this name.
    pub key: Option<String>,
    /// What is counted apart: `tenant`, `token`, `principal`, `key`.
    #[serde(default)]
    pub each: Vec<String>,
    /// The actions that count; without any, all that use or make keys.
    #[serde(default)]
    pub actions: Vec<String>,
    /// Operations in any second.
    pub per_second: Option<u32>,
    /// Operations at once.
    pub burst: Option<u32>,
    /// Operations in a day of UTC.
    pub per_day: Option<u64>,
    /// Operations ever.
    pub total: Option<u64>,
    /// Bytes of data in a day of UTC.
    pub bytes_per_day: Option<u64>,
    /// Bytes of data ever.
    pub bytes_total: Option<u64>,
}

#[cfg(test)]
mod tests;
