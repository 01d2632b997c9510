//! Sessions, objects on the token, and the key of the cold start.

use super::*;

pub(super) fn session_open_close(e: &Env) -> Res<Prepared> {
    let (m, slot) = (e.m, e.slot);
    Prepared::new(vec![], move |_| {
        Ok(Box::new(move || {
            let s = m.open_session(slot)?;
            ck!(m, C_CloseSession(s))
        }))
    })
}

/// What a short request does through most bindings: open, find the key, sign, close.
pub(super) fn session_find_sign(e: &Env) -> Res<Prepared> {
    let (m, slot) = (e.m, e.slot);
    let (private, public) = ec_pair(e, CKM_EC_KEY_PAIR_GEN, &[OID_P256], false)?;
    Prepared::new(vec![private, public], move |_| {
        let mech = Mech::plain(CKM_ECDSA);
        let mut t = Template::new().ulong(CKA_CLASS, CKO_PRIVATE_KEY).bytes(CKA_ID, b"p11bench");
        Ok(Box::new(move || {
            let s = m.open_session(slot)?;
            let key = *m.find(s, &mut t, 1)?.first().ok_or(Fail::msg("key not found"))?;
            let (mut data, mut out) = ([0x5au8; 32], [0u8; 128]);
            let mut n = out.len() as CK_ULONG;
            ck!(m, C_SignInit(s, &mut mech.ck(), key))?;
            ck!(m, C_Sign(s, data.as_mut_ptr(), 32, out.as_mut_ptr(), &mut n))?;
            ck!(m, C_CloseSession(s))
        }))
    })
}

pub(super) fn get_attribute(e: &Env) -> Res<Prepared> {
    let m = e.m;
    let (private, public) = ec_pair(e, CKM_EC_KEY_PAIR_GEN, &[OID_P256], false)?;
    Prepared::new(vec![private, public], move |s| Ok(Box::new(move || m.attribute(s, public, CKA_EC_POINT).map(drop))))
}

pub(super) fn login_logout(e: &Env) -> Res<Prepared> {
    if e.threads > 1 {
        return Err(Fail::new("the login state is one per application", CKR_FUNCTION_NOT_SUPPORTED));
    }
    let m = e.m;
    let pin = e.pin.ok_or(Fail::new("no --pin", CKR_FUNCTION_NOT_SUPPORTED))?.to_string();
    Prepared::new(vec![], move |s| {
        let pin = pin.clone();
        Ok(Box::new(move || {
            ck!(m, C_Logout(s))?;
            m.login(s, &pin)
        }))
    })
}

/// A secret key object on the token, as `find` and the creation figures use it.
pub fn find_object(index: usize) -> Template {
    Template::new()
        .ulong(CKA_CLASS, CKO_SECRET_KEY)
        .ulong(CKA_KEY_TYPE, CKK_AES)
        .bool(CKA_TOKEN, true)
        .bool(CKA_PRIVATE, true)
        .bool(CKA_ENCRYPT, true)
        .bool(CKA_DECRYPT, true)
        .bytes(CKA_ID, find_id(index).as_bytes())
        .bytes(CKA_LABEL, find_label(index).as_bytes())
        .bytes(CKA_VALUE, &[0x42; 32])
}

pub(super) fn find_id(index: usize) -> String {
    format!("p11b{index:08}")
}

pub(super) fn find_label(index: usize) -> String {
    format!("p11bench-find-{index:08}")
}

pub(super) fn token_object(e: &Env) -> Res<Prepared> {
    let m = e.m;
    Prepared::new(vec![], move |s| {
        let mut t = find_object(99_999_999);
        Ok(Box::new(move || {
            let h = m.create(s, &mut t)?;
            ck!(m, C_DestroyObject(s, h))
        }))
    })
}

/// C_FindObjects of one object among those that `populate` made.
pub fn find_one(e: &Env, by_label: bool) -> Res<Prepared> {
    let (m, count) = (e.m, e.find_objects);
    if count == 0 {
        return Err(Fail::msg("no objects on the token"));
    }
    Prepared::new(vec![], move |s| {
        let mut x = 0x9e37_79b9_7f4a_7c15u64 ^ s;
        Ok(Box::new(move || {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let index = (x >> 33) as usize % count;
            let mut t = Template::new().ulong(CKA_CLASS, CKO_SECRET_KEY);
            t = if by_label {
                t.bytes(CKA_LABEL, find_label(index).as_bytes())
            } else {
                t.bytes(CKA_ID, find_id(index).as_bytes())
            };
            match m.find(s, &mut t, 2)?.len() {
                1 => Ok(()),
                n => Err(Fail::msg(format!("found {n} objects for index {index}"))),
            }
        }))
    })
}

pub(super) const COLD_ID: &[u8] = b"p11bench-cold";

pub(super) fn cold_template() -> Template {
    Template::new().ulong(CKA_CLASS, CKO_PRIVATE_KEY).bytes(CKA_ID, COLD_ID)
}

/// Makes sure that the token key of the cold start is there.
pub fn ensure_cold_key(e: &Env) -> Res<()> {
    if !e.m.find(e.session, &mut cold_template(), 1)?.is_empty() {
        return Ok(());
    }
    let base = || Template::new().bool(CKA_TOKEN, true).bytes(CKA_ID, COLD_ID).bytes(CKA_LABEL, COLD_ID);
    let mut public = base().bool(CKA_PRIVATE, false).bool(CKA_VERIFY, true).bytes(CKA_EC_PARAMS, OID_P256);
    let mut private = base().bool(CKA_PRIVATE, true).bool(CKA_SENSITIVE, true).bool(CKA_SIGN, true);
    e.m.generate_pair(e.session, &Mech::plain(CKM_EC_KEY_PAIR_GEN), &mut public, &mut private).map(drop)
}

pub fn cold_find(m: &Module, s: CK_SESSION_HANDLE) -> Res<CK_OBJECT_HANDLE> {
    m.find(s, &mut cold_template(), 1)?.first().copied().ok_or(Fail::msg("cold-start key not found"))
}

pub fn cold_sign(m: &Module, s: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Res<()> {
    sign_once(m, s, &Mech::plain(CKM_ECDSA), key, &[0x5a; 32]).map(drop)
}

/// Destroys the cold-start key pair.
pub fn drop_cold_key(e: &Env) -> Res<()> {
    for o in e.m.find(e.session, &mut Template::new().bytes(CKA_ID, COLD_ID), 16)? {
        ck!(e.m, C_DestroyObject(e.session, o))?;
    }
    Ok(())
}
