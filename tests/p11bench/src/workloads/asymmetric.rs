//! Signatures, decryption, key agreement and encapsulation.

use super::*;

pub(super) fn rsa_sign(bits: u64, mech: impl Fn() -> Mech + 'static, data: Vec<u8>) -> Prepare {
    sign(move |e| rsa_pair(e, bits), mech, data)
}

pub(super) fn rsa_verify(bits: u64, mech: impl Fn() -> Mech + 'static, data: Vec<u8>) -> Prepare {
    verify(move |e| rsa_pair(e, bits), mech, data)
}

pub(super) fn sign_once(
    m: &Module,
    s: CK_SESSION_HANDLE,
    mech: &Mech,
    key: CK_OBJECT_HANDLE,
    data: &[u8],
) -> Res<Vec<u8>> {
    let mut out = vec![0u8; 8192];
    let mut n = out.len() as CK_ULONG;
    ck!(m, C_SignInit(s, &mut mech.ck(), key))?;
    ck!(m, C_Sign(s, data.as_ptr() as *mut u8, data.len() as CK_ULONG, out.as_mut_ptr(), &mut n))?;
    out.truncate(n as usize);
    Ok(out)
}

pub(super) fn verify_once(
    m: &Module,
    s: CK_SESSION_HANDLE,
    mech: &Mech,
    key: CK_OBJECT_HANDLE,
    data: &[u8],
    sig: &[u8],
) -> Res<()> {
    ck!(m, C_VerifyInit(s, &mut mech.ck(), key))?;
    ck!(
        m,
        C_Verify(s, data.as_ptr() as *mut u8, data.len() as CK_ULONG, sig.as_ptr() as *mut u8, sig.len() as CK_ULONG)
    )
}

/// Runs `f`; if it fails, destroys what had been made for it.
pub(super) fn guarded<T>(e: &Env, objects: &[CK_OBJECT_HANDLE], f: impl FnOnce() -> Res<T>) -> Res<T> {
    f().inspect_err(|_| {
        for &o in objects.iter().filter(|&&o| o != 0) {
            let _ = ck!(e.m, C_DestroyObject(e.session, o));
        }
    })
}

pub(super) fn sign(
    pair: impl Fn(&Env) -> Res<Pair> + 'static,
    mech: impl Fn() -> Mech + 'static,
    data: Vec<u8>,
) -> Prepare {
    Box::new(move |e| {
        let (private, public) = pair(e)?;
        let (m, mech, data) = (e.m, Arc::new(mech()), data.clone());
        guarded(e, &[private, public], || {
            let sig = sign_once(m, e.session, &mech, private, &data)?;
            verify_once(m, e.session, &mech, public, &data, &sig)
        })?;
        Prepared::new(vec![private, public], move |s| {
            let (mech, mut data, mut out) = (mech.clone(), data.clone(), vec![0u8; 8192]);
            Ok(Box::new(move || {
                let mut n = out.len() as CK_ULONG;
                ck!(m, C_SignInit(s, &mut mech.ck(), private))?;
                ck!(m, C_Sign(s, data.as_mut_ptr(), data.len() as CK_ULONG, out.as_mut_ptr(), &mut n))
            }))
        })
    })
}

pub(super) fn verify(
    pair: impl Fn(&Env) -> Res<Pair> + 'static,
    mech: impl Fn() -> Mech + 'static,
    data: Vec<u8>,
) -> Prepare {
    Box::new(move |e| {
        let (private, public) = pair(e)?;
        let (m, mech, data) = (e.m, Arc::new(mech()), data.clone());
        let sig = guarded(e, &[private, public], || {
            let sig = sign_once(m, e.session, &mech, private, &data)?;
            let mut bad = sig.clone();
            bad[10] ^= 1;
            verify_once(m, e.session, &mech, public, &data, &sig)?;
            match verify_once(m, e.session, &mech, public, &data, &bad) {
                Ok(()) => Err(Fail::msg("the module verified a broken signature")),
                Err(_) => Ok(sig),
            }
        })?;
        Prepared::new(vec![private, public], move |s| {
            let (mech, mut data, mut sig) = (mech.clone(), data.clone(), sig.clone());
            Ok(Box::new(move || {
                ck!(m, C_VerifyInit(s, &mut mech.ck(), public))?;
                ck!(m, C_Verify(s, data.as_mut_ptr(), data.len() as CK_ULONG, sig.as_mut_ptr(), sig.len() as CK_ULONG))
            }))
        })
    })
}

pub(super) fn oaep(hash: CK_MECHANISM_TYPE, mgf: CK_RSA_PKCS_MGF_TYPE) -> Mech {
    let p = CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: hash,
        mgf,
        source: CKZ_DATA_SPECIFIED,
        pSourceData: ptr::null_mut(),
        ulSourceDataLen: 0,
    };
    Mech::with(CKM_RSA_PKCS_OAEP, p, vec![])
}

pub(super) fn rsa_decrypt(bits: u64, mech: impl Fn() -> Mech + 'static) -> Prepare {
    Box::new(move |e| {
        let (private, public) = rsa_pair(e, bits)?;
        let (m, mech) = (e.m, Arc::new(mech()));
        let sealed = guarded(e, &[private, public], || {
            let sealed = encrypt_once(m, e.session, &mech, public, &[0x42; 32])?;
            expect_plain(&decrypt_once(m, e.session, &mech, private, &sealed)?, &[0x42; 32])?;
            Ok(sealed)
        })?;
        Prepared::new(vec![private, public], move |s| Ok(decrypt_step(m, s, mech.clone(), private, sealed.clone())))
    })
}

/// One operation is: make the key (pair) and destroy it again.
pub(super) fn keygen(e: &Env, make: impl Fn(&Env) -> Res<Pair> + Copy + Send + Sync + 'static) -> Res<Prepared> {
    let env = own_env(e);
    let (a, b) = make(&env)?;
    for o in [a, b].into_iter().filter(|&o| o != 0) {
        ck!(e.m, C_DestroyObject(e.session, o))?;
    }
    Prepared::new(vec![], move |s| {
        let env = Env { session: s, ..own_env(&env) };
        Ok(Box::new(move || {
            let (a, b) = make(&env)?;
            for o in [a, b].into_iter().filter(|&o| o != 0) {
                ck!(env.m, C_DestroyObject(env.session, o))?;
            }
            Ok(())
        }))
    })
}

/// A CKA_EC_POINT without its OCTET STRING header.
pub(super) fn bare_point(der: &[u8]) -> &[u8] {
    match der {
        [0x04, n, rest @ ..] if *n < 0x80 && rest.len() == *n as usize => rest,
        [0x04, 0x81, n, rest @ ..] if rest.len() == *n as usize => rest,
        _ => der,
    }
}

pub(super) fn ecdh(pair: impl Fn(&Env) -> Res<Pair> + 'static) -> Prepare {
    fn mech(point: &[u8]) -> Mech {
        let mut keep: Box<[u8]> = point.into();
        let p = CK_ECDH1_DERIVE_PARAMS {
            kdf: CKD_NULL,
            ulSharedDataLen: 0,
            pSharedData: ptr::null_mut(),
            ulPublicDataLen: keep.len() as CK_ULONG,
            pPublicData: keep.as_mut_ptr(),
        };
        Mech::with(CKM_ECDH1_DERIVE, p, vec![keep])
    }
    fn derive(m: &Module, s: CK_SESSION_HANDLE, mech: &Mech, key: CK_OBJECT_HANDLE, t: &mut Template) -> Res<()> {
        let mut h = 0;
        let (p, n) = t.raw();
        ck!(m, C_DeriveKey(s, &mut mech.ck(), key, p, n, &mut h))?;
        ck!(m, C_DestroyObject(s, h))
    }
    fn template() -> Template {
        Template::new()
            .ulong(CKA_CLASS, CKO_SECRET_KEY)
            .ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
            .bool(CKA_TOKEN, false)
            .bool(CKA_SENSITIVE, false)
            .bool(CKA_EXTRACTABLE, true)
            .ulong(CKA_VALUE_LEN, 32)
    }
    Box::new(move |e| {
        let (private, public) = pair(e)?;
        let m = e.m;
        let mech = guarded(e, &[private, public], || {
            let (peer_private, peer) = pair(e)?;
            let point = m.attribute(e.session, peer, CKA_EC_POINT);
            for o in [peer_private, peer] {
                ck!(m, C_DestroyObject(e.session, o))?;
            }
            let point = point?;
            // The standard asks for the bare point, some modules for its DER form.
            let first = mech(bare_point(&point));
            match derive(m, e.session, &first, private, &mut template()) {
                Ok(()) => Ok(first),
                Err(f) => {
                    let second = mech(&point);
                    derive(m, e.session, &second, private, &mut template()).map_err(|_| f)?;
                    Ok(second)
                }
            }
        })?;
        let mech = Arc::new(mech);
        Prepared::new(vec![private, public], move |s| {
            let (mech, mut t) = (mech.clone(), template());
            Ok(Box::new(move || derive(m, s, &mech, private, &mut t)))
        })
    })
}

pub(super) fn ml_kem(e: &Env, decapsulate: bool) -> Res<Prepared> {
    fn template() -> Template {
        Template::new()
            .ulong(CKA_CLASS, CKO_SECRET_KEY)
            .ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
            .bool(CKA_TOKEN, false)
            .bool(CKA_SENSITIVE, false)
            .bool(CKA_EXTRACTABLE, true)
            .ulong(CKA_VALUE_LEN, 32)
    }
    fn encaps(
        m: &Module,
        s: CK_SESSION_HANDLE,
        key: CK_OBJECT_HANDLE,
        out: &mut [u8],
    ) -> Res<(CK_OBJECT_HANDLE, usize)> {
        let (mut t, mut n, mut h) = (template(), out.len() as CK_ULONG, 0);
        let (p, c) = t.raw();
        ck32!(m, C_EncapsulateKey(s, &mut Mech::plain(CKM_ML_KEM).ck(), key, p, c, out.as_mut_ptr(), &mut n, &mut h))?;
        Ok((h, n as usize))
    }
    fn decaps(m: &Module, s: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, sealed: &[u8]) -> Res<CK_OBJECT_HANDLE> {
        let (mut t, mut h) = (template(), 0);
        let (p, c) = t.raw();
        ck32!(
            m,
            C_DecapsulateKey(
                s,
                &mut Mech::plain(CKM_ML_KEM).ck(),
                key,
                p,
                c,
                sealed.as_ptr() as *mut u8,
                sealed.len() as CK_ULONG,
                &mut h
            )
        )?;
        Ok(h)
    }
    let (private, public) = pqc_pair(e, CKM_ML_KEM_KEY_PAIR_GEN, CKP_ML_KEM_768)?;
    let m = e.m;
    let sealed = guarded(e, &[private, public], || {
        let mut sealed = vec![0u8; 4096];
        let (h, n) = encaps(m, e.session, public, &mut sealed)?;
        sealed.truncate(n);
        let g = decaps(m, e.session, private, &sealed)?;
        expect_plain(&m.attribute(e.session, g, CKA_VALUE)?, &m.attribute(e.session, h, CKA_VALUE)?)?;
        ck!(m, C_DestroyObject(e.session, h))?;
        ck!(m, C_DestroyObject(e.session, g))?;
        Ok(sealed)
    })?;
    Prepared::new(vec![private, public], move |s| {
        let mut sealed = sealed.clone();
        Ok(Box::new(move || {
            let h = if decapsulate { decaps(m, s, private, &sealed)? } else { encaps(m, s, public, &mut sealed)?.0 };
            ck!(m, C_DestroyObject(s, h))
        }))
    })
}
