//! Policies and the past, of a home or of a server.

use std::ops::ControlFlow;

use libkmss::clock::Timestamp;
use libkmss::kms::Kms;
use libkmss::kms::past::{Candidate, Explanation, Replayed};
use libkmss::policy::host::{Host, Trust};
use remote::client::Client;
use remote::proto::replay_policy_response::Kind;
use remote::{convert, proto};

use crate::context::{self, Context, find_token};
use crate::output::Failure;

/// Most kinds of changes that are taken from a server, which tells fewer.
const MOST_CHANGES: usize = 100_000;

/// A policy that is not in force.
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    /// What to call it.
    pub title: &'a str,
    /// What its file holds.
    pub content: &'a [u8],
}

/// What was decided, and what policies say of it.
pub(crate) trait Past {
    /// The decisions that a record tells of, made again by the policies in force, or by a candidate alone.
    fn explain(&self, record: &str, candidate: Option<Offer<'_>>) -> Result<Vec<Explanation>, Failure>;

    /// What a candidate would have decided otherwise within a time, in one token or in all; `told` hears how many bytes were
    /// read of how many.
    fn replay(
        &self,
        candidate: Offer<'_>,
        token: Option<&str>,
        within: (Timestamp, Timestamp),
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<Replayed, Failure>;
}

impl Context {
    /// The decisions of the past.
    ///
    /// # Errors
    /// There is no home.
    pub(crate) fn past(&self) -> Result<Box<dyn Past + '_>, Failure> {
        Ok(match self.server() {
            None => Box::new(HomePast(self.kms()?)),
            Some(server) => Box::new(ServerPast(server)),
        })
    }
}

struct HomePast(Kms);

impl Past for HomePast {
    fn explain(&self, record: &str, candidate: Option<Offer<'_>>) -> Result<Vec<Explanation>, Failure> {
        let candidate = candidate.map(|offer| self.0.candidate(offer.title, offer.content)).transpose()?;
        Ok(self.0.explain_record(record, candidate.as_ref(), &mut || true)?)
    }

    fn replay(
        &self,
        candidate: Offer<'_>,
        token: Option<&str>,
        within: (Timestamp, Timestamp),
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<Replayed, Failure> {
        let candidate = self.0.candidate(candidate.title, candidate.content)?;
        let namespace = token.map(|label| find_token(&self.0, label)).transpose()?;
        Ok(self.0.replay_past(&candidate, namespace.as_ref(), within, &mut |read, size| {
            told(read, size);
            true
        })?)
    }
}

struct ServerPast<'a>(&'a Client);

/// A candidate for the server. What is wrong with it is said here, with the places in its text.
fn candidate(offer: Offer<'_>) -> Result<proto::PolicyCandidate, Failure> {
    let host = Host::new(Trust::Untrusted)?;
    Candidate::load(offer.title, offer.content, &host)?;
    Ok(proto::PolicyCandidate { title: offer.title.to_owned(), content: offer.content.to_vec() })
}

impl Past for ServerPast<'_> {
    fn explain(&self, record: &str, offer: Option<Offer<'_>>) -> Result<Vec<Explanation>, Failure> {
        let (record, candidate) = (record.to_owned(), offer.map(candidate).transpose()?);
        let (mut all, mut wrong) = (Vec::new(), None);
        self.0.listen(&proto::ExplainRecordRequest { record, candidate }, |part| {
            match part.explanation.map(convert::explanation).transpose() {
                Ok(one) => all.extend(one),
                Err(error) => wrong = Some(error),
            }
            if wrong.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        match wrong {
            Some(error) => Err(error.into()),
            None if all.is_empty() => Err("the server ended before it had found the record".into()),
            None => Ok(all),
        }
    }

    fn replay(
        &self,
        offer: Offer<'_>,
        token: Option<&str>,
        (since, until): (Timestamp, Timestamp),
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<Replayed, Failure> {
        let candidate = Some(candidate(offer)?);
        let namespace = match token {
            Some(label) => {
                let all = self.0.ask(proto::ListAllNamespacesRequest {})?.namespaces;
                let all = all.into_iter().map(|one| Ok(convert::namespace(one)?)).collect::<Result<_, Failure>>()?;
                context::named(all, label)?.to_string()
            }
            None => String::new(),
        };
        let (since_ms, until_ms) = (Some(since.0), Some(until.0));
        let (mut changes, mut outcome) = (Vec::new(), None);
        self.0.listen(&proto::ReplayPolicyRequest { candidate, namespace, since_ms, until_ms }, |part| {
            match part.kind {
                Some(Kind::Progress(at)) => told(at.bytes, at.bytes_total),
                Some(Kind::Changes(part)) if changes.len() <= MOST_CHANGES => {
                    changes.extend(part.changes.into_iter().map(convert::replay_change));
                }
                // No server of ours says so much.
                Some(Kind::Changes(_)) => return ControlFlow::Break(()),
                Some(Kind::Outcome(done)) => outcome = Some(done),
                None => {}
            }
            ControlFlow::Continue(())
        })?;
        let outcome = outcome.ok_or("the server ended before it had looked at everything")?;
        Ok(convert::replayed(outcome, changes))
    }
}
