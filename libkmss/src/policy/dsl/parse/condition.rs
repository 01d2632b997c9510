//! What stands behind `when`: `or` binds least, then `and`, then `not`.

use super::super::ast::{Condition, Pattern, Relation, Spanned, Test};
use super::super::diagnostic::Problem;
use super::super::lexeme::Kind as Sign;
use super::super::suggest::nearest;
use super::super::words::{Flag, NumberField, SUBJECTS, TextField, mechanisms};
use super::cursor::{Cursor, Result};
use super::{noun, value};

/// How deep parentheses and `not` may be nested.
const DEEPEST: u32 = 32;

/// Most tests in one list of alternatives.
const LONGEST_LIST: usize = 1_000;

pub(super) fn condition(cursor: &mut Cursor<'_, '_>) -> Result<Condition> {
    cursor.depth = 0;
    if cursor.keyword() == Some("at") {
        return Err(Problem::new(cursor.next_span(), "`at most` is not a condition but a limit")
            .help("write it after the conditions, or without `when`"));
    }
    any(cursor)
}

fn any(cursor: &mut Cursor<'_, '_>) -> Result<Condition> {
    let mut parts = vec![all(cursor)?];
    while cursor.take("or") {
        parts.push(all(cursor)?);
    }
    Ok(one_or(parts, Condition::Any))
}

fn all(cursor: &mut Cursor<'_, '_>) -> Result<Condition> {
    let mut parts = vec![single(cursor)?];
    while cursor.take("and") {
        parts.push(single(cursor)?);
    }
    Ok(one_or(parts, Condition::All))
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}

fn single(cursor: &mut Cursor<'_, '_>) -> Result<Condition> {
    let span = cursor.next_span();
    let nested = cursor.keyword() == Some("not") || cursor.peek().is_some_and(|lexeme| lexeme.kind == Sign::Open);
    if nested {
        if cursor.depth >= DEEPEST {
            return Err(Problem::new(span, format!("conditions are nested more than {DEEPEST} deep")));
        }
        cursor.depth += 1;
        let condition = if cursor.take("not") {
            Condition::Not(Box::new(single(cursor)?))
        } else {
            cursor.advance();
            let inner = any(cursor)?;
            if !cursor.take_sign(&Sign::Close) {
                return Err(cursor.expected("`)`, `and` or `or`", ["and", "or"]));
            }
            inner
        };
        cursor.depth -= 1;
        return Ok(condition);
    }
    let value = test(cursor)?;
    Ok(Condition::Test(Spanned { value, span: span.to(cursor.last_span()) }))
}

fn test(cursor: &mut Cursor<'_, '_>) -> Result<Test> {
    let Some(word) = cursor.keyword() else {
        return Err(cursor.expected("a condition", []));
    };
    let span = cursor.next_span();
    if SUBJECTS.contains(&word) || matches!(word, "session" | "data") {
        cursor.advance();
    }
    match word {
        "mfa" => Ok(Test::Flag(Flag::Mfa)),
        "interactive" => Ok(Test::Flag(Flag::Interactive)),
        "fips" => Ok(Test::Flag(Flag::Fips)),
        "session" => cursor.require("key").map(|()| Test::Flag(Flag::SessionKey)),
        "mechanism" => text(cursor, TextField::Mechanism),
        "process" => text(cursor, TextField::Process),
        "tenant" => text(cursor, TextField::Tenant),
        "namespace" => text(cursor, TextField::Namespace),
        "context" if cursor.take("has") => Ok(Test::HasContext(cursor.text("the entry's name")?.value)),
        "context" => {
            let name = cursor.text("the entry's name, or `has`")?.value;
            text(cursor, TextField::Context(name))
        }
        "source" => source(cursor),
        "time" => number(cursor, NumberField::Time),
        "weekday" => number(cursor, NumberField::Weekday),
        "date" => number(cursor, NumberField::Date),
        "size" => number(cursor, NumberField::Size),
        "data" => cursor.require("size").and_then(|()| number(cursor, NumberField::Size)),
        "uid" => number(cursor, NumberField::Uid),
        // Which of the two counts it is stands at the end.
        "rate" => number(cursor, NumberField::LastMinute),
        "key" if cursor.take("age") => number(cursor, NumberField::KeyAge),
        "key" if cursor.take("bits") => number(cursor, NumberField::KeyBits),
        "key" => Err(cursor.expected("`age` or `bits`", ["age", "bits"])),
        other => {
            let problem = Problem::new(span, format!("`{other}` is nothing that a condition can ask about"));
            let meant = nearest(other, SUBJECTS);
            Err(match meant {
                Some(_) => problem.suggest(meant),
                None => problem
                    .help("for example `mechanism`, `time`, `weekday`, `date`, `size`, `source`, `context`, `key age`"),
            })
        }
    }
}

/// `is`, `is not`, `in`, `not in`: whether it is negated; `None` where something else stands here.
fn equality(cursor: &mut Cursor<'_, '_>) -> Option<bool> {
    if cursor.take("is") {
        let negated = cursor.take("not");
        let _ = cursor.take("in");
        return Some(negated);
    }
    if cursor.take_sign(&Sign::Equal) || cursor.take("in") {
        return Some(false);
    }
    if cursor.take_sign(&Sign::Unequal) {
        return Some(true);
    }
    if cursor.keyword() == Some("not") {
        cursor.advance();
        return cursor.take("in").then_some(true);
    }
    None
}

const RELATIONS: [&str; 6] = ["is", "in", "not", "between", "before", "after"];

/// One value, or several in parentheses.
fn list<T>(cursor: &mut Cursor<'_, '_>, mut one: impl FnMut(&mut Cursor<'_, '_>) -> Result<T>) -> Result<Vec<T>> {
    if !cursor.take_sign(&Sign::Open) {
        return Ok(vec![one(cursor)?]);
    }
    let mut all = vec![one(cursor)?];
    while cursor.take_sign(&Sign::Comma) || cursor.take("or") {
        all.push(one(cursor)?);
        if all.len() > LONGEST_LIST {
            return Err(Problem::new(cursor.last_span(), format!("a list has at most {LONGEST_LIST} values")));
        }
    }
    if cursor.take_sign(&Sign::Close) { Ok(all) } else { Err(cursor.expected("`,` or `)`", [])) }
}

fn text(cursor: &mut Cursor<'_, '_>, field: TextField) -> Result<Test> {
    let Some(negated) = equality(cursor) else {
        return Err(cursor.expected("`is`, `is not`, `in` or `not in`", ["is", "in", "not"]));
    };
    let mechanism = field == TextField::Mechanism;
    let any = list(cursor, |cursor| {
        let span = cursor.next_span();
        let pattern = noun::text_pattern(cursor, "a value")?;
        if mechanism && !mechanisms().any(|name| pattern.matches(name)) {
            let (Pattern::Exact(typed) | Pattern::Prefix(typed)) = &pattern;
            let bare = typed.strip_prefix("CKM_").unwrap_or(typed);
            return Err(Problem::new(span, format!("`{typed}` is no mechanism")).suggest(nearest(bare, mechanisms())));
        }
        Ok(pattern)
    })?;
    Ok(Test::Text { field, negated, any })
}

fn source(cursor: &mut Cursor<'_, '_>) -> Result<Test> {
    let Some(negated) = equality(cursor) else {
        return Err(cursor.expected("`in` or `is`", ["is", "in", "not"]));
    };
    Ok(Test::Source { negated, any: list(cursor, value::network)? })
}

fn number(cursor: &mut Cursor<'_, '_>, field: NumberField) -> Result<Test> {
    let start = cursor.next_span();
    let mut negated = false;
    let relation = if let Some(not) = equality(cursor) {
        negated = not;
        Relation::In(list(cursor, |cursor| value::of_field(cursor, field))?)
    } else if cursor.take("between") {
        let low = value::of_field(cursor, field)?;
        cursor.require("and")?;
        Relation::Between(low, value::of_field(cursor, field)?)
    } else {
        let make: fn(u64) -> Relation = if cursor.take_sign(&Sign::Less) || cursor.take("before") {
            Relation::Less
        } else if cursor.take_sign(&Sign::AtMost) {
            Relation::AtMost
        } else if cursor.take_sign(&Sign::More) || cursor.take("after") {
            Relation::More
        } else if cursor.take_sign(&Sign::AtLeast) {
            Relation::AtLeast
        } else {
            return Err(cursor.expected("`is`, `in`, `between`, `<`, `<=`, `>` or `>=`", RELATIONS));
        };
        make(value::of_field(cursor, field)?)
    };
    let field = if field == NumberField::LastMinute { window(cursor)? } else { field };
    check(field, &relation, start.to(cursor.last_span()))?;
    Ok(Test::Number { field, negated, relation })
}

/// `per second`, `per minute`: what the host counts.
fn window(cursor: &mut Cursor<'_, '_>) -> Result<NumberField> {
    cursor.require("per")?;
    if cursor.take("second") {
        Ok(NumberField::LastSecond)
    } else if cursor.take("minute") {
        Ok(NumberField::LastMinute)
    } else {
        Err(cursor.expected("`second` or `minute`", ["second", "minute"]))
    }
}

/// Refuses what can never be so, or means something else than it says.
fn check(field: NumberField, relation: &Relation, span: super::super::ast::Span) -> Result<()> {
    let ordered = !matches!(relation, Relation::In(_) | Relation::Between(..));
    match relation {
        _ if field == NumberField::Weekday && ordered => {
            Err(Problem::new(span, "weekdays have no first one").help("write `weekday between monday and friday`"))
        }
        Relation::Between(low, high) if low == high && field == NumberField::Time => {
            Err(Problem::new(span, "no time lies between these"))
        }
        Relation::Between(low, high) if low > high && !matches!(field, NumberField::Time | NumberField::Weekday) => {
            Err(Problem::new(span, "nothing lies between these: the first is the larger one").help("swap them"))
        }
        Relation::Less(0) => Err(Problem::new(span, "nothing is less than this")),
        _ => Ok(()),
    }
}
