//! The canonical form of a policy.

use std::fmt::Write as _;

use super::ast::{
    Comment, Condition, Document, Duty, Effect, Filter, Keys, Pattern, Principal, Relation, Rule, Span, Spanned,
    Statement, Test, Verb,
};
use super::lexeme::is_word;
use super::words::{CLAUSES, DURATIONS, NumberField, SIZES, STARTERS, SUBJECTS, TextField, WEEKDAYS};

/// Longer rules are broken before their clauses.
const WIDTH: usize = 100;

/// A policy in canonical form, with its comments. `source` is what it was read from.
pub(crate) fn format(document: &Document, source: &str) -> String {
    let mut out = String::new();
    let mut comments = document.comments.iter().peekable();
    let mut end: Option<u32> = None;
    for statement in &document.statements {
        let mut inside: Vec<&Comment> = Vec::new();
        while let Some(comment) = comments.next_if(|c| c.span.start < statement.span.end) {
            inside.push(comment);
        }
        // Comments in the middle of a statement move before it.
        for comment in inside {
            gap(&mut out, source, end, comment.span.start.min(statement.span.start));
            line(&mut out, comment);
            end = Some(comment.span.end.min(statement.span.start).max(end.unwrap_or(0)));
        }
        gap(&mut out, source, end, statement.span.start);
        out.push_str(&words(&statement.value));
        end = Some(statement.span.end);
        if let Some(comment) = comments.next_if(|c| on_one_line(source, statement.span.end, c.span.start)) {
            let _ = write!(out, "  #{}", comment.text);
            end = Some(comment.span.end);
        }
        out.push('\n');
    }
    for comment in comments {
        gap(&mut out, source, end, comment.span.start);
        line(&mut out, comment);
        end = Some(comment.span.end);
    }
    out
}

fn line(out: &mut String, comment: &Comment) {
    let _ = writeln!(out, "#{}", comment.text);
}

/// An empty line where the source has one or more.
fn gap(out: &mut String, source: &str, end: Option<u32>, start: u32) {
    let between = end.and_then(|end| source.get(end as usize..start as usize)).unwrap_or_default();
    if between.bytes().filter(|b| *b == b'\n').count() > 1 {
        out.push('\n');
    }
}

fn on_one_line(source: &str, end: u32, start: u32) -> bool {
    source.get(end as usize..start as usize).is_some_and(|between| !between.contains('\n'))
}

/// A statement in canonical form; long ones over several lines.
fn words(statement: &Statement) -> String {
    match statement {
        Statement::Header { name, version } => {
            let version = version.map(|v| format!(" version {v}")).unwrap_or_default();
            format!("policy {}{version}", quoted(name))
        }
        Statement::Zone(0) => "timezone UTC".to_owned(),
        Statement::Zone(minutes) => {
            let (sign, minutes) = if *minutes < 0 { ('-', -minutes) } else { ('+', *minutes) };
            format!("timezone UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
        Statement::Includes { role, others } => {
            format!("role {} includes {}", name(&role.value), joined(others.iter().map(|o| name(&o.value))))
        }
        Statement::Grant { roles, to } => {
            let roles = roles.iter().map(|role| format!("{}:{}", role.value.0.word(), bare_or_quoted(&role.value.1)));
            format!("grant {} to {}", joined(roles), joined(to.iter().map(|to| principal(&to.value))))
        }
        Statement::Rule(rule) => {
            let head = head(rule);
            let clauses = clauses(rule);
            let whole = std::iter::once(head.as_str()).chain(clauses.iter().map(String::as_str)).collect::<Vec<_>>();
            let flat = whole.join(" ");
            if flat.chars().count() <= WIDTH { flat } else { whole.join("\n    ") }
        }
    }
}

/// `allow service:order-v1 to use key:payment_aes for encrypt only`
pub(crate) fn head(rule: &Rule) -> String {
    let effect = if rule.effect == Effect::Allow { "allow" } else { "deny" };
    let who = joined(rule.principals.iter().map(|p| principal(&p.value)));
    let mut out = format!("{effect} {who} to {}", verbs(&rule.verbs));
    if let Some(named) = &rule.keys {
        let _ = write!(out, " {}", keys(named));
    }
    if !rule.only.is_empty() {
        let _ = write!(out, " for {} only", verbs(&rule.only));
    }
    out
}

fn clauses(rule: &Rule) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(rule.when.as_ref().map(|when| format!("when {}", condition(when))));
    all.extend(rule.duties.iter().map(|d| duty(&d.value)));
    all.extend(rule.because.as_ref().map(|why| format!("because {}", quoted(why))));
    all
}

fn verbs(all: &[Spanned<Verb>]) -> String {
    joined(all.iter().map(|verb| match verb.value {
        Verb::One(action) => action.name().to_owned(),
        Verb::Signature(action) => format!("{} signature", action.name()),
        Verb::Group(group) => group.word().to_owned(),
    }))
}

fn principal(one: &Principal) -> String {
    match one {
        Principal::Anyone => "anyone".to_owned(),
        Principal::Named(kind, pattern) => prefixed(kind.word(), pattern),
    }
}

fn prefixed(kind: &str, pattern: &Pattern) -> String {
    match pattern {
        Pattern::Exact(name) => format!("{kind}:{}", bare_or_quoted(name)),
        Pattern::Prefix(start) if start.is_empty() => format!("{kind}:*"),
        Pattern::Prefix(start) => format!("{kind}:{}*", bare_or_quoted(start)),
    }
}

fn keys(keys: &Keys) -> String {
    let mut out = if keys.with { "with ".to_owned() } else { String::new() };
    match (keys.names.is_empty(), keys.filters.is_empty()) {
        (true, true) => out.push_str("any key"),
        (true, false) => out.push_str("keys"),
        _ => out.push_str(&joined(keys.names.iter().map(|n| prefixed("key", &n.value)))),
    }
    for filter in &keys.filters {
        let _ = match &filter.value {
            Filter::Tagged(tags) => write!(out, " tagged {}", joined(tags.iter().map(|t| name(t)))),
            Filter::Types(types) => write!(out, " of type {}", types.join(", ")),
            Filter::Namespaces(all) => write!(out, " in {}", joined(all.iter().map(|n| prefixed("namespace", n)))),
        };
    }
    out
}

/// How tight a condition binds.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Tightness {
    Any,
    All,
    Not,
}

fn condition(condition: &Condition) -> String {
    let wrapped = |part: &Condition, around: Tightness| {
        let tightness = match part {
            Condition::Any(_) => Tightness::Any,
            Condition::All(_) => Tightness::All,
            Condition::Not(_) | Condition::Test(_) => Tightness::Not,
        };
        let text = self::condition(part);
        // `(a or b) or c` keeps its parentheses: what is written again reads the same.
        if tightness <= around && tightness != Tightness::Not { format!("({text})") } else { text }
    };
    match condition {
        Condition::Any(parts) => parts.iter().map(|p| wrapped(p, Tightness::Any)).collect::<Vec<_>>().join(" or "),
        Condition::All(parts) => parts.iter().map(|p| wrapped(p, Tightness::All)).collect::<Vec<_>>().join(" and "),
        Condition::Not(inner) => format!("not {}", wrapped(inner, Tightness::Not)),
        Condition::Test(test) => self::test(&test.value),
    }
}

fn test(test: &Test) -> String {
    match test {
        Test::Flag(flag) => flag.words().to_owned(),
        Test::HasContext(entry) => format!("context has {}", name(entry)),
        Test::Text { field, negated, any } => {
            let field = match field {
                TextField::Mechanism => "mechanism".to_owned(),
                TextField::Process => "process".to_owned(),
                TextField::Tenant => "tenant".to_owned(),
                TextField::Namespace => "namespace".to_owned(),
                // An entry called `has` is told from the question by its quotes.
                TextField::Context(entry) if entry == "has" => "context \"has\"".to_owned(),
                TextField::Context(entry) => format!("context {}", name(entry)),
            };
            let values = any.iter().map(|one| match one {
                Pattern::Exact(text) => name(text),
                Pattern::Prefix(start) if start.is_empty() => "*".to_owned(),
                Pattern::Prefix(start) => format!("{}*", name(start)),
            });
            format!("{field} {}", among(*negated, values.collect(), false))
        }
        Test::Source { negated, any } => {
            let whole = any.iter().all(|net| net.prefix_len() == net.max_prefix_len());
            let values = any.iter().map(|net| {
                if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
            });
            format!("source {}", among(*negated, values.collect(), !whole))
        }
        Test::Number { field, negated, relation } => number(*field, *negated, relation),
    }
}

/// `is a`, `not in (a, b)`
fn among(negated: bool, values: Vec<String>, always_in: bool) -> String {
    match (values.as_slice(), negated) {
        ([only], false) if always_in => format!("in {only}"),
        ([only], true) if always_in => format!("not in {only}"),
        ([only], false) => format!("is {only}"),
        ([only], true) => format!("is not {only}"),
        (_, false) => format!("in ({})", values.join(", ")),
        (_, true) => format!("not in ({})", values.join(", ")),
    }
}

fn number(field: NumberField, negated: bool, relation: &Relation) -> String {
    let show = |n: &u64| value(field, *n);
    let day = matches!(field, NumberField::Time | NumberField::Date);
    let relation = match relation {
        Relation::In(all) => among(negated, all.iter().map(show).collect(), false),
        Relation::Less(n) if day => format!("before {}", show(n)),
        Relation::More(n) if day => format!("after {}", show(n)),
        Relation::Less(n) => format!("< {}", show(n)),
        Relation::AtMost(n) => format!("<= {}", show(n)),
        Relation::More(n) => format!("> {}", show(n)),
        Relation::AtLeast(n) => format!(">= {}", show(n)),
        Relation::Between(low, high) => format!("between {} and {}", show(low), show(high)),
    };
    let (field, window) = match field {
        NumberField::Time => ("time", ""),
        NumberField::Weekday => ("weekday", ""),
        NumberField::Date => ("date", ""),
        NumberField::Size => ("size", ""),
        NumberField::Uid => ("uid", ""),
        NumberField::KeyAge => ("key age", ""),
        NumberField::KeyBits => ("key bits", ""),
        NumberField::LastSecond => ("rate", " per second"),
        NumberField::LastMinute => ("rate", " per minute"),
    };
    format!("{field} {relation}{window}")
}

fn value(field: NumberField, n: u64) -> String {
    match field {
        NumberField::Time => format!("{:02}:{:02}", n / 60, n % 60),
        NumberField::Weekday => {
            usize::try_from(n).ok().and_then(|n| WEEKDAYS.get(n)).map_or_else(String::new, |w| (*w).to_owned())
        }
        NumberField::Date => date(n),
        NumberField::Size => with_unit(n, &SIZES, "B"),
        NumberField::KeyAge => with_unit(n, &DURATIONS, "seconds"),
        NumberField::Uid | NumberField::KeyBits | NumberField::LastSecond | NumberField::LastMinute => n.to_string(),
    }
}

/// A day since 1970 as `2026-11-22`.
fn date(days: u64) -> String {
    let days = time::Duration::days(i64::try_from(days).unwrap_or(0));
    let date = time::OffsetDateTime::UNIX_EPOCH.checked_add(days).unwrap_or(time::OffsetDateTime::UNIX_EPOCH).date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// A number in the largest unit that leaves no rest; one of something is not several.
fn with_unit<const N: usize>(n: u64, units: &[(&str, u64); N], smallest: &str) -> String {
    let unit = units.iter().find(|(_, unit)| n != 0 && n.is_multiple_of(*unit));
    let (word, count) = unit.map_or((smallest, n), |(word, unit)| (*word, n / unit));
    match word.strip_suffix('s') {
        Some(one) if count == 1 => format!("1 {one}"),
        _ => format!("{count} {word}"),
    }
}

fn duty(duty: &Duty) -> String {
    let seconds = |n: u32| with_unit(u64::from(n) * 1000, &DURATIONS, "seconds");
    match duty {
        Duty::Mfa => "require mfa".to_owned(),
        Duty::Quorum { approvals, role, within: 0 } => format!("require {approvals} of role:{}", bare_or_quoted(role)),
        Duty::Quorum { approvals, role, within } => {
            format!("require {approvals} of role:{} within {}", bare_or_quoted(role), seconds(*within))
        }
        Duty::Audit(tag) => format!("audit as {}", name(tag)),
        Duty::Rate { count, seconds: length } => {
            let length = seconds(*length);
            format!("at most {count} per {}", length.strip_prefix("1 ").unwrap_or(&length))
        }
        Duty::Size(bytes) => format!("at most {}", with_unit(*bytes, &SIZES, "B")),
        Duty::Expire(after) => format!("expire after {}", seconds(*after)),
        Duty::Notify(channel) => format!("notify {}", name(channel)),
        Duty::Mask(shown) => format!("mask all but {shown}"),
    }
}

fn joined(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join(", ")
}

/// A name of its own: in quotes where it could be taken for a word of the language.
fn name(text: &str) -> String {
    let is_keyword = STARTERS.contains(&text) || CLAUSES.contains(&text) || SUBJECTS.contains(&text);
    if is_keyword { quoted(text) } else { bare_or_quoted(text) }
}

/// A name behind its kind.
fn bare_or_quoted(text: &str) -> String {
    if !text.is_empty() && text.chars().all(is_word) { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The text of a part of the source, on one line.
pub(crate) fn excerpt(source: &str, span: Span) -> String {
    let text = source.get(span.start as usize..span.end as usize).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
