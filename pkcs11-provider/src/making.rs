//! Keys that are generated, unwrapped and wrapped (PKCS#11 3.2, 5.18).

use std::borrow::Cow;

use cryptoki_sys::{
    self as c, CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CK_ULONG, CKR_KEY_HANDLE_INVALID, CKR_KEY_SIZE_RANGE,
    CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_UNWRAPPING_KEY_HANDLE_INVALID,
    CKR_UNWRAPPING_KEY_SIZE_RANGE, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, CKR_WRAPPING_KEY_HANDLE_INVALID,
    CKR_WRAPPING_KEY_SIZE_RANGE, CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
};
use libkmss::key::{KeySpec, Object};
use libkmss::mechanism::{KdfMechanism, KeyType, Mechanism, TlsMechanism};
use libkmss::operation::{
    Chosen, Decapsulate, Draft, Encapsulate, Expected, GeneratePair, GenerateSecret, Make, ObjectRef, Unwrap, Wrap,
    wrapped_length,
};

use crate::attributes::components;
use crate::attributes::draft;
use crate::attributes::read::Attributes;
use crate::attributes::rules::{Class, Occasion};
use crate::module::session::SessionView;
use crate::object;
use crate::raw::template::{Answer, Template, u64_of};
use crate::rv::{InContext, Result, Rv};

/// C_GenerateKey.
pub(crate) fn generate(view: &SessionView, how: &Chosen, template: &Template) -> Result<CK_OBJECT_HANDLE> {
    if let Mechanism::Kdf(KdfMechanism::Pbkdf2(_)) | Mechanism::Tls(TlsMechanism::Premaster { .. }) = how.mechanism {
        return make(view, how, template);
    }
    let mut key_type = generated(how, false)?;
    // Generic secrets may be made as what they will be used for: HMAC and HKDF keys are generic secrets, too.
    if key_type == KeyType::GenericSecret
        && let Some(wanted) = template.number(c::CKA_KEY_TYPE)?.and_then(|n| view.profile().key_type(n))
        && wanted.is_generic()
    {
        key_type = wanted;
    }
    let class = Class::Secret(key_type);
    draft::expect_class(template, class, view.profile())?;
    let draft = object::new_draft(view, class, template, Occasion::Generate)?;
    let spec = components::secret_spec(template, key_type)?;
    let key = view.kms.perform(&view.caller, GenerateSecret { spec, draft })?;
    Ok(object::handle(view, &key))
}

/// C_GenerateKey by a mechanism that says how, not what: a generic secret where the template names no other type.
fn make(view: &SessionView, how: &Chosen, template: &Template) -> Result<CK_OBJECT_HANDLE> {
    let mut template = template.clone();
    template.default_to(c::CKA_KEY_TYPE, &c::CKK_GENERIC_SECRET.to_ne_bytes());
    let class = draft::class(&template, Some(c::CKO_SECRET_KEY), view.profile())?;
    let Class::Secret(key_type) = class else {
        return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
    };
    let premaster = matches!(how.mechanism, Mechanism::Tls(_));
    if premaster && key_type != KeyType::GenericSecret {
        return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
    }
    let mut draft = object::new_draft(view, class, &template, Occasion::Generate)?;
    if let Some(number) = how.number.and_then(|number| CK_ULONG::try_from(number).ok()) {
        draft::keep(&mut draft, c::CKA_KEY_GEN_MECHANISM, &number.to_ne_bytes());
    }
    let expected = Expected { key_type, len: components::length(&template)? };
    let key = view.kms.perform(&view.caller, Make { how: how.clone(), expected, draft })?;
    Ok(object::handle(view, &key))
}

/// C_GenerateKeyPair; returns (public, private).
pub(crate) fn generate_pair(
    view: &SessionView,
    how: &Chosen,
    public: &Template,
    private: &Template,
) -> Result<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
    let key_type = generated(how, true)?;
    let (public_class, private_class) = (Class::Public(key_type), Class::Private(key_type));
    draft::expect_class(public, public_class, view.profile())?;
    draft::expect_class(private, private_class, view.profile())?;
    let public_draft = object::new_draft(view, public_class, public, Occasion::Generate)?;
    let mut private_draft = object::new_draft(view, private_class, private, Occasion::Generate)?;
    object::keep_curve(&mut private_draft, private_class, public);
    let spec = components::pair_spec(public, private, key_type)?;
    if let KeySpec::Dh { group, private_bits } = &spec {
        let bits = CK_ULONG::from(private_bits.unwrap_or(group.private_bits()));
        draft::keep(&mut private_draft, c::CKA_VALUE_BITS, &bits.to_ne_bytes());
    }
    let pair = GeneratePair { spec, private: private_draft, public: public_draft };
    let (private, public) = view.kms.perform(&view.caller, pair)?;
    Ok((object::handle(view, &public), object::handle(view, &private)))
}

/// What C_WrapKey found.
pub(crate) enum Wrapped {
    /// The wrapped key.
    Key(Vec<u8>),
    /// Only how long it will be, or at most: nothing was wrapped, because there is no room.
    Length(usize),
}

/// C_WrapKey into a buffer of `room` bytes (`None` asks for the length); `parse` reads the mechanism once the wrapping key is
/// known, and tells how many bytes of the result have a place of their own.
pub(crate) fn wrap(
    view: &SessionView,
    parse: impl FnOnce(&Object) -> Result<(Chosen, usize)>,
    wrapping: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    room: Option<usize>,
) -> Result<Wrapped> {
    let wrapping = view.token.objects.resolve_key(wrapping, view).map_err(wrapping_key)?;
    let key = view.token.objects.resolve_key(key, view)?;
    let (how, apart) = parse(&wrapping).map_err(wrapping_key)?;
    let room = room.map(|room| room.saturating_add(apart));
    if let Some(demanded) = template_of(&wrapping, c::CKA_WRAP_TEMPLATE) {
        let attributes = Attributes::of(&key, view.profile());
        let matches = |(kind, value): (_, &[u8])| attributes.answer(kind) == Answer::bytes(value);
        if !demanded.iter().all(matches) {
            return Err(Rv(CKR_KEY_HANDLE_INVALID));
        }
    }
    if let Some(len) = measure(&wrapping, &key, &how, room) {
        return Ok(Wrapped::Length(len));
    }
    let wrap = Wrap { wrapping: ObjectRef::from(&wrapping), key: ObjectRef::from(&key), how };
    view.kms.perform(&view.caller, wrap).map(Wrapped::Key).map_err(|e| wrapping_key(e.into()))
}

/// The length to answer with instead of wrapping: it follows from what anybody may know of the keys. Where they would not
/// be wrapped, that is for the hall to say.
fn measure(wrapping: &Object, key: &Object, how: &Chosen, room: Option<usize>) -> Option<usize> {
    let (wrapping, key) = (wrapping.key()?, key.key()?);
    if !key.protection.extractable || !wrapping.usage.wrap {
        return None;
    }
    let length = wrapped_length(wrapping, key, &how.mechanism)?;
    match room {
        None => Some(length.most),
        Some(room) if length.exact && room < length.most => Some(length.most),
        Some(_) => None,
    }
}

/// C_UnwrapKey; `parse` reads mechanism and wrapped key once the unwrapping key is known.
pub(crate) fn unwrap<'a>(
    view: &SessionView,
    parse: impl FnOnce(&Object) -> Result<(Chosen, Cow<'a, [u8]>)>,
    unwrapping: CK_OBJECT_HANDLE,
    mut template: Template,
) -> Result<CK_OBJECT_HANDLE> {
    let unwrapping = view.token.objects.resolve_key(unwrapping, view).map_err(unwrapping_key)?;
    let (how, wrapped) = parse(&unwrapping).map_err(unwrapping_key)?;
    demand(&mut template, &unwrapping, c::CKA_UNWRAP_TEMPLATE)?;
    let class = draft::class(&template, None, view.profile())?;
    let (Class::Private(key_type) | Class::Secret(key_type)) = class else {
        return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
    };
    let draft = object::new_draft(view, class, &template, Occasion::Unwrap)?;
    let expected = Expected { key_type, len: components::length(&template)? };
    let unwrapping = ObjectRef::from(unwrapping);
    let unwrap = Unwrap { unwrapping, how, wrapped, expected, draft };
    let key = view.kms.perform(&view.caller, unwrap).map_err(|e| unwrapping_key(e.into()))?;
    Ok(object::handle(view, &key))
}

/// The length of the ciphertext that C_EncapsulateKey makes with this key.
pub(crate) fn ciphertext_len(
    view: &SessionView,
    parse: impl FnOnce(&Object) -> Result<Chosen>,
    key: CK_OBJECT_HANDLE,
) -> Result<usize> {
    let key = view.token.objects.resolve_key(key, view)?;
    let how = parse(&key)?;
    let len = key.key().and_then(|key| Encapsulate::ciphertext_len(&how.mechanism, key));
    len.ok_or(Rv(CKR_KEY_TYPE_INCONSISTENT))
}

/// C_EncapsulateKey; returns the ciphertext and the new key. Class and key type may be left out: a generic secret then.
pub(crate) fn encapsulate(
    view: &SessionView,
    parse: impl FnOnce(&Object) -> Result<Chosen>,
    key: CK_OBJECT_HANDLE,
    mut template: Template,
) -> Result<(Vec<u8>, CK_OBJECT_HANDLE)> {
    let key = view.token.objects.resolve_key(key, view)?;
    let how = parse(&key)?;
    // PKCS#11 3.2, 5.18.8: what contradicts the key's template makes its handle invalid.
    demand(&mut template, &key, c::CKA_ENCAPSULATE_TEMPLATE).map_err(|_| Rv(CKR_KEY_HANDLE_INVALID))?;
    let (expected, draft) = shared_key(view, &mut template)?;
    let encapsulate = Encapsulate { key: ObjectRef::from(&key), how, expected, draft };
    let (new, ciphertext) = view.kms.perform(&view.caller, encapsulate).for_key()?;
    Ok((ciphertext, object::handle(view, &new)))
}

/// C_DecapsulateKey. Class and key type may be left out: a generic secret then.
pub(crate) fn decapsulate(
    view: &SessionView,
    parse: impl FnOnce(&Object) -> Result<Chosen>,
    key: CK_OBJECT_HANDLE,
    ciphertext: &[u8],
    mut template: Template,
) -> Result<CK_OBJECT_HANDLE> {
    let key = view.token.objects.resolve_key(key, view).map_err(unwrapping_key)?;
    let how = parse(&key).map_err(unwrapping_key)?;
    demand(&mut template, &key, c::CKA_DECAPSULATE_TEMPLATE)?;
    let (expected, draft) = shared_key(view, &mut template)?;
    let key = ObjectRef::from(&key);
    let decapsulate = Decapsulate { key, how, ciphertext: ciphertext.to_vec(), expected, draft };
    let new = view.kms.perform(&view.caller, decapsulate).for_key().map_err(unwrapping_key)?;
    Ok(object::handle(view, &new))
}

/// The secret key that a template of encapsulation wants.
fn shared_key(view: &SessionView, template: &mut Template) -> Result<(Expected, Draft)> {
    if template.get(c::CKA_KEY_TYPE).is_none() {
        template.add(c::CKA_KEY_TYPE, &c::CKK_GENERIC_SECRET.to_ne_bytes())?;
    }
    let class = draft::class(template, Some(c::CKO_SECRET_KEY), view.profile())?;
    let Class::Secret(key_type) = class else {
        return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
    };
    let draft = object::new_draft(view, class, template, Occasion::Derive)?;
    Ok((Expected { key_type, len: components::length(template)? }, draft))
}

/// The type of key that a generation mechanism makes, alone or in pairs.
fn generated(how: &Chosen, pair: bool) -> Result<KeyType> {
    match how.mechanism {
        Mechanism::Generate(key_type) if key_type.is_asymmetric() == pair => Ok(key_type),
        _ => Err(Rv(CKR_MECHANISM_INVALID)),
    }
}

/// Adds what a key's template demands of the keys that are made with it; CKR_TEMPLATE_INCONSISTENT where the caller asks
/// for something else.
pub(crate) fn demand(template: &mut Template, key: &Object, kind: CK_ATTRIBUTE_TYPE) -> Result<()> {
    let Some(demanded) = template_of(key, kind) else {
        return Ok(());
    };
    demanded.iter().try_for_each(|(kind, value)| template.add(kind, value))
}

/// A template that was stored with a key. One that cannot be read is as good as one that nothing matches.
fn template_of(key: &Object, kind: CK_ATTRIBUTE_TYPE) -> Option<Template> {
    let kept = key.attributes.get(&u64_of(kind))?;
    Some(Template::decode(kept).unwrap_or_else(Template::unmatchable))
}

const fn wrapping_key(rv: Rv) -> Rv {
    Rv(match rv.0 {
        CKR_KEY_HANDLE_INVALID => CKR_WRAPPING_KEY_HANDLE_INVALID,
        CKR_KEY_TYPE_INCONSISTENT => CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
        CKR_KEY_SIZE_RANGE => CKR_WRAPPING_KEY_SIZE_RANGE,
        other => other,
    })
}

const fn unwrapping_key(rv: Rv) -> Rv {
    Rv(match rv.0 {
        CKR_KEY_HANDLE_INVALID => CKR_UNWRAPPING_KEY_HANDLE_INVALID,
        CKR_KEY_TYPE_INCONSISTENT => CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
        CKR_KEY_SIZE_RANGE => CKR_UNWRAPPING_KEY_SIZE_RANGE,
        other => other,
    })
}
