//! Slot and token management (PKCS#11 3.2, 5.5).

use std::ffi::c_void;

use cryptoki_sys::*;
use libkmss::auth::CredentialState;
use libkmss::caller::Login;
use libkmss::kms::Holder;
use libkmss::secret::Secret;

use crate::mechanisms::Profile;
use crate::module;
use crate::module::Slot;
use crate::module::special;
use crate::module::token::{DEFAULT_USER, Token};
use crate::raw::info::{MANUFACTURER, library_version, padded};
use crate::raw::pointers::{reference, slice, slice_mut, write};
use crate::rv::{Result, Rv};

/// Lengths of PINs in bytes.
const PIN_LEN: std::ops::RangeInclusive<usize> = 4..=255;

/// Length of a token label in bytes.
const LABEL_LEN: CK_ULONG = 32;

/// C_GetSlotList (5.5.1). A token is present in every slot: the spare one holds an uninitialised token.
///
/// # Safety
/// `count` is NULL or valid; `slots` is NULL or valid for `*count` numbers.
pub(crate) unsafe fn slot_list(_present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG) -> Result<()> {
    let ids = module::slot_ids()?;
    // SAFETY: the contract of this function.
    unsafe { give_list(&ids, slots, count) }
}

/// Gives a list out as 5.2 says of lists.
///
/// # Safety
/// `count` is NULL or valid; `out` is NULL or valid for `*count` values.
unsafe fn give_list<T: Copy>(list: &[T], out: *mut T, count: *mut CK_ULONG) -> Result<()> {
    // SAFETY: the contract of this function.
    let count = unsafe { reference(count) }?;
    let room = std::mem::replace(count, list.len() as CK_ULONG);
    if out.is_null() {
        return Ok(());
    }
    if room < list.len() as CK_ULONG {
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    }
    // SAFETY: `out` is valid for `room` values, which are at least as many.
    unsafe { slice_mut(out, list.len() as CK_ULONG) }?.copy_from_slice(list);
    Ok(())
}

/// C_GetSlotInfo (5.5.2).
///
/// # Safety
/// `info` is NULL or valid for writes.
pub(crate) unsafe fn slot_info(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> Result<()> {
    module::slot(slot)?;
    let value = CK_SLOT_INFO {
        slotDescription: padded(&format!("KMSS slot {slot}")),
        manufacturerID: padded(MANUFACTURER),
        flags: CKF_TOKEN_PRESENT,
        hardwareVersion: library_version(),
        firmwareVersion: library_version(),
    };
    // SAFETY: the contract of this function.
    unsafe { write(info, value) }
}

/// C_GetTokenInfo (5.5.3).
///
/// # Safety
/// `info` is NULL or valid for writes.
pub(crate) unsafe fn token_info(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> Result<()> {
    let mut value = CK_TOKEN_INFO {
        label: padded(""),
        manufacturerID: padded(MANUFACTURER),
        model: padded("KMSS"),
        serialNumber: padded(""),
        flags: CKF_RNG | CKF_LOGIN_REQUIRED | CKF_DUAL_CRYPTO_OPERATIONS,
        ulMaxSessionCount: CK_EFFECTIVELY_INFINITE,
        ulSessionCount: 0,
        ulMaxRwSessionCount: CK_EFFECTIVELY_INFINITE,
        ulRwSessionCount: 0,
        ulMaxPinLen: *PIN_LEN.end() as CK_ULONG,
        ulMinPinLen: *PIN_LEN.start() as CK_ULONG,
        ulTotalPublicMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePublicMemory: CK_UNAVAILABLE_INFORMATION,
        ulTotalPrivateMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePrivateMemory: CK_UNAVAILABLE_INFORMATION,
        hardwareVersion: library_version(),
        firmwareVersion: library_version(),
        utcTime: padded(""),
    };
    if let Slot::Token(token) = module::slot(slot)? {
        describe(&token, &mut value)?;
    }
    // SAFETY: the contract of this function.
    unsafe { write(info, value) }
}

fn describe(token: &Token, info: &mut CK_TOKEN_INFO) -> Result<()> {
    let namespace = token.namespace();
    info.label = padded(&namespace.name);
    // The first half of the identity: stable over restarts and initialisation anew.
    info.serialNumber = padded(&namespace.id.to_string());
    let sessions = token.sessions();
    (info.ulSessionCount, info.ulRwSessionCount) = (sessions.all, sessions.read_write);
    let user = token.kms.credential_state(&namespace, Holder::User(DEFAULT_USER))?;
    let officer = token.kms.credential_state(&namespace, Holder::Officer)?;
    info.flags |= CKF_TOKEN_INITIALIZED | CKF_CLOCK_ON_TOKEN;
    info.utcTime = special::clock_value(token.kms.now());
    if namespace.settings.pinless {
        info.flags &= !CKF_LOGIN_REQUIRED;
    }
    // Nothing is left to be set up where users have no PIN: programs offer to set one where this is missing.
    if user.initialized || namespace.settings.pinless {
        info.flags |= CKF_USER_PIN_INITIALIZED;
    }
    info.flags |= pin_flags(user, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED);
    info.flags |= pin_flags(officer, CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED);
    Ok(())
}

const fn pin_flags(state: CredentialState, low: CK_FLAGS, last: CK_FLAGS, locked: CK_FLAGS) -> CK_FLAGS {
    match state {
        CredentialState { initialized: false, .. } | CredentialState { failures: 0, .. } => 0,
        CredentialState { remaining: 0, .. } => low | locked,
        CredentialState { remaining: 1, .. } => low | last,
        _ => low,
    }
}

/// C_WaitForSlotEvent (5.5.4). Slots do not come and go while somebody waits for it.
///
/// # Safety
/// None; the pointers are not used.
pub(crate) unsafe fn wait_for_slot_event(flags: CK_FLAGS, _slot: *mut CK_SLOT_ID, reserved: *mut c_void) -> Result<()> {
    module::check_initialized()?;
    if !reserved.is_null() {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    Err(Rv(if flags & CKF_DONT_BLOCK == 0 { CKR_FUNCTION_NOT_SUPPORTED } else { CKR_NO_EVENT }))
}

/// The numbers that the token in a slot goes by; a token that is to be made starts with the default ones.
fn profile(slot: &Slot) -> Profile {
    match slot {
        Slot::Token(token) => Profile::for_settings(&token.namespace().settings),
        Slot::Spare => Profile::default(),
    }
}

/// C_GetMechanismList (5.5.5).
///
/// # Safety
/// `count` is NULL or valid; `mechanisms` is NULL or valid for `*count` numbers.
pub(crate) unsafe fn mechanism_list(
    slot: CK_SLOT_ID,
    mechanisms: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> Result<()> {
    let list: Vec<CK_MECHANISM_TYPE> = profile(&module::slot(slot)?).list().collect();
    // SAFETY: the contract of this function.
    unsafe { give_list(&list, mechanisms, count) }
}

/// C_GetMechanismInfo (5.5.6).
///
/// # Safety
/// `info` is NULL or valid for writes.
pub(crate) unsafe fn mechanism_info(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> Result<()> {
    let value = profile(&module::slot(slot)?).info(mechanism).ok_or(Rv(CKR_MECHANISM_INVALID))?;
    // SAFETY: the contract of this function.
    unsafe { write(info, value) }
}

/// C_InitToken (5.5.7): makes a token in the spare slot, and the home where there is none; or makes a token anew, which
/// asks for its officer's PIN and destroys its objects.
///
/// # Safety
/// `pin` is NULL or valid for `pin_len` bytes; `label` is NULL or valid for 32 bytes.
pub(crate) unsafe fn init_token(
    slot: CK_SLOT_ID,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
    label: *mut CK_UTF8CHAR,
) -> Result<()> {
    let existing = match module::slot(slot)? {
        Slot::Token(token) if token.sessions().all > 0 => return Err(Rv(CKR_SESSION_EXISTS)),
        Slot::Token(token) => Some(token.namespace()),
        Slot::Spare => None,
    };
    // SAFETY: the contract of this function.
    let (pin, label) = unsafe { (read_pin(pin, pin_len)?, slice(label, LABEL_LEN)?) };
    let label = std::str::from_utf8(label).map_err(|_| Rv(CKR_ARGUMENTS_BAD))?;
    if existing.is_none() {
        check_new_pin(&pin)?;
    }
    let kms = module::kms_for_new_token()?;
    kms.initialize(existing.as_deref(), label.trim_end_matches(' '), &pin)?;
    module::look_again()
}

/// C_InitPIN (5.5.8): the security officer sets or resets the user's PIN.
///
/// # Safety
/// `pin` is NULL or valid for `pin_len` bytes.
pub(crate) unsafe fn init_pin(session: CK_SESSION_HANDLE, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG) -> Result<()> {
    let view = module::view(session)?;
    if view.caller.login != Login::SecurityOfficer {
        return Err(Rv(CKR_USER_NOT_LOGGED_IN));
    }
    // SAFETY: the contract of this function.
    let pin = unsafe { read_pin(pin, pin_len) }?;
    check_new_pin(&pin)?;
    Ok(view.kms.set_user_pin(&view.caller, DEFAULT_USER, &pin)?)
}

/// C_SetPIN (5.5.9): whoever is logged in changes their PIN; in a public session it is the user's.
///
/// # Safety
/// The PINs are NULL or valid for their lengths.
pub(crate) unsafe fn set_pin(
    session: CK_SESSION_HANDLE,
    old: *mut CK_UTF8CHAR,
    old_len: CK_ULONG,
    new: *mut CK_UTF8CHAR,
    new_len: CK_ULONG,
) -> Result<()> {
    let view = module::view(session)?;
    if !view.read_write {
        return Err(Rv(CKR_SESSION_READ_ONLY));
    }
    // SAFETY: the contract of this function.
    let (old, new) = unsafe { (read_pin(old, old_len)?, read_pin(new, new_len)?) };
    check_new_pin(&new)?;
    let holder = match &view.caller.login {
        Login::None => Holder::User(DEFAULT_USER),
        Login::User(name) => Holder::User(name),
        Login::SecurityOfficer => Holder::Officer,
    };
    Ok(view.kms.change_pin(&view.caller, holder, &old, &new)?)
}

/// A PIN as it was typed. There is no protected path, so NULL is an error.
///
/// # Safety
/// `pin` is NULL or valid for `len` bytes.
pub(crate) unsafe fn read_pin(pin: *const CK_UTF8CHAR, len: CK_ULONG) -> Result<Secret> {
    if pin.is_null() {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    if len > *PIN_LEN.end() as CK_ULONG {
        return Err(Rv(CKR_PIN_LEN_RANGE));
    }
    // SAFETY: the contract of this function.
    Ok(Secret::copy_of(unsafe { slice(pin, len) }?))
}

fn check_new_pin(pin: &Secret) -> Result<()> {
    if PIN_LEN.contains(&pin.len()) { Ok(()) } else { Err(Rv(CKR_PIN_LEN_RANGE)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_a_pin_say_how_many_attempts_are_left() {
        let flags = |failures, remaining| {
            let state = CredentialState { initialized: true, failures, remaining };
            pin_flags(state, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED)
        };
        assert_eq!(flags(0, 10), 0);
        assert_eq!(flags(3, 7), CKF_USER_PIN_COUNT_LOW);
        assert_eq!(flags(9, 1), CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY);
        assert_eq!(flags(10, 0), CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED);
    }
}
