//! Digests, MACs and random numbers.

use super::*;

pub(super) fn digest(mech: impl Fn(&Env) -> Option<CK_MECHANISM_TYPE> + 'static, n: usize) -> Prepare {
    Box::new(move |e| {
        let m = e.m;
        let mech = mech(e).ok_or(Fail::new("no --vendor id", CKR_MECHANISM_INVALID))?;
        Prepared::new(vec![], move |s| {
            let (mut data, mut out) = (vec![0x42u8; n], [0u8; 64]);
            Ok(Box::new(move || {
                let mut len = out.len() as CK_ULONG;
                ck!(m, C_DigestInit(s, &mut Mech::plain(mech).ck()))?;
                ck!(m, C_Digest(s, data.as_mut_ptr(), n as CK_ULONG, out.as_mut_ptr(), &mut len))
            }))
        })
    })
}

pub(super) fn hmac(e: &Env, n: usize) -> Res<Prepared> {
    let m = e.m;
    let mut last = Fail::msg("no HMAC key type");
    for key_type in [CKK_GENERIC_SECRET, CKK_SHA256_HMAC] {
        let mut t = private_base(e)
            .ulong(CKA_CLASS, CKO_SECRET_KEY)
            .ulong(CKA_KEY_TYPE, key_type)
            .bool(CKA_SIGN, true)
            .bool(CKA_VERIFY, true)
            .bytes(CKA_VALUE, &[0x0b; 32]);
        let mech = Arc::new(Mech::plain(CKM_SHA256_HMAC));
        let tried = m.create(e.session, &mut t).and_then(|key| {
            guarded(e, &[key], || {
                let mac = sign_once(m, e.session, &mech, key, &vec![0x42; n])?;
                verify_once(m, e.session, &mech, key, &vec![0x42; n], &mac)?;
                Ok(key)
            })
        });
        match tried {
            Err(f) => last = f,
            Ok(key) => {
                return Prepared::new(vec![key], move |s| {
                    let (mech, mut data, mut out) = (mech.clone(), vec![0x42u8; n], [0u8; 64]);
                    Ok(Box::new(move || {
                        let mut len = out.len() as CK_ULONG;
                        ck!(m, C_SignInit(s, &mut mech.ck(), key))?;
                        ck!(m, C_Sign(s, data.as_mut_ptr(), n as CK_ULONG, out.as_mut_ptr(), &mut len))
                    }))
                })
            }
        }
    }
    Err(last)
}

pub(super) fn random(e: &Env, n: usize) -> Res<Prepared> {
    let m = e.m;
    Prepared::new(vec![], move |s| {
        let mut out = vec![0u8; n];
        Ok(Box::new(move || ck!(m, C_GenerateRandom(s, out.as_mut_ptr(), n as CK_ULONG))))
    })
}
