//! `kmss doctor`: why a program cannot load the module or see its keys.

use std::process::ExitCode;

use libkmss::config::{Config, HomeSource, Outcome};
use libkmss::kms::{Holder, Kms};
use serde_json::json;

use super::module;
use crate::args::{DoctorArgs, Global};
use crate::context::Context;
use crate::output::{self, Failure};

/// One finding: whether it is fine, what was looked at, and the cure where it is not.
struct Finding {
    fine: bool,
    what: String,
    cure: String,
}

/// Runs `kmss doctor`; exit code 1 where something is wrong.
///
/// # Errors
/// Standard output is closed.
pub(super) fn run(global: Global, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let json = global.json;
    let findings = examine(global, args);
    let fine = findings.iter().all(|f| f.fine);
    if json {
        let rows: Vec<_> =
            findings.iter().map(|f| json!({ "fine": f.fine, "finding": f.what, "cure": f.cure })).collect();
        output::json(&rows)?;
    } else {
        for finding in &findings {
            output::line(&format!("[{}] {}", if finding.fine { "ok" } else { "!!" }, finding.what))?;
            if !finding.cure.is_empty() {
                output::line(&format!("     {}", finding.cure))?;
            }
        }
        output::line(if fine {
            "Nothing is wrong that can be seen from here."
        } else {
            "Cure the marked points, top first."
        })?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine(global: Global, args: &DoctorArgs) -> Vec<Finding> {
    let mut findings = vec![module_file(args)];
    let context = match Context::new(global) {
        Ok(context) => context,
        Err(error) => {
            findings.push(wrong("the configuration cannot be used".to_owned(), chain(error.as_ref())));
            return findings;
        }
    };
    configuration(&context.config, &mut findings);
    match Kms::open(&context.config) {
        Err(error) => findings.push(wrong("the home cannot be opened".to_owned(), chain(&error))),
        Ok(None) => findings.push(wrong(
            format!("there is no home at `{}`", context.config.home.display()),
            "make one with `kmss token init LABEL`, or set KMSS_HOME or a kmss.toml to where it is".to_owned(),
        )),
        Ok(Some(kms)) => home(&kms, &context, &mut findings),
    }
    findings
}

fn module_file(args: &DoctorArgs) -> Finding {
    match module::find(args.module.as_deref()) {
        Err(error) => wrong("the PKCS#11 module was not found".to_owned(), chain(error.as_ref())),
        Ok(path) if !path.is_file() => wrong(format!("there is no module at `{}`", path.display()), String::new()),
        Ok(path) => fine(format!("the module is `{}`", path.display())),
    }
}

fn configuration(config: &Config, findings: &mut Vec<Finding>) {
    let explanation = &config.explanation;
    for file in &explanation.considered {
        let what = match file.outcome {
            Outcome::Used => "is used",
            Outcome::Absent => "does not exist",
            Outcome::Outranked => "is not read, because one before it counts",
        };
        findings.push(fine(format!("configuration `{}` ({}) {what}", file.path.display(), file.because)));
    }
    if explanation.environment_ignored {
        findings.push(wrong(
            "KMSS_CONF and KMSS_HOME are ignored, because this program runs with more rights than its caller"
                .to_owned(),
            "put the home into /etc/kmss/kmss.toml".to_owned(),
        ));
    }
    if let Some(reason) = &explanation.rules_ignored {
        findings.push(wrong("the [[principal]] rules are not followed".to_owned(), reason.clone()));
    }
    let source = match explanation.home {
        HomeSource::Environment => "KMSS_HOME",
        HomeSource::File => "the configuration file",
        HomeSource::Default => {
            "the default; programs that clear their environment (nginx) need a file or `env KMSS_HOME;`"
        }
        HomeSource::Caller => "--home",
    };
    findings.push(fine(format!("the home is `{}`, from {source}", config.home.display())));
}

fn home(kms: &Kms, context: &Context, findings: &mut Vec<Finding>) {
    findings.push(fine(format!("the home opens (suite {})", kms.suite().name())));
    let namespaces = match kms.namespaces() {
        Ok(namespaces) => namespaces,
        Err(error) => {
            findings.push(wrong("the tokens cannot be read".to_owned(), chain(&error)));
            return;
        }
    };
    if namespaces.is_empty() {
        findings.push(wrong("there are no tokens".to_owned(), "make one with `kmss token init LABEL`".to_owned()));
    }
    for namespace in &namespaces {
        let label = output::plain(&namespace.name);
        findings.push(match kms.credential_state(namespace, Holder::User("user")) {
            Err(error) => wrong(format!("token `{label}` cannot be examined"), chain(&error)),
            Ok(state) if !state.initialized => wrong(
                format!("token `{label}` has no user PIN"),
                format!("set one with `kmss token set-pin {label} --reset`"),
            ),
            Ok(state) if state.remaining == 0 => wrong(
                format!("the user PIN of token `{label}` is locked"),
                format!("the SO unlocks it with a new one: `kmss token set-pin {label} --reset`"),
            ),
            Ok(state) => fine(format!("token `{label}`: user PIN set, {} attempts left", state.remaining)),
        });
    }
    let audit = Kms::audit_directory(&context.config);
    if let Err(error) = std::fs::read_dir(&audit)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        findings.push(wrong(format!("the audit directory `{}` cannot be read", audit.display()), error.to_string()));
    }
}

const fn fine(what: String) -> Finding {
    Finding { fine: true, what, cure: String::new() }
}

const fn wrong(what: String, cure: String) -> Finding {
    Finding { fine: false, what, cure }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}
