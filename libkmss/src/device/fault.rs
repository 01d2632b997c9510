//! What goes wrong in a device, sorted by what is to be done about it; the sorting is a table.

use std::fmt;

use cryptoki::context::Function;
use cryptoki::error::{Error as Cause, RvError};

use super::Quirks;
use crate::error::{Error, ErrorKind};

/// What is to be done about an error of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is at fault, or the mechanism: nothing, the next one may be fine.
    Request,
    /// A handle is not known, where the object was found anew or the login was lost: look again.
    Object,
    /// This session is void or in an unknown state: another one.
    Call,
    /// All sessions, the login or the module's state are gone: enter anew.
    Login,
    /// The device fails or is not there: enter anew, later.
    Device,
}

impl Fault {
    /// Whether nothing was done, so that the same may be asked again.
    #[must_use]
    pub const fn is_void(self) -> bool {
        matches!(self, Self::Object | Self::Login)
    }
}

/// How an error is called that is not a request's own.
const FAULTS: &[(RvError, Fault)] = &[
    (RvError::KeyHandleInvalid, Fault::Object),
    (RvError::ObjectHandleInvalid, Fault::Object),
    (RvError::WrappingKeyHandleInvalid, Fault::Object),
    (RvError::UnwrappingKeyHandleInvalid, Fault::Object),
    // Somebody closed all sessions, which ends the login too; said of a session before it does anything.
    (RvError::SessionHandleInvalid, Fault::Login),
    (RvError::UserNotLoggedIn, Fault::Login),
    (RvError::CryptokiNotInitialized, Fault::Login),
    // Said in the midst of something: it may have been done.
    (RvError::SessionClosed, Fault::Call),
    // The operation goes on (PKCS#11 3.2, 5.2), which nobody asked for.
    (RvError::BufferTooSmall, Fault::Call),
    (RvError::OperationActive, Fault::Call),
    (RvError::OperationNotInitialized, Fault::Call),
    (RvError::FunctionFailed, Fault::Call),
    (RvError::GeneralError, Fault::Call),
    (RvError::HostMemory, Fault::Call),
    (RvError::FunctionCanceled, Fault::Call),
    (RvError::DeviceError, Fault::Device),
    (RvError::DeviceRemoved, Fault::Device),
    (RvError::TokenNotPresent, Fault::Device),
    (RvError::TokenNotRecognized, Fault::Device),
    (RvError::SlotIdInvalid, Fault::Device),
    (RvError::MutexBad, Fault::Device),
    (RvError::MutexNotLocked, Fault::Device),
];

/// How an error is called at the doors, whatever it was asked for.
const KINDS: &[(RvError, ErrorKind)] = &[
    (RvError::MechanismInvalid, ErrorKind::MechanismUnsupported),
    (RvError::FunctionNotSupported, ErrorKind::MechanismUnsupported),
    (RvError::MechanismParamInvalid, ErrorKind::MechanismParameter),
    (RvError::ArgumentsBad, ErrorKind::MechanismParameter),
    (RvError::CurveNotSupported, ErrorKind::CurveUnsupported),
    (RvError::DomainParamsInvalid, ErrorKind::CurveUnsupported),
    (RvError::DataInvalid, ErrorKind::DataInvalid),
    (RvError::DataLenRange, ErrorKind::DataLength),
    (RvError::EncryptedDataInvalid, ErrorKind::EncryptedDataInvalid),
    (RvError::EncryptedDataLenRange, ErrorKind::EncryptedDataLength),
    (RvError::SignatureInvalid, ErrorKind::SignatureInvalid),
    (RvError::SignatureLenRange, ErrorKind::SignatureLength),
    (RvError::KeySizeRange, ErrorKind::KeySize),
    (RvError::WrappingKeySizeRange, ErrorKind::KeySize),
    (RvError::UnwrappingKeySizeRange, ErrorKind::KeySize),
    (RvError::KeyTypeInconsistent, ErrorKind::KeyType),
    (RvError::WrappingKeyTypeInconsistent, ErrorKind::KeyType),
    (RvError::UnwrappingKeyTypeInconsistent, ErrorKind::KeyType),
    (RvError::KeyFunctionNotPermitted, ErrorKind::KeyUsage),
    (RvError::KeyNotWrappable, ErrorKind::KeyNotWrappable),
    (RvError::KeyUnextractable, ErrorKind::KeyUnextractable),
    (RvError::AttributeSensitive, ErrorKind::KeyUnextractable),
    (RvError::WrappedKeyInvalid, ErrorKind::WrappedKeyInvalid),
    (RvError::WrappedKeyLenRange, ErrorKind::WrappedKeyLength),
    (RvError::TemplateIncomplete, ErrorKind::TemplateIncomplete),
    (RvError::TemplateInconsistent, ErrorKind::TemplateInconsistent),
    (RvError::AttributeTypeInvalid, ErrorKind::TemplateInconsistent),
    (RvError::AttributeValueInvalid, ErrorKind::AttributeValue),
    (RvError::AttributeReadOnly, ErrorKind::AttributeReadOnly),
    (RvError::PublicKeyInvalid, ErrorKind::MechanismParameter),
    (RvError::ActionProhibited, ErrorKind::ActionProhibited),
    (RvError::DeviceMemory, ErrorKind::Storage),
    (RvError::TokenWriteProtected, ErrorKind::ReadOnly),
    (RvError::SessionReadOnly, ErrorKind::ReadOnly),
    (RvError::HostMemory, ErrorKind::Memory),
];

/// What an object of a device was asked for: where it says no more than that it failed, this says what that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To decrypt: devices say all kinds of things of a wrong ciphertext.
    Decrypt,
    /// To unwrap.
    Unwrap,
    /// To verify.
    Verify,
    /// Anything else.
    Other,
}

impl Use {
    /// What a failure without a reason means, where it is the function itself that fails and not one on the way to it.
    const fn meant_by(self, function: Function) -> Option<ErrorKind> {
        match (self, function) {
            (Self::Decrypt, Function::Decrypt) => Some(ErrorKind::EncryptedDataInvalid),
            (Self::Unwrap, Function::UnwrapKey) => Some(ErrorKind::WrappedKeyInvalid),
            (Self::Verify, Function::Verify) => Some(ErrorKind::SignatureInvalid),
            _ => None,
        }
    }
}

/// What went wrong while a device was called.
#[derive(Debug)]
pub enum Trouble {
    /// The device says so.
    Device(Cause),
    /// We do.
    Core(Error),
}

/// How a call failed for whoever may go elsewhere with it.
#[derive(Debug)]
pub enum Failure {
    /// There was no session: all are in use, or another thread logs in. Nothing was asked of the device.
    Busy,
    /// The device cannot be used. Nothing was asked of it.
    Refused(Error),
    /// It was asked, and this came of it.
    Told(Trouble),
}

impl From<Cause> for Trouble {
    fn from(cause: Cause) -> Self {
        Self::Device(cause)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl Trouble {
    /// What is to be done about it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            // Nobody knows whether such an error ends the operation.
            Self::Device(Cause::Pkcs11(RvError::VendorDefined(_) | RvError::UnknownErrorCode(_), _)) => Fault::Call,
            Self::Device(Cause::Pkcs11(code, _)) => {
                FAULTS.iter().find(|(known, _)| known == code).map_or(Fault::Request, |(_, fault)| *fault)
            }
            // The module broke the interface: nobody knows what the session is in.
            Self::Device(_) => Fault::Call,
            Self::Core(_) => Fault::Request,
        }
    }

    /// It in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Device(cause) => words(cause),
            Self::Core(error) => error.sentence(),
        }
    }

    /// The error of the core, in the use of `device`.
    #[must_use]
    pub fn into_error(self, device: &str, used: Use) -> Error {
        let cause = match self {
            Self::Core(error) => return error,
            Self::Device(cause) => cause,
        };
        let known = match &cause {
            Cause::Pkcs11(code, function) => {
                let known = KINDS.iter().find(|(known, _)| known == code).map(|(_, kind)| *kind);
                let vague = matches!(code, RvError::GeneralError | RvError::FunctionFailed);
                known.or_else(|| used.meant_by(*function).filter(|_| vague))
            }
            Cause::NotSupported | Cause::NullFunctionPointer => Some(ErrorKind::MechanismUnsupported),
            _ => None,
        };
        let said = words(&cause);
        match known {
            Some(kind) => Error::new(kind, format!("the HSM `{device}` refuses: {said}")),
            None => {
                let why = format!("the HSM `{device}` fails: {said}; `kmss hsm list` shows the state of each");
                Error::new(ErrorKind::BackendUnavailable, why)
            }
        }
    }
}

/// What a device said, short: the code and the function that returned it.
pub(super) fn words(cause: &Cause) -> String {
    struct Said<'a>(&'a Cause);
    impl fmt::Display for Said<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.0 {
                Cause::Pkcs11(code, function) => write!(f, "{code:?} from C_{function:?}"),
                other => write!(f, "{other}"),
            }
        }
    }
    Said(cause).to_string()
}

/// What the device means by what it says: one that calls wrong data an error of its own is not dead.
pub(super) fn meant(cause: Cause, quirks: &Quirks) -> Cause {
    let of_data = quirks.device_error_of_data == Some(true);
    match cause {
        Cause::Pkcs11(
            RvError::DeviceError,
            function @ (Function::Decrypt | Function::DecryptFinal | Function::UnwrapKey | Function::Verify),
        ) if of_data => Cause::Pkcs11(RvError::FunctionFailed, function),
        other => other,
    }
}

/// Whether the device said `code`.
pub(super) fn said(cause: &Cause, codes: &[RvError]) -> bool {
    matches!(cause, Cause::Pkcs11(code, _) if codes.contains(code))
}

/// Whether somebody in this process has logged in before.
pub(super) fn is_logged_in_already(cause: &Cause) -> bool {
    said(cause, &[RvError::UserAlreadyLoggedIn])
}

/// Whether the module was initialized before, by its host or by an ancestor of this process that it does not tell apart.
pub(super) fn is_initialized_already(cause: &Cause) -> bool {
    said(cause, &[RvError::CryptokiAlreadyInitialized])
}

/// Whether the token cannot be written.
pub(super) fn is_read_only(cause: &Cause) -> bool {
    said(cause, &[RvError::TokenWriteProtected])
}

/// Whether the PIN is at fault: it is never tried again.
pub(super) fn is_pin(cause: &Cause) -> bool {
    let codes =
        [RvError::PinIncorrect, RvError::PinInvalid, RvError::PinLenRange, RvError::PinExpired, RvError::PinLocked];
    said(cause, &codes)
}

/// Whether there can be no more sessions for now.
pub(super) fn is_full(cause: &Cause) -> bool {
    said(cause, &[RvError::SessionCount])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: RvError, function: Function) -> Trouble {
        Trouble::Device(Cause::Pkcs11(code, function))
    }

    #[test]
    fn a_session_whose_operation_may_go_on_is_not_used_again() {
        for code in [RvError::BufferTooSmall, RvError::VendorDefined(0x8000_0001), RvError::UnknownErrorCode(0x7777)] {
            assert_eq!(told(code, Function::Sign).fault(), Fault::Call);
        }
        assert_eq!(told(RvError::SignatureInvalid, Function::Verify).fault(), Fault::Request);
    }

    #[test]
    fn a_failure_on_the_way_to_a_decryption_is_not_a_wrong_ciphertext() {
        let kind = |function, used| told(RvError::GeneralError, function).into_error("vault", used).kind();
        assert_eq!(kind(Function::Decrypt, Use::Decrypt), ErrorKind::EncryptedDataInvalid);
        assert_eq!(kind(Function::UnwrapKey, Use::Unwrap), ErrorKind::WrappedKeyInvalid);
        assert_eq!(kind(Function::Verify, Use::Verify), ErrorKind::SignatureInvalid);
        for (function, used) in [
            (Function::FindObjects, Use::Decrypt),
            (Function::DecryptInit, Use::Decrypt),
            (Function::GetAttributeValue, Use::Unwrap),
            (Function::Decrypt, Use::Other),
        ] {
            assert_eq!(kind(function, used), ErrorKind::BackendUnavailable);
        }
    }
}
