//! Entry points, one file per chapter of PKCS#11 3.2, section 5. They turn what the host passes into Rust values and
//! call safe code; the table in `lib.rs` names them, the guard surrounds them.
#![expect(unsafe_code, reason = "arguments are pointers of the host")]

pub(crate) mod decrypt;
pub(crate) mod digest;
pub(crate) mod dual;
pub(crate) mod encapsulate;
pub(crate) mod encrypt;
pub(crate) mod general;
pub(crate) mod keys;
pub(crate) mod message;
pub(crate) mod object;
pub(crate) mod random;
pub(crate) mod recover;
pub(crate) mod session;
pub(crate) mod sign;
pub(crate) mod slot_token;
pub(crate) mod state;
pub(crate) mod v3_2;
pub(crate) mod verify;
