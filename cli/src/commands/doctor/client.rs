//! What single clients need besides the module.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use libkmss::catalog::ObjectKind;
use libkmss::config::HomeSource;
use libkmss::key::{KeyClass, PublicComponents};
use libkmss::kms::Kms;
use libkmss::mechanism::Curve;

use super::{Finding, fine, note, path, wrong};
use crate::args::Client;
use crate::commands::config::engine_path;
use crate::objects::all_in;
use libkmss::config::Config;

/// More keys than this, and ssh gives up before it came to the right one (MaxAuthTries of sshd(8)).
const SSH_KEYS: usize = 6;

/// Looks at what `client` needs.
pub(super) fn examine(client: Client, module: &Path, config: &Config, kms: Option<&Kms>, findings: &mut Vec<Finding>) {
    match client {
        Client::Openssl => {
            installed("openssl", "openssl", findings);
            engine(kms, findings);
            match std::env::var_os("OPENSSL_CONF") {
                Some(file) if !Path::new(&file).is_file() => findings.push(wrong(
                    format!("OPENSSL_CONF names `{}`, which does not exist", Path::new(&file).display()),
                    "`kmss config openssl` prints one".to_owned(),
                )),
                Some(_) => {}
                None => findings.push(note(
                    "OPENSSL_CONF is not set, so OpenSSL knows of no PKCS#11 module".to_owned(),
                    "`kmss config openssl` prints a file for it".to_owned(),
                )),
            }
        }
        Client::Nginx => {
            installed("nginx", "nginx", findings);
            engine(kms, findings);
            server("nginx", config, Path::new("/etc/nginx/nginx.conf"), "env KMSS_HOME", findings);
        }
        Client::Apache => {
            installed("apache2", "apache2", findings);
            engine(kms, findings);
            server("Apache", config, Path::new("/etc/apache2/envvars"), "KMSS_HOME", findings);
        }
        Client::Java => {
            installed("java", "default-jre-headless", findings);
            installed("keytool", "default-jre-headless", findings);
            let what = "Java shows a private key only where a certificate has the same CKA_ID";
            findings
                .push(note(what.to_owned(), "`kmss cert self-sign` makes one; `kmss cert list` shows them".to_owned()));
        }
        Client::Ssh => ssh(module, kms, findings),
        Client::Gnutls => {
            installed("p11tool", "gnutls-bin", findings);
            installed("certtool", "gnutls-bin", findings);
        }
        Client::Nss => {
            installed("modutil", "libnss3-tools", findings);
            installed("certutil", "libnss3-tools", findings);
        }
        Client::P11Kit => installed("p11-kit", "p11-kit", findings),
        Client::Python => installed("python3", "python3", findings),
    }
}

fn installed(program: &str, package: &str, findings: &mut Vec<Finding>) {
    findings.push(match path::program(program) {
        Some(found) => fine(format!("`{program}` is `{}`", found.display())),
        None => wrong(format!("`{program}` is not installed"), format!("on Debian: apt-get install {package}")),
    });
}

/// Debian's engine for OpenSSL, and its known fault.
fn engine(kms: Option<&Kms>, findings: &mut Vec<Finding>) {
    let engine = engine_path();
    if Path::new(&engine).is_file() {
        findings.push(fine(format!("OpenSSL's PKCS#11 engine is `{engine}`")));
    } else {
        findings.push(wrong(
            "OpenSSL's PKCS#11 engine is not installed".to_owned(),
            "on Debian: apt-get install libengine-pkcs11-openssl".to_owned(),
        ));
    }
    for (token, curves) in public_keys(kms) {
        if curves.contains(&Some(Curve::Ed25519)) {
            findings.push(wrong(
                format!(
                    "token `{token}` holds an Ed25519 key: Debian's engine 0.4.12 then sees no key of the token at all"
                ),
                "keep Ed25519 keys in a token of their own".to_owned(),
            ));
        }
    }
}

/// A server with a user of its own that clears its environment.
fn server(name: &str, config: &Config, file: &Path, line: &str, findings: &mut Vec<Finding>) {
    let home = &config.home;
    if let Ok(meta) = std::fs::metadata(home) {
        if meta.mode() & 0o070 == 0o070 {
            findings.push(fine(format!("members of group {} can use the home", meta.gid())));
        } else {
            findings.push(wrong(
                format!("only uid {} can use the home; the workers of {name} run as another user", meta.uid()),
                "make the home with `kmss home init --group www-data`".to_owned(),
            ));
        }
    }
    let named = std::fs::read_to_string(file).is_ok_and(|text| text.contains(line));
    match config.explanation.home {
        HomeSource::File => findings.push(fine("the home is named by a file, which servers find, too".to_owned())),
        _ if named => findings.push(fine(format!("`{}` passes KMSS_HOME on", file.display()))),
        _ => findings.push(wrong(
            format!("{name} clears its environment, and no file names the home"),
            format!(
                "write `home = \"{}\"` into /etc/kmss/kmss.toml, or `{line}` into `{}`",
                home.display(),
                file.display()
            ),
        )),
    }
}

fn ssh(module: &Path, kms: Option<&Kms>, findings: &mut Vec<Finding>) {
    installed("ssh-keygen", "openssh-client", findings);
    let admitted = ["/usr/lib", "/usr/local/lib"].iter().any(|d| module.starts_with(d));
    if !admitted {
        findings.push(note(
            format!("ssh-agent loads modules from /usr/lib and /usr/local/lib only, not `{}`", module.display()),
            format!("start it with: ssh-agent -P '{}'", module.display()),
        ));
    }
    for (token, curves) in public_keys(kms) {
        if curves.len() > SSH_KEYS {
            findings.push(note(
                format!(
                    "token `{token}` holds {} keys; servers close the connection after {SSH_KEYS} tries",
                    curves.len()
                ),
                "say IdentitiesOnly=yes and IdentityFile=KEY.pub (from `kmss key export-public --format ssh`)"
                    .to_owned(),
            ));
        }
    }
}

/// The curves (none for RSA) of the public keys that need no PIN, by token.
fn public_keys(kms: Option<&Kms>) -> Vec<(String, Vec<Option<Curve>>)> {
    let Some(kms) = kms else { return Vec::new() };
    let mut found = Vec::new();
    for namespace in kms.namespaces().unwrap_or_default() {
        let mut objects = Vec::new();
        let Ok(caller) = kms.enter(&namespace, 0) else { continue };
        if all_in(kms, &caller, ObjectKind::Key(KeyClass::Public), &mut objects).is_err() {
            continue;
        }
        let curve = |public: &PublicComponents| match public {
            PublicComponents::Ec { curve, .. } => Some(*curve),
            _ => None,
        };
        let keys =
            objects.iter().filter_map(|o| o.key()?.primary().ok()).map(|version| curve(&version.public)).collect();
        found.push((namespace.name, keys));
    }
    found
}
