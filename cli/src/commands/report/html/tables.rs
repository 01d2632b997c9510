//! The tables of the page.

use maud::{Markup, html};
use report::{RefusalKey, Report, Table, Times, day};

use super::section;
use crate::commands::report::text::{remarks, used_key};
use crate::output::{plain, time};

/// Most rows of a table: a page is read by people.
const SHOWN: usize = 1000;

/// A table with a caption; `numbers` are the columns that hold numbers.
fn table(caption: &str, header: &[&str], numbers: &[usize], rows: Vec<Vec<String>>, empty: &str) -> Markup {
    if rows.is_empty() {
        return html! { p { (empty) } };
    }
    html! {
        div.wide tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for name in header { th scope="col" { (name) } } } }
                tbody {
                    @for row in rows.iter().take(SHOWN) {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                td.n[numbers.contains(&column)] { (plain(cell)) }
                            }
                        }
                    }
                }
            }
        }
        @if rows.len() > SHOWN {
            p { "Of " (rows.len()) " rows the first " (SHOWN) " are shown; the JSON form has all." }
        }
    }
}

fn moment(at: Option<libkmss::clock::Timestamp>) -> String {
    at.map(|at| time(at.0)).unwrap_or_default()
}

fn yes(value: Option<bool>) -> String {
    value.map_or("", |value| if value { "yes" } else { "no" }).to_owned()
}

pub(super) fn tokens(report: &Report) -> Markup {
    let rows = report.tokens.iter().map(|token| {
        let users = token.users.iter().map(|user| match user.roles.is_empty() {
            true => user.user.clone(),
            false => format!("{} ({})", user.user, user.roles.join(", ")),
        });
        let seen = match (token.pinless, token.opened) {
            (true, _) => "everything (no PIN)",
            (_, true) => "everything",
            (_, false) => "public part",
        };
        vec![
            token.token.clone(),
            seen.to_owned(),
            token.keys.to_string(),
            token.certificates.to_string(),
            users.collect::<Vec<_>>().join(", "),
            token.forbid.clone(),
            yes(Some(token.separate_wrap_and_decrypt)),
            yes(Some(token.policy_required)),
            token.policies.join(", "),
        ]
    });
    let header = [
        "Token",
        "Seen",
        "Keys",
        "Certificates",
        "Users (roles)",
        "Forbids",
        "Wrap apart from decrypt",
        "Policy required",
        "Policies in force",
    ];
    section("tokens", "Tokens", table("Tokens", &header, &[2, 3], rows.collect(), "There are no tokens."))
}

pub(super) fn keys(report: &Report) -> Markup {
    let rows = report.keys.iter().map(|key| {
        let made = key.past.made.as_ref();
        let last = key.past.last_use.as_ref();
        vec![
            key.token.clone(),
            key.name.clone(),
            key.key_type.clone(),
            key.class.clone(),
            key.state.clone(),
            made.map_or_else(|| "unknown".to_owned(), |made| made.principal.clone()),
            time(key.created.0),
            key.age_days.to_string(),
            last.map_or_else(|| "never".to_owned(), |last| time(last.time.0)),
            last.map(|last| last.principal.clone()).unwrap_or_default(),
            key.past.uses_in_period.to_string(),
            yes(key.sensitive),
            yes(key.extractable),
            yes(Some(key.local)),
            key.backend.clone(),
            remarks(key).join(", "),
        ]
    });
    let header = [
        "Token",
        "Name",
        "Type",
        "Class",
        "State",
        "Made by",
        "Made (UTC)",
        "Days",
        "Last use (UTC)",
        "By",
        "Uses",
        "Sensitive",
        "Extractable",
        "Made here",
        "Backend",
        "Remarks",
    ];
    let body = html! {
        (table("Keys, a pair being one", &header, &[7, 10], rows.collect(), "There are no keys to be seen."))
        p {
            "Rotation is due after " (report.max_age_days) " days (--max-age); KMSS does not rotate keys by itself yet. Who \
             made and used a key is known as far as the audit trail goes."
        }
    };
    section("keys", "Keys", body)
}

pub(super) fn certificates(report: &Report) -> Markup {
    let rows = report.certificates.iter().map(|one| {
        let left = match one.days_left {
            _ if one.expired => "expired".to_owned(),
            Some(days) => days.to_string(),
            None => "not readable".to_owned(),
        };
        vec![
            one.token.clone(),
            one.label.clone(),
            one.keys.join(", "),
            one.subject.clone(),
            one.issuer.clone(),
            one.not_before.map(day).unwrap_or_default(),
            one.not_after.map(day).unwrap_or_default(),
            left,
        ]
    });
    let header = ["Token", "Label", "Keys", "Subject", "Issuer", "From", "Until", "Days left"];
    let empty = "There are no certificates to be seen.";
    section("certificates", "Certificates", table("Certificates", &header, &[7], rows.collect(), empty))
}

pub(super) fn days(report: &Report) -> Markup {
    let rows = report.days.rows.iter().map(|row| {
        let counts = [row.value.uses, row.value.denied, row.value.failed].map(|count| count.to_string());
        std::iter::once(row.key.day.clone()).chain(counts).collect()
    });
    let header = ["Day (UTC)", "Uses", "Refusals", "Failures"];
    html! {
        details {
            summary { "The same by day" }
            (table("By day", &header, &[1, 2, 3], rows.collect(), "Nothing."))
        }
    }
}

pub(super) fn uses(report: &Report) -> Markup {
    let rows = report.uses.rows.iter().map(|row| {
        let actions = row.value.actions.iter().map(|(action, count)| format!("{count} {action}"));
        vec![
            row.key.token.clone(),
            used_key(&row.key),
            row.key.key_type.clone(),
            row.key.principal.clone(),
            row.value.operations.to_string(),
            actions.collect::<Vec<_>>().join(", "),
            row.value.data_len.to_string(),
            row.value.abandoned.to_string(),
            moment(row.value.last),
        ]
    });
    let header = ["Token", "Key", "Type", "Principal", "Uses", "What", "Bytes", "Abandoned", "Last (UTC)"];
    table("Uses by key and principal", &header, &[4, 6, 7], rows.collect(), "No key was used.")
}

pub(super) fn refusals(caption: &str, refusals: &Table<RefusalKey, Times>) -> Markup {
    let rows = refusals.rows.iter().map(|row| {
        let key = &row.key;
        let texts = [&key.error, &key.action, &key.principal, &key.token, &key.key, &key.rule];
        let mut cells = vec![row.value.count.to_string()];
        cells.extend(texts.into_iter().cloned());
        cells.push(moment(row.value.last));
        cells
    });
    let header = ["Count", "Why", "Action", "Principal", "Token", "Key", "Rule", "Last (UTC)"];
    table(caption, &header, &[0], rows.collect(), &format!("{caption}: none."))
}

pub(super) fn logins(report: &Report) -> Markup {
    let rows = report.logins.rows.iter().map(|row| {
        let value = &row.value;
        let counts = [value.succeeded, value.wrong_pin, value.locked, value.other].map(|count| count.to_string());
        let mut cells = vec![row.key.token.clone(), row.key.principal.clone()];
        cells.extend(counts);
        cells.push(moment(value.last));
        cells
    });
    let header = ["Token", "Principal", "Logins", "Wrong PIN", "Locked", "Otherwise refused", "Last (UTC)"];
    table("Logins", &header, &[2, 3, 4, 5], rows.collect(), "Logins: none.")
}

pub(super) fn changes(report: &Report) -> Markup {
    let counts = report.changes.succeeded.iter().map(|(kind, count)| {
        let refused = report.changes.refused.get(kind).copied().unwrap_or_default();
        vec![kind.words().to_owned(), count.to_string(), refused.to_string()]
    });
    let rows = report.changes.newest.iter().map(|change| {
        vec![
            time(change.time.0),
            change.kind.words().to_owned(),
            change.outcome.clone(),
            change.principal.clone(),
            change.token.clone(),
            change.object.clone(),
            change.what.clone(),
        ]
    });
    let header = ["Time (UTC)", "Change", "Outcome", "Principal", "Token", "Object", "What"];
    let body = html! {
        (table("Changes by kind", &["Kind", "Done", "Refused or failed"], &[1, 2], counts.collect(), "Nothing was changed."))
        (table("The newest changes", &header, &[], rows.collect(), ""))
        @if report.changes.not_listed > 0 { p { (report.changes.not_listed) " older changes are not listed." } }
    };
    section("changes", "Changes of keys, users, settings and policies", body)
}

pub(super) fn weak(report: &Report) -> Markup {
    let rows = report.weak_mechanisms.rows.iter().map(|row| {
        let key = &row.key;
        let mut cells = vec![row.value.count.to_string(), key.mechanism.clone(), key.why.clone(), key.action.clone()];
        cells.extend([key.token.clone(), key.key.clone(), key.principal.clone(), moment(row.value.last)]);
        cells
    });
    let header = ["Count", "Mechanism", "Why", "Action", "Token", "Key", "Principal", "Last (UTC)"];
    let empty = "None that records tell of: a hash made elsewhere, or how short a MAC is, they do not.";
    section("weak", "Weak mechanisms used in the period", table("Weak uses", &header, &[0], rows.collect(), empty))
}
