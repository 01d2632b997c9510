//! `kmss home`: the directory that holds everything.

use libkmss::kms::Kms;
use libkmss::seal::Holding;
use libkmss::suite::Suite;
use serde_json::json;

use crate::args::{HomeCommand, SuiteArg};
use crate::context::Context;
use crate::output::{self, Failure};

/// Runs `kmss home`.
///
/// # Errors
/// The home exists, or cannot be made.
pub(super) fn run(context: &Context, command: HomeCommand) -> Result<(), Failure> {
    let HomeCommand::Init { group, suite, seal } = command;
    let mut config = context.config()?.clone();
    if let Some(suite) = suite {
        config.suite = match suite {
            SuiteArg::Nist => Suite::Nist,
            SuiteArg::Gm => Suite::Gm,
        };
    }
    if Kms::open(&config)?.is_some() {
        return Err(format!("there is a home at `{}` already", config.home.display()).into());
    }
    let kms = Kms::create_held(&config, group.as_deref(), &seal.unwrap_or(Holding::File))?;
    kms.close()?;
    if context.global.json {
        return output::json(&json!({ "home": config.home, "group": group, "suite": config.suite.name() }));
    }
    output::line(&format!("Made the home `{}` (suite {}).", config.home.display(), config.suite.name()))?;
    if let Some(group) = group {
        output::line(&format!("Members of group `{group}` may use it."))?;
    }
    output::line("Next: make a token with `kmss token init LABEL`.")
}
