//! Sealed files as streams: one chunk after the other, on the caller's thread, with a bounded amount of memory.

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::file::{Chunks, FileAlgorithm, FileHeader, KEY, ReadHeader, TAG};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::kms::Kms;
use crate::mechanism::{EncryptionContext, NativeAlgorithm};
use crate::operation::{DecryptMessage, EncryptMessage, GenerateDataKey, ObjectRef};
use crate::random::Random;
use crate::secret::Secret;

/// A key that opens a file, and how the file's key is encrypted under it.
pub type Recipient = (ObjectRef, NativeAlgorithm);

/// Seals what comes from `source` to the end, for `recipients`: any one of them opens it. The data key is made under the first.
///
/// # Errors
/// Those of [`GenerateDataKey`] and [`EncryptMessage`]; [`ErrorKind::Arguments`] for no recipient, or too many;
/// [`ErrorKind::Storage`] where reading or writing fails.
pub fn seal(
    (kms, caller): (&Kms, &Caller),
    (recipients, context): (&[Recipient], &EncryptionContext),
    algorithm: FileAlgorithm,
    (source, target): (&mut dyn Read, &mut dyn Write),
    random: &dyn Random,
) -> Result<()> {
    let none = || Error::new(ErrorKind::Arguments, "a sealed file has 1 to 32 recipients");
    let ((key, native), others) = recipients.split_first().ok_or_else(none)?;
    let operation = GenerateDataKey::new(key.clone(), *native, context.clone(), KEY);
    let made = kms.perform(caller, operation)?;
    let mut wrapped = vec![made.ciphertext];
    for (key, native) in others {
        let operation = EncryptMessage::new(key.clone(), *native, context.clone(), made.plaintext.expose());
        wrapped.push(kms.perform(caller, operation)?);
    }
    let header = FileHeader::new(algorithm, FileHeader::USUAL, wrapped, random)?;
    let (bytes, chunks) = header.seal(&made.plaintext)?;
    write(target, &bytes)?;
    let (mut ahead, mut next) = (room(&chunks), room(&chunks));
    fill(source, chunks.size(), &mut ahead)?;
    for number in 0.. {
        // A chunk that is full may be the last one.
        let more = if ahead.len() == chunks.size() { chunks.size() } else { 0 };
        fill(source, more, &mut next)?;
        let last = next.is_empty();
        chunks.seal(number, last, &mut ahead)?;
        write(target, &ahead)?;
        std::mem::swap(&mut ahead, &mut next);
        if last {
            break;
        }
    }
    target.flush().map_err(unwritten)
}

/// Opens what `source` holds to the end, with the first of its recipients whose key the caller has.
///
/// Everything that is written is right, but may be the beginning of it only: that all of it came is known when this succeeds.
///
/// # Errors
/// [`ErrorKind::EncryptedDataInvalid`] for what is no sealed file or was altered; [`ErrorKind::NotFound`] where none of its keys is
/// the caller's; those of [`DecryptMessage`]; [`ErrorKind::Storage`] where reading or writing fails.
pub fn open(
    (kms, caller): (&Kms, &Caller),
    context: &EncryptionContext,
    (source, target): (&mut dyn Read, &mut dyn Write),
) -> Result<()> {
    let header = FileHeader::read(source)?;
    let chunks = opener((kms, caller), &header, context)?;
    let whole = chunks.size() + TAG;
    let (mut ahead, mut next) = (room(&chunks), room(&chunks));
    fill(source, whole, &mut ahead)?;
    for number in 0.. {
        let more = if ahead.len() == whole { whole } else { 0 };
        fill(source, more, &mut next)?;
        let last = next.is_empty();
        chunks.open(number, last, &mut ahead)?;
        write(target, &ahead)?;
        std::mem::swap(&mut ahead, &mut next);
        if last {
            break;
        }
    }
    target.flush().map_err(unwritten)
}

/// What opens the chunks: the file's key, by the first recipient whose key is the caller's.
fn opener((kms, caller): (&Kms, &Caller), header: &ReadHeader, context: &EncryptionContext) -> Result<Chunks> {
    let mut refusal = Error::new(ErrorKind::NotFound, "none of the keys that open this file is in the token");
    for recipient in header.header.recipients() {
        match kms.perform(caller, DecryptMessage::new(recipient, context.clone())) {
            Ok(key) => return header.open(&Secret::copy_of(&key)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Room for a chunk and its tag, so that nothing moves where it cannot be wiped.
fn room(chunks: &Chunks) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(chunks.size() + TAG))
}

/// Puts as many bytes as there are in the place of `data`, at most `most`.
fn fill(source: &mut dyn Read, most: usize, data: &mut Vec<u8>) -> Result<()> {
    data.resize(most, 0);
    let mut filled = 0;
    while let Some(room) = data.get_mut(filled..).filter(|room| !room.is_empty()) {
        match source.read(room) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::new(ErrorKind::Storage, "the file cannot be read").with_source(e)),
        }
    }
    data.truncate(filled);
    Ok(())
}

fn write(target: &mut dyn Write, data: &[u8]) -> Result<()> {
    target.write_all(data).map_err(unwritten)
}

fn unwritten(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the file cannot be written").with_source(error)
}
