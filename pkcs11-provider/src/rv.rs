//! Return values, and the one table from errors of the core to them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::*;
use libkmss::error::{Error, ErrorClass, ErrorKind};

/// A `CK_RV` other than `CKR_OK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rv(pub(crate) CK_RV);

/// Result of the door.
pub(crate) type Result<T, E = Rv> = std::result::Result<T, E>;

/// The table. Where one kind means several codes, the general one stands here and [`InContext`] replaces it.
pub(crate) const fn code(kind: ErrorKind) -> CK_RV {
    use ErrorKind as K;
    match kind {
        K::Arguments => CKR_ARGUMENTS_BAD,
        K::BufferTooSmall => CKR_BUFFER_TOO_SMALL,
        K::OperationInactive => CKR_OPERATION_NOT_INITIALIZED,
        K::DataInvalid => CKR_DATA_INVALID,
        K::DataLength => CKR_DATA_LEN_RANGE,
        K::EncryptedDataInvalid => CKR_ENCRYPTED_DATA_INVALID,
        K::EncryptedDataLength => CKR_ENCRYPTED_DATA_LEN_RANGE,
        K::SignatureInvalid => CKR_SIGNATURE_INVALID,
        K::SignatureLength => CKR_SIGNATURE_LEN_RANGE,
        K::MechanismUnsupported => CKR_MECHANISM_INVALID,
        K::MechanismParameter => CKR_MECHANISM_PARAM_INVALID,
        K::CurveUnsupported => CKR_CURVE_NOT_SUPPORTED,
        K::KeySize => CKR_KEY_SIZE_RANGE,
        K::KeyType => CKR_KEY_TYPE_INCONSISTENT,
        // The key's own attributes, and its state: it is there, and this may not be done with it.
        K::KeyUsage | K::KeyState => CKR_KEY_FUNCTION_NOT_PERMITTED,
        K::KeyNotWrappable => CKR_KEY_NOT_WRAPPABLE,
        K::KeyUnextractable => CKR_KEY_UNEXTRACTABLE,
        K::WrappedKeyInvalid => CKR_WRAPPED_KEY_INVALID,
        K::WrappedKeyLength => CKR_WRAPPED_KEY_LEN_RANGE,
        K::TemplateIncomplete => CKR_TEMPLATE_INCOMPLETE,
        K::TemplateInconsistent => CKR_TEMPLATE_INCONSISTENT,
        K::AttributeValue => CKR_ATTRIBUTE_VALUE_INVALID,
        K::AttributeReadOnly => CKR_ATTRIBUTE_READ_ONLY,
        K::AttributeSensitive => CKR_ATTRIBUTE_SENSITIVE,
        K::ActionProhibited => CKR_ACTION_PROHIBITED,
        K::Unsupported => CKR_FUNCTION_NOT_SUPPORTED,
        K::NotLoggedIn => CKR_USER_NOT_LOGGED_IN,
        K::PinIncorrect => CKR_PIN_INCORRECT,
        K::PinLocked => CKR_PIN_LOCKED,
        K::PinInvalid => CKR_PIN_INVALID,
        K::PinNotInitialized => CKR_USER_PIN_NOT_INITIALIZED,
        // A policy said no, or an operator. Not "key function not permitted": that one sends people to the key's attributes.
        K::Denied | K::Blocked => CKR_FUNCTION_REJECTED,
        K::QuotaExceeded => CKR_TOKEN_RESOURCE_EXCEEDED,
        K::NotFound => CKR_OBJECT_HANDLE_INVALID,
        K::AlreadyExists | K::Conflict | K::Busy => CKR_FUNCTION_FAILED,
        K::ReadOnly => CKR_TOKEN_WRITE_PROTECTED,
        K::Memory => CKR_HOST_MEMORY,
        K::Storage => CKR_DEVICE_MEMORY,
        K::Damaged | K::TooNew | K::AuditUnavailable | K::BackendUnavailable => CKR_DEVICE_ERROR,
        // Config, HomeUnsafe, Internal, and kinds that are younger than this table.
        _ => CKR_GENERAL_ERROR,
    }
}

impl From<Error> for Rv {
    fn from(error: Error) -> Self {
        report(&error);
        Self(code(error.kind()))
    }
}

/// Codes that depend on what was asked for.
pub(crate) trait InContext<T> {
    /// What was not found is a key that the caller named by its handle.
    fn for_key(self) -> Result<T>;
}

impl<T> InContext<T> for libkmss::error::Result<T> {
    fn for_key(self) -> Result<T> {
        self.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Rv(CKR_KEY_HANDLE_INVALID),
            _ => error.into(),
        })
    }
}

/// `CK_RV` has no room for a sentence. What an operator must act on goes to standard error, each kind once per process; of
/// backends that fail, each cause once until there is another.
fn report(error: &Error) {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    static CAUSE: AtomicU64 = AtomicU64::new(0);
    if error.kind() == ErrorKind::BackendUnavailable {
        // Odd, so that it is never the number at the beginning.
        let number = BuildHasherDefault::<DefaultHasher>::default().hash_one(error.message()) | 1;
        if CAUSE.swap(number, Ordering::Relaxed) != number {
            crate::guard::complain(error);
        }
        return;
    }
    if !matches!(error.kind().class(), ErrorClass::Environment | ErrorClass::Bug) {
        return;
    }
    let bit = 1_u64.checked_shl(error.kind() as u32).unwrap_or(1);
    if SEEN.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        crate::guard::complain(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_signature_a_short_one_and_a_denial_have_codes_of_their_own() {
        assert_eq!(code(ErrorKind::SignatureInvalid), CKR_SIGNATURE_INVALID);
        assert_eq!(code(ErrorKind::SignatureLength), CKR_SIGNATURE_LEN_RANGE);
        assert_eq!(code(ErrorKind::Denied), CKR_FUNCTION_REJECTED);
        assert_eq!(code(ErrorKind::Internal), CKR_GENERAL_ERROR);
    }

    #[test]
    fn what_is_not_found_is_named_by_what_was_looked_for() {
        let missing = || Error::new(ErrorKind::NotFound, "no such object");
        assert_eq!(Rv::from(missing()), Rv(CKR_OBJECT_HANDLE_INVALID));
        assert_eq!(Err::<(), _>(missing()).for_key(), Err(Rv(CKR_KEY_HANDLE_INVALID)));
    }
}
