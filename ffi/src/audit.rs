//! The audit trail, record by record.
#![expect(unsafe_code, reason = "an entry point of the C interface")]

use std::ffi::{c_char, c_int, c_void};
use std::ops::ControlFlow;

use libkmss::audit::Filter;
use libkmss::clock::Timestamp;

use crate::boundary::{Versioned, enter, options, text};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::home::{HOMES, kmss};
use crate::status::kmss_status;

/// Which records are wanted; what is NULL or 0 does not matter. Set all of it to zero, then `size` to `sizeof(kmss_audit_filter)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_audit_filter {
    /// Size of this struct in bytes.
    pub size: usize,
    /// The word of the action (`sign`).
    pub action: *const c_char,
    /// Name or id of the key.
    pub key: *const c_char,
    /// Who asked.
    pub principal: *const c_char,
    /// The outcome's word (`denied`).
    pub outcome: *const c_char,
    /// The token, as `token` or `tenant/token`.
    pub token: *const c_char,
    /// From this time on, in milliseconds since 1970.
    pub since_ms: u64,
    /// Before this time, in milliseconds since 1970.
    pub until_ms: u64,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_audit_filter {}

/// Takes one record: its JSON as it stands in the trail (docs/audit.md), `len` bytes without a NUL, valid during the call, and the
/// name of its segment. Returns 0 to go on; anything else ends the export, which succeeds. Must not call into this library with the
/// same home, and must return: no exception and no `longjmp`.
pub type kmss_audit_record =
    Option<unsafe extern "C" fn(user: *mut c_void, record: *const c_char, len: usize, segment: *const c_char) -> c_int>;

/// Hands every record that `filter` wants to `record`, segment by segment, with `user` as it is given; of one segment in their
/// order. `filter` may be NULL. Nothing is kept in memory.
///
/// Whoever may read the home's audit folder may do this; no session is needed, and reading is not recorded.
///
/// Errors: KMSS_STORAGE, KMSS_DAMAGED, KMSS_INVALID_ARGUMENT.
///
/// # Safety
/// `filter` is NULL or points to its struct; `record` is such a function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_audit_export(
    home: *mut kmss,
    filter: *const kmss_audit_filter,
    record: kmss_audit_record,
    user: *mut c_void,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let kms = HOMES.find(home)?;
        let take = record.ok_or_else(|| Failure::argument("record is NULL"))?;
        // SAFETY: the caller's promise, passed on.
        let filter = unsafe { wanted(filter) }?;
        kms.audit_tail(filter).visit_while(&mut |entry| {
            let segment = crate::error::c_text(entry.segment.to_string());
            let raw = entry.raw.as_bytes();
            // SAFETY: the caller's function, by its contract; both texts live until it returns.
            match unsafe { take(user, raw.as_ptr().cast(), raw.len(), segment.as_ptr()) } {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        })?;
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// `given` is what C callers promise of it.
unsafe fn wanted(given: *const kmss_audit_filter) -> Result<Filter, Failure> {
    // SAFETY: passed on.
    let given = unsafe { options(given, "kmss_audit_filter") }?;
    // SAFETY: passed on.
    let field = |field, what| unsafe { text(field, what) }.map(|text| text.map(str::to_owned));
    let moment = |ms: u64| (ms != 0).then_some(Timestamp(ms));
    Ok(Filter {
        action: field(given.action, "action")?,
        key: field(given.key, "key")?,
        principal: field(given.principal, "principal")?,
        outcome: field(given.outcome, "outcome")?,
        namespace: field(given.token, "token")?,
        since: moment(given.since_ms),
        until: moment(given.until_ms),
        ..Filter::default()
    })
}
