//! AES key wrap (SP 800-38F) as encryption and decryption of whole inputs.

use std::sync::Arc;

use super::buffer::{MAX_HELD, Transform, front};
use super::keys::SecretKey;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Length of a semiblock, by which KW and KWP count.
const SEMIBLOCK: usize = 8;

/// Unwraps what KWP wrapped, as [`KeyWrap`] does: the way that most keys come in, with nothing but what it takes.
pub(super) fn unwrap_padded(key: &SecretKey, wrapped: &[u8]) -> Result<Secret> {
    if !unwraps_padded(wrapped.len()) || wrapped.len() > MAX_HELD {
        return Err(Error::new(ErrorKind::EncryptedDataLength, "the length does not suit the key wrap"));
    }
    Secret::filled_in_part(wrapped.len() - SEMIBLOCK, |out| key.unwrapping()?.kwp(wrapped, out).map_err(bad))
}

const fn unwraps_padded(len: usize) -> bool {
    len.is_multiple_of(SEMIBLOCK) && len >= 2 * SEMIBLOCK
}

fn bad<E>(_: E) -> Error {
    Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt")
}

/// KW with its initial value, or KWP.
pub(super) struct KeyWrap {
    key: Arc<SecretKey>,
    iv: Option<[u8; SEMIBLOCK]>,
    encrypt: bool,
}

impl KeyWrap {
    pub(super) const fn new(key: Arc<SecretKey>, iv: Option<[u8; SEMIBLOCK]>, encrypt: bool) -> Self {
        Self { key, iv, encrypt }
    }

    fn check_length(&self, len: usize) -> Result<()> {
        let whole = len.is_multiple_of(SEMIBLOCK);
        let fits = match (self.encrypt, self.iv.is_some()) {
            (true, true) => whole && len >= 2 * SEMIBLOCK,
            (true, false) => len >= 1,
            (false, true) => whole && len >= 3 * SEMIBLOCK,
            (false, false) => unwraps_padded(len),
        };
        if fits { Ok(()) } else { Err(Error::new(self.limit().1, "the length does not suit the key wrap")) }
    }
}

impl Transform for KeyWrap {
    fn limit(&self) -> (usize, ErrorKind) {
        (MAX_HELD, if self.encrypt { ErrorKind::DataLength } else { ErrorKind::EncryptedDataLength })
    }

    fn output_len(&self, input: usize) -> usize {
        if self.encrypt {
            input.div_ceil(SEMIBLOCK).saturating_add(1).saturating_mul(SEMIBLOCK)
        } else {
            input.saturating_sub(SEMIBLOCK)
        }
    }

    fn run(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.check_length(input.len())?;
        let out = front(out, self.output_len(input.len()))?;
        Ok(match (&self.iv, self.encrypt) {
            (Some(iv), true) => self.key.wrapping()?.kw(iv, input, out).map(|()| out.len())?,
            (Some(iv), false) => self.key.unwrapping()?.kw(iv, input, out).map(|()| out.len()).map_err(bad)?,
            (None, true) => self.key.wrapping()?.kwp(input, out)?,
            (None, false) => self.key.unwrapping()?.kwp(input, out).map_err(bad)?,
        })
    }
}
