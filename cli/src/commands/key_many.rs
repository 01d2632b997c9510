//! `kmss key generate --count`: many keys at once.

use std::io::IsTerminal as _;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::key::{KeySpec, Object};
use serde::Serialize;

use super::key::{How, wanted};
use crate::context::Context;
use crate::objects::{Names, Objects, doubt};
use crate::output::{self, Failure};

/// Makes keys of these names.
///
/// # Errors
/// A sentence that says how many there are and how it goes on, where some were made.
pub(super) fn generate(
    context: &Context,
    names: &Names<'_>,
    token: &str,
    type_text: Option<&str>,
    how: &How,
) -> Result<(), Failure> {
    let objects = context.objects(token)?;
    let spec = wanted(&*objects, type_text)?;
    if let Some(taken) = objects.taken(names)? {
        return Err(taken.refusal(token));
    }
    let bar = if std::io::stderr().is_terminal() && !context.global.json {
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} keys, {eta} left")?;
        ProgressBar::new(names.count.into()).with_style(style)
    } else {
        ProgressBar::hidden()
    };
    let mut made = Made { shown: context.global.json.then(Vec::new), ..Made::default() };
    let ended = make(&*objects, names, (&spec, how), &mut made, &bar);
    let closed = objects.close();
    bar.finish_and_clear();
    let Made { count, first, shown } = made;
    // Also of those that were made before something went wrong.
    let printed = match shown {
        Some(shown) if count > 0 => output::json(&shown),
        _ => Ok(()),
    };
    let total = names.count;
    ended.map_err(|why| match why {
        Why::Before(0, why) => why,
        why => format!("{count} of {total} keys were made: {}", why.said(names, token)).into(),
    })?;
    closed.map_err(|why| format!("all {total} keys were made, but: {}", output::sentence(&*why)))?;
    printed?;
    if context.global.json {
        return Ok(());
    }
    let what = first.as_ref().and_then(|made| made.key()).map(report::describe).unwrap_or_default();
    let (from, to) = (names.at(0), names.at(total.saturating_sub(1)));
    output::line(&format!("Generated {total} {what} keys in token `{token}`, `{from}` to `{to}`."))
}

/// What there is of them.
#[derive(Default)]
struct Made {
    count: u32,
    first: Option<Arc<Object>>,
    /// Each of them, where they are shown.
    shown: Option<Vec<Shown>>,
}

/// A key as JSON.
#[derive(Serialize)]
struct Shown {
    name: String,
    id: String,
    cka_id: String,
}

impl Made {
    fn take(&mut self, key: Arc<Object>) {
        self.count = self.count.saturating_add(1);
        if let (Some(shown), Some(known)) = (&mut self.shown, key.key()) {
            let (name, id, cka_id) = (known.name.clone(), key.id.to_string(), output::hex(&key.identifier));
            shown.push(Shown { name, id, cka_id });
        }
        self.first.get_or_insert(key);
    }
}

/// Where it ended; places are counted from 0.
enum Why {
    /// Nothing of what begins there was made.
    Before(u32, Failure),
    /// What becomes of that from there on, up to the second place, is not known.
    Doubtful(u32, u32, Failure),
    /// That one was not made; whether others behind it were, and where it goes on behind those.
    Refused { place: u32, others: bool, next: u32, why: Failure },
}

impl Why {
    /// What went wrong, what there is, and how to go on.
    fn said(&self, names: &Names<'_>, token: &str) -> String {
        let goes_on = |place: u32| match names.count.saturating_sub(place) {
            0 => String::new(),
            left => format!("`--count {left} --from {}`", names.first.saturating_add(place)),
        };
        let list = format!("`kmss key list --token {token}`");
        match self {
            Self::Before(place, why) => {
                let (name, why) = (names.at(*place), output::sentence(&**why));
                format!("`{name}` and the rest were not: {why}; {} makes them", goes_on(*place))
            }
            Self::Doubtful(from, to, why) => {
                let (first, last, why) = (names.at(*from), names.at(to.saturating_sub(1)), output::sentence(&**why));
                let on = goes_on(*from);
                format!(
                    "of `{first}` to `{last}` some or all may exist, too: {why}; {list} shows them, and where there are none, {on} \
                     goes on"
                )
            }
            Self::Refused { place, others, next, why } => {
                let how = if doubt(why) == Some(true) { "may be there or not" } else { "was not" };
                let said = format!("`{}` {how}: {}", names.at(*place), output::sentence(&**why));
                match (others, goes_on(*next)) {
                    (false, _) => format!("{said}; {} makes it and the rest", goes_on(*place)),
                    (true, on) if on.is_empty() => format!("{said}; {list} shows the others"),
                    (true, on) => format!("{said}; {list} shows the others, and {on} makes those behind them"),
                }
            }
        }
    }
}

fn make(
    objects: &dyn Objects,
    names: &Names<'_>,
    (spec, how): (&KeySpec, &How),
    made: &mut Made,
    bar: &ProgressBar,
) -> Result<(), Why> {
    let most = u32::try_from(objects.most_at_once()).unwrap_or(1);
    let mut from = 0;
    while from < names.count {
        let to = names.count.min(from.saturating_add(most));
        let drafts = (from..to).map(|place| how.drafts(objects, &names.at(place), spec)).collect::<Result<_, _>>();
        let drafts = drafts.map_err(|why| Why::Before(from, why))?;
        let ends = objects.generate_each(spec, drafts).map_err(|why| match doubt(&why) {
            Some(false) => Why::Before(from, why),
            // Of an answer that cannot be understood nobody knows.
            Some(true) | None => Why::Doubtful(from, to, why),
        })?;
        let mut refused: Option<(u32, Failure, bool)> = None;
        for (place, end) in (from..to).zip(ends) {
            match end {
                Ok(key) => {
                    made.take(key);
                    if let Some((.., others)) = &mut refused {
                        *others = true;
                    }
                }
                Err(why) => refused = refused.or(Some((place, why, false))),
            }
        }
        if let Some((place, why, others)) = refused {
            return Err(Why::Refused { place, others, next: to, why });
        }
        bar.inc((to - from).into());
        from = to;
    }
    Ok(())
}
