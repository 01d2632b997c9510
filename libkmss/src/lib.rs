//! The key-management core of KMSS.
//!
//! Three doors (PKCS#11, C ABI, remote) translate into calls of this crate; the [`pipeline`] decides, audits and lets a
//! [`backend`] compute. The crate is synchronous, starts no thread and installs no signal handler.

pub mod error;
pub mod mechanism;
pub mod secret;
