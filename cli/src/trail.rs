//! The audit trail, of a home or of a server. Records of a server come as they stand in its log, byte for byte.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use libkmss::audit::{AuditTail, Entry, Filter};
use libkmss::clock::Timestamp;
use libkmss::kms::Kms;
use remote::client::Client;
use remote::proto;

use crate::context::Context;
use crate::output::Failure;

/// How often a home is looked at for new records.
const INTERVAL: Duration = Duration::from_millis(200);
/// Most records that a server gives as the newest.
const MOST: usize = 10_000;

/// The records that a filter means.
pub(crate) enum Trail<'a> {
    /// Those of a home.
    Home(Box<AuditTail>),
    /// Those of a server.
    Server(&'a Client, Box<proto::AuditFilter>),
}

impl Context {
    /// The records that `filter` means, with those of `archives`.
    ///
    /// # Errors
    /// Archives are named, and the trail is a server's.
    pub(crate) fn trail(&self, filter: Filter, archives: &[PathBuf]) -> Result<Trail<'_>, Failure> {
        let Some(server) = self.server() else {
            let tail = AuditTail::new(Kms::audit_directory(self.config()?), filter);
            return Ok(Trail::Home(Box::new(tail.with_archives(archives.to_vec()))));
        };
        if !archives.is_empty() {
            return Err("--archive works on the home itself: run it on the server's host".into());
        }
        Ok(Trail::Server(server, Box::new(message(filter))))
    }
}

fn message(filter: Filter) -> proto::AuditFilter {
    let text = |field: Option<String>| field.unwrap_or_default();
    proto::AuditFilter {
        action: text(filter.action),
        key: text(filter.key),
        principal: text(filter.principal),
        outcome: text(filter.outcome),
        namespace: text(filter.namespace),
        tenant: text(filter.tenant),
        mechanism: text(filter.mechanism),
        tag: text(filter.tag),
        rule: text(filter.rule),
        kind: text(filter.kind),
        since_ms: filter.since.map(|since| since.0),
        until_ms: filter.until.map(|until| until.0),
        all: !filter.events_only,
    }
}

fn entry(record: proto::AuditRecord) -> Result<Entry, Failure> {
    let strange = |e: serde_json::Error| format!("the server sent a record that cannot be read: {e}");
    let parsed = serde_json::from_str(&record.json).map_err(strange)?;
    Ok(Entry { segment: record.segment.parse()?, raw: record.json, record: parsed })
}

impl Trail<'_> {
    /// The newest records, oldest first.
    ///
    /// # Errors
    /// The trail cannot be read.
    pub(crate) fn last(&mut self, count: usize) -> Result<Vec<Entry>, Failure> {
        match self {
            Self::Home(tail) => Ok(tail.last(count)?),
            Self::Server(_, _) if count == 0 => Ok(Vec::new()),
            Self::Server(server, filter) => {
                let (filter, limit) = (Some(filter.as_ref().clone()), limited(count)?);
                let records = server.ask(proto::QueryAuditRequest { filter, limit })?.records;
                records.into_iter().map(entry).collect()
            }
        }
    }

    /// All of them, oldest first.
    ///
    /// # Errors
    /// The trail cannot be read.
    pub(crate) fn all(&mut self) -> Result<Vec<Entry>, Failure> {
        if let Self::Home(tail) = self {
            return Ok(tail.last(usize::MAX)?);
        }
        let mut all = Vec::new();
        self.visit(&mut |entry| all.push(entry.clone()))?;
        all.sort_by_key(|entry| entry.record.time);
        Ok(all)
    }

    /// The newest records, oldest first, and then those to come, until `take` fails.
    ///
    /// # Errors
    /// The trail cannot be read, or not any more; those of `take`.
    pub(crate) fn follow(
        mut self,
        count: usize,
        take: &mut dyn FnMut(&Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match &mut self {
            Self::Home(_) => {
                for found in self.last(count)? {
                    take(&found)?;
                }
                let Self::Home(tail) = self else { return Ok(()) };
                for found in tail.follow(INTERVAL) {
                    take(&found?)?;
                }
                Ok(())
            }
            Self::Server(server, filter) => {
                let (filter, before) = (Some(filter.as_ref().clone()), limited(count)?);
                let mut outcome = Ok(());
                server.listen(&proto::FollowAuditRequest { filter, before }, |part| {
                    outcome = part.record.map_or(Ok(()), |record| take(&entry(record)?));
                    if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })?;
                outcome.and_then(|()| Err("the server has ended".into()))
            }
        }
    }

    /// Every record, segment by segment, the oldest segment first.
    ///
    /// # Errors
    /// The trail cannot be read.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(&Entry)) -> Result<(), Failure> {
        let (server, filter) = match self {
            Self::Home(tail) => return Ok(tail.visit(visit)?),
            Self::Server(server, filter) => (server, Some(filter.as_ref().clone())),
        };
        let (mut outcome, mut came, mut count) = (Ok::<_, Failure>(()), 0_u64, None);
        server.listen(&proto::ReadAuditRequest { filter }, |part| {
            count = part.count.or(count);
            outcome = part.records.into_iter().try_for_each(|record| {
                visit(&entry(record)?);
                came += 1;
                Ok(())
            });
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
        if count == Some(came) { Ok(()) } else { Err("the server ended before it had given all records".into()) }
    }

    /// The same, from this time on at the latest.
    ///
    /// # Errors
    /// The trail cannot be read.
    pub(crate) fn visit_since(&self, since: Timestamp, visit: &mut dyn FnMut(&Entry)) -> Result<(), Failure> {
        match self {
            Self::Home(tail) => Ok(tail.visit_since(since, visit)?),
            Self::Server(server, filter) => {
                let since_ms = filter.since_ms.max(Some(since.0));
                let filter = proto::AuditFilter { since_ms, ..filter.as_ref().clone() };
                Trail::Server(server, Box::new(filter)).visit(visit)
            }
        }
    }

    /// Bytes of the trail; 0 where that is not known.
    ///
    /// # Errors
    /// The trail cannot be read.
    pub(crate) fn size(&self) -> Result<u64, Failure> {
        match self {
            Self::Home(tail) => Ok(tail.size()?),
            Self::Server(..) => Ok(0),
        }
    }
}

fn limited(count: usize) -> Result<u32, Failure> {
    if count > MOST {
        return Err(
            format!("a server gives {MOST} of its newest records at most: choose with --since, or export").into()
        );
    }
    Ok(u32::try_from(count)?)
}
