//! AES and SM4: encryption, and key wrapping.

use super::*;

pub(super) fn encrypt_once(
    m: &Module,
    s: CK_SESSION_HANDLE,
    mech: &Mech,
    key: CK_OBJECT_HANDLE,
    data: &[u8],
) -> Res<Vec<u8>> {
    let mut out = vec![0u8; data.len() + 1024];
    let mut n = out.len() as CK_ULONG;
    ck!(m, C_EncryptInit(s, &mut mech.ck(), key))?;
    ck!(m, C_Encrypt(s, data.as_ptr() as *mut u8, data.len() as CK_ULONG, out.as_mut_ptr(), &mut n))?;
    out.truncate(n as usize);
    Ok(out)
}

pub(super) fn decrypt_once(
    m: &Module,
    s: CK_SESSION_HANDLE,
    mech: &Mech,
    key: CK_OBJECT_HANDLE,
    data: &[u8],
) -> Res<Vec<u8>> {
    let mut out = vec![0u8; data.len() + 1024];
    let mut n = out.len() as CK_ULONG;
    ck!(m, C_DecryptInit(s, &mut mech.ck(), key))?;
    ck!(m, C_Decrypt(s, data.as_ptr() as *mut u8, data.len() as CK_ULONG, out.as_mut_ptr(), &mut n))?;
    out.truncate(n as usize);
    Ok(out)
}

pub(super) fn expect_plain(got: &[u8], want: &[u8]) -> Res<()> {
    if got == want {
        Ok(())
    } else {
        Err(Fail::msg("the module gave a wrong result"))
    }
}

pub(super) fn decrypt_step(
    m: &'static Module,
    s: CK_SESSION_HANDLE,
    mech: Arc<Mech>,
    key: CK_OBJECT_HANDLE,
    mut data: Vec<u8>,
) -> Step {
    let mut out = vec![0u8; data.len() + 1024];
    Box::new(move || {
        let mut n = out.len() as CK_ULONG;
        ck!(m, C_DecryptInit(s, &mut mech.ck(), key))?;
        ck!(m, C_Decrypt(s, data.as_mut_ptr(), data.len() as CK_ULONG, out.as_mut_ptr(), &mut n))
    })
}

/// A cipher with a fixed parameter block (IV, counter).
pub(super) fn cipher(
    key: impl Fn(&Env) -> Res<CK_OBJECT_HANDLE> + 'static,
    mech: impl Fn() -> Mech + 'static,
    n: usize,
    decrypt: bool,
) -> Prepare {
    Box::new(move |e| {
        let (m, key, mech) = (e.m, key(e)?, Arc::new(mech()));
        let plain = vec![0x42u8; n];
        let sealed = guarded(e, &[key], || {
            let sealed = encrypt_once(m, e.session, &mech, key, &plain)?;
            expect_plain(&decrypt_once(m, e.session, &mech, key, &sealed)?, &plain)?;
            Ok(sealed)
        })?;
        Prepared::new(vec![key], move |s| {
            if decrypt {
                return Ok(decrypt_step(m, s, mech.clone(), key, sealed.clone()));
            }
            let (mech, mut data, mut out) = (mech.clone(), plain.clone(), vec![0u8; plain.len() + 1024]);
            Ok(Box::new(move || {
                let mut n = out.len() as CK_ULONG;
                ck!(m, C_EncryptInit(s, &mut mech.ck(), key))?;
                ck!(m, C_Encrypt(s, data.as_mut_ptr(), data.len() as CK_ULONG, out.as_mut_ptr(), &mut n))
            }))
        })
    })
}

pub(super) fn gcm_params(iv: &mut [u8; 12]) -> CK_GCM_PARAMS {
    CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: ptr::null_mut(),
        ulAADLen: 0,
        ulTagBits: 128,
    }
}

pub(super) fn gcm_mech(iv: &[u8; 12]) -> Mech {
    let mut keep: Box<[u8]> = iv.as_slice().into();
    let p = CK_GCM_PARAMS {
        pIv: keep.as_mut_ptr(),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: ptr::null_mut(),
        ulAADLen: 0,
        ulTagBits: 128,
    };
    Mech::with(CKM_AES_GCM, p, vec![keep])
}

pub(super) fn aes_gcm_encrypt(e: &Env, n: usize) -> Res<Prepared> {
    let (m, key) = (e.m, aes_key(e)?);
    guarded(e, &[key], || {
        let sealed = encrypt_once(m, e.session, &gcm_mech(&[1; 12]), key, &vec![0x42; n])?;
        expect_plain(&decrypt_once(m, e.session, &gcm_mech(&[1; 12]), key, &sealed)?, &vec![0x42; n])
    })?;
    Prepared::new(vec![key], move |s| {
        let (mut data, mut out, mut counter) = (vec![0x42u8; n], vec![0u8; n + 64], s << 32);
        Ok(Box::new(move || {
            // A fresh IV for each message, as every real caller has to.
            counter += 1;
            let mut iv = [0u8; 12];
            iv[4..].copy_from_slice(&counter.to_be_bytes());
            let mut p = gcm_params(&mut iv);
            let mut mech = CK_MECHANISM {
                mechanism: CKM_AES_GCM,
                pParameter: &mut p as *mut _ as *mut std::ffi::c_void,
                ulParameterLen: std::mem::size_of::<CK_GCM_PARAMS>() as CK_ULONG,
            };
            let mut len = out.len() as CK_ULONG;
            ck!(m, C_EncryptInit(s, &mut mech, key))?;
            ck!(m, C_Encrypt(s, data.as_mut_ptr(), n as CK_ULONG, out.as_mut_ptr(), &mut len))
        }))
    })
}

pub(super) fn aes_gcm_decrypt(e: &Env, n: usize) -> Res<Prepared> {
    let (m, key, mech) = (e.m, aes_key(e)?, Arc::new(gcm_mech(&[1; 12])));
    let sealed = guarded(e, &[key], || {
        let sealed = encrypt_once(m, e.session, &mech, key, &vec![0x42; n])?;
        let mut bad = sealed.clone();
        bad[0] ^= 1;
        expect_plain(&decrypt_once(m, e.session, &mech, key, &sealed)?, &vec![0x42; n])?;
        match decrypt_once(m, e.session, &mech, key, &bad) {
            Ok(_) => Err(Fail::msg("the module accepted a broken ciphertext")),
            Err(_) => Ok(sealed),
        }
    })?;
    Prepared::new(vec![key], move |s| Ok(decrypt_step(m, s, mech.clone(), key, sealed.clone())))
}

pub(super) fn key_wrap(e: &Env, unwrap: bool) -> Res<Prepared> {
    fn wrap(
        m: &Module,
        s: CK_SESSION_HANDLE,
        mech: &Mech,
        kek: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
    ) -> Res<Vec<u8>> {
        let mut out = vec![0u8; 256];
        let mut n = out.len() as CK_ULONG;
        ck!(m, C_WrapKey(s, &mut mech.ck(), kek, key, out.as_mut_ptr(), &mut n))?;
        out.truncate(n as usize);
        Ok(out)
    }
    fn template() -> Template {
        Template::new()
            .ulong(CKA_CLASS, CKO_SECRET_KEY)
            .ulong(CKA_KEY_TYPE, CKK_AES)
            .bool(CKA_TOKEN, false)
            .bool(CKA_ENCRYPT, true)
            .bool(CKA_DECRYPT, true)
    }
    let m = e.m;
    let kek = aes_key(e)?;
    let key = guarded(e, &[kek], || aes_key(e))?;
    let (mech, wrapped) = guarded(e, &[kek, key], || {
        // KWP has its own number since 3.0; before, modules gave it under _PAD.
        let mut last = Fail::msg("no key wrap");
        for kind in [CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD, CKM_AES_KEY_WRAP] {
            match wrap(m, e.session, &Mech::plain(kind), kek, key) {
                Ok(w) => return Ok((Mech::plain(kind), w)),
                Err(f) => last = f,
            }
        }
        Err(last)
    })?;
    let note = match mech.kind {
        CKM_AES_KEY_WRAP_KWP => "KEY_WRAP_KWP",
        CKM_AES_KEY_WRAP_PAD => "KEY_WRAP_PAD",
        _ => "KEY_WRAP",
    };
    let mech = Arc::new(mech);
    let prepared = Prepared::new(vec![kek, key], move |s| {
        let (mech, mut t, mut wrapped, mut out) = (mech.clone(), template(), wrapped.clone(), vec![0u8; 256]);
        Ok(Box::new(move || {
            if unwrap {
                let mut h = 0;
                let (p, n) = t.raw();
                ck!(
                    m,
                    C_UnwrapKey(s, &mut mech.ck(), kek, wrapped.as_mut_ptr(), wrapped.len() as CK_ULONG, p, n, &mut h)
                )?;
                ck!(m, C_DestroyObject(s, h))
            } else {
                let mut n = out.len() as CK_ULONG;
                ck!(m, C_WrapKey(s, &mut mech.ck(), kek, key, out.as_mut_ptr(), &mut n))
            }
        }))
    })?;
    Ok(prepared.note(note))
}
