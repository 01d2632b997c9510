//! Policies and the past: decisions explained, and a candidate held against all of them.

use std::sync::Arc;

use libkmss::clock::Timestamp;
use libkmss::error::Result;
use libkmss::kms::past::{Candidate, Change};
use libkmss::policy::bundle::BUNDLE_MAX;
use prost::Message as _;

use super::Server;
use super::bridge::Way;
use super::call::{Asked, argument};
use super::queue::Queued;
use super::route::Context;
use super::trail::{Outlet, PART, STEP};
use crate::proto::{self, replay_policy_response::Kind};

/// Longest title of a candidate in bytes.
const LONGEST_TITLE: usize = 4096;

impl Asked<'_> {
    fn candidate(&self, candidate: &proto::PolicyCandidate) -> Result<Candidate> {
        self.host.kms.candidate(&candidate.title, &candidate.content)
    }
}

/// `candidate`, where it is not larger than any policy.
fn bounded(candidate: proto::PolicyCandidate) -> Result<proto::PolicyCandidate> {
    if candidate.title.len() > LONGEST_TITLE {
        return Err(argument("the title of the policy is too long"));
    }
    if candidate.content.len() > BUNDLE_MAX {
        return Err(argument("this is too large to be a policy"));
    }
    Ok(candidate)
}

impl Server {
    /// Every decision that a record tells of, made again.
    pub(super) async fn explain_record(
        self: &Arc<Self>,
        context: &Context,
        asked: proto::ExplainRecordRequest,
    ) -> Result<Queued<proto::ExplainRecordResponse>> {
        let candidate = asked.candidate.map(bounded).transpose()?;
        let with_candidate = candidate.is_some();
        self.pour(
            ("ExplainRecord", context),
            Way::Long,
            move |who| if with_candidate { who.admin() } else { who.auditor() },
            move |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let candidate = candidate.map(|candidate| who.candidate(&candidate)).transpose()?;
                let kms = &who.host.kms;
                let all = kms.explain_record(&asked.record, candidate.as_ref(), &mut || outlet.wanted())?;
                for one in all {
                    outlet.put(Ok(proto::ExplainRecordResponse { explanation: Some(one.into()) }));
                }
                Ok(())
            },
        )
        .await
    }

    /// What a candidate would have decided otherwise.
    pub(super) async fn replay_policy(
        self: &Arc<Self>,
        context: &Context,
        asked: proto::ReplayPolicyRequest,
    ) -> Result<Queued<proto::ReplayPolicyResponse>> {
        let within = (Timestamp(asked.since_ms.unwrap_or(0)), Timestamp(asked.until_ms.unwrap_or(u64::MAX)));
        self.pour(
            ("ReplayPolicy", context),
            Way::Long,
            |who| who.admin(),
            move |who: &Asked<'_>, outlet: &mut Outlet<_>| {
                let name = Some(asked.namespace).filter(|name| !name.is_empty());
                let namespace = name.map(|name| who.named(&name)).transpose()?;
                let candidate = asked.candidate.ok_or_else(|| argument("there is no policy in the call"))?;
                let candidate = who.candidate(&bounded(candidate)?)?;
                let mut told = 0;
                let mut replayed =
                    who.host.kms.replay_past(&candidate, namespace.as_ref(), within, &mut |bytes, bytes_total| {
                        if bytes >= told + STEP {
                            told = bytes;
                            let progress = Kind::Progress(proto::ReplayProgress { bytes, bytes_total });
                            outlet.put(Ok(proto::ReplayPolicyResponse { kind: Some(progress) }));
                        }
                        outlet.wanted()
                    })?;
                if !outlet.wanted() {
                    return Ok(());
                }
                tell(std::mem::take(&mut replayed.changes), outlet);
                outlet.put(Ok(proto::ReplayPolicyResponse { kind: Some(Kind::Outcome(replayed.into())) }));
                Ok(())
            },
        )
        .await
    }
}

/// Hands the changes over in parts.
fn tell(changes: Vec<Change>, outlet: &mut Outlet<proto::ReplayPolicyResponse>) {
    let part = |changes| {
        let kind = Some(Kind::Changes(proto::ReplayChanges { changes }));
        Ok(proto::ReplayPolicyResponse { kind })
    };
    let (mut next, mut size) = (Vec::new(), 0_usize);
    for change in changes {
        let change = proto::ReplayChange::from(change);
        size = size.saturating_add(change.encoded_len());
        next.push(change);
        if size >= PART {
            size = 0;
            outlet.put(part(std::mem::take(&mut next)));
        }
    }
    if !next.is_empty() {
        outlet.put(part(next));
    }
}
