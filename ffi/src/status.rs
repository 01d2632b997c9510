//! Status codes, and the one table from core errors to them.

use libkmss::error::ErrorKind;

/// What became of a call. Codes come in ranges: 1–99 correct the call, 100–199 authenticate or ask for permission,
/// 200–299 look again at what exists, 300–399 call an operator, 900 a bug of KMSS. New codes may be added to a range.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented in groups above; the names say the rest")]
pub enum kmss_status {
    KMSS_OK = 0,
    KMSS_INVALID_ARGUMENT = 1,
    KMSS_INVALID_HANDLE = 2,
    KMSS_BUFFER_TOO_SMALL = 3,
    KMSS_UNSUPPORTED = 4,
    KMSS_KEY_MISMATCH = 5,
    KMSS_INVALID_DATA = 6,
    KMSS_SIGNATURE_INVALID = 7,
    KMSS_NOT_LOGGED_IN = 100,
    KMSS_PIN_INCORRECT = 101,
    KMSS_PIN_LOCKED = 102,
    KMSS_PIN_NOT_SET = 103,
    KMSS_DENIED = 104,
    KMSS_KEY_STATE = 105,
    KMSS_QUOTA_EXCEEDED = 106,
    KMSS_NOT_FOUND = 200,
    KMSS_CONFLICT = 201,
    KMSS_BUSY = 202,
    KMSS_ALREADY_EXISTS = 203,
    KMSS_CONFIG = 300,
    KMSS_STORAGE = 301,
    KMSS_DAMAGED = 302,
    KMSS_AUDIT_UNAVAILABLE = 303,
    KMSS_BACKEND_UNAVAILABLE = 304,
    KMSS_MEMORY = 305,
    KMSS_INTERNAL = 900,
}

impl From<ErrorKind> for kmss_status {
    fn from(kind: ErrorKind) -> Self {
        use ErrorKind as K;
        match kind {
            K::BufferTooSmall => Self::KMSS_BUFFER_TOO_SMALL,
            K::MechanismUnsupported | K::CurveUnsupported | K::Unsupported => Self::KMSS_UNSUPPORTED,
            K::KeyType | K::KeyUsage | K::KeySize | K::KeyNotWrappable | K::KeyUnextractable => Self::KMSS_KEY_MISMATCH,
            K::DataInvalid
            | K::DataLength
            | K::EncryptedDataInvalid
            | K::EncryptedDataLength
            | K::WrappedKeyInvalid
            | K::WrappedKeyLength => Self::KMSS_INVALID_DATA,
            K::SignatureInvalid | K::SignatureLength => Self::KMSS_SIGNATURE_INVALID,
            K::NotLoggedIn => Self::KMSS_NOT_LOGGED_IN,
            K::PinIncorrect | K::PinInvalid => Self::KMSS_PIN_INCORRECT,
            K::PinLocked => Self::KMSS_PIN_LOCKED,
            K::PinNotInitialized => Self::KMSS_PIN_NOT_SET,
            K::Denied | K::Blocked => Self::KMSS_DENIED,
            K::KeyState => Self::KMSS_KEY_STATE,
            K::QuotaExceeded => Self::KMSS_QUOTA_EXCEEDED,
            K::NotFound => Self::KMSS_NOT_FOUND,
            K::AlreadyExists => Self::KMSS_ALREADY_EXISTS,
            K::Conflict => Self::KMSS_CONFLICT,
            K::Busy => Self::KMSS_BUSY,
            K::Config | K::HomeUnsafe | K::TooNew => Self::KMSS_CONFIG,
            K::ReadOnly | K::Storage => Self::KMSS_STORAGE,
            K::Damaged => Self::KMSS_DAMAGED,
            K::AuditUnavailable => Self::KMSS_AUDIT_UNAVAILABLE,
            K::BackendUnavailable => Self::KMSS_BACKEND_UNAVAILABLE,
            K::Memory => Self::KMSS_MEMORY,
            K::Internal => Self::KMSS_INTERNAL,
            _ => Self::KMSS_INVALID_ARGUMENT,
        }
    }
}
