//! Policies that are asked about the past: those in force, and one that is not.

use std::collections::BTreeSet;

use super::request::PastRequest;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::abi::Encoded;
use crate::policy::bundle::{Bundle, is_module};
use crate::policy::dsl::{Gap, Partial, Policy, Weighed};
use crate::policy::{Answer, ContextKey, Obligation, Verdict, hex, host};

/// Stands for a value of which it is only known that it is none of those that the policy names.
const OTHER: &str = "\0";

/// A policy that is asked about requests of the past. When it is valid does not matter.
#[derive(Debug)]
pub struct Candidate {
    /// What to call it.
    pub title: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Text(Box<Policy>),
    Module(Box<host::Policy>),
}

/// What all policies together say of a request of the past.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Whether it is allowed; `None` where that depends on what the record does not say.
    pub allowed: Option<bool>,
    /// The rule that decides.
    pub rule: Option<String>,
    /// Its sentence, where the policy's text is known.
    pub text: Option<String>,
    /// Its line in that text.
    pub line: Option<u32>,
    /// Why.
    pub reason: String,
    /// What it depends on.
    pub open: BTreeSet<Gap>,
    /// What the host would have had to enforce.
    pub obligations: Vec<Obligation>,
}

impl Candidate {
    /// The policy in `bytes`: a bundle, a module, or text of the policy language. A bundle's text is asked in the place of its
    /// module where it says the same. Signatures do not matter.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] where it is none of these.
    pub fn load(title: &str, bytes: &[u8], host: &host::Host) -> Result<Self> {
        let bad = |why: &str| Error::new(ErrorKind::Arguments, format!("`{title}` {why}"));
        let title = title.to_owned();
        if Bundle::is_one(bytes) {
            let bundle = Bundle::parse(bytes)?;
            if let Some(policy) = Policy::parse(bundle.source()).ok().filter(|p| says(p, bundle.module())) {
                return Ok(Self { title, form: Form::Text(Box::new(policy)) });
            }
            let module = bundle
                .load(host, None)
                .map_err(|e| bad("holds a module that cannot be used as a policy").with_source(e))?;
            return Ok(Self { title, form: Form::Module(Box::new(module)) });
        }
        if is_module(bytes) {
            let module = host
                .load(bytes, &host::Limits::default(), None)
                .map_err(|e| bad("cannot be used as a policy").with_source(e))?;
            return Ok(Self { title, form: Form::Module(Box::new(module)) });
        }
        let source = std::str::from_utf8(bytes).map_err(|_| bad("is neither a bundle nor a module nor text"))?;
        let policy = Policy::parse(source)
            .map_err(|problems| bad(&format!("is not a policy\n{}", problems.rendered(&title, false).trim_end())))?;
        Ok(Self { title, form: Form::Text(Box::new(policy)) })
    }

    /// What it says of a request under one of its names.
    #[must_use]
    pub fn weigh(&self, request: &PastRequest, name: &str, contexts: Option<&ContextKey>) -> Weighed {
        match &self.form {
            Form::Text(policy) => {
                let (context, compared) = revealed(policy, request, contexts);
                let input = request.input(name, &context);
                policy.weigh(Partial { input: &input, gaps: &request.gaps, compared: &compared })
            }
            Form::Module(module) => {
                // What else a module looks at is not known.
                let missing = self.missing(request);
                if !missing.is_empty() {
                    return Weighed::Open(missing);
                }
                let mut encoded = Encoded::default();
                let input = request.input(name, &[]);
                encoded.encode(&input);
                Weighed::Certain(module.answer(&input, &encoded))
            }
        }
    }

    /// What is not known of a request and may matter to it.
    fn missing(&self, request: &PastRequest) -> BTreeSet<Gap> {
        let reads = match &self.form {
            Form::Text(policy) => policy.reads(),
            Form::Module(module) => module.reads(),
        };
        request.gaps.iter().copied().filter(|gap| reads.counts || *gap != Gap::Rate).collect()
    }

    /// Every rule of its text that did not decide and why, as far as all of the request is known.
    #[must_use]
    pub fn others(&self, request: &PastRequest, name: &str) -> Vec<(u32, String, String)> {
        let Form::Text(policy) = &self.form else { return Vec::new() };
        if !self.missing(request).is_empty() {
            return Vec::new();
        }
        let explained = policy.explain(&request.input(name, &[]));
        explained.others.into_iter().map(|(rule, why)| (rule.line, rule.text, why)).collect()
    }

    /// What records call one of its rules; its line and its sentence, where its text is known.
    fn rule(&self, number: u32) -> (String, Option<(u32, String)>) {
        match &self.form {
            Form::Text(policy) => {
                let text = policy.rule_text(number).map(|rule| (rule.line, rule.text));
                let title = &self.title;
                let name = match &text {
                    Some((line, _)) => format!("{title}#rule {number} (line {line})"),
                    None => title.clone(),
                };
                (name, text)
            }
            Form::Module(module) => match (module.rule(number), number) {
                (Some(name), _) => (format!("{}#{name}", self.title), None),
                (None, 0) => (self.title.clone(), None),
                (None, number) => (format!("{}#{number}", self.title), None),
            },
        }
    }
}

/// What all of `candidates` say together. Any deny wins, one allow is needed; silence is no, but where no key is touched.
#[must_use]
pub fn judge(candidates: &[&Candidate], request: &PastRequest, contexts: Option<&ContextKey>) -> Judgement {
    let mut open = BTreeSet::new();
    let mut allow: Option<(&Candidate, Answer)> = None;
    let mut obligations = Vec::new();
    for name in request.names() {
        for candidate in candidates {
            match candidate.weigh(request, name, contexts) {
                Weighed::Open(mut gaps) => open.append(&mut gaps),
                Weighed::Certain(answer) => match answer.verdict {
                    Verdict::Deny => return decided(false, candidate, &answer),
                    Verdict::Allow => {
                        obligations.extend(answer.obligations.iter().cloned());
                        allow = Some((candidate, answer));
                    }
                    Verdict::NotApplicable => {}
                },
            }
        }
    }
    let silent = |allowed, reason: String, open| Judgement {
        allowed,
        rule: None,
        text: None,
        line: None,
        reason,
        open,
        obligations: Vec::new(),
    };
    if !open.is_empty() {
        let names: Vec<&str> = open.iter().map(|gap| gap.name()).collect();
        return silent(None, format!("the record does not say: {}", names.join(", ")), open);
    }
    match allow {
        Some((candidate, answer)) => {
            let most =
                obligations.iter().filter_map(|o| if let Obligation::MaximumData(n) = o { Some(*n) } else { None });
            let input = request.input("", &[]);
            if let Some(limit) = most.min()
                && input.data_len.is_some_and(|len| len > limit)
            {
                let reason = format!("the policy admits at most {limit} bytes of data");
                return Judgement { reason, ..decided(false, candidate, &answer) };
            }
            Judgement { obligations, ..decided(true, candidate, &answer) }
        }
        None if request.is_free() => silent(Some(true), "no policy speaks of it, and it touches no key".into(), open),
        None => silent(Some(false), "no policy allows it".into(), open),
    }
}

fn decided(allowed: bool, candidate: &Candidate, answer: &Answer) -> Judgement {
    let (rule, text) = candidate.rule(answer.rule);
    let (line, text) = text.unzip();
    let (reason, open) = (answer.reason.clone(), BTreeSet::new());
    Judgement { allowed: Some(allowed), rule: Some(rule), text, line, reason, open, obligations: Vec::new() }
}

/// Whether the text is what the module was compiled from.
fn says(policy: &Policy, module: &[u8]) -> bool {
    policy.compile().is_ok_and(|compiled| compiled.wasm == module)
}

/// The encryption context with every value that is one of those that the policy names, and the names of all entries whose
/// values could be compared.
fn revealed(
    policy: &Policy,
    request: &PastRequest,
    contexts: Option<&ContextKey>,
) -> (Vec<(String, String)>, BTreeSet<String>) {
    if request.context.is_empty() {
        return (Vec::new(), BTreeSet::new());
    }
    let named = policy.context_values();
    let mut context = Vec::new();
    let mut compared = BTreeSet::new();
    for (name, mark) in &request.context {
        let value = contexts.and_then(|key| {
            compared.insert(name.clone());
            let is = |value: &&String| hex(&key.mark(name, value)) == *mark;
            named.iter().filter(|(n, _)| n == name).map(|(_, value)| value).find(is)
        });
        context.push((name.clone(), value.cloned().unwrap_or_else(|| OTHER.to_owned())));
    }
    (context, compared)
}
