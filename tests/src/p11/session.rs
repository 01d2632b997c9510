//! A session's calls.

use std::ptr;

use cryptoki_sys::*;

use super::attribute::array;
use super::{Attr, Mech, Module, Res, Rv, call};

/// An open session. It is not closed on drop: tests say when.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// The module it belongs to.
    pub module: Module,
    /// Its handle.
    pub handle: CK_SESSION_HANDLE,
}

type Step = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;
type Last = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;

impl Session {
    /// C_CloseSession.
    ///
    /// # Errors
    /// As the module says.
    pub fn close(&self) -> Res<()> {
        // SAFETY: takes a number only.
        unsafe { call!(self.module.list, C_CloseSession(self.handle)) }.ok()
    }

    /// C_GetSessionInfo.
    ///
    /// # Errors
    /// As the module says.
    pub fn info(&self) -> Res<CK_SESSION_INFO> {
        let mut info = CK_SESSION_INFO::default();
        // SAFETY: the place outlives the call.
        unsafe { call!(self.module.list, C_GetSessionInfo(self.handle, &raw mut info)) }.ok()?;
        Ok(info)
    }

    /// C_Login.
    ///
    /// # Errors
    /// As the module says.
    pub fn login(&self, user: CK_USER_TYPE, pin: &str) -> Res<()> {
        let (pin, length) = (pin.as_ptr().cast_mut(), pin.len() as CK_ULONG);
        // SAFETY: the PIN outlives the call, which only reads it.
        unsafe { call!(self.module.list, C_Login(self.handle, user, pin, length)) }.ok()
    }

    /// C_Logout.
    ///
    /// # Errors
    /// As the module says.
    pub fn logout(&self) -> Res<()> {
        // SAFETY: takes a number only.
        unsafe { call!(self.module.list, C_Logout(self.handle)) }.ok()
    }

    /// C_InitPIN.
    ///
    /// # Errors
    /// As the module says.
    pub fn init_pin(&self, pin: &str) -> Res<()> {
        let (pin, length) = (pin.as_ptr().cast_mut(), pin.len() as CK_ULONG);
        // SAFETY: the PIN outlives the call, which only reads it.
        unsafe { call!(self.module.list, C_InitPIN(self.handle, pin, length)) }.ok()
    }

    /// C_SetPIN.
    ///
    /// # Errors
    /// As the module says.
    pub fn set_pin(&self, old: &str, new: &str) -> Res<()> {
        let (old, old_length) = (old.as_ptr().cast_mut(), old.len() as CK_ULONG);
        let (new, new_length) = (new.as_ptr().cast_mut(), new.len() as CK_ULONG);
        // SAFETY: the PINs outlive the call, which only reads them.
        unsafe { call!(self.module.list, C_SetPIN(self.handle, old, old_length, new, new_length)) }.ok()
    }

    /// C_CreateObject.
    ///
    /// # Errors
    /// As the module says.
    pub fn create(&self, template: &[Attr]) -> Res<CK_OBJECT_HANDLE> {
        let mut list = array(template);
        let mut object = 0;
        let (first, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        // SAFETY: the template outlives the call.
        unsafe { call!(self.module.list, C_CreateObject(self.handle, first, count, &raw mut object)) }.ok()?;
        Ok(object)
    }

    /// C_CopyObject.
    ///
    /// # Errors
    /// As the module says.
    pub fn copy(&self, source: CK_OBJECT_HANDLE, template: &[Attr]) -> Res<CK_OBJECT_HANDLE> {
        let mut list = array(template);
        let mut object = 0;
        let (first, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        // SAFETY: the template outlives the call.
        unsafe { call!(self.module.list, C_CopyObject(self.handle, source, first, count, &raw mut object)) }.ok()?;
        Ok(object)
    }

    /// C_DestroyObject.
    ///
    /// # Errors
    /// As the module says.
    pub fn destroy(&self, object: CK_OBJECT_HANDLE) -> Res<()> {
        // SAFETY: takes numbers only.
        unsafe { call!(self.module.list, C_DestroyObject(self.handle, object)) }.ok()
    }

    /// C_SetAttributeValue.
    ///
    /// # Errors
    /// As the module says.
    pub fn set(&self, object: CK_OBJECT_HANDLE, template: &[Attr]) -> Res<()> {
        let mut list = array(template);
        let (first, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        // SAFETY: the template outlives the call.
        unsafe { call!(self.module.list, C_SetAttributeValue(self.handle, object, first, count)) }.ok()
    }

    /// C_GetAttributeValue on a caller's own array.
    pub fn get_raw(&self, object: CK_OBJECT_HANDLE, list: &mut [CK_ATTRIBUTE]) -> Rv {
        let (first, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        // SAFETY: the caller's array and what it points at outlive the call.
        unsafe { call!(self.module.list, C_GetAttributeValue(self.handle, object, first, count)) }
    }

    /// One attribute: its length is asked first.
    ///
    /// # Errors
    /// As the module says.
    pub fn get(&self, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Res<Vec<u8>> {
        let mut one = [CK_ATTRIBUTE { type_: kind, pValue: ptr::null_mut(), ulValueLen: 0 }];
        self.get_raw(object, &mut one).ok()?;
        let mut value = vec![0_u8; one[0].ulValueLen as usize];
        one[0].pValue = value.as_mut_ptr().cast();
        self.get_raw(object, &mut one).ok()?;
        value.truncate(one[0].ulValueLen as usize);
        Ok(value)
    }

    /// A CK_BBOOL attribute.
    ///
    /// # Errors
    /// As the module says.
    pub fn get_flag(&self, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Res<bool> {
        Ok(self.get(object, kind)? == [CK_TRUE])
    }

    /// A CK_ULONG attribute.
    ///
    /// # Errors
    /// As the module says.
    pub fn get_ulong(&self, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Res<CK_ULONG> {
        let value = self.get(object, kind)?;
        Ok(CK_ULONG::from_ne_bytes(value.try_into().expect("a CK_ULONG has eight bytes")))
    }

    /// Everything that matches, through all three find calls.
    ///
    /// # Errors
    /// As the module says.
    pub fn find(&self, template: &[Attr]) -> Res<Vec<CK_OBJECT_HANDLE>> {
        let mut list = array(template);
        let (first, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        // SAFETY: the template outlives the call.
        unsafe { call!(self.module.list, C_FindObjectsInit(self.handle, first, count)) }.ok()?;
        let mut found = Vec::new();
        loop {
            let mut some = [0; 7];
            let mut n = 0;
            // SAFETY: there is room for seven handles.
            unsafe { call!(self.module.list, C_FindObjects(self.handle, some.as_mut_ptr(), 7, &raw mut n)) }.ok()?;
            found.extend_from_slice(&some[..n as usize]);
            if n == 0 {
                break;
            }
        }
        // SAFETY: takes a number only.
        unsafe { call!(self.module.list, C_FindObjectsFinal(self.handle)) }.ok()?;
        Ok(found)
    }

    /// C_GenerateKey.
    ///
    /// # Errors
    /// As the module says.
    pub fn generate(&self, mechanism: impl Into<Mech>, template: &[Attr]) -> Res<CK_OBJECT_HANDLE> {
        let mut list = array(template);
        let mut key = 0;
        let (first, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        mechanism.into().with(|m| {
            // SAFETY: mechanism and template outlive the call.
            unsafe { call!(self.module.list, C_GenerateKey(self.handle, m, first, count, &raw mut key)) }.ok()
        })?;
        Ok(key)
    }

    /// C_GenerateKeyPair: public, private.
    ///
    /// # Errors
    /// As the module says.
    pub fn generate_pair(
        &self,
        mechanism: impl Into<Mech>,
        public: &[Attr],
        private: &[Attr],
    ) -> Res<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
        let (mut public, mut private) = (array(public), array(private));
        let (p, pn) = (public.as_mut_ptr(), public.len() as CK_ULONG);
        let (s, sn) = (private.as_mut_ptr(), private.len() as CK_ULONG);
        let (mut a, mut b) = (0, 0);
        mechanism.into().with(|m| {
            // SAFETY: mechanism and templates outlive the call.
            let rv = unsafe {
                call!(self.module.list, C_GenerateKeyPair(self.handle, m, p, pn, s, sn, &raw mut a, &raw mut b))
            };
            rv.ok()
        })?;
        Ok((a, b))
    }

    /// C_WrapKey.
    ///
    /// # Errors
    /// As the module says.
    pub fn wrap(&self, mechanism: impl Into<Mech>, with: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE) -> Res<Vec<u8>> {
        let mechanism = mechanism.into();
        filled(|out, length| {
            // SAFETY: mechanism and buffer outlive the call.
            mechanism.with(|m| unsafe { call!(self.module.list, C_WrapKey(self.handle, m, with, key, out, length)) })
        })
    }

    /// C_UnwrapKey.
    ///
    /// # Errors
    /// As the module says.
    pub fn unwrap(
        &self,
        mechanism: impl Into<Mech>,
        with: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        template: &[Attr],
    ) -> Res<CK_OBJECT_HANDLE> {
        let mut list = array(template);
        let (first, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        let (blob, length) = (wrapped.as_ptr().cast_mut(), wrapped.len() as CK_ULONG);
        let mut key = 0;
        mechanism.into().with(|m| {
            // SAFETY: mechanism, blob and template outlive the call.
            let rv = unsafe {
                call!(self.module.list, C_UnwrapKey(self.handle, m, with, blob, length, first, count, &raw mut key))
            };
            rv.ok()
        })?;
        Ok(key)
    }

    /// C_DeriveKey.
    ///
    /// # Errors
    /// As the module says.
    pub fn derive(
        &self,
        mechanism: impl Into<Mech>,
        base: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> Res<CK_OBJECT_HANDLE> {
        let mut list = array(template);
        let (first, count) = (list.as_mut_ptr(), list.len() as CK_ULONG);
        let mut key = 0;
        mechanism.into().with(|m| {
            // SAFETY: mechanism and template outlive the call.
            unsafe { call!(self.module.list, C_DeriveKey(self.handle, m, base, first, count, &raw mut key)) }.ok()
        })?;
        Ok(key)
    }

    /// C_GenerateRandom.
    ///
    /// # Errors
    /// As the module says.
    pub fn random(&self, length: usize) -> Res<Vec<u8>> {
        let mut bytes = vec![0; length];
        // SAFETY: the buffer has `length` bytes.
        unsafe { call!(self.module.list, C_GenerateRandom(self.handle, bytes.as_mut_ptr(), length as CK_ULONG)) }
            .ok()?;
        Ok(bytes)
    }

    /// C_SignInit.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign_init(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE) -> Res<()> {
        // SAFETY: the mechanism outlives the call.
        mechanism.into().with(|m| unsafe { call!(self.module.list, C_SignInit(self.handle, m, key)) }).ok()
    }

    /// C_VerifyInit.
    ///
    /// # Errors
    /// As the module says.
    pub fn verify_init(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE) -> Res<()> {
        // SAFETY: the mechanism outlives the call.
        mechanism.into().with(|m| unsafe { call!(self.module.list, C_VerifyInit(self.handle, m, key)) }).ok()
    }

    /// C_EncryptInit.
    ///
    /// # Errors
    /// As the module says.
    pub fn encrypt_init(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE) -> Res<()> {
        // SAFETY: the mechanism outlives the call.
        mechanism.into().with(|m| unsafe { call!(self.module.list, C_EncryptInit(self.handle, m, key)) }).ok()
    }

    /// C_DecryptInit.
    ///
    /// # Errors
    /// As the module says.
    pub fn decrypt_init(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE) -> Res<()> {
        // SAFETY: the mechanism outlives the call.
        mechanism.into().with(|m| unsafe { call!(self.module.list, C_DecryptInit(self.handle, m, key)) }).ok()
    }

    /// C_DigestInit.
    ///
    /// # Errors
    /// As the module says.
    pub fn digest_init(&self, mechanism: impl Into<Mech>) -> Res<()> {
        // SAFETY: the mechanism outlives the call.
        mechanism.into().with(|m| unsafe { call!(self.module.list, C_DigestInit(self.handle, m)) }).ok()
    }

    /// Init and C_Sign.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE, data: &[u8]) -> Res<Vec<u8>> {
        self.sign_init(mechanism, key)?;
        self.one_shot(self.entry(|l| l.C_Sign), data)
    }

    /// Init and C_Verify.
    ///
    /// # Errors
    /// As the module says.
    pub fn verify(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE, data: &[u8], signature: &[u8]) -> Res<()> {
        self.verify_init(mechanism, key)?;
        let (d, dn) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        let (s, sn) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
        // SAFETY: data and signature outlive the call, which only reads them.
        unsafe { call!(self.module.list, C_Verify(self.handle, d, dn, s, sn)) }.ok()
    }

    /// Init and C_Encrypt.
    ///
    /// # Errors
    /// As the module says.
    pub fn encrypt(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE, data: &[u8]) -> Res<Vec<u8>> {
        self.encrypt_init(mechanism, key)?;
        self.one_shot(self.entry(|l| l.C_Encrypt), data)
    }

    /// Init and C_Decrypt.
    ///
    /// # Errors
    /// As the module says.
    pub fn decrypt(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE, data: &[u8]) -> Res<Vec<u8>> {
        self.decrypt_init(mechanism, key)?;
        self.one_shot(self.entry(|l| l.C_Decrypt), data)
    }

    /// Init and C_Digest.
    ///
    /// # Errors
    /// As the module says.
    pub fn digest(&self, mechanism: impl Into<Mech>, data: &[u8]) -> Res<Vec<u8>> {
        self.digest_init(mechanism)?;
        self.one_shot(self.entry(|l| l.C_Digest), data)
    }

    /// C_Sign, C_Encrypt, C_Decrypt or C_Digest into a buffer of this size (`None`: NULL): the code and the length.
    pub fn into_buffer(&self, what: Whole, data: &[u8], room: Option<usize>) -> (Rv, usize) {
        let function = self.entry(|l| match what {
            Whole::Sign => l.C_Sign,
            Whole::Encrypt => l.C_Encrypt,
            Whole::Decrypt => l.C_Decrypt,
            Whole::Digest => l.C_Digest,
        });
        let mut buffer = vec![0; room.unwrap_or(0).max(1)];
        let mut length = room.unwrap_or(0) as CK_ULONG;
        let out = if room.is_some() { buffer.as_mut_ptr() } else { ptr::null_mut() };
        let (input, input_length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        // SAFETY: the buffer has as many bytes as `length` says, or is NULL.
        let rv = unsafe { function(self.handle, input, input_length, out, &raw mut length) };
        (Rv(rv), length as usize)
    }

    /// C_SignUpdate for each part, then C_SignFinal.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign_parts(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE, parts: &[&[u8]]) -> Res<Vec<u8>> {
        self.sign_init(mechanism, key)?;
        for part in parts {
            let (p, n) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
            // SAFETY: the part outlives the call, which only reads it.
            unsafe { call!(self.module.list, C_SignUpdate(self.handle, p, n)) }.ok()?;
        }
        self.last(self.entry(|l| l.C_SignFinal))
    }

    /// C_VerifyUpdate for each part, then C_VerifyFinal.
    ///
    /// # Errors
    /// As the module says.
    pub fn verify_parts(
        &self,
        mechanism: impl Into<Mech>,
        key: CK_OBJECT_HANDLE,
        parts: &[&[u8]],
        signature: &[u8],
    ) -> Res<()> {
        self.verify_init(mechanism, key)?;
        for part in parts {
            let (p, n) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
            // SAFETY: the part outlives the call, which only reads it.
            unsafe { call!(self.module.list, C_VerifyUpdate(self.handle, p, n)) }.ok()?;
        }
        let (s, sn) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
        // SAFETY: the signature outlives the call, which only reads it.
        unsafe { call!(self.module.list, C_VerifyFinal(self.handle, s, sn)) }.ok()
    }

    /// C_EncryptUpdate for each part, then C_EncryptFinal.
    ///
    /// # Errors
    /// As the module says.
    pub fn encrypt_parts(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE, parts: &[&[u8]]) -> Res<Vec<u8>> {
        self.encrypt_init(mechanism, key)?;
        self.stream(self.entry(|l| l.C_EncryptUpdate), self.entry(|l| l.C_EncryptFinal), parts)
    }

    /// C_DecryptUpdate for each part, then C_DecryptFinal.
    ///
    /// # Errors
    /// As the module says.
    pub fn decrypt_parts(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE, parts: &[&[u8]]) -> Res<Vec<u8>> {
        self.decrypt_init(mechanism, key)?;
        self.stream(self.entry(|l| l.C_DecryptUpdate), self.entry(|l| l.C_DecryptFinal), parts)
    }

    /// C_DecryptUpdate.
    ///
    /// # Errors
    /// As the module says.
    pub fn decrypt_update(&self, part: &[u8]) -> Res<Vec<u8>> {
        self.one_shot(self.entry(|l| l.C_DecryptUpdate), part)
    }

    /// C_DecryptFinal.
    ///
    /// # Errors
    /// As the module says.
    pub fn decrypt_final(&self) -> Res<Vec<u8>> {
        self.last(self.entry(|l| l.C_DecryptFinal))
    }

    /// C_DigestUpdate.
    ///
    /// # Errors
    /// As the module says.
    pub fn digest_update(&self, part: &[u8]) -> Res<()> {
        let (p, n) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
        // SAFETY: the part outlives the call, which only reads it.
        unsafe { call!(self.module.list, C_DigestUpdate(self.handle, p, n)) }.ok()
    }

    /// C_DigestFinal.
    ///
    /// # Errors
    /// As the module says.
    pub fn digest_final(&self) -> Res<Vec<u8>> {
        self.last(self.entry(|l| l.C_DigestFinal))
    }

    /// C_GetOperationState.
    ///
    /// # Errors
    /// As the module says.
    pub fn state(&self) -> Res<Vec<u8>> {
        self.last(self.entry(|l| l.C_GetOperationState))
    }

    /// C_SetOperationState, without keys.
    ///
    /// # Errors
    /// As the module says.
    pub fn set_state(&self, state: &[u8]) -> Res<()> {
        let (p, n) = (state.as_ptr().cast_mut(), state.len() as CK_ULONG);
        // SAFETY: the state outlives the call, which only reads it.
        unsafe { call!(self.module.list, C_SetOperationState(self.handle, p, n, 0, 0)) }.ok()
    }

    pub(super) fn entry<F>(&self, choose: impl FnOnce(&CK_FUNCTION_LIST) -> Option<F>) -> F {
        // SAFETY: the list is constant for the life of the process.
        choose(unsafe { &*self.module.list }).expect("no function is NULL")
    }

    pub(super) fn one_shot(&self, function: Step, data: &[u8]) -> Res<Vec<u8>> {
        let (input, length) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        // SAFETY: input and buffer outlive the call.
        filled(|out, room| Rv(unsafe { function(self.handle, input, length, out, room) }))
    }

    fn last(&self, function: Last) -> Res<Vec<u8>> {
        // SAFETY: the buffer outlives the call.
        filled(|out, room| Rv(unsafe { function(self.handle, out, room) }))
    }

    fn stream(&self, step: Step, last: Last, parts: &[&[u8]]) -> Res<Vec<u8>> {
        let mut whole = Vec::new();
        for part in parts {
            whole.extend(self.one_shot(step, part)?);
        }
        whole.extend(self.last(last)?);
        Ok(whole)
    }
}

/// What is done in one call.
#[derive(Debug, Clone, Copy)]
pub enum Whole {
    /// C_Sign
    Sign,
    /// C_Encrypt
    Encrypt,
    /// C_Decrypt
    Decrypt,
    /// C_Digest
    Digest,
}

/// Calls with a buffer that every result of the tests fits into.
fn filled(call: impl FnOnce(*mut CK_BYTE, *mut CK_ULONG) -> Rv) -> Res<Vec<u8>> {
    let mut buffer = vec![0_u8; 1 << 17];
    let mut length = buffer.len() as CK_ULONG;
    call(buffer.as_mut_ptr(), &raw mut length).ok()?;
    buffer.truncate(length as usize);
    Ok(buffer)
}
