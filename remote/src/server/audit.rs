//! The audit, for those who may read it.

use std::sync::Arc;
use std::time::Duration;

use audit_archive::Packed;
use libkmss::audit::{AuditTail, Codec, Entry, Filter, use_codec};
use libkmss::clock::Timestamp;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::Action;
use libkmss::kms::Kms;
use tokio::time::timeout;

use super::Server;
use super::bridge::Way;
use super::call::{Asked, Call};
use super::queue::{Inlet, Queued, queue};
use super::route::Context;
use crate::proto;

/// The role that may read it.
const AUDITOR: &str = "auditor";
/// Records where nothing is said, and most of them.
const RECORDS: usize = 100;
const MAX_RECORDS: usize = 10_000;
/// How often whoever follows is told of new records.
const PACE: Duration = Duration::from_millis(250);
/// Records that wait to be fetched.
const AHEAD: usize = 256;

/// Lets this process read compressed segments, and make them.
pub(super) fn enable_compression() {
    use_codec(Codec {
        pack: audit_archive::pack,
        unpack: |file| {
            let packed = Packed::open(file)?;
            let len = packed.len();
            Ok((Box::new(packed), len))
        },
    });
}

impl Asked<'_> {
    pub(super) fn auditor(&self) -> Result<()> {
        if self.caller.principal.roles.iter().any(|role| role == AUDITOR) || self.host.kms.is_admin(&self.caller)? {
            return Ok(());
        }
        self.refuse(Action::Find, "only an auditor or an admin of the server's configuration reads the audit")
    }

    pub(super) fn tail(&self, filter: Option<proto::AuditFilter>) -> AuditTail {
        AuditTail::new(Kms::audit_directory(&self.host.config), filter_of(filter))
    }
}

/// What a filter means; without one, everything.
pub(super) fn filter_of(asked: Option<proto::AuditFilter>) -> Filter {
    let Some(asked) = asked else { return Filter::default() };
    let some = |text: String| (!text.is_empty()).then_some(text);
    Filter {
        kind: some(asked.kind),
        action: some(asked.action),
        key: some(asked.key),
        principal: some(asked.principal),
        outcome: some(asked.outcome),
        namespace: some(asked.namespace),
        tenant: some(asked.tenant),
        mechanism: some(asked.mechanism),
        tag: some(asked.tag),
        rule: some(asked.rule),
        since: asked.since_ms.map(Timestamp),
        until: asked.until_ms.map(Timestamp),
        events_only: !asked.all,
    }
}

pub(super) fn record(entry: Entry) -> proto::AuditRecord {
    proto::AuditRecord { segment: entry.segment.to_string(), sequence: entry.record.seq, json: entry.raw }
}

impl Call for proto::QueryAuditRequest {
    type Answer = proto::QueryAuditResponse;
    const METHOD: &'static str = "QueryAudit";
    const WAY: Way = Way::Long;
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::QueryAuditResponse> {
        asked.auditor()?;
        let limit = match usize::try_from(self.limit).unwrap_or(MAX_RECORDS) {
            0 => RECORDS,
            limit => limit.min(MAX_RECORDS),
        };
        let records = asked.tail(self.filter).last(limit)?.into_iter().map(record).collect();
        Ok(proto::QueryAuditResponse { records })
    }
}

impl Server {
    /// Hands the records that `asked` wants to the channel, for as long as somebody takes them.
    pub(super) async fn follow_audit(
        self: &Arc<Self>,
        context: &Context,
        asked: proto::FollowAuditRequest,
    ) -> Result<Queued<proto::FollowAuditResponse>> {
        let told = self.told("FollowAudit", context);
        let (server, peer) = (Arc::clone(self), Arc::clone(&context.connection));
        let before = usize::try_from(asked.before).unwrap_or(MAX_RECORDS).min(MAX_RECORDS);
        // For as long as it follows, and until the last record was fetched.
        match self.share(Way::Follow, &context.connection) {
            Ok(share) => context.kept.keep(share),
            Err(refusal) => return told.refused(refusal),
        }
        let kept = context.kept.clone();
        let begin = move || {
            let _kept = kept;
            let host = &*server.host;
            let method = "FollowAudit";
            let caller = host.beyond(&peer, None, method)?;
            let who = Asked { method, server: &server, host, connection: &peer, caller, call: None };
            who.auditor()?;
            let mut tail = who.tail(asked.filter);
            let first = tail.last(before)?;
            Ok((tail, first))
        };
        let begun = self.bridge.cross_beside(Way::Long, context.deadline, begin).await;
        let (tail, entries) = match begun {
            Ok(begun) => begun,
            Err(refusal) => return told.refused(refusal),
        };
        let (out, records) = queue(AHEAD, &context.kept);
        let (server, context) = (Arc::clone(self), context.clone());
        tokio::spawn(async move {
            let followed = server.followed(&context, (tail, entries), &out).await;
            told.end(&followed);
            if let Err(error) = followed {
                out.fail(error);
            }
        });
        Ok(records)
    }

    /// Hands records over until nobody takes them, or the server stops: that ends it as it would end a file.
    async fn followed(
        self: &Arc<Self>,
        context: &Context,
        (mut tail, mut entries): (AuditTail, Vec<Entry>),
        out: &Inlet<proto::FollowAuditResponse>,
    ) -> Result<()> {
        let (mut stopping, patience) = (self.stopping.subscribe(), self.config.max_deadline());
        loop {
            // They are all in memory, until the last one is in the queue.
            let bytes = entries.iter().map(|entry| entry.raw.len()).sum();
            let room = self.shares.bytes.take(context.connection.owner(), bytes);
            let Some(_room) = room else {
                return Err(Error::new(ErrorKind::Busy, "more records came than there is memory for: follow anew"));
            };
            for entry in entries {
                let len = entry.raw.len();
                let answer = proto::FollowAuditResponse { record: Some(record(entry)) };
                let share = self.shares.bytes.note(context.connection.owner(), len);
                tokio::select! {
                    put = timeout(patience, out.put(Ok(answer), Some(share))) => match put {
                        Ok(true) => {}
                        Ok(false) => return Ok(()),
                        Err(_) => return Err(Error::new(ErrorKind::Busy, "records were not taken in time: follow anew")),
                    },
                    () = super::listen::stopped(&mut stopping) => return Ok(()),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = out.closed() => return Ok(()),
                () = super::listen::stopped(&mut stopping) => return Ok(()),
            }
            let poll = move || {
                let entries = tail.poll()?;
                Ok((tail, entries))
            };
            (tail, entries) = self.bridge.cross_beside(Way::Follow, self.deadline(), poll).await?;
        }
    }
}
