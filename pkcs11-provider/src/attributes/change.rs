//! C_CopyObject and C_SetAttributeValue: changes to objects that exist.

use cryptoki_sys::{self as c, CKR_TEMPLATE_INCONSISTENT};
use libkmss::key::{Body, Object};
use libkmss::operation::Draft;

use super::draft::{self, Giver};
use super::rules::{self, Class, Occasion};
use crate::raw::template::Template;
use crate::rv::{Result, Rv};

/// The object with the changes that a template of C_SetAttributeValue asks for.
///
/// # Errors
/// Those of [`rules::admit`] and [`draft::apply`].
pub(crate) fn changed(object: &Object, template: &Template, giver: Giver) -> Result<Object> {
    let class = Class::of(object);
    rules::admit(template, class, Occasion::Set)?;
    let mut sheet = Draft::new(object.id, object.storage);
    take(&mut sheet, object);
    draft::apply(&mut sheet, class, template, Occasion::Set, giver)?;
    let mut object = object.clone();
    object.copyable = sheet.copyable;
    object.label = sheet.label;
    object.identifier = sheet.identifier;
    object.attributes = sheet.attributes;
    if let Body::Key(key) = &mut object.body {
        check_dates(&sheet.start, &sheet.end)?;
        key.usage = sheet.usage;
        key.protection = sheet.protection;
        key.start = sheet.start;
        key.end = sheet.end;
    }
    Ok(object)
}

/// Fills `copy`, a fresh draft, with `object`'s attributes and the changes that a template of C_CopyObject asks for.
///
/// # Errors
/// Those of [`rules::admit`] and [`draft::apply`].
pub(crate) fn copied(copy: &mut Draft, object: &Object, template: &Template, giver: Giver) -> Result<()> {
    let class = Class::of(object);
    rules::admit(template, class, Occasion::Copy)?;
    take(copy, object);
    draft::apply(copy, class, template, Occasion::Copy, giver)?;
    check_dates(&copy.start, &copy.end)
}

/// What C_CopyObject makes of CKA_TOKEN: as in the template, else as the object has it.
pub(crate) fn copied_storage(object: &Object, template: &Template) -> Result<libkmss::key::Storage> {
    if template.get(c::CKA_TOKEN).is_some() { draft::storage(template) } else { Ok(object.storage) }
}

fn take(sheet: &mut Draft, object: &Object) {
    sheet.private = object.private;
    sheet.modifiable = object.modifiable;
    sheet.copyable = object.copyable;
    sheet.destroyable = object.destroyable;
    sheet.label.clone_from(&object.label);
    sheet.identifier.clone_from(&object.identifier);
    sheet.attributes.clone_from(&object.attributes);
    if let Some(key) = object.key() {
        sheet.usage = key.usage;
        sheet.protection = key.protection;
        sheet.allowed_mechanisms.clone_from(&key.allowed_mechanisms);
        sheet.start = key.start;
        sheet.end = key.end;
    }
}

fn check_dates<T: PartialOrd>(start: &Option<T>, end: &Option<T>) -> Result<()> {
    match (start, end) {
        (Some(start), Some(end)) if end < start => Err(Rv(CKR_TEMPLATE_INCONSISTENT)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
