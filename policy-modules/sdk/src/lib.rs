//! Policies for KMSS, written in Rust.
//!
//! A policy is one function. KMSS calls it before every operation with a key, in the process that asks:
//!
//! ```
//! use kmss_policy::{Action, Decision, Request};
//!
//! #[kmss_policy::policy]
//! fn decide(request: Request) -> Decision {
//!     match request.action() {
//!         Action::ENCRYPT => Decision::allow(1),
//!         Action::DECRYPT => Decision::deny(2),
//!         _ => Decision::not_applicable(),
//!     }
//! }
//! ```
//!
//! Built for `wasm32-unknown-unknown` it becomes a module of `kmss-policy/1` (docs/policy-abi.md); built for the machine
//! itself it is a plain function that `cargo test` calls with requests made by [`testing`].
//!
//! # What a policy can rely on
//! - It fails closed: a request that is not laid out as it should be ends the decision in a trap, which the host takes
//!   for a deny. No accessor invents an empty text for one that cannot be read.
//! - Nothing here panics with a message or allocates; a module is a few kilobytes.
//! - A policy that writes to no memory is the fastest kind. Duties that are always the same are therefore made at compile
//!   time: see [`Response`]. What has to be put together for one request goes through [`Writer`].
#![cfg_attr(target_arch = "wasm32", no_std)]

mod decision;
#[cfg(target_arch = "wasm32")]
pub mod guest;
mod list;
mod mechanism;
mod numbers;
mod request;
mod response;
mod rules;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod text;
mod time;
mod writer;

pub use decision::{Decision, Verdict};
pub use kmss_policy_macro::policy;
pub use list::{Context, List};
pub use mechanism::Mechanism;
pub use numbers::{Action, KeyType};
pub use request::{Key, Request};
pub use response::{Encoded, Response};
pub use rules::{Rule, RuleTable};
pub use text::{Principal, Text};
pub use time::{Civil, Time, Weekday};
pub use writer::Writer;

/// Bytes of the buffer that the host writes requests to.
pub const BUFFER: usize = 16_384;

/// Ends the decision, which the host takes for a deny: the request is not laid out as the interface says.
#[cold]
pub(crate) fn malformed() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    #[expect(clippy::panic, reason = "in tests; a module traps instead")]
    {
        panic!("the request is malformed: as a module this policy would trap, which is a deny")
    }
}
