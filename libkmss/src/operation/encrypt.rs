//! Encrypting and decrypting.

use super::{Chosen, Hall, ObjectRef, Operation, Request, Use};
use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::mechanism::Mechanism;
use crate::permit::Permit;

/// Encrypts with a secret or public key.
#[derive(Debug)]
pub struct Encrypt {
    /// The key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for Encrypt {
    type Running = Box<dyn Ciphering>;

    fn request(&self) -> Request {
        self.how.request(Action::of_cipher(&self.how.mechanism, true), &self.key)
    }

    fn as_use(&self) -> Option<Use<'_>> {
        Some(Use::of(Action::of_cipher(&self.how.mechanism, true), &self.key, &self.how))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        check_version(permit, &self.how.mechanism)?;
        hall.backend_of(permit)?.encrypt(permit, &self.how.mechanism)
    }
}

/// Decrypts with a secret or private key.
#[derive(Debug)]
pub struct Decrypt {
    /// The key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for Decrypt {
    type Running = Box<dyn Ciphering>;

    fn request(&self) -> Request {
        self.how.request(Action::of_cipher(&self.how.mechanism, false), &self.key)
    }

    fn as_use(&self) -> Option<Use<'_>> {
        Some(Use::of(Action::of_cipher(&self.how.mechanism, false), &self.key, &self.how))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        check_version(permit, &self.how.mechanism)?;
        hall.backend_of(permit)?.decrypt(permit, &self.how.mechanism)
    }
}

/// Refuses FF1 by whatever version has the name just now: another one than made a token gives a value that is wrong and looks right.
fn check_version(permit: &Permit, mechanism: &Mechanism) -> Result<()> {
    let Mechanism::Ff1(how) = mechanism else { return Ok(()) };
    let key = permit.key()?.key;
    let number = key.version_number();
    let why = match how.version() {
        Some(version) if version != number => {
            format!("this is version {number} of the key, and version {version} was asked for")
        }
        None if number > 1 && key.lifecycle.role.is_none() => format!(
            "the key was rotated, and tokens of FF1 do not say which version made them: ask for version {number}, or for the former \
             one that made it"
        ),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::MechanismParameter, why))
}
