//! `allow` and `deny`.

use super::super::ast::{Effect, Rule, Span, Spanned, Verb};
use super::super::diagnostic::Problem;
use super::super::words::{CLAUSES, bit};
use super::cursor::{Cursor, Result};
use super::{clause, condition, noun};
use crate::policy::dsl::words::STARTERS;

/// Most duties of a rule: what a host takes in one response.
const MOST_DUTIES: usize = 20;

/// `allow service:order-v1 to use key:payment_aes for encrypt only`
pub(super) fn rule(cursor: &mut Cursor<'_, '_>, number: u32) -> Result<Rule> {
    let effect = if cursor.first_word() == Some("deny") { Effect::Deny } else { Effect::Allow };
    cursor.advance();
    let principals = noun::principals(cursor)?;
    cursor.require("to")?;
    let verbs = noun::verbs(cursor)?;
    let keys = noun::keys(cursor)?;
    let mut rule = Rule {
        number,
        effect,
        principals,
        verbs,
        keys,
        only: Vec::new(),
        when: None,
        duties: Vec::new(),
        because: None,
    };
    while let Some(word) = cursor.keyword().filter(|word| CLAUSES.contains(word)) {
        let span = cursor.next_span();
        match word {
            "for" => once(rule.only.is_empty(), span, "for")?,
            "when" => once(rule.when.is_none(), span, "when")?,
            "because" => once(rule.because.is_none(), span, "because")?,
            _ => {
                let value = clause::duty(cursor)?;
                rule.duties.push(Spanned { value, span: span.to(cursor.last_span()) });
                continue;
            }
        }
        cursor.advance();
        match word {
            "for" => rule.only = only(cursor, &rule.verbs)?,
            "when" => rule.when = Some(condition::condition(cursor)?),
            _ => rule.because = Some(cursor_reason(cursor)?),
        }
    }
    if !cursor.is_at_statement_end() {
        let known = CLAUSES.into_iter().chain(STARTERS).chain(["with", "and", "or"]);
        return Err(cursor
            .expected("the rule's next part (`with`, `for`, `when`, `require`, `because` …) or another rule", known));
    }
    if let Some(duty) = rule.duties.get(MOST_DUTIES) {
        return Err(Problem::new(duty.span, format!("a rule comes with at most {MOST_DUTIES} duties")));
    }
    if effect == Effect::Deny
        && let Some(duty) = rule.duties.first()
    {
        return Err(Problem::new(duty.span, "a deny comes with no conditions to fulfil")
            .help("they belong to an `allow`; a deny takes `when` and `because`"));
    }
    Ok(rule)
}

fn once(first: bool, span: Span, word: &str) -> Result<()> {
    if first {
        return Ok(());
    }
    let problem = Problem::new(span, format!("`{word}` stands twice in this rule"));
    Err(if word == "when" { problem.help("join conditions with `and`") } else { problem })
}

/// `for encrypt only`
fn only(cursor: &mut Cursor<'_, '_>, verbs: &[Spanned<Verb>]) -> Result<Vec<Spanned<Verb>>> {
    let only = noun::verbs(cursor)?;
    cursor.require("only")?;
    let given = verbs.iter().fold(0, |mask, verb| mask | verb.value.mask());
    for verb in &only {
        if verb.value.mask() & given == 0 {
            return Err(Problem::new(verb.span, "this is not among the actions that the rule speaks of")
                .help("`for … only` narrows what stands before, such as `use`"));
        }
    }
    Ok(only)
}

fn cursor_reason(cursor: &mut Cursor<'_, '_>) -> Result<String> {
    let span = cursor.next_span();
    match cursor.word() {
        Some(word)
            if word.quoted && !word.text.chars().any(char::is_control) && !word.text.is_empty() && !word.star =>
        {
            cursor.advance();
            Ok(word.text.clone().into_owned())
        }
        Some(_) => Err(Problem::new(span, "a reason is a text in double quotes, without control characters")
            .help("because \"test keys are not for production\"")),
        None => Err(cursor.expected("the reason in double quotes", [])),
    }
}

impl Verb {
    /// Its actions, each a bit.
    pub(crate) fn mask(self) -> u32 {
        match self {
            Self::One(action) | Self::Signature(action) => bit(action),
            Self::Group(group) => group.mask(),
        }
    }
}

impl Rule {
    /// The actions it speaks of, each a bit.
    pub(crate) fn mask(&self) -> u32 {
        let all = |verbs: &[Spanned<Verb>]| verbs.iter().fold(0, |mask, verb| mask | verb.value.mask());
        let given = all(&self.verbs);
        if self.only.is_empty() { given } else { given & all(&self.only) }
    }
}
