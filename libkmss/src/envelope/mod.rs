//! Envelopes: data under keys that are given out, which are themselves encrypted under keys of ours. Stands above
//! [`Kms`](crate::kms::Kms) and uses it as any door does.

mod cache;
pub mod file;
mod sm2;
pub mod stream;
mod wrapping_key;

pub use cache::{CacheLimits, CachedDataKey, DataKeyCache};
pub use sm2::Sm2Envelope;
pub use wrapping_key::WrappingKey;
