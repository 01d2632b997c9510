//! Templates of C_CreateObject and of key generation → key material of the core.

use cryptoki_sys::{
    self as c, CK_ATTRIBUTE_TYPE, CK_ULONG, CKR_ATTRIBUTE_VALUE_INVALID, CKR_DOMAIN_PARAMS_INVALID, CKR_KEY_SIZE_RANGE,
    CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT,
};
use libkmss::key::{Body, KeyComponents, KeySpec, PublicComponents};
use libkmss::mechanism::{Curve, DhGroup, KeyType};
use libkmss::secret::Secret;

use super::rules::Class;
use super::{certificate, curve, parameter_set};
use crate::raw::octet_string;
use crate::raw::template::Template;
use crate::rv::{Result, Rv};

/// Largest RSA modulus.
const MAX_RSA_BITS: CK_ULONG = 8192;
const MIN_RSA_BITS: CK_ULONG = 2048;
/// Largest generic, HMAC or HKDF key in bytes, as the mechanism table says.
const MAX_SECRET_LEN: usize = 65_536;
const F4: [u8; 3] = [1, 0, 1];

/// What C_CreateObject is to make.
pub(crate) enum Given {
    /// A key.
    Key(KeyComponents),
    /// A certificate or data.
    Document(Body),
}

/// The value or components in a template of C_CreateObject.
///
/// # Errors
/// CKR_TEMPLATE_INCOMPLETE where one is missing, CKR_ATTRIBUTE_VALUE_INVALID for values that cannot be, and those of
/// [`curve::parse`].
pub(crate) fn given(template: &Template, class: Class) -> Result<Given> {
    Ok(match class {
        Class::Data => {
            let value = template.get(c::CKA_VALUE).unwrap_or_default().to_vec();
            Given::Document(Body::Data { value: value.into() })
        }
        Class::Certificate => {
            let value = required(template, c::CKA_VALUE)?;
            certificate::Outline::read(value).ok_or(Rv(CKR_ATTRIBUTE_VALUE_INVALID))?;
            Given::Document(Body::Certificate { value: value.to_vec() })
        }
        Class::Public(KeyType::Rsa) => Given::Key(KeyComponents::Public(PublicComponents::Rsa {
            modulus: integer(required(template, c::CKA_MODULUS)?)?,
            exponent: integer(required(template, c::CKA_PUBLIC_EXPONENT)?)?,
        })),
        Class::Public(key_type @ (KeyType::MlDsa | KeyType::MlKem | KeyType::SlhDsa)) => {
            let set = parameter_set::parse(template, key_type)?;
            let value = required(template, c::CKA_VALUE)?.to_vec();
            Given::Key(KeyComponents::Public(PublicComponents::Pqc { set, value }))
        }
        Class::Public(KeyType::Dh) => Given::Key(KeyComponents::Public(PublicComponents::Dh {
            group: dh_group(template, template)?,
            value: integer(required(template, c::CKA_VALUE)?)?,
        })),
        Class::Private(KeyType::Dh) => Given::Key(KeyComponents::DhPrivate {
            group: dh_group(template, template)?,
            value: Secret::copy_of(bounded_integer(required(template, c::CKA_VALUE)?)?),
        }),
        Class::Public(key_type) => {
            let curve = curve::parse(template.get(c::CKA_EC_PARAMS), key_type)?;
            let point = octet_string::unwrapped(required(template, c::CKA_EC_POINT)?.to_vec());
            let compressed = curve.key_type() == KeyType::Ec && point.len() == 1 + curve.field_len();
            if point.len() != curve.point_len() && !compressed {
                return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
            }
            Given::Key(KeyComponents::Public(PublicComponents::Ec { curve, point }))
        }
        Class::Private(KeyType::Rsa) => Given::Key(rsa_private(template)?),
        Class::Private(key_type @ (KeyType::MlDsa | KeyType::MlKem | KeyType::SlhDsa)) => {
            let set = parameter_set::parse(template, key_type)?;
            let secret = |kind| Secret::copy_of(template.get(kind).unwrap_or_default());
            Given::Key(KeyComponents::PqcPrivate { set, seed: secret(c::CKA_SEED), value: secret(c::CKA_VALUE) })
        }
        Class::Private(key_type) => {
            let curve = curve::parse(template.get(c::CKA_EC_PARAMS), key_type)?;
            let scalar = scalar(required(template, c::CKA_VALUE)?, curve)?;
            Given::Key(KeyComponents::EcPrivate { curve, scalar })
        }
        Class::Secret(key_type) => {
            let value = Secret::copy_of(required(template, c::CKA_VALUE)?);
            if template.number(c::CKA_VALUE_LEN)?.is_some_and(|len| usize::try_from(len) != Ok(value.len())) {
                return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
            }
            check_len(key_type, value.len())?;
            Given::Key(KeyComponents::Secret { key_type, value })
        }
    })
}

/// The secret key that C_GenerateKey is to make.
///
/// # Errors
/// CKR_TEMPLATE_INCOMPLETE without a length where the type has several, CKR_ATTRIBUTE_VALUE_INVALID for lengths that are
/// not offered.
pub(crate) fn secret_spec(template: &Template, key_type: KeyType) -> Result<KeySpec> {
    let len = match (length(template)?, key_type) {
        (Some(len), _) => len,
        (None, KeyType::Sm4) => 16,
        (None, KeyType::ChaCha20) => 32,
        (None, KeyType::AesXts) => 64,
        // The key length that FIPS 198-1 recommends: the hash's own.
        (None, KeyType::Hmac(hash)) => hash.len(),
        (None, _) => return Err(Rv(CKR_TEMPLATE_INCOMPLETE)),
    };
    check_len(key_type, len)?;
    Ok(KeySpec::Secret { key_type, len })
}

/// CKA_VALUE_LEN, where the template has it and the length may be.
///
/// # Errors
/// CKR_ATTRIBUTE_VALUE_INVALID.
pub(crate) fn length(template: &Template) -> Result<Option<usize>> {
    let len = template.number(c::CKA_VALUE_LEN)?;
    // Some callers write 0 where they mean that they do not know.
    len.filter(|len| *len != 0)
        .map(|len| usize::try_from(len).ok().filter(|l| *l <= MAX_SECRET_LEN).ok_or(Rv(CKR_ATTRIBUTE_VALUE_INVALID)))
        .transpose()
}

/// The pair that C_GenerateKeyPair is to make.
///
/// # Errors
/// CKR_TEMPLATE_INCOMPLETE, CKR_KEY_SIZE_RANGE, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT where the two
/// templates disagree, and those of [`curve::parse`].
pub(crate) fn pair_spec(public: &Template, private: &Template, key_type: KeyType) -> Result<KeySpec> {
    let shared = [c::CKA_MODULUS_BITS, c::CKA_PUBLIC_EXPONENT, c::CKA_EC_PARAMS, c::CKA_PARAMETER_SET];
    for kind in shared.into_iter().chain([c::CKA_PRIME, c::CKA_BASE]) {
        if let (Some(a), Some(b)) = (public.get(kind), private.get(kind))
            && a != b
        {
            return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
        }
    }
    if matches!(key_type, KeyType::MlDsa | KeyType::MlKem | KeyType::SlhDsa) {
        let template = if public.get(c::CKA_PARAMETER_SET).is_some() { public } else { private };
        return parameter_set::parse(template, key_type).map(KeySpec::Pqc);
    }
    if key_type == KeyType::Dh {
        let private_bits = private.number(c::CKA_VALUE_BITS)?.map(u32::try_from);
        let private_bits = private_bits.transpose().map_err(|_| Rv(CKR_KEY_SIZE_RANGE))?;
        return Ok(KeySpec::Dh { group: dh_group(public, private)?, private_bits });
    }
    if key_type != KeyType::Rsa {
        let params = public.get(c::CKA_EC_PARAMS).or_else(|| private.get(c::CKA_EC_PARAMS));
        return curve::parse(params, key_type).map(KeySpec::Ec);
    }
    let bits = public.number(c::CKA_MODULUS_BITS)?.ok_or(Rv(CKR_TEMPLATE_INCOMPLETE))?;
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) || bits % 8 != 0 {
        return Err(Rv(CKR_KEY_SIZE_RANGE));
    }
    let exponent = match public.get(c::CKA_PUBLIC_EXPONENT) {
        None | Some([]) => F4.to_vec(),
        Some(given) => integer(given)?,
    };
    Ok(KeySpec::Rsa { bits: u32::try_from(bits).map_err(|_| Rv(CKR_KEY_SIZE_RANGE))?, exponent })
}

/// The group of CKA_PRIME and CKA_BASE in one of two templates.
fn dh_group(template: &Template, other: &Template) -> Result<DhGroup> {
    let given = |kind| {
        template.get(kind).or_else(|| other.get(kind)).map(octet_string::stripped).ok_or(Rv(CKR_TEMPLATE_INCOMPLETE))
    };
    DhGroup::find(given(c::CKA_PRIME)?, given(c::CKA_BASE)?).ok_or(Rv(CKR_DOMAIN_PARAMS_INVALID))
}

fn rsa_private(template: &Template) -> Result<KeyComponents> {
    let secret = |kind| match template.get(kind) {
        None => Ok(Secret::copy_of(&[])),
        Some(value) => bounded_integer(value).map(Secret::copy_of),
    };
    let public_exponent = template.get(c::CKA_PUBLIC_EXPONENT).unwrap_or_default();
    Ok(KeyComponents::RsaPrivate {
        modulus: integer(required(template, c::CKA_MODULUS)?)?,
        exponent: bounded_integer(public_exponent)?.to_vec(),
        private_exponent: Secret::copy_of(bounded_integer(required(template, c::CKA_PRIVATE_EXPONENT)?)?),
        prime_1: secret(c::CKA_PRIME_1)?,
        prime_2: secret(c::CKA_PRIME_2)?,
        exponent_1: secret(c::CKA_EXPONENT_1)?,
        exponent_2: secret(c::CKA_EXPONENT_2)?,
        coefficient: secret(c::CKA_COEFFICIENT)?,
    })
}

/// A private scalar in the full length of its curve; leading zeros may be missing or too many. Seeds of Edwards and
/// Montgomery curves are bytes, not numbers: they have their length, perhaps inside an OCTET STRING as in RFC 8410.
fn scalar(value: &[u8], curve: Curve) -> Result<Secret> {
    let len = curve.field_len();
    let is_seed = matches!(curve.key_type(), KeyType::EcEdwards | KeyType::EcMontgomery);
    let value = match value {
        [0x04, n, seed @ ..] if is_seed && seed.len() == len && usize::from(*n) == len => seed,
        seed if is_seed && seed.len() == len => seed,
        _ if is_seed => return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
        number => octet_string::stripped(number),
    };
    let zeros = len.checked_sub(value.len()).filter(|_| !value.is_empty()).ok_or(Rv(CKR_ATTRIBUTE_VALUE_INVALID))?;
    Secret::filled(len, |out| match out.get_mut(zeros..) {
        Some(tail) if tail.len() == value.len() => {
            tail.copy_from_slice(value);
            Ok(())
        }
        _ => Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
    })
}

fn check_len(key_type: KeyType, len: usize) -> Result<()> {
    let fits = match key_type {
        KeyType::Aes => matches!(len, 16 | 24 | 32),
        KeyType::Sm4 => len == 16,
        KeyType::ChaCha20 => len == 32,
        KeyType::AesXts => len == 64,
        _ => (1..=MAX_SECRET_LEN).contains(&len),
    };
    if fits { Ok(()) } else { Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)) }
}

fn required(template: &Template, kind: CK_ATTRIBUTE_TYPE) -> Result<&[u8]> {
    template.get(kind).filter(|v| !v.is_empty()).ok_or(Rv(CKR_TEMPLATE_INCOMPLETE))
}

/// A positive number without leading zeros.
fn integer(value: &[u8]) -> Result<Vec<u8>> {
    match bounded_integer(value)? {
        [] => Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
        number => Ok(number.to_vec()),
    }
}

fn bounded_integer(value: &[u8]) -> Result<&[u8]> {
    let number = octet_string::stripped(value);
    // One byte more than the largest modulus is already nonsense.
    if number.len() * 8 > MAX_RSA_BITS as usize { Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)) } else { Ok(number) }
}

#[cfg(test)]
#[path = "components_tests.rs"]
mod tests;
