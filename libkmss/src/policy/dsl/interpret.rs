//! The reference: what a policy says, read straight from its words. The compiled form is tested against it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::ast::{Condition, Duty, Effect, Filter, Keys, Principal, Relation, Rule, Span, Test};
use super::members::{Holding, HoldingKind, Members, is_member};
use super::words::{EXCLUSIVE, Flag, Kind, NumberField, TextField, bit};
use crate::policy::{Input, Obligation};

/// What can be said of a condition. `Unknown`: it asks about something that the request does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    No,
    Unknown,
    Yes,
}

impl Truth {
    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }

    fn negated(self, negated: bool) -> Self {
        if negated { self.not() } else { self }
    }
}

/// How a rule and a request fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The rule speaks of the request.
    Matches,
    /// So it does, but only because something is not known: a deny that cannot be decided denies.
    MatchesUndecided(Span),
    Action,
    Principal,
    Key,
    /// This condition is not so.
    Condition(Span),
    /// This condition cannot be decided, and an allow needs to know.
    Undecided(Span),
}

impl Fit {
    pub(crate) fn matches(self) -> bool {
        matches!(self, Self::Matches | Self::MatchesUndecided(_))
    }
}

/// One request and what its principal holds.
pub(crate) struct Judge<'a> {
    input: &'a Input<'a>,
    held: BTreeSet<Holding>,
    /// In minutes east of Greenwich.
    zone: i16,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(members: &Members, zone: i16, input: &'a Input<'a>) -> Self {
        Self { input, held: members.held(input.principal, input.roles), zone }
    }

    /// Whether the principal holds two roles of which nobody holds two.
    pub(crate) fn clashes(&self) -> bool {
        let exclusive = EXCLUSIVE.iter().filter(|&&name| self.held.contains(&(HoldingKind::Role, name.to_owned())));
        exclusive.count() > 1
    }

    pub(crate) fn fit(&self, rule: &Rule) -> Fit {
        if rule.mask() & bit(self.input.action) == 0 {
            return Fit::Action;
        }
        let principal = rule.principals.iter().map(|p| self.principal(&p.value)).max().unwrap_or(Truth::No);
        if principal == Truth::No {
            return Fit::Principal;
        }
        let key = rule.keys.as_ref().map_or(Truth::Yes, |keys| self.keys(keys));
        if key == Truth::No {
            return Fit::Key;
        }
        let (when, why) = rule.when.as_ref().map_or((Truth::Yes, Span::default()), |when| self.condition(when));
        let unsure = if principal == Truth::Unknown {
            rule.principals.first().map(|p| p.span)
        } else if key == Truth::Unknown {
            rule.keys.as_ref().and_then(|keys| keys.filters.first()).map(|f| f.span)
        } else {
            None
        };
        match (when, rule.effect, unsure) {
            (Truth::No, ..) => Fit::Condition(why),
            (Truth::Unknown, Effect::Allow, _) => Fit::Undecided(why),
            (Truth::Yes, Effect::Allow, Some(span)) => Fit::Undecided(span),
            (Truth::Unknown, Effect::Deny, _) => Fit::MatchesUndecided(why),
            (Truth::Yes, Effect::Deny, Some(span)) => Fit::MatchesUndecided(span),
            (Truth::Yes, _, None) => Fit::Matches,
        }
    }

    pub(super) fn principal(&self, principal: &Principal) -> Truth {
        match principal {
            Principal::Named(Kind::Process, _) if self.input.process.is_empty() => Truth::Unknown,
            Principal::Named(Kind::Process, pattern) => Truth::of(pattern.matches(self.input.process)),
            other => Truth::of(is_member(other, self.input.principal, &self.held)),
        }
    }

    pub(super) fn keys(&self, keys: &Keys) -> Truth {
        let Some(key) = &self.input.key else { return Truth::No };
        if !keys.names.is_empty() && !keys.names.iter().any(|name| name.value.matches(key.name)) {
            return Truth::No;
        }
        let filters = keys.filters.iter().map(|filter| match &filter.value {
            Filter::Tagged(tags) => Truth::of(key.tags.iter().any(|tag| tags.contains(tag))),
            Filter::Namespaces(all) => Truth::of(all.iter().any(|one| one.matches(self.input.namespace))),
            Filter::Types(types) => {
                key.key_type.map_or(Truth::Unknown, |key_type| Truth::of(types.contains(&key_type.name())))
            }
        });
        filters.min().unwrap_or(Truth::Yes)
    }

    /// Whether it is so, and which part of it decided that.
    fn condition(&self, condition: &Condition) -> (Truth, Span) {
        match condition {
            Condition::Test(test) => (self.test(&test.value), test.span),
            Condition::Not(inner) => {
                let (truth, span) = self.condition(inner);
                (truth.not(), span)
            }
            Condition::All(parts) => {
                let parts = parts.iter().map(|part| self.condition(part));
                parts.min_by_key(|(truth, _)| *truth).unwrap_or((Truth::Yes, Span::default()))
            }
            Condition::Any(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.condition(part)).collect();
                let best = parts.iter().map(|(truth, _)| *truth).max().unwrap_or(Truth::No);
                let spans = parts.iter().filter(|(truth, _)| *truth == best).map(|(_, span)| *span);
                (best, spans.reduce(Span::to).unwrap_or_default())
            }
        }
    }

    pub(super) fn test(&self, test: &Test) -> Truth {
        let input = self.input;
        match test {
            Test::Flag(Flag::Mfa) => Truth::of(input.flags.mfa),
            Test::Flag(Flag::Interactive) => Truth::of(input.flags.interactive),
            Test::Flag(Flag::Fips) => Truth::of(input.flags.fips),
            Test::Flag(Flag::SessionKey) => Truth::of(input.key.as_ref().is_some_and(|key| key.session)),
            Test::HasContext(name) => Truth::of(input.context.iter().any(|(n, _)| n == name)),
            Test::Text { field, negated, any } => {
                let known = |text: &'a str| (!text.is_empty()).then_some(text);
                let text = match field {
                    TextField::Mechanism => input.mechanism,
                    TextField::Process => known(input.process),
                    TextField::Tenant => known(input.tenant),
                    TextField::Namespace => known(input.namespace),
                    TextField::Context(name) => {
                        input.context.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
                    }
                };
                text.map_or(Truth::Unknown, |text| Truth::of(any.iter().any(|one| one.matches(text)))).negated(*negated)
            }
            Test::Number { field, negated, relation } => {
                let number = self.number(*field);
                number.map_or(Truth::Unknown, |n| Truth::of(holds(*field, relation, n))).negated(*negated)
            }
            Test::Source { negated, any } => match input.source.parse::<IpAddr>() {
                Ok(address) => {
                    let address = IpNet::from(address.to_canonical());
                    Truth::of(any.iter().any(|net| net.contains(&address))).negated(*negated)
                }
                Err(_) => Truth::Unknown,
            },
        }
    }

    fn number(&self, field: NumberField) -> Option<u64> {
        let input = self.input;
        let local = input.time.0.wrapping_add_signed(i64::from(self.zone) * 60_000);
        match field {
            NumberField::Time => Some(local % 86_400_000 / 60_000),
            // 1970-01-01 was a Thursday.
            NumberField::Weekday => Some((local / 86_400_000 + 3) % 7),
            NumberField::Date => Some(local / 86_400_000),
            NumberField::Size => input.data_len,
            NumberField::Uid => (input.uid != u32::MAX).then_some(input.uid.into()),
            NumberField::KeyAge => input.key.as_ref().map(|key| key.version_age),
            NumberField::KeyBits => input.key.as_ref().map(|key| key.bits.into()).filter(|bits| *bits != 0),
            NumberField::LastSecond => Some(input.last_second.into()),
            NumberField::LastMinute => Some(input.last_minute.into()),
        }
    }
}

fn holds(field: NumberField, relation: &Relation, n: u64) -> bool {
    match relation {
        Relation::In(all) => all.contains(&n),
        Relation::Less(limit) => n < *limit,
        Relation::AtMost(limit) => n <= *limit,
        Relation::More(limit) => n > *limit,
        Relation::AtLeast(limit) => n >= *limit,
        // Times of day end before the second one, and go on after midnight where it is the smaller one.
        Relation::Between(low, high) if field == NumberField::Time => {
            if low < high {
                (*low..*high).contains(&n)
            } else {
                n >= *low || n < *high
            }
        }
        Relation::Between(low, high) if low <= high => (*low..=*high).contains(&n),
        Relation::Between(low, high) => n >= *low || n <= *high,
    }
}

impl Duty {
    /// As the host enforces it.
    pub(crate) fn obligation(&self) -> Obligation {
        match self {
            Self::Mfa => Obligation::StepUp,
            Self::Quorum { approvals, role, within } => {
                Obligation::Quorum { approvals: *approvals, role: role.clone(), window: *within }
            }
            Self::Audit(tag) => Obligation::AuditTag(tag.clone()),
            Self::Rate { count, seconds } => Obligation::RateLimit { count: *count, seconds: *seconds },
            Self::Size(bytes) => Obligation::MaximumData(*bytes),
            Self::Expire(seconds) => Obligation::SessionExpiry(*seconds),
            Self::Notify(channel) => Obligation::Notify(channel.clone()),
            Self::Mask(shown) => Obligation::Mask(*shown),
        }
    }
}
