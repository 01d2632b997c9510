//! Between the contract's messages and the types of libkmss.
//!
//! To a message is `From`, which cannot fail; from one is `TryFrom`, which takes nothing on trust: what comes out is complete
//! and well-formed, and as large as the message was at most.

mod approval;
mod asymmetric;
mod components;
mod derivation;
mod device;
mod draft;
mod jws;
mod life;
mod mechanism;
mod names;
mod native;
mod object;
mod past;
mod pqc;
mod rules;
mod symmetric;

use libkmss::error::{Error, ErrorKind, Result};
use libkmss::tenant::ObjectId;

pub use self::approval::{approval, approval_id, sha256};
pub use self::components::public_key;
pub use self::draft::{document_draft, key_draft};
pub use self::jws::{jws_algorithm, jws_algorithm_number};
pub use self::life::{doomed, due_rotation, purpose, purpose_number, tombstone, transition};
pub use self::native::{context_entries, encryption_context, native_algorithm, native_algorithm_number};
pub use self::object::{change_of, namespace, object, object_of_server, updated};
pub use self::past::{explanation, replay_change, replayed};
pub use self::rules::{block_target, key_rule, quota, quota_each, quota_limits};
use crate::proto;

/// Bytes of a request id.
pub const REQUEST_ID: usize = 16;

/// What a field must have held.
fn parameter(what: &'static str) -> Error {
    Error::new(ErrorKind::MechanismParameter, what)
}

fn argument(what: &'static str) -> Error {
    Error::new(ErrorKind::Arguments, what)
}

/// `field`, which must be there.
fn required<T>(field: Option<T>) -> Result<T> {
    field.ok_or_else(|| parameter("a parameter of the mechanism is missing, or is one that this version does not know"))
}

/// Exactly `N` bytes.
fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| parameter("a parameter of the mechanism has a wrong length"))
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A number that is known to be small.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The number of a key type.
#[must_use]
pub fn key_type_number(key_type: libkmss::mechanism::KeyType) -> i32 {
    key_type.number()
}

/// An object's identity.
///
/// # Errors
/// [`ErrorKind::Arguments`] for anything but 16 bytes.
pub fn object_id(bytes: &[u8]) -> Result<ObjectId> {
    bytes.try_into().map(ObjectId).map_err(|_| argument("an identity has 16 bytes"))
}

/// The id of a request, where it has one.
///
/// # Errors
/// [`ErrorKind::Arguments`] for anything but 16 bytes or none.
pub fn request_id(bytes: &[u8]) -> Result<Option<[u8; REQUEST_ID]>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.try_into().map(Some).map_err(|_| argument("a request id has 16 bytes"))
}

/// The state of a key with this number.
///
/// # Errors
/// [`ErrorKind::Arguments`] for one that is not known.
pub fn key_state(number: i32) -> Result<libkmss::key::KeyState> {
    Numbered::of(number)
}

/// The audit mode with this number.
///
/// # Errors
/// [`ErrorKind::Arguments`] for one that is not known.
pub fn audit_mode(number: i32) -> Result<libkmss::key::AuditMode> {
    Numbered::of(number)
}

/// The number of a state.
#[must_use]
pub fn key_state_number(state: libkmss::key::KeyState) -> i32 {
    state.number()
}

/// The number of a block cipher.
#[must_use]
pub fn block_cipher_number(cipher: libkmss::mechanism::BlockCipher) -> i32 {
    cipher.number()
}

/// The block cipher with a number.
///
/// # Errors
/// [`ErrorKind::MechanismParameter`] for a number that stands for none.
pub fn block_cipher(number: i32) -> Result<libkmss::mechanism::BlockCipher> {
    Numbered::of(number)
}

/// The number of an audit mode.
#[must_use]
pub fn audit_mode_number(mode: libkmss::key::AuditMode) -> i32 {
    mode.number()
}

/// The error kind that no key, digest or generation can be made with.
fn unknown(what: &'static str) -> Error {
    Error::new(ErrorKind::MechanismUnsupported, what)
}

/// A parameter that is a number of the contract.
trait Numbered: Sized {
    /// What it stands for.
    fn of(number: i32) -> Result<Self>;
    /// What stands for it.
    fn number(self) -> i32;
}

/// The hash with this number, where it is not the one that stands for none.
fn hash(number: i32) -> Result<Option<libkmss::mechanism::Hash>> {
    if number == i32::from(proto::Hash::Unspecified) {
        return Ok(None);
    }
    Numbered::of(number).map(Some)
}

#[cfg(test)]
mod tests;
