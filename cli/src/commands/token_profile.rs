//! `kmss token profile`: what a token is set to.

use libkmss::settings::{Settings, VendorProfile, Weaknesses};
use serde_json::{Value, json};

use crate::args::TokenSettings;
use crate::context::Context;
use crate::output::{self, Failure};
use crate::site::Order;

/// Runs `kmss token profile`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, label: &str, wanted: &TokenSettings) -> Result<(), Failure> {
    let tokens = context.existing_tokens()?;
    let token = tokens.token(label)?.namespace;
    if wanted.is_empty() {
        return show(context, &token.settings);
    }
    let settings = wanted.applied(token.settings)?;
    let changes = token.settings.differences(&settings);
    tokens.order(&token, &context.so_pin(label)?, &Order::Settings(settings))?;
    if context.global.json {
        return show(context, &settings);
    }
    if changes.is_empty() {
        return output::line(&format!("Token `{label}` is set so already."));
    }
    changes.iter().try_for_each(|change| output::line(change))
}

fn show(context: &Context, settings: &Settings) -> Result<(), Failure> {
    if context.global.json {
        return output::json(&describe(settings));
    }
    let yes = |flag| if flag { "yes" } else { "no" }.to_owned();
    for (name, value) in [
        ("Vendor numbers", settings.profile.to_string()),
        ("Forbidden", settings.forbid.to_string()),
        ("Wrap apart from decrypt", yes(settings.separate_wrap_and_decrypt)),
        ("Works without PINs", yes(settings.pinless)),
    ] {
        output::line(&format!("{name:<24} {value}"))?;
    }
    Ok(())
}

/// Settings for machines.
pub(super) fn describe(settings: &Settings) -> Value {
    json!({
        "vendor": settings.profile.name(),
        "forbid": settings.forbid.iter().map(libkmss::settings::Weakness::name).collect::<Vec<_>>(),
        "separate_wrap_and_decrypt": settings.separate_wrap_and_decrypt,
        "pinless": settings.pinless,
    })
}

impl TokenSettings {
    const fn is_empty(&self) -> bool {
        self.vendor.is_none() && self.forbid.is_none() && self.separate_wrap_and_decrypt.is_none()
    }

    /// `settings` with what was asked for.
    ///
    /// # Errors
    /// An unknown vendor or weakness.
    pub(crate) fn applied(&self, settings: Settings) -> Result<Settings, Failure> {
        let mut settings = settings;
        if let Some(vendor) = &self.vendor {
            settings.profile = vendor.parse::<VendorProfile>()?;
        }
        if let Some(forbid) = &self.forbid {
            settings.forbid = forbid.parse::<Weaknesses>()?;
        }
        if let Some(separate) = self.separate_wrap_and_decrypt {
            settings.separate_wrap_and_decrypt = separate;
        }
        Ok(settings)
    }
}
