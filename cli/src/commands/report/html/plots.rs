//! Plots as SVG: bars with a title and the figures beside them; the tables below say the same in full.

use libkmss::clock::Timestamp;
use maud::{Markup, html};
use report::{DAY, Period, Report, Standard, Status, day};

use crate::commands::report::text::used_key;
use crate::output::plain;

const WIDTH: u64 = 900;
/// Most columns of a plot over time.
const COLUMNS: u64 = 60;
/// Most bars of a plot by name.
const BARS: usize = 12;
/// Longest name beside a bar in characters.
const NAME: usize = 42;

/// `of` as its part of `all`, `length` long.
fn scaled(of: u64, all: u64, length: u64) -> u64 {
    u64::try_from(u128::from(of) * u128::from(length) / u128::from(all.max(1))).unwrap_or(length)
}

/// Uses, and refusals, over time.
pub(super) fn days(report: &Report) -> Markup {
    const HEIGHT: u64 = 140;
    let (first, per, count) = steps(report.period, report);
    let mut columns = vec![(0_u64, 0_u64); usize::try_from(count).unwrap_or_default()];
    for row in &report.days.rows {
        let index = (0..count).rev().find(|n| day(Timestamp(first + n * per * DAY)) <= row.key.day).unwrap_or_default();
        if let Some(column) = usize::try_from(index).ok().and_then(|index| columns.get_mut(index)) {
            column.0 = column.0.saturating_add(row.value.uses);
            column.1 = column.1.saturating_add(row.value.denied);
        }
    }
    let most = columns.iter().map(|(uses, denied)| (*uses).max(*denied)).max().unwrap_or_default();
    if most == 0 {
        return html! { p { "No key was used, and nothing was refused." } };
    }
    let step = WIDTH / count.max(1);
    let bar = (step / 2).saturating_sub(1).max(1);
    let title = "Uses of keys and refusals over time";
    let each = if per == 1 { "a day".to_owned() } else { format!("{per} days") };
    html! {
        figure {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT + 40) } role="img" aria-label=(title) {
                title { (title) }
                @for (number, (uses, denied)) in (0_u64..).zip(&columns) {
                    @let (tall, small) = (scaled(*uses, most, HEIGHT), scaled(*denied, most, HEIGHT));
                    @let from = day(Timestamp(first + number * per * DAY));
                    g {
                        title { (from) ": " (uses) " uses, " (denied) " refusals" }
                        rect.bar x=(number * step) y=(15 + HEIGHT - tall) width=(bar) height=(tall) {}
                        rect.bad x=(number * step + bar) y=(15 + HEIGHT - small) width=(bar) height=(small) {}
                    }
                }
                line x1="0" x2=(WIDTH) y1=(15 + HEIGHT) y2=(15 + HEIGHT) {}
                text.soft x="0" y="11" { (most) }
                text.soft x="0" y=(HEIGHT + 34) { (day(Timestamp(first))) }
                text.soft x=(WIDTH) y=(HEIGHT + 34) text-anchor="end" { (day(Timestamp(first + (count - 1) * per * DAY))) }
            }
            figcaption { (title) ": each step is " (each) ", uses beside refusals (the second bar)." }
        }
    }
}

/// The first day, days of a step, and how many steps: where the period is long, from the first day of which there is something.
fn steps(period: Period, report: &Report) -> (u64, u64, u64) {
    let start = |time: u64| time / DAY * DAY;
    let last = start(period.until.0.saturating_sub(1).min(report.generated.0.max(period.since.0)));
    let oldest = report.audit.records.first.map_or(period.since.0, |first| first.0.max(period.since.0));
    let first = if period.days() > COLUMNS { start(oldest).min(last) } else { start(period.since.0).min(last) };
    let days = (last - first) / DAY + 1;
    let per = days.div_ceil(COLUMNS).max(1);
    (first, per, days.div_ceil(per).max(1))
}

/// The keys that were used most.
pub(super) fn busiest(report: &Report) -> Markup {
    let rows = report.uses.rows.iter().take(BARS);
    let rows =
        rows.map(|row| (format!("{} by {}", used_key(&row.key), row.key.principal), row.value.operations, "bar"));
    bars("Most used keys, by principal", rows.collect())
}

/// What was refused most.
pub(super) fn refusals(report: &Report) -> Markup {
    let mut by_error = std::collections::BTreeMap::<&str, u64>::new();
    for row in &report.denials.rows {
        *by_error.entry(&row.key.error).or_default() += row.value.count;
    }
    let mut rows: Vec<_> = by_error.into_iter().map(|(error, count)| (error.to_owned(), count, "bad")).collect();
    rows.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    rows.truncate(BARS);
    bars("Refusals by reason", rows)
}

/// How much of a standard is evidenced.
pub(super) fn coverage(standard: &Standard) -> Markup {
    let statuses =
        [(Status::Evidenced, "good"), (Status::Partly, "mid"), (Status::NotShown, "bad"), (Status::NotByKmss, "none")];
    let rows = statuses.map(|(status, class)| {
        let count = standard.rows.iter().filter(|row| row.status == status).count();
        (status.words().to_owned(), count as u64, class)
    });
    bars(&format!("Requirements of {} by status", standard.name), rows.to_vec())
}

/// Bars by name.
fn bars(title: &str, rows: Vec<(String, u64, &str)>) -> Markup {
    const STEP: u64 = 22;
    const LEFT: u64 = 320;
    let most = rows.iter().map(|(_, count, _)| *count).max().unwrap_or_default();
    if most == 0 {
        return html! {};
    }
    html! {
        figure {
            svg viewBox={ "0 0 " (WIDTH) " " (rows.len() as u64 * STEP + 4) } role="img" aria-label=(title) {
                title { (title) }
                @for (number, (name, count, class)) in (0_u64..).zip(&rows) {
                    text x=(LEFT - 8) y=(number * STEP + 16) text-anchor="end" { (shortened(name)) }
                    rect class=(class) x=(LEFT) y=(number * STEP + 4) width=(scaled(*count, most, WIDTH - LEFT - 110)) height="15" {}
                    text.soft x=(LEFT + 6 + scaled(*count, most, WIDTH - LEFT - 110)) y=(number * STEP + 16) { (count) }
                }
            }
            figcaption { (title) }
        }
    }
}

fn shortened(name: &str) -> String {
    let name = plain(name);
    match name.chars().count() > NAME {
        true => name.chars().take(NAME - 1).chain(['…']).collect(),
        false => name,
    }
}
