//! The one guard around every entry point, and the macro that makes entry points and function lists from one table.
#![expect(unsafe_code, reason = "writes to file descriptor 2 without a lock that fork could leave held")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki_sys::{CK_RV, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_GENERAL_ERROR, CKR_OK};
use libkmss::kms::may_enter;

/// Runs an entry point; nothing unwinds out of it. At the end of the process a thread that never was here finds the module
/// gone.
pub(crate) fn run(entry: impl FnOnce() -> Result<(), CK_RV>) -> CK_RV {
    let guarded = AssertUnwindSafe(|| {
        #[cfg(test)]
        tests::panic_where_wanted();
        if may_enter() { entry() } else { Err(CKR_CRYPTOKI_NOT_INITIALIZED) }
    });
    match catch_unwind(guarded) {
        Ok(Ok(())) => CKR_OK,
        Ok(Err(rv)) => rv,
        Err(payload) => {
            // Dropping a payload may panic again; a few leaked bytes per bug may not.
            std::mem::forget(payload);
            CKR_GENERAL_ERROR
        }
    }
}

/// Replaces the panic hook by one line on standard error: a backtrace costs a host 80 ms and 36 MB.
///
/// The standard library is linked into this shared object, so the hook sees its panics alone, never those of a host
/// that is written in Rust too.
pub(crate) fn install_panic_hook() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if cfg!(test) || INSTALLED.swap(true, Ordering::Relaxed) {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        // Only literal messages are printed: a formatted one could hold data.
        let why = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("panic");
        match panic.location() {
            Some(at) => complain(&format_args!("internal error at {}:{}: {why}", at.file(), at.line())),
            None => complain(&format_args!("internal error: {why}")),
        }
    }));
}

/// One line on standard error, for what no return value can say.
pub(crate) fn complain(what: &dyn std::fmt::Display) {
    let line = format!("kmss: {what}\n");
    // SAFETY: the buffer is valid for its length. Standard library handles have a lock that a forked child may find held.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

/// Makes the `extern "C"` functions and the three function lists. A list that lacks a function does not compile.
///
/// `C_Name(argument: type, …) => path;` calls `path` inside the guard, `… => path with more;` with one more argument;
/// `C_Name(…) => unsupported;` answers `CKR_FUNCTION_NOT_SUPPORTED`.
macro_rules! function_table {
    (
        v2_40 { $($(#[$attr2:meta])* $name2:ident($($arg2:ident: $type2:ty),*) => $($path2:ident)::+ $(with $extra2:expr)?;)* }
        v3_0 { $($(#[$attr3:meta])* $name3:ident($($arg3:ident: $type3:ty),*) => $($path3:ident)::+ $(with $extra3:expr)?;)* }
        v3_2 { $($(#[$attr32:meta])* $name32:ident($($arg32:ident: $type32:ty),*) => $($path32:ident)::+ $(with $extra32:expr)?;)* }
    ) => {
        $(entry_point! { $(#[$attr2])* $name2($($arg2: $type2),*) => $($path2)::+ $(with $extra2)? })*
        $(entry_point! { $(#[$attr3])* $name3($($arg3: $type3),*) => $($path3)::+ $(with $extra3)? })*
        $(entry_point! { $(#[$attr32])* $name32($($arg32: $type32),*) => $($path32)::+ $(with $extra32)? })*

        pub(crate) static LIST_2_40: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            $($name2: Some($name2),)*
        };
        pub(crate) static LIST_3_0: CK_FUNCTION_LIST_3_0 = CK_FUNCTION_LIST_3_0 {
            version: CK_VERSION { major: 3, minor: 0 },
            $($name2: Some($name2),)*
            $($name3: Some($name3),)*
        };
        pub(crate) static LIST_3_2: CK_FUNCTION_LIST_3_2 = CK_FUNCTION_LIST_3_2 {
            version: CK_VERSION { major: 3, minor: 2 },
            $($name2: Some($name2),)*
            $($name3: Some($name3),)*
            $($name32: Some($name32),)*
        };
    };
}

/// One entry point of [`function_table`].
macro_rules! entry_point {
    ($(#[$attr:meta])* $name:ident($($arg:ident: $type:ty),*) => unsupported) => {
        $(#[$attr])*
        pub(crate) unsafe extern "C" fn $name($(_: $type),*) -> CK_RV {
            CKR_FUNCTION_NOT_SUPPORTED
        }
    };
    ($(#[$attr:meta])* $name:ident($($arg:ident: $type:ty),*) => $($path:ident)::+ $(with $extra:expr)?) => {
        $(#[$attr])*
        pub(crate) unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
            // SAFETY: the caller keeps the contract of PKCS#11, which is that of the entry function.
            $crate::guard::run(|| unsafe { $($path)::+($($arg,)* $($extra)?) }.map_err(|rv| rv.0))
        }
    };
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::panic, non_snake_case, unused_unsafe)]
    use std::cell::Cell;

    use super::*;
    use crate::rv::Rv;
    use cryptoki_sys::{CK_SLOT_ID, CKR_ARGUMENTS_BAD};

    thread_local! {
        static PANICS: Cell<bool> = const { Cell::new(false) };
    }

    /// Whether every entry point that this thread calls panics.
    pub(crate) fn let_entry_points_panic(wanted: bool) {
        PANICS.set(wanted);
    }

    pub(super) fn panic_where_wanted() {
        assert!(!PANICS.get(), "injected");
    }

    fn faulty(_slot: CK_SLOT_ID) -> Result<(), Rv> {
        panic!("injected")
    }

    entry_point! { C_Faulty(slot: CK_SLOT_ID) => faulty }

    #[test]
    fn no_panic_crosses_an_entry_point() {
        // SAFETY: the function has no contract.
        assert_eq!(unsafe { C_Faulty(0) }, CKR_GENERAL_ERROR);
    }

    #[test]
    fn a_panic_becomes_a_general_error_and_the_next_call_works() {
        assert_eq!(run(|| panic!("injected")), CKR_GENERAL_ERROR);
        assert_eq!(run(|| Ok(())), CKR_OK);
        assert_eq!(run(|| Err(CKR_ARGUMENTS_BAD)), CKR_ARGUMENTS_BAD);
    }
}
