//! Our own ciphertext format: algorithms and encryption contexts.

use std::collections::BTreeMap;

use libkmss::error::{Error, Result};
use libkmss::mechanism::{EncryptionContext, Native, NativeAlgorithm};

use super::parameter;
use crate::proto;

/// The number of an algorithm in messages, which is that in ciphertexts.
#[must_use]
pub fn native_algorithm_number(algorithm: NativeAlgorithm) -> i32 {
    algorithm.code().into()
}

/// The algorithm of a number; `None` where the usual one is meant.
///
/// # Errors
/// [`MechanismParameter`](libkmss::error::ErrorKind::MechanismParameter) for one that is not known here.
pub fn native_algorithm(number: i32) -> Result<Option<NativeAlgorithm>> {
    if number == proto::NativeAlgorithm::Unspecified as i32 {
        return Ok(None);
    }
    let known = u8::try_from(number).ok().and_then(NativeAlgorithm::of_code);
    known.map(Some).ok_or_else(|| parameter("the algorithm is not known here"))
}

/// An encryption context as messages have it.
#[must_use]
pub fn context_entries(context: &EncryptionContext) -> BTreeMap<String, String> {
    context.pairs().iter().cloned().collect()
}

/// An encryption context.
///
/// # Errors
/// As [`EncryptionContext::new`].
pub fn encryption_context(entries: BTreeMap<String, String>) -> Result<EncryptionContext> {
    EncryptionContext::new(entries.into_iter().collect())
}

impl From<&Native> for proto::NativeMechanism {
    fn from(native: &Native) -> Self {
        Self { algorithm: native_algorithm_number(native.algorithm), context: context_entries(&native.context) }
    }
}

impl TryFrom<proto::NativeMechanism> for Native {
    type Error = Error;

    fn try_from(native: proto::NativeMechanism) -> Result<Self> {
        let algorithm =
            native_algorithm(native.algorithm)?.ok_or_else(|| parameter("it is not said by which algorithm"))?;
        Ok(Self { algorithm, context: encryption_context(native.context)? })
    }
}
