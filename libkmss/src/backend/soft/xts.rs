//! AES-XTS (SP 800-38E): one data unit as an operation on all of it.

use std::sync::Arc;

use super::awslc::xts;
use super::buffer::{Transform, front};
use super::keys::SecretKey;
use crate::error::{Error, ErrorKind, Result};

/// Shortest data unit in bytes.
const MIN: usize = 16;
/// Longest data unit in bytes (SP 800-38E, 4: 2²⁰ blocks).
const MAX: usize = 1 << 24;

/// One data unit.
pub(super) struct Xts {
    key: Arc<SecretKey>,
    tweak: [u8; 16],
    encrypt: bool,
}

impl Xts {
    pub(super) const fn new(key: Arc<SecretKey>, tweak: [u8; 16], encrypt: bool) -> Self {
        Self { key, tweak, encrypt }
    }
}

impl Transform for Xts {
    fn limit(&self) -> (usize, ErrorKind) {
        (MAX, if self.encrypt { ErrorKind::DataLength } else { ErrorKind::EncryptedDataLength })
    }

    fn output_len(&self, input: usize) -> usize {
        input
    }

    fn run(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        if input.len() < MIN {
            return Err(Error::new(self.limit().1, "a data unit of XTS has 16 bytes at least"));
        }
        xts(self.key.value.expose(), &self.tweak, input, front(out, input.len())?, self.encrypt)?;
        Ok(input.len())
    }
}
