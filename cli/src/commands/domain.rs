//! `kmss domain`: the keys that seal records, and their versions.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::device::WrappingKey;
use libkmss::kms::{DomainStatus, MaterialSeal, RewrapReport};
use libkmss::secret::Secret;
use libkmss::tenant::Namespace;
use serde_json::json;

use crate::args::{DomainArgs, DomainCommand};
use crate::context::{self, Context};
use crate::moment;
use crate::output::{self, Failure};
use crate::site::Domains;

/// Exit code where something could not be sealed anew.
const IN_PART: u8 = 4;

/// A domain that a command is about.
enum Domain {
    /// The home's own.
    Home,
    /// That of a token.
    Token(Box<Namespace>),
}

/// Runs `kmss domain`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: DomainCommand) -> Result<ExitCode, Failure> {
    let site = context.domains()?;
    let code = match command {
        DomainCommand::List(which) => list(context, &*site, &which)?,
        DomainCommand::Rotate { which, rewrap, seal } => rotate(context, &*site, &which, (rewrap, seal.as_ref()))?,
        DomainCommand::Rewrap(which) => {
            let domains = with_pins(context, chosen(&*site, &which, false)?)?;
            rewrap_all(context, &*site, &domains)?
        }
    };
    site.close()?;
    Ok(code)
}

/// The domains that were named; all of them where that is allowed and none was.
fn chosen(site: &dyn Domains, which: &DomainArgs, none_is_all: bool) -> Result<Vec<Domain>, Failure> {
    let token = |namespace| Domain::Token(Box::new(namespace));
    let mut domains: Vec<Domain> = Vec::new();
    let all = which.all || (none_is_all && which.tokens.is_empty() && !which.home_key);
    if all || which.home_key {
        domains.push(Domain::Home);
    }
    if all {
        domains.extend(site.namespaces()?.into_iter().map(token));
    }
    for label in &which.tokens {
        domains.push(token(context::named(site.namespaces()?, label)?));
    }
    if domains.is_empty() {
        return Err("name a token, or say --home-key for the home's own domain key, or --all".into());
    }
    Ok(domains)
}

fn with_pins(context: &Context, domains: Vec<Domain>) -> Result<Vec<(Domain, Option<Secret>)>, Failure> {
    let with_pin = |domain| {
        let pin = match &domain {
            Domain::Home => None,
            Domain::Token(namespace) => Some(context.so_pin(&namespace.name)?),
        };
        Ok((domain, pin))
    };
    domains.into_iter().map(with_pin).collect()
}

impl Domain {
    fn name(&self) -> String {
        match self {
            Self::Home => "the home's own".to_owned(),
            Self::Token(namespace) => output::plain(&namespace.name),
        }
    }

    /// Its namespace with the officer's PIN; nothing for the home's own.
    fn opened_by<'a>(&'a self, pin: Option<&'a Secret>) -> Option<(&'a Namespace, &'a Secret)> {
        match self {
            Self::Home => None,
            Self::Token(namespace) => pin.map(|pin| (&**namespace, pin)),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Home => serde_json::Value::Null,
            Self::Token(namespace) => json!(namespace.name),
        }
    }

    fn status(&self, site: &dyn Domains) -> Result<DomainStatus, Failure> {
        site.status(match self {
            Self::Home => None,
            Self::Token(namespace) => Some(namespace),
        })
    }
}

fn list(context: &Context, site: &dyn Domains, which: &DomainArgs) -> Result<ExitCode, Failure> {
    let domains = chosen(site, which, true)?;
    let mut found = Vec::new();
    for domain in &domains {
        found.push((domain, domain.status(site)?));
    }
    if context.global.json {
        let described = found.iter().map(|(domain, status)| {
            json!({
                "token": domain.json(),
                "versions": status.versions,
                "behind": status.behind(),
                "left_in_device": status.left_in_device,
            })
        });
        output::json(&described.collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    for (domain, status) in &found {
        let newest = status.versions.last().map(|version| version.number);
        for version in &status.versions {
            rows.push([
                domain.name(),
                version.number.to_string(),
                version.created.map_or_else(|| "with the domain".to_owned(), moment::rfc3339),
                version.records.to_string(),
                if Some(version.number) == newest { "seals" } else { "opens" }.to_owned(),
                version.device.as_ref().map_or_else(
                    || "in-memory".to_owned(),
                    |key| format!("in-device:{} ({})", output::plain(&key.hsm), output::plain(&key.key)),
                ),
            ]);
        }
    }
    output::table(
        ["DOMAIN", "VERSION", "MADE", "RECORDS", "STATE", "KEY MATERIAL"],
        rows,
        "There are no domain keys.",
    )?;
    if found.iter().any(|(_, status)| status.behind() > 0) {
        output::line("`kmss domain rewrap` seals anew what lies under old versions, and erases those.")?;
    }
    for (_, status) in &found {
        left_in_device(&status.left_in_device)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which keys that seal nothing any more are still in HSMs.
fn left_in_device(keys: &[WrappingKey]) -> Result<(), Failure> {
    for key in keys {
        let (label, hsm) = (output::plain(&key.key), output::plain(&key.hsm));
        output::line(&format!(
            "The old key `{label}` is still in the HSM `{hsm}`: run `kmss domain rewrap` where that is reached."
        ))?;
    }
    Ok(())
}

fn rotate(
    context: &Context,
    site: &dyn Domains,
    which: &DomainArgs,
    (rewrap, seal): (bool, Option<&MaterialSeal>),
) -> Result<ExitCode, Failure> {
    let domains = with_pins(context, chosen(site, which, false)?)?;
    let mut rotated = Vec::new();
    for (domain, pin) in &domains {
        let number = site.rotate(domain.opened_by(pin.as_ref()), seal)?;
        rotated.push(json!({ "token": domain.json(), "version": number }));
        if !context.global.json {
            output::line(&format!("{}: version {number} seals from now on.", domain.name()))?;
        }
    }
    if rewrap {
        return rewrap_all(context, site, &domains);
    }
    if context.global.json {
        output::json(&rotated)?;
    } else {
        output::line("What is written from now on takes it; `kmss domain rewrap` seals everything else anew.")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rewrap_all(
    context: &Context,
    site: &dyn Domains,
    domains: &[(Domain, Option<Secret>)],
) -> Result<ExitCode, Failure> {
    let mut reports = Vec::new();
    for (domain, pin) in domains {
        let behind = domain.status(site)?.behind();
        let bar = if std::io::stderr().is_terminal() && !context.global.json {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} records, {eta} left")?;
            ProgressBar::new(behind).with_style(style).with_message(domain.name())
        } else {
            ProgressBar::hidden()
        };
        let report = site.rewrap(domain.opened_by(pin.as_ref()), &mut |anew| bar.set_position(anew))?;
        bar.finish_and_clear();
        if !context.global.json {
            explain(domain, &report)?;
        }
        reports.push((domain, report));
    }
    if context.global.json {
        let described = reports.iter().map(|(domain, report)| json!({ "token": domain.json(), "rewrap": report }));
        output::json(&described.collect::<Vec<_>>())?;
    }
    let whole = reports
        .iter()
        .all(|(_, report)| report.kept.is_empty() && report.damaged.is_empty() && report.left_in_device.is_empty());
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(IN_PART) })
}

fn explain(domain: &Domain, report: &RewrapReport) -> Result<(), Failure> {
    let RewrapReport { version, records, erased, kept, damaged, left_in_device: left } = report;
    let list = |numbers: &[u32]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut line =
        format!("{}: everything lies under version {version}; {records} records were sealed anew", domain.name());
    if !kept.is_empty() {
        line = format!("{}: {records} records were sealed anew under version {version}", domain.name());
    }
    if !erased.is_empty() {
        line.push_str(&format!(", version {} is erased", list(erased)));
    }
    output::line(&format!("{line}."))?;
    if !kept.is_empty() {
        output::line(&format!("Version {} stays: records name it that could not be opened.", list(kept)))?;
    }
    for what in damaged {
        output::line(&format!("The record of {what} is damaged; see `kmss store check`."))?;
    }
    left_in_device(left)
}
