//! What a policy says of a request of which not everything is known: for records of the past.
//!
//! Each test has a lowest and a highest truth; where its field is not known they are no and yes. Conditions combine both ends
//! (`all` and `any` only grow with their parts, `not` turns them round), so that the answer is certain where both agree.

use std::collections::BTreeSet;

use super::ast::{Condition, Effect, Filter, Keys, Pattern, Principal, Rule, Spanned, Test};
use super::interpret::{Judge, Truth};
use super::words::{Flag, Kind, NumberField, TextField, bit};
use super::{Policy, RuleText};
use crate::policy::{Answer, Input, Verdict};

/// A part of a request that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Gap {
    /// The principal's roles.
    Roles,
    /// Path of the program.
    Process,
    /// User of the process.
    Uid,
    /// Address of the caller.
    Source,
    /// Whether the user confirmed this one operation.
    Mfa,
    /// Whether the namespace demands what FIPS 140-3 approves.
    Fips,
    /// The key's tags.
    Tags,
    /// The key's type.
    KeyType,
    /// The key's size.
    KeyBits,
    /// The key's age.
    KeyAge,
    /// Size of the data.
    Size,
    /// Counts of decisions.
    Rate,
    /// Names in the encryption context.
    Context,
    /// Values in the encryption context.
    ContextValues,
    /// When it was.
    Time,
}

impl Gap {
    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Roles => "roles",
            Self::Process => "process",
            Self::Uid => "uid",
            Self::Source => "source",
            Self::Mfa => "mfa",
            Self::Fips => "fips",
            Self::Tags => "key tags",
            Self::KeyType => "key type",
            Self::KeyBits => "key bits",
            Self::KeyAge => "key age",
            Self::Size => "size",
            Self::Rate => "rate",
            Self::Context => "context",
            Self::ContextValues => "context values",
            Self::Time => "time",
        }
    }
}

/// A request of which some parts are not known.
#[derive(Clone, Copy, Debug)]
pub struct Partial<'a> {
    /// What is known. What is in `gaps` counts for nothing.
    pub input: &'a Input<'a>,
    /// What is not known.
    pub gaps: &'a BTreeSet<Gap>,
    /// Names of the encryption context whose values are known, where [`Gap::ContextValues`] is among the gaps, not to be
    /// any text that the policy [names](Policy::context_values), unless the input has that very text.
    pub compared: &'a BTreeSet<String>,
}

/// What a policy says of such a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// The same whatever the unknown parts were. Which rule decides is the first that certainly applies.
    Certain(Answer),
    /// It depends on these.
    Open(BTreeSet<Gap>),
}

/// How far a rule certainly matches, and might.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Never,
    Perhaps,
    Surely,
}

impl Policy {
    /// What the policy says of a request that is known in part.
    #[must_use]
    pub fn weigh(&self, partial: Partial<'_>) -> Weighed {
        let judge = Judge::new(&self.members, self.zone, partial.input);
        if partial.gaps.is_empty() || judge.clashes() {
            return Weighed::Certain(self.decide(partial.input));
        }
        let mut scales = Scales { judge: &judge, partial, open: BTreeSet::new() };
        let (mut open, mut perhaps) = (BTreeSet::new(), BTreeSet::new());
        let mut allow = None;
        for rule in self.rules() {
            scales.open.clear();
            match (rule.effect, scales.fit(rule)) {
                (Effect::Deny, Match::Surely) => return Weighed::Certain(self.answer_of(rule, Verdict::Deny)),
                (Effect::Deny, Match::Perhaps) => open.append(&mut scales.open),
                (Effect::Allow, Match::Surely) if allow.is_none() => allow = Some(rule),
                (Effect::Allow, Match::Perhaps) if allow.is_none() => perhaps.append(&mut scales.open),
                _ => {}
            }
        }
        match allow {
            _ if !open.is_empty() => {
                if allow.is_none() {
                    open.append(&mut perhaps);
                }
                Weighed::Open(open)
            }
            Some(rule) => Weighed::Certain(self.answer_of(rule, Verdict::Allow)),
            None if !perhaps.is_empty() => Weighed::Open(perhaps),
            None => Weighed::Certain(Answer {
                verdict: Verdict::NotApplicable,
                rule: 0,
                reason: String::new(),
                obligations: Vec::new(),
            }),
        }
    }

    /// The texts with which the policy compares values of the encryption context, with the names of their entries.
    #[must_use]
    pub fn context_values(&self) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for condition in self.rules().filter_map(|rule| rule.when.as_ref()) {
            values(condition, &mut found);
        }
        found
    }

    /// The rule of this number as people know it.
    #[must_use]
    pub fn rule_text(&self, number: u32) -> Option<RuleText> {
        self.rules().find(|rule| rule.number == number).map(|rule| self.text_of(rule))
    }

    fn answer_of(&self, rule: &Rule, verdict: Verdict) -> Answer {
        let obligations = match verdict {
            Verdict::Allow => rule.duties.iter().map(|duty| duty.value.obligation()).collect(),
            _ => Vec::new(),
        };
        Answer { verdict, rule: rule.number, reason: super::reason(rule), obligations }
    }
}

fn values(condition: &Condition, found: &mut BTreeSet<(String, String)>) {
    match condition {
        Condition::Any(parts) | Condition::All(parts) => parts.iter().for_each(|part| values(part, found)),
        Condition::Not(inner) => values(inner, found),
        Condition::Test(Spanned { value: Test::Text { field: TextField::Context(name), any, .. }, .. }) => {
            for pattern in any {
                if let Pattern::Exact(text) = pattern {
                    found.insert((name.clone(), text.clone()));
                }
            }
        }
        Condition::Test(_) => {}
    }
}

struct Scales<'a> {
    judge: &'a Judge<'a>,
    partial: Partial<'a>,
    /// What was asked for and is not known.
    open: BTreeSet<Gap>,
}

/// The lowest and the highest truth.
type Ends = (Truth, Truth);

const ANYTHING: Ends = (Truth::No, Truth::Yes);

impl Scales<'_> {
    fn fit(&mut self, rule: &Rule) -> Match {
        if rule.mask() & bit(self.partial.input.action) == 0 {
            return Match::Never;
        }
        let principals = rule.principals.iter().map(|p| self.principal(&p.value));
        let principal = both(principals.collect(), Ord::max, Truth::No);
        let key = rule.keys.as_ref().map_or((Truth::Yes, Truth::Yes), |keys| self.keys(keys));
        if principal.1 == Truth::No || key.1 == Truth::No {
            return Match::Never;
        }
        let when = rule.when.as_ref().map_or((Truth::Yes, Truth::Yes), |when| self.condition(when));
        let whole = both(vec![principal, key, when], Ord::min, Truth::Yes);
        let matches = |truth| match rule.effect {
            Effect::Allow => truth == Truth::Yes,
            Effect::Deny => truth != Truth::No,
        };
        match (matches(whole.0), matches(whole.1)) {
            (true, _) => Match::Surely,
            (false, true) => Match::Perhaps,
            (false, false) => Match::Never,
        }
    }

    /// `truth`, unless it rests on what is not known.
    fn known(&mut self, gap: Gap, truth: impl FnOnce() -> Truth) -> Ends {
        if self.partial.gaps.contains(&gap) {
            self.open.insert(gap);
            return ANYTHING;
        }
        let truth = truth();
        (truth, truth)
    }

    fn principal(&mut self, principal: &Principal) -> Ends {
        let judge = self.judge;
        match principal {
            Principal::Named(Kind::Process, _) => self.known(Gap::Process, || judge.principal(principal)),
            // Roles that are known do not go by knowing more.
            Principal::Named(Kind::Role | Kind::Group, _) if judge.principal(principal) != Truth::Yes => {
                self.known(Gap::Roles, || Truth::No)
            }
            _ => (judge.principal(principal), judge.principal(principal)),
        }
    }

    fn keys(&mut self, keys: &Keys) -> Ends {
        let named = Keys { with: keys.with, names: keys.names.clone(), filters: Vec::new() };
        let judge = self.judge;
        let mut parts = vec![(judge.keys(&named), judge.keys(&named))];
        for filter in &keys.filters {
            let one = Keys { with: keys.with, names: Vec::new(), filters: vec![filter.clone()] };
            parts.push(match &filter.value {
                Filter::Tagged(_) => self.known(Gap::Tags, || judge.keys(&one)),
                Filter::Types(_) => self.known(Gap::KeyType, || judge.keys(&one)),
                Filter::Namespaces(_) => (judge.keys(&one), judge.keys(&one)),
            });
        }
        both(parts, Ord::min, Truth::Yes)
    }

    fn condition(&mut self, condition: &Condition) -> Ends {
        match condition {
            Condition::Test(test) => self.test(&test.value),
            Condition::Not(inner) => {
                let (low, high) = self.condition(inner);
                (high.not(), low.not())
            }
            Condition::All(parts) => {
                let parts = parts.iter().map(|part| self.condition(part)).collect();
                both(parts, Ord::min, Truth::Yes)
            }
            Condition::Any(parts) => {
                let parts = parts.iter().map(|part| self.condition(part)).collect();
                both(parts, Ord::max, Truth::No)
            }
        }
    }

    fn test(&mut self, test: &Test) -> Ends {
        let judge = self.judge;
        let gap = match test {
            Test::Flag(Flag::Mfa) => Some(Gap::Mfa),
            Test::Flag(Flag::Fips) => Some(Gap::Fips),
            Test::Flag(Flag::Interactive | Flag::SessionKey) => None,
            Test::HasContext(_) => Some(Gap::Context),
            Test::Text { field: TextField::Process, .. } => Some(Gap::Process),
            Test::Text { field: TextField::Context(name), any, .. } => self.context(name, any),
            Test::Text { .. } => None,
            Test::Number { field, .. } => match field {
                NumberField::Time | NumberField::Weekday | NumberField::Date => Some(Gap::Time),
                NumberField::Size => Some(Gap::Size),
                NumberField::Uid => Some(Gap::Uid),
                NumberField::KeyAge => Some(Gap::KeyAge),
                NumberField::KeyBits => Some(Gap::KeyBits),
                NumberField::LastSecond | NumberField::LastMinute => Some(Gap::Rate),
            },
            Test::Source { .. } => Some(Gap::Source),
        };
        match gap {
            Some(gap) => self.known(gap, || judge.test(test)),
            None => (judge.test(test), judge.test(test)),
        }
    }

    /// What a comparison with an entry of the context may lack.
    fn context(&self, name: &String, any: &[Pattern]) -> Option<Gap> {
        if self.partial.gaps.contains(&Gap::Context) {
            return Some(Gap::Context);
        }
        let present = self.partial.input.context.iter().any(|(n, _)| n == name);
        let exact = any.iter().all(|pattern| matches!(pattern, Pattern::Exact(_)));
        (present && !(exact && self.partial.compared.contains(name))).then_some(Gap::ContextValues)
    }
}

fn both(parts: Vec<Ends>, join: fn(Truth, Truth) -> Truth, start: Truth) -> Ends {
    parts.into_iter().fold((start, start), |(low, high), part| (join(low, part.0), join(high, part.1)))
}
