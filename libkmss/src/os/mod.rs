//! What the operating system lends us and a host process can break: locks that survive `fork`, fork marks, shared
//! pages. One of the two rooms of this crate that may hold `unsafe`.
#![expect(unsafe_code, reason = "futexes, mmap, statfs, record locks and atfork have no safe interface")]

mod bell;
mod directory;
mod executable;
mod files;
mod fork;
mod gate;
mod generation;
mod guarded;
mod leaving;
mod lock;
mod mapping;
mod mark;
mod numbers;
mod pool;
mod process;
mod ready;
mod rounds;
mod section;
mod shared;
mod socket;
mod stack;
#[cfg(test)]
pub(crate) mod testing;
mod time;
pub(crate) mod vault;

pub use bell::Bell;
pub use directory::{Directory, Opening};
pub use executable::may_execute_own_memory;
pub use files::{FileMode, create_file, never_block, rename_new, require_local};
pub use fork::epoch;
pub use gate::Gate;
pub use generation::{GenerationPage, Invalidation};
pub use guarded::{Guarded, Kept};
pub use leaving::{is_leaving, may_enter};
pub use lock::{Guard, Hooks, Lock, Rank};
pub use mark::ProcessMark;
pub use numbers::SharedNumbers;
pub use pool::Pool;
pub use process::{User, effective_ids, group_by_name, is_secure_execution, user_by_id};
pub use ready::{close_forgotten, wait_until_ready};
pub use rounds::{Rounds, Ticket};
pub use section::{apart_from_forks, beside_forks, let_forks_be};
pub use shared::{SharedBuffer, SharedBytes};
pub use socket::{sealed_memory_file, send_file, unacknowledged};
pub use stack::stack_left;
pub use time::{exact_monotonic, exact_wall, rough_clocks, rough_wall};
