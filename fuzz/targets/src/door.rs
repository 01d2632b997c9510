//! A session of the PKCS#11 door, logged in, on a token of its own in a folder that goes with the process.
#![expect(unsafe_code, reason = "the door is a C interface")]

use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, OnceLock};

use cryptoki_sys::*;

// The door's symbols come in with it.
extern crate fuzz_door as _;

unsafe extern "C" {
    fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV;
    fn C_GetInterface(
        name: *mut CK_UTF8CHAR,
        version: *mut CK_VERSION,
        interface: *mut *mut CK_INTERFACE,
        flags: CK_FLAGS,
    ) -> CK_RV;
}

/// The session and keys in it.
pub(crate) struct Door {
    pub(crate) list: &'static CK_FUNCTION_LIST,
    pub(crate) list_3_2: &'static CK_FUNCTION_LIST_3_2,
    pub(crate) session: CK_SESSION_HANDLE,
    /// One key of each kind that verbs take.
    pub(crate) keys: Vec<CK_OBJECT_HANDLE>,
    _folder: tempfile::TempDir,
}

/// Calls a function of the list.
macro_rules! call {
    ($door:expr, $name:ident($($argument:expr),*)) => {
        // SAFETY: pointers lead to what the arguments beside them say; that is all the standard asks of a caller.
        unsafe { ($door.list.$name.unwrap())($($argument),*) }
    };
}
pub(crate) use call;

/// The only session, for one input at a time.
pub(crate) fn door() -> MutexGuard<'static, Door> {
    static DOOR: OnceLock<Mutex<Door>> = OnceLock::new();
    DOOR.get_or_init(|| Mutex::new(open())).lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn open() -> Door {
    let folder = tempfile::tempdir().unwrap();
    // SAFETY: called once, before anything of this process reads the environment.
    unsafe { std::env::set_var("KMSS_HOME", folder.path().join("home")) };
    let mut list = null_mut();
    // SAFETY: a place for one pointer.
    assert_eq!(unsafe { C_GetFunctionList(&raw mut list) }, CKR_OK);
    // SAFETY: the list is static.
    let list = unsafe { &*list };
    let (mut version, mut interface) = (CK_VERSION { major: 3, minor: 2 }, null_mut());
    // SAFETY: NULL is the default name; the others are places for one value.
    assert_eq!(unsafe { C_GetInterface(null_mut(), &raw mut version, &raw mut interface, 0) }, CKR_OK);
    // SAFETY: the interface and its list, which has the version that was asked for, are static.
    let list_3_2 = unsafe { &*(*interface).pFunctionList.cast::<CK_FUNCTION_LIST_3_2>() };
    let mut door = Door { list, list_3_2, session: 0, keys: Vec::new(), _folder: folder };
    let (mut pin, mut label) = (*b"fuzz-1234", [b' '; 32]);
    let len = pin.len() as CK_ULONG;
    assert_eq!(call!(door, C_Initialize(null_mut())), CKR_OK);
    assert_eq!(call!(door, C_InitToken(0, pin.as_mut_ptr(), len, label.as_mut_ptr())), CKR_OK);
    let mut session = 0;
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    assert_eq!(call!(door, C_OpenSession(0, flags, null_mut(), None, &raw mut session)), CKR_OK);
    door.session = session;
    assert_eq!(call!(door, C_Login(session, CKU_SO, pin.as_mut_ptr(), len)), CKR_OK);
    assert_eq!(call!(door, C_InitPIN(session, pin.as_mut_ptr(), len)), CKR_OK);
    assert_eq!(call!(door, C_Logout(session)), CKR_OK);
    assert_eq!(call!(door, C_Login(session, CKU_USER, pin.as_mut_ptr(), len)), CKR_OK);
    door.make_keys();
    door
}

impl Door {
    fn make_keys(&mut self) {
        for (mechanism, len) in [(CKM_AES_KEY_GEN, 32), (CKM_GENERIC_SECRET_KEY_GEN, 32)] {
            let mut how = CK_MECHANISM { mechanism, pParameter: null_mut(), ulParameterLen: 0 };
            let mut len: CK_ULONG = len;
            let mut template = [attribute(CKA_VALUE_LEN, &mut len)];
            let mut key = 0;
            let made = call!(self, C_GenerateKey(self.session, &raw mut how, template.as_mut_ptr(), 1, &raw mut key));
            assert_eq!(made, CKR_OK);
            self.keys.push(key);
        }
        let mut curve = *b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        let mut bits: CK_ULONG = 2048;
        let pairs = [
            (CKM_EC_KEY_PAIR_GEN, attribute(CKA_EC_PARAMS, &mut curve)),
            (CKM_RSA_PKCS_KEY_PAIR_GEN, attribute(CKA_MODULUS_BITS, &mut bits)),
        ];
        for (mechanism, parameter) in pairs {
            let mut how = CK_MECHANISM { mechanism, pParameter: null_mut(), ulParameterLen: 0 };
            let (mut template, mut public, mut private) = ([parameter], 0, 0);
            let (at, keys) = (template.as_mut_ptr(), (&raw mut public, &raw mut private));
            let made = call!(self, C_GenerateKeyPair(self.session, &raw mut how, at, 1, null_mut(), 0, keys.0, keys.1));
            assert_eq!(made, CKR_OK);
            self.keys.extend([public, private]);
        }
    }
}

/// An attribute whose value is `value`.
pub(crate) fn attribute<T>(kind: CK_ATTRIBUTE_TYPE, value: &mut T) -> CK_ATTRIBUTE {
    let at = std::ptr::from_mut(value).cast();
    CK_ATTRIBUTE { type_: kind, pValue: at, ulValueLen: size_of::<T>() as CK_ULONG }
}
