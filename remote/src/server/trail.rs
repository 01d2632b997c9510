//! The whole audit: read from the beginning, verified, proven.

use std::sync::Arc;
use std::time::Duration;

use libkmss::audit::{Entry, Progress};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::BackendId;
use tokio::sync::mpsc;

use super::Server;
use super::audit::record;
use super::call::{Asked, Call};
use super::peer::Connection;
use crate::proto::{self, verify_audit_response};

/// Bytes of records in one message.
const PART: usize = 256 << 10;
/// Messages that wait to be fetched.
const AHEAD: usize = 4;
/// How often whoever listens hears that the work goes on, where there is nothing else to say: an empty message.
const ALIVE: Duration = Duration::from_secs(1);
/// Bytes after which it is told how far the verification is.
const STEP: u64 = 4 << 20;

/// What goes to somebody who fetches it, message by message, from a thread that reads.
pub(super) struct Outlet<T> {
    out: mpsc::Sender<Result<T>>,
    server: Arc<Server>,
    gone: bool,
}

impl<T: Send> Outlet<T> {
    /// Hands a message over. Nobody who is gone, or who takes longer than a call may, holds the thread, and nobody who is slow
    /// the end of the server.
    pub(super) fn put(&mut self, message: Result<T>) {
        let mut stopping = self.server.stopping.subscribe();
        if self.gone || *stopping.borrow() {
            self.gone = true;
            return;
        }
        let patience = self.server.config.max_deadline();
        let sent = tokio::runtime::Handle::current().block_on(async {
            tokio::select! {
                sent = tokio::time::timeout(patience, self.out.send(message)) => matches!(sent, Ok(Ok(()))),
                () = super::listen::stopped(&mut stopping) => false,
            }
        });
        self.gone = !sent;
    }

    /// What somebody who listens still is told at the end: a stream that was cut off never ends as one that is whole.
    fn end(&self) -> Result<()> {
        if self.gone && !self.out.is_closed() {
            let why = "it was cut off: the server stops, or what it said was not taken in time";
            tracing::info!(reason = why, "a stream ends early");
            return Err(Error::new(ErrorKind::Busy, why));
        }
        Ok(())
    }
}

impl Server {
    /// Does `work` among what takes long, for whom `admit` admits; what it puts out is fetched from the channel, with an empty
    /// message now and then.
    pub(super) async fn pour<T: Default + Send + 'static>(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        admit: fn(&Asked<'_>) -> Result<()>,
        work: impl FnOnce(&Asked<'_>, &mut Outlet<T>) -> Result<()> + Send + 'static,
    ) -> Result<mpsc::Receiver<Result<T>>> {
        let (server, peer) = (Arc::clone(self), Arc::clone(connection));
        let admitted = move || {
            let host = &*server.host;
            let caller = host.beyond(&peer, None)?;
            admit(&Asked { server: &server, host, connection: &peer, caller: caller.clone(), call: None })?;
            Ok(caller)
        };
        let caller = self.bridge.cross(&BackendId::soft(), self.deadline(), admitted).await?;
        let (out, messages) = mpsc::channel(AHEAD);
        let (server, peer) = (Arc::clone(self), Arc::clone(connection));
        tokio::spawn(async move {
            let (deadline, refused, inner) = (server.deadline(), out.clone(), Arc::clone(&server));
            let read = move || {
                let mut outlet = Outlet { out, server: Arc::clone(&inner), gone: false };
                let who = Asked { server: &inner, host: &inner.host, connection: &peer, caller, call: None };
                work(&who, &mut outlet)?;
                outlet.end()
            };
            let reading = server.bridge.cross_at_length(deadline, read);
            tokio::pin!(reading);
            let ended = loop {
                tokio::select! {
                    ended = &mut reading => break ended,
                    // Where there is no place, there is something to hear already.
                    () = tokio::time::sleep(ALIVE) => drop(refused.try_send(Ok(T::default()))),
                }
            };
            if let Err(error) = ended {
                let _ = refused.send(Err(error)).await;
            }
        });
        Ok(messages)
    }

    /// Every record that `asked` wants.
    pub(super) async fn read_audit(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        asked: proto::ReadAuditRequest,
    ) -> Result<mpsc::Receiver<Result<proto::ReadAuditResponse>>> {
        self.pour(
            connection,
            |who| who.auditor(),
            move |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let (mut part, mut size, mut count) = (Vec::new(), 0_usize, 0_u64);
                let tail = who.tail(asked.filter);
                tail.visit(&mut |entry: &Entry| {
                    // To stop in the middle there is no way; what is left is only read.
                    if outlet.gone {
                        return;
                    }
                    size = size.saturating_add(entry.raw.len());
                    part.push(record(entry.clone()));
                    count += 1;
                    if size >= PART {
                        size = 0;
                        outlet.put(Ok(proto::ReadAuditResponse { records: std::mem::take(&mut part), count: None }));
                    }
                })?;
                outlet.put(Ok(proto::ReadAuditResponse { records: part, count: Some(count) }));
                Ok(())
            },
        )
        .await
    }

    /// What the server finds in its own trail.
    pub(super) async fn verify_audit(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
    ) -> Result<mpsc::Receiver<Result<proto::VerifyAuditResponse>>> {
        self.pour(
            connection,
            |who| who.auditor(),
            |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let mut told = 0;
                let report = who.host.kms.verify_audit(&mut |progress: &Progress| {
                    if progress.bytes >= told + STEP {
                        told = progress.bytes;
                        let Progress { bytes, bytes_total, records, .. } = *progress;
                        let progress = proto::VerifyAuditProgress { bytes, bytes_total, records };
                        let kind = Some(verify_audit_response::Kind::Progress(progress));
                        outlet.put(Ok(proto::VerifyAuditResponse { kind }));
                    }
                });
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
