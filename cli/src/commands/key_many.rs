//! `kmss key generate --count`: many keys at once.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::kms::Kms;
use serde_json::json;

use super::key::{How, require_new, wanted};
use crate::context::Context;
use crate::output::{self, Failure};

/// Makes `count` keys, named `name-1` and so on.
///
/// # Errors
/// A sentence that says how many there are, where some were made.
pub(super) fn generate(
    context: &Context,
    (name, count): (&str, u32),
    token: &str,
    type_text: Option<&str>,
    how: &How,
) -> Result<(), Failure> {
    let objects = context.objects(token)?;
    let spec = wanted(&*objects, type_text)?;
    let names: Vec<String> = (1..=count).map(|number| format!("{name}-{number}")).collect();
    names.iter().try_for_each(|name| require_new(&*objects, name, token))?;
    let bar = if std::io::stderr().is_terminal() && !context.global.json {
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} keys, {eta} left")?;
        ProgressBar::new(count.into()).with_style(style)
    } else {
        ProgressBar::hidden()
    };
    let mut made = Vec::with_capacity(names.len());
    for some in names.chunks(Kms::BATCH_ITEMS) {
        let drafts = some.iter().map(|name| how.drafts(&*objects, name, &spec)).collect::<Result<_, _>>()?;
        let mut refused = None;
        for (name, end) in some.iter().zip(objects.generate_each(&spec, drafts)?) {
            match end {
                Ok(key) => made.push(key),
                Err(why) => refused = refused.or(Some((name, why))),
            }
        }
        if let Some((name, why)) = refused {
            objects.close()?;
            bar.finish_and_clear();
            return Err(format!("{} of {count} keys were made; `{name}` was not: {why}", made.len()).into());
        }
        bar.inc(some.len().try_into().unwrap_or(u64::MAX));
    }
    objects.close()?;
    bar.finish_and_clear();
    if context.global.json {
        let keys = made.iter().filter_map(|made| {
            let name = &made.key()?.name;
            Some(json!({ "name": name, "id": made.id.to_string(), "cka_id": output::hex(&made.identifier) }))
        });
        return output::json(&keys.collect::<Vec<_>>());
    }
    let what = made.first().and_then(|made| made.key()).map(report::describe).unwrap_or_default();
    output::line(&format!("Generated {count} {what} keys in token `{token}`, `{name}-1` to `{name}-{count}`."))
}
