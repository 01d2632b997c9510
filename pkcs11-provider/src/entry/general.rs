//! General-purpose functions (PKCS#11 3.2, 5.4) and the relics of 5.20.

use std::ffi::c_void;

use cryptoki_sys::*;

use crate::module;
use crate::raw::info::{MANUFACTURER, library_version, padded};
use crate::raw::pointers::{reference, slice_mut, write};
use crate::rv::{Result, Rv};

/// C_Initialize (5.4.1). Locks are the operating system's, whatever the flags say, as long as they may be.
///
/// # Safety
/// `arguments` is NULL or points to a `CK_C_INITIALIZE_ARGS`.
pub(crate) unsafe fn initialize(arguments: *mut c_void) -> Result<()> {
    if !arguments.is_null() {
        // SAFETY: the contract of this function.
        let arguments = unsafe { reference(arguments.cast::<CK_C_INITIALIZE_ARGS>()) }?;
        check_arguments(arguments)?;
    }
    module::initialize()
}

fn check_arguments(arguments: &CK_C_INITIALIZE_ARGS) -> Result<()> {
    if !arguments.pReserved.is_null() {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    let callbacks = [
        arguments.CreateMutex.is_some(),
        arguments.DestroyMutex.is_some(),
        arguments.LockMutex.is_some(),
        arguments.UnlockMutex.is_some(),
    ];
    let os_locking = arguments.flags & CKF_OS_LOCKING_OK != 0;
    match callbacks {
        // No thread is ever created here, so CKF_LIBRARY_CANT_CREATE_OS_THREADS changes nothing. Without callbacks and
        // without the flag the application promises to use one thread, which our locks do not hinder.
        [false, false, false, false] => Ok(()),
        [true, true, true, true] if os_locking => Ok(()),
        // Mutexes of the host alone: fork would find them held.
        [true, true, true, true] => Err(Rv(CKR_CANT_LOCK)),
        _ => Err(Rv(CKR_ARGUMENTS_BAD)),
    }
}

/// C_Finalize (5.4.2).
///
/// # Safety
/// None; `reserved` is not read.
pub(crate) unsafe fn finalize(reserved: *mut c_void) -> Result<()> {
    if !reserved.is_null() {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    module::finalize()?;
    super::state::forget();
    Ok(())
}

/// C_GetInfo (5.4.3).
///
/// # Safety
/// `info` is NULL or valid for writes.
pub(crate) unsafe fn info(info: *mut CK_INFO) -> Result<()> {
    module::check_initialized()?;
    let value = CK_INFO {
        cryptokiVersion: CK_VERSION { major: 3, minor: 2 },
        manufacturerID: padded(MANUFACTURER),
        flags: 0,
        libraryDescription: padded("KMSS virtual HSM"),
        libraryVersion: library_version(),
    };
    // SAFETY: the contract of this function.
    unsafe { write(info, value) }
}

/// C_GetFunctionList (5.4.4): the functions of 2.40. Works before C_Initialize.
///
/// # Safety
/// `list` is NULL or valid for writes.
pub(crate) unsafe fn function_list(
    list: *mut *mut CK_FUNCTION_LIST,
    functions: &'static CK_FUNCTION_LIST,
) -> Result<()> {
    // SAFETY: the contract of this function.
    unsafe { write(list, std::ptr::from_ref(functions).cast_mut()) }
}

/// The name of the standard's interfaces.
pub(crate) const NAME: &std::ffi::CStr = c"PKCS 11";

/// The interface of a function list that the standard defines.
pub(crate) const fn standard(list: *const c_void) -> CK_INTERFACE {
    CK_INTERFACE {
        pInterfaceName: NAME.as_ptr().cast::<CK_UTF8CHAR>().cast_mut(),
        pFunctionList: list.cast_mut(),
        flags: CKF_INTERFACE_FORK_SAFE,
    }
}

/// C_GetInterfaceList (5.4.5). Works before C_Initialize.
///
/// # Safety
/// `count` is NULL or valid; `interfaces` is NULL or valid for `*count` structures.
pub(crate) unsafe fn interface_list(
    interfaces: *mut CK_INTERFACE,
    count: *mut CK_ULONG,
    all: &'static [CK_INTERFACE],
) -> Result<()> {
    // SAFETY: the contract of this function.
    let count = unsafe { reference(count) }?;
    let room = std::mem::replace(count, all.len() as CK_ULONG);
    if interfaces.is_null() {
        return Ok(());
    }
    if room < all.len() as CK_ULONG {
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    }
    // SAFETY: `interfaces` is valid for `room` structures, which are at least as many.
    unsafe { slice_mut(interfaces, *count) }?.copy_from_slice(all);
    Ok(())
}

/// C_GetInterface (5.4.6): NULL name or version mean the default. Works before C_Initialize.
///
/// `CKR_FUNCTION_FAILED` where there is no such interface, as 5.4.6 names no better code.
///
/// # Safety
/// `name` is NULL or a C string; `version` is NULL or valid; `interface` is NULL or valid for writes; `all` point to
/// function lists.
pub(crate) unsafe fn interface(
    name: *mut CK_UTF8CHAR,
    version: *mut CK_VERSION,
    interface: *mut *mut CK_INTERFACE,
    flags: CK_FLAGS,
    all: &'static [CK_INTERFACE],
) -> Result<()> {
    // SAFETY: the contract of this function.
    let known = name.is_null() || unsafe { std::ffi::CStr::from_ptr(name.cast()) } == NAME;
    let wanted = if version.is_null() {
        None
    } else {
        // SAFETY: not NULL, and valid by the contract.
        Some(unsafe { reference(version) }?)
    };
    let fits = |interface: &&CK_INTERFACE| {
        // SAFETY: every function list starts with its version (5.4.4).
        let have = unsafe { interface.pFunctionList.cast::<CK_VERSION>().read() };
        wanted.as_ref().is_none_or(|w| (w.major, w.minor) == (have.major, have.minor))
    };
    match all.iter().find(fits) {
        Some(found) if known && flags & !CKF_INTERFACE_FORK_SAFE == 0 => {
            // SAFETY: the contract of this function.
            unsafe { write(interface, std::ptr::from_ref(found).cast_mut()) }
        }
        _ if interface.is_null() => Err(Rv(CKR_ARGUMENTS_BAD)),
        _ => Err(Rv(CKR_FUNCTION_FAILED)),
    }
}

/// C_GetFunctionStatus and C_CancelFunction (5.20): nothing runs in parallel.
///
/// # Safety
/// None.
pub(crate) unsafe fn not_parallel(_session: CK_SESSION_HANDLE) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_PARALLEL))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn get(name: Option<&std::ffi::CStr>, version: Option<(u8, u8)>) -> Result<(u8, u8)> {
        let name = name.map_or(std::ptr::null_mut(), |n| n.as_ptr().cast_mut().cast());
        let mut wanted = version.map(|(major, minor)| CK_VERSION { major, minor });
        let version = wanted.as_mut().map_or(std::ptr::null_mut(), |v| &raw mut *v);
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are NULL or valid.
        unsafe { interface(name, version, &raw mut found, CKF_INTERFACE_FORK_SAFE, &crate::functions::INTERFACES.0) }?;
        // SAFETY: an interface points to a list, which starts with its version.
        let version = unsafe { *(*found).pFunctionList.cast::<CK_VERSION>() };
        Ok((version.major, version.minor))
    }

    #[test]
    fn every_version_is_found_by_name_and_the_newest_is_the_default() {
        assert_eq!(get(None, None), Ok((3, 2)));
        for version in [(2, 40), (3, 0), (3, 2)] {
            assert_eq!(get(Some(NAME), Some(version)), Ok(version));
        }
        assert_eq!(get(Some(c"Vendor"), None), Err(Rv(CKR_FUNCTION_FAILED)));
        assert_eq!(get(Some(NAME), Some((3, 1))), Err(Rv(CKR_FUNCTION_FAILED)));
    }

    #[test]
    fn the_arguments_of_real_clients_are_taken_and_mutexes_of_the_host_alone_are_not() {
        unsafe extern "C" fn create(_: *mut *mut c_void) -> CK_RV {
            CKR_OK
        }
        unsafe extern "C" fn other(_: *mut c_void) -> CK_RV {
            CKR_OK
        }
        let both = CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS;
        let mut arguments = CK_C_INITIALIZE_ARGS { flags: both, ..Default::default() };
        check_arguments(&arguments).unwrap();
        arguments.CreateMutex = Some(create);
        assert_eq!(check_arguments(&arguments), Err(Rv(CKR_ARGUMENTS_BAD)));
        arguments.DestroyMutex = Some(other);
        arguments.LockMutex = Some(other);
        arguments.UnlockMutex = Some(other);
        check_arguments(&arguments).unwrap();
        arguments.flags = 0;
        assert_eq!(check_arguments(&arguments), Err(Rv(CKR_CANT_LOCK)));
        arguments.pReserved = (&raw mut arguments).cast();
        assert_eq!(check_arguments(&arguments), Err(Rv(CKR_ARGUMENTS_BAD)));
    }
}
