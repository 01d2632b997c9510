//! What may be made, and who else uses a key (docs/keys.md): rules on keys, and services.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::clock::Timestamp;
use libkmss::key::service_name;
use libkmss::rules::{AllowedType, KeyRule, RuleScope};
use serde_json::Value;

use crate::boundary::{Versioned, enter, options, text, word, words};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::out::put_text;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;
use crate::wallet::new_type;

/// Keys that a service makes belong to it: said for all of a token or tenant.
pub const KMSS_RULE_APART: u32 = 1;
/// `kmss_key_grant`: the service uses the key no more.
pub const KMSS_GRANT_WITHDRAW: u32 = 1;

/// A rule on what may be made. Set all of it to zero, then `size` to `sizeof(kmss_rule)`; what is NULL and 0 is free.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_rule {
    /// Size of this struct in bytes.
    pub size: usize,
    /// KMSS_RULE_…, or-ed together.
    pub flags: u32,
    /// New keys rotate after so many days by themselves, and none more seldom.
    pub rotation_days: u32,
    /// The types that may be made, with their least sizes where those are bounded: `rsa:3072`, `ec:384`, `aes`.
    pub types: *const *const c_char,
    /// How many they are; with 0 all may be made.
    pub types_len: usize,
    /// The type that the command makes where none is said, as for `kmss_key_generate`.
    pub preferred: *const c_char,
    /// Who owns the service, `kind:name`: whoever is called so sets its rule and grants its keys, too.
    pub owner: *const c_char,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_rule {}

/// Sets the rule for the tenant `tenant`, or where that is NULL for the token of the session; with `service` for the keys of that
/// service in it, else for all keys. It holds for what is made from now on, by everybody and at every door. For the security officer
/// (`kmss_login_officer`), of tenants for root, the home's owner and the admins of the configuration, of a service for its owner, too.
///
/// Errors: KMSS_NOT_LOGGED_IN and KMSS_DENIED for anybody else, KMSS_INVALID_ARGUMENT for what cannot be meant, KMSS_CONFLICT where
/// somebody else changed it meanwhile, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `tenant` and `service` are NULL or NUL-terminated; `rule` points to its struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_rule_set(
    session: *mut kmss_session,
    tenant: *const c_char,
    service: *const c_char,
    rule: *const kmss_rule,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let scope = unsafe { scope(&session, tenant, service) }?;
        // SAFETY: as above.
        session.kms.set_key_rule(&session.caller, unsafe { wanted(scope, rule) }?)?;
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// Both are NULL or NUL-terminated.
unsafe fn scope(session: &LoggedIn, tenant: *const c_char, service: *const c_char) -> Result<RuleScope, Failure> {
    // SAFETY: passed on.
    let (tenant, service) = unsafe { (text(tenant, "tenant")?, text(service, "service")?) };
    let namespace = tenant.is_none().then_some(session.caller.namespace.id);
    let service = service.map(service_name).transpose()?;
    Ok(RuleScope { tenant: tenant.map(str::to_owned), namespace, service })
}

/// # Safety
/// `given` is what C callers promise of it.
unsafe fn wanted(scope: RuleScope, given: *const kmss_rule) -> Result<KeyRule, Failure> {
    if given.is_null() {
        return Err(Failure::argument("rule is NULL"));
    }
    // SAFETY: passed on.
    let given = unsafe { options(given, "kmss_rule") }?;
    if given.flags & !KMSS_RULE_APART != 0 {
        return Err(Failure::argument("flags of kmss_rule are none of KMSS_RULE_…"));
    }
    // SAFETY: passed on.
    let (types, preferred, owner) = unsafe {
        let types = words(given.types, given.types_len, "types")?;
        (types, text(given.preferred, "preferred")?, text(given.owner, "owner")?)
    };
    // What cannot be made would be preferred in vain.
    preferred.map(new_type).transpose()?;
    Ok(KeyRule {
        scope,
        types: types.into_iter().map(str::parse::<AllowedType>).collect::<Result<_, _>>()?,
        preferred: preferred.map(str::to_owned),
        rotation_days: given.rotation_days,
        apart: given.flags & KMSS_RULE_APART != 0,
        owner: owner.unwrap_or_default().to_owned(),
        by: String::new(),
        set: Timestamp(0),
    })
}

/// Removes the rule for exactly this, as `kmss_rule_set` has it; keys that are there stay as they are.
///
/// Errors: KMSS_NOT_FOUND where there is none; as `kmss_rule_set`. A service's owner does not remove what names the owner.
///
/// # Safety
/// `tenant` and `service` are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_rule_remove(
    session: *mut kmss_session,
    tenant: *const c_char,
    service: *const c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let scope = unsafe { scope(&session, tenant, service) }?;
        session.kms.remove_key_rule(&session.caller, &scope)?;
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Says which rules there are for the token of the session, for its tenant, and for services in them, the oldest first, as a JSON
/// array: `scope`, `tenant`, `namespace`, `service`, `types`, `preferred`, `rotation_days`, `apart`, `owner`, `by` and `set`. `*json` is
/// freed by `kmss_free`.
///
/// Errors: KMSS_STORAGE, KMSS_DAMAGED.
///
/// # Safety
/// `json` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_rule_list(
    session: *mut kmss_session,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        let token = &session.caller.namespace;
        let rules = session.kms.key_rules()?.into_iter();
        let here = rules.filter(|rule| rule.scope.concerns(token, rule.scope.service.as_deref()));
        let said: Vec<Value> =
            here.map(|rule| report::json::rule(&rule, &rule.scope.shown(&token.to_string()))).collect();
        // SAFETY: the caller's promise.
        unsafe { put_text(json, &Value::Array(said).to_string()) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Lets the service `service` use the key `name`, both halves of a pair, beside the service that it belongs to; with
/// KMSS_GRANT_WITHDRAW no more. For the security officer, and for the owner of the service that the key belongs to.
///
/// Errors: KMSS_NOT_FOUND, KMSS_DENIED, KMSS_INVALID_ARGUMENT, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `name` and `service` are NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_grant(
    session: *mut kmss_session,
    name: *const c_char,
    service: *const c_char,
    flags: u32,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (name, service) = unsafe { (word(name, "name")?, word(service, "service")?) };
        if flags & !KMSS_GRANT_WITHDRAW != 0 {
            return Err(Failure::argument("flags is none of KMSS_GRANT_…"));
        }
        session.kms.grant(&session.caller, name, service, flags & KMSS_GRANT_WITHDRAW == 0)?;
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}
