//! Object management functions (PKCS#11 3.2, 5.7).

use cryptoki_sys::*;

use crate::module;
use crate::module::search::Search;
use crate::object::{self, Shown};
use crate::raw::{pointers, template};
use crate::rv::{Result, Rv};

/// Most handles that one call of C_FindObjects returns; the next call returns more.
const MOST: usize = 4096;

/// C_CreateObject (5.7.1).
pub(crate) unsafe fn create(
    session: CK_SESSION_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    handle: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's template and the place for the handle, as PKCS#11 describes them.
    let (template, handle) = unsafe { (template::read(attributes, count)?, pointers::reference(handle)?) };
    *handle = object::create(&view, &template)?;
    Ok(())
}

/// C_CopyObject (5.7.2).
pub(crate) unsafe fn copy(
    session: CK_SESSION_HANDLE,
    source: CK_OBJECT_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    handle: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's template and the place for the handle, as PKCS#11 describes them.
    let (template, handle) = unsafe { (template::read(attributes, count)?, pointers::reference(handle)?) };
    *handle = object::copy(&view, source, &template)?;
    Ok(())
}

/// C_DestroyObject (5.7.3).
pub(crate) unsafe fn destroy(session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE) -> Result<()> {
    object::destroy(&module::view(session)?, handle)
}

/// C_GetObjectSize (5.7.4).
pub(crate) unsafe fn size(session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE, size: *mut CK_ULONG) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's place for the size.
    let size = unsafe { pointers::reference(size) }?;
    *size = object::size(&view, handle)? as CK_ULONG;
    Ok(())
}

/// C_GetAttributeValue (5.7.5).
pub(crate) unsafe fn attributes(
    session: CK_SESSION_HANDLE,
    handle: CK_OBJECT_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<()> {
    let view = module::view(session)?;
    if attributes.is_null() {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    let shown = Shown::new(&view, handle)?;
    // SAFETY: the caller's template with its buffers, as PKCS#11 describes them.
    unsafe { template::fill(attributes, count, |kind| shown.answer(kind)) }
}

/// C_SetAttributeValue (5.7.6).
pub(crate) unsafe fn set_attributes(
    session: CK_SESSION_HANDLE,
    handle: CK_OBJECT_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's template.
    let template = unsafe { template::read(attributes, count) }?;
    object::set_attributes(&view, handle, &template)
}

/// C_FindObjectsInit (5.7.7).
pub(crate) unsafe fn find_init(
    session: CK_SESSION_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the caller's template.
    let template = unsafe { template::read(attributes, count) }?;
    if module::with_session(session, |s| s.find.is_some())? {
        return Err(Rv(CKR_OPERATION_ACTIVE));
    }
    let search = Search::begin(&view, template)?;
    module::with_session(session, |s| s.find = Some(search))
}

/// C_FindObjects (5.7.8).
pub(crate) unsafe fn find(
    session: CK_SESSION_HANDLE,
    handles: *mut CK_OBJECT_HANDLE,
    max: CK_ULONG,
    count: *mut CK_ULONG,
) -> Result<()> {
    let view = module::view(session)?;
    let most = usize::try_from(max).unwrap_or(MOST).min(MOST);
    // SAFETY: the caller's room for `max` handles, of which `most` are used, and the place for their number.
    let (room, count) = unsafe { (pointers::slice_mut(handles, most as CK_ULONG)?, pointers::reference(count)?) };
    // Out of the session meanwhile: searching takes no lock.
    let mut search = module::with_session(session, |s| s.find.take())?.ok_or(Rv(CKR_OPERATION_NOT_INITIALIZED))?;
    let found = search.next(&view, room.len())?;
    module::with_session(session, |s| s.find = Some(search))?;
    for (place, handle) in room.iter_mut().zip(&found) {
        *place = *handle;
    }
    *count = found.len() as CK_ULONG;
    Ok(())
}

/// C_FindObjectsFinal (5.7.9).
pub(crate) unsafe fn find_final(session: CK_SESSION_HANDLE) -> Result<()> {
    let search = module::with_session(session, |s| s.find.take())?;
    search.map(drop).ok_or(Rv(CKR_OPERATION_NOT_INITIALIZED))
}
