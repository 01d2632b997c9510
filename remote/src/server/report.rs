//! Reports on the home that is served, for auditors and administrators.

use std::io::{self, Write};
use std::sync::Arc;

use libkmss::clock::Timestamp;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::tenant::Namespace;
use report::{Opened, Order, Period, Step as At};

use super::Server;
use super::bridge::Way;
use super::call::{Asked, argument};
use super::queue::Queued;
use super::route::Context;
use super::trail::{Outlet, PART, STEP};
use crate::proto::{self, make_report_response::Kind};

/// Days after which a key is due for rotation where nothing else is said.
const MAX_AGE: u64 = 365;
/// Most tokens that a call names.
const MOST_TOKENS: usize = 1024;
/// Most objects that a report lists: what is left out is named.
const MOST_OBJECTS: usize = 100_000;

impl Asked<'_> {
    /// A token as the caller may see it: what is private, where it is served to them.
    fn opened(&self, namespace: Namespace) -> Result<Opened> {
        let kms = &self.host.kms;
        match self.host.known(self.connection, &namespace.to_string()) {
            Ok(caller) => Ok(Opened { namespace, caller, closed: None }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let principal = Arc::clone(&self.caller.principal);
                let caller = kms.enter(&namespace, 0)?.introduce(principal, self.connection.number, kms.now());
                let closed = Some("the server does not serve it to whoever asked".to_owned());
                Ok(Opened { namespace, caller, closed })
            }
            Err(error) => Err(error),
        }
    }
}

impl Server {
    /// Makes a report.
    pub(super) async fn make_report(
        self: &Arc<Self>,
        context: &Context,
        asked: proto::MakeReportRequest,
    ) -> Result<Queued<proto::MakeReportResponse>> {
        if asked.tokens.len() > MOST_TOKENS {
            return Err(argument("a report names at most 1024 tokens: name none, and it is about all"));
        }
        self.pour(
            ("MakeReport", context),
            Way::Long,
            |who| who.auditor(),
            move |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let kms = &who.host.kms;
                let now = kms.now();
                let period = Period::of(asked.since_ms.map(Timestamp), asked.until_ms.map(Timestamp), now);
                let order = Order {
                    now,
                    period: period.ok_or_else(|| argument("the period ends before it begins"))?,
                    max_age_days: asked.max_age_days.unwrap_or(MAX_AGE),
                    verify: !asked.without_verification,
                    home: who.host.config.home.display().to_string(),
                    most_objects: MOST_OBJECTS,
                    tokens: asked.tokens,
                };
                let chosen = report::chosen(kms.namespaces()?, &order.tokens)?;
                let tokens = chosen.into_iter().map(|namespace| who.opened(namespace)).collect::<Result<_>>()?;
                let mut told = (0, 0);
                let made = report::make(kms, order, tokens, &mut |at| {
                    if let Some(kind) = progress(at, &mut told) {
                        outlet.put(Ok(proto::MakeReportResponse { kind: Some(kind) }));
                    }
                    outlet.wanted()
                })?;
                let Some(report) = made else { return Ok(()) };
                let mut parts = Parts { outlet, next: Vec::new(), length: 0 };
                match serde_json::to_writer(&mut parts, &report) {
                    Ok(()) => parts.end(),
                    Err(_) if !parts.outlet.wanted() => {}
                    Err(e) => {
                        let unsaid = Error::new(ErrorKind::Internal, "the report cannot be written");
                        return Err(unsaid.with_source(e));
                    }
                }
                Ok(())
            },
        )
        .await
    }
}

/// What to tell of how far it is, now and then.
fn progress(at: At, (verified, read): &mut (u64, u64)) -> Option<Kind> {
    let (told, bytes, bytes_total) = match at {
        At::Listing(_) => return None,
        At::Verifying(bytes, total) => (verified, bytes, total),
        At::Reading(bytes, total) => (read, bytes, total),
    };
    if bytes < told.saturating_add(STEP) {
        return None;
    }
    *told = bytes;
    let progress = proto::ReportProgress { bytes, bytes_total };
    Some(if matches!(at, At::Verifying(..)) { Kind::Verifying(progress) } else { Kind::Reading(progress) })
}

/// A report on its way, piece by piece: it never lies in memory as text.
struct Parts<'a> {
    outlet: &'a mut Outlet<proto::MakeReportResponse>,
    next: Vec<u8>,
    length: u64,
}

impl Parts<'_> {
    fn send(&mut self) {
        let part = std::mem::take(&mut self.next);
        self.length = self.length.saturating_add(part.len() as u64);
        self.outlet.put(Ok(proto::MakeReportResponse { kind: Some(Kind::Part(part)) }));
    }

    fn end(mut self) {
        self.send();
        self.outlet.put(Ok(proto::MakeReportResponse { kind: Some(Kind::Length(self.length)) }));
    }
}

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.next.extend_from_slice(bytes);
        if self.next.len() >= PART {
            self.send();
            if !self.outlet.wanted() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
