//! `kmss config`: ready configuration for client programs.

mod programs;
mod servers;

use std::path::Path;

use serde_json::json;

use super::module;
use crate::args::{Client, ConfigArgs};
use crate::context::{Context, find_token};
use crate::output::{self, Failure};

/// Runs `kmss config`.
///
/// # Errors
/// The module or the token is not found.
pub(super) fn run(context: &Context, args: &ConfigArgs) -> Result<(), Failure> {
    let module = module::find(args.module.as_deref())?;
    let facts = Facts {
        module: module.display().to_string(),
        home: context.config()?.home.display().to_string(),
        token: args.token.clone().unwrap_or_else(|| "TOKEN".to_owned()),
        key: args.key.clone().unwrap_or_else(|| "KEY".to_owned()),
        slot: slot(context, args.token.as_deref())?,
    };
    let text = match args.client {
        Client::Openssl => facts.openssl(),
        Client::Nginx => facts.nginx(),
        Client::Apache => facts.apache(),
        Client::Java => facts.java(),
        Client::Ssh => facts.ssh(),
        Client::Gnutls => facts.gnutls(),
        Client::Nss => facts.nss(),
        Client::P11Kit => facts.p11_kit(),
        Client::Python => facts.python(),
    };
    if context.global.json {
        return output::json(&json!({ "module": module, "home": context.config()?.home, "text": text }));
    }
    output::line(text.trim_end())
}

/// The slot of the token, where one is named.
fn slot(context: &Context, token: Option<&str>) -> Result<String, Failure> {
    let Some(label) = token else { return Ok("SLOT".to_owned()) };
    match context.home()? {
        Some(kms) => Ok(find_token(&kms, label)?.ordinal.to_string()),
        None => Err(format!("there is no home at `{}` yet", context.config()?.home.display()).into()),
    }
}

struct Facts {
    module: String,
    home: String,
    token: String,
    key: String,
    slot: String,
}

impl Facts {
    /// The private key as a PKCS#11 URI (RFC 7512).
    fn uri(&self) -> String {
        format!("pkcs11:token={};object={};type=private", escape(&self.token), escape(&self.key))
    }
}

/// Where Debian installs the engine on this machine.
pub(super) fn engine_path() -> String {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|a| format!("/usr/lib/{a}/engines-3/pkcs11.so"));
    let found = places.iter().find(|p| Path::new(p).is_file()).or(places.first());
    found.cloned().unwrap_or_default()
}

/// `text` as one word of a POSIX shell.
fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._/".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Percent-encoding of a PKCS#11 URI attribute (RFC 7512, 2.3).
fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell_cannot_break_out() {
        assert_eq!(quote("main"), "main");
        assert_eq!(quote("it's; rm -rf"), r"'it'\''s; rm -rf'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn labels_are_escaped_in_uris() {
        assert_eq!(escape("my key;1/ä"), "my%20key%3B1%2F%C3%A4");
    }
}
