//! Where a PIN comes from.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use zeroize::Zeroizing;

use super::path;
use crate::clock::{Clock, SystemClock};
use crate::config::PinSource;
use crate::error::{Error, ErrorKind, Result};
use crate::os::is_secure_execution;
use crate::secret::Secret;

/// Longest PIN in bytes, with what ends its line.
const LONGEST: usize = 1024;
/// How long a program may take to print a PIN.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(5);
/// Where systemd puts credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The PIN of a source. Runs a program where the source is one.
///
/// # Errors
/// [`ErrorKind::BackendUnavailable`] where there is none, [`ErrorKind::HomeUnsafe`] where others can read it.
pub(super) fn read(source: &PinSource) -> Result<Secret> {
    match source {
        PinSource::Env(name) => {
            let value = variable(name)?;
            let bytes = Zeroizing::new(value.into_encoded_bytes());
            first_line(&bytes, &format!("the variable `{name}`"))
        }
        PinSource::File(file) => from_file(file, true),
        PinSource::Credential(name) => {
            let directory = PathBuf::from(variable(CREDENTIALS)?);
            from_file(&directory.join(name), false)
        }
        PinSource::Command(words) => run(words),
    }
}

fn variable(name: &str) -> Result<std::ffi::OsString> {
    if is_secure_execution() {
        return Err(missing(&format!("the variable `{name}` is not believed in a program with foreign rights")));
    }
    std::env::var_os(name).ok_or_else(|| missing(&format!("the variable `{name}` is not set")))
}

fn from_file(file: &Path, guarded: bool) -> Result<Secret> {
    let shown = file.display();
    let cannot = |e| missing(&format!("`{shown}` cannot be read")).with_source(e);
    let open = File::open(file).map_err(cannot)?;
    let metadata = open.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err(missing(&format!("`{shown}` is not a file")));
    }
    // systemd guards its own, with access lists that the mode does not tell of.
    if guarded {
        path::secret_file(file, &metadata)?;
    }
    let bytes = read_some(open).map_err(cannot)?;
    first_line(&bytes, &format!("`{shown}`"))
}

fn run(words: &[String]) -> Result<Secret> {
    let Some((program, arguments)) = words.split_first() else { return Err(missing("there is no command")) };
    let cannot = |e| missing(&format!("`{program}` cannot be run")).with_source(e);
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(cannot)?;
    let clock = SystemClock::default();
    let until = clock.monotonic() + PATIENCE;
    // A PIN fits into the pipe, so that the program never waits for its reader.
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(Some(status)) => return Err(missing(&format!("`{program}` fails ({status})"))),
            // The host process collects all children of its own; what this one printed is there all the same.
            Err(_) => break,
            Ok(None) if clock.monotonic() < until => std::thread::sleep(LOOK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(missing(&format!("`{program}` takes longer than {} s", PATIENCE.as_secs())));
            }
        }
    }
    let output = child.stdout.take().ok_or_else(|| missing(&format!("`{program}` prints nothing")))?;
    let bytes = read_some(output).map_err(cannot)?;
    first_line(&bytes, &format!("what `{program}` prints"))
}

fn read_some(from: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
    from.take(LONGEST as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn first_line(bytes: &[u8], what: &str) -> Result<Secret> {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || bytes.len() >= LONGEST {
        return Err(missing(&format!("{what} holds no PIN in its first line")));
    }
    Ok(Secret::copy_of(line))
}

fn missing(why: &str) -> Error {
    Error::new(ErrorKind::BackendUnavailable, format!("the PIN of an HSM is not there: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn command(text: &str) -> Result<Secret> {
        read(&PinSource::Command(vec!["/bin/sh".into(), "-c".into(), text.into()]))
    }

    #[test]
    fn a_pin_is_the_first_line_of_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pin");
        std::fs::write(&file, "12 34\r\nnot this\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let wanted = Secret::copy_of(b"12 34");
        assert_eq!(read(&PinSource::File(file.clone())).unwrap(), wanted);
        assert_eq!(command("echo '12 34'").unwrap(), wanted);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&PinSource::File(file)).unwrap_err().kind(), ErrorKind::HomeUnsafe);
    }

    #[test]
    fn a_source_without_a_pin_says_so() {
        for (text, said) in [("true", "first line"), ("echo 1234; exit 3", "fails"), ("echo; echo 12", "first line")] {
            assert!(command(text).unwrap_err().message().contains(said));
        }
        let absent = PinSource::Env("KMSS_TEST_NO_SUCH_VARIABLE".into());
        assert!(read(&absent).unwrap_err().message().contains("is not set"));
        assert!(read(&PinSource::File("/nonexistent/pin".into())).is_err());
        assert!(read(&PinSource::Command(vec!["/nonexistent".into()])).is_err());
    }
}
