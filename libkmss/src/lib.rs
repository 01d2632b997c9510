//! The key-management core of KMSS.
//!
//! Three doors (PKCS#11, C ABI, remote) translate into calls of this crate; the [`pipeline`] decides, audits and lets a
//! [`backend`] compute. The crate is synchronous, starts no thread and installs no signal handler.

pub mod audit;
pub mod auth;
pub mod backend;
pub mod backup;
pub mod caller;
pub mod catalog;
pub mod clock;
pub mod compat;
pub mod config;
pub mod device;
mod domain;
pub mod envelope;
pub mod error;
pub mod home;
pub mod jose;
pub mod key;
pub mod kms;
pub mod mechanism;
pub mod operation;
pub mod os;
pub mod permit;
pub mod pipeline;
pub mod policy;
pub mod principal;
pub mod quota;
pub mod random;
pub mod rates;
pub mod rules;
pub mod seal;
mod sealed;
pub mod secret;
pub mod seen;
pub mod settings;
pub mod store;
pub mod suite;
pub mod tenant;
pub mod vault;
