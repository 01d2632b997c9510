//! The audit's archive, as an auditor sees it: segments that are compressed ([`pack()`]), and folders of them that are verified
//! with nothing but a public key ([`check()`]).
//!
//! Everything here takes hostile input. Only programs for operators and auditors are linked with it, never the module in a
//! host process.

mod chain;
pub mod check;
mod folder;
mod lines;
pub mod pack;
mod report;
mod sealed;
mod segment;

pub use check::{Demands, Error, ManifestHash, check};
pub use pack::{Packed, pack};
pub use report::{Finding, Found, Progress, Report, SegmentReport, Verdict};
