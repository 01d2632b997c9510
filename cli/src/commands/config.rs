//! `kmss config`: ready configuration for client programs.

use std::path::Path;

use libkmss::kms::Kms;
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
        home: context.config.home.display().to_string(),
        token: args.token.clone().unwrap_or_else(|| "TOKEN".to_owned()),
        key: args.key.clone().unwrap_or_else(|| "KEY".to_owned()),
        slot: slot(context, args.token.as_deref())?,
    };
    let text = match args.client {
        Client::Openssl => facts.openssl(),
        Client::Nginx => facts.nginx(),
        Client::Java => facts.java(),
    };
    if context.global.json {
        return output::json(&json!({ "module": module, "home": context.config.home, "text": text }));
    }
    output::line(text.trim_end())
}

/// The slot of the token, where one is named.
fn slot(context: &Context, token: Option<&str>) -> Result<String, Failure> {
    let Some(label) = token else { return Ok("SLOT".to_owned()) };
    match Kms::open(&context.config)? {
        Some(kms) => Ok(find_token(&kms, label)?.ordinal.to_string()),
        None => Err(format!("there is no home at `{}` yet", context.config.home.display()).into()),
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
    fn uri(&self) -> String {
        format!("pkcs11:token={};object={};type=private", escape(&self.token), escape(&self.key))
    }

    fn openssl(&self) -> String {
        let Self { module, home, .. } = self;
        let (engine, uri) = (engine_path(), self.uri());
        format!(
            "\
# OpenSSL through Debian's engine (apt-get install libengine-pkcs11-openssl).
# 1. Save these lines as openssl-kmss.cnf:

openssl_conf = openssl_init

[openssl_init]
engines = engines

[engines]
pkcs11 = pkcs11_engine

[pkcs11_engine]
engine_id = pkcs11
dynamic_path = {engine}
MODULE_PATH = {module}
init = 0

[req]
distinguished_name = distinguished_name

[distinguished_name]

# 2. Tell OpenSSL of the file, and the module of its home:
#      export OPENSSL_CONF=$PWD/openssl-kmss.cnf KMSS_HOME='{home}'
# 3. Sign (OpenSSL asks for the user PIN; or add ;pin-value=… or ;pin-source=file:/… to the URI):
#      openssl dgst -sha256 -engine pkcs11 -keyform engine -sign '{uri}' -out signature file
#      openssl req -new -engine pkcs11 -keyform engine -key '{uri}' -subj /CN=localhost -out request.pem
#
# With OpenSSL 3's pkcs11-provider instead of the engine, the section is:
#
#   [openssl_init]
#   providers = providers
#   [providers]
#   default = default_provider
#   pkcs11 = pkcs11_provider
#   [default_provider]
#   activate = 1
#   [pkcs11_provider]
#   module = pkcs11.so
#   pkcs11-module-path = {module}
#   activate = 1
"
        )
    }

    fn nginx(&self) -> String {
        let Self { module, home, token, .. } = self;
        let (engine, uri) = (engine_path(), self.uri());
        format!(
            "\
# nginx through Debian's engine (apt-get install libengine-pkcs11-openssl).
# The home must admit the workers: make it with `kmss home init --group www-data`.
# 1. Save these lines as /etc/nginx/openssl-kmss.cnf (mode 0600, owner root: it holds the PIN):

openssl_conf = openssl_init

[openssl_init]
engines = engines

[engines]
pkcs11 = pkcs11_engine

[pkcs11_engine]
engine_id = pkcs11
dynamic_path = {engine}
MODULE_PATH = {module}
PIN = THE-USER-PIN
init = 0

# 2. At the top of nginx.conf (nginx scrubs the environment; these two lines keep what the module reads.
#    Instead of KMSS_HOME the file /etc/kmss/kmss.toml may say: home = \"{home}\"):

ssl_engine pkcs11;
env OPENSSL_CONF;
env KMSS_HOME;

# 3. In the server block:

ssl_certificate     /etc/nginx/{token}.crt;
ssl_certificate_key \"engine:pkcs11:{uri}\";

# 4. Start nginx with both variables (for systemd: `systemctl edit nginx`, then under [Service]):

Environment=OPENSSL_CONF=/etc/nginx/openssl-kmss.cnf
Environment=KMSS_HOME={home}
"
        )
    }

    fn java(&self) -> String {
        let Self { module, home, token, key, slot } = self;
        format!(
            "\
# Java (SunPKCS11). Save these lines as kmss-java.cfg:

name = KMSS
library = {module}
slot = {slot}
attributes = compatibility

# Set KMSS_HOME='{home}' for the JVM. Java shows only keys that have a certificate with the same CKA_ID:
#   kmss cert self-sign {key} --token '{token}' --subject CN=localhost
# List, and sign a jar (keytool asks for the user PIN as the key store password):
#   keytool -list -keystore NONE -storetype PKCS11 -addprovider SunPKCS11 -providerArg kmss-java.cfg
#   jarsigner -keystore NONE -storetype PKCS11 -addprovider SunPKCS11 -providerArg kmss-java.cfg app.jar {key}
"
        )
    }
}

/// Where Debian installs the engine on this machine.
fn engine_path() -> String {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|a| format!("/usr/lib/{a}/engines-3/pkcs11.so"));
    let found = places.iter().find(|p| Path::new(p).is_file()).or(places.first());
    found.cloned().unwrap_or_default()
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
    fn labels_are_escaped_in_uris() {
        assert_eq!(escape("my key;1/ä"), "my%20key%3B1%2F%C3%A4");
    }
}
