//! Templates → [`Draft`]s: the attributes of an object that is about to exist, with the defaults for what is left out.

use cryptoki_sys::{
    self as c, CK_ATTRIBUTE_TYPE, CK_OBJECT_CLASS, CKC_X_509, CKO_CERTIFICATE, CKO_DATA, CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCOMPLETE,
    CKR_TEMPLATE_INCONSISTENT,
};
use libkmss::key::{Date, Storage, Usage};
use libkmss::mechanism::KeyType;
use libkmss::operation::Draft;
use serde_bytes::ByteBuf;

use super::rules::{CKA_NSS_DB, Class, Occasion};
use crate::mechanisms::Profile;
use crate::raw::template::{self, Template, u64_of};
use crate::rv::{Result, Rv};

/// Who gives a template, as far as attributes ask.
#[derive(Clone, Copy)]
pub(crate) struct Giver {
    /// Whether a user is logged in.
    pub(crate) user: bool,
    /// Whether the security officer is logged in, who alone may call something trusted.
    pub(crate) officer: bool,
    /// The numbers that the token goes by.
    pub(crate) profile: Profile,
    /// Whether no key of the token may both wrap and decrypt.
    pub(crate) separate: bool,
}

/// The class that a template asks for. `default` is the class where it names none.
///
/// # Errors
/// CKR_TEMPLATE_INCOMPLETE without class or key type, CKR_ATTRIBUTE_VALUE_INVALID for classes, key types and certificate
/// types that are not offered.
pub(crate) fn class(template: &Template, default: Option<CK_OBJECT_CLASS>, profile: Profile) -> Result<Class> {
    let class = template.number(c::CKA_CLASS)?.or(default).ok_or(Rv(CKR_TEMPLATE_INCOMPLETE))?;
    let key_type = || {
        let number = template.number(c::CKA_KEY_TYPE)?.ok_or(Rv(CKR_TEMPLATE_INCOMPLETE))?;
        profile.key_type(number).ok_or(Rv(CKR_ATTRIBUTE_VALUE_INVALID))
    };
    let fitting = |asymmetric: bool| {
        let key_type = key_type()?;
        if key_type.is_asymmetric() == asymmetric { Ok(key_type) } else { Err(Rv(CKR_TEMPLATE_INCONSISTENT)) }
    };
    match class {
        CKO_DATA => Ok(Class::Data),
        CKO_CERTIFICATE => match template.number(c::CKA_CERTIFICATE_TYPE)? {
            Some(CKC_X_509) => Ok(Class::Certificate),
            Some(_) => Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
            None => Err(Rv(CKR_TEMPLATE_INCOMPLETE)),
        },
        CKO_PUBLIC_KEY => fitting(true).map(Class::Public),
        CKO_PRIVATE_KEY => fitting(true).map(Class::Private),
        CKO_SECRET_KEY => fitting(false).map(Class::Secret),
        _ => Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
    }
}

/// Holds class and key type in a template, where given, against what the call makes.
///
/// # Errors
/// CKR_TEMPLATE_INCONSISTENT.
pub(crate) fn expect_class(template: &Template, class: Class, profile: Profile) -> Result<()> {
    let wrong_class = template.number(c::CKA_CLASS)?.is_some_and(|n| n != class.number());
    let wrong_type = template
        .number(c::CKA_KEY_TYPE)?
        .is_some_and(|n| class.key_type().is_none_or(|t| profile.key_type_number(t) != n));
    if wrong_class || wrong_type { Err(Rv(CKR_TEMPLATE_INCONSISTENT)) } else { Ok(()) }
}

/// Where a template wants its object.
pub(crate) fn storage(template: &Template) -> Result<Storage> {
    Ok(if template.flag(c::CKA_TOKEN)? == Some(true) { Storage::Stored } else { Storage::Ephemeral })
}

/// Fills a fresh draft from an admitted template.
///
/// Defaults: usage as far as the key type can (a peer that defaults it to FALSE breaks stock keytool). Private keys and
/// token keys are sensitive and not extractable, session secret keys the opposite, as Java's ciphers need them. Private
/// keys and token secret keys are private; session secret keys where somebody is logged in; all else is public.
///
/// # Errors
/// Those of [`apply`].
pub(crate) fn fill(
    draft: &mut Draft,
    class: Class,
    template: &Template,
    occasion: Occasion,
    giver: Giver,
) -> Result<()> {
    let stored = draft.storage == Storage::Stored;
    draft.private = match class {
        Class::Private(_) => true,
        Class::Secret(_) => stored || giver.user,
        _ => false,
    };
    if matches!(class, Class::Private(_)) || (stored && matches!(class, Class::Secret(_))) {
        draft.protection.sensitive = true;
    } else if matches!(class, Class::Secret(_)) {
        draft.protection.extractable = true;
    }
    draft.usage = usage(class);
    // Decapsulation with ECDH is derivation under another name: what may not derive does neither, unless it is asked for.
    if draft.usage.derive && template.flag(c::CKA_DERIVE)? == Some(false) {
        draft.usage.decapsulate = false;
    }
    if giver.separate {
        // What was not asked for gives way.
        if template.flag(c::CKA_WRAP)? == Some(true) {
            draft.usage.decrypt = false;
        } else {
            draft.usage.wrap = false;
        }
    }
    apply(draft, class, template, occasion, giver)
}

/// Applies an admitted template to a draft.
///
/// # Errors
/// CKR_ATTRIBUTE_READ_ONLY for changes in the forbidden direction, and for CKA_TRUSTED from anybody but the security
/// officer; CKR_ATTRIBUTE_VALUE_INVALID; CKR_TEMPLATE_INCONSISTENT for a copy of a private object that is to be public.
pub(crate) fn apply(
    draft: &mut Draft,
    class: Class,
    template: &Template,
    occasion: Occasion,
    giver: Giver,
) -> Result<()> {
    let later = matches!(occasion, Occasion::Copy | Occasion::Set);
    for (kind, value) in template.iter() {
        if let Some(field) = usage_field(&mut draft.usage, kind) {
            let wanted = template::flag(value)?;
            // Said of keys that cannot encapsulate, true would be a lie.
            if wanted && matches!(kind, c::CKA_ENCAPSULATE | c::CKA_DECAPSULATE) && !encapsulates(class) {
                return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
            }
            *field = wanted;
            continue;
        }
        match kind {
            c::CKA_PRIVATE => {
                let private = template::flag(value)?;
                if later && draft.private && !private {
                    return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
                }
                draft.private = private;
            }
            c::CKA_MODIFIABLE => draft.modifiable = template::flag(value)?,
            c::CKA_DESTROYABLE => draft.destroyable = template::flag(value)?,
            c::CKA_COPYABLE => lower(&mut draft.copyable, value, later)?,
            c::CKA_LABEL => draft.label = value.to_vec(),
            c::CKA_ID => draft.identifier = value.to_vec(),
            c::CKA_SENSITIVE => raise(&mut draft.protection.sensitive, value, later)?,
            c::CKA_EXTRACTABLE => lower(&mut draft.protection.extractable, value, later)?,
            c::CKA_WRAP_WITH_TRUSTED => raise(&mut draft.protection.wrap_with_trusted, value, later)?,
            c::CKA_ALWAYS_AUTHENTICATE => raise(&mut draft.protection.always_authenticate, value, later)?,
            c::CKA_TRUSTED => trust(draft, class, template::flag(value)?, giver)?,
            c::CKA_START_DATE if class.key_type().is_some() => draft.start = date(value)?,
            c::CKA_END_DATE if class.key_type().is_some() => draft.end = date(value)?,
            c::CKA_START_DATE | c::CKA_END_DATE => {
                date(value)?;
                keep(draft, kind, value);
            }
            c::CKA_ALLOWED_MECHANISMS => {
                // Kept under the table's numbers, so that they outlive a change of the token's profile.
                let known = |n| giver.profile.canonical(n).map(u64_of).ok_or(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
                let wanted = template::numbers(value)?.into_iter().map(known).collect::<Result<_>>()?;
                restrict(&mut draft.allowed_mechanisms, wanted, later)?;
            }
            // What a key demands of others, a copy demands, too.
            c::CKA_WRAP_TEMPLATE
            | c::CKA_UNWRAP_TEMPLATE
            | c::CKA_DERIVE_TEMPLATE
            | c::CKA_ENCAPSULATE_TEMPLATE
            | c::CKA_DECAPSULATE_TEMPLATE
                if later && draft.attributes.get(&u64_of(kind)).is_some_and(|there| *there != value) =>
            {
                return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
            }
            _ if is_kept(kind, class) => keep(draft, kind, value),
            // Class, type, size and components: whoever makes the object has looked at them.
            _ => {}
        }
    }
    // PKCS#11 3.2, 4.9: only private objects ask for a login of their own.
    if draft.protection.always_authenticate && !draft.private {
        return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
    }
    Ok(())
}

/// Attributes that the core does not know and keeps as they are.
const fn is_kept(kind: CK_ATTRIBUTE_TYPE, class: Class) -> bool {
    match class {
        Class::Data => matches!(kind, c::CKA_APPLICATION | c::CKA_OBJECT_ID),
        Class::Certificate => !matches!(
            kind,
            c::CKA_CLASS | c::CKA_TOKEN | c::CKA_CERTIFICATE_TYPE | c::CKA_VALUE | c::CKA_PUBLIC_KEY_INFO
        ),
        _ => {
            matches!(
                kind,
                c::CKA_SUBJECT
                    | c::CKA_WRAP_TEMPLATE
                    | c::CKA_UNWRAP_TEMPLATE
                    | c::CKA_DERIVE_TEMPLATE
                    | c::CKA_ENCAPSULATE_TEMPLATE
                    | c::CKA_DECAPSULATE_TEMPLATE
                    | CKA_NSS_DB
            )
        }
    }
}

/// Keeps an attribute in the object's record under its own number.
pub(crate) fn keep(draft: &mut Draft, kind: CK_ATTRIBUTE_TYPE, value: &[u8]) {
    draft.attributes.insert(u64_of(kind), ByteBuf::from(value));
}

fn raise(field: &mut bool, value: &[u8], later: bool) -> Result<()> {
    let wanted = template::flag(value)?;
    if later && *field && !wanted {
        return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
    }
    *field = wanted;
    Ok(())
}

fn lower(field: &mut bool, value: &[u8], later: bool) -> Result<()> {
    let wanted = template::flag(value)?;
    if later && !*field && wanted {
        return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
    }
    *field = wanted;
    Ok(())
}

/// Mechanisms may be taken from a list, never added; the empty list allows all.
fn restrict(field: &mut Vec<u64>, wanted: Vec<u64>, later: bool) -> Result<()> {
    let wider = wanted.is_empty() || wanted.iter().any(|number| !field.contains(number));
    if later && !field.is_empty() && wider {
        return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
    }
    *field = wanted;
    Ok(())
}

fn trust(draft: &mut Draft, class: Class, trusted: bool, giver: Giver) -> Result<()> {
    if trusted && !giver.officer {
        return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
    }
    if class == Class::Certificate {
        keep(draft, c::CKA_TRUSTED, &[u8::from(trusted)]);
    } else {
        draft.protection.trusted = trusted;
    }
    Ok(())
}

fn date(value: &[u8]) -> Result<Option<Date>> {
    if value.is_empty() { Ok(None) } else { Ok(Some(Date::parse(value)?)) }
}

/// The field of a usage attribute.
pub(crate) const fn usage_field(usage: &mut Usage, kind: CK_ATTRIBUTE_TYPE) -> Option<&mut bool> {
    Some(match kind {
        c::CKA_ENCRYPT => &mut usage.encrypt,
        c::CKA_DECRYPT => &mut usage.decrypt,
        c::CKA_SIGN => &mut usage.sign,
        c::CKA_SIGN_RECOVER => &mut usage.sign_recover,
        c::CKA_VERIFY => &mut usage.verify,
        c::CKA_VERIFY_RECOVER => &mut usage.verify_recover,
        c::CKA_WRAP => &mut usage.wrap,
        c::CKA_UNWRAP => &mut usage.unwrap,
        c::CKA_DERIVE => &mut usage.derive,
        c::CKA_ENCAPSULATE => &mut usage.encapsulate,
        c::CKA_DECAPSULATE => &mut usage.decapsulate,
        _ => return None,
    })
}

/// Whether keys of this class and type encapsulate or decapsulate.
const fn encapsulates(class: Class) -> bool {
    use KeyType::{Ec, EcMontgomery, MlKem};
    matches!(class, Class::Public(Ec | EcMontgomery | MlKem) | Class::Private(Ec | EcMontgomery | MlKem))
}

/// What a key of this class and type can do at all.
fn usage(class: Class) -> Usage {
    let none = Usage::default();
    match class {
        Class::Data | Class::Certificate => none,
        Class::Public(KeyType::Rsa) => Usage { encrypt: true, verify: true, verify_recover: true, wrap: true, ..none },
        Class::Private(KeyType::Rsa) => Usage { decrypt: true, sign: true, sign_recover: true, unwrap: true, ..none },
        Class::Public(KeyType::Sm2) => Usage { encrypt: true, verify: true, ..none },
        Class::Private(KeyType::Sm2) => Usage { decrypt: true, sign: true, ..none },
        Class::Public(KeyType::Ec) => Usage { verify: true, wrap: true, encapsulate: true, ..none },
        Class::Private(KeyType::Ec) => Usage { sign: true, derive: true, unwrap: true, decapsulate: true, ..none },
        Class::Public(KeyType::EcMontgomery) => Usage { wrap: true, encapsulate: true, ..none },
        Class::Private(KeyType::EcMontgomery) => Usage { derive: true, unwrap: true, decapsulate: true, ..none },
        Class::Public(KeyType::Dh) => none,
        Class::Private(KeyType::Dh) => Usage { derive: true, ..none },
        Class::Public(KeyType::MlKem) => Usage { encapsulate: true, ..none },
        Class::Private(KeyType::MlKem) => Usage { decapsulate: true, ..none },
        Class::Public(_) => Usage { verify: true, ..none },
        Class::Private(KeyType::EcEdwards | KeyType::MlDsa | KeyType::SlhDsa) => Usage { sign: true, ..none },
        Class::Private(_) => Usage { sign: true, derive: true, ..none },
        Class::Secret(KeyType::Aes | KeyType::Sm4) => Usage {
            encrypt: true,
            decrypt: true,
            sign: true,
            verify: true,
            wrap: true,
            unwrap: true,
            derive: true,
            ..none
        },
        Class::Secret(KeyType::ChaCha20) => Usage { encrypt: true, decrypt: true, wrap: true, unwrap: true, ..none },
        Class::Secret(KeyType::AesXts) => Usage { encrypt: true, decrypt: true, ..none },
        Class::Secret(KeyType::Hkdf) => Usage { derive: true, ..none },
        Class::Secret(_) => Usage { sign: true, verify: true, derive: true, ..none },
    }
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
