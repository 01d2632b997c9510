//! Attributes: what the CKA numbers mean for objects of the core, in both directions.
//!
//! [`rules`] says which attribute exists where and who may set it; [`draft`] and [`components`] turn templates into what
//! the core makes objects from; [`change`] turns them into changes; [`read`] answers what an object's attributes are.

pub(crate) mod certificate;
pub(crate) mod change;
pub(crate) mod components;
pub(crate) mod curve;
pub(crate) mod draft;
pub(crate) mod parameter_set;
pub(crate) mod read;
pub(crate) mod rules;
#[cfg(test)]
pub(crate) mod samples;
