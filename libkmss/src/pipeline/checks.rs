//! Everything that can say no without computing: policies, roles, attributes, states and dates.

use std::sync::Arc;

use super::trace::APPROVED_BY;
use super::{Pipeline, Resolved};
use crate::audit::Outcome;
use crate::caller::{Caller, Login};
use crate::clock::{Moment, Timestamp};
use crate::error::{Error, ErrorClass, ErrorKind, Result};
use crate::key::{Action, Key, weakness_of_key, weakness_of_use};
use crate::permit::Subject;
use crate::policy::{Decision, Obligation, PolicyRequest, QuorumRequest, RuleRate};
use crate::quota::{CountedKey, Limit};
use crate::seen::Seen;
use crate::settings::{Settings, Weakness, Weaknesses};

/// Decisions on all subjects of a request, merged to the strictest.
#[derive(Default)]
pub(super) struct Verdict {
    /// The rule that decided first, or the one that denied.
    pub(super) rule: Option<Arc<str>>,
    pub(super) tags: Vec<String>,
    /// What they ask for, in the words of their language; each once.
    pub(super) duties: Vec<String>,
    /// What the policies saw, for the records.
    pub(super) seen: Vec<Seen>,
    pub(super) maximum: Option<u64>,
    /// Rates to keep.
    pub(super) limits: Vec<Limit>,
    /// Whether the user authenticates for this one operation.
    pub(super) step_up: bool,
    /// Seconds after its login at which the session ends.
    expiry: Option<u32>,
    /// Approvals to use up.
    pub(super) quorums: Vec<Demanded>,
}

/// Approvals that one decision asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Demanded {
    /// Which subject they are about.
    place: usize,
    /// What is asked for.
    quorum: Obligation,
}

/// What changes between one decision on a request and the next.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) data_len: Option<u64>,
    /// Whether the user has confirmed this operation.
    pub(super) confirmed: bool,
    /// Whether it was decided on before.
    pub(super) again: bool,
}

/// What an operation may come to need once the length of its data is known.
#[derive(Default)]
pub(super) struct Prospects {
    /// Whether some length would be allowed.
    pub(super) allowed: bool,
    /// Whether the user may have to confirm it.
    pub(super) step_up: bool,
    /// Approvals of its very data that it may need.
    pub(super) of_data: Vec<Demanded>,
}

impl Verdict {
    /// Takes the decision on the subject at `place` in.
    fn merge(&mut self, place: usize, decision: Decision) -> Result<()> {
        match decision {
            Decision::Deny { rule, reason, notes } => {
                let error = Error::new(ErrorKind::Denied, reason);
                let error = match &rule {
                    Some(rule) => error.with_rule(&**rule),
                    None => error,
                };
                self.rule = rule;
                self.tags.extend(notes);
                Err(error)
            }
            Decision::Allow { rule, obligations, rates, notes } => {
                self.tags.extend(notes);
                self.rule = self.rule.take().or(rule);
                let limited = |rate: &RuleRate| Obligation::RateLimit { count: rate.count, seconds: rate.seconds };
                let asked = rates.iter().map(limited).chain(obligations.iter().cloned());
                for duty in asked.filter(|duty| !matches!(duty, Obligation::AuditTag(_))).map(|duty| duty.to_string()) {
                    if !self.duties.contains(&duty) {
                        self.duties.push(duty);
                    }
                }
                let limit = |rate: RuleRate| Limit { place, rule: rate.rule, count: rate.count, seconds: rate.seconds };
                self.limits.extend(rates.into_iter().map(limit));
                for obligation in obligations {
                    match obligation {
                        Obligation::AuditTag(tag) => self.tags.push(tag),
                        Obligation::MaximumData(limit) => {
                            self.maximum = Some(self.maximum.map_or(limit, |m| m.min(limit)));
                        }
                        Obligation::StepUp => self.step_up = true,
                        Obligation::SessionExpiry(limit) => {
                            self.expiry = Some(self.expiry.map_or(limit, |e| e.min(limit)));
                        }
                        Obligation::Notify(channel) => self.tags.push(format!("notify:{channel}")),
                        quorum @ Obligation::Quorum { .. } => self.quorums.push(Demanded { place, quorum }),
                        Obligation::RateLimit { .. } | Obligation::Mask(_) => {
                            let why = "the policy asks for what this host cannot enforce on such an operation";
                            return Err(Error::new(ErrorKind::Denied, why));
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

impl Verdict {
    /// Whether it asks for nothing that is used up, or depends on when the operation is.
    pub(super) const fn is_plain(&self) -> bool {
        self.limits.is_empty() && self.quorums.is_empty() && !self.step_up && self.expiry.is_none()
    }

    /// Takes out the approvals that are bound to data which comes after the beginning of `action`.
    pub(super) fn of_data(&mut self, action: Action) -> Vec<Demanded> {
        if self.quorums.is_empty() || !action.streams() {
            return Vec::new();
        }
        let of_data = |d: &mut Demanded| matches!(d.quorum, Obligation::Quorum { window: 0, .. });
        self.quorums.extract_if(.., of_data).collect()
    }
}

impl<'a> Resolved<'a> {
    /// What a policy is asked about one of the subjects.
    fn asks(
        self,
        caller: &'a Caller,
        action: Action,
        subject: &'a Subject,
        asked: Asked,
        moment: Moment,
    ) -> PolicyRequest<'a> {
        PolicyRequest {
            caller,
            action,
            subject,
            mechanism: self.request.mechanism.as_ref(),
            data_len: asked.data_len,
            time: moment.wall,
            context: self.request.context.pairs(),
            confirmed: asked.confirmed,
            again: asked.again,
        }
    }
}

impl Pipeline {
    /// Asks the policy about every subject and fills `verdict`, also when it denies.
    pub(super) fn decide(
        &self,
        caller: &Caller,
        resolved: Resolved<'_>,
        asked: Asked,
        moment: Moment,
        verdict: &mut Verdict,
    ) -> Result<()> {
        for (place, (action, subject)) in resolved.each().enumerate() {
            let request = resolved.asks(caller, action, subject, asked, moment);
            let (decision, seen) = self.policy.decide_seen(&request);
            verdict.seen.extend(seen.map(|seen| Seen { place, ..seen }));
            verdict.merge(place, decision)?;
        }
        let age = moment.wall.0.saturating_sub(caller.authenticated.0);
        if verdict.expiry.is_some_and(|seconds| age > u64::from(seconds) * 1000) {
            let why = "the session is older than the policy allows: log in again";
            return Err(Error::new(ErrorKind::Denied, why));
        }
        check_length(verdict.maximum, asked.data_len.unwrap_or(0))
    }

    /// What may become of an operation whose length is not known yet. What it asks for is decided anew before output leaves;
    /// only what must be prepared for from the beginning is told.
    pub(super) fn prospects(
        &self,
        caller: &Caller,
        resolved: Resolved<'_>,
        asked: Asked,
        moment: Moment,
        denied: bool,
    ) -> Prospects {
        let (action, subject) = (resolved.request.action, &resolved.subjects.subject);
        let alone = resolved.subjects.also.is_none() && resolved.subjects.more.is_empty();
        if asked.data_len.is_some() || !action.streams() || !alone {
            return Prospects::default();
        }
        let request = resolved.asks(caller, action, subject, asked, moment);
        let mut prospects = Prospects::default();
        for decision in self.policy.for_lengths(&request, denied) {
            let mut verdict = Verdict::default();
            if verdict.merge(0, decision).is_ok() {
                prospects.allowed = true;
                prospects.step_up |= verdict.step_up;
                let new = verdict.of_data(action).into_iter().filter(|new| !prospects.of_data.contains(new));
                let new: Vec<Demanded> = new.collect();
                prospects.of_data.extend(new);
            }
        }
        prospects
    }

    /// Uses up the approvals that decisions ask for, all or none; `tags` learn who gave them. `data` is the digest of the
    /// data that those without a window are for.
    pub(super) fn approve(
        &self,
        caller: &Caller,
        resolved: Resolved<'_>,
        (asked, moment): (Asked, Moment),
        demanded: &[Demanded],
        data: Option<[u8; 32]>,
        tags: &mut Vec<String>,
    ) -> Result<()> {
        if demanded.is_empty() {
            return Ok(());
        }
        // An approval says exactly when it was given: by a clock that is late it might not have been yet.
        let moment = Moment { wall: self.clock.now(), ..moment };
        let quorums: Vec<QuorumRequest<'_>> = demanded
            .iter()
            .filter_map(|Demanded { place, quorum }| {
                let (action, subject) = resolved.each().nth(*place)?;
                let request = resolved.asks(caller, action, subject, asked, moment);
                let others = resolved.each().enumerate().filter(|(other, _)| other != place);
                Some(QuorumRequest { request, quorum, others: others.map(|(_, (_, subject))| subject).collect() })
            })
            .collect();
        let approvers = self.policy.approve(&quorums, data)?;
        tags.extend(approvers.into_iter().map(|approver| format!("{APPROVED_BY}{approver}")));
        Ok(())
    }

    /// What settings, roles, attributes, states and dates say to a request.
    pub(super) fn check(&self, caller: &Caller, resolved: Resolved<'_>, now: Timestamp) -> Result<()> {
        let owns = |service: &str| {
            let rules = self.hall.rules.current();
            rules.is_ok_and(|rules| rules.is_owned_by(&caller.namespace, service, &caller.principal))
        };
        check(caller, resolved, now, &owns)?;
        if let Some(spec) = &resolved.request.makes {
            self.hall.may_make(caller, spec)?;
        }
        check_settings(&self.hall.catalog.settings_for(caller)?, resolved)
    }

    /// Whether the policy lets `caller` list its namespace, and so know what exists.
    pub(super) fn may_list(&self, caller: &Caller) -> bool {
        let request = PolicyRequest {
            caller,
            action: Action::Find,
            subject: &Subject::Namespace,
            mechanism: None,
            data_len: None,
            time: self.clock.now(),
            context: &[],
            confirmed: false,
            again: true,
        };
        matches!(self.policy.decide(&request), Decision::Allow { .. })
    }
}

/// The refusal of an operation that its user must confirm first.
pub(super) fn unconfirmed() -> Error {
    Error::new(ErrorKind::NotLoggedIn, "the key asks its user to authenticate for each use")
}

/// What the namespace's settings forbid.
fn check_settings(settings: &Settings, resolved: Resolved<'_>) -> Result<()> {
    if settings.forbid == Weaknesses::NONE {
        return Ok(());
    }
    let request = resolved.request;
    let by_use = request.mechanism.as_ref().and_then(|m| weakness_of_use(settings.forbid, request.action, m));
    if let Some(weakness) = by_use {
        return Err(forbidden(ErrorKind::MechanismUnsupported, weakness));
    }
    let used = request.mechanism.is_some();
    let by_key = key_of(&resolved.subjects.subject).filter(|_| used).and_then(|key| {
        // A version that is missing is found out by whoever needs it.
        weakness_of_key(settings.forbid, key, key.primary().ok()?)
    });
    by_key.map_or(Ok(()), |weakness| Err(forbidden(ErrorKind::KeyUsage, weakness)))
}

fn forbidden(kind: ErrorKind, weakness: Weakness) -> Error {
    Error::new(kind, format!("the settings of the namespace forbid `{}`", weakness.name()))
}

/// What roles, attributes, states and dates say to a request.
fn check(caller: &Caller, resolved: Resolved<'_>, now: Timestamp, owns: &dyn Fn(&str) -> bool) -> Result<()> {
    // What the officer moves is not used: it goes from one place of its namespace to another.
    let moves = resolved.request.action == Action::ChangeState;
    for (action, subject) in resolved.each() {
        let role = if moves && action == Action::Export { Action::ChangeState } else { action };
        check_role(caller, role, subject)?;
        if let Some(key) = key_of(subject) {
            check_service(caller, key, action, owns)?;
            check_key(key, action, resolved.request.recovery, now)?;
        }
    }
    check_mechanism(resolved)
}

/// Refuses more data than the policy admits.
pub(super) fn check_length(maximum: Option<u64>, bytes: u64) -> Result<()> {
    match maximum {
        Some(limit) if bytes > limit => {
            Err(Error::new(ErrorKind::Denied, format!("the policy admits at most {limit} bytes of data")))
        }
        _ => Ok(()),
    }
}

/// What the audit says of a refusal: the surroundings may have failed instead.
pub(super) const fn refused(kind: ErrorKind) -> Outcome {
    match (kind, kind.class()) {
        (ErrorKind::NotFound, _) | (_, ErrorClass::Request | ErrorClass::Authority) => Outcome::Denied(kind),
        _ => Outcome::Failed(kind),
    }
}

/// The security officer manages and never uses or makes private objects; nobody else moves keys between states.
fn check_role(caller: &Caller, action: Action, subject: &Subject) -> Result<()> {
    let denied = |why| Err(Error::new(ErrorKind::Denied, why));
    let officer = caller.login == Login::SecurityOfficer;
    let private = match subject {
        Subject::Object(object) => object.private,
        Subject::New(new) => new.private,
        Subject::Namespace => false,
    };
    match (action, subject) {
        (Action::ChangeState, _) if !officer => denied("only the security officer changes key states"),
        (Action::Generate | Action::Import, Subject::New(_)) if private && officer => {
            denied("the security officer makes no private objects")
        }
        (Action::Generate | Action::Import, Subject::New(_)) if private && !caller.uses_private() => {
            Err(Error::new(ErrorKind::NotLoggedIn, "private objects need an authenticated user"))
        }
        (Action::Find | Action::Manage | Action::ChangeState | Action::Destroy, _) => Ok(()),
        (_, Subject::Object(_)) if private && officer => denied("the security officer uses no private objects"),
        _ => Ok(()),
    }
}

/// A key of a service is not used across services unless it was granted; the security officer uses none and manages all.
fn check_service(caller: &Caller, key: &Key, action: Action, owns: &dyn Fn(&str) -> bool) -> Result<()> {
    let of = &key.metadata.service;
    let officer = caller.login == Login::SecurityOfficer;
    if of.is_empty() || officer || key.metadata.serves(caller.principal.service(), action) {
        return Ok(());
    }
    // Whoever owns the service manages its keys, and may be a service as well.
    if action == Action::Manage && owns(of) {
        return Ok(());
    }
    let (name, who, what) = (key.policy_name(), &caller.principal.name, action.name());
    let then = match caller.principal.service() {
        Some(service) if !matches!(action, Action::Export | Action::Manage | Action::Destroy) => {
            format!("its owner grants that (`kmss key grant {name} --service {service}`)")
        }
        _ => "that is its own service's alone".to_owned(),
    };
    let why = format!("the key `{name}` belongs to the service `{of}`, and `{who}` may not {what} with it: {then}");
    Err(Error::new(ErrorKind::Denied, why).with_rule(format!("service:{of}")))
}

/// Usage attributes, state and dates of a key.
fn check_key(key: &Key, action: Action, recovery: bool, now: Timestamp) -> Result<()> {
    let allowed = if recovery { key.usage.allows_recovery(action) } else { key.usage.allows(action) };
    if !allowed {
        return Err(Error::new(ErrorKind::KeyUsage, format!("the key's attributes do not allow {}", action.name())));
    }
    if let Some(purpose) = key.metadata.purpose.filter(|purpose| !purpose.serves(action)) {
        let why = format!("the key's purpose is to {}, and not {}", purpose.name(), action.name());
        return Err(Error::new(ErrorKind::KeyUsage, why));
    }
    key.check_state(action, now)
}

/// A key with a list of mechanisms does nothing by others, nor by one that the door has no number for. That holds for the
/// other input keys of a derivation too.
fn check_mechanism(resolved: Resolved<'_>) -> Result<()> {
    let request = resolved.request;
    let used = |(action, _): &(&(Action, _), _)| !matches!(action.0, Action::Manage | Action::ChangeState);
    let inputs = request.more.iter().zip(&resolved.subjects.more).filter(used).map(|(_, subject)| subject);
    for key in std::iter::once(&resolved.subjects.subject).chain(inputs).filter_map(key_of) {
        let listed = request.mechanism_number.is_some_and(|number| key.allowed_mechanisms.contains(&number));
        if request.mechanism.is_some() && !key.allowed_mechanisms.is_empty() && !listed {
            return Err(Error::new(ErrorKind::MechanismUnsupported, "the key is restricted to other mechanisms"));
        }
    }
    Ok(())
}

fn key_of(subject: &Subject) -> Option<&Key> {
    match subject {
        Subject::Object(object) => object.key(),
        _ => None,
    }
}

/// The keys whose uses are counted among those that protect something here; nearly always none.
pub(super) fn counted<'a>(caller: &Caller, each: impl Iterator<Item = (Action, &'a Subject)>) -> Vec<CountedKey<'a>> {
    let namespace = caller.namespace.id;
    each.filter_map(|(action, subject)| match subject {
        Subject::Object(object) if action.protects() => {
            let key = object.key()?;
            let (id, rule) = key.counted(object.id)?;
            Some(CountedKey { namespace, id, name: key.counted_name(), rule })
        }
        _ => None,
    })
    .collect()
}
