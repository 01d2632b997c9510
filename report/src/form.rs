//! The form of a report.

use libkmss::audit::seal::SealReport;
use libkmss::clock::Timestamp;
use libkmss::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::coverage::Standard;
use super::ledger::{CertificateRow, KeyRow, Token};
use super::period::{Period, rfc3339, rfc3339_or_null};
use super::rows::Table;
use super::trail::{Day, DayKey, LoginKey, Logins, Records, RefusalKey, Times, Use, UseKey, WeakKey};

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;

/// What every form of a report says of itself.
#[derive(Deserialize)]
struct Form {
    schema: u32,
}

/// A report.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form.
    pub schema: u32,
    /// The version of KMSS that made it.
    pub kmss: String,
    /// When.
    #[serde(with = "rfc3339")]
    pub generated: Timestamp,
    /// About which home.
    pub home: String,
    /// Its cipher suite.
    pub suite: String,
    /// About which time.
    pub period: Period,
    /// Days after which a key is due for rotation.
    pub max_age_days: u64,
    /// What is to be known before reading on.
    pub statement: String,
    /// What the report does not cover though it should.
    pub missing: Vec<String>,
    /// The tokens.
    pub tokens: Vec<Token>,
    /// The keys, a pair being one.
    pub keys: Vec<KeyRow>,
    /// The certificates.
    pub certificates: Vec<CertificateRow>,
    /// Operations by day.
    pub days: Table<DayKey, Day>,
    /// Uses by key and principal.
    pub uses: Table<UseKey, Use>,
    /// What was refused.
    pub denials: Table<RefusalKey, Times>,
    /// What was admitted and failed.
    pub failures: Table<RefusalKey, Times>,
    /// Attempts to log in.
    pub logins: Table<LoginKey, Logins>,
    /// What was changed.
    pub changes: Changes,
    /// Weak mechanisms that were used.
    pub weak_mechanisms: Table<WeakKey, Times>,
    /// The audit trail itself.
    pub audit: Audit,
    /// What of which standard that evidences.
    pub coverage: Vec<Standard>,
}

/// The audit trail itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Audit {
    /// `whole`, `tampered` or `unverified`; `null` where nobody verified it.
    pub verdict: Option<String>,
    /// Segments that were verified.
    pub segments: usize,
    /// Records in them.
    pub verified_records: u64,
    /// What was found, in sentences; at most 100.
    pub findings: Vec<String>,
    /// Its seal; `null` where nothing is sealed, or nobody verified it.
    pub seal: Option<Seal>,
    /// How many days the trail goes back.
    pub trail_days: u64,
    /// Its records.
    #[serde(flatten)]
    pub records: Records,
}

impl Report {
    /// A report from its JSON form, which a server made, perhaps of another version.
    ///
    /// # Errors
    /// [`ErrorKind::TooNew`] for a form that is newer than [`SCHEMA`]; [`ErrorKind::DataInvalid`] where it is none.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let invalid = |e| Error::new(ErrorKind::DataInvalid, "the report cannot be read").with_source(e);
        let Form { schema } = serde_json::from_slice(json).map_err(invalid)?;
        if schema > SCHEMA {
            let why = format!(
                "the report was made by a newer KMSS, in form {schema}; forms up to {SCHEMA} are read here: use a command \
                 as new as the server"
            );
            return Err(Error::new(ErrorKind::TooNew, why));
        }
        serde_json::from_slice(json).map_err(invalid)
    }
}

/// What signed checkpoints say of the trail.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seal {
    /// Records that agree with the newest checkpoint.
    pub records: u64,
    /// Records behind it.
    pub unsealed: u64,
    /// When it was signed.
    #[serde(with = "rfc3339_or_null")]
    pub time: Option<Timestamp>,
    /// Places elsewhere that keep checkpoints, as far as configured.
    pub anchors: usize,
    /// Of these: those with a checkpoint that agrees.
    pub anchors_agree: usize,
}

impl Seal {
    pub(crate) fn of(seal: &SealReport) -> Option<Self> {
        seal.time.map(|time| Self {
            records: seal.checked,
            unsealed: seal.unsealed,
            time: Some(Timestamp(time)),
            anchors: seal.anchors.len(),
            anchors_agree: seal.anchors.iter().filter(|anchor| anchor.agree > 0).count(),
        })
    }
}
