//! The keys that the workloads make.

use super::*;

/// Attributes common to every key we make.
pub(super) fn key_base(e: &Env, id: &[u8]) -> Template {
    Template::new().bool(CKA_TOKEN, e.token_keys).bytes(CKA_ID, id).bytes(CKA_LABEL, b"p11bench-key")
}

pub(super) fn public_base(e: &Env) -> Template {
    key_base(e, b"p11bench").bool(CKA_PRIVATE, false)
}

pub(super) fn private_base(e: &Env) -> Template {
    key_base(e, b"p11bench").bool(CKA_PRIVATE, true).bool(CKA_SENSITIVE, true)
}

/// (private, public); the order in which everything below names them.
pub(super) type Pair = (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE);

pub(super) fn rsa_pair(e: &Env, bits: u64) -> Res<Pair> {
    let mut public = public_base(e)
        .bool(CKA_VERIFY, true)
        .bool(CKA_ENCRYPT, true)
        .ulong(CKA_MODULUS_BITS, bits)
        .bytes(CKA_PUBLIC_EXPONENT, &[1, 0, 1]);
    let mut private = private_base(e).bool(CKA_SIGN, true).bool(CKA_DECRYPT, true);
    let (p, s) = e.m.generate_pair(e.session, &Mech::plain(CKM_RSA_PKCS_KEY_PAIR_GEN), &mut public, &mut private)?;
    Ok((s, p))
}

/// Tries the encodings of CKA_EC_PARAMS in turn.
pub(super) fn ec_pair(e: &Env, mech: CK_MECHANISM_TYPE, params: &[&[u8]], derive: bool) -> Res<Pair> {
    let mut last = Fail::msg("no curve");
    for p in params {
        let montgomery = mech == CKM_EC_MONTGOMERY_KEY_PAIR_GEN;
        let mut public = public_base(e).bytes(CKA_EC_PARAMS, p);
        let mut private = private_base(e);
        if !montgomery {
            public = public.bool(CKA_VERIFY, true);
            private = private.bool(CKA_SIGN, true);
        }
        if derive {
            private = private.bool(CKA_DERIVE, true);
        }
        match e.m.generate_pair(e.session, &Mech::plain(mech), &mut public, &mut private) {
            Ok((p, s)) => return Ok((s, p)),
            Err(f) => last = f,
        }
    }
    Err(last)
}

pub(super) fn sm2_pair(e: &Env) -> Res<Pair> {
    ec_pair(e, vendor(e, "sm2-keygen")?, &[OID_SM2], false)
}

pub(super) fn pqc_pair(e: &Env, mech: CK_MECHANISM_TYPE, set: CK_ULONG) -> Res<Pair> {
    let (pub_use, priv_use) =
        if mech == CKM_ML_KEM_KEY_PAIR_GEN { (CKA_ENCAPSULATE, CKA_DECAPSULATE) } else { (CKA_VERIFY, CKA_SIGN) };
    let mut public = public_base(e).ulong(CKA_PARAMETER_SET, set).bool(pub_use, true);
    let mut private = private_base(e).bool(priv_use, true);
    let (p, s) = e.m.generate_pair(e.session, &Mech::plain(mech), &mut public, &mut private)?;
    Ok((s, p))
}

pub(super) fn secret_template(e: &Env, extractable: bool) -> Template {
    private_base(e)
        .ulong(CKA_VALUE_LEN, 32)
        .bool(CKA_ENCRYPT, true)
        .bool(CKA_DECRYPT, true)
        .bool(CKA_WRAP, true)
        .bool(CKA_UNWRAP, true)
        .bool(CKA_EXTRACTABLE, extractable)
}

pub(super) fn aes_key(e: &Env) -> Res<CK_OBJECT_HANDLE> {
    e.m.generate(e.session, &Mech::plain(CKM_AES_KEY_GEN), &mut secret_template(e, true))
}

pub(super) fn sm4_key(e: &Env) -> Res<CK_OBJECT_HANDLE> {
    let mut t = private_base(e).bool(CKA_ENCRYPT, true).bool(CKA_DECRYPT, true);
    e.m.generate(e.session, &Mech::plain(vendor(e, "sm4-keygen")?), &mut t)
}

pub(super) fn vendor(e: &Env, name: &str) -> Res<CK_MECHANISM_TYPE> {
    e.vendor.get(name).copied().ok_or(Fail::new("no --vendor id", CKR_MECHANISM_INVALID))
}

/// The caller's copy of the environment for closures that outlive `prepare`.
pub(super) fn own_env(e: &Env) -> Env<'static> {
    static NO_VENDOR: BTreeMap<String, u64> = BTreeMap::new();
    let vendor: &'static BTreeMap<String, u64> =
        if e.vendor.is_empty() { &NO_VENDOR } else { Box::leak(Box::new(e.vendor.clone())) };
    Env {
        m: e.m,
        slot: e.slot,
        session: e.session,
        pin: None,
        token_keys: e.token_keys,
        threads: e.threads,
        find_objects: e.find_objects,
        vendor,
    }
}
