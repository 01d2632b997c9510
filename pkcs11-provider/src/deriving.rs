//! Keys, data and public keys that are derived (PKCS#11 3.2, 5.18.5).

use std::sync::Arc;

use cryptoki_sys::{
    self as c, CK_ATTRIBUTE_TYPE, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CKK_GENERIC_SECRET, CKO_DATA, CKO_SECRET_KEY,
    CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_TEMPLATE_INCONSISTENT,
};
use libkmss::key::Object;
use libkmss::mechanism::{Heritage, KdfMechanism, KeyType, Mechanism, TlsMechanism};
use libkmss::operation::{Chosen, Derive, DeriveData, DerivePublic, Draft, Expected, ObjectRef};

use crate::attributes::components;
use crate::attributes::draft;
use crate::attributes::read::Attributes;
use crate::attributes::rules::{Class, Occasion};
use crate::making::demand;
use crate::module::session::SessionView;
use crate::object;
use crate::raw::template::{Answer, Template};
use crate::rv::{Result, Rv};

/// What a master secret may be used for (PKCS#11 3.2, 6.40.4).
const USES_OF_MASTER: [CK_MECHANISM_TYPE; 6] = [
    c::CKM_TLS12_KEY_AND_MAC_DERIVE,
    c::CKM_TLS12_KEY_SAFE_DERIVE,
    c::CKM_TLS_KDF,
    c::CKM_TLS_MAC,
    c::CKM_TLS12_KDF,
    c::CKM_TLS12_MAC,
];

/// A call of C_DeriveKey.
pub(crate) struct Call<'a> {
    /// The template.
    pub(crate) template: Template,
    /// Other keys that go in.
    pub(crate) others: &'a [CK_OBJECT_HANDLE],
    /// Templates of more keys.
    pub(crate) additional: &'a [Template],
    /// Which of them was at fault, where one was.
    pub(crate) blamed: Option<usize>,
}

/// What came of it.
pub(crate) struct Outcome {
    /// Handles of all that was made, in order.
    pub(crate) handles: Vec<CK_OBJECT_HANDLE>,
    /// What is given out in clear.
    pub(crate) public: Vec<u8>,
}

/// C_DeriveKey; `parse` reads the mechanism once the base key is known.
pub(crate) fn derive(
    view: &SessionView,
    parse: impl FnOnce(&Object) -> Result<Chosen>,
    base: CK_OBJECT_HANDLE,
    call: &mut Call<'_>,
) -> Result<Outcome> {
    let base = view.token.objects.resolve_key(base, view)?;
    let how = parse(&base)?;
    let others = call.others.iter().map(|handle| view.token.objects.resolve_key(*handle, view));
    let others = others.collect::<Result<Vec<_>>>()?;
    if matches!(how.mechanism, Mechanism::Kdf(KdfMechanism::PublicKey)) {
        return public_half(view, &base, how, &call.template);
    }
    if matches!(how.mechanism, Mechanism::Kdf(KdfMechanism::HkdfData(_))) {
        return data(view, &base, &others, how, call.template.clone());
    }
    let mut templates = Vec::new();
    if let Mechanism::Tls(TlsMechanism::KeyBlock { mac_len, key_len, .. }) = &how.mechanism {
        let mac = mac_template(&call.template, *mac_len);
        let key = if *key_len == 0 { mac_template(&call.template, 0) } else { call.template.clone() };
        templates.extend([mac.clone(), mac, key.clone(), key]);
    } else {
        templates.push(call.template.clone());
        templates.extend(call.additional.iter().cloned());
    }
    let mut keys = Vec::with_capacity(templates.len());
    for (index, template) in templates.iter_mut().enumerate() {
        match planned(view, &base, &others, &how.mechanism, template) {
            Ok(key) => keys.push(key),
            Err(rv) => {
                call.blamed = index.checked_sub(1);
                return Err(rv);
            }
        }
    }
    let others = others.iter().map(ObjectRef::from).collect();
    let derived = view.kms.perform(&view.caller, Derive { base: ObjectRef::from(&base), others, how, keys })?;
    let handles = derived.keys.iter().map(|key| object::handle(view, key)).collect();
    Ok(Outcome { handles, public: derived.public })
}

/// Completes a key's template by what the base key and the mechanism say, and reads it. Class and key type may be left
/// out: a generic secret then.
fn planned(
    view: &SessionView,
    base: &Object,
    others: &[Arc<Object>],
    mechanism: &Mechanism,
    template: &mut Template,
) -> Result<(Expected, Draft)> {
    demand(template, base, c::CKA_DERIVE_TEMPLATE)?;
    template.default_to(c::CKA_KEY_TYPE, &CKK_GENERIC_SECRET.to_ne_bytes());
    let class = draft::class(template, Some(CKO_SECRET_KEY), view.profile())?;
    let Class::Secret(key_type) = class else {
        return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
    };
    inherit(base, others, mechanism, template)?;
    if matches!(mechanism, Mechanism::Tls(TlsMechanism::Master { .. })) {
        restrict_master(key_type, template)?;
    }
    let draft = object::new_draft(view, class, template, Occasion::Derive)?;
    Ok((Expected { key_type, len: components::length(template)? }, draft))
}

/// What a derived key takes over of CKA_SENSITIVE and CKA_EXTRACTABLE. A template that says otherwise contradicts it
/// (CKR_TEMPLATE_INCONSISTENT).
fn inherit(base: &Object, others: &[Arc<Object>], mechanism: &Mechanism, template: &mut Template) -> Result<()> {
    let sources = || std::iter::once(base).chain(others.iter().map(Arc::as_ref)).filter_map(Object::key);
    let sensitive = sources().any(|key| key.protection.sensitive);
    let extractable = sources().all(|key| key.protection.extractable);
    let flags = [(c::CKA_SENSITIVE, sensitive, true), (c::CKA_EXTRACTABLE, extractable, false)];
    for (kind, value, strict) in flags {
        let byte = [u8::from(value)];
        match mechanism.heritage() {
            Heritage::Same => template.add(kind, &byte)?,
            Heritage::AtLeast if value == strict => template.add(kind, &byte)?,
            // PKCS#11 3.2, 6.40.8 and 6.42.9: what is left out is as the base key has it.
            Heritage::AtLeast if matches!(mechanism, Mechanism::Tls(_)) => template.default_to(kind, &byte),
            Heritage::History if matches!(mechanism, Mechanism::Kdf(KdfMechanism::Kbkdf(_))) => {
                let base = base.key().is_some_and(|key| match kind {
                    c::CKA_SENSITIVE => key.protection.sensitive,
                    _ => key.protection.extractable,
                });
                template.default_to(kind, &[u8::from(base)]);
            }
            Heritage::AtLeast | Heritage::History => {}
        }
    }
    Ok(())
}

/// A master secret is a generic secret that serves TLS and nothing else.
fn restrict_master(key_type: KeyType, template: &mut Template) -> Result<()> {
    let all: Vec<u8> = USES_OF_MASTER.iter().flat_map(|number| number.to_ne_bytes()).collect();
    template.default_to(c::CKA_ALLOWED_MECHANISMS, &all);
    let allowed = crate::raw::template::numbers(template.get(c::CKA_ALLOWED_MECHANISMS).unwrap_or_default())?;
    let fits = !allowed.is_empty() && allowed.iter().all(|number| USES_OF_MASTER.contains(number));
    if fits && key_type == KeyType::GenericSecret { Ok(()) } else { Err(Rv(CKR_TEMPLATE_INCONSISTENT)) }
}

/// The template of a MAC key of a key block: a generic secret that signs and verifies, or has no bytes and no use.
fn mac_template(given: &Template, len: usize) -> Template {
    let mut template = Template::default();
    if let Some(token) = given.get(c::CKA_TOKEN).filter(|_| len > 0) {
        template.default_to(c::CKA_TOKEN, token);
    }
    for kind in [c::CKA_PRIVATE, c::CKA_SENSITIVE, c::CKA_EXTRACTABLE] {
        if let Some(value) = given.get(kind) {
            template.default_to(kind, value);
        }
    }
    for kind in [c::CKA_SIGN, c::CKA_VERIFY] {
        template.default_to(kind, &[u8::from(len > 0)]);
    }
    template.default_to(c::CKA_DERIVE, &[c::CK_FALSE]);
    template
}

/// CKM_HKDF_DATA: a data object, private where its base key is.
fn data(
    view: &SessionView,
    base: &Arc<Object>,
    others: &[Arc<Object>],
    how: Chosen,
    mut template: Template,
) -> Result<Outcome> {
    demand(&mut template, base, c::CKA_DERIVE_TEMPLATE)?;
    let len = components::length(&template)?;
    let mut template = template.without(c::CKA_VALUE_LEN);
    if base.private {
        template.default_to(c::CKA_PRIVATE, &[c::CK_TRUE]);
    }
    let class = draft::class(&template, Some(CKO_DATA), view.profile())?;
    if class != Class::Data {
        return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
    }
    let draft = object::new_draft(view, class, &template, Occasion::Derive)?;
    let others = others.iter().map(ObjectRef::from).collect();
    let derive = DeriveData { base: ObjectRef::from(base), others, how, len, draft };
    let made = view.kms.perform(&view.caller, derive)?;
    Ok(Outcome { handles: vec![object::handle(view, &made)], public: Vec::new() })
}

/// CKM_PUB_KEY_FROM_PRIV_KEY. What the template leaves out is taken from the private key (PKCS#11 3.2, 6.43.8).
fn public_half(view: &SessionView, base: &Arc<Object>, how: Chosen, template: &Template) -> Result<Outcome> {
    const COUNTERPARTS: [(CK_ATTRIBUTE_TYPE, CK_ATTRIBUTE_TYPE); 10] = [
        (c::CKA_ENCRYPT, c::CKA_DECRYPT),
        (c::CKA_VERIFY, c::CKA_SIGN),
        (c::CKA_VERIFY_RECOVER, c::CKA_SIGN_RECOVER),
        (c::CKA_WRAP, c::CKA_UNWRAP),
        (c::CKA_DERIVE, c::CKA_DERIVE),
        (c::CKA_ID, c::CKA_ID),
        (c::CKA_START_DATE, c::CKA_START_DATE),
        (c::CKA_END_DATE, c::CKA_END_DATE),
        (c::CKA_SUBJECT, c::CKA_SUBJECT),
        (c::CKA_ALLOWED_MECHANISMS, c::CKA_ALLOWED_MECHANISMS),
    ];
    let Class::Private(key_type) = Class::of(base) else {
        return Err(Rv(CKR_KEY_FUNCTION_NOT_PERMITTED));
    };
    let class = Class::Public(key_type);
    draft::expect_class(template, class, view.profile())?;
    let mut template = template.clone();
    let attributes = Attributes::of(base, view.profile());
    for (kind, counterpart) in COUNTERPARTS {
        if let Answer::Value(value) = attributes.answer(counterpart)
            && !value.is_empty()
        {
            template.default_to(kind, &value);
        }
    }
    let draft = object::new_draft(view, class, &template, Occasion::Derive)?;
    let derive = DerivePublic { base: ObjectRef::from(base), how, draft };
    let made = view.kms.perform(&view.caller, derive)?;
    Ok(Outcome { handles: vec![object::handle(view, &made)], public: Vec::new() })
}
