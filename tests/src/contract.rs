//! The contract of backends, run in this process over a throw-away home.

use std::sync::Arc;

use backend_contract::{Bench, Group, Outcome, Report, run};
use libkmss::backend::Backend;
use libkmss::config::Config;
use libkmss::kms::Kms;
use libkmss::secret::Secret;
use libkmss::tenant::BackendId;
use tempfile::TempDir;

/// The officer's PIN of every token here.
pub const OFFICER: &[u8] = b"officer-5678";

/// A throw-away home in this process.
pub struct Lab {
    /// The home's folder, which goes with it.
    pub folder: TempDir,
    /// The home.
    pub kms: Kms,
}

impl Lab {
    /// A home whose configuration `adjust` changes, with `more` backends.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[must_use]
    pub fn new(adjust: impl FnOnce(&mut Config), more: Vec<Arc<dyn Backend>>) -> Self {
        let folder = tempfile::Builder::new().prefix("kmss-contract-").tempdir().expect("a folder can be made");
        let mut config = Config::load().expect("no configuration is in the way").at(folder.path().join("home"));
        adjust(&mut config);
        let kms = Kms::create_with(&config, None, more).expect("a home can be made");
        Self { folder, kms }
    }

    /// A bench for the backend of this name.
    ///
    /// # Panics
    /// Where there is no such backend.
    #[must_use]
    pub fn bench(&self, backend: &'static str) -> Bench<'_> {
        let officer = Secret::copy_of(OFFICER);
        Bench::new(&self.kms, BackendId(backend.into()), "contract", &officer).expect("the backend is there")
    }

    /// Runs the suite over the backend of this name, all of it.
    ///
    /// # Panics
    /// Where keys are left behind.
    #[must_use]
    pub fn contract(&self, backend: &'static str) -> Vec<Report> {
        let reports = run(&self.bench(backend), |_| true, |_| {});
        let reports = reports.unwrap_or_else(|refusal| panic!("keys are left behind: {refusal}"));
        self.kms.close().expect("the audit can be closed");
        reports
    }
}

/// Asks that nothing failed, and tells what did.
///
/// # Panics
/// With every failure.
#[track_caller]
pub fn all_hold(reports: &[Report]) {
    let failed: Vec<String> = reports
        .iter()
        .filter_map(|report| match &report.outcome {
            Outcome::Failed(why) => Some(format!("[{}] {}: {why}", report.group.name(), report.name)),
            _ => None,
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} behaviours failed:\n{}", failed.len(), reports.len(), failed.join("\n"));
}

/// The names of what is not offered.
#[must_use]
pub fn not_offered(reports: &[Report]) -> Vec<String> {
    let names = reports.iter().filter(|report| matches!(report.outcome, Outcome::NotOffered(_)));
    names.map(|report| report.name.clone()).collect()
}

/// How many behaviours of a group are offered.
#[must_use]
pub fn offered(reports: &[Report], group: Group) -> usize {
    reports.iter().filter(|report| report.group == group && report.outcome == Outcome::Passed).count()
}
