//! What encryption and decryption share: parts, ends, and results that did not fit.

use cryptoki_sys::{CKR_BUFFER_TOO_SMALL, CKR_OPERATION_ACTIVE};
use libkmss::backend::{Ciphering, within};
use libkmss::error::{Error, ErrorKind};

use crate::module::session::Taken;
use crate::raw::pointers::{Output, zeroed};
use crate::rv::{Result, Rv};

/// An encryption or decryption under way.
pub(crate) type Cipher = Box<dyn Ciphering>;

/// Whether the length of a result is known before it is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Of ciphertext it is.
    Known,
    /// Padding makes plaintext shorter than it could be.
    Bounded,
}

/// What became of a part.
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Part {
    /// It was processed into this many bytes.
    Processed(usize),
    /// The call asked for a length only.
    Asked,
}

/// C_Encrypt and C_Decrypt: everything at once.
pub(crate) fn whole(operation: Taken<Cipher>, input: &[u8], out: Output<'_>, length: Length) -> Result<()> {
    if operation.parts {
        return Err(Rv(CKR_OPERATION_ACTIVE));
    }
    last(operation, input, out, length)
}

/// C_EncryptUpdate and C_DecryptUpdate.
pub(crate) fn part(mut operation: Taken<Cipher>, input: &[u8], out: &mut Output<'_>) -> Result<Part> {
    if operation.held.is_some() {
        return Err(Rv(CKR_OPERATION_ACTIVE));
    }
    let bound = operation.unfinished.running().update_len(input.len());
    out.tell(bound);
    if out.is_query() {
        operation.keep()?;
        return Ok(Part::Asked);
    }
    let Some(space) = out.space(bound) else {
        operation.keep()?;
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    };
    operation.check_unlocked()?;
    operation.parts = true;
    let processed = if bound == 0 {
        operation.unfinished.update(input, |cipher| within(bound, cipher.update(input, space)))
    } else {
        operation.unfinished.produce(input, |cipher| within(bound, cipher.update(input, space)))
    };
    match processed {
        Ok(written) => {
            out.tell(written);
            operation.keep()?;
            Ok(Part::Processed(written))
        }
        Err(error) => {
            out.wipe(bound);
            Err(error.into())
        }
    }
}

/// C_EncryptFinal and C_DecryptFinal, with the last of the input.
pub(crate) fn last(mut operation: Taken<Cipher>, input: &[u8], mut out: Output<'_>, length: Length) -> Result<()> {
    if operation.held.is_some() {
        return deliver(operation, out);
    }
    let bound = operation.unfinished.running().finish_len(input.len());
    out.tell(bound);
    if out.is_query() {
        return operation.keep();
    }
    if length == Length::Bounded && bound > out.capacity() {
        return hold(operation, input, out, bound);
    }
    let Some(space) = out.space(bound) else {
        operation.keep()?;
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    };
    operation.check_unlocked()?;
    match operation.unfinished.finish(input, |cipher| within(bound, cipher.finish(input, space))) {
        Ok(written) => {
            out.tell(written);
            operation.done();
            Ok(())
        }
        Err(error) => {
            out.wipe(bound);
            Err(error.into())
        }
    }
}

/// Computes a result that may or may not fit; one that does not is held for the next call.
fn hold(mut operation: Taken<Cipher>, input: &[u8], mut out: Output<'_>, bound: usize) -> Result<()> {
    operation.check_unlocked()?;
    let mut result = zeroed(bound)?;
    let mut len = 0;
    let computed = operation.unfinished.finish(input, |cipher| {
        len = within(bound, cipher.finish(input, &mut result))?;
        if len > out.capacity() {
            return Err(Error::new(ErrorKind::BufferTooSmall, "the result does not fit the buffer"));
        }
        Ok(())
    });
    result.truncate(len);
    match computed {
        Ok(()) => {
            out.put(&result);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::BufferTooSmall => {
            out.tell(len);
            operation.held = Some(result);
            operation.held_from = input.len();
            operation.keep()?;
            Err(Rv(CKR_BUFFER_TOO_SMALL))
        }
        Err(error) => Err(error.into()),
    }
}

/// Delivers what was held.
fn deliver(mut operation: Taken<Cipher>, mut out: Output<'_>) -> Result<()> {
    let len = operation.held.as_ref().map_or(0, |held| held.len());
    out.tell(len);
    if out.is_query() {
        return operation.keep();
    }
    if len > out.capacity() {
        operation.keep()?;
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    }
    let from = operation.held_from;
    operation.unfinished.release(from)?;
    out.put(&operation.held.take().unwrap_or_default());
    Ok(())
}
