//! The PKCS#11 door of KMSS: a virtual HSM as one shared object, with the C ABI in the same file.
//!
//! This file is the table of all functions. `entry` reads what the host passes, the other modules are safe Rust, and the
//! hall (`libkmss`) decides and computes.

// The C ABI's symbols come in with it.
extern crate ffi as _;

mod attributes;
mod cipher;
mod deriving;
mod entry;
#[macro_use]
mod guard;
mod making;
mod mechanisms;
mod messages;
mod module;
mod nonce;
mod object;
mod raw;
mod rv;
mod verification;

/// The table. What is not offered yet says so.
#[expect(unsafe_code, reason = "C calls these functions, three of them by name")]
#[expect(non_snake_case, reason = "the names are the standard's")]
mod functions {
    use cryptoki_sys::*;

    use crate::entry::{
        decrypt, digest, dual, encapsulate, encrypt, general, keys, message as messages, object as objects, random,
        recover, session as sessions, sign, slot_token, state, v3_2, verify,
    };

    type Bytes = CK_BYTE_PTR;
    type Len = CK_ULONG;
    type LenOut = CK_ULONG_PTR;
    type Mechanism = CK_MECHANISM_PTR;
    type Object = CK_OBJECT_HANDLE;
    type ObjectOut = CK_OBJECT_HANDLE_PTR;
    type Pointer = *mut std::ffi::c_void;
    type Session = CK_SESSION_HANDLE;
    type SessionOut = CK_SESSION_HANDLE_PTR;
    type Slot = CK_SLOT_ID;
    type Template = CK_ATTRIBUTE_PTR;

    /// The interfaces, as C sees them.
    pub(crate) struct Interfaces(pub(crate) [CK_INTERFACE; 3]);

    // SAFETY: everything the pointers lead to is static and never written.
    unsafe impl Sync for Interfaces {}

    /// The default interface comes first.
    pub(crate) static INTERFACES: Interfaces = Interfaces([
        general::standard((&raw const LIST_3_2).cast()),
        general::standard((&raw const LIST_3_0).cast()),
        general::standard((&raw const LIST_2_40).cast()),
    ]);

    function_table! {
        v2_40 {
            C_Initialize(arguments: Pointer) => general::initialize;
            C_Finalize(reserved: Pointer) => general::finalize;
            C_GetInfo(info: *mut CK_INFO) => general::info;
            #[unsafe(no_mangle)]
            C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) => general::function_list with &LIST_2_40;
            C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: LenOut) => slot_token::slot_list;
            C_GetSlotInfo(slot: Slot, info: *mut CK_SLOT_INFO) => slot_token::slot_info;
            C_GetTokenInfo(slot: Slot, info: *mut CK_TOKEN_INFO) => slot_token::token_info;
            C_GetMechanismList(slot: Slot, mechanisms: *mut CK_MECHANISM_TYPE, count: LenOut)
                => slot_token::mechanism_list;
            C_GetMechanismInfo(slot: Slot, mechanism: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO)
                => slot_token::mechanism_info;
            C_InitToken(slot: Slot, pin: Bytes, pin_len: Len, label: Bytes) => slot_token::init_token;
            C_InitPIN(session: Session, pin: Bytes, pin_len: Len) => slot_token::init_pin;
            C_SetPIN(session: Session, old: Bytes, old_len: Len, new: Bytes, new_len: Len) => slot_token::set_pin;
            C_OpenSession(slot: Slot, flags: CK_FLAGS, application: Pointer, notify: CK_NOTIFY, session: SessionOut)
                => sessions::open;
            C_CloseSession(session: Session) => sessions::close;
            C_CloseAllSessions(slot: Slot) => sessions::close_all;
            C_GetSessionInfo(session: Session, info: *mut CK_SESSION_INFO) => sessions::info;
            C_GetOperationState(session: Session, state: Bytes, state_len: LenOut) => state::save;
            C_SetOperationState(
                session: Session, state: Bytes, state_len: Len, encryption_key: Object, authentication_key: Object
            ) => state::restore;
            C_Login(session: Session, user: CK_USER_TYPE, pin: Bytes, pin_len: Len) => sessions::login;
            C_Logout(session: Session) => sessions::logout;
            C_CreateObject(session: Session, template: Template, count: Len, object: ObjectOut) => objects::create;
            C_CopyObject(session: Session, object: Object, template: Template, count: Len, copy: ObjectOut)
                => objects::copy;
            C_DestroyObject(session: Session, object: Object) => objects::destroy;
            C_GetObjectSize(session: Session, object: Object, size: LenOut) => objects::size;
            C_GetAttributeValue(session: Session, object: Object, template: Template, count: Len)
                => objects::attributes;
            C_SetAttributeValue(session: Session, object: Object, template: Template, count: Len)
                => objects::set_attributes;
            C_FindObjectsInit(session: Session, template: Template, count: Len) => objects::find_init;
            C_FindObjects(session: Session, objects: ObjectOut, max: Len, count: LenOut) => objects::find;
            C_FindObjectsFinal(session: Session) => objects::find_final;
            C_EncryptInit(session: Session, mechanism: Mechanism, key: Object) => encrypt::init;
            C_Encrypt(session: Session, data: Bytes, data_len: Len, out: Bytes, out_len: LenOut) => encrypt::one_shot;
            C_EncryptUpdate(session: Session, part: Bytes, part_len: Len, out: Bytes, out_len: LenOut)
                => encrypt::update;
            C_EncryptFinal(session: Session, out: Bytes, out_len: LenOut) => encrypt::last;
            C_DecryptInit(session: Session, mechanism: Mechanism, key: Object) => decrypt::init;
            C_Decrypt(session: Session, data: Bytes, data_len: Len, out: Bytes, out_len: LenOut) => decrypt::one_shot;
            C_DecryptUpdate(session: Session, part: Bytes, part_len: Len, out: Bytes, out_len: LenOut)
                => decrypt::update;
            C_DecryptFinal(session: Session, out: Bytes, out_len: LenOut) => decrypt::last;
            C_DigestInit(session: Session, mechanism: Mechanism) => digest::init;
            C_Digest(session: Session, data: Bytes, data_len: Len, out: Bytes, out_len: LenOut) => digest::one_shot;
            C_DigestUpdate(session: Session, part: Bytes, part_len: Len) => digest::update;
            C_DigestKey(session: Session, key: Object) => digest::key;
            C_DigestFinal(session: Session, out: Bytes, out_len: LenOut) => digest::last;
            C_SignInit(session: Session, mechanism: Mechanism, key: Object) => sign::init;
            C_Sign(session: Session, data: Bytes, data_len: Len, out: Bytes, out_len: LenOut) => sign::one_shot;
            C_SignUpdate(session: Session, part: Bytes, part_len: Len) => sign::update;
            C_SignFinal(session: Session, out: Bytes, out_len: LenOut) => sign::last;
            C_SignRecoverInit(session: Session, mechanism: Mechanism, key: Object) => recover::sign_init;
            C_SignRecover(session: Session, data: Bytes, data_len: Len, out: Bytes, out_len: LenOut) => recover::sign;
            C_VerifyInit(session: Session, mechanism: Mechanism, key: Object) => verify::init;
            C_Verify(session: Session, data: Bytes, data_len: Len, signature: Bytes, signature_len: Len)
                => verify::one_shot;
            C_VerifyUpdate(session: Session, part: Bytes, part_len: Len) => verify::update;
            C_VerifyFinal(session: Session, signature: Bytes, signature_len: Len) => verify::last;
            C_VerifyRecoverInit(session: Session, mechanism: Mechanism, key: Object) => recover::verify_init;
            C_VerifyRecover(session: Session, signature: Bytes, signature_len: Len, out: Bytes, out_len: LenOut)
                => recover::verify;
            C_DigestEncryptUpdate(session: Session, part: Bytes, part_len: Len, out: Bytes, out_len: LenOut)
                => dual::digest_encrypt;
            C_DecryptDigestUpdate(session: Session, part: Bytes, part_len: Len, out: Bytes, out_len: LenOut)
                => dual::decrypt_digest;
            C_SignEncryptUpdate(session: Session, part: Bytes, part_len: Len, out: Bytes, out_len: LenOut)
                => dual::sign_encrypt;
            C_DecryptVerifyUpdate(session: Session, part: Bytes, part_len: Len, out: Bytes, out_len: LenOut)
                => dual::decrypt_verify;
            C_GenerateKey(session: Session, mechanism: Mechanism, template: Template, count: Len, key: ObjectOut)
                => keys::generate;
            C_GenerateKeyPair(
                session: Session, mechanism: Mechanism, public: Template, public_count: Len, private: Template,
                private_count: Len, public_key: ObjectOut, private_key: ObjectOut
            ) => keys::generate_pair;
            C_WrapKey(
                session: Session, mechanism: Mechanism, wrapping: Object, key: Object, wrapped: Bytes,
                wrapped_len: LenOut
            ) => keys::wrap;
            C_UnwrapKey(
                session: Session, mechanism: Mechanism, unwrapping: Object, wrapped: Bytes, wrapped_len: Len,
                template: Template, count: Len, key: ObjectOut
            ) => keys::unwrap;
            C_DeriveKey(
                session: Session, mechanism: Mechanism, base: Object, template: Template, count: Len, key: ObjectOut
            ) => keys::derive;
            C_SeedRandom(session: Session, seed: Bytes, seed_len: Len) => random::seed;
            C_GenerateRandom(session: Session, random: Bytes, random_len: Len) => random::generate;
            C_GetFunctionStatus(session: Session) => general::not_parallel;
            C_CancelFunction(session: Session) => general::not_parallel;
            C_WaitForSlotEvent(flags: CK_FLAGS, slot: *mut CK_SLOT_ID, reserved: Pointer)
                => slot_token::wait_for_slot_event;
        }
        v3_0 {
            #[unsafe(no_mangle)]
            C_GetInterfaceList(interfaces: *mut CK_INTERFACE, count: LenOut) => general::interface_list with &INTERFACES.0;
            #[unsafe(no_mangle)]
            C_GetInterface(name: Bytes, version: *mut CK_VERSION, interface: *mut *mut CK_INTERFACE, flags: CK_FLAGS)
                => general::interface with &INTERFACES.0;
            C_LoginUser(session: Session, user: CK_USER_TYPE, pin: Bytes, pin_len: Len, name: Bytes, name_len: Len)
                => sessions::login_user;
            C_SessionCancel(session: Session, flags: CK_FLAGS) => sessions::cancel;
            C_MessageEncryptInit(session: Session, mechanism: Mechanism, key: Object) => messages::encrypt_init;
            C_EncryptMessage(
                session: Session, parameter: Pointer, parameter_len: Len, aad: Bytes, aad_len: Len, data: Bytes,
                data_len: Len, out: Bytes, out_len: LenOut
            ) => messages::encrypt;
            C_EncryptMessageBegin(session: Session, parameter: Pointer, parameter_len: Len, aad: Bytes, aad_len: Len)
                => messages::encrypt_begin;
            C_EncryptMessageNext(
                session: Session, parameter: Pointer, parameter_len: Len, part: Bytes, part_len: Len, out: Bytes,
                out_len: LenOut, flags: CK_FLAGS
            ) => messages::encrypt_next;
            C_MessageEncryptFinal(session: Session) => messages::encrypt_final;
            C_MessageDecryptInit(session: Session, mechanism: Mechanism, key: Object) => messages::decrypt_init;
            C_DecryptMessage(
                session: Session, parameter: Pointer, parameter_len: Len, aad: Bytes, aad_len: Len, data: Bytes,
                data_len: Len, out: Bytes, out_len: LenOut
            ) => messages::decrypt;
            C_DecryptMessageBegin(session: Session, parameter: Pointer, parameter_len: Len, aad: Bytes, aad_len: Len)
                => messages::decrypt_begin;
            C_DecryptMessageNext(
                session: Session, parameter: Pointer, parameter_len: Len, part: Bytes, part_len: Len, out: Bytes,
                out_len: LenOut, flags: CK_FLAGS
            ) => messages::decrypt_next;
            C_MessageDecryptFinal(session: Session) => messages::decrypt_final;
            C_MessageSignInit(session: Session, mechanism: Mechanism, key: Object) => messages::sign_init;
            C_SignMessage(
                session: Session, parameter: Pointer, parameter_len: Len, data: Bytes, data_len: Len, out: Bytes,
                out_len: LenOut
            ) => messages::sign;
            C_SignMessageBegin(session: Session, parameter: Pointer, parameter_len: Len) => messages::sign_begin;
            C_SignMessageNext(
                session: Session, parameter: Pointer, parameter_len: Len, part: Bytes, part_len: Len, out: Bytes,
                out_len: LenOut
            ) => messages::sign_next;
            C_MessageSignFinal(session: Session) => messages::sign_final;
            C_MessageVerifyInit(session: Session, mechanism: Mechanism, key: Object) => messages::verify_init;
            C_VerifyMessage(
                session: Session, parameter: Pointer, parameter_len: Len, data: Bytes, data_len: Len,
                signature: Bytes, signature_len: Len
            ) => messages::verify;
            C_VerifyMessageBegin(session: Session, parameter: Pointer, parameter_len: Len) => messages::verify_begin;
            C_VerifyMessageNext(
                session: Session, parameter: Pointer, parameter_len: Len, part: Bytes, part_len: Len,
                signature: Bytes, signature_len: Len
            ) => messages::verify_next;
            C_MessageVerifyFinal(session: Session) => messages::verify_final;
        }
        v3_2 {
            C_EncapsulateKey(
                session: Session, mechanism: Mechanism, public_key: Object, template: Template, count: Len,
                ciphertext: Bytes, ciphertext_len: LenOut, key: ObjectOut
            ) => encapsulate::encapsulate;
            C_DecapsulateKey(
                session: Session, mechanism: Mechanism, private_key: Object, template: Template, count: Len,
                ciphertext: Bytes, ciphertext_len: Len, key: ObjectOut
            ) => encapsulate::decapsulate;
            C_VerifySignatureInit(
                session: Session, mechanism: Mechanism, key: Object, signature: Bytes, signature_len: Len
            ) => v3_2::verify_signature_init;
            C_VerifySignature(session: Session, data: Bytes, data_len: Len) => v3_2::verify_signature;
            C_VerifySignatureUpdate(session: Session, part: Bytes, part_len: Len) => v3_2::verify_signature_update;
            C_VerifySignatureFinal(session: Session) => v3_2::verify_signature_final;
            C_GetSessionValidationFlags(session: Session, kind: CK_SESSION_VALIDATION_FLAGS_TYPE, flags: *mut CK_FLAGS)
                => v3_2::session_validation_flags;
            C_AsyncComplete(a: Session, b: Bytes, c: *mut CK_ASYNC_DATA) => unsupported;
            C_AsyncGetID(a: Session, b: Bytes, c: LenOut) => unsupported;
            C_AsyncJoin(a: Session, b: Bytes, c: Len, d: Bytes, e: Len) => unsupported;
            C_WrapKeyAuthenticated(
                session: Session, mechanism: Mechanism, wrapping: Object, key: Object, aad: Bytes, aad_len: Len,
                wrapped: Bytes, wrapped_len: LenOut
            ) => keys::wrap_authenticated;
            C_UnwrapKeyAuthenticated(
                session: Session, mechanism: Mechanism, unwrapping: Object, wrapped: Bytes, wrapped_len: Len,
                template: Template, count: Len, aad: Bytes, aad_len: Len, key: ObjectOut
            ) => keys::unwrap_authenticated;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(unsafe_code, clippy::indexing_slicing, clippy::unwrap_used)]
    use super::functions::{LIST_2_40, LIST_3_0, LIST_3_2};
    use super::guard;
    use cryptoki_sys::{CK_RV, CKR_FUNCTION_NOT_SUPPORTED, CKR_GENERAL_ERROR};

    /// The function pointers of a list, which follow its version.
    fn pointers<T>(list: &'static T) -> &'static [usize] {
        let words = size_of::<T>() / size_of::<usize>();
        // SAFETY: a list is a version, padded to a word, and function pointers; nothing else.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(list).cast::<usize>().add(1), words - 1) }
    }

    #[test]
    fn no_list_has_a_hole_and_each_longer_one_starts_with_the_shorter() {
        let lists = [pointers(&LIST_2_40), pointers(&LIST_3_0), pointers(&LIST_3_2)];
        assert_eq!(lists.map(<[usize]>::len), [68, 92, 104]);
        assert!(lists.iter().all(|list| list.iter().all(|&function| function != 0)));
        assert!(lists[2].starts_with(lists[1]) && lists[1].starts_with(lists[0]));
    }

    #[test]
    fn a_panic_in_any_entry_point_is_a_general_error_and_the_next_call_works() {
        type Entry =
            unsafe extern "C" fn(usize, usize, usize, usize, usize, usize, usize, usize, usize, usize) -> CK_RV;
        let call = |&function: &usize| {
            // SAFETY: every function of the lists takes at most ten arguments of a word or less, and looks at nothing that
            // null pointers and zeros could mislead it to.
            unsafe { std::mem::transmute::<usize, Entry>(function)(0, 0, 0, 0, 0, 0, 0, 0, 0, 0) }
        };
        // C_Initialize, the first, would open a home: the others are asked as by a host that forgot it.
        let (initialize, others) = pointers(&LIST_3_2).split_first().unwrap();
        guard::tests::let_entry_points_panic(true);
        assert_eq!(call(initialize), CKR_GENERAL_ERROR);
        guard::tests::let_entry_points_panic(false);
        // What is not offered says so without running anything that could panic.
        let guarded: Vec<_> = others.iter().filter(|f| call(f) != CKR_FUNCTION_NOT_SUPPORTED).collect();
        assert!(guarded.len() >= 70, "{}", guarded.len());
        for function in guarded {
            guard::tests::let_entry_points_panic(true);
            assert_eq!(call(function), CKR_GENERAL_ERROR);
            guard::tests::let_entry_points_panic(false);
            assert_ne!(call(function), CKR_GENERAL_ERROR);
        }
    }
}
