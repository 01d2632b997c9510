//! Whether the HSMs of the configuration can be used.

use libkmss::config::Config;

use super::{Finding, fine, wrong};
use crate::commands::hsm::look;

pub(super) fn examine(config: &Config, findings: &mut Vec<Finding>) {
    for hsm in &config.hsms {
        let state = look(hsm);
        let module = hsm.module.display();
        match state.entered {
            Ok(serial) => {
                findings.push(fine(format!("the HSM `{}` (`{module}`, serial {serial}) can be used", hsm.name)));
            }
            Err(why) => findings.push(wrong(format!("the HSM `{}` (`{module}`) cannot be used", hsm.name), why)),
        }
        let low = state.tokens.unwrap_or_default().into_iter().find(|token| token.low && !token.locked);
        if let Some(token) = low {
            let what = format!("a wrong PIN was tried on the token `{}` of the HSM `{}`", token.label, hsm.name);
            findings.push(super::note(what, "see who has an outdated PIN before the HSM locks it".to_owned()));
        }
    }
}
