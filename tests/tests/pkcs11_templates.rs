//! What keys demand of others: CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE, CKA_WRAP_WITH_TRUSTED.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{PIN, SO_PIN};
use kmss_tests::p11::keys::secret;
use kmss_tests::p11::{Attr, Mech, Session, flag, raw, refused, refused_any, text, token, ulong};

/// What C_WrapKey says of a key that does not match (PKCS#11 3.2, 5.18.3).
const NO_MATCH: CK_RV = CKR_KEY_HANDLE_INVALID;

/// The value of every key that wraps, unwraps or is derived from.
const BASE: [u8; 32] = [5; 32];

/// A session on a fresh token; `None`, said aloud, without KMSS.
fn session(label: &str) -> Option<Session> {
    if built::only_kmss("demands of keys") { None } else { Some(token(label).user()) }
}

/// A key of the value [`BASE`] whose template `template` demands `demands`.
fn demanding(
    session: &Session,
    key_type: CK_KEY_TYPE,
    template: CK_ATTRIBUTE_TYPE,
    demands: &[Attr],
) -> CK_OBJECT_HANDLE {
    // CK_ATTRIBUTEs as they lie in memory; what they point to is `demands`, which outlives the call.
    let list = demands.iter().flat_map(|a| {
        let at = a.value.as_ptr().expose_provenance();
        [a.kind.to_ne_bytes(), at.to_ne_bytes(), a.value.len().to_ne_bytes()].concat()
    });
    let list: Vec<u8> = list.collect();
    assert_eq!(list.len(), demands.len() * size_of::<CK_ATTRIBUTE>());
    let uses = [CKA_WRAP, CKA_UNWRAP, CKA_DERIVE].map(|kind| flag(kind, true));
    let key = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, key_type),
        flag(CKA_TOKEN, false),
        raw(CKA_VALUE, BASE),
        raw(template, &list),
    ];
    let key = session.create(&[&key[..], &uses].concat()).unwrap();
    assert_eq!(session.get(key, template).unwrap().len(), list.len(), "the template is shown");
    key
}

/// An AES key that may be wrapped.
fn traveller(session: &Session, more: &[Attr]) -> CK_OBJECT_HANDLE {
    let template = [ulong(CKA_VALUE_LEN, 16), flag(CKA_TOKEN, false), flag(CKA_EXTRACTABLE, true)];
    session.generate(CKM_AES_KEY_GEN, &[&template[..], more].concat()).unwrap()
}

/// What tells two AES keys apart that nobody may read.
fn fingerprint(session: &Session, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    session.encrypt(CKM_AES_ECB, key, &[0; 16]).unwrap()
}

#[test]
fn a_key_is_wrapped_only_where_it_matches_what_the_wrapping_key_demands() {
    let Some(session) = session("wrap-template") else { return };
    let demands = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_DECRYPT, false),
        raw(CKA_ID, b"export"),
    ];
    let strict = demanding(&session, CKK_AES, CKA_WRAP_TEMPLATE, &demands);
    let free = secret(&session, CKK_AES, &BASE);
    let wrap = |key| session.wrap(CKM_AES_KEY_WRAP, strict, key);

    let fitting = traveller(&session, &demands[2..]);
    let wrapped = wrap(fitting).unwrap();
    assert_eq!(wrapped, session.wrap(CKM_AES_KEY_WRAP, free, fitting).unwrap());

    let decrypts = traveller(&session, &[flag(CKA_DECRYPT, true), raw(CKA_ID, b"export")]);
    let elsewhere = traveller(&session, &[flag(CKA_DECRYPT, false), raw(CKA_ID, b"exports")]);
    let nameless = traveller(&session, &demands[2..3]);
    let generic = secret(&session, CKK_GENERIC_SECRET, &[9; 16]);
    session.set(generic, &demands[2..]).unwrap();
    for key in [decrypts, elsewhere, nameless, generic] {
        refused(wrap(key), NO_MATCH);
        session.wrap(CKM_AES_KEY_WRAP, free, key).expect("it is the template that was in the way");
    }

    // What counts is what the keys are now.
    session.set(elsewhere, &[raw(CKA_ID, b"export")]).unwrap();
    wrap(elsewhere).unwrap();
    session.set(fitting, &[flag(CKA_DECRYPT, true)]).unwrap();
    refused(wrap(fitting), NO_MATCH);
}

#[test]
fn what_a_wrapping_key_demands_stays_with_it_and_its_copies() {
    let Some(session) = session("wrap-template-stays") else { return };
    let strict = demanding(&session, CKK_AES, CKA_WRAP_TEMPLATE, &[raw(CKA_ID, b"export")]);
    let nothing = [raw(CKA_WRAP_TEMPLATE, b"")];
    refused(session.set(strict, &nothing), CKR_ATTRIBUTE_READ_ONLY);
    refused(session.copy(strict, &nothing), CKR_ATTRIBUTE_READ_ONLY);
    let copy = session.copy(strict, &[]).unwrap();
    let key = traveller(&session, &[]);
    for wrapping in [strict, copy] {
        refused(session.wrap(CKM_AES_KEY_WRAP, wrapping, key), NO_MATCH);
    }
    session.set(key, &[raw(CKA_ID, b"export")]).unwrap();
    for wrapping in [strict, copy] {
        session.wrap(CKM_AES_KEY_WRAP, wrapping, key).unwrap();
    }
}

#[test]
fn a_template_for_wrapping_does_not_tell_what_a_sensitive_key_is() {
    let Some(session) = session("wrap-template-guess") else { return };
    let key = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_TOKEN, false),
        flag(CKA_SENSITIVE, true),
        flag(CKA_EXTRACTABLE, true),
        raw(CKA_VALUE, [9; 16]),
    ];
    let key = session.create(&key).unwrap();
    for value in [[8; 16], [9; 16]] {
        let guess = demanding(&session, CKK_AES, CKA_WRAP_TEMPLATE, &[raw(CKA_VALUE, value)]);
        refused(session.wrap(CKM_AES_KEY_WRAP, guess, key), NO_MATCH);
    }
    session.wrap(CKM_AES_KEY_WRAP, secret(&session, CKK_AES, &BASE), key).expect("it may be wrapped");
}

#[test]
fn an_unwrapped_key_is_what_the_unwrapping_key_demands() {
    let Some(session) = session("unwrap-template") else { return };
    let demands = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_SENSITIVE, true),
        flag(CKA_EXTRACTABLE, false),
        flag(CKA_DECRYPT, false),
        text(CKA_LABEL, "came in"),
    ];
    let strict = demanding(&session, CKK_AES, CKA_UNWRAP_TEMPLATE, &demands);
    let free = secret(&session, CKK_AES, &BASE);
    let inner = secret(&session, CKK_AES, &[9; 16]);
    let wrapped = session.wrap(CKM_AES_KEY_WRAP, free, inner).unwrap();
    let unwrap = |more: &[Attr]| {
        let template = [&[flag(CKA_TOKEN, false)], more].concat();
        session.unwrap(CKM_AES_KEY_WRAP, strict, &wrapped, &template)
    };

    // Said by the caller, too, or not at all.
    for more in [&demands[..], &demands[2..3], &[]] {
        let key = unwrap(more).unwrap();
        for demand in &demands {
            assert_eq!(session.get(key, demand.kind).unwrap(), demand.value, "0x{:x}", demand.kind);
        }
        refused(session.get(key, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
        refused(session.wrap(CKM_AES_KEY_WRAP, free, key), CKR_KEY_UNEXTRACTABLE);
        let sealed = fingerprint(&session, key);
        assert_eq!(sealed, fingerprint(&session, inner));
        refused(session.decrypt(CKM_AES_ECB, key, &sealed), CKR_KEY_FUNCTION_NOT_PERMITTED);
    }
    let loose = [&demands[..2], &[flag(CKA_TOKEN, false)]].concat();
    let loose = session.unwrap(CKM_AES_KEY_WRAP, free, &wrapped, &loose).unwrap();
    assert_eq!(session.get(loose, CKA_VALUE).unwrap(), [9; 16], "without the demands it could be read");

    let count = session.find(&[]).unwrap().len();
    for against in [
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
        flag(CKA_DECRYPT, true),
        text(CKA_LABEL, "came in by another way"),
    ] {
        refused(unwrap(&[against]), CKR_TEMPLATE_INCONSISTENT);
    }
    assert_eq!(session.find(&[]).unwrap().len(), count, "nothing is made");
}

#[test]
fn a_derived_key_is_what_its_base_key_demands() {
    let Some(session) = session("derive-template") else { return };
    let demands = [
        ulong(CKA_KEY_TYPE, CKK_AES),
        ulong(CKA_VALUE_LEN, 16),
        flag(CKA_SENSITIVE, true),
        flag(CKA_EXTRACTABLE, false),
        flag(CKA_DECRYPT, false),
        text(CKA_LABEL, "derived"),
    ];
    let strict = demanding(&session, CKK_HKDF, CKA_DERIVE_TEMPLATE, &demands);
    let hkdf = || Mech::hkdf(CKM_SHA256, b"salt", b"info");
    let derive = |more: &[Attr]| {
        let template = [&[flag(CKA_TOKEN, false)], more].concat();
        session.derive(hkdf(), strict, &template)
    };
    let free = secret(&session, CKK_HKDF, &BASE);
    let loose = [&demands[..2], &[flag(CKA_TOKEN, false), flag(CKA_SENSITIVE, false)]].concat();
    let loose = session.derive(hkdf(), free, &loose).unwrap();
    assert_eq!(session.get(loose, CKA_VALUE).unwrap().len(), 16, "without the demands it could be read");

    for more in [&demands[..], &demands[..2], &[]] {
        let key = derive(more).unwrap();
        for demand in &demands {
            assert_eq!(session.get(key, demand.kind).unwrap(), demand.value, "0x{:x}", demand.kind);
        }
        refused(session.get(key, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
        assert_eq!(fingerprint(&session, key), fingerprint(&session, loose));
    }

    let count = session.find(&[]).unwrap().len();
    for against in [
        ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        ulong(CKA_VALUE_LEN, 32),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
        flag(CKA_DECRYPT, true),
        text(CKA_LABEL, "derived otherwise"),
    ] {
        refused(derive(&[against]), CKR_TEMPLATE_INCONSISTENT);
    }
    // The bytes of an AES key are not given out as data.
    let data = |base| session.derive(hkdf().named(CKM_HKDF_DATA), base, &[ulong(CKA_VALUE_LEN, 16)]);
    refused_any(data(strict), &[CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT]);
    assert_eq!(session.find(&[]).unwrap().len(), count, "nothing is made");
    data(free).expect("it is the template that was in the way");
}

#[test]
fn what_demands_a_trusted_key_is_wrapped_by_one_that_the_officer_trusts() {
    let Some(session) = session("wrap-with-trusted") else { return };
    let public = |label| [flag(CKA_TOKEN, true), flag(CKA_PRIVATE, false), text(CKA_LABEL, label)];
    // The officer sees public objects only.
    let aes = |label| {
        let template = [&[ulong(CKA_VALUE_LEN, 32)][..], &public(label)].concat();
        session.generate(CKM_AES_KEY_GEN, &template).unwrap()
    };
    let (chosen, other) = (aes("chosen"), aes("other"));
    let rsa = [&[ulong(CKA_MODULUS_BITS, 2048), raw(CKA_PUBLIC_EXPONENT, [1, 0, 1])][..], &public("rsa")].concat();
    let half = [flag(CKA_TOKEN, true), text(CKA_LABEL, "rsa")];
    let (rsa, _) = session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &rsa, &half).unwrap();
    let guarded = [
        ulong(CKA_VALUE_LEN, 16),
        flag(CKA_TOKEN, true),
        flag(CKA_EXTRACTABLE, true),
        flag(CKA_WRAP_WITH_TRUSTED, true),
        text(CKA_LABEL, "guarded"),
    ];
    let key = session.generate(CKM_AES_KEY_GEN, &guarded).unwrap();
    let before = fingerprint(&session, key);
    let oaep = || Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"");
    let kw = || Mech::new(CKM_AES_KEY_WRAP);
    let ordinary = traveller(&session, &[]);
    for (how, wrapping) in [(kw(), chosen), (kw(), other), (oaep(), rsa)] {
        refused(session.wrap(how.clone(), wrapping, key), CKR_KEY_NOT_WRAPPABLE);
        session.wrap(how, wrapping, ordinary).expect("what demands nothing is wrapped");
    }

    // The user gets around it neither by trusting nor by demanding less.
    let (trusted, less) = ([flag(CKA_TRUSTED, true)], [flag(CKA_WRAP_WITH_TRUSTED, false)]);
    refused(session.set(chosen, &trusted), CKR_ATTRIBUTE_READ_ONLY);
    refused(session.copy(chosen, &trusted), CKR_ATTRIBUTE_READ_ONLY);
    let made = [&[ulong(CKA_VALUE_LEN, 32)][..], &trusted].concat();
    refused(session.generate(CKM_AES_KEY_GEN, &made), CKR_ATTRIBUTE_READ_ONLY);
    refused(session.set(key, &less), CKR_ATTRIBUTE_READ_ONLY);
    refused(session.copy(key, &less), CKR_ATTRIBUTE_READ_ONLY);

    session.logout().unwrap();
    session.login(CKU_SO, SO_PIN).unwrap();
    session.set(chosen, &trusted).unwrap();
    session.set(rsa, &trusted).unwrap();
    session.logout().unwrap();
    session.login(CKU_USER, PIN).unwrap();
    for (wrapping, value) in [(chosen, true), (other, false), (rsa, true)] {
        assert_eq!(session.get_flag(wrapping, CKA_TRUSTED), Ok(value));
    }
    // Private objects have other handles after a login.
    let one = |template: &[Attr]| {
        let found = session.find(template).unwrap();
        assert_eq!(found.len(), 1);
        found[0]
    };
    let key = one(&[text(CKA_LABEL, "guarded")]);
    let half = one(&[text(CKA_LABEL, "rsa"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]);
    refused(session.wrap(kw(), other, key), CKR_KEY_NOT_WRAPPABLE);
    let back = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES), flag(CKA_TOKEN, false)];
    for (how, wrapping, unwrapping) in [(kw(), chosen, chosen), (oaep(), rsa, half)] {
        let wrapped = session.wrap(how.clone(), wrapping, key).unwrap();
        let again = session.unwrap(how, unwrapping, &wrapped, &back).unwrap();
        assert_eq!(fingerprint(&session, again), before);
    }

    // Trust ends, and only the officer gives it back.
    session.set(chosen, &[flag(CKA_TRUSTED, false)]).unwrap();
    refused(session.wrap(kw(), chosen, key), CKR_KEY_NOT_WRAPPABLE);
    refused(session.set(chosen, &trusted), CKR_ATTRIBUTE_READ_ONLY);
}
