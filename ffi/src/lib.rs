//! The C ABI of KMSS: a second door to the same hall. The header is `include/kmss.h`, written by cbindgen.
//!
//! Types and functions carry their C names. What the ABI promises is in docs/adr/0065-the-c-abi.md.
#![allow(non_camel_case_types, reason = "these are the names of the C interface")]

mod algorithm;
mod audit;
mod backup;
mod boundary;
mod compat;
mod data_key;
mod derive;
mod draft;
mod error;
mod failure;
mod file;
mod guard;
mod handle;
mod home;
mod import;
mod inspect;
mod jws;
mod key;
mod life;
mod mac;
mod manage;
mod message;
mod out;
mod policy;
mod rotation;
mod session;
mod sign;
mod status;
mod token;
mod version;
mod wallet;
mod wrap;

pub use algorithm::*;
pub use audit::*;
pub use backup::*;
pub use boundary::kmss_pair;
pub use compat::*;
pub use data_key::*;
pub use derive::*;
pub use draft::*;
pub use error::*;
pub use file::*;
pub use home::*;
pub use import::*;
pub use inspect::*;
pub use jws::*;
pub use key::*;
pub use life::*;
pub use mac::*;
pub use manage::*;
pub use message::*;
pub use out::kmss_free;
pub use policy::*;
pub use rotation::*;
pub use session::*;
pub use sign::*;
pub use status::kmss_status;
pub use token::*;
pub use version::kmss_version;
pub use wallet::*;
pub use wrap::*;
