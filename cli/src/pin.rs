//! PINs: from an environment variable, a file, or a prompt; never from the command line.

use std::io::IsTerminal as _;
use std::path::Path;

use libkmss::secret::Secret;
use zeroize::Zeroizing;

use crate::output::Failure;

/// Where a PIN comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// What the prompt calls it (`user PIN of token …`).
    pub what: &'a str,
    /// The variable named on the command line.
    pub env: Option<&'a str>,
    /// The file named on the command line.
    pub file: Option<&'a Path>,
    /// The variable used where the command line names nothing.
    pub default_env: &'a str,
}

/// Reads an existing PIN.
///
/// # Errors
/// The variable is not set, the file cannot be read, or there is nobody to ask.
pub(crate) fn existing(source: &Source<'_>) -> Result<Secret, Failure> {
    match given(source)? {
        Some(pin) => Ok(pin),
        None => prompt(source, source.what),
    }
}

/// Reads a new PIN; a prompt asks twice.
///
/// # Errors
/// As [`existing`], and where the two entries differ.
pub(crate) fn new(source: &Source<'_>) -> Result<Secret, Failure> {
    if let Some(pin) = given(source)? {
        return Ok(pin);
    }
    let first = prompt(source, &format!("new {}", source.what))?;
    let second = prompt(source, &format!("new {} again", source.what))?;
    if first == second { Ok(first) } else { Err("the two entries differ; nothing was changed".into()) }
}

/// Reads an existing PIN, where one is given or there is somebody to ask.
///
/// # Errors
/// As [`existing`].
pub(crate) fn offered(source: &Source<'_>) -> Result<Option<Secret>, Failure> {
    match given(source)? {
        None if std::io::stdin().is_terminal() => prompt(source, source.what).map(Some),
        pin => Ok(pin),
    }
}

/// Reads an existing PIN from where the command line or the environment says, asking nobody.
///
/// # Errors
/// The variable is not set, or the file cannot be read.
pub(crate) fn given(source: &Source<'_>) -> Result<Option<Secret>, Failure> {
    if let Some(path) = source.file {
        let text = Zeroizing::new(
            std::fs::read(path)
                .map_err(|e| format!("cannot read the {} from `{}`: {e}", source.what, path.display()))?,
        );
        let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
        return Ok(Some(Secret::copy_of(line.strip_suffix(b"\r").unwrap_or(line))));
    }
    if let Some(name) = source.env {
        let value = std::env::var(name).map_err(|_| format!("environment variable `{name}` is not set"))?;
        return Ok(Some(Secret::new(value.into_bytes())));
    }
    Ok(std::env::var(source.default_env).ok().map(|value| Secret::new(value.into_bytes())))
}

fn prompt(source: &Source<'_>, what: &str) -> Result<Secret, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(format!(
            "no {}: set {}, or name a file or variable with an option (see --help)",
            source.what, source.default_env
        )
        .into());
    }
    let mut title = what.to_owned();
    if let Some(first) = title.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    Ok(Secret::new(rpassword::prompt_password(format!("{title}: "))?.into_bytes()))
}
