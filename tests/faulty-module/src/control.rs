//! What is commanded: files beside the module itself, so that several copies of it in one process are several devices.
//!
//! - `faulty.module`: the path of the module to forward to.
//! - `faulty.control`: one command a line, `FUNCTION ACTION [TIMES [AFTER]]`. FUNCTION is a name such as `C_Sign`, or `*` for
//!   all but C_Initialize and C_Finalize. ACTION is an error (`CKR_DEVICE_ERROR`, or its number), `after:ERROR` (the call is
//!   made, and the error told), `hang:MILLISECONDS` (the call is made after that long), `stall` (the call is made when the file
//!   says something else), or `hide:MECHANISM` (a number: the mechanism is neither listed nor usable). TIMES bounds how often, AFTER says how many calls pass before.
//! - `faulty.calls`: where it exists, the name of each function called is appended to it, one a line.
//!
//! Files are looked at with each call; a control file with new contents counts anew.

use std::ffi::{CStr, OsStr, c_void};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cryptoki_sys::*;

/// How often a call that stalls looks whether it goes on.
const LOOK: Duration = Duration::from_millis(5);

/// What becomes of a call.
pub(crate) enum Fate {
    /// It is forwarded.
    Forward,
    /// It is not, and fails so.
    Fail(CK_RV),
    /// It is forwarded, and fails all the same.
    ForwardAndFail(CK_RV),
}

/// The commands and how often each has struck.
struct Counted {
    text: String,
    seen: Vec<u64>,
}

static COUNTED: Mutex<Counted> = Mutex::new(Counted { text: String::new(), seen: Vec::new() });

/// The errors that have names here.
const ERRORS: &[(&str, CK_RV)] = &[
    ("CKR_HOST_MEMORY", CKR_HOST_MEMORY),
    ("CKR_SLOT_ID_INVALID", CKR_SLOT_ID_INVALID),
    ("CKR_GENERAL_ERROR", CKR_GENERAL_ERROR),
    ("CKR_FUNCTION_FAILED", CKR_FUNCTION_FAILED),
    ("CKR_ATTRIBUTE_TYPE_INVALID", CKR_ATTRIBUTE_TYPE_INVALID),
    ("CKR_DEVICE_ERROR", CKR_DEVICE_ERROR),
    ("CKR_DEVICE_MEMORY", CKR_DEVICE_MEMORY),
    ("CKR_DEVICE_REMOVED", CKR_DEVICE_REMOVED),
    ("CKR_FUNCTION_NOT_SUPPORTED", CKR_FUNCTION_NOT_SUPPORTED),
    ("CKR_KEY_HANDLE_INVALID", CKR_KEY_HANDLE_INVALID),
    ("CKR_MECHANISM_INVALID", CKR_MECHANISM_INVALID),
    ("CKR_OBJECT_HANDLE_INVALID", CKR_OBJECT_HANDLE_INVALID),
    ("CKR_OPERATION_NOT_INITIALIZED", CKR_OPERATION_NOT_INITIALIZED),
    ("CKR_PIN_INCORRECT", CKR_PIN_INCORRECT),
    ("CKR_PIN_LOCKED", CKR_PIN_LOCKED),
    ("CKR_SESSION_CLOSED", CKR_SESSION_CLOSED),
    ("CKR_SESSION_COUNT", CKR_SESSION_COUNT),
    ("CKR_SESSION_HANDLE_INVALID", CKR_SESSION_HANDLE_INVALID),
    ("CKR_SESSION_READ_ONLY", CKR_SESSION_READ_ONLY),
    ("CKR_TOKEN_NOT_PRESENT", CKR_TOKEN_NOT_PRESENT),
    ("CKR_TOKEN_WRITE_PROTECTED", CKR_TOKEN_WRITE_PROTECTED),
    ("CKR_USER_NOT_LOGGED_IN", CKR_USER_NOT_LOGGED_IN),
    ("CKR_CRYPTOKI_NOT_INITIALIZED", CKR_CRYPTOKI_NOT_INITIALIZED),
];

/// The folder that this copy of the module lies in.
pub(crate) fn folder() -> Option<PathBuf> {
    // SAFETY: an all-zero Dl_info is one of null pointers.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    let here = folder as fn() -> Option<PathBuf> as *const c_void;
    // SAFETY: `info` is valid for writing, and any address may be asked for.
    let known = unsafe { libc::dladdr(here, &raw mut info) };
    if known == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's strings end with NUL and live as long as this module is loaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Path::new(OsStr::from_bytes(name.to_bytes())).parent().map(Path::to_path_buf)
}

/// The path of the module to forward to.
pub(crate) fn target() -> Option<String> {
    Some(fs::read_to_string(folder()?.join("faulty.module")).ok()?.trim().to_owned())
}

/// What becomes of a call of `function`, after it hung for as long as it was told to.
pub(crate) fn fate(function: &str) -> Fate {
    let Some(folder) = folder() else { return Fate::Forward };
    if let Ok(mut calls) = fs::OpenOptions::new().append(true).open(folder.join("faulty.calls")) {
        let _ = writeln!(calls, "{function}");
    }
    let text = fs::read_to_string(folder.join("faulty.control")).unwrap_or_default();
    let (mut hang, mut stalls) = (Duration::ZERO, false);
    let mut fate = Fate::Forward;
    for command in struck(&text, function) {
        let (word, value) = command.split_once(':').unwrap_or(("", &command));
        match word {
            "hang" => hang = Duration::from_millis(value.parse().unwrap_or(0)),
            "after" => fate = error(value).map_or(fate, Fate::ForwardAndFail),
            "hide" => {}
            "" if value == "stall" => stalls = true,
            _ => fate = error(value).map_or(fate, Fate::Fail),
        }
    }
    if !hang.is_zero() {
        thread::sleep(hang);
    }
    while stalls && fs::read_to_string(folder.join("faulty.control")).is_ok_and(|now| now == text) {
        thread::sleep(LOOK);
    }
    fate
}

/// Whether `mechanism` is hidden.
pub(crate) fn is_hidden(mechanism: CK_MECHANISM_TYPE) -> bool {
    let Some(folder) = folder() else { return false };
    let text = fs::read_to_string(folder.join("faulty.control")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.strip_prefix("hide:"))
        .any(|number| self::number(number) == Some(mechanism))
}

/// The actions that strike this call of `function`.
fn struck(text: &str, function: &str) -> Vec<String> {
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    if counted.text != text {
        *counted = Counted { text: text.to_owned(), seen: vec![0; text.lines().count()] };
    }
    let mut actions = Vec::new();
    for (line, seen) in text.lines().zip(&mut counted.seen) {
        let mut words = line.split_whitespace();
        let (Some(named), Some(action)) = (words.next(), words.next()) else { continue };
        let all = named == "*" && !matches!(function, "C_Initialize" | "C_Finalize");
        if !all && named != function {
            continue;
        }
        let times = words.next().and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
        let after = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        *seen += 1;
        if *seen > after && *seen - after <= times {
            actions.push(action.to_owned());
        }
    }
    actions
}

fn error(word: &str) -> Option<CK_RV> {
    ERRORS.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).or_else(|| number(word))
}

fn number(word: &str) -> Option<CK_ULONG> {
    match word.strip_prefix("0x") {
        Some(digits) => CK_ULONG::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}
