//! Policies in force on tokens of the module in this process, put there by the command as an officer would.
#![allow(unsafe_code, reason = "calls into C")]

use cryptoki_sys::*;
use serde_json::Value;

use crate::built;
use crate::home::{PIN, SO_PIN, json_items};
use crate::p11::{self, Attr, Res, Rv, Session, Token, flag, refused, text, ulong};
use crate::program::{Program, Said};

/// A fresh token in a home whose `kmss.toml` holds `config`, which is the same for all tests of a process.
///
/// # Panics
/// Where it cannot be made.
#[must_use]
pub fn token(config: &'static str, label: &str) -> Token {
    p11::configure(config);
    p11::token(label)
}

/// The command on the home of the module in this process, with both PINs.
///
/// # Panics
/// Where the module was not loaded yet.
#[must_use]
pub fn kmss(words: &str) -> Program {
    let home = std::env::var_os("KMSS_HOME").expect("the module was led to its home");
    let command = Program::new(built::command()).env("KMSS_HOME", home);
    command.env("KMSS_PIN", PIN).env("KMSS_SO_PIN", SO_PIN).words(words)
}

/// Puts the policy `name` in force; `scope` is `--token web` or the like.
///
/// # Panics
/// Where the command refuses.
#[track_caller]
pub fn apply(scope: &str, name: &str, rules: &str) -> Said {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join(name);
    std::fs::write(&file, rules).expect("the folder is ours");
    kmss("policy apply").arg(file).args(["--name", name]).words(scope).succeed()
}

/// Puts a module in force as the policy `name`.
///
/// # Panics
/// Where the command refuses.
#[track_caller]
pub fn apply_module(scope: &str, name: &str, wasm: &[u8]) -> Said {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("policy.wasm");
    std::fs::write(&file, wasm).expect("the folder is ours");
    kmss("policy apply").arg(file).args(["--name", name]).words(scope).succeed()
}

/// The last records of the audit about a token.
///
/// # Panics
/// Where the audit cannot be read.
#[must_use]
pub fn records(label: &str) -> Vec<Value> {
    let all = json_items(&kmss("audit tail -n 400 --json").succeed());
    all.into_iter().filter(|record| record["namespace"] == label).collect()
}

/// The last refusal about a token.
///
/// # Panics
/// Where there is none.
#[must_use]
#[track_caller]
pub fn last_denial(label: &str) -> Value {
    let denied = |record: &Value| record["outcome"] == "denied";
    records(label).into_iter().rev().find(denied).expect("something was denied")
}

/// Users of the token who are custodians, with the PIN `user-pin`.
///
/// # Panics
/// Where the command refuses.
pub fn custodians(label: &str, users: &[&str]) {
    for user in users {
        kmss(&format!("token user add {label} {user}")).env("KMSS_NEW_PIN", "user-pin").succeed();
        kmss(&format!("token user roles {label} {user} custodian")).succeed();
    }
}

/// The requests of a token that wait for approval, the oldest first.
///
/// # Panics
/// Where the command refuses.
#[must_use]
pub fn waiting(label: &str) -> Vec<Value> {
    json_items(&kmss("approve --list --json").args(["--token", label]).succeed())
}

/// Asks for a refusal by policy.
///
/// # Panics
/// Where the call succeeded or was refused for another reason.
#[track_caller]
pub fn denied<T: std::fmt::Debug>(result: Res<T>) {
    refused(result, CKR_FUNCTION_REJECTED);
}

/// An AES key of 256 bits in the token.
///
/// # Panics
/// Where it cannot be made.
#[track_caller]
#[must_use]
pub fn aes(session: &Session, name: &str) -> CK_OBJECT_HANDLE {
    session.generate(CKM_AES_KEY_GEN, &aes_template(name, true)).unwrap()
}

/// What an AES key that may do everything is made of.
#[must_use]
pub fn aes_template(name: &str, stored: bool) -> Vec<Attr> {
    let uses = [CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE, CKA_SIGN, CKA_EXTRACTABLE];
    let mut template = vec![ulong(CKA_VALUE_LEN, 32), flag(CKA_TOKEN, stored), flag(CKA_SENSITIVE, true)];
    template.extend(uses.map(|kind| flag(kind, true)));
    if !name.is_empty() {
        template.push(text(CKA_LABEL, name));
    }
    template
}

/// A pair on P-256 in the token, public half first. Both go by the one name.
///
/// # Panics
/// Where it cannot be made.
#[track_caller]
#[must_use]
pub fn ec_pair(session: &Session, name: &str) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let public = [p11::raw(CKA_EC_PARAMS, p11::curve::P256), flag(CKA_TOKEN, true), text(CKA_LABEL, name)];
    let private = [flag(CKA_TOKEN, true), text(CKA_LABEL, name)];
    session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, &private).unwrap()
}

/// The function list of version 3.0.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn list_3_0(session: &Session) -> *mut CK_FUNCTION_LIST_3_0 {
    session.module.list_3_2().cast()
}

/// C_LoginUser.
///
/// # Errors
/// As the module says.
///
/// # Panics
/// Where there is no such function.
pub fn login_user(session: &Session, name: &str, pin: &str) -> Res<()> {
    let (pin_len, name_len) = (pin.len() as CK_ULONG, name.len() as CK_ULONG);
    let (pin, name) = (pin.as_ptr().cast_mut(), name.as_ptr().cast_mut());
    // SAFETY: name and PIN outlive the call, which only reads them.
    let call = unsafe { (*list_3_0(session)).C_LoginUser }.expect("it logs users in");
    // SAFETY: as above.
    Rv(unsafe { call(session.handle, CKU_USER, pin, pin_len, name, name_len) }).ok()
}

/// C_Sign or another second half, into a buffer.
///
/// # Errors
/// As the module says.
pub fn finish_sign(session: &Session, data: &[u8]) -> Res<Vec<u8>> {
    let mut out = vec![0; 1024];
    let mut length = out.len() as CK_ULONG;
    // SAFETY: data and buffer outlive the call.
    let rv = unsafe {
        let sign = (*session.module.list).C_Sign.expect("it signs");
        sign(session.handle, data.as_ptr().cast_mut(), data.len() as CK_ULONG, out.as_mut_ptr(), &raw mut length)
    };
    Rv(rv).ok()?;
    out.truncate(length as usize);
    Ok(out)
}
