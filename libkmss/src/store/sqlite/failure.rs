//! What an error of SQLite means to the caller.

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_NOMEM, SQLITE_NOMEM, SQLITE_READONLY_DBMOVED, SQLITE_READONLY_DIRECTORY};

use crate::error::{Error, ErrorKind};

/// Sorts an error of SQLite into the kinds that [`Store`](crate::store::Store) promises.
pub(super) fn explain(cause: rusqlite::Error) -> Error {
    let (kind, message) = match &cause {
        rusqlite::Error::SqliteFailure(e, _) => failed(e.code, e.extended_code),
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::SqlInputError { .. } => (ErrorKind::Damaged, DAMAGED),
        _ => (ErrorKind::Internal, "sqlite was used wrongly"),
    };
    Error::new(kind, message).with_source(cause)
}

const DAMAGED: &str = "the store is damaged: stop all processes that use the home and restore it from a backup";
const NO_MEMORY: (ErrorKind, &str) = (ErrorKind::Storage, "no memory left for the store");

const fn failed(code: ErrorCode, extended: i32) -> (ErrorKind, &'static str) {
    match (code, extended) {
        (_, SQLITE_NOMEM | SQLITE_IOERR_NOMEM) => NO_MEMORY,
        (_, SQLITE_READONLY_DBMOVED) => (ErrorKind::HomeUnsafe, super::REPLACED),
        (_, SQLITE_READONLY_DIRECTORY) => (ErrorKind::ReadOnly, "the directory of the store is not writable"),
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed, _) => {
            (ErrorKind::Busy, "another process kept the store until the deadline: try again")
        }
        (ErrorCode::ReadOnly, _) => (ErrorKind::ReadOnly, "the store is read-only"),
        (ErrorCode::DiskFull, _) => (ErrorKind::Storage, "no space left for the store"),
        (ErrorCode::SystemIoFailure, _) => (ErrorKind::Storage, "the store's disk answers with errors"),
        (ErrorCode::CannotOpen | ErrorCode::PermissionDenied, _) => {
            (ErrorKind::HomeUnsafe, "the store cannot be opened: check owner and mode of the home and its files")
        }
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => (ErrorKind::Damaged, DAMAGED),
        // A statement that does not fit the schema, or a value beyond all limits: the file is not what we wrote.
        (ErrorCode::Unknown | ErrorCode::TooBig | ErrorCode::TypeMismatch | ErrorCode::ConstraintViolation, _) => {
            (ErrorKind::Damaged, DAMAGED)
        }
        _ => (ErrorKind::Internal, "sqlite was used wrongly"),
    }
}
