//! The module: where it is, whether it loads, what it shows, and whether there is another one.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libkmss::config::HomeSource;
use libkmss::kms::Kms;
use serde::Deserialize;

use super::super::module;
use super::{Finding, chain, fine, note, path, wrong};
use crate::output::plain;
use libkmss::config::Config;

/// How long loading may take, in steps of [`STEP`].
const STEPS: u32 = 600;
const STEP: Duration = Duration::from_millis(50);

/// What the process that loads the module says.
#[derive(Deserialize)]
struct Loaded {
    library: String,
    tokens: Vec<LoadedToken>,
}

#[derive(Deserialize)]
struct LoadedToken {
    label: String,
}

/// Finds the module.
pub(super) fn examine(named: Option<&Path>, findings: &mut Vec<Finding>) -> Option<PathBuf> {
    let found = match module::find(named) {
        Err(error) => {
            let cure = "install the package, or name the module with --module".to_owned();
            findings.push(wrong(format!("the PKCS#11 module was not found: {}", chain(error.as_ref())), cure));
            return None;
        }
        Ok(found) => found,
    };
    if !found.is_file() {
        findings.push(wrong(
            format!("there is no module at `{}`", found.display()),
            "install the package, or name the module with --module".to_owned(),
        ));
        return None;
    }
    findings.push(fine(format!("the module is `{}`", found.display())));
    path::examine("the module", &found, findings);
    copies(&found, findings);
    Some(found)
}

/// Other copies: a process that loads two of them is refused by the second.
fn copies(found: &Path, findings: &mut Vec<Finding>) {
    let identity = |file: &Path| std::fs::metadata(file).ok().map(|m| (m.dev(), m.ino()));
    let own = identity(found);
    let mut others: Vec<PathBuf> = Vec::new();
    for file in module::candidates() {
        let known = others.iter().any(|other| identity(other) == identity(&file));
        if file.is_file() && identity(&file) != own && !known {
            others.push(file);
        }
    }
    for other in others {
        findings.push(note(
            format!("there is another copy of the module: `{}`", other.display()),
            "a process that loads both cannot use the second; remove one, or make one a link to the other".to_owned(),
        ));
    }
}

/// Loads the module in another process and compares what it shows with what this command sees.
pub(super) fn load(module: &Path, config: &Config, kms: Option<&Kms>, findings: &mut Vec<Finding>) {
    let loaded = match probe(module, config) {
        Ok(loaded) => loaded,
        Err(reason) => {
            let cure = format!(
                "where the loader names a missing file or symbol, see `ldd '{}'`; where the module names an error, the \
                 points below say more",
                module.display()
            );
            findings.push(wrong(format!("the module cannot be loaded: {reason}"), cure));
            return;
        }
    };
    let mut shown: Vec<&str> = loaded.tokens.iter().map(|t| t.label.as_str()).collect();
    shown.sort_unstable();
    findings.push(fine(format!("the module loads (`{}`) and shows {}", plain(&loaded.library), tokens(&shown))));
    let Some(namespaces) = kms.and_then(|kms| kms.namespaces().ok()) else { return };
    let mut ours: Vec<&str> = namespaces.iter().map(|n| n.name.as_str()).collect();
    ours.sort_unstable();
    if shown != ours {
        findings.push(wrong(
            format!("this command sees {}, the module shows {}", tokens(&ours), tokens(&shown)),
            "they use different homes, or the module is another program's: compare the points above".to_owned(),
        ));
    }
}

fn tokens(labels: &[&str]) -> String {
    match labels {
        [] => "no token".to_owned(),
        labels => labels.iter().map(|l| format!("`{}`", plain(l))).collect::<Vec<_>>().join(", "),
    }
}

fn probe(module: &Path, config: &Config) -> Result<Loaded, String> {
    let command = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut probe = Command::new(command);
    probe.arg("probe").arg(module).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if config.explanation.home == HomeSource::Caller {
        probe.env("KMSS_HOME", &config.home);
    }
    let mut child = probe.spawn().map_err(|e| e.to_string())?;
    for _ in 0..STEPS {
        if child.try_wait().map_err(|e| e.to_string())?.is_some() {
            let said = child.wait_with_output().map_err(|e| e.to_string())?;
            if said.status.success() {
                return serde_json::from_slice(&said.stdout).map_err(|e| e.to_string());
            }
            let text = String::from_utf8_lossy(&said.stderr);
            let text = text.trim().trim_start_matches("kmss: ");
            return Err(if text.is_empty() {
                format!("the process that loaded it died ({})", said.status)
            } else {
                text.to_owned()
            });
        }
        std::thread::sleep(STEP);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err("loading did not end within 30 seconds".to_owned())
}
