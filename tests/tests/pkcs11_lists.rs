//! The function lists 2.40, 3.0 and 3.2: whole, consistent, and honest about what is not offered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unsafe_code, reason = "reads the function lists as memory")]

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::mem::size_of;
use std::ptr;

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::p11::{Rv, module, token};

type GetInterface = unsafe extern "C" fn(*mut CK_UTF8CHAR, *mut CK_VERSION, *mut *mut CK_INTERFACE, CK_FLAGS) -> CK_RV;
type GetInterfaceList = unsafe extern "C" fn(*mut CK_INTERFACE, *mut CK_ULONG) -> CK_RV;

fn get_interface() -> GetInterface {
    let symbol = module().symbol("C_GetInterface").expect("C_GetInterface is exported");
    // SAFETY: the standard fixes the type of this symbol.
    unsafe { std::mem::transmute(symbol) }
}

fn interface(name: Option<&CStr>, version: Option<(u8, u8)>, flags: CK_FLAGS) -> Result<(CK_VERSION, *const u8), Rv> {
    let mut asked = version.map(|(major, minor)| CK_VERSION { major, minor });
    let mut found = ptr::null_mut();
    let name = name.map_or(ptr::null_mut(), |n| n.as_ptr().cast_mut().cast());
    let version = asked.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: every argument outlives the call.
    Rv(unsafe { get_interface()(name, version, &raw mut found, flags) }).ok()?;
    // SAFETY: CKR_OK promises an interface, whose list begins with its version.
    unsafe {
        assert_eq!(CStr::from_ptr((*found).pInterfaceName.cast()), c"PKCS 11");
        let list: *const u8 = (*found).pFunctionList.cast_const().cast();
        Ok((*list.cast::<CK_VERSION>(), list))
    }
}

/// The entries of a list behind its version, as numbers.
fn entries(list: *const u8, size: usize) -> Vec<usize> {
    let words = size / size_of::<usize>();
    // SAFETY: the list has `size` bytes, its first word is the version and padding.
    (1..words).map(|n| unsafe { *list.cast::<usize>().add(n) }).collect()
}

#[test]
fn no_entry_of_any_list_is_null() {
    let list = module().list.cast_const().cast::<u8>();
    let old = entries(list, size_of::<CK_FUNCTION_LIST>());
    assert!(old.iter().all(|entry| *entry != 0), "NULL in 2.40: {old:x?}");
    if built::only_kmss("C_GetInterface") {
        return;
    }
    let (_, list) = interface(None, Some((3, 0)), 0).unwrap();
    let three = entries(list, size_of::<CK_FUNCTION_LIST_3_0>());
    assert!(three.iter().all(|entry| *entry != 0), "NULL in 3.0: {three:x?}");
    let (_, list) = interface(None, Some((3, 2)), 0).unwrap();
    let newest = entries(list, size_of::<CK_FUNCTION_LIST_3_2>());
    assert!(newest.iter().all(|entry| *entry != 0), "NULL in 3.2: {newest:x?}");
    assert_eq!(three, newest[..three.len()], "3.2 begins as 3.0");
    assert_eq!(old, three[..old.len()], "3.0 begins as 2.40");
}

#[test]
fn each_version_is_found_by_name_and_number() {
    if built::only_kmss("C_GetInterface") {
        return;
    }
    for version in [(2, 40), (3, 0), (3, 2)] {
        let (found, _) = interface(Some(c"PKCS 11"), Some(version), 0).unwrap();
        assert_eq!((found.major, found.minor), version);
    }
    let (newest, _) = interface(None, None, 0).unwrap();
    assert_eq!(newest.major, 3, "without a wish the default is a 3.x list");
    assert!(interface(Some(c"PKCS 12"), None, 0).is_err(), "an unknown interface is refused");
    assert!(interface(None, Some((9, 9)), 0).is_err(), "an unknown version is refused");
    assert!(interface(None, None, 1 << 40).is_err(), "unknown flags are refused");
    // SAFETY: NULL for the place is hostile input that must come back as a code.
    let rv = unsafe { get_interface()(ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0) };
    assert_eq!(Rv(rv), Rv(CKR_ARGUMENTS_BAD));
}

#[test]
fn the_list_of_interfaces_names_all_three() {
    if built::only_kmss("C_GetInterfaceList") {
        return;
    }
    let symbol = module().symbol("C_GetInterfaceList").expect("C_GetInterfaceList is exported");
    // SAFETY: the standard fixes the type of this symbol.
    let function: GetInterfaceList = unsafe { std::mem::transmute(symbol) };
    let mut count = 0;
    // SAFETY: NULL asks for the count only.
    assert_eq!(Rv(unsafe { function(ptr::null_mut(), &raw mut count) }), Rv(CKR_OK));
    assert!(count >= 3, "{count} interfaces");
    let mut list = vec![
        CK_INTERFACE { pInterfaceName: ptr::null_mut(), pFunctionList: ptr::null_mut(), flags: 0 };
        count as usize
    ];
    let mut short = count - 1;
    // SAFETY: there is room for `short` interfaces and more.
    assert_eq!(Rv(unsafe { function(list.as_mut_ptr(), &raw mut short) }), Rv(CKR_BUFFER_TOO_SMALL));
    assert_eq!(short, count, "a refusal tells the count");
    // SAFETY: there is room for `count` interfaces.
    assert_eq!(Rv(unsafe { function(list.as_mut_ptr(), &raw mut count) }), Rv(CKR_OK));
    let mut versions = BTreeMap::new();
    for one in &list {
        // SAFETY: each list begins with its version.
        let version = unsafe { *one.pFunctionList.cast::<CK_VERSION>() };
        versions.insert((version.major, version.minor), one.flags);
    }
    assert_eq!(versions.keys().copied().collect::<Vec<_>>(), [(2, 40), (3, 0), (3, 2)]);
}

#[test]
fn what_is_not_offered_says_so() {
    let session = token("not-offered").user();
    let list = module().list;
    // SAFETY: each call gets a session and buffers that outlive it.
    unsafe {
        let cancel = (*list).C_CancelFunction.unwrap()(session.handle);
        assert_eq!(Rv(cancel), Rv(CKR_FUNCTION_NOT_PARALLEL));
        let status = (*list).C_GetFunctionStatus.unwrap()(session.handle);
        assert_eq!(Rv(status), Rv(CKR_FUNCTION_NOT_PARALLEL));
    }
    if built::only_kmss("3.2 list") {
        return;
    }
    let (_, list) = interface(None, Some((3, 2)), 0).unwrap();
    let list = list.cast::<CK_FUNCTION_LIST_3_2>();
    let (mut bytes, mut length) = ([0_u8; 64], 64);
    // SAFETY: each call gets a session and buffers that outlive it.
    let codes = unsafe {
        [
            (*list).C_DigestEncryptUpdate.unwrap()(
                session.handle,
                bytes.as_mut_ptr(),
                1,
                bytes.as_mut_ptr(),
                &raw mut length,
            ),
            (*list).C_SignRecoverInit.unwrap()(session.handle, ptr::null_mut(), 1),
            (*list).C_VerifyRecoverInit.unwrap()(session.handle, ptr::null_mut(), 1),
            (*list).C_AsyncGetID.unwrap()(session.handle, bytes.as_mut_ptr(), &raw mut length),
            (*list).C_AsyncJoin.unwrap()(session.handle, bytes.as_mut_ptr(), 1, bytes.as_mut_ptr(), 1),
        ]
    };
    let honest = [CKR_FUNCTION_NOT_SUPPORTED, CKR_ARGUMENTS_BAD, CKR_OPERATION_NOT_INITIALIZED];
    for code in codes {
        assert!(honest.contains(&code), "{:?} for a function that is not offered", Rv(code));
    }
    assert!(codes.contains(&CKR_FUNCTION_NOT_SUPPORTED), "asynchronous calls are not offered: {codes:?}");
}

#[test]
fn null_where_a_place_belongs_is_refused() {
    let session = token("null").user();
    let list = module().list;
    // SAFETY: hostile input: NULL places must come back as a code, never as a crash.
    let codes = unsafe {
        [
            (*list).C_GetInfo.unwrap()(ptr::null_mut()),
            (*list).C_GetSlotList.unwrap()(CK_TRUE, ptr::null_mut(), ptr::null_mut()),
            (*list).C_GetSlotInfo.unwrap()(0, ptr::null_mut()),
            (*list).C_GetFunctionList.unwrap()(ptr::null_mut()),
            (*list).C_GetSessionInfo.unwrap()(session.handle, ptr::null_mut()),
            (*list).C_CreateObject.unwrap()(session.handle, ptr::null_mut(), 3, ptr::null_mut()),
            (*list).C_FindObjectsInit.unwrap()(session.handle, ptr::null_mut(), 3),
            (*list).C_GetAttributeValue.unwrap()(session.handle, 1, ptr::null_mut(), 3),
            (*list).C_SignInit.unwrap()(session.handle, ptr::null_mut(), 1),
            (*list).C_Login.unwrap()(session.handle, CKU_SO, ptr::null_mut(), 5),
            (*list).C_GenerateRandom.unwrap()(session.handle, ptr::null_mut(), 5),
            (*list).C_Finalize.unwrap()(ptr::dangling_mut()),
        ]
    };
    for (n, code) in codes.into_iter().enumerate() {
        assert_ne!(Rv(code), Rv(CKR_OK), "call {n} took NULL for an answer");
    }
    assert!(session.info().is_ok(), "the module lives on");
}

#[test]
fn the_module_introduces_itself() {
    let info = module().info().unwrap();
    assert!(info.cryptokiVersion.major >= 2);
    assert!(info.manufacturerID.ends_with(b" "), "padded with blanks, not NUL");
    assert!(info.libraryDescription.ends_with(b" "));
    assert_eq!(info.flags, 0);
}
