//! The policy language: sentences such as `allow service:order-v1 to use key:payment_aes for encrypt only`.
//!
//! docs/policy-language.md is its description. A policy is [parsed](Policy::parse), [judged](Policy::decide) as it stands,
//! and compiled into a module of `kmss-policy/1` whose data tables a fixed evaluator reads.

mod ast;
mod compile;
mod diagnostic;
mod format;
mod interpret;
mod lexeme;
mod members;
mod parse;
mod suggest;
#[cfg(test)]
mod tests;
mod weigh;
mod words;

use self::ast::{Document, Effect, Rule, Statement};
pub use self::compile::{CompileError, Compiled};
pub use self::diagnostic::{Diagnostic, Diagnostics};
use self::diagnostic::{Problem, shortened};
use self::interpret::{Fit, Judge};
use self::members::Members;
pub use self::weigh::{Gap, Partial, Weighed};
use crate::policy::abi::Reads;
use crate::policy::{Answer, Input, Verdict};

/// Why a principal with two exclusive roles is denied everything.
const CLASH: &str = "the principal holds two of the roles system-administrator, security-administrator and auditor, of which nobody holds two";

/// A policy that was read and found to make sense.
#[derive(Clone, Debug)]
pub struct Policy {
    source: String,
    document: Document,
    members: Members,
    /// In minutes east of Greenwich.
    zone: i16,
    /// The line of each rule.
    lines: Vec<u32>,
}

/// Which rule decided, and what each of the others says.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What the policy answers.
    pub answer: Answer,
    /// The rule that decided; `None` where none applies, or where roles exclude each other.
    pub rule: Option<RuleText>,
    /// Every other rule and why it did not decide.
    pub others: Vec<(RuleText, String)>,
}

/// A rule as people know it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RuleText {
    /// Its place among the rules, from 1.
    pub number: u32,
    /// Its line in the file.
    pub line: u32,
    /// Its sentence, without conditions.
    pub text: String,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, as far as it can be told in one run.
    pub fn parse(source: &str) -> Result<Self, Diagnostics> {
        let (document, mut problems) = parse::parse(source);
        let members = Members::new(&document);
        let mut zone = None;
        let mut header = false;
        for statement in &document.statements {
            match &statement.value {
                Statement::Zone(minutes) if zone.replace(*minutes).is_some() => {
                    problems.push(Problem::new(statement.span, "a policy has one time zone"));
                }
                Statement::Header { .. } if std::mem::replace(&mut header, true) => {
                    problems.push(Problem::new(statement.span, "a policy has one name"));
                }
                _ => {}
            }
        }
        problems.extend(members.problems());
        if !problems.is_empty() {
            return Err(Diagnostics::new(source, problems));
        }
        let rules = document.statements.iter().filter(|s| matches!(s.value, Statement::Rule(_)));
        let lines = diagnostic::lines(source, rules.map(|s| s.span.start));
        Ok(Self { source: source.to_owned(), document, members, zone: zone.unwrap_or(0), lines })
    }

    /// The name in its header, if any.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.document.statements.iter().find_map(|statement| match &statement.value {
            Statement::Header { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// How many rules it has.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.lines.len()
    }

    /// The policy in canonical form, comments included. Formatting that again changes nothing.
    #[must_use]
    pub fn formatted(&self) -> String {
        format::format(&self.document, &self.source)
    }

    /// The policy as a module of `kmss-policy/1`.
    ///
    /// # Errors
    /// It is too large.
    pub fn compile(&self) -> Result<Compiled, CompileError> {
        compile::compile(self)
    }

    /// Which of the fields that differ from request to request it looks at.
    #[must_use]
    pub fn reads(&self) -> Reads {
        compile::reads(self)
    }

    /// What the policy says of a request. Any deny that matches wins, the first one of the file; else the first allow that
    /// matches. What a request does not say (a missing mechanism, an unknown size) makes a deny match and an allow not.
    pub fn decide(&self, input: &Input<'_>) -> Answer {
        let judge = Judge::new(&self.members, self.zone, input);
        self.answer(&judge, |rule| judge.fit(rule).matches())
    }

    /// What the policy says of a request, and why.
    #[must_use]
    pub fn explain(&self, input: &Input<'_>) -> Explanation {
        let judge = Judge::new(&self.members, self.zone, input);
        let answer = self.answer(&judge, |rule| judge.fit(rule).matches());
        let mut rule = None;
        let mut others = Vec::new();
        for one in self.rules() {
            let text = self.text_of(one);
            let fit = judge.fit(one);
            if answer.rule == one.number {
                rule = Some(text);
            } else {
                others.push((text, self.why(&answer, one, fit)));
            }
        }
        Explanation { answer, rule, others }
    }

    fn answer(&self, judge: &Judge<'_>, mut matches: impl FnMut(&Rule) -> bool) -> Answer {
        if judge.clashes() {
            return Answer {
                verdict: Verdict::Deny,
                rule: self.clash_number(),
                reason: CLASH.to_owned(),
                obligations: Vec::new(),
            };
        }
        let mut allow: Option<&Rule> = None;
        for rule in self.rules() {
            if (rule.effect == Effect::Allow && allow.is_some()) || !matches(rule) {
                continue;
            }
            if rule.effect == Effect::Deny {
                return Answer {
                    verdict: Verdict::Deny,
                    rule: rule.number,
                    reason: reason(rule),
                    obligations: Vec::new(),
                };
            }
            allow = Some(rule);
        }
        let Some(rule) = allow else {
            return Answer { verdict: Verdict::NotApplicable, rule: 0, reason: String::new(), obligations: Vec::new() };
        };
        Answer {
            verdict: Verdict::Allow,
            rule: rule.number,
            reason: reason(rule),
            obligations: rule.duties.iter().map(|duty| duty.value.obligation()).collect(),
        }
    }

    fn why(&self, answer: &Answer, rule: &Rule, fit: Fit) -> String {
        let quote = |span| shortened(&format::excerpt(&self.source, span), 100);
        match fit {
            Fit::Action => "it is about other actions".to_owned(),
            Fit::Principal => "it is about other principals".to_owned(),
            Fit::Key => "it is about other keys".to_owned(),
            Fit::Condition(span) => format!("`{}` is not so", quote(span)),
            Fit::Undecided(span) => format!("`{}` cannot be decided: the request does not say", quote(span)),
            Fit::Matches | Fit::MatchesUndecided(_) if answer.rule == self.clash_number() => {
                "the principal's roles exclude each other".to_owned()
            }
            Fit::Matches | Fit::MatchesUndecided(_)
                if rule.effect == Effect::Allow && answer.verdict == Verdict::Deny =>
            {
                "it applies, but a deny wins".to_owned()
            }
            Fit::Matches | Fit::MatchesUndecided(_) => "it applies, too, but the first one decides".to_owned(),
        }
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.document.statements.iter().filter_map(|statement| match &statement.value {
            Statement::Rule(rule) => Some(rule.as_ref()),
            _ => None,
        })
    }

    fn text_of(&self, rule: &Rule) -> RuleText {
        let place = (rule.number as usize).saturating_sub(1);
        RuleText {
            number: rule.number,
            line: self.lines.get(place).copied().unwrap_or_default(),
            text: shortened(&format::head(rule), 200),
        }
    }

    /// The number that stands for the denial of principals whose roles exclude each other.
    fn clash_number(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// Why a rule says what it says: its own reason, else, of a deny, its sentence.
fn reason(rule: &Rule) -> String {
    match (&rule.because, rule.effect) {
        (Some(because), _) => because.clone(),
        (None, Effect::Deny) => shortened(&format::head(rule), 300),
        (None, Effect::Allow) => String::new(),
    }
}
