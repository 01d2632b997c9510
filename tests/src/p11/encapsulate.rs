//! C_EncapsulateKey and C_DecapsulateKey, which only the list of version 3.2 has.

use std::ptr;

use cryptoki_sys::*;

use super::attribute::array;
use super::{Attr, Mech, Module, Res, Rv, Session, call};

impl Module {
    /// The function list of version 3.2, asked for by its number.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn list_3_2(&self) -> *mut CK_FUNCTION_LIST_3_2 {
        type Function =
            unsafe extern "C" fn(*mut CK_BYTE, *mut CK_VERSION, *mut *mut CK_INTERFACE, flags: CK_FLAGS) -> CK_RV;
        let symbol = self.symbol("C_GetInterface").expect("C_GetInterface is exported");
        // SAFETY: the standard fixes the type of this symbol.
        let function: Function = unsafe { std::mem::transmute(symbol) };
        let mut version = CK_VERSION { major: 3, minor: 2 };
        let mut interface = ptr::null_mut();
        // SAFETY: NULL stands for the default name; the others are places for one value.
        let rv = Rv(unsafe { function(ptr::null_mut(), &raw mut version, &raw mut interface, 0) });
        assert_eq!(rv, Rv(CKR_OK));
        // SAFETY: the module gave the interface out, which is static.
        unsafe { (*interface).pFunctionList.cast() }
    }
}

impl Session {
    /// C_EncapsulateKey into a buffer of `room` bytes, or without one; also tells the length that came back.
    pub fn encapsulate_into(
        &self,
        mechanism: impl Into<Mech>,
        public: CK_OBJECT_HANDLE,
        template: &[Attr],
        room: Option<usize>,
    ) -> (Res<(Vec<u8>, CK_OBJECT_HANDLE)>, usize) {
        let list = self.module.list_3_2();
        let mut attributes = array(template);
        let (first, count) = (attributes.as_mut_ptr(), attributes.len() as CK_ULONG);
        let mut buffer = vec![0; room.unwrap_or(0)];
        let at = if room.is_some() { buffer.as_mut_ptr() } else { ptr::null_mut() };
        let (mut len, mut key) = (buffer.len() as CK_ULONG, 0);
        let rv = mechanism.into().with(|m| {
            let (length, handle) = (&raw mut len, &raw mut key);
            // SAFETY: mechanism, template and buffer outlive the call.
            unsafe { call!(list, C_EncapsulateKey(self.handle, m, public, first, count, at, length, handle)) }
        });
        buffer.truncate(len as usize);
        (rv.ok().map(|()| (buffer, key)), len as usize)
    }

    /// C_EncapsulateKey with room enough; returns ciphertext and key.
    ///
    /// # Errors
    /// As the module says.
    pub fn encapsulate(
        &self,
        mechanism: impl Into<Mech>,
        public: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> Res<(Vec<u8>, CK_OBJECT_HANDLE)> {
        self.encapsulate_into(mechanism, public, template, Some(4096)).0
    }

    /// C_DecapsulateKey.
    ///
    /// # Errors
    /// As the module says.
    pub fn decapsulate(
        &self,
        mechanism: impl Into<Mech>,
        private: CK_OBJECT_HANDLE,
        ciphertext: &[u8],
        template: &[Attr],
    ) -> Res<CK_OBJECT_HANDLE> {
        let list = self.module.list_3_2();
        let mut attributes = array(template);
        let (first, count) = (attributes.as_mut_ptr(), attributes.len() as CK_ULONG);
        let (at, len) = (ciphertext.as_ptr().cast_mut(), ciphertext.len() as CK_ULONG);
        let mut key = 0;
        mechanism.into().with(|m| {
            let handle = &raw mut key;
            // SAFETY: mechanism, template and ciphertext outlive the call.
            unsafe { call!(list, C_DecapsulateKey(self.handle, m, private, first, count, at, len, handle)) }.ok()
        })?;
        Ok(key)
    }
}
