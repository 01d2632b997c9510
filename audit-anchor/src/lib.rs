//! Brings checkpoints of the audit's seal to places elsewhere, and keeps what these answer.
//!
//! Used by the `kmss` command and the agent: nothing of this runs in a host process.

mod error;
mod file;
mod http;
mod timestamp;
mod witness;

use audit_proof::{Checkpoint, Note};
use libkmss::audit::seal::{Anchored, Receipt};
use libkmss::clock::Timestamp;
use libkmss::config::{AnchorConfig, AnchorPlace};
use libkmss::kms::Kms;

pub use crate::error::AnchorError;
use crate::http::Client;

/// What became of one anchor.
#[derive(Debug)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// Records of the checkpoint that it has now; `None` where it was not yet time, or there is nothing new.
    pub size: Result<Option<u64>, AnchorError>,
}

/// Brings the newest checkpoint to every anchor for which it is time, or to all where it is `urgent`. One that fails keeps no
/// other from being told, and is told the next time.
pub fn tell_all(kms: &Kms, anchors: &[AnchorConfig], urgent: bool) -> Vec<Told> {
    let told = |anchor: &AnchorConfig| Told { name: anchor.name.clone(), size: tell(kms, anchor, urgent) };
    anchors.iter().map(told).collect()
}

fn tell(kms: &Kms, anchor: &AnchorConfig, urgent: bool) -> Result<Option<u64>, AnchorError> {
    let Some(text) = kms.audit_checkpoint()? else { return Ok(None) };
    let note = Note::parse(&text)?;
    let checkpoint = Checkpoint::parse(note.text())?;
    let before = kms.audit_anchored(&anchor.name)?;
    if let Some(before) = before.filter(|_| !urgent) {
        let waited = kms.now().0.saturating_sub(before.time.0);
        if waited < u64::from(anchor.every_minutes) * 60_000 || checkpoint.time() <= Some(before.time.0) {
            return Ok(None);
        }
    }
    let client = || Client::new(anchor.ca_file.as_deref());
    let receipt = match &anchor.place {
        AnchorPlace::File(path) => {
            file::append(path, &text)?;
            None
        }
        AnchorPlace::Http(url) => {
            client()?.post(url, "text/plain; charset=utf-8", text.as_bytes())?.accepted(url)?;
            None
        }
        AnchorPlace::Witness { url, key } => {
            let known = before.map_or(0, |b| b.size);
            Some(witness::cosign(kms, &client()?, (url, &key.parse()?), known)?)
        }
        AnchorPlace::Timestamp(url) => {
            let token = timestamp::stamp(&client()?, url, text.as_bytes())?;
            Some(Receipt { checkpoint: text.clone(), token: Some(("tsr", token)) })
        }
    };
    let size = match &receipt {
        // A witness may have been asked for a newer one.
        Some(receipt) => Checkpoint::parse(Note::parse(&receipt.checkpoint)?.text())?.size,
        None => checkpoint.size,
    };
    let time = checkpoint.time().map_or_else(|| kms.now(), Timestamp);
    kms.keep_audit_anchored(&anchor.name, Anchored { size, time }, receipt.as_ref())?;
    Ok(Some(size))
}
