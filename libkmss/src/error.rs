//! The one error of the core, sorted by what the caller can do about it.
//!
//! Each door has one table from [`ErrorKind`] to its own codes; nothing else in a door looks at errors.

use std::borrow::Cow;
use std::fmt;

/// What went wrong, in the caller's terms. The groups follow [`ErrorClass`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    // ---- the call itself: correct it and call again
    /// An argument is malformed, out of range or contradicts another.
    Arguments,
    /// The output buffer is too small; the operation is still alive.
    BufferTooSmall,
    /// The operation is not active (it ended, or never began).
    OperationInactive,
    /// Plaintext or message is not acceptable to the mechanism.
    DataInvalid,
    /// Plaintext or message has a length the mechanism cannot take.
    DataLength,
    /// Ciphertext does not decrypt (wrong key, tag, padding: deliberately one error).
    EncryptedDataInvalid,
    /// Ciphertext has a length the mechanism cannot take.
    EncryptedDataLength,
    /// The signature or MAC does not verify.
    SignatureInvalid,
    /// The signature or MAC has the wrong length.
    SignatureLength,
    /// The mechanism is not offered, or not for this verb.
    MechanismUnsupported,
    /// The mechanism is offered, its parameters are not acceptable.
    MechanismParameter,
    /// The curve or named group is not offered.
    CurveUnsupported,
    /// The key has a size the mechanism or the setting does not allow.
    KeySize,
    /// The key's type does not fit the mechanism.
    KeyType,
    /// The key's usage attributes do not allow this action.
    KeyUsage,
    /// The key cannot be wrapped by this mechanism or this wrapping key.
    KeyNotWrappable,
    /// The key is not extractable.
    KeyUnextractable,
    /// The wrapped key does not unwrap.
    WrappedKeyInvalid,
    /// The wrapped key has an impossible length.
    WrappedKeyLength,
    /// Key components or attributes needed to make the object are missing.
    TemplateIncomplete,
    /// Attributes contradict each other, the class, or the mechanism.
    TemplateInconsistent,
    /// An attribute has an unacceptable value.
    AttributeValue,
    /// An attribute cannot be changed, or only in the other direction.
    AttributeReadOnly,
    /// An attribute is secret.
    AttributeSensitive,
    /// The object refuses copying, modification or destruction.
    ActionProhibited,
    /// KMSS does not offer this.
    Unsupported,

    // ---- who is asking: authenticate, or ask somebody else
    /// The action needs an authenticated user.
    NotLoggedIn,
    /// PIN or credential is wrong.
    PinIncorrect,
    /// Too many wrong attempts: the credential is locked.
    PinLocked,
    /// The new PIN has an unacceptable length or content.
    PinInvalid,
    /// The user has no PIN yet.
    PinNotInitialized,
    /// A policy forbids it (looks like [`ErrorKind::NotFound`] to whoever may not list the namespace).
    Denied,
    /// An operator, or an alarm, has blocked who asks or what is asked for.
    Blocked,
    /// The key's state forbids it (disabled, expired, not yet active, destroyed).
    KeyState,
    /// A quota is used up.
    QuotaExceeded,

    // ---- what is asked for: it is not there, or somebody was faster
    /// No such object, key, namespace or user.
    NotFound,
    /// A name that must be unique is taken.
    AlreadyExists,
    /// The record changed since it was read: read again and decide anew.
    Conflict,
    /// Another process held a resource until the deadline; try again.
    Busy,

    // ---- the surroundings: an operator must act
    /// The configuration cannot be used.
    Config,
    /// The home or a file in it has unsafe ownership or permissions, or is not usable in this process.
    HomeUnsafe,
    /// The home or store is read-only.
    ReadOnly,
    /// There is not enough memory for what is asked for.
    Memory,
    /// No space or another device error while writing; nothing was released.
    Storage,
    /// Stored data is damaged, was moved or was swapped.
    Damaged,
    /// Written by a newer KMSS.
    TooNew,
    /// The audit record could not be written, so the operation was refused.
    AuditUnavailable,
    /// A backend device or server does not answer.
    BackendUnavailable,

    // ---- a bug
    /// KMSS broke one of its own invariants.
    Internal,
}

/// What the caller can do about an [`ErrorKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Correct the call.
    Request,
    /// Authenticate, or ask for permission.
    Authority,
    /// Look again at what exists.
    Existence,
    /// Call an operator.
    Environment,
    /// Report a bug.
    Bug,
}

impl ErrorKind {
    /// The group this kind belongs to.
    #[must_use]
    pub const fn class(self) -> ErrorClass {
        use ErrorKind as K;
        match self {
            K::NotLoggedIn
            | K::PinIncorrect
            | K::PinLocked
            | K::PinInvalid
            | K::PinNotInitialized
            | K::Denied
            | K::Blocked
            | K::KeyState
            | K::QuotaExceeded => ErrorClass::Authority,
            K::NotFound | K::AlreadyExists | K::Conflict | K::Busy => ErrorClass::Existence,
            K::Config
            | K::HomeUnsafe
            | K::ReadOnly
            | K::Memory
            | K::Storage
            | K::Damaged
            | K::TooNew
            | K::AuditUnavailable
            | K::BackendUnavailable => ErrorClass::Environment,
            K::Internal => ErrorClass::Bug,
            _ => ErrorClass::Request,
        }
    }

    /// Whether the right answer of a batch of work is to try the same call once more.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Conflict | Self::Busy | Self::BackendUnavailable)
    }
}

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An error of the core: a kind for machines, a sentence for people, and the cause.
///
/// Messages are in lower case without a final period, quote user input in backticks, say what to do next where
/// there is something to do, and never hold key material, PINs, plaintext or user data.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    more: Option<Box<More>>,
}

/// What few errors have.
#[derive(Debug, Default)]
struct More {
    source: Option<Source>,
    rule: Box<str>,
}

/// Result of the core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a message and no cause.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), more: None }
    }

    /// The same error with its cause attached.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.more.get_or_insert_default().source = Some(source.into());
        self
    }

    /// The same error with the rule (of a policy, or a quota or block by its name) that refused the operation.
    #[must_use]
    pub fn with_rule(mut self, rule: impl Into<Box<str>>) -> Self {
        self.more.get_or_insert_default().rule = rule.into();
        self
    }

    /// The rule that refused the operation, where one did.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.more.as_ref().map(|more| &*more.rule).filter(|rule| !rule.is_empty())
    }

    /// The kind, for tables and decisions.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message with its cause, for records and reasons.
    #[must_use]
    pub fn sentence(&self) -> String {
        let cause = self.more.as_ref().and_then(|more| more.source.as_ref());
        cause.map_or_else(|| self.message().to_owned(), |cause| format!("{}: {cause}", self.message()))
    }

    /// The sentence without its causes (what `Display` prints).
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.more.as_ref()?.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn the_cause_is_reachable_and_not_printed_twice() {
        let e = Error::new(ErrorKind::Storage, "cannot write `audit`").with_source(std::io::Error::other("disk"));
        assert_eq!(e.to_string(), "cannot write `audit`");
        assert_eq!(e.source().map(ToString::to_string).as_deref(), Some("disk"));
        assert_eq!(e.kind().class(), ErrorClass::Environment);
    }
}
