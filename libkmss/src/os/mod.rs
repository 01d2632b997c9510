//! What the operating system lends us and a host process can break: locks that survive `fork`, fork marks, shared
//! pages. One of the two rooms of this crate that may hold `unsafe`.
#![expect(unsafe_code, reason = "futexes, mmap and atfork have no safe interface")]

mod fork;
mod lock;

pub use fork::epoch;
pub use lock::{Guard, Hooks, Lock, Rank};
