//! Session management (PKCS#11 3.2, 5.6).

use std::ffi::c_void;

use cryptoki_sys::*;
use libkmss::secret::Secret;

use super::slot_token::read_pin;
use crate::module;
use crate::module::active::Operations;
use crate::module::token::{DEFAULT_USER, User};
use crate::raw::pointers::{slice, write};
use crate::rv::{Result, Rv};

/// C_OpenSession (5.6.1). Nothing is ever notified.
///
/// # Safety
/// `session` is NULL or valid for writes.
pub(crate) unsafe fn open(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    _application: *mut c_void,
    _notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> Result<()> {
    module::check_initialized()?;
    if flags & CKF_SERIAL_SESSION == 0 {
        return Err(Rv(CKR_SESSION_PARALLEL_NOT_SUPPORTED));
    }
    if flags & CKF_ASYNC_SESSION != 0 {
        return Err(Rv(CKR_SESSION_ASYNC_NOT_SUPPORTED));
    }
    if session.is_null() {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    let handle = module::open_session(slot, flags & CKF_RW_SESSION != 0)?;
    // SAFETY: the contract of this function.
    unsafe { write(session, handle) }
}

/// C_CloseSession (5.6.2).
///
/// # Safety
/// None.
pub(crate) unsafe fn close(session: CK_SESSION_HANDLE) -> Result<()> {
    module::close_session(session)
}

/// C_CloseAllSessions (5.6.3).
///
/// # Safety
/// None.
pub(crate) unsafe fn close_all(slot: CK_SLOT_ID) -> Result<()> {
    module::close_all_sessions(slot)
}

/// C_GetSessionInfo (5.6.4).
///
/// # Safety
/// `info` is NULL or valid for writes.
pub(crate) unsafe fn info(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) -> Result<()> {
    let view = module::view(session)?;
    let mode = if view.read_write { CKF_RW_SESSION } else { 0 };
    let value = CK_SESSION_INFO {
        slotID: view.token.slot,
        state: view.state(),
        flags: CKF_SERIAL_SESSION | mode,
        ulDeviceError: 0,
    };
    // SAFETY: the contract of this function.
    unsafe { write(info, value) }
}

/// C_SessionCancel (5.6.5): ends the operations that `flags` name; those that are not under way are passed over.
///
/// # Safety
/// None.
pub(crate) unsafe fn cancel(session: CK_SESSION_HANDLE, flags: CK_FLAGS) -> Result<()> {
    let has = |flag: CK_FLAGS| flags & flag != 0;
    let ended = module::with_session(session, |s| {
        if has(CKF_FIND_OBJECTS) {
            s.find = None;
        }
        let under_way = &mut s.operations;
        Operations {
            encrypt: has(CKF_ENCRYPT).then(|| under_way.encrypt.take()).flatten(),
            decrypt: has(CKF_DECRYPT).then(|| under_way.decrypt.take()).flatten(),
            digest: has(CKF_DIGEST).then(|| under_way.digest.take()).flatten(),
            sign: has(CKF_SIGN).then(|| under_way.sign.take()).flatten(),
            sign_recover: has(CKF_SIGN_RECOVER).then(|| under_way.sign_recover.take()).flatten(),
            verify: has(CKF_VERIFY).then(|| under_way.verify.take()).flatten(),
            verify_recover: has(CKF_VERIFY_RECOVER).then(|| under_way.verify_recover.take()).flatten(),
            verify_signature: has(CKF_VERIFY).then(|| under_way.verify_signature.take()).flatten(),
            encrypt_messages: has(CKF_MESSAGE_ENCRYPT).then(|| under_way.encrypt_messages.take()).flatten(),
            decrypt_messages: has(CKF_MESSAGE_DECRYPT).then(|| under_way.decrypt_messages.take()).flatten(),
            sign_messages: has(CKF_MESSAGE_SIGN).then(|| under_way.sign_messages.take()).flatten(),
            verify_messages: has(CKF_MESSAGE_VERIFY).then(|| under_way.verify_messages.take()).flatten(),
        }
    })?;
    ended.cancel()
}

/// C_Login (5.6.8).
///
/// # Safety
/// `pin` is NULL or valid for `pin_len` bytes.
pub(crate) unsafe fn login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { login_as(session, user, DEFAULT_USER, pin, pin_len) }
}

/// C_LoginUser (5.6.9). An empty name is the default user; the security officer has none.
///
/// # Safety
/// `pin` is NULL or valid for `pin_len` bytes, `name` for `name_len`.
pub(crate) unsafe fn login_user(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
    name: *mut CK_UTF8CHAR,
    name_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the contract of this function.
    let name = std::str::from_utf8(unsafe { slice(name, name_len) }?).map_err(|_| Rv(CKR_ARGUMENTS_BAD))?;
    let name = if name.is_empty() { DEFAULT_USER } else { name };
    // SAFETY: the contract of this function.
    unsafe { login_as(session, user, name, pin, pin_len) }
}

/// # Safety
/// `pin` is NULL or valid for `pin_len` bytes.
unsafe fn login_as(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    name: &str,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
) -> Result<()> {
    let view = module::view(session)?;
    let token = &view.token;
    // SAFETY: the contract of this function.
    let pin = match unsafe { read_pin(pin, pin_len) } {
        // Where users have no PIN, none is as good as any.
        Err(_) if user != CKU_SO && token.is_pinless() => Ok(Secret::new(Vec::new())),
        read => read,
    };
    match user {
        CKU_USER => token.login(session, User::Named(name), &pin?),
        CKU_SO => token.login(session, User::SecurityOfficer, &pin?),
        CKU_CONTEXT_SPECIFIC => {
            if !module::with_session(session, |s| s.operations.has_keyed())? {
                return Err(Rv(CKR_OPERATION_NOT_INITIALIZED));
            }
            let confirmation = token.confirm(session, &pin?)?;
            module::with_session(session, |s| s.operations.confirm(confirmation))?
        }
        _ => Err(Rv(CKR_USER_TYPE_INVALID)),
    }
}

/// C_Logout (5.6.10). Operations that used private keys end with the login.
///
/// # Safety
/// None.
pub(crate) unsafe fn logout(session: CK_SESSION_HANDLE) -> Result<()> {
    let view = module::view(session)?;
    let token = &view.token;
    let result = token.logout();
    module::purge(token);
    result
}
