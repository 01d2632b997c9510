//! A report for people, on a terminal: the figures that matter, and tables.

use report::{CertificateRow, KeyRow, RefusalKey, Report, Table, Times, Token, UseKey, day};

use super::sealed;
use crate::output::{columns, plain, time};

/// Most rows of a table; `--json` has all of them.
const SHOWN: usize = 30;

/// The report as text.
pub(super) fn of(report: &Report) -> String {
    let mut page = Page(String::new());
    summary(&mut page, report);
    ledger(&mut page, report);
    usage(&mut page, report);
    refusals(&mut page, "Refusals", &report.denials);
    refusals(&mut page, "Failures", &report.failures);
    logins(&mut page, report);
    changes(&mut page, report);
    weak(&mut page, report);
    audit(&mut page, report);
    coverage(&mut page, report);
    page.0
}

struct Page(String);

impl Page {
    fn title(&mut self, title: &str) {
        self.0.push_str(&format!("\n{title}\n{}\n", "=".repeat(title.chars().count())));
    }

    /// Lines; what a server says is for a terminal as little as what a log holds.
    fn line(&mut self, lines: &str) {
        for line in lines.split('\n') {
            self.0.push_str(&plain(line));
            self.0.push('\n');
        }
    }

    fn table<const N: usize>(&mut self, header: [&str; N], mut rows: Vec<[String; N]>, empty: &str) {
        let more = rows.len().saturating_sub(SHOWN);
        rows.truncate(SHOWN);
        match rows.is_empty() {
            true => self.line(empty),
            false => self.line(&columns(header, rows)),
        }
        if more > 0 {
            self.line(&format!("… and {more} more; --json lists all."));
        }
    }
}

fn summary(page: &mut Page, report: &Report) {
    page.line(&format!("KMSS report on {}", plain(&report.home)));
    page.line(&format!(
        "Made {} UTC; period {} to {} ({} days).",
        time(report.generated.0),
        time(report.period.since.0),
        time(report.period.until.0),
        report.period.days()
    ));
    page.line(&report.statement);
    for missing in &report.missing {
        page.line(&format!("MISSING: {missing}"));
    }
    page.title("Tokens");
    let row = |token: &Token| {
        let users = token.users.iter().map(|user| match user.roles.is_empty() {
            true => plain(&user.user),
            false => format!("{} ({})", plain(&user.user), plain(&user.roles.join(", "))),
        });
        [
            plain(&token.token),
            match (token.pinless, token.opened) {
                (true, _) => "no PIN",
                (_, true) => "opened",
                (_, false) => "public part",
            }
            .to_owned(),
            token.keys.to_string(),
            token.certificates.to_string(),
            users.collect::<Vec<_>>().join(", "),
            token.forbid.clone(),
            if token.policy_required { plain(&token.policies.join(", ")) } else { "not required".to_owned() },
        ]
    };
    let header = ["TOKEN", "SEEN", "KEYS", "CERTIFICATES", "USERS", "FORBIDS", "POLICIES"];
    page.table(header, report.tokens.iter().map(row).collect(), "There are no tokens.");
}

fn ledger(page: &mut Page, report: &Report) {
    page.title("Keys");
    let row = |key: &KeyRow| {
        [
            plain(&key.token),
            plain(&key.name),
            key.key_type.clone(),
            key.class.clone(),
            key.state.clone(),
            key.past.made.as_ref().map_or_else(|| "unknown".to_owned(), |made| plain(&made.principal)),
            key.age_days.to_string(),
            key.past.last_use.as_ref().map_or_else(|| "never".to_owned(), |last| day(last.time)),
            key.past.last_use.as_ref().map(|last| plain(&last.principal)).unwrap_or_default(),
            key.past.uses_in_period.to_string(),
            remarks(key).join(", "),
        ]
    };
    let header = ["TOKEN", "NAME", "TYPE", "CLASS", "STATE", "MADE BY", "DAYS", "LAST USE", "BY", "USES", "REMARKS"];
    page.table(header, report.keys.iter().map(row).collect(), "There are no keys to be seen.");
    page.line(&format!(
        "Rotation is due after {} days (--max-age); KMSS does not rotate keys by itself yet.",
        report.max_age_days
    ));
    page.title("Certificates");
    let row = |one: &CertificateRow| {
        [
            plain(&one.token),
            plain(&one.label),
            plain(&one.subject),
            plain(&one.issuer),
            one.not_after.map(day).unwrap_or_default(),
            match one.days_left {
                _ if one.expired => "EXPIRED".to_owned(),
                Some(days) => days.to_string(),
                None => "not readable".to_owned(),
            },
        ]
    };
    let header = ["TOKEN", "LABEL", "SUBJECT", "ISSUER", "EXPIRES", "DAYS LEFT"];
    page.table(header, report.certificates.iter().map(row).collect(), "There are no certificates to be seen.");
}

/// What is to be noticed of a key.
pub(super) fn remarks(key: &KeyRow) -> Vec<String> {
    let mut remarks: Vec<String> = key.weaknesses.iter().map(|weakness| format!("WEAK: {weakness}")).collect();
    remarks.extend(key.blocks.iter().map(|block| format!("BLOCKED or throttled: {}", plain(block))));
    let mut add = |holds: bool, words: &str| remarks.extend(holds.then(|| words.to_owned()));
    add(key.expired, "EXPIRED");
    add(key.rotation_due, "rotation due");
    add(key.sensitive == Some(false), "not sensitive");
    add(key.extractable == Some(true), "extractable");
    add(!key.local, "made elsewhere");
    let may = |wanted: &str| key.uses_allowed.iter().any(|one| one == wanted);
    let both = |a: &str, b: &str| may(a) && may(b);
    add(key.class == "secret" && both("wrap", "decrypt"), "wraps and decrypts");
    if let (Some(end), false) = (&key.end, key.expired) {
        remarks.push(format!("until {end}"));
    }
    if !key.policies.is_empty() {
        remarks.push(format!("policies: {}", plain(&key.policies.join(", "))));
    }
    if !key.tags.is_empty() {
        remarks.push(format!("tags: {}", plain(&key.tags.join(", "))));
    }
    remarks
}

/// A key as a row of uses calls it.
pub(super) fn used_key(key: &UseKey) -> String {
    match (key.session_keys, key.key.is_empty()) {
        (true, true) => "session keys".to_owned(),
        (true, false) => format!("session keys of {}", key.key),
        (false, true) => key.id.clone(),
        (false, false) => key.key.clone(),
    }
}

fn usage(page: &mut Page, report: &Report) {
    page.title("Uses in the period, by key and principal");
    let rows = report.uses.rows.iter().map(|row| {
        let actions = row.value.actions.iter().map(|(action, count)| format!("{count} {}", plain(action)));
        [
            plain(&row.key.token),
            plain(&used_key(&row.key)),
            plain(&row.key.key_type),
            plain(&row.key.principal),
            row.value.operations.to_string(),
            actions.collect::<Vec<_>>().join(", "),
            row.value.data_len.to_string(),
            row.value.last.map(|last| time(last.0)).unwrap_or_default(),
        ]
    });
    let header = ["TOKEN", "KEY", "TYPE", "PRINCIPAL", "USES", "WHAT", "BYTES", "LAST (UTC)"];
    page.table(header, rows.collect(), "No key was used.");
}

fn refusals(page: &mut Page, title: &str, table: &Table<RefusalKey, Times>) {
    page.title(&format!("{title} in the period"));
    let rows = table.rows.iter().map(|row| {
        [
            row.value.count.to_string(),
            plain(&row.key.error),
            plain(&row.key.action),
            plain(&row.key.principal),
            plain(&row.key.token),
            plain(&row.key.key),
            plain(&row.key.rule),
            row.value.last.map(|last| time(last.0)).unwrap_or_default(),
        ]
    });
    let header = ["COUNT", "WHY", "ACTION", "PRINCIPAL", "TOKEN", "KEY", "RULE", "LAST (UTC)"];
    page.table(header, rows.collect(), "None.");
}

fn logins(page: &mut Page, report: &Report) {
    page.title("Logins in the period");
    let rows = report.logins.rows.iter().map(|row| {
        [
            plain(&row.key.token),
            plain(&row.key.principal),
            row.value.succeeded.to_string(),
            row.value.wrong_pin.to_string(),
            row.value.locked.to_string(),
            row.value.other.to_string(),
        ]
    });
    let header = ["TOKEN", "PRINCIPAL", "LOGINS", "WRONG PIN", "LOCKED", "OTHERWISE REFUSED"];
    page.table(header, rows.collect(), "None.");
}

fn changes(page: &mut Page, report: &Report) {
    page.title("Changes in the period");
    let counts = report.changes.succeeded.iter().map(|(kind, count)| format!("{}: {count}", kind.words()));
    let refused: u64 = report.changes.refused.values().sum();
    let counts = counts.collect::<Vec<_>>().join(", ");
    page.line(&format!("{}; refused or failed: {refused}.", if counts.is_empty() { "None" } else { &counts }));
    let rows = report.changes.newest.iter().map(|change| {
        [
            time(change.time.0),
            change.kind.words().to_owned(),
            plain(&change.outcome),
            plain(&change.principal),
            plain(&change.token),
            plain(&change.object),
            plain(&change.what),
        ]
    });
    let header = ["TIME (UTC)", "CHANGE", "OUTCOME", "PRINCIPAL", "TOKEN", "OBJECT", "WHAT"];
    page.table(header, rows.collect(), "Nothing was changed.");
}

fn weak(page: &mut Page, report: &Report) {
    page.title("Weak mechanisms used in the period");
    let rows = report.weak_mechanisms.rows.iter().map(|row| {
        [
            row.value.count.to_string(),
            plain(&row.key.mechanism),
            row.key.why.clone(),
            plain(&row.key.token),
            plain(&row.key.key),
            plain(&row.key.principal),
        ]
    });
    let header = ["COUNT", "MECHANISM", "WHY", "TOKEN", "KEY", "PRINCIPAL"];
    page.table(
        header,
        rows.collect(),
        "None that records tell of: a hash made elsewhere, or how short a MAC is, they do not.",
    );
}

fn audit(page: &mut Page, report: &Report) {
    page.title("Audit trail");
    let audit = &report.audit;
    page.line(&match audit.verdict.as_deref() {
        Some(verdict) => {
            let verdict = if verdict == "tampered" { "TAMPERED WITH" } else { verdict };
            format!("Verified: {verdict}; {} records in {} segments.", audit.verified_records, audit.segments)
        }
        None => "Not verified (--no-verify).".to_owned(),
    });
    page.line(&match (&audit.seal, &audit.verdict) {
        (Some(seal), _) => sealed(seal),
        (None, Some(_)) => "Not sealed (`kmss audit seal`).".to_owned(),
        (None, None) => "Whether it is sealed was not looked at.".to_owned(),
    });
    for finding in &audit.findings {
        page.line(&plain(finding));
    }
    let moment = |at: Option<libkmss::clock::Timestamp>| at.map_or_else(|| "never".to_owned(), |at| time(at.0));
    let records = &audit.records;
    page.line(&format!(
        "{} records from {} to {}; {} of them operations of the period.",
        records.trail,
        moment(records.first),
        moment(records.last),
        records.period
    ));
    page.line(&format!(
        "In the period: {} processes began to write, {} failed writes were recovered, {} operations were refused for want of \
         a record.",
        records.writers, records.recoveries, records.lost
    ));
    let left_out = report.uses.records_left_out + report.denials.records_left_out + report.failures.records_left_out;
    if left_out > 0 {
        page.line(&format!("{left_out} records would have needed more rows than a table may have, and are not in it."));
    }
}

fn coverage(page: &mut Page, report: &Report) {
    for standard in &report.coverage {
        page.title(&standard.name);
        page.line(&standard.title);
        for row in &standard.rows {
            page.line(&format!("\n{}  [{}]  {}", row.requirement, row.status.words(), row.about));
            for evidence in &row.evidence {
                page.line(&format!("    + {evidence}"));
            }
            for gap in &row.gaps {
                page.line(&format!("    - {gap}"));
            }
            page.line(&format!("    Beyond this: {}", row.limit));
        }
    }
}
