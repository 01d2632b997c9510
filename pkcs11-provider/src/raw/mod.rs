//! The room where C structures are read and written.
#![expect(unsafe_code, reason = "this is where pointers of the host become Rust values")]

pub(crate) mod info;
pub(crate) mod mechanism;
pub(crate) mod message;
pub(crate) mod octet_string;
pub(crate) mod pointers;
pub(crate) mod template;
mod value;
pub(crate) mod wrapping;
