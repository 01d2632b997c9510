//! Errors on the way: one table between [`ErrorKind`] and gRPC, which both sides use.
//!
//! A status carries its [`ErrorDetail`] as `google.rpc.Status` (AIP-193): a peer that knows it gets the very kind back; every
//! other one has the code.

use std::time::Duration;

use libkmss::error::{Error, ErrorKind};
use prost::Message;
use tonic::{Code, Status};

use crate::proto::{self, ErrorDetail};

/// Where messages of this package are named.
const DETAIL: &str = "type.googleapis.com/kmss.v1.ErrorDetail";

/// Longest message and rule that are taken from a peer, in bytes.
const LONGEST: usize = 1024;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// Every kind, with its code and its number in the contract.
#[rustfmt::skip]
const TABLE: [(ErrorKind, Code, proto::ErrorKind); 49] = {
    use Code::{Aborted, AlreadyExists, DataLoss, FailedPrecondition, Internal, InvalidArgument, NotFound, PermissionDenied};
    use Code::{ResourceExhausted, Unauthenticated, Unavailable, Unimplemented};
    use ErrorKind as K;
    use proto::ErrorKind as P;
    [
        (K::Arguments, InvalidArgument, P::Arguments),
        (K::BufferTooSmall, InvalidArgument, P::BufferTooSmall),
        (K::OperationInactive, FailedPrecondition, P::OperationInactive),
        (K::DataInvalid, InvalidArgument, P::DataInvalid),
        (K::DataLength, InvalidArgument, P::DataLength),
        (K::EncryptedDataInvalid, InvalidArgument, P::EncryptedDataInvalid),
        (K::EncryptedDataLength, InvalidArgument, P::EncryptedDataLength),
        (K::SignatureInvalid, InvalidArgument, P::SignatureInvalid),
        (K::SignatureLength, InvalidArgument, P::SignatureLength),
        (K::MechanismUnsupported, Unimplemented, P::MechanismUnsupported),
        (K::MechanismParameter, InvalidArgument, P::MechanismParameter),
        (K::CurveUnsupported, Unimplemented, P::CurveUnsupported),
        (K::KeySize, InvalidArgument, P::KeySize),
        (K::KeyType, InvalidArgument, P::KeyType),
        (K::KeyUsage, FailedPrecondition, P::KeyUsage),
        (K::KeyNotWrappable, FailedPrecondition, P::KeyNotWrappable),
        (K::KeyUnextractable, FailedPrecondition, P::KeyUnextractable),
        (K::WrappedKeyInvalid, InvalidArgument, P::WrappedKeyInvalid),
        (K::WrappedKeyLength, InvalidArgument, P::WrappedKeyLength),
        (K::TemplateIncomplete, InvalidArgument, P::TemplateIncomplete),
        (K::TemplateInconsistent, InvalidArgument, P::TemplateInconsistent),
        (K::AttributeValue, InvalidArgument, P::AttributeValue),
        (K::AttributeReadOnly, FailedPrecondition, P::AttributeReadOnly),
        (K::AttributeSensitive, FailedPrecondition, P::AttributeSensitive),
        (K::ActionProhibited, FailedPrecondition, P::ActionProhibited),
        (K::Unsupported, Unimplemented, P::Unsupported),
        (K::NotLoggedIn, Unauthenticated, P::NotLoggedIn),
        (K::PinIncorrect, Unauthenticated, P::PinIncorrect),
        (K::PinLocked, Unauthenticated, P::PinLocked),
        (K::PinInvalid, InvalidArgument, P::PinInvalid),
        (K::PinNotInitialized, FailedPrecondition, P::PinNotInitialized),
        (K::Denied, PermissionDenied, P::Denied),
        (K::Blocked, PermissionDenied, P::Blocked),
        (K::KeyState, FailedPrecondition, P::KeyState),
        (K::QuotaExceeded, ResourceExhausted, P::QuotaExceeded),
        (K::NotFound, NotFound, P::NotFound),
        (K::AlreadyExists, AlreadyExists, P::AlreadyExists),
        (K::Conflict, Aborted, P::Conflict),
        (K::Busy, ResourceExhausted, P::Busy),
        (K::Config, Unavailable, P::Config),
        (K::HomeUnsafe, Unavailable, P::HomeUnsafe),
        (K::ReadOnly, Unavailable, P::ReadOnly),
        (K::Memory, Unavailable, P::Memory),
        (K::Storage, Unavailable, P::Storage),
        (K::Damaged, DataLoss, P::Damaged),
        (K::TooNew, Unavailable, P::TooNew),
        (K::AuditUnavailable, Unavailable, P::AuditUnavailable),
        (K::BackendUnavailable, Unavailable, P::BackendUnavailable),
        (K::Internal, Internal, P::Internal),
    ]
};

/// The code and the contract's kind of an error kind.
fn of_kind(kind: ErrorKind) -> (Code, proto::ErrorKind) {
    let row = TABLE.iter().find(|(known, ..)| *known == kind);
    row.map_or((Code::Internal, proto::ErrorKind::Internal), |(_, code, kind)| (*code, *kind))
}

/// The error kind that a status without a detail stands for.
const fn of_code(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument => ErrorKind::Arguments,
        Code::OutOfRange => ErrorKind::DataLength,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied => ErrorKind::Denied,
        Code::Unauthenticated => ErrorKind::NotLoggedIn,
        Code::ResourceExhausted => ErrorKind::Busy,
        Code::FailedPrecondition => ErrorKind::ActionProhibited,
        Code::Aborted => ErrorKind::Conflict,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::DataLoss => ErrorKind::Damaged,
        // Whatever a server that is not there, or is no server of ours, may say.
        _ => ErrorKind::BackendUnavailable,
    }
}

/// What is known of an error beside the error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The id of the request; empty where it has none.
    pub request_id: Vec<u8>,
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// The detail of `error`.
#[must_use]
pub fn detail(error: &Error, known: &Circumstances) -> ErrorDetail {
    ErrorDetail {
        kind: of_kind(error.kind()).1.into(),
        rule: error.rule().unwrap_or_default().to_owned(),
        request_id: known.request_id.clone(),
        retry_after_ms: u64::try_from(known.retry_after.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The code that `error` has.
#[must_use]
pub fn code(error: &Error) -> Code {
    of_kind(error.kind()).0
}

/// `error` as a status. What an operator must look into is said without its causes, which may name files of the server.
#[must_use]
pub fn status(error: &Error, known: &Circumstances) -> Status {
    let code = code(error);
    let value = detail(error, known).encode_to_vec();
    let details = vec![Any { type_url: DETAIL.to_owned(), value }];
    let rpc = RpcStatus { code: code.into(), message: error.message().to_owned(), details };
    Status::with_details(code, error.message(), rpc.encode_to_vec().into())
}

/// The detail that `status` carries.
#[must_use]
pub fn detail_of(status: &Status) -> Option<ErrorDetail> {
    let rpc = RpcStatus::decode(status.details()).ok()?;
    let any = rpc.details.into_iter().find(|any| any.type_url == DETAIL)?;
    ErrorDetail::decode(any.value.as_slice()).ok()
}

/// The error of `status`, as a client sees it.
#[must_use]
pub fn error(status: &Status) -> Error {
    let detail = detail_of(status);
    let named = detail.as_ref().and_then(|detail| TABLE.iter().find(|(.., known)| i32::from(*known) == detail.kind));
    let kind = named.map_or_else(|| of_code(status.code()), |(kind, ..)| *kind);
    let error = Error::new(kind, shortened(status.message()));
    match detail {
        Some(detail) if !detail.rule.is_empty() => error.with_rule(shortened(&detail.rule)),
        _ => error,
    }
}

/// At most [`LONGEST`] bytes of what a peer says, on one line.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    while short.len() > LONGEST {
        short.pop();
    }
    short
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_kind_of_the_table_comes_back_with_its_rule() {
        for (kind, code, _) in TABLE {
            let sent = status(&Error::new(kind, "no `such` thing").with_rule("r1"), &Circumstances::default());
            assert_eq!(sent.code(), code);
            let back = error(&sent);
            assert_eq!((back.kind(), back.message(), back.rule()), (kind, "no `such` thing", Some("r1")));
        }
    }

    #[test]
    fn no_kind_is_in_the_table_twice() {
        for (place, (kind, _, number)) in TABLE.iter().enumerate() {
            let others = || TABLE.iter().skip(place + 1);
            assert!(others().all(|(k, _, n)| k != kind && n != number), "{kind:?}");
        }
    }

    #[test]
    fn a_status_of_a_stranger_keeps_the_sense_of_its_code() {
        assert_eq!(error(&Status::unavailable("down")).kind(), ErrorKind::BackendUnavailable);
        assert_eq!(error(&Status::permission_denied("no")).kind(), ErrorKind::Denied);
        let forged = Status::with_details(Code::NotFound, "x", b"\xff\xff\xff".as_slice().to_vec().into());
        assert_eq!(error(&forged).kind(), ErrorKind::NotFound);
        let long = error(&Status::not_found("é".repeat(4000) + "\n"));
        assert!(long.message().len() <= LONGEST && !long.message().contains('\n'));
    }

    #[test]
    fn what_was_said_beside_the_error_is_in_the_detail() {
        let known = Circumstances { request_id: vec![7; 16], retry_after: Duration::from_millis(40) };
        let sent = status(&Error::new(ErrorKind::Busy, "too much to do"), &known);
        let detail = detail_of(&sent).unwrap();
        assert_eq!((detail.request_id, detail.retry_after_ms), (vec![7; 16], 40));
    }
}
