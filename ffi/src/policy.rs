//! Policies: putting them in force, taking them out, and asking why.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::error::{Error, ErrorKind};
use libkmss::kms::{AppliedPolicy, PolicyTarget, UnsignedPolicy};
use libkmss::policy::bundle::{Abi, Bundle, Content, interface_of, is_module};
use libkmss::policy::dsl::Policy;
use libkmss::policy::registry::PolicyRole;
use serde_json::{Value, json};

use crate::boundary::{bytes, enter, text, word};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::home::{HOMES, kmss};
use crate::out::put_text;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;

/// The policy decides nothing: where it would decide otherwise, the audit says so.
pub const KMSS_POLICY_SHADOW: u32 = 1;

fn role(flags: u32) -> Result<PolicyRole, Failure> {
    match flags {
        0 => Ok(PolicyRole::Active),
        KMSS_POLICY_SHADOW => Ok(PolicyRole::Shadow),
        _ => Err(Failure::argument("flags is none of KMSS_POLICY_…")),
    }
}

fn target(key: Option<&str>) -> PolicyTarget {
    key.map_or(PolicyTarget::Namespace, |name| PolicyTarget::Key(name.to_owned()))
}

/// Puts a policy in force for the token of the session, or for its key `key` where that is not NULL: a signed bundle, a WebAssembly
/// module, or text of the policy language. For the security officer (`kmss_login_officer`), or an admin of the configuration.
///
/// `name` is what it is called; NULL for the name that its text or bundle says. `*json` says what became of it (`name`, `scope`,
/// `sequence`, `changed`); it may be NULL, else `kmss_free` frees it.
///
/// Errors: KMSS_INVALID_ARGUMENT for what is no policy, with all its mistakes; KMSS_NOT_LOGGED_IN or KMSS_DENIED for whoever may
/// not, and for bundles that are not trusted; KMSS_CONFLICT, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `key` and `name` are NULL or NUL-terminated; `policy` points to `policy_len` bytes; `json` is NULL or points to a writable
/// pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_policy_apply(
    session: *mut kmss_session,
    key: *const c_char,
    name: *const c_char,
    policy: *const u8,
    policy_len: usize,
    flags: u32,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (key, name, policy) =
            unsafe { (text(key, "key")?, text(name, "name")?, bytes(policy, policy_len, "policy")?) };
        let applied = applied(&session, &target(key), (name, policy), role(flags)?)?;
        if json.is_null() {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { put_text(json, &said(&applied).to_string()) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn applied(
    session: &LoggedIn,
    target: &PolicyTarget,
    (name, policy): (Option<&str>, &[u8]),
    role: PolicyRole,
) -> Result<AppliedPolicy, Failure> {
    let (kms, caller) = (&session.kms, &session.caller);
    if Bundle::is_one(policy) {
        if name.is_some() {
            return Err(Failure::argument("a bundle says its name itself"));
        }
        return Ok(kms.apply_policy(caller, target, policy, role)?);
    }
    Ok(kms.apply_local_policy(caller, target, unsigned(name, policy)?, role)?)
}

/// A policy that nobody signed: a module, or text.
fn unsigned(name: Option<&str>, policy: &[u8]) -> Result<UnsignedPolicy, Failure> {
    let nameless = || Failure::argument("name is NULL, and the policy does not say its name");
    if is_module(policy) {
        let strange = || Failure::argument("the module has no interface of policies");
        let abi = interface_of(policy).ok_or_else(strange)?;
        let content = Content { module: policy.to_vec(), data: None, source: None };
        let name = name.ok_or_else(nameless)?.to_owned();
        return Ok(UnsignedPolicy { name, abi, entrypoint: None, content });
    }
    let source = std::str::from_utf8(policy)
        .map_err(|_| Failure::argument("the policy is neither a bundle nor a module nor text"))?;
    let parsed = Policy::parse(source).map_err(|problems| {
        let report = problems.rendered("policy", false);
        Failure::argument(&format!("this is no policy: {}", report.trim_end()))
    })?;
    let name = name.or(parsed.name()).ok_or_else(nameless)?.to_owned();
    let uncompiled = |e| Error::new(ErrorKind::Arguments, format!("the policy cannot be compiled: {e}"));
    let module = parsed.compile().map_err(uncompiled)?.wasm;
    let content = Content { module, data: None, source: Some(source.to_owned()) };
    Ok(UnsignedPolicy { name, abi: Abi::Kmss, entrypoint: None, content })
}

fn said(applied: &AppliedPolicy) -> Value {
    json!({
        "name": applied.name,
        "scope": applied.scope.to_string(),
        "sequence": applied.sequence,
        "changed": applied.changed,
        "before": applied.before,
    })
}

/// Takes the policy `name` of the token, or of its key `key`, out of force. What it was required for stays required. For the
/// security officer, or an admin of the configuration.
///
/// Errors: KMSS_NOT_FOUND; as `kmss_policy_apply`.
///
/// # Safety
/// `key` is NULL or NUL-terminated, `name` is NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_policy_remove(
    session: *mut kmss_session,
    key: *const c_char,
    name: *const c_char,
    flags: u32,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (key, name) = unsafe { (text(key, "key")?, word(name, "name")?) };
        session.kms.remove_policy(&session.caller, &target(key), name, role(flags)?)?;
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Says which rule of the policies in force decides on what an audit record tells of, and why: a JSON array with an element for each
/// decision. `record` is `SEGMENT:SEQ`, or at least eight digits of the record's hash. With a `policy` (a bundle, a module or text)
/// that alone is asked. `*json` is freed by `kmss_free`.
///
/// Errors: KMSS_INVALID_ARGUMENT for what names no record or one that policies have no say in; KMSS_NOT_FOUND, KMSS_STORAGE.
///
/// # Safety
/// `record` is NUL-terminated; `policy` points to `policy_len` bytes; `json` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_policy_explain(
    home: *mut kmss,
    record: *const c_char,
    policy: *const u8,
    policy_len: usize,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let kms = HOMES.find(home)?;
        // SAFETY: the caller's promise, passed on.
        let (record, policy) = unsafe { (word(record, "record")?, bytes(policy, policy_len, "policy")?) };
        let candidate = (!policy.is_empty()).then(|| kms.candidate("policy", policy)).transpose()?;
        let all = kms.explain_record(record, candidate.as_ref(), &mut || true)?;
        let all: Vec<Value> = all.iter().map(report::json::explanation).collect();
        // SAFETY: as above.
        unsafe { put_text(json, &Value::from(all).to_string()) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}
