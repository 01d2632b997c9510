//! What needs no token: `kmss policy check`, `compile`, `fmt`, `test`, and `explain` of a request in words.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libkmss::policy::abi::Encoded;
use libkmss::policy::bundle::{Bundle, declared_pages, is_module};
use libkmss::policy::dsl::Policy;
use libkmss::policy::host::{self, Host, Limits, Trust};
use libkmss::policy::opa::Document;
use libkmss::policy::{Answer, Input, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Ask, in_words};
use super::content;
use crate::args::{CompileArgs, ExplainArgs, FmtArgs, TestArgs};
use crate::context::Context;
use crate::output::{self, Failure};

/// The exit code where something is not as it should be, and nothing failed.
const NOT_SO: u8 = 3;

/// A policy that can be asked, in whichever form its file has it.
enum Asked {
    Text(Box<Policy>),
    Module(Box<host::Policy>),
}

impl Asked {
    /// The policy in a file; `data` and `entrypoint` are those of an OPA module that comes without a bundle.
    fn read(path: &Path, data: Option<&Path>, entrypoint: Option<&str>) -> Result<Self, Failure> {
        let bytes = content::read(path)?;
        let data = data.map(content::read).transpose()?;
        let host = || Host::new(Trust::Trusted);
        if Bundle::is_one(&bytes) {
            let bundle = Bundle::parse(&bytes).map_err(libkmss::error::Error::from)?;
            return Ok(Self::Module(Box::new(bundle.load(&host()?, None)?)));
        }
        if is_module(&bytes) {
            let document = Document { data: data.as_deref(), entrypoint };
            // As a bundle that is made of it would allow.
            let limits = Limits { fuel: None, pages: declared_pages(&bytes) };
            return Ok(Self::Module(Box::new(host()?.load_with(&bytes, &document, &limits, None)?)));
        }
        text(path, bytes).map(|policy| Self::Text(Box::new(policy)))
    }

    fn answer(&self, input: &Input<'_>) -> Answer {
        match self {
            Self::Text(policy) => policy.decide(input),
            Self::Module(policy) => policy.answer(input, &Encoded::of(input)),
        }
    }

    /// What the policy calls the rule of an answer: of text, its sentence.
    fn rule(&self, answer: &Answer, input: &Input<'_>) -> Option<String> {
        match self {
            Self::Text(policy) => policy.explain(input).rule.map(|rule| rule.text),
            Self::Module(policy) => match policy.rule(answer.rule) {
                Some(name) => Some(name.to_owned()),
                None => (answer.rule > 0).then(|| answer.rule.to_string()),
            },
        }
    }
}

/// The text of the policy language in a file.
fn text(path: &Path, bytes: Vec<u8>) -> Result<Policy, Failure> {
    let shown = path.display().to_string();
    let source = String::from_utf8(bytes).map_err(|_| format!("`{shown}` is no text of the policy language"))?;
    let color = std::io::stderr().is_terminal();
    Policy::parse(&source).map_err(|wrong| format!("`{shown}` is no policy\n{}", wrong.rendered(&shown, color)).into())
}

/// Runs `kmss policy check`.
///
/// # Errors
/// A file cannot be read.
pub(super) fn check(context: &Context, files: &[PathBuf]) -> Result<ExitCode, Failure> {
    let (mut wrong, mut all) = (false, Vec::new());
    for path in files {
        let shown = path.display().to_string();
        let bytes = content::read(path)?;
        let source = String::from_utf8(bytes).map_err(|_| format!("`{shown}` is no text of the policy language"))?;
        match Policy::parse(&source) {
            Ok(policy) => {
                all.push(json!({ "file": path, "rules": policy.rule_count(), "problems": [] }));
                if !context.global.json {
                    output::line(&format!("{shown}: {} rules, nothing wrong", policy.rule_count()))?;
                }
            }
            Err(problems) => {
                wrong = true;
                let list: Vec<Value> = problems.iter().map(|one| json!(one)).collect();
                all.push(json!({ "file": path, "problems": list }));
                if !context.global.json {
                    output::line(problems.rendered(&shown, std::io::stdout().is_terminal()).trim_end())?;
                }
            }
        }
    }
    if context.global.json {
        output::json(&all)?;
    }
    Ok(if wrong { ExitCode::from(NOT_SO) } else { ExitCode::SUCCESS })
}

/// Runs `kmss policy compile`.
///
/// # Errors
/// The text is no policy, or the module cannot be written.
pub(super) fn compile(context: &Context, args: &CompileArgs) -> Result<(), Failure> {
    let compiled = text(&args.file, content::read(&args.file)?)?.compile()?;
    let out = args.out.clone().unwrap_or_else(|| args.file.with_extension("wasm"));
    std::fs::write(&out, &compiled.wasm).map_err(|e| format!("cannot write `{}`: {e}", out.display()))?;
    if context.global.json {
        return output::json(&json!({ "file": out, "bytes": compiled.wasm.len(), "pages": compiled.pages }));
    }
    output::line(&format!(
        "Wrote `{}`: {} bytes, {} pages of memory.",
        out.display(),
        compiled.wasm.len(),
        compiled.pages
    ))
}

/// Runs `kmss policy fmt`.
///
/// # Errors
/// A text is no policy, or cannot be written.
pub(super) fn fmt(args: &FmtArgs) -> Result<ExitCode, Failure> {
    let mut changed = false;
    for path in &args.files {
        let bytes = content::read(path)?;
        let formatted = text(path, bytes.clone())?.formatted();
        if formatted.as_bytes() == bytes.as_slice() {
            continue;
        }
        changed = true;
        if args.check {
            output::line(&format!("{}: not formatted", path.display()))?;
        } else {
            std::fs::write(path, formatted).map_err(|e| format!("cannot write `{}`: {e}", path.display()))?;
            output::line(&format!("{}: formatted", path.display()))?;
        }
    }
    Ok(if changed && args.check { ExitCode::from(NOT_SO) } else { ExitCode::SUCCESS })
}

/// A table of cases; policy-modules/cases has examples.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The policy's file, beside the table; may be named on the command line instead.
    module: Option<PathBuf>,
    /// What every case asks, unless it says otherwise.
    #[serde(default)]
    request: toml::Table,
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

/// A request, and what is to come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// What differs from the table's request; of the key only the named fields differ.
    #[serde(default)]
    request: toml::Table,
    /// Fields of the table's request that this one does not have.
    #[serde(default)]
    without: Vec<String>,
    /// `allow`, `deny` or `not applicable`.
    decision: String,
    rule: Option<String>,
    reason: Option<String>,
    obligations: Option<Vec<String>>,
}

/// Runs `kmss policy test`.
///
/// # Errors
/// The table or the policy cannot be understood.
pub(super) fn test(context: &Context, args: &TestArgs) -> Result<ExitCode, Failure> {
    let shown = args.cases.display().to_string();
    let source = String::from_utf8(content::read(&args.cases)?).map_err(|_| format!("`{shown}` is no text"))?;
    let table: Table = toml::from_str(&source).map_err(|e| format!("`{shown}`: {e}"))?;
    let beside = |file: &PathBuf| args.cases.parent().unwrap_or_else(|| Path::new("")).join(file);
    let path = args.policy.clone().or_else(|| table.module.as_ref().map(beside));
    let path = path.ok_or("name the policy with --policy, or as `module` in the table")?;
    let policy = Asked::read(&path, args.data.as_deref(), args.entrypoint.as_deref())?;
    let mut results = Vec::new();
    for case in &table.cases {
        let complaint = case.complaint(&table.request, &policy).map_err(|e| format!("{}: {e}", case.name))?;
        if !context.global.json {
            match &complaint {
                None => output::line(&format!("ok    {}", case.name))?,
                Some(why) => output::line(&format!("WRONG {}: {why}", case.name))?,
            }
        }
        results.push((case.name.as_str(), complaint));
    }
    let wrong = results.iter().filter(|(_, complaint)| complaint.is_some()).count();
    if context.global.json {
        let of = |(name, complaint): &(&str, Option<String>)| json!({ "case": name, "ok": complaint.is_none(), "why": complaint });
        output::json(&results.iter().map(of).collect::<Vec<_>>())?;
    } else {
        output::line(&format!("{} cases, {wrong} wrong", results.len()))?;
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(NOT_SO) })
}

impl Case {
    fn complaint(&self, common: &toml::Table, policy: &Asked) -> Result<Option<String>, Failure> {
        let mut merged = common.clone();
        merged.retain(|field, _| !self.without.iter().any(|gone| gone == field));
        for (field, value) in &self.request {
            match (merged.get_mut(field), value) {
                (Some(toml::Value::Table(old)), toml::Value::Table(new)) if field == "key" => old.extend(new.clone()),
                _ => drop(merged.insert(field.clone(), value.clone())),
            }
        }
        let ask: Ask = merged.try_into()?;
        ask.input(|input| {
            let answer = policy.answer(input);
            let rule = policy.rule(&answer, input);
            let mut duties: Vec<String> = answer.obligations.iter().map(in_words).collect();
            duties.sort();
            let mut wanted = self.obligations.clone();
            if let Some(wanted) = &mut wanted {
                wanted.sort();
            }
            let same = word(answer.verdict) == self.decision
                && self.rule.as_ref().is_none_or(|wanted| rule.as_ref() == Some(wanted))
                && self.reason.as_ref().is_none_or(|wanted| *wanted == answer.reason)
                && wanted.is_none_or(|wanted| wanted == duties);
            let rule = rule.unwrap_or_else(|| "no rule".to_owned());
            (!same).then(|| format!("got {} by {rule} ({}), {duties:?}", word(answer.verdict), answer.reason))
        })
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
        Verdict::NotApplicable => "not applicable",
    }
}

/// Runs `kmss policy explain` of a request in words: what one policy alone decides, and why.
///
/// # Errors
/// The policy or the request cannot be understood.
pub(super) fn explain(context: &Context, ask: &Ask, args: &ExplainArgs, file: &Path) -> Result<(), Failure> {
    let policy = Asked::read(file, args.data.as_deref(), args.entrypoint.as_deref())?;
    ask.input(|input| {
        let answer = policy.answer(input);
        let rule = policy.rule(&answer, input);
        let silent = answer.verdict == Verdict::NotApplicable;
        let decision = if answer.verdict == Verdict::Allow { "allow" } else { "deny" };
        let reason = match (silent, answer.reason.is_empty(), answer.verdict) {
            (true, ..) => "no rule of the policy applies, and nothing is allowed that none allows".to_owned(),
            (_, false, _) => answer.reason.clone(),
            (_, true, Verdict::Allow) => "the rule allows it".to_owned(),
            (_, true, _) => "the rule denies it".to_owned(),
        };
        let duties: Vec<String> = answer.obligations.iter().map(in_words).collect();
        let explanation = match &policy {
            Asked::Text(policy) => Some(policy.explain(input)),
            Asked::Module(_) => None,
        };
        if context.global.json {
            let place = explanation.as_ref().and_then(|e| e.rule.as_ref());
            return output::json(&json!({
                "decision": decision,
                "applies": !silent,
                "rule": rule,
                "line": place.map(|rule| rule.line),
                "reason": reason,
                "obligations": duties,
            }));
        }
        output::line(&format!("{decision}: {reason}"))?;
        if let Some(place) = explanation.as_ref().and_then(|e| e.rule.as_ref()) {
            output::line(&format!("  {}:{}: {}", file.display(), place.line, place.text))?;
        } else if let Some(rule) = &rule {
            output::line(&format!("  rule {rule}"))?;
        }
        duties.iter().try_for_each(|duty| output::line(&format!("  with {duty}")))?;
        let others = explanation.map(|e| e.others).unwrap_or_default();
        if !others.is_empty() {
            output::line("The other rules:")?;
        }
        others.iter().try_for_each(|(rule, why)| output::line(&format!("  {}: {}: {why}", rule.line, rule.text)))
    })?
}
