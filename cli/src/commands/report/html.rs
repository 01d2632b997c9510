//! A report as one page of HTML that needs nothing else: no script, no other file, plots as SVG within. Everything from the
//! log is hostile text, which `maud` escapes wherever it stands.

mod plots;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use report::{Report, Status, day};

use super::sealed;
use crate::output::{plain, time};

/// How it looks: light or dark as the reader's system, and plain on paper.
const STYLE: &str = include_str!("html/style.css");

/// Only what stands in the page itself, and no script at all.
const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page.
pub(super) fn page(report: &Report) -> String {
    let title = format!("KMSS report, {} to {}", day(report.period.since), day(report.period.until));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_SECURITY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "KMSS report" }
                    p {
                        "Home " code { (plain(&report.home)) } ", made " (time(report.generated.0)) " UTC by KMSS "
                        (report.kmss) ". Period " (time(report.period.since.0)) " to " (time(report.period.until.0))
                        " UTC (" (report.period.days()) " days)."
                    }
                    p.statement role="note" { (report.statement) }
                    @for missing in &report.missing { p.missing role="note" { "Missing: " (missing) } }
                }
                (contents())
                main {
                    (figures(report))
                    (tables::tokens(report))
                    (tables::keys(report))
                    (tables::certificates(report))
                    (section("uses", "Uses in the period", html! {
                        (plots::days(report))
                        (tables::days(report))
                        (plots::busiest(report))
                        (tables::uses(report))
                    }))
                    (section("refusals", "Refusals and failures", html! {
                        (plots::refusals(report))
                        (tables::refusals("Refusals", &report.denials))
                        (tables::refusals("Failures", &report.failures))
                        (tables::logins(report))
                    }))
                    (tables::changes(report))
                    (tables::weak(report))
                    (audit(report))
                    (coverage(report))
                }
            }
        }
    };
    page.into_string()
}

/// A section with its title.
fn section(id: &str, title: &str, body: Markup) -> Markup {
    html! { section id=(id) { h2 { (title) } (body) } }
}

fn contents() -> Markup {
    let sections = [
        ("tokens", "Tokens"),
        ("keys", "Keys"),
        ("certificates", "Certificates"),
        ("uses", "Uses"),
        ("refusals", "Refusals"),
        ("changes", "Changes"),
        ("weak", "Weak mechanisms"),
        ("audit", "Audit trail"),
        ("coverage", "Standards"),
    ];
    html! {
        nav aria-label="Contents" { ul { @for (id, title) in sections { li { a href={ "#" (id) } { (title) } } } } }
    }
}

/// The figures that matter, at a glance.
fn figures(report: &Report) -> Markup {
    let weak = report.keys.iter().filter(|key| !key.weaknesses.is_empty()).count();
    let never = report.keys.iter().filter(|key| key.past.last_use.is_none()).count();
    let due = report.keys.iter().filter(|key| key.rotation_due).count();
    let wrong = report.logins.sum(|login| login.wrong_pin + login.locked);
    let figures = [
        ("keys", report.keys.len().to_string(), false),
        ("never used", never.to_string(), false),
        ("rotation due", due.to_string(), due > 0),
        ("weak keys", weak.to_string(), weak > 0),
        ("uses", report.uses.sum(|row| row.operations).to_string(), false),
        ("refusals", report.denials.sum(|times| times.count).to_string(), false),
        ("wrong PINs", wrong.to_string(), wrong > 0),
        ("changes", report.changes.all().to_string(), false),
        (
            "audit trail",
            report.audit.verdict.as_deref().unwrap_or("not verified").to_owned(),
            report.audit.verdict.as_deref() != Some("whole"),
        ),
    ];
    html! {
        dl.figures {
            @for (name, value, alarming) in figures {
                div.alarming[alarming] { dt { (name) } dd { (value) } }
            }
        }
    }
}

fn audit(report: &Report) -> Markup {
    let audit = &report.audit;
    let records = &audit.records;
    let moment = |at: Option<libkmss::clock::Timestamp>| at.map_or_else(|| "never".to_owned(), |at| time(at.0));
    section(
        "audit",
        "Audit trail",
        html! {
            p {
                @match &audit.verdict {
                    Some(verdict) => {
                        "Verified: " strong { (verdict) } "; " (audit.verified_records) " records in " (audit.segments)
                        " segments."
                    }
                    None => "Not verified (--no-verify).",
                }
            }
            p {
                @match &audit.seal {
                    Some(seal) => { (sealed(seal)) }
                    None => "No seal was verified.",
                }
            }
            @if !audit.findings.is_empty() {
                ul { @for finding in &audit.findings { li { (plain(finding)) } } }
            }
            p {
                (records.trail) " records from " (moment(records.first)) " to " (moment(records.last)) " UTC; "
                (records.period) " of them operations of the period. In the period " (records.writers)
                " processes began to write, " (records.recoveries) " failed writes were recovered, and " (records.lost)
                " operations were refused for want of a record."
            }
        },
    )
}

fn coverage(report: &Report) -> Markup {
    let class = |status: Status| match status {
        Status::Evidenced => "evidenced",
        Status::Partly => "partly",
        Status::NotShown => "not-shown",
        Status::NotByKmss => "not-by-kmss",
    };
    let body = html! {
        p {
            "What this home's data evidences of which requirement, named by number and in our own words. "
            em { "Evidenced" } ": what KMSS has to do with it is shown. " em { "Partly" } ": some of it is. "
            em { "Not shown" } ": KMSS could show something, and this data does not. " em { "Not by KMSS" }
            ": it is for others to show."
        }
        p.statement role="note" { (report.statement) }
        @for standard in &report.coverage {
            h3 { (standard.name) }
            p { (standard.title) }
            (plots::coverage(standard))
            div.wide tabindex="0" role="region" aria-label=(standard.name) {
                table {
                    thead { tr {
                        th scope="col" { "Requirement" } th scope="col" { "Status" } th scope="col" { "What the data shows" }
                        th scope="col" { "Beyond this" }
                    } }
                    tbody {
                        @for row in &standard.rows {
                            tr {
                                th scope="row" { (row.requirement) div.about { (row.about) } }
                                td { span class={ "status " (class(row.status)) } { (row.status.words()) } }
                                td {
                                    ul.evidence {
                                        @for words in &row.evidence { li.good { (plain(words)) } }
                                        @for words in &row.gaps { li.gap { (plain(words)) } }
                                    }
                                }
                                td { (row.limit) }
                            }
                        }
                    }
                }
            }
        }
    };
    section("coverage", "Standards", body)
}
