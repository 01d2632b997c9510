//! The report of a probe for people.

use backend_contract::{Group, Outcome, Report};
use libkmss::config::Quirks;

use super::Probed;
use crate::output::{self, Failure};

/// Prints what was found; with `all`, what holds as well.
///
/// # Errors
/// Standard output is closed.
pub(super) fn print(probed: &Probed<'_>, all: bool) -> Result<(), Failure> {
    let token = probed.token;
    let (label, model, serial) =
        (output::plain(&token.label), output::plain(&token.model), output::plain(&token.serial));
    output::line(&format!("Token `{label}` ({model}, serial {serial}, slot {})", token.slot))?;
    let known =
        if probed.known.is_empty() { "not in the table of devices".to_owned() } else { probed.known.join(", ") };
    output::line(&format!("Known as: {known}"))?;
    for warning in &probed.warnings {
        output::line(&format!("WARNING: {warning}"))?;
    }
    output::line("")?;
    let rows = Group::ALL.into_iter().filter_map(|group| row(&probed.reports, group)).collect();
    output::table(["GROUP", "HOLD", "NOT OFFERED", "BROKEN", "MS"], rows, "Nothing was tried.")?;
    for report in &probed.reports {
        match &report.outcome {
            Outcome::Failed(why) => output::line(&format!("BROKEN       {}: {}", report.name, output::plain(why)))?,
            Outcome::NotOffered(_) if all => output::line(&format!("not offered  {}", report.name))?,
            Outcome::Passed if all => output::line(&format!("holds        {}", report.name))?,
            _ => {}
        }
    }
    output::line("")?;
    if probed.proposed == Quirks::default() {
        output::line("Quirks: none that were seen.")?;
    } else {
        output::line("Quirks, as its `[[hsm]]` in kmss.toml may have them (those of the table hold by themselves):")?;
        output::line("[hsm.quirks]")?;
        output::line(toml::to_string(&probed.proposed)?.trim_end())?;
    }
    match &probed.left_behind {
        None => output::line("Every key of the probe was removed again."),
        Some(why) => output::line(&format!(
            "KEYS WERE LEFT BEHIND, with labels that begin with `{}`: remove them with the vendor's tool ({})",
            probed.prefix,
            output::plain(why)
        )),
    }
}

fn row(reports: &[Report], group: Group) -> Option<[String; 5]> {
    let of: Vec<&Report> = reports.iter().filter(|report| report.group == group).collect();
    let count = |fits: fn(&Outcome) -> bool| of.iter().filter(|report| fits(&report.outcome)).count().to_string();
    let took: u64 = of.iter().map(|report| report.milliseconds).sum();
    (!of.is_empty()).then(|| {
        [
            group.name().to_owned(),
            count(|outcome| *outcome == Outcome::Passed),
            count(|outcome| matches!(outcome, Outcome::NotOffered(_))),
            count(|outcome| matches!(outcome, Outcome::Failed(_))),
            took.to_string(),
        ]
    })
}
