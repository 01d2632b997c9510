//! `kmss-policy/1` in bytes: how requests reach a guest and how its answers are read. docs/policy-abi.md is the
//! specification; whoever changes one changes the other.

mod decode;
mod encode;
mod numbers;
mod reads;
mod rules;
mod sizes;

pub use decode::{MAX_REASON, MAX_RESPONSE, MAX_TEXT, ResponseError, decode};
pub use encode::{EncodeError, Encoded};
pub use numbers::{
    ACTIONS, KEY_TYPES, MECHANISMS, UNKNOWN, action, action_number, key_type_number, mechanism_name, mechanism_number,
};
pub use reads::{READS_SECTION, Reads, ReadsError};
pub use rules::{RuleNames, RulesError, SECTION};
pub use sizes::{MAX_SIZES, SIZES_SECTION, Sizes, SizesError};

pub(crate) use decode::{Duty, MAX_ENTRIES, plain_text};

/// Major and minor version of the layout, as requests carry it and guests declare it.
pub const VERSION: u32 = 1 << 16;

/// Length of a guest's buffer, and so of the longest request.
pub const BUFFER: usize = 16 << 10;

/// Length of the fixed part of a request.
pub const FIXED: usize = 176;
