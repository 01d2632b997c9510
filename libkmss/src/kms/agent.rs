//! What the process beside the others adds to the home: its records.

use super::Kms;
use crate::audit::AuditNote;
use crate::error::Result;

impl Kms {
    /// Records what the agent has to say: that it lives, or what alarmed it. Alarms are on the disk when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`](crate::error::ErrorKind::AuditUnavailable).
    pub fn note(&self, note: &AuditNote<'_>) -> Result<()> {
        self.audit.note(note)
    }
}
