//! Several policies, one decision: platform, tenant, namespace, key.
//!
//! Any deny or failure wins, at least one allow is needed under every name that the key goes by, and where nothing applies
//! the answer is no. Obligations of all that allow add up; of two of a kind the stricter stays.

use std::sync::Arc;

use super::{Answer, Decision, Obligation, RuleRate, Verdict};

/// Collects the answers on one subject. `P` stands for a policy.
#[derive(Debug)]
pub(super) struct Composition<P> {
    denied: Option<(P, u32, String)>,
    allowed: Option<(P, u32)>,
    obligations: Vec<Obligation>,
    rates: Vec<(P, u32, u32, u32)>,
    /// Whether something was allowed under the name that is asked about now.
    here: bool,
    /// Whether nothing was allowed under one of the names.
    silent: bool,
}

impl<P> Default for Composition<P> {
    fn default() -> Self {
        let (obligations, rates) = (Vec::new(), Vec::new());
        Self { denied: None, allowed: None, obligations, rates, here: false, silent: false }
    }
}

impl<P: Copy> Composition<P> {
    /// Takes the answer of `policy`, the next one, in. Whether there is a reason to ask further: nothing undoes a deny.
    pub(super) fn add(&mut self, policy: P, answer: Answer) -> bool {
        match answer.verdict {
            Verdict::NotApplicable => true,
            Verdict::Deny => {
                self.denied = Some((policy, answer.rule, answer.reason));
                false
            }
            Verdict::Allow => {
                // The most special policy speaks last, and its rule is the one to name.
                self.allowed = Some((policy, answer.rule));
                self.here = true;
                for obligation in answer.obligations {
                    match obligation {
                        Obligation::RateLimit { count, seconds } => {
                            self.rates.push((policy, answer.rule, count, seconds));
                        }
                        other => merge(&mut self.obligations, other),
                    }
                }
                true
            }
        }
    }

    /// All policies were asked under one of the names.
    pub(super) const fn end_name(&mut self) {
        self.silent |= !self.here;
        self.here = false;
    }

    /// The decision. `name` tells what records call a rule; `silent` is the answer where no policy speaks of the request.
    pub(super) fn decide(self, name: impl Fn(P, u32) -> Arc<str>, silent: impl FnOnce() -> Decision) -> Decision {
        match (self.denied, self.allowed) {
            (Some((policy, rule, reason)), _) => {
                let reason = if reason.is_empty() { "a policy denies it".to_owned() } else { reason };
                Decision::Deny { rule: Some(name(policy, rule)), reason, notes: Vec::new() }
            }
            (None, Some((policy, rule))) if !self.silent => {
                let rate = |(policy, rule, count, seconds)| RuleRate { rule: name(policy, rule), count, seconds };
                // A rule that speaks of several names of one key has one budget.
                let mut rates: Vec<RuleRate> = Vec::with_capacity(self.rates.len());
                for rate in self.rates.into_iter().map(rate) {
                    if !rates.contains(&rate) {
                        rates.push(rate);
                    }
                }
                Decision::Allow {
                    rule: Some(name(policy, rule)),
                    obligations: self.obligations,
                    rates,
                    notes: Vec::new(),
                }
            }
            (None, _) => silent(),
        }
    }
}

/// Adds `new`, or makes one of its kind stricter.
fn merge(obligations: &mut Vec<Obligation>, new: Obligation) {
    for old in obligations.iter_mut() {
        match (old, &new) {
            (Obligation::MaximumData(old), Obligation::MaximumData(new)) => return *old = (*old).min(*new),
            (Obligation::SessionExpiry(old), Obligation::SessionExpiry(new)) => return *old = (*old).min(*new),
            (Obligation::Mask(old), Obligation::Mask(new)) => return *old = (*old).min(*new),
            (
                Obligation::Quorum { approvals: old, role, window },
                Obligation::Quorum { approvals: new, role: same, window: other },
            ) if role == same => {
                *window = (*window).min(*other);
                return *old = (*old).max(*new);
            }
            (old, new) if old == new => return,
            _ => {}
        }
    }
    obligations.push(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(verdict: Verdict, obligations: &[Obligation]) -> Answer {
        Answer { verdict, rule: 0, reason: String::new(), obligations: obligations.to_vec() }
    }

    fn compose(verdicts: &[Verdict]) -> &'static str {
        let mut composition = Composition::default();
        for verdict in verdicts {
            if !composition.add((), answer(*verdict, &[])) {
                break;
            }
        }
        match composition.decide(|(), _| "".into(), || Decision::denied("silent".to_owned())) {
            Decision::Allow { .. } => "allow",
            Decision::Deny { reason, .. } if reason == "silent" => "silent",
            Decision::Deny { .. } => "deny",
        }
    }

    #[test]
    fn any_deny_wins_one_allow_is_needed_and_silence_is_told_apart() {
        use Verdict::{Allow, Deny, NotApplicable};
        assert_eq!(compose(&[]), "silent");
        assert_eq!(compose(&[NotApplicable, NotApplicable]), "silent");
        assert_eq!(compose(&[NotApplicable, Allow, NotApplicable]), "allow");
        assert_eq!(compose(&[Allow, Deny, Allow]), "deny");
        assert_eq!(compose(&[Deny, Allow]), "deny");
    }

    #[test]
    fn a_key_of_several_names_needs_an_allow_under_each() {
        let decide = |names: &[&[Verdict]]| {
            let mut composition = Composition::default();
            for verdicts in names {
                assert!(verdicts.iter().all(|verdict| composition.add((), answer(*verdict, &[]))));
                composition.end_name();
            }
            composition.decide(|(), _| "".into(), || Decision::denied("silent".to_owned())).is_allow()
        };
        use Verdict::{Allow, NotApplicable};
        assert!(decide(&[&[Allow], &[NotApplicable, Allow]]));
        assert!(!decide(&[&[Allow], &[NotApplicable]]));
        assert!(!decide(&[&[], &[Allow]]));
    }

    #[test]
    fn every_rate_is_a_budget_of_its_own_rule() {
        let mut composition = Composition::default();
        for (policy, count) in [("a", 5), ("b", 3)] {
            let limit = Obligation::RateLimit { count, seconds: 60 };
            assert!(composition.add(policy, answer(Verdict::Allow, &[limit])));
        }
        let decision = composition.decide(|policy, _| policy.into(), || Decision::denied(String::new()));
        let rate = |rule: &str, count| RuleRate { rule: rule.into(), count, seconds: 60 };
        let rates = vec![rate("a", 5), rate("b", 3)];
        assert_eq!(
            decision,
            Decision::Allow { rule: Some("b".into()), obligations: Vec::new(), rates, notes: Vec::new() }
        );
    }

    #[test]
    fn obligations_merge_to_the_strictest() {
        let quorum = |approvals, role: &str, window| Obligation::Quorum { approvals, role: role.to_owned(), window };
        let mut all = Vec::new();
        for new in [
            Obligation::MaximumData(9),
            Obligation::MaximumData(4),
            Obligation::MaximumData(7),
            Obligation::StepUp,
            Obligation::StepUp,
            quorum(2, "custodian", 60),
            quorum(3, "custodian", 0),
            quorum(1, "auditor", 0),
            Obligation::AuditTag("a".to_owned()),
            Obligation::AuditTag("b".to_owned()),
            Obligation::AuditTag("a".to_owned()),
        ] {
            merge(&mut all, new);
        }
        let tags = [Obligation::AuditTag("a".to_owned()), Obligation::AuditTag("b".to_owned())];
        let mut expected = vec![Obligation::MaximumData(4), Obligation::StepUp, quorum(3, "custodian", 0)];
        expected.push(quorum(1, "auditor", 0));
        expected.extend(tags);
        assert_eq!(all, expected);
    }
}
