//! The whole audit: read from the beginning, verified, proven.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use libkmss::audit::seal::{Demands, Span};
use libkmss::audit::{Entry, Progress};
use libkmss::clock::Timestamp;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::BackendId;

use super::Server;
use super::audit::record;
use super::bridge::Way;
use super::call::{Asked, Call, argument};
use super::queue::{Inlet, Queued, queue};
use super::route::Context;
use crate::proto::{self, verify_audit_response};

/// Bytes of records in one message.
pub(super) const PART: usize = 256 << 10;
/// Messages that wait to be fetched.
const AHEAD: usize = 4;
/// How often whoever listens hears that the work goes on, where there is nothing else to say: an empty message.
const ALIVE: Duration = Duration::from_secs(1);
/// Bytes after which it is told how far something is.
pub(super) const STEP: u64 = 4 << 20;

/// Most files of checkpoints that the trail is held against, and their longest name in bytes.
const MOST_ANCHORS: usize = 64;
const LONGEST_NAME: usize = 4096;

/// What goes to somebody who fetches it, message by message, from a thread that reads.
pub(super) struct Outlet<T> {
    out: Inlet<T>,
    server: Arc<Server>,
    /// When whoever asked wants nothing more, on the monotonic clock.
    ends: Option<Duration>,
    /// How long it is waited still for what was put out to be taken, all together: the thread is one of a few.
    patience: Duration,
    gone: bool,
    late: bool,
}

impl<T: Send> Outlet<T> {
    /// Hands a message over. Nobody who is gone, or who takes longer than a call may, holds the thread, and nobody who is slow
    /// the end of the server.
    pub(super) fn put(&mut self, message: Result<T>) {
        let mut stopping = self.server.stopping.subscribe();
        if !self.wanted() {
            return;
        }
        let patience = self.server.config.max_deadline().min(self.patience);
        let began = self.server.clock.monotonic();
        let sent = tokio::runtime::Handle::current().block_on(async {
            tokio::select! {
                sent = tokio::time::timeout(patience, self.out.put(message, None)) => sent.unwrap_or(false),
                () = super::listen::stopped(&mut stopping) => false,
            }
        });
        self.patience = self.patience.saturating_sub(self.server.clock.monotonic().saturating_sub(began));
        self.gone = !sent;
    }

    /// What somebody who listens still is told at the end: a stream that was cut off never ends as one that is whole.
    fn end(&self) -> Result<()> {
        if !self.gone || self.out.is_closed() {
            return Ok(());
        }
        let why = match (self.late, self.patience.is_zero()) {
            (true, _) => "the deadline passed before it was done",
            (_, true) => "it was cut off: what it said was taken too slowly (`max_stream_s`)",
            _ => "it was cut off: the server stops, or what it said was not taken in time",
        };
        tracing::info!(reason = why, "a stream ends early");
        Err(Error::new(ErrorKind::Busy, why))
    }

    /// Whether somebody waits for more still, and the server is to go on.
    pub(super) fn wanted(&mut self) -> bool {
        if !self.gone {
            self.late = self.ends.is_some_and(|ends| self.server.clock.monotonic() >= ends);
            let slow = self.patience.is_zero();
            self.gone = self.late || slow || self.out.is_closed() || *self.server.stopping.borrow();
        }
        !self.gone
    }
}

impl Server {
    /// Does `work` among what takes long, for whom `admit` admits; what it puts out is fetched from the channel, with an empty
    /// message now and then. `max_deadline_ms` is for its turn; the work itself has the caller's deadline, where there is one, and
    /// ends when the caller goes away.
    pub(super) async fn pour<T: Default + Send + 'static>(
        self: &Arc<Self>,
        (method, context): (&'static str, &Context),
        way: Way,
        admit: impl FnOnce(&Asked<'_>) -> Result<()> + Send + 'static,
        work: impl FnOnce(&Asked<'_>, &mut Outlet<T>) -> Result<()> + Send + 'static,
    ) -> Result<Queued<T>> {
        let told = self.told(method, context);
        let (server, peer, ends) = (Arc::clone(self), Arc::clone(&context.connection), context.ends);
        let admitted = move || {
            let host = &*server.host;
            let caller = host.beyond(&peer, None, method)?;
            admit(&Asked { method, server: &server, host, connection: &peer, caller: caller.clone(), call: None })?;
            Ok(caller)
        };
        let admitted = self.bridge.cross(&BackendId::soft(), context.deadline, admitted).await;
        let (caller, share) = match admitted.and_then(|caller| Ok((caller, self.share(way, &context.connection)?))) {
            Ok(admitted) => admitted,
            Err(refusal) => return told.refused(refusal),
        };
        // Until what it put out was fetched, too.
        context.kept.keep(share);
        let ((out, messages), kept) = (queue(AHEAD, &context.kept), context.kept.clone());
        let (server, peer) = (Arc::clone(self), Arc::clone(&context.connection));
        tokio::spawn(async move {
            let (deadline, refused, inner) = (server.deadline(), out.clone(), Arc::clone(&server));
            let read = move || {
                let _kept = kept;
                let patience = Duration::from_secs(inner.config.max_stream_s.into());
                let mut outlet = Outlet { out, server: Arc::clone(&inner), ends, patience, gone: false, late: false };
                let who = Asked { method, server: &inner, host: &inner.host, connection: &peer, caller, call: None };
                work(&who, &mut outlet)?;
                outlet.end()
            };
            let reading = server.bridge.cross_beside(way, deadline, read);
            tokio::pin!(reading);
            let done = loop {
                tokio::select! {
                    done = &mut reading => break done,
                    // Where there is no place, there is something to hear already.
                    () = tokio::time::sleep(ALIVE) => refused.offer(T::default()),
                }
            };
            told.end(&done);
            if let Err(error) = done {
                refused.fail(error);
            }
        });
        Ok(messages)
    }

    /// Every record that `asked` wants.
    pub(super) async fn read_audit(
        self: &Arc<Self>,
        context: &Context,
        asked: proto::ReadAuditRequest,
    ) -> Result<Queued<proto::ReadAuditResponse>> {
        self.pour(
            ("ReadAudit", context),
            Way::Long,
            |who| who.auditor(),
            move |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let (mut part, mut size, mut count) = (Vec::new(), 0_usize, 0_u64);
                // Whether anybody listens is looked at with every record, wanted or not.
                let (wanted, tail) = (super::audit::filter_of(asked.filter), who.tail(None));
                tail.visit_while(&mut |entry: &Entry| {
                    if wanted.matches(&entry.record) {
                        size = size.saturating_add(entry.raw.len());
                        part.push(record(entry.clone()));
                        count += 1;
                        if size >= PART {
                            size = 0;
                            let records = std::mem::take(&mut part);
                            outlet.put(Ok(proto::ReadAuditResponse { records, count: None }));
                        }
                    }
                    if outlet.wanted() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
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
        context: &Context,
        asked: proto::VerifyAuditRequest,
    ) -> Result<Queued<proto::VerifyAuditResponse>> {
        let demands = demands(asked)?;
        self.pour(
            ("VerifyAudit", context),
            Way::Long,
            |who| who.auditor(),
            move |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let mut told = 0;
                let report = who.host.kms.verify_audit_while(&demands, &mut |progress: &Progress| {
                    if progress.bytes >= told + STEP {
                        told = progress.bytes;
                        let Progress { bytes, bytes_total, records, .. } = *progress;
                        let progress = proto::VerifyAuditProgress { bytes, bytes_total, records };
                        let kind = Some(verify_audit_response::Kind::Progress(progress));
                        outlet.put(Ok(proto::VerifyAuditResponse { kind }));
                    }
                    outlet.wanted()
                });
                let Some(report) = report else { return Ok(()) };
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

/// What the trail is to be held against.
fn demands(asked: proto::VerifyAuditRequest) -> Result<Demands> {
    let proto::VerifyAuditRequest { since_ms, until_ms, first, last, key, anchors } = asked;
    if anchors.len() > MOST_ANCHORS || anchors.iter().any(|anchor| anchor.name.len() > LONGEST_NAME) {
        return Err(argument(
            "at most 64 files of checkpoints are held against the trail, with names of at most 4096 bytes",
        ));
    }
    let record = |name: String| (!name.is_empty()).then(|| name.parse()).transpose();
    let span = Span {
        since: since_ms.map(Timestamp),
        until: until_ms.map(Timestamp),
        first: record(first)?,
        last: record(last)?,
    };
    let bad = |_| argument("this is no key that verifies checkpoints");
    Ok(Demands {
        anchors: anchors.into_iter().map(|anchor| (anchor.name, anchor.checkpoints)).collect(),
        key: (!key.is_empty()).then(|| key.parse().map_err(bad)).transpose()?,
        only: (span != Span::default()).then_some(span),
        archives: Vec::new(),
    })
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
