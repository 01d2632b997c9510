//! The whole audit: read from the beginning, verified, proven.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libkmss::audit::seal::Demands;
use libkmss::audit::{Entry, Progress};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::BackendId;
use tokio::sync::mpsc;

use super::Server;
use super::audit::record;
use super::bridge::Way;
use super::call::{Asked, Call};
use super::route::Context;
use crate::proto::{self, verify_audit_response};

/// Bytes of records in one message.
const PART: usize = 256 << 10;
/// Messages that wait to be fetched.
const AHEAD: usize = 4;
/// How long a message waits for whoever asked: a thread is held meanwhile.
const WAIT: Duration = Duration::from_secs(30);
/// Bytes after which it is told how far the verification is.
const STEP: u64 = 4 << 20;

/// What goes to somebody who fetches it, message by message, from a thread that reads.
pub(super) struct Outlet<T> {
    out: mpsc::Sender<Result<T>>,
    server: Arc<Server>,
    gone: bool,
}

impl<T: Send> Outlet<T> {
    /// Hands a message over. Nobody who is gone, or slow for too long, holds the thread.
    pub(super) fn put(&mut self, message: Result<T>) {
        if self.gone || *self.server.stopping.borrow() {
            self.gone = true;
            return;
        }
        let handle = tokio::runtime::Handle::current();
        let sent = handle.block_on(async { tokio::time::timeout(WAIT, self.out.send(message)).await });
        self.gone = !matches!(sent, Ok(Ok(())));
    }
}

impl Server {
    /// Does `work` among what takes long, for whom `admit` admits; what it puts out is fetched from the channel.
    pub(super) async fn pour<T: Send + 'static>(
        self: &Arc<Self>,
        (method, context): (&'static str, &Context),
        way: Way,
        admit: fn(&Asked<'_>) -> Result<()>,
        work: impl FnOnce(&Asked<'_>, &mut Outlet<T>) -> Result<()> + Send + 'static,
    ) -> Result<mpsc::Receiver<Result<T>>> {
        let told = self.told(method, context);
        let (server, peer) = (Arc::clone(self), Arc::clone(&context.connection));
        let admitted = move || {
            let host = &*server.host;
            let caller = host.beyond(&peer, None)?;
            admit(&Asked { method, server: &server, host, connection: &peer, caller: caller.clone(), call: None })?;
            Ok(caller)
        };
        let admitted = self.bridge.cross(&BackendId::soft(), context.deadline, admitted).await;
        let (caller, share) = match admitted.and_then(|caller| Ok((caller, self.share(way, &context.connection)?))) {
            Ok(admitted) => admitted,
            Err(refusal) => return told.refused(refusal),
        };
        let (out, messages) = mpsc::channel(AHEAD);
        let (server, peer) = (Arc::clone(self), Arc::clone(&context.connection));
        tokio::spawn(async move {
            let (deadline, refused, inner) = (server.deadline(), out.clone(), Arc::clone(&server));
            let read = move || {
                let _share = share;
                let mut outlet = Outlet { out, server: Arc::clone(&inner), gone: false };
                let who = Asked { method, server: &inner, host: &inner.host, connection: &peer, caller, call: None };
                work(&who, &mut outlet)
            };
            let done = server.bridge.cross_beside(way, deadline, read).await;
            told.end(&done);
            if let Err(error) = done {
                let _ = refused.send(Err(error)).await;
            }
        });
        Ok(messages)
    }

    /// Every record that `asked` wants.
    pub(super) async fn read_audit(
        self: &Arc<Self>,
        context: &Context,
        asked: proto::ReadAuditRequest,
    ) -> Result<mpsc::Receiver<Result<proto::ReadAuditResponse>>> {
        self.pour(
            ("ReadAudit", context),
            Way::Long,
            |who| who.auditor(),
            move |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let (mut part, mut size) = (Vec::new(), 0_usize);
                let tail = who.tail(asked.filter);
                tail.visit_while(&mut |entry: &Entry| {
                    size = size.saturating_add(entry.raw.len());
                    part.push(record(entry.clone()));
                    if size >= PART {
                        size = 0;
                        outlet.put(Ok(proto::ReadAuditResponse { records: std::mem::take(&mut part) }));
                    }
                    if outlet.gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                outlet.put(Ok(proto::ReadAuditResponse { records: part }));
                Ok(())
            },
        )
        .await
    }

    /// What the server finds in its own trail.
    pub(super) async fn verify_audit(
        self: &Arc<Self>,
        context: &Context,
    ) -> Result<mpsc::Receiver<Result<proto::VerifyAuditResponse>>> {
        self.pour(
            ("VerifyAudit", context),
            Way::Long,
            |who| who.auditor(),
            |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let mut told = 0;
                let demands = Demands::default();
                let report = who.host.kms.verify_audit_with(&demands, &mut |progress: &Progress| {
                    if progress.bytes >= told + STEP {
                        told = progress.bytes;
                        let Progress { bytes, bytes_total, records, .. } = *progress;
                        let progress = proto::VerifyAuditProgress { bytes, bytes_total, records };
                        let kind = Some(verify_audit_response::Kind::Progress(progress));
                        outlet.put(Ok(proto::VerifyAuditResponse { kind }));
                        demands.stop.store(outlet.gone, Ordering::Relaxed);
                    }
                });
                if outlet.gone {
                    return Err(Error::new(ErrorKind::OperationInactive, "nobody waited for the report"));
                }
                let unsaid = |e| Error::new(ErrorKind::Internal, "the report cannot be written").with_source(e);
                let report = serde_json::to_string(&report).map_err(unsaid)?;
                let kind = Some(verify_audit_response::Kind::Report(report));
                outlet.put(Ok(proto::VerifyAuditResponse { kind }));
                Ok(())
            },
        )
        .await
    }
}

impl Call for proto::ProveAuditRequest {
    type Answer = proto::ProveAuditResponse;
    const METHOD: &'static str = "ProveAudit";
    const WAY: Way = Way::Long;
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ProveAuditResponse> {
        asked.auditor()?;
        let proof = asked.host.kms.prove_archived_audit(&self.record.parse()?, self.detached, &[])?;
        Ok(proto::ProveAuditResponse { proof: proof.to_string() })
    }
}

impl Call for proto::GetAuditKeysRequest {
    type Answer = proto::GetAuditKeysResponse;
    const METHOD: &'static str = "GetAuditKeys";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GetAuditKeysResponse> {
        asked.auditor()?;
        let kms = &asked.host.kms;
        Ok(match kms.audit_keys()? {
            Some(lineage) => proto::GetAuditKeysResponse {
                lineage: lineage.to_string(),
                witness_key: kms.audit_witness_key()?.to_string(),
            },
            None => proto::GetAuditKeysResponse::default(),
        })
    }
}

impl Call for proto::GetAuditCheckpointRequest {
    type Answer = proto::GetAuditCheckpointResponse;
    const METHOD: &'static str = "GetAuditCheckpoint";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GetAuditCheckpointResponse> {
        asked.auditor()?;
        let checkpoint = asked.host.kms.audit_checkpoint()?.unwrap_or_default();
        Ok(proto::GetAuditCheckpointResponse { checkpoint })
    }
}
