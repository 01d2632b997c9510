//! What the operating system lends us and a host process can break: locks that survive `fork`, fork marks, shared
//! pages. One of the two rooms of this crate that may hold `unsafe`.
#![expect(unsafe_code, reason = "futexes, mmap and atfork have no safe interface")]

mod directory;
mod fork;
mod lock;
mod process;

pub use directory::{Directory, Opening};
pub use fork::epoch;
pub use lock::{Guard, Hooks, Lock, Rank};
pub use process::{User, effective_ids, group_by_name, is_secure_execution, user_by_id};
