//! What a server says of its audit: its own verification, proofs, keys and checkpoints.

use std::ops::ControlFlow;

use audit_proof::Lineage;
use libkmss::audit::seal::{Demands, RecordName};
use libkmss::audit::{Progress, Report};
use remote::client::Client;
use remote::proto::{self, verify_audit_response::Kind};

use crate::output::Failure;

/// What the server finds in its own trail, held against what we have of it.
///
/// # Errors
/// It cannot be asked, or not for that.
pub(super) fn verify(server: &Client, demands: Demands, told: &mut dyn FnMut(&Progress)) -> Result<Report, Failure> {
    if !demands.archives.is_empty() {
        return Err("--archive names a folder of the server's host: run it there".into());
    }
    let span = demands.only.unwrap_or_default();
    let name = |record: Option<RecordName>| record.map(|record| record.to_string()).unwrap_or_default();
    let anchor = |(name, checkpoints)| proto::AuditAnchor { name, checkpoints };
    let request = proto::VerifyAuditRequest {
        since_ms: span.since.map(|since| since.0),
        until_ms: span.until.map(|until| until.0),
        first: name(span.first),
        last: name(span.last),
        key: demands.key.map(|key| key.to_string()).unwrap_or_default(),
        anchors: demands.anchors.into_iter().map(anchor).collect(),
    };
    let mut report = None;
    server.listen(&request, |part| {
        match part.kind {
            Some(Kind::Progress(at)) => {
                let proto::VerifyAuditProgress { bytes, bytes_total, records } = at;
                told(&Progress { bytes, bytes_total, records, ..Progress::default() });
            }
            Some(Kind::Report(text)) => report = Some(text),
            None => {}
        }
        ControlFlow::Continue(())
    })?;
    let report = report.ok_or("the server ended before it had verified everything")?;
    Ok(serde_json::from_str(&report).map_err(|e| format!("the server's report cannot be read: {e}"))?)
}

/// The proof of a record.
///
/// # Errors
/// It is not sealed yet, or the server cannot be asked.
pub(super) fn prove(server: &Client, record: String, detached: bool) -> Result<String, Failure> {
    Ok(server.ask(proto::ProveAuditRequest { record, detached })?.proof)
}

/// The public keys; `None` where nothing is sealed yet.
///
/// # Errors
/// The server cannot be asked.
pub(super) fn keys(server: &Client) -> Result<Option<Lineage>, Failure> {
    let lineage = server.ask(proto::GetAuditKeysRequest {})?.lineage;
    if lineage.is_empty() { Ok(None) } else { Ok(Some(Lineage::parse(&lineage)?)) }
}

/// The key that witnesses know the log by; `None` where nothing is sealed yet.
///
/// # Errors
/// The server cannot be asked.
pub(super) fn witness_key(server: &Client) -> Result<Option<String>, Failure> {
    let key = server.ask(proto::GetAuditKeysRequest {})?.witness_key;
    Ok((!key.is_empty()).then_some(key))
}

/// The newest checkpoint; `None` where nothing is sealed yet.
///
/// # Errors
/// The server cannot be asked.
pub(super) fn checkpoint(server: &Client) -> Result<Option<String>, Failure> {
    let checkpoint = server.ask(proto::GetAuditCheckpointRequest {})?.checkpoint;
    Ok((!checkpoint.is_empty()).then_some(checkpoint))
}
