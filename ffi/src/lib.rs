//! The C ABI of KMSS: a second door to the same hall. The header is `include/kmss.h`, written by cbindgen.
//!
//! Types and functions carry their C names.
#![allow(non_camel_case_types, reason = "these are the names of the C interface")]

mod boundary;
mod error;
mod failure;
mod handle;
mod home;
mod key;
mod session;
mod sign;
mod status;
mod version;

pub use error::kmss_last_error;
pub use home::{kmss, kmss_close, kmss_open};
pub use key::{
    KMSS_KEY_PRIVATE, KMSS_KEY_PUBLIC, KMSS_KEY_SECRET, kmss_find_key, kmss_key, kmss_key_class, kmss_key_free,
};
pub use session::{kmss_login, kmss_logout, kmss_session};
pub use sign::*;
pub use status::kmss_status;
pub use version::kmss_version;
