//! The audit's seal: sealing, proving, verifying.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audit_proof::{Hash, Lineage, Note, RecordProof, VerifierKey};

use super::Kms;
use crate::audit::seal::{Anchored, Demands, Receipt, RecordName, SealOptions, SealSettings, Sealed};
use crate::audit::{Ownership, Progress, Report, Trail, verify_trail};
use crate::config::AuditConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::os::FileMode;

impl Kms {
    /// Verifies the whole audit trail, against what the store knows of it and against its seal.
    pub fn verify_audit(&self, progress: &mut dyn FnMut(&Progress)) -> Report {
        self.verify_audit_with(&Demands::default(), progress)
    }

    /// As [`Self::verify_audit`], with what an auditor brings along.
    pub fn verify_audit_with(&self, demands: &Demands, progress: &mut dyn FnMut(&Progress)) -> Report {
        let directory = Self::audit_directory(&self.config);
        let only = demands.only.as_ref();
        // The seal reads every record once more.
        let passes = if only.is_none() && self.sealer.checkpoint().is_ok_and(|found| found.is_some()) { 2 } else { 1 };
        let mut of_all = |now: &Progress| {
            progress(&Progress { bytes_total: now.bytes_total.saturating_mul(passes), ..*now });
        };
        let trail = Trail {
            dir: &directory,
            store: Some(self.store.as_ref()),
            suite: self.suite,
            only,
            sealer: Some(&self.sealer),
            archives: &demands.archives,
            stop: &demands.stop,
        };
        let mut report = verify_trail(&trail, &mut of_all);
        self.sealer.verify(&mut report, demands, progress);
        report
    }

    /// Seals what is new in the audit trail.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where the seal cannot be trusted, and those of the store.
    pub fn seal_audit(&self, options: &SealOptions) -> Result<Sealed> {
        self.sealer.seal(options)
    }

    /// The public keys of the audit's seal: the root key and every certificate. `None` before the first sealing.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn audit_keys(&self) -> Result<Option<Lineage>> {
        self.sealer.lineage()
    }

    /// The newest checkpoint, a signed note. `None` before the first sealing.
    ///
    /// # Errors
    /// As [`Self::audit_keys`].
    pub fn audit_checkpoint(&self) -> Result<Option<String>> {
        self.sealer.checkpoint()
    }

    /// The proof that a record is in the sealed audit trail; the record is in it unless it is `detached`. It may be in one of
    /// these archives.
    ///
    /// # Errors
    /// See [`Sealer::prove`](crate::audit::seal::Sealer::prove).
    pub fn prove_archived_audit(
        &self,
        record: &RecordName,
        detached: bool,
        archives: &[PathBuf],
    ) -> Result<RecordProof> {
        self.sealer.prove_from(record, detached, archives)
    }

    /// The newest checkpoint as witnesses want it, and the proof that the first `old` records are its beginning.
    ///
    /// # Errors
    /// See [`Sealer::submission`](crate::audit::seal::Sealer::submission).
    pub fn audit_submission(&self, old: u64) -> Result<(Note, Vec<Hash>)> {
        self.sealer.submission(old)
    }

    /// The key that witnesses know the log by.
    ///
    /// # Errors
    /// See [`Sealer::lasting_key`](crate::audit::seal::Sealer::lasting_key).
    pub fn audit_witness_key(&self) -> Result<VerifierKey> {
        self.sealer.lasting_key()
    }

    /// What the anchor `name` was told last.
    ///
    /// # Errors
    /// As [`Self::audit_keys`].
    pub fn audit_anchored(&self, name: &str) -> Result<Option<Anchored>> {
        self.sealer.anchored(name)
    }

    /// Keeps what the anchor `name` was told, and what it answered.
    ///
    /// # Errors
    /// See [`Sealer::keep_anchored`](crate::audit::seal::Sealer::keep_anchored).
    pub fn keep_audit_anchored(&self, name: &str, told: Anchored, receipt: Option<&Receipt>) -> Result<()> {
        self.sealer.keep_anchored(name, told, receipt)
    }
}

/// Gives files and directories of the audit the home's owner, group and mode.
pub(super) fn ownership(mode: FileMode) -> Arc<Ownership> {
    Arc::new(move |file: &File| {
        let failed = |e| Error::new(ErrorKind::AuditUnavailable, "cannot set the owner of a segment").with_source(e);
        mode.apply(file).map_err(failed)
    })
}

/// What the configuration says of the seal.
pub(super) fn settings(config: &AuditConfig) -> SealSettings {
    let epoch = Duration::from_secs(u64::from(config.epoch_hours) * 3600);
    SealSettings { origin: config.origin.clone(), epoch }
}
