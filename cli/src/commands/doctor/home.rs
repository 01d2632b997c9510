//! The home: whether it opens, what its tokens need, whether the audit can be written, and the clock.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use libkmss::audit::{AuditTail, Filter};
use libkmss::error::ErrorKind;
use libkmss::kms::{Holder, Kms};
use libkmss::tenant::Namespace;

use super::{Finding, chain, fine, note, path, wrong};
use crate::output::{plain, time};
use libkmss::config::Config;

/// 2025-01-01: before this no kmss was written.
const PLAUSIBLE_MS: u64 = 1_735_689_600_000;
/// How far the newest record may lie ahead of the clock, in milliseconds.
const AHEAD_MS: u64 = 300_000;

/// Opens the home, if it can be.
pub(super) fn examine(config: &Config, findings: &mut Vec<Finding>) -> Option<Kms> {
    let home = &config.home;
    if home.exists() {
        permissions(home, findings);
        path::examine("the home's directory", home.parent().unwrap_or(home), findings);
    }
    if let Err(error) = config.agent_sections() {
        let cure = "correct the line; the module works without, and the agent does not start".to_owned();
        findings.push(wrong(format!("what the configuration says to the agent: {}", chain(&error)), cure));
    }
    let kms = match crate::context::open(config) {
        Err(error) => {
            findings.push(wrong(format!("the home cannot be opened: {}", chain(&error)), cure(error.kind(), home)));
            return None;
        }
        Ok(None) => {
            findings.push(wrong(
                format!("there is no home at `{}`", home.display()),
                "make one with `kmss token init LABEL`, or set KMSS_HOME or a kmss.toml to where it is".to_owned(),
            ));
            return None;
        }
        Ok(Some(kms)) => kms,
    };
    findings.push(fine(format!("the home opens (suite {})", kms.suite().name())));
    match kms.namespaces() {
        Err(error) => {
            findings.push(wrong(format!("the tokens cannot be read: {}", chain(&error)), cure(error.kind(), home)))
        }
        Ok(namespaces) if namespaces.is_empty() => {
            findings.push(wrong("there are no tokens".to_owned(), "make one with `kmss token init LABEL`".to_owned()));
        }
        Ok(namespaces) => namespaces.iter().for_each(|namespace| findings.push(pin(&kms, namespace))),
    }
    blocks(&kms, findings);
    audit(&kms, config, findings);
    Some(kms)
}

fn permissions(home: &Path, findings: &mut Vec<Finding>) {
    let (Ok(meta), Ok(own)) = (std::fs::metadata(home), std::fs::metadata("/proc/self")) else { return };
    let mode = meta.mode() & 0o7777;
    let text = format!("the home belongs to uid {}, gid {}, mode {mode:o}", meta.uid(), meta.gid());
    if mode & 0o007 != 0 {
        findings.push(wrong(
            format!("{text}: everybody can get in"),
            format!("chmod 0700 '{0}' (2770 where a group shares it)", home.display()),
        ));
    } else if own.uid() == 0 && meta.uid() != 0 {
        findings.push(fine(format!("{text}; you are root, so what works here may not work for others")));
    } else if mode & 0o070 != 0 && mode & 0o2000 == 0 {
        findings.push(note(
            format!("{text}: files made in it may not get its group"),
            format!("chmod 2770 '{}'", home.display()),
        ));
    } else {
        findings.push(fine(text));
    }
}

fn pin(kms: &Kms, namespace: &Namespace) -> Finding {
    let label = plain(&namespace.name);
    match kms.credential_state(namespace, Holder::User("user")) {
        Err(error) => wrong(format!("token `{label}` cannot be examined"), chain(&error)),
        Ok(state) if !state.initialized => wrong(
            format!("token `{label}` has no user PIN"),
            format!("set one with `kmss token set-pin {label} --reset`"),
        ),
        Ok(state) if state.remaining == 0 => wrong(
            format!("the user PIN of token `{label}` is locked"),
            format!("the SO unlocks it with a new one: `kmss token set-pin {label} --reset`"),
        ),
        Ok(state) if state.failures > 0 => note(
            format!("token `{label}`: {} wrong PINs in a row, {} attempts left", state.failures, state.remaining),
            "a program may have a wrong PIN configured; a right login sets the count back".to_owned(),
        ),
        Ok(state) => fine(format!("token `{label}`: user PIN set, {} attempts left", state.remaining)),
    }
}

/// What an operator or an alarm has stopped.
fn blocks(kms: &Kms, findings: &mut Vec<Finding>) {
    let now = kms.now();
    match kms.blocks() {
        Err(error) => findings.push(wrong(format!("blocks cannot be read: {}", chain(&error)), String::new())),
        Ok(blocks) => match blocks.iter().filter(|block| block.holds(now)).count() {
            0 => {}
            1 => findings.push(note("a block or throttle is in force".to_owned(), "see `kmss block list`".to_owned())),
            n => findings
                .push(note(format!("{n} blocks and throttles are in force"), "see `kmss block list`".to_owned())),
        },
    }
}

/// Whether records can be written (without one, no operation is done), and whether their times make sense.
fn audit(kms: &Kms, config: &Config, findings: &mut Vec<Finding>) {
    let now = kms.now().0;
    if now < PLAUSIBLE_MS {
        findings.push(wrong(
            format!("the clock says {} UTC", time(now)),
            "set it: dates of keys and certificates are held against it".to_owned(),
        ));
    }
    let directory = Kms::audit_directory(config);
    if !directory.exists() {
        return;
    }
    let trial = directory.join(format!(".doctor-{}", std::process::id()));
    match std::fs::OpenOptions::new().write(true).create_new(true).open(&trial) {
        Ok(_) => {
            let _ = std::fs::remove_file(&trial);
            findings.push(fine("the audit can be written".to_owned()));
        }
        Err(error) => findings.push(wrong(
            format!("the audit `{}` cannot be written: {error}", directory.display()),
            "without a record no operation is done; check owner, mode and free space".to_owned(),
        )),
    }
    let newest = AuditTail::new(directory, Filter::default()).last(1);
    match newest.as_deref() {
        Ok([newest]) if newest.record.time.0 > now.saturating_add(AHEAD_MS) => findings.push(wrong(
            format!("the newest audit record is of {} UTC, the clock says {}", time(newest.record.time.0), time(now)),
            "the clock was set back; set it right before anything else is recorded".to_owned(),
        )),
        Ok(_) => {}
        Err(error) => findings.push(wrong(format!("the audit cannot be read: {}", chain(error)), String::new())),
    }
}

fn cure(kind: ErrorKind, home: &Path) -> String {
    match kind {
        ErrorKind::HomeUnsafe => format!(
            "who runs the program must own `{}` or be in its group, nobody else may write there, and it must lie on a \
             local file system",
            home.display()
        ),
        ErrorKind::TooNew => "install the newer kmss that wrote it".to_owned(),
        ErrorKind::Damaged => {
            "stop every program that uses it, keep a copy, run `kmss store check`, and restore a backup".to_owned()
        }
        ErrorKind::Busy => "another process holds it; try again".to_owned(),
        ErrorKind::Storage | ErrorKind::ReadOnly => {
            "check free space, and whether the disk is mounted for writing".to_owned()
        }
        _ => String::new(),
    }
}
