//! What the tests of the whole share: the shape of the house, throw-away homes, the module through its C interface,
//! and real programs run with a time-out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod arch;
pub mod built;
pub mod c;
pub mod contract;
pub mod disk;
pub mod guest;
pub mod home;
pub mod http;
pub mod members;
pub mod module;
pub mod openssl;
pub mod p11;
pub mod program;
pub mod remote;
pub mod rules;
pub mod softhsm;
