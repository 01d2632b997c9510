//! CK_ATTRIBUTE arrays: read once into an owned [`Template`], and filled for C_GetAttributeValue.

use std::fmt;
use std::mem::size_of;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_BBOOL, CK_FALSE, CK_TRUE, CK_ULONG, CK_UNAVAILABLE_INFORMATION,
    CKA_DECAPSULATE_TEMPLATE, CKA_DERIVE_TEMPLATE, CKA_ENCAPSULATE_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_WRAP_TEMPLATE,
    CKR_ARGUMENTS_BAD, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_BUFFER_TOO_SMALL, CKR_TEMPLATE_INCONSISTENT,
};
use zeroize::Zeroizing;

use crate::raw::value::{Bytes, Value};
use crate::rv::{Result, Rv};

/// Most attributes in one template.
const MAX_COUNT: usize = 256;
/// Most bytes in all values of one template together.
const MAX_BYTES: usize = 1 << 24;

/// Attributes with their values as the caller gave them (native byte order), each type once; what may be secret is wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Template(Vec<(CK_ATTRIBUTE_TYPE, Value)>);

/// Types and lengths only: values may be secret.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(kind, value)| (kind, value.len()))).finish()
    }
}

/// Whether the attribute's value is a template itself.
pub(crate) const fn is_nested(kind: CK_ATTRIBUTE_TYPE) -> bool {
    matches!(
        kind,
        CKA_WRAP_TEMPLATE
            | CKA_UNWRAP_TEMPLATE
            | CKA_DERIVE_TEMPLATE
            | CKA_ENCAPSULATE_TEMPLATE
            | CKA_DECAPSULATE_TEMPLATE
    )
}

impl Template {
    /// A template of given values.
    #[cfg(test)]
    pub(crate) fn of(values: &[(CK_ATTRIBUTE_TYPE, &[u8])]) -> Self {
        Self(values.iter().map(|(k, v)| (*k, Value::of(*k, v))).collect())
    }

    /// A template that no object has.
    pub(crate) fn unmatchable() -> Self {
        Self(vec![(CK_UNAVAILABLE_INFORMATION, Value::of(CK_UNAVAILABLE_INFORMATION, &[]))])
    }

    /// Adds an attribute.
    ///
    /// # Errors
    /// CKR_TEMPLATE_INCONSISTENT where it is there with another value.
    pub(crate) fn add(&mut self, kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Result<()> {
        match self.get(kind) {
            None => self.0.push((kind, Value::of(kind, value))),
            Some(there) if there == value => {}
            Some(_) => return Err(Rv(CKR_TEMPLATE_INCONSISTENT)),
        }
        Ok(())
    }

    /// The template without an attribute.
    #[must_use]
    pub(crate) fn without(mut self, kind: CK_ATTRIBUTE_TYPE) -> Self {
        self.0.retain(|(k, _)| *k != kind);
        self
    }

    /// Adds an attribute where it is not there.
    pub(crate) fn default_to(&mut self, kind: CK_ATTRIBUTE_TYPE, value: &[u8]) {
        if self.get(kind).is_none() {
            self.0.push((kind, Value::of(kind, value)));
        }
    }

    /// All attributes in the caller's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CK_ATTRIBUTE_TYPE, &[u8])> {
        self.0.iter().map(|(kind, value)| (*kind, &**value))
    }

    /// The value of an attribute.
    pub(crate) fn get(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<&[u8]> {
        self.0.iter().find(|(k, _)| *k == kind).map(|(_, v)| &**v)
    }

    /// The value of a CK_BBOOL attribute.
    pub(crate) fn flag(&self, kind: CK_ATTRIBUTE_TYPE) -> Result<Option<bool>> {
        self.get(kind).map(flag).transpose()
    }

    /// The value of a CK_ULONG attribute.
    pub(crate) fn number(&self, kind: CK_ATTRIBUTE_TYPE) -> Result<Option<CK_ULONG>> {
        self.get(kind).map(number).transpose()
    }

    /// The form in which nested templates are kept: type (8 bytes), length (8 bytes), value, repeated.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, value) in &self.0 {
            out.extend_from_slice(&u64_of(*kind).to_be_bytes());
            out.extend_from_slice(&(value.len() as u64).to_be_bytes());
            out.extend_from_slice(value);
        }
        out
    }

    /// Reads [`Self::encode`]'s form; `None` for anything else.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut attributes = Vec::new();
        while !bytes.is_empty() {
            let (kind, rest) = bytes.split_first_chunk::<8>()?;
            let (len, rest) = rest.split_first_chunk::<8>()?;
            let (value, rest) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*len)).ok()?)?;
            let kind = CK_ATTRIBUTE_TYPE::try_from(u64::from_be_bytes(*kind)).ok()?;
            attributes.push((kind, Value::of(kind, value)));
            bytes = rest;
        }
        Some(Self(attributes))
    }
}

/// A CK_ULONG as the core keeps it.
#[expect(clippy::useless_conversion, reason = "CK_ULONG has 32 bits on other platforms")]
pub(crate) fn u64_of(number: CK_ULONG) -> u64 {
    number.into()
}

/// A CK_BBOOL: one byte, 0 or 1.
pub(crate) fn flag(value: &[u8]) -> Result<bool> {
    match value {
        [CK_FALSE] => Ok(false),
        [CK_TRUE] => Ok(true),
        _ => Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
    }
}

/// A CK_ULONG in native byte order.
pub(crate) fn number(value: &[u8]) -> Result<CK_ULONG> {
    value.try_into().map(CK_ULONG::from_ne_bytes).map_err(|_| Rv(CKR_ATTRIBUTE_VALUE_INVALID))
}

/// An array of CK_ULONG in native byte order.
pub(crate) fn numbers(value: &[u8]) -> Result<Vec<CK_ULONG>> {
    let (whole, rest) = value.as_chunks::<{ size_of::<CK_ULONG>() }>();
    if rest.is_empty() {
        Ok(whole.iter().map(|n| CK_ULONG::from_ne_bytes(*n)).collect())
    } else {
        Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID))
    }
}

/// Reads a caller's template.
///
/// # Safety
/// `attributes` is null or points to `count` CK_ATTRIBUTEs, each value readable for the length given with it; the same
/// holds for templates inside.
pub(crate) unsafe fn read(attributes: *const CK_ATTRIBUTE, count: CK_ULONG) -> Result<Template> {
    let mut budget = MAX_BYTES;
    // SAFETY: handed on as it is.
    unsafe { read_level(attributes, count, &mut budget, true) }
}

/// # Safety
/// As [`read`].
unsafe fn read_level(
    attributes: *const CK_ATTRIBUTE,
    count: CK_ULONG,
    budget: &mut usize,
    outermost: bool,
) -> Result<Template> {
    let count = usize::try_from(count).ok().filter(|c| *c <= MAX_COUNT).ok_or(Rv(CKR_ARGUMENTS_BAD))?;
    if attributes.is_null() && count != 0 {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    let mut template = Template(Vec::with_capacity(count));
    for i in 0..count {
        // SAFETY: the array has `count` elements by contract, so element `i` is inside; alignment is not assumed.
        let attribute = unsafe { attributes.add(i).read_unaligned() };
        let len = usize::try_from(attribute.ulValueLen)
            .ok()
            .filter(|len| *len <= *budget && (*len == 0 || !attribute.pValue.is_null()))
            .ok_or(Rv(CKR_ATTRIBUTE_VALUE_INVALID))?;
        *budget -= len;
        if is_nested(attribute.type_) {
            if !outermost || len % size_of::<CK_ATTRIBUTE>() != 0 {
                return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
            }
            let inner = (len / size_of::<CK_ATTRIBUTE>()) as CK_ULONG;
            // SAFETY: the value is `len` readable bytes by contract, that is `inner` CK_ATTRIBUTEs.
            let nested = unsafe { read_level(attribute.pValue.cast_const().cast(), inner, budget, false) }?;
            template.add(attribute.type_, &nested.encode())?;
        } else if len == 0 {
            template.add(attribute.type_, &[])?;
        } else {
            // SAFETY: not null (filtered above) and readable for `len` bytes by contract.
            let value = unsafe { std::slice::from_raw_parts(attribute.pValue.cast_const().cast::<u8>(), len) };
            template.add(attribute.type_, value)?;
        }
    }
    Ok(template)
}

/// What is known of an attribute that somebody asks for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its value in native byte order.
    Value(Bytes),
    /// Its value, a template.
    Nested(Template),
    /// It exists and is not shown.
    Sensitive,
    /// The object has no such attribute.
    Unknown,
}

/// Values may be secret: their lengths only.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "Value({} bytes)", value.len()),
            Self::Nested(template) => write!(f, "Nested({template:?})"),
            Self::Sensitive => f.write_str("Sensitive"),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

impl Answer {
    /// A CK_BBOOL.
    pub(crate) fn flag(value: bool) -> Self {
        Self::bytes(&[CK_BBOOL::from(value)])
    }

    /// A CK_ULONG.
    pub(crate) fn number(value: CK_ULONG) -> Self {
        Self::bytes(&value.to_ne_bytes())
    }

    /// Bytes.
    pub(crate) fn bytes(value: &[u8]) -> Self {
        Self::Value(Zeroizing::new(value.to_vec()))
    }
}

/// Fills a caller's template (PKCS#11 3.2, 5.7.5): every attribute that can be answered is, the others are marked with
/// CK_UNAVAILABLE_INFORMATION and the call's result says why; of several reasons the gravest.
///
/// # Safety
/// `attributes` is null or points to `count` CK_ATTRIBUTEs that may be written; each non-null value may be written for
/// the length given with it, and holds CK_ATTRIBUTEs of the same kind where the attribute is a template.
pub(crate) unsafe fn fill(
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    mut answer: impl FnMut(CK_ATTRIBUTE_TYPE) -> Result<Answer>,
) -> Result<()> {
    let count = usize::try_from(count).ok().filter(|c| *c <= MAX_COUNT).ok_or(Rv(CKR_ARGUMENTS_BAD))?;
    if attributes.is_null() && count != 0 {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    let mut worst = None;
    for i in 0..count {
        // SAFETY: element `i` of `count`; alignment is not assumed.
        let mut attribute = unsafe { attributes.add(i).read_unaligned() };
        let result = answer(attribute.type_)?;
        // SAFETY: the attribute's value is writable for its length by contract.
        let outcome = unsafe { fill_one(&mut attribute, &result) };
        // SAFETY: as above; the caller's element is written back with its new length.
        unsafe { attributes.add(i).write_unaligned(attribute) };
        worst = worst.max(outcome.err());
    }
    worst.map_or(Ok(()), |fault| Err(fault.rv()))
}

/// Why an attribute was not filled, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    TooSmall,
    Unknown,
    Sensitive,
}

impl Fault {
    const fn rv(self) -> Rv {
        Rv(match self {
            Self::TooSmall => CKR_BUFFER_TOO_SMALL,
            Self::Unknown => CKR_ATTRIBUTE_TYPE_INVALID,
            Self::Sensitive => CKR_ATTRIBUTE_SENSITIVE,
        })
    }
}

/// # Safety
/// A non-null value of `attribute` is writable for the length given with it, as [`fill`] says.
unsafe fn fill_one(attribute: &mut CK_ATTRIBUTE, answer: &Answer) -> Result<(), Fault> {
    let room = usize::try_from(attribute.ulValueLen).unwrap_or(usize::MAX);
    attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
    let len = match answer {
        Answer::Unknown => return Err(Fault::Unknown),
        Answer::Sensitive => return Err(Fault::Sensitive),
        Answer::Value(value) => value.len(),
        Answer::Nested(template) => template.0.len() * size_of::<CK_ATTRIBUTE>(),
    };
    if !attribute.pValue.is_null() {
        if room < len {
            return Err(Fault::TooSmall);
        }
        match answer {
            // SAFETY: the value is writable for `room >= len` bytes by contract and cannot overlap our copy.
            Answer::Value(value) => unsafe {
                std::ptr::copy_nonoverlapping(value.as_ptr(), attribute.pValue.cast::<u8>(), len);
            },
            // SAFETY: the value is writable for `len` bytes, the size of the template's attributes.
            Answer::Nested(template) => unsafe { fill_nested(attribute.pValue.cast(), template) }?,
            Answer::Unknown | Answer::Sensitive => {}
        }
    }
    attribute.ulValueLen = len as CK_ULONG;
    Ok(())
}

/// # Safety
/// `attributes` has room for as many CK_ATTRIBUTEs as `template` has, each non-null value writable for its length.
unsafe fn fill_nested(attributes: *mut CK_ATTRIBUTE, template: &Template) -> Result<(), Fault> {
    let mut result = Ok(());
    for (i, (kind, value)) in template.0.iter().enumerate() {
        // SAFETY: the array has as many elements as the template by contract.
        let mut attribute = unsafe { attributes.add(i).read_unaligned() };
        attribute.type_ = *kind;
        // SAFETY: the element's value is writable for its length by contract.
        let outcome = unsafe { fill_one(&mut attribute, &Answer::bytes(value)) };
        // SAFETY: the same element.
        unsafe { attributes.add(i).write_unaligned(attribute) };
        result = result.and(outcome);
    }
    result
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
