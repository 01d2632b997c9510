//! Conditions as chains of tests: each knows where to go on when it is so, and when it is not.

use std::collections::HashMap;

use ipnet::IpNet;

use super::data::Data;
use super::tree::length_and_kind;
use crate::policy::abi::{KEY_TYPES, MECHANISMS, mechanism_number};
use crate::policy::dsl::ast::{Condition, Filter, Pattern, Relation, Test};
use crate::policy::dsl::words::{Flag, NumberField, TextField};

/// What a chain ends with instead of an address.
pub(super) const NO: u32 = 0;
pub(super) const YES: u32 = 1;

/// Kinds of tests, as the evaluator knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// `from <= the field numbered `what` <= to`
    Number,
    /// The request's text at `what` is one of `to` patterns at `from`; an empty text is not known.
    Text,
    /// The same; an empty text is a text.
    AnyText,
    /// The context's entry named by the text at `from >> 32`.. is one of the patterns.
    Context,
    /// The context has an entry whose name is one of the patterns.
    HasContext,
    /// One of the key's tags is one of the patterns.
    Tag,
    /// The caller's address lies in one of `to` networks at `from`.
    Source,
    /// The mechanism is one of `to` numbers at `from`.
    Mechanism,
    /// The bit of the key's type is set in `from`.
    KeyType,
    /// A flag in `from` is set.
    Flag,
}

/// Where texts stand in a request: docs/policy-abi.md, section 2.
const TENANT: u32 = 88;
const NAMESPACE: u32 = 128;
const PROCESS: u32 = 144;

/// One test before it is written.
#[derive(Clone)]
struct Single {
    op: Op,
    what: u32,
    from: u64,
    to: u64,
    negated: bool,
}

/// A condition without `not`, which the tests have taken over: what is not known can then be replaced test by test.
enum Plain {
    Single(Single),
    All(Vec<Plain>),
    Any(Vec<Plain>),
}

/// Writes conditions; equal tests with equal ends are written once.
#[derive(Default)]
pub(super) struct Tests {
    known: HashMap<[u8; 32], u32>,
    lists: HashMap<Vec<u8>, u32>,
}

impl Tests {
    /// The chain for what a rule asks of the key and of everything else: its first test, or what is always so. Where
    /// something is not known a test is `unknown`.
    pub(super) fn chain(
        &mut self,
        data: &mut Data,
        filters: &[&Filter],
        when: Option<&Condition>,
        unknown: bool,
    ) -> u32 {
        let mut all: Vec<Plain> = filters.iter().map(|filter| self.filter(data, filter)).collect();
        all.extend(when.map(|when| self.plain(data, when, false)));
        self.write(data, &Plain::All(all), YES, NO, unknown)
    }

    fn write(&mut self, data: &mut Data, plain: &Plain, yes: u32, no: u32, unknown: bool) -> u32 {
        match plain {
            Plain::All(parts) => parts.iter().rev().fold(yes, |yes, part| self.write(data, part, yes, no, unknown)),
            Plain::Any(parts) => parts.iter().rev().fold(no, |no, part| self.write(data, part, yes, no, unknown)),
            Plain::Single(single) => {
                let flags = u32::from(single.negated) << 8 | u32::from(unknown) << 16;
                let mut record = [0; 32];
                let words = [
                    single.op as u32 | flags,
                    single.what,
                    low(single.from),
                    high(single.from),
                    low(single.to),
                    high(single.to),
                    yes,
                    no,
                ];
                for (to, word) in record.chunks_exact_mut(4).zip(words) {
                    to.copy_from_slice(&word.to_le_bytes());
                }
                *self.known.entry(record).or_insert_with(|| {
                    let at = data.align(8);
                    data.raw(&record);
                    at
                })
            }
        }
    }

    fn filter(&mut self, data: &mut Data, filter: &Filter) -> Plain {
        Plain::Single(match filter {
            Filter::Tagged(tags) => {
                let tags: Vec<Pattern> = tags.iter().cloned().map(Pattern::Exact).collect();
                self.patterns(data, Op::Tag, 0, &tags)
            }
            Filter::Namespaces(all) => self.patterns(data, Op::AnyText, NAMESPACE, all),
            Filter::Types(types) => {
                let numbers = KEY_TYPES.iter().filter(|(_, name)| types.contains(name)).map(|(number, _)| number);
                let mask = numbers.fold(0_u64, |mask, number| mask | 1 << (number & 63));
                Single { op: Op::KeyType, what: 0, from: mask, to: 0, negated: false }
            }
        })
    }

    fn plain(&mut self, data: &mut Data, condition: &Condition, negated: bool) -> Plain {
        match condition {
            Condition::Not(inner) => self.plain(data, inner, !negated),
            Condition::All(parts) | Condition::Any(parts) => {
                let is_all = matches!(condition, Condition::All(_)) != negated;
                let parts = parts.iter().map(|part| self.plain(data, part, negated)).collect();
                if is_all { Plain::All(parts) } else { Plain::Any(parts) }
            }
            Condition::Test(test) => self.test(data, &test.value, negated),
        }
    }

    fn test(&mut self, data: &mut Data, test: &Test, outer: bool) -> Plain {
        let (mut single, negated) = match test {
            Test::Flag(flag) => {
                let mask = match flag {
                    Flag::Interactive => 1,
                    Flag::Mfa => 2,
                    Flag::Fips => 4,
                    Flag::SessionKey => 16,
                };
                (Single { op: Op::Flag, what: 0, from: mask, to: 0, negated: false }, false)
            }
            Test::HasContext(name) => (self.patterns(data, Op::HasContext, 0, &[Pattern::Exact(name.clone())]), false),
            Test::Text { field: TextField::Mechanism, negated, any } => (self.mechanisms(data, any), *negated),
            Test::Text { field, negated, any } => {
                let single = match field {
                    TextField::Process => self.patterns(data, Op::Text, PROCESS, any),
                    TextField::Tenant => self.patterns(data, Op::Text, TENANT, any),
                    TextField::Context(name) => {
                        let name = self.pattern_list(data, &[Pattern::Exact(name.clone())]);
                        self.patterns(data, Op::Context, name, any)
                    }
                    _ => self.patterns(data, Op::Text, NAMESPACE, any),
                };
                (single, *negated)
            }
            Test::Source { negated, any } => (self.networks(data, any), *negated),
            Test::Number { field, negated, relation } => return numbers(*field, relation, *negated != outer),
        };
        single.negated = negated != outer;
        Plain::Single(single)
    }

    fn patterns(&mut self, data: &mut Data, op: Op, what: u32, any: &[Pattern]) -> Single {
        let from = self.pattern_list(data, any).into();
        Single { op, what, from, to: any.len() as u64, negated: false }
    }

    /// Pairs of an address and a length, of which the highest bit is set for starts of texts.
    fn pattern_list(&mut self, data: &mut Data, any: &[Pattern]) -> u32 {
        let mut list = Vec::new();
        for pattern in any {
            let (text, is_start) = match pattern {
                Pattern::Exact(text) => (text, false),
                Pattern::Prefix(text) => (text, true),
            };
            list.extend(data.text(text.as_bytes()).to_le_bytes());
            list.extend(length_and_kind(text.len(), is_start).to_le_bytes());
        }
        self.list(data, list)
    }

    fn mechanisms(&mut self, data: &mut Data, any: &[Pattern]) -> Single {
        let names = MECHANISMS.iter().filter(|(_, name)| any.iter().any(|pattern| pattern.matches(name)));
        let numbers: Vec<u32> = names.map(|(_, name)| mechanism_number(name)).collect();
        let to = numbers.len() as u64;
        let list = numbers.into_iter().flat_map(u32::to_le_bytes).collect();
        Single { op: Op::Mechanism, what: 0, from: self.list(data, list).into(), to, negated: false }
    }

    /// Networks in 40 bytes each: the upper and lower half of the address, the same of the mask, and 4 or 6.
    fn networks(&mut self, data: &mut Data, any: &[IpNet]) -> Single {
        let mut list = Vec::new();
        for net in any {
            let (address, mask, family) = match net {
                IpNet::V4(v4) => (u128::from(u32::from(v4.network())), u128::from(u32::from(v4.netmask())), 4_u64),
                IpNet::V6(v6) => (u128::from(v6.network()), u128::from(v6.netmask()), 6),
            };
            for half in [address >> 64, address, mask >> 64, mask] {
                let half = u64::try_from(half & u128::from(u64::MAX)).unwrap_or_default();
                list.extend(half.to_le_bytes());
            }
            list.extend(family.to_le_bytes());
        }
        Single { op: Op::Source, what: 0, from: self.list(data, list).into(), to: any.len() as u64, negated: false }
    }

    fn list(&mut self, data: &mut Data, list: Vec<u8>) -> u32 {
        *self.lists.entry(list).or_insert_with_key(|list| {
            let at = data.align(8);
            data.raw(list);
            at
        })
    }
}

/// Every relation between numbers is one of ranges.
fn numbers(field: NumberField, relation: &Relation, negated: bool) -> Plain {
    let what = match field {
        NumberField::Time => 0,
        NumberField::Weekday => 1,
        NumberField::Date => 2,
        NumberField::Size => 3,
        NumberField::Uid => 4,
        NumberField::KeyAge => 5,
        NumberField::KeyBits => 6,
        NumberField::LastSecond => 7,
        NumberField::LastMinute => 8,
    };
    let range = |from: u64, to: u64, outside: bool| {
        Plain::Single(Single { op: Op::Number, what, from, to, negated: negated != outside })
    };
    /// No number lies in it.
    const EMPTY: (u64, u64) = (1, 0);
    let (from, to) = match relation {
        Relation::In(all) => {
            let parts = all.iter().map(|n| range(*n, *n, false)).collect();
            return if negated { Plain::All(parts) } else { Plain::Any(parts) };
        }
        Relation::Less(limit) => limit.checked_sub(1).map_or(EMPTY, |to| (0, to)),
        Relation::AtMost(limit) => (0, *limit),
        Relation::More(limit) => limit.checked_add(1).map_or(EMPTY, |from| (from, u64::MAX)),
        Relation::AtLeast(limit) => (*limit, u64::MAX),
        Relation::Between(low, high) => {
            // Times of day end before the second one.
            let half_open = u64::from(field == NumberField::Time);
            if low + half_open <= *high {
                (*low, high - half_open)
            } else {
                // What goes on past the end of the day or week is what does not lie between.
                return range(high + 1 - half_open, low.wrapping_sub(1), true);
            }
        }
    };
    range(from, to, false)
}

fn low(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default()
}

fn high(word: u64) -> u32 {
    low(word >> 32)
}
