//! The module through its C interface, with nothing in between: every call as the standard writes it, every return
//! value as it came. (The `cryptoki` crate drives the module in `tests/pkcs11_cryptoki.rs`; here exact codes matter.)
#![allow(unsafe_code, reason = "calls into C")]

mod attribute;
mod encapsulate;
pub mod keys;
mod mechanism;
mod recovery;
mod rv;
mod session;
pub mod sm;

use std::ffi::{CString, c_void};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock};

use cryptoki_sys::*;

pub use attribute::{Attr, flag, raw, text, ulong};
pub use mechanism::Mech;
pub use rv::{Res, Rv, refused, refused_any};
pub use session::{Session, Whole};

use crate::built;
use crate::home::{Home, PIN, SO_PIN};

/// Calls a function of the list; a NULL entry fails the test by name.
macro_rules! call {
    ($list:expr, $function:ident ( $($argument:expr),* $(,)? )) => {{
        let function = (*$list).$function.unwrap_or_else(|| panic!("{} is NULL", stringify!($function)));
        $crate::p11::Rv(function($($argument),*))
    }};
}
pub(crate) use call;

/// A loaded module: its function lists.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// C_GetFunctionList's.
    pub list: *mut CK_FUNCTION_LIST,
    handle: *mut c_void,
}

// SAFETY: the list is constant and the functions behind it are made for several threads.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Loads a shared object and asks for its function list, without initialising it.
    ///
    /// # Panics
    /// Where it cannot be loaded or has no list.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let name = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path holds no NUL");
        // SAFETY: dlopen takes a C string; the module's constructors are under test.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "cannot load `{}`", path.display());
        let mut module = Self { list: ptr::null_mut(), handle };
        let function: unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV =
            // SAFETY: the standard fixes the type of this symbol.
            unsafe { std::mem::transmute(module.symbol("C_GetFunctionList").expect("the symbol is exported")) };
        // SAFETY: the argument is a place for one pointer.
        let rv = unsafe { function(&raw mut module.list) };
        assert_eq!(Rv(rv), Rv(CKR_OK));
        assert!(!module.list.is_null());
        module
    }

    /// An exported symbol.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<*mut c_void> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle is open and the name a C string.
        let symbol = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        (!symbol.is_null()).then_some(symbol)
    }

    /// C_Initialize with OS locking.
    ///
    /// # Errors
    /// As the module says.
    pub fn initialize(&self) -> Res<()> {
        self.initialize_with(CKF_OS_LOCKING_OK)
    }

    /// C_Initialize with these flags.
    ///
    /// # Errors
    /// As the module says.
    pub fn initialize_with(&self, flags: CK_FLAGS) -> Res<()> {
        let mut arguments = CK_C_INITIALIZE_ARGS {
            CreateMutex: None,
            DestroyMutex: None,
            LockMutex: None,
            UnlockMutex: None,
            flags,
            pReserved: ptr::null_mut(),
        };
        // SAFETY: the arguments outlive the call.
        unsafe { call!(self.list, C_Initialize((&raw mut arguments).cast())) }.ok()
    }

    /// C_Finalize.
    ///
    /// # Errors
    /// As the module says.
    pub fn finalize(&self) -> Res<()> {
        // SAFETY: NULL is the only argument allowed.
        unsafe { call!(self.list, C_Finalize(ptr::null_mut())) }.ok()
    }

    /// C_GetInfo.
    ///
    /// # Errors
    /// As the module says.
    pub fn info(&self) -> Res<CK_INFO> {
        let mut info = CK_INFO::default();
        // SAFETY: the place outlives the call.
        unsafe { call!(self.list, C_GetInfo(&raw mut info)) }.ok()?;
        Ok(info)
    }

    /// C_GetSlotList.
    ///
    /// # Errors
    /// As the module says.
    pub fn slots(&self, with_token: bool) -> Res<Vec<CK_SLOT_ID>> {
        let mut count = 0;
        let present = CK_BBOOL::from(with_token);
        // SAFETY: NULL asks for the count only.
        unsafe { call!(self.list, C_GetSlotList(present, ptr::null_mut(), &raw mut count)) }.ok()?;
        // Another thread may initialise a token between the two calls.
        count += 8;
        let mut slots = vec![0; count as usize];
        // SAFETY: there is room for `count` ids.
        unsafe { call!(self.list, C_GetSlotList(present, slots.as_mut_ptr(), &raw mut count)) }.ok()?;
        slots.truncate(count as usize);
        Ok(slots)
    }

    /// C_GetSlotInfo.
    ///
    /// # Errors
    /// As the module says.
    pub fn slot_info(&self, slot: CK_SLOT_ID) -> Res<CK_SLOT_INFO> {
        let mut info = CK_SLOT_INFO::default();
        // SAFETY: the place outlives the call.
        unsafe { call!(self.list, C_GetSlotInfo(slot, &raw mut info)) }.ok()?;
        Ok(info)
    }

    /// C_GetTokenInfo.
    ///
    /// # Errors
    /// As the module says.
    pub fn token_info(&self, slot: CK_SLOT_ID) -> Res<CK_TOKEN_INFO> {
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: the place outlives the call.
        unsafe { call!(self.list, C_GetTokenInfo(slot, &raw mut info)) }.ok()?;
        Ok(info)
    }

    /// C_GetMechanismList.
    ///
    /// # Errors
    /// As the module says.
    pub fn mechanisms(&self, slot: CK_SLOT_ID) -> Res<Vec<CK_MECHANISM_TYPE>> {
        let mut count = 0;
        // SAFETY: NULL asks for the count only.
        unsafe { call!(self.list, C_GetMechanismList(slot, ptr::null_mut(), &raw mut count)) }.ok()?;
        let mut list = vec![0; count as usize];
        // SAFETY: there is room for `count` mechanisms.
        unsafe { call!(self.list, C_GetMechanismList(slot, list.as_mut_ptr(), &raw mut count)) }.ok()?;
        list.truncate(count as usize);
        Ok(list)
    }

    /// C_GetMechanismInfo.
    ///
    /// # Errors
    /// As the module says.
    pub fn mechanism_info(&self, slot: CK_SLOT_ID, mechanism: CK_MECHANISM_TYPE) -> Res<CK_MECHANISM_INFO> {
        let mut info = CK_MECHANISM_INFO::default();
        // SAFETY: the place outlives the call.
        unsafe { call!(self.list, C_GetMechanismInfo(slot, mechanism, &raw mut info)) }.ok()?;
        Ok(info)
    }

    /// C_InitToken.
    ///
    /// # Errors
    /// As the module says.
    pub fn init_token(&self, slot: CK_SLOT_ID, so_pin: &str, label: &str) -> Res<()> {
        let mut padded = [b' '; 32];
        padded[..label.len()].copy_from_slice(label.as_bytes());
        let pin = so_pin.as_ptr().cast_mut();
        // SAFETY: PIN and label outlive the call, which only reads them.
        unsafe { call!(self.list, C_InitToken(slot, pin, so_pin.len() as CK_ULONG, padded.as_mut_ptr())) }.ok()
    }

    /// C_OpenSession with SERIAL, and RW where asked.
    ///
    /// # Errors
    /// As the module says.
    pub fn open(&self, slot: CK_SLOT_ID, rw: bool) -> Res<Session> {
        self.open_with(slot, CKF_SERIAL_SESSION | if rw { CKF_RW_SESSION } else { 0 })
    }

    /// C_OpenSession with these flags.
    ///
    /// # Errors
    /// As the module says.
    pub fn open_with(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Res<Session> {
        let mut handle = 0;
        // SAFETY: no callback is registered; the place outlives the call.
        unsafe { call!(self.list, C_OpenSession(slot, flags, ptr::null_mut(), None, &raw mut handle)) }.ok()?;
        Ok(Session { module: *self, handle })
    }

    /// C_CloseAllSessions.
    ///
    /// # Errors
    /// As the module says.
    pub fn close_all(&self, slot: CK_SLOT_ID) -> Res<()> {
        // SAFETY: takes a number only.
        unsafe { call!(self.list, C_CloseAllSessions(slot)) }.ok()
    }

    /// The slot of the token with this label.
    #[must_use]
    pub fn slot_of(&self, label: &str) -> Option<CK_SLOT_ID> {
        let named = |slot: &CK_SLOT_ID| self.token_info(*slot).is_ok_and(|info| trimmed(&info.label) == label);
        self.slots(true).ok()?.into_iter().find(named)
    }

    /// The spare slot, whose token is not initialised.
    #[must_use]
    pub fn spare_slot(&self) -> Option<CK_SLOT_ID> {
        let spare =
            |slot: &CK_SLOT_ID| self.token_info(*slot).is_ok_and(|info| info.flags & CKF_TOKEN_INITIALIZED == 0);
        self.slots(false).ok()?.into_iter().find(spare)
    }

    /// Initialises a token in the spare slot, without a user's PIN.
    ///
    /// # Panics
    /// Where that fails.
    #[must_use]
    pub fn new_bare_token(&self, label: &str) -> Token {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = lock(&ONE_AT_A_TIME);
        let spare = self.spare_slot().expect("there is always a spare slot");
        self.init_token(spare, SO_PIN, label).expect("the spare slot takes a token");
        let slot = self.slot_of(label).expect("the new token is listed");
        Token { module: *self, slot, label: label.to_owned() }
    }

    /// Initialises a token in the spare slot, with both PINs.
    ///
    /// # Panics
    /// Where that fails.
    #[must_use]
    pub fn new_token(&self, label: &str) -> Token {
        let token = self.new_bare_token(label);
        let session = token.public();
        session.login(CKU_SO, SO_PIN).expect("the officer logs in");
        session.init_pin(PIN).expect("the officer sets the user's PIN");
        session.close().expect("a session closes");
        token
    }
}

/// A token of the test that made it.
#[derive(Debug, Clone)]
pub struct Token {
    /// The module it lives in.
    pub module: Module,
    /// Its slot.
    pub slot: CK_SLOT_ID,
    /// Its label.
    pub label: String,
}

impl Token {
    /// A read-write session with the user logged in.
    ///
    /// # Panics
    /// Where that fails.
    #[must_use]
    pub fn user(&self) -> Session {
        let session = self.public();
        match session.login(CKU_USER, PIN) {
            Ok(()) | Err(Rv(CKR_USER_ALREADY_LOGGED_IN)) => session,
            Err(rv) => panic!("the user cannot log in: {rv:?}"),
        }
    }

    /// A read-write session; nobody is logged in by it.
    ///
    /// # Panics
    /// Where that fails.
    #[must_use]
    pub fn public(&self) -> Session {
        self.module.open(self.slot, true).expect("a session opens")
    }

    /// A read-only session; nobody is logged in by it.
    ///
    /// # Panics
    /// Where that fails.
    #[must_use]
    pub fn read_only(&self) -> Session {
        self.module.open(self.slot, false).expect("a session opens")
    }
}

/// The module under test, initialised once for this test process in a home of its own.
///
/// # Panics
/// Where the module is missing or refuses to start.
#[must_use]
pub fn module() -> Module {
    static MODULE: OnceLock<(Module, Home)> = OnceLock::new();
    let (module, _) = MODULE.get_or_init(|| {
        let home = Home::new();
        if let Some(config) = CONFIG.get() {
            let made = std::fs::DirBuilder::new().mode(0o700).create(home.path());
            made.and_then(|()| std::fs::write(home.path().join("kmss.toml"), config)).expect("the folder is ours");
        }
        lead_here(&home);
        let module = Module::load(&built::module());
        module.initialize().expect("the module starts");
        // Statics are not dropped: the home goes when the process ends.
        // SAFETY: the function has the type atexit(3) asks for.
        unsafe { libc::atexit(remove_home) };
        *lock(&HOME_FOLDER) = Some(home.folder().to_owned());
        (module, home)
    });
    *module
}

static CONFIG: OnceLock<&str> = OnceLock::new();

/// Gives the home of [`module`] a `kmss.toml`. Called before the module is, by every test of the process alike.
///
/// # Panics
/// Where another test asked for another one.
pub fn configure(config: &'static str) {
    assert_eq!(*CONFIG.get_or_init(|| config), config);
}

static HOME_FOLDER: Mutex<Option<std::path::PathBuf>> = Mutex::new(None);

extern "C" fn remove_home() {
    if let Some(folder) = lock(&HOME_FOLDER).take() {
        let _ = std::fs::remove_dir_all(folder);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sets this process' own variables so that the module finds `home`.
pub fn lead_here(home: &Home) {
    for (name, value) in home.variables() {
        // SAFETY: called before the module is loaded; the test harness' other threads read no such variable.
        unsafe { std::env::set_var(name, value) };
    }
    // SAFETY: as above.
    unsafe { std::env::remove_var("KMSS_CONF") };
}

/// A fresh token with a label of its own, in the module of this test process.
///
/// # Panics
/// Where it cannot be made.
#[must_use]
pub fn token(label: &str) -> Token {
    module().new_token(label)
}

/// A padded field as text.
#[must_use]
pub fn trimmed(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim_end_matches([' ', '\0']).to_owned()
}

/// DER of a named curve's object identifier, as CKA_EC_PARAMS wants it.
pub mod curve {
    /// P-256.
    pub const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    /// P-384.
    pub const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
    /// P-521.
    pub const P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
    /// Ed25519 (RFC 8410).
    pub const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
    /// X25519 (RFC 8410).
    pub const X25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x6e];
    /// secp256k1 (SEC 2).
    pub const SECP256K1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
    /// Ed448 (RFC 8410).
    pub const ED448: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x71];
    /// X448 (RFC 8410).
    pub const X448: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x6f];
    /// The SM2 curve (GM/T 0006).
    pub const SM2: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];
}
