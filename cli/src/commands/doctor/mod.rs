//! `kmss doctor`: why a program cannot load the module or see its keys.

mod client;
mod home;
mod hsm;
mod module_file;
mod p11_kit;
mod path;

use std::process::ExitCode;

use libkmss::config::{Config, HomeSource, Outcome};
use serde_json::json;

use crate::args::{Client, DoctorArgs, Global};
use crate::context;
use crate::output::{self, Failure};

/// One finding: how bad it is, what was looked at, and the cure where there is something to cure.
struct Finding {
    level: Level,
    what: String,
    cure: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Fine,
    /// Right for some, wrong for others.
    Note,
    Wrong,
}

/// Runs `kmss doctor`; exit code 1 where something is wrong.
///
/// # Errors
/// Standard output is closed.
pub(super) fn run(global: Global, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let json = global.json;
    let findings = examine(global, args);
    let fine = findings.iter().all(|f| f.level != Level::Wrong);
    if json {
        let row = |f: &Finding| {
            let (level, _) = f.level.words();
            json!({ "fine": f.level != Level::Wrong, "level": level, "finding": f.what, "cure": f.cure })
        };
        output::json(&findings.iter().map(row).collect::<Vec<_>>())?;
    } else {
        for finding in &findings {
            output::line(&format!("[{}] {}", finding.level.words().1, output::plain(&finding.what)))?;
            if !finding.cure.is_empty() {
                output::line(&format!("     {}", output::plain(&finding.cure)))?;
            }
        }
        output::line(if fine {
            "Nothing is wrong that can be seen from here."
        } else {
            "Cure the points marked !!, top first."
        })?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine(global: Global, args: &DoctorArgs) -> Vec<Finding> {
    let mut findings = Vec::new();
    let module = module_file::examine(args.module.as_deref(), &mut findings);
    let config = match context::configuration(&global) {
        Ok(config) => config,
        Err(error) => {
            findings.push(wrong("the configuration cannot be used".to_owned(), chain(error.as_ref())));
            return findings;
        }
    };
    configuration(&config, &mut findings);
    hsm::examine(&config, &mut findings);
    let kms = home::examine(&config, &mut findings);
    if let Some(module) = &module {
        module_file::load(module, &config, kms.as_ref(), &mut findings);
        p11_kit::examine(module, args.client == Some(Client::P11Kit), &mut findings);
        if let Some(client) = args.client {
            client::examine(client, module, &config, kms.as_ref(), &mut findings);
        }
    }
    findings
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

impl Level {
    /// In JSON, and for people.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Fine => ("ok", "ok"),
            Self::Note => ("note", "??"),
            Self::Wrong => ("wrong", "!!"),
        }
    }
}

const fn fine(what: String) -> Finding {
    Finding { level: Level::Fine, what, cure: String::new() }
}

const fn note(what: String, cure: String) -> Finding {
    Finding { level: Level::Note, what, cure }
}

const fn wrong(what: String, cure: String) -> Finding {
    Finding { level: Level::Wrong, what, cure }
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
